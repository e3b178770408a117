/*
 * attention_kernels.h: the inner parts of attention over one chunk of keys; included by kernels_<isa>.c. The chunk is the
 * caller's; each part's bits depend on the query, the keys and their order alone.
 */
#ifndef TRDI_ATTENTION_KERNELS_H
#define TRDI_ATTENTION_KERNELS_H

#include <stddef.h>

#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/vector.h"
#include "kernels/cpu/vector_math.h"

/* Four dot products: 16 virtual lanes each, then the tree. The keys are at k0..k3. */
TRDI_INLINE v4 dots4(const float *q, const float *k0, const float *k1, const float *k2, const float *k3, int64_t dim)
{
    v16 a = v16_set(0.0f), b = a, c = a, d = a;
    int64_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        const v16 x = v16_load(q + i);
        a = v16_fma(x, v16_load(k0 + i), a);
        b = v16_fma(x, v16_load(k1 + i), b);
        c = v16_fma(x, v16_load(k2 + i), c);
        d = v16_fma(x, v16_load(k3 + i), d);
    }
    if (i < dim) {
        const v16 x = v16_load_some(q + i, dim - i, 0.0f);
        a = v16_fma(x, v16_load_some(k0 + i, dim - i, 0.0f), a);
        b = v16_fma(x, v16_load_some(k1 + i, dim - i, 0.0f), b);
        c = v16_fma(x, v16_load_some(k2 + i, dim - i, 0.0f), c);
        d = v16_fma(x, v16_load_some(k3 + i, dim - i, 0.0f), d);
    }
    return v16_sum4(a, b, c, d);
}

TRDI_INLINE void dots_of(const float *q, const float *k, int64_t stride, int64_t n, const int64_t dim, float *out)
{
    int64_t j = 0;
    for (; j + 4 <= n; j += 4, k += 4 * stride) {
        const v4 s = dots4(q, k, k + stride, k + 2 * stride, k + 3 * stride, dim);
        *(v4_unaligned *)(void *)(out + j) = (v4_unaligned)s;
    }
    if (j == n) return;
    const float *k1 = j + 1 < n ? k + stride : k, *k2 = j + 2 < n ? k + 2 * stride : k;
    const v4 s = dots4(q, k, k1, k2, k, dim);
    for (int64_t i = 0; j + i < n; i++) out[j + i] = s[i];
}

static void dots(const float *q, const float *k, int64_t stride, int64_t n, int64_t dim, float *out)
{
    if (dim == 64) dots_of(q, k, stride, n, 64, out);
    else dots_of(q, k, stride, n, dim, out);
}

/* How the weighted values of a chunk are joined to those before: acc = acc * old + part * new. */
typedef struct joint {
    const float *p, *v, *v2;
    int64_t stride, stride2, n;
    float   old, new;
} joint;

TRDI_INLINE lanes joined(const joint *at, const float *acc, lanes part)
{
    return lanes_fma(part, lanes_set(at->new), lanes_load(acc) * lanes_set(at->old));
}

/* Columns at..at+63, in registers. */
static void weigh64(const joint *at, int64_t column, float *acc)
{
    enum { N = 4 * PARTS };
    lanes part[N];
    const float *v = at->v + column;
    UNROLLED
    for (int i = 0; i < N; i++) part[i] = lanes_set(0.0f);
    for (int64_t j = 0; j < at->n; j++, v += at->stride) {
        const lanes w = lanes_set(at->p[j]);
        UNROLLED
        for (int i = 0; i < N; i++) part[i] = lanes_fma(w, lanes_load(v + i * LANES), part[i]);
    }
    v = at->v2 != NULL ? at->v2 + column : NULL;
    for (int64_t j = 0; v != NULL && j < at->n; j++, v += at->stride2) {
        const lanes w = lanes_set(at->p[j]);
        UNROLLED
        for (int i = 0; i < N; i++) part[i] = lanes_fma(w, lanes_load(v + i * LANES), part[i]);
    }
    UNROLLED
    for (int i = 0; i < N; i++) lanes_store(acc + column + i * LANES, joined(at, acc + column + i * LANES, part[i]));
}

/* Up to 16 columns. */
static void weigh16(const joint *at, int64_t column, int64_t n_columns, float *acc)
{
    v16 part = v16_set(0.0f);
    for (int64_t j = 0; j < at->n; j++) {
        part = v16_fma(v16_set(at->p[j]), v16_load_n(at->v + j * at->stride + column, n_columns), part);
    }
    for (int64_t j = 0; at->v2 != NULL && j < at->n; j++) {
        part = v16_fma(v16_set(at->p[j]), v16_load_n(at->v2 + j * at->stride2 + column, n_columns), part);
    }
    const v16 kept = v16_mul(v16_load_n(acc + column, n_columns), v16_set(at->old));
    v16_store_n(acc + column, v16_fma(part, v16_set(at->new), kept), n_columns);
}

static void attend(float *scores, const float *v, const float *v2, int64_t stride, int64_t stride2, int64_t n, int64_t dim,
                   float *state, float *acc)
{
    const float m = largest(scores, n);
    if (m == -__builtin_inff()) return;         /* nothing to be seen */
    const float l = exp_sum(scores, n, m);
    joint at = { .p = scores, .v = v, .v2 = v2, .stride = stride, .stride2 = stride2, .n = n, .old = 1.0f, .new = 1.0f };
    if (m > state[0]) {
        at.old = one_exp(state[0] - m);
        state[0] = m;
    } else {
        at.new = one_exp(m - state[0]);
    }
    state[1] = state[1] * at.old + l * at.new;
    int64_t column = 0;
    for (; column + 64 <= dim; column += 64) weigh64(&at, column, acc);
    for (; column < dim; column += 16) weigh16(&at, column, dim - column < 16 ? dim - column : 16, acc);
}

static void finish(const float *acc, float *y, int64_t dim, float l)
{
    const v16 divisor = v16_set(l == 0.0f ? 1.0f : l);
    for (int64_t i = 0; i < dim; i += 16) v16_store_n(y + i, v16_div(v16_load_n(acc + i, dim - i), divisor), dim - i);
}

#endif
