/* test_scheduler.c: life of jobs under a scheduler whose executors only sleep: order, bounds, cancel, failures, shutdown. */
#include "check.h"
#include "core/scarce.h"
#include "sleepy_executor.h"

#include <time.h>

static sleepy_plan plan_of(int64_t capacity, int64_t step_us)
{
    return (sleepy_plan){ .capacity = capacity, .step_us = step_us, .fail_open = -1 };
}

static void nap(void)
{
    const struct timespec time = { .tv_nsec = 1000000 };
    (void)nanosleep(&time, NULL);
}

/* Wait, for at most 20 s, until the counts are these. */
static void await_counts(trdi_scheduler *scheduler, int64_t queued, int64_t active)
{
    int64_t q = -1, a = -1;
    for (int i = 0; i < 20000; i++) {
        trdi_scheduler_counts(scheduler, &q, &a);
        if (q == queued && a == active) return;
        nap();
    }
    CHECK_INT(q, queued);
    CHECK_INT(a, active);
}

static void submit_one(trdi_scheduler *scheduler, trdi_call *call, sleepy_job *job)
{
    job->job.call = call;
    trdi_job *const jobs[] = { &job->job };
    CHECK_OK(trdi_scheduler_submit(scheduler, jobs, 1, TRDI_WHEN_FULL_BLOCK));
}

static void check_job(const sleepy_job *job, trd_status status, const char *text)
{
    CHECK_INT(job->job.state, TRDI_JOB_DONE);
    CHECK_INT(job->job.status, status);
    CHECK_STRING(job->job.error, text);
}

/* Jobs of one call run once each, admitted in order of submission by a single worker. */
static void test_order(void)
{
    enum { N = 50 };
    static sleepy_job jobs[N];
    trdi_job *list[N];
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .job.call = &call, .n_steps = i % 4 };
        list[i] = &jobs[i].job;
    }
    sleepy_plan plan = plan_of(8, 0);
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 1, 0, &scheduler));
    CHECK_OK(trdi_scheduler_submit(scheduler, list, N, TRDI_WHEN_FULL_BLOCK));
    CHECK_OK(trdi_scheduler_submit(scheduler, NULL, 0, TRDI_WHEN_FULL_BLOCK));
    CHECK(trdi_call_wait(&call, NULL));
    int64_t queued, active;
    trdi_scheduler_counts(scheduler, &queued, &active);
    CHECK_INT(queued, 0);
    CHECK_INT(active, 0);
    for (int i = 0; i < N; i++) {
        check_job(&jobs[i], TRD_OK, "");
        CHECK_INT(jobs[i].order, i);
        CHECK_INT(jobs[i].n_done, i % 4);
    }
    CHECK(plan.max_active <= 8);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
    CHECK_INT(plan.n_open, 1);
    CHECK_INT(plan.n_closed, 1);
}

/* A job that its first worker refuses waits, keeps its place, and runs. */
static void test_refused(void)
{
    sleepy_job jobs[4] = { { .n_steps = 3 }, { .n_steps = 1, .only_alone = true }, { .n_steps = 1 }, { .n_steps = 1 } };
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    trdi_job *list[4];
    for (int i = 0; i < 4; i++) {
        jobs[i].job.call = &call;
        list[i] = &jobs[i].job;
    }
    sleepy_plan plan = plan_of(8, 100);
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 1, 0, &scheduler));
    CHECK_OK(trdi_scheduler_submit(scheduler, list, 4, TRDI_WHEN_FULL_BLOCK));
    CHECK(trdi_call_wait(&call, NULL));
    for (int i = 0; i < 4; i++) {
        check_job(&jobs[i], TRD_OK, "");
        CHECK_INT(jobs[i].order, i);
    }
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);

    plan = plan_of(8, 0);
    plan.impossible = true;
    CHECK_OK(sleepy_scheduler(&plan, 1, 0, &scheduler));
    sleepy_job never = { .n_steps = 1 };
    submit_one(scheduler, &call, &never);
    CHECK(trdi_call_wait(&call, NULL));
    check_job(&never, TRD_E_INTERNAL, "a worker without jobs has no room for this job");
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
}

/* N jobs over two workers, all admitted before the first ends. @return jobs that worker 0 got */
static int share_jobs(sleepy_plan plan)
{
    enum { N = 8 };
    sleepy_job jobs[N];
    trdi_job *list[N];
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .job.call = &call, .n_steps = 1, .gated = true };
        list[i] = &jobs[i].job;
    }
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 2, 0, &scheduler));
    CHECK_OK(trdi_scheduler_submit(scheduler, list, N, TRDI_WHEN_FULL_BLOCK));
    await_counts(scheduler, 0, N);
    for (int i = 0; i < N; i++) atomic_store(&jobs[i].gate_open, true);
    CHECK(trdi_call_wait(&call, NULL));
    int n_first = 0;
    for (int i = 0; i < N; i++) n_first += jobs[i].worker == 0;
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
    return n_first;
}

/* Two workers share what waits, although each could take it all; what one has no room for goes to the other. */
static void test_share(void)
{
    sleepy_plan plan = plan_of(100, 100);
    CHECK_INT(share_jobs(plan), 4);
    plan.capacity_of_first = 1;
    CHECK_INT(share_jobs(plan), 1);
}

typedef struct submission {
    trdi_scheduler *scheduler;
    trdi_call      *call;
    sleepy_job     *jobs;
    int             n;
    atomic_bool     returned;
    trd_status      status;
} submission;

static void *submit_jobs(void *argument)
{
    submission *const s = argument;
    trdi_job **const list = calloc((size_t)s->n, sizeof *list);
    CHECK(list != NULL);
    for (int i = 0; i < s->n; i++) {
        s->jobs[i].job.call = s->call;
        list[i] = &s->jobs[i].job;
    }
    s->status = trdi_scheduler_submit(s->scheduler, list, (size_t)s->n, TRDI_WHEN_FULL_BLOCK);
    atomic_store(&s->returned, true);
    free(list);
    return NULL;
}

static trdi_thread start(void *(*function)(void *), void *argument)
{
    trdi_thread thread;
    CHECK_OK(trdi_thread_start(&thread, "test", function, argument));
    return thread;
}

/* With a bound, the submitting thread blocks until a worker takes a job; a cancelled job does not need a place. */
static void test_bound(void)
{
    sleepy_job jobs[6];
    for (int i = 0; i < 6; i++) jobs[i] = (sleepy_job){ .n_steps = 1, .gated = true };
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = plan_of(1, 200);
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 1, 2, &scheduler));
    submission s = { .scheduler = scheduler, .call = &call, .jobs = jobs, .n = 6 };
    const trdi_thread thread = start(submit_jobs, &s);
    /* One runs, or is being refused and keeps its place; two wait; three are still in the hands of the submitting thread. */
    await_counts(scheduler, 2, 6);
    for (int i = 0; i < 20; i++) nap();
    await_counts(scheduler, 2, 6);
    CHECK(!atomic_load(&s.returned));

    trdi_job_cancel(&jobs[3].job); /* the one that waits for room */
    await_counts(scheduler, 2, 5);
    CHECK(!atomic_load(&s.returned));
    trdi_job_cancel(&jobs[1].job); /* waits: its place goes to job 4 */
    await_counts(scheduler, 2, 4);
    CHECK(!atomic_load(&s.returned));
    trdi_job_cancel(&jobs[5].job);
    await_counts(scheduler, 2, 3);
    trdi_thread_join(thread);
    CHECK_OK(s.status);

    for (int i = 0; i < 6; i++) atomic_store(&jobs[i].gate_open, true);
    CHECK(trdi_call_wait(&call, NULL));
    for (int i = 0; i < 6; i++) {
        if (i == 1 || i == 3 || i == 5) check_job(&jobs[i], TRD_E_CANCELLED, "the job was cancelled before it ran");
        else check_job(&jobs[i], TRD_OK, "");
    }
    CHECK_INT(plan.n_admitted, 3);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
}

/* Cancel before submission, while waiting, while running, when done, and when the scheduler is gone. */
static void test_cancel(void)
{
    sleepy_job early = { .n_steps = 1 }, running = { .n_steps = 1, .gated = true }, waiting = { .n_steps = 1 };
    sleepy_job after = { .n_steps = 1 };
    trdi_call call, others;
    CHECK_OK(trdi_call_init(&call));
    CHECK_OK(trdi_call_init(&others));
    sleepy_plan plan = plan_of(1, 200);
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 1, 0, &scheduler));

    early.job.call = &others;
    trdi_job_cancel(&early.job);
    submit_one(scheduler, &others, &early);
    CHECK(trdi_call_wait(&others, NULL));
    check_job(&early, TRD_E_CANCELLED, "the job was cancelled before it ran");

    submit_one(scheduler, &call, &running);
    await_counts(scheduler, 0, 1);
    submit_one(scheduler, &others, &waiting);
    submit_one(scheduler, &call, &after);
    await_counts(scheduler, 2, 3);
    trdi_job_cancel(&waiting.job);
    CHECK(trdi_call_wait(&others, NULL));
    check_job(&waiting, TRD_E_CANCELLED, "the job was cancelled before it ran");
    trdi_job_cancel(&running.job);
    CHECK(trdi_call_wait(&call, NULL));
    check_job(&running, TRD_E_CANCELLED, "woken");
    check_job(&after, TRD_OK, "");

    trdi_job_cancel(&after.job);
    check_job(&after, TRD_OK, "");
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_job_cancel(&after.job);
    check_job(&after, TRD_OK, "");
    trdi_call_destroy(&others);
    trdi_call_destroy(&call);
}

/* A failing admit fails its job alone; a failing device all admitted jobs, where there is no other; both leave the worker usable. */
static void test_failures(void)
{
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = plan_of(3, 100);
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 1, 0, &scheduler));

    sleepy_job good = { .n_steps = 2 }, bad = { .n_steps = 7, .fail_admit = true };
    submit_one(scheduler, &call, &bad);
    submit_one(scheduler, &call, &good);
    CHECK(trdi_call_wait(&call, NULL));
    check_job(&good, TRD_OK, "");
    check_job(&bad, TRD_E_INVALID, "job 7 is not tired");

    sleepy_job held[2] = { { .n_steps = 1, .gated = true }, { .n_steps = 1, .gated = true } };
    submit_one(scheduler, &call, &held[0]);
    submit_one(scheduler, &call, &held[1]);
    await_counts(scheduler, 0, 2);
    sleepy_job broken = { .n_steps = 1, .fail_step = true }, next = { .n_steps = 1 };
    submit_one(scheduler, &call, &broken);
    CHECK(trdi_call_wait(&call, NULL));
    check_job(&held[0], TRD_E_DEVICE, "alarm clock of job 3");
    check_job(&held[1], TRD_E_DEVICE, "alarm clock of job 3");
    check_job(&broken, TRD_E_DEVICE, "alarm clock of job 3");
    CHECK_INT(plan.n_released, 3);
    CHECK_INT(plan.n_evicted, 0);
    submit_one(scheduler, &call, &next);
    CHECK(trdi_call_wait(&call, NULL));
    check_job(&next, TRD_OK, "");
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
}

static void test_open(void)
{
    for (int broken = 0; broken < 3; broken++) {
        sleepy_plan plan = plan_of(1, 0);
        plan.fail_open = broken;
        trdi_scheduler *scheduler = (trdi_scheduler *)1;
        char text[64];
        snprintf(text, sizeof text, "worker %d has no bed", broken);
        CHECK_FAILS(sleepy_scheduler(&plan, 3, 0, &scheduler), TRD_E_DEVICE, text);
        CHECK(scheduler == NULL);
        CHECK_INT(plan.n_open, 2);
        CHECK_INT(plan.n_closed, 2);
    }
    sleepy_plan plan = plan_of(1, 0);
    trdi_scheduler *scheduler;
    CHECK_FAILS(sleepy_scheduler(&plan, 0, 0, &scheduler), TRD_E_INVALID, "workers is 0");
    CHECK_FAILS(sleepy_scheduler(&plan, 1, -1, &scheduler), TRD_E_INVALID, "backlog is -1");
    trdi_scheduler_destroy(NULL, TRDI_DRAIN);
}

static void drain(int n_steps, int64_t step_us, int64_t max_queued)
{
    enum { N = 40 };
    static sleepy_job jobs[N];
    for (int i = 0; i < N; i++) jobs[i] = (sleepy_job){ .n_steps = n_steps };
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = plan_of(2, step_us);
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 2, max_queued, &scheduler));
    submission s = { .scheduler = scheduler, .call = &call, .jobs = jobs, .n = N };
    const trdi_thread thread = start(submit_jobs, &s);
    int64_t queued = 0, active = 0;
    while (active == 0 && !atomic_load(&s.returned)) trdi_scheduler_counts(scheduler, &queued, &active);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    CHECK_INT(call.n_pending, 0);
    trdi_thread_join(thread);
    CHECK_OK(s.status);
    for (int i = 0; i < N; i++) check_job(&jobs[i], TRD_OK, "");
    CHECK_INT(plan.n_admitted, N);
    CHECK_INT(plan.n_closed, 2);
    trdi_call_destroy(&call);
}

/* Destroy runs what waits, and what is blocked in submission, be the workers slower than the submission or faster. */
static void test_drain(void)
{
    drain(2, 300, 3);
    for (int i = 0; i < 50; i++) drain(0, 0, 1);
}

static void *destroy_scheduler(void *scheduler)
{
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    return NULL;
}

/* While a destroy waits for running work, new jobs are refused and untouched. */
static void test_late(void)
{
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = plan_of(1, 200);
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 1, 0, &scheduler));
    sleepy_job held = { .n_steps = 1, .gated = true };
    submit_one(scheduler, &call, &held);
    const trdi_thread thread = start(destroy_scheduler, scheduler);
    trd_status status = TRD_OK;
    sleepy_job late[200];
    int n = 0;
    for (; n < 200 && status == TRD_OK; n++) {
        nap();
        late[n] = (sleepy_job){ .n_steps = 0, .job.call = &call };
        trdi_job *const list[] = { &late[n].job };
        status = trdi_scheduler_submit(scheduler, list, 1, TRDI_WHEN_FULL_BLOCK);
    }
    CHECK_INT(status, TRD_E_STATE);
    CHECK(strstr(trd_last_error(), "being stopped") != NULL);
    CHECK_INT(late[n - 1].job.state, TRDI_JOB_NEW);
    atomic_store(&held.gate_open, true);
    CHECK(trdi_call_wait(&call, NULL));
    trdi_thread_join(thread);
    check_job(&held, TRD_OK, "");
    trdi_call_destroy(&call);
}

static void *notify_call(void *call)
{
    nap();
    trdi_call_notify(call);
    return NULL;
}

static void test_notify(void)
{
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    sleepy_plan plan = plan_of(1, 200);
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 1, 0, &scheduler));
    sleepy_job held = { .n_steps = 1, .gated = true };
    submit_one(scheduler, &call, &held);
    uint64_t seen = 0;
    trdi_thread thread = start(notify_call, &call);
    CHECK(!trdi_call_wait(&call, &seen));
    CHECK_INT(seen, 1);
    trdi_thread_join(thread);
    trdi_call_notify(&call);
    trdi_call_notify(&call);
    CHECK(!trdi_call_wait(&call, &seen)); /* one made before the wait is not lost */
    CHECK_INT(seen, 3);
    atomic_store(&held.gate_open, true);
    while (!trdi_call_wait(&call, &seen)) {}
    CHECK_INT(seen, 3);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
}

/* Allocation n fails, for every n that there is. */
static void test_memory(void)
{
    CHECK_OK(trd_allocator_set(&scarce_allocator));
    int n = 0;
    for (;; n++) {
        scarce_allow(n);
        sleepy_plan plan = plan_of(1, 0);
        trdi_scheduler *scheduler;
        const trd_status status = sleepy_scheduler(&plan, 3, 0, &scheduler);
        if (status == TRD_OK) {
            sleepy_job job = { .n_steps = 1 };
            trdi_call call;
            CHECK_OK(trdi_call_init(&call));
            scarce_allow(0); /* running jobs allocates nothing */
            submit_one(scheduler, &call, &job);
            CHECK(trdi_call_wait(&call, NULL));
            check_job(&job, TRD_OK, "");
            trdi_call_destroy(&call);
            trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
        }
        size_t blocks;
        trd_memory_in_use(NULL, &blocks);
        CHECK_INT(blocks, 0);
        CHECK_INT(plan.n_open, plan.n_closed);
        if (status == TRD_OK) break;
        CHECK_INT(status, TRD_E_MEMORY);
    }
    CHECK_INT(n, 8); /* the scheduler and what policies see, three threads, three executors */
    CHECK_OK(trd_allocator_set(NULL));
}

/* Many threads, many jobs each, a short backlog: every job ends once. */
static void test_many_threads(void)
{
    enum { THREADS = 8, JOBS = 100 };
    static sleepy_job jobs[THREADS][JOBS];
    memset(jobs, 0, sizeof jobs);
    trdi_call calls[THREADS];
    submission submissions[THREADS];
    trdi_thread threads[THREADS];
    sleepy_plan plan = plan_of(4, 0);
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 3, 2, &scheduler));
    for (int t = 0; t < THREADS; t++) {
        CHECK_OK(trdi_call_init(&calls[t]));
        for (int i = 0; i < JOBS; i++) jobs[t][i].n_steps = (t + i) % 3;
        submissions[t] = (submission){ .scheduler = scheduler, .call = &calls[t], .jobs = jobs[t], .n = JOBS };
        threads[t] = start(submit_jobs, &submissions[t]);
    }
    for (int t = 0; t < THREADS; t++) {
        trdi_thread_join(threads[t]);
        CHECK(trdi_call_wait(&calls[t], NULL));
        for (int i = 0; i < JOBS; i++) check_job(&jobs[t][i], TRD_OK, "");
        trdi_call_destroy(&calls[t]);
    }
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    CHECK_INT(plan.n_admitted, THREADS * JOBS);
}

int main(void)
{
    test_order();
    test_refused();
    test_share();
    test_bound();
    test_cancel();
    test_failures();
    test_open();
    test_drain();
    test_late();
    test_notify();
    test_memory();
    test_many_threads();
    return 0;
}
