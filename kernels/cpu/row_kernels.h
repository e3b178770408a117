/*
 * row_kernels.h: kernels that work on one row at a time: norms, element-wise functions, softmax; included by kernels_<isa>.c.
 */
#ifndef TRDI_ROW_KERNELS_H
#define TRDI_ROW_KERNELS_H

#include <math.h>
#include <stddef.h>

#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/vector.h"
#include "kernels/cpu/vector_math.h"

/* Sum of x, of (x - shift)^2: 16 virtual lanes, then the tree. */
static float row_sum(const float *x, int64_t n)
{
    v16 s = v16_set(0.0f);
    for (int64_t i = 0; i < n; i += 16) s = v16_add(s, v16_load_n(x + i, n - i));
    return v16_sum(s);
}

static float row_square_sum(const float *x, int64_t n, float shift)
{
    v16 s = v16_set(0.0f);
    const v16 c = v16_set(shift);
    for (int64_t i = 0; i < n; i += 16) {
        const v16 d = v16_sub(n - i >= 16 ? v16_load(x + i) : v16_load_some(x + i, n - i, shift), c);
        s = v16_fma(d, d, s);
    }
    return v16_sum(s);
}

static void norm(const trdi_norm_job *job, const float *x, float *y, const float *residual)
{
    const int64_t n = job->width;
    const float mean = job->beta != NULL ? row_sum(x, n) / (float)n : 0.0f;
    const float variance = row_square_sum(x, n, mean) / (float)n;
    const v16 shift = v16_set(mean), inverse = v16_set(1.0f / sqrtf(variance + job->epsilon));
    const v16 one = v16_set(1.0f), scale = v16_set(job->scale);
    for (int64_t i = 0; i < n; i += 16) {
        v16 gain = v16_load_n(job->gamma + i, n - i);
        if (job->gain_plus_one) gain = v16_add(gain, one);
        v16 v = v16_mul(v16_mul(v16_sub(v16_load_n(x + i, n - i), shift), inverse), gain);
        if (job->beta != NULL) v = v16_add(v, v16_load_n(job->beta + i, n - i));
        if (residual != NULL) v = v16_add(v, v16_load_n(residual + i, n - i));
        v16_store_n(y + i, v16_mul(v, scale), n - i);
    }
}

static void embed(const float *row, float *y, int64_t width, float factor, bool accumulate)
{
    const v16 f = v16_set(factor);
    for (int64_t i = 0; i < width; i += 16) {
        v16 v = row != NULL ? v16_mul(v16_load_n(row + i, width - i), f) : v16_set(0.0f);
        if (accumulate) v = v16_add(v, v16_load_n(y + i, width - i));
        v16_store_n(y + i, v, width - i);
    }
}

static void scale(const float *x, float *y, int64_t width, float factor)
{
    const v16 f = v16_set(factor);
    for (int64_t i = 0; i < width; i += 16) v16_store_n(y + i, v16_mul(v16_load_n(x + i, width - i), f), width - i);
}

static void softcap(const float *x, float *y, int64_t width, float cap)
{
    const v16 c = v16_set(cap);
    for (int64_t i = 0; i < width; i += 16) {
        v16 v = v16_div(v16_load_n(x + i, width - i), c);
        v16_tanh(&v);
        v16_store_n(y + i, v16_mul(v, c), width - i);
    }
}

static void add(const float *x, const float *z, float *y, int64_t width, float factor)
{
    const v16 f = v16_set(factor);
    for (int64_t i = 0; i < width; i += 16) {
        const v16 v = v16_add(v16_load_n(x + i, width - i), v16_load_n(z + i, width - i));
        v16_store_n(y + i, v16_mul(v, f), width - i);
    }
}

static void rotate(float *x, const float *cosines, const float *sines, int64_t pairs, bool interleave)
{
    const int64_t step = interleave ? 2 : 1, other = interleave ? 1 : pairs;
    for (int64_t i = 0; i < pairs; i++) {
        const float a = x[i * step], b = x[i * step + other];
        x[i * step] = a * cosines[i] - b * sines[i];
        x[i * step + other] = b * cosines[i] + a * sines[i];
    }
}

static float largest(const float *x, int64_t n)
{
    const float none = -__builtin_inff();
    v16 m = v16_set(none), m2 = m;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        m = v16_max(v16_load(x + i), m);
        m2 = v16_max(v16_load(x + i + 16), m2);
    }
    for (; i < n; i += 16) m = v16_max(n - i >= 16 ? v16_load(x + i) : v16_load_some(x + i, n - i, none), m);
    return v16_largest(v16_max(m, m2));
}

static float exp_sum(float *x, int64_t n, float shift)
{
    const v16 s = v16_set(shift);
    v16 sum = v16_set(0.0f);
    for (int64_t i = 0; i < n; i += 16) {
        v16 v = v16_sub(n - i >= 16 ? v16_load(x + i) : v16_load_some(x + i, n - i, -__builtin_inff()), s);
        EACH_PART(k) v.part[k] = lanes_exp(v.part[k]);
        sum = v16_add(sum, v);
        v16_store_n(x + i, v, n - i);
    }
    return v16_sum(sum);
}

/* As exp_sum(), without storing. */
static float exp_sum_only(const float *x, int64_t n, float shift)
{
    const v16 s = v16_set(shift);
    v16 sum = v16_set(0.0f);
    for (int64_t i = 0; i < n; i += 16) {
        v16 v = v16_sub(n - i >= 16 ? v16_load(x + i) : v16_load_some(x + i, n - i, -__builtin_inff()), s);
        EACH_PART(k) v.part[k] = lanes_exp(v.part[k]);
        sum = v16_add(sum, v);
    }
    return v16_sum(sum);
}

static void log_softmax(const float *x, float *y, int64_t width, const trdi_row_rule *rule)
{
    const float m = largest(x, width);
    if (m == -__builtin_inff()) {               /* nothing is allowed: uniform */
        const v16 each = v16_set(-one_log((float)width));
        for (int64_t i = 0; i < width; i += 16) v16_store_n(y + i, each, width - i);
    } else {
        const v16 shift = v16_set(m), total = v16_set(one_log(exp_sum_only(x, width, m)));
        for (int64_t i = 0; i < width; i += 16) {
            v16_store_n(y + i, v16_sub(v16_sub(v16_load_n(x + i, width - i), shift), total), width - i);
        }
    }
    if (rule->mode != 2) return;
    const float chosen = rule->bias_id >= 0 && rule->bias_id < width ? y[rule->bias_id] : 0.0f;
    const v16 others = v16_set(one_log(1.0f - rule->beta));
    for (int64_t i = 0; i < width; i += 16) v16_store_n(y + i, v16_add(v16_load_n(y + i, width - i), others), width - i);
    if (rule->bias_id >= 0 && rule->bias_id < width) {
        y[rule->bias_id] = one_log((1.0f - rule->beta) * one_exp(chosen) + rule->beta);
    }
}

/* Lanes where x + add > threshold, or where threshold is NaN and x + add is not. */
TRDI_INLINE ilanes lanes_above(lanes x, lanes extra, lanes threshold)
{
    const lanes v = x + extra;
    return (v > threshold) | ((threshold != threshold) & (v == v));
}

static bool v16_any_above(const float *x, lanes extra, lanes threshold)
{
    ilanes any = { 0 };
    EACH_PART(i) any |= lanes_above(lanes_load(x + i * LANES), extra, threshold);
    int32_t joined = 0;
    for (int i = 0; i < LANES; i++) joined |= any[i];
    return joined != 0;
}

static int64_t find_above(const float *x, int64_t start, int64_t n, float extra, float threshold)
{
    const lanes e = lanes_set(extra), t = lanes_set(threshold);
    int64_t i = start;
    while (i + 16 <= n && !v16_any_above(x + i, e, t)) i += 16;
    for (; i < n; i++) {
        const float v = x[i] + extra;
        if (v > threshold || (threshold != threshold && v == v)) return i;
    }
    return n;
}

static void apply(int32_t function, const float *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        v16 v = v16_load_n(x + i, n - i);
        switch (function) {
        case 0: v16_exp(&v); break;
        case 1: v16_log(&v); break;
        case 2: v16_tanh(&v); break;
        case 3: v16_erf(&v); break;
        default: v16_activate(&v, function - 4); break;
        }
        v16_store_n(y + i, v, n - i);
    }
}

#endif
