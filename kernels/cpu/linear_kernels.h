/*
 * linear_kernels.h: y = act(x . W^T + bias) * multiplier + residual for packed weights; included by kernels_<isa>.c.
 * A tile of rows x panels keeps its sums in registers. Blocks of k are run over all rows of a row block while the block of
 * weights is in L1; between blocks the sums rest in memory, which leaves the chain of fma as it is: the bits of an output
 * depend on k alone.
 */
#ifndef TRDI_LINEAR_KERNELS_H
#define TRDI_LINEAR_KERNELS_H

#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/vector.h"
#include "kernels/cpu/vector_math.h"

/* Steps of k per block: 16 KiB of weights, half of a small L1. */
#ifndef TRDI_K_BLOCK
#define TRDI_K_BLOCK 256
#endif

#if TRDI_SIMD_BYTES == 64
#define TILE_ROWS 12
#define TILE_SUMS 24
#elif TRDI_SIMD_BYTES == 32
#define TILE_ROWS 6
#define TILE_SUMS 6
#else
#define TILE_ROWS 2
#define TILE_SUMS 2
#endif

/* Where one tile works. */
typedef struct tile_place {
    int64_t row, panel;       /* first row, first panel */
    int64_t k0, k1;           /* steps of this block */
    float  *sums;             /* [rows][panels][16] of this tile, between blocks and at the end */
} tile_place;

/* Bias, activation, multiplier, residual, store: 16 outputs of one row. */
static void linear_write(const trdi_linear_job *job, const float *sums, int64_t row, int64_t panel)
{
    const int64_t column = panel * TRDI_PANEL, n = job->out - column;
    v16 sum = v16_load(sums);
    if (job->bias != NULL) sum = v16_add(sum, v16_load(job->bias + column));
    if (job->activation >= 0) v16_activate(&sum, job->activation);
    if (job->multiplier != NULL) sum = v16_mul(sum, v16_load_n(job->multiplier + row * job->multiplier_stride + column, n));
    if (job->residual != NULL) sum = v16_add(sum, v16_load_n(job->residual + row * job->residual_stride + column, n));
    v16_store_n(job->y + row * job->y_stride + column, sum, n);
}

static void linear_finish(const trdi_linear_job *job, const tile_place *at, int64_t rows, int64_t n_panels)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t p = 0; p < n_panels; p++) {
            linear_write(job, at->sums + (r * n_panels + p) * TRDI_PANEL, at->row + r, at->panel + p);
        }
    }
}

/*
 * The product of one tile. rows and n_panels are constants where this is used: loops over them unroll and sums stay in registers,
 * as bare registers (a compiler keeps a struct of two in memory).
 */
TRDI_INLINE void linear_tile(const trdi_linear_job *job, const tile_place *at, const int rows, const int n_panels)
{
    const int n_parts = n_panels * PARTS;
    lanes sums[TILE_SUMS * PARTS];
    const float *x[TILE_ROWS];
    const float *w = job->panels + at->panel * job->in * TRDI_PANEL;
    const int64_t panel_step = job->in * TRDI_PANEL, k1 = at->k1;
    UNROLLED
    for (int r = 0; r < rows; r++) x[r] = job->x + (at->row + r) * job->x_stride;
    UNROLLED
    for (int i = 0; i < rows * n_parts; i++) sums[i] = at->k0 == 0 ? lanes_set(0.0f) : lanes_load(at->sums + i * LANES);
    for (int64_t k = at->k0; k < k1; k++) {
        lanes weights[8 * PARTS];
        /* The next block of weights, while this one serves from L1. */
        if (n_panels == 1) __builtin_prefetch(w + (k + TRDI_K_BLOCK) * TRDI_PANEL, 0, 2);
        UNROLLED
        for (int i = 0; i < n_parts; i++) weights[i] = lanes_load(w + i / PARTS * panel_step + k * TRDI_PANEL + i % PARTS * LANES);
        UNROLLED
        for (int r = 0; r < rows; r++) {
            const lanes a = lanes_set(x[r][k]);
            UNROLLED
            for (int i = 0; i < n_parts; i++) sums[r * n_parts + i] = lanes_fma(a, weights[i], sums[r * n_parts + i]);
        }
    }
    UNROLLED
    for (int i = 0; i < rows * n_parts; i++) lanes_store(at->sums + i * LANES, sums[i]);
    if (k1 == job->in) linear_finish(job, at, rows, n_panels);
}

typedef void (*tile_function)(const trdi_linear_job *job, const tile_place *at);
#define TILE(rows, panels)                                                                        \
    static void tile_##rows##_##panels(const trdi_linear_job *job, const tile_place *at)           \
    {                                                                                             \
        linear_tile(job, at, rows, panels);                                                       \
    }

/* By rows: a tile of one panel, and the widest tile that hides the latency of fma, with its number of panels. */
typedef struct tile_shape {
    tile_function one, wide;
    int32_t panels;
} tile_shape;

TILE(1, 1)
TILE(2, 1)
#if TRDI_SIMD_BYTES == 16
TILE(1, 2)
static const tile_shape tile_shapes[TILE_ROWS + 1] = { [1] = { tile_1_1, tile_1_2, 2 }, [2] = { tile_2_1, tile_2_1, 1 } };
#else
TILE(3, 1)
TILE(4, 1)
TILE(5, 1)
TILE(6, 1)
TILE(1, 4)
#if TRDI_SIMD_BYTES == 32
TILE(2, 2)
TILE(3, 2)
static const tile_shape tile_shapes[TILE_ROWS + 1] = {
    [1] = { tile_1_1, tile_1_4, 4 }, [2] = { tile_2_1, tile_2_2, 2 }, [3] = { tile_3_1, tile_3_2, 2 },
    [4] = { tile_4_1, tile_4_1, 1 }, [5] = { tile_5_1, tile_5_1, 1 }, [6] = { tile_6_1, tile_6_1, 1 },
};
#else
TILE(7, 1)
TILE(8, 1)
TILE(9, 1)
TILE(10, 1)
TILE(11, 1)
TILE(12, 1)
TILE(2, 4)
TILE(3, 4)
TILE(4, 4)
TILE(5, 4)
TILE(6, 4)
TILE(7, 2)
TILE(8, 2)
TILE(9, 2)
TILE(10, 2)
TILE(11, 2)
TILE(12, 2)
static const tile_shape tile_shapes[TILE_ROWS + 1] = {
    [1] = { tile_1_1, tile_1_4, 4 },    [2] = { tile_2_1, tile_2_4, 4 },    [3] = { tile_3_1, tile_3_4, 4 },
    [4] = { tile_4_1, tile_4_4, 4 },    [5] = { tile_5_1, tile_5_4, 4 },    [6] = { tile_6_1, tile_6_4, 4 },
    [7] = { tile_7_1, tile_7_2, 2 },    [8] = { tile_8_1, tile_8_2, 2 },    [9] = { tile_9_1, tile_9_2, 2 },
    [10] = { tile_10_1, tile_10_2, 2 }, [11] = { tile_11_1, tile_11_2, 2 }, [12] = { tile_12_1, tile_12_2, 2 },
};
#endif
#endif

/* Few rows: one tile has them all, so weights are read once, straight through. */
static void linear_few(const trdi_linear_job *job, int64_t row0, int32_t rows, int64_t panel0, int64_t panel1, float *scratch)
{
    const tile_shape *shape = &tile_shapes[rows];
    tile_place at = { .row = row0, .panel = panel0, .k0 = 0, .k1 = job->in, .sums = scratch };
    for (; at.panel + shape->panels <= panel1; at.panel += shape->panels) shape->wide(job, &at);
    for (; at.panel < panel1; at.panel++) shape->one(job, &at);
}

/* The rows that are worked on, cut into tiles of nearly equal height. */
typedef struct tiling {
    int64_t row0, n, n_tiles;
} tiling;

static int64_t tile_start(const tiling *rows, int64_t tile)
{
    return rows->n * tile / rows->n_tiles;
}

/* One panel over tiles first..last-1, which have at most TRDI_ROW_BLOCK rows. */
static void linear_panel(const trdi_linear_job *job, const tiling *rows, int64_t first, int64_t last, int64_t panel, float *scratch)
{
    for (int64_t k0 = 0; k0 < job->in; k0 += TRDI_K_BLOCK) {
        tile_place at = { .panel = panel, .k0 = k0, .k1 = job->in - k0 > TRDI_K_BLOCK ? k0 + TRDI_K_BLOCK : job->in, .sums = scratch };
        for (int64_t t = first; t < last; t++) {
            const int64_t start = tile_start(rows, t), height = tile_start(rows, t + 1) - start;
            at.row = rows->row0 + start;
            tile_shapes[height].one(job, &at);
            at.sums += height * TRDI_PANEL;
        }
    }
}

static void linear(const trdi_linear_job *job, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1, float *scratch)
{
    const tiling rows = { .row0 = row0, .n = row1 - row0, .n_tiles = (row1 - row0 + TILE_ROWS - 1) / TILE_ROWS };
    if (rows.n <= 0) return;
    if (rows.n <= TILE_ROWS) {
        linear_few(job, row0, (int32_t)rows.n, panel0, panel1, scratch);
        return;
    }
    const int64_t step = TRDI_ROW_BLOCK / TILE_ROWS;
    for (int64_t t = 0; t < rows.n_tiles; t += step) {
        const int64_t end = t + step < rows.n_tiles ? t + step : rows.n_tiles;
        for (int64_t p = panel0; p < panel1; p++) linear_panel(job, &rows, t, end, p, scratch);
    }
}

#endif
