/*
 * reference.c: the operations said plainly, one element after the other, sums in double: what tests compare plans with.
 * Attention and selection have files of their own.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "core/alloc.h"
#include "core/half.h"

static void reference_embed(const trdi_op_embed *op, int64_t n)
{
    const trdi_cpu_weight *table = op->table;
    const int32_t *ids = trdi_span_i32(op->ids), *positions = trdi_span_i32(op->positions);
    for (int64_t t = 0; t < n; t++) {
        float *y = trdi_span_f32(op->y) + t * op->y_stride;
        for (int64_t c = 0; c < op->width; c++) {
            const bool zero = op->zero_start && positions[t] == 0;
            float stored = table->data[ids[t] * op->width + c];
            if (table->scales != NULL) stored /= table->scales[ids[t]];
            const float value = zero ? 0.0f : op->scale * stored;
            y[c] = op->accumulate ? y[c] + value : value;
        }
    }
}

static void reference_positions(const trdi_op_positions *op, int64_t n)
{
    const int32_t *positions = trdi_span_i32(op->positions);
    for (int64_t t = 0; t < n; t++) {
        float *y = trdi_span_f32(op->y) + t * op->width;
        const int64_t half = op->width / 2;
        for (int64_t c = 0; c < op->width; c++) {
            if (op->table.buffer != NULL) {
                y[c] += trdi_span_f32(op->table)[positions[t] * op->width + c];
                continue;
            }
            const float frequency = (float)exp(-(double)(c % half) * log(10000.0) / (double)(half - 1));
            const double angle = (double)((float)(positions[t] + 1) * frequency);
            y[c] += (float)(c < half ? sin(angle) : cos(angle));
        }
    }
}

static void norm_group(const trdi_op_norm *op, const float *x, float *y, const float *residual)
{
    const float *gamma = trdi_span_f32(op->gamma), *beta = trdi_span_f32(op->beta);
    double mean = 0.0, variance = 0.0;
    if (beta != NULL) {
        for (int64_t c = 0; c < op->width; c++) mean += (double)x[c];
        mean /= (double)op->width;
    }
    for (int64_t c = 0; c < op->width; c++) variance += ((double)x[c] - mean) * ((double)x[c] - mean);
    variance /= (double)op->width;
    for (int64_t c = 0; c < op->width; c++) {
        const double gain = (op->gain_plus_one ? 1.0 : 0.0) + (double)gamma[c];
        double v = ((double)x[c] - mean) / sqrt(variance + (double)op->epsilon) * gain;
        if (beta != NULL) v += (double)beta[c];
        if (residual != NULL) v += (double)residual[c];
        y[c] = (float)(v * (double)op->scale);
    }
}

static void reference_norm(const trdi_op_norm *op, int64_t n)
{
    const float *x = trdi_span_f32(op->x), *residual = trdi_span_f32(op->residual);
    float *y = trdi_span_f32(op->y);
    for (int64_t r = 0; r < n; r++) {
        for (int64_t g = 0; g < op->n_groups; g++) {
            norm_group(op, x + r * op->x_stride + g * op->width, y + r * op->y_stride + g * op->width,
                       residual == NULL ? NULL : residual + r * op->residual_stride + g * op->width);
        }
    }
}

static double activate(double x, int32_t activation)
{
    switch (activation) {
    case 0: return x > 0.0 ? x : 0.0;
    case 1: return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case 2: return x / (1.0 + exp(-x));
    case 3: return 0.5 * x * (1.0 + erf(0.7071067811865475 * x));
    case 4: return x / (1.0 + exp(-1.702 * x));
    case 5: return tanh(x);
    case 6: return 1.0 / (1.0 + exp(-x));
    default: return x;
    }
}

/* The row as floats that hold integers; returns a. Products and quotients in f32: a rounding the other way is another integer. */
static float quantise_row(const float *x, int64_t n, bool truncate, float *q)
{
    float most = 0.0f;
    for (int64_t k = 0; k < n; k++) most = fabsf(x[k]) > most ? fabsf(x[k]) : most;
    const float a = most > 0.0f ? 127.0f / most : 1.0f;
    for (int64_t k = 0; k < n; k++) q[k] = truncate ? truncf(x[k] * a) : nearbyintf(x[k] * a);
    return a;
}

/* Product of a row with output o, bias included. With I8 weights x holds integers, whose sum in double is exact, and a is their scale. */
static double product(const trdi_cpu_weight *weight, const float *x, float a, int64_t o)
{
    const float *w = weight->data + o / TRDI_PANEL * TRDI_PANEL * weight->cols + o % TRDI_PANEL;
    double sum = 0.0;
    for (int64_t k = 0; k < weight->cols; k++) sum += (double)x[k] * (double)w[k * TRDI_PANEL];
    if (weight->scales != NULL) sum = (double)((float)sum * (1.0f / a) / weight->scales[o]);
    return weight->bias != NULL ? sum + (double)weight->bias[o] : sum;
}

static trd_status reference_linear(const trdi_op_linear *op, int64_t n)
{
    const trdi_cpu_weight *weight = op->weight;
    float *q = trdi_calloc((size_t)op->in, sizeof *q);
    if (q == NULL) return trdi_fail(TRD_E_MEMORY, "reference of linear: row of %lld", (long long)op->in);
    for (int64_t r = 0; r < n; r++) {
        const float *x = trdi_span_f32(op->x) + r * op->x_stride;
        float *y = trdi_span_f32(op->y) + r * op->y_stride;
        const bool is_i8 = weight->dtype == TRD_DTYPE_I8;
        const float a = is_i8 ? quantise_row(x, op->in, weight->truncate, q) : 1.0f;
        for (int64_t o = 0; o < op->out; o++) {
            double sum = activate(product(weight, is_i8 ? q : x, a, o), op->activation);
            if (op->multiplier.buffer != NULL) sum *= (double)trdi_span_f32(op->multiplier)[r * op->multiplier_stride + o];
            if (op->residual.buffer != NULL) sum += (double)trdi_span_f32(op->residual)[r * op->residual_stride + o];
            y[o] = (float)sum;
        }
    }
    trdi_free(q);
    return TRD_OK;
}

static void reference_map(const trdi_op_map *op, int64_t n)
{
    const double p = (double)op->parameter;
    for (int64_t r = 0; r < n; r++) {
        for (int64_t c = 0; c < op->width; c++) {
            const double x = (double)trdi_span_f32(op->x)[r * op->x_stride + c];
            double y = x * p;
            if (op->function == TRDI_MAP_SOFTCAP) y = p * tanh(x / p);
            if (op->function == TRDI_MAP_ADD) y = (x + (double)trdi_span_f32(op->z)[r * op->z_stride + c]) * p;
            trdi_span_f32(op->y)[r * op->y_stride + c] = (float)y;
        }
    }
}

static void reference_rotary(const trdi_op_rotary *op, int64_t n)
{
    const float *inverse = trdi_span_f32(op->inverse_frequencies);
    for (int64_t t = 0; t < n; t++) {
        for (int64_t i = 0; i < op->dim / 2; i++) {
            const double angle = (double)((float)trdi_span_i32(op->positions)[t] * inverse[i]);
            const double c = cos(angle) * (double)op->magnitude, s = sin(angle) * (double)op->magnitude;
            for (int64_t h = 0; h < op->n_heads; h++) {
                float *x = trdi_span_f32(op->x) + t * op->x_stride + h * op->head_dim;
                float *first = op->interleave ? &x[2 * i] : &x[i], *second = op->interleave ? &x[2 * i + 1] : &x[i + op->dim / 2];
                const double a = (double)*first, b = (double)*second;
                *first = (float)(a * c - b * s);
                *second = (float)(b * c + a * s);
            }
        }
    }
}

static void store(const trdi_kv_layout *kv, void *slot, int64_t i, float value)
{
    if (kv->dtype == TRD_DTYPE_F16) ((uint16_t *)slot)[i] = trdi_float_to_half(value);
    else ((float *)slot)[i] = value;
}

static void reference_kv_append(const trdi_op_kv_append *op, int64_t n)
{
    const trdi_kv_layout *kv = &op->kv;
    const int64_t plane = kv->n_heads_kv * kv->block_tokens * kv->head_dim;
    for (int64_t t = 0; t < n; t++) {
        const int64_t p = trdi_span_i32(op->positions)[t], row = trdi_span_i32(op->rows)[t];
        const int64_t block = trdi_span_i32(kv->table)[trdi_span_i32(kv->table_offsets)[row] + p / kv->block_tokens];
        for (int64_t h = 0; h < kv->n_heads_kv; h++) {
            void *slot = trdi_reference_slot(kv, block, h, p % kv->block_tokens);
            for (int64_t c = 0; c < kv->head_dim; c++) {
                store(kv, slot, c, trdi_span_f32(op->k)[t * op->stride + h * kv->head_dim + c]);
                store(kv, slot, plane + c, trdi_span_f32(op->v)[t * op->stride + h * kv->head_dim + c]);
            }
        }
    }
}

static void reference_kv_copy(const trdi_op_kv_copy *op, int64_t n)
{
    char *pool = trdi_span_at(op->pool);
    const int32_t *copies = trdi_span_i32(op->copies);
    for (int64_t i = 0; i < n; i++) {
        memmove(pool + (size_t)copies[2 * i + 1] * op->block_stride, pool + (size_t)copies[2 * i] * op->block_stride,
                op->block_stride);
    }
}

static void reference_gather(const trdi_op_gather *op, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < op->width; c++) {
            trdi_span_f32(op->y)[i * op->y_stride + c] =
                trdi_span_f32(op->x)[trdi_span_i32(op->indices)[i] * op->x_stride + c];
        }
    }
}

static void reference_edit(const trdi_op_edit *op, int64_t n)
{
    const int32_t *starts = trdi_span_i32(op->edit_starts), *masks = trdi_span_i32(op->masks);
    for (int64_t r = 0; r < n; r++) {
        float *x = trdi_span_f32(op->logits) + r * op->stride;
        for (int64_t id = 0; masks != NULL && masks[r] >= 0 && id < op->width; id++) {
            const uint32_t word = ((const uint32_t *)trdi_span_at(op->mask_bits))[masks[r] * op->mask_words + id / 32];
            if ((word >> (id % 32) & 1) == 0) x[id] = -INFINITY;
        }
        for (int32_t i = starts[r]; i < starts[r + 1]; i++) {
            const trdi_edit *e = (const trdi_edit *)trdi_span_at(op->edits) + i;
            if (e->id < 0 || e->id >= op->width) continue;
            if (e->kind == TRDI_EDIT_SET) x[e->id] = e->value;
            else x[e->id] = x[e->id] < 0.0f ? x[e->id] * e->value : x[e->id] / e->value;
        }
    }
}

static void reference_log_softmax(const trdi_op_log_softmax *op, int64_t n)
{
    for (int64_t r = 0; r < n; r++) {
        const trdi_row_norm *p = (const trdi_row_norm *)trdi_span_at(op->parameters) + r;
        const float *x = trdi_span_f32(op->x) + r * op->stride;
        float *y = trdi_span_f32(op->y) + r * op->stride;
        double top = -INFINITY, sum = 0.0;
        for (int64_t i = 0; i < op->width; i++) top = (double)x[i] > top ? (double)x[i] : top;
        for (int64_t i = 0; i < op->width; i++) sum += exp((double)x[i] - top);
        for (int64_t i = 0; i < op->width; i++) {
            double v = isinf(top) ? -log((double)op->width) : (double)x[i] - top - log(sum);
            if (p->mode == TRDI_NORMALISE_NONE) v = (double)x[i];
            if (p->mode == TRDI_NORMALISE_BIASED) {
                const double beta = (double)p->beta;
                v = i == p->bias_id ? log((1.0 - beta) * exp(v) + beta) : v + log(1.0 - beta);
            }
            y[i] = (float)v;
        }
    }
}

trd_status trdi_reference_run(const trdi_op *op, const trdi_step *step)
{
    const char *why = trdi_cpu_misfit(op);
    if (why != NULL) return trdi_fail(TRD_E_UNSUPPORTED, "reference of %s: %s", trdi_op_name(op->kind), why);
    const int64_t n = step->counts[op->count];
    if (n <= 0) return TRD_OK;
    switch (op->kind) {
    case TRDI_OP_EMBED: reference_embed(&op->u.embed, n); break;
    case TRDI_OP_POSITIONS: reference_positions(&op->u.positions, n); break;
    case TRDI_OP_NORM: reference_norm(&op->u.norm, n); break;
    case TRDI_OP_LINEAR: return reference_linear(&op->u.linear, n);
    case TRDI_OP_MAP: reference_map(&op->u.map, n); break;
    case TRDI_OP_ROTARY: reference_rotary(&op->u.rotary, n); break;
    case TRDI_OP_KV_APPEND: reference_kv_append(&op->u.kv_append, n); break;
    case TRDI_OP_KV_COPY: reference_kv_copy(&op->u.kv_copy, n); break;
    case TRDI_OP_ATTENTION: trdi_reference_attention(&op->u.attention, n); break;
    case TRDI_OP_GATHER: reference_gather(&op->u.gather, n); break;
    case TRDI_OP_EDIT: reference_edit(&op->u.edit, n); break;
    case TRDI_OP_LOG_SOFTMAX: reference_log_softmax(&op->u.log_softmax, n); break;
    case TRDI_OP_SELECT: return trdi_reference_select(&op->u.select, n);
    default: return trdi_fail(TRD_E_INTERNAL, "reference of operation %d", (int)op->kind);
    }
    return TRD_OK;
}
