/*
 * test_trace.c: the trace of a process: its bound, what becomes of it in a forked child, and both files. With an argument it only
 * writes trace.json and trace.svg into that folder, for test_trace_files.py.
 */
#include <jansson.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/scarce.h"
#include "core/threads.h"
#include "sched/trace.h"
#include "sleepy_executor.h"
#include "treadle/trd_trace.h"

/* A device whose name no file may take as it is. */
static const char WILD[] = "gpu<0>&\"'\n\xff";

static void add_step(trdi_trace_kind kind, const char *device, int32_t worker, int64_t start, int64_t end)
{
    const trdi_trace_span span = { .kind = kind, .device = device, .worker = worker, .start_ns = start, .end_ns = end, .n_jobs = 2, .n_rows = 3,
                                   .n_tokens = 4 };
    trdi_trace_add(&span);
}

static void add_job(const char *device, int32_t worker, int64_t submitted, int64_t admitted, int64_t end, trd_status status)
{
    const trdi_trace_span span = { .kind = TRDI_TRACE_JOB, .device = device, .worker = worker, .start_ns = submitted, .admitted_ns = admitted,
                                   .end_ns = end, .n_jobs = 1, .n_tokens = 7, .status = status };
    trdi_trace_add(&span);
}

static char folder[] = "/tmp/treadle-trace-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void test_never_started(void)
{
    int64_t n_dropped = 5;
    CHECK(!trdi_trace_wanted());
    add_step(TRDI_TRACE_ENCODE, "cpu:0", 0, 0, 1);
    CHECK_INT(trd_trace_count(&n_dropped), 0);
    CHECK_INT(n_dropped, 0);
    trd_trace_stop();
    CHECK_FAILS(trd_trace_write(path_of("none.json")), TRD_E_STATE, "trd_trace_start");
    CHECK(access(path_of("none.json"), F_OK) != 0);
}

static void test_bad(void)
{
    CHECK_FAILS(trd_trace_start(-1), TRD_E_INVALID, "-1");
    CHECK_FAILS(trd_trace_start(INT64_MAX), TRD_E_INVALID, "9223372036854775807");
    CHECK_OK(trd_trace_start(1));
    CHECK_FAILS(trd_trace_write(NULL), TRD_E_INVALID, "NULL");
    CHECK_FAILS(trd_trace_write(""), TRD_E_INVALID, "empty");
    CHECK_FAILS(trd_trace_write(path_of("no/such/x.json")), TRD_E_IO, "no/such/x.json");
    CHECK_FAILS(trd_trace_write(path_of("no/such/x.svg")), TRD_E_IO, "no/such/x.svg");
}

/* Others may read a trace as they may any new file; a device is written to and stays what it is. */
static void test_places(void)
{
    const mode_t mask = umask(027);
    struct stat now;
    CHECK_OK(trd_trace_write(path_of("mode.json")));
    CHECK(stat(path_of("mode.json"), &now) == 0 && (now.st_mode & 07777) == 0640);
    CHECK_INT(unlink(path_of("mode.json")), 0);
    (void)umask(mask);
    CHECK_OK(trd_trace_write("/dev/null"));
    CHECK(stat("/dev/null", &now) == 0 && S_ISCHR(now.st_mode));
    if (stat("/dev/full", &now) == 0 && S_ISCHR(now.st_mode)) CHECK_FAILS(trd_trace_write("/dev/full"), TRD_E_IO, "cannot write /dev/full: No space left");
}

static json_t *written(const char *name)
{
    CHECK_OK(trd_trace_write(path_of(name)));
    json_error_t error;
    json_t *const root = json_load_file(path_of(name), JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) fprintf(stderr, "%s: line %d: %s\n", name, error.line, error.text);
    CHECK(root != NULL);
    return root;
}

/* Event number i of a phase, such as "X"; NULL past the last. */
static const json_t *event(const json_t *root, const char *phase, int i)
{
    size_t k;
    json_t *found;
    json_array_foreach(json_object_get(root, "traceEvents"), k, found)
        if (strcmp(json_string_value(json_object_get(found, "ph")), phase) == 0 && i-- == 0) return found;
    return NULL;
}

static double number(const json_t *object, const char *key)
{
    const json_t *const value = json_object_get(object, key);
    CHECK(json_is_number(value));
    return json_number_value(value);
}

/* Past the bound the oldest go, around the ring and across its chunks. */
static void test_bound(void)
{
    static const int64_t bounds[] = { 1, 2, 10, 4095, 4096, 4097, 9000 };
    for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
        const int64_t bound = bounds[b], n = 2 * bound + 3;
        int64_t n_dropped;
        CHECK_OK(trd_trace_start(bound));
        for (int64_t i = 0; i < n; i++) {
            CHECK_INT(trd_trace_count(&n_dropped), i < bound ? i : bound);
            CHECK_INT(n_dropped, i < bound ? 0 : i - bound);
            add_step(TRDI_TRACE_DECODE, "cpu:0", 0, i, i + 1);
        }
        trdi_trace_picture picture;
        CHECK_OK(trdi_trace_picture_take(&picture));
        CHECK_INT(picture.n, bound);
        CHECK_INT(picture.n_dropped, n - bound);
        for (int64_t i = 0; i < bound; i++) CHECK_INT(picture.records[i].start_ns, n - bound + i);
        CHECK_INT(picture.n_lanes, 1);
        CHECK_INT(picture.lanes[0].busy_ns[TRDI_TRACE_DECODE], bound);
        CHECK_INT(picture.lanes[0].n_tokens, 4 * bound);
        trdi_trace_picture_free(&picture);
        trdi_trace_picture_free(&picture);
    }
}

/* Starting anew drops what was kept; stopping keeps it. */
static void test_stop(void)
{
    CHECK_OK(trd_trace_start(0));
    CHECK(trdi_trace_wanted());
    add_step(TRDI_TRACE_LOAD, NULL, -1, 5, 6);
    trd_trace_stop();
    CHECK(!trdi_trace_wanted());
    add_step(TRDI_TRACE_LOAD, NULL, -1, 7, 8);
    CHECK_INT(trd_trace_count(NULL), 1);
    json_decref(written("stop.json"));
    CHECK_OK(trd_trace_start(0));
    CHECK_INT(trd_trace_count(NULL), 0);
    json_t *const root = written("empty.json");
    CHECK(event(root, "X", 0) == NULL);
    json_decref(root);
    CHECK_OK(trd_trace_write(path_of("empty.svg")));
}

/* Two workers of one device, one of another, jobs of every outcome. */
static void fill(void)
{
    CHECK_OK(trd_trace_start(0));
    add_step(TRDI_TRACE_LOAD, "cpu:0", -1, 1000000, 3000000);
    for (int64_t i = 0; i < 5000; i++) {
        const int64_t at = 4000000 + i * 20000;
        add_step(i % 7 == 0 ? TRDI_TRACE_ENCODE : TRDI_TRACE_DECODE, "cpu:0", 0, at, at + (i < 2500 ? 20000 : 9000));
        if (i % 100 == 0) add_step(i % 300 == 0 ? TRDI_TRACE_ENCODE : TRDI_TRACE_DECODE, "cpu:0", 1, at, at + 1900000);
        if (i % 50 == 0) add_step(TRDI_TRACE_DECODE, WILD, 0, at, at + 900000);
    }
    for (int64_t i = 0; i < 300; i++) {
        const int64_t at = 4000000 + i * 300000;
        static const trd_status outcomes[] = { TRD_OK, TRD_OK, TRD_E_CANCELLED, TRD_E_TIMEOUT, TRD_E_MEMORY };
        add_job(i % 3 == 0 ? WILD : "cpu:0", 0, at, at + i * 20000, at + i * 20000 + 9000000, outcomes[i % 5]);
    }
    add_job(NULL, -1, 5000000, 0, 6000000, TRD_E_CANCELLED);
}

static void test_json(void)
{
    CHECK_OK(trd_trace_start(0));
    add_step(TRDI_TRACE_DECODE, "cpu:0", 1, 2000500, 2001750);
    add_step(TRDI_TRACE_ENCODE, WILD, 0, 1000000, 2000000);
    add_job("cpu:0", 1, 1500000, 2000000, 2500000, TRD_OK);
    add_job(NULL, -1, 2000000, 0, 2600000, TRD_E_CANCELLED);
    json_t *const root = written("trace.json");
    CHECK_INT(number(json_object_get(root, "otherData"), "dropped"), 0);

    const json_t *const encode = event(root, "X", 0), *const decode = event(root, "X", 1);
    CHECK(event(root, "X", 2) == NULL);
    CHECK_STRING(json_string_value(json_object_get(encode, "name")), "encode");
    CHECK_STRING(json_string_value(json_object_get(decode, "name")), "decode");
    CHECK_NEAR(number(encode, "ts"), 0, 0);
    CHECK_NEAR(number(encode, "dur"), 1000, 0);
    CHECK_NEAR(number(decode, "ts"), 1000.5, 1e-9);
    CHECK_NEAR(number(decode, "dur"), 1.25, 1e-9);
    CHECK_INT(number(json_object_get(decode, "args"), "jobs"), 2);
    CHECK_INT(number(json_object_get(decode, "args"), "rows"), 3);
    CHECK_INT(number(json_object_get(decode, "args"), "tokens"), 4);
    CHECK(number(encode, "pid") != number(decode, "pid"));
    CHECK(number(encode, "tid") != number(decode, "tid"));

    int n_wild = 0, n_cpu = 0;
    const json_t *name;
    for (int i = 0; (name = event(root, "M", i)) != NULL; i++) {
        if (strcmp(json_string_value(json_object_get(name, "name")), "process_name") != 0) continue;
        const char *const text = json_string_value(json_object_get(json_object_get(name, "args"), "name"));
        n_wild += strcmp(text, "gpu<0>&\"'\n?") == 0 && number(name, "pid") == number(encode, "pid");
        n_cpu += strcmp(text, "cpu:0") == 0 && number(name, "pid") == number(decode, "pid");
    }
    CHECK_INT(n_wild, 1);
    CHECK_INT(n_cpu, 1);

    const json_t *const first = event(root, "b", 0), *const running = event(root, "b", 1), *const second = event(root, "b", 2);
    CHECK_NEAR(number(first, "ts"), 500, 0);
    CHECK_STRING(json_string_value(json_object_get(json_object_get(first, "args"), "status")), trd_status_text(TRD_OK));
    CHECK_STRING(json_string_value(json_object_get(running, "name")), "running");
    CHECK_NEAR(number(running, "ts"), 1000, 0);
    CHECK_INT(number(running, "id"), number(first, "id"));
    CHECK(number(second, "id") != number(first, "id"));
    CHECK_STRING(json_string_value(json_object_get(json_object_get(second, "args"), "status")), trd_status_text(TRD_E_CANCELLED));
    CHECK(event(root, "b", 3) == NULL);
    CHECK(event(root, "e", 2) != NULL && event(root, "e", 3) == NULL);

    /* At 500: one waits; at 1000: it runs and the other waits; at 1500: the first is gone; at 1600 all are. */
    static const int wanted[][3] = { { 500, 1, 0 }, { 1000, 1, 1 }, { 1500, 1, 0 }, { 1600, 0, 0 } };
    for (int i = 0; i < 4; i++) {
        const json_t *const level = event(root, "C", i);
        CHECK(level != NULL);
        CHECK_INT(number(level, "ts"), wanted[i][0]);
        CHECK_INT(number(json_object_get(level, "args"), "waiting"), wanted[i][1]);
        CHECK_INT(number(json_object_get(level, "args"), "running"), wanted[i][2]);
    }
    CHECK(event(root, "C", 4) == NULL);
    json_decref(root);
}

static void *add_many(void *argument)
{
    const int32_t worker = *(const int32_t *)argument;
    for (int64_t i = 0; i < 3000; i++) add_step(TRDI_TRACE_DECODE, "cpu:0", worker % 2, i * 10, i * 10 + 5);
    return NULL;
}

/* Threads are lanes of their own, whatever numbers their workers have, unless one came after the other. */
static void test_threads(void)
{
    enum { N = 4 };
    trdi_thread threads[N];
    int32_t numbers[N];
    CHECK_OK(trd_trace_start(5000));
    for (int32_t i = 0; i < N; i++) {
        numbers[i] = i;
        CHECK_OK(trdi_thread_start(&threads[i], "adds", add_many, &numbers[i]));
    }
    for (int i = 0; i < 20; i++) CHECK_OK(trd_trace_write(path_of(i % 2 == 0 ? "busy.json" : "busy.svg")));
    for (int i = 0; i < N; i++) trdi_thread_join(threads[i]);
    int64_t n_dropped;
    CHECK_INT(trd_trace_count(&n_dropped), 5000);
    CHECK_INT(n_dropped, 3000 * N - 5000);

    CHECK_OK(trd_trace_start(0));
    int32_t same = 0;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(trdi_thread_start(&threads[i], "adds", add_many, &same));
        trdi_thread_join(threads[i]);
    }
    add_step(TRDI_TRACE_DECODE, "cpu:0", 0, 40000, 50000);
    trdi_trace_picture picture;
    CHECK_OK(trdi_trace_picture_take(&picture));
    CHECK_INT(picture.n_lanes, 2);          /* the first thread and this one; the second at the same time as the first */
    CHECK_INT(picture.lanes[0].n_steps + picture.lanes[1].n_steps, 6001);
    CHECK_INT(llabs(picture.lanes[0].n_steps - picture.lanes[1].n_steps), 1);
    trdi_trace_picture_free(&picture);
}

/* A child begins without a trace, whatever its parent's threads were doing, and can have its own. */
static void test_fork(void)
{
    trdi_thread thread;
    int32_t number = 0;
    CHECK_OK(trd_trace_start(100));
    CHECK_OK(trdi_thread_start(&thread, "adds", add_many, &number));
    for (int i = 0; i < 20; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            add_step(TRDI_TRACE_DECODE, "cpu:0", 0, 1, 2);
            bool good = !trdi_trace_wanted() && trd_trace_count(NULL) == 0 && trd_trace_write(path_of("child.json")) == TRD_E_STATE;
            good = good && trd_trace_start(10) == TRD_OK;
            add_step(TRDI_TRACE_DECODE, "cpu:0", 0, 1, 2);
            _exit(good && trd_trace_count(NULL) == 1 ? 0 : 1);
        }
        int status;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
    }
    trdi_thread_join(thread);
    CHECK_INT(trd_trace_count(NULL), 100);
}

/* Every job of a scheduler leaves one span, whether it ran or not. */
static void test_jobs(void)
{
    enum { N = 30 };
    static sleepy_job jobs[N];
    trdi_job *list[N];
    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    CHECK_OK(trd_trace_start(0));
    for (int i = 0; i < N; i++) {
        jobs[i] = (sleepy_job){ .job = { .call = &call, .cost = i + 1 }, .n_steps = 1, .fail_step = i == 3, .gated = i == 0 };
        list[i] = &jobs[i].job;
    }
    sleepy_plan plan = { .capacity = 1, .fail_open = -1 };
    trdi_scheduler *scheduler;
    CHECK_OK(sleepy_scheduler(&plan, 1, 0, &scheduler));
    CHECK_OK(trdi_scheduler_submit(scheduler, list, N, TRDI_WHEN_FULL_BLOCK));
    trdi_job_cancel(&jobs[N - 1].job);          /* waits: the worker runs the first one */
    atomic_store(&jobs[0].gate_open, true);
    CHECK(trdi_call_wait(&call, NULL));
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_trace_picture picture;
    CHECK_OK(trdi_trace_picture_take(&picture));
    CHECK_INT(picture.n, N);
    int64_t cost = 0;
    for (int i = 0; i < N; i++) {
        const trdi_trace_record *const r = &picture.records[i];
        const bool ran = r->n_tokens != N;      /* its cost tells which job it was */
        CHECK_INT(r->kind, TRDI_TRACE_JOB);
        CHECK_INT(r->worker, ran ? 0 : -1);
        CHECK_INT(r->status, jobs[r->n_tokens - 1].job.status);
        CHECK(r->start_ns <= r->end_ns && (ran ? r->start_ns <= r->admitted_ns && r->admitted_ns <= r->end_ns : r->admitted_ns == 0));
        cost += r->n_tokens;
    }
    CHECK_INT(cost, N * (N + 1) / 2);
    CHECK(jobs[3].job.status != TRD_OK);
    CHECK_INT(jobs[N - 1].job.status, TRD_E_CANCELLED);
    CHECK_INT(picture.levels[picture.n_levels - 1].n_running + picture.levels[picture.n_levels - 1].n_waiting, 0);
    trdi_trace_picture_free(&picture);
    trdi_call_destroy(&call);
}

/* Allocation fails from the n-th on: spans are lost and counted, files are not written, nothing else happens. */
static void test_scarce(void)
{
    bool done = false;
    for (int n = 0; !done; n++) {
        CHECK(n < 200);
        scarce_allow(n);
        const trd_status started = trd_trace_start(8000);
        CHECK(started == TRD_OK || started == TRD_E_MEMORY);
        if (started != TRD_OK) continue;
        for (int i = 0; i < 5000; i++) add_step(TRDI_TRACE_DECODE, i % 2 == 0 ? "cpu:0" : WILD, i % 3, i * 10, i * 10 + 5);
        for (int i = 0; i < 10; i++) add_job("cpu:0", 0, i, i + 5, i + 1000, TRD_OK);
        int64_t n_dropped;
        CHECK_INT(trd_trace_count(&n_dropped) + n_dropped, 5010);
        const trd_status json = trd_trace_write(path_of("scarce.json")), svg = trd_trace_write(path_of("scarce.svg"));
        CHECK(json == TRD_OK || json == TRD_E_MEMORY);
        CHECK(svg == TRD_OK || svg == TRD_E_MEMORY);
        CHECK_INT(access(path_of("scarce.json"), F_OK) == 0, json == TRD_OK);
        CHECK_INT(access(path_of("scarce.svg"), F_OK) == 0, svg == TRD_OK);
        if (json == TRD_OK) (void)unlink(path_of("scarce.json"));
        if (svg == TRD_OK) (void)unlink(path_of("scarce.svg"));
        done = json == TRD_OK && svg == TRD_OK && n_dropped == 0;
    }
    scarce_allow(1 << 30);
}

/* An allocator that is no leaf: it may look at the library while it is asked for memory. */
static _Atomic(trdi_scheduler *) looked_at;
static atomic_int n_looks;

static void *look_and_alloc(void *context, size_t bytes, size_t alignment)
{
    trdi_scheduler *const scheduler = atomic_load(&looked_at);
    if (scheduler != NULL) {
        int64_t queued, active;
        trdi_scheduler_counts(scheduler, &queued, &active);
        (void)trd_trace_count(NULL);
        atomic_fetch_add(&n_looks, 1);
    }
    return scarce_alloc(context, bytes, alignment);
}

/* No lock of ours is held while memory is sought: for spans, for names, for why a job failed. */
static void test_allocator_looks(void)
{
    sleepy_plan plan = { .capacity = 1, .fail_open = -1 };
    sleepy_job good = { .n_steps = 1 }, bad = { .n_steps = 1, .fail_admit = true }, held = { .n_steps = 1, .gated = true }, waiting = { .n_steps = 1 };
    trdi_job *const jobs[] = { &good.job, &bad.job, &held.job, &waiting.job };
    trdi_call call;
    trdi_scheduler *scheduler;
    CHECK_OK(trdi_call_init(&call));
    for (int i = 0; i < 4; i++) jobs[i]->call = &call;
    CHECK_OK(sleepy_scheduler(&plan, 1, 0, &scheduler));
    CHECK_OK(trd_trace_start(100));
    atomic_store(&looked_at, scheduler);
    CHECK_OK(trdi_scheduler_submit(scheduler, jobs, 4, TRDI_WHEN_FULL_BLOCK));
    trdi_job_cancel(&waiting.job);
    CHECK_OK(trd_trace_start(100));            /* an empty one: the next span needs memory */
    atomic_store(&held.gate_open, true);
    CHECK(trdi_call_wait(&call, NULL));
    CHECK_INT(bad.job.status, TRD_E_INVALID);
    CHECK_STRING(bad.job.error, "job 1 is not tired");
    trdi_trace_picture picture = { .n = 0 };
    CHECK_OK(trdi_trace_copy(&picture));
    trdi_trace_picture_free(&picture);
    CHECK(atomic_load(&n_looks) >= 3);
    atomic_store(&looked_at, NULL);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    trdi_call_destroy(&call);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        CHECK_OK((trd_status)(chdir(argv[1]) == 0 ? TRD_OK : TRD_E_IO));
        fill();
        CHECK_OK(trd_trace_write("trace.json"));
        CHECK_OK(trd_trace_write("trace.svg"));
        CHECK_OK(trd_trace_start(10));
        CHECK_OK(trd_trace_write("empty.svg"));
        add_step(TRDI_TRACE_DECODE, "cpu:0", 0, 7, 7);
        CHECK_OK(trd_trace_write("moment.svg"));
        return 0;
    }
    CHECK_OK(trd_allocator_set(&(trd_allocator){ .alloc = look_and_alloc, .free = scarce_free }));
    scarce_allow(1 << 30);
    CHECK(mkdtemp(folder) != NULL);
    test_never_started();
    test_bad();
    test_places();
    test_bound();
    test_stop();
    test_json();
    test_threads();
    test_jobs();
    test_scarce();
    test_allocator_looks();
    if (!UNDER_THREAD_SANITIZER) test_fork();       /* it forbids threads in a child of a program with threads */
    fill();
    json_decref(written("full.json"));
    static const char *const files[] = { "stop.json", "empty.json", "empty.svg", "trace.json", "busy.json", "busy.svg", "full.json" };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) CHECK_INT(unlink(path_of(files[i])), 0);
    CHECK_INT(rmdir(folder), 0);
    return 0;
}
