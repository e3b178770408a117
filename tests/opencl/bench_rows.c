/*
 * bench_rows.c: norms and attention at the sizes of Transformer base (8 heads of 64), on the CPU back end and on OpenCL devices in both forms, in
 * microseconds of processor time for each operation: what counts on a busy machine. These operations lie below the public interface, so it
 * is here and not among the benchmarks.
 *
 *   bench_rows                             TREADLE_BACKEND_PATH: the folder of treadle-opencl.so; TREADLE_TEST_FORM: tiles, groups
 */
#include <time.h>

#include "opencl/cl_rig.h"

enum { COPIES = 20, RUNS = 15, HEADS = 8, DIM = 64, WIDTH = HEADS * DIM, BLOCK = 16 };

/* The best time of a run of COPIES times the operation, divided by COPIES. */
static double measure(const trdi_backend_ops *ops, void *device, void *queue, const trdi_op *op, int64_t n)
{
    trdi_op all[COPIES];
    for (int i = 0; i < COPIES; i++) all[i] = *op;
    void *plan;
    CHECK_OK(ops->plan_create(device, all, COPIES, NULL, &plan));
    const trdi_step step = cl_rig_step(op, n);
    double best = INFINITY;
    for (int run = 0; run < RUNS; run++) {
        const clock_t start = clock();
        CHECK_OK(ops->plan_run(queue, plan, &step));
        CHECK_OK(ops->queue_wait(queue));
        const double us = (double)(clock() - start) * 1e6 / CLOCKS_PER_SEC / COPIES;
        best = us < best ? us : best;
    }
    ops->plan_destroy(plan);
    return best;
}

static void compare(cl_rig *r, const char *what, const trdi_op *op, int64_t n)
{
    for (size_t i = 0; i < r->n_arrays; i++) cl_rig_send(r, &r->arrays[i]);
    const trdi_op translated = cl_rig_translate(r, op);
    void *queue;
    CHECK_OK(trdi_backend_cpu()->queue_create(r->cpu, &(trdi_queue_options){ .n_threads = 1 }, &queue));
    const double cpu = measure(trdi_backend_cpu(), r->cpu, queue, op, n), device = measure(r->ops, r->device, r->queue, &translated, n);
    trdi_backend_cpu()->queue_destroy(queue);
    printf("  %-34s %9.1f us, CPU %9.1f us, ratio %.2f\n", what, device, cpu, device / cpu);
    cl_rig_clear(r);
}

static void norm(cl_rig *r, int64_t n)
{
    const trdi_op op = { .kind = TRDI_OP_NORM, .count = TRDI_COUNT_TOKENS, .u.norm = {
        .x = cl_span(cl_rig_floats(r, n * WIDTH)), .y = cl_span(cl_rig_floats(r, n * WIDTH)), .gamma = cl_span(cl_rig_floats(r, WIDTH)),
        .beta = cl_span(cl_rig_floats(r, WIDTH)), .residual = cl_span(cl_rig_floats(r, n * WIDTH)), .width = WIDTH, .n_groups = 1,
        .x_stride = WIDTH, .y_stride = WIDTH, .residual_stride = WIDTH, .epsilon = 1e-5f, .scale = 1.0f } };
    char what[64];
    (void)snprintf(what, sizeof what, "norm, %d rows", (int)n);
    compare(r, what, &op, n);
}

/* n_rows rows of n_keys keys each: a prompt, every key's query, in packed rows; or one query each, keys in blocks. */
static void attention(cl_rig *r, int64_t n_rows, int64_t n_keys, bool paged, trd_dtype dtype)
{
    const int64_t n = paged ? n_rows : n_rows * n_keys, per_row = (n_keys + BLOCK - 1) / BLOCK;
    const size_t block = 2 * (size_t)(HEADS * BLOCK * DIM) * trd_dtype_bytes(dtype);
    int32_t *starts = cl_rig_ints(r, n_rows), *counts = cl_rig_ints(r, n_rows), *rows = cl_rig_ints(r, n), *positions = cl_rig_ints(r, n);
    int32_t *table = cl_rig_ints(r, n_rows * per_row), *offsets = cl_rig_ints(r, n_rows);
    for (int64_t i = 0; i < n_rows; i++) {
        counts[i] = (int32_t)n_keys;
        starts[i] = (int32_t)(i * n_keys);
        offsets[i] = (int32_t)(i * per_row);
    }
    for (int64_t i = 0; i < n_rows * per_row; i++) table[i] = (int32_t)i;
    for (int64_t t = 0; t < n; t++) {
        rows[t] = (int32_t)(paged ? t : t / n_keys);
        positions[t] = (int32_t)(paged ? n_keys - 1 : t % n_keys);
    }
    float *qkv = cl_rig_floats(r, 3 * n * WIDTH);
    trdi_op op = { .kind = TRDI_OP_ATTENTION, .count = TRDI_COUNT_TOKENS, .u.attention = {
        .source = paged ? TRDI_KEYS_PAGED : TRDI_KEYS_PACKED, .q = cl_span(qkv), .k = cl_span(qkv + WIDTH), .v = cl_span(qkv + 2 * WIDTH),
        .y = cl_span(cl_rig_floats(r, n * WIDTH)), .key_starts = cl_span(starts), .key_counts = cl_span(counts), .rows = cl_span(rows),
        .positions = cl_span(positions), .n_heads = HEADS, .n_heads_kv = HEADS, .head_dim = DIM, .q_stride = 3 * WIDTH,
        .kv_stride = 3 * WIDTH, .y_stride = WIDTH, .scale = 0.125f, .causal = paged } };
    if (paged) {
        op.u.attention.kv = (trdi_kv_layout){ .pool = cl_span(cl_rig_floats(r, n_rows * per_row * (int64_t)block / 4)), .dtype = dtype,
            .block_stride = block, .block_tokens = BLOCK, .n_heads_kv = HEADS, .head_dim = DIM, .table = cl_span(table), .table_offsets = cl_span(offsets) };
    }
    char what[64];
    (void)snprintf(what, sizeof what, "attention, %d x %d keys, %s", (int)n, (int)n_keys, paged ? trd_dtype_name(dtype) : "packed");
    compare(r, what, &op, n);
}

static void test(cl_rig *r)
{
    static const int64_t rows[] = { 1, 32, 800 };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) norm(r, rows[i]);
    attention(r, 1, 25, true, TRD_DTYPE_F32);
    attention(r, 32, 25, true, TRD_DTYPE_F32);
    attention(r, 32, 400, true, TRD_DTYPE_F32);
    attention(r, 32, 25, false, TRD_DTYPE_F32);
}

int main(void)
{
    cl_rig_each("rows", test);
    return 0;
}
