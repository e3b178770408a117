/* op_spans.c: the memory an operation touches, for back ends that look at its buffers and for tests that move it to another device. */
#include "backend/backend.h"

/* Visits every span of an operation: copies it out, or puts it in. */
typedef struct visitor {
    trdi_span *spans;
    size_t n;
    bool   put;
} visitor;

static void visit(visitor *v, trdi_span *span)
{
    if (v->put) *span = v->spans[v->n++];
    else v->spans[v->n++] = *span;
}

#define VISIT(...)                                                                        \
    do {                                                                                  \
        trdi_span *const fields[] = { __VA_ARGS__ };                                      \
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) visit(v, fields[i]); \
    } while (0)

static void visit_attention(visitor *v, trdi_op_attention *a)
{
    VISIT(&a->q, &a->y, &a->k, &a->v, &a->key_starts, &a->key_counts, &a->kv.pool, &a->kv.table, &a->kv.table_offsets);
    VISIT(&a->memory_kv.pool, &a->memory_kv.table, &a->memory_kv.table_offsets, &a->memory_counts, &a->rows, &a->positions);
    VISIT(&a->alibi_slopes, &a->relative_keys, &a->relative_values, &a->relative_bias, &a->probabilities);
}

static void visit_all(visitor *v, trdi_op *op)
{
    switch (op->kind) {
    case TRDI_OP_EMBED: VISIT(&op->u.embed.ids, &op->u.embed.positions, &op->u.embed.y); break;
    case TRDI_OP_POSITIONS: VISIT(&op->u.positions.table, &op->u.positions.positions, &op->u.positions.y); break;
    case TRDI_OP_NORM: VISIT(&op->u.norm.x, &op->u.norm.y, &op->u.norm.residual, &op->u.norm.gamma, &op->u.norm.beta); break;
    case TRDI_OP_LINEAR: VISIT(&op->u.linear.x, &op->u.linear.y, &op->u.linear.multiplier, &op->u.linear.residual); break;
    case TRDI_OP_MAP: VISIT(&op->u.map.x, &op->u.map.z, &op->u.map.y); break;
    case TRDI_OP_ROTARY: VISIT(&op->u.rotary.x, &op->u.rotary.positions, &op->u.rotary.inverse_frequencies); break;
    case TRDI_OP_KV_APPEND:
        VISIT(&op->u.kv_append.kv.pool, &op->u.kv_append.kv.table, &op->u.kv_append.kv.table_offsets, &op->u.kv_append.k, &op->u.kv_append.v,
              &op->u.kv_append.rows, &op->u.kv_append.positions);
        break;
    case TRDI_OP_KV_COPY: VISIT(&op->u.kv_copy.pool, &op->u.kv_copy.copies); break;
    case TRDI_OP_ATTENTION: visit_attention(v, &op->u.attention); break;
    case TRDI_OP_GATHER: VISIT(&op->u.gather.x, &op->u.gather.y, &op->u.gather.indices); break;
    case TRDI_OP_EDIT:
        VISIT(&op->u.edit.logits, &op->u.edit.edits, &op->u.edit.edit_starts, &op->u.edit.masks, &op->u.edit.mask_bits);
        break;
    case TRDI_OP_LOG_SOFTMAX: VISIT(&op->u.log_softmax.x, &op->u.log_softmax.y, &op->u.log_softmax.parameters); break;
    case TRDI_OP_SELECT:
        VISIT(&op->u.select.values, &op->u.select.row_scores, &op->u.select.selections, &op->u.select.noise, &op->u.select.given,
              &op->u.select.ids, &op->u.select.parents, &op->u.select.scores);
        break;
    default: break;
    }
}

size_t trdi_op_spans(const trdi_op *op, trdi_span spans[TRDI_MAX_OP_SPANS])
{
    trdi_op copy = *op;
    visitor v = { spans, 0, false };
    visit_all(&v, &copy);
    return v.n;
}

void trdi_op_set_spans(trdi_op *op, const trdi_span spans[TRDI_MAX_OP_SPANS])
{
    trdi_span copies[TRDI_MAX_OP_SPANS];
    const size_t n = trdi_op_spans(op, copies);
    for (size_t i = 0; i < n; i++) copies[i] = spans[i];
    visitor v = { copies, 0, true };
    visit_all(&v, op);
}
