/* speed.h: how fast workers of a kind are, from what they ended of late. Plain arithmetic: what policies see of workers is made here. */
#ifndef TRDI_SPEED_H
#define TRDI_SPEED_H

#include "sched/policy.h"

/** Work that workers of a kind ended of late, and their time in steps; what is older counts less. */
typedef struct trdi_recent {
    double cost, seconds, n;
} trdi_recent;

/** The worker has a job, or has it no longer. */
void trdi_view_begin(trdi_worker_view *view, int64_t cost);
void trdi_view_forget(trdi_worker_view *view, int64_t cost);
/** A job of the worker has succeeded. @param seconds  since it was admitted */
void trdi_view_succeed(trdi_worker_view *view, trdi_recent *recent, int64_t cost, double seconds);
/** The worker has made a step, in which those jobs ended. */
void trdi_view_step(trdi_worker_view *view, trdi_recent *recent, double seconds);

#endif
