/* test_threads.c: starting threads, waiting with a deadline, and whose the signals are. */
#include <signal.h>
#include <unistd.h>

#include "check.h"
#include "core/threads.h"
#include "scarce.h"

typedef struct box {
    trdi_mutex mutex;
    trdi_cond  changed;
    int        value;          /* guarded by mutex */
} box;

static void *put_value(void *argument)
{
    box *const b = argument;
    trdi_mutex_lock(&b->mutex);
    b->value = 5;
    trdi_cond_signal(&b->changed);
    trdi_mutex_unlock(&b->mutex);
    return NULL;
}

static void test_wait(void)
{
    box b = { .value = 0 };
    CHECK_OK(trdi_mutex_init(&b.mutex));
    CHECK_OK(trdi_cond_init(&b.changed));
    trdi_mutex_lock(&b.mutex);
    const int64_t start = trdi_now_ns(), wait_ns = 20000000;
    while (trdi_cond_wait_until(&b.changed, &b.mutex, start + wait_ns)) {}
    CHECK(trdi_now_ns() - start >= wait_ns);
    CHECK(!trdi_cond_wait_until(&b.changed, &b.mutex, start));

    trdi_thread thread;
    CHECK_OK(trdi_thread_start(&thread, "a name of more than fifteen characters", put_value, &b));
    const int64_t deadline = trdi_now_ns() + INT64_C(20000000000);
    while (b.value != 5) CHECK(trdi_cond_wait_until(&b.changed, &b.mutex, deadline));
    trdi_mutex_unlock(&b.mutex);
    trdi_thread_join(thread);
    trdi_cond_destroy(&b.changed);
    trdi_mutex_destroy(&b.mutex);
}

static void *look_at_mask(void *out)
{
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, out), 0);
    return NULL;
}

/* Our threads leave signals to the program's, whose own mask does not change. */
static void test_signals(void)
{
    sigset_t mine, before, after;
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    trdi_thread thread;
    CHECK_OK(trdi_thread_start(&thread, "masked", look_at_mask, &mine));
    trdi_thread_join(thread);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    static const struct {
        int  signal;
        bool blocked;
    } cases[] = { { SIGINT, true }, { SIGTERM, true }, { SIGALRM, true }, { SIGUSR1, true }, { SIGSEGV, false }, { SIGBUS, false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_INT(sigismember(&mine, cases[i].signal), cases[i].blocked);
        CHECK_INT(sigismember(&after, cases[i].signal), sigismember(&before, cases[i].signal));
    }
}

static void test_memory(void)
{
    CHECK_OK(trd_allocator_set(&scarce_allocator));
    scarce_allow(0);
    trdi_thread thread;
    CHECK_FAILS(trdi_thread_start(&thread, "poor", look_at_mask, NULL), TRD_E_MEMORY, "thread 'poor'");
    CHECK_OK(trd_allocator_set(NULL));
}

int main(void)
{
    test_wait();
    test_signals();
    test_memory();
    return 0;
}
