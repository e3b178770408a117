/* cpu_rows.c: operations whose rows are independent of each other: everything but attention and selection. */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/plain_math.h"

void trdi_cpu_run_embed(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_embed *e = &op->op.u.embed;
    const float *table = ((const trdi_cpu_weight *)e->table)->data;
    const int32_t *ids = trdi_span_i32(e->ids), *positions = trdi_span_i32(e->positions);
    float *y = trdi_span_f32(e->y);
    int64_t first, last;
    trdi_cpu_share(n, thread, &first, &last);
    for (int64_t t = first; t < last; t++) {
        const bool zero = e->zero_start && positions[t] == 0;
        thread->kernels->embed(zero ? NULL : table + ids[t] * e->width, y + t * e->y_stride, e->width, e->scale, e->accumulate);
    }
}

void trdi_cpu_run_positions(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_positions *e = &op->op.u.positions;
    const int32_t *positions = trdi_span_i32(e->positions);
    const float *table = trdi_span_f32(e->table);
    float *y = trdi_span_f32(e->y), *row = thread->scratch;
    const int64_t half = e->width / 2;
    int64_t first, last;
    trdi_cpu_share(n, thread, &first, &last);
    for (int64_t t = first; t < last; t++) {
        const float *from = table == NULL ? row : table + positions[t] * e->width;
        for (int64_t j = 0; table == NULL && j < half; j++) {
            double sine, cosine;
            trdi_plain_sin_cos((double)((float)(positions[t] + 1) * op->frequencies[j]), &sine, &cosine);
            row[j] = (float)sine;
            row[half + j] = (float)cosine;
        }
        thread->kernels->add(y + t * e->width, from, y + t * e->width, e->width, 1.0f);
    }
}

void trdi_cpu_run_norm(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_norm *e = &op->op.u.norm;
    const trdi_norm_job job = { .gamma = trdi_span_f32(e->gamma), .beta = trdi_span_f32(e->beta), .width = e->width,
                                .epsilon = e->epsilon, .scale = e->scale, .gain_plus_one = e->gain_plus_one };
    const float *x = trdi_span_f32(e->x), *residual = trdi_span_f32(e->residual);
    float *y = trdi_span_f32(e->y);
    int64_t first, last;
    trdi_cpu_share(n * e->n_groups, thread, &first, &last);
    for (int64_t i = first; i < last; i++) {
        const int64_t r = i / e->n_groups, column = i % e->n_groups * e->width;
        thread->kernels->norm(&job, x + r * e->x_stride + column, y + r * e->y_stride + column,
                              residual == NULL ? NULL : residual + r * e->residual_stride + column);
    }
}

/* Threads take panels, so that each reads its own weights once; where there are too few, rows as well. */
void trdi_cpu_run_linear(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_linear *e = &op->op.u.linear;
    const trdi_cpu_weight *weight = e->weight;
    const trdi_linear_job job = {
        .panels = weight->data, .bias = weight->bias, .x = trdi_span_f32(e->x), .multiplier = trdi_span_f32(e->multiplier),
        .residual = trdi_span_f32(e->residual), .y = trdi_span_f32(e->y), .in = e->in, .out = e->out, .x_stride = e->x_stride,
        .y_stride = e->y_stride, .multiplier_stride = e->multiplier_stride, .residual_stride = e->residual_stride,
        .activation = e->activation };
    const int64_t n_panels = (e->out + TRDI_PANEL - 1) / TRDI_PANEL;
    int64_t parts = 1;                          /* of the rows */
    while (n_panels * parts < 8 * thread->count && n / (parts + 1) >= 8) parts++;
    int64_t first, last;
    trdi_cpu_share(n_panels * parts, thread, &first, &last);
    while (first < last) {
        const int64_t part = first / n_panels, panel = first % n_panels;
        const int64_t end = panel + (last - first) < n_panels ? panel + (last - first) : n_panels;
        thread->kernels->linear(&job, n * part / parts, n * (part + 1) / parts, panel, end, thread->scratch);
        first += end - panel;
    }
}

void trdi_cpu_run_map(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_map *e = &op->op.u.map;
    const trdi_cpu_kernels *k = thread->kernels;
    const float *x = trdi_span_f32(e->x), *z = trdi_span_f32(e->z);
    float *y = trdi_span_f32(e->y);
    int64_t first, last;
    trdi_cpu_share(n, thread, &first, &last);
    for (int64_t r = first; r < last; r++) {
        const float *in = x + r * e->x_stride;
        float *out = y + r * e->y_stride;
        switch (e->function) {
        case TRDI_MAP_SCALE: k->scale(in, out, e->width, e->parameter); break;
        case TRDI_MAP_SOFTCAP: k->softcap(in, out, e->width, e->parameter); break;
        case TRDI_MAP_ADD: k->add(in, z + r * e->z_stride, out, e->width, e->parameter); break;
        }
    }
}

void trdi_cpu_run_rotary(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_rotary *e = &op->op.u.rotary;
    const int32_t *positions = trdi_span_i32(e->positions);
    const float *inverse = trdi_span_f32(e->inverse_frequencies);
    float *x = trdi_span_f32(e->x), *cosines = thread->scratch, *sines = cosines + e->dim / 2;
    int64_t first, last;
    trdi_cpu_share(n, thread, &first, &last);
    for (int64_t t = first; t < last; t++) {
        for (int64_t i = 0; i < e->dim / 2; i++) {
            double sine, cosine;
            trdi_plain_sin_cos((double)((float)positions[t] * inverse[i]), &sine, &cosine);
            cosines[i] = (float)cosine * e->magnitude;
            sines[i] = (float)sine * e->magnitude;
        }
        for (int64_t h = 0; h < e->n_heads; h++) {
            thread->kernels->rotate(x + t * e->x_stride + h * e->head_dim, cosines, sines, e->dim / 2, e->interleave);
        }
    }
}

void trdi_cpu_run_kv_append(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_kv_append *e = &op->op.u.kv_append;
    const trdi_kv_layout *kv = &e->kv;
    const int32_t *rows = trdi_span_i32(e->rows), *positions = trdi_span_i32(e->positions);
    const int32_t *table = trdi_span_i32(kv->table), *offsets = trdi_span_i32(kv->table_offsets);
    const float *k = trdi_span_f32(e->k), *v = trdi_span_f32(e->v);
    const size_t bytes = (size_t)kv->head_dim * sizeof(float);
    int64_t first, last;
    trdi_cpu_share(n, thread, &first, &last);
    for (int64_t t = first; t < last; t++) {
        const int64_t block = table[offsets[rows[t]] + positions[t] / kv->block_tokens];
        for (int64_t h = 0; h < kv->n_heads_kv; h++) {
            float *slot = trdi_kv_slot(kv, block, h, positions[t] % kv->block_tokens);
            memcpy(slot, k + t * e->stride + h * kv->head_dim, bytes);
            memcpy(slot + kv->n_heads_kv * kv->block_tokens * kv->head_dim, v + t * e->stride + h * kv->head_dim, bytes);
        }
    }
}

/* Every thread makes all copies, in order, of its part of the bytes: a block may be written and then read. */
void trdi_cpu_run_kv_copy(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_kv_copy *e = &op->op.u.kv_copy;
    const int32_t *copies = trdi_span_i32(e->copies);
    char *pool = trdi_span_at(e->pool);
    int64_t first, last;
    trdi_cpu_share((int64_t)((e->block_stride + 63) / 64), thread, &first, &last);
    const size_t from = (size_t)first * 64, to = (size_t)last * 64 < e->block_stride ? (size_t)last * 64 : e->block_stride;
    if (from >= to) return;
    for (int64_t i = 0; i < n; i++) {
        memmove(pool + (size_t)copies[2 * i + 1] * e->block_stride + from, pool + (size_t)copies[2 * i] * e->block_stride + from,
                to - from);
    }
}

void trdi_cpu_run_gather(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_gather *e = &op->op.u.gather;
    const int32_t *indices = trdi_span_i32(e->indices);
    const float *x = trdi_span_f32(e->x);
    float *y = trdi_span_f32(e->y);
    int64_t first, last;
    trdi_cpu_share(n, thread, &first, &last);
    for (int64_t i = first; i < last; i++) {
        memcpy(y + i * e->y_stride, x + indices[i] * e->x_stride, (size_t)e->width * sizeof(float));
    }
}

/* Logits that the mask line forbids become -infinity. */
static void apply_mask(float *logits, const uint32_t *line, int64_t width)
{
    for (int64_t w = 0; w * 32 < width; w++) {
        const uint32_t bits = line[w];
        if (bits == UINT32_MAX) continue;
        const int64_t end = width - w * 32 < 32 ? width - w * 32 : 32;
        for (int64_t b = 0; b < end; b++) {
            if ((bits >> b & 1) == 0) logits[w * 32 + b] = -INFINITY;
        }
    }
}

void trdi_cpu_run_edit(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_edit *e = &op->op.u.edit;
    const trdi_edit *edits = trdi_span_at(e->edits);
    const int32_t *starts = trdi_span_i32(e->edit_starts), *masks = trdi_span_i32(e->masks);
    const uint32_t *bits = trdi_span_at(e->mask_bits);
    int64_t first, last;
    trdi_cpu_share(n, thread, &first, &last);
    for (int64_t r = first; r < last; r++) {
        float *logits = trdi_span_f32(e->logits) + r * e->stride;
        if (masks != NULL && masks[r] >= 0) apply_mask(logits, bits + masks[r] * e->mask_words, e->width);
        for (int32_t i = starts[r]; i < starts[r + 1]; i++) {
            const trdi_edit edit = edits[i];
            if (edit.id < 0 || edit.id >= e->width) continue;     /* nothing there to change */
            const float x = logits[edit.id];
            if (edit.kind == TRDI_EDIT_SET) logits[edit.id] = edit.value;
            else logits[edit.id] = x < 0.0f ? x * edit.value : x / edit.value;
        }
    }
}

void trdi_cpu_run_log_softmax(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_log_softmax *e = &op->op.u.log_softmax;
    const trdi_row_norm *parameters = trdi_span_at(e->parameters);
    const float *x = trdi_span_f32(e->x);
    float *y = trdi_span_f32(e->y);
    int64_t first, last;
    trdi_cpu_share(n, thread, &first, &last);
    for (int64_t r = first; r < last; r++) {
        const trdi_row_norm *p = &parameters[r];
        const float *in = x + r * e->stride;
        float *out = y + r * e->stride;
        if (p->mode == TRDI_NORMALISE_NONE) {
            if (in != out) memcpy(out, in, (size_t)e->width * sizeof(float));
            continue;
        }
        const trdi_row_rule rule = { .mode = p->mode, .bias_id = p->bias_id, .beta = p->beta };
        thread->kernels->log_softmax(in, out, e->width, &rule);
    }
}
