/*
 * trace.h: what ran where and when: spans and counters, kept while a trace is on, written as Chrome trace JSON or drawn as an SVG
 * timeline. One trace per process; recording takes one lock and no allocation but for growth; off, it costs an atomic load.
 */
#ifndef TRDI_TRACE_H
#define TRDI_TRACE_H

#include <stdatomic.h>

#include "core/status.h"

/** What a span was. */
typedef enum trdi_trace_kind {
    TRDI_TRACE_ENCODE,         /**< a step of encoding: prompts and sources */
    TRDI_TRACE_DECODE,         /**< a step of decoding */
    TRDI_TRACE_LOAD,           /**< weights prepared, an executor opened */
    TRDI_TRACE_JOB             /**< life of a job from submission to its end, waiting included */
} trdi_trace_kind;

/** One span. Strings are copied (lane) or static. */
typedef struct trdi_trace_span {
    trdi_trace_kind kind;
    const char *device;        /**< "cpu:0": a process of the picture */
    int32_t     worker;        /**< a line of it */
    int64_t     start_ns, end_ns;  /**< of trdi_now_ns() */
    int64_t     n_jobs, n_rows, n_tokens; /**< that the step advanced */
} trdi_trace_span;

extern atomic_bool trdi_trace_on;
/** Is a trace being kept? */
static inline bool trdi_trace_wanted(void) { return atomic_load_explicit(&trdi_trace_on, memory_order_relaxed); }
/** Keep a span, if a trace is on; past the bound the oldest ones go and are counted. Any thread. */
void trdi_trace_add(const trdi_trace_span *span);

#endif
