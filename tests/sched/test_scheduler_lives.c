/*
 * test_scheduler_lives.c: jobs whose lives are not straight: priorities, deadlines while all workers compute, devices that fail, workers that retire,
 * a stop with everything in flight; and what the counters say of it. What is asserted depends on no time: deadlines have passed already, or
 * are waited for.
 */
#include "check.h"
#include "core/scarce.h"
#include "sched/policy.h"
#include "sleepy_executor.h"

#include <time.h>

static void nap(void)
{
    const struct timespec time = { .tv_nsec = 1000000 };
    (void)nanosleep(&time, NULL);
}

static trdi_scheduler *make(sleepy_plan *plan, int32_t n_workers, int64_t max_queued, const char *policy)
{
    static const char *const names[] = { "bed:0", "bed:1", "bed:2" };
    const trdi_worker_setup setup = {
        .ops = &sleepy_ops, .open = sleepy_open, .context = plan, .n_workers = n_workers, .max_queued = max_queued,
        .names = n_workers <= 3 ? names : NULL, .policy = trdi_policy_find(policy),
    };
    trdi_scheduler *scheduler;
    CHECK_OK(trdi_scheduler_create(&setup, &scheduler));
    return scheduler;
}

static trd_status submit(trdi_scheduler *scheduler, trdi_call *call, sleepy_job *job)
{
    job->job.call = call;
    trdi_job *const jobs[] = { &job->job };
    return trdi_scheduler_submit(scheduler, jobs, 1, TRDI_WHEN_FULL_BLOCK);
}

static void check_job(const sleepy_job *job, trd_status status, const char *text)
{
    CHECK_INT(job->job.state, TRDI_JOB_DONE);
    CHECK_INT(job->job.status, status);
    CHECK_STRING(job->job.error, text);
}

/* Wait until a job has been admitted. */
static void await_running(trdi_scheduler *scheduler, int64_t n)
{
    trdi_scheduler_counters c;
    do {
        nap();
        trdi_scheduler_get_counters(scheduler, &c);
    } while (c.n_queued > 0 || c.n_running < n);
    CHECK_INT(c.n_running, n);
}

/* A job at the gate holds the only worker while the others line up. */
static void test_priority(void)
{
    static const int32_t priorities[] = { 0, -8, 8, 0, 8, -8, 3 };
    static const int order[] = { 4, 6, 1, 5, 2, 7, 3 };
    enum { N = 7 };
    sleepy_job held = { .n_steps = 1, .gated = true }, jobs[N];
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = { .capacity = 1, .step_us = 100, .fail_open = -1 };
    trdi_scheduler *const scheduler = make(&plan, 1, 0, NULL);
    CHECK_OK(submit(scheduler, &call, &held));
    await_running(scheduler, 1);
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .n_steps = 1, .job.priority = priorities[i] };
        CHECK_OK(submit(scheduler, &call, &jobs[i]));
    }
    sleepy_job wrong = { .n_steps = 1, .job.priority = 9 };
    CHECK_FAILS(submit(scheduler, &call, &wrong), TRD_E_INVALID, "priority of job 0 is 9, must be -8 to 8");
    wrong.job.priority = -9;
    CHECK_FAILS(submit(scheduler, &call, &wrong), TRD_E_INVALID, "is -9");
    CHECK_INT(wrong.job.state, TRDI_JOB_NEW);
    atomic_store(&held.gate_open, true);
    CHECK(trdi_call_wait(&call, NULL));
    for (int i = 0; i < N; i++) CHECK_INT(jobs[i].order, order[i]);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
}

typedef struct submission {
    trdi_scheduler *scheduler;
    trdi_job      **jobs;
    size_t          n;
} submission;

static void *submit_all(void *argument)
{
    const submission *const s = argument;
    CHECK_OK(trdi_scheduler_submit(s->scheduler, s->jobs, s->n, TRDI_WHEN_FULL_BLOCK));
    return NULL;
}

/* Jobs end at their deadlines although the only worker will not be free: in the backlog, while their submission waits for room, and running. */
static void test_deadline(void)
{
    enum { N = 6 };
    sleepy_job held = { .n_steps = 1, .gated = true }, jobs[N];
    trdi_job *list[N];
    trdi_call call, others;
    CHECK_OK(trdi_call_init(&call));
    CHECK_OK(trdi_call_init(&others));
    sleepy_plan plan = { .capacity = 1, .step_us = 100, .fail_open = -1 };
    trdi_scheduler *const scheduler = make(&plan, 1, 2, NULL);
    CHECK_OK(submit(scheduler, &call, &held));
    await_running(scheduler, 1);
    const int64_t soon = trdi_now_ns() + 30000000;
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .n_steps = 1, .job.call = &others, .job.deadline_ns = soon - (i % 3) * 10000000 };
        list[i] = &jobs[i].job;
    }
    jobs[5].job.deadline_ns = 1; /* over before it is submitted */
    submission s = { .scheduler = scheduler, .jobs = list, .n = N };
    trdi_thread thread;
    CHECK_OK(trdi_thread_start(&thread, "test", submit_all, &s));
    trdi_thread_join(thread);
    CHECK(trdi_call_wait(&others, NULL));
    CHECK(trdi_now_ns() >= soon);
    for (int i = 0; i < N; i++) check_job(&jobs[i], TRD_E_TIMEOUT, "the job's time was over before it ran");
    CHECK_INT(held.job.state, TRDI_JOB_RUNNING);

    sleepy_job late = { .n_steps = 1, .gated = true, .job.deadline_ns = trdi_now_ns() + 20000000 };
    atomic_store(&held.gate_open, true);
    CHECK_OK(submit(scheduler, &call, &late));
    CHECK(trdi_call_wait(&call, NULL));
    CHECK_INT(late.job.status, TRD_E_TIMEOUT);
    check_job(&held, TRD_OK, "");
    trdi_scheduler_counters c;
    trdi_scheduler_get_counters(scheduler, &c);
    CHECK_INT(c.n_submitted, N + 2);
    CHECK_INT(c.n_expired, N + 1);
    CHECK_INT(c.n_succeeded, 1);
    CHECK_INT(c.n_queued + c.n_running + c.n_submitting, 0);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&others);
    trdi_call_destroy(&call);
}

/* A deadline that is far away holds nothing up: neither a drain nor the job. */
static void test_far_deadline(void)
{
    sleepy_job job = { .n_steps = 1, .job.deadline_ns = INT64_MAX };
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = { .capacity = 1, .fail_open = -1 };
    trdi_scheduler *const scheduler = make(&plan, 1, 0, NULL);
    CHECK_OK(submit(scheduler, &call, &job));
    CHECK(trdi_call_wait(&call, NULL));
    check_job(&job, TRD_OK, "");
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
}

/* A bound that refuses. */
static void test_busy(void)
{
    sleepy_job held = { .n_steps = 1, .gated = true }, more = { .n_steps = 1 }, jobs[3] = { { .n_steps = 1 }, { .n_steps = 1 }, { .n_steps = 1 } };
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = { .capacity = 1, .step_us = 100, .fail_open = -1 };
    trdi_scheduler *const scheduler = make(&plan, 1, 2, NULL);
    CHECK_OK(submit(scheduler, &call, &held));
    await_running(scheduler, 1);
    trdi_job *list[3];
    more.job.call = &call;
    for (int i = 0; i < 3; i++) {
        jobs[i].job.call = &call;
        list[i] = &jobs[i].job;
    }
    CHECK_FAILS(trdi_scheduler_submit(scheduler, list, 3, TRDI_WHEN_FULL_REFUSE), TRD_E_RANGE, "3 jobs are more than the 2 that may ever wait");
    CHECK_OK(trdi_scheduler_submit(scheduler, list, 2, TRDI_WHEN_FULL_REFUSE));
    CHECK_FAILS(trdi_scheduler_submit(scheduler, list + 2, 1, TRDI_WHEN_FULL_REFUSE), TRD_E_BUSY, "no room for 1 jobs: 2 of 2 wait already");
    CHECK_INT(jobs[2].job.state, TRDI_JOB_NEW);
    trdi_job_cancel(list[1]);
    trdi_job *const two[] = { &jobs[2].job, &more.job };
    CHECK_FAILS(trdi_scheduler_submit(scheduler, two, 2, TRDI_WHEN_FULL_REFUSE), TRD_E_BUSY, "no room for 2 jobs: 1 of 2 wait already");
    CHECK_OK(trdi_scheduler_submit(scheduler, list + 2, 1, TRDI_WHEN_FULL_REFUSE));
    atomic_store(&held.gate_open, true);
    CHECK(trdi_call_wait(&call, NULL));
    check_job(&jobs[0], TRD_OK, "");
    check_job(&jobs[1], TRD_E_CANCELLED, "the job was cancelled before it ran");
    check_job(&jobs[2], TRD_OK, "");
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
}

/* Jobs of a device that fails are done by another; a job that fails everywhere ends with the reason. */
static void test_redone(void)
{
    enum { N = 4 };
    sleepy_job jobs[N];
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = { .capacity = 8, .step_us = 100, .fail_open = -1, .broken = 1 << 0 };
    trdi_scheduler *scheduler = make(&plan, 2, 0, "round-robin"); /* each worker gets some */
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .n_steps = 3 };
        CHECK_OK(submit(scheduler, &call, &jobs[i]));
    }
    CHECK(trdi_call_wait(&call, NULL));
    for (int i = 0; i < N; i++) {
        check_job(&jobs[i], TRD_OK, "");
        CHECK_INT(jobs[i].worker, 1);
        CHECK_INT(jobs[i].n_done, 3);
    }
    trdi_scheduler_counters c;
    trdi_scheduler_get_counters(scheduler, &c);
    CHECK(c.n_redone >= 1);
    CHECK_INT(c.n_redone, plan.n_released);
    CHECK_INT(c.n_succeeded, N);
    CHECK_INT(plan.n_evicted, 0);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    CHECK_INT(plan.n_open, plan.n_closed);

    plan = (sleepy_plan){ .capacity = 8, .step_us = 100, .fail_open = -1 };
    scheduler = make(&plan, 3, 0, NULL);
    sleepy_job poison = { .n_steps = 2, .fail_step = true }, next = { .n_steps = 1 };
    CHECK_OK(submit(scheduler, &call, &poison));
    CHECK(trdi_call_wait(&call, NULL));
    CHECK_INT(poison.job.status, TRD_E_DEVICE);
    CHECK(strstr(poison.job.error, "alarm clock of job") != NULL);
    CHECK_INT(poison.job.n_attempts, 3);
    CHECK_INT(plan.n_admitted, 3);
    CHECK_OK(submit(scheduler, &call, &next));
    CHECK(trdi_call_wait(&call, NULL));
    check_job(&next, TRD_OK, "");
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    CHECK_INT(plan.n_open, plan.n_closed);
    trdi_call_destroy(&call);
}

/* A worker whose device fails and cannot be opened retires, with its reason; when all have, what waits fails with it, and what comes is refused. */
static void test_retired(void)
{
    enum { N = 40 };
    static sleepy_job jobs[N];
    trdi_job *list[N];
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = { .capacity = 2, .step_us = 100, .fail_open = -1, .broken = 1 << 0 | 1 << 1, .fail_reopen = true };
    trdi_scheduler *const scheduler = make(&plan, 2, 3, NULL);
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .n_steps = 2, .job.call = &call, .job.deadline_ns = i % 2 == 0 ? 0 : INT64_MAX };
        list[i] = &jobs[i].job;
    }
    CHECK_OK(trdi_scheduler_submit(scheduler, list, N, TRDI_WHEN_FULL_BLOCK)); /* returns, although there is never room for all */
    CHECK(trdi_call_wait(&call, NULL));
    for (int i = 0; i < N; i++) {
        CHECK_INT(jobs[i].job.status, TRD_E_DEVICE);
        CHECK(strstr(jobs[i].job.error, "is broken") != NULL || strstr(jobs[i].job.error, "has no bed") != NULL);
    }
    trdi_worker_counters w[2];
    do { /* a thread may still be on its way out */
        nap();
        for (int32_t i = 0; i < 2; i++) trdi_scheduler_get_worker_counters(scheduler, i, &w[i]);
    } while (!w[0].retired || !w[1].retired);
    CHECK_STRING(w[0].name, "bed:0");
    CHECK_STRING(w[0].reason, "worker 0 has no bed");
    CHECK_STRING(w[1].reason, "worker 1 has no bed");
    CHECK_INT(w[0].n_running + w[1].n_running, 0);
    sleepy_job late = { .n_steps = 1 };
    CHECK_FAILS(submit(scheduler, &call, &late), TRD_E_DEVICE, "no worker is left: worker ");
    CHECK_INT(late.job.state, TRDI_JOB_NEW);
    trdi_scheduler_counters c;
    trdi_scheduler_get_counters(scheduler, &c);
    CHECK_INT(c.n_submitted, N);
    CHECK_INT(c.n_failed, N);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    CHECK_INT(plan.n_open, plan.n_closed);
    trdi_call_destroy(&call);
}

/* Jobs with which every step fails end with the reason, one after the other, and nobody else suffers: the worker goes on for all who come. */
static void test_poison(void)
{
    enum { N = 5 };
    sleepy_job poison[N], next = { .n_steps = 1 };
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = { .capacity = 1, .step_us = 100, .fail_open = -1 };
    trdi_scheduler *const scheduler = make(&plan, 1, 0, NULL);
    for (int i = 0; i < N; i++) {
        poison[i] = (sleepy_job){ .n_steps = 2, .fail_step = true };
        CHECK_OK(submit(scheduler, &call, &poison[i]));
    }
    CHECK_OK(submit(scheduler, &call, &next));
    CHECK(trdi_call_wait(&call, NULL));
    for (int i = 0; i < N; i++) {
        CHECK_INT(poison[i].job.status, TRD_E_DEVICE);
        CHECK(strstr(poison[i].job.error, "alarm clock of job") != NULL);
    }
    check_job(&next, TRD_OK, "");
    trdi_worker_counters w;
    trdi_scheduler_get_worker_counters(scheduler, 0, &w);
    CHECK(!w.retired);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    CHECK_INT(plan.n_open, N + 1);
    CHECK_INT(plan.n_closed, N + 1);
    trdi_call_destroy(&call);
}

/* Jobs in line without a thread: let in one by one, cancelled, drained or cancelled with the scheduler. */
static void test_line_up(trdi_ending ending)
{
    enum { N = 20 };
    sleepy_job held = { .n_steps = 1, .gated = true }, jobs[N];
    trdi_job *list[N];
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = { .capacity = 1, .step_us = 100, .fail_open = -1 };
    trdi_scheduler *const scheduler = make(&plan, 1, 2, NULL);
    CHECK_OK(submit(scheduler, &call, &held));
    await_running(scheduler, 1);
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .n_steps = 1, .job.call = &call };
        list[i] = &jobs[i].job;
    }
    CHECK_OK(trdi_scheduler_submit(scheduler, list, N, TRDI_WHEN_FULL_LINE_UP));   /* comes back, although there is room for 2 */
    trdi_scheduler_counters c;
    trdi_scheduler_get_counters(scheduler, &c);
    CHECK_INT(c.n_queued, 2);
    CHECK_INT(c.n_submitting, N - 2);
    trdi_job_cancel(list[N - 1]);
    trdi_job_cancel(list[0]);
    trdi_scheduler_get_counters(scheduler, &c);
    CHECK_INT(c.n_queued, 2);
    CHECK_INT(c.n_submitting, N - 4);
    CHECK_INT(jobs[2].job.state, TRDI_JOB_QUEUED);
    CHECK_INT(jobs[3].job.state, TRDI_JOB_ENTERING);
    if (ending == TRDI_DRAIN) atomic_store(&held.gate_open, true);
    trdi_scheduler_destroy(scheduler, ending);
    CHECK_INT(call.n_pending, 0);
    for (int i = 0; i < N; i++) CHECK_INT(jobs[i].job.status, ending == TRDI_CANCEL || i == 0 || i == N - 1 ? TRD_E_CANCELLED : TRD_OK);
    trdi_call_destroy(&call);
}

/* A device that is lost and cannot be opened again: its only worker retires, and nobody hangs, not the destroy either. */
static void test_lost(void)
{
    sleepy_job job = { .n_steps = 2 }, late = { .n_steps = 1 };
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = { .capacity = 2, .step_us = 100, .fail_open = -1, .broken = 1 << 0, .fail_reopen = true };
    trdi_scheduler *const scheduler = make(&plan, 1, 0, NULL);
    CHECK_OK(submit(scheduler, &call, &job));
    CHECK(trdi_call_wait(&call, NULL));
    check_job(&job, TRD_E_DEVICE, "bed 0 is broken");
    const trd_status status = submit(scheduler, &call, &late); /* waits for the device to come back, or comes too late */
    CHECK(trdi_call_wait(&call, NULL));
    CHECK_INT(status == TRD_OK ? late.job.status : status, TRD_E_DEVICE);
    CHECK(strstr(status == TRD_OK ? late.job.error : trd_last_error(), "worker 0 has no bed") != NULL);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    CHECK_INT(plan.n_open, plan.n_closed);
    trdi_call_destroy(&call);
}

typedef struct ends {
    trdi_call   call;
    atomic_int  n;
} ends;

static void count_end(trdi_call *call, trdi_job *job)
{
    CHECK_INT(job->state, TRDI_JOB_DONE);
    CHECK(job->ended);
    atomic_fetch_add(&((ends *)(void *)call)->n, 1);
}

/* Stop with jobs running, waiting, and blocked in submission, by another thread than the one that destroys. */
static void test_stop(void)
{
    enum { N = 30 };
    static sleepy_job jobs[N];
    trdi_job *list[N];
    ends e = { .n = 0 };
    CHECK_OK(trdi_call_init(&e.call));
    e.call.ended = count_end;
    sleepy_plan plan = { .capacity = 2, .step_us = 100, .fail_open = -1 };
    trdi_scheduler *const scheduler = make(&plan, 2, 5, NULL);
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .n_steps = 1, .gated = true, .job.call = &e.call };
        list[i] = &jobs[i].job;
    }
    submission s = { .scheduler = scheduler, .jobs = list, .n = N };
    trdi_thread thread;
    CHECK_OK(trdi_thread_start(&thread, "test", submit_all, &s));
    trdi_scheduler_counters c;
    do {
        nap();
        trdi_scheduler_get_counters(scheduler, &c);
    } while (c.n_submitting != N - 9);
    CHECK_INT(c.n_queued + c.n_running, 9);
    trdi_scheduler_stop(scheduler);
    trdi_thread_join(thread);
    CHECK(trdi_call_wait(&e.call, NULL));
    for (int i = 0; i < N; i++) CHECK_INT(jobs[i].job.status, TRD_E_CANCELLED);
    sleepy_job late = { .n_steps = 1 };
    CHECK_FAILS(submit(scheduler, &e.call, &late), TRD_E_STATE, "being stopped");
    trdi_scheduler_destroy(scheduler, TRDI_CANCEL);
    CHECK_INT(e.n, N);
    trdi_call_destroy(&e.call);
}

/* Turns: jobs go to idle workers that have had fewer; nothing hangs when one of them is full. */
static void test_round_robin(void)
{
    enum { N = 9 };
    sleepy_job jobs[N];
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = { .capacity = 100, .step_us = 100, .fail_open = -1 };
    trdi_scheduler *scheduler = make(&plan, 3, 0, "round-robin");
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .n_steps = 1, .gated = true };
        CHECK_OK(submit(scheduler, &call, &jobs[i]));
    }
    await_running(scheduler, N);
    for (int i = 0; i < N; i++) atomic_store(&jobs[i].gate_open, true);
    CHECK(trdi_call_wait(&call, NULL));
    CHECK_INT(1 << jobs[0].worker | 1 << jobs[1].worker | 1 << jobs[2].worker, 7); /* those that are behind by one are idle: it is theirs */
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);

    plan = (sleepy_plan){ .capacity = 100, .capacity_of_first = 1, .step_us = 100, .fail_open = -1 };
    scheduler = make(&plan, 3, 0, "round-robin");
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .n_steps = 1, .gated = true };
        CHECK_OK(submit(scheduler, &call, &jobs[i]));
    }
    await_running(scheduler, N);
    for (int i = 0; i < N; i++) atomic_store(&jobs[i].gate_open, true);
    CHECK(trdi_call_wait(&call, NULL));
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
}

/* With latency, jobs that could share a worker go to idle ones first. */
static void test_latency(void)
{
    sleepy_job jobs[3];
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = { .capacity = 100, .step_us = 100, .fail_open = -1 };
    trdi_scheduler *const scheduler = make(&plan, 3, 0, "latency");
    for (int i = 0; i < 3; i++) {
        jobs[i] = (sleepy_job){ .n_steps = 1, .gated = true };
        CHECK_OK(submit(scheduler, &call, &jobs[i]));
    }
    await_running(scheduler, 3);
    for (int32_t i = 0; i < 3; i++) {
        trdi_worker_counters w;
        trdi_scheduler_get_worker_counters(scheduler, i, &w);
        CHECK_INT(w.n_running, 1);
    }
    for (int i = 0; i < 3; i++) atomic_store(&jobs[i].gate_open, true);
    CHECK(trdi_call_wait(&call, NULL));
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
}

static void test_setup(void)
{
    static const trdi_executor_ops empty = { .admit = NULL };
    static const trdi_policy no_policy = { .name = "none" };
    sleepy_plan plan = { .capacity = 1, .fail_open = -1 };
    const trdi_worker_setup good = { .ops = &sleepy_ops, .open = sleepy_open, .context = &plan, .n_workers = 1 };
    trdi_scheduler *scheduler;
    trdi_worker_setup bad = good;
    CHECK_FAILS(trdi_scheduler_create(NULL, &scheduler), TRD_E_INVALID, "setup of workers is NULL");
    bad.ops = NULL;
    CHECK_FAILS(trdi_scheduler_create(&bad, &scheduler), TRD_E_INVALID, "function of the executor is NULL");
    bad.ops = &empty;
    CHECK_FAILS(trdi_scheduler_create(&bad, &scheduler), TRD_E_INVALID, "function of the executor is NULL");
    bad = good;
    bad.open = NULL;
    CHECK_FAILS(trdi_scheduler_create(&bad, &scheduler), TRD_E_INVALID, "function of the executor is NULL");
    bad = good;
    bad.n_workers = TRDI_MAX_WORKERS + 1;
    CHECK_FAILS(trdi_scheduler_create(&bad, &scheduler), TRD_E_INVALID, "number of workers is");
    bad = good;
    bad.policy = &no_policy;
    CHECK_FAILS(trdi_scheduler_create(&bad, &scheduler), TRD_E_INVALID, "the policy has no function");
    CHECK(scheduler == NULL);
    CHECK_INT(plan.n_open, 0);
}

/* No memory for the thread that watches deadlines: the jobs are refused, untouched. */
static void test_timer_memory(void)
{
    CHECK_OK(trd_allocator_set(&scarce_allocator));
    scarce_allow(100);
    sleepy_plan plan = { .capacity = 1, .fail_open = -1 };
    trdi_scheduler *const scheduler = make(&plan, 1, 0, NULL);
    sleepy_job job = { .n_steps = 1, .job.deadline_ns = INT64_MAX };
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    scarce_allow(0);
    CHECK_FAILS(submit(scheduler, &call, &job), TRD_E_MEMORY, "treadle-timer");
    CHECK_INT(job.job.state, TRDI_JOB_NEW);
    int64_t queued, active;
    trdi_scheduler_counts(scheduler, &queued, &active);
    CHECK_INT(active, 0);
    scarce_allow(100);
    CHECK_OK(submit(scheduler, &call, &job));
    CHECK(trdi_call_wait(&call, NULL));
    check_job(&job, TRD_OK, "");
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
    CHECK_OK(trd_allocator_set(NULL));
}

int main(void)
{
    test_priority();
    test_deadline();
    test_far_deadline();
    test_busy();
    test_redone();
    test_retired();
    test_poison();
    test_line_up(TRDI_DRAIN);
    test_line_up(TRDI_CANCEL);
    test_lost();
    test_stop();
    test_round_robin();
    test_latency();
    test_setup();
    test_timer_memory();
    return 0;
}
