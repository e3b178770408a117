/* future_wait.c: waiting for one, all or any of several futures: a waiting thread wakes once, when what it waits for is there. */
#include <math.h>

#include "api/submission.h"
#include "core/alloc.h"

enum { WAITS_ON_STACK = 16 };

/* One wait. NULL futures count as done for all, and as not there for any. */
typedef struct waiting {
    trd_future *const *futures;
    int64_t      n;
    bool         any;
    trdi_waiter  waiter;
    trdi_wait   *waits;              /* [n] entries whose waiter is set are in a list, or were until their future was settled */
} waiting;

static trd_status check(trd_future *const *futures, int64_t n, double timeout_seconds, const char *what)
{
    if (n < 0) return trdi_fail(TRD_E_INVALID, "%s: n is %lld", what, (long long)n);
    if (n > 0 && futures == NULL) return trdi_fail(TRD_E_INVALID, "%s: futures is NULL", what);
    if (isnan(timeout_seconds)) return trdi_fail(TRD_E_INVALID, "%s: timeout_seconds is not a number", what);
    for (int64_t i = 0; i < n; i++) {
        if (futures[i] == NULL || !trdi_future_is_inherited(futures[i])) continue;
        return trdi_fail(TRD_E_FORKED, "%s: future %lld was made before a fork and belongs to the parent process", what, (long long)i);
    }
    return TRD_OK;
}

/* @return the first future that is done; -1 if none */
static int64_t find_done(const waiting *w)
{
    for (int64_t i = 0; i < w->n; i++) {
        if (w->futures[i] != NULL && atomic_load(&w->futures[i]->done)) return i;
    }
    return -1;
}

static bool is_over(const waiting *w)
{
    if (w->any) return find_done(w) >= 0;
    for (int64_t i = 0; i < w->n; i++) {
        if (w->futures[i] != NULL && !atomic_load(&w->futures[i]->done)) return false;
    }
    return true;
}

/* @return whether the future was done already */
static bool attach(waiting *w, int64_t i)
{
    trd_future *future = w->futures[i];
    trdi_mutex *mutex = &future->submission->call.mutex;
    trdi_mutex_lock(mutex);
    const bool done = atomic_load(&future->done);
    if (!done) {
        w->waits[i] = (trdi_wait){ .waiter = &w->waiter, .next = future->waits };
        future->waits = &w->waits[i];
    }
    trdi_mutex_unlock(mutex);
    return done;
}

/* Takes the mutex in any case: then whoever settled the future has left the waiter. */
static void detach(waiting *w, int64_t i)
{
    trd_future *future = w->futures[i];
    trdi_mutex *mutex = &future->submission->call.mutex;
    trdi_mutex_lock(mutex);
    if (!atomic_load(&future->done)) {
        trdi_wait **place = &future->waits;
        while (*place != &w->waits[i]) place = &(*place)->next;
        *place = w->waits[i].next;
    }
    trdi_mutex_unlock(mutex);
}

static void attach_all(waiting *w)
{
    int64_t n_done = 0;
    w->waiter.n_left = w->any ? 1 : w->n;
    for (int64_t i = 0; i < w->n; i++) {
        w->waits[i].waiter = NULL;
        if (w->any && n_done > 0) continue;
        if (w->futures[i] == NULL) n_done += w->any ? 0 : 1;
        else if (attach(w, i)) n_done++;
    }
    trdi_mutex_lock(&w->waiter.mutex);
    w->waiter.n_left -= n_done;
    trdi_mutex_unlock(&w->waiter.mutex);
}

/* @param deadline_ns  0 = none */
static void sleep_until(trdi_waiter *waiter, int64_t deadline_ns)
{
    bool in_time = true;
    trdi_mutex_lock(&waiter->mutex);
    while (waiter->n_left > 0 && in_time) {
        if (deadline_ns == 0) trdi_cond_wait(&waiter->woken, &waiter->mutex);
        else in_time = trdi_cond_wait_until(&waiter->woken, &waiter->mutex, deadline_ns);
    }
    trdi_mutex_unlock(&waiter->mutex);
}

static trd_status sleep_on_all(waiting *w, int64_t deadline_ns)
{
    TRDI_TRY(trdi_mutex_init(&w->waiter.mutex));
    const trd_status status = trdi_cond_init(&w->waiter.woken);
    if (status == TRD_OK) {
        attach_all(w);
        sleep_until(&w->waiter, deadline_ns);
        for (int64_t i = 0; i < w->n; i++) {
            if (w->waits[i].waiter != NULL) detach(w, i);
        }
        trdi_cond_destroy(&w->waiter.woken);
    }
    trdi_mutex_destroy(&w->waiter.mutex);
    return status;
}

/* 0 = none: also one that nobody lives to see. */
static int64_t deadline_after(double seconds)
{
    return seconds < 0 || seconds > 4e9 ? 0 : trdi_now_ns() + (int64_t)(seconds * 1e9);
}

static trd_status wait_for(waiting *w, double timeout_seconds, const char *what)
{
    if (is_over(w)) return TRD_OK;
    if (timeout_seconds == 0) return trdi_fail(TRD_E_TIMEOUT, "%s: not done yet", what);
    if (trdi_notifier_is_here()) return trdi_fail(TRD_E_STATE, "%s: a callback of futures cannot wait: others would wait for it", what);
    trdi_wait few[WAITS_ON_STACK];
    w->waits = few;
    if (w->n > WAITS_ON_STACK) w->waits = trdi_calloc((size_t)w->n, sizeof *w->waits);
    if (w->waits == NULL) return trdi_fail(TRD_E_MEMORY, "%s: %lld futures: out of memory", what, (long long)w->n);
    const trd_status status = sleep_on_all(w, deadline_after(timeout_seconds));
    if (w->waits != few) trdi_free(w->waits);
    if (status != TRD_OK || is_over(w)) return status;
    return trdi_fail(TRD_E_TIMEOUT, "%s: not done after %g seconds", what, timeout_seconds);
}

trd_status trd_future_wait(trd_future *future, double timeout_seconds)
{
    if (future == NULL) return trdi_fail(TRD_E_INVALID, "trd_future_wait: future is NULL");
    TRDI_TRY(check(&future, 1, timeout_seconds, "trd_future_wait"));
    waiting w = { .futures = &future, .n = 1 };
    return wait_for(&w, timeout_seconds, "trd_future_wait");
}

trd_status trd_future_wait_all(trd_future *const *futures, int64_t n, double timeout_seconds)
{
    TRDI_TRY(check(futures, n, timeout_seconds, "trd_future_wait_all"));
    waiting w = { .futures = futures, .n = n };
    return wait_for(&w, timeout_seconds, "trd_future_wait_all");
}

trd_status trd_future_wait_any(trd_future *const *futures, int64_t n, double timeout_seconds, int64_t *which)
{
    if (which == NULL) return trdi_fail(TRD_E_INVALID, "trd_future_wait_any: which is NULL");
    *which = -1;
    TRDI_TRY(check(futures, n, timeout_seconds, "trd_future_wait_any"));
    int64_t n_there = 0;
    for (int64_t i = 0; i < n; i++) n_there += futures[i] != NULL ? 1 : 0;
    if (n_there == 0) return trdi_fail(TRD_E_INVALID, "trd_future_wait_any: there is no future to wait for");
    waiting w = { .futures = futures, .n = n, .any = true };
    TRDI_TRY(wait_for(&w, timeout_seconds, "trd_future_wait_any"));
    *which = find_done(&w);
    return TRD_OK;
}
