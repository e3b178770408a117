/* backend.c: what every back end shares: names and costs of operations. */
#include "backend/backend.h"

const char *trdi_op_name(trdi_op_kind kind)
{
    static const char *const names[TRDI_N_OPS] = {
        [TRDI_OP_EMBED] = "embed",         [TRDI_OP_POSITIONS] = "positions", [TRDI_OP_NORM] = "norm",
        [TRDI_OP_LINEAR] = "linear",       [TRDI_OP_MAP] = "map",             [TRDI_OP_ROTARY] = "rotary",
        [TRDI_OP_KV_APPEND] = "kv_append", [TRDI_OP_KV_COPY] = "kv_copy",     [TRDI_OP_ATTENTION] = "attention",
        [TRDI_OP_GATHER] = "gather",       [TRDI_OP_EDIT] = "edit",           [TRDI_OP_LOG_SOFTMAX] = "log_softmax",
        [TRDI_OP_SELECT] = "select",
    };
    return (unsigned)kind < TRDI_N_OPS ? names[kind] : "unknown";
}

/* Cost per row, in operations and in f32 elements moved; fixed elements once per run. */
typedef struct cost {
    double flops, elements, fixed;
} cost;

static cost linear_cost(const trdi_op_linear *op)
{
    const double in = (double)op->in, out = (double)op->out;
    const double extra = (op->multiplier.buffer != NULL) + (op->residual.buffer != NULL);
    return (cost){ 2.0 * in * out + (1.0 + extra) * out, in + (1.0 + extra) * out, in * out };
}

/* One chunk of keys per row: how many chunks a row has is known only when it runs. */
static cost attention_cost(const trdi_op_attention *op)
{
    const double keys = op->source == TRDI_KEYS_PAGED ? (double)op->kv.block_tokens : 32.0;
    const double q = (double)(op->n_heads * op->head_dim), kv = (double)(op->n_heads_kv * op->head_dim);
    return (cost){ 4.0 * q * keys, 2.0 * q + 2.0 * kv * keys, 0.0 };
}

static cost row_cost(const trdi_op *op)
{
    double w;
    switch (op->kind) {
    case TRDI_OP_EMBED: w = (double)op->u.embed.width; return (cost){ w, 2.0 * w, 0.0 };
    case TRDI_OP_POSITIONS: w = (double)op->u.positions.width; return (cost){ w, 3.0 * w, 0.0 };
    case TRDI_OP_NORM: w = (double)(op->u.norm.width * op->u.norm.n_groups); return (cost){ 8.0 * w, 2.0 * w, 0.0 };
    case TRDI_OP_LINEAR: return linear_cost(&op->u.linear);
    case TRDI_OP_MAP: w = (double)op->u.map.width; return (cost){ 2.0 * w, 2.0 * w, 0.0 };
    case TRDI_OP_ROTARY: w = (double)(op->u.rotary.n_heads * op->u.rotary.dim); return (cost){ 3.0 * w, 2.0 * w, 0.0 };
    case TRDI_OP_KV_APPEND:
        w = (double)(op->u.kv_append.kv.n_heads_kv * op->u.kv_append.kv.head_dim);
        return (cost){ 0.0, 4.0 * w, 0.0 };
    case TRDI_OP_KV_COPY: return (cost){ 0.0, (double)op->u.kv_copy.block_stride / 2.0, 0.0 };
    case TRDI_OP_ATTENTION: return attention_cost(&op->u.attention);
    case TRDI_OP_GATHER: return (cost){ 0.0, 2.0 * (double)op->u.gather.width, 0.0 };
    case TRDI_OP_EDIT: return (cost){ 0.0, (double)op->u.edit.width, 0.0 };
    case TRDI_OP_LOG_SOFTMAX: w = (double)op->u.log_softmax.width; return (cost){ 20.0 * w, 3.0 * w, 0.0 };
    case TRDI_OP_SELECT: w = (double)op->u.select.width; return (cost){ w, w, 0.0 };
    default: return (cost){ 0.0, 0.0, 0.0 };
    }
}

void trdi_op_cost(const trdi_op *op, int64_t n, double *flops, double *bytes)
{
    const cost each = row_cost(op);
    const double rows = n > 0 ? (double)n : 0.0;
    *flops = each.flops * rows;
    *bytes = n > 0 ? 4.0 * (each.elements * rows + each.fixed) : 0.0;
}
