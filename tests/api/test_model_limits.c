/*
 * What a model cannot do: sequences past its position table, ids past its embeddings. The call that asks for it fails with a text
 * that names the number; other calls on the same translator, at the same time, are not disturbed.
 */
#include <pthread.h>
#include <unistd.h>
#include <stdatomic.h>

#include "api/api_rig.h"
#include "nn/tiny_model.h"

static trd_translator *translator;
static int64_t n_positions;     /* rows of the position tables */

static const char *folder(void)
{
    static char path[4096];
    const char *root = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/treadle-limits-%ld", root != NULL ? root : "/tmp", (long)getpid());
    return path;
}

static trd_status translate_ids(int64_t n, int32_t id, int64_t n_prefix, trd_decoding_options o, trd_results **results)
{
    static _Thread_local int32_t source[512], prefix[512];
    for (int64_t i = 0; i < n; i++) source[i] = id;
    for (int64_t i = 0; i < n_prefix; i++) prefix[i] = 5;
    const trd_sequences sources = { .n = 1, .lengths = &n, .ids = source }, prefixes = { .n = 1, .lengths = &n_prefix, .ids = prefix };
    return trd_translator_translate(translator, &sources, &prefixes, &o, results);
}

static void expect_length(int64_t n, int64_t n_prefix, trd_decoding_options o, int64_t want)
{
    trd_results *results;
    CHECK_OK(translate_ids(n, 7, n_prefix, o, &results));
    CHECK_INT(trd_result_n_tokens(trd_results_get(results, 0), 0), want);
    trd_results_destroy(results);
}

static trd_decoding_options exactly(int64_t beam, int64_t n)
{
    trd_decoding_options o = rig_options();
    o.beam_size = beam;
    o.max_decoding_length = o.min_decoding_length = n;
    return o;
}

static void test_sources(void)
{
    trd_results *results;
    expect_length(n_positions - 1, 0, exactly(2, 3), 3);   /* one end token is added */
    CHECK_FAILS(translate_ids(n_positions + 5, 7, 0, exactly(2, 3), &results), TRD_E_UNSUPPORTED, "No position encodings");
    trd_decoding_options o = exactly(2, 3);
    o.max_input_length = n_positions;
    CHECK_OK(translate_ids(n_positions + 5, 7, 0, o, &results));
    trd_results_destroy(results);
    CHECK_FAILS(translate_ids(3, 4000, 0, exactly(2, 3), &results), TRD_E_INVALID, "4000");
    CHECK_FAILS(translate_ids(3, -7, 0, exactly(2, 3), &results), TRD_E_INVALID, "-7");
}

static void test_targets(void)
{
    trd_results *results;
    for (int64_t beam = 1; beam <= 3; beam += 2) {
        expect_length(3, 0, exactly(beam, n_positions), n_positions);
        CHECK_FAILS(translate_ids(3, 7, 0, exactly(beam, n_positions + 1), &results), TRD_E_UNSUPPORTED, "No position encodings");
        expect_length(3, n_positions - 1, exactly(beam, n_positions), n_positions);
        CHECK_FAILS(translate_ids(3, 7, n_positions, exactly(beam, n_positions + 1), &results), TRD_E_UNSUPPORTED, "No position encodings");
    }
    const int64_t n = n_positions + 1, one = 1;
    static int32_t target[512];
    const int32_t source = 7;
    for (int64_t i = 0; i < n; i++) target[i] = 5;
    const trd_sequences sources = { .n = 1, .lengths = &one, .ids = &source }, targets = { .n = 1, .lengths = &n, .ids = target };
    CHECK_FAILS(trd_translator_score(translator, &sources, &targets, NULL, &results), TRD_E_UNSUPPORTED, "No position encodings");
    target[1] = 9999;
    const trd_sequences unknown = { .n = 1, .lengths = &(int64_t){ 3 }, .ids = target };
    CHECK_FAILS(trd_translator_score(translator, &sources, &unknown, NULL, &results), TRD_E_INVALID, "9999");
}

static atomic_bool stop;

static void *fail_again_and_again(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop)) {
        trd_results *results;
        CHECK_FAILS(translate_ids(3, 7, n_positions, exactly(3, n_positions + 1), &results), TRD_E_UNSUPPORTED, "No position encodings");
        CHECK_FAILS(translate_ids(3, 7, 0, exactly(1, n_positions + 1), &results), TRD_E_UNSUPPORTED, "No position encodings");
    }
    return NULL;
}

/* A failing job leaves the step, not its neighbours. */
static void test_neighbours(void)
{
    trd_results *alone, *beside;
    trd_decoding_options o = exactly(3, 12);
    o.return_scores = true;
    o.repetition_penalty = 1.4f;
    CHECK_OK(translate_ids(6, 9, 2, o, &alone));
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, fail_again_and_again, NULL), 0);
    for (int i = 0; i < 60; i++) {
        CHECK_OK(translate_ids(6, 9, 2, o, &beside));
        const float want = trd_result_score(trd_results_get(alone, 0), 0), got = trd_result_score(trd_results_get(beside, 0), 0);
        CHECK(memcmp(&want, &got, sizeof got) == 0);
        trd_results_destroy(beside);
    }
    atomic_store(&stop, true);
    CHECK_INT(pthread_join(thread, NULL), 0);
    trd_results_destroy(alone);
}

int main(void)
{
    const tiny_model model = { .name = "limits", .form = TINY_POST_NORM, .positions = TINY_LEARNED };
    tiny_model_write(folder(), &model);
    trd_model *opened;
    CHECK_OK(trd_model_open(folder(), &opened));
    for (int64_t i = 0; i < trd_model_tensor_count(opened); i++) {
        trd_model_tensor tensor = { .struct_size = sizeof tensor };
        CHECK_OK(trd_model_get_tensor(opened, i, &tensor));
        if (strstr(tensor.name, "position_encodings") != NULL) n_positions = tensor.dims[0];
    }
    trd_model_close(opened);
    CHECK(n_positions > 16 && n_positions < 400);
    translator = rig_translator(folder(), 1);
    test_sources();
    test_targets();
    test_neighbours();
    trd_translator_destroy(translator);
    char command[4200];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder());
    return system(command) == 0 ? 0 : 1;
}
