/*
 * sched.h: jobs, the backlog, and workers over an executor table. Knows no model: an executor that only sleeps tests it.
 *
 * A job is embedded in what the executor understands. Its life: NEW -> ENTERING (its submission waits for room) -> QUEUED (in the backlog)
 * -> RUNNING (admitted by an executor) -> DONE, with a status and text; back to QUEUED when it was refused or its worker's device failed.
 * A worker is one thread: it admits jobs while its executor accepts them, then steps.
 *
 * Locks: a call's mutex, then the scheduler's, and only trdi_job_cancel() holds both. No executor function and no callback runs under any.
 */
#ifndef TRDI_SCHED_H
#define TRDI_SCHED_H

#include <stdatomic.h>

#include "core/status.h"
#include "core/threads.h"

typedef enum trdi_job_state { TRDI_JOB_NEW, TRDI_JOB_ENTERING, TRDI_JOB_QUEUED, TRDI_JOB_RUNNING, TRDI_JOB_DONE } trdi_job_state;

typedef struct trdi_scheduler trdi_scheduler;
struct trdi_job;

/** Why a job of a call failed. */
typedef struct trdi_call_text {
    struct trdi_call_text *next;
    char text[];
} trdi_call_text;

/** Shared by the jobs of one call: what the calling thread waits on. */
typedef struct trdi_call {
    trdi_mutex  mutex;         /**< guards everything below, the ended flag of its jobs, and the events of the owner */
    trdi_cond   changed;       /**< a job ended, or trdi_call_notify() */
    int64_t     n_pending;
    uint64_t    n_notified;    /**< counts trdi_call_notify() */
    trdi_call_text *texts;     /**< errors of its jobs; owned */
    /**
     * NULL, or called once for each job after it is DONE and counted, on the thread that ended it, without locks. Must be short, and not call
     * the scheduler. With it the owner must keep call and job until it returns, for which it holds a reference of its own per job; without it
     * both may go as soon as n_pending is 0.
     */
    void      (*ended)(struct trdi_call *call, struct trdi_job *job);
    /** NULL, or called by trdi_call_notify() after all else, without locks, on the thread of a job that is not DONE. Must be short. */
    void      (*notified)(struct trdi_call *call);
} trdi_call;
trd_status trdi_call_init(trdi_call *call);
/** Frees the errors of its jobs, too. */
void trdi_call_destroy(trdi_call *call);
/** Wake whoever waits on the call (an executor has put an event where the owner will look). */
void trdi_call_notify(trdi_call *call);

/** Priorities of jobs: higher ones are taken first. */
enum { TRDI_MIN_PRIORITY = -8, TRDI_MAX_PRIORITY = 8 };

/** Embedded, first member or not, in the executor's own job. Zero-initialise, then set call and what else is wanted. A job runs once. */
typedef struct trdi_job {
    trdi_call      *call;      /**< borrowed until the job is DONE (see trdi_call.ended), and during trdi_job_cancel() */
    int32_t         priority;  /**< TRDI_MIN_PRIORITY .. TRDI_MAX_PRIORITY; 0 */
    int64_t         deadline_ns; /**< of trdi_now_ns(); 0 = none. Past it the job ends with TRD_E_TIMEOUT: at once in the backlog, else within a step */
    int64_t         cost;      /**< estimate of the work in any one unit, such as tokens; 0 counts as 1. What speeds are measured in */
    struct trdi_job *next, *previous; /**< private to the scheduler, and to the executor while RUNNING */
    struct {
        struct trdi_job *child, *next, *previous;
    } heap;                    /**< private: among the deadlines of waiting jobs */
    struct trdi_entrance *entrance; /**< private: the thread that waits for its room, while ENTERING; NULL if none does */
    trdi_scheduler *scheduler; /**< private; guarded by the call's mutex; NULL before submission and once DONE */
    uint64_t        sequence;  /**< private: place in the order of submission */
    int64_t         submitted_ns, admitted_ns; /**< private to the scheduler: when, by trdi_now_ns() */
    int64_t         declined_ns; /**< private: since when it has been first in the backlog and left to another worker; 0 = not */
    int32_t         state;     /**< trdi_job_state; guarded by the scheduler's mutex, except that the owner may read it after the call ended */
    int32_t         worker;    /**< private: that runs it */
    int32_t         n_attempts;/**< private: times that a worker failed with it */
    uint64_t        failed_on; /**< private: bit w: worker w, modulo 64, failed with it */
    bool            refused;   /**< private: a worker had no room for it */
    bool            ended;     /**< guarded by the call's mutex: status and error are valid */
    atomic_bool     cancel;    /**< set by trdi_job_cancel(); executors look at it between steps */
    trd_status      status;    /**< valid once DONE */
    const char     *error;     /**< valid once DONE: never NULL, "" also for want of memory; constant or the call's, until trdi_call_destroy() */
} trdi_job;

/** What an executor learns when it is made. Constant; lives as long as it. */
typedef struct trdi_worker_info {
    int32_t      index;
    const char  *name;         /**< of its device: "cpu:0" */
    atomic_bool *abort;        /**< set when everything that runs is to end at once: to be polled inside of steps */
} trdi_worker_info;

/** What a worker drives. All functions run on the worker's thread. */
typedef struct trdi_executor_ops {
    /**
     * Take a job, or leave it (*accepted = false) because there is no room now; an executor without jobs has room. An error fails
     * the job alone. The executor may complete the job here already, and then says that it accepted it.
     */
    trd_status (*admit)(void *executor, trdi_job *job, bool *accepted);
    /**
     * Advance all admitted jobs by one step; end jobs through trdi_job_complete(). TRD_E_DEVICE: the device failed, the executor is closed
     * and its jobs go to other workers. Another error fails all admitted jobs (evict).
     */
    trd_status (*step)(void *executor);
    /** Number of admitted jobs that have not completed. */
    int64_t (*n_active)(const void *executor);
    /** After a failed step: complete every admitted job with this status and text. The executor must be usable afterwards. */
    void (*evict)(void *executor, trd_status status, const char *text);
    /** Forget every admitted job, undone as if it had never been admitted, and hand each to give. The executor is closed next. */
    void (*release)(void *executor, void (*give)(void *context, trdi_job *job), void *context);
    void (*close)(void *executor);
} trdi_executor_ops;

/** Workers of one scheduler. */
enum { TRDI_MAX_WORKERS = 1024 };

typedef struct trdi_worker_setup {
    const trdi_executor_ops *ops;
    /** Make the executor, on the worker's thread. Called again after its device failed. */
    trd_status (*open)(void *context, const trdi_worker_info *worker, void **executor);
    void   *context;           /**< borrowed until trdi_scheduler_destroy() */
    int32_t n_workers;         /**< 1 .. TRDI_MAX_WORKERS */
    const char *const *names;  /**< [n_workers] of their devices, borrowed likewise; NULL = "" */
    int64_t max_queued;        /**< 0 = unbounded; else the submitting thread blocks while so many jobs wait */
    const struct trdi_policy *policy; /**< NULL = the first of trdi_policies */
} trdi_worker_setup;

/** Start the workers; waits until every executor is open; the first failure is returned with its text. */
trd_status trdi_scheduler_create(const trdi_worker_setup *setup, trdi_scheduler **out);

/** What becomes of work at the end. */
typedef enum trdi_ending {
    TRDI_DRAIN,                /**< what waits or is being submitted runs to its end */
    TRDI_CANCEL                /**< it ends with TRD_E_CANCELLED, what runs too, within a step */
} trdi_ending;
/** Stop, join, free. NULL does nothing. Not from a worker's thread. */
void trdi_scheduler_destroy(trdi_scheduler *scheduler, trdi_ending ending);
/** Begin TRDI_CANCEL without waiting for the workers: no new job gets in. Any thread; trdi_scheduler_destroy() must follow. */
void trdi_scheduler_stop(trdi_scheduler *scheduler);
/**
 * After trdi_scheduler_stop(): wait for the scheduler's threads to end, and join them. Not beside trdi_scheduler_destroy(), which may follow.
 * @param deadline_ns  of trdi_now_ns()  @return false when some run still: none was joined
 */
bool trdi_scheduler_join(trdi_scheduler *scheduler, int64_t deadline_ns);

/** What to do when the backlog has no room. */
typedef enum trdi_when_full {
    TRDI_WHEN_FULL_BLOCK,
    TRDI_WHEN_FULL_REFUSE,
    TRDI_WHEN_FULL_LINE_UP     /**< jobs stand in line for room as those of blocked threads do, in the same order, and nobody waits: for who bounds their
                                    number himself */
} trdi_when_full;

/**
 * Put n jobs into the backlog, in order; while it is full this blocks, refuses them all, or leaves them in line. jobs[i]->call->n_pending grows by one each, before the
 * first of them can run. A job cancelled before it found room ends with TRD_E_CANCELLED. Never waits for a computing worker but for room.
 *
 * @return TRD_OK; TRD_E_INVALID for a priority out of range, TRD_E_STATE when the scheduler is being destroyed, TRD_E_BUSY when refused,
 *         TRD_E_RANGE when they always would be, as more than may ever wait, TRD_E_DEVICE when every worker's device has failed (with the
 *         reason), TRD_E_MEMORY when there are deadlines and no thread can be started to watch them: no job was touched
 */
trd_status trdi_scheduler_submit(trdi_scheduler *scheduler, trdi_job *const *jobs, size_t n, trdi_when_full when_full);
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

/** Jobs that wait in the backlog, and jobs submitted that have not ended: these, the running ones and those in line for room. */
void trdi_scheduler_counts(trdi_scheduler *scheduler, int64_t *queued, int64_t *active);

/** What a worker has done and does. */
typedef struct trdi_worker_counters {
    const char *name;          /**< of its device */
    int64_t n_running;         /**< jobs admitted */
    int64_t n_done;            /**< jobs that it ended, however */
    int64_t cost_done;         /**< of jobs that succeeded */
    int64_t busy_ns;           /**< in steps */
    double  speed;             /**< cost per second while busy, of late; 0 = not known */
    bool    retired;           /**< its device failed for good */
    char    reason[TRDI_ERROR_BYTES];
} trdi_worker_counters;
typedef struct trdi_scheduler_counters {
    int64_t n_queued, n_running, n_submitting;   /**< at this moment; submitting: jobs that stand in line for room */
    int64_t n_submitted, n_succeeded, n_failed, n_cancelled, n_expired, n_redone; /**< ever; redone: given to another worker */
} trdi_scheduler_counters;
void trdi_scheduler_get_counters(trdi_scheduler *scheduler, trdi_scheduler_counters *out);
void trdi_scheduler_get_worker_counters(trdi_scheduler *scheduler, int32_t worker, trdi_worker_counters *out);

#endif
