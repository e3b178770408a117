/*
 * engine_rig.h: jobs on an engine behind a scheduler of one worker, with the test between the two: it may act before each step and has a
 * second engine to which the jobs go when the first one's device fails. Models come from nn/tiny_model.h.
 */
#ifndef TRD_TESTS_ENGINE_RIG_H
#define TRD_TESTS_ENGINE_RIG_H

#include "check.h"
#include "core/threads.h"
#include "decode/decode.h"

/** What a job does. */
typedef enum rig_kind { RIG_GREEDY, RIG_BEAM, RIG_SAMPLES, RIG_ALTERNATIVES, RIG_LOCKSTEP, RIG_EVENTS, RIG_SCORE, RIG_N_KINDS } rig_kind;
extern const char *const rig_kind_names[RIG_N_KINDS];

enum { RIG_MAX_JOBS = 512 };

typedef struct rig rig;
/** Called on the worker's thread. @param n  steps before this one */
typedef void rig_hook(rig *r, int64_t n);

struct rig {
    trd_model    *model;
    trdi_device   device;
    trdi_network *network;
    trdi_engine_setup setup;
    trdi_scheduler *scheduler;
    atomic_bool   abort;            /**< of the worker */
    rig_hook     *before_step;
    void         *context;          /**< of the hook */
    rig          *second;           /**< where jobs go when the device fails: its scheduler stays unused */
    int64_t       n_steps, n_moved; /**< moved: jobs given to the second */
    void         *engine;           /**< before the step: a trdi_engine */
};

/** On the CPU (ops NULL) or a foreign device; ends the program on failure. @param second, budget  or NULL; borrowed */
rig *rig_open(const char *folder, const trdi_backend_ops *ops, int64_t max_rows, rig *second, trdi_memory_budget *budget);
void rig_close(rig *r);

/** Jobs of one call. */
typedef struct rig_jobs {
    trdi_call       call;
    int64_t         n;
    trdi_decode_job jobs[RIG_MAX_JOBS];
    trdi_search     searches[RIG_MAX_JOBS];
    rig_kind        kinds[RIG_MAX_JOBS];
    trdi_event_queue events;
    atomic_llong    stop_after[RIG_MAX_JOBS];
} rig_jobs;

/** What a job is made of; its numbers decide its ids, so that equal ones give equal jobs. */
typedef struct rig_form {
    rig_kind kind;
    int64_t  index;                 /**< place in the call: keys the random numbers */
    int64_t  n_source, n_prefix, n_steps;
    int64_t  n_examples;            /**< 0 = 1; more only for RIG_LOCKSTEP */
    bool     with_evidence;         /**< attention and logits too */
} rig_form;

rig_jobs *rig_jobs_create(void);
/** Frees what is left. */
void rig_jobs_destroy(rig_jobs *jobs);
trdi_decode_job *rig_add(rig_jobs *jobs, const rig_form *form);
/** Submit all at once. */
void rig_submit(rig *r, rig_jobs *jobs);
void rig_wait(rig_jobs *jobs);
/** Each job of `got` that ended well has the bits of the one in `want`; others have no hypotheses. @return number that ended well */
int64_t rig_check_same(const rig_jobs *got, const rig_jobs *want);
/** Events of job i: their number, each step once and in order, with the tokens of `want`. */
int64_t rig_check_events(const rig_jobs *got, int64_t i, const rig_jobs *want);

#endif
