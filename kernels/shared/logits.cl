/* What is done to logits before selection: edits and masks, log-softmax; for work-groups. */
#include "logits_edit.h"
#include "log_softmax.h"

/*
 * parts[r][c] = (largest, sum of e^(x - largest)) of chunk c of row r.
 * Shapes   x [n][stride], parts [n][n_chunks][2].
 * Launch   1-D, one group per row and chunk.    Local   4 * GROUP_SIZE bytes. */
KERNEL trd_softmax_parts(ARG(const float, x), ARG(const trd_row_norm, rules), ARG(float, parts), const int width, const int stride, const int n_chunks)
{
    LOCAL float partial[GROUP_SIZE];
    OPEN(const float, x);
    OPEN(const trd_row_norm, rules);
    OPEN(float, parts);
    const int r = GROUP_ID / n_chunks, chunk = GROUP_ID - r * n_chunks, t = LOCAL_ID;
    if (rules[r].mode == TRD_NORMALISE_NONE) return;
    const int start = chunk * TRD_SOFTMAX_CHUNK, n = min(width - start, TRD_SOFTMAX_CHUNK);
    GLOBAL const float *row = x + (i64)r * stride + start;
    float largest = -INFINITY, sum = 0.0f;
    for (int i = t; i < n; i += GROUP_SIZE) largest = fmax(row[i], largest);
    partial[t] = largest;
    for (int step = GROUP_SIZE / 2; step > 0; step /= 2) {
        BARRIER();
        if (t < step) partial[t] = fmax(partial[t + step], partial[t]);
    }
    BARRIER();
    largest = partial[0];
    BARRIER();
    for (int i = t; i < n && largest != -INFINITY; i += GROUP_SIZE) sum += trd_exp(row[i] - largest);
    partial[t] = sum;
    for (int step = GROUP_SIZE / 2; step > 0; step /= 2) {
        BARRIER();
        if (t < step) partial[t] += partial[t + step];
    }
    if (t != 0) return;
    parts[2 * (i64)GROUP_ID] = largest;
    parts[2 * (i64)GROUP_ID + 1] = partial[0];
}

/*
 * y[r][c] = x[r][c] - log sum e^x[r], biased where the rule says so; a copy where it says none.
 * Shapes   x, y [n][stride]; y may be x.
 * Launch   1-D, one group per row and chunk. */
KERNEL trd_softmax_apply(ARG(const float, x), ARG(float, y), ARG(const trd_row_norm, rules), ARG(const float, parts), const int width,
                         const int stride, const int n_chunks)
{
    OPEN(const float, x);
    OPEN(float, y);
    OPEN(const trd_row_norm, rules);
    OPEN(const float, parts);
    const int r = GROUP_ID / n_chunks, start = (GROUP_ID - r * n_chunks) * TRD_SOFTMAX_CHUNK, end = min(start + TRD_SOFTMAX_CHUNK, width);
    const trd_row_norm rule = rules[r];
    const i64 row = (i64)r * stride;
    if (rule.mode == TRD_NORMALISE_NONE) {
        if (x == y) return;
        for (int i = start + LOCAL_ID; i < end; i += GROUP_SIZE) y[row + i] = x[row + i];
        return;
    }
    const trd_row_terms terms = trd_join_chunks(parts + 2 * (i64)r * n_chunks, n_chunks, width);
    for (int i = start + LOCAL_ID; i < end; i += GROUP_SIZE) {
        const float log_p = trd_log_p(&terms, x[row + i]);
        y[row + i] = rule.mode == TRD_NORMALISE_BIASED ? trd_biased(&rule, log_p, i == rule.bias_id) : log_p;
    }
}
