/* y[r][o] = act(sum_k x[r][k] W[o][k] + bias[o]) * multiplier[r][o] + residual[r][o]: products by work-groups with local memory.
 * Weights   [k][width] of float or half (TRD_WEIGHT_F16), or [k/4][width][4] of char (TRD_WEIGHT_I8); width = out padded to 16.
 * Shapes    x [n][k], y, multiplier, residual [n][out], each with its stride; any n, k, out >= 1; y may be multiplier or residual.
 *           k is counted in cells: one step, or with I8 four of them, padded with zeros.
 * Launch    1-D, GROUP_SIZE (64, 128, 256) work-items per group. trd_linear_rows_<R>: R rows at a time, one group per SKINNY_COLUMNS outputs
 *           and R rows. trd_linear_tile: one group per TILE_COLUMNS outputs and TILE_ROWS rows. Groups of the same outputs are neighbours.
 * Local     at most 8 KiB.
 * Numerics  k is cut into segments, which depend on k alone; each is a chain of fma in the order of k, and their sums are added in order. So
 *           the bits of a row depend neither on the kernel nor on n. With I8 weights x is integers (trd_linear_quantise) and sums are exact.
 * Options   |-DTRD_WEIGHT_F16=1|-DTRD_WEIGHT_I8=1 */
#include "shim.h"
#include "math.h"

#ifdef TRD_GROUPS                 /* it makes no sense with groups of one */

#define MAX_SEGMENTS 8
#define SKINNY_COLUMNS 32
#define TILE_COLUMNS 64
#define TILE_ROWS (GROUP_SIZE / 4)
#define TILE_STEPS 16
#define PER_ITEM 4                /* a work-item has 4 x 4 outputs of a tile */

#ifdef TRD_WEIGHT_I8
/* c + the products of four bytes each: one instruction on devices whose compilers know the pattern; its built-in function is OpenCL 3's. */
static inline int dot4(const int a, const int b, const int c)
{
    return c + (a << 24 >> 24) * (b << 24 >> 24) + (a << 16 >> 24) * (b << 16 >> 24) + (a << 8 >> 24) * (b << 8 >> 24) + (a >> 24) * (b >> 24);
}
typedef int cell;                 /* of x and of weights as they are multiplied */
typedef int sum_type;
typedef int weight_type;
#define WEIGHT(p, i) (p)[i]
#define MAC(a, b, c) dot4(a, b, c)
#else
typedef float cell;
typedef float sum_type;
#define MAC(a, b, c) FMA(a, b, c)
#ifdef TRD_WEIGHT_F16
typedef half weight_type;
#define WEIGHT(p, i) LOAD_HALF(p, i)
#else
typedef float weight_type;
#define WEIGHT(p, i) (p)[i]
#endif
#endif

/* As in linear_tiles.cl; k and segment in cells. */
#define LINEAR_ARGS                                                                                                               \
    ARG(float, y), ARG(const cell, x), ARG(const weight_type, weight), ARG(const float, scales), ARG(const float, bias),          \
        ARG(const float, multiplier), ARG(const float, residual), const int y_stride, const int x_stride,                         \
        const int multiplier_stride, const int residual_stride, const int k, const int out, const int activation, const int n,    \
        const int segment
#define FINISH_OPEN                                                                                                               \
    OPEN(float, y);                                                                                                               \
    OPEN(const float, bias);                                                                                                      \
    OPEN(const float, multiplier);                                                                                                \
    OPEN(const float, residual);
#define LINEAR_OPEN                                                                                                               \
    FINISH_OPEN                                                                                                                   \
    OPEN(const weight_type, weight);                                                                                              \
    const int width = (out + 15) / 16 * 16;

/* With I8 x is scratch: n inverse scales, then, on a line of their own, rows of integers. */
#ifdef TRD_WEIGHT_I8
#define OPEN_X                                                                                                                    \
    OPEN(const float, scales);                                                                                                    \
    GLOBAL const float *const inverse = (GLOBAL const float *)x_base;                                                             \
    GLOBAL const cell *const x = x_base + (n + 15) / 16 * 16;
#define SCALED(sum, r, o) ((float)(sum) * inverse[r] / scales[o])
#else
#define OPEN_X OPEN(const cell, x);
#define SCALED(sum, r, o) (sum)
#endif

/* What follows the sum of output o of row r, if they are there. */
#define FINISH(sum, r, o)                                                                                                         \
    if ((r) < n && (o) < out) {                                                                                                   \
        float v = SCALED(sum, r, o);                                                                                              \
        if (bias) v += bias[o];                                                                                                   \
        if (activation >= 0) v = trd_activate(v, activation);                                                                     \
        if (multiplier) v *= multiplier[(i64)(r) * multiplier_stride + (o)];                                                      \
        if (residual) v += residual[(i64)(r) * residual_stride + (o)];                                                            \
        y[(i64)(r) * y_stride + (o)] = v;                                                                                         \
    }

/* Few rows: neighbouring work-items have neighbouring outputs, and those SKINNY_COLUMNS apart other segments. */
#define SKINNY(ROWS)                                                                                                              \
    KERNEL trd_linear_rows_##ROWS(LINEAR_ARGS)                                                                                    \
    {                                                                                                                             \
        LINEAR_OPEN                                                                                                               \
        OPEN_X                                                                                                                    \
        LOCAL sum_type part[MAX_SEGMENTS][ROWS][SKINNY_COLUMNS];                                                                  \
        const int n_row_groups = (n + ROWS - 1) / ROWS, line = GROUP_ID / n_row_groups;                                           \
        const int row0 = (GROUP_ID - line * n_row_groups) * ROWS, column0 = line * SKINNY_COLUMNS, c = LOCAL_ID & (SKINNY_COLUMNS - 1); \
        const int column = min(column0 + c, width - 1), n_segments = (k + segment - 1) / segment;                                 \
        for (int s = LOCAL_ID / SKINNY_COLUMNS; s < n_segments; s += GROUP_SIZE / SKINNY_COLUMNS) {                               \
            const int k0 = s * segment, k1 = min(k - k0, segment) + k0;                                                           \
            sum_type sum[ROWS];                                                                                                   \
            for (int r = 0; r < ROWS; r++) sum[r] = 0;                                                                            \
            for (int i = k0; i < k1; i++) {                                                                                       \
                const cell w = WEIGHT(weight, (i64)i * width + column);                                                           \
                for (int r = 0; r < ROWS; r++) sum[r] = MAC(x[(i64)min(row0 + r, n - 1) * x_stride + i], w, sum[r]);              \
            }                                                                                                                     \
            for (int r = 0; r < ROWS; r++) part[s][r][c] = sum[r];                                                                \
        }                                                                                                                         \
        BARRIER();                                                                                                                \
        for (int i = LOCAL_ID; i < ROWS * SKINNY_COLUMNS; i += GROUP_SIZE) {                                                      \
            const int r = i / SKINNY_COLUMNS, o = i & (SKINNY_COLUMNS - 1);                                                       \
            sum_type total = part[0][r][o];                                                                                       \
            for (int s = 1; s < n_segments; s++) total += part[s][r][o];                                                          \
            FINISH(total, row0 + r, column0 + o)                                                                                  \
        }                                                                                                                         \
    }

SKINNY(1)
SKINNY(2)
SKINNY(4)
SKINNY(8)

/* Steps k0 .. k0+TILE_STEPS-1 of the tile's rows and columns into local memory, in which the work-items share them. */
#define LOAD_TILE                                                                                                                 \
    for (int i = LOCAL_ID; i < TILE_ROWS * TILE_STEPS; i += GROUP_SIZE) {                                                         \
        const int r = min(row0 + i / TILE_STEPS, n - 1), j = min(k0 + (i & (TILE_STEPS - 1)), k - 1);                                     \
        left[(i & (TILE_STEPS - 1))][i / TILE_STEPS] = x[(i64)r * x_stride + j];                                                          \
    }                                                                                                                             \
    for (int i = LOCAL_ID; i < TILE_COLUMNS * TILE_STEPS; i += GROUP_SIZE) {                                                      \
        const int o = min(column0 + (i & (TILE_COLUMNS - 1)), width - 1), j = min(k0 + i / TILE_COLUMNS, k - 1);                          \
        right[i / TILE_COLUMNS][(i & (TILE_COLUMNS - 1))] = WEIGHT(weight, (i64)j * width + o);                                           \
    }

#define TILE_STEP(j)                                                                                                              \
    {                                                                                                                             \
        cell a[PER_ITEM], b[PER_ITEM];                                                                                            \
        for (int i = 0; i < PER_ITEM; i++) a[i] = left[j][ty * PER_ITEM + i];                                                     \
        for (int i = 0; i < PER_ITEM; i++) b[i] = right[j][tx + i * (TILE_COLUMNS / PER_ITEM)];                                   \
        for (int i = 0; i < PER_ITEM * PER_ITEM; i++) sum[i] = MAC(a[i / PER_ITEM], b[i & (PER_ITEM - 1)], sum[i]);                     \
    }

KERNEL trd_linear_tile(LINEAR_ARGS)
{
    LINEAR_OPEN
    OPEN_X
    LOCAL cell left[TILE_STEPS][TILE_ROWS + 1], right[TILE_STEPS][TILE_COLUMNS];
    const int n_row_groups = (n + TILE_ROWS - 1) / TILE_ROWS, line = GROUP_ID / n_row_groups;
    const int row0 = (GROUP_ID - line * n_row_groups) * TILE_ROWS, column0 = line * TILE_COLUMNS;
    const int tx = LOCAL_ID & (TILE_COLUMNS / PER_ITEM - 1), ty = LOCAL_ID / (TILE_COLUMNS / PER_ITEM);
    sum_type total[PER_ITEM * PER_ITEM], sum[PER_ITEM * PER_ITEM];
    for (int i = 0; i < PER_ITEM * PER_ITEM; i++) sum[i] = 0;
    for (int k0 = 0; k0 < k; k0 += TILE_STEPS) {
        LOAD_TILE
        BARRIER();
        if (k - k0 >= TILE_STEPS) {
            for (int j = 0; j < TILE_STEPS; j++) TILE_STEP(j)
        } else {
            for (int j = 0; j < k - k0; j++) TILE_STEP(j)
        }
        BARRIER();
        /* Segments are whole tiles of steps. The first total is the first sum: adding it to 0 could change the sign of a zero. */
        const int end = k0 + TILE_STEPS;
        if (end % segment == 0 || end >= k) {
            for (int i = 0; i < PER_ITEM * PER_ITEM; i++) {
                total[i] = k0 < segment ? sum[i] : total[i] + sum[i];
                sum[i] = 0;
            }
        }
    }
    for (int i = 0; i < PER_ITEM * PER_ITEM; i++) {
        const int r = row0 + ty * PER_ITEM + i / PER_ITEM, o = column0 + tx + (i & (PER_ITEM - 1)) * (TILE_COLUMNS / PER_ITEM);
        FINISH(total[i], r, o)
    }
}

#ifndef TRD_WEIGHT_I8
/* What follows a product that another library made: x is its result, [n][out] with x_stride. One group per row and GROUP_SIZE outputs. */
KERNEL trd_linear_finish(LINEAR_ARGS)
{
    FINISH_OPEN
    OPEN_X
    const int n_parts = (out + GROUP_SIZE - 1) / GROUP_SIZE, r = GROUP_ID / n_parts, o = (GROUP_ID - r * n_parts) * GROUP_SIZE + LOCAL_ID;
    if (o < out) FINISH(x[(i64)r * x_stride + o], r, o)
}
#endif

#ifdef TRD_WEIGHT_I8
/* q[r][k] = round(x[r][k] * a), a = 127 / max_k |x[r][k]| or 1, and inverse[r] = 1 / a. One group per row. Local: 4 * GROUP_SIZE bytes. */
KERNEL trd_linear_quantise(ARG(const float, x), GLOBAL float *const inverse, const int x_stride, const int k, const int truncated, const int n)
{
    OPEN(const float, x);
    LOCAL float most[GROUP_SIZE];
    const int r = GROUP_ID, t = LOCAL_ID, cells = (k + 3) / 4;
    if (r >= n) return;
    GLOBAL const float *const row = x + (i64)r * x_stride;
    GLOBAL cell *const q = (GLOBAL cell *)inverse + (n + 15) / 16 * 16 + (i64)r * cells;
    float top = 0.0f;
    for (int i = t; i < k; i += GROUP_SIZE) top = fmax(top, fabs(row[i]));
    most[t] = top;
    for (int step = GROUP_SIZE / 2; step > 0; step /= 2) {
        BARRIER();
        if (t < step) most[t] = fmax(most[t], most[t + step]);
    }
    BARRIER();
    const float a = most[0] > 0.0f ? 127.0f / most[0] : 1.0f;
    for (int i = t; i < cells; i += GROUP_SIZE) {
        int four = 0;
        for (int j = 0; j < 4; j++) {
            const float v = i * 4 + j < k ? row[i * 4 + j] * a : 0.0f;
            four |= ((int)(truncated ? trunc(v) : rint(v)) & 255) << 8 * j;
        }
        q[i] = four;
    }
    if (t == 0) inverse[r] = 1.0f / a;
}
#endif
#endif
