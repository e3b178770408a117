/* record.c: the recorder: adding operations, asking the back end about each, and the operations every layer is made of. */
#include <stdio.h>

#include "core/alloc.h"
#include "nn/network_private.h"

/** "decoder layer 3, self-attention: the device cpu:0 does not offer 'attention' in this shape" */
static trd_status not_offered(const trdi_recorder *r, const trdi_op *op)
{
    const char *stack = r->stack == &r->network->model->encoder ? "encoder" : "decoder";
    char layer[32] = "";
    if (r->layer >= 0) (void)snprintf(layer, sizeof layer, " layer %lld", (long long)r->layer);
    return trdi_fail(TRD_E_UNSUPPORTED, "model '%s', %s%s, %s: device %s does not offer the operation '%s' in this shape",
                     r->network->model->name, stack, layer, r->part, r->network->device->facts.id, trdi_op_name(op->kind));
}

void trdi_record(trdi_recorder *recorder, const trdi_op *op)
{
    if (recorder->status != TRD_OK) return;
    const trdi_device *device = recorder->network->device;
    if (!device->ops->supports(device->impl, op)) {
        recorder->status = not_offered(recorder, op);
        return;
    }
    void *ops = recorder->ops;
    if (!trdi_reserve(&ops, &recorder->capacity_ops, recorder->n_ops + 1, sizeof *recorder->ops)) {
        recorder->status = trdi_fail(TRD_E_MEMORY, "model '%s': %zu operations of a plan", recorder->network->model->name,
                                     recorder->n_ops + 1);
        return;
    }
    recorder->ops = ops;
    recorder->ops[recorder->n_ops++] = *op;
}

trdi_span trdi_in_step(const trdi_recorder *recorder, size_t offset)
{
    return (trdi_span){ recorder->places->step, offset };
}

trdi_span trdi_in_result(const trdi_recorder *recorder, size_t offset)
{
    return (trdi_span){ recorder->places->result, offset };
}

trdi_rows trdi_in_arena(const trdi_recorder *recorder, size_t offset, int64_t stride)
{
    return (trdi_rows){ { recorder->places->arena, offset }, stride };
}

trdi_rows trdi_columns(trdi_rows rows, int64_t first)
{
    rows.span.offset += (size_t)first * sizeof(float);
    return rows;
}

trdi_rows trdi_hidden(const trdi_recorder *recorder)
{
    return trdi_in_arena(recorder, recorder->places->in_arena.hidden, recorder->stack->d_model);
}

trdi_rows trdi_normed(const trdi_recorder *recorder)
{
    return trdi_in_arena(recorder, recorder->places->in_arena.normed, recorder->stack->d_model);
}

void trdi_record_norm(trdi_recorder *recorder, trdi_count count, const trdi_norm *norm, int64_t width, trdi_rows x, trdi_rows y,
                      trdi_norm_extra extra)
{
    if (norm->gamma == NULL) return;
    const trdi_weights *weights = &recorder->network->weights;
    trdi_record(recorder, &(trdi_op){ .kind = TRDI_OP_NORM, .count = count, .u.norm = {
        .x = x.span, .x_stride = x.stride,
        .y = y.span, .y_stride = y.stride,
        .residual = extra.residual.span, .residual_stride = extra.residual.stride,
        .gamma = trdi_weights_constant(weights, TRDI_CONSTANT_TENSOR, norm->gamma),
        .beta = trdi_weights_constant(weights, TRDI_CONSTANT_TENSOR, norm->beta),
        .width = width,
        .n_groups = extra.n_groups != 0 ? extra.n_groups : 1,
        .epsilon = norm->epsilon,
        .scale = extra.scale != 0.0f ? extra.scale : 1.0f,
        .gain_plus_one = norm->gain_plus_one,
    } });
}

void trdi_record_linear(trdi_recorder *recorder, trdi_count count, const trdi_linear *linear, trdi_rows x, trdi_rows y,
                        trdi_linear_extra extra)
{
    trdi_record(recorder, &(trdi_op){ .kind = TRDI_OP_LINEAR, .count = count, .u.linear = {
        .weight = trdi_weights_find(&recorder->network->weights, linear->weight, linear->bias, TRDI_LAYOUT_LINEAR),
        .x = x.span, .x_stride = x.stride,
        .y = y.span, .y_stride = y.stride,
        .multiplier = extra.multiplier.span, .multiplier_stride = extra.multiplier.stride,
        .residual = extra.residual.span, .residual_stride = extra.residual.stride,
        .in = linear->weight->dims[linear->weight->rank - 1],
        .out = trdi_linear_out(linear),
        .activation = (int32_t)extra.activation,
    } });
}
