/*
 * test_scheduler_stress.c: for two seconds, clients submit calls of jobs of all priorities that may fail or come too late, while other threads cancel
 * jobs of theirs at any moment. Every job ends once, with a status that it may have; the last calls of each round outlive their scheduler.
 */
#include <time.h>

#include "check.h"
#include "sleepy_executor.h"

enum { MAX_CLIENTS = 4, MAX_JOBS = 8 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int below(uint64_t *state, int n)
{
    return (int)(next_random(state) % (uint64_t)n);
}

/* One client and the thread that cancels its jobs. */
typedef struct client {
    trdi_scheduler *scheduler;
    uint64_t        random, cancel_random;
    trdi_mutex      mutex;          /* guards n_exposed; held while a job of jobs[] is being cancelled */
    int             n_exposed;      /* jobs of the current call that may be cancelled */
    atomic_bool     stop, gone;
    trdi_call       call;
    sleepy_job      jobs[MAX_JOBS];
    int             n_jobs;
    int64_t         n_submitted, n_ended[TRD_E_INTERNAL + 1];
    bool            has_call;       /* submitted and not finished */
} client;

static void *cancel_at_random(void *argument)
{
    client *const c = argument;
    while (!atomic_load(&c->gone)) {
        trdi_mutex_lock(&c->mutex);
        if (c->n_exposed > 0) trdi_job_cancel(&c->jobs[below(&c->cancel_random, c->n_exposed)].job);
        trdi_mutex_unlock(&c->mutex);
        const struct timespec pause = { .tv_nsec = below(&c->cancel_random, 300) * 1000 };
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static void expose(client *c, int n)
{
    trdi_mutex_lock(&c->mutex);
    c->n_exposed = n;
    trdi_mutex_unlock(&c->mutex);
}

static void submit_call(client *c)
{
    trdi_job *list[MAX_JOBS];
    c->n_jobs = 1 + below(&c->random, MAX_JOBS);
    for (int i = 0; i < c->n_jobs; i++) {
        const int fate = below(&c->random, 100);
        c->jobs[i] = (sleepy_job){
            .job.call = &c->call,
            .job.priority = below(&c->random, 17) - 8,
            .job.cost = below(&c->random, 30),
            .job.deadline_ns = below(&c->random, 8) == 0 ? trdi_now_ns() + below(&c->random, 2000000) : 0,
            .n_steps = below(&c->random, 6),
            .fail_admit = fate < 3,
            .fail_step = fate == 50,
            .only_alone = fate > 96,
        };
        list[i] = &c->jobs[i].job;
    }
    expose(c, c->n_jobs);
    if (below(&c->random, 4) == 0) trdi_job_cancel(list[0]);
    const trd_status status = trdi_scheduler_submit(c->scheduler, list, (size_t)c->n_jobs, TRDI_WHEN_FULL_BLOCK);
    CHECK_OK(status);
    c->has_call = true;
    c->n_submitted += c->n_jobs;
}

/* Wait for the call, and check each job's end. */
static void finish_call(client *c)
{
    uint64_t n_notified = 0;
    while (!trdi_call_wait(&c->call, &n_notified)) {}
    expose(c, 0);
    c->has_call = false;
    for (int i = 0; i < c->n_jobs; i++) {
        const sleepy_job *const s = &c->jobs[i];
        CHECK_INT(s->job.state, TRDI_JOB_DONE);
        CHECK(s->job.scheduler == NULL);
        const trd_status status = s->job.status;
        const bool cancelled = atomic_load(&s->job.cancel);
        CHECK(status == TRD_OK || status == TRD_E_DEVICE || (status == TRD_E_INVALID && s->fail_admit) ||
              (status == TRD_E_CANCELLED && cancelled) || (status == TRD_E_TIMEOUT && s->job.deadline_ns <= trdi_now_ns()));
        if (status == TRD_E_TIMEOUT) CHECK(s->job.deadline_ns != 0);
        if (status == TRD_OK) CHECK(!s->fail_admit && s->n_done == s->n_steps);
        CHECK((status == TRD_OK) == (s->job.error[0] == '\0'));
        c->n_ended[status]++;
    }
}

static void *run_client(void *argument)
{
    client *const c = argument;
    for (;;) {
        submit_call(c);
        if (atomic_load(&c->stop)) return NULL; /* this call is finished by the main thread */
        if (below(&c->random, 3) == 0) trdi_call_notify(&c->call);
        finish_call(c);
    }
}

static void start(trdi_thread *thread, void *(*function)(void *), void *argument)
{
    CHECK_OK(trdi_thread_start(thread, "stress", function, argument));
}

/* One scheduler of some size under some clients, for 150 ms. */
static void run_round(uint64_t *random, int64_t totals[])
{
    static client clients[MAX_CLIENTS];
    trdi_thread threads[MAX_CLIENTS], cancellers[MAX_CLIENTS];
    sleepy_plan plan = { .capacity = 1 + below(random, 6), .step_us = below(random, 60), .fail_open = -1 };
    const int n_clients = 1 + below(random, MAX_CLIENTS);
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 1 + below(random, 3), below(random, 5), &scheduler));
    for (int i = 0; i < n_clients; i++) {
        clients[i] = (client){ .scheduler = scheduler, .random = next_random(random), .cancel_random = next_random(random) };
        CHECK_OK(trdi_mutex_init(&clients[i].mutex));
        CHECK_OK(trdi_call_init(&clients[i].call));
        start(&cancellers[i], cancel_at_random, &clients[i]);
        start(&threads[i], run_client, &clients[i]);
    }
    const struct timespec duration = { .tv_nsec = 150000000 };
    (void)nanosleep(&duration, NULL);
    for (int i = 0; i < n_clients; i++) atomic_store(&clients[i].stop, true);
    for (int i = 0; i < n_clients; i++) trdi_thread_join(threads[i]);
    trdi_scheduler_counters counters;
    trdi_scheduler_get_counters(scheduler, &counters);
    const int64_t n_over = counters.n_succeeded + counters.n_failed + counters.n_cancelled + counters.n_expired;
    CHECK(n_over <= counters.n_submitted && n_over + n_clients * MAX_JOBS >= counters.n_submitted);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    CHECK_INT(plan.n_open, plan.n_closed);
    for (int i = 0; i < n_clients; i++) {
        if (clients[i].has_call) finish_call(&clients[i]);
        expose(&clients[i], 0);
        atomic_store(&clients[i].gone, true);
        trdi_thread_join(cancellers[i]);
        int64_t n_ended = 0;
        for (int s = 0; s <= TRD_E_INTERNAL; s++) {
            n_ended += clients[i].n_ended[s];
            totals[s] += clients[i].n_ended[s];
        }
        CHECK_INT(n_ended, clients[i].n_submitted);
        trdi_call_destroy(&clients[i].call);
        trdi_mutex_destroy(&clients[i].mutex);
    }
}

int main(void)
{
    /* Another one, such as the time, is for long runs: these choose the fates of jobs. */
    const char *const text = getenv("TREADLE_TEST_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 1;
    printf("TREADLE_TEST_SEED=%" PRIu64 "\n", seed);
    uint64_t random = seed * 0x9E3779B97F4A7C15u + 1;
    int64_t totals[TRD_E_INTERNAL + 1] = { 0 };
    const int64_t end = trdi_now_ns() + INT64_C(2000000000);
    int n_rounds = 0;
    for (; trdi_now_ns() < end; n_rounds++) run_round(&random, totals);
    printf("%d rounds: %" PRId64 " jobs succeeded, %" PRId64 " cancelled, %" PRId64 " refused, %" PRId64 " lost in a failed step, %" PRId64
           " too late\n",
           n_rounds, totals[TRD_OK], totals[TRD_E_CANCELLED], totals[TRD_E_INVALID], totals[TRD_E_DEVICE], totals[TRD_E_TIMEOUT]);
    CHECK(totals[TRD_OK] > 0 && totals[TRD_E_CANCELLED] > 0);
    return 0;
}
