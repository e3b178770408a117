/*
 * test_speeds.c: two workers that sleep, as fast as 1 : 1, 1 : 5 and 1 : 50, on sentences of mixed lengths. Every sentence is done once, whatever the
 * load of the machine; what is printed depends on it. Arguments ask for other sizes: the number of sentences, 1000 say, and the microseconds that
 * the faster one takes per token: 200, or more on a busy machine. What is reached of the sum of their speeds is printed, and the processor time
 * of jobs that last no time, with a backlog waiting.
 */
#include "check.h"
#include "core/alloc.h"
#include "sched/policy.h"
#include "sched/sched.h"

#include <time.h>

typedef struct bed {
    int64_t   unit_ns;         /* per unit of cost; 0 = no time */
    int64_t   woken_ns;        /* when the last sleep should have ended: what oversleeps is made up for, as by a device's queue */
    trdi_job *job;
    int64_t   n_done;
} bed;

static trd_status open_bed(void *context, const trdi_worker_info *info, void **executor)
{
    *executor = (bed *)context + info->index;
    return TRD_OK;
}

static trd_status admit(void *executor, trdi_job *job, bool *accepted)
{
    bed *const b = executor;
    *accepted = b->job == NULL;
    if (*accepted) b->job = job;
    return TRD_OK;
}

static trd_status step(void *executor)
{
    bed *const b = executor;
    trdi_job *const job = b->job;
    if (b->unit_ns > 0) {
        const int64_t now = trdi_now_ns();
        if (b->woken_ns < now - 2000000) b->woken_ns = now;
        b->woken_ns += b->unit_ns * job->cost;
        const int64_t ns = b->woken_ns - now;
        const struct timespec time = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
        if (ns > 0) (void)nanosleep(&time, NULL);
    }
    b->job = NULL;
    b->n_done++;
    trdi_job_complete(job, TRD_OK, NULL);
    return TRD_OK;
}

static int64_t n_active(const void *executor) { return ((const bed *)executor)->job != NULL; }

static void evict(void *executor, trd_status status, const char *text)
{
    bed *const b = executor;
    trdi_job *const job = b->job;
    b->job = NULL;
    if (job != NULL) trdi_job_complete(job, status, text);
}

static void release(void *executor, void (*give)(void *context, trdi_job *job), void *context)
{
    bed *const b = executor;
    trdi_job *const job = b->job;
    b->job = NULL;
    if (job != NULL) give(context, job);
}

static void close_bed(void *executor) { (void)executor; }

static const trdi_executor_ops ops = { admit, step, n_active, evict, release, close_bed };

static trdi_scheduler *make(bed *beds, int32_t n)
{
    static const char *const names[] = { "bed:0", "bed:1" };
    const trdi_worker_setup setup = { .ops = &ops, .open = open_bed, .context = beds, .n_workers = n, .names = names };
    trdi_scheduler *scheduler;
    CHECK_OK(trdi_scheduler_create(&setup, &scheduler));
    return scheduler;
}

/* @return seconds that n jobs took */
static double run(trdi_scheduler *scheduler, trdi_job *jobs, trdi_job **list, size_t n)
{
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    uint64_t random = 3;
    for (size_t i = 0; i < n; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const int64_t a = (int64_t)(random >> 33) % 30, b = (int64_t)(random >> 50) % 30;
        jobs[i] = (trdi_job){ .call = &call, .cost = 1 + a + (b > 26 ? 60 : b) };
        list[i] = &jobs[i];
    }
    const int64_t start = trdi_now_ns();
    CHECK_OK(trdi_scheduler_submit(scheduler, list, n, TRDI_WHEN_FULL_BLOCK));
    CHECK(trdi_call_wait(&call, NULL));
    const int64_t end = trdi_now_ns();
    for (size_t i = 0; i < n; i++) CHECK(jobs[i].state == TRDI_JOB_DONE && jobs[i].status == TRD_OK);
    trdi_call_destroy(&call);
    return (double)(end - start) * 1e-9;
}

static void run_speeds(size_t n, int64_t fast_ns, int ratio)
{
    bed beds[2] = { { .unit_ns = fast_ns * ratio }, { .unit_ns = fast_ns } };
    trdi_job *const jobs = trdi_calloc(n, sizeof *jobs), **const list = trdi_calloc(n, sizeof *list);
    CHECK(jobs != NULL && list != NULL);
    trdi_scheduler *const scheduler = make(beds, 2);
    const double seconds = run(scheduler, jobs, list, n);
    CHECK_INT(beds[0].n_done + beds[1].n_done, n);
    trdi_scheduler_counters counters;
    trdi_scheduler_get_counters(scheduler, &counters);
    CHECK_INT(counters.n_succeeded, n);
    double cost = 0;
    for (size_t i = 0; i < n; i++) cost += (double)jobs[i].cost;
    const double ideal = cost * (double)fast_ns * 1e-9 * ratio / (ratio + 1);
    /* On a busy machine sleeps last longer than asked for: then these are the devices' speeds. */
    double slept = 0;
    for (int32_t i = 0; i < 2; i++) {
        trdi_worker_counters w;
        trdi_scheduler_get_worker_counters(scheduler, i, &w);
        CHECK_INT(w.n_done, beds[i].n_done);
        if (w.busy_ns > 0) slept += (double)w.cost_done / (double)w.busy_ns * 1e9;
    }
    printf("speeds 1 : %-2d  %zu sentences in %.3f s, %.1f %% of the sum of speeds, %.1f %% of those that steps had; %lld and %lld\n", ratio, n,
           seconds, 100 * ideal / seconds, 100 * cost / seconds / slept, (long long)beds[0].n_done, (long long)beds[1].n_done);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_free((void *)list);
    trdi_free(jobs);
}

static int64_t process_cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Processor time of jobs that take none, all of them waiting when the worker begins. */
static void run_tiny(size_t n)
{
    bed beds[1] = { { .unit_ns = 0 } };
    trdi_job *const jobs = trdi_calloc(n, sizeof *jobs), **const list = trdi_calloc(n, sizeof *list);
    CHECK(jobs != NULL && list != NULL);
    trdi_scheduler *const scheduler = make(beds, 1);
    (void)run(scheduler, jobs, list, n);
    const int64_t start = process_cpu_ns();
    (void)run(scheduler, jobs, list, n);
    printf("tiny jobs      %zu: %.3f us of processor time each, from submission to the end of the wait\n", n,
           (double)(process_cpu_ns() - start) * 1e-3 / (double)n);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_free((void *)list);
    trdi_free(jobs);
}

int main(int argc, char **argv)
{
    const bool timed = argc > 1;
    const size_t n = timed ? (size_t)strtoull(argv[1], NULL, 10) : 300;
    CHECK(n > 0 && n <= 10000000);
    const int64_t fast_ns = argc > 2 ? strtoll(argv[2], NULL, 10) * 1000 : timed ? 200000 : 1000;
    CHECK(fast_ns > 0 && fast_ns < 1000000000);
    static const int ratios[] = { 1, 5, 50 };
    for (int i = 0; i < 3; i++) run_speeds(n, fast_ns, ratios[i]);
    run_tiny(timed ? 100 * n : 1000);
    return 0;
}
