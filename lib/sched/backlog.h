/*
 * backlog.h: jobs that wait, first the highest priority, then the oldest. Linked through the jobs themselves, so that nothing allocates; append,
 * first and remove take constant time. Its user holds the lock.
 */
#ifndef TRDI_BACKLOG_H
#define TRDI_BACKLOG_H

#include "sched/sched.h"

typedef struct trdi_backlog {
    struct {
        trdi_job *first, *last;
    } lines[TRDI_MAX_PRIORITY - TRDI_MIN_PRIORITY + 1]; /**< one per priority, by sequence */
    int64_t n;
    int64_t cost;              /**< of all */
} trdi_backlog;

/** A job's estimate of its work, at least 1. */
static inline int64_t trdi_job_cost(const trdi_job *job) { return job->cost > 0 ? job->cost : 1; }

/** Put a job in that is newer than all others of its priority. */
void trdi_backlog_append(trdi_backlog *backlog, trdi_job *job);
/** Put a job in where its sequence belongs: constant time if it is older than all others of its priority. */
void trdi_backlog_put_back(trdi_backlog *backlog, trdi_job *job);
void trdi_backlog_remove(trdi_backlog *backlog, trdi_job *job);
/** The job whose turn it is; NULL when there is none. */
trdi_job *trdi_backlog_first(const trdi_backlog *backlog);
/** The one after job; NULL when it is the last. */
trdi_job *trdi_backlog_after(const trdi_backlog *backlog, const trdi_job *job);

#endif
