/* Bad arguments: each gets its status and a text that names the thing, and the translator works afterwards. */
#include "api/api_rig.h"

static trd_translator *translator;
static rig_batch source, prefix;

static void still_works(void)
{
    trd_results *results;
    CHECK_OK(trd_translator_translate(translator, &source.sequences, NULL, NULL, &results));
    CHECK_STRING(rig_text(trd_results_get(results, 0), 0), "a z z a");
    trd_results_destroy(results);
}

static void refuse(trd_decoding_options o, const char *part)
{
    trd_results *results = (trd_results *)&results;
    CHECK_FAILS(trd_translator_translate(translator, &source.sequences, &prefix.sequences, &o, &results), TRD_E_INVALID, part);
    CHECK(results == NULL);
    still_works();
}

#define REFUSE(field, value, part)                   \
    do {                                             \
        trd_decoding_options o = rig_options();      \
        o.field = (value);                           \
        refuse(o, part);                             \
    } while (0)

static void test_each_option(void)
{
    REFUSE(beam_size, 0, "beam_size");
    REFUSE(beam_size, -1, "beam_size");
    REFUSE(beam_size, INT64_MAX, "beam_size");
    REFUSE(patience, 0, "patience");
    REFUSE(patience, NAN, "patience");
    REFUSE(num_hypotheses, 0, "num_hypotheses");
    REFUSE(num_hypotheses, 3, "num_hypotheses");
    REFUSE(max_decoding_length, 0, "is greater than");
    REFUSE(max_decoding_length, -5, "max_decoding_length");
    REFUSE(max_decoding_length, INT64_MAX, "max_decoding_length");
    REFUSE(min_decoding_length, 257, "is greater than");
    REFUSE(repetition_penalty, 0, "repetition_penalty");
    REFUSE(repetition_penalty, -1, "repetition_penalty");
    REFUSE(prefix_bias_beta, 1, "prefix_bias_beta");
    REFUSE(prefix_bias_beta, NAN, "prefix_bias_beta");
    REFUSE(sampling_topp, 0, "sampling_topp");
    REFUSE(sampling_topp, 1.5f, "sampling_topp");
    REFUSE(sampling_topk, -1, "sampling_topk");
    REFUSE(sampling_topk, 44, "sampling_topk");
    REFUSE(sampling_topk, 3, "2 * beam_size");
    REFUSE(sampling_temperature, NAN, "sampling_temperature");
    REFUSE(no_repeat_ngram_size, -1, "no_repeat_ngram_size");
    REFUSE(length_penalty, NAN, "length_penalty");
    REFUSE(coverage_penalty, NAN, "coverage_penalty");
    REFUSE(max_input_length, -1, "max_input_length");
    REFUSE(max_batch_size, -1, "max_batch_size");
    REFUSE(rng, (trd_rng)7, "rng");
    REFUSE(struct_size, 3, "struct_size");
}

static bool never(void *context, const trd_step_result *step)
{
    (void)context;
    (void)step;
    return false;
}

static void test_combinations(void)
{
    trd_decoding_options o = rig_options();
    o.on_step = never;
    refuse(o, "callback");
    o = rig_options();
    o.return_alternatives = true;
    o.prefix_bias_beta = 0.5f;
    refuse(o, "return_alternatives");
    o.prefix_bias_beta = 0;
    o.min_alternative_expansion_prob = 2;
    refuse(o, "min_alternative_expansion_prob");
    rig_batch unknown = { 0 };
    rig_add(&unknown, "o t");
    rig_add(&unknown, "t oovtoken m");
    o = rig_options();
    o.suppress_sequences = unknown.sequences;
    refuse(o, "oovtoken");
    rig_batch end = { 0 };
    rig_add(&end, "oovtoken");
    o = rig_options();
    o.has_end_tokens = true;
    o.end_tokens = end.sequences;
    refuse(o, "oovtoken");
}

static void test_sequences(void)
{
    trd_results *results;
    trd_sequences bad = source.sequences;
    bad.n = -1;
    CHECK_FAILS(trd_translator_translate(translator, &bad, NULL, NULL, &results), TRD_E_INVALID, "n is -1");
    bad = source.sequences;
    bad.reserved[1] = &results;
    CHECK_FAILS(trd_translator_translate(translator, &bad, NULL, NULL, &results), TRD_E_INVALID, "reserved");
    bad = source.sequences;
    bad.tokens = NULL;
    CHECK_FAILS(trd_translator_translate(translator, &bad, NULL, NULL, &results), TRD_E_INVALID, "0 of tokens");
    bad = source.sequences;
    bad.lengths = NULL;
    CHECK_FAILS(trd_translator_translate(translator, &bad, NULL, NULL, &results), TRD_E_INVALID, "lengths is NULL");
    const int64_t negative[] = { -4 };
    bad.lengths = negative;
    CHECK_FAILS(trd_translator_translate(translator, &bad, NULL, NULL, &results), TRD_E_INVALID, "-4");
    const int64_t one = 1;
    const int32_t far = 51, below = -1;
    bad = (trd_sequences){ .n = 1, .lengths = &one, .ids = &far };
    CHECK_FAILS(trd_translator_translate(translator, &bad, NULL, NULL, &results), TRD_E_INVALID, "51");
    bad.ids = &below;
    CHECK_FAILS(trd_translator_translate(translator, &bad, NULL, NULL, &results), TRD_E_INVALID, "-1");
    CHECK_FAILS(trd_translator_translate(translator, &source.sequences, &bad, NULL, &results), TRD_E_INVALID, "-1");
    rig_batch two = { 0 };
    rig_add(&two, "آ");
    rig_add(&two, "آ");
    rig_batch few = { 0 };
    rig_add(&few, "a");
    CHECK_FAILS(trd_translator_translate(translator, &two.sequences, &few.sequences, NULL, &results), TRD_E_INVALID, "less examples");
    CHECK_FAILS(trd_translator_score(translator, &two.sequences, &few.sequences, NULL, &results), TRD_E_INVALID, "less examples");
    trd_scoring_options o;
    trd_scoring_options_init(&o, sizeof o);
    o.offset = -1;
    CHECK_FAILS(trd_translator_score(translator, &few.sequences, &few.sequences, &o, &results), TRD_E_INVALID, "offset");
    CHECK_FAILS(trd_translator_translate(translator, NULL, NULL, NULL, &results), TRD_E_INVALID, "source is NULL");
    CHECK_FAILS(trd_translator_translate(NULL, &source.sequences, NULL, NULL, &results), TRD_E_INVALID, "translator is NULL");
    CHECK_FAILS(trd_translator_translate(translator, &source.sequences, NULL, NULL, NULL), TRD_E_INVALID, "out is NULL");
    still_works();
}

/* Ids and byte forms give what texts give; not a word that is valid UTF-8 is needed. */
static void test_forms(void)
{
    trd_results *results;
    const int64_t three = 3, lengths[] = { 2, 2, 2 };
    const int32_t ids[] = { 31, 19, 4 };
    const trd_sequences by_ids = { .n = 1, .lengths = &three, .ids = ids };
    CHECK_OK(trd_translator_translate(translator, &by_ids, NULL, NULL, &results));
    CHECK_STRING(rig_text(trd_results_get(results, 0), 0), "a z z a");
    trd_results_destroy(results);
    const trd_sequences by_bytes = { .n = 1, .lengths = &three, .bytes = "آزا", .byte_lengths = lengths };
    CHECK_OK(trd_translator_translate(translator, &by_bytes, NULL, NULL, &results));
    CHECK_STRING(rig_text(trd_results_get(results, 0), 0), "a z z a");
    trd_results_destroy(results);
    const char *const invalid[] = { "\xff\xfe", "\xc3", "" };
    const trd_sequences broken = { .n = 1, .lengths = &three, .tokens = invalid };
    CHECK_OK(trd_translator_translate(translator, &broken, NULL, NULL, &results));
    trd_results_destroy(results);
    const trd_sequences none = { .n = 0 };
    CHECK_OK(trd_translator_translate(translator, &none, NULL, NULL, &results));
    CHECK_INT(trd_results_count(results), 0);
    CHECK(trd_results_get(results, 0) == NULL);
    trd_results_destroy(results);
}

static void test_creation(void)
{
    trd_model *model;
    trd_translator *other;
    CHECK_OK(trd_model_open(rig_folder("TREADLE_TEST_SHARED", "models/v2/aren-transliteration"), &model));
    trd_translator_options o;
    static const char *const types[] = { "float64", "int8", "float16" };
    static const trd_status statuses[] = { TRD_E_INVALID, TRD_E_UNSUPPORTED, TRD_E_UNSUPPORTED };
    for (int i = 0; i < 3; i++) {
        trd_translator_options_init(&o, sizeof o);
        o.compute_type = types[i];
        CHECK_FAILS(trd_translator_create(model, &o, &other), statuses[i], "compute type");
    }
    trd_translator_options_init(&o, sizeof o);
    o.inter_threads = 0;
    CHECK_FAILS(trd_translator_create(model, &o, &other), TRD_E_INVALID, "inter_threads");
    trd_translator_options_init(&o, sizeof o);
    o.intra_threads = -1;
    CHECK_FAILS(trd_translator_create(model, &o, &other), TRD_E_INVALID, "intra_threads");
    static const char *const numerics[] = { "", "exact", "FAST", "auto ", "fast", "reproducible", "auto" };
    for (int i = 0; i < 7; i++) {
        trd_translator_options_init(&o, sizeof o);
        CHECK(o.numerics == NULL);
        o.cache_dir = "";
        o.numerics = numerics[i];
        if (i < 4) CHECK_FAILS(trd_translator_create(model, &o, &other), TRD_E_INVALID, "numerics is '");
        else CHECK_OK(trd_translator_create(model, &o, &other));
        trd_translator_destroy(other);
    }
    /* A caller compiled before numerics existed. */
    trd_translator_options_init(&o, offsetof(trd_translator_options, numerics));
    o.numerics = "not looked at";
    o.cache_dir = "";
    CHECK_OK(trd_translator_create(model, &o, &other));
    trd_translator_destroy(other);
    trd_translator_options_init(&o, sizeof o);
    o.device = "cuda";
    CHECK_FAILS(trd_translator_create(model, &o, &other), TRD_E_INVALID, "cuda");
    CHECK_FAILS(trd_translator_create(NULL, NULL, &other), TRD_E_INVALID, "model is NULL");
    trd_model_close(model);
    const char *folder = rig_folder("TREADLE_TEST_SHARED", "models/minilm-l6-f16");
    if (!trd_model_exists(folder)) return;
    CHECK_OK(trd_model_open(folder, &model));
    CHECK_FAILS(trd_translator_create(model, NULL, &other), TRD_E_STATE, "cannot be used as a translator");
    trd_model_close(model);
}

int main(void)
{
    translator = rig_transliteration(1);
    rig_add(&source, "آ ز ا");
    rig_add(&prefix, "");
    test_each_option();
    test_combinations();
    test_sequences();
    test_forms();
    test_creation();
    trd_translator_destroy(translator);
    return 0;
}
