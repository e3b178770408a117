/* op_check.c: which operations are well formed. Whatever is not is refused here, for every back end, so that running needs no checks of shapes. */
#include "backend/backend.h"

/* Widths and strides beyond this are nonsense, and products of two stay inside int64_t. */
#define LARGEST ((int64_t)1 << 31)

static bool absent(trdi_span span)
{
    return span.buffer == NULL;
}

static bool width_ok(int64_t width)
{
    return width >= 1 && width <= LARGEST;
}

/* A stride for rows of this width. */
static bool stride_ok(int64_t stride, int64_t width)
{
    return stride >= width && stride <= LARGEST;
}

static const char *check_embed(const trdi_op_embed *op)
{
    if (op->table == NULL || absent(op->ids) || absent(op->y)) return "table, ids or y is absent";
    if (op->zero_start && absent(op->positions)) return "zero_start needs positions";
    if (!width_ok(op->width) || !stride_ok(op->y_stride, op->width)) return "width or stride out of range";
    return NULL;
}

static const char *check_positions(const trdi_op_positions *op)
{
    if (absent(op->positions) || absent(op->y)) return "positions or y is absent";
    if (!width_ok(op->width)) return "width out of range";
    if (absent(op->table) && (op->width < 4 || op->width % 2 != 0)) return "a sinusoid needs an even width of at least 4";
    return NULL;
}

static const char *check_norm(const trdi_op_norm *op)
{
    if (absent(op->x) || absent(op->y) || absent(op->gamma)) return "x, y or gamma is absent";
    if (!width_ok(op->width) || !width_ok(op->n_groups)) return "width or n_groups out of range";
    const int64_t all = op->width * op->n_groups;
    if (!stride_ok(op->x_stride, all) || !stride_ok(op->y_stride, all)) return "stride out of range";
    if (!absent(op->residual) && !stride_ok(op->residual_stride, all)) return "residual_stride out of range";
    return op->epsilon >= 0.0f ? NULL : "epsilon is negative";
}

static const char *check_linear(const trdi_op_linear *op)
{
    if (op->weight == NULL || absent(op->x) || absent(op->y)) return "weight, x or y is absent";
    if (!width_ok(op->in) || !width_ok(op->out)) return "in or out out of range";
    if (!stride_ok(op->x_stride, op->in) || !stride_ok(op->y_stride, op->out)) return "stride out of range";
    if (!absent(op->multiplier) && !stride_ok(op->multiplier_stride, op->out)) return "multiplier_stride out of range";
    if (!absent(op->residual) && !stride_ok(op->residual_stride, op->out)) return "residual_stride out of range";
    if (op->activation < -1 || op->activation > 6) return "unknown activation";
    return NULL;
}

static const char *check_map(const trdi_op_map *op)
{
    if ((unsigned)op->function > TRDI_MAP_ADD) return "unknown function";
    if (absent(op->x) || absent(op->y)) return "x or y is absent";
    if (!width_ok(op->width) || !stride_ok(op->x_stride, op->width) || !stride_ok(op->y_stride, op->width)) {
        return "width or stride out of range";
    }
    if (op->function == TRDI_MAP_ADD && (absent(op->z) || !stride_ok(op->z_stride, op->width))) return "z is absent or its stride out of range";
    return op->function != TRDI_MAP_SOFTCAP || op->parameter != 0.0f ? NULL : "a cap of 0";
}

static const char *check_rotary(const trdi_op_rotary *op)
{
    if (absent(op->x) || absent(op->positions) || absent(op->inverse_frequencies)) return "an operand is absent";
    if (!width_ok(op->n_heads) || !width_ok(op->head_dim)) return "n_heads or head_dim out of range";
    if (op->dim < 2 || op->dim % 2 != 0 || op->dim > op->head_dim) return "dim is odd or out of range";
    return stride_ok(op->x_stride, op->n_heads * op->head_dim) ? NULL : "x_stride out of range";
}

static const char *check_kv(const trdi_kv_layout *kv)
{
    if (absent(kv->pool) || absent(kv->table) || absent(kv->table_offsets)) return "pool or block table is absent";
    if (!width_ok(kv->n_heads_kv) || !width_ok(kv->head_dim)) return "n_heads_kv or head_dim out of range";
    if (kv->block_tokens < 1 || kv->block_tokens > 4096) return "block_tokens is not in 1..4096";
    if (kv->dtype != TRD_DTYPE_F32 && kv->dtype != TRD_DTYPE_F16) return "keys and values are neither f32 nor f16";
    const double both = 2.0 * (double)trd_dtype_bytes(kv->dtype);
    const double need = (double)kv->layer_offset + both * (double)kv->n_heads_kv * (double)kv->head_dim * (double)kv->block_tokens;
    if (need > (double)kv->block_stride) return "a block's layers don't fit block_stride";
    return kv->layer_offset % sizeof(float) == 0 && kv->block_stride % sizeof(float) == 0 ? NULL : "a block is not aligned";
}

static const char *check_kv_append(const trdi_op_kv_append *op)
{
    const char *why = check_kv(&op->kv);
    if (why != NULL) return why;
    if (absent(op->k) || absent(op->v) || absent(op->rows) || absent(op->positions)) return "an operand is absent";
    return stride_ok(op->stride, op->kv.n_heads_kv * op->kv.head_dim) ? NULL : "stride out of range";
}

static const char *check_kv_copy(const trdi_op_kv_copy *op)
{
    if (absent(op->pool) || absent(op->copies)) return "pool or copies is absent";
    return op->block_stride >= 1 ? NULL : "block_stride is 0";
}

static const char *check_attention_terms(const trdi_op_attention *op)
{
    const bool relative = !absent(op->relative_keys);
    if (!absent(op->relative_values) && !relative) return "relative values without keys";
    if (relative && (op->relative_left < 0 || op->relative_right < 0 || op->relative_left > LARGEST || op->relative_right > LARGEST)) {
        return "relative_left or relative_right out of range";
    }
    if (!absent(op->relative_bias)) {
        if (op->relative_buckets < 2 || op->relative_buckets > 65536) return "relative_buckets is not in 2..65536";
        if (op->relative_max_distance < 1 || op->relative_max_distance > (1 << 20)) return "relative_max_distance is not in 1..2^20";
    }
    if (!absent(op->probabilities)) {
        if (op->memory_kv.pool.buffer != NULL) return "probabilities of merged attention";
        if (op->probability_heads < 1 || op->probability_heads > op->n_heads) return "probability_heads is not in 1..n_heads";
        if (op->probabilities_stride < 1) return "probabilities_stride out of range";
    }
    return NULL;
}

/* One key set over blocks. */
static const char *check_paged(const trdi_op_attention *op, const trdi_kv_layout *kv)
{
    const char *why = check_kv(kv);
    if (why != NULL) return why;
    return kv->n_heads_kv == op->n_heads_kv && kv->head_dim == op->head_dim ? NULL : "the cache has other heads";
}

static const char *check_attention(const trdi_op_attention *op)
{
    if (absent(op->q) || absent(op->y) || absent(op->rows) || absent(op->positions) || absent(op->key_counts)) {
        return "an operand is absent";
    }
    if (!width_ok(op->n_heads) || !width_ok(op->n_heads_kv) || !width_ok(op->head_dim)) return "heads out of range";
    if (op->head_dim > 4096) return "head_dim is beyond 4096";
    if (op->n_heads % op->n_heads_kv != 0) return "n_heads is no multiple of n_heads_kv";
    if (!stride_ok(op->q_stride, op->n_heads * op->head_dim) || !stride_ok(op->y_stride, op->n_heads * op->head_dim)) {
        return "stride out of range";
    }
    const char *why = NULL;
    if (op->source == TRDI_KEYS_PAGED) {
        why = check_paged(op, &op->kv);
    } else if (op->source == TRDI_KEYS_PACKED) {
        if (absent(op->k) || absent(op->v) || absent(op->key_starts)) why = "k, v or key_starts is absent";
        else if (!stride_ok(op->kv_stride, op->n_heads_kv * op->head_dim)) why = "kv_stride out of range";
    } else {
        why = "unknown source of keys";
    }
    if (why == NULL && op->memory_kv.pool.buffer != NULL) {
        why = absent(op->memory_counts) ? "memory_counts is absent" : check_paged(op, &op->memory_kv);
    }
    return why != NULL ? why : check_attention_terms(op);
}

static const char *check_gather(const trdi_op_gather *op)
{
    if (absent(op->x) || absent(op->y) || absent(op->indices)) return "an operand is absent";
    const bool ok = width_ok(op->width) && stride_ok(op->x_stride, op->width) && stride_ok(op->y_stride, op->width);
    return ok ? NULL : "width or stride out of range";
}

static const char *check_edit(const trdi_op_edit *op)
{
    if (absent(op->logits) || absent(op->edit_starts)) return "logits or edit_starts is absent";
    if (!width_ok(op->width) || !stride_ok(op->stride, op->width)) return "width or stride out of range";
    if (!absent(op->masks) && (absent(op->mask_bits) || op->mask_words < (op->width + 31) / 32)) return "mask_bits is absent or too narrow";
    return NULL;
}

static const char *check_log_softmax(const trdi_op_log_softmax *op)
{
    if (absent(op->x) || absent(op->y) || absent(op->parameters)) return "an operand is absent";
    return width_ok(op->width) && stride_ok(op->stride, op->width) ? NULL : "width or stride out of range";
}

static const char *check_select(const trdi_op_select *op)
{
    if (absent(op->values) || absent(op->selections) || absent(op->ids) || absent(op->parents) || absent(op->scores)) {
        return "an operand is absent";
    }
    return width_ok(op->width) && stride_ok(op->stride, op->width) ? NULL : "width or stride out of range";
}

const char *trdi_op_refusal(const trdi_op *op)
{
    if ((unsigned)op->count >= TRDI_N_COUNTS) return "unknown count";
    switch (op->kind) {
    case TRDI_OP_EMBED: return check_embed(&op->u.embed);
    case TRDI_OP_POSITIONS: return check_positions(&op->u.positions);
    case TRDI_OP_NORM: return check_norm(&op->u.norm);
    case TRDI_OP_LINEAR: return check_linear(&op->u.linear);
    case TRDI_OP_MAP: return check_map(&op->u.map);
    case TRDI_OP_ROTARY: return check_rotary(&op->u.rotary);
    case TRDI_OP_KV_APPEND: return check_kv_append(&op->u.kv_append);
    case TRDI_OP_KV_COPY: return check_kv_copy(&op->u.kv_copy);
    case TRDI_OP_ATTENTION: return check_attention(&op->u.attention);
    case TRDI_OP_GATHER: return check_gather(&op->u.gather);
    case TRDI_OP_EDIT: return check_edit(&op->u.edit);
    case TRDI_OP_LOG_SOFTMAX: return check_log_softmax(&op->u.log_softmax);
    case TRDI_OP_SELECT: return check_select(&op->u.select);
    default: return "unknown operation";
    }
}
