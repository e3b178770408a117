/*
 * sched_job.c: the backlog and the life of a job. Who moves a job on is decided by its state under the scheduler's mutex:
 * NEW -> QUEUED or DONE by the submitting thread, QUEUED -> DONE by who cancels, QUEUED -> RUNNING -> QUEUED or DONE by a worker.
 */
#include <assert.h>
#include <string.h>

#include "sched/sched_private.h"

static const char CANCELLED_TEXT[] = "the job was cancelled before it ran";

/* Status and text of a job that nobody else looks at yet. */
static void set_result(trdi_job *job, trd_status status, const char *text)
{
    job->status = status;
    job->error[0] = '\0';
    if (text == NULL) return;
    const size_t length = strnlen(text, sizeof job->error - 1);
    memcpy(job->error, text, length);
    job->error[length] = '\0';
}

/* The job's call learns of its end. Needs the call's mutex; once it is free, the owner may free job and call. */
static void publish_locked(trdi_job *job)
{
    job->scheduler = NULL;
    job->ended = true;
    job->call->n_pending--;
    trdi_call_wake_locked(job->call);
}

static void publish(trdi_job *job)
{
    trdi_call *const call = job->call;
    void (*const ended)(trdi_call *, trdi_job *) = call->ended;
    trdi_mutex_lock(&call->mutex);
    publish_locked(job);
    trdi_mutex_unlock(&call->mutex);
    if (ended != NULL) ended(call, job);
}

/* Needs the scheduler's mutex. */
static void finish_locked(trdi_scheduler *scheduler, trdi_job *job)
{
    job->state = TRDI_JOB_DONE;
    scheduler->n_unfinished--;
}

static bool is_full(const trdi_scheduler *scheduler)
{
    const int64_t limit = scheduler->setup.max_queued;
    return limit > 0 && scheduler->n_queued + scheduler->n_offered >= limit;
}

/* Put a job where its sequence belongs: new ones at the end, refused ones at or near the start. */
static void insert(trdi_scheduler *scheduler, trdi_job *job)
{
    trdi_job **place = &scheduler->head;
    if (scheduler->tail != NULL && scheduler->tail->sequence < job->sequence) place = &scheduler->tail->next;
    while (*place != NULL && (*place)->sequence < job->sequence) place = &(*place)->next;
    job->next = *place;
    *place = job;
    if (job->next == NULL) scheduler->tail = job;
    job->state = TRDI_JOB_QUEUED;
    scheduler->n_queued++;
    trdi_cond_signal(&scheduler->work);
}

static void take_out(trdi_scheduler *scheduler, trdi_job *job)
{
    trdi_job *before = NULL;
    for (trdi_job *j = scheduler->head; j != job; j = j->next) before = j;
    if (before == NULL) scheduler->head = job->next;
    else before->next = job->next;
    if (scheduler->tail == job) scheduler->tail = before;
    job->next = NULL;
    scheduler->n_queued--;
}

/* By its owner, or with all others. */
static bool is_cancelled(const trdi_job *job)
{
    return atomic_load(&job->cancel) || atomic_load(&job->scheduler->abort);
}

/* One job into the backlog, as soon as there is room. Needs the scheduler's mutex. @return false if it was cancelled before */
static bool enqueue_locked(trdi_scheduler *scheduler, trdi_job *job)
{
    while (is_full(scheduler) && !is_cancelled(job)) trdi_cond_wait(&scheduler->space, &scheduler->mutex);
    if (is_cancelled(job)) {
        finish_locked(scheduler, job);
        return false;
    }
    job->sequence = scheduler->n_sequenced++;
    insert(scheduler, job);
    return true;
}

/* Jobs that find room together come into the backlog together: a worker meets all of them. */
static void enqueue(trdi_scheduler *scheduler, trdi_job *const *jobs, size_t n)
{
    trdi_mutex_lock(&scheduler->mutex);
    for (size_t i = 0; i < n; i++) {
        if (enqueue_locked(scheduler, jobs[i])) continue;
        trdi_mutex_unlock(&scheduler->mutex);
        set_result(jobs[i], TRD_E_CANCELLED, CANCELLED_TEXT);
        publish(jobs[i]);
        trdi_mutex_lock(&scheduler->mutex);
    }
    trdi_mutex_unlock(&scheduler->mutex);
}

static trd_status enter_submit(trdi_scheduler *scheduler, size_t n, trdi_when_full when_full)
{
    trdi_mutex_lock(&scheduler->mutex);
    const bool closing = scheduler->closing;
    const int64_t limit = scheduler->setup.max_queued, waiting = scheduler->n_queued + scheduler->n_offered;
    const bool refused = when_full == TRDI_WHEN_FULL_REFUSE && limit > 0 && waiting + (int64_t)n > limit;
    if (!closing && !refused) {
        scheduler->n_submitting++;
        scheduler->n_unfinished += (int64_t)n;
    }
    trdi_mutex_unlock(&scheduler->mutex);
    if (closing) return trdi_fail(TRD_E_STATE, "%zu jobs submitted to workers that are being stopped", n);
    if (refused) {
        return trdi_fail(TRD_E_BUSY, "no room for %zu jobs: %lld of %lld wait already", n, (long long)waiting, (long long)limit);
    }
    return TRD_OK;
}

static void leave_submit(trdi_scheduler *scheduler)
{
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->n_submitting--;
    if (scheduler->closing && scheduler->n_submitting == 0) trdi_cond_broadcast(&scheduler->work);
    trdi_mutex_unlock(&scheduler->mutex);
}

trd_status trdi_scheduler_submit(trdi_scheduler *scheduler, trdi_job *const *jobs, size_t n, trdi_when_full when_full)
{
    TRDI_TRY(enter_submit(scheduler, n, when_full));
    for (size_t i = 0; i < n; i++) {
        trdi_job *const job = jobs[i];
        trdi_mutex_lock(&job->call->mutex);
        assert(job->scheduler == NULL && job->state == TRDI_JOB_NEW);
        job->scheduler = scheduler;
        job->call->n_pending++;
        trdi_mutex_unlock(&job->call->mutex);
    }
    enqueue(scheduler, jobs, n);
    leave_submit(scheduler);
    return TRD_OK;
}

void trdi_job_cancel(trdi_job *job)
{
    trdi_call *const call = job->call;
    trdi_mutex_lock(&call->mutex);
    atomic_store(&job->cancel, true);
    trdi_scheduler *const scheduler = job->scheduler;
    bool waited = false;
    if (scheduler != NULL) {
        /* It cannot go away here: a job that is not published keeps a worker or a submitting thread alive, and publishing needs
           the mutex that we hold. */
        trdi_mutex_lock(&scheduler->mutex);
        waited = job->state == TRDI_JOB_QUEUED;
        if (waited) {
            take_out(scheduler, job);
            finish_locked(scheduler, job);
        }
        /* Room for another; or it is this very job that waits for room. */
        trdi_cond_broadcast(&scheduler->space);
        trdi_mutex_unlock(&scheduler->mutex);
    }
    if (waited) {
        set_result(job, TRD_E_CANCELLED, CANCELLED_TEXT);
        publish_locked(job);
    }
    void (*const ended)(trdi_call *, trdi_job *) = waited ? call->ended : NULL;
    trdi_mutex_unlock(&call->mutex);
    if (ended != NULL) ended(call, job);
}

void trdi_backlog_cancel_all(trdi_scheduler *scheduler)
{
    for (;;) {
        trdi_mutex_lock(&scheduler->mutex);
        trdi_job *const job = scheduler->head;
        if (job != NULL) {
            take_out(scheduler, job);
            finish_locked(scheduler, job);
        }
        trdi_mutex_unlock(&scheduler->mutex);
        if (job == NULL) return;
        set_result(job, TRD_E_CANCELLED, CANCELLED_TEXT);
        publish(job);
    }
}

void trdi_job_complete(trdi_job *job, trd_status status, const char *text)
{
    /* Only this worker, which called us, ends a running job, so the pointer stands until publish() below. */
    trdi_scheduler *const scheduler = job->scheduler;
    set_result(job, status, text);
    trdi_mutex_lock(&scheduler->mutex);
    assert(job->state == TRDI_JOB_RUNNING);
    finish_locked(scheduler, job);
    trdi_mutex_unlock(&scheduler->mutex);
    publish(job);
}

/* A busy worker leaves to the others what exceeds its equal share, unless one of them has already refused the job. */
static bool should_take(const trdi_scheduler *scheduler, int64_t n_active)
{
    if (scheduler->head == NULL) return false;
    const int64_t n_workers = scheduler->setup.n_workers;
    const int64_t share = (scheduler->n_unfinished + n_workers - 1) / n_workers;
    return n_active < share || scheduler->head->refused;
}

trdi_job *trdi_backlog_take(trdi_scheduler *scheduler, int64_t n_active)
{
    trdi_mutex_lock(&scheduler->mutex);
    while (n_active == 0 && scheduler->head == NULL && !(scheduler->closing && scheduler->n_submitting == 0))
        trdi_cond_wait(&scheduler->work, &scheduler->mutex);
    trdi_job *job = NULL;
    if (should_take(scheduler, n_active)) {
        job = scheduler->head;
        take_out(scheduler, job);
        job->state = TRDI_JOB_RUNNING;
        scheduler->n_offered++;
    }
    trdi_mutex_unlock(&scheduler->mutex);
    return job;
}

void trdi_backlog_taken(trdi_scheduler *scheduler)
{
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->n_offered--;
    trdi_cond_broadcast(&scheduler->space);
    trdi_mutex_unlock(&scheduler->mutex);
}

void trdi_backlog_put_back(trdi_scheduler *scheduler, trdi_job *job)
{
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->n_offered--;
    const bool cancelled = is_cancelled(job);
    if (cancelled) {
        finish_locked(scheduler, job);
        trdi_cond_broadcast(&scheduler->space);
    } else {
        job->refused = true;
        insert(scheduler, job);
    }
    trdi_mutex_unlock(&scheduler->mutex);
    if (!cancelled) return;
    set_result(job, TRD_E_CANCELLED, CANCELLED_TEXT);
    publish(job);
}
