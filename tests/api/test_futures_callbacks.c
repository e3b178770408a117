/*
 * Callbacks of futures: on one thread of the library, in order, once; tokens before the end, progress not too often; and what callbacks may do:
 * submit, cancel, wait for what is done, release, call blocking functions, destroy the translator.
 */
#include <stdatomic.h>

#include "api/api_rig.h"
#include "core/threads.h"

enum { N = 5, MOST_EVENTS = 4096 };

static trd_translator *translator;
static rig_batch batch;

/* What callbacks saw. Written by the notifier's thread, read when the count says so. */
static struct {
    trdi_mutex mutex;
    trdi_cond  changed;
    int64_t    n_done, n_progress;
    trd_future *done[MOST_EVENTS];
    pthread_t  thread;
    atomic_int inside;
    int64_t    n_tokens[N];              /* per example */
    int64_t    n_tokens_at_end[N];
    int32_t    tokens[N][256];
    trd_progress progress[MOST_EVENTS];
} seen = { .mutex = TRDI_MUTEX_INIT };

static void forget_all(void)
{
    trdi_mutex_lock(&seen.mutex);
    seen.n_done = seen.n_progress = 0;
    memset(seen.n_tokens, 0, sizeof seen.n_tokens);
    trdi_mutex_unlock(&seen.mutex);
}

static void wait_for_done(int64_t n)
{
    trdi_mutex_lock(&seen.mutex);
    while (seen.n_done < n) trdi_cond_wait(&seen.changed, &seen.mutex);
    trdi_mutex_unlock(&seen.mutex);
}

static void wait_for_last_progress(void)
{
    trdi_mutex_lock(&seen.mutex);
    while (seen.n_progress == 0 || seen.progress[seen.n_progress - 1].n_done < seen.progress[seen.n_progress - 1].n_examples) {
        trdi_cond_wait(&seen.changed, &seen.mutex);
    }
    trdi_mutex_unlock(&seen.mutex);
}

static void note_done(trd_future *future)
{
    trdi_mutex_lock(&seen.mutex);
    CHECK(seen.n_done < MOST_EVENTS);
    seen.thread = pthread_self();
    seen.done[seen.n_done++] = future;
    trdi_cond_broadcast(&seen.changed);
    trdi_mutex_unlock(&seen.mutex);
}

static void on_done(void *context, trd_future *future)
{
    CHECK_INT(atomic_fetch_add(&seen.inside, 1), 0);   /* one at a time */
    CHECK(context == &batch);
    CHECK(trd_future_is_done(future));
    CHECK_OK(trd_future_wait(future, -1));
    note_done(future);
    CHECK_INT(atomic_fetch_sub(&seen.inside, 1), 1);
}

static void on_progress(void *context, const trd_progress *progress)
{
    CHECK(context == &seen);
    CHECK_INT(progress->struct_size, sizeof *progress);
    trdi_mutex_lock(&seen.mutex);
    CHECK(seen.n_progress < MOST_EVENTS);
    seen.progress[seen.n_progress++] = *progress;
    trdi_cond_broadcast(&seen.changed);
    trdi_mutex_unlock(&seen.mutex);
}

static trd_submit_options watching(void)
{
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    how.on_done = on_done;
    how.on_done_context = &batch;
    return how;
}

static void make_batch(void)
{
    rig_add(&batch, "آ ت ز م و ن");
    rig_add(&batch, "آ ز ا");
    rig_add(&batch, "");
    rig_add(&batch, "آ ت ش ي س و ن");
    rig_add(&batch, "ز");
}

static trd_decoding_options endless(void)
{
    trd_decoding_options o = rig_options();
    o.min_decoding_length = o.max_decoding_length = 1 << 20;
    return o;
}

static trd_future *submit_one(const trd_decoding_options *o, const trd_submit_options *how)
{
    trd_sequences one = batch.sequences;
    one.n = 1;
    trd_future *future;
    CHECK_OK(trd_translator_submit(translator, &one, NULL, o, how, &future));
    return future;
}

static void check_once_each(trd_future **futures)
{
    for (int i = 0; i < N; i++) {
        int64_t times = 0;
        for (int64_t k = 0; k < seen.n_done; k++) times += seen.done[k] == futures[i];
        CHECK_INT(times, 1);
    }
}

static void test_done(void)
{
    const trd_submit_options how = watching();
    pthread_t thread = pthread_self();
    for (int round = 0; round < 20; round++) {
        trd_future *futures[N];
        forget_all();
        if (round % 2 == 0) CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, NULL, &how, futures));
        else CHECK_OK(trd_translator_submit_score(translator, &batch.sequences, &batch.sequences, NULL, &how, futures));
        wait_for_done(N);
        CHECK_INT(seen.n_done, N);
        check_once_each(futures);
        CHECK(!pthread_equal(seen.thread, pthread_self()));
        if (round > 0) CHECK(pthread_equal(seen.thread, thread));
        thread = seen.thread;
        for (int i = 0; i < N; i++) trd_future_release(futures[i]);
    }
}

/* Callbacks come also for futures that their owner has given back. */
static void test_released_before(void)
{
    const trd_submit_options how = watching();
    const trd_decoding_options o = endless();
    for (int round = 0; round < 10; round++) {
        trd_future *futures[N];
        forget_all();
        CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, round % 2 == 0 ? NULL : &o, &how, futures));
        for (int i = 0; i < N; i++) {
            if (round % 2 == 1) trd_future_cancel(futures[i]);
            trd_future_release(futures[i]);
        }
        wait_for_done(N);
        CHECK_INT(seen.n_done, N);
    }
}

/* ---- Tokens ---- */

static int64_t stop_at = -1;

static bool on_step(void *context, const trd_step_result *step)
{
    CHECK(context == &stop_at);
    CHECK(step->example >= 0 && step->example < N && step->hypothesis == 0);
    int64_t *n = &seen.n_tokens[step->example];
    CHECK_INT(step->step, *n);
    CHECK(*n < 256);
    seen.tokens[step->example][(*n)++] = step->token_id;
    return step->step == stop_at;
}

static void on_done_after_tokens(void *context, trd_future *future)
{
    trd_future **futures = context;
    for (int i = 0; i < N; i++) {
        if (futures[i] == future) seen.n_tokens_at_end[i] = seen.n_tokens[i];   /* filled before the first callback */
    }
    note_done(future);
}

static void test_tokens(void)
{
    trd_decoding_options o = rig_options();
    o.beam_size = 1;
    o.return_end_token = true;
    o.on_step = on_step;
    o.on_step_context = &stop_at;
    for (stop_at = -1; stop_at < 3; stop_at++) {
        trd_results *want;
        forget_all();
        CHECK_OK(trd_translator_translate(translator, &batch.sequences, NULL, &o, &want));
        trd_future *futures[N];
        trd_submit_options how = watching();
        how.on_done = on_done_after_tokens;
        how.on_done_context = futures;
        forget_all();
        CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, &o, &how, futures));
        wait_for_done(N);
        for (int i = 0; i < N; i++) {
            const trd_result *result;
            CHECK_OK(trd_future_result(futures[i], &result));
            const int64_t n = trd_result_n_tokens(trd_results_get(want, i), 0);
            CHECK_INT(trd_result_n_tokens(result, 0), n);
            CHECK_INT(seen.n_tokens_at_end[i], n);
            CHECK(n == 0 || memcmp(trd_result_ids(result, 0), seen.tokens[i], (size_t)n * sizeof(int32_t)) == 0);
            if (stop_at >= 0 && i == 0) CHECK_INT(n, stop_at + 1);
            trd_future_release(futures[i]);
        }
        trd_results_destroy(want);
    }
}

/* ---- Progress ---- */

static void check_progress(int64_t n_examples, int64_t n_tokens)
{
    wait_for_last_progress();
    for (int64_t k = 0; k < seen.n_progress; k++) {
        const trd_progress *p = &seen.progress[k];
        CHECK_INT(p->n_examples, n_examples);
        CHECK(p->n_done <= n_examples && p->n_tokens <= n_tokens && p->seconds >= 0);
        CHECK((p->n_done == n_examples) == (k == seen.n_progress - 1));
        if (k == 0 || k == seen.n_progress - 1) continue;
        CHECK(p->n_done >= seen.progress[k - 1].n_done);
        CHECK(p->seconds - seen.progress[k - 1].seconds > 0.0999);
    }
    CHECK_INT(seen.progress[seen.n_progress - 1].n_tokens, n_tokens);
}

static void test_progress(void)
{
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    how.on_progress = on_progress;
    how.on_progress_context = &seen;
    trd_decoding_options o = rig_options();
    o.num_hypotheses = 2;
    for (int round = 0; round < 8; round++) {
        if (round == 7) o.max_decoding_length = o.min_decoding_length = 200;
        trd_future *futures[N];
        forget_all();
        CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, &o, &how, futures));
        int64_t n_tokens = 0;
        CHECK_OK(trd_future_wait_all(futures, N, -1));
        for (int i = 0; i < N; i++) {
            const trd_result *result;
            CHECK_OK(trd_future_result(futures[i], &result));
            n_tokens += trd_result_n_tokens(result, 0);
            trd_future_release(futures[i]);
        }
        check_progress(N, n_tokens);
    }
    forget_all();
    const trd_sequences none = { .n = 0 };
    trd_future *nothing;
    CHECK_OK(trd_translator_submit(translator, &none, NULL, NULL, &how, &nothing));
    check_progress(0, 0);
    CHECK_INT(seen.n_progress, 1);
}

/* Between first and last: one that ends early, one that runs until it is cancelled. */
static void test_progress_in_between(void)
{
    trd_submit_options how = watching();
    how.on_progress = on_progress;
    how.on_progress_context = &seen;
    trd_future *futures[N];
    const trd_decoding_options o = endless();
    forget_all();
    CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, &o, &how, futures));
    trdi_mutex_lock(&seen.mutex);
    while (seen.n_progress == 0) trdi_cond_wait(&seen.changed, &seen.mutex);   /* that of the example with nothing to run */
    CHECK_INT(seen.progress[0].n_done, 1);
    CHECK(seen.progress[0].seconds > 0.0999);
    trdi_mutex_unlock(&seen.mutex);
    for (int i = 0; i < N; i++) trd_future_cancel(futures[i]);
    check_progress(N, 0);
    wait_for_done(N);
    for (int i = 0; i < N; i++) trd_future_release(futures[i]);
}

/* ---- Calling back in ---- */

typedef struct inner {
    trd_future *slow;                   /* runs until it is cancelled */
    trd_future *next;                   /* submitted in the callback */
} inner;

static void on_done_calls(void *context, trd_future *future)
{
    inner *in = context;
    CHECK_FAILS(trd_future_wait(in->slow, -1), TRD_E_STATE, "callback");
    CHECK_FAILS(trd_future_wait(in->slow, 1), TRD_E_STATE, "callback");
    CHECK_FAILS(trd_future_wait(in->slow, 0), TRD_E_TIMEOUT, "not done");
    trd_future *both[2] = { in->slow, future };
    int64_t which;
    CHECK_FAILS(trd_future_wait_all(both, 2, -1), TRD_E_STATE, "callback");
    CHECK_OK(trd_future_wait_any(both, 2, -1, &which));
    CHECK_INT(which, 1);
    trd_results *results;
    CHECK_OK(trd_translator_translate(translator, &batch.sequences, NULL, NULL, &results));
    trd_results_destroy(results);
    const trd_submit_options how = watching();
    in->next = submit_one(NULL, &how);
    trd_future_cancel(in->slow);
    trd_future_release(future);
    note_done(future);
}

static void test_calling_back_in(void)
{
    for (int round = 0; round < 10; round++) {
        const trd_decoding_options o = endless();
        inner in = { .slow = submit_one(&o, NULL) };
        trd_submit_options how = watching();
        how.on_done = on_done_calls;
        how.on_done_context = &in;
        forget_all();
        (void)submit_one(NULL, &how);
        CHECK_OK(trd_future_wait(in.slow, -1));
        CHECK_INT(trd_future_status(in.slow), TRD_E_CANCELLED);
        wait_for_done(2);
        CHECK_OK(trd_future_status(in.next));
        trd_future_release(in.slow);
        trd_future_release(in.next);
    }
}

static bool cancel_itself(void *context, const trd_step_result *step)
{
    (void)step;
    trdi_mutex_lock(&seen.mutex);   /* until the future is known */
    trd_future *future = *(trd_future **)context;
    trdi_mutex_unlock(&seen.mutex);
    trd_future_cancel(future);
    return false;
}

static void test_cancelled_by_a_token(void)
{
    trd_decoding_options o = endless();
    trd_future *future = NULL;
    o.beam_size = 1;
    o.on_step = cancel_itself;
    o.on_step_context = &future;
    trdi_mutex_lock(&seen.mutex);
    future = submit_one(&o, NULL);
    trdi_mutex_unlock(&seen.mutex);
    CHECK_OK(trd_future_wait(future, -1));
    CHECK_FAILS(trd_future_status(future), TRD_E_CANCELLED, "cancelled");
    trd_future_release(future);
}

static atomic_int n_told;

/* A slow one: many tokens are chosen meanwhile. */
static bool cancel_slowly(void *context, const trd_step_result *step)
{
    static const struct timespec a_while = { .tv_nsec = 50000000 };
    (void)nanosleep(&a_while, NULL);
    if (atomic_fetch_add(&n_told, 1) == 0) (void)cancel_itself(context, step);
    return false;
}

/* What was chosen before the end is not told after it: slow callbacks would hold the end up. */
static void test_silence_after_a_cancel(void)
{
    trd_decoding_options o = endless();
    trd_future *future = NULL;
    o.beam_size = 1;
    o.on_step = cancel_slowly;
    o.on_step_context = &future;
    atomic_store(&n_told, 0);
    trdi_mutex_lock(&seen.mutex);
    future = submit_one(&o, NULL);
    trdi_mutex_unlock(&seen.mutex);
    CHECK_OK(trd_future_wait(future, -1));
    CHECK_FAILS(trd_future_status(future), TRD_E_CANCELLED, "cancelled");
    CHECK(atomic_load(&n_told) <= 20);   /* a second's worth, for the worker to see the cancel */
    trd_future_release(future);
}

static void test_deadlines(void)
{
    trd_submit_options how = watching();
    how.timeout_seconds = 0.05;
    const trd_decoding_options o = endless();
    forget_all();
    trd_future *future = submit_one(&o, &how);
    wait_for_done(1);
    CHECK_INT(trd_future_status(future), TRD_E_TIMEOUT);
    CHECK_INT(trd_future_status(future), TRD_E_TIMEOUT);
    CHECK(trd_future_error(future)[0] != '\0');
    trd_future_release(future);
    how.timeout_seconds = 1e300;   /* nobody lives to see it */
    future = submit_one(NULL, &how);
    CHECK_OK(trd_future_wait(future, -1));
    CHECK_OK(trd_future_status(future));
    wait_for_done(2);
    trd_future_release(future);
}

static void on_done_destroys(void *context, trd_future *future)
{
    trd_translator_destroy(context);
    note_done(future);
}

/* No other thread is inside a call. */
static void test_destroyed_by_a_callback(void)
{
    trd_submit_options how = watching();
    how.on_done = on_done_destroys;
    how.on_done_context = translator;
    forget_all();
    trd_future *other = submit_one(NULL, NULL), *future = submit_one(NULL, &how);
    wait_for_done(1);
    CHECK(trd_future_is_done(other));
    CHECK_OK(trd_future_status(other));
    CHECK_OK(trd_future_status(future));
    trd_future_release(future);
    trd_future_release(other);
}

int main(void)
{
    CHECK_OK(trdi_cond_init(&seen.changed));
    make_batch();
    translator = rig_transliteration(1);
    test_done();
    test_released_before();
    test_tokens();
    test_progress();
    test_progress_in_between();
    test_calling_back_in();
    test_cancelled_by_a_token();
    test_silence_after_a_cancel();
    test_deadlines();
    test_destroyed_by_a_callback();
    return 0;
}
