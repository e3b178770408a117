/* sched_call.c: what a calling thread waits on while the jobs of its call run. */
#include "sched/sched_private.h"

trd_status trdi_call_init(trdi_call *call)
{
    *call = (trdi_call){ .n_pending = 0 };
    TRDI_TRY(trdi_mutex_init(&call->mutex));
    const trd_status status = trdi_cond_init(&call->changed);
    if (status != TRD_OK) trdi_mutex_destroy(&call->mutex);
    return status;
}

void trdi_call_destroy(trdi_call *call)
{
    trdi_cond_destroy(&call->changed);
    trdi_mutex_destroy(&call->mutex);
}

void trdi_call_wake_locked(trdi_call *call)
{
    trdi_cond_broadcast(&call->changed);
    for (trdi_watch *w = call->watches; w != NULL; w = w->next) {
        trdi_mutex_lock(&w->watcher->mutex);
        w->watcher->is_woken = true;
        trdi_cond_signal(&w->watcher->woken);
        trdi_mutex_unlock(&w->watcher->mutex);
    }
}

void trdi_call_notify(trdi_call *call)
{
    trdi_mutex_lock(&call->mutex);
    call->n_notified++;
    /* Under the mutex: once it is free, the waiter may destroy the call. */
    trdi_call_wake_locked(call);
    void (*const notified)(trdi_call *) = call->notified;
    trdi_mutex_unlock(&call->mutex);
    if (notified != NULL) notified(call);
}

trd_status trdi_watcher_init(trdi_watcher *watcher)
{
    watcher->is_woken = false;
    TRDI_TRY(trdi_mutex_init(&watcher->mutex));
    const trd_status status = trdi_cond_init(&watcher->woken);
    if (status != TRD_OK) trdi_mutex_destroy(&watcher->mutex);
    return status;
}

void trdi_watcher_destroy(trdi_watcher *watcher)
{
    trdi_cond_destroy(&watcher->woken);
    trdi_mutex_destroy(&watcher->mutex);
}

void trdi_call_watch(trdi_call *call, trdi_watch *watch, trdi_watcher *watcher)
{
    watch->watcher = watcher;
    trdi_mutex_lock(&call->mutex);
    watch->next = call->watches;
    call->watches = watch;
    trdi_mutex_unlock(&call->mutex);
}

void trdi_call_unwatch(trdi_call *call, trdi_watch *watch)
{
    trdi_mutex_lock(&call->mutex);
    trdi_watch **place = &call->watches;
    while (*place != watch) place = &(*place)->next;
    *place = watch->next;
    trdi_mutex_unlock(&call->mutex);
}

bool trdi_watcher_wait(trdi_watcher *watcher, int64_t deadline_ns)
{
    trdi_mutex_lock(&watcher->mutex);
    bool in_time = true;
    while (!watcher->is_woken && in_time) {
        if (deadline_ns == 0) trdi_cond_wait(&watcher->woken, &watcher->mutex);
        else in_time = trdi_cond_wait_until(&watcher->woken, &watcher->mutex, deadline_ns);
    }
    const bool woken = watcher->is_woken;
    watcher->is_woken = false;
    trdi_mutex_unlock(&watcher->mutex);
    return woken;
}

bool trdi_call_wait(trdi_call *call, uint64_t *n_notified)
{
    trdi_mutex_lock(&call->mutex);
    while (call->n_pending > 0 && (n_notified == NULL || *n_notified == call->n_notified))
        trdi_cond_wait(&call->changed, &call->mutex);
    if (n_notified != NULL) *n_notified = call->n_notified;
    const bool done = call->n_pending == 0;
    trdi_mutex_unlock(&call->mutex);
    return done;
}
