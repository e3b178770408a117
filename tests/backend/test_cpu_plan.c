/*
 * test_cpu_plan.c: everything about the CPU back end that is no operation: plans of many operations on teams of any size, the abort
 * flag, floating-point control, weights, buffers, refusals, memory that runs out, the choice of kernels.
 */
#include <fenv.h>

#include "backend_rig.h"
#include "core/alloc.h"

/*
 * A chain of operations whose threads need each other's results: rows are reversed, then 1 is added, again and again, with
 * operations on one row, which one thread does alone, in between.
 */
enum { STEPS = 60, N = 201, WIDTH = 65 };

typedef struct chain {
    trdi_op ops[STEPS];
    array a, b, ones;
    int32_t reversed[N];
} chain;

static chain *chain_new(void)
{
    chain *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->a = array_random(N * WIDTH);
    c->b = array_new(N * WIDTH);
    c->ones = array_new(N * WIDTH);
    for (int64_t i = 0; i < c->ones.n; i++) c->ones.data[i] = 1.0f;
    for (int32_t i = 0; i < N; i++) c->reversed[i] = N - 1 - i;
    for (int i = 0; i < STEPS; i++) {
        if (i % 4 == 3) {
            c->ops[i] = (trdi_op){ .kind = TRDI_OP_MAP, .count = TRDI_COUNT_ONE, .u.map = {
                .function = TRDI_MAP_SCALE, .x = span(c->a.data + i % N * WIDTH), .y = span(c->a.data + i % N * WIDTH), .width = WIDTH,
                .x_stride = WIDTH, .y_stride = WIDTH, .parameter = 2.0f } };
        } else if (i % 4 == 2) {
            c->ops[i] = (trdi_op){ .kind = TRDI_OP_MAP, .count = TRDI_COUNT_ONE, .u.map = {
                .function = TRDI_MAP_SCALE, .x = span(c->a.data + (i + 1) % N * WIDTH), .y = span(c->a.data + (i + 1) % N * WIDTH),
                .width = WIDTH, .x_stride = WIDTH, .y_stride = WIDTH, .parameter = 0.5f } };
        } else if (i % 4 == 0) {
            c->ops[i] = (trdi_op){ .kind = TRDI_OP_GATHER, .count = TRDI_COUNT_TOKENS, .u.gather = {
                .x = span(c->a.data), .y = span(c->b.data), .indices = span(c->reversed), .width = WIDTH, .x_stride = WIDTH, .y_stride = WIDTH } };
        } else {
            c->ops[i] = (trdi_op){ .kind = TRDI_OP_MAP, .count = TRDI_COUNT_TOKENS, .u.map = {
                .function = TRDI_MAP_ADD, .x = span(c->b.data), .z = span(c->ones.data), .y = span(c->a.data), .width = WIDTH,
                .x_stride = WIDTH, .z_stride = WIDTH, .y_stride = WIDTH, .parameter = 1.0f } };
        }
    }
    return c;
}

static void chain_free(chain *c)
{
    array_free(&c->a);
    array_free(&c->b);
    array_free(&c->ones);
    free(c);
}

static void many_operations(rig *r)
{
    chain *c = chain_new();
    array want = array_copy(&c->a);
    for (int i = 0; i < STEPS / 4; i++) {
        for (int64_t e = 0; e < want.n / 2; e++) {              /* reversed rows */
            const int64_t row = e / WIDTH, other = (N - 1 - row) * WIDTH + e % WIDTH;
            if (row >= N - 1 - row) continue;
            const float t = want.data[e];
            want.data[e] = want.data[other];
            want.data[other] = t;
        }
        for (int64_t e = 0; e < want.n; e++) want.data[e] += 1.0f;
    }
    void *plan;
    CHECK_OK(r->ops->plan_create(r->device, c->ops, STEPS, NULL, &plan));
    memset(c->ops, 0x77, sizeof c->ops);        /* the plan has copied them */
    atomic_bool stop = false;
    const trdi_step step = { .counts = { [TRDI_COUNT_ONE] = 1, [TRDI_COUNT_TOKENS] = N }, .abort = &stop };
    CHECK_OK(r->ops->plan_run(r->queue, plan, &step));
    check_same_bits("a chain of operations", c->a.data, want.data, want.n);
    stop = true;
    CHECK_FAILS(r->ops->plan_run(r->queue, plan, &step), TRD_E_CANCELLED, "cancelled");
    check_same_bits("a cancelled run", c->a.data, want.data, want.n);
    r->ops->plan_destroy(plan);
    array_free(&want);
    chain_free(c);
}

/* The first operation raises the abort flag by copying onto it. It is polled between operations: the third must not run. */
static void abort_between(rig *r)
{
    static const int32_t copies[2] = { 1, 0 };
    char *pool = aligned_alloc(64, 128);
    CHECK(pool != NULL);
    memset(pool, 0, 128);
    atomic_init((atomic_bool *)(void *)pool, false);
    atomic_init((atomic_bool *)(void *)(pool + 64), true);
    array x = array_random(WIDTH), y = array_new(2 * WIDTH);
    trdi_op ops[3] = { { .kind = TRDI_OP_KV_COPY, .count = TRDI_COUNT_COPIES, .u.kv_copy = {
        .pool = span(pool), .block_stride = 64, .copies = span(copies) } } };
    for (int64_t i = 0; i < 2; i++) {
        ops[i + 1] = (trdi_op){ .kind = TRDI_OP_MAP, .count = TRDI_COUNT_TOKENS, .u.map = {
            .function = TRDI_MAP_SCALE, .x = span(x.data), .y = span(y.data + i * WIDTH), .width = WIDTH, .x_stride = WIDTH,
            .y_stride = WIDTH, .parameter = 1.0f } };
    }
    void *plan;
    CHECK_OK(r->ops->plan_create(r->device, ops, 3, NULL, &plan));
    const trdi_step step = { .counts = { [TRDI_COUNT_TOKENS] = 1, [TRDI_COUNT_COPIES] = 1 }, .abort = (atomic_bool *)(void *)pool };
    CHECK_FAILS(r->ops->plan_run(r->queue, plan, &step), TRD_E_CANCELLED, "cancelled");
    for (int64_t i = 0; i < WIDTH; i++) CHECK(isnan(y.data[WIDTH + i]));
    r->ops->plan_destroy(plan);
    array_free(&x);
    array_free(&y);
    free(pool);
}

static atomic_int introduced;
static void count_thread(void *context, int32_t thread)
{
    CHECK(context == &introduced && thread >= 0 && thread < 4);
    atomic_fetch_add(&introduced, 1 << (8 * thread));
}

/* Each team thread is introduced once per queue, and the user's rounding mode survives. */
static void threads_and_control(void)
{
    rig r = rig_open("generic", 1);
    r.ops->queue_destroy(r.queue);
    const trdi_queue_options options = { .n_threads = 4, .thread_start = count_thread, .thread_context = &introduced };
    CHECK_OK(r.ops->queue_create(r.device, &options, &r.queue));
    chain *c = chain_new();
    void *plan;
    CHECK_OK(r.ops->plan_create(r.device, c->ops, STEPS, NULL, &plan));
    const trdi_step step = { .counts = { [TRDI_COUNT_TOKENS] = N } };
    array before = array_copy(&c->a), first = { 0 };
    CHECK(fesetround(FE_UPWARD) == 0);
    for (int i = 0; i < 5; i++) {
        memcpy(c->a.data, before.data, (size_t)before.n * sizeof(float));
        CHECK_OK(r.ops->plan_run(r.queue, plan, &step));
        CHECK(fegetround() == FE_UPWARD);
        CHECK(fesetround(i % 2 == 0 ? FE_TONEAREST : FE_UPWARD) == 0);
        if (first.data == NULL) first = array_copy(&c->a);
        check_same_bits("under another rounding mode", c->a.data, first.data, first.n);
        CHECK(fesetround(FE_UPWARD) == 0);
    }
    CHECK(fesetround(FE_TONEAREST) == 0);
    const int seen = atomic_load(&introduced);
    CHECK(seen == 0x01010101 || seen == 1);     /* 1: built without OpenMP */
    r.ops->plan_destroy(plan);
    array_free(&before);
    array_free(&first);
    chain_free(c);
    rig_close(&r);
}

static void weights(rig *r)
{
    array rows = array_random(37 * 21), bias = array_random(37);
    const rows_source from = { &rows, 21 };
    trdi_weight_source source = { .layout = TRDI_LAYOUT_LINEAR, .rows = 37, .cols = 21, .read = rig_read_rows, .context = &from, .bias = bias.data };
    CHECK_INT(r->ops->weight_bytes(r->device, &source), (48 * 21 + 48) * 4);
    void *weight, *mapped;
    CHECK_OK(r->ops->weight_prepare(r->device, &source, &weight));
    const float *data = r->ops->weight_data(weight);
    CHECK(data[(20 * 16) + 5] == rows.data[5 * 21 + 20]);            /* output 5, input 20 */
    CHECK(data[2 * 21 * 16 + 3 * 16 + 4] == rows.data[36 * 21 + 3]); /* output 36 is lane 4 of panel 2 */
    CHECK(data[2 * 21 * 16 + 3 * 16 + 5] == 0.0f && data[48 * 21 + 36] == bias.data[36] && data[48 * 21 + 37] == 0.0f);
    source.prepared = data;
    source.read = NULL;
    CHECK_OK(r->ops->weight_prepare(r->device, &source, &mapped));
    CHECK(r->ops->weight_data(mapped) == data && ((trdi_cpu_weight *)mapped)->bias == data + 48 * 21);
    r->ops->weight_free(mapped);
    source.prepared = data + 1;
    CHECK_FAILS(r->ops->weight_prepare(r->device, &source, &mapped), TRD_E_INVALID, "aligned");
    source.prepared = NULL;
    CHECK_FAILS(r->ops->weight_prepare(r->device, &source, &mapped), TRD_E_INVALID, "read");
    source.rows = INT64_MAX;
    CHECK_FAILS(r->ops->weight_prepare(r->device, &source, &mapped), TRD_E_INVALID, "weight of");
    CHECK(r->ops->weight_bytes(r->device, &source) == SIZE_MAX);
    r->ops->weight_free(weight);
    r->ops->weight_free(NULL);
    array_free(&rows);
    array_free(&bias);
}

static void buffers(rig *r)
{
    void *a, *b;
    CHECK_OK(r->ops->buffer_alloc(r->device, 100, TRDI_MEMORY_DEVICE, &a));
    CHECK_OK(r->ops->buffer_alloc(r->device, 100, TRDI_MEMORY_RESULT, &b));
    CHECK((uintptr_t)a % 64 == 0 && r->ops->buffer_host(a) != NULL);
    memset(r->ops->buffer_host(a), 7, 100);
    CHECK_OK(r->ops->copy(r->queue, (trdi_span){ b, 10 }, (trdi_span){ a, 0 }, 90));
    char out[90] = { 0 };
    CHECK_OK(r->ops->read(r->queue, out, (trdi_span){ b, 10 }, 90));
    CHECK(out[0] == 7 && out[89] == 7);
    CHECK_FAILS(r->ops->copy(r->queue, (trdi_span){ 0 }, (trdi_span){ a, 0 }, 1), TRD_E_INVALID, "absent");
    r->ops->buffer_free(a);
    r->ops->buffer_free(b);
    r->ops->buffer_free(NULL);
}

static void refused(const rig *r, trdi_op op, const char *why)
{
    void *plan;
    CHECK(!r->ops->supports(r->device, &op));
    CHECK_FAILS(r->ops->plan_create(r->device, &op, 1, NULL, &plan), TRD_E_UNSUPPORTED, why);
    CHECK(plan == NULL);
}

static void refusals(rig *r)
{
    float f[64] = { 0 };
    int32_t i[64] = { 0 };
    const trdi_span x = span(f), n = span(i);
    trdi_op map = { .kind = TRDI_OP_MAP, .count = TRDI_COUNT_TOKENS, .u.map = { .x = x, .y = x, .width = 4, .x_stride = 4, .y_stride = 4 } };
    CHECK(r->ops->supports(r->device, &map));
    map.u.map.width = -1;
    refused(r, map, "width");
    map.u.map.width = 5;
    refused(r, map, "stride");
    map.kind = TRDI_N_OPS;
    refused(r, map, "unknown operation");
    trdi_op a = { .kind = TRDI_OP_ATTENTION, .count = TRDI_COUNT_TOKENS, .u.attention = {
        .q = x, .y = x, .k = x, .v = x, .key_starts = n, .key_counts = n, .rows = n, .positions = n, .n_heads = 4, .n_heads_kv = 2,
        .head_dim = 2, .q_stride = 8, .kv_stride = 4, .y_stride = 8, .scale = 1.0f } };
    CHECK(r->ops->supports(r->device, &a));
    a.u.attention.n_heads_kv = 3;
    refused(r, a, "multiple");
    a.u.attention.n_heads_kv = 4;
    refused(r, a, "kv_stride");
    a.u.attention.n_heads_kv = 2;
    a.u.attention.probabilities = x;
    refused(r, a, "probability_heads");
    a.u.attention.source = TRDI_KEYS_PAGED;
    refused(r, a, "pool");
    refused(r, (trdi_op){ .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS }, "weight");
    refused(r, (trdi_op){ .kind = TRDI_OP_ROTARY, .u.rotary = { .x = x, .positions = n, .inverse_frequencies = x, .n_heads = 1,
                          .head_dim = 4, .dim = 3, .x_stride = 4 } }, "dim is odd");
    void *queue;
    CHECK_FAILS(r->ops->queue_create(r->device, &(trdi_queue_options){ 0 }, &queue), TRD_E_INVALID, "n_threads");
}

/* An allocator whose allocations fail from the n-th on. */
static int allowed;
static void *limited_alloc(void *context, size_t bytes, size_t alignment)
{
    (void)context;
    return allowed-- > 0 ? aligned_alloc(alignment, (bytes + alignment) / alignment * alignment) : NULL;
}

static void limited_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static trd_status whole_life(const trdi_op *attention)
{
    const trdi_backend_ops *ops = trdi_backend_cpu();
    static const float zeros[64];
    const array rows = { .n = 12, .data = (float[12]){ 0 } };
    const rows_source from = { &rows, 4 };
    const trdi_weight_source source = { .layout = TRDI_LAYOUT_LINEAR, .rows = 3, .cols = 4, .read = rig_read_rows, .context = &from, .bias = zeros };
    const trdi_step step = { .counts = { [TRDI_COUNT_TOKENS] = 0 } };
    void *device = NULL, *queue = NULL, *weight = NULL, *plan = NULL, *buffer = NULL;
    trdi_device_facts facts;
    size_t n;
    trd_status status = ops->enumerate(&facts, 1, &n);
    if (status == TRD_OK) status = ops->device_open(&facts, &device);
    if (status == TRD_OK) status = ops->buffer_alloc(device, 10, TRDI_MEMORY_STEP, &buffer);
    if (status == TRD_OK) status = ops->queue_create(device, &(trdi_queue_options){ .n_threads = 2 }, &queue);
    if (status == TRD_OK) status = ops->weight_prepare(device, &source, &weight);
    if (status == TRD_OK) status = ops->plan_create(device, attention, 1, NULL, &plan);
    if (status == TRD_OK) status = ops->plan_run(queue, plan, &step);
    ops->plan_destroy(plan);
    ops->weight_free(weight);
    ops->queue_destroy(queue);
    ops->buffer_free(buffer);
    ops->device_close(device);
    return status;
}

static void memory_runs_out(void)
{
    float f[64] = { 0 };
    int32_t i[64] = { 0 };
    const trdi_op a = { .kind = TRDI_OP_ATTENTION, .count = TRDI_COUNT_TOKENS, .u.attention = {
        .q = span(f), .y = span(f), .k = span(f), .v = span(f), .key_starts = span(i), .key_counts = span(i), .rows = span(i),
        .positions = span(i), .n_heads = 4, .n_heads_kv = 2, .head_dim = 2, .q_stride = 8, .kv_stride = 4, .y_stride = 8, .scale = 1.0f,
        .relative_bias = span(f), .relative_buckets = 8, .relative_max_distance = 16 } };
    CHECK_OK(trd_allocator_set(&(trd_allocator){ .alloc = limited_alloc, .free = limited_free }));
    int n = 0;
    for (;; n++) {
        allowed = n;
        const trd_status status = whole_life(&a);
        size_t bytes, blocks;
        trd_memory_in_use(&bytes, &blocks);
        CHECK_INT(blocks, 0);
        if (status == TRD_OK) break;
        CHECK_INT(status, TRD_E_MEMORY);
        CHECK(trd_last_error()[0] != '\0');
        CHECK(n < 100);
    }
    CHECK(n >= 10);
    CHECK_OK(trd_allocator_set(NULL));
}

static int warnings;
static void count_warning(void *context, trd_log_level level, const char *text)
{
    (void)context;
    if (level == TRD_LOG_WARNING && strstr(text, "_ISA=") != NULL) warnings++;
}

static void choice_of_kernels(void)
{
    trd_log_set(TRD_LOG_WARNING, count_warning, NULL);
    (void)unsetenv("TREADLE_CPU_ISA");
    const trdi_cpu_kernels *best = trdi_cpu_kernels_choose();
    (void)setenv("TREADLE_CPU_ISA", "mmx", 1);
    CHECK(trdi_cpu_kernels_choose() == best);
    CHECK_INT(warnings, 1);
    (void)setenv("TREADLE_CPU_ISA", "generic", 1);
    (void)setenv("CT2_FORCE_CPU_ISA", "AVX512", 1);
    CHECK_STRING(trdi_cpu_kernels_choose()->name, "generic");
    (void)setenv("TREADLE_CPU_ISA", "", 1);
    (void)setenv("CT2_FORCE_CPU_ISA", "AVX", 1);
    CHECK_STRING(trdi_cpu_kernels_choose()->name, "generic");
    (void)setenv("CT2_FORCE_CPU_ISA", "GENERIC", 1);
    CHECK_STRING(trdi_cpu_kernels_choose()->name, "generic");
    CHECK_INT(warnings, 1);
    (void)unsetenv("CT2_FORCE_CPU_ISA");
    trd_log_set(TRD_LOG_OFF, NULL, NULL);
    trdi_device_facts facts;
    size_t n = 0;
    CHECK_OK(trdi_backend_cpu()->enumerate(&facts, 0, &n));
    CHECK_INT(n, 1);
    CHECK_OK(trdi_backend_cpu()->enumerate(&facts, 1, &n));
    CHECK_STRING(facts.id, "cpu:0");
    CHECK(facts.name[0] != '\0' && facts.n_compute_units >= 1 && facts.memory_bytes > 0 && facts.unusable[0] == '\0');
}

static void names_and_costs(void)
{
    for (int kind = 0; kind < TRDI_N_OPS; kind++) CHECK(strcmp(trdi_op_name((trdi_op_kind)kind), "unknown") != 0);
    CHECK_STRING(trdi_op_name(TRDI_N_OPS), "unknown");
    const trdi_op op = { .kind = TRDI_OP_LINEAR, .u.linear = { .in = 100, .out = 10 } };
    double flops, bytes;
    trdi_op_cost(&op, 3, &flops, &bytes);
    CHECK_NEAR(flops, 3 * (2 * 1000 + 10), 0);
    CHECK_NEAR(bytes, 4 * (1000 + 3 * 110), 0);
    trdi_op_cost(&op, 0, &flops, &bytes);
    CHECK(flops == 0.0 && bytes == 0.0);
}

int main(void)
{
    memory_runs_out();
    choice_of_kernels();
    rig_each(many_operations);
    rig_each(abort_between);
    threads_and_control();
    rig_each(weights);
    rig_each(buffers);
    rig_each(refusals);
    names_and_costs();
    return 0;
}
