/* sched_worker.c: the loop of one worker thread: admit what the executor accepts, step, until told to stop and nothing is left. */
#include <string.h>

#include "core/log.h"
#include "sched/sched_private.h"

/* Make the executor and report to trdi_scheduler_create(). */
static bool open_executor(trdi_worker *worker)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    const trdi_worker_setup *const setup = &scheduler->setup;
    worker->status = setup->open(setup->context, &worker->info, &worker->executor);
    const bool open = worker->status == TRD_OK;
    if (!open) {
        const char *const text = trd_last_error();
        memcpy(worker->error, text, strnlen(text, sizeof worker->error - 1));
    }
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->n_opened++;
    trdi_cond_signal(&scheduler->opened);
    trdi_mutex_unlock(&scheduler->mutex);
    return open;
}

/* Offer a job that was taken from the backlog. @return false when the executor has no room for more */
static bool offer(trdi_worker *worker, trdi_job *job)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    const trdi_executor_ops *const ops = scheduler->setup.ops;
    bool accepted = false;
    const trd_status status = ops->admit(worker->executor, job, &accepted);
    if (status != TRD_OK) {
        trdi_backlog_taken(scheduler);
        trdi_job_complete(job, status, trd_last_error());
        return true;
    }
    if (accepted) {
        trdi_backlog_taken(scheduler);
        return true;
    }
    if (ops->n_active(worker->executor) == 0) {
        /* Nothing will end that could make room: waiting would be forever. */
        trdi_backlog_taken(scheduler);
        trdi_job_complete(job, TRD_E_INTERNAL, "a worker without jobs has no room for this job");
        return true;
    }
    trdi_backlog_put_back(scheduler, job);
    return false;
}

/* Admit jobs until there are none for this worker. @return false when it is time to stop */
static bool admit_jobs(trdi_worker *worker)
{
    const trdi_executor_ops *const ops = worker->scheduler->setup.ops;
    for (;;) {
        const int64_t n_active = ops->n_active(worker->executor);
        trdi_job *const job = trdi_backlog_take(worker->scheduler, n_active);
        if (job == NULL) return n_active > 0;
        if (!offer(worker, job)) return true;
    }
}

static void step(trdi_worker *worker)
{
    const trdi_executor_ops *const ops = worker->scheduler->setup.ops;
    const trd_status status = ops->step(worker->executor);
    if (status == TRD_OK) return;
    /* evict() may fail something itself, and so change this thread's text. */
    char text[TRDI_ERROR_BYTES] = "";
    memcpy(text, trd_last_error(), strnlen(trd_last_error(), sizeof text - 1));
    trdi_log(TRD_LOG_ERROR, "worker %d: a step failed, its %lld jobs end: %s", (int)worker->index,
             (long long)ops->n_active(worker->executor), text);
    ops->evict(worker->executor, status, text);
}

void *trdi_worker_main(void *argument)
{
    trdi_worker *const worker = argument;
    if (!open_executor(worker)) return NULL;
    while (admit_jobs(worker))
        if (worker->scheduler->setup.ops->n_active(worker->executor) > 0) step(worker);
    worker->scheduler->setup.ops->close(worker->executor);
    return NULL;
}
