/*
 * Futures when memory fails: the n-th allocation, for every n, of submissions of all kinds, with callbacks: submitting fails and gives nothing, or
 * futures end with a status; the translator stays usable; nothing is held at the end.
 */
#include <stdatomic.h>
#include <time.h>

#include "api/api_rig.h"
#include "api/notifier.h"

enum { N = 4, N_KINDS = 6 };

static atomic_llong n_calls, fail_at = -1, n_callbacks, n_steps;
static rig_batch batch;
static trd_translator *translator;

static void *counting_alloc(void *context, size_t bytes, size_t alignment)
{
    (void)context;
    const long long call = atomic_fetch_add(&n_calls, 1);
    if (call == atomic_load(&fail_at)) return NULL;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void counting_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static void on_done(void *context, trd_future *future)
{
    (void)context;
    (void)trd_future_status(future);
    atomic_fetch_add(&n_callbacks, 1);
}

static bool on_step(void *context, const trd_step_result *step)
{
    (void)context;
    (void)step;
    atomic_fetch_add(&n_steps, 1);
    return false;
}

static trd_status submit(int kind, trd_future **futures)
{
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    how.on_done = on_done;
    trd_decoding_options o = rig_options();
    o.num_hypotheses = kind == 1 ? 2 : 1;
    o.replace_unknowns = o.return_attention = o.return_scores = kind == 1;
    o.beam_size = kind >= 2 ? 1 : 3;
    o.on_step = kind == 2 ? on_step : NULL;
    o.has_seed = true;
    if (kind == 3) {
        o.sampling_topk = 4;
        o.rng = TRD_RNG_MT19937;
    }
    if (kind == 4) how.timeout_seconds = 1e6;
    if (kind == 5) return trd_translator_submit_score(translator, &batch.sequences, &batch.sequences, NULL, &how, futures);
    return trd_translator_submit(translator, &batch.sequences, kind == 0 ? &batch.sequences : NULL, &o, &how, futures);
}

/* Futures that failed; all of them where submitting did. Statuses and results agree, also when asked again. */
static int64_t live_once(int kind)
{
    trd_future *futures[N];
    memset(futures, 0xff, sizeof futures);
    const long long before = atomic_load(&n_callbacks);
    const trd_status status = submit(kind, futures);
    if (status != TRD_OK) {
        CHECK_INT(status, TRD_E_MEMORY);
        for (int i = 0; i < N; i++) CHECK(futures[i] == NULL);
        return N;
    }
    int64_t n_failed = 0;
    for (int i = 0; i < N; i++) {
        const trd_result *result;
        while (trd_future_wait(futures[i], -1) == TRD_E_MEMORY) { }   /* one wait may be what fails */
        const trd_status end = trd_future_status(futures[i]);
        CHECK(end == TRD_OK || end == TRD_E_MEMORY);
        CHECK_INT(trd_future_result(futures[i], &result), end);
        CHECK_INT(result != NULL, end == TRD_OK);
        CHECK_INT(trd_future_error(futures[i])[0] != '\0', end != TRD_OK);
        CHECK_INT(trd_future_status(futures[i]), end);
        n_failed += end != TRD_OK;
        trd_future_release(futures[i]);
    }
    while (atomic_load(&n_callbacks) < before + N) (void)nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
    return n_failed;
}

static void test_each_failing(int kind)
{
    CHECK_INT(live_once(kind), 0);
    atomic_store(&n_calls, 0);
    CHECK_INT(live_once(kind), 0);
    const long long total = atomic_load(&n_calls);
    int64_t n_failed = 0;
    for (long long n = 0; n < total; n += UNDER_THREAD_SANITIZER || UNDER_ADDRESS_SANITIZER ? 5 : 1) {
        atomic_store(&n_calls, 0);
        atomic_store(&fail_at, n);
        n_failed += live_once(kind) > 0;
        atomic_store(&fail_at, -1);
        CHECK_INT(live_once(kind), 0);
    }
    printf("kind %d: %lld allocations of %d examples, %lld of them made something fail\n", kind, total, N, (long long)n_failed);
    CHECK(n_failed > 0);
}

int main(void)
{
    const trd_allocator allocator = { NULL, counting_alloc, counting_free };
    CHECK_OK(trd_allocator_set(&allocator));
    rig_add(&batch, "آ ت ز م");
    rig_add(&batch, "آ ز");
    rig_add(&batch, "");
    rig_add(&batch, "م و ن");
    translator = rig_transliteration(1);
    for (int kind = 0; kind < N_KINDS; kind++) test_each_failing(kind);
    trd_translator_destroy(translator);
    trdi_notifier_stop(INT64_C(60000000000));   /* it gives its references back after the callbacks */
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(bytes, 0);
    CHECK_INT(blocks, 0);
    return 0;
}
