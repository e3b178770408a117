/*
 * sched_job.c: the life of a job. Who moves a job on is decided by its state under the scheduler's mutex: NEW -> ENTERING, QUEUED or DONE by
 * the submitting thread, ENTERING -> QUEUED by who makes room, ENTERING or QUEUED -> DONE by who cancels, by the timer, and by the last
 * worker to retire, QUEUED -> RUNNING -> QUEUED or DONE by a worker. Who makes it DONE publishes it.
 */
#include <assert.h>
#include <string.h>

#include "core/alloc.h"
#include "sched/sched_private.h"
#include "sched/trace.h"

/* Jobs that are moved before the mutex is let go of for a moment. */
enum { MOST_AT_ONCE = 1024 };

const char trdi_cancelled_text[] = "the job was cancelled before it ran";
const char trdi_expired_text[] = "the job's time was over before it ran";

/* Status and text of a job that nobody else looks at yet. The text must stand until publish(), which copies it. */
static void set_result(trdi_job *job, trd_status status, const char *text)
{
    job->status = status;
    job->error = text != NULL ? text : "";
}

/* The job's text from now on; the call owns what is no constant. Without memory there is none. */
static trdi_call_text *copy_text(trdi_job *job)
{
    const char *const text = job->error;
    if (text == trdi_cancelled_text || text == trdi_expired_text) return NULL;
    job->error = "";
    if (text[0] == '\0') return NULL;
    const size_t length = strnlen(text, TRDI_ERROR_BYTES - 1);
    trdi_call_text *const copy = trdi_alloc(sizeof *copy + length + 1);
    if (copy == NULL) return NULL;
    memcpy(copy->text, text, length);
    copy->text[length] = '\0';
    job->error = copy->text;
    return copy;
}

/*
 * A job that ends while it waits belongs to no worker. One that belonged to a worker is published by the worker's thread, so that the scheduler
 * is there still.
 */
static void trace_end(const trdi_job *job)
{
    const bool ran = job->admitted_ns != 0;
    const trdi_trace_span span = {
        .kind = TRDI_TRACE_JOB, .device = ran ? job->scheduler->workers[job->worker].info.name : NULL, .worker = ran ? job->worker : -1,
        .start_ns = job->submitted_ns, .admitted_ns = job->admitted_ns, .end_ns = trdi_now_ns(), .n_jobs = 1, .n_tokens = trdi_job_cost(job),
        .status = job->status,
    };
    trdi_trace_add(&span);
}

/* The job's call learns of its end; then the owner may free job and call. Without locks: memory is the user's matter. */
static void publish(trdi_job *job)
{
    trdi_call *const call = job->call;
    void (*const ended)(trdi_call *, trdi_job *) = call->ended;
    if (trdi_trace_wanted()) trace_end(job);
    trdi_call_text *const text = copy_text(job);
    trdi_mutex_lock(&call->mutex);
    if (text != NULL) {
        text->next = call->texts;
        call->texts = text;
    }
    job->scheduler = NULL;
    job->ended = true;
    call->n_pending--;
    trdi_call_wake_locked(call);
    trdi_mutex_unlock(&call->mutex);
    if (ended != NULL) ended(call, job);
}

void trdi_publish_ended(trdi_ended *ended)
{
    while (ended->first != NULL) {
        trdi_job *const job = ended->first;
        ended->first = job->next;
        job->next = NULL;
        publish(job);
    }
}

static void count_end(trdi_scheduler_counters *counters, trd_status status)
{
    if (status == TRD_OK) counters->n_succeeded++;
    else if (status == TRD_E_CANCELLED) counters->n_cancelled++;
    else if (status == TRD_E_TIMEOUT) counters->n_expired++;
    else counters->n_failed++;
}

void trdi_job_finish_locked(trdi_scheduler *scheduler, trdi_job *job, trd_status status)
{
    if (job->state == TRDI_JOB_RUNNING) trdi_worker_note_end_locked(scheduler, job, status);
    job->state = TRDI_JOB_DONE;
    scheduler->n_unfinished--;
    scheduler->cost_unfinished -= trdi_job_cost(job);
    count_end(&scheduler->counters, status);
    /* Idle workers that left a job to others think again; and the last end of all lets workers stop. */
    trdi_wake_for_jobs_locked(scheduler);
    if (trdi_is_over_locked(scheduler)) trdi_wake_all_locked(scheduler);
}

void trdi_job_end_locked(trdi_scheduler *scheduler, trdi_job *job, trd_status status, const char *text, trdi_ended *ended)
{
    set_result(job, status, text);
    trdi_job_finish_locked(scheduler, job, status);
    job->next = ended->first;
    ended->first = job;
}

static bool is_full(const trdi_scheduler *scheduler)
{
    const int64_t limit = scheduler->setup.max_queued;
    return limit > 0 && scheduler->backlog.n + scheduler->n_offered >= limit;
}

/* The job waits no longer for room. */
static void leave_entrance(trdi_scheduler *scheduler, trdi_job *job)
{
    trdi_backlog_remove(&scheduler->entering, job);
    trdi_entrance *const entrance = job->entrance;
    job->entrance = NULL;
    if (entrance != NULL && --entrance->n_entering == 0) trdi_cond_signal(&entrance->entered);
}

void trdi_let_in_locked(trdi_scheduler *scheduler)
{
    int64_t n = 0;
    for (; scheduler->entering.n > 0 && !is_full(scheduler); n++) {
        trdi_job *const job = trdi_backlog_first(&scheduler->entering);
        leave_entrance(scheduler, job);
        job->state = TRDI_JOB_QUEUED;
        trdi_backlog_append(&scheduler->backlog, job);
    }
    if (n > 0) trdi_wake_for_jobs_locked(scheduler);
}

/* The timer must know of a deadline that comes before the others. */
static void watch_deadline(trdi_scheduler *scheduler, trdi_job *job)
{
    if (job->deadline_ns == 0) return;
    trdi_deadlines_insert(&scheduler->deadlines, job);
    if (scheduler->deadlines.first == job) trdi_cond_signal(&scheduler->timer);
}

void trdi_job_take_out_locked(trdi_scheduler *scheduler, trdi_job *job)
{
    if (job->deadline_ns != 0) trdi_deadlines_remove(&scheduler->deadlines, job);
    if (job->state == TRDI_JOB_ENTERING) leave_entrance(scheduler, job);
    else trdi_backlog_remove(&scheduler->backlog, job);
}

void trdi_job_wait_again_locked(trdi_scheduler *scheduler, trdi_job *job)
{
    job->state = TRDI_JOB_QUEUED;
    job->admitted_ns = 0;
    trdi_backlog_put_back(&scheduler->backlog, job);
    watch_deadline(scheduler, job);
    trdi_wake_for_jobs_locked(scheduler);
}

/* Others wait for the scheduler's mutex. What has ended is published meanwhile. */
static void let_others_in(trdi_scheduler *scheduler, trdi_ended *ended)
{
    trdi_mutex_unlock(&scheduler->mutex);
    trdi_publish_ended(ended);
    trdi_mutex_lock(&scheduler->mutex);
}

void trdi_end_waiting_locked(trdi_scheduler *scheduler, trd_status status, const char *text, trdi_ended *ended)
{
    for (int64_t n = 1;; n++) {
        trdi_job *job = trdi_backlog_first(&scheduler->backlog);
        if (job == NULL) job = trdi_backlog_first(&scheduler->entering);
        if (job == NULL) return;
        trdi_job_take_out_locked(scheduler, job);
        trdi_job_end_locked(scheduler, job, status, text, ended);
        if (n % MOST_AT_ONCE == 0) let_others_in(scheduler, ended);
    }
}

bool trdi_job_is_cancelled(const trdi_job *job)
{
    return atomic_load(&job->cancel) || atomic_load(&job->scheduler->abort);
}

bool trdi_job_is_expired(const trdi_job *job)
{
    return job->deadline_ns != 0 && trdi_now_ns() >= job->deadline_ns;
}

/*
 * One job gets in line; or it ends, as it was cancelled before, is too late, or all workers have retired meanwhile.
 * @param entrance  NULL: no thread waits for its room
 */
static void line_up(trdi_scheduler *scheduler, trdi_job *job, trdi_entrance *entrance, trdi_ended *ended)
{
    scheduler->cost_unfinished += trdi_job_cost(job);
    if (trdi_job_is_cancelled(job)) {
        trdi_job_end_locked(scheduler, job, TRD_E_CANCELLED, trdi_cancelled_text, ended);
    } else if (trdi_job_is_expired(job)) {
        trdi_job_end_locked(scheduler, job, TRD_E_TIMEOUT, trdi_expired_text, ended);
    } else if (scheduler->n_retired == scheduler->setup.n_workers) {
        trdi_job_end_locked(scheduler, job, TRD_E_DEVICE, scheduler->reason, ended);
    } else {
        job->sequence = scheduler->n_sequenced++;
        job->state = TRDI_JOB_ENTERING;
        job->entrance = entrance;
        if (entrance != NULL) entrance->n_entering++;
        trdi_backlog_append(&scheduler->entering, job);
        watch_deadline(scheduler, job);
    }
}

/*
 * Jobs that find room come into the backlog many at once: a worker meets all of them. The others are let in by who makes room, for which the thread
 * waits at its entrance, if it has one.
 */
static void enqueue(trdi_scheduler *scheduler, trdi_job *const *jobs, size_t n, trdi_entrance *entrance)
{
    trdi_ended ended = { .first = NULL };
    trdi_mutex_lock(&scheduler->mutex);
    for (size_t i = 0; i < n; i++) {
        line_up(scheduler, jobs[i], entrance, &ended);
        if ((i + 1) % MOST_AT_ONCE != 0) continue;
        trdi_let_in_locked(scheduler);
        let_others_in(scheduler, &ended);
    }
    trdi_let_in_locked(scheduler);
    if (ended.first != NULL) let_others_in(scheduler, &ended);
    while (entrance != NULL && entrance->n_entering > 0) trdi_cond_wait(&entrance->entered, &scheduler->mutex);
    trdi_mutex_unlock(&scheduler->mutex);
}

/* Is there a reason not to take n jobs? BUSY passes, RANGE does not. The text is set without the lock. */
static trd_status refuse(trdi_scheduler *scheduler, size_t n, trdi_when_full when_full, int64_t *waiting, char *reason)
{
    if (scheduler->closing) return TRD_E_STATE;
    if (scheduler->n_retired == scheduler->setup.n_workers) {
        memcpy(reason, scheduler->reason, TRDI_ERROR_BYTES);
        return TRD_E_DEVICE;
    }
    const int64_t limit = scheduler->setup.max_queued;
    *waiting = scheduler->backlog.n + scheduler->n_offered + scheduler->entering.n;
    if (when_full != TRDI_WHEN_FULL_REFUSE || limit == 0) return TRD_OK;
    if ((int64_t)n > limit) return TRD_E_RANGE;
    return *waiting + (int64_t)n > limit ? TRD_E_BUSY : TRD_OK;
}

static trd_status enter_submit(trdi_scheduler *scheduler, size_t n, trdi_when_full when_full)
{
    int64_t waiting = 0;
    char reason[TRDI_ERROR_BYTES];
    trdi_mutex_lock(&scheduler->mutex);
    const trd_status status = refuse(scheduler, n, when_full, &waiting, reason);
    if (status == TRD_OK) {
        scheduler->n_submitting++;
        scheduler->n_unfinished += (int64_t)n;
        scheduler->counters.n_submitted += (int64_t)n;
    }
    trdi_mutex_unlock(&scheduler->mutex);
    if (status == TRD_E_STATE) return trdi_fail(status, "%zu jobs submitted to workers that are being stopped", n);
    if (status == TRD_E_DEVICE) return trdi_fail(status, "no worker is left: %s", reason);
    if (status == TRD_E_RANGE) return trdi_fail(status, "%zu jobs are more than the %lld that may ever wait", n, (long long)scheduler->setup.max_queued);
    if (status == TRD_E_BUSY) {
        return trdi_fail(status, "no room for %zu jobs: %lld of %lld wait already", n, (long long)waiting, (long long)scheduler->setup.max_queued);
    }
    return TRD_OK;
}

/* @param n_undone  jobs that were not submitted after all */
static void leave_submit(trdi_scheduler *scheduler, size_t n_undone)
{
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->n_submitting--;
    scheduler->n_unfinished -= (int64_t)n_undone;
    scheduler->counters.n_submitted -= (int64_t)n_undone;
    if (trdi_is_over_locked(scheduler)) trdi_wake_all_locked(scheduler);
    trdi_mutex_unlock(&scheduler->mutex);
}

/* Also tells whether there are deadlines. */
static trd_status check_jobs(trdi_job *const *jobs, size_t n, bool *has_deadlines)
{
    *has_deadlines = false;
    for (size_t i = 0; i < n; i++) {
        const int32_t priority = jobs[i]->priority;
        if (priority < TRDI_MIN_PRIORITY || priority > TRDI_MAX_PRIORITY) {
            return trdi_fail(TRD_E_INVALID, "priority of job %zu is %d, must be %d to %d", i, (int)priority, (int)TRDI_MIN_PRIORITY,
                             (int)TRDI_MAX_PRIORITY);
        }
        if (jobs[i]->deadline_ns != 0) *has_deadlines = true;
    }
    return TRD_OK;
}

/* @param entrance  where this thread waits for room; NULL: it does not */
static trd_status submit(trdi_scheduler *scheduler, trdi_job *const *jobs, size_t n, trdi_when_full when_full, trdi_entrance *entrance)
{
    bool has_deadlines;
    TRDI_TRY(check_jobs(jobs, n, &has_deadlines));
    TRDI_TRY(enter_submit(scheduler, n, when_full));
    const trd_status status = has_deadlines ? trdi_timer_need(scheduler) : TRD_OK;
    if (status != TRD_OK) {
        leave_submit(scheduler, n);
        return status;
    }
    const int64_t now = trdi_now_ns();
    for (size_t i = 0; i < n; i++) {
        trdi_job *const job = jobs[i];
        trdi_mutex_lock(&job->call->mutex);
        assert(job->scheduler == NULL && job->state == TRDI_JOB_NEW);
        job->scheduler = scheduler;
        job->submitted_ns = now;
        job->call->n_pending++;
        trdi_mutex_unlock(&job->call->mutex);
    }
    enqueue(scheduler, jobs, n, entrance);
    leave_submit(scheduler, 0);
    return TRD_OK;
}

trd_status trdi_scheduler_submit(trdi_scheduler *scheduler, trdi_job *const *jobs, size_t n, trdi_when_full when_full)
{
    if (when_full == TRDI_WHEN_FULL_LINE_UP) return submit(scheduler, jobs, n, when_full, NULL);
    trdi_entrance entrance = { .n_entering = 0 };
    TRDI_TRY(trdi_cond_init(&entrance.entered));
    const trd_status status = submit(scheduler, jobs, n, when_full, &entrance);
    trdi_cond_destroy(&entrance.entered);
    return status;
}

void trdi_job_cancel(trdi_job *job)
{
    trdi_call *const call = job->call;
    trdi_mutex_lock(&call->mutex);
    atomic_store(&job->cancel, true);
    trdi_scheduler *const scheduler = job->scheduler;
    bool waited = false;
    if (scheduler != NULL) {
        /* It cannot go away here: a job that is not published keeps a worker, the timer or a submitting thread alive, and publishing
           needs the mutex that we hold. */
        trdi_mutex_lock(&scheduler->mutex);
        waited = job->state == TRDI_JOB_ENTERING || job->state == TRDI_JOB_QUEUED;
        if (waited) {
            trdi_job_take_out_locked(scheduler, job);
            trdi_job_finish_locked(scheduler, job, TRD_E_CANCELLED);
            trdi_let_in_locked(scheduler);
        }
        trdi_mutex_unlock(&scheduler->mutex);
    }
    /* From now on it may: nobody else who cancels shall look for it. */
    if (waited) job->scheduler = NULL;
    trdi_mutex_unlock(&call->mutex);
    if (!waited) return;
    set_result(job, TRD_E_CANCELLED, trdi_cancelled_text);
    publish(job);
}

void trdi_job_complete(trdi_job *job, trd_status status, const char *text)
{
    /* Only this worker, which called us, ends a running job, so the pointer stands until publish() below. */
    trdi_scheduler *const scheduler = job->scheduler;
    set_result(job, status, text);
    trdi_mutex_lock(&scheduler->mutex);
    assert(job->state == TRDI_JOB_RUNNING);
    if (status == TRD_OK) scheduler->workers[job->worker].n_failures = 0;
    trdi_job_finish_locked(scheduler, job, status);
    trdi_mutex_unlock(&scheduler->mutex);
    publish(job);
}
