/* submission_run.c: from submitting jobs to settled futures, waited for or not; see submission.h. */
#include <stddef.h>

#include "api/submission.h"
#include "core/alloc.h"

/* Progress is told at most so often. */
#define PROGRESS_NS 100000000

/* ---- The end of jobs, on whatever thread ends them ---- */

static void append(trdi_future_list *list, trd_future *future)
{
    future->next = NULL;
    if (list->last != NULL) list->last->next = future;
    else list->first = future;
    list->last = future;
}

static trd_future *take_first(trdi_future_list *list)
{
    trd_future *future = list->first;
    if (future == NULL) return NULL;
    list->first = future->next;
    if (list->first == NULL) list->last = NULL;
    return future;
}

static void wake_waiters(trd_future *future)
{
    for (trdi_wait *w = future->waits, *next; w != NULL; w = next) {
        next = w->next;   /* the entry is its waiter's again as soon as that wakes */
        trdi_waiter *waiter = w->waiter;
        trdi_mutex_lock(&waiter->mutex);
        if (--waiter->n_left == 0) trdi_cond_signal(&waiter->woken);
        trdi_mutex_unlock(&waiter->mutex);
    }
    future->waits = NULL;
}

/* Tokens of the first hypothesis, as its result will have them. */
static int64_t count_tokens(const trd_future *future)
{
    const trdi_submission *s = future->submission;
    if (future->example == NULL) return future->n_idle;
    if (future->status != TRD_OK || future->example->n_hypotheses == 0) return 0;
    const int64_t n = future->example->hypotheses[0].n_tokens;
    if (s->kind == TRDI_JOB_SEARCH) return n;
    return n > s->offset ? n - s->offset : 0;
}

/* Needs the call's mutex. @return whether the notifier has something to do */
static bool settle_locked(trd_future *future)
{
    trdi_submission *s = future->submission;
    if (future->job != NULL) {
        future->status = future->job->base.status;
        future->error = future->job->base.error;
    }
    s->n_tokens += count_tokens(future);
    s->n_done++;
    atomic_store(&future->done, true);
    wake_waiters(future);
    if (s->how.on_done != NULL) append(&s->uncalled, future);
    const bool tells = s->how.on_progress != NULL && (!s->progress_is_due || s->n_done == s->n);
    s->progress_is_due = s->progress_is_due || tells;
    return s->how.on_done != NULL || tells;
}

/* Is the future's result of no more use? Then true, once. Needs the call's mutex */
static bool is_forgotten_locked(trd_future *future)
{
    if (!future->released || !atomic_load(&future->done) || !future->called || future->forgotten) return false;
    future->forgotten = true;
    return true;
}

void trdi_future_forget(trd_future *future)
{
    trdi_submission *s = future->submission;
    trdi_mutex_lock(&s->call.mutex);
    const bool forgotten = is_forgotten_locked(future);
    trdi_mutex_unlock(&s->call.mutex);
    if (!forgotten) return;
    trdi_result_clear(future->result);
    if (future->example != NULL) trdi_example_clear(future->example);
}

static trd_future *future_of(trdi_submission *s, const trdi_decode_job *job, int64_t i) { return &s->futures[job->examples[i].index]; }

/* Needs the call's mutex. @param releases  set if a result is of no more use already @return whether the notifier has something to do */
static bool note_end_locked(trdi_submission *s, trdi_decode_job *job, bool *releases)
{
    bool pokes = false;
    const bool silent = job->base.status == TRD_E_CANCELLED || job->base.status == TRD_E_TIMEOUT;
    for (int64_t i = 0; i < job->n_examples; i++) {
        trd_future *future = future_of(s, job, i);
        atomic_store(&future->silent, silent);
        if (s->on_step != NULL) append(&s->ended, future);
        else pokes = settle_locked(future) || pokes;
        *releases = *releases || future->released;
    }
    s->n_unended--;
    const bool fails = job->base.status != TRD_OK && !s->failed;
    s->failed = s->failed || fails;
    if (s->is_awaited && s->on_step != NULL) trdi_cond_broadcast(&s->call.changed);
    else if (s->is_awaited && (fails || s->n_unended == 0)) trdi_cond_broadcast(&s->settled);
    return !s->is_awaited && (pokes || s->on_step != NULL);
}

/* trdi_call.ended: the job's reference keeps everything until here. */
static void note_end(trdi_call *call, trdi_job *base)
{
    trdi_submission *s = (trdi_submission *)(void *)((char *)call - offsetof(trdi_submission, call));
    trdi_decode_job *job = (trdi_decode_job *)(void *)((char *)base - offsetof(trdi_decode_job, base));
    trdi_mutex_lock(&call->mutex);
    bool releases = false;
    const bool pokes = note_end_locked(s, job, &releases);
    trdi_mutex_unlock(&call->mutex);
    if (pokes) trdi_notifier_poke(&s->notice);
    for (int64_t i = 0; releases && i < job->n_examples; i++) trdi_future_forget(future_of(s, job, i));
    trdi_submission_release(s);
}

/* trdi_call.notified: tokens were chosen. */
static void note_tokens(trdi_call *call)
{
    trdi_submission *s = (trdi_submission *)(void *)((char *)call - offsetof(trdi_submission, call));
    trdi_notifier_poke(&s->notice);
}

/* ---- Tokens ---- */

static void report_event(trdi_submission *s, const trdi_event *event)
{
    const trd_future *future = &s->futures[event->example];
    if (atomic_load(&future->silent)) return;   /* slow callbacks must not make its end wait */
    atomic_llong *stop = &future->example->stop_after[event->hypothesis];
    if (atomic_load(stop) >= 0) return;   /* chosen before the engine saw the stop: the result will not hold it */
    const char *token = trdi_vocabulary_token(s->results->model->target, event->token, NULL);
    const trd_step_result step = {
        .step = event->step, .example = event->example, .hypothesis = event->hypothesis,
        .token_id = event->token, .token = token != NULL ? token : "",
        .has_log_prob = s->return_scores, .log_prob = s->return_scores ? event->log_prob : 0.0f,
        .logits = event->n_logits > 0 ? event->logits : NULL, .n_logits = event->n_logits, .is_last = event->is_last,
    };
    if (s->on_step(s->on_step_context, &step)) atomic_store(stop, (long long)event->step);
}

void trdi_submission_report(trdi_submission *s)
{
    /* Together: all tokens of a job that ended were chosen before. */
    trdi_mutex_lock(&s->call.mutex);
    trdi_event *event = s->events.first;
    trdi_future_list ended = s->ended;
    s->events = (trdi_event_queue){ NULL, NULL };
    s->ended = (trdi_future_list){ NULL, NULL };
    trdi_mutex_unlock(&s->call.mutex);
    for (trdi_event *next; event != NULL; event = next) {
        next = event->next;
        report_event(s, event);
        trdi_free(event);
    }
    for (trd_future *future = take_first(&ended); future != NULL; future = take_first(&ended)) {
        if (future->job->base.status == TRD_OK) trdi_finish_samples(future->example, &s->search);
        trdi_mutex_lock(&s->call.mutex);
        (void)settle_locked(future);   /* whoever reports also tells */
        trdi_mutex_unlock(&s->call.mutex);
        if (!s->is_awaited) trdi_future_forget(future);
    }
}

/* ---- Submitting ---- */

enum { JOBS_ON_STACK = 16 };

/* References and counts first: a job may end before this returns. */
static trd_status submit_some(trdi_submission *s, trdi_scheduler *scheduler, trdi_job *const *jobs, int64_t n)
{
    const trdi_when_full when_full = s->lines_up ? TRDI_WHEN_FULL_LINE_UP : s->how.refuse_when_full ? TRDI_WHEN_FULL_REFUSE : TRDI_WHEN_FULL_BLOCK;
    atomic_fetch_add(&s->n_uses, n);
    trdi_mutex_lock(&s->call.mutex);
    s->n_unended += n;
    trdi_mutex_unlock(&s->call.mutex);
    const trd_status status = trdi_scheduler_submit(scheduler, jobs, (size_t)n, when_full);
    if (status == TRD_OK) return TRD_OK;
    trdi_mutex_lock(&s->call.mutex);
    s->n_unended -= n;
    trdi_mutex_unlock(&s->call.mutex);
    atomic_fetch_sub(&s->n_uses, n);
    return status;
}

static bool has_failed(trdi_submission *s)
{
    trdi_mutex_lock(&s->call.mutex);
    const bool failed = s->failed;
    trdi_mutex_unlock(&s->call.mutex);
    return failed;
}

/* For a thread that reports tokens too: while the backlog is full, what was chosen meanwhile is reported and not piled up. */
static trd_status submit_one_by_one(trdi_submission *s, trdi_scheduler *scheduler, trdi_job *const *jobs)
{
    for (int64_t i = 0; i < s->n_jobs && !has_failed(s); i++) {
        TRDI_TRY(submit_some(s, scheduler, jobs + i, 1));
        trdi_submission_report(s);
    }
    return TRD_OK;
}

static trd_status submit(trdi_submission *s, trdi_scheduler *scheduler)
{
    if (s->n_jobs == 0) return TRD_OK;
    trdi_job *few[JOBS_ON_STACK], **jobs = few;
    if (s->n_jobs > JOBS_ON_STACK) jobs = trdi_calloc((size_t)s->n_jobs, sizeof(trdi_job *));
    if (jobs == NULL) return trdi_fail(TRD_E_MEMORY, "%lld jobs: out of memory", (long long)s->n_jobs);
    for (int64_t i = 0; i < s->n_jobs; i++) jobs[i] = &s->jobs[i].base;
    const bool reports = s->is_awaited && s->on_step != NULL;
    const trd_status status = reports ? submit_one_by_one(s, scheduler, jobs) : submit_some(s, scheduler, jobs, s->n_jobs);
    if (jobs != few) trdi_free((void *)jobs);
    return status;
}

/* What needs no job is done at once. @return whether the notifier has something to do */
static bool settle_idle(trdi_submission *s)
{
    bool pokes = s->n == 0 && s->how.on_progress != NULL;
    for (int64_t i = 0; i < s->n && s->n_examples < s->n; i++) {
        if (s->futures[i].job != NULL) continue;
        trdi_mutex_lock(&s->call.mutex);
        pokes = settle_locked(&s->futures[i]) || pokes;
        trdi_mutex_unlock(&s->call.mutex);
    }
    return pokes;
}

/* ---- Blocking ---- */

/* Jobs not submitted are not touched by this. */
static void cancel_all(trdi_submission *s)
{
    for (int64_t i = 0; i < s->n_jobs; i++) trdi_job_cancel(&s->jobs[i].base);
}

/* Until every submitted job ended; when one fails, or the submission did, the others are cancelled. */
static void await_jobs(trdi_submission *s, bool cancels)
{
    bool cancelled = false;
    trdi_cond *const changed = s->on_step != NULL ? &s->call.changed : &s->settled;
    trdi_mutex_lock(&s->call.mutex);
    for (;;) {
        const bool reports = s->events.first != NULL || s->ended.first != NULL;
        if (reports || ((cancels || s->failed) && !cancelled && s->n_unended > 0)) {
            trdi_mutex_unlock(&s->call.mutex);
            if (reports) trdi_submission_report(s);
            else cancel_all(s);
            cancelled = cancelled || !reports;
            trdi_mutex_lock(&s->call.mutex);
        } else if (s->n_unended > 0) {
            trdi_cond_wait(changed, &s->call.mutex);
        } else {
            break;
        }
    }
    trdi_mutex_unlock(&s->call.mutex);
}

/* That of the first job that did not only end because another one failed. */
static trd_status first_failure(const trdi_submission *s)
{
    const trdi_job *first = NULL;
    for (int64_t i = 0; i < s->n_jobs; i++) {
        const trdi_job *job = &s->jobs[i].base;
        if (job->status == TRD_OK) continue;
        if (first == NULL) first = job;
        if (job->status != TRD_E_CANCELLED) return trdi_fail(job->status, "%s", job->error);
    }
    return first != NULL ? trdi_fail(first->status, "%s", first->error) : TRD_OK;
}

static trd_status run_jobs(trdi_submission *s, trdi_scheduler *scheduler)
{
    s->call.ended = note_end;
    const trd_status status = submit(s, scheduler);
    /* Also after a failed submission: jobs that went in must end before their memory goes. */
    await_jobs(s, status != TRD_OK);
    return status == TRD_OK ? first_failure(s) : status;
}

trd_status trdi_submission_run(trdi_submission *s, trdi_workers *workers, const char *what, trd_results **out)
{
    if (s->n > 0) {
        trdi_scheduler *scheduler;
        TRDI_TRY(trdi_workers_enter(workers, what, &scheduler));
        TRDI_TRY(run_jobs(s, scheduler));
    }
    (void)settle_idle(s);
    for (int64_t i = 0; i < s->n; i++) {
        if (trdi_future_convert(&s->futures[i]) != TRD_OK) return trdi_fail(s->futures[i].status, "%s", s->futures[i].error);
    }
    *out = s->results;
    s->results = NULL;
    return TRD_OK;
}

/* ---- Not blocking ---- */

static void call_done(trdi_submission *s)
{
    for (;;) {
        trdi_mutex_lock(&s->call.mutex);
        trd_future *future = take_first(&s->uncalled);
        trdi_mutex_unlock(&s->call.mutex);
        if (future == NULL) return;
        (void)trdi_future_convert(future);
        s->how.on_done(s->how.on_done_context, future);
        trdi_mutex_lock(&s->call.mutex);
        future->called = true;
        trdi_mutex_unlock(&s->call.mutex);
        trdi_future_forget(future);
    }
}

/* @return when to look again; 0 = not by itself */
static int64_t tell_progress(trdi_submission *s)
{
    if (s->reported_ns < 0) return 0;
    const int64_t now = trdi_now_ns();
    trdi_mutex_lock(&s->call.mutex);
    trd_progress progress = { .struct_size = sizeof progress, .n_done = s->n_done, .n_examples = s->n, .n_tokens = s->n_tokens };
    const bool over = s->n_done == s->n, waits = !over && now < s->reported_ns + PROGRESS_NS;
    if (!waits) s->progress_is_due = false;
    trdi_mutex_unlock(&s->call.mutex);
    if (waits) return s->reported_ns + PROGRESS_NS;
    progress.seconds = (double)(now - s->submitted_ns) * 1e-9;
    progress.tokens_per_second = progress.seconds > 0 ? (double)progress.n_tokens / progress.seconds : 0;
    s->reported_ns = over ? -1 : now;
    s->how.on_progress(s->how.on_progress_context, &progress);
    return 0;
}

/* The notifier's part. */
static int64_t look_after(trdi_notice *notice)
{
    trdi_submission *s = (trdi_submission *)(void *)((char *)notice - offsetof(trdi_submission, notice));
    if (s->on_step != NULL) trdi_submission_report(s);
    if (s->how.on_done != NULL) call_done(s);
    return s->how.on_progress != NULL ? tell_progress(s) : 0;
}

static void retain_notice(trdi_notice *notice)
{
    trdi_submission_retain((trdi_submission *)(void *)((char *)notice - offsetof(trdi_submission, notice)));
}

static void release_notice(trdi_notice *notice)
{
    trdi_submission_release((trdi_submission *)(void *)((char *)notice - offsetof(trdi_submission, notice)));
}

/* Before the first callback can come. */
static void give_futures(trdi_submission *s, trd_future **futures)
{
    for (int64_t i = 0; i < s->n; i++) {
        s->futures[i].called = s->how.on_done == NULL;
        futures[i] = &s->futures[i];
    }
    atomic_fetch_add(&s->n_uses, s->n);
}

static void take_futures_back(trdi_submission *s, trd_future **futures)
{
    for (int64_t i = 0; i < s->n; i++) futures[i] = NULL;
    atomic_fetch_sub(&s->n_uses, s->n);
}

static trd_status start_jobs(trdi_submission *s, trdi_scheduler *scheduler, trd_future **futures)
{
    const bool calls = s->on_step != NULL || s->how.on_done != NULL || s->how.on_progress != NULL;
    if (calls) TRDI_TRY(trdi_notifier_start());
    s->call.ended = note_end;
    if (s->on_step != NULL) s->call.notified = note_tokens;
    s->notice = (trdi_notice){ .run = look_after, .retain = retain_notice, .release = release_notice };
    s->reported_ns = s->submitted_ns;
    give_futures(s, futures);
    const bool pokes = settle_idle(s);
    const trd_status status = submit(s, scheduler);
    if (status != TRD_OK) take_futures_back(s, futures);
    else if (pokes) trdi_notifier_poke(&s->notice);
    return status;
}

trd_status trdi_submission_start(trdi_submission *s, trdi_workers *workers, const char *what, trd_future **futures)
{
    if (s->n == 0) return start_jobs(s, NULL, futures);
    trdi_scheduler *scheduler;
    TRDI_TRY(trdi_workers_enter(workers, what, &scheduler));
    return start_jobs(s, scheduler, futures);
}
