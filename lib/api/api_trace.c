/* api_trace.c: the trace of this process (treadle/trd_trace.h). */
#include "treadle/trd_trace.h"

#include "sched/trace.h"

trd_status trd_trace_start(int64_t max_spans) { return trdi_trace_start(max_spans); }

void trd_trace_stop(void) { trdi_trace_stop(); }

int64_t trd_trace_count(int64_t *n_dropped) { return trdi_trace_count(n_dropped); }

trd_status trd_trace_write(const char *path) { return trdi_trace_write(path); }
