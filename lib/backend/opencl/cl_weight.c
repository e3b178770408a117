/*
 * cl_weight.c: weights in the layouts of the kernels, packed on the host a batch of rows at a time and sent over batch by batch.
 * TILES: panels of 16 outputs, [panel][k][16]. GROUPS: [k][outputs], with I8 in cells of four steps of k, [k/4][outputs][4]. Tables: plain rows.
 */
#include "backend/opencl/opencl.h"

#include <string.h>

#include "core/alloc.h"
#include "core/half.h"

/* Elements of a batch, about: what packing needs beside the device's copy. */
#define BATCH_ELEMENTS ((int64_t)1 << 20)

/* A weight being packed. A line is what lies together: k of 16 outputs (TILES), one cell of k of all outputs (GROUPS), a row of a table. */
typedef struct packing {
    const trdi_weight_source *source;
    bool    in_panels, in_columns;   /* LINEAR in TILES, in GROUPS */
    size_t  element_bytes;
    int64_t cells;                   /* GROUPS: steps of k, or groups of four of I8 */
    size_t  cell_bytes;
    int64_t padded_rows, batch;      /* rows per batch, a multiple of the panel */
    size_t  data_bytes;
    void   *rows, *elements, *packed;/* [batch][cols] as read, as stored; the batch in the device's order */
    float  *scales;                  /* [padded_rows] */
} packing;

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* @return false when the sizes are nonsense or overflow */
static bool plan_packing(const trdi_cl_device *device, const trdi_weight_source *source, packing *p)
{
    if (source->rows < 1 || source->cols < 1 || source->rows > INT32_MAX - TRDI_CL_PANEL || source->cols > INT32_MAX - 4) return false;
    const bool linear = source->layout == TRDI_LAYOUT_LINEAR, tiles = device->traits.form == TRDI_CL_TILES;
    *p = (packing){ .source = source, .in_panels = linear && tiles, .in_columns = linear && !tiles, .element_bytes = trd_dtype_bytes(source->dtype) };
    const int64_t cell = p->in_columns && source->dtype == TRD_DTYPE_I8 ? 4 : 1;
    p->cells = round_up(source->cols, cell) / cell;
    p->cell_bytes = (size_t)cell * p->element_bytes;
    p->padded_rows = round_up(source->rows, TRDI_CL_PANEL);
    const int64_t most = BATCH_ELEMENTS / source->cols / TRDI_CL_PANEL * TRDI_CL_PANEL;
    p->batch = most < TRDI_CL_PANEL ? TRDI_CL_PANEL : most < p->padded_rows ? most : p->padded_rows;
    size_t line;
    if (!trdi_mul_size((size_t)p->cells, p->cell_bytes, &line)) return false;
    return trdi_mul_size((size_t)(linear ? p->padded_rows : source->rows), line, &p->data_bytes) && p->data_bytes < SIZE_MAX / 8;
}

size_t trdi_cl_weight_bytes(const void *device, const trdi_weight_source *source)
{
    packing p = { .source = NULL };
    if (!plan_packing(device, source, &p)) return SIZE_MAX;
    const size_t column = (size_t)p.padded_rows * sizeof(float);
    return p.data_bytes + (source->bias != NULL ? column : 0) + (source->dtype == TRD_DTYPE_I8 ? column : 0);
}

/* ---- Packing ---- */

/* Rows first..first+n-1 as elements of the stored type. */
static const void *read_batch(packing *p, int64_t first, int64_t n)
{
    const trdi_weight_source *s = p->source;
    if (s->dtype == TRD_DTYPE_I8) {
        s->read_i8(s->context, first, n, p->rows, p->scales + first);
        return p->rows;
    }
    s->read(s->context, first, n, p->rows);
    if (s->dtype == TRD_DTYPE_F32) return p->rows;
    const float *from = p->rows;
    uint16_t *to = p->elements;
    for (int64_t i = 0; i < n * s->cols; i++) to[i] = trdi_float_to_half(from[i]);
    return to;
}

/* Elements [n][cols] -> [panel][cols][16], and -> [cells][lanes] with cell elements side by side; what is not there is zero. */
#define PACK(type)                                                                                                               \
    static void panels_##type(const type *from, int64_t n, int64_t cols, type *to)                                               \
    {                                                                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                                                        \
            type *line = to + i / TRDI_CL_PANEL * TRDI_CL_PANEL * cols + i % TRDI_CL_PANEL;                                      \
            for (int64_t k = 0; k < cols; k++) line[k * TRDI_CL_PANEL] = from[i * cols + k];                                     \
        }                                                                                                                        \
    }                                                                                                                            \
    static void columns_##type(const type *from, int64_t n, int64_t cols, int64_t lanes, int64_t cell, type *to)                 \
    {                                                                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                                                        \
            for (int64_t k = 0; k < cols; k++) to[(k / cell * lanes + i) * cell + k % cell] = from[i * cols + k];                \
        }                                                                                                                        \
    }
PACK(int8_t)
PACK(uint16_t)
PACK(float)

/* @param lanes  rows of the batch with its padding */
static void pack_batch(packing *p, const void *from, int64_t n, int64_t lanes)
{
    const int64_t cols = p->source->cols;
    const int64_t cell = (int64_t)(p->cell_bytes / p->element_bytes);
    memset(p->packed, 0, (size_t)(lanes * p->cells) * p->cell_bytes);
    switch (p->source->dtype) {
    case TRD_DTYPE_I8:
        if (p->in_panels) panels_int8_t(from, n, cols, p->packed);
        else columns_int8_t(from, n, cols, lanes, cell, p->packed);
        break;
    case TRD_DTYPE_F16:
        if (p->in_panels) panels_uint16_t(from, n, cols, p->packed);
        else columns_uint16_t(from, n, cols, lanes, cell, p->packed);
        break;
    default:
        if (p->in_panels) panels_float(from, n, cols, p->packed);
        else columns_float(from, n, cols, lanes, cell, p->packed);
        break;
    }
}

/* ---- Sending ---- */

/* Under the device's mutex. */
static cl_int write_batch(trdi_cl_device *device, const packing *p, cl_mem memory, int64_t first, int64_t lanes, const void *from)
{
    if (!p->in_columns) {
        const size_t line = (size_t)p->cells * p->cell_bytes;
        return trdi_cl.EnqueueWriteBuffer(device->queue, memory, CL_TRUE, (size_t)first * line, (size_t)lanes * line, from, 0, NULL, NULL);
    }
    const size_t to[3] = { (size_t)first * p->cell_bytes, 0, 0 }, origin[3] = { 0, 0, 0 };
    const size_t region[3] = { (size_t)lanes * p->cell_bytes, (size_t)p->cells, 1 };
    return trdi_cl.EnqueueWriteBufferRect(device->queue, memory, CL_TRUE, to, origin, region, (size_t)p->padded_rows * p->cell_bytes, 0,
                                          region[0], 0, from, 0, NULL, NULL);
}

static trd_status send_rows(trdi_cl_device *device, packing *p, cl_mem memory)
{
    const int64_t rows = p->source->rows;
    for (int64_t first = 0; first < rows; first += p->batch) {
        const int64_t n = rows - first < p->batch ? rows - first : p->batch;
        const bool linear = p->in_panels || p->in_columns;
        const int64_t lanes = linear ? round_up(n, TRDI_CL_PANEL) : n;
        const void *from = read_batch(p, first, n);
        if (linear) {
            pack_batch(p, from, n, lanes);
            from = p->packed;
        }
        trdi_mutex_lock(&device->mutex);
        cl_int error = write_batch(device, p, memory, first, lanes, from);
        if (error == CL_SUCCESS) error = trdi_cl.Finish(device->queue);      /* Intel's "blocking" write of a rectangle returns before it is done */
        trdi_mutex_unlock(&device->mutex);
        if (error != CL_SUCCESS) return trdi_cl_work_fail(device, error, "rows %lld on of a weight to %s", (long long)first, device->facts.id);
    }
    return TRD_OK;
}

static trd_status send_column(trdi_cl_device *device, const packing *p, const float *values, float padding, cl_mem *out)
{
    const size_t bytes = (size_t)p->padded_rows * sizeof(float);
    float *column = trdi_alloc(bytes);
    if (column == NULL) return trdi_fail(TRD_E_MEMORY, "bias or scales of a weight: %zu bytes", bytes);
    for (int64_t i = 0; i < p->padded_rows; i++) column[i] = i < p->source->rows ? values[i] : padding;
    const trd_status status = trdi_cl_upload(device, column, bytes, out);
    trdi_free(column);
    return status;
}

/* All parts of the weight that is being made. */
static trd_status fill(trdi_cl_device *device, packing *p, trdi_cl_weight *weight)
{
    const trdi_weight_source *source = p->source;
    const int64_t elements = p->batch * source->cols, packed = p->batch * p->cells;
    const size_t read_bytes = source->dtype == TRD_DTYPE_I8 ? 1 : sizeof(float);
    p->rows = trdi_calloc((size_t)elements, read_bytes);
    if (source->dtype == TRD_DTYPE_F16) p->elements = trdi_calloc((size_t)elements, sizeof(uint16_t));
    if (p->in_panels || p->in_columns) p->packed = trdi_calloc((size_t)packed, p->cell_bytes);
    if (source->dtype == TRD_DTYPE_I8) p->scales = trdi_calloc((size_t)p->padded_rows, sizeof(float));
    if (p->rows == NULL || (source->dtype == TRD_DTYPE_F16 && p->elements == NULL) || ((p->in_panels || p->in_columns) && p->packed == NULL) ||
        (source->dtype == TRD_DTYPE_I8 && p->scales == NULL)) {
        return trdi_fail(TRD_E_MEMORY, "packing a weight of %lld x %lld: %lld rows at a time", (long long)source->rows, (long long)source->cols,
                         (long long)p->batch);
    }
    TRDI_TRY(trdi_cl_memory_alloc(device, p->data_bytes, "weight", &weight->data));
    TRDI_TRY(send_rows(device, p, weight->data));
    if (source->bias != NULL) TRDI_TRY(send_column(device, p, source->bias, 0.0f, &weight->bias));
    return source->dtype == TRD_DTYPE_I8 ? send_column(device, p, p->scales, 1.0f, &weight->scales) : TRD_OK;
}

/* ---- Weights ---- */

static trd_status check_source(const trdi_cl_device *device, const trdi_weight_source *source, packing *p)
{
    if (source->dtype != TRD_DTYPE_F32 && source->dtype != TRD_DTYPE_F16 && source->dtype != TRD_DTYPE_I8)
        return trdi_fail(TRD_E_UNSUPPORTED, "weight of type %s on %s: not f32, f16 or i8", trd_dtype_name(source->dtype), device->facts.id);
    if (source->dtype == TRD_DTYPE_I8 ? source->read_i8 == NULL : source->read == NULL)
        return trdi_fail(TRD_E_INVALID, "weight on %s: no function to read it", device->facts.id);
    if (!plan_packing(device, source, p)) {
        return trdi_fail(TRD_E_INVALID, "weight of %lld x %lld cannot be prepared for %s", (long long)source->rows, (long long)source->cols,
                         device->facts.id);
    }
    if (device->traits.max_buffer_bytes > 0 && p->data_bytes > device->traits.max_buffer_bytes) {
        return trdi_fail(TRD_E_MEMORY, "weight of %lld x %lld on %s: %zu bytes, and its largest buffer is %zu", (long long)source->rows,
                         (long long)source->cols, device->facts.id, p->data_bytes, device->traits.max_buffer_bytes);
    }
    return TRD_OK;
}

trd_status trdi_cl_weight_prepare(void *handle, const trdi_weight_source *source, void **out)
{
    trdi_cl_device *device = handle;
    *out = NULL;
    packing p = { .source = NULL };
    TRDI_TRY(trdi_cl_usable(device));
    TRDI_TRY(check_source(device, source, &p));
    trdi_cl_weight *weight = trdi_calloc(1, sizeof *weight);
    if (weight == NULL) return trdi_fail(TRD_E_MEMORY, "weight: %zu bytes", sizeof *weight);
    *weight = (trdi_cl_weight){ .device = device, .layout = source->layout, .dtype = source->dtype, .truncate = source->truncate,
                                .rows = source->rows, .cols = source->cols, .padded_rows = p.padded_rows };
    const trd_status status = fill(device, &p, weight);
    trdi_free(p.rows);
    trdi_free(p.elements);
    trdi_free(p.packed);
    trdi_free(p.scales);
    if (status != TRD_OK) {
        trdi_cl_weight_free(weight);
        return status;
    }
    *out = weight;
    return TRD_OK;
}

const void *trdi_cl_weight_data(const void *weight)
{
    (void)weight;
    return NULL;
}

void trdi_cl_weight_free(void *handle)
{
    trdi_cl_weight *weight = handle;
    if (weight == NULL) return;
    trdi_cl_memory_free(weight->device, weight->data);
    trdi_cl_memory_free(weight->device, weight->scales);
    trdi_cl_memory_free(weight->device, weight->bias);
    trdi_free(weight);
}
