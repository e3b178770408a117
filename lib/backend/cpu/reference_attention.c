/* reference_attention.c: attention said plainly: all scores of a head in double, three passes over the keys, no chunks. */
#include <math.h>

#include "backend/cpu/cpu.h"
#include "backend/op_tables.h"
#include "core/half.h"

/* Key or value of one key of a row, wherever it is kept. */
typedef struct vector {
    const void *at;
    trd_dtype   dtype;
} vector;

void *trdi_reference_slot(const trdi_kv_layout *kv, int64_t block, int64_t head, int64_t slot)
{
    char *base = (char *)trdi_span_at(kv->pool) + kv->layer_offset + (size_t)block * kv->block_stride;
    return base + (size_t)((head * kv->block_tokens + slot) * kv->head_dim) * trd_dtype_bytes(kv->dtype);
}

static vector find_vector(const trdi_op_attention *op, int64_t row, int64_t head, int64_t j, bool memory, bool value)
{
    if (!memory && op->source == TRDI_KEYS_PACKED) {
        const int64_t at = (trdi_span_i32(op->key_starts)[row] + j) * op->kv_stride + head * op->head_dim;
        return (vector){ trdi_span_f32(value ? op->v : op->k) + at, TRD_DTYPE_F32 };
    }
    const trdi_kv_layout *kv = memory ? &op->memory_kv : &op->kv;
    const int64_t block = trdi_span_i32(kv->table)[trdi_span_i32(kv->table_offsets)[row] + j / kv->block_tokens];
    const size_t plane = (size_t)(kv->n_heads_kv * kv->block_tokens * kv->head_dim) * trd_dtype_bytes(kv->dtype);
    const char *key = trdi_reference_slot(kv, block, head, j % kv->block_tokens);
    return (vector){ key + (value ? plane : 0), kv->dtype };
}

static double element(vector v, int64_t i)
{
    if (v.dtype == TRD_DTYPE_F16) return (double)trdi_half_to_float(((const uint16_t *)v.at)[i]);
    return (double)((const float *)v.at)[i];
}

static double dot(const float *a, vector b, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * element(b, i);
    return sum;
}

/* Row of the relative tables for key j seen from position p. */
static int64_t relative_row(const trdi_op_attention *op, int64_t j, int64_t p)
{
    int64_t r = j - p;
    if (r < -op->relative_left) r = -op->relative_left;
    if (r > op->relative_right) r = op->relative_right;
    return r + op->relative_left;
}

/* Score of key j, or -infinity where it is not seen. */
static double score(const trdi_op_attention *op, int64_t token, int64_t head, int64_t j, bool memory)
{
    const int64_t row = trdi_span_i32(op->rows)[token], p = trdi_span_i32(op->positions)[token];
    const float *q = trdi_span_f32(op->q) + token * op->q_stride + head * op->head_dim;
    const vector key = find_vector(op, row, head / (op->n_heads / op->n_heads_kv), j, memory, false);
    if (memory) return (double)op->scale * dot(q, key, op->head_dim);
    if ((op->causal && j > p) || (op->window > 0 && j <= p - op->window)) return -INFINITY;
    double s = dot(q, key, op->head_dim);
    if (op->relative_keys.buffer != NULL) {
        const float *relative = trdi_span_f32(op->relative_keys) + relative_row(op, j, p) * op->head_dim;
        s += dot(q, (vector){ relative, TRD_DTYPE_F32 }, op->head_dim);
    }
    s *= (double)op->scale;
    if (op->relative_bias.buffer != NULL) {
        const int32_t b = trdi_relative_bucket(j - p, op->relative_buckets, op->relative_max_distance, op->relative_bidirectional);
        s += (double)trdi_span_f32(op->relative_bias)[b * op->n_heads + head];
    }
    if (op->alibi_slopes.buffer != NULL) {
        s += (double)trdi_span_f32(op->alibi_slopes)[head] * (double)(op->alibi_positive ? j : j - p);
    }
    return s;
}

/* One head of one token. Scores are computed anew in each pass. */
static void attend(const trdi_op_attention *op, int64_t token, int64_t head)
{
    const int64_t row = trdi_span_i32(op->rows)[token], p = trdi_span_i32(op->positions)[token];
    const int64_t n = trdi_span_i32(op->key_counts)[row];
    const int64_t n_memory = op->memory_kv.pool.buffer != NULL ? trdi_span_i32(op->memory_counts)[row] : 0;
    float *y = trdi_span_f32(op->y) + token * op->y_stride + head * op->head_dim;
    double top = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n + n_memory; i++) top = fmax(top, score(op, token, head, i < n ? i : i - n, i >= n));
    for (int64_t i = 0; !isinf(top) && i < n + n_memory; i++) sum += exp(score(op, token, head, i < n ? i : i - n, i >= n) - top);
    for (int64_t c = 0; c < op->head_dim; c++) y[c] = 0.0f;
    for (int64_t i = 0; sum > 0.0 && i < n + n_memory; i++) {
        const int64_t j = i < n ? i : i - n;
        const double weight = exp(score(op, token, head, j, i >= n) - top) / sum;
        if (weight == 0.0) continue;            /* what is not seen may hold anything */
        const vector value = find_vector(op, row, head / (op->n_heads / op->n_heads_kv), j, i >= n, true);
        const float *relative = trdi_span_f32(op->relative_values);
        for (int64_t c = 0; c < op->head_dim; c++) {
            double v = element(value, c);
            if (relative != NULL && i < n) v += (double)relative[relative_row(op, j, p) * op->head_dim + c];
            y[c] = (float)((double)y[c] + weight * v);
        }
    }
    if (op->probabilities.buffer == NULL || head >= op->probability_heads) return;
    float *out = trdi_span_f32(op->probabilities) + token * op->probabilities_stride;
    for (int64_t j = 0; j < n; j++) {
        const double weight = sum > 0.0 ? exp(score(op, token, head, j, false) - top) / sum : 0.0;
        out[j] = (head == 0 ? 0.0f : out[j]) + (float)(weight / (double)op->probability_heads);
    }
}

void trdi_reference_attention(const trdi_op_attention *op, int64_t n)
{
    for (int64_t t = 0; t < n; t++) {
        for (int64_t h = 0; h < op->n_heads; h++) attend(op, t, h);
    }
}
