/* Edits and log-softmax for CPU-type devices: a work-item per row, or per chunk of a row with 16 lanes. */
#include "logits_edit.h"
#include "log_softmax.h"

/*
 * parts[r][c] = (largest, sum of e^(x - largest)) of chunk c of row r.
 * Shapes   x [n][stride], parts [n][n_chunks][2].
 * Launch   1-D, one work-item per row and chunk. */
KERNEL trd_softmax_parts(ARG(const float, x), ARG(const trd_row_norm, rules), ARG(float, parts), const int width, const int stride, const int n_chunks)
{
    OPEN(const float, x);
    OPEN(const trd_row_norm, rules);
    OPEN(float, parts);
    const int r = GROUP_ID / n_chunks, start = (GROUP_ID - r * n_chunks) * TRD_SOFTMAX_CHUNK, n = min(width - start, TRD_SOFTMAX_CHUNK);
    if (rules[r].mode == TRD_NORMALISE_NONE) return;
    GLOBAL const float *row = x + (i64)r * stride + start;
    float16 tops = (float16)(-INFINITY), sums = (float16)(0.0f);
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        const float16 v = vload16(0, row + i);
        tops = select(tops, v, v > tops);
    }
    float lanes[16], largest = -INFINITY, sum = 0.0f;
    vstore16(tops, 0, lanes);
    for (int j = 0; j < 16; j++) largest = lanes[j] > largest ? lanes[j] : largest;
    for (int j = i; j < n; j++) largest = row[j] > largest ? row[j] : largest;
    if (largest != -INFINITY) {
        for (int j = 0; j < i; j += 16) sums += trd_exp16(vload16(0, row + j) - (float16)(largest));
        for (int j = i; j < n; j++) sum += trd_exp(row[j] - largest);
    }
    vstore16(sums, 0, lanes);
    for (int step = 8; step > 0; step /= 2) {
        for (int j = 0; j < step; j++) lanes[j] += lanes[j + step];
    }
    parts[2 * (i64)GROUP_ID] = largest;
    parts[2 * (i64)GROUP_ID + 1] = lanes[0] + sum;
}

/*
 * y[r][c] = x[r][c] - log sum e^x[r], biased where the rule says so; a copy where it says none.
 * Shapes   x, y [n][stride]; y may be x.
 * Launch   1-D, one work-item per row and chunk. */
KERNEL trd_softmax_apply(ARG(const float, x), ARG(float, y), ARG(const trd_row_norm, rules), ARG(const float, parts), const int width,
                         const int stride, const int n_chunks)
{
    OPEN(const float, x);
    OPEN(float, y);
    OPEN(const trd_row_norm, rules);
    OPEN(const float, parts);
    const int r = GROUP_ID / n_chunks, start = (GROUP_ID - r * n_chunks) * TRD_SOFTMAX_CHUNK, end = min(start + TRD_SOFTMAX_CHUNK, width);
    const trd_row_norm rule = rules[r];
    GLOBAL const float *in = x + (i64)r * stride;
    GLOBAL float *out = y + (i64)r * stride;
    if (rule.mode == TRD_NORMALISE_NONE) {
        for (int i = start; i < end && in != out; i++) out[i] = in[i];
        return;
    }
    const trd_row_terms terms = trd_join_chunks(parts + 2 * (i64)r * n_chunks, n_chunks, width);
    const bool biased = rule.mode == TRD_NORMALISE_BIASED, here = biased && rule.bias_id >= start && rule.bias_id < end;
    const float chosen = here ? trd_biased(&rule, trd_log_p(&terms, in[rule.bias_id]), true) : 0.0f;
    const float others = biased ? trd_log(1.0f - rule.beta) : 0.0f;
    for (int i = start; i < end; i++) {
        const float log_p = trd_log_p(&terms, in[i]);
        out[i] = biased ? log_p + others : log_p;
    }
    if (here) out[rule.bias_id] = chosen;
}
