/*
 * attention_kernels.h: the inner parts of attention over one chunk of keys; included by kernels_<isa>.c. The chunk is the
 * caller's; each part's bits depend on the query, the keys and their order alone.
 */
#ifndef TRDI_ATTENTION_KERNELS_H
#define TRDI_ATTENTION_KERNELS_H

#include <stddef.h>

#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/vector.h"
#include "kernels/cpu/vector_math.h"

/* Four dot products: 16 virtual lanes each, then the tree. */
TRDI_INLINE v4 dots4(const float *q, const float *const keys[4], int64_t dim)
{
    v16 a = v16_set(0.0f), b = a, c = a, d = a;
    int64_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        const v16 x = v16_load(q + i);
        a = v16_fma(x, v16_load(keys[0] + i), a);
        b = v16_fma(x, v16_load(keys[1] + i), b);
        c = v16_fma(x, v16_load(keys[2] + i), c);
        d = v16_fma(x, v16_load(keys[3] + i), d);
    }
    if (i < dim) {
        const v16 x = v16_load_some(q + i, dim - i, 0.0f);
        a = v16_fma(x, v16_load_some(keys[0] + i, dim - i, 0.0f), a);
        b = v16_fma(x, v16_load_some(keys[1] + i, dim - i, 0.0f), b);
        c = v16_fma(x, v16_load_some(keys[2] + i, dim - i, 0.0f), c);
        d = v16_fma(x, v16_load_some(keys[3] + i, dim - i, 0.0f), d);
    }
    return v16_sum4(a, b, c, d);
}

static void dots(const float *q, const float *const *keys, int64_t n, int64_t dim, float *out)
{
    int64_t j = 0;
    for (; j + 4 <= n; j += 4) {
        const v4 s = dots4(q, keys + j, dim);
        *(v4_unaligned *)(void *)(out + j) = (v4_unaligned)s;
    }
    if (j == n) return;
    const float *rest[4];
    for (int64_t i = 0; i < 4; i++) rest[i] = keys[j + i < n ? j + i : n - 1];
    const v4 s = dots4(q, rest, dim);
    for (int64_t i = 0; j + i < n; i++) out[j + i] = s[i];
}

/* Columns at..at+63 of the weighted sum, in registers. */
TRDI_INLINE void weigh64(const float *p, const float *const *values, int64_t n, int64_t at, float *acc, bool accumulate)
{
    const v16 zero = v16_set(0.0f);
    v16 a = accumulate ? v16_load(acc + at) : zero, b = accumulate ? v16_load(acc + at + 16) : zero;
    v16 c = accumulate ? v16_load(acc + at + 32) : zero, d = accumulate ? v16_load(acc + at + 48) : zero;
    for (int64_t j = 0; j < n; j++) {
        const v16 w = v16_set(p[j]);
        const float *v = values[j] + at;
        a = v16_fma(w, v16_load(v), a);
        b = v16_fma(w, v16_load(v + 16), b);
        c = v16_fma(w, v16_load(v + 32), c);
        d = v16_fma(w, v16_load(v + 48), d);
    }
    v16_store(acc + at, a);
    v16_store(acc + at + 16, b);
    v16_store(acc + at + 32, c);
    v16_store(acc + at + 48, d);
}

static void weigh(const float *p, const float *const *values, int64_t n, int64_t dim, float *acc, bool accumulate)
{
    int64_t at = 0;
    for (; at + 64 <= dim; at += 64) weigh64(p, values, n, at, acc, accumulate);
    for (; at < dim; at += 16) {
        v16 a = accumulate ? v16_load_n(acc + at, dim - at) : v16_set(0.0f);
        for (int64_t j = 0; j < n; j++) a = v16_fma(v16_set(p[j]), v16_load_n(values[j] + at, dim - at), a);
        v16_store_n(acc + at, a, dim - at);
    }
}

static void merge(float *state, float *acc, const float *part, int64_t dim, float m, float l)
{
    if (m == -__builtin_inff()) return;         /* nothing visible in the chunk */
    const float top = state[0] > m ? state[0] : m;
    const float old = one_exp(state[0] - top), new = one_exp(m - top);
    state[0] = top;
    state[1] = state[1] * old + l * new;
    const v16 a = v16_set(old), b = v16_set(new);
    for (int64_t i = 0; i < dim; i += 16) {
        const v16 kept = v16_mul(v16_load_n(acc + i, dim - i), a);
        v16_store_n(acc + i, v16_fma(v16_load_n(part + i, dim - i), b, kept), dim - i);
    }
}

static void finish(const float *acc, float *y, int64_t dim, float l)
{
    const v16 divisor = v16_set(l == 0.0f ? 1.0f : l);
    for (int64_t i = 0; i < dim; i += 16) v16_store_n(y + i, v16_div(v16_load_n(acc + i, dim - i), divisor), dim - i);
}

#endif
