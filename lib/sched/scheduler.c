/* scheduler.c: making and stopping a scheduler and its workers. */
#include <stdio.h>

#include "core/alloc.h"
#include "sched/sched_private.h"

static trd_status init_locks(trdi_scheduler *scheduler)
{
    TRDI_TRY(trdi_mutex_init(&scheduler->mutex));
    trdi_cond *const conditions[] = { &scheduler->work, &scheduler->space, &scheduler->opened };
    for (int i = 0; i < 3; i++) {
        const trd_status status = trdi_cond_init(conditions[i]);
        if (status == TRD_OK) continue;
        while (i-- > 0) trdi_cond_destroy(conditions[i]);
        trdi_mutex_destroy(&scheduler->mutex);
        return status;
    }
    return TRD_OK;
}

static void destroy_locks(trdi_scheduler *scheduler)
{
    trdi_cond_destroy(&scheduler->opened);
    trdi_cond_destroy(&scheduler->space);
    trdi_cond_destroy(&scheduler->work);
    trdi_mutex_destroy(&scheduler->mutex);
}

/* Stop the first n workers once nothing is left to run, and free everything. */
static void stop(trdi_scheduler *scheduler, int32_t n)
{
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->closing = true;
    trdi_cond_broadcast(&scheduler->work);
    trdi_mutex_unlock(&scheduler->mutex);
    for (int32_t i = 0; i < n; i++) trdi_thread_join(scheduler->workers[i].thread);
    destroy_locks(scheduler);
    trdi_free(scheduler);
}

static trd_status start_worker(trdi_scheduler *scheduler, int32_t i)
{
    trdi_worker *const worker = &scheduler->workers[i];
    worker->scheduler = scheduler;
    worker->index = i;
    const char *const *names = scheduler->setup.names;
    worker->info = (trdi_worker_info){ .index = i, .name = names != NULL ? names[i] : "", .abort = &scheduler->abort };
    char name[16];
    (void)snprintf(name, sizeof name, "treadle-%d", (int)(i % 1000));
    return trdi_thread_start(&worker->thread, name, trdi_worker_main, worker);
}

/* Wait until every executor is open. @return the failure of the first worker, by index, that has one */
static trd_status wait_opened(trdi_scheduler *scheduler)
{
    const int32_t n = scheduler->setup.n_workers;
    trdi_mutex_lock(&scheduler->mutex);
    while (scheduler->n_opened < n) trdi_cond_wait(&scheduler->opened, &scheduler->mutex);
    trdi_mutex_unlock(&scheduler->mutex);
    for (int32_t i = 0; i < n; i++) {
        const trdi_worker *const worker = &scheduler->workers[i];
        if (worker->status != TRD_OK) return trdi_fail(worker->status, "%s", worker->error);
    }
    return TRD_OK;
}

trd_status trdi_scheduler_create(const trdi_worker_setup *setup, trdi_scheduler **out)
{
    *out = NULL;
    const int32_t n = setup->n_workers;
    if (n < 1) return trdi_fail(TRD_E_INVALID, "number of workers is %d, must be at least 1", (int)n);
    if (setup->max_queued < 0)
        return trdi_fail(TRD_E_INVALID, "bound of the backlog is %lld, must not be negative", (long long)setup->max_queued);

    const size_t bytes = sizeof(trdi_scheduler) + (size_t)n * sizeof(trdi_worker);
    trdi_scheduler *const scheduler = trdi_calloc(1, bytes);
    if (scheduler == NULL) return trdi_fail(TRD_E_MEMORY, "scheduler with %d workers: %zu bytes", (int)n, bytes);
    scheduler->setup = *setup;
    trd_status status = init_locks(scheduler);
    if (status != TRD_OK) {
        trdi_free(scheduler);
        return status;
    }
    int32_t n_started = 0;
    while (n_started < n && (status = start_worker(scheduler, n_started)) == TRD_OK) n_started++;
    if (status == TRD_OK) status = wait_opened(scheduler);
    if (status != TRD_OK) {
        stop(scheduler, n_started);
        return status;
    }
    *out = scheduler;
    return TRD_OK;
}

void trdi_scheduler_stop(trdi_scheduler *scheduler)
{
    atomic_store(&scheduler->abort, true);
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->closing = true;
    trdi_cond_broadcast(&scheduler->work);
    trdi_cond_broadcast(&scheduler->space);
    trdi_mutex_unlock(&scheduler->mutex);
    trdi_backlog_cancel_all(scheduler);
}

void trdi_scheduler_destroy(trdi_scheduler *scheduler, trdi_ending ending)
{
    if (scheduler == NULL) return;
    if (ending == TRDI_CANCEL) trdi_scheduler_stop(scheduler);
    stop(scheduler, scheduler->setup.n_workers);
}

void trdi_scheduler_counts(trdi_scheduler *scheduler, int64_t *queued, int64_t *active)
{
    trdi_mutex_lock(&scheduler->mutex);
    *queued = scheduler->n_queued;
    *active = scheduler->n_unfinished;
    trdi_mutex_unlock(&scheduler->mutex);
}
