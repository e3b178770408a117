/*
 * attention_desc.c: one multi-head attention: linear layers, heads, positions inside the attention. Every shape is checked against
 * the width of the model and the heads, so that no kernel meets a mismatch.
 */
#include <math.h>

#include "model/model_private.h"

/* Far above every real model; keeps products of heads and widths small. */
#define MAX_HEAD_DIM 65536

static trd_status read_heads(const trdi_stack_reader *r, const char *scope, trdi_attention_desc *a)
{
    const trdi_container *c = r->container;
    const int64_t d = r->stack->d_model;
    a->n_heads = r->stack->n_heads;
    bool multi_query;
    TRDI_TRY(trdi_attribute_flag(c, scope, "multi_query", false, &multi_query));
    TRDI_TRY(trdi_attribute_int(c, scope, "num_heads_kv", (trdi_int_rule){ multi_query ? 1 : a->n_heads, 1, a->n_heads }, &a->n_heads_kv));
    if (a->n_heads % a->n_heads_kv != 0) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, "num_heads_kv", "%lld does not divide the %lld heads", (long long)a->n_heads_kv,
                                  (long long)a->n_heads);
    }
    TRDI_TRY(trdi_attribute_int(c, scope, "head_dim", (trdi_int_rule){ 0, 1, MAX_HEAD_DIM }, &a->head_dim));
    if (a->head_dim == 0) {
        if (d % a->n_heads != 0) {
            return trdi_variable_fail(c, TRD_E_FORMAT, scope, "head_dim", "not stored, and %lld heads do not divide the width %lld",
                                      (long long)a->n_heads, (long long)d);
        }
        a->head_dim = d / a->n_heads;
    }
    return trdi_attribute_float(c, scope, "queries_scale", 1.0f / sqrtf((float)a->head_dim), &a->queries_scale);
}

static trd_status read_linears(const trdi_stack_reader *r, const char *scope, trdi_attention_desc *a)
{
    const trdi_container *c = r->container;
    const int64_t d = r->stack->d_model, queries = a->n_heads * a->head_dim, pairs = 2 * a->n_heads_kv * a->head_dim;
    if (a->cross) {
        TRDI_TRY(trdi_linear_read(c, scope, "linear_0", queries, d, &a->linear[0]));
        TRDI_TRY(trdi_linear_read(c, scope, "linear_1", pairs, r->d_memory, &a->linear[1]));
        return trdi_linear_read(c, scope, "linear_2", d, queries, &a->linear[2]);
    }
    TRDI_TRY(trdi_linear_read(c, scope, "linear_0", queries + pairs, d, &a->linear[0]));
    TRDI_TRY(trdi_linear_read(c, scope, "linear_1", d, queries, &a->linear[1]));
    if (!trdi_scope_exists(c, scope, "memory_kv")) return TRD_OK;
    if (!r->decoder || r->d_memory == 0) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, "memory_kv", "merged attention without a memory");
    }
    return trdi_linear_read(c, scope, "memory_kv", pairs, r->d_memory, &a->memory_kv);
}

static trd_status check_factors(const trdi_container *c, const char *scope, const char *name, int64_t n, const trdi_tensor **out)
{
    TRDI_TRY(trdi_array_get(c, scope, name, false, 1, n, -1, out));
    for (int64_t i = 0; i < n; i++) {
        float value;
        trdi_tensor_read_f32(*out, i, 1, &value);
        if (!isfinite(value) || value <= 0.0f) {
            return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "factor %lld is %g, must be finite and above 0", (long long)i,
                                      (double)value);
        }
    }
    return TRD_OK;
}

static trd_status read_rotary_scaling(const trdi_container *c, const char *scope, trdi_rotary *t)
{
    int64_t type;
    TRDI_TRY(trdi_attribute_int(c, scope, "rotary_scaling_type", (trdi_int_rule){ -1, -1, 2 }, &type));
    t->scaling_type = (int32_t)type;
    TRDI_TRY(trdi_attribute_float(c, scope, "rotary_scaling_factor", 1.0f, &t->scaling_factor));
    TRDI_TRY(trdi_attribute_float(c, scope, "rotary_low_freq_factor", 1.0f, &t->low_freq_factor));
    TRDI_TRY(trdi_attribute_float(c, scope, "rotary_high_freq_factor", 4.0f, &t->high_freq_factor));
    const trdi_int_rule positions = { 0, 0, INT32_MAX };
    TRDI_TRY(trdi_attribute_int(c, scope, "original_max_position_embeddings", positions, &t->original_max_positions));
    TRDI_TRY(trdi_attribute_int(c, scope, "max_position_embeddings", positions, &t->max_positions));
    if ((type == 0 || type == 2) && t->scaling_factor <= 0.0f) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, "rotary_scaling_factor", "%g, must be above 0", (double)t->scaling_factor);
    }
    if (type == 2 && (t->low_freq_factor <= 0.0f || t->high_freq_factor <= t->low_freq_factor)) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, "rotary_high_freq_factor",
                                  "%g, and rotary_low_freq_factor %g: must be 0 < low < high",
                                  (double)t->high_freq_factor, (double)t->low_freq_factor);
    }
    if (type == 1) {
        TRDI_TRY(check_factors(c, scope, "rotary_scaling_long_factor", t->dim / 2, &t->long_factor));
        TRDI_TRY(check_factors(c, scope, "rotary_scaling_short_factor", t->dim / 2, &t->short_factor));
    }
    return TRD_OK;
}

static trd_status read_rotary(const trdi_container *c, const char *scope, int64_t head_dim, trdi_rotary *t)
{
    int64_t dim;
    TRDI_TRY(trdi_attribute_int(c, scope, "rotary_dim", (trdi_int_rule){ -1, -1, head_dim }, &dim));
    if (dim < 0) return TRD_OK;
    if (dim == 0) dim = head_dim;
    if (dim % 2 != 0) return trdi_variable_fail(c, TRD_E_FORMAT, scope, "rotary_dim", "%lld is odd", (long long)dim);
    t->dim = dim;
    TRDI_TRY(trdi_attribute_flag(c, scope, "rotary_interleave", true, &t->interleave));
    TRDI_TRY(trdi_attribute_float(c, scope, "rotary_base", 10000.0f, &t->base));
    if (t->base <= 0.0f) return trdi_variable_fail(c, TRD_E_FORMAT, scope, "rotary_base", "%g, must be above 0", (double)t->base);
    return read_rotary_scaling(c, scope, t);
}

/* Shaw: one table row per distance -M .. M. */
static trd_status read_relative_tables(const trdi_container *c, const char *scope, trdi_attention_desc *a)
{
    TRDI_TRY(trdi_array_get(c, scope, "relative_position_keys", true, 2, -1, a->head_dim, &a->relative_keys));
    if (a->relative_keys == NULL) {
        if (trdi_variable_find(c, scope, "relative_position_values") == NULL) return TRD_OK;
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, "relative_position_values", "stored without relative_position_keys");
    }
    const int64_t rows = a->relative_keys->dims[0];
    if (rows % 2 == 0) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, "relative_position_keys", "%lld rows, must be odd", (long long)rows);
    }
    return trdi_array_get(c, scope, "relative_position_values", true, 2, rows, a->head_dim, &a->relative_values);
}

/* T5: distances below half of the (one-sided) buckets are exact, the others logarithmic up to the maximum. */
static trd_status read_relative_bias(const trdi_stack_reader *r, const char *scope, trdi_attention_desc *a)
{
    static const char name[] = "relative_attention_bias", maximum[] = "relative_attention_max_distance";
    const trdi_container *c = r->container;
    TRDI_TRY(trdi_array_get(c, scope, name, true, 2, -1, a->n_heads, &a->relative_bias));
    if (a->relative_bias == NULL) return TRD_OK;
    const int64_t rows = a->relative_bias->dims[0], least = r->decoder ? 2 : 4, exact = (r->decoder ? rows : rows / 2) / 2;
    if (rows < least) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "%lld rows, at least %lld are needed", (long long)rows, (long long)least);
    }
    TRDI_TRY(trdi_attribute_int(c, scope, maximum, (trdi_int_rule){ -1, 1, INT32_MAX }, &a->relative_max_distance));
    if (a->relative_max_distance < 0) return trdi_variable_fail(c, TRD_E_FORMAT, scope, maximum, "not found");
    if (a->relative_max_distance <= exact) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, maximum, "%lld, must be above %lld for %lld rows",
                                  (long long)a->relative_max_distance, (long long)exact, (long long)rows);
    }
    return TRD_OK;
}

static trd_status read_asymmetric_keys(const trdi_stack_reader *r, const char *scope, trdi_attention_desc *a)
{
    static const char name[] = "relative_asymmetric_position_keys";
    const trdi_container *c = r->container;
    TRDI_TRY(trdi_array_get(c, scope, name, true, 2, -1, a->head_dim, &a->asymmetric_keys));
    if (a->asymmetric_keys == NULL) return TRD_OK;
    if (r->decoder) return trdi_variable_fail(c, TRD_E_UNSUPPORTED, scope, name, "only encoders have them");
    const trdi_int_rule rule = { -1, 0, INT32_MAX };
    TRDI_TRY(trdi_attribute_int(c, scope, "relative_left_max_position", rule, &a->left_max_position));
    TRDI_TRY(trdi_attribute_int(c, scope, "relative_right_max_position", rule, &a->right_max_position));
    if (a->left_max_position < 0 || a->right_max_position < 0) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope,
                                  a->left_max_position < 0 ? "relative_left_max_position" : "relative_right_max_position", "not found");
    }
    const int64_t wanted = a->left_max_position + a->right_max_position + 1;
    if (a->asymmetric_keys->dims[0] != wanted) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "%lld rows, must be %lld", (long long)a->asymmetric_keys->dims[0],
                                  (long long)wanted);
    }
    return TRD_OK;
}

/* Positions and windows are a matter of self-attention over one sequence: cross and merged attention have none of them. */
static trd_status read_positions(const trdi_stack_reader *r, const char *scope, trdi_attention_desc *a)
{
    const trdi_container *c = r->container;
    TRDI_TRY(read_rotary(c, scope, a->head_dim, &a->rotary));
    if (a->memory_kv.weight != NULL) return TRD_OK;
    TRDI_TRY(read_relative_tables(c, scope, a));
    TRDI_TRY(read_relative_bias(r, scope, a));
    TRDI_TRY(read_asymmetric_keys(r, scope, a));
    int64_t window;
    TRDI_TRY(trdi_attribute_int(c, scope, "sliding_window", (trdi_int_rule){ 0, 0, INT32_MAX }, &window));
    a->sliding_window = r->decoder ? window : 0;
    return TRD_OK;
}

trd_status trdi_attention_read(const trdi_stack_reader *r, const char *scope, bool cross, trdi_attention_desc *a)
{
    a->cross = cross;
    TRDI_TRY(trdi_norm_read(r, scope, "layer_norm", r->stack->d_model, &a->norm));
    TRDI_TRY(read_heads(r, scope, a));
    TRDI_TRY(read_linears(r, scope, a));
    TRDI_TRY(trdi_norm_read(r, scope, "q_norm", a->head_dim, &a->q_norm));
    TRDI_TRY(trdi_norm_read(r, scope, "k_norm", a->head_dim, &a->k_norm));
    TRDI_TRY(trdi_norm_read(r, scope, "v_norm", a->head_dim, &a->v_norm));
    return cross ? TRD_OK : read_positions(r, scope, a);
}
