/*
 * The same bits: a sentence alone, among 2, 16 and 63 others, with 1 and 2 threads, beside other options of its own, gives
 * the same tokens and not one differing bit in scores, attention and logits.
 */
#include <unistd.h>

#include "api/api_rig.h"
#include "nn/tiny_model.h"

/* Four sentences under test and six to put beside them. */
typedef struct corpus {
    const char *sentences[4], *others[6];
} corpus;

static const corpus letters = {
    { "آ ت ز م و ن", "آ ز ا", "ن ن ن ن ن ن ن ن ن ن ن ن ن ن ن ن ن ن ن ن ن", "أ و ل ي س س" },
    { "آ", "آ ت ش ي س و ن", "آ ر ب ا ك ه", "آ ر ث ر", "ن ن ن", "م و ن ت ز م و ن آ ت ز م و ن آ ت ز" } };
static const corpus words = {
    { "w5 w6 w7", "w1999", "w20 w21 w22 w23 w24 w25 w26 w27 w28 w29 w30 w31 w32 w33 w34 w35 w36 w37", "w9 w9 w9 w9" },
    { "w4", "w100 w200 w300 w400", "w8 w7 w6", "w1 w2", "w500 w501 w502 w503 w504 w505 w506", "w11 w12" } };

static int64_t n_checked;

static void check_floats(const float *a, const float *b, int64_t n)
{
    CHECK((a == NULL) == (b == NULL));
    if (a != NULL) CHECK(memcmp(a, b, (size_t)n * sizeof *a) == 0);
}

static void check_same(const trd_result *a, const trd_result *b)
{
    CHECK_INT(trd_result_n_hypotheses(a), trd_result_n_hypotheses(b));
    for (int64_t h = 0; h < trd_result_n_hypotheses(a); h++) {
        const int64_t n = trd_result_n_tokens(a, h);
        CHECK_INT(n, trd_result_n_tokens(b, h));
        for (int64_t t = 0; t < n; t++) CHECK_INT(trd_result_ids(a, h)[t], trd_result_ids(b, h)[t]);
        const float one = trd_result_score(a, h), other = trd_result_score(b, h);
        CHECK(memcmp(&one, &other, sizeof one) == 0);
        int64_t n_source, n_source_b, n_steps, n_steps_b, width, width_b;
        const float *attention = trd_result_attention(a, h, &n_source), *attention_b = trd_result_attention(b, h, &n_source_b);
        CHECK_INT(n_source, n_source_b);
        check_floats(attention, attention_b, n * n_source);
        const float *logits = trd_result_logits(a, h, &n_steps, &width), *logits_b = trd_result_logits(b, h, &n_steps_b, &width_b);
        CHECK_INT(n_steps, n_steps_b);
        check_floats(logits, logits_b, n_steps * width);
    }
    n_checked++;
}

static trd_results *run(trd_translator *translator, const corpus *texts, const char *sentence, int64_t place, int64_t size, const trd_decoding_options *options)
{
    static rig_batch batch;
    batch.sequences.n = 0;
    for (int64_t i = 0; i < size; i++) rig_add(&batch, i == place ? sentence : texts->others[i % 6]);
    trd_results *results;
    CHECK_OK(trd_translator_translate(translator, &batch.sequences, NULL, options, &results));
    return results;
}

static void check_sentence(trd_translator **translators, const corpus *texts, const char *sentence, const trd_decoding_options *options)
{
    static const int64_t sizes[] = { 1, 3, 17, 64 };
    trd_results *alone = run(translators[0], texts, sentence, 0, 1, options);
    const int n_sizes = UNDER_ADDRESS_SANITIZER || UNDER_THREAD_SANITIZER || getenv("TREADLE_TEST_SMALL") != NULL ? 2 : 4;
    for (int t = 0; t < 2; t++) {
        for (int s = 0; s < n_sizes; s++) {
            const int64_t place = sizes[s] / 2;
            trd_results *results = run(translators[t], texts, sentence, place, sizes[s], options);
            check_same(trd_results_get(alone, 0), trd_results_get(results, place));
            trd_results_destroy(results);
        }
    }
    trd_results_destroy(alone);
}

static void check_model(trd_translator **translators, const corpus *texts, int64_t max_length)
{
    for (int i = 0; i < 4; i++) {
        trd_decoding_options o = rig_options();
        o.max_decoding_length = max_length;
        o.return_scores = o.return_attention = o.return_logits = true;
        for (int64_t beam = 1; beam <= 5; beam += 2) {
            o.beam_size = beam;
            o.num_hypotheses = beam;
            check_sentence(translators, texts, texts->sentences[i], &o);
        }
        o.beam_size = 1;
        o.num_hypotheses = 1;
        o.repetition_penalty = 1.3f;
        o.no_repeat_ngram_size = 2;
        check_sentence(translators, texts, texts->sentences[i], &o);
        o = rig_options();
        o.max_decoding_length = max_length;
        o.return_scores = true;
        o.return_alternatives = true;
        o.num_hypotheses = 3;
        check_sentence(translators, texts, texts->sentences[i], &o);
    }
    trd_translator_destroy(translators[0]);
    trd_translator_destroy(translators[1]);
}

/* A model so large that even one row is shared out among threads; a small one is not. */
static void check_large_model(void)
{
    char folder[4096], command[4200];
    const char *root = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/treadle-bits-%ld", root != NULL ? root : "/tmp", (long)getpid());
    const tiny_model model = { .name = "large", .d_model = 256, .d_ffn = 512, .n_layers = 3, .vocabulary = 2000 };
    tiny_model_write(folder, &model);
    trd_translator *translators[] = { rig_translator(folder, 1), rig_translator(folder, 2) };
    check_model(translators, &words, 6);
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    CHECK_INT(system(command), 0);
}

int main(void)
{
    check_large_model();
    printf("%lld configurations of a large model checked for identical bits\n", (long long)n_checked);
    trd_translator *translators[] = { rig_transliteration(1), rig_transliteration(2) };
    check_model(translators, &letters, 48);
    printf("%lld configurations in all checked for identical bits\n", (long long)n_checked);
    return 0;
}
