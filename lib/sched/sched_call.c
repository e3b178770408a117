/* sched_call.c: what a calling thread waits on while the jobs of its call run. */
#include "core/alloc.h"
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
    while (call->texts != NULL) {
        trdi_call_text *const text = call->texts;
        call->texts = text->next;
        trdi_free(text);
    }
    trdi_cond_destroy(&call->changed);
    trdi_mutex_destroy(&call->mutex);
}

void trdi_call_wake_locked(trdi_call *call)
{
    trdi_cond_broadcast(&call->changed);
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
