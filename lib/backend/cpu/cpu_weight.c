/*
 * cpu_weight.c: weights in the layout the kernels read: panels of 16 outputs, [panel][in][16], or plain rows for tables.
 * The layout is the same for every instruction set, so that one cache file serves all.
 */
#include <stdint.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "core/alloc.h"

/* Rows read at a time from the source of a table. */
#define TABLE_BATCH 64

static int64_t panels_of(int64_t rows)
{
    return (rows + TRDI_PANEL - 1) / TRDI_PANEL;
}

/* Floats before the bias, and with it; false when the sizes are nonsense or overflow. */
static bool weight_floats(const trdi_weight_source *source, size_t *data, size_t *all)
{
    if (source->rows < 1 || source->cols < 1 || source->rows > INT64_MAX - TRDI_PANEL) return false;
    const size_t padded = (size_t)panels_of(source->rows) * TRDI_PANEL;
    size_t bytes;
    const size_t rows = source->layout == TRDI_LAYOUT_LINEAR ? padded : (size_t)source->rows;
    if (!trdi_mul_size(rows, (size_t)source->cols, data)) return false;
    /* The bias starts on a line of its own. */
    if (*data > SIZE_MAX - 32 - padded) return false;
    *data = (*data + 15) / 16 * 16;
    *all = *data + (source->bias != NULL ? padded : 0);
    return trdi_mul_size(*all, sizeof(float), &bytes);
}

size_t trdi_cpu_weight_bytes(const void *device, const trdi_weight_source *source)
{
    (void)device;
    size_t data, all;
    return weight_floats(source, &data, &all) ? all * sizeof(float) : SIZE_MAX;
}

/* Rows of 16 outputs -> [in][16]; outputs past n are zeros. */
static void pack_panel(const float *rows, int64_t n, int64_t in, float *panel)
{
    for (int64_t k = 0; k < in; k++) {
        for (int64_t o = 0; o < TRDI_PANEL; o++) panel[k * TRDI_PANEL + o] = o < n ? rows[o * in + k] : 0.0f;
    }
}

static trd_status pack_linear(const trdi_weight_source *source, float *data)
{
    size_t bytes;
    if (!trdi_mul_size((size_t)source->cols, TRDI_PANEL * sizeof(float), &bytes)) bytes = SIZE_MAX;
    float *rows = trdi_alloc(bytes);
    if (rows == NULL) return trdi_fail(TRD_E_MEMORY, "rows of a weight being packed: %zu bytes", bytes);
    for (int64_t first = 0; first < source->rows; first += TRDI_PANEL) {
        const int64_t n = source->rows - first < TRDI_PANEL ? source->rows - first : TRDI_PANEL;
        source->read(source->context, first, n, rows);
        pack_panel(rows, n, source->cols, data + first * source->cols);
    }
    trdi_free(rows);
    return TRD_OK;
}

static void fill_table(const trdi_weight_source *source, float *data)
{
    for (int64_t first = 0; first < source->rows; first += TABLE_BATCH) {
        const int64_t n = source->rows - first < TABLE_BATCH ? source->rows - first : TABLE_BATCH;
        source->read(source->context, first, n, data + first * source->cols);
    }
}

/* Prepare into memory of our own: data, zeros up to a whole line, bias, zeros. */
static trd_status weight_fill(const trdi_weight_source *source, size_t n_data, size_t n_all, trdi_cpu_weight *weight)
{
    float *data = trdi_alloc(n_all * sizeof(float));
    if (data == NULL) {
        return trdi_fail(TRD_E_MEMORY, "prepared weight of %lld x %lld: %zu bytes", (long long)source->rows,
                         (long long)source->cols, n_all * sizeof(float));
    }
    weight->owned = data;
    weight->data = data;
    if (source->layout == TRDI_LAYOUT_LINEAR) TRDI_TRY(pack_linear(source, data));
    else fill_table(source, data);
    const size_t used = (size_t)(source->layout == TRDI_LAYOUT_LINEAR ? panels_of(source->rows) * TRDI_PANEL : source->rows) *
                        (size_t)source->cols;
    memset(data + used, 0, (n_all - used) * sizeof(float));
    if (source->bias != NULL) memcpy(data + n_data, source->bias, (size_t)source->rows * sizeof(float));
    return TRD_OK;
}

trd_status trdi_cpu_weight_prepare(void *device, const trdi_weight_source *source, void **out)
{
    (void)device;
    *out = NULL;
    size_t n_data, n_all;
    if (!weight_floats(source, &n_data, &n_all)) {
        return trdi_fail(TRD_E_INVALID, "weight of %lld x %lld cannot be prepared", (long long)source->rows,
                         (long long)source->cols);
    }
    if (source->prepared == NULL && source->read == NULL) return trdi_fail(TRD_E_INVALID, "weight: no function to read it");
    if ((uintptr_t)source->prepared % 64 != 0) return trdi_fail(TRD_E_INVALID, "prepared weight is not aligned to 64 bytes");
    trdi_cpu_weight *weight = trdi_alloc(sizeof *weight);
    if (weight == NULL) return trdi_fail(TRD_E_MEMORY, "weight: %zu bytes", sizeof *weight);
    *weight = (trdi_cpu_weight){
        .layout = source->layout, .rows = source->rows, .cols = source->cols, .data = source->prepared };
    if (source->prepared == NULL) {
        const trd_status status = weight_fill(source, n_data, n_all, weight);
        if (status != TRD_OK) {
            trdi_cpu_weight_free(weight);
            return status;
        }
    }
    if (source->bias != NULL) weight->bias = weight->data + n_data;
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
