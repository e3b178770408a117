/*
 * notifier.h: the thread on which callbacks of futures run: one per process, started when first needed. It knows notices only: whoever
 * wants something done there embeds one. A child of fork() begins without the thread and without notices.
 */
#ifndef TRDI_NOTIFIER_H
#define TRDI_NOTIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

/** Something to be looked after. Zero-initialise, set the functions. */
typedef struct trdi_notice {
    /** On the notifier thread, without locks, never twice at once. @return when to be run again, of trdi_now_ns(); 0 = when poked */
    int64_t (*run)(struct trdi_notice *notice);
    /** The owner must keep a notice that is poked: retain when that begins, release when it ends. */
    void (*retain)(struct trdi_notice *notice);
    void (*release)(struct trdi_notice *notice);
    struct trdi_notice *next, *previous; /**< private */
    int64_t due_ns;                      /**< private */
    int32_t place;                       /**< private */
} trdi_notice;

/** Make sure that the thread runs. Before the first poke. */
trd_status trdi_notifier_start(void);
/** Have it run soon, once, however often it is poked until then. Any thread; the caller holds a reference of its own. */
void trdi_notifier_poke(trdi_notice *notice);
/** Is this the notifier's thread? Whoever waits there for callbacks would wait for himself. */
bool trdi_notifier_is_here(void);
/**
 * End the thread, for the process' exit: what has not run is left alone, what runs has timeout_ns to end. From the thread itself nothing is
 * waited for.
 */
void trdi_notifier_stop(int64_t timeout_ns);

#endif
