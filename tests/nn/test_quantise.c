/*
 * test_quantise.c: weights as integers and scales: stored ones as they are; made ones against the documentation's example, against values
 * that NumPy gave for the formula in f32, and on rows that have no good scale.
 */
#include <fenv.h>

#include "check.h"
#include "nn/weights.h"

static trdi_tensor matrix(const void *data, trd_dtype dtype, int64_t rows, int64_t cols)
{
    return (trdi_tensor){ .name = "t/weight", .dtype = dtype, .rank = 2, .dims = { rows, cols, 1, 1 }, .count = rows * cols,
                          .data = data, .bytes = (size_t)(rows * cols) * trd_dtype_bytes(dtype) };
}

static void check_row(const trdi_tensor *tensor, bool truncate, int64_t row, const int *want, float want_scale)
{
    int8_t got[64];
    float scale;
    const int64_t cols = tensor->dims[1];
    trdi_quantise_rows(tensor, truncate, row, 1, got, &scale);
    for (int64_t c = 0; c < cols; c++) CHECK_INT(got[c], want[c]);
    CHECK(scale == want_scale);
}

static void check_example(void)
{
    static const float rows[2][4] = { { -10, -3, 5, 2 }, { 0, 0, 0, 0 } };
    static const int rounded[4] = { -127, -38, 64, 25 }, cut[4] = { -127, -38, 63, 25 }, zeros[4];
    const trdi_tensor tensor = matrix(rows, TRD_DTYPE_F32, 2, 4);
    check_row(&tensor, false, 0, rounded, 12.7f);
    check_row(&tensor, true, 0, cut, 12.7f);
    check_row(&tensor, false, 1, zeros, 1.0f);
    /* 63.5 is a tie: to even. */
    static const float ties[4] = { 127.0f, 0.5f, 1.5f, -2.5f };
    static const int even[4] = { 127, 0, 2, -2 }, down[4] = { 127, 0, 1, -2 };
    const trdi_tensor tie = matrix(ties, TRD_DTYPE_F32, 1, 4);
    check_row(&tie, false, 0, even, 1.0f);
    check_row(&tie, true, 0, down, 1.0f);
}

/* Made with numpy.rint and numpy.trunc in float32 of the same numbers. */
static const int numpy_rounded[3][20] = {
    { -69, -34, 1, 54, -118, -34, 72, 15, -127, 37, -66, -20, 24, 89, -70, 126, 95, -45, 48, 8 },
    { -73, -102, -110, -47, -95, 53, 21, -31, -61, 64, 111, -83, -43, 124, -29, 12, -9, 127, 96, 54 },
    { 121, 125, -91, -34, 49, -89, -2, -86, 24, 98, -45, -127, 119, -71, 88, -125, -31, -120, -41, -97 } };
static const int numpy_cut[3][20] = {
    { -69, -34, 1, 53, -118, -34, 72, 14, -126, 36, -65, -20, 23, 88, -69, 126, 94, -45, 47, 8 },
    { -72, -101, -110, -46, -95, 53, 21, -31, -60, 64, 110, -82, -42, 124, -28, 12, -8, 127, 96, 54 },
    { 120, 125, -91, -33, 49, -88, -2, -86, 24, 98, -44, -127, 119, -71, 87, -125, -30, -119, -40, -97 } };
static const float numpy_scales[3] = { 131.332169f, 128454.273f, 3.5218277f };

static void check_numpy(void)
{
    static const float factors[3] = { 1.0f, 1e-3f, 37.5f };
    float rows[3][20];
    uint32_t state = 1;
    for (int r = 0; r < 3; r++) {
        for (int c = 0; c < 20; c++) {
            state = state * 1664525u + 1013904223u;
            rows[r][c] = (float)((int32_t)(state >> 8) - (1 << 23)) / (float)(1 << 23) * factors[r];
        }
    }
    const trdi_tensor tensor = matrix(rows, TRD_DTYPE_F32, 3, 20);
    for (int r = 0; r < 3; r++) {
        check_row(&tensor, false, r, numpy_rounded[r], numpy_scales[r]);
        check_row(&tensor, true, r, numpy_cut[r], numpy_scales[r]);
    }
    /* The caller's rounding mode has no say, and is kept. */
    CHECK(fesetround(FE_UPWARD) == 0);
    check_row(&tensor, false, 1, numpy_rounded[1], numpy_scales[1]);
    CHECK(fegetround() == FE_UPWARD && fesetround(FE_TONEAREST) == 0);
    /* All rows at once. */
    int8_t got[60];
    float scales[3];
    trdi_quantise_rows(&tensor, false, 0, 3, got, scales);
    for (int i = 0; i < 60; i++) CHECK_INT(got[i], numpy_rounded[i / 20][i % 20]);
    CHECK(memcmp(scales, numpy_scales, sizeof scales) == 0);
}

/* Neither rounding rule touches what is stored; payloads lie at odd addresses. */
static void check_stored(void)
{
    static const int8_t stored[2][4] = { { 1, -127, 100, 0 }, { 3, 4, -128, 127 } };
    static const float scales[2] = { 33.3f, 2.0f };
    uint8_t bytes[9], scale_bytes[9];
    memcpy(bytes + 1, stored, sizeof stored);
    memcpy(scale_bytes + 1, scales, sizeof scales);
    const trdi_tensor scale = { .name = "t/weight_scale", .dtype = TRD_DTYPE_F32, .rank = 1, .dims = { 2, 1, 1, 1 }, .count = 2,
                                .data = scale_bytes + 1, .bytes = sizeof scales };
    trdi_tensor tensor = matrix(bytes + 1, TRD_DTYPE_I8, 2, 4);
    tensor.scale = &scale;
    static const int kept[4] = { 1, -127, 100, 0 };
    check_row(&tensor, false, 0, kept, 33.3f);
    check_row(&tensor, true, 0, kept, 33.3f);
    /* -128, which no writer makes, would overflow in kernels: its row is made anew from its values. */
    static const int anew[4] = { 3, 4, -127, 126 };
    check_row(&tensor, false, 1, anew, 127.0f / 64.0f);
}

/* Weights of 16 bits pass through f32. */
static void check_other_types(void)
{
    static const uint16_t halves[3] = { 0x3c00, 0xc000, 0x3800 };   /* 1, -2, 0.5 */
    static const int16_t integers[3] = { 1000, -2000, 500 };
    static const int want[3] = { 64, -127, 32 };
    trdi_tensor tensor = matrix(halves, TRD_DTYPE_F16, 1, 3);
    check_row(&tensor, false, 0, want, 63.5f);
    static const uint16_t brains[3] = { 0x3f80, 0xc000, 0x3f00 };
    tensor = matrix(brains, TRD_DTYPE_BF16, 1, 3);
    check_row(&tensor, false, 0, want, 63.5f);
    tensor = matrix(integers, TRD_DTYPE_I16, 1, 3);                /* without a scale: 1000 */
    check_row(&tensor, false, 0, want, 63.5f);
}

/* A long row is read in pieces: its largest value may be in any. */
static void check_long_rows(void)
{
    enum { COLS = 5000 };
    static float row[COLS];
    static int8_t got[COLS];
    for (int at = 0; at < COLS; at += 1666) {
        float scale;
        for (int i = 0; i < COLS; i++) row[i] = (float)(i % 201 - 100) / 100.0f;
        row[at] = 8.0f;
        const trdi_tensor tensor = matrix(row, TRD_DTYPE_F32, 1, COLS);
        trdi_quantise_rows(&tensor, false, 0, 1, got, &scale);
        CHECK(scale == 127.0f / 8.0f);
        for (int i = 0; i < COLS; i++) CHECK_INT(got[i], (int)nearbyintf(row[i] * scale));
    }
}

static void check_without_scale(void)
{
    static const float rows[3][3] = { { 1e-40f, -1e-41f, 0.0f }, { INFINITY, -INFINITY, 2.0f }, { NAN, 4.0f, -4.0f } };
    static const int tiny[3] = { 0, 0, 0 }, infinite[3] = { 127, -127, 2 }, nan[3] = { 0, 127, -127 };
    const trdi_tensor tensor = matrix(rows, TRD_DTYPE_F32, 3, 3);
    check_row(&tensor, false, 0, tiny, 1.0f);
    check_row(&tensor, false, 1, infinite, 1.0f);
    check_row(&tensor, false, 2, nan, 127.0f / 4.0f);
}

int main(void)
{
    check_example();
    check_numpy();
    check_stored();
    check_other_types();
    check_long_rows();
    check_without_scale();
    return 0;
}
