/*
 * cpu_weight.c: weights in the layout the kernels read: panels of 16 outputs, [panel][in][16], or plain rows for tables.
 * The layout is the same for every instruction set, so that one cache file serves all.
 */
#include <stdint.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "core/alloc.h"
#include "core/half.h"

/* Rows read at a time from the source of a table; more than a panel has. */
#define TABLE_BATCH 64

static int64_t panels_of(int64_t rows)
{
    return (rows + TRDI_PANEL - 1) / TRDI_PANEL;
}

/* Where the parts of a prepared weight begin, in floats. */
typedef struct parts {
    size_t bias, scales, all;
} parts;

/* @return false when the sizes are nonsense or overflow */
static bool find_parts(const trdi_weight_source *source, parts *at)
{
    if (source->rows < 1 || source->cols < 1 || source->rows > INT64_MAX - TRDI_PANEL) return false;
    const size_t padded = (size_t)panels_of(source->rows) * TRDI_PANEL;
    size_t bytes, data;
    const size_t rows = source->layout == TRDI_LAYOUT_LINEAR ? padded : (size_t)source->rows;
    if (!trdi_mul_size(rows, (size_t)source->cols, &data)) return false;
    /* Bias and scales start on lines of their own. */
    if (padded > SIZE_MAX / 4 || data > SIZE_MAX / 2) return false;
    at->bias = (data + 15) / 16 * 16;
    at->scales = at->bias + (source->bias != NULL ? padded : 0);
    at->all = at->scales + (source->dtype == TRD_DTYPE_I8 ? padded : 0);
    return trdi_mul_size(at->all, sizeof(float), &bytes);
}

size_t trdi_cpu_weight_bytes(const void *device, const trdi_weight_source *source)
{
    (void)device;
    parts at;
    return find_parts(source, &at) ? at.all * sizeof(float) : SIZE_MAX;
}

/* Rows of 16 outputs -> [in][16]; outputs past n are zeros. */
static void pack_panel(const float *rows, int64_t n, int64_t in, float *panel)
{
    for (int64_t k = 0; k < in; k++) {
        for (int64_t o = 0; o < TRDI_PANEL; o++) panel[k * TRDI_PANEL + o] = o < n ? rows[o * in + k] : 0.0f;
    }
}

/* Rows as the kernels and the reference are to see them. @param scales  [n] and integers [n][cols] for I8, else NULL */
static void read_rows(const trdi_weight_source *source, int64_t first, int64_t n, float *out, int8_t *integers, float *scales)
{
    const int64_t count = n * source->cols;
    if (source->dtype == TRD_DTYPE_I8) {
        source->read_i8(source->context, first, n, integers, scales);
        for (int64_t i = 0; i < count; i++) out[i] = (float)integers[i];
        return;
    }
    source->read(source->context, first, n, out);
    for (int64_t i = 0; source->dtype == TRD_DTYPE_F16 && i < count; i++) out[i] = trdi_round_to_half(out[i]);
}

/* @param scratch  [16][cols] floats  @param integers  [64][cols] for I8 */
static void fill_rows(const trdi_weight_source *source, float *data, float *scales, float *scratch, int8_t *integers)
{
    const bool linear = source->layout == TRDI_LAYOUT_LINEAR;
    const int64_t batch = linear ? TRDI_PANEL : TABLE_BATCH;
    for (int64_t first = 0; first < source->rows; first += batch) {
        const int64_t n = source->rows - first < batch ? source->rows - first : batch;
        float *to = data + first * source->cols;
        read_rows(source, first, n, linear ? scratch : to, integers, scales != NULL ? scales + first : NULL);
        if (linear) pack_panel(scratch, n, source->cols, to);
    }
}

static trd_status fill_data(const trdi_weight_source *source, float *data, float *scales)
{
    size_t bytes, n_integers;
    if (!trdi_mul_size((size_t)source->cols, TRDI_PANEL * sizeof(float), &bytes)) bytes = SIZE_MAX;
    if (!trdi_mul_size((size_t)source->cols, TABLE_BATCH, &n_integers)) n_integers = SIZE_MAX;
    const bool linear = source->layout == TRDI_LAYOUT_LINEAR, is_i8 = source->dtype == TRD_DTYPE_I8;
    float *scratch = linear ? trdi_alloc(bytes) : NULL;
    int8_t *integers = is_i8 ? trdi_alloc(n_integers) : NULL;
    const bool enough = (scratch != NULL || !linear) && (integers != NULL || !is_i8);
    if (enough) fill_rows(source, data, scales, scratch, integers);
    trdi_free(scratch);
    trdi_free(integers);
    return enough ? TRD_OK : trdi_fail(TRD_E_MEMORY, "rows of a weight being packed: %zu bytes", bytes);
}

/* Prepare into memory of our own: data, bias, scales, each with zeros up to a whole line. */
static trd_status weight_fill(const trdi_weight_source *source, const parts *at, trdi_cpu_weight *weight)
{
    float *data = trdi_alloc(at->all * sizeof(float));
    if (data == NULL) {
        return trdi_fail(TRD_E_MEMORY, "prepared weight of %lld x %lld: %zu bytes", (long long)source->rows,
                         (long long)source->cols, at->all * sizeof(float));
    }
    weight->owned = data;
    weight->data = data;
    const size_t used = (size_t)(source->layout == TRDI_LAYOUT_LINEAR ? panels_of(source->rows) * TRDI_PANEL : source->rows) *
                        (size_t)source->cols;
    memset(data + used, 0, (at->all - used) * sizeof(float));
    if (source->bias != NULL) memcpy(data + at->bias, source->bias, (size_t)source->rows * sizeof(float));
    return fill_data(source, data, source->dtype == TRD_DTYPE_I8 ? data + at->scales : NULL);
}

static trd_status check_source(const trdi_weight_source *source)
{
    if (source->dtype != TRD_DTYPE_F32 && source->dtype != TRD_DTYPE_F16 && source->dtype != TRD_DTYPE_I8)
        return trdi_fail(TRD_E_UNSUPPORTED, "weight of type %s: not f32, f16 or i8", trd_dtype_name(source->dtype));
    const bool readable = source->dtype == TRD_DTYPE_I8 ? source->read_i8 != NULL : source->read != NULL;
    if (source->prepared == NULL && !readable) return trdi_fail(TRD_E_INVALID, "weight: no function to read it");
    if ((uintptr_t)source->prepared % 64 != 0) return trdi_fail(TRD_E_INVALID, "prepared weight is not aligned to 64 bytes");
    return TRD_OK;
}

trd_status trdi_cpu_weight_prepare(void *device, const trdi_weight_source *source, void **out)
{
    (void)device;
    *out = NULL;
    parts at;
    if (!find_parts(source, &at)) {
        return trdi_fail(TRD_E_INVALID, "weight of %lld x %lld cannot be prepared", (long long)source->rows,
                         (long long)source->cols);
    }
    TRDI_TRY(check_source(source));
    trdi_cpu_weight *weight = trdi_alloc(sizeof *weight);
    if (weight == NULL) return trdi_fail(TRD_E_MEMORY, "weight: %zu bytes", sizeof *weight);
    *weight = (trdi_cpu_weight){ .layout = source->layout, .dtype = source->dtype, .truncate = source->truncate,
                                 .rows = source->rows, .cols = source->cols, .data = source->prepared };
    if (source->prepared == NULL) {
        const trd_status status = weight_fill(source, &at, weight);
        if (status != TRD_OK) {
            trdi_cpu_weight_free(weight);
            return status;
        }
    }
    if (source->bias != NULL) weight->bias = weight->data + at.bias;
    if (source->dtype == TRD_DTYPE_I8) weight->scales = weight->data + at.scales;
    *out = weight;
    return TRD_OK;
}

const void *trdi_cpu_weight_data(const void *weight)
{
    return ((const trdi_cpu_weight *)weight)->data;
}

void trdi_cpu_weight_free(void *weight)
{
    if (weight == NULL) return;
    trdi_free(((trdi_cpu_weight *)weight)->owned);
    trdi_free(weight);
}
