/*
 * quantise.c: weights as 8-bit integers with a scale per row, as stored or made from floats by the original's formula. Products and quotients
 * are rounded to f32 as there: a rounding the other way would give another integer.
 */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "nn/weights.h"

/** Floats read at a time, on the stack: readers of weights cannot fail. */
enum { CHUNK = 1024 };

/** A row stored as integers and a scale. @return false if it has to be made: no kernel takes -128 */
static bool copy_row(const trdi_tensor *tensor, int64_t row, int64_t cols, int8_t *out, float *scale)
{
    if (tensor->dtype != TRD_DTYPE_I8 || tensor->scale == NULL) return false;
    const uint8_t *stored = tensor->data + row * cols;
    memcpy(out, stored, (size_t)cols);
    trdi_tensor_read_f32(tensor->scale, row, 1, scale);
    for (int64_t c = 0; c < cols; c++)
        if (out[c] < -127) return false;
    return true;
}

static float largest_magnitude(const trdi_tensor *tensor, int64_t first, int64_t n)
{
    float values[CHUNK], most = 0.0f;
    for (int64_t done = 0; done < n; done += CHUNK) {
        const int64_t part = n - done < CHUNK ? n - done : CHUNK;
        trdi_tensor_read_f32(tensor, first + done, part, values);
        for (int64_t i = 0; i < part; i++)
            if (fabsf(values[i]) > most) most = fabsf(values[i]);
    }
    return most;
}

static int8_t to_integer(float scaled, bool truncate)
{
    const float whole = truncate ? truncf(scaled) : nearbyintf(scaled);
    if (!(whole > -127.0f)) return whole < 0.0f ? -127 : 0;     /* NaN: 0 */
    return whole < 127.0f ? (int8_t)whole : 127;
}

static void make_row(const trdi_tensor *tensor, int64_t row, int64_t cols, bool truncate, int8_t *out, float *scale)
{
    float values[CHUNK];
    const float most = largest_magnitude(tensor, row * cols, cols), wanted = 127.0f / most;
    /* Rows of zeros, of next to nothing, and rows that hold infinity. */
    *scale = isfinite(wanted) && wanted > 0.0f ? wanted : 1.0f;
    for (int64_t done = 0; done < cols; done += CHUNK) {
        const int64_t part = cols - done < CHUNK ? cols - done : CHUNK;
        trdi_tensor_read_f32(tensor, row * cols + done, part, values);
        for (int64_t i = 0; i < part; i++) out[done + i] = to_integer(values[i] * *scale, truncate);
    }
}

void trdi_quantise_rows(const trdi_tensor *tensor, bool truncate, int64_t first, int64_t n, int8_t *out, float *scales)
{
    const int64_t cols = tensor->dims[tensor->rank - 1];
    const int mode = fegetround();        /* the caller's may be any */
    (void)fesetround(FE_TONEAREST);
    for (int64_t i = 0; i < n; i++) {
        int8_t *row = out + i * cols;
        if (!copy_row(tensor, first + i, cols, row, &scales[i])) make_row(tensor, first + i, cols, truncate, row, &scales[i]);
    }
    (void)fesetround(mode);
}
