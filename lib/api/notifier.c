/* notifier.c: see notifier.h. What is due is run in the order of pokes; what is to be run later waits in a list that is short. */
#include "api/notifier.h"

#include "core/platform.h"
#include "core/threads.h"

enum { NOWHERE, READY, LATER };

typedef struct notice_list {
    trdi_notice *first, *last;
} notice_list;

static struct {
    atomic_llong generation; /* of the fork that all this belongs to */
    trdi_mutex  mutex;       /* guards everything below, and the private fields of notices */
    trdi_cond   changed;     /* for the thread: something is ready, or it is to end */
    trdi_cond   ended;       /* for who ends it */
    bool        has_conditions, runs, sleeps, ending;
    uint64_t    n_started;   /* threads ever: one that is not the last, in a child of fork(), ends */
    trdi_thread thread;
    notice_list ready, later;
} notifier = { .mutex = TRDI_MUTEX_INIT };

/* In its thread: 1 + the generation of forks it belongs to. A child forked there has that thread as its only one, and no notifier. */
static TRDI_THREAD_LOCAL long long here;

/* In a child of fork() nothing runs, nothing is to be run, and nobody holds the mutex, whatever it looks like. */
static void lock(void)
{
    if (trdi_fork_adopt(&notifier.generation)) {
        notifier.mutex = (trdi_mutex)TRDI_MUTEX_INIT;
        notifier.has_conditions = notifier.runs = notifier.sleeps = notifier.ending = false;
        notifier.ready = notifier.later = (notice_list){ NULL, NULL };
        trdi_fork_adopted(&notifier.generation);
    }
    trdi_mutex_lock(&notifier.mutex);
}

static void append(notice_list *list, trdi_notice *notice, int32_t place)
{
    notice->next = NULL;
    notice->previous = list->last;
    if (list->last != NULL) list->last->next = notice;
    else list->first = notice;
    list->last = notice;
    notice->place = place;
}

static void take_out(notice_list *list, trdi_notice *notice)
{
    if (notice->previous != NULL) notice->previous->next = notice->next;
    else list->first = notice->next;
    if (notice->next != NULL) notice->next->previous = notice->previous;
    else list->last = notice->previous;
    notice->place = NOWHERE;
}

/* Move what is due to the others that are. @return when the next one is; 0 = none. Needs the mutex */
static int64_t collect_due(void)
{
    if (notifier.later.first == NULL) return 0;
    const int64_t now = trdi_now_ns();
    int64_t next_due = 0;
    for (trdi_notice *n = notifier.later.first, *next; n != NULL; n = next) {
        next = n->next;
        if (n->due_ns <= now) {
            take_out(&notifier.later, n);
            append(&notifier.ready, n, READY);
        } else if (next_due == 0 || n->due_ns < next_due) {
            next_due = n->due_ns;
        }
    }
    return next_due;
}

/* Needs the mutex. @return NULL: it is time to end */
static trdi_notice *next_notice(uint64_t number)
{
    for (;;) {
        if (notifier.ending || !notifier.runs || notifier.n_started != number) return NULL;
        const int64_t next_due = collect_due();
        trdi_notice *const notice = notifier.ready.first;
        if (notice != NULL) {
            take_out(&notifier.ready, notice);
            return notice;
        }
        notifier.sleeps = true;
        if (next_due == 0) trdi_cond_wait(&notifier.changed, &notifier.mutex);
        else (void)trdi_cond_wait_until(&notifier.changed, &notifier.mutex, next_due);
        notifier.sleeps = false;
    }
}

/* The reference of the poke stays with the notice while it waits for its time. */
static void run_notice(trdi_notice *notice)
{
    const int64_t due_ns = notice->run(notice);
    lock();
    const bool waits = due_ns > 0 && notice->place == NOWHERE;
    if (waits) {
        notice->due_ns = due_ns;
        append(&notifier.later, notice, LATER);
    }
    trdi_mutex_unlock(&notifier.mutex);
    if (!waits) notice->release(notice);
}

static void *notifier_main(void *argument)
{
    (void)argument;
    here = 1 + (long long)trdi_fork_generation();
    lock();
    const uint64_t number = notifier.n_started;
    for (trdi_notice *notice = next_notice(number); notice != NULL; notice = next_notice(number)) {
        trdi_mutex_unlock(&notifier.mutex);
        run_notice(notice);
        lock();
    }
    if (notifier.runs && notifier.n_started == number) {
        notifier.runs = false;
        trdi_cond_broadcast(&notifier.ended);
    }
    trdi_mutex_unlock(&notifier.mutex);
    return NULL;
}

/* Needs the mutex. */
static trd_status start_locked(void)
{
    if (!notifier.has_conditions) {
        TRDI_TRY(trdi_cond_init(&notifier.changed));
        const trd_status status = trdi_cond_init(&notifier.ended);
        if (status != TRD_OK) {
            trdi_cond_destroy(&notifier.changed);
            return status;
        }
        notifier.has_conditions = true;
    }
    TRDI_TRY(trdi_thread_start(&notifier.thread, "treadle-notify", notifier_main, NULL));
    notifier.runs = true;
    notifier.n_started++;
    return TRD_OK;
}

trd_status trdi_notifier_start(void)
{
    lock();
    const trd_status status = notifier.runs ? TRD_OK : start_locked();
    trdi_mutex_unlock(&notifier.mutex);
    return status;
}

void trdi_notifier_poke(trdi_notice *notice)
{
    lock();
    const bool is_new = notice->place == NOWHERE;
    if (notice->place == LATER) take_out(&notifier.later, notice);
    if (notice->place != READY) append(&notifier.ready, notice, READY);
    /* Under the mutex: it cannot run, and release, before. */
    if (is_new) notice->retain(notice);
    if (notifier.sleeps) trdi_cond_signal(&notifier.changed);
    trdi_mutex_unlock(&notifier.mutex);
}

bool trdi_notifier_is_here(void) { return here == 1 + (long long)trdi_fork_generation(); }

void trdi_notifier_stop(int64_t timeout_ns)
{
    lock();
    const bool waits = notifier.runs && !trdi_notifier_is_here();
    notifier.ending = notifier.runs;
    if (waits) {
        const int64_t deadline_ns = trdi_now_ns() + timeout_ns;
        trdi_cond_signal(&notifier.changed);
        while (notifier.runs && trdi_cond_wait_until(&notifier.ended, &notifier.mutex, deadline_ns)) { }
    }
    const bool over = waits && !notifier.runs;
    if (over) notifier.ending = false;
    const trdi_thread thread = notifier.thread;
    trdi_mutex_unlock(&notifier.mutex);
    if (over) trdi_thread_join(thread);
}
