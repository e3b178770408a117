/*
 * test_runner.c: buffers that grow keep results; nothing is allocated after warm-up; every allocation may fail, at creation and
 * in the first steps, and what is left works.
 */
#include <stdlib.h>

#include "check.h"
#include "nn/nn_rig.h"
#include "nn/variants.h"

enum { START = 1, LENGTH = 20 };

/** Counts allocations and fails the one numbered fail_at. */
static struct { int64_t count, fail_at; } counter = { 0, -1 };

static void *counted_alloc(void *context, size_t bytes, size_t alignment)
{
    (void)context;
    /* Sizes that sanitizers would stop the program for. */
    if (counter.count++ == counter.fail_at || bytes > (size_t)1 << 34) return NULL;
    return aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
}

static void counted_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static void encode(rig *r, rig_row *row, int32_t first, int32_t n)
{
    int32_t ids[64];
    const int32_t *all = ids;
    for (int32_t i = 0; i < n; i++) ids[i] = 3 + (first + 5 * i) % 37;
    *row = (rig_row){ .length = 0 };
    CHECK_OK(rig_encode(r, row, 1, &all, &n));
}

/**
 * 16 rows of different lengths at once need more of everything; the row that runs between must not notice.
 * @param n_blocks  reserved beforehand: with many the buffers grow without the pool
 */
static void check_growth(const char *path, int64_t n_blocks)
{
    rig r;
    CHECK_OK(rig_open(&r, path, NULL));
    CHECK_OK(trdi_runner_reserve_blocks(r.runner, n_blocks));
    rig_row row, crowd[RIG_ROWS];
    int32_t want[LENGTH], token = START;
    double score;
    float got[LENGTH];
    encode(&r, &row, 0, 7);
    CHECK_INT(rig_greedy(&r, &row, START, -1, LENGTH, want, &score), LENGTH);
    rig_row_release(&r, &row);

    encode(&r, &row, 0, 7);
    for (int i = 0; i < LENGTH; i++) {
        if (i == 7) {
            const int32_t *tokens[RIG_ROWS];
            int32_t lengths[RIG_ROWS], best[RIG_ROWS * LENGTH];
            float scores[RIG_ROWS * LENGTH];
            for (int c = 0; c < RIG_ROWS; c++) {
                encode(&r, &crowd[c], c, 20 + 10 * (c % 4));
                tokens[c] = want;
                lengths[c] = 5 + c;
            }
            CHECK_OK(rig_decode(&r, crowd, RIG_ROWS, tokens, lengths, best, scores, NULL));
        }
        const int32_t *tokens = &token, one = 1;
        int32_t best;
        CHECK_OK(rig_decode(&r, &row, 1, &tokens, &one, &best, &got[i], NULL));
        CHECK_INT(best, want[i]);
        score -= (double)got[i];
        token = best;
    }
    CHECK_NEAR(score, 0.0, 1e-9);
    for (int c = 0; c < RIG_ROWS; c++) rig_row_release(&r, &crowd[c]);
    rig_row_release(&r, &row);
    rig_close(&r);
}

static void check_bad_sizes(const char *path)
{
    rig r;
    CHECK_OK(rig_open(&r, path, NULL));
    trdi_step_arrays a;
    trdi_step_sizes sizes = { .n_tokens = -1 };
    CHECK_FAILS(trdi_runner_begin(r.runner, TRDI_STAGE_DECODE, 0, &sizes, &a), TRD_E_INVALID, "n_tokens is -1");
    CHECK_FAILS(trdi_runner_run(r.runner, NULL, NULL), TRD_E_STATE, "no step");
    sizes = (trdi_step_sizes){ .n_tokens = 1, .n_outputs = INT32_MAX - 20 };
    CHECK_FAILS(trdi_runner_begin(r.runner, TRDI_STAGE_DECODE, 0, &sizes, &a), TRD_E_MEMORY, "outputs");
    CHECK_FAILS(trdi_runner_begin(r.runner, TRDI_STAGE_DECODE, 8, &sizes, &a), TRD_E_INVALID, "features");
    rig_row row;
    int32_t ids[3];
    double score;
    encode(&r, &row, 0, 7);
    CHECK_INT(rig_greedy(&r, &row, START, -1, 3, ids, &score), 3);
    rig_row_release(&r, &row);
    rig_close(&r);
}

static void check_no_allocation(const char *path)
{
    rig r;
    CHECK_OK(rig_open(&r, path, NULL));
    int64_t after_warm_up = 0;
    /* The second round records the plans anew that the buffers of later features replaced. */
    for (int round = 0; round < 4; round++) {
        if (round == 2) after_warm_up = counter.count;
        for (uint32_t features = 0; features < 4; features++) {
            rig_row row;
            int32_t ids[LENGTH];
            double score;
            r.features = features;
            encode(&r, &row, 1, 30);
            CHECK_INT(rig_greedy(&r, &row, START, -1, LENGTH, ids, &score), LENGTH);
            rig_row_release(&r, &row);
        }
    }
    CHECK_INT(counter.count, after_warm_up);
    rig_close(&r);
}

/** Open, encode and decode with the n-th allocation failing. @return did everything succeed? */
static bool run_once(const char *path, const int32_t *want, int32_t n)
{
    rig r;
    trd_status status = rig_open(&r, path, NULL);
    rig_row row = { .length = 0 };
    int32_t ids[LENGTH], source[5] = { 4, 8, 15, 16, 23 }, five = 5;
    const int32_t *all = source;
    double score;
    if (status == TRD_OK) status = rig_encode(&r, &row, 1, &all, &five);
    if (status == TRD_OK && rig_greedy(&r, &row, START, -1, n, ids, &score) != n) {
        /* What failed in a step must not have broken the runner. */
        status = TRD_E_MEMORY;
        counter.fail_at = -1;
        rig_row_release(&r, &row);
        CHECK_OK(rig_encode(&r, &row, 1, &all, &five));
        CHECK_INT(rig_greedy(&r, &row, START, -1, n, ids, &score), n);
        for (int32_t i = 0; i < n; i++) CHECK_INT(ids[i], want[i]);
    }
    CHECK(status == TRD_OK || status == TRD_E_MEMORY);
    if (status == TRD_OK)
        for (int32_t i = 0; i < n; i++) CHECK_INT(ids[i], want[i]);
    if (r.runner != NULL) rig_row_release(&r, &row);
    rig_close(&r);
    return status == TRD_OK;
}

static void check_failing_allocations(const char *path)
{
    int32_t want[3];
    rig r;
    CHECK_OK(rig_open(&r, path, NULL));
    rig_row row = { .length = 0 };
    const int32_t source[5] = { 4, 8, 15, 16, 23 }, *all = source, five = 5;
    double score;
    CHECK_OK(rig_encode(&r, &row, 1, &all, &five));
    CHECK_INT(rig_greedy(&r, &row, START, -1, 3, want, &score), 3);
    rig_row_release(&r, &row);
    rig_close(&r);

    size_t bytes, before, after;
    trd_memory_in_use(&bytes, &before);
    int64_t n = 0;
    for (bool done = false; !done; n++) {
        counter.count = 0;
        counter.fail_at = n;
        /* A growth that fails may be tried again with less: then all goes well though an allocation failed. */
        done = run_once(path, want, 3) && counter.count <= n;
        trd_memory_in_use(&bytes, &after);
        CHECK_INT(after, before);
    }
    counter.fail_at = -1;
    CHECK(n > 100);
    printf("%lld allocations failed one by one\n", (long long)n - 1);
}

int main(void)
{
    char folder[] = "/tmp/treadle-runner-XXXXXX", command[100];
    CHECK(mkdtemp(folder) != NULL);
    char path[100];
    (void)snprintf(path, sizeof path, "%s/model", folder);
    const tiny_model model = { .name = "runner", .positions = TINY_ROTARY, .gated = true, .activation = 2, .n_heads_kv = 2, .rms = true };
    tiny_model_write(path, &model);
    const trd_allocator allocator = { NULL, counted_alloc, counted_free };
    CHECK_OK(trd_allocator_set(&allocator));
    check_growth(path, 0);
    check_growth(path, 300);
    check_bad_sizes(path);
    check_no_allocation(path);
    check_failing_allocations(path);
    CHECK_OK(trd_allocator_set(NULL));
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    return 0;
}
