/*
 * team.h: a team of threads for one run, and its barrier. OpenMP appears in team.c only; without it, or with one thread,
 * the function is simply called.
 */
#ifndef TRDI_TEAM_H
#define TRDI_TEAM_H

#include <stdatomic.h>

#include "core/status.h"
#include "core/threads.h"

/** Called once per thread of the team: index 0 is the calling thread, count the size actually obtained. */
typedef void (*trdi_team_function)(void *context, int32_t index, int32_t count);

/** Run function on up to n_threads threads and wait for all. */
void trdi_team_run(int32_t n_threads, trdi_team_function function, void *context);

/** A barrier that spins, then yields, then sleeps. Reusable; every thread of a team passes it the same number of times. */
typedef struct trdi_barrier {
    _Alignas(64) atomic_int waiting;
    _Alignas(64) atomic_uint round;
    _Alignas(64) atomic_int sleeping;
    trdi_mutex mutex;         /**< guards going to sleep on `changed` */
    trdi_cond  changed;
} trdi_barrier;

trd_status trdi_barrier_init(trdi_barrier *barrier);
void trdi_barrier_destroy(trdi_barrier *barrier);
void trdi_barrier_wait(trdi_barrier *barrier, int32_t count);

/** Floating-point control of the calling thread: round to nearest, denormals are zero. Returns what it was. */
uint64_t trdi_float_control_enter(void);
void trdi_float_control_leave(uint64_t before);

#endif
