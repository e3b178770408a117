/*
 * policy.h: who takes the next job. A policy is a name and one function of what the scheduler knows of its workers; a new one is a line
 * in the table of policies.c and touches nothing else.
 */
#ifndef TRDI_POLICY_H
#define TRDI_POLICY_H

#include "sched/sched.h"

/** A worker as a policy sees it. */
typedef struct trdi_worker_view {
    int64_t n_running;         /**< jobs that it has */
    int64_t cost_running;      /**< of these */
    double  speed;             /**< cost per second; 0 = not known yet */
    double  latency;           /**< seconds from admission to end of a job, of late; 0 = not known yet */
    bool    retired;
} trdi_worker_view;

typedef struct trdi_policy_view {
    int64_t n_queued, cost_queued;      /**< the backlog, the job in question included */
    int64_t n_unfinished, cost_unfinished;
    int64_t n_taken;                    /**< jobs ever taken */
    int32_t n_workers;
    const trdi_worker_view *workers;    /**< [n_workers] */
} trdi_policy_view;

typedef struct trdi_policy {
    const char *name;
    const char *about;                  /**< one line, for help texts */
    /**
     * Should this worker take the job at the head of the backlog now? Asked under the scheduler's lock by the worker itself: idle, or between two
     * steps. If all workers are idle one of them is given the job whatever the answer.
     */
    bool (*should_take)(const trdi_policy_view *view, int32_t worker, const trdi_job *job);
} trdi_policy;

/** All policies, the default first. */
extern const trdi_policy trdi_policies[];
extern const int32_t trdi_n_policies;
/** NULL or "" is the default; NULL if there is none of that name. */
const trdi_policy *trdi_policy_find(const char *name);

#endif
