/*
 * sched_worker.c: the loop of one worker thread: admit what the executor accepts, step, until told to stop and nothing is left. When the device
 * fails, the jobs are given back and the executor is made anew, later each time that nothing succeeded in between; a worker retires only if that
 * fails too, several times in a row: steps may fail because of the jobs.
 */
#include <string.h>

#include "core/log.h"
#include "sched/sched_private.h"

enum {
    MAX_FAILURES = 3,          /* to open its device in a row, before a worker retires */
    REOPEN_PAUSE_MS = 50,      /* before the second opening in a row; doubles with each one */
    MAX_DOUBLINGS = 6
};

/* What this thread failed with last. */
static void keep_error(trdi_worker *worker)
{
    const char *const text = trd_last_error();
    const size_t length = strnlen(text, sizeof worker->error - 1);
    memcpy(worker->error, text, length);
    worker->error[length] = '\0';
}

static bool open_executor(trdi_worker *worker)
{
    const trdi_worker_setup *const setup = &worker->scheduler->setup;
    worker->status = setup->open(setup->context, &worker->info, &worker->executor);
    if (worker->status != TRD_OK) keep_error(worker);
    return worker->status == TRD_OK;
}

/* Make the executor and report to trdi_scheduler_create(). */
static bool open_first(trdi_worker *worker)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    const bool open = open_executor(worker);
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->n_opened++;
    trdi_cond_signal(&scheduler->opened);
    trdi_mutex_unlock(&scheduler->mutex);
    return open;
}

/* Offer a job that was taken from the backlog. @return false when the executor has no room for more */
static bool offer(trdi_worker *worker, trdi_job *job)
{
    const trdi_executor_ops *const ops = worker->scheduler->setup.ops;
    bool accepted = false;
    const trd_status status = ops->admit(worker->executor, job, &accepted);
    if (status != TRD_OK) {
        trdi_worker_took(worker);
        trdi_job_complete(job, status, trd_last_error());
        return true;
    }
    if (accepted) {
        trdi_worker_took(worker);
        return true;
    }
    if (ops->n_active(worker->executor) == 0) {
        /* Nothing will end that could make room: waiting would be forever. */
        trdi_worker_took(worker);
        trdi_job_complete(job, TRD_E_INTERNAL, "a worker without jobs has no room for this job");
        return true;
    }
    trdi_worker_refused(worker, job);
    return false;
}

/* Admit jobs until there are none for this worker. @return false when it is time to stop */
static bool admit_jobs(trdi_worker *worker)
{
    const trdi_executor_ops *const ops = worker->scheduler->setup.ops;
    for (;;) {
        const int64_t n_active = ops->n_active(worker->executor);
        trdi_job *const job = trdi_worker_take(worker, n_active);
        if (job == NULL) return n_active > 0;
        if (!offer(worker, job)) return true;
    }
}

/* Jobs that an executor gives back, linked by next. */
static void collect(void *list, trdi_job *job)
{
    trdi_job **const first = list;
    job->next = *first;
    *first = job;
}

/* The device failed: its jobs go back, the executor goes. */
static void give_up_executor(trdi_worker *worker)
{
    const trdi_executor_ops *const ops = worker->scheduler->setup.ops;
    trdi_log(TRD_LOG_ERROR, "worker %d: its device failed, with %lld jobs: %s", (int)worker->index, (long long)ops->n_active(worker->executor),
             worker->error);
    trdi_job *jobs = NULL;
    ops->release(worker->executor, collect, &jobs);
    trdi_worker_failed(worker, jobs);
    ops->close(worker->executor);
    worker->executor = NULL;
}

/* @return false when the device failed and the executor is gone */
static bool step(trdi_worker *worker)
{
    const trdi_executor_ops *const ops = worker->scheduler->setup.ops;
    const int64_t start_ns = trdi_now_ns();
    const trd_status status = ops->step(worker->executor);
    trdi_worker_note_step(worker, trdi_now_ns() - start_ns);
    if (status == TRD_OK) return true;
    keep_error(worker);
    if (status == TRD_E_DEVICE) {
        give_up_executor(worker);
        return false;
    }
    trdi_log(TRD_LOG_ERROR, "worker %d: a step failed, its %lld jobs end: %s", (int)worker->index,
             (long long)ops->n_active(worker->executor), worker->error);
    ops->evict(worker->executor, status, worker->error);
    return true;
}

/* Wait before a device is opened again, after n failures of steps and openings in a row. @return false when there is nothing left to do */
static bool pause_before(trdi_worker *worker, int32_t n)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    const int32_t doublings = n - 2 < MAX_DOUBLINGS ? n - 2 : MAX_DOUBLINGS;
    const int64_t until_ns = trdi_now_ns() + (n > 1 ? (int64_t)REOPEN_PAUSE_MS * 1000000 << doublings : 0);
    trdi_mutex_lock(&scheduler->mutex);
    while (!trdi_is_over_locked(scheduler) && trdi_now_ns() < until_ns)
        (void)trdi_cond_wait_until(&worker->wake, &scheduler->mutex, until_ns);
    const bool over = trdi_is_over_locked(scheduler);
    trdi_mutex_unlock(&scheduler->mutex);
    return !over;
}

/* After a failed step. @return false when the thread is to end: retired, or with nothing left to do */
static bool reopen(trdi_worker *worker)
{
    if (worker->n_failures < INT32_MAX - MAX_FAILURES) worker->n_failures++;
    for (int32_t n = 0; n < MAX_FAILURES; n++) {
        if (!pause_before(worker, worker->n_failures + n)) return false;
        if (!open_executor(worker)) continue;
        trdi_log(TRD_LOG_WARNING, "worker %d: its device was opened again", (int)worker->index);
        trdi_worker_recovered(worker);
        return true;
    }
    trdi_log(TRD_LOG_ERROR, "worker %d retires, its device could not be opened %d times in a row: %s", (int)worker->index, (int)MAX_FAILURES,
             worker->error);
    trdi_worker_retired(worker);
    return false;
}

static void run(trdi_worker *worker)
{
    if (!open_first(worker)) return;
    const trdi_executor_ops *const ops = worker->scheduler->setup.ops;
    while (admit_jobs(worker)) {
        if (ops->n_active(worker->executor) == 0 || step(worker)) continue;
        if (!reopen(worker)) return;
    }
    ops->close(worker->executor);
}

void *trdi_worker_main(void *argument)
{
    trdi_worker *const worker = argument;
    trdi_scheduler *const scheduler = worker->scheduler;
    run(worker);
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->n_ended++;
    trdi_cond_broadcast(&scheduler->opened);
    trdi_mutex_unlock(&scheduler->mutex);
    return NULL;
}
