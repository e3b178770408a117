/*
 * Many threads call one translator with two workers, with options of their own, while another thread asks what it is doing:
 * everybody gets what a caller alone gets. Run under the thread sanitizer too.
 */
#include "api/api_rig.h"
#include "core/threads.h"

enum { N_CALLERS = 4, N_ROUNDS = 6, N_WORDS = 3 };

static trd_translator *translator;
static float alone[N_CALLERS][N_WORDS];
static char texts[N_CALLERS][N_WORDS][256];

typedef struct caller {
    int64_t beam_size;
    float   scores[N_WORDS];
    bool    same;
} caller;

/* As rig_text(), whose buffer all threads would share. */
static void join(const trd_result *result, char *out, size_t size)
{
    out[0] = '\0';
    for (int64_t t = 0; t < trd_result_n_tokens(result, 0); t++) {
        const size_t used = strlen(out);
        (void)snprintf(out + used, size - used, "%s%s", t > 0 ? " " : "", trd_result_token(result, 0, t));
    }
}

static void translate(const caller *c, char (*text)[256], float *scores)
{
    static const char *const letters[] = { "t", "r", "e", "a", "d", "l", "e", "t", "h", "r", "e", "a", "d",
                                           "k", "e", "r", "n", "e", "l" };
    static const int64_t lengths[N_WORDS] = { 7, 6, 6 };
    const trd_sequences source = { .n = N_WORDS, .lengths = lengths, .tokens = letters };
    trd_decoding_options options = rig_options();
    options.beam_size = c->beam_size;
    options.return_scores = true;
    trd_results *results;
    CHECK_OK(trd_translator_translate(translator, &source, NULL, &options, &results));
    for (int64_t i = 0; i < N_WORDS; i++) {
        join(trd_results_get(results, i), text[i], sizeof text[i]);
        scores[i] = trd_result_score(trd_results_get(results, i), 0);
    }
    trd_results_destroy(results);
}

static void *call(void *argument)
{
    caller *c = argument;
    const int64_t index = c->beam_size - 1;
    c->same = true;
    for (int round = 0; round < N_ROUNDS; round++) {
        char text[N_WORDS][256];
        translate(c, text, c->scores);
        for (int i = 0; i < N_WORDS; i++) {
            if (strcmp(text[i], texts[index][i]) != 0 || memcmp(&c->scores[i], &alone[index][i], sizeof(float)) != 0) c->same = false;
        }
    }
    return NULL;
}

int main(void)
{
    trd_model *model;
    CHECK_OK(trd_model_open(rig_folder("TREADLE_TEST_MODELS", "g2p-en"), &model));
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.inter_threads = 2;
    options.intra_threads = 1;
    options.cache_dir = "";
    CHECK_OK(trd_translator_create(model, &options, &translator));
    trd_model_close(model);

    caller callers[N_CALLERS];
    trdi_thread threads[N_CALLERS];
    for (int i = 0; i < N_CALLERS; i++) {
        callers[i] = (caller){ .beam_size = i + 1 };
        translate(&callers[i], texts[i], alone[i]);
    }
    CHECK_STRING(texts[0][0], "T R EH1 D AH0 L");
    for (int i = 0; i < N_CALLERS; i++) CHECK_OK(trdi_thread_start(&threads[i], "caller", call, &callers[i]));
    for (int i = 0; i < 200; i++) {
        trd_translator_info info = { .struct_size = sizeof info };
        CHECK_OK(trd_translator_get_info(translator, &info));
        CHECK(info.n_active >= 0 && info.n_queued >= 0);
        CHECK_INT(info.n_workers, 2);
    }
    for (int i = 0; i < N_CALLERS; i++) {
        trdi_thread_join(threads[i]);
        CHECK(callers[i].same);
    }
    trd_translator_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_translator_get_info(translator, &info));
    CHECK_INT(info.n_active, 0);
    trd_translator_destroy(translator);
    return 0;
}
