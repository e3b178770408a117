/*
 * sched_private.h: what the files of the scheduler share: the scheduler itself, its workers, and who moves a job on.
 *
 *   sched_job.c      submission, cancel and end of jobs; sched_call.c: who waits for them
 *   sched_take.c     which worker takes what; jobs that come back; retired workers
 *   sched_worker.c   the loop of a worker's thread
 *   sched_timer.c    the thread that ends waiting jobs at their deadlines
 *   backlog.c, deadlines.c, policies.c, speed.c   data structures and rules, without locks
 */
#ifndef TRDI_SCHED_PRIVATE_H
#define TRDI_SCHED_PRIVATE_H

#include "sched/backlog.h"
#include "sched/deadlines.h"
#include "sched/policy.h"
#include "sched/sched.h"
#include "sched/speed.h"

/** A thread in trdi_scheduler_submit(), on its stack. */
typedef struct trdi_entrance {
    int64_t   n_entering;      /**< of its jobs; guarded by the scheduler's mutex */
    trdi_cond entered;         /**< they have entered the backlog or ended */
} trdi_entrance;

/** One thread and its executor. */
typedef struct trdi_worker {
    trdi_scheduler *scheduler;
    int32_t         index;
    trdi_thread     thread;
    trdi_worker_info info;
    /* The thread's own; status and error are handed over by n_opened. */
    void           *executor;
    trd_status      status;    /**< of opening the executor */
    char            error[TRDI_ERROR_BYTES]; /**< of that, and of the device's last failure */
    int32_t         n_failures;/**< of steps, since a job succeeded */
    /* Guarded by the scheduler's mutex. */
    trdi_recent     recent;    /**< of all workers of its kind, if it is their first */
    trdi_worker_counters counters;
    trdi_cond       wake;      /**< of its sleep: a job may be for it, or it is time to stop */
    bool            is_idle;   /**< sleeps for want of jobs */
    bool            is_woken;  /**< idle, and told to look: it has not looked yet */
    uint64_t        seen;      /**< state of things at which it found no job, when idle */
} trdi_worker;

struct trdi_scheduler {
    trdi_worker_setup setup;   /**< constant */

    trdi_mutex mutex;          /**< guards everything below up to the workers, and the state of every job */
    trdi_cond  opened;         /**< n_opened or n_ended changed */
    trdi_cond  timer;          /**< for the timer: the next deadline changed, or it is time to stop */
    trdi_backlog entering;     /**< jobs whose submission waits for room */
    trdi_backlog backlog;
    trdi_deadlines deadlines;  /**< of the jobs in both */
    uint64_t   n_sequenced;
    int64_t    n_offered;      /**< taken out of the backlog, and not yet accepted or refused: they keep their place */
    int64_t    n_unfinished, cost_unfinished; /**< submitted and not DONE */
    int64_t    n_submitting;   /**< threads inside trdi_scheduler_submit() */
    uint64_t   n_changes;      /**< of what decides who takes a job */
    int32_t    n_idle, n_woken;/**< workers that are */
    int32_t    n_usable;       /**< workers whose view is not retired */
    int32_t    n_retired;      /**< for good */
    int32_t    n_opened;       /**< workers whose executor is open or failed to */
    int32_t    n_ended;        /**< workers whose thread has nothing left to do */
    bool       joined;         /**< no thread is left */
    bool       closing;
    bool       timer_runs, timer_stops;
    atomic_bool abort;         /**< running steps are to end */
    trdi_scheduler_counters counters;  /**< those that only grow */
    char       reason[TRDI_ERROR_BYTES]; /**< of the last worker to retire */
    trdi_worker_view *views;   /**< [setup.n_workers] */

    trdi_mutex  timer_mutex;   /**< guards the start of the timer, before the scheduler's mutex */
    trdi_thread timer_thread;

    trdi_worker workers[];     /**< setup.n_workers; the array itself is constant */
};

/** Jobs that have ended and whose calls are still to learn of it, linked by next. */
typedef struct trdi_ended {
    trdi_job *first;
} trdi_ended;

/* sched_call.c */
/** Something of the call changed. Needs its mutex. */
void trdi_call_wake_locked(trdi_call *call);

/* sched_job.c. Functions that end in _locked need the scheduler's mutex, those that publish must not have it. */
extern const char trdi_cancelled_text[], trdi_expired_text[];
/** By its owner, or with all others. */
bool trdi_job_is_cancelled(const trdi_job *job);
/** Is it time to give a job up that waits? */
bool trdi_job_is_expired(const trdi_job *job);
/** Count a job as DONE. It must be in no list. */
void trdi_job_finish_locked(trdi_scheduler *scheduler, trdi_job *job, trd_status status);
/** End a job that is in no list: its status and text, which must stand until ended is published, counted, and into ended. */
void trdi_job_end_locked(trdi_scheduler *scheduler, trdi_job *job, trd_status status, const char *text, trdi_ended *ended);
/** Take a job that waits out of where it waits. */
void trdi_job_take_out_locked(trdi_scheduler *scheduler, trdi_job *job);
/** A job is in the backlog again. */
void trdi_job_wait_again_locked(trdi_scheduler *scheduler, trdi_job *job);
/** Take every job that waits out and end it. Lets the mutex go at times, and publishes then; no other may come to wait any more. */
void trdi_end_waiting_locked(trdi_scheduler *scheduler, trd_status status, const char *text, trdi_ended *ended);
/** Let jobs into the backlog for which there is room now. */
void trdi_let_in_locked(trdi_scheduler *scheduler);
/** Calls learn of the ends of their jobs. Scheduler, jobs and calls may be gone afterwards. */
void trdi_publish_ended(trdi_ended *ended);

/* sched_take.c */
/** Before the first worker starts. */
void trdi_views_init(trdi_scheduler *scheduler);
/**
 * Take the job that this worker should run now; it becomes RUNNING and is offered.
 *
 * @param n_active  jobs that the worker has; with 0 the call waits
 * @return NULL: step the jobs there are, or, with n_active = 0, stop
 */
trdi_job *trdi_worker_take(trdi_worker *worker, int64_t n_active);
/** The offered job was accepted or has failed: its place is free. The job itself may be gone. */
void trdi_worker_took(trdi_worker *worker);
/** The offered job was refused: it waits again where it was, or ends if it was cancelled meanwhile. */
void trdi_worker_refused(trdi_worker *worker, trdi_job *job);
/** The worker's device failed with these jobs, linked by next: each is done again by another worker, or ends with the reason. */
void trdi_worker_failed(trdi_worker *worker, trdi_job *jobs);
/** It can take jobs again. */
void trdi_worker_recovered(trdi_worker *worker);
/** It never will; the last worker takes all waiting jobs with it. The reason is in worker->error. */
void trdi_worker_retired(trdi_worker *worker);
/**
 * Something has changed that decides who takes a job, and jobs wait: as many idle workers look as there are jobs, those first that would take one.
 * One that takes none wakes the next that has not looked since.
 */
void trdi_wake_for_jobs_locked(trdi_scheduler *scheduler);
/** All workers look whether it is time to stop. */
void trdi_wake_all_locked(trdi_scheduler *scheduler);
/** Is there nothing left to do, for ever? Needs the scheduler's mutex. */
bool trdi_is_over_locked(const trdi_scheduler *scheduler);
/** A job of the worker ended: what it tells of its speed. Needs the scheduler's mutex. */
void trdi_worker_note_end_locked(trdi_scheduler *scheduler, const trdi_job *job, trd_status status);
void trdi_worker_note_step(trdi_worker *worker, int64_t ns);

/* sched_timer.c */
/** Jobs with deadlines come: the thread that watches them must run. */
trd_status trdi_timer_need(trdi_scheduler *scheduler);
/** Once no job waits any more. */
void trdi_timer_stop(trdi_scheduler *scheduler);

/* sched_worker.c */
/** Thread function of a worker. */
void *trdi_worker_main(void *worker);

#endif
