/* y[r][o] = act(sum_k x[r][k] W[o][k] + bias[o]) * multiplier[r][o] + residual[r][o]: products on CPU-type devices.
 * Weights   panels of 16 outputs, [panel][k][16], of float, half (TRD_WEIGHT_F16) or char (TRD_WEIGHT_I8).
 * Shapes    x [n][k], y, multiplier, residual [n][out], each with its stride; any n, k, out >= 1; y may be multiplier or residual.
 * Launch    groups of one work-item. trd_linear_few: n <= TILE_ROWS; one work-item per few_panels(n) panels. trd_linear_many: 2-D, blocks
 *           of at most BLOCK_ROWS rows x panels, so that a block of weights in L1 serves many rows, and a panel in L2 all of them.
 * Numerics  a sum is one chain of fma in the order of k, whatever the tile: the bits of a row depend on that row alone. With I8 weights
 *           x is integers as floats (trd_linear_quantise); sums of 1024 products are exact in f32, and are added in i32.
 * Options   |-DTRD_WEIGHT_F16=1|-DTRD_WEIGHT_I8=1 */
#include "shim.h"
#include "math.h"

/* What fits in the registers: rows of a tile of one panel. */
#if TRD_VECTOR_FLOATS >= 16
#define TILE_ROWS 12
#elif TRD_VECTOR_FLOATS >= 8
#define TILE_ROWS 6
#else
#define TILE_ROWS 2
#endif
#ifndef BLOCK_ROWS
#define BLOCK_ROWS 60             /* a multiple of every TILE_ROWS */
#endif
#ifndef K_BLOCK
#define K_BLOCK 256               /* 16 KiB of weights as floats: half of a small L1; at most 1024 */
#endif

#if defined(TRD_WEIGHT_F16)
typedef half weight_type;
#define WEIGHT(p, k) vload_half16(k, p)
#define K_STRAIGHT k
#elif defined(TRD_WEIGHT_I8)
typedef char weight_type;
#define WEIGHT(p, k) convert_float16(vload16(k, p))
#define K_STRAIGHT 1024
#else
typedef float weight_type;
#define WEIGHT(p, k) (*(GLOBAL const float16 *)((p) + (i64)(k) * 16))
#define K_STRAIGHT k
#endif

/* The line of memory at p is wanted soon. OpenCL's own prefetch() does nothing on PoCL, whose compiler has a word for it. */
#define FETCH_SOON(p)
#if defined(__x86_64__) && defined(__has_builtin)
#if __has_builtin(__builtin_prefetch)
#undef FETCH_SOON
#define FETCH_SOON(p) __builtin_prefetch((const void *)(size_t)(p), 0, 2)
#endif
#endif

/* Sums of a tile rest in memory between blocks of k: floats, or the bits of integers. */
#ifdef TRD_WEIGHT_I8
#define SUM_LOAD(i) (float16)(0.0f)
#define SUM_STORE(i, s) sums[i] = as_float16((first ? (int16)(0) : as_int16(sums[i])) + convert_int16(s))
#else
#define SUM_LOAD(i) first ? (float16)(0.0f) : sums[i]
#define SUM_STORE(i, s) sums[i] = s
#endif

#define REPEAT_1(X) X(0)
#define REPEAT_2(X) REPEAT_1(X) X(1)
#define REPEAT_3(X) REPEAT_2(X) X(2)
#define REPEAT_4(X) REPEAT_3(X) X(3)
#define REPEAT_5(X) REPEAT_4(X) X(4)
#define REPEAT_6(X) REPEAT_5(X) X(5)
#define REPEAT_7(X) REPEAT_6(X) X(6)
#define REPEAT_8(X) REPEAT_7(X) X(7)
#define REPEAT_9(X) REPEAT_8(X) X(8)
#define REPEAT_10(X) REPEAT_9(X) X(9)
#define REPEAT_11(X) REPEAT_10(X) X(10)
#define REPEAT_12(X) REPEAT_11(X) X(11)

/* Sums and weights are named variables, not arrays: every compiler keeps those in registers. */
#define X_ROW(r) GLOBAL const float *const x##r = x + (i64)(r) * stride;
#define LOAD_1(r) float16 s##r##_0 = SUM_LOAD(r);
#define LOAD_2(r) float16 s##r##_0 = SUM_LOAD(2 * (r)), s##r##_1 = SUM_LOAD(2 * (r) + 1);
#define LOAD_4(r) float16 s##r##_0 = SUM_LOAD(4 * (r)), s##r##_1 = SUM_LOAD(4 * (r) + 1), s##r##_2 = SUM_LOAD(4 * (r) + 2), s##r##_3 = SUM_LOAD(4 * (r) + 3);
#define STEP_1(r) s##r##_0 = FMA((float16)(x##r[k]), w0, s##r##_0);
#define STEP_2(r) { const float16 a = (float16)(x##r[k]); s##r##_0 = FMA(a, w0, s##r##_0); s##r##_1 = FMA(a, w1, s##r##_1); }
#define STEP_4(r) { const float16 a = (float16)(x##r[k]); s##r##_0 = FMA(a, w0, s##r##_0); s##r##_1 = FMA(a, w1, s##r##_1); \
                    s##r##_2 = FMA(a, w2, s##r##_2); s##r##_3 = FMA(a, w3, s##r##_3); }
#define STORE_1(r) SUM_STORE(r, s##r##_0);
#define STORE_2(r) SUM_STORE(2 * (r), s##r##_0); SUM_STORE(2 * (r) + 1, s##r##_1);
#define STORE_4(r) SUM_STORE(4 * (r), s##r##_0); SUM_STORE(4 * (r) + 1, s##r##_1); SUM_STORE(4 * (r) + 2, s##r##_2); SUM_STORE(4 * (r) + 3, s##r##_3);
#define WEIGHTS_1 FETCH_SOON(p0 + (i64)(k + K_BLOCK) * 16); const float16 w0 = WEIGHT(p0, k);
#define WEIGHTS_2 const float16 w0 = WEIGHT(p0, k); const float16 w1 = WEIGHT(p1, k);
#define WEIGHTS_4 WEIGHTS_2 const float16 w2 = WEIGHT(p2, k); const float16 w3 = WEIGHT(p3, k);

/* Rows of x times few panels over k0..k1-1; sums [row][panel]. Panels may be the same. */
#define FEW(R, P)                                                                                                                 \
    static inline void few_##R##_##P(GLOBAL const float *const x, const i64 stride, GLOBAL const weight_type *const p0,           \
                                     GLOBAL const weight_type *const p1, GLOBAL const weight_type *const p2,                      \
                                     GLOBAL const weight_type *const p3, const int k0, const int k1, float16 *const sums)         \
    {                                                                                                                             \
        const int first = k0 == 0;                                                                                                \
        REPEAT_##R(X_ROW)                                                                                                         \
        REPEAT_##R(LOAD_##P)                                                                                                      \
        for (int k = k0; k < k1; k++) {                                                                                           \
            WEIGHTS_##P                                                                                                           \
            REPEAT_##R(STEP_##P)                                                                                                  \
        }                                                                                                                         \
        REPEAT_##R(STORE_##P)                                                                                                     \
    }

/* The same for one panel, whose block of count weights lies in L1 as floats. */
#if defined(TRD_WEIGHT_F16) || defined(TRD_WEIGHT_I8)
#define BLOCK_SPACE __private
#define BLOCK_SOON(p)
#else
#define BLOCK_SPACE GLOBAL
#define BLOCK_SOON(p) FETCH_SOON(p)
#endif
#define TILE(R)                                                                                                                   \
    static inline void tile_##R(GLOBAL const float *const x, const i64 stride, BLOCK_SPACE const float16 *const block,            \
                                const int first, const int count, float16 *const sums)                                            \
    {                                                                                                                             \
        REPEAT_##R(X_ROW)                                                                                                         \
        REPEAT_##R(LOAD_1)                                                                                                        \
        for (int k = 0; k < count; k++) {                                                                                         \
            BLOCK_SOON(block + k + K_BLOCK);                                                                                      \
            const float16 w0 = block[k];                                                                                          \
            REPEAT_##R(STEP_1)                                                                                                    \
        }                                                                                                                         \
        REPEAT_##R(STORE_1)                                                                                                       \
    }

#define CALL_FEW(R, P) case R: few_##R##_##P(x, stride, p0, p1, p2, p3, k0, k1, sums); break;
#define CALL_TILE(R) case R: tile_##R(x, stride, block, first, count, sums); break;

TILE(1) TILE(2)
#if TILE_ROWS == 2
FEW(1, 2) FEW(2, 1)
#define FEW_CASES CALL_FEW(1, 2) CALL_FEW(2, 1)
#define TILE_CASES CALL_TILE(1) CALL_TILE(2)
#define FEW_SUMS 2
#else
TILE(3) TILE(4) TILE(5) TILE(6)
#if TILE_ROWS == 6
FEW(1, 4) FEW(2, 2) FEW(3, 1) FEW(4, 1) FEW(5, 1) FEW(6, 1)
#define FEW_CASES CALL_FEW(1, 4) CALL_FEW(2, 2) CALL_FEW(3, 1) CALL_FEW(4, 1) CALL_FEW(5, 1) CALL_FEW(6, 1)
#define TILE_CASES CALL_TILE(1) CALL_TILE(2) CALL_TILE(3) CALL_TILE(4) CALL_TILE(5) CALL_TILE(6)
#define FEW_SUMS 6
#else
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
FEW(1, 4) FEW(2, 4) FEW(3, 4) FEW(4, 4) FEW(5, 4) FEW(6, 4) FEW(7, 2) FEW(8, 2) FEW(9, 2) FEW(10, 2) FEW(11, 2) FEW(12, 2)
#define FEW_CASES CALL_FEW(1, 4) CALL_FEW(2, 4) CALL_FEW(3, 4) CALL_FEW(4, 4) CALL_FEW(5, 4) CALL_FEW(6, 4) \
    CALL_FEW(7, 2) CALL_FEW(8, 2) CALL_FEW(9, 2) CALL_FEW(10, 2) CALL_FEW(11, 2) CALL_FEW(12, 2)
#define TILE_CASES CALL_TILE(1) CALL_TILE(2) CALL_TILE(3) CALL_TILE(4) CALL_TILE(5) CALL_TILE(6) \
    CALL_TILE(7) CALL_TILE(8) CALL_TILE(9) CALL_TILE(10) CALL_TILE(11) CALL_TILE(12)
#define FEW_SUMS 24
#endif
#endif

/* 16 floats, of which only n are there. */
static inline float16 load_n(GLOBAL const float *const p, const int n)
{
    if (n >= 16) return vload16(0, p);
    float all[16];
    for (int i = 0; i < 16; i++) all[i] = i < n ? p[i] : 0.0f;
    return vload16(0, all);
}

static inline void store_n(GLOBAL float *const p, const float16 v, const int n)
{
    if (n >= 16) {
        vstore16(v, 0, p);
        return;
    }
    float all[16];
    vstore16(v, 0, all);
    for (int i = 0; i < n; i++) p[i] = all[i];
}

/* What all kernels take. scales and inverse are those of I8: value of a weight = integer / scale, of an activation = integer * inverse. */
#define LINEAR_ARGS                                                                                                               \
    ARG(float, y), ARG(const float, x), ARG(const weight_type, weight), ARG(const float, scales), ARG(const float, bias),         \
        ARG(const float, multiplier), ARG(const float, residual), const int y_stride, const int x_stride,                         \
        const int multiplier_stride, const int residual_stride, const int k, const int out, const int activation, const int n
#define LINEAR_OPEN                                                                                                               \
    OPEN(float, y);                                                                                                               \
    OPEN(const weight_type, weight);                                                                                              \
    OPEN(const float, bias);                                                                                                      \
    OPEN(const float, multiplier);                                                                                                \
    OPEN(const float, residual);

/* With I8 x is scratch: n inverse scales, then, on a line of their own, rows of integers. */
#ifdef TRD_WEIGHT_I8
#define OPEN_X                                                                                                                    \
    OPEN(const float, scales);                                                                                                    \
    GLOBAL const float *const inverse = (GLOBAL const float *)x_base;                                                             \
    GLOBAL const float *const rows = inverse + (n + 15) / 16 * 16;
#define SCALED(sum, r, at) convert_float16(as_int16(sum)) * inverse[r] / vload16(0, scales + (at))
#else
#define OPEN_X OPEN(const float, x); GLOBAL const float *const rows = x;
#define SCALED(sum, r, at) sum
#endif

/* Bias, activation, multiplier, residual, store: 16 outputs from panel * 16 on of row r. */
#define FINISH(sum, r, panel)                                                                                                     \
    {                                                                                                                             \
        const int at = (panel) * 16, left = out - at;                                                                             \
        float16 v = SCALED(sum, r, at);                                                                                           \
        if (bias) v += vload16(0, bias + at);                                                                                     \
        if (activation >= 0) v = trd_activate16(v, activation);                                                                   \
        if (multiplier) v *= load_n(multiplier + (i64)(r) * multiplier_stride + at, left);                                        \
        if (residual) v += load_n(residual + (i64)(r) * residual_stride + at, left);                                              \
        store_n(y + (i64)(r) * y_stride + at, v, left);                                                                           \
    }

/* Panels of a work-item of trd_linear_few; the host knows the same numbers (cl_linear.c). */
static inline int few_panels(const int n)
{
#if TILE_ROWS == 2
    return n == 1 ? 2 : 1;
#elif TILE_ROWS == 6
    return n == 1 ? 4 : n == 2 ? 2 : 1;
#else
    return n <= 6 ? 4 : 2;
#endif
}

KERNEL trd_linear_few(LINEAR_ARGS)
{
    LINEAR_OPEN
    OPEN_X
    const int n_panels = (out + 15) / 16, wide = few_panels(n), panel = GROUP_ID * wide;
    if (n > TILE_ROWS || panel >= n_panels) return;
    /* Panels past the last are the last again; their sums are not used. */
    const i64 step = (i64)k * 16;
    GLOBAL const weight_type *const p0 = weight + panel * step;
    GLOBAL const weight_type *const p1 = weight + min(panel + 1, n_panels - 1) * step;
    GLOBAL const weight_type *const p2 = weight + min(panel + 2, n_panels - 1) * step;
    GLOBAL const weight_type *const p3 = weight + min(panel + 3, n_panels - 1) * step;
    float16 sums[FEW_SUMS];
    for (int k0 = 0; k0 < k; k0 += K_STRAIGHT) {
        const int k1 = min(k - k0, K_STRAIGHT) + k0;
        GLOBAL const float *const x = rows;
        const i64 stride = x_stride;
        switch (n) {
            FEW_CASES
        }
    }
    const int n_sums = n * wide;
    for (int i = 0; i < n_sums; i++) {
        const int r = i / wide, p = panel + i % wide;
        if (p < n_panels) FINISH(sums[i], r, p)
    }
}

/* @param block_rows  rows of a block, at most BLOCK_ROWS; dimension 0 of the launch are blocks, 1 panels */
KERNEL trd_linear_many(LINEAR_ARGS, const int block_rows)
{
    LINEAR_OPEN
    OPEN_X
    const int row0 = GROUP_ID * block_rows, panel = (int)get_group_id(1);
    const int n_rows = min(n - row0, block_rows), n_tiles = (n_rows + TILE_ROWS - 1) / TILE_ROWS;
    if (n_rows <= 0 || panel * 16 >= out) return;
    GLOBAL const weight_type *const weights = weight + (i64)panel * k * 16;
    float16 all[BLOCK_ROWS];
#if defined(TRD_WEIGHT_F16) || defined(TRD_WEIGHT_I8)
    float16 block[K_BLOCK];
#endif
    for (int k0 = 0; k0 < k; k0 += K_BLOCK) {
        const int count = min(k - k0, K_BLOCK), first = k0 == 0;
#if defined(TRD_WEIGHT_F16) || defined(TRD_WEIGHT_I8)
        for (int i = 0; i < count; i++) block[i] = WEIGHT(weights, k0 + i);
#else
        GLOBAL const float16 *const block = (GLOBAL const float16 *)(weights + (i64)k0 * 16);
#endif
        for (int t = 0; t < n_tiles; t++) {
            /* Tiles of nearly equal height. */
            const int start = n_rows * t / n_tiles, height = n_rows * (t + 1) / n_tiles - start;
            GLOBAL const float *const x = rows + (i64)(row0 + start) * x_stride + k0;
            const i64 stride = x_stride;
            float16 *const sums = all + start;
            switch (height) {
                TILE_CASES
            }
        }
    }
    for (int i = 0; i < n_rows; i++) FINISH(all[i], row0 + i, panel)
}

#ifdef TRD_WEIGHT_I8
/* q[r][k] = round(x[r][k] * a) as floats, a = 127 / max_k |x[r][k]| or 1, and inverse[r] = 1 / a. One work-item per row. */
KERNEL trd_linear_quantise(ARG(const float, x), GLOBAL float *const inverse, const int x_stride, const int k, const int truncated, const int n)
{
    OPEN(const float, x);
    const int r = GROUP_ID;
    if (r >= n) return;
    GLOBAL const float *const row = x + (i64)r * x_stride;
    GLOBAL float *const q = inverse + (n + 15) / 16 * 16 + (i64)r * k;
    const int whole = k / 16 * 16;
    float16 most16 = (float16)(0.0f);
    for (int i = 0; i < whole; i += 16) most16 = fmax(most16, fabs(vload16(0, row + i)));
    most16 = fmax(most16, fabs(load_n(row + whole, k - whole)));
    const float8 most8 = fmax(most16.lo, most16.hi);
    const float4 most4 = fmax(most8.lo, most8.hi);
    const float most = fmax(fmax(most4.x, most4.y), fmax(most4.z, most4.w));
    const float a = most > 0.0f ? 127.0f / most : 1.0f;
    for (int i = 0; i < k; i += 16) {
        const float16 v = load_n(row + i, k - i) * a;
        store_n(q + i, truncated ? trunc(v) : rint(v), k - i);
    }
    inverse[r] = 1.0f / a;
}
#endif
