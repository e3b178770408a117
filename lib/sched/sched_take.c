/*
 * sched_take.c: which worker takes what, and jobs that come back: refused by an executor, or released by one whose device failed. Policies are asked
 * here, with what is known of the workers; whatever they answer, a job that waits is taken by somebody.
 */
#include <string.h>

#include "sched/sched_private.h"

static void get_view(const trdi_scheduler *scheduler, trdi_policy_view *view)
{
    *view = (trdi_policy_view){
        .n_queued = scheduler->backlog.n,
        .cost_queued = scheduler->backlog.cost,
        .n_unfinished = scheduler->n_unfinished,
        .cost_unfinished = scheduler->cost_unfinished,
        .n_workers = scheduler->setup.n_workers,
        .workers = scheduler->views,
    };
}

void trdi_views_init(trdi_scheduler *scheduler)
{
    const int32_t n = scheduler->setup.n_workers;
    for (int32_t i = 0; i < n; i++) {
        int32_t alike = 0;
        while (strcmp(scheduler->workers[alike].info.name, scheduler->workers[i].info.name) != 0) alike++;
        scheduler->views[i].kind = alike;
        scheduler->workers[i].counters.name = scheduler->workers[i].info.name;
    }
    scheduler->n_usable = n;
}

bool trdi_is_over_locked(const trdi_scheduler *scheduler)
{
    return scheduler->closing && scheduler->n_submitting == 0 && scheduler->n_unfinished == 0;
}

/* Has the worker failed with this job? */
static bool failed_with(const trdi_job *job, int32_t worker)
{
    return (job->failed_on >> (worker % 64) & 1) != 0;
}

/* Is there a worker that has not failed with it yet? */
static bool may_go_elsewhere(const trdi_scheduler *scheduler, const trdi_job *job)
{
    for (int32_t i = 0; i < scheduler->setup.n_workers; i++)
        if (!scheduler->workers[i].counters.retired && !failed_with(job, i)) return true;
    return false;
}

/* The first job for this worker, policies aside. */
static trdi_job *first_for(const trdi_scheduler *scheduler, int32_t worker)
{
    trdi_job *job = trdi_backlog_first(&scheduler->backlog);
    while (job != NULL && failed_with(job, worker) && may_go_elsewhere(scheduler, job)) job = trdi_backlog_after(&scheduler->backlog, job);
    return job;
}

/* Has no worker anything to do, and would none take this job? */
static bool nobody_would(const trdi_scheduler *scheduler, const trdi_policy_view *view, const trdi_job *job)
{
    for (int32_t i = 0; i < view->n_workers; i++)
        if (view->workers[i].n_running > 0) return false;
    for (int32_t i = 0; i < view->n_workers; i++)
        if (!view->workers[i].retired && scheduler->setup.policy->should_take(view, i, job)) return false;
    return true;
}

/* Time in which the worker would end a job besides those that it has; 0 = not known. */
static int64_t own_time_ns(const trdi_worker_view *own, const trdi_job *job)
{
    if (!(own->speed > 0)) return 0;
    const double seconds = (double)(own->cost_running + trdi_job_cost(job)) / own->speed;
    return seconds < 1e6 ? (int64_t)(seconds * 1e9) + 1 : INT64_C(1000000000000000);
}

/*
 * Does the job go to this worker? If not, a time may come when it does all the same, since whom it was left to has not come for it.
 * @param until_ns  this time, by trdi_now_ns(); 0 = none
 */
static bool is_for(const trdi_scheduler *scheduler, int32_t worker, trdi_job *job, int64_t *until_ns)
{
    *until_ns = 0;
    const trdi_policy *const policy = scheduler->setup.policy;
    if (job->refused || job->n_attempts > 0 || scheduler->n_usable == 1) return true;
    trdi_policy_view view;
    get_view(scheduler, &view);
    if (policy->should_take(&view, worker, job) || nobody_would(scheduler, &view, job)) return true;
    const int64_t patience = policy->is_patient ? 0 : own_time_ns(&scheduler->views[worker], job);
    if (patience == 0) return false;
    const int64_t now = trdi_now_ns();
    if (job->declined_ns == 0) job->declined_ns = now;
    *until_ns = job->declined_ns + patience;
    return now >= *until_ns;
}

/* Would it take a job now? What it is asked for time and again, without consequences. */
static bool would_take(const trdi_scheduler *scheduler, const trdi_policy_view *view, int32_t worker)
{
    const trdi_job *const job = first_for(scheduler, worker);
    if (job == NULL) return false;
    return job->refused || job->n_attempts > 0 || scheduler->n_usable == 1 || scheduler->setup.policy->should_take(view, worker, job);
}

/* Wake up to n idle workers that have not looked at things as they are. @return how many are still to be woken */
static int64_t wake_some(trdi_scheduler *scheduler, int64_t n, bool willing)
{
    trdi_policy_view view;
    get_view(scheduler, &view);
    for (int32_t i = 0; n > 0 && i < scheduler->setup.n_workers; i++) {
        trdi_worker *const worker = &scheduler->workers[i];
        if (!worker->is_idle || worker->is_woken || worker->seen == scheduler->n_changes) continue;
        if (willing && !would_take(scheduler, &view, i)) continue;
        worker->is_woken = true;
        scheduler->n_woken++;
        trdi_cond_signal(&worker->wake);
        n--;
    }
    return n;
}

/* While a job waits and a worker has not looked, another one is on its way to look, or as many as there are jobs. */
static void pass_on(trdi_scheduler *scheduler)
{
    int64_t n = scheduler->backlog.n - scheduler->n_woken;
    const int32_t n_asleep = scheduler->n_idle - scheduler->n_woken;
    if (n <= 0 || n_asleep == 0) return;
    if (n < n_asleep) n = wake_some(scheduler, n, true);
    if (n > 0) (void)wake_some(scheduler, n, false);
}

void trdi_wake_for_jobs_locked(trdi_scheduler *scheduler)
{
    if (scheduler->n_idle == 0 || scheduler->backlog.n == 0) return;
    scheduler->n_changes++;
    pass_on(scheduler);
}

void trdi_wake_all_locked(trdi_scheduler *scheduler)
{
    for (int32_t i = 0; i < scheduler->setup.n_workers; i++) trdi_cond_signal(&scheduler->workers[i].wake);
}

/* Out of the backlog, into the hands of the worker. */
static void begin(trdi_scheduler *scheduler, int32_t worker, trdi_job *job)
{
    trdi_job_take_out_locked(scheduler, job);
    job->state = TRDI_JOB_RUNNING;
    job->worker = worker;
    job->admitted_ns = trdi_now_ns();
    trdi_view_begin(&scheduler->views[worker], trdi_job_cost(job));
    scheduler->n_offered++;
    trdi_wake_for_jobs_locked(scheduler);
}

/* Jobs at the head whose time is over; the timer may be late. */
static void end_expired(trdi_scheduler *scheduler, trdi_ended *ended)
{
    for (;;) {
        trdi_job *const job = trdi_backlog_first(&scheduler->backlog);
        if (job == NULL || !trdi_job_is_expired(job)) return;
        trdi_job_take_out_locked(scheduler, job);
        trdi_job_end_locked(scheduler, job, TRD_E_TIMEOUT, trdi_expired_text, ended);
        trdi_let_in_locked(scheduler);
    }
}

static void sleep_idle(trdi_worker *worker, int64_t until_ns)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    worker->seen = scheduler->n_changes;
    worker->is_idle = true;
    scheduler->n_idle++;
    pass_on(scheduler);
    if (until_ns == 0) trdi_cond_wait(&worker->wake, &scheduler->mutex);
    else (void)trdi_cond_wait_until(&worker->wake, &scheduler->mutex, until_ns);
    scheduler->n_idle--;
    worker->is_idle = false;
    scheduler->n_woken -= worker->is_woken;
    worker->is_woken = false;
}

trdi_job *trdi_worker_take(trdi_worker *worker, int64_t n_active)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    trdi_job *job = NULL;
    trdi_mutex_lock(&scheduler->mutex);
    for (;;) {
        trdi_ended ended = { .first = NULL };
        end_expired(scheduler, &ended);
        if (ended.first != NULL) {
            trdi_mutex_unlock(&scheduler->mutex);
            trdi_publish_ended(&ended);
            trdi_mutex_lock(&scheduler->mutex);
            continue;
        }
        int64_t until_ns = 0;
        job = first_for(scheduler, worker->index);
        if (job != NULL && !is_for(scheduler, worker->index, job, &until_ns)) job = NULL;
        if (job != NULL || n_active > 0 || trdi_is_over_locked(scheduler)) break;
        sleep_idle(worker, until_ns);
    }
    if (job != NULL) begin(scheduler, worker->index, job);
    trdi_mutex_unlock(&scheduler->mutex);
    return job;
}

void trdi_worker_took(trdi_worker *worker)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->n_offered--;
    trdi_let_in_locked(scheduler);
    trdi_mutex_unlock(&scheduler->mutex);
}

/* A job that a worker gives back waits again, unless it is to end. */
static void take_back(trdi_scheduler *scheduler, trdi_job *job, trdi_ended *ended)
{
    if (trdi_job_is_cancelled(job)) {
        trdi_job_end_locked(scheduler, job, TRD_E_CANCELLED, trdi_cancelled_text, ended);
    } else if (trdi_job_is_expired(job)) {
        trdi_job_end_locked(scheduler, job, TRD_E_TIMEOUT, trdi_expired_text, ended);
    } else {
        trdi_view_forget(&scheduler->views[job->worker], trdi_job_cost(job));
        trdi_job_wait_again_locked(scheduler, job);
    }
}

void trdi_worker_refused(trdi_worker *worker, trdi_job *job)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    trdi_ended ended = { .first = NULL };
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->n_offered--;
    scheduler->views[worker->index].n_turns--;
    scheduler->views[worker->index].full = true;
    job->refused = true;
    take_back(scheduler, job, &ended);
    trdi_let_in_locked(scheduler);
    trdi_mutex_unlock(&scheduler->mutex);
    trdi_publish_ended(&ended);
}

/* A worker that could take nothing for a while has not saved turns meanwhile: else the others would wait for it to use them up. */
static void catch_up(trdi_scheduler *scheduler, int32_t worker)
{
    int64_t least = INT64_MAX;
    for (int32_t i = 0; i < scheduler->setup.n_workers; i++) {
        const trdi_worker_view *const other = &scheduler->views[i];
        if (i != worker && !other->retired && !other->full && other->n_turns < least) least = other->n_turns;
    }
    trdi_worker_view *const view = &scheduler->views[worker];
    view->full = false;
    if (least != INT64_MAX && view->n_turns < least) view->n_turns = least;
}

void trdi_worker_failed(trdi_worker *worker, trdi_job *jobs)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    trdi_ended ended = { .first = NULL };
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->views[worker->index].retired = true;
    scheduler->n_usable--;
    while (jobs != NULL) {
        trdi_job *const job = jobs;
        jobs = job->next;
        job->next = NULL;
        job->n_attempts++;
        job->failed_on |= UINT64_C(1) << (worker->index % 64);
        if (may_go_elsewhere(scheduler, job) || trdi_job_is_cancelled(job)) {
            if (!trdi_job_is_cancelled(job)) scheduler->counters.n_redone++;
            take_back(scheduler, job, &ended);
        } else {
            trdi_job_end_locked(scheduler, job, TRD_E_DEVICE, worker->error, &ended);
        }
    }
    trdi_wake_for_jobs_locked(scheduler);
    trdi_mutex_unlock(&scheduler->mutex);
    trdi_publish_ended(&ended);
}

void trdi_worker_recovered(trdi_worker *worker)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    trdi_mutex_lock(&scheduler->mutex);
    catch_up(scheduler, worker->index);
    scheduler->views[worker->index].retired = false;
    scheduler->n_usable++;
    trdi_wake_for_jobs_locked(scheduler);
    trdi_mutex_unlock(&scheduler->mutex);
}

void trdi_worker_retired(trdi_worker *worker)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    trdi_ended ended = { .first = NULL };
    trdi_mutex_lock(&scheduler->mutex);
    worker->counters.retired = true;
    memcpy(worker->counters.reason, worker->error, sizeof worker->error);
    memcpy(scheduler->reason, worker->error, sizeof worker->error);
    if (++scheduler->n_retired == scheduler->setup.n_workers) trdi_end_waiting_locked(scheduler, TRD_E_DEVICE, worker->error, &ended);
    trdi_wake_for_jobs_locked(scheduler);
    trdi_mutex_unlock(&scheduler->mutex);
    trdi_publish_ended(&ended);
}

void trdi_worker_note_end_locked(trdi_scheduler *scheduler, const trdi_job *job, trd_status status)
{
    trdi_worker *const worker = &scheduler->workers[job->worker];
    trdi_worker_view *const view = &scheduler->views[job->worker];
    const int64_t cost = trdi_job_cost(job);
    trdi_view_forget(view, cost);
    if (view->full) catch_up(scheduler, job->worker);
    worker->counters.n_done++;
    if (status != TRD_OK) return;
    worker->counters.cost_done += cost;
    trdi_view_succeed(view, &scheduler->workers[view->kind].recent, cost, (double)(trdi_now_ns() - job->admitted_ns) * 1e-9);
}

void trdi_worker_note_step(trdi_worker *worker, int64_t ns)
{
    trdi_scheduler *const scheduler = worker->scheduler;
    trdi_mutex_lock(&scheduler->mutex);
    worker->counters.busy_ns += ns;
    trdi_worker_view *const view = &scheduler->views[worker->index];
    trdi_view_step(view, &scheduler->workers[view->kind].recent, (double)ns * 1e-9);
    for (int32_t i = view->kind; i < scheduler->setup.n_workers; i++) {
        if (scheduler->views[i].kind != view->kind) continue;
        scheduler->views[i].speed = view->speed;
        scheduler->views[i].latency = view->latency;
    }
    trdi_mutex_unlock(&scheduler->mutex);
}

void trdi_scheduler_counts(trdi_scheduler *scheduler, int64_t *queued, int64_t *active)
{
    trdi_mutex_lock(&scheduler->mutex);
    *queued = scheduler->backlog.n;
    *active = scheduler->n_unfinished;
    trdi_mutex_unlock(&scheduler->mutex);
}

void trdi_scheduler_get_counters(trdi_scheduler *scheduler, trdi_scheduler_counters *out)
{
    trdi_mutex_lock(&scheduler->mutex);
    *out = scheduler->counters;
    out->n_queued = scheduler->backlog.n;
    out->n_submitting = scheduler->entering.n;
    out->n_running = 0;
    for (int32_t i = 0; i < scheduler->setup.n_workers; i++) out->n_running += scheduler->views[i].n_running;
    trdi_mutex_unlock(&scheduler->mutex);
}

void trdi_scheduler_get_worker_counters(trdi_scheduler *scheduler, int32_t worker, trdi_worker_counters *out)
{
    trdi_mutex_lock(&scheduler->mutex);
    *out = scheduler->workers[worker].counters;
    out->n_running = scheduler->views[worker].n_running;
    out->speed = scheduler->views[worker].speed;
    trdi_mutex_unlock(&scheduler->mutex);
}
