/*
 * trace.c: the ring of spans of this process. It grows by chunks, so that no span waits while others are copied, up to the bound, and then
 * begins again at its start.
 */
#include "sched/trace.h"

#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/log.h"
#include "core/platform.h"
#include "core/shared_library.h"
#include "core/threads.h"

enum { CHUNK = 4096, DEFAULT_SPANS = 1000000, MAX_SPANS = 1000000000, MAX_NAMES = 256 };

/* Of a device, cut where it is longer. */
typedef struct device_name {
    char text[64];
} device_name;

atomic_bool trdi_trace_on;

static struct {
    trdi_mutex mutex;              /* guards everything here */
    int64_t max_spans;             /* 0: never started */
    int64_t n_added;               /* ever: number i lies at place i % max_spans */
    int64_t n_lost;                /* for want of memory, or of names */
    trdi_trace_record **chunks;    /* [n_chunks]; NULL until reached */
    int64_t n_chunks;
    device_name *names;            /* [n_names], room for MAX_NAMES */
    int32_t n_names;
} ring = { .mutex = TRDI_MUTEX_INIT };

static struct {
    char   *path;                  /* of TREADLE_TRACE */
    int64_t process;
} environment;

static void free_all(trdi_trace_record **chunks, int64_t n_chunks, device_name *names)
{
    for (int64_t i = 0; i < n_chunks; i++) trdi_free(chunks[i]);
    trdi_free(chunks);
    trdi_free(names);
}

#if !defined(_WIN32)
/* The child has none of the threads whose spans these are. Its memory is left alone: only what is safe between fork() and exec() is done. */
static void before_fork(void) { trdi_mutex_lock(&ring.mutex); }
static void after_fork_in_parent(void) { trdi_mutex_unlock(&ring.mutex); }
static void after_fork_in_child(void)
{
    atomic_store(&trdi_trace_on, false);
    ring.max_spans = ring.n_added = ring.n_lost = 0;
    trdi_mutex_unlock(&ring.mutex);
}
static void watch_forks(void) { (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); }
#else
static void watch_forks(void) { }
#endif

trd_status trdi_trace_start(int64_t max_spans)
{
    static trdi_once forks = TRDI_ONCE_INIT;
    if (max_spans < 0 || max_spans > MAX_SPANS) {
        return trdi_fail(TRD_E_INVALID, "trd_trace_start: max_spans is %lld, it must be in 0 .. %d", (long long)max_spans, (int)MAX_SPANS);
    }
    if (max_spans == 0) max_spans = DEFAULT_SPANS;
    const int64_t n_chunks = (max_spans - 1) / CHUNK + 1;
    trdi_trace_record **const chunks = trdi_calloc((size_t)n_chunks, sizeof *chunks);
    device_name *const names = trdi_calloc(MAX_NAMES, sizeof *names);
    if (chunks == NULL || names == NULL) {
        trdi_free(chunks);
        trdi_free(names);
        return trdi_fail(TRD_E_MEMORY, "trd_trace_start: no memory for %lld spans", (long long)max_spans);
    }
    trdi_once_run(&forks, watch_forks);
    trdi_mutex_lock(&ring.mutex);
    trdi_trace_record **const old_chunks = ring.chunks;
    device_name *const old_names = ring.names;
    const int64_t n_old_chunks = ring.n_chunks;
    ring.max_spans = max_spans;
    ring.n_added = ring.n_lost = 0;
    ring.chunks = chunks;
    ring.n_chunks = n_chunks;
    ring.names = names;
    ring.n_names = 0;
    atomic_store(&trdi_trace_on, true);
    trdi_mutex_unlock(&ring.mutex);
    free_all(old_chunks, n_old_chunks, old_names);
    return TRD_OK;
}

void trdi_trace_stop(void)
{
    trdi_mutex_lock(&ring.mutex);
    atomic_store(&trdi_trace_on, false);
    trdi_mutex_unlock(&ring.mutex);
}

static int64_t oldest_locked(void)
{
    return ring.n_added > ring.max_spans ? ring.n_added - ring.max_spans : 0;
}

int64_t trdi_trace_count(int64_t *n_dropped)
{
    trdi_mutex_lock(&ring.mutex);
    const int64_t oldest = oldest_locked(), n = ring.n_added - oldest;
    if (n_dropped != NULL) *n_dropped = oldest + ring.n_lost;
    trdi_mutex_unlock(&ring.mutex);
    return n;
}

/* Index of a device's name, which is kept. @return -1 if there are too many */
static int32_t name_locked(const char *name)
{
    for (int32_t i = 0; i < ring.n_names; i++)
        if (strncmp(ring.names[i].text, name, sizeof ring.names[i].text - 1) == 0) return i;
    if (ring.n_names == MAX_NAMES) return -1;
    char *const text = ring.names[ring.n_names].text;
    const size_t length = strnlen(name, sizeof ring.names[0].text - 1);
    memcpy(text, name, length);
    text[length] = '\0';
    return ring.n_names++;
}

static trdi_trace_record **chunk_locked(int64_t number)
{
    return &ring.chunks[number % ring.max_spans / CHUNK];
}

/* Its chunk must be there. */
static trdi_trace_record *place_locked(int64_t number)
{
    return &(*chunk_locked(number))[number % ring.max_spans % CHUNK];
}

/* Needs the lock, which is let go of meanwhile: the allocator is the user's. @return is there room for the next span, and a trace still? */
static bool make_room(void)
{
    while (trdi_trace_wanted() && *chunk_locked(ring.n_added) == NULL) {
        trdi_mutex_unlock(&ring.mutex);
        trdi_trace_record *const chunk = trdi_alloc(CHUNK * sizeof *chunk);
        trdi_mutex_lock(&ring.mutex);
        trdi_trace_record **const place = trdi_trace_wanted() ? chunk_locked(ring.n_added) : NULL;
        if (place != NULL && *place == NULL && chunk != NULL) {
            *place = chunk;
            return true;
        }
        if (chunk == NULL) {
            ring.n_lost += place != NULL;
            return false;
        }
        trdi_mutex_unlock(&ring.mutex);
        trdi_free(chunk);
        trdi_mutex_lock(&ring.mutex);
    }
    return trdi_trace_wanted();
}

/* Threads are told apart: two translators may both have a worker 0 on a device. */
static int32_t thread_number(void)
{
    static atomic_int n_threads;
    static TRDI_THREAD_LOCAL int32_t number;
    if (number == 0) number = atomic_fetch_add(&n_threads, 1) + 1;
    return number;
}

void trdi_trace_add(const trdi_trace_span *span)
{
    if (!trdi_trace_wanted()) return;
    trdi_trace_record record = {
        .start_ns = span->start_ns, .admitted_ns = span->admitted_ns, .end_ns = span->end_ns, .n_jobs = span->n_jobs, .n_rows = span->n_rows,
        .n_tokens = span->n_tokens, .worker = span->worker, .thread = thread_number(), .kind = (int16_t)span->kind, .status = (int16_t)span->status,
    };
    trdi_mutex_lock(&ring.mutex);
    if (make_room()) {
        record.device = name_locked(span->device != NULL ? span->device : "");
        if (record.device >= 0) *place_locked(ring.n_added++) = record;
        else ring.n_lost++;
    }
    trdi_mutex_unlock(&ring.mutex);
}

/* A copy that any file can hold: what is not UTF-8 becomes '?'. */
static char *readable(const char *name)
{
    const size_t length = strlen(name);
    char *const copy = trdi_strndup(name, length);
    if (copy == NULL || trdi_utf8_valid(name, length)) return copy;
    for (char *at = copy; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80) *at = '?';
    return copy;
}

/* Room for what is kept, and the names. The lock is not held while memory is sought. */
static trd_status reserve_copy(trdi_trace_picture *picture, int64_t n, int32_t n_devices)
{
    picture->records = trdi_calloc((size_t)n + 1, sizeof *picture->records);
    picture->devices = trdi_calloc((size_t)n_devices + 1, sizeof *picture->devices);
    if (picture->records != NULL && picture->devices != NULL) return TRD_OK;
    return trdi_fail(TRD_E_MEMORY, "a trace of %lld spans: out of memory", (long long)n);
}

static trd_status copy_names(trdi_trace_picture *picture, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        trdi_mutex_lock(&ring.mutex);
        const bool is_there = i < ring.n_names;
        const device_name name = is_there ? ring.names[i] : (device_name){ .text = "" };
        trdi_mutex_unlock(&ring.mutex);
        if (!is_there) return TRD_OK;      /* a new trace has begun */
        picture->devices[i] = readable(name.text);
        if (picture->devices[i] == NULL) return trdi_fail(TRD_E_MEMORY, "names of %d devices: out of memory", (int)n);
        picture->n_devices++;
    }
    return TRD_OK;
}

/* Copy by chunks: workers go on in between, and what they push out meanwhile is missing. */
static void copy_records(trdi_trace_picture *picture, int64_t first, int64_t end)
{
    for (int64_t number = first; number < end;) {
        trdi_mutex_lock(&ring.mutex);
        /* A new trace may have begun meanwhile, with less in it. */
        if (end > ring.n_added) end = ring.n_added;
        if (number < oldest_locked()) number = oldest_locked();
        for (int64_t k = 0; k < CHUNK && number < end; k++) {
            const trdi_trace_record record = *place_locked(number++);
            if (record.device < picture->n_devices) picture->records[picture->n++] = record;
        }
        trdi_mutex_unlock(&ring.mutex);
    }
}

trd_status trdi_trace_copy(trdi_trace_picture *picture)
{
    trdi_mutex_lock(&ring.mutex);
    const bool started = ring.max_spans > 0;
    const int64_t first = oldest_locked(), end = ring.n_added;
    const int32_t n_devices = ring.n_names;
    picture->n_dropped = first + ring.n_lost;
    trdi_mutex_unlock(&ring.mutex);
    if (!started) return trdi_fail(TRD_E_STATE, "no trace was started: call trd_trace_start() first, or set TREADLE_TRACE");
    TRDI_TRY(reserve_copy(picture, end - first, n_devices));
    TRDI_TRY(copy_names(picture, n_devices));
    copy_records(picture, first, end);
    return TRD_OK;
}

static void write_at_exit(void)
{
    if (environment.process != trdi_process_id()) return;
    trdi_trace_stop();
    if (trdi_trace_write(environment.path) != TRD_OK) trdi_log(TRD_LOG_WARNING, "TREADLE_TRACE: %s", trd_last_error());
}

static void read_environment(void)
{
    const char *const path = getenv("TREADLE_TRACE");
    if (path == NULL || path[0] == '\0') return;
    if (trdi_process_privileged()) {
        trdi_log(TRD_LOG_WARNING, "TREADLE_TRACE is ignored in a process with another user's rights");
        return;
    }
    environment.path = trdi_strndup(path, strlen(path));
    environment.process = trdi_process_id();
    trd_status status = environment.path != NULL ? trdi_trace_start(0) : trdi_fail(TRD_E_MEMORY, "out of memory");
    if (status == TRD_OK && atexit(write_at_exit) != 0) status = trdi_fail(TRD_E_MEMORY, "nothing can be called at the end of this process");
    if (status != TRD_OK) trdi_log(TRD_LOG_WARNING, "TREADLE_TRACE: %s", trd_last_error());
}

void trdi_trace_obey_environment(void)
{
    static trdi_once once = TRDI_ONCE_INIT;
    trdi_once_run(&once, read_environment);
}
