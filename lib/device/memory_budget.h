/*
 * memory_budget.h: what the engines of a device may take of its memory together, and what they have: weights, KV pools, buffers of steps.
 * Who allocates asks here first; past the limit that fails as on a device that is full. Memory that idle users still hold is
 * asked back before anything fails. Counters may be read by any thread at any time.
 */
#ifndef TRDI_MEMORY_BUDGET_H
#define TRDI_MEMORY_BUDGET_H

#include <stdatomic.h>

#include "backend/backend.h"
#include "core/threads.h"

typedef enum trdi_memory_part {
    TRDI_PART_WEIGHTS,
    TRDI_PART_KV,              /**< pools of blocks */
    TRDI_PART_STEP,            /**< arenas, step blocks, result buffers */
    TRDI_N_PARTS
} trdi_memory_part;

/** One who can give memory back: an engine. Filled by its owner; stays where it is while registered. */
typedef struct trdi_memory_user {
    /** Give back what nobody needs now, or as soon as that is so. Any thread; must not wait, nor call trdi_memory_budget_empty(). */
    void (*give_back)(void *context);
    void  *context;
    struct trdi_memory_user *next;     /**< private */
} trdi_memory_user;

/** Zero-initialised, it must be set up by trdi_memory_budget_init(). */
typedef struct trdi_memory_budget {
    atomic_llong limit;        /**< bytes of all parts; 0 = none */
    atomic_llong used;         /**< bytes of all parts */
    atomic_llong parts[TRDI_N_PARTS];
    atomic_llong peak;         /**< most that was ever used */
    atomic_llong kv_blocks, kv_blocks_in_use;
    atomic_uintptr_t turn;     /**< the user that goes first while memory does not suffice for all; 0 = none */

    trdi_mutex mutex;          /**< guards the users */
    trdi_memory_user *users;
    trdi_mutex wait_mutex;     /**< with it: memory was given back, or the turn */
    trdi_cond  changed;
    uint64_t   n_changes;      /**< guarded by wait_mutex */
} trdi_memory_budget;

trd_status trdi_memory_budget_init(trdi_memory_budget *budget);
/** No user may be left. */
void trdi_memory_budget_destroy(trdi_memory_budget *budget);
/** @param bytes  0 = none. What is used already stays. */
void trdi_memory_budget_set_limit(trdi_memory_budget *budget, int64_t bytes);

/** Count bytes as used. @return TRD_E_MEMORY past the limit, also after idle users have given back what they had. budget NULL: always TRD_OK */
trd_status trdi_memory_budget_take(trdi_memory_budget *budget, trdi_memory_part part, size_t bytes);
void trdi_memory_budget_give(trdi_memory_budget *budget, trdi_memory_part part, size_t bytes);
/** A buffer within the budget. When the device is full, idle users give back what they have and it is asked once more. */
trd_status trdi_memory_budget_alloc(trdi_memory_budget *budget, trdi_memory_part part, const trdi_backend_ops *ops, void *device,
                                    size_t bytes, trdi_memory kind, void **buffer);
/** buffer NULL does nothing. */
void trdi_memory_budget_free(trdi_memory_budget *budget, trdi_memory_part part, const trdi_backend_ops *ops, void *buffer, size_t bytes);

void trdi_memory_budget_register(trdi_memory_budget *budget, trdi_memory_user *user);
void trdi_memory_budget_unregister(trdi_memory_budget *budget, trdi_memory_user *user);
/** Every user gives back what it does not need: idle ones before this returns, the others when they have run out of work. Any thread. */
void trdi_memory_budget_empty(trdi_memory_budget *budget);

/* Turns: users that came short while others hold memory go one after the other. */

/** Claim the turn. @return false: another has it */
bool trdi_memory_budget_claim(trdi_memory_budget *budget, const trdi_memory_user *user);
/** Does another have the turn? */
bool trdi_memory_budget_is_claimed(const trdi_memory_budget *budget, const trdi_memory_user *user);
/** Give the turn back, if it is the user's. */
void trdi_memory_budget_yield(trdi_memory_budget *budget, const trdi_memory_user *user);
/** Sleep until memory or the turn was given back, or for at most so long. */
void trdi_memory_budget_wait(trdi_memory_budget *budget, int64_t most_ns);

#endif
