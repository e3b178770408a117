/* Golden values of the original on its transliteration model: hypotheses and scores for each decoding option. */
#include "api/api_rig.h"

static trd_translator *translator;

static const char A1[] = "آ ت ز م و ن", A2[] = "آ ت ش ي س و ن", A3[] = "آ ز ا", A4[] = "أ و ل ي س س";

static trd_results *run(const char *source, const char *prefix, trd_decoding_options options)
{
    static rig_batch sources, prefixes;
    sources.sequences.n = prefixes.sequences.n = 0;
    rig_add(&sources, source);
    if (prefix != NULL) rig_add(&prefixes, prefix);
    options.return_scores = true;
    trd_results *results;
    CHECK_OK(trd_translator_translate(translator, &sources.sequences, prefix != NULL ? &prefixes.sequences : NULL, &options, &results));
    CHECK_INT(trd_results_count(results), 1);
    return results;
}

/* want: hypotheses in order; scores likewise. */
static void expect(const char *source, const char *prefix, trd_decoding_options options, int64_t n, const char *const *want, const float *scores)
{
    trd_results *results = run(source, prefix, options);
    const trd_result *result = trd_results_get(results, 0);
    CHECK_INT(trd_result_n_hypotheses(result), n);
    for (int64_t h = 0; h < n; h++) {
        CHECK_STRING(rig_text(result, h), want[h]);
        CHECK_NEAR(trd_result_score(result, h), scores[h], 1e-4);
    }
    trd_results_destroy(results);
}

static void expect_one(const char *source, const char *prefix, trd_decoding_options options, const char *want, float score)
{
    expect(source, prefix, options, 1, &want, &score);
}

static void test_searches(void)
{
    trd_decoding_options o = rig_options();
    expect_one(A2, NULL, o, "a c h i s o n", -0.139197f);
    expect_one(A3, NULL, o, "a z z a", -0.150900f);
    o.beam_size = 1;
    expect_one(A1, NULL, o, "a t z m o n", -0.151673f);
    o.beam_size = 4;
    o.length_penalty = 0;
    expect_one(A1, NULL, o, "a t z m o n", -1.06171f);
    o.length_penalty = 1;
    o.num_hypotheses = 8;
    o.patience = 2;
    static const char *const want[] = { "a t z m o n", "a t z u m o n", "a t z m u n", "a t z e m o n",
                                        "a t z m o n e", "a t z u m o u n", "a t z u m o n e", "a t z e m o n e" };
    static const float scores[] = { -0.151673f, -0.266032f, -0.335109f, -0.366143f, -0.522572f, -0.568640f, -0.638511f, -0.704879f };
    expect(A1, NULL, o, 8, want, scores);
}

static void test_limits(void)
{
    for (int64_t beam = 1; beam <= 4; beam += 3) {
        trd_decoding_options o = rig_options();
        o.beam_size = beam;
        o.min_decoding_length = 8;
        expect_one(A1, NULL, o, "a t z m o n e n", -0.211559f);
        o = rig_options();
        o.beam_size = beam;
        o.max_decoding_length = 3;
        expect_one(A1, NULL, o, "a t z", -0.075798f);
        o = rig_options();
        o.beam_size = beam;
        o.max_input_length = 3;
        expect_one(A1, NULL, o, "a t z", -0.072425f);
    }
}

static void test_prefixes(void)
{
    for (int64_t beam = 1; beam <= 4; beam += 3) {
        trd_decoding_options o = rig_options();
        o.beam_size = beam;
        expect_one(A1, "a t s", o, "a t s u m o n", -0.074240f);
        expect_one(A1, "<unk> t", o, "<unk> t z m o n", -0.106664f);
        o.replace_unknowns = true;
        expect_one(A1, "<unk> t", o, "ت t z m o n", -0.106664f);
    }
    trd_decoding_options o = rig_options();
    o.beam_size = 5;
    expect_one(A4, "u l i s e", o, "u l i s e s", -0.106708f);
    o.beam_size = 2;
    o.prefix_bias_beta = 0.5f;
    expect_one(A1, "a t s", o, "a t s u m o n", -0.168850f);
}

static void test_rules(void)
{
    rig_batch suppressed = { 0 };
    rig_add(&suppressed, "o");
    rig_add(&suppressed, "t z m");
    trd_decoding_options o = rig_options();
    o.suppress_sequences = suppressed.sequences;
    expect_one(A1, NULL, o, "a t z u m u n", -0.121429f);
    rig_batch end = { 0 };
    rig_add(&end, "m");
    o = rig_options();
    o.has_end_tokens = true;
    o.end_tokens = end.sequences;
    expect_one(A1, NULL, o, "a t z", -0.168758f);
    o = rig_options();
    o.repetition_penalty = 100;
    o.beam_size = 1;
    expect_one("ن ن ن ن ن", NULL, o, "n e h a i g o u r", -1.100875f);
    o.beam_size = 4;
    expect_one("ن ن ن ن ن", NULL, o, "n i g e a h o u k", -1.024255f);
    o = rig_options();
    o.return_end_token = true;
    expect_one(A1, NULL, o, "a t z m o n </s>", -0.151673f);
    o = rig_options();
    o.beam_size = 4;
    o.num_hypotheses = 2;
    o.coverage_penalty = 0.2f;
    static const char *const want[] = { "a t z m o n", "a t z u m o n" };
    static const float scores[] = { -0.848632f, -0.903392f };
    expect(A1, NULL, o, 2, want, scores);
}

static void test_alternatives(void)
{
    trd_decoding_options o = rig_options();
    o.return_alternatives = true;
    o.num_hypotheses = 10;
    static const float scores[] = { -0.264551f, -4.019780f, -4.574893f, -4.492782f, -5.688720f, -6.290431f, -7.504687f, -8.134675f, -8.296674f, -9.200175f };
    static const char third[] = "zsetiahcub";
    trd_results *results = run(A1, "a t", o);
    const trd_result *result = trd_results_get(results, 0);
    CHECK_INT(trd_result_n_hypotheses(result), 10);
    for (int64_t h = 0; h < 10; h++) {
        CHECK_INT(trd_result_token(result, h, 2)[0], third[h]);
        CHECK_NEAR(trd_result_score(result, h), scores[h], 2e-4);
    }
    trd_results_destroy(results);
    o.min_alternative_expansion_prob = 0.001f;
    results = run(A1, "a t", o);
    CHECK_INT(trd_result_n_hypotheses(trd_results_get(results, 0)), 6);
    trd_results_destroy(results);
    o.min_alternative_expansion_prob = 1;
    results = run(A1, "a t", o);
    CHECK_INT(trd_result_n_hypotheses(trd_results_get(results, 0)), 0);
    trd_results_destroy(results);
    o.min_alternative_expansion_prob = 0;
    o.num_hypotheses = 4;
    o.max_decoding_length = 2;
    for (int i = 0; i < 4; i++) {
        static const char *const prefixes[] = { "", "a", "a t", "a t z" };
        results = run(A1, prefixes[i], o);
        result = trd_results_get(results, 0);
        CHECK_INT(trd_result_n_hypotheses(result), 4);
        for (int64_t h = 0; h < 4; h++) {
            CHECK_INT(trd_result_n_tokens(result, h), 2);
            CHECK((trd_result_score(result, h) != 0.0f) == (i < 2));
        }
        trd_results_destroy(results);
    }
}

static void test_sampling(void)
{
    trd_decoding_options o = rig_options();
    o.beam_size = 1;
    o.num_hypotheses = 5;
    o.sampling_topk = 0;
    o.has_seed = true;
    o.seed = 46;
    o.rng = TRD_RNG_MT19937;
    static const char *const first[] = { "a t z u m u n", "a t z i m o n", "u t z m o n", "e t z m u n", "a t z t m o n" };
    static const float first_scores[] = { -0.488767f, -0.560299f, -0.708105f, -0.719737f, -1.211146f };
    expect(A1, NULL, o, 5, first, first_scores);
    o.seed = 8;
    o.num_hypotheses = 3;
    o.sampling_topk = 10;
    o.sampling_topp = 0.9f;
    o.sampling_temperature = 1.2f;
    static const char *const second[] = { "a t z m u n", "a t z e m o n", "a t z u m u n" };
    static const float second_scores[] = { -0.335109f, -0.366143f, -0.488767f };
    expect(A1, NULL, o, 3, second, second_scores);
    o.rng = TRD_RNG_PHILOX;
    trd_results *a = run(A1, NULL, o), *b = run(A1, NULL, o);
    for (int64_t h = 0; h < 3; h++) CHECK(trd_result_score(trd_results_get(a, 0), h) == trd_result_score(trd_results_get(b, 0), h));
    trd_results_destroy(a);
    trd_results_destroy(b);
}

static void test_attention(void)
{
    trd_decoding_options o = rig_options();
    o.beam_size = 1;
    o.return_attention = true;
    trd_results *results = run(A1, NULL, o);
    const trd_result *result = trd_results_get(results, 0);
    int64_t n_source;
    const float *attention = trd_result_attention(result, 0, &n_source);
    CHECK_INT(n_source, 6);
    CHECK_INT(trd_result_n_tokens(result, 0), 6);
    static const float first[] = { .0934f, .7664f, .1359f, .0028f, .0012f, .0004f }, last[] = { .0001f, 0, .0003f, .3231f, .0308f, .6458f };
    for (int i = 0; i < 6; i++) {
        CHECK_NEAR(attention[i], first[i], 1e-4);
        CHECK_NEAR(attention[5 * 6 + i], last[i], 1e-4);
    }
    trd_results_destroy(results);
}

/* One vector per step of the hypothesis, in beam search too; banned entries are the lowest f32. */
static void test_logits(void)
{
    for (int64_t beam = 1; beam <= 3; beam += 2) {
        trd_decoding_options o = rig_options();
        o.beam_size = beam;
        o.return_logits = true;
        trd_results *results = run(A1, NULL, o);
        int64_t n_steps, n_vocabulary;
        const float *logits = trd_result_logits(trd_results_get(results, 0), 0, &n_steps, &n_vocabulary);
        CHECK_INT(n_steps, 7);
        CHECK_INT(n_vocabulary, 43);
        static const float want[] = { -17.058760f, -17.043285f, 0, 8.943705f, 6.126192f, 4.412502f };
        for (int i = 0; i < 6; i++) {
            if (i == 2) CHECK(logits[i] == -3.4028234663852886e38f);
            else CHECK_NEAR(logits[i], want[i], 1e-4);
        }
        trd_results_destroy(results);
        results = run(A1, "a t s", o);
        CHECK(trd_result_logits(trd_results_get(results, 0), 0, &n_steps, &n_vocabulary) != NULL);
        CHECK_INT(n_steps, 8);
        trd_results_destroy(results);
    }
}

static bool stop_at_two(void *context, const trd_step_result *step)
{
    int *calls = context;
    CHECK_INT(step->step, *calls);
    CHECK_INT(step->example, 0);
    CHECK(step->has_log_prob);
    (*calls)++;
    return step->step == 2;
}

static void test_callback(void)
{
    trd_decoding_options o = rig_options();
    int calls = 0;
    o.beam_size = 1;
    o.on_step = stop_at_two;
    o.on_step_context = &calls;
    trd_results *results = run(A1, NULL, o);
    CHECK_STRING(rig_text(trd_results_get(results, 0), 0), "a t z");
    CHECK_INT(calls, 3);
    trd_results_destroy(results);
}

static void test_empty_sources(void)
{
    rig_batch sources = { 0 };
    rig_add(&sources, "");
    rig_add(&sources, A3);
    rig_add(&sources, "");
    rig_add(&sources, A1);
    rig_add(&sources, "</s>");
    trd_results *results;
    CHECK_OK(trd_translator_translate(translator, &sources.sequences, NULL, NULL, &results));
    static const char *const want[] = { "", "a z z a", "", "a t z m o n", "" };
    for (int64_t i = 0; i < 5; i++) {
        CHECK_INT(trd_result_n_hypotheses(trd_results_get(results, i)), 1);
        CHECK_STRING(rig_text(trd_results_get(results, i), 0), want[i]);
        CHECK(!trd_result_has_scores(trd_results_get(results, i)));
    }
    trd_results_destroy(results);
}

static void test_scores(void)
{
    rig_batch sources = { 0 }, targets = { 0 };
    rig_add(&sources, A1);
    rig_add(&sources, "");
    rig_add(&targets, "a t z m o n");
    rig_add(&targets, "a");
    trd_results *results;
    CHECK_OK(trd_translator_score(translator, &sources.sequences, &targets.sequences, NULL, &results));
    static const float want[] = { -0.106023f, -0.065410f, -0.056002f, -0.447953f, -0.230714f, -0.092184f, -0.063463f };
    const trd_result *result = trd_results_get(results, 0);
    CHECK_STRING(rig_text(result, 0), "a t z m o n </s>");
    for (int i = 0; i < 7; i++) CHECK_NEAR(trd_result_token_scores(result, 0)[i], want[i], 1e-5);
    result = trd_results_get(results, 1);
    CHECK_STRING(rig_text(result, 0), "a </s>");
    CHECK_NEAR(trd_result_token_scores(result, 0)[0], 0, 0);
    trd_results_destroy(results);
    trd_scoring_options o;
    trd_scoring_options_init(&o, sizeof o);
    o.max_input_length = 4;
    o.offset = 1;
    CHECK_OK(trd_translator_score(translator, &sources.sequences, &targets.sequences, &o, &results));
    CHECK_STRING(rig_text(trd_results_get(results, 0), 0), "t z </s>");
    trd_results_destroy(results);
}

/* Callers of an older header get their part, callers of a newer one zeros in what is not known here. */
static void test_info(void)
{
    struct { trd_translator_info info; unsigned char more[24]; } later;
    memset(&later, 0x5a, sizeof later);
    later.info.struct_size = sizeof later;
    CHECK_OK(trd_translator_get_info(translator, &later.info));
    CHECK_INT(later.info.struct_size, sizeof later);
    CHECK_STRING(later.info.device, "cpu:0");
    for (size_t i = 0; i < sizeof later.more; i++) CHECK_INT(later.more[i], 0);
    trd_translator_info earlier = { .struct_size = offsetof(trd_translator_info, device_name), .compute_type = "kept" };
    CHECK_OK(trd_translator_get_info(translator, &earlier));
    CHECK_STRING(earlier.device, "cpu:0");
    CHECK_STRING(earlier.compute_type, "kept");
}

int main(void)
{
    translator = rig_transliteration(2);
    test_searches();
    test_limits();
    test_prefixes();
    test_rules();
    test_alternatives();
    test_sampling();
    test_attention();
    test_logits();
    test_callback();
    test_empty_sources();
    test_scores();
    test_info();
    trd_translator_destroy(translator);
    return 0;
}
