/*
 * policy.h: who takes the next job. A policy is a name and one function of what the scheduler knows of its workers; a new one is a line
 * in the table of policies.c and touches nothing else.
 */
#ifndef TRDI_POLICY_H
#define TRDI_POLICY_H

#include "sched/sched.h"

/** A worker as a policy sees it. */
typedef struct trdi_worker_view {
    int32_t kind;              /**< workers on devices of the same name have the same: they are alike, and so are speed and latency */
    int64_t n_running;         /**< jobs that it has */
    int64_t cost_running;      /**< of these */
    double  speed;             /**< cost per second; 0 = not known yet */
    double  latency;           /**< seconds from admission to end of a job per unit of its cost, of late; 0 = not known yet */
    bool    retired;           /**< takes no jobs: its device has failed, for good or for now */
    bool    full;              /**< it had no room for a job, and none of its jobs has ended since */
    int64_t n_turns;           /**< jobs that it took; less than those of all others, who are not full, only as far as it left them some */
} trdi_worker_view;

typedef struct trdi_policy_view {
    int64_t n_queued, cost_queued;      /**< the backlog, the job in question included */
    int64_t n_unfinished, cost_unfinished;
    int32_t n_workers;
    const trdi_worker_view *workers;    /**< [n_workers] */
} trdi_policy_view;

typedef struct trdi_policy {
    const char *name;
    const char *about;                  /**< one line, for help texts */
    /**
     * Should this worker, which is not retired, take the job at the head of the backlog now? Asked under the scheduler's lock, mostly by the worker
     * itself: idle, or between two steps. Not asked, and the job taken: by a worker that is the only one left, for a job that another one had no
     * room for or failed with, and when all are idle and none would take it.
     */
    bool (*should_take)(const trdi_policy_view *view, int32_t worker, const trdi_job *job);
    /** true: a job that is left to another worker waits for it. false: only for the time in which the worker that left it would have done it. */
    bool is_patient;
} trdi_policy;

/** All policies, the default first. */
extern const trdi_policy trdi_policies[];
extern const int32_t trdi_n_policies;
/** NULL or "" is the default; NULL if there is none of that name. */
const trdi_policy *trdi_policy_find(const char *name);

#endif
