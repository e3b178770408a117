/*
 * attention_record.c: self-attention, merged attention and cross-attention as operations. One code for all forms: a feature
 * that a description lacks is an absent operand.
 */
#include "nn/network_private.h"

/** Where the keys and values of the layer being recorded are. memory: of the encoder's output, else the row's own. */
static trdi_kv_layout kv_layout(const trdi_recorder *r, const trdi_attention_desc *attention, bool memory)
{
    const trdi_step_layout *in_step = &r->places->in_step;
    return (trdi_kv_layout){
        .pool = { r->places->pool, 0 },
        .dtype = r->network->kv_dtype,
        .layer_offset = r->network->kv_offsets[r->layer],
        .block_stride = r->network->info.block_bytes,
        .block_tokens = TRDI_BLOCK_TOKENS,
        .n_heads_kv = attention->n_heads_kv,
        .head_dim = attention->head_dim,
        .table = trdi_in_step(r, in_step->table),
        .table_offsets = trdi_in_step(r, memory ? in_step->memory_offsets : in_step->table_offsets),
    };
}

static void record_append(trdi_recorder *r, const trdi_attention_desc *attention, bool memory, trdi_rows keys)
{
    const trdi_step_layout *in_step = &r->places->in_step;
    trdi_record(r, &(trdi_op){ .kind = TRDI_OP_KV_APPEND, .count = TRDI_COUNT_TOKENS, .u.kv_append = {
        .kv = kv_layout(r, attention, memory),
        .k = keys.span,
        .v = trdi_columns(keys, trdi_key_width(attention)).span,
        .stride = keys.stride,
        .rows = trdi_in_step(r, in_step->rows),
        .positions = trdi_in_step(r, in_step->positions),
    } });
}

static void record_head_norm(trdi_recorder *r, const trdi_norm *norm, const trdi_attention_desc *attention, int64_t n_heads,
                             trdi_rows x)
{
    trdi_record_norm(r, TRDI_COUNT_TOKENS, norm, attention->head_dim, x, x, (trdi_norm_extra){ .n_groups = n_heads });
}

static void record_rotary(trdi_recorder *r, const trdi_attention_desc *attention, int64_t n_heads, trdi_rows x)
{
    const trdi_rotary *rotary = &attention->rotary;
    if (rotary->dim == 0) return;
    trdi_record(r, &(trdi_op){ .kind = TRDI_OP_ROTARY, .count = TRDI_COUNT_TOKENS, .u.rotary = {
        .x = x.span, .x_stride = x.stride,
        .positions = trdi_in_step(r, r->places->in_step.positions),
        .inverse_frequencies = trdi_weights_constant(&r->network->weights, TRDI_CONSTANT_ROTARY, rotary),
        .n_heads = n_heads,
        .head_dim = attention->head_dim,
        .dim = rotary->dim,
        .magnitude = trdi_rotary_magnitude(rotary),
        .interleave = rotary->interleave,
    } });
}

/**
 * Shaw's tables, asymmetric keys, T5 bias and ALiBi. Merged attention has none of them. A T5 table is the layer's own, as in the
 * original; files give every layer an alias of the first one's.
 */
static void set_position_terms(const trdi_recorder *r, const trdi_attention_desc *attention, trdi_op_attention *op)
{
    if (trdi_attention_is_merged(attention)) return;
    const trdi_weights *weights = &r->network->weights;
    if (attention->relative_keys != NULL) {
        const int64_t most = (trdi_tensor_rows(attention->relative_keys) - 1) / 2;
        op->relative_keys = trdi_weights_constant(weights, TRDI_CONSTANT_TENSOR, attention->relative_keys);
        op->relative_values = trdi_weights_constant(weights, TRDI_CONSTANT_TENSOR, attention->relative_values);
        op->relative_left = op->relative_right = most;
    } else if (attention->asymmetric_keys != NULL) {
        op->relative_keys = trdi_weights_constant(weights, TRDI_CONSTANT_TENSOR, attention->asymmetric_keys);
        op->relative_left = attention->left_max_position;
        op->relative_right = attention->right_max_position;
    }
    if (attention->relative_bias != NULL) {
        op->relative_bias = trdi_weights_constant(weights, TRDI_CONSTANT_TENSOR, attention->relative_bias);
        op->relative_buckets = trdi_tensor_rows(attention->relative_bias);
        op->relative_max_distance = attention->relative_max_distance;
        op->relative_bidirectional = r->stage == TRDI_STAGE_ENCODE;
    }
    op->alibi_slopes = trdi_weights_constant(weights, TRDI_CONSTANT_ALIBI, r->stack->alibi ? attention : NULL);
    op->alibi_positive = r->stack->alibi_positive;
    op->window = attention->sliding_window;
}

/** What every attention has in common. */
static trdi_op_attention attention_op(const trdi_recorder *r, const trdi_attention_desc *attention, trdi_rows q, trdi_rows y)
{
    const trdi_step_layout *in_step = &r->places->in_step;
    return (trdi_op_attention){
        .q = q.span, .q_stride = q.stride,
        .y = y.span, .y_stride = y.stride,
        .rows = trdi_in_step(r, in_step->rows),
        .positions = trdi_in_step(r, in_step->positions),
        .n_heads = attention->n_heads,
        .n_heads_kv = attention->n_heads_kv,
        .head_dim = attention->head_dim,
        .scale = attention->queries_scale,
    };
}

static void record_self_scores(trdi_recorder *r, const trdi_attention_desc *attention, trdi_rows q, trdi_rows k, trdi_rows context)
{
    const trdi_step_layout *in_step = &r->places->in_step;
    trdi_op_attention op = attention_op(r, attention, q, context);
    op.key_counts = trdi_in_step(r, in_step->key_counts);
    set_position_terms(r, attention, &op);
    if (r->stage == TRDI_STAGE_ENCODE) {
        op.source = TRDI_KEYS_PACKED;
        op.k = k.span;
        op.v = trdi_columns(k, trdi_key_width(attention)).span;
        op.kv_stride = k.stride;
        op.key_starts = trdi_in_step(r, in_step->key_starts);
    } else {
        record_append(r, attention, false, k);
        op.source = TRDI_KEYS_PAGED;
        op.kv = kv_layout(r, attention, false);
        op.causal = true;
        if (trdi_attention_is_merged(attention)) {
            op.memory_kv = kv_layout(r, attention, true);
            op.memory_counts = trdi_in_step(r, in_step->memory_counts);
        }
    }
    trdi_record(r, &(trdi_op){ .kind = TRDI_OP_ATTENTION, .count = TRDI_COUNT_TOKENS, .u.attention = op });
}

void trdi_record_self_attention(trdi_recorder *r, const trdi_layer_desc *layer, trdi_rows x, trdi_rows y, trdi_rows residual)
{
    const trdi_attention_desc *attention = &layer->self_attention;
    const int64_t query = trdi_query_width(attention), key = trdi_key_width(attention);
    const trdi_rows q = trdi_in_arena(r, r->places->in_arena.projected, query + 2 * key);
    const trdi_rows k = trdi_columns(q, query), v = trdi_columns(k, key);
    const trdi_rows context = trdi_in_arena(r, r->places->in_arena.context, query);
    r->part = "self-attention";

    trdi_record_linear(r, TRDI_COUNT_TOKENS, &attention->linear[0], x, q, trdi_linear_residual(trdi_no_rows()));
    record_head_norm(r, &attention->q_norm, attention, attention->n_heads, q);
    record_head_norm(r, &attention->k_norm, attention, attention->n_heads_kv, k);
    record_head_norm(r, &attention->v_norm, attention, attention->n_heads_kv, v);
    record_rotary(r, attention, attention->n_heads, q);
    record_rotary(r, attention, attention->n_heads_kv, k);
    record_self_scores(r, attention, q, k, context);
    trdi_record_linear(r, TRDI_COUNT_TOKENS, &attention->linear[1], context, y, trdi_linear_residual(residual));
}

void trdi_record_cross_attention(trdi_recorder *r, const trdi_layer_desc *layer, trdi_rows x, trdi_rows y, trdi_rows residual)
{
    const trdi_attention_desc *attention = &layer->cross_attention;
    const int64_t query = trdi_query_width(attention);
    const trdi_rows q = trdi_in_arena(r, r->places->in_arena.projected, query);
    const trdi_rows context = trdi_in_arena(r, r->places->in_arena.context, query);
    r->part = "cross-attention";

    trdi_record_linear(r, TRDI_COUNT_TOKENS, &attention->linear[0], x, q, trdi_linear_residual(trdi_no_rows()));
    record_head_norm(r, &attention->q_norm, attention, attention->n_heads, q);
    trdi_op_attention op = attention_op(r, attention, q, context);
    op.source = TRDI_KEYS_PAGED;
    op.kv = kv_layout(r, attention, true);
    op.key_counts = trdi_in_step(r, r->places->in_step.memory_counts);
    if ((r->features & TRDI_FEATURE_ATTENTION) != 0 && r->layer == r->stack->alignment_layer) {
        op.probabilities = trdi_in_result(r, r->places->in_result.attention);
        op.probabilities_stride = r->places->capacities.sizes.n_attention;
        op.probability_heads = r->stack->alignment_heads;
    }
    trdi_record(r, &(trdi_op){ .kind = TRDI_OP_ATTENTION, .count = TRDI_COUNT_TOKENS, .u.attention = op });
    trdi_record_linear(r, TRDI_COUNT_TOKENS, &attention->linear[2], context, y, trdi_linear_residual(residual));
}

void trdi_record_memory(trdi_recorder *r, const trdi_layer_desc *layer, trdi_rows x)
{
    const bool merged = trdi_attention_is_merged(&layer->self_attention);
    const trdi_attention_desc *attention = merged ? &layer->self_attention : &layer->cross_attention;
    const int64_t key = trdi_key_width(attention);
    const trdi_rows k = trdi_in_arena(r, r->places->in_arena.projected, 2 * key);
    r->part = "memory";

    trdi_record_linear(r, TRDI_COUNT_TOKENS, merged ? &attention->memory_kv : &attention->linear[1], x, k,
                       trdi_linear_residual(trdi_no_rows()));
    record_head_norm(r, &attention->k_norm, attention, attention->n_heads_kv, k);
    if (!merged) record_head_norm(r, &attention->v_norm, attention, attention->n_heads_kv, trdi_columns(k, key));
    record_append(r, attention, true, k);
}
