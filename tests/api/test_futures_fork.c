/*
 * Futures and fork(): in the child every inherited future is done, with TRD_E_FORKED, and can be released, whatever locks the parent's threads
 * held; new futures of the child work, with callbacks; the parent's are unharmed.
 */
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/api_rig.h"
#include "core/threads.h"

enum { N = 3, ROUNDS = 12, N_THREADS = 3 };

static trd_translator *translator;
static rig_batch batch;
static atomic_llong n_callbacks;
static atomic_bool stop;

static void on_done(void *context, trd_future *future)
{
    (void)context;
    CHECK_OK(trd_future_status(future));
    atomic_fetch_add(&n_callbacks, 1);
}

static void submit(trd_future **futures)
{
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    how.on_done = on_done;
    CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, NULL, &how, futures));
}

/* Keeps locks busy. */
static void *make_noise(void *argument)
{
    while (!atomic_load(&stop)) {
        trd_future *futures[N];
        submit(futures);
        CHECK_OK(trd_future_wait_all(futures, N, -1));
        for (int i = 0; i < N; i++) trd_future_release(futures[i]);
    }
    return argument;
}

static void check_inherited(trd_future *future)
{
    const trd_result *result = (const trd_result *)(const void *)&batch;
    int64_t which;
    CHECK(trd_future_is_done(future));
    CHECK_FAILS(trd_future_status(future), TRD_E_FORKED, "fork");
    CHECK_FAILS(trd_future_wait(future, -1), TRD_E_FORKED, "fork");
    CHECK_FAILS(trd_future_wait_all(&future, 1, -1), TRD_E_FORKED, "fork");
    CHECK_FAILS(trd_future_wait_any(&future, 1, -1, &which), TRD_E_FORKED, "fork");
    CHECK_FAILS(trd_future_result(future, &result), TRD_E_FORKED, "fork");
    CHECK(result == NULL);
    CHECK(strstr(trd_future_error(future), "fork") != NULL);
    trd_future_cancel(future);
    trd_future_release(future);
}

static void live_as_child(trd_future **futures, trd_future *slow)
{
    atomic_store(&n_callbacks, 0);
    for (int i = 0; i < N; i++) check_inherited(futures[i]);
    check_inherited(slow);
    if (UNDER_ADDRESS_SANITIZER) _exit(0);   /* its allocator's locks may be held in a child of a process with threads */
    trd_future *own[N];
    submit(own);
    CHECK_OK(trd_future_wait_all(own, N, -1));
    for (int i = 0; i < N; i++) {
        CHECK_OK(trd_future_status(own[i]));
        trd_future_release(own[i]);
    }
    while (atomic_load(&n_callbacks) < N) (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    _exit(0);
}

static void fork_once(trd_future **futures, trd_future *slow)
{
    (void)fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) live_as_child(futures, slow);
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
}

/* The child's only thread is the one that called back: it may wait as any other. */
static void fork_in_callback(void *context, trd_future *future)
{
    (void)future;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (UNDER_ADDRESS_SANITIZER) _exit(0);
        trd_future *own[N];
        submit(own);
        CHECK_OK(trd_future_wait_all(own, N, -1));
        _exit(0);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
    atomic_fetch_add((atomic_llong *)context, 1);
}

static void test_fork_in_callback(void)
{
    atomic_llong n_forked;
    atomic_init(&n_forked, 0);
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    how.on_done = fork_in_callback;
    how.on_done_context = &n_forked;
    trd_future *futures[N];
    CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, NULL, &how, futures));
    while (atomic_load(&n_forked) < N) (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    for (int i = 0; i < N; i++) trd_future_release(futures[i]);
}

int main(void)
{
    if (UNDER_THREAD_SANITIZER) SKIP("the thread sanitizer does not start threads in a child of a process with threads");
    rig_add(&batch, "آ ت ز م");
    rig_add(&batch, "آ ز");
    rig_add(&batch, "");
    translator = rig_transliteration(1);
    trd_decoding_options o = rig_options();
    o.min_decoding_length = o.max_decoding_length = 1 << 20;
    trd_sequences one = batch.sequences;
    one.n = 1;
    trdi_thread threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) CHECK_OK(trdi_thread_start(&threads[i], "noise", make_noise, NULL));
    for (int round = 0; round < ROUNDS; round++) {
        trd_future *futures[N], *slow;
        submit(futures);
        CHECK_OK(trd_translator_submit(translator, &one, NULL, &o, NULL, &slow));
        if (round % 2 == 0) CHECK_OK(trd_future_wait_all(futures, N, -1));
        fork_once(futures, slow);
        CHECK(!trd_future_is_done(slow));
        trd_future_cancel(slow);
        CHECK_OK(trd_future_wait(slow, -1));
        CHECK_INT(trd_future_status(slow), TRD_E_CANCELLED);
        trd_future_release(slow);
        CHECK_OK(trd_future_wait_all(futures, N, -1));
        for (int i = 0; i < N; i++) {
            CHECK_OK(trd_future_status(futures[i]));
            trd_future_release(futures[i]);
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < N_THREADS; i++) trdi_thread_join(threads[i]);
    test_fork_in_callback();
    trd_translator_destroy(translator);
    return 0;
}
