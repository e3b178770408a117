/*
 * workers_life.c: the workers of this process, so that its exit ends them: what waits and runs is cancelled, threads are joined, within a deadline.
 * exit() may be called by any thread, also from a callback, so nothing here waits for ever.
 */
#include <stdlib.h>

#include "api/notifier.h"
#include "api/workers_private.h"

/* Together below the second that an exit may take. */
#define NOTIFIER_NS 200000000
#define WORKERS_NS  500000000

static struct {
    trdi_global_mutex mutex;   /* guards everything below */
    trdi_workers *first;       /* by next_alive */
    trdi_device  *seen[64];    /* devices that workers were ever made on */
    size_t        n_seen;
} life = { .mutex = TRDI_GLOBAL_MUTEX_INIT };

static atomic_bool exiting;

bool trdi_process_is_exiting(void) { return atomic_load(&exiting); }

/* Of this process? A child of fork() has none of its parent's threads. */
static bool is_own(const trdi_workers *workers)
{
    return atomic_load(&workers->generation) == (long long)trdi_fork_generation();
}

/* Cancel everything. @return the scheduler, which stays; NULL = none */
static trdi_scheduler *stop(trdi_workers *workers, int64_t deadline_ns)
{
    trdi_mutex_lock(&workers->mutex);
    workers->closing = true;
    while (workers->changing && trdi_now_ns() < deadline_ns)
        (void)trdi_cond_wait_until(&workers->changed, &workers->mutex, deadline_ns);
    trdi_scheduler *const scheduler = workers->changing ? NULL : workers->scheduler;
    workers->n_inside++;   /* for good: the process ends */
    trdi_mutex_unlock(&workers->mutex);
    if (scheduler != NULL) trdi_scheduler_stop(scheduler);
    return scheduler;
}

static void leave(trdi_workers *workers)
{
    trdi_mutex_lock(&workers->mutex);
    if (--workers->n_inside == 0) trdi_cond_broadcast(&workers->changed);
    trdi_mutex_unlock(&workers->mutex);
}

static void end_all(void)
{
    if (atomic_exchange(&exiting, true)) return;
    const int64_t deadline_ns = trdi_now_ns() + NOTIFIER_NS + WORKERS_NS;
    trdi_global_lock(&life.mutex);
    for (trdi_workers *w = life.first; w != NULL; w = w->next_alive)
        if (is_own(w)) w->ending = stop(w, deadline_ns);
    trdi_notifier_stop(NOTIFIER_NS);
    for (trdi_workers *w = life.first; w != NULL; w = w->next_alive) {
        if (!is_own(w)) continue;
        if (w->ending != NULL) (void)trdi_scheduler_join(w->ending, deadline_ns);
        leave(w);
    }
    trdi_global_unlock(&life.mutex);
}

/* Needs the mutex. @return whether the device is new */
static bool note_device(trdi_device *device)
{
    for (size_t i = 0; i < life.n_seen; i++)
        if (life.seen[i] == device) return false;
    if (life.n_seen == sizeof life.seen / sizeof life.seen[0]) return false;
    life.seen[life.n_seen++] = device;
    return true;
}

/* Handlers run last come first served: ours must come before those of drivers, so it is registered again when another one has been started. */
void trdi_life_add(trdi_workers *workers)
{
    bool is_new = false;
    trdi_global_lock(&life.mutex);
    for (int32_t i = 0; i < workers->n_devices; i++) is_new = note_device(workers->devices[i].device) || is_new;
    workers->next_alive = life.first;
    life.first = workers;
    trdi_global_unlock(&life.mutex);
    if (is_new) (void)atexit(end_all);
}

void trdi_life_remove(trdi_workers *workers)
{
    trdi_global_lock(&life.mutex);
    trdi_workers **link = &life.first;
    while (*link != NULL && *link != workers) link = &(*link)->next_alive;
    if (*link == workers) *link = workers->next_alive;
    trdi_global_unlock(&life.mutex);
}
