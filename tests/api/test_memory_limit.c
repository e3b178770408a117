/*
 * test_memory_limit.c: a limit that suffices once suffices when it is larger; what it does not allow at once is done one after the other, with
 * the same results.
 */
#include <unistd.h>

#include "api/api_rig.h"
#include "nn/tiny_model.h"

enum { N = 2, N_LIMITS = UNDER_ADDRESS_SANITIZER || UNDER_THREAD_SANITIZER ? 40 : 160, STEPS = 24 };

static char folder[256];
static rig_batch batch;
static char wanted[N][1024];

static trd_status run(trd_translator *t)
{
    trd_decoding_options o = rig_options();
    o.beam_size = 3;
    o.max_decoding_length = o.min_decoding_length = STEPS;
    trd_results *results;
    const trd_status status = trd_translator_translate(t, &batch.sequences, NULL, &o, &results);
    if (status != TRD_OK) return status;
    for (int i = 0; i < N; i++) {
        const char *text = rig_text(trd_results_get(results, i), 0);
        if (wanted[i][0] == '\0') (void)snprintf(wanted[i], sizeof wanted[i], "%s", text);
        CHECK(strcmp(text, wanted[i]) == 0);
    }
    trd_results_destroy(results);
    return TRD_OK;
}

static trd_status run_within(int64_t limit)
{
    trd_translator_options o;
    trd_translator_options_init(&o, sizeof o);
    o.memory_limit = limit;
    o.cache_dir = "";
    o.compute_type = "float32";
    trd_model *model;
    trd_translator *t;
    CHECK_OK(trd_model_open(folder, &model));
    trd_status status = trd_translator_create(model, &o, &t);
    trd_model_close(model);
    if (status != TRD_OK) return status;
    status = run(t);
    trd_translator_destroy(t);
    return status;
}

/* Bytes in use after a run without a limit. */
static int64_t measure(void)
{
    trd_translator_options o;
    trd_translator_options_init(&o, sizeof o);
    o.cache_dir = "";
    o.compute_type = "float32";
    trd_model *model;
    trd_translator *t;
    CHECK_OK(trd_model_open(folder, &model));
    CHECK_OK(trd_translator_create(model, &o, &t));
    trd_model_close(model);
    CHECK_OK(run(t));
    trd_translator_device_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_translator_get_device_info(t, 0, &info));
    trd_translator_destroy(t);
    return info.used_bytes;
}

int main(void)
{
    const char *root = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/treadle-memory-limit-%ld", root != NULL ? root : "/tmp", (long)getpid());
    tiny_model_write(folder, &(tiny_model){ .name = "limit", .form = TINY_PRE_NORM, .positions = TINY_ROTARY, .vocabulary = 60 });
    for (int i = 0; i < N; i++) rig_add(&batch, i % 2 == 0 ? "w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19 w20 w21" : "w9 w4");
    const int64_t enough = measure();
    int64_t works_from = -1;
    int n_failed = 0;
    for (int i = 1; i <= N_LIMITS; i++) {
        const int64_t limit = enough * i / N_LIMITS;
        const trd_status status = run_within(limit);
        if (status == TRD_OK) {
            if (works_from < 0) works_from = limit;
            continue;
        }
        CHECK_INT(status, TRD_E_MEMORY);
        n_failed++;
        if (works_from < 0) continue;
        fprintf(stderr, "%lld bytes suffice, %lld do not: %s\n", (long long)works_from, (long long)limit, trd_last_error());
        return 1;
    }
    CHECK(n_failed > 0 && works_from > 0 && works_from < enough);
    printf("%lld bytes are used without a limit; %lld suffice\n", (long long)enough, (long long)works_from);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
