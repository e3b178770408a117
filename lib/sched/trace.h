/*
 * trace.h: what ran where and when: spans, kept while a trace is on, written as Chrome trace JSON or drawn as an SVG timeline. One trace per
 * process; recording takes one lock, and allocates without it for growth alone; off, it costs an atomic load. A child of fork() begins without one.
 */
#ifndef TRDI_TRACE_H
#define TRDI_TRACE_H

#include <stdatomic.h>
#include <stdio.h>

#include "core/status.h"
#include "core/strings.h"

/** What a span was. */
typedef enum trdi_trace_kind {
    TRDI_TRACE_ENCODE,         /**< a step of encoding: prompts and sources */
    TRDI_TRACE_DECODE,         /**< a step of decoding */
    TRDI_TRACE_LOAD,           /**< weights prepared, an executor opened */
    TRDI_TRACE_JOB,            /**< life of a job from submission to its end, waiting included */
    TRDI_TRACE_KINDS
} trdi_trace_kind;

/** One span. */
typedef struct trdi_trace_span {
    trdi_trace_kind kind;
    const char *device;        /**< copied. "cpu:0": a process of the picture; NULL or "": of no device, as a job that never ran */
    int32_t     worker;        /**< a line of it; < 0: of no worker */
    int64_t     start_ns, end_ns;  /**< of trdi_now_ns(); start <= end */
    int64_t     n_jobs, n_rows, n_tokens; /**< that the step advanced; of a job: its cost as tokens */
    int64_t     admitted_ns;   /**< jobs: when a worker took it, the last time; 0 = none ever did */
    trd_status  status;        /**< jobs: how it ended */
} trdi_trace_span;

extern atomic_bool trdi_trace_on;
/** Is a trace being kept? */
static inline bool trdi_trace_wanted(void) { return atomic_load_explicit(&trdi_trace_on, memory_order_relaxed); }
/** Keep a span, if a trace is on; past the bound the oldest ones go and are counted. Any thread: spans of one thread make a line. */
void trdi_trace_add(const trdi_trace_span *span);

/** trd_trace_start(), trd_trace_stop() and trd_trace_count(). */
trd_status trdi_trace_start(int64_t max_spans);
void trdi_trace_stop(void);
int64_t trdi_trace_count(int64_t *n_dropped);
/**
 * Obey TREADLE_TRACE, the first time: begin, and write when the process ends. To be called before whoever registers with atexit() what ends work
 * in flight, so that this work is in the file. A process with another user's rights ignores the variable.
 */
void trdi_trace_obey_environment(void);

/** A span as it is kept. */
typedef struct trdi_trace_record {
    int64_t start_ns, admitted_ns, end_ns;
    int64_t n_jobs, n_rows, n_tokens;
    int32_t device;            /**< index among the names */
    int32_t worker;
    int32_t thread;            /**< number of the thread that added it; in a picture: its lane, -1 for jobs */
    int16_t kind, status;
} trdi_trace_record;

/** Spans of one worker, in order, one after the other. */
typedef struct trdi_trace_lane {
    const char *device;        /**< of the picture */
    int32_t worker, thread;
    int32_t device_index;      /**< as in records */
    int64_t first_ns, last_ns;
    int64_t n_steps, n_rows, n_tokens; /**< of decoding, but steps of both */
    int64_t busy_ns[TRDI_TRACE_KINDS];
} trdi_trace_lane;

/** Jobs in flight from a moment on. */
typedef struct trdi_trace_level {
    int64_t at_ns;
    int64_t n_waiting, n_running;
} trdi_trace_level;

/** What was kept, copied and put in order. */
typedef struct trdi_trace_picture {
    trdi_trace_record *records;    /**< [n], by start */
    int64_t n, n_dropped;
    char  **devices;               /**< [n_devices] */
    int32_t n_devices;
    trdi_trace_lane *lanes;        /**< [n_lanes], by device and worker */
    int32_t n_lanes;
    trdi_trace_level *levels;      /**< [n_levels], by time */
    int64_t n_levels;
    int64_t first_ns, last_ns;     /**< of all records; equal if there are none */
} trdi_trace_picture;
/** Only records, devices and n_dropped, as they were kept; the rest of *picture is left alone. TRD_E_STATE, TRD_E_MEMORY */
trd_status trdi_trace_copy(trdi_trace_picture *picture);
/** TRD_E_STATE if no trace was ever started; TRD_E_MEMORY */
trd_status trdi_trace_picture_take(trdi_trace_picture *picture);
/** Does nothing on a zeroed struct. */
void trdi_trace_picture_free(trdi_trace_picture *picture);
/** "encode" */
const char *trdi_trace_kind_name(trdi_trace_kind kind);

/** Chrome's JSON. @return false without memory; what the stream could not take is its own error */
bool trdi_trace_write_json(const trdi_trace_picture *picture, FILE *stream);
/** A timeline. @return false without memory */
bool trdi_trace_write_svg(const trdi_trace_picture *picture, trdi_text *text);
/** trd_trace_write(). */
trd_status trdi_trace_write(const char *path);

#endif
