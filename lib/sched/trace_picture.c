/* trace_picture.c: a copy of the trace put in order: lanes, and how many jobs waited and ran at every moment. */
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "sched/trace.h"

const char *trdi_trace_kind_name(trdi_trace_kind kind)
{
    static const char *const names[] = { "encode", "decode", "load", "job" };
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "other";
}

void trdi_trace_picture_free(trdi_trace_picture *picture)
{
    for (int32_t i = 0; i < picture->n_devices; i++) trdi_free(picture->devices[i]);
    trdi_free(picture->devices);
    trdi_free(picture->records);
    trdi_free(picture->lanes);
    trdi_free(picture->levels);
    *picture = (trdi_trace_picture){ .n = 0 };
}

static int compare(int64_t a, int64_t b) { return (a > b) - (a < b); }

static int by_start(const void *a, const void *b)
{
    const trdi_trace_record *const x = a, *const y = b;
    return x->start_ns != y->start_ns ? compare(x->start_ns, y->start_ns) : compare(x->end_ns, y->end_ns);
}

static int by_first(const void *a, const void *b)
{
    const trdi_trace_lane *const x = a, *const y = b;
    return compare(x->first_ns, y->first_ns);
}

static int by_place(const void *a, const void *b)
{
    const trdi_trace_lane *const x = a, *const y = b;
    const int order = strcmp(x->device, y->device);
    if (order != 0) return order;
    return x->worker != y->worker ? compare(x->worker, y->worker) : compare(x->first_ns, y->first_ns);
}

static bool is_of(const trdi_trace_lane *lane, const trdi_trace_record *record)
{
    return lane->thread == record->thread && lane->worker == record->worker && lane->device_index == record->device;
}

/* The lane of a record: newest first, as threads come and go. */
static trdi_trace_lane *find_lane(const trdi_trace_picture *picture, const trdi_trace_record *record)
{
    for (int32_t i = picture->n_lanes; i-- > 0;)
        if (is_of(&picture->lanes[i], record)) return &picture->lanes[i];
    return NULL;
}

/* One lane per thread at first. Records are in order. */
static bool make_lanes(trdi_trace_picture *picture)
{
    size_t capacity = 0;
    for (int64_t i = 0; i < picture->n; i++) {
        const trdi_trace_record *const record = &picture->records[i];
        if (record->kind == TRDI_TRACE_JOB) continue;
        trdi_trace_lane *lane = find_lane(picture, record);
        if (lane == NULL) {
            if (!trdi_reserve((void **)&picture->lanes, &capacity, (size_t)picture->n_lanes + 1, sizeof *lane)) return false;
            lane = &picture->lanes[picture->n_lanes++];
            *lane = (trdi_trace_lane){
                .device = picture->devices[record->device], .worker = record->worker, .thread = record->thread, .device_index = record->device,
                .first_ns = record->start_ns, .last_ns = record->end_ns,
            };
        }
        if (record->end_ns > lane->last_ns) lane->last_ns = record->end_ns;
    }
    return true;
}

/* The lane that goes on where another has ended: the same worker, made anew. */
static int32_t lane_before(const trdi_trace_lane *lanes, int32_t n, const trdi_trace_lane *lane)
{
    for (int32_t i = 0; i < n; i++)
        if (lanes[i].device_index == lane->device_index && lanes[i].worker == lane->worker && lanes[i].last_ns <= lane->first_ns) return i;
    return -1;
}

/* Lanes of workers that followed one another become one. place_of: lane -> merged, which has that number as its thread. @return merged ones */
static int32_t merge(const trdi_trace_picture *picture, trdi_trace_lane *merged, int32_t *place_of)
{
    int32_t n = 0;
    for (int32_t i = 0; i < picture->n_lanes; i++) {
        const trdi_trace_lane *const lane = &picture->lanes[i];
        place_of[i] = lane_before(merged, n, lane);
        if (place_of[i] >= 0) {
            merged[place_of[i]].last_ns = lane->last_ns;
        } else {
            place_of[i] = n;
            merged[n] = *lane;
            merged[n++].thread = place_of[i];
        }
    }
    return n;
}

/* Merge and sort the lanes, and tell the records theirs. */
static bool order_lanes(trdi_trace_picture *picture)
{
    const size_t n = (size_t)picture->n_lanes;
    trdi_trace_lane *const merged = trdi_calloc(n + 1, sizeof *merged);
    int32_t *const place_of = trdi_calloc(n + 1, sizeof *place_of), *const sorted = trdi_calloc(n + 1, sizeof *sorted);
    if (merged == NULL || place_of == NULL || sorted == NULL) {
        trdi_free(merged);
        trdi_free(place_of);
        trdi_free(sorted);
        return false;
    }
    if (n > 0) qsort(picture->lanes, n, sizeof *merged, by_first);
    const int32_t n_merged = merge(picture, merged, place_of);
    if (n_merged > 0) qsort(merged, (size_t)n_merged, sizeof *merged, by_place);
    for (int32_t i = 0; i < n_merged; i++) sorted[merged[i].thread] = i;
    for (int64_t i = 0; i < picture->n; i++) {
        trdi_trace_record *const record = &picture->records[i];
        record->thread = record->kind == TRDI_TRACE_JOB ? -1 : sorted[place_of[find_lane(picture, record) - picture->lanes]];
    }
    trdi_free(picture->lanes);
    picture->lanes = merged;
    picture->n_lanes = n_merged;
    trdi_free(place_of);
    trdi_free(sorted);
    return true;
}

static void sum_up(trdi_trace_picture *picture)
{
    picture->first_ns = picture->last_ns = picture->n > 0 ? picture->records[0].start_ns : 0;
    for (int64_t i = 0; i < picture->n; i++) {
        const trdi_trace_record *const record = &picture->records[i];
        if (record->end_ns > picture->last_ns) picture->last_ns = record->end_ns;
        if (record->thread < 0) continue;
        trdi_trace_lane *const lane = &picture->lanes[record->thread];
        lane->busy_ns[record->kind] += record->end_ns - record->start_ns;
        lane->n_steps += record->kind != TRDI_TRACE_LOAD;
        if (record->kind != TRDI_TRACE_DECODE) continue;
        lane->n_rows += record->n_rows;
        lane->n_tokens += record->n_tokens;
    }
}

static int by_time(const void *a, const void *b)
{
    const trdi_trace_level *const x = a, *const y = b;
    return compare(x->at_ns, y->at_ns);
}

/* A job waits from its submission and runs from its admission: differences first, sorted, then added up, one entry per moment. */
static bool make_levels(trdi_trace_picture *picture)
{
    int64_t n_jobs = 0;
    for (int64_t i = 0; i < picture->n; i++) n_jobs += picture->records[i].kind == TRDI_TRACE_JOB;
    if (n_jobs == 0) return true;
    trdi_trace_level *const levels = trdi_calloc((size_t)n_jobs, 3 * sizeof *levels);
    if (levels == NULL) return false;
    int64_t n = 0;
    for (int64_t i = 0; i < picture->n; i++) {
        const trdi_trace_record *const record = &picture->records[i];
        if (record->kind != TRDI_TRACE_JOB) continue;
        const bool ran = record->admitted_ns != 0;
        levels[n++] = (trdi_trace_level){ record->start_ns, 1, 0 };
        if (ran) levels[n++] = (trdi_trace_level){ record->admitted_ns, -1, 1 };
        levels[n++] = (trdi_trace_level){ record->end_ns, ran ? 0 : -1, ran ? -1 : 0 };
    }
    qsort(levels, (size_t)n, sizeof *levels, by_time);
    int64_t last = 0;
    for (int64_t i = 1; i < n; i++) {
        const bool same = levels[i].at_ns == levels[last].at_ns;
        const trdi_trace_level before = levels[last];
        if (!same) last++;
        levels[last] = (trdi_trace_level){ levels[i].at_ns, before.n_waiting + levels[i].n_waiting, before.n_running + levels[i].n_running };
    }
    picture->levels = levels;
    picture->n_levels = last + 1;
    return true;
}

trd_status trdi_trace_picture_take(trdi_trace_picture *picture)
{
    *picture = (trdi_trace_picture){ .n = 0 };
    trd_status status = trdi_trace_copy(picture);
    if (status == TRD_OK) {
        qsort(picture->records, (size_t)picture->n, sizeof *picture->records, by_start);
        if (make_lanes(picture) && order_lanes(picture) && make_levels(picture)) sum_up(picture);
        else status = trdi_fail(TRD_E_MEMORY, "a trace of %lld spans: out of memory", (long long)picture->n);
    }
    if (status != TRD_OK) trdi_trace_picture_free(picture);
    return status;
}
