/*
 * test_cl_faults.c: everything that a driver or the machine can refuse, one call after the other: a named error, nothing left behind, and
 * the device goes on; and a device that is lost. The layer fault_layer.c makes the calls fail.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <time.h>

#include "core/threads.h"
#include "opencl/cl_rig.h"
#include "opencl/fault_layer.h"

enum { ROWS = 5, IN = 32, OUT = 24 };

static const fault_layer *layer;
static const trdi_backend_ops *ops;
static char logged[8192];

static void on_log(void *context, trd_log_level level, const char *text)
{
    (void)context;
    (void)level;
    const size_t n = strlen(logged);
    (void)snprintf(logged + n, sizeof logged - n, "%s\n", text);
}

/* ---- A small model: two products, one of them with integers, and a sum with the step block ---- */

typedef struct session {
    void *device, *queues[2], *weights[2], *plan, *event;
    void *x, *h, *g, *step, *result, *copied;
} session;

static float values[OUT * IN];
static float wanted[ROWS * OUT];

static trd_status make_weight(session *s, trd_dtype dtype, int64_t rows, int64_t cols, void **out)
{
    const cl_rows from = { values, cols };
    const trdi_weight_source source = { .layout = TRDI_LAYOUT_LINEAR, .dtype = dtype, .rows = rows, .cols = cols, .read = cl_read_rows,
                                        .read_i8 = cl_read_i8, .context = &from, .bias = values };
    return ops->weight_prepare(s->device, &source, out);
}

static trd_status load(session *s)
{
    TRDI_TRY(ops->queue_create(s->device, &(trdi_queue_options){ .n_threads = 1 }, &s->queues[0]));
    TRDI_TRY(ops->queue_create(s->device, &(trdi_queue_options){ .n_threads = 1 }, &s->queues[1]));
    TRDI_TRY(make_weight(s, TRD_DTYPE_F32, OUT, IN, &s->weights[0]));
    TRDI_TRY(make_weight(s, TRD_DTYPE_I8, OUT, OUT, &s->weights[1]));
    TRDI_TRY(ops->buffer_alloc(s->device, ROWS * IN * 4, TRDI_MEMORY_DEVICE, &s->x));
    TRDI_TRY(ops->buffer_alloc(s->device, ROWS * OUT * 4, TRDI_MEMORY_DEVICE, &s->h));
    TRDI_TRY(ops->buffer_alloc(s->device, ROWS * OUT * 4, TRDI_MEMORY_DEVICE, &s->g));
    TRDI_TRY(ops->buffer_alloc(s->device, ROWS * OUT * 4, TRDI_MEMORY_DEVICE, &s->copied));
    TRDI_TRY(ops->buffer_alloc(s->device, ROWS * OUT * 4, TRDI_MEMORY_STEP, &s->step));
    TRDI_TRY(ops->buffer_alloc(s->device, ROWS * OUT * 4, TRDI_MEMORY_RESULT, &s->result));
    const trdi_op list[] = {
        { .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS, .u.linear = { .weight = s->weights[0], .x = { s->x, 0 }, .y = { s->h, 0 },
              .in = IN, .out = OUT, .x_stride = IN, .y_stride = OUT, .activation = -1 } },
        { .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS, .u.linear = { .weight = s->weights[1], .x = { s->h, 0 }, .y = { s->g, 0 },
              .in = OUT, .out = OUT, .x_stride = OUT, .y_stride = OUT, .activation = -1 } },
        { .kind = TRDI_OP_MAP, .count = TRDI_COUNT_TOKENS, .u.map = { .function = TRDI_MAP_ADD, .x = { s->g, 0 }, .z = { s->step, 0 },
              .y = { s->result, 0 }, .width = OUT, .x_stride = OUT, .z_stride = OUT, .y_stride = OUT, .parameter = 1.0f } },
    };
    const trdi_plan_options options = { .numerics = TRDI_NUMERICS_REPRODUCIBLE };
    return ops->plan_create(s->device, list, sizeof list / sizeof list[0], &options, &s->plan);
}

static const trdi_step one_step = { .counts = { [TRDI_COUNT_ONE] = 1, [TRDI_COUNT_TOKENS] = ROWS } };

static trd_status work(session *s)
{
    float got[ROWS * OUT];
    TRDI_TRY(ops->write(s->queues[0], (trdi_span){ s->x, 0 }, values, ROWS * IN * 4));
    for (int round = 0; round < 2; round++) {
        float *step = ops->buffer_host(s->step);
        for (int i = 0; i < ROWS * OUT; i++) step[i] = (float)(i * round);
        TRDI_TRY(ops->plan_run(s->queues[0], s->plan, &one_step));
        TRDI_TRY(ops->queue_wait(s->queues[0]));
    }
    TRDI_TRY(ops->copy(s->queues[0], (trdi_span){ s->copied, 0 }, (trdi_span){ s->g, 0 }, ROWS * OUT * 4));
    TRDI_TRY(ops->event_record(s->queues[0], &s->event));
    TRDI_TRY(ops->event_wait(s->queues[1], s->event));
    TRDI_TRY(ops->read(s->queues[1], got, (trdi_span){ s->copied, 0 }, sizeof got));
    TRDI_TRY(ops->event_wait(NULL, s->event));
    ops->event_free(s->event);
    s->event = NULL;
    const float *result = ops->buffer_host(s->result);
    for (int i = 0; i < ROWS * OUT; i++) CHECK_NEAR(result[i], got[i] + (float)i, 1e-4);
    static bool known;
    if (!known) memcpy(wanted, result, sizeof wanted);
    known = true;
    for (int i = 0; i < ROWS * OUT; i++) CHECK_NEAR(result[i], wanted[i], 0.0);
    return TRD_OK;
}

static void unload(session *s)
{
    ops->plan_destroy(s->plan);
    ops->event_free(s->event);
    ops->weight_free(s->weights[0]);
    ops->weight_free(s->weights[1]);
    void *const buffers[] = { s->x, s->h, s->g, s->step, s->result, s->copied };
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) ops->buffer_free(buffers[i]);
    ops->queue_destroy(s->queues[0]);
    ops->queue_destroy(s->queues[1]);
    void *device = s->device;
    *s = (session){ .device = device };
}

static trd_status whole(const trdi_device_facts *facts)
{
    session s = { .device = NULL };
    trd_status status = ops->device_open(facts, &s.device);
    if (status == TRD_OK) status = load(&s);
    if (status == TRD_OK) status = work(&s);
    unload(&s);
    if (s.device != NULL) ops->device_close(s.device);
    return status;
}

/* ---- Nothing is left ---- */

static size_t blocks_in_use(void)
{
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    return blocks;
}

static void check_nothing_left(const char *function, long nth)
{
    static const char *const kinds[] = { "context", "queue", "buffer", "program", "kernel", "event" };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (layer->alive(kinds[i]) == 0) continue;
        fprintf(stderr, "%s, call %ld: %ld objects of kind %s are left\n", function, nth, layer->alive(kinds[i]), kinds[i]);
        exit(1);
    }
    if (blocks_in_use() == 0) return;
    fprintf(stderr, "%s, call %ld: %zu blocks of memory are left\n", function, nth, blocks_in_use());
    exit(1);
}

/* ---- Each call of each function ---- */

static const struct {
    const char *function;
    cl_int error;
    trd_status status;
    const char *name;
    bool compiling;              /* needs programs that are not in the cache */
    bool every;                  /* each of its calls; else only some of the later ones */
} faults[] = {
    { "clCreateContext", CL_OUT_OF_HOST_MEMORY, TRD_E_MEMORY, "CL_OUT_OF_HOST_MEMORY", false, true },
    { "clCreateCommandQueue", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "CL_OUT_OF_RESOURCES", false, true },
    { "clCreateBuffer", CL_MEM_OBJECT_ALLOCATION_FAILURE, TRD_E_MEMORY, "CL_MEM_OBJECT_ALLOCATION_FAILURE", false, true },
    { "clCreateProgramWithSource", CL_OUT_OF_HOST_MEMORY, TRD_E_MEMORY, "CL_OUT_OF_HOST_MEMORY", true, true },
    { "clBuildProgram", CL_BUILD_PROGRAM_FAILURE, TRD_E_DEVICE, "this compiler was told to fail", true, true },
    { "clCreateKernel", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "CL_OUT_OF_RESOURCES", false, true },
    { "clSetKernelArg", CL_INVALID_ARG_VALUE, TRD_E_DEVICE, "CL_INVALID_ARG_VALUE", false, false },
    { "clEnqueueWriteBuffer", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "CL_OUT_OF_RESOURCES", false, true },
    { "clEnqueueWriteBufferRect", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "CL_OUT_OF_RESOURCES", false, true },
    { "clEnqueueReadBuffer", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "CL_OUT_OF_RESOURCES", false, true },
    { "clEnqueueCopyBuffer", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "CL_OUT_OF_RESOURCES", false, true },
    { "clEnqueueNDRangeKernel", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "CL_OUT_OF_RESOURCES", false, true },
    { "clEnqueueMarkerWithWaitList", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "CL_OUT_OF_RESOURCES", false, true },
    { "clEnqueueBarrierWithWaitList", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "CL_OUT_OF_RESOURCES", false, true },
    { "clFlush", CL_INVALID_COMMAND_QUEUE, TRD_E_DEVICE, "was lost", false, true },
    { "clWaitForEvents", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "was lost", false, true },
    { "clGetEventInfo", CL_OUT_OF_RESOURCES, TRD_E_DEVICE, "was lost", false, true },
};

static void try_each_call(const trdi_device_facts *facts, size_t which)
{
    const char *function = faults[which].function;
    const char *cache = getenv("TREADLE_CACHE");
    char *kept = cache != NULL ? strdup(cache) : NULL;
    if (faults[which].compiling) (void)setenv("TREADLE_CACHE", "", 1);
    long n_failed = 0;
    for (long nth = 1;; nth += faults[which].every || nth < 4 ? 1 : 13) {
        layer->set(function, nth, false, faults[which].error);
        const trd_status status = whole(facts);
        if (!layer->happened()) {
            CHECK_INT(status, TRD_OK);
            break;
        }
        if (status != faults[which].status || strstr(trd_last_error(), faults[which].name) == NULL ||
            strstr(trd_last_error(), facts->id) == NULL) {
            fprintf(stderr, "%s, call %ld: status %d, '%s'\n", function, nth, (int)status, trd_last_error());
            exit(1);
        }
        check_nothing_left(function, nth);
        n_failed++;
    }
    layer->clear();
    CHECK_OK(whole(facts));
    check_nothing_left(function, 0);
    if (kept != NULL) (void)setenv("TREADLE_CACHE", kept, 1);
    free(kept);
    printf("%s: %ld of its calls failed, one after the other\n", function, n_failed);
    (void)fflush(stdout);
}

/* ---- A failure that is no loss ---- */

static atomic_bool opened;

static void *open_later(void *unused)
{
    const struct timespec moment = { 0, 50 * 1000 * 1000 };
    (void)nanosleep(&moment, NULL);
    atomic_store(&opened, true);
    layer->open_gate();
    return unused;
}

/* When a run has failed half-way, nothing reads the step block any more. */
static void comes_to_rest(session *s)
{
    trdi_thread opener;
    layer->shut_gate();
    layer->set("clEnqueueNDRangeKernel", 2, false, CL_OUT_OF_RESOURCES);
    CHECK_OK(trdi_thread_start(&opener, "opener", open_later, NULL));
    CHECK_FAILS(ops->plan_run(s->queues[0], s->plan, &one_step), TRD_E_DEVICE, "operation 1 (linear) on opencl:");
    CHECK(atomic_load(&opened));
    trdi_thread_join(opener);
}

/* A command ends with an error, while waiting for the queue succeeds. */
static void tells_of_commands(session *s)
{
    CHECK_OK(ops->plan_run(s->queues[0], s->plan, &one_step));
    layer->set("clGetEventInfo", 1, false, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    CHECK_FAILS(ops->queue_wait(s->queues[0]), TRD_E_MEMORY, "an earlier command on a queue of opencl:");
    CHECK(layer->happened());
    CHECK_OK(work(s));
    CHECK_OK(ops->plan_run(s->queues[0], s->plan, &one_step));
    float got;
    layer->set("clGetEventInfo", 2, false, CL_MEM_OBJECT_ALLOCATION_FAILURE);     /* the first is that of the transfer */
    CHECK_FAILS(ops->read(s->queues[0], &got, (trdi_span){ s->x, 0 }, sizeof got), TRD_E_MEMORY, "read: an earlier command on");
    layer->set("clGetEventInfo", 1, false, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    CHECK_FAILS(ops->read(s->queues[0], &got, (trdi_span){ s->x, 0 }, sizeof got), TRD_E_MEMORY, "read on opencl:");
    CHECK_OK(ops->queue_wait(s->queues[0]));
}

static void goes_on(const trdi_device_facts *facts)
{
    session s = { .device = NULL };
    CHECK_OK(ops->device_open(facts, &s.device));
    CHECK_OK(load(&s));
    layer->set("clEnqueueNDRangeKernel", 2, false, CL_OUT_OF_RESOURCES);
    CHECK_FAILS(work(&s), TRD_E_DEVICE, "CL_OUT_OF_RESOURCES");
    CHECK_OK(work(&s));
    layer->set("clCreateBuffer", 1, false, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    void *none;
    CHECK_FAILS(ops->buffer_alloc(s.device, 100, TRDI_MEMORY_DEVICE, &none), TRD_E_MEMORY, "buffer of 100 bytes on opencl:");
    CHECK(none == NULL);
    layer->set("clFinish", 1, false, CL_MEM_OBJECT_ALLOCATION_FAILURE);      /* memory that a driver makes late */
    CHECK_FAILS(ops->queue_wait(s.queues[0]), TRD_E_MEMORY, "CL_MEM_OBJECT_ALLOCATION_FAILURE");
    CHECK_OK(work(&s));
    tells_of_commands(&s);
    comes_to_rest(&s);
    atomic_bool abort = true;
    trdi_step step = one_step;
    step.abort = &abort;
    CHECK_FAILS(ops->plan_run(s.queues[0], s.plan, &step), TRD_E_CANCELLED, "cancelled");
    CHECK_OK(work(&s));
    unload(&s);
    ops->device_close(s.device);
    check_nothing_left("going on", 0);
}

/* ---- A device that is too small for kernels of the GROUPS form ---- */

static void check_unusable(const char *function, int size, const char *why)
{
    trdi_device_facts facts[8];
    size_t n = 0;
    layer->set(function, 1, true, size);
    CHECK_OK(ops->enumerate(facts, 8, &n));
    layer->clear();
    CHECK(n > 0);
    if (why == NULL ? facts[0].unusable[0] == '\0' : strstr(facts[0].unusable, why) != NULL) return;
    fprintf(stderr, "%s gives %d: '%s'\n", function, size, facts[0].unusable);
    exit(1);
}

static void check_small(const trdi_device_facts *facts)
{
    session s = { .device = NULL };
    (void)setenv("TREADLE_OPENCL_FORM", "tiles", 1);
    check_unusable("clGetDeviceInfo:GROUP", 32, NULL);
    (void)setenv("TREADLE_OPENCL_FORM", "groups", 1);
    check_unusable("clGetDeviceInfo:GROUP", 32, "its groups have at most 32 work-items, and 64 are needed");
    check_unusable("clGetDeviceInfo:LOCAL", 8192, "its groups have 8192 bytes of local memory, and 16384 are needed");
    CHECK_OK(ops->device_open(facts, &s.device));
    layer->set("clGetKernelWorkGroupInfo", 2, false, 48);
    CHECK_FAILS(load(&s), TRD_E_UNSUPPORTED, "its groups can have 48 work-items there, and ");
    CHECK(strstr(trd_last_error(), "kernel ") != NULL && strstr(trd_last_error(), facts->id) != NULL);
    unload(&s);
    ops->device_close(s.device);
    check_nothing_left("small", 0);
    (void)unsetenv("TREADLE_OPENCL_FORM");
}

/* ---- Callers' kernels ---- */

/* Programs of kernels that are gone do not pile up. */
static void check_users_programs(const trdi_device_facts *facts)
{
    void *device, *kept;
    CHECK_OK(ops->device_open(facts, &device));
    const trdi_kernel_source plain = { .text = "__kernel void lasting(__global float *x) { x[0] = 1.0f; }", .name = "lasting" };
    CHECK_OK(ops->kernel_build(device, &plain, &kept));
    long programs = 0;
    size_t blocks = 0;
    for (int i = 0; i < 16; i++) {
        char text[128];
        void *kernel;
        (void)snprintf(text, sizeof text, "__kernel void user(__global float *x) { x[0] = %d.0f; }", i);
        const trdi_kernel_source source = { .text = text, .name = "user" }, absent = { .text = text, .name = "absent" };
        CHECK_FAILS(ops->kernel_build(device, &absent, &kernel), TRD_E_FORMAT, "no kernel 'absent'");
        CHECK_OK(ops->kernel_build(device, &source, &kernel));
        ops->kernel_free(kernel);
        if (i == 7) programs = layer->alive("program");
        if (i == 7) blocks = blocks_in_use();
    }
    CHECK_INT(layer->alive("program"), programs);
    CHECK(programs < 8);
    CHECK_INT(blocks_in_use(), blocks);
    const long made = layer->calls("clBuildProgram");
    void *again;
    CHECK_OK(ops->kernel_build(device, &plain, &again));      /* in use all the time */
    CHECK_INT(layer->calls("clBuildProgram"), made);
    ops->kernel_free(again);
    ops->kernel_free(kept);
    ops->device_close(device);
    check_nothing_left("users' programs", 0);
}

/* ---- A lost device ---- */

static void check_refused(session *s)
{
    void *none;
    const trdi_span x = { s->x, 0 }, h = { s->h, 0 };
    CHECK_FAILS(ops->buffer_alloc(s->device, 64, TRDI_MEMORY_STEP, &none), TRD_E_DEVICE, "was lost: ");
    CHECK_FAILS(ops->queue_create(s->device, &(trdi_queue_options){ .n_threads = 1 }, &none), TRD_E_DEVICE, "was lost: ");
    CHECK_FAILS(make_weight(s, TRD_DTYPE_F32, 3, 4, &none), TRD_E_DEVICE, "was lost: ");
    CHECK_FAILS(ops->plan_create(s->device, NULL, 0, NULL, &none), TRD_E_DEVICE, "was lost: ");
    CHECK_FAILS(ops->plan_run(s->queues[0], s->plan, &one_step), TRD_E_DEVICE, "was lost: ");
    CHECK_FAILS(ops->write(s->queues[1], x, values, 4), TRD_E_DEVICE, "was lost: ");
    CHECK_FAILS(ops->read(s->queues[1], &(float){ 0.0f }, x, 4), TRD_E_DEVICE, "was lost: ");
    CHECK_FAILS(ops->copy(s->queues[1], x, h, 4), TRD_E_DEVICE, "was lost: ");
    CHECK_FAILS(ops->event_record(s->queues[1], &none), TRD_E_DEVICE, "was lost: ");
    CHECK_FAILS(ops->queue_wait(s->queues[1]), TRD_E_DEVICE, "was lost: ");
    CHECK(strstr(trd_last_error(), "CL_OUT_OF_RESOURCES (-5)") != NULL);
}

/* One device is lost; the same one opened a second time, or another one, goes on. */
static void lose_one(const trdi_device_facts *facts, const trdi_device_facts *other, const char *function, long nth)
{
    session lost = { .device = NULL }, good = { .device = NULL };
    CHECK_OK(ops->device_open(facts, &lost.device));
    CHECK_OK(ops->device_open(other, &good.device));
    CHECK_OK(load(&lost));
    CHECK_OK(load(&good));
    logged[0] = '\0';
    layer->set(function, nth, false, CL_OUT_OF_RESOURCES);
    layer->notify("the sky falls");
    CHECK_FAILS(work(&lost), TRD_E_DEVICE, "was lost: ");
    CHECK(layer->happened());
    CHECK(strstr(trd_last_error(), facts->id) != NULL);
    CHECK(strstr(logged, "was lost") != NULL);
    layer->clear();
    check_refused(&lost);
    if (strcmp(facts->id, other->id) == 0) CHECK_OK(work(&good));
    unload(&lost);
    ops->device_close(lost.device);
    lost.device = NULL;
    CHECK_OK(whole(facts));
    unload(&good);
    ops->device_close(good.device);
    CHECK(strstr(logged, "its driver says: the sky falls") != NULL);         /* through the last context, which is the good one's */
    check_nothing_left(function, 1);
    printf("%s lost by %s, %s goes on\n", facts->id, function, other->id);
}

/* ---- Freed while under way ---- */

static void freed_early(const trdi_device_facts *facts)
{
    session s = { .device = NULL };
    CHECK_OK(ops->device_open(facts, &s.device));
    CHECK_OK(load(&s));
    CHECK_OK(work(&s));
    const size_t blocks = blocks_in_use();
    layer->shut_gate();
    CHECK_OK(ops->plan_run(s.queues[0], s.plan, &one_step));
    ops->buffer_free(s.step);
    ops->buffer_free(s.result);
    s.step = s.result = NULL;
    CHECK(blocks_in_use() >= blocks);            /* the queue has them */
    ops->plan_destroy(s.plan);
    ops->weight_free(s.weights[0]);
    ops->weight_free(s.weights[1]);
    ops->buffer_free(s.x);
    ops->buffer_free(s.h);
    s.plan = s.weights[0] = s.weights[1] = s.x = s.h = NULL;
    layer->open_gate();
    CHECK_OK(ops->queue_wait(s.queues[0]));
    CHECK(blocks_in_use() < blocks - 4);
    unload(&s);
    ops->device_close(s.device);
    check_nothing_left("freeing early", 0);
}

/* ---- The host's memory ---- */

static long host_left = -1;

static void *scarce_alloc(void *context, size_t bytes, size_t alignment)
{
    (void)context;
    if (host_left == 0) return NULL;
    if (host_left > 0) host_left--;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void scarce_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

/* From the nth allocation on there is no memory. */
static void without_memory(const trdi_device_facts *facts)
{
    const trd_allocator scarce = { NULL, scarce_alloc, scarce_free };
    CHECK_OK(trd_allocator_set(&scarce));
    trd_status status = TRD_E_MEMORY;
    long n = 0;
    for (; status != TRD_OK; n++) {
        host_left = n;
        status = whole(facts);
        host_left = -1;
        if (status != TRD_OK) CHECK_INT(status, TRD_E_MEMORY);
        check_nothing_left("allocation", n);
    }
    CHECK(n > 10);
    CHECK_OK(trd_allocator_set(NULL));
    printf("memory ran out at each of %ld allocations\n", n - 1);
}

static const fault_layer *find_layer(void)
{
    const char *path = getenv("OPENCL_LAYERS");
    void *library = path != NULL ? dlopen(path, RTLD_NOW) : NULL;
    const fault_layer *found = library != NULL ? (const fault_layer *)dlsym(library, FAULT_LAYER_SYMBOL) : NULL;
    CHECK(found != NULL);
    return found;
}

int main(void)
{
    layer = find_layer();
    ops = cl_rig_module();
    trd_log_set(TRD_LOG_INFO, on_log, NULL);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) values[i] = cl_rig_uniform();
    trdi_device_facts facts[8];
    size_t n = 0;
    CHECK_OK(ops->enumerate(facts, 8, &n));
    CHECK(n > 0);
    CHECK_OK(whole(&facts[0]));
    if (layer->calls("clCreateContext") == 0) SKIP("this ICD loader has no layers");
    check_nothing_left("first", 0);
    freed_early(&facts[0]);
    check_small(&facts[0]);
    check_users_programs(&facts[0]);
    goes_on(&facts[0]);
    lose_one(&facts[0], &facts[0], "clFinish", 1);
    lose_one(&facts[0], &facts[0], "clGetEventInfo", 2);                 /* after a write: that of the first step */
    lose_one(&facts[0], &facts[n - 1], "clEnqueueReadBuffer", 3);        /* the first two do not block */
    const char *implementation = getenv("TREADLE_TEST_IMPLEMENTATION");
    if (implementation != NULL && strcmp(implementation, "pocl") != 0) return 0;     /* what follows is the same host code, and slow elsewhere */
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) try_each_call(&facts[0], i);
    without_memory(&facts[0]);
    return 0;
}
