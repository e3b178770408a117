/* interrupt.c: the thread that waits for interrupts. */
#include "interrupt.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_SIGNAL_STATUS = 128 };
enum { PHASE_OUTSIDE, PHASE_WORKING, PHASE_ENDED };

/** The signals of an interrupt that are not ignored. */
static bool watched_signals(sigset_t *set)
{
    static const int signals[] = { SIGINT, SIGTERM };
    bool any = false;
    sigemptyset(set);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction now;
        if (sigaction(signals[i], NULL, &now) != 0 || now.sa_handler == SIG_IGN) continue;
        sigaddset(set, signals[i]);
        any = true;
    }
    return any;
}

/** A second for a stream to end by itself. */
static void wait_for_end(interrupts *in)
{
    for (int i = 0; i < 100 && atomic_load(&in->phase) == PHASE_WORKING; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
}

static void *watch(void *context)
{
    interrupts *in = context;
    sigset_t set;
    int signal = SIGINT;
    if (!watched_signals(&set) || sigwait(&set, &signal) != 0) return NULL;
    atomic_store(&in->stop, FIRST_SIGNAL_STATUS + signal);
    if (atomic_load(&in->phase) == PHASE_WORKING) {
        if (atomic_load(&in->is_stream)) wait_for_end(in);
        else (void)sigwait(&set, &signal);   /* the work ends by itself; who is in a hurry presses again */
        if (atomic_load(&in->phase) == PHASE_ENDED) return NULL;
    }
    _exit(FIRST_SIGNAL_STATUS + signal);
}

void interrupts_start(interrupts *in)
{
    memset(in, 0, sizeof *in);
    sigset_t set;
    if (!watched_signals(&set)) return;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    in->is_watched = pthread_create(&in->watcher, NULL, watch, in) == 0;
    if (!in->is_watched) pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void interrupts_begin(interrupts *in, bool is_stream)
{
    atomic_store(&in->is_stream, is_stream);
    atomic_store(&in->phase, PHASE_WORKING);
}

int interrupts_end(interrupts *in)
{
    atomic_store(&in->phase, PHASE_ENDED);
    return atomic_load(&in->stop);
}

void interrupts_finish(interrupts *in)
{
    if (!in->is_watched) return;
    pthread_cancel(in->watcher);
    pthread_join(in->watcher, NULL);
    in->is_watched = false;
}
