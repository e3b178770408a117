/*
 * policies.c: the policies. They compare workers by when they would end a job: a worker is taken to advance all its jobs at once, so that it ends
 * the last of them, this job perhaps, after all their cost at its speed, and no sooner than its jobs take of late.
 */
#include "sched/policy.h"

#include <stddef.h>
#include <string.h>

#include "sched/backlog.h"

/** Turns that a worker may be ahead of one that is inside of a step: without them all would wait for it, each with few jobs at once. */
#define TURNS_AHEAD 16

/** Jobs at once that a worker gets whose speed nobody knows, beside workers of other kinds. */
#define CAUTIOUS_JOBS 4

/* Its own speed, or what is likely: the mean of those known. */
static double speed_of(const trdi_policy_view *view, int32_t worker)
{
    if (view->workers[worker].speed > 0) return view->workers[worker].speed;
    double sum = 0, n = 0;
    for (int32_t i = 0; i < view->n_workers; i++) {
        if (!(view->workers[i].speed > 0)) continue;
        sum += view->workers[i].speed;
        n += 1;
    }
    return n > 0 ? sum / n : 1;
}

/* Seconds until the worker would end the job and all that it has. */
static double end_of(const trdi_policy_view *view, int32_t worker, int64_t cost)
{
    const trdi_worker_view *const w = &view->workers[worker];
    const double busy = (double)(w->cost_running + cost) / speed_of(view, worker);
    const double alone = w->latency * (double)cost;
    return busy > alone ? busy : alone;
}

/* Would no other worker end the job earlier? */
static bool is_first_to_end(const trdi_policy_view *view, int32_t worker, int64_t cost)
{
    const double own = end_of(view, worker, cost);
    for (int32_t i = 0; i < view->n_workers; i++)
        if (i != worker && !view->workers[i].retired && end_of(view, i, cost) < own) return false;
    return true;
}

/* Is it unknown how the worker compares with others of another kind? */
static bool is_stranger(const trdi_policy_view *view, int32_t worker)
{
    const int32_t kind = view->workers[worker].kind;
    if (view->workers[worker].speed > 0) return false;
    for (int32_t i = 0; i < view->n_workers; i++)
        if (view->workers[i].kind != kind && !view->workers[i].retired) return true;
    return false;
}

/*
 * A worker takes a job if it would be done no later than the others with all the rest: so it comes to have its share of the work by speed, and
 * workers of any speeds end together. The one that would be first to end a job may always have it.
 */
static bool take_for_throughput(const trdi_policy_view *view, int32_t worker, const trdi_job *job)
{
    const trdi_worker_view *const own = &view->workers[worker];
    if (is_stranger(view, worker) && own->n_running >= CAUTIOUS_JOBS) return false;
    const int64_t cost = trdi_job_cost(job);
    double others = 0;
    for (int32_t i = 0; i < view->n_workers; i++)
        if (i != worker && !view->workers[i].retired) others += speed_of(view, i);
    const double rest = (double)(view->cost_unfinished - own->cost_running);
    return end_of(view, worker, cost) * others <= rest || is_first_to_end(view, worker, cost);
}

static bool take_for_latency(const trdi_policy_view *view, int32_t worker, const trdi_job *job)
{
    return is_first_to_end(view, worker, trdi_job_cost(job));
}

static bool take_in_turn(const trdi_policy_view *view, int32_t worker, const trdi_job *job)
{
    (void)job;
    const int64_t own = view->workers[worker].n_turns;
    for (int32_t i = 0; i < view->n_workers; i++) {
        const trdi_worker_view *const other = &view->workers[i];
        if (other->retired || other->full) continue;
        if (own > other->n_turns + (other->n_running > 0 ? TURNS_AHEAD : 0)) return false;
    }
    return true;
}

const trdi_policy trdi_policies[] = {
    { "throughput", "workers take shares by measured speed, and end together", take_for_throughput, false },
    { "latency", "each job goes to the worker that would end it first", take_for_latency, false },
    { "round-robin", "jobs go to the workers in turn", take_in_turn, true },
};
const int32_t trdi_n_policies = (int32_t)(sizeof trdi_policies / sizeof trdi_policies[0]);

const trdi_policy *trdi_policy_find(const char *name)
{
    if (name == NULL || name[0] == '\0') return &trdi_policies[0];
    for (int32_t i = 0; i < trdi_n_policies; i++)
        if (strcmp(name, trdi_policies[i].name) == 0) return &trdi_policies[i];
    return NULL;
}
