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
#define LANES_TANH trd_tanh16
#define LANES_SIN_COS trd_sin_cos16
#else
#define LANES 1
typedef float lanes;
#define LANES_TANH trd_tanh
#define LANES_SIN_COS trd_sin_cos
#endif
#define STRIDE (GROUP_SIZE * LANES)

#ifdef TRD_TILES
/* The first n of LANES elements, and fill for the others. */
static inline lanes lanes_load(GLOBAL const float *p, const int n, const float fill)
{
    if (n >= LANES) return vload16(0, p);
    float t[LANES];
    for (int i = 0; i < LANES; i++) t[i] = i < n ? p[i] : fill;
    return vload16(0, t);
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
    for (int i = 0; i < LANES; i++) t[i] = i < n ? vload_half(i, p) : 0.0f;
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
        if (i < n) vstore_half_rte(t[i], i, p);
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

/* Sum of the row of which every work-item has lanes. partial: GROUP_SIZE floats of local memory. */
static inline float row_sum(LOCAL float *partial, const lanes a)
{
    (void)partial;
    const float8 b = a.lo + a.hi;
    const float4 c = b.lo + b.hi;
    return (c.x + c.z) + (c.y + c.w);
}
#else
static inline lanes lanes_load(GLOBAL const float *p, const int n, const float fill)
{
    return n > 0 ? *p : fill;
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

static inline float row_sum(LOCAL float *partial, const lanes a)
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
