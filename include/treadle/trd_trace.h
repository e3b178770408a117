/**
 * @file
 * trd_trace.h: a record of which work ran on which device and when, for Chrome's trace viewer (chrome://tracing, Perfetto) or as a picture.
 *
 * One trace per process. The environment variable TREADLE_TRACE=FILE keeps one from the first translator on and writes it when the process ends.
 */
#ifndef TRD_TRACE_H
#define TRD_TRACE_H

#include "trd_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Begin, dropping what an earlier trace kept.
 *
 * @param max_spans  what is kept at most, the oldest go first (a span takes about 80 bytes); 0: 1,000,000; at most 1,000,000,000
 * @return TRD_OK; TRD_E_INVALID; TRD_E_MEMORY: an earlier trace goes on as it was
 */
TRD_API trd_status trd_trace_start(int64_t max_spans);
/** Keep nothing more. What was kept can still be written. */
TRD_API void trd_trace_stop(void);
/** Spans kept, and those dropped past the bound (NULL: not asked). */
TRD_API int64_t trd_trace_count(int64_t *n_dropped);
/**
 * Write what was kept, aside and then renamed: an SVG timeline if path ends in ".svg", else Chrome trace JSON. path "-" is standard output (JSON).
 *
 * @return TRD_OK; TRD_E_STATE if no trace was ever started; TRD_E_IO; TRD_E_MEMORY. Threads: any; a running trace goes on.
 */
TRD_API trd_status trd_trace_write(const char *path);

#ifdef __cplusplus
}
#endif
#endif /* TRD_TRACE_H */
