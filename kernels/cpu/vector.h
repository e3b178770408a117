/*
 * vector.h: sixteen lanes of f32, whatever the registers are. Included only by kernels_<isa>.c, which set
 *   TRDI_SIMD_BYTES  16, 32 or 64: bytes of one register
 *   TRDI_SIMD_FMA    1: fused multiply-add; 0: multiply, then add (a class of bits of its own)
 * `lanes` is one register, `v16` is always 16 lanes: 4, 2 or 1 registers. Sums over a row go through 16 virtual lanes (index
 * mod 16) and the fixed tree of v16_sum(), so that every instruction set with fma gives the same bits.
 */
#ifndef TRDI_KERNELS_VECTOR_H
#define TRDI_KERNELS_VECTOR_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#define TRDI_INLINE static inline __attribute__((always_inline))
#define PARTS (64 / TRDI_SIMD_BYTES)
#define LANES (TRDI_SIMD_BYTES / 4)

/* Before a loop of a constant few rounds, which is to vanish. */
#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLLED _Pragma("GCC unroll 32")
#else
#define UNROLLED
#endif

typedef float lanes __attribute__((vector_size(TRDI_SIMD_BYTES)));
typedef int32_t ilanes __attribute__((vector_size(TRDI_SIMD_BYTES)));
/* The same, at any address. */
typedef float lanes_unaligned __attribute__((vector_size(TRDI_SIMD_BYTES), aligned(4), may_alias));
typedef float v4 __attribute__((vector_size(16)));
typedef float v4_unaligned __attribute__((vector_size(16), aligned(4), may_alias));

typedef struct v16 {
    lanes part[PARTS];
} v16;

TRDI_INLINE lanes lanes_set(float a)
{
#if TRDI_SIMD_BYTES == 64
    return (lanes){ a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a };
#elif TRDI_SIMD_BYTES == 32
    return (lanes){ a, a, a, a, a, a, a, a };
#else
    return (lanes){ a, a, a, a };
#endif
}

TRDI_INLINE ilanes ilanes_set(int32_t a)
{
    return a - (ilanes){ 0 };
}

TRDI_INLINE lanes lanes_load(const float *p)
{
    return (lanes)*(const lanes_unaligned *)(const void *)p;
}

TRDI_INLINE void lanes_store(float *p, lanes a)
{
    *(lanes_unaligned *)(void *)p = (lanes_unaligned)a;
}

/** a * b + c: rounded once with fma, twice without. */
TRDI_INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
#if TRDI_SIMD_FMA && TRDI_SIMD_BYTES == 64 && defined(__AVX512F__)
    return (lanes)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif TRDI_SIMD_FMA && TRDI_SIMD_BYTES == 32 && defined(__FMA__)
    return (lanes)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif TRDI_SIMD_FMA
    for (int i = 0; i < LANES; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
#else
    return a * b + c;
#endif
}

/** mask (all ones or zeros per lane) ? a : b. */
TRDI_INLINE lanes lanes_select(ilanes mask, lanes a, lanes b)
{
#if TRDI_SIMD_BYTES == 32 && defined(__AVX2__)
    return (lanes)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)mask);
#else
    return (lanes)((mask & (ilanes)a) | (~mask & (ilanes)b));
#endif
}

/** a > b ? a : b; b where either is NaN. */
TRDI_INLINE lanes lanes_max(lanes a, lanes b)
{
#if TRDI_SIMD_BYTES == 64 && defined(__AVX512F__)
    return (lanes)_mm512_max_ps((__m512)a, (__m512)b);
#elif TRDI_SIMD_BYTES == 32 && defined(__AVX2__)
    return (lanes)_mm256_max_ps((__m256)a, (__m256)b);
#elif TRDI_SIMD_BYTES == 16 && defined(__SSE2__)
    return (lanes)_mm_max_ps((__m128)a, (__m128)b);
#else
    return lanes_select(a > b, a, b);
#endif
}

TRDI_INLINE lanes lanes_min(lanes a, lanes b)
{
    return lanes_select(a < b, a, b);
}

TRDI_INLINE lanes lanes_abs(lanes a)
{
    return (lanes)((ilanes)a & ilanes_set(0x7fffffff));
}

/** |a| with the sign of b. */
TRDI_INLINE lanes lanes_copysign(lanes a, lanes b)
{
    const ilanes sign = ilanes_set(INT32_MIN);
    return (lanes)(((ilanes)a & ~sign) | ((ilanes)b & sign));
}

#define EACH_PART(i) for (int i = 0; i < PARTS; i++)

TRDI_INLINE v16 v16_set(float a)
{
    v16 r;
    EACH_PART(i) r.part[i] = lanes_set(a);
    return r;
}

TRDI_INLINE v16 v16_load(const float *p)
{
    v16 r;
    EACH_PART(i) r.part[i] = lanes_load(p + i * LANES);
    return r;
}

TRDI_INLINE void v16_store(float *p, v16 a)
{
    EACH_PART(i) lanes_store(p + i * LANES, a.part[i]);
}

/** The first n < 16 elements; `fill` in the other lanes. Reads nothing past them. */
static inline v16 v16_load_some(const float *p, int64_t n, float fill)
{
    float a[16];
    for (int i = 0; i < 16; i++) a[i] = i < n ? p[i] : fill;
    return v16_load(a);
}

static inline void v16_store_some(float *p, v16 a, int64_t n)
{
    float b[16];
    v16_store(b, a);
    for (int i = 0; i < 16; i++) {
        if (i < n) p[i] = b[i];
    }
}

TRDI_INLINE v16 v16_load_n(const float *p, int64_t n)
{
    return n >= 16 ? v16_load(p) : v16_load_some(p, n, 0.0f);
}

TRDI_INLINE void v16_store_n(float *p, v16 a, int64_t n)
{
    if (n >= 16) v16_store(p, a);
    else v16_store_some(p, a, n);
}

TRDI_INLINE v16 v16_add(v16 a, v16 b)
{
    EACH_PART(i) a.part[i] += b.part[i];
    return a;
}

TRDI_INLINE v16 v16_sub(v16 a, v16 b)
{
    EACH_PART(i) a.part[i] -= b.part[i];
    return a;
}

TRDI_INLINE v16 v16_mul(v16 a, v16 b)
{
    EACH_PART(i) a.part[i] *= b.part[i];
    return a;
}

TRDI_INLINE v16 v16_div(v16 a, v16 b)
{
    EACH_PART(i) a.part[i] /= b.part[i];
    return a;
}

TRDI_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    EACH_PART(i) c.part[i] = lanes_fma(a.part[i], b.part[i], c.part[i]);
    return c;
}

TRDI_INLINE v16 v16_max(v16 a, v16 b)
{
    EACH_PART(i) a.part[i] = lanes_max(a.part[i], b.part[i]);
    return a;
}

/** Lane i of the result: (l[i] + l[i + 8]) + (l[i + 4] + l[i + 12]), i < 4. */
TRDI_INLINE v4 v16_fold(v16 a)
{
#if TRDI_SIMD_BYTES == 16
    return (a.part[0] + a.part[2]) + (a.part[1] + a.part[3]);
#elif TRDI_SIMD_BYTES == 32 && defined(__AVX2__)
    const __m256 s = (__m256)(a.part[0] + a.part[1]);
    return (v4)(_mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
#else
    float t[16];
    v16_store(t, a);
    v4 q[4];
    for (int i = 0; i < 4; i++) q[i] = (v4)*(const v4_unaligned *)(const void *)(t + 4 * i);
    return (q[0] + q[2]) + (q[1] + q[3]);
#endif
}

/** The fixed tree: fold, then (f0 + f2) + (f1 + f3). */
TRDI_INLINE float v16_sum(v16 a)
{
    const v4 f = v16_fold(a);
    return (f[0] + f[2]) + (f[1] + f[3]);
}

/** Four sums at once, each by the same tree. */
TRDI_INLINE v4 v16_sum4(v16 a, v16 b, v16 c, v16 d)
{
    const v4 fa = v16_fold(a), fb = v16_fold(b), fc = v16_fold(c), fd = v16_fold(d);
#if defined(__SSE2__)
    const __m128 low_ab = _mm_unpacklo_ps((__m128)fa, (__m128)fb), low_cd = _mm_unpacklo_ps((__m128)fc, (__m128)fd);
    const __m128 high_ab = _mm_unpackhi_ps((__m128)fa, (__m128)fb), high_cd = _mm_unpackhi_ps((__m128)fc, (__m128)fd);
    const v4 f0 = (v4)_mm_movelh_ps(low_ab, low_cd), f1 = (v4)_mm_movehl_ps(low_cd, low_ab);
    const v4 f2 = (v4)_mm_movelh_ps(high_ab, high_cd), f3 = (v4)_mm_movehl_ps(high_cd, high_ab);
#else
    const v4 f0 = { fa[0], fb[0], fc[0], fd[0] }, f1 = { fa[1], fb[1], fc[1], fd[1] };
    const v4 f2 = { fa[2], fb[2], fc[2], fd[2] }, f3 = { fa[3], fb[3], fc[3], fd[3] };
#endif
    return (f0 + f2) + (f1 + f3);
}

/** Largest lane, of lanes that are no NaN. */
TRDI_INLINE float v16_largest(v16 a)
{
    lanes m = a.part[0];
    for (int i = 1; i < PARTS; i++) m = lanes_max(m, a.part[i]);
    float t[LANES];
    lanes_store(t, m);
    float pairs[LANES / 2];
    for (int i = 0; i < LANES / 2; i++) pairs[i] = t[i] > t[i + LANES / 2] ? t[i] : t[i + LANES / 2];
    for (int i = 1; i < LANES / 2; i++) pairs[0] = pairs[0] > pairs[i] ? pairs[0] : pairs[i];
    return pairs[0];
}

#endif
