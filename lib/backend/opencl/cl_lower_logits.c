/* cl_lower_logits.c: what is done to logits before selection: edits and masks, log-softmax (kernels/shared/logits.cl, kernels/opencl/logits_tiles.cl). */
#include "backend/opencl/opencl.h"
#include "core/alloc.h"

enum { SOFTMAX_CHUNK = 4096 };      /* TRD_SOFTMAX_CHUNK of kernels/shared/log_softmax.h */

static const char *program_name(const trdi_cl_device *device)
{
    return device->traits.form == TRDI_CL_TILES ? "logits_tiles" : "logits";
}

static const char *any_shape(const trdi_cl_device *device, const trdi_op *op)
{
    (void)device;
    (void)op;
    return NULL;
}

/* Host address of a step operand, or NULL: absent, or not in step memory. */
static const void *host_of(trdi_span span)
{
    const trdi_cl_buffer *buffer = span.buffer;
    return buffer != NULL && buffer->host != NULL ? trdi_cl_step_at(span) : NULL;
}

/* ---- EDIT ---- */

static trd_status prepare_edit(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    const trdi_op_edit *edit = &op->u.edit;
    trdi_cl_args args = { .device = device };
    TRDI_TRY(trdi_cl_kernel_create(device, program_name(device), "", "trd_edit_rows", &args.kernel));
    trdi_cl_arg_span(&args, edit->logits);
    trdi_cl_arg_span(&args, edit->edits);
    trdi_cl_arg_span(&args, edit->edit_starts);
    trdi_cl_arg_span(&args, edit->masks);
    trdi_cl_arg_span(&args, edit->mask_bits);
    trdi_cl_arg_int(&args, edit->width);
    trdi_cl_arg_int(&args, edit->stride);
    trdi_cl_arg_int(&args, edit->mask_words);
    return trdi_cl_one_make(&args, args.n, 1, state);
}

/* Does the step say that no row is changed? */
static bool nothing_to_edit(const trdi_op_edit *edit, int64_t n)
{
    const int32_t *starts = host_of(edit->edit_starts), *masks = host_of(edit->masks);
    if (starts == NULL || starts[n] != starts[0]) return false;
    if (edit->masks.buffer == NULL) return true;
    for (int64_t r = 0; r < n; r++) {
        if (masks == NULL || masks[r] >= 0) return false;
    }
    return true;
}

static trd_status enqueue_edit(trdi_cl_queue *queue, const trdi_cl_op *op, int64_t n, const trdi_step *step)
{
    return nothing_to_edit(&op->op.u.edit, n) ? TRD_OK : trdi_cl_one_enqueue(queue, op, n, step);
}

const trdi_cl_lowering trdi_cl_lower_edit = { any_shape, prepare_edit, enqueue_edit, trdi_cl_one_release };

/* ---- LOG_SOFTMAX ---- */

typedef struct softmax {
    cl_kernel parts, apply;
    int64_t   n_chunks;
} softmax;
/* Place of the argument of both kernels that is the parts of chunks. */
enum { PARTS_OF_PARTS = 4, PARTS_OF_APPLY = 6 };

static void release_softmax(void *state)
{
    softmax *s = state;
    if (s == NULL) return;
    trdi_cl_kernel_free(s->parts);
    trdi_cl_kernel_free(s->apply);
    trdi_free(s);
}

static trd_status set_softmax(trdi_cl_device *device, const trdi_op_log_softmax *op, softmax *s)
{
    trdi_cl_args parts = { .device = device }, apply = { .device = device };
    TRDI_TRY(trdi_cl_kernel_create(device, program_name(device), "", "trd_softmax_parts", &s->parts));
    TRDI_TRY(trdi_cl_kernel_create(device, program_name(device), "", "trd_softmax_apply", &s->apply));
    parts.kernel = s->parts;
    apply.kernel = s->apply;
    trdi_cl_arg_span(&parts, op->x);
    trdi_cl_arg_span(&parts, op->parameters);
    trdi_cl_arg_memory(&parts, NULL);
    trdi_cl_arg_int(&parts, op->width);
    trdi_cl_arg_int(&parts, op->stride);
    trdi_cl_arg_int(&parts, s->n_chunks);
    trdi_cl_arg_span(&apply, op->x);
    trdi_cl_arg_span(&apply, op->y);
    trdi_cl_arg_span(&apply, op->parameters);
    trdi_cl_arg_memory(&apply, NULL);
    trdi_cl_arg_int(&apply, op->width);
    trdi_cl_arg_int(&apply, op->stride);
    trdi_cl_arg_int(&apply, s->n_chunks);
    return parts.status != TRD_OK ? parts.status : apply.status;
}

static trd_status prepare_softmax(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    softmax *s = trdi_calloc(1, sizeof *s);
    if (s == NULL) return trdi_fail(TRD_E_MEMORY, "log-softmax of a plan: %zu bytes", sizeof *s);
    s->n_chunks = (op->u.log_softmax.width + SOFTMAX_CHUNK - 1) / SOFTMAX_CHUNK;
    const trd_status status = set_softmax(device, &op->u.log_softmax, s);
    if (status != TRD_OK) release_softmax(s);
    else *state = s;
    return status;
}

/* Does the step say that no row is normalised? */
static bool nothing_to_normalise(const trdi_op_log_softmax *op, int64_t n)
{
    const trdi_row_norm *rules = host_of(op->parameters);
    if (rules == NULL) return false;
    for (int64_t r = 0; r < n; r++) {
        if (rules[r].mode != TRDI_NORMALISE_NONE) return false;
    }
    return true;
}

static trd_status enqueue_softmax(trdi_cl_queue *queue, const trdi_cl_op *op, int64_t n, const trdi_step *step)
{
    (void)step;
    const trdi_op_log_softmax *e = &op->op.u.log_softmax;
    const softmax *s = op->state;
    const bool copies = nothing_to_normalise(e, n);
    if (copies && e->x.buffer == e->y.buffer && e->x.offset == e->y.offset) return TRD_OK;
    const size_t local = trdi_cl_group_size(queue->device), global = (size_t)(n * s->n_chunks) * local;
    cl_mem parts;
    TRDI_TRY(trdi_cl_queue_scratch(queue, TRDI_CL_SCRATCH_SELECT, (size_t)(n * s->n_chunks) * 2 * sizeof(float), &parts));
    if (!copies) {
        TRDI_TRY(trdi_cl_set_memory(queue->device, s->parts, PARTS_OF_PARTS, parts));
        TRDI_TRY(trdi_cl_launch(queue, s->parts, 1, &global, &local));
    }
    TRDI_TRY(trdi_cl_set_memory(queue->device, s->apply, PARTS_OF_APPLY, parts));
    return trdi_cl_launch(queue, s->apply, 1, &global, &local);
}

const trdi_cl_lowering trdi_cl_lower_log_softmax = { any_shape, prepare_softmax, enqueue_softmax, release_softmax };
