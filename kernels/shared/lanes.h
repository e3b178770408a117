/*
 * lanes.h: a row, LANES elements at a time. One source serves both forms: TILES has one work-item with float16, GROUPS has GROUP_SIZE work-items
 * with a float each. Work-item i begins at column i * LANES and goes on by STRIDE. Sums along a row run over 16, or GROUP_SIZE, virtual lanes
 * (column modulo that) and a fixed tree, so their bits depend on the row alone.
 */
#ifndef TRD_LANES_H
#define TRD_LANES_H

#include "shim.h"
#include "math.h"

#ifdef TRD_TILES
#define LANES 16
typedef float16 lanes;
#define LANES_MASK(x, mask) as_float16(as_int16(x) & (mask))
#define LANES_TANH trd_tanh16
#define LANES_SIN_COS trd_sin_cos16
#else
#define LANES 1
typedef float lanes;
#define LANES_MASK(x, mask) AS_FLOAT(AS_INT(x) & (mask))
#define LANES_TANH trd_tanh
#define LANES_SIN_COS trd_sin_cos
#endif
#define STRIDE (GROUP_SIZE * LANES)

#ifdef TRD_TILES
/* The first n of LANES elements, and fill for the others. */
static inline lanes lanes_load_or(GLOBAL const float *p, const int n, const float fill)
{
    if (n >= LANES) return vload16(0, p);
    float t[LANES];
    for (int i = 0; i < LANES; i++) t[i] = i < n ? p[i] : fill;
    return vload16(0, t);
}

static inline lanes lanes_load(GLOBAL const float *p, const int n)
{
    return lanes_load_or(p, n, 0.0f);
}

static inline void lanes_store(GLOBAL float *p, const lanes a, const int n)
{
    if (n >= LANES) {
        vstore16(a, 0, p);
        return;
    }
    float t[LANES];
    vstore16(a, 0, t);
    for (int i = 0; i < LANES; i++) {
        if (i < n) p[i] = t[i];
    }
}

static inline lanes lanes_load_half(GLOBAL const half *p, const int n)
{
    if (n >= LANES) return vload_half16(0, p);
    float t[LANES];
    for (int i = 0; i < LANES; i++) t[i] = i < n ? LOAD_HALF(p, i) : 0.0f;
    return vload16(0, t);
}

static inline void lanes_store_half(GLOBAL half *p, const lanes a, const int n)
{
    if (n >= LANES) {
        vstore_half16_rte(a, 0, p);
        return;
    }
    float t[LANES];
    vstore16(a, 0, t);
    for (int i = 0; i < LANES; i++) {
        if (i < n) STORE_HALF(p, i, t[i]);
    }
}

static inline lanes lanes_load_i8(GLOBAL const char *p, const int n)
{
    if (n >= LANES) return convert_float16(vload16(0, p));
    float t[LANES];
    for (int i = 0; i < LANES; i++) t[i] = i < n ? (float)p[i] : 0.0f;
    return vload16(0, t);
}

static inline void lanes_copy(GLOBAL uint *to, GLOBAL const uint *from, const int n)
{
    if (n >= LANES) vstore16(vload16(0, from), 0, to);
    else for (int i = 0; i < n; i++) to[i] = from[i];
}

/* lanes_sum(): by a fixed tree, (f0 + f2) + (f1 + f3) with f[i] = (a[i] + a[i + 8]) + (a[i + 4] + a[i + 12]); lanes_sum4() gives those of four.
 * TRD_ARRAY_SUMS: the same in arrays, for oclgrind 21, which takes parts of vectors for uninitialised, or crashes on them. */
#ifdef TRD_ARRAY_SUMS
static inline float lanes_sum(const lanes a)
{
    float t[16];
    vstore16(a, 0, t);
    for (int step = 8; step > 0; step /= 2) {
        for (int i = 0; i < step; i++) t[i] += t[i + step];
    }
    return t[0];
}

static inline float4 lanes_sum4(const lanes a, const lanes b, const lanes c, const lanes d)
{
    return (float4)(lanes_sum(a), lanes_sum(b), lanes_sum(c), lanes_sum(d));
}

static inline float lanes_largest(const lanes a)
{
    float t[16];
    vstore16(a, 0, t);
    for (int i = 1; i < 16; i++) t[0] = fmax(t[0], t[i]);
    return t[0];
}
#else
static inline float4 lanes_fold(const lanes a)
{
    const float8 b = a.lo + a.hi;
    return b.lo + b.hi;
}

static inline float lanes_sum(const lanes a)
{
    const float4 f = lanes_fold(a);
    return (f.x + f.z) + (f.y + f.w);
}

static inline float4 lanes_sum4(const lanes a, const lanes b, const lanes c, const lanes d)
{
    const float4 e = lanes_fold(a), f = lanes_fold(b), g = lanes_fold(c), h = lanes_fold(d);
    return ((float4)(e.x, f.x, g.x, h.x) + (float4)(e.z, f.z, g.z, h.z)) + ((float4)(e.y, f.y, g.y, h.y) + (float4)(e.w, f.w, g.w, h.w));
}

static inline float lanes_largest(const lanes a)
{
    const float8 b = fmax(a.lo, a.hi);
    const float4 c = fmax(b.lo, b.hi);
    return fmax(fmax(c.x, c.z), fmax(c.y, c.w));
}
#endif

/* Sum of the row of which every work-item has lanes. partial: GROUP_SIZE floats of local memory. */
static inline float row_sum(LOCAL_PTR(float) partial, const lanes a)
{
    (void)partial;
    return lanes_sum(a);
}
#else
static inline lanes lanes_load_or(GLOBAL const float *p, const int n, const float fill)
{
    return n > 0 ? *p : fill;
}

static inline lanes lanes_load(GLOBAL const float *p, const int n)
{
    return n > 0 ? *p : 0.0f;
}

static inline void lanes_store(GLOBAL float *p, const lanes a, const int n)
{
    if (n > 0) *p = a;
}

static inline lanes lanes_load_half(GLOBAL const half *p, const int n)
{
    return n > 0 ? LOAD_HALF(p, 0) : 0.0f;
}

static inline void lanes_store_half(GLOBAL half *p, const lanes a, const int n)
{
    if (n > 0) STORE_HALF(p, 0, a);
}

static inline lanes lanes_load_i8(GLOBAL const char *p, const int n)
{
    return n > 0 ? (float)*p : 0.0f;
}

static inline void lanes_copy(GLOBAL uint *to, GLOBAL const uint *from, const int n)
{
    if (n > 0) *to = *from;
}

static inline float row_sum(LOCAL_PTR(float) partial, const lanes a)
{
    const int t = LOCAL_ID;
    BARRIER();                       /* partial may still be read by those who are behind */
    partial[t] = a;
    for (int step = GROUP_SIZE / 2; step > 0; step /= 2) {
        BARRIER();
        if (t < step) partial[t] += partial[t + step];
    }
    BARRIER();
    return partial[0];
}
#endif

#endif
