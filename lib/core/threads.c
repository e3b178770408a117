/* threads.c: POSIX threads with checked creation and the monotonic clock. */
#if defined(__linux__)
#define _GNU_SOURCE /* pthread_setname_np */
#endif
#include "core/threads.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"

trd_status trdi_mutex_init(trdi_mutex *mutex)
{
    const int error = pthread_mutex_init(mutex, NULL);
    return error == 0 ? TRD_OK : trdi_fail(TRD_E_MEMORY, "mutex: error %d", error);
}

trd_status trdi_cond_init(trdi_cond *cond)
{
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    if (error == 0) {
        error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (error == 0) error = pthread_cond_init(cond, &attributes);
        (void)pthread_condattr_destroy(&attributes);
    }
    return error == 0 ? TRD_OK : trdi_fail(TRD_E_MEMORY, "condition: error %d", error);
}

bool trdi_cond_wait_until(trdi_cond *cond, trdi_mutex *mutex, int64_t deadline_ns)
{
    struct timespec deadline;
    deadline.tv_sec = (time_t)(deadline_ns / 1000000000);
    deadline.tv_nsec = (long)(deadline_ns % 1000000000);
    return pthread_cond_timedwait(cond, mutex, &deadline) == 0;
}

typedef struct thread_start {
    void *(*function)(void *);
    void *argument;
    char name[16];
} thread_start;

#if !defined(_WIN32)
/* Signals are the program's: its own threads shall handle them, save those that a thread causes itself and a profiler's clock. */
static int block_signals(sigset_t *before)
{
    sigset_t all;
    (void)sigfillset(&all);
    static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) (void)sigdelset(&all, own[i]);
    return pthread_sigmask(SIG_SETMASK, &all, before);
}
#endif

/* The new thread inherits the mask in force here. */
static int create_thread(trdi_thread *thread, thread_start *start, void *(*run)(void *))
{
#if defined(_WIN32)
    return pthread_create(thread, NULL, run, start);
#else
    sigset_t before;
    int error = block_signals(&before);
    if (error != 0) return error;
    error = pthread_create(thread, NULL, run, start);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
#endif
}

static void *run_thread(void *memory)
{
    const thread_start start = *(const thread_start *)memory;
    trdi_free(memory);
#if defined(__linux__)
    (void)pthread_setname_np(pthread_self(), start.name);
#endif
    return start.function(start.argument);
}

trd_status trdi_thread_start(trdi_thread *thread, const char *name, void *(*function)(void *), void *argument)
{
    thread_start *start = trdi_calloc(1, sizeof *start);
    if (start == NULL) return trdi_fail(TRD_E_MEMORY, "thread '%s': out of memory", name);
    start->function = function;
    start->argument = argument;
    const size_t length = strlen(name);
    memcpy(start->name, name, length < sizeof start->name ? length : sizeof start->name - 1);
    const int error = create_thread(thread, start, run_thread);
    if (error == 0) return TRD_OK;
    trdi_free(start);
    return trdi_fail(TRD_E_MEMORY, "thread '%s' cannot be started: error %d", name, error);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t trdi_now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

int64_t trdi_thread_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

int64_t trdi_process_id(void) { return (int64_t)getpid(); }

/* ---- fork() ---- */

static atomic_llong generation;
static trdi_once fork_once = TRDI_ONCE_INIT;

#if !defined(_WIN32)
/* All that may be done here: the parent's locks may be held, by threads that the child does not have. */
static void note_fork(void) { atomic_fetch_add(&generation, 1); }
static void watch_forks(void) { (void)pthread_atfork(NULL, NULL, note_fork); }
#else
static void watch_forks(void) { }
#endif

int64_t trdi_fork_generation(void)
{
    trdi_once_run(&fork_once, watch_forks);
    return atomic_load(&generation);
}

bool trdi_fork_adopt(atomic_llong *of)
{
    const long long now = trdi_fork_generation();
    long long seen = atomic_load(of);
    while (seen != now) {
        /* A fork may have come while another generation was at it: its mark is none of ours. */
        if (seen != -now && atomic_compare_exchange_weak(of, &seen, -now)) return true;
        (void)sched_yield();
        seen = atomic_load(of);
    }
    return false;
}

void trdi_fork_adopted(atomic_llong *of) { atomic_store(of, (long long)trdi_fork_generation()); }

void trdi_global_lock(trdi_global_mutex *mutex)
{
    if (trdi_fork_adopt(&mutex->generation)) {
        mutex->mutex = (trdi_mutex)TRDI_MUTEX_INIT;
        trdi_fork_adopted(&mutex->generation);
    }
    trdi_mutex_lock(&mutex->mutex);
}
