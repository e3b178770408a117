/*
 * cpu_plan.c: queues and plans. A plan runs as a whole inside one team: every thread walks the list of operations, does its share
 * of each, and meets the others at a barrier before the next. Operations too small to share are thread 0's alone, and it needs no
 * barrier between two of them. Nothing is allocated once scratch has grown to its size.
 */
#include <limits.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/op_tables.h"
#include "core/alloc.h"
#include "core/platform.h"

/* An operation that takes one thread less than this is not shared out: about what a barrier costs. */
#define SHARING_NS 1500.0

/* A run that takes one thread about this long by the same reckoning (in truth a third, from the cache) needs no team. */
#define TEAM_NS 100000.0

typedef struct cpu_queue {
    const trdi_cpu_kernels *kernels;
    trdi_queue_options options;
    unsigned serial;          /* tells threads that serve several queues apart */
    void   **scratch;         /* [n_threads] */
    size_t   scratch_bytes;   /* of each */
    trdi_barrier barrier;
    double   sharing_ns, team_ns;
} cpu_queue;

typedef struct cpu_plan {
    trdi_cpu_op *ops;
    size_t n_ops;
    size_t scratch_bytes;     /* of one thread, less what selections need */
} cpu_plan;

/* One run, as its threads see it. */
typedef struct cpu_run {
    cpu_queue *queue;
    const cpu_plan *plan;
    const trdi_step *step;
    /* Operations from here on are not run. Set by thread 0 before a barrier, read by all after it. */
    atomic_size_t end;
    /* Order what the caller writes before, and reads after, against its threads: checkers don't see OpenMP's own barriers. */
    atomic_uint   started, finished;
} cpu_run;

static const trdi_cpu_run runners[TRDI_N_OPS] = {
    [TRDI_OP_EMBED] = trdi_cpu_run_embed,
    [TRDI_OP_POSITIONS] = trdi_cpu_run_positions,
    [TRDI_OP_NORM] = trdi_cpu_run_norm,
    [TRDI_OP_LINEAR] = trdi_cpu_run_linear,
    [TRDI_OP_MAP] = trdi_cpu_run_map,
    [TRDI_OP_ROTARY] = trdi_cpu_run_rotary,
    [TRDI_OP_KV_APPEND] = trdi_cpu_run_kv_append,
    [TRDI_OP_KV_COPY] = trdi_cpu_run_kv_copy,
    [TRDI_OP_ATTENTION] = trdi_cpu_run_attention,
    [TRDI_OP_GATHER] = trdi_cpu_run_gather,
    [TRDI_OP_EDIT] = trdi_cpu_run_edit,
    [TRDI_OP_LOG_SOFTMAX] = trdi_cpu_run_log_softmax,
    [TRDI_OP_SELECT] = trdi_cpu_run_select,
};

trd_status trdi_cpu_queue_create(void *device, const trdi_queue_options *options, void **out)
{
    static atomic_uint serials;
    *out = NULL;
    if (options->n_threads < 1) return trdi_fail(TRD_E_INVALID, "CPU queue: n_threads is %d", (int)options->n_threads);
    cpu_queue *queue = trdi_calloc(1, sizeof *queue);
    if (queue == NULL) return trdi_fail(TRD_E_MEMORY, "CPU queue: %zu bytes", sizeof *queue);
    queue->kernels = ((const trdi_cpu_device *)device)->kernels;
    queue->options = *options;
    queue->sharing_ns = SHARING_NS;
    queue->team_ns = TEAM_NS;
    queue->serial = atomic_fetch_add(&serials, 1) + 1;
    queue->scratch = trdi_calloc((size_t)options->n_threads, sizeof *queue->scratch);
    if (queue->scratch == NULL) {
        trdi_free(queue);
        return trdi_fail(TRD_E_MEMORY, "CPU queue of %d threads", (int)options->n_threads);
    }
    const trd_status status = trdi_barrier_init(&queue->barrier);
    if (status != TRD_OK) {
        trdi_free(queue->scratch);
        trdi_free(queue);
        return status;
    }
    *out = queue;
    return TRD_OK;
}

void trdi_cpu_queue_destroy(void *handle)
{
    cpu_queue *queue = handle;
    if (queue == NULL) return;
    for (int32_t t = 0; t < queue->options.n_threads; t++) trdi_free(queue->scratch[t]);
    trdi_free(queue->scratch);
    trdi_barrier_destroy(&queue->barrier);
    trdi_free(queue);
}

void trdi_cpu_queue_share_all(void *handle)
{
    cpu_queue *queue = handle;
    queue->sharing_ns = queue->team_ns = 0.0;
}

static trd_status queue_reserve(cpu_queue *queue, size_t bytes)
{
    if (bytes <= queue->scratch_bytes) return TRD_OK;
    queue->scratch_bytes = 0;
    for (int32_t t = 0; t < queue->options.n_threads; t++) {
        trdi_free(queue->scratch[t]);
        queue->scratch[t] = trdi_alloc(bytes);
        if (queue->scratch[t] == NULL) {
            return trdi_fail(TRD_E_MEMORY, "scratch of CPU thread %d: %zu bytes", (int)t, bytes);
        }
    }
    queue->scratch_bytes = bytes;
    return TRD_OK;
}

/* Rough times of one core: 20 Gflop/s, 10 GB/s. */
static void estimate(trdi_cpu_op *op)
{
    double flops, bytes, flops2, bytes2;
    trdi_op_cost(&op->op, 1, &flops, &bytes);
    trdi_op_cost(&op->op, 2, &flops2, &bytes2);
    op->row_ns = (flops2 - flops) * 0.05 + (bytes2 - bytes) * 0.1;
    op->fixed_ns = flops * 0.05 + bytes * 0.1 - op->row_ns;
    op->row_parts = 1;
    if (op->op.kind == TRDI_OP_NORM) op->row_parts = op->op.u.norm.n_groups;
    if (op->op.kind == TRDI_OP_LINEAR) op->row_parts = op->op.u.linear.out;
    if (op->op.kind == TRDI_OP_KV_COPY) op->row_parts = (int64_t)(op->op.u.kv_copy.block_stride / 64 + 1);
}

static size_t op_scratch(const trdi_op *op)
{
    switch (op->kind) {
    case TRDI_OP_LINEAR: return sizeof(float) * TRDI_ROW_BLOCK * TRDI_PANEL;
    case TRDI_OP_POSITIONS: return sizeof(float) * (size_t)op->u.positions.width;
    case TRDI_OP_ROTARY: return sizeof(float) * (size_t)op->u.rotary.dim;
    case TRDI_OP_ATTENTION: return trdi_cpu_attention_scratch(&op->u.attention);
    default: return 0;
    }
}

static trd_status precompute(trdi_cpu_op *op)
{
    const trdi_op_positions *p = &op->op.u.positions;
    const trdi_op_attention *a = &op->op.u.attention;
    if (op->op.kind == TRDI_OP_POSITIONS && p->table.buffer == NULL) return trdi_sinusoid_table(p->width, &op->frequencies);
    if (op->op.kind == TRDI_OP_ATTENTION && a->relative_bias.buffer != NULL) return trdi_bucket_table(a, &op->buckets, &op->bucket_reach);
    return TRD_OK;
}

static trd_status plan_fill(cpu_plan *plan, const trdi_op *ops, size_t n_ops)
{
    for (size_t i = 0; i < n_ops; i++) {
        const char *why = trdi_cpu_refusal(&ops[i]);
        if (why != NULL) {
            return trdi_fail(TRD_E_UNSUPPORTED, "operation %zu of the plan (%s): %s", i, trdi_op_name(ops[i].kind), why);
        }
        plan->ops[i].op = ops[i];
        estimate(&plan->ops[i]);
        TRDI_TRY(precompute(&plan->ops[i]));
        const size_t bytes = op_scratch(&ops[i]);
        if (bytes > plan->scratch_bytes) plan->scratch_bytes = bytes;
    }
    return TRD_OK;
}

trd_status trdi_cpu_plan_create(void *device, const trdi_op *ops, size_t n_ops, const trdi_plan_options *options, void **out)
{
    (void)options;            /* all numerics are the reproducible ones here, which cost nothing */
    (void)device;
    *out = NULL;
    cpu_plan *plan = trdi_calloc(1, sizeof *plan);
    if (plan == NULL) return trdi_fail(TRD_E_MEMORY, "plan: %zu bytes", sizeof *plan);
    plan->ops = trdi_calloc(n_ops, sizeof *plan->ops);
    if (plan->ops == NULL) {
        trdi_free(plan);
        return trdi_fail(TRD_E_MEMORY, "plan of %zu operations", n_ops);
    }
    plan->n_ops = n_ops;
    const trd_status status = plan_fill(plan, ops, n_ops);
    if (status != TRD_OK) {
        trdi_cpu_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return TRD_OK;
}

void trdi_cpu_plan_destroy(void *handle)
{
    cpu_plan *plan = handle;
    if (plan == NULL) return;
    for (size_t i = 0; i < plan->n_ops; i++) {
        trdi_free(plan->ops[i].buckets);
        trdi_free(plan->ops[i].frequencies);
    }
    trdi_free(plan->ops);
    trdi_free(plan);
}

/* Tell the queue's owner about a thread that it has not seen, so that it can be bound to a core. */
static void introduce_thread(const cpu_queue *queue, int32_t index)
{
    static TRDI_THREAD_LOCAL unsigned known;
    if (known == queue->serial) return;
    known = queue->serial;
    if (queue->options.thread_start != NULL) queue->options.thread_start(queue->options.thread_context, index);
}

/* Is the operation left to thread 0? All threads come to the same answer. */
static bool runs_alone(const cpu_queue *queue, const trdi_cpu_op *op, int64_t n)
{
    if (op->op.kind == TRDI_OP_ATTENTION) return false;      /* the number of keys is not known here */
    if ((double)n * op->row_ns + op->fixed_ns < queue->sharing_ns) return true;
    return n * op->row_parts == 1 && queue->sharing_ns > 0.0;
}

/* Thread 0 looks at the abort flag before operation i. */
static void poll_abort(cpu_run *run, size_t i)
{
    if (run->step->abort == NULL || !atomic_load_explicit(run->step->abort, memory_order_relaxed)) return;
    if (atomic_load_explicit(&run->end, memory_order_relaxed) > i) atomic_store_explicit(&run->end, i, memory_order_relaxed);
}

static void run_operations(cpu_run *run, const trdi_cpu_thread *thread)
{
    trdi_barrier *barrier = &run->queue->barrier;
    bool shared_before = false;
    for (size_t i = 0; i < run->plan->n_ops; i++) {
        const trdi_cpu_op *op = &run->plan->ops[i];
        const int64_t n = run->step->counts[op->op.count];
        if (n <= 0) continue;
        const bool alone = thread->count == 1 || runs_alone(run->queue, op, n);
        if (thread->index == 0) poll_abort(run, i);
        if (shared_before || !alone) {
            trdi_barrier_wait(barrier, thread->count);
            if (i >= atomic_load_explicit(&run->end, memory_order_relaxed)) break;
        }
        shared_before = !alone;
        /* Between operations of its own, thread 0 cannot leave: the others wait for it at the next barrier. */
        if (alone && (thread->index != 0 || i >= atomic_load_explicit(&run->end, memory_order_relaxed))) continue;
        trdi_cpu_thread own = *thread;
        if (alone) own.count = 1;
        runners[op->op.kind](op, &own, n);
    }
}

static void run_share(void *context, int32_t index, int32_t count)
{
    cpu_run *run = context;
    (void)atomic_load_explicit(&run->started, memory_order_acquire);
    cpu_queue *queue = run->queue;
    introduce_thread(queue, index);
    const uint64_t control = trdi_float_control_enter();
    const trdi_cpu_thread thread = { .kernels = queue->kernels, .step = run->step, .index = index, .count = count,
                                     .scratch = queue->scratch[index] };
    run_operations(run, &thread);
    trdi_float_control_leave(control);
    (void)atomic_fetch_add_explicit(&run->finished, 1, memory_order_release);
}

/* Scratch that this step's selections need. */
static trd_status selection_scratch(const cpu_plan *plan, const trdi_step *step, size_t *bytes)
{
    *bytes = plan->scratch_bytes;
    for (size_t i = 0; i < plan->n_ops; i++) {
        const trdi_op *op = &plan->ops[i].op;
        if (op->kind != TRDI_OP_SELECT) continue;
        const size_t need = trdi_cpu_select_scratch(&op->u.select, step->counts[op->count]);
        if (need == SIZE_MAX) return trdi_fail(TRD_E_INVALID, "operation %zu of the plan (select): a selection makes no sense", i);
        if (need > *bytes) *bytes = need;
    }
    return TRD_OK;
}

/* Threads that this run is worth. Results don't depend on it. */
static int32_t team_size(const cpu_queue *queue, const cpu_plan *plan, const trdi_step *step)
{
    double ns = 0.0;
    for (size_t i = 0; i < plan->n_ops; i++) {
        const trdi_cpu_op *op = &plan->ops[i];
        const int64_t n = step->counts[op->op.count];
        if (n > 0) ns += (double)n * op->row_ns + op->fixed_ns;
    }
    return ns < queue->team_ns ? 1 : queue->options.n_threads;
}

trd_status trdi_cpu_plan_run(void *queue_handle, void *plan_handle, const trdi_step *step)
{
    cpu_queue *queue = queue_handle;
    const cpu_plan *plan = plan_handle;
    if (step->abort != NULL && atomic_load(step->abort)) return trdi_fail(TRD_E_CANCELLED, "run of a plan: cancelled");
    size_t bytes;
    TRDI_TRY(selection_scratch(plan, step, &bytes));
    TRDI_TRY(queue_reserve(queue, bytes));
    cpu_run run = { .queue = queue, .plan = plan, .step = step };
    atomic_init(&run.end, plan->n_ops);
    atomic_init(&run.started, 0);
    atomic_init(&run.finished, 0);
    atomic_store_explicit(&run.started, 1, memory_order_release);
    trdi_team_run(team_size(queue, plan, step), run_share, &run);
    (void)atomic_load_explicit(&run.finished, memory_order_acquire);
    if (atomic_load(&run.end) < plan->n_ops) return trdi_fail(TRD_E_CANCELLED, "run of a plan: cancelled");
    return TRD_OK;
}

/* ---- Work that is no plan ---- */

typedef struct cpu_shares {
    cpu_queue *queue;
    void (*function)(void *context, const trdi_cpu_thread *thread);
    void  *context;
    atomic_uint started, finished;     /* as those of cpu_run */
} cpu_shares;

static void run_function(void *context, int32_t index, int32_t count)
{
    cpu_shares *const shares = context;
    (void)atomic_load_explicit(&shares->started, memory_order_acquire);
    introduce_thread(shares->queue, index);
    const uint64_t control = trdi_float_control_enter();
    const trdi_cpu_thread thread = { .kernels = shares->queue->kernels, .index = index, .count = count, .scratch = shares->queue->scratch[index] };
    shares->function(shares->context, &thread);
    trdi_float_control_leave(control);
    (void)atomic_fetch_add_explicit(&shares->finished, 1, memory_order_release);
}

trd_status trdi_cpu_queue_share(void *handle, double ns, size_t scratch_bytes,
                                void (*function)(void *context, const trdi_cpu_thread *thread), void *context)
{
    cpu_queue *const queue = handle;
    TRDI_TRY(queue_reserve(queue, scratch_bytes));
    cpu_shares shares = { .queue = queue, .function = function, .context = context };
    atomic_init(&shares.finished, 0);
    atomic_init(&shares.started, 0);
    atomic_store_explicit(&shares.started, 1, memory_order_release);
    trdi_team_run(ns < queue->team_ns ? 1 : queue->options.n_threads, run_function, &shares);
    (void)atomic_load_explicit(&shares.finished, memory_order_acquire);
    return TRD_OK;
}
