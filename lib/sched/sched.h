/*
 * sched.h: jobs, the backlog, and workers over an executor table. Knows no model: an executor that only sleeps tests it.
 *
 * A job is embedded in what the executor understands. Its life: NEW -> QUEUED (in the backlog) -> RUNNING (admitted by an executor)
 * -> DONE, with a status and text. A worker is one thread: it admits jobs while its executor accepts them, then steps.
 *
 * Locks: a call's mutex, then the scheduler's, and only trdi_job_cancel() holds both. No executor function runs under either.
 */
#ifndef TRDI_SCHED_H
#define TRDI_SCHED_H

#include <stdatomic.h>

#include "core/status.h"
#include "core/threads.h"

typedef enum trdi_job_state { TRDI_JOB_NEW, TRDI_JOB_QUEUED, TRDI_JOB_RUNNING, TRDI_JOB_DONE } trdi_job_state;

typedef struct trdi_scheduler trdi_scheduler;

/** Shared by the jobs of one call: what the calling thread waits on. */
typedef struct trdi_call {
    trdi_mutex mutex;          /**< guards everything below and the events of the owner */
    trdi_cond  changed;        /**< a job ended, or trdi_call_notify() */
    int64_t    n_pending;
    uint64_t   n_notified;     /**< counts trdi_call_notify() */
} trdi_call;
trd_status trdi_call_init(trdi_call *call);
void trdi_call_destroy(trdi_call *call);
/** Wake whoever waits on the call (an executor has put an event where the owner will look). */
void trdi_call_notify(trdi_call *call);

/** Embedded, first member or not, in the executor's own job. Zero-initialise, then set call. A job runs once. */
typedef struct trdi_job {
    trdi_call      *call;      /**< borrowed until the job is DONE, and during trdi_job_cancel() */
    struct trdi_job *next;     /**< private to the scheduler, and to the executor while RUNNING */
    trdi_scheduler *scheduler; /**< private; guarded by the call's mutex; NULL before submission and once DONE */
    uint64_t        sequence;  /**< private: place in the order of submission */
    int32_t         state;     /**< trdi_job_state; guarded by the scheduler's mutex, except that the owner may read it after the call ended */
    bool            refused;   /**< private: a worker had no room for it */
    atomic_bool     cancel;    /**< set by trdi_job_cancel(); executors look at it between steps */
    trd_status      status;    /**< valid once DONE */
    char            error[TRDI_ERROR_BYTES];
} trdi_job;

/** What a worker drives. All functions run on the worker's thread. */
typedef struct trdi_executor_ops {
    /**
     * Take a job, or leave it (*accepted = false) because there is no room now; an executor without jobs has room. An error fails
     * the job alone. The executor may complete the job here already, and then says that it accepted it.
     */
    trd_status (*admit)(void *executor, trdi_job *job, bool *accepted);
    /** Advance all admitted jobs by one step; end jobs through trdi_job_complete(). An error fails all admitted jobs (evict). */
    trd_status (*step)(void *executor);
    /** Number of admitted jobs that have not completed. */
    int64_t (*n_active)(const void *executor);
    /** After a failed step: complete every admitted job with this status and text. The executor must be usable afterwards. */
    void (*evict)(void *executor, trd_status status, const char *text);
    void (*close)(void *executor);
} trdi_executor_ops;

typedef struct trdi_worker_setup {
    const trdi_executor_ops *ops;
    /** Make the executor, on the worker's thread. */
    trd_status (*open)(void *context, int32_t worker, void **executor);
    void   *context;           /**< borrowed until trdi_scheduler_destroy() */
    int32_t n_workers;         /**< >= 1 */
    int64_t max_queued;        /**< 0 = unbounded; else the submitting thread blocks while so many jobs wait */
} trdi_worker_setup;

/** Start the workers; waits until every executor is open; the first failure is returned with its text. */
trd_status trdi_scheduler_create(const trdi_worker_setup *setup, trdi_scheduler **out);
/** Run everything that waits or is being submitted, stop, join. NULL does nothing. Not from a worker's thread. */
void trdi_scheduler_destroy(trdi_scheduler *scheduler);

/**
 * Put n jobs into the backlog, in order; blocks while it is full. jobs[i]->call->n_pending grows by one each, before the first of
 * them can run. A job cancelled before it found room ends with TRD_E_CANCELLED.
 *
 * @return TRD_OK; TRD_E_STATE when the scheduler is being destroyed: no job was touched
 */
trd_status trdi_scheduler_submit(trdi_scheduler *scheduler, trdi_job *const *jobs, size_t n);
/** Ask for the job's end: waiting jobs end at once with TRD_E_CANCELLED, running ones within a step. Any thread, any state, the scheduler gone too. */
void trdi_job_cancel(trdi_job *job);
/**
 * Called by executors, on the worker's thread: the job is over. text NULL or "" = no text. Decrements counts before it publishes;
 * the job may be freed by its owner before this returns.
 */
void trdi_job_complete(trdi_job *job, trd_status status, const char *text);
/**
 * Wait until every job of the call is DONE or *n_notified differs from the call's count (then it is updated).
 *
 * @param n_notified  NULL waits for the jobs alone
 * @return true when all are done; the call may then be destroyed
 */
bool trdi_call_wait(trdi_call *call, uint64_t *n_notified);

/** Jobs that wait in the backlog, and jobs submitted that have not ended: these, the running ones and those whose submission blocks. */
void trdi_scheduler_counts(trdi_scheduler *scheduler, int64_t *queued, int64_t *active);

#endif
