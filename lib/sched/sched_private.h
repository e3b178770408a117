/*
 * sched_private.h: what the files of the scheduler share: the scheduler itself, its workers, and the backlog.
 * Order of locks: a call's mutex before the scheduler's.
 */
#ifndef TRDI_SCHED_PRIVATE_H
#define TRDI_SCHED_PRIVATE_H

#include "sched/sched.h"

/** One thread and its executor. Fields are the thread's own; status and error are handed over by n_opened. */
typedef struct trdi_worker {
    trdi_scheduler *scheduler;
    int32_t         index;
    trdi_thread     thread;
    trdi_worker_info info;
    void           *executor;
    trd_status      status;    /**< of opening the executor */
    char            error[TRDI_ERROR_BYTES];
} trdi_worker;

struct trdi_scheduler {
    trdi_worker_setup setup;   /**< constant */

    trdi_mutex mutex;          /**< guards everything below up to the workers, and the state of every job */
    trdi_cond  work;           /**< for idle workers: a job waits, or it is time to stop */
    trdi_cond  space;          /**< for submitting threads: the backlog has room, or a job was cancelled */
    trdi_cond  opened;         /**< n_opened changed */
    trdi_job  *head, *tail;    /**< the backlog, by sequence */
    uint64_t   n_sequenced;
    int64_t    n_queued;       /**< in the backlog */
    int64_t    n_offered;      /**< taken out of it, and not yet accepted or refused: they keep their place */
    int64_t    n_unfinished;   /**< submitted and not DONE */
    int64_t    n_submitting;   /**< threads inside trdi_scheduler_submit() */
    int32_t    n_opened;       /**< workers whose executor is open or failed to */
    bool       closing;
    atomic_bool abort;         /**< running steps are to end */

    trdi_worker workers[];     /**< setup.n_workers; the array itself is constant */
};

/** Something of the call changed. Needs its mutex. */
void trdi_call_wake_locked(trdi_call *call);

/** Thread function of a worker. */
void *trdi_worker_main(void *worker);

/**
 * Take the oldest job that this worker should run now; it becomes RUNNING and is offered.
 *
 * @param n_active  jobs that the worker has; with 0 the call waits
 * @return NULL: step the jobs there are, or, with n_active = 0, stop
 */
trdi_job *trdi_backlog_take(trdi_scheduler *scheduler, int64_t n_active);
/** The offered job was accepted or has failed: its place is free. The job itself may be gone. */
void trdi_backlog_taken(trdi_scheduler *scheduler);
/** End every waiting job with TRD_E_CANCELLED. */
void trdi_backlog_cancel_all(trdi_scheduler *scheduler);
/** The offered job was refused: it waits again where it was, or ends if it was cancelled meanwhile. */
void trdi_backlog_put_back(trdi_scheduler *scheduler, trdi_job *job);

#endif
