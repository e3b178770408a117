/*
 * engine.h: the inside of a worker's engine, shared by its files: engine.c admits and ends jobs, engine_step.c encodes and decodes,
 * engine_memory.c decides who gives way when memory is short.
 */
#ifndef TRDI_ENGINE_H
#define TRDI_ENGINE_H

#include "decode/group.h"

typedef struct trdi_engine {
    trdi_engine_setup setup;
    const trdi_worker_info *worker;
    trdi_pin      pin;
    void         *queue;
    trdi_builder  builder;       /* holds the runner */
    trdi_group  **groups;        /* in order of admission */
    size_t        groups_capacity;
    int64_t       n_groups, n_jobs, n_rows;
    trdi_engine_job *first_job, *last_job;   /* in order of admission */
    int64_t       n_held;        /* jobs with is_held */
    int64_t       feed_tokens;   /* what the step may encode, and what it may feed of prefixes and targets */
    int64_t       n_spans;       /* counted for traces */

    trdi_memory_user user;       /* of the budget */
    trdi_mutex    in_use;        /* held by the worker while it has jobs: whoever else gets it finds the engine idle */
    bool          is_in_use;
    atomic_bool   gives_back;    /* somebody wants the memory that is not needed */
    bool          crowded_out;   /* memory did not suffice beside what other engines hold: waits for its turn */

    /* What lack of memory has taught; forgotten as jobs end. */
    int64_t       max_units;     /* groups, or jobs in lockstep, that a decoding step takes along */
    int64_t       encode_tokens; /* source tokens encoded in one go; a longer sequence goes alone */
    bool          is_short;      /* some group was left out of this step, for the reason in shortage */
    bool          progressed;    /* something ran in this step */
    char          shortage[TRDI_ERROR_BYTES];
} trdi_engine;

/* engine.c */
/** Make a job's groups, in the state of just admitted ones. On failure those made are in e->groups all the same. */
trd_status trdi_engine_add_groups(trdi_engine *e, trdi_engine_job *job);
/** Take those among the first n groups away that is_dropped names; the others keep their order. */
void trdi_engine_drop_groups(trdi_engine *e, bool (*is_dropped)(const trdi_group *group), int64_t n);
/** End the jobs that failed, were cancelled, came past their deadline, or are done. */
void trdi_engine_end_jobs(trdi_engine *e);
/** Must everything end at once? */
bool trdi_engine_is_aborted(const trdi_engine *e);

/* engine_step.c */
/** Encode every group that waits for it, as far as memory goes. */
trd_status trdi_engine_encode(trdi_engine *e);
/** Advance every group that is ready by one step, as far as memory goes. */
trd_status trdi_engine_decode(trdi_engine *e);

/* engine_memory.c */
/** The worker begins to have jobs. */
void trdi_engine_enter(trdi_engine *e);
/** The worker has done what was asked of it; without jobs, others may take the memory back. */
void trdi_engine_leave(trdi_engine *e);
/** For trdi_memory_user: the context is the engine. */
void trdi_engine_give_back(void *context);
/** May the engine run a step now? If not, it has waited for a moment. */
bool trdi_engine_has_turn(trdi_engine *e);
/** Before a step: nobody is left out yet. */
void trdi_engine_begin_step(trdi_engine *e);
/** Note that the calling thread's last failure was for want of memory. */
void trdi_engine_note_shortage(trdi_engine *e);
/** After a step in which nothing ran for want of memory: the newest job gives way; a job that is alone begins anew, or fails. */
void trdi_engine_relieve(trdi_engine *e);
/** A job has ended: memory may be there again. */
void trdi_engine_recover(trdi_engine *e);
/** Must new jobs stay outside? */
bool trdi_engine_is_strained(const trdi_engine *e);

#endif
