/*
 * trace_json.c: the trace for chrome://tracing and Perfetto ("Trace Event Format"). A process is a device, a thread a worker. Steps are complete
 * events; jobs overlap, so they are asynchronous ones; jobs in flight are a counter. Events are written one by one: a trace may be large.
 */
#include <jansson.h>

#include "sched/trace.h"

/* Changes of the counter that are written at most; others between them are left out. */
enum { MAX_LEVELS = 100000 };

typedef struct writer {
    const trdi_trace_picture *picture;
    FILE *stream;
    bool  began, good;
} writer;

/* Consumes the event. */
static void put(writer *w, json_t *event)
{
    if (event == NULL) w->good = false;
    if (!w->good) {
        json_decref(event);
        return;
    }
    (void)fputs(w->began ? ",\n" : "\n", w->stream);
    w->began = true;
    if (json_dumpf(event, w->stream, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0 && !ferror(w->stream)) w->good = false;
    json_decref(event);
}

/* Since the first span, in the microseconds of the format. */
static double micros(const writer *w, int64_t ns)
{
    return (double)(ns - w->picture->first_ns) / 1000.0;
}

static void put_name(writer *w, const char *what, int32_t pid, int32_t tid, const char *name)
{
    put(w, json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "name", what, "ph", "M", "pid", (int)pid, "tid", (int)tid, "args", "name", name));
}

static void put_names(writer *w)
{
    const trdi_trace_picture *const p = w->picture;
    for (int32_t i = 0; i < p->n_devices; i++)
        put_name(w, "process_name", i + 1, 0, p->devices[i][0] != '\0' ? p->devices[i] : "no device");
    if (p->n_levels > 0) put_name(w, "process_name", 0, 0, "jobs");
    for (int32_t i = 0; i < p->n_lanes; i++) {
        const trdi_trace_lane *const lane = &p->lanes[i];
        char name[32];
        (void)snprintf(name, sizeof name, lane->worker >= 0 ? "worker %d" : "host", (int)lane->worker);
        put_name(w, "thread_name", lane->device_index + 1, i + 1, name);
        put(w, json_pack("{s:s, s:s, s:i, s:i, s:{s:i}}", "name", "thread_sort_index", "ph", "M", "pid", (int)lane->device_index + 1, "tid",
                         (int)i + 1, "args", "sort_index", (int)i));
    }
}

static void put_step(writer *w, const trdi_trace_record *r)
{
    put(w, json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:{s:I, s:I, s:I}}", "name", trdi_trace_kind_name((trdi_trace_kind)r->kind), "cat", "step",
                     "ph", "X", "ts", micros(w, r->start_ns), "dur", (double)(r->end_ns - r->start_ns) / 1000.0, "pid", (int)r->device + 1, "tid",
                     (int)r->thread + 1, "args", "jobs", (json_int_t)r->n_jobs, "rows", (json_int_t)r->n_rows, "tokens", (json_int_t)r->n_tokens));
}

/* From submission, and within it from admission. */
static void put_job(writer *w, const trdi_trace_record *r, int64_t id)
{
    const int pid = (int)r->device + 1;
    put(w, json_pack("{s:s, s:s, s:s, s:I, s:f, s:i, s:i, s:{s:s, s:i, s:I}}", "name", "job", "cat", "job", "ph", "b", "id", (json_int_t)id, "ts",
                     micros(w, r->start_ns), "pid", pid, "tid", 0, "args", "status", trd_status_text((trd_status)r->status), "worker",
                     (int)r->worker, "tokens", (json_int_t)r->n_tokens));
    for (int end = 0; end < 2 && r->admitted_ns != 0; end++)
        put(w, json_pack("{s:s, s:s, s:s, s:I, s:f, s:i, s:i}", "name", "running", "cat", "job", "ph", end ? "e" : "b", "id", (json_int_t)id, "ts",
                         micros(w, end ? r->end_ns : r->admitted_ns), "pid", pid, "tid", 0));
    put(w, json_pack("{s:s, s:s, s:s, s:I, s:f, s:i, s:i}", "name", "job", "cat", "job", "ph", "e", "id", (json_int_t)id, "ts",
                     micros(w, r->end_ns), "pid", pid, "tid", 0));
}

static void put_levels(writer *w)
{
    const trdi_trace_picture *const p = w->picture;
    const int64_t gap = (p->last_ns - p->first_ns) / MAX_LEVELS;
    int64_t last = 0;
    for (int64_t i = 0; i < p->n_levels; i++) {
        const trdi_trace_level *const level = &p->levels[i];
        if (i > 0 && i + 1 < p->n_levels && level->at_ns - last < gap) continue;
        last = level->at_ns;
        put(w, json_pack("{s:s, s:s, s:f, s:i, s:i, s:{s:I, s:I}}", "name", "jobs", "ph", "C", "ts", micros(w, last), "pid", 0, "tid", 0, "args",
                         "running", (json_int_t)level->n_running, "waiting", (json_int_t)level->n_waiting));
    }
}

bool trdi_trace_write_json(const trdi_trace_picture *picture, FILE *stream)
{
    writer w = { .picture = picture, .stream = stream, .good = true };
    (void)fprintf(stream, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"treadle\":\"%s\",\"dropped\":%lld},\"traceEvents\":[", trd_version(),
                  (long long)picture->n_dropped);
    put_names(&w);
    for (int64_t i = 0; i < picture->n; i++) {
        const trdi_trace_record *const r = &picture->records[i];
        if (r->kind == TRDI_TRACE_JOB) put_job(&w, r, i);
        else put_step(&w, r);
    }
    put_levels(&w);
    (void)fputs("\n]}\n", stream);
    return w.good;
}
