/*
 * test_policies.c: the policies by themselves, on workers that exist in numbers only: time is simulated, so that what is asserted depends on no
 * machine. A simulated worker advances all its jobs by one unit of cost per step.
 */
#include "check.h"
#include "sched/backlog.h"
#include "sched/policy.h"
#include "sched/speed.h"

enum { MAX_WORKERS = 3, MAX_RUNNING = 64, N_JOBS = 1000 };

typedef struct sim_worker {
    double  step_seconds;      /* of a step */
    double  per_job;           /* besides, for each job in it */
    int     capacity;
    double  next;              /* when its step ends; < 0 = idle */
    double  began;
    double  idle_since;
    int     n_running, n_done;
    struct { int64_t cost, left; double admitted; } running[MAX_RUNNING];
    trdi_recent recent;
} sim_worker;

typedef struct sim {
    const trdi_policy *policy;
    int n_workers;
    sim_worker workers[MAX_WORKERS];
    trdi_worker_view views[MAX_WORKERS];
    int64_t costs[N_JOBS];
    int n_jobs, head;
    int64_t cost_unfinished;
    int n_unfinished;
    double now;
} sim;

static bool wants(const sim *s, int w)
{
    const trdi_job job = { .cost = s->costs[s->head] };
    int64_t cost_queued = 0;
    for (int i = s->head; i < s->n_jobs; i++) cost_queued += s->costs[i];
    const trdi_policy_view view = {
        .n_queued = s->n_jobs - s->head, .cost_queued = cost_queued, .n_unfinished = s->n_unfinished,
        .cost_unfinished = s->cost_unfinished, .n_workers = s->n_workers, .workers = s->views,
    };
    return s->policy->should_take(&view, w, &job);
}

static bool is_full(const sim_worker *w) { return w->n_running == w->capacity; }

/* The worker is between steps: it takes what it wants, and begins a step if it has anything. @return did it take any? */
static bool admit(sim *s, int i)
{
    sim_worker *const w = &s->workers[i];
    bool took = false;
    while (s->head < s->n_jobs && !is_full(w) && wants(s, i)) {
        const int64_t cost = s->costs[s->head++];
        w->running[w->n_running].cost = w->running[w->n_running].left = cost;
        w->running[w->n_running++].admitted = s->now;
        trdi_view_begin(&s->views[i], cost);
        took = true;
    }
    w->began = s->now;
    w->next = w->n_running > 0 ? s->now + w->step_seconds + w->per_job * w->n_running : -1;
    return took;
}

static void end_step(sim *s, int i)
{
    sim_worker *const w = &s->workers[i];
    for (int k = 0; k < w->n_running;) {
        if (--w->running[k].left > 0) {
            k++;
            continue;
        }
        const int64_t cost = w->running[k].cost;
        trdi_view_forget(&s->views[i], cost);
        trdi_view_succeed(&s->views[i], &w->recent, cost, s->now - w->running[k].admitted);
        s->n_unfinished--;
        s->cost_unfinished -= cost;
        w->n_done++;
        w->running[k] = w->running[--w->n_running];
    }
    trdi_view_step(&s->views[i], &w->recent, s->now - w->began);
}

/* Run all jobs. @return the time it took */
static double run(sim *s)
{
    s->head = 0;
    s->now = 0;
    s->n_unfinished = s->n_jobs;
    s->cost_unfinished = 0;
    for (int i = 0; i < s->n_jobs; i++) s->cost_unfinished += s->costs[i];
    for (int i = 0; i < s->n_workers; i++) s->workers[i].next = -1;
    while (s->n_unfinished > 0) {
        for (bool again = true; again;) {
            again = false;
            for (int i = 0; i < s->n_workers; i++)
                if (s->workers[i].next < 0 && admit(s, i)) again = true;
        }
        int next = -1;
        for (int i = 0; i < s->n_workers; i++)
            if (s->workers[i].next >= 0 && (next < 0 || s->workers[i].next < s->workers[next].next)) next = i;
        CHECK(next >= 0); /* else all are idle and none takes what waits */
        s->now = s->workers[next].next;
        end_step(s, next);
        admit(s, next);
    }
    return s->now;
}

/* Lengths of sentences: short ones and long ones. */
static void mix_lengths(sim *s)
{
    uint64_t random = 12345;
    s->n_jobs = N_JOBS;
    for (int i = 0; i < N_JOBS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const int a = (int)(random >> 33) % 30, b = (int)(random >> 50) % 30;
        s->costs[i] = 1 + a + (b > 26 ? 60 : b);
    }
}

/* Cost per second of a full worker. */
static double true_speed(const sim_worker *w)
{
    return w->capacity / (w->step_seconds + w->per_job * w->capacity);
}

/* @return achieved part of the sum of speeds */
static double share(const char *policy, double ratio, int capacity, int rounds)
{
    static sim s;
    s = (sim){ .policy = trdi_policy_find(policy), .n_workers = 2 };
    CHECK(s.policy != NULL);
    mix_lengths(&s);
    double speeds = 0, cost = 0, seconds = 0;
    for (int i = 0; i < 2; i++) {
        s.views[i].kind = i;
        s.workers[i] = (sim_worker){ .step_seconds = i == 0 ? 0.001 * ratio : 0.001, .capacity = capacity };
        speeds += true_speed(&s.workers[i]);
    }
    for (int i = 0; i < N_JOBS; i++) cost += (double)s.costs[i];
    for (int i = 0; i < rounds; i++) seconds = run(&s);
    const double achieved = cost / speeds / seconds;
    printf("%-11s speeds 1 : %-4g %2d jobs at once, run %d: %5.1f %% of the sum; jobs %d and %d\n", policy, ratio, capacity, rounds,
           100 * achieved, s.workers[0].n_done, s.workers[1].n_done);
    return achieved;
}

/* Workers of any speeds end together. With many jobs at once a part of the tail is lost: a job that has begun is not moved. */
static void test_throughput(void)
{
    static const double ratios[] = { 1, 5, 50 };
    for (int i = 0; i < 3; i++) {
        for (int rounds = 1; rounds <= 2; rounds++) {
            CHECK(share("throughput", ratios[i], 1, rounds) >= 0.95);
            CHECK(share("throughput", ratios[i], 4, rounds) >= 0.95);
        }
        CHECK(share("throughput", ratios[i], 32, 2) >= 0.6);
    }
}

static bool asked(const char *policy, const trdi_policy_view *view, int32_t worker, int64_t cost)
{
    const trdi_job job = { .cost = cost };
    return trdi_policy_find(policy)->should_take(view, worker, &job);
}

static void test_latency(void)
{
    trdi_worker_view w[2] = { { .kind = 0 }, { .kind = 1 } };
    const trdi_policy_view view = { .n_queued = 1, .cost_queued = 10, .n_unfinished = 1, .cost_unfinished = 10, .n_workers = 2, .workers = w };
    CHECK(asked("latency", &view, 0, 10) && asked("latency", &view, 1, 10));
    trdi_view_begin(&w[0], 10); /* speeds are unknown: the idle one is better */
    CHECK(!asked("latency", &view, 0, 10) && asked("latency", &view, 1, 10));
    w[0].speed = 50;
    w[1].speed = 1;
    CHECK(asked("latency", &view, 0, 10) && !asked("latency", &view, 1, 10)); /* the fast one, though it is busy */
    for (int i = 0; i < 60; i++) trdi_view_begin(&w[0], 10);
    CHECK(!asked("latency", &view, 0, 10) && asked("latency", &view, 1, 10)); /* until it is too busy */
    w[1].retired = true;
    CHECK(asked("latency", &view, 0, 10));
    w[0] = (trdi_worker_view){ .speed = 100, .latency = 0.5 }; /* fast with many jobs, slow with one */
    w[1] = (trdi_worker_view){ .speed = 10, .latency = 0.1 };
    CHECK(!asked("latency", &view, 0, 10) && asked("latency", &view, 1, 10));
}

static void test_round_robin(void)
{
    trdi_worker_view w[3] = { { .retired = false } };
    const trdi_policy_view view = { .n_queued = 1, .n_unfinished = 1, .n_workers = 3, .workers = w };
    for (int turn = 0; turn < 7; turn++) {
        for (int i = 0; i < 3; i++) CHECK_INT(asked("round-robin", &view, i, 1), i >= turn % 3); /* the others have had theirs */
        w[turn % 3].n_turns++;
    }
    CHECK(!asked("round-robin", &view, 0, 1));
    w[1].retired = true;
    CHECK(!asked("round-robin", &view, 0, 1));
    w[2].full = true;
    CHECK(asked("round-robin", &view, 0, 1));
    /* One that is inside of a step is not waited for, up to a point; one that is idle is. */
    w[1] = (trdi_worker_view){ .n_turns = 5 };
    w[2] = (trdi_worker_view){ .n_turns = 5, .n_running = 1 };
    w[0].n_turns = 6;
    CHECK(!asked("round-robin", &view, 0, 1));
    w[1].n_running = 1;
    CHECK(asked("round-robin", &view, 0, 1));
    w[0].n_turns = 21;
    CHECK(asked("round-robin", &view, 0, 1));
    w[0].n_turns = 22;
    CHECK(!asked("round-robin", &view, 0, 1));
}

/* Turns do not undo batching: equal workers take about as long as with the other policies, and do about the same number of jobs. */
static void test_turns_and_batches(void)
{
    static sim s;
    double seconds[2];
    for (int p = 0; p < 2; p++) {
        s = (sim){ .policy = trdi_policy_find(p == 0 ? "throughput" : "round-robin"), .n_workers = 2, .n_jobs = N_JOBS };
        for (int i = 0; i < N_JOBS; i++) s.costs[i] = 2;
        for (int i = 0; i < 2; i++) s.workers[i] = (sim_worker){ .step_seconds = 0.0002, .capacity = 32 };
        seconds[p] = run(&s);
    }
    printf("%d jobs of 2 steps: %.4f s, in turn %.4f s; jobs %d and %d\n", (int)N_JOBS, seconds[0], seconds[1], s.workers[0].n_done, s.workers[1].n_done);
    CHECK(seconds[1] <= 2 * seconds[0]);
    CHECK(s.workers[0].n_done - s.workers[1].n_done <= 50 && s.workers[1].n_done - s.workers[0].n_done <= 50);
}

/* Whatever is known of the workers, a job that waits is for one of them, idle or not; and an idle one that nothing is known of takes it. */
static void test_somebody_takes(void)
{
    uint64_t random = 99;
    for (int n = 0; n < 100000; n++) {
        trdi_worker_view w[4] = { { .kind = 0 } };
        trdi_policy_view view = { .n_queued = 1, .n_workers = 4, .workers = w };
        uint64_t bits = random = random * 6364136223846793005u + 1442695040888963407u;
        bits ^= bits >> 29;
        const int64_t cost = 1 + (int64_t)(bits % 50);
        view.cost_queued = view.cost_unfinished = cost * (1 + (int64_t)(bits / 50 % 3));
        view.n_unfinished = 1;
        const int retired = (int)(bits >> 40 & 7);
        for (int i = 0; i < 4; i++) {
            bits = bits * 6364136223846793005u + 1;
            w[i].retired = i == retired;
            w[i].n_running = (int64_t)(bits >> 60) % 4;
            w[i].n_turns = (int64_t)(bits >> 35) % 40;
            w[i].full = (bits >> 45) % 4 == 0;
            w[i].cost_running = w[i].n_running * (int64_t)(1 + (bits >> 50) % 30);
            w[i].speed = (bits >> 20) % 4 == 0 ? 0 : (double)(1 + (bits >> 30) % 100);
            w[i].latency = (double)((bits >> 24) % 4) / 10;
            view.n_unfinished += w[i].n_running;
            view.cost_unfinished += w[i].cost_running;
        }
        for (int32_t p = 0; p < trdi_n_policies; p++) {
            bool taken = false;
            for (int i = 0; i < 4; i++) taken = taken || (!w[i].retired && asked(trdi_policies[p].name, &view, i, cost));
            CHECK(taken);
        }
    }
    trdi_worker_view strangers[2] = { { .kind = 0, .speed = 1000, .cost_running = 3, .n_running = 3 }, { .kind = 1 } };
    const trdi_policy_view view = { .n_queued = 100, .cost_queued = 100, .n_unfinished = 103, .cost_unfinished = 103, .n_workers = 2, .workers = strangers };
    CHECK(asked("throughput", &view, 1, 1));
    strangers[1].n_running = strangers[1].cost_running = 4; /* but few, as it may be slow */
    CHECK(!asked("throughput", &view, 1, 1));
}

static void test_names(void)
{
    CHECK_INT(trdi_n_policies, 3);
    CHECK(trdi_policy_find(NULL) == &trdi_policies[0] && trdi_policy_find("") == &trdi_policies[0]);
    CHECK_STRING(trdi_policy_find(NULL)->name, "throughput");
    for (int32_t i = 0; i < trdi_n_policies; i++) {
        CHECK(trdi_policy_find(trdi_policies[i].name) == &trdi_policies[i]);
        CHECK(trdi_policies[i].about[0] != '\0');
    }
    CHECK(trdi_policy_find("roundrobin") == NULL);
}

int main(void)
{
    test_throughput();
    test_latency();
    test_round_robin();
    test_turns_and_batches();
    test_somebody_takes();
    test_names();
    return 0;
}
