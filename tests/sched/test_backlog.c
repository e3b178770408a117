/* test_backlog.c: backlog and deadlines beside plain arrays that do the same, with random operations. */
#include "check.h"
#include "sched/backlog.h"
#include "sched/deadlines.h"

enum { N = 200, OPERATIONS = 200000 };

static uint64_t random_state = 7;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static bool comes_before(const trdi_job *a, const trdi_job *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->sequence < b->sequence;
}

/* The whole backlog in order is what the flags say. */
static void check_backlog(const trdi_backlog *backlog, const trdi_job *jobs, const bool *inside)
{
    int64_t n = 0, cost = 0;
    const trdi_job *before = NULL;
    for (const trdi_job *job = trdi_backlog_first(backlog); job != NULL; job = trdi_backlog_after(backlog, job)) {
        CHECK(inside[job - jobs]);
        if (before != NULL) CHECK(comes_before(before, job));
        before = job;
        n++;
        cost += trdi_job_cost(job);
    }
    int64_t wanted = 0;
    for (int i = 0; i < N; i++) wanted += inside[i];
    CHECK_INT(n, wanted);
    CHECK_INT(backlog->n, n);
    CHECK_INT(backlog->cost, cost);
}

static void test_backlog(void)
{
    static trdi_job jobs[N];
    static bool inside[N], was_in[N];
    trdi_backlog backlog = { .n = 0 };
    uint64_t sequence = 0;
    for (int k = 0; k < OPERATIONS; k++) {
        const uint32_t i = next_random() % N;
        trdi_job *const job = &jobs[i];
        if (inside[i]) {
            trdi_backlog_remove(&backlog, job);
            was_in[i] = true;
        } else if (was_in[i] && next_random() % 2 == 0) {
            trdi_backlog_put_back(&backlog, job); /* keeps its sequence */
        } else {
            *job = (trdi_job){ .priority = (int32_t)(next_random() % 17) - 8, .cost = next_random() % 5, .sequence = sequence++ };
            trdi_backlog_append(&backlog, job);
        }
        inside[i] = !inside[i];
        if (k % 100 == 0) check_backlog(&backlog, jobs, inside);
    }
    for (trdi_job *job; (job = trdi_backlog_first(&backlog)) != NULL;) trdi_backlog_remove(&backlog, job);
    CHECK_INT(backlog.n, 0);
    CHECK_INT(backlog.cost, 0);
}

static void test_deadlines(void)
{
    static trdi_job jobs[N];
    static bool inside[N];
    trdi_deadlines deadlines = { .first = NULL };
    for (int k = 0; k < OPERATIONS; k++) {
        const uint32_t i = next_random() % N;
        if (inside[i]) {
            trdi_deadlines_remove(&deadlines, &jobs[i]);
        } else {
            jobs[i].deadline_ns = 1 + next_random() % 1000;
            trdi_deadlines_insert(&deadlines, &jobs[i]);
        }
        inside[i] = !inside[i];
        int64_t first = INT64_MAX;
        for (int j = 0; j < N; j++)
            if (inside[j] && jobs[j].deadline_ns < first) first = jobs[j].deadline_ns;
        CHECK_INT(deadlines.first != NULL ? deadlines.first->deadline_ns : INT64_MAX, first);
    }
    int64_t last = 0;
    for (; deadlines.first != NULL;) {
        trdi_job *const job = deadlines.first;
        CHECK(job->deadline_ns >= last && inside[job - jobs]);
        last = job->deadline_ns;
        inside[job - jobs] = false;
        trdi_deadlines_remove(&deadlines, job);
    }
    for (int i = 0; i < N; i++) CHECK(!inside[i]);
}

int main(void)
{
    test_backlog();
    test_deadlines();
    return 0;
}
