/*
 * sleepy_executor.h: an executor without a model. A job lasts a number of steps, a step sleeps; what it does wrong is set per job or
 * per executor. One sleepy_plan serves all workers of a scheduler and counts what they do.
 */
#ifndef TRD_TESTS_SLEEPY_EXECUTOR_H
#define TRD_TESTS_SLEEPY_EXECUTOR_H

#include "sched/sched.h"

typedef struct sleepy_job {
    trdi_job job;
    int      n_steps;          /* before it ends; 0 ends it in admit */
    bool     fail_admit, fail_step;
    bool     only_alone;       /* refused by an executor that runs something */
    atomic_bool gate_open;     /* with gated: does not advance before this is set */
    bool     gated;
    int      n_done;           /* steps so far */
    int      order;            /* of admission, over all workers */
    int      worker;
} sleepy_job;

typedef struct sleepy_plan {
    int64_t capacity;          /* jobs per executor */
    int64_t capacity_of_first; /* that of worker 0, where it differs; 0 = it does not */
    int64_t step_us;
    int     fail_open;         /* index of a worker that cannot open, -1 = none */
    bool    impossible;        /* refuses everything */
    unsigned broken;           /* bit w: every step of worker w fails */
    bool    fail_reopen;       /* an executor that was closed cannot be opened again */
    atomic_int n_open, n_closed, n_steps, n_admitted, n_evicted, n_released, max_active;
} sleepy_plan;

extern const trdi_executor_ops sleepy_ops;

trd_status sleepy_open(void *plan, const trdi_worker_info *info, void **executor);
trd_status sleepy_scheduler(sleepy_plan *plan, int32_t n_workers, int64_t max_queued, trdi_scheduler **out);

#endif
