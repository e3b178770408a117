/*
 * test_cl_core.c: memory, copies, queues and events of the OpenCL back end, on every device that the process sees: what is refused, what is
 * ordered, what many threads may do at once, and what two platforms in one process do for each other.
 */
#include "core/threads.h"
#include "opencl/cl_rig.h"

static const trdi_backend_ops *ops;
static bool small;

typedef struct device {
    trdi_device_facts facts;
    void *handle;
} device;

static trdi_span at(void *buffer, size_t offset)
{
    return (trdi_span){ buffer, offset };
}

static void *make_queue(const device *d)
{
    void *queue;
    CHECK_OK(ops->queue_create(d->handle, &(trdi_queue_options){ .n_threads = 1 }, &queue));
    return queue;
}

static void *make_buffer(const device *d, size_t bytes, trdi_memory kind)
{
    void *buffer;
    CHECK_OK(ops->buffer_alloc(d->handle, bytes, kind, &buffer));
    return buffer;
}

/* ---- Facts ---- */

static void check_facts(const device *d)
{
    CHECK(d->facts.name[0] != '\0' && d->facts.platform[0] != '\0' && d->facts.driver[0] != '\0');
    CHECK(d->facts.n_compute_units > 0 && d->facts.memory_bytes > 0 && d->facts.max_buffer_bytes > 0);
    void *none;
    trdi_device_facts gone = d->facts;
    (void)snprintf(gone.id, sizeof gone.id, "opencl:99");
    CHECK_FAILS(ops->device_open(&gone, &none), TRD_E_DEVICE, "device opencl:99 is gone");
    gone = d->facts;
    (void)snprintf(gone.name, sizeof gone.name, "a machine of 1984");
    CHECK_FAILS(ops->device_open(&gone, &none), TRD_E_DEVICE, "was 'a machine of 1984' when it was listed");
    CHECK(none == NULL);
}

/* ---- Buffers and copies ---- */

static void check_buffers(const device *d)
{
    const uint64_t before = ops->memory_in_use(d->handle);
    void *counted = make_buffer(d, 100000, TRDI_MEMORY_DEVICE);
    CHECK(ops->memory_in_use(d->handle) >= before + 100000 && ops->memory_in_use(d->handle) < before + 200000);
    ops->buffer_free(counted);
    CHECK_INT(ops->memory_in_use(d->handle), before);
    static const trdi_memory kinds[] = { TRDI_MEMORY_DEVICE, TRDI_MEMORY_STEP, TRDI_MEMORY_RESULT };
    for (size_t i = 0; i < 3; i++) {
        void *empty = make_buffer(d, 0, kinds[i]), *some = make_buffer(d, 1000, kinds[i]);
        CHECK((ops->buffer_host(some) != NULL) == (kinds[i] != TRDI_MEMORY_DEVICE));
        const unsigned char *host = ops->buffer_host(some);
        for (size_t j = 0; host != NULL && j < 1000; j++) CHECK_INT(host[j], 0);
        ops->buffer_free(empty);
        ops->buffer_free(some);
    }
    ops->buffer_free(NULL);
    void *none = &none;
    CHECK_FAILS(ops->buffer_alloc(d->handle, (size_t)d->facts.max_buffer_bytes + 1, TRDI_MEMORY_DEVICE, &none), TRD_E_MEMORY, "its largest is");
    CHECK(none == NULL);
    CHECK_FAILS(ops->buffer_alloc(d->handle, SIZE_MAX, TRDI_MEMORY_STEP, &none), TRD_E_MEMORY, d->facts.id);
}

static void check_copies(const device *d)
{
    enum { BYTES = 1003 };
    unsigned char sent[BYTES], got[BYTES];
    void *queue = make_queue(d), *a = make_buffer(d, BYTES, TRDI_MEMORY_DEVICE), *b = make_buffer(d, BYTES, TRDI_MEMORY_DEVICE);
    for (size_t i = 0; i < BYTES; i++) sent[i] = (unsigned char)cl_rig_bits();
    CHECK_OK(ops->write(queue, at(a, 0), sent, BYTES));
    CHECK_OK(ops->write(queue, at(b, 0), sent, BYTES));
    CHECK_OK(ops->copy(queue, at(b, 3), at(a, 501), 77));
    CHECK_OK(ops->copy(queue, at(a, 100), at(a, 0), 100));      /* they touch */
    CHECK_OK(ops->copy(queue, at(a, 7), at(a, 7), 900));        /* onto itself */
    CHECK_OK(ops->read(queue, got, at(b, 0), BYTES));
    for (size_t i = 0; i < BYTES; i++) CHECK_INT(got[i], i >= 3 && i < 80 ? sent[i + 498] : sent[i]);
    CHECK_OK(ops->read(queue, got, at(a, 0), BYTES));
    for (size_t i = 0; i < BYTES; i++) CHECK_INT(got[i], i >= 100 && i < 200 ? sent[i - 100] : sent[i]);

    CHECK_OK(ops->copy(queue, at(NULL, 0), at(NULL, 0), 0));
    CHECK_OK(ops->write(queue, at(NULL, 0), NULL, 0));
    CHECK_OK(ops->read(queue, NULL, at(NULL, 0), 0));
    CHECK_FAILS(ops->copy(queue, at(a, 0), at(NULL, 0), 4), TRD_E_INVALID, "a buffer is absent");
    CHECK_FAILS(ops->copy(queue, at(a, BYTES - 3), at(b, 0), 4), TRD_E_INVALID, "copy of 4 bytes at 1000 of a buffer of 1003");
    CHECK_FAILS(ops->copy(queue, at(a, 0), at(b, SIZE_MAX - 1), 4), TRD_E_INVALID, "of a buffer of 1003");
    CHECK_FAILS(ops->copy(queue, at(a, 10), at(a, 0), 11), TRD_E_INVALID, "they overlap");
    CHECK_FAILS(ops->write(queue, at(a, 1), sent, BYTES), TRD_E_INVALID, "write of 1003 bytes at 1 of a buffer of 1003");
    CHECK_FAILS(ops->write(queue, at(a, 0), NULL, 4), TRD_E_INVALID, "the source is absent");
    CHECK_FAILS(ops->read(queue, got, at(a, BYTES), 1), TRD_E_INVALID, "read of 1 bytes at 1003");
    CHECK_FAILS(ops->read(queue, NULL, at(a, 0), 1), TRD_E_INVALID, "the destination is absent");
    CHECK_OK(ops->read(queue, got, at(a, 0), BYTES));           /* what was refused changed nothing */
    CHECK_INT(got[0], sent[0]);
    ops->buffer_free(a);
    ops->buffer_free(b);
    ops->queue_destroy(queue);
    ops->queue_destroy(NULL);
}

/* ---- Plans ---- */

/* y = (x + step) * 0.5 with a result of its own. */
typedef struct adder {
    int64_t width;
    void *x, *step, *result, *plan;
} adder;

static adder make_adder(const device *d, int64_t width)
{
    const size_t bytes = (size_t)width * sizeof(float);
    adder a = { .width = width, .x = make_buffer(d, bytes, TRDI_MEMORY_DEVICE), .step = make_buffer(d, bytes, TRDI_MEMORY_STEP),
                .result = make_buffer(d, bytes, TRDI_MEMORY_RESULT) };
    const trdi_op op = { .kind = TRDI_OP_MAP, .count = TRDI_COUNT_TOKENS, .u.map = { .function = TRDI_MAP_ADD, .x = at(a.x, 0),
        .z = at(a.step, 0), .y = at(a.result, 0), .width = width, .x_stride = width, .z_stride = width, .y_stride = width, .parameter = 0.5f } };
    CHECK_OK(ops->plan_create(d->handle, &op, 1, NULL, &a.plan));
    void *queue = make_queue(d), *zeros = calloc(1, bytes);
    CHECK(zeros != NULL);
    CHECK_OK(ops->write(queue, at(a.x, 0), zeros, bytes));
    ops->queue_destroy(queue);
    free(zeros);
    return a;
}

static void free_adder(adder *a)
{
    ops->plan_destroy(a->plan);
    ops->buffer_free(a->x);
    ops->buffer_free(a->step);
    ops->buffer_free(a->result);
}

static const trdi_step run_once = { .counts = { [TRDI_COUNT_ONE] = 1, [TRDI_COUNT_TOKENS] = 1 } };

static void use_adder(adder *a, void *queue, float value)
{
    float *x = malloc((size_t)a->width * sizeof *x), *step = ops->buffer_host(a->step);
    CHECK(x != NULL);
    for (int64_t i = 0; i < a->width; i++) x[i] = value;
    for (int64_t i = 0; i < a->width; i++) step[i] = (float)i;
    CHECK_OK(ops->write(queue, at(a->x, 0), x, (size_t)a->width * sizeof *x));
    CHECK_OK(ops->plan_run(queue, a->plan, &run_once));
    CHECK_OK(ops->queue_wait(queue));
    const float *result = ops->buffer_host(a->result);
    for (int64_t i = 0; i < a->width; i++) CHECK_NEAR(result[i], (value + (float)i) * 0.5f, 0.0);
    free(x);
}

static void check_plans(const device *d, const device *other)
{
    void *queue = make_queue(d), *empty;
    CHECK_OK(ops->plan_create(d->handle, NULL, 0, NULL, &empty));
    CHECK_OK(ops->plan_run(queue, empty, &run_once));
    CHECK_OK(ops->queue_wait(queue));
    ops->plan_destroy(empty);
    ops->plan_destroy(NULL);
    adder a = make_adder(d, 100);
    use_adder(&a, queue, 3.0f);
    const trdi_step nothing = { .counts = { [TRDI_COUNT_ONE] = 1 } };
    CHECK_OK(ops->plan_run(queue, a.plan, &nothing));
    CHECK_OK(ops->queue_wait(queue));
    /* Everything may be freed, and the queue destroyed, while the work is under way. */
    for (int i = 0; i < (small ? 3 : 20); i++) {
        adder early = make_adder(d, 20000);
        CHECK_OK(ops->plan_run(queue, early.plan, &run_once));
        free_adder(&early);
    }
    CHECK_OK(ops->queue_wait(queue));
    adder late = make_adder(d, 20000);
    CHECK_OK(ops->plan_run(queue, late.plan, &run_once));
    ops->queue_destroy(queue);
    free_adder(&late);
    if (other != NULL) {
        void *theirs = make_queue(other);
        CHECK_FAILS(ops->plan_run(theirs, a.plan, &run_once), TRD_E_INVALID, "on a queue of another device");
        CHECK_FAILS(ops->write(theirs, at(a.x, 0), &run_once, 4), TRD_E_INVALID, "a buffer is of another device");
        ops->queue_destroy(theirs);
    }
    free_adder(&a);
}

/* A caller that never waits for its queue: transfers, or the number of buffers, let go of what earlier steps used. */
static void check_bounded(const device *d, bool reading)
{
    void *queue = make_queue(d), *other = make_buffer(d, 64, TRDI_MEMORY_DEVICE);
    const uint64_t before = ops->memory_in_use(d->handle);
    uint64_t most = 0;
    for (int i = 0; i < (small ? 60 : 600); i++) {
        adder a = { .width = 1000 + i };
        const size_t bytes = (size_t)a.width * sizeof(float);
        a.step = make_buffer(d, bytes, TRDI_MEMORY_STEP);
        a.result = make_buffer(d, bytes, TRDI_MEMORY_RESULT);
        const trdi_op op = { .kind = TRDI_OP_MAP, .count = TRDI_COUNT_TOKENS, .u.map = { .function = TRDI_MAP_SCALE, .x = at(a.step, 0),
            .y = at(a.result, 0), .width = a.width, .x_stride = a.width, .y_stride = a.width, .parameter = 1.0f } };
        CHECK_OK(ops->plan_create(d->handle, &op, 1, NULL, &a.plan));
        CHECK_OK(ops->plan_run(queue, a.plan, &run_once));
        free_adder(&a);
        char got[8];
        if (reading) CHECK_OK(ops->read(queue, got, at(other, 0), sizeof got));
        const uint64_t used = ops->memory_in_use(d->handle) - before;
        if (used > most) most = used;
    }
    const uint64_t step = 2 * 1600 * sizeof(float);
    CHECK(most <= (reading ? 1 : 160) * step);
    ops->queue_destroy(queue);
    ops->buffer_free(other);
    CHECK_INT(ops->memory_in_use(d->handle), before - 64);
}

/* An operation with a table of its own. */
static void check_table(const device *d)
{
    enum { WIDTH = 64 };
    void *queue = make_queue(d), *y = make_buffer(d, WIDTH * sizeof(float), TRDI_MEMORY_DEVICE), *places = make_buffer(d, 4, TRDI_MEMORY_STEP), *plan;
    const uint64_t before = ops->memory_in_use(d->handle);
    const trdi_op op = { .kind = TRDI_OP_POSITIONS, .count = TRDI_COUNT_TOKENS,
                         .u.positions = { .y = at(y, 0), .positions = at(places, 0), .width = WIDTH } };
    CHECK_OK(ops->plan_create(d->handle, &op, 1, NULL, &plan));
    CHECK(ops->memory_in_use(d->handle) > before);
    CHECK_OK(ops->plan_run(queue, plan, &run_once));
    CHECK_OK(ops->queue_wait(queue));
    ops->plan_destroy(plan);
    CHECK_INT(ops->memory_in_use(d->handle), before);
    ops->buffer_free(places);
    ops->buffer_free(y);
    ops->queue_destroy(queue);
}

/* ---- Events ---- */

/* Two queues pass numbers to and fro: what one writes is read by the other only because of the events. */
static void check_events(const device *d)
{
    enum { N = 5000 };
    static float sent[N], got[N];
    void *queues[2] = { make_queue(d), make_queue(d) }, *event, *stages[2];
    adder a = make_adder(d, N);
    for (size_t i = 0; i < 2; i++) stages[i] = make_buffer(d, sizeof sent, TRDI_MEMORY_DEVICE);
    for (int round = 0; round < (small ? 4 : 40); round++) {
        for (int i = 0; i < N; i++) sent[i] = (float)(round * 3 + i);
        float *step = ops->buffer_host(a.step);
        for (int i = 0; i < N; i++) step[i] = (float)round;
        CHECK_OK(ops->write(queues[0], at(a.x, 0), sent, sizeof sent));
        CHECK_OK(ops->plan_run(queues[0], a.plan, &run_once));
        CHECK_OK(ops->copy(queues[0], at(stages[0], 0), at(a.result, 0), sizeof sent));
        CHECK_OK(ops->event_record(queues[0], &event));
        CHECK_OK(ops->event_wait(queues[1], event));
        CHECK_OK(ops->copy(queues[1], at(stages[1], 0), at(stages[0], 0), sizeof sent));
        ops->event_free(event);
        CHECK_OK(ops->event_record(queues[1], &event));
        CHECK_OK(ops->event_wait(queues[0], event));
        CHECK_OK(ops->event_wait(NULL, event));
        bool done = false;
        CHECK_OK(ops->event_done(event, &done));
        CHECK(done);
        ops->event_free(event);
        CHECK_OK(ops->read(queues[0], got, at(stages[1], 0), sizeof got));
        CHECK_OK(ops->queue_wait(queues[0]));
        for (int i = 0; i < N; i++) CHECK_NEAR(got[i], (sent[i] + (float)round) * 0.5f, 0.0);
    }
    ops->event_free(NULL);
    free_adder(&a);
    for (size_t i = 0; i < 2; i++) ops->buffer_free(stages[i]);
    for (size_t i = 0; i < 2; i++) ops->queue_destroy(queues[i]);
}

/* A queue of one platform waits for a queue of another; numbers go over the host. */
static void check_across(const device *from, const device *to)
{
    void *queues[2] = { make_queue(from), make_queue(to) }, *event;
    adder a = make_adder(from, 300), b = make_adder(to, 300);
    use_adder(&a, queues[0], 7.0f);
    float *step = ops->buffer_host(a.step);
    for (int i = 0; i < 300; i++) step[i] = 1.0f;
    CHECK_OK(ops->plan_run(queues[0], a.plan, &run_once));
    CHECK_OK(ops->event_record(queues[0], &event));
    CHECK_OK(ops->event_wait(queues[1], event));       /* so a's result is on the host */
    CHECK_OK(ops->write(queues[1], at(b.x, 0), ops->buffer_host(a.result), 300 * sizeof(float)));
    CHECK_OK(ops->plan_run(queues[1], b.plan, &run_once));
    CHECK_OK(ops->queue_wait(queues[1]));
    const float *result = ops->buffer_host(b.result);
    for (int i = 0; i < 300; i++) CHECK_NEAR(result[i], 2.0, 0.0);
    ops->event_free(event);
    CHECK_OK(ops->queue_wait(queues[0]));
    free_adder(&a);
    free_adder(&b);
    for (size_t i = 0; i < 2; i++) ops->queue_destroy(queues[i]);
}

/* ---- Threads ---- */

static void *run_thread(void *context)
{
    const device *d = context;
    void *queue = make_queue(d);
    adder a = make_adder(d, 257);
    for (int i = 0; i < (small ? 5 : 50); i++) {
        use_adder(&a, queue, (float)i);
        void *event, *scratch = make_buffer(d, 4096, TRDI_MEMORY_DEVICE);
        CHECK_OK(ops->copy(queue, at(scratch, 0), at(a.x, 0), 1024));
        CHECK_OK(ops->event_record(queue, &event));
        ops->buffer_free(scratch);
        CHECK_OK(ops->event_wait(NULL, event));
        ops->event_free(event);
    }
    free_adder(&a);
    ops->queue_destroy(queue);
    return NULL;
}

static void check_threads(device *const devices, size_t n)
{
    trdi_thread threads[8];
    for (size_t i = 0; i < 8; i++) CHECK_OK(trdi_thread_start(&threads[i], "core", run_thread, &devices[i % n]));
    for (size_t i = 0; i < 8; i++) trdi_thread_join(threads[i]);
}

int main(void)
{
    small = getenv("TREADLE_TEST_SMALL") != NULL;
    ops = cl_rig_module();
    device devices[8];
    trdi_device_facts facts[8];
    size_t n = 0, n_all = 0, bytes, blocks;
    if (ops->enumerate(facts, 8, &n_all) != TRD_OK) NO_DEVICE("%s", trd_last_error());
    for (size_t i = 0; i < n_all && i < 8; i++) {
        if (facts[i].unusable[0] == '\0') devices[n++].facts = facts[i];
    }
    if (n == 0) NO_DEVICE("no usable OpenCL device");
    for (size_t i = 0; i < n; i++) CHECK_OK(ops->device_open(&devices[i].facts, &devices[i].handle));
    for (size_t i = 0; i < n; i++) {
        printf("%s: %s, %s\n", devices[i].facts.id, devices[i].facts.platform, devices[i].facts.name);
        (void)fflush(stdout);
        check_facts(&devices[i]);
        check_buffers(&devices[i]);
        check_copies(&devices[i]);
        check_plans(&devices[i], n > 1 ? &devices[(i + 1) % n] : NULL);
        if (!small) check_bounded(&devices[i], false);
        check_bounded(&devices[i], true);
        check_table(&devices[i]);
        check_events(&devices[i]);
        check_across(&devices[i], &devices[(i + 1) % n]);
    }
    const char *implementation = getenv("TREADLE_TEST_IMPLEMENTATION");
    if (implementation == NULL || strcmp(implementation, "oclgrind") != 0) check_threads(devices, n);      /* it takes one thread */
    for (size_t i = 0; i < n; i++) {
        CHECK_INT(ops->memory_in_use(devices[i].handle), 64);    /* all is given back but the line for absent operands */
        ops->device_close(devices[i].handle);
    }
    ops->device_close(NULL);
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
