/* cl_plan.c: plans: each operation lowered to kernels with their arguments set; a run carries the step block over, enqueues, and brings the
 * results back, without waiting. */
#include <string.h>

#include "backend/opencl/opencl.h"
#include "core/alloc.h"

enum { MAX_HOST_BUFFERS = 8 };

typedef struct cl_plan {
    trdi_cl_device *device;
    trdi_cl_op *ops;
    size_t n_ops;
    size_t n_steps, n_results;
    trdi_cl_buffer *steps[MAX_HOST_BUFFERS], *results[MAX_HOST_BUFFERS];
} cl_plan;

static const trdi_cl_lowering *const lowerings[TRDI_N_OPS] = {
    [TRDI_OP_EMBED] = &trdi_cl_lower_embed,
    [TRDI_OP_POSITIONS] = &trdi_cl_lower_positions,
    [TRDI_OP_NORM] = &trdi_cl_lower_norm,
    [TRDI_OP_LINEAR] = &trdi_cl_lower_linear,
    [TRDI_OP_MAP] = &trdi_cl_lower_map,
    [TRDI_OP_ROTARY] = &trdi_cl_lower_rotary,
    [TRDI_OP_KV_APPEND] = &trdi_cl_lower_kv_append,
    [TRDI_OP_KV_COPY] = &trdi_cl_lower_kv_copy,
    [TRDI_OP_ATTENTION] = &trdi_cl_lower_attention,
    [TRDI_OP_GATHER] = &trdi_cl_lower_gather,
    [TRDI_OP_EDIT] = &trdi_cl_lower_edit,
    [TRDI_OP_LOG_SOFTMAX] = &trdi_cl_lower_log_softmax,
    [TRDI_OP_SELECT] = &trdi_cl_lower_select,
};

/* NULL if a plan takes the operation. */
static const char *refusal(const trdi_cl_device *device, const trdi_op *op)
{
    const char *why = trdi_op_refusal(op);
    return why != NULL ? why : lowerings[op->kind]->refusal(device, op);
}

bool trdi_cl_supports(const void *device, const trdi_op *op)
{
    return refusal(device, op) == NULL;
}

static trd_status note_buffer(trdi_cl_buffer **list, size_t *n, trdi_cl_buffer *buffer)
{
    for (size_t i = 0; i < *n; i++) {
        if (list[i] == buffer) return TRD_OK;
    }
    if (*n == MAX_HOST_BUFFERS) return trdi_fail(TRD_E_UNSUPPORTED, "a plan with more than %d step or result buffers", (int)MAX_HOST_BUFFERS);
    list[(*n)++] = buffer;
    return TRD_OK;
}

static trd_status note_buffers(cl_plan *plan, const trdi_op *op)
{
    trdi_span spans[TRDI_MAX_OP_SPANS];
    const size_t n = trdi_op_spans(op, spans);
    for (size_t i = 0; i < n; i++) {
        trdi_cl_buffer *buffer = spans[i].buffer;
        if (buffer == NULL) continue;
        if (buffer->device != plan->device || spans[i].offset > buffer->bytes) {
            return trdi_fail(TRD_E_INVALID, "operation %zu (%s) on %s: operand %zu is at %zu of a buffer of %zu bytes on %s", plan->n_ops,
                             trdi_op_name(op->kind), plan->device->facts.id, i, spans[i].offset, buffer->bytes, buffer->device->facts.id);
        }
        if (buffer->kind == TRDI_MEMORY_STEP) TRDI_TRY(note_buffer(plan->steps, &plan->n_steps, buffer));
        if (buffer->kind == TRDI_MEMORY_RESULT) TRDI_TRY(note_buffer(plan->results, &plan->n_results, buffer));
    }
    return TRD_OK;
}

/* Which operation the failure is about. */
static trd_status within(const cl_plan *plan, size_t i, trd_status status)
{
    return trdi_fail_within(status, "operation %zu (%s) on %s", i, trdi_op_name(plan->ops[i].op.kind), plan->device->facts.id);
}

static trd_status fill(cl_plan *plan, const trdi_op *ops, size_t n_ops, const trdi_plan_options *options)
{
    for (; plan->n_ops < n_ops; plan->n_ops++) {
        trdi_cl_op *op = &plan->ops[plan->n_ops];
        op->op = ops[plan->n_ops];
        const char *why = refusal(plan->device, &op->op);
        if (why != NULL) {
            return trdi_fail(TRD_E_UNSUPPORTED, "operation %zu (%s) on %s: %s", plan->n_ops, trdi_op_name(op->op.kind), plan->device->facts.id, why);
        }
        TRDI_TRY(note_buffers(plan, &op->op));
        const trd_status status = lowerings[op->op.kind]->prepare(plan->device, &op->op, options, &op->state);
        if (status != TRD_OK) return within(plan, plan->n_ops, status);
        op->lowering = lowerings[op->op.kind];
    }
    return TRD_OK;
}

trd_status trdi_cl_plan_create(void *device, const trdi_op *ops, size_t n_ops, const trdi_plan_options *options, void **out)
{
    static const trdi_plan_options defaults = { TRDI_NUMERICS_AUTO };
    *out = NULL;
    TRDI_TRY(trdi_cl_usable(device));
    cl_plan *plan = trdi_calloc(1, sizeof *plan);
    if (plan == NULL) return trdi_fail(TRD_E_MEMORY, "plan: %zu bytes", sizeof *plan);
    plan->device = device;
    plan->ops = trdi_calloc(n_ops, sizeof *plan->ops);
    trd_status status = plan->ops == NULL ? trdi_fail(TRD_E_MEMORY, "plan of %zu operations", n_ops) : TRD_OK;
    if (status == TRD_OK) status = fill(plan, ops, n_ops, options != NULL ? options : &defaults);
    if (status != TRD_OK) {
        trdi_cl_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return TRD_OK;
}

void trdi_cl_plan_destroy(void *handle)
{
    cl_plan *plan = handle;
    if (plan == NULL) return;
    for (size_t i = 0; plan->ops != NULL && i < plan->n_ops; i++) plan->ops[i].lowering->release(plan->ops[i].state);
    trdi_free(plan->ops);
    trdi_free(plan);
}

static trd_status enqueue_ops(trdi_cl_queue *queue, const cl_plan *plan, const trdi_step *step)
{
    for (size_t i = 0; i < plan->n_ops; i++) {
        const trdi_cl_op *op = &plan->ops[i];
        if (step->abort != NULL && atomic_load_explicit(step->abort, memory_order_relaxed)) return trdi_fail(TRD_E_CANCELLED, "the step was cancelled");
        const int64_t n = step->counts[op->op.count];
        const trd_status status = n > 0 ? op->lowering->enqueue(queue, op, n, step) : TRD_OK;
        if (status != TRD_OK) return within(plan, i, status);
    }
    return TRD_OK;
}

/* Host memory stays until the step is done, also when its owner frees it. */
static trd_status hold_buffers(trdi_cl_queue *queue, const cl_plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++) TRDI_TRY(trdi_cl_queue_hold(queue, plan->steps[i]));
    for (size_t i = 0; i < plan->n_results; i++) TRDI_TRY(trdi_cl_queue_hold(queue, plan->results[i]));
    return TRD_OK;
}

static trd_status send_steps(trdi_cl_queue *queue, const cl_plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        const trdi_cl_buffer *b = plan->steps[i];
        if (b->bytes == 0) continue;
        const cl_int error = trdi_cl.EnqueueWriteBuffer(queue->handle, b->memory, CL_FALSE, 0, b->bytes, b->host, 0, NULL, NULL);
        if (error != CL_SUCCESS) return trdi_cl_device_fail(queue->device, error, "step block of %zu bytes to %s", b->bytes, queue->device->facts.id);
    }
    return TRD_OK;
}

/* The last command of a step is noted. */
static trd_status fetch_results(trdi_cl_queue *queue, const cl_plan *plan)
{
    cl_event last = NULL;
    for (size_t i = 0; i < plan->n_results; i++) {
        const trdi_cl_buffer *b = plan->results[i];
        if (b->bytes == 0) continue;
        const cl_int error = trdi_cl.EnqueueReadBuffer(queue->handle, b->memory, CL_FALSE, 0, b->bytes, b->host, 0, NULL, &last);
        if (error != CL_SUCCESS) return trdi_cl_device_fail(queue->device, error, "results of %zu bytes from %s", b->bytes, queue->device->facts.id);
        trdi_cl_queue_note(queue, last);
    }
    if (last != NULL) return TRD_OK;
    const cl_int error = trdi_cl.EnqueueMarkerWithWaitList(queue->handle, 0, NULL, &last);
    if (error != CL_SUCCESS) return trdi_cl_device_fail(queue->device, error, "end of a step on %s", queue->device->facts.id);
    trdi_cl_queue_note(queue, last);
    return TRD_OK;
}

static trd_status enqueue_all(trdi_cl_queue *queue, const cl_plan *plan, const trdi_step *step)
{
    TRDI_TRY(send_steps(queue, plan));
    TRDI_TRY(enqueue_ops(queue, plan, step));
    TRDI_TRY(fetch_results(queue, plan));
    const cl_int error = trdi_cl.Flush(queue->handle);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_device_fail(queue->device, error, "a step on %s", queue->device->facts.id);
}

trd_status trdi_cl_plan_run(void *handle, void *plan_handle, const trdi_step *step)
{
    trdi_cl_queue *queue = handle;
    const cl_plan *plan = plan_handle;
    TRDI_TRY(trdi_cl_usable(queue->device));
    if (queue->device != plan->device) {
        return trdi_fail(TRD_E_INVALID, "a plan of %s on a queue of another device, %s", plan->device->facts.id, queue->device->facts.id);
    }
    TRDI_TRY(trdi_cl_queue_look(queue));
    TRDI_TRY(hold_buffers(queue, plan));
    const trd_status status = enqueue_all(queue, plan, step);
    if (status != TRD_OK) trdi_cl_queue_drain(queue);    /* after a failure the host may touch the step at once */
    return status;
}

/* ---- Operations of one kernel ---- */

trd_status trdi_cl_one_make(trdi_cl_args *args, cl_uint n_argument, size_t per_row, void **state)
{
    trdi_cl_one *one = args->status == TRD_OK ? trdi_alloc(sizeof *one) : NULL;
    if (one == NULL) {
        trdi_cl_kernel_free(args->kernel);
        return args->status != TRD_OK ? args->status : trdi_fail(TRD_E_MEMORY, "kernel of a plan: %zu bytes", sizeof *one);
    }
    *one = (trdi_cl_one){ .device = args->device, .kernel = args->kernel, .n_argument = n_argument, .per_row = per_row,
                          .group = trdi_cl_group_size(args->device) };
    *state = one;
    return TRD_OK;
}

trd_status trdi_cl_one_enqueue(trdi_cl_queue *queue, const trdi_cl_op *op, int64_t n, const trdi_step *step)
{
    (void)step;
    const trdi_cl_one *one = op->state;
    TRDI_TRY(trdi_cl_set_int(one->kernel, one->n_argument, n));
    const size_t global = (size_t)n * one->per_row * one->group, local = one->group;
    return trdi_cl_launch(queue, one->kernel, 1, &global, &local);
}

void trdi_cl_one_release(void *state)
{
    if (state == NULL) return;
    trdi_cl_one *one = state;
    trdi_cl_kernel_free(one->kernel);
    trdi_cl_memory_free(one->device, one->table);
    trdi_free(one);
}
