/* compute_weight.c: prepared weights (treadle/trd_operation.h) from memory of the host or a tensor. */
#include <math.h>

#include "api/compute.h"
#include "core/alloc.h"
#include "core/half.h"

/* What a back end reads a weight from. */
typedef struct weight_data {
    trd_dtype    dtype;
    int64_t      cols;
    const void  *data;        /* [rows][cols] */
    const float *scales;      /* I8: [rows] */
} weight_data;

static float value_at(const weight_data *w, int64_t row, int64_t col)
{
    const int64_t i = row * w->cols + col;
    switch (w->dtype) {
    case TRD_DTYPE_F16: return trdi_half_to_float(((const uint16_t *)w->data)[i]);
    case TRD_DTYPE_I8: return (float)((const int8_t *)w->data)[i] / w->scales[row];
    default: return ((const float *)w->data)[i];
    }
}

static void read_f32(const void *context, int64_t first, int64_t n, float *out)
{
    const weight_data *const w = context;
    for (int64_t r = 0; r < n; r++) {
        for (int64_t c = 0; c < w->cols; c++) out[r * w->cols + c] = value_at(w, first + r, c);
    }
}

static int8_t to_i8(float scaled)
{
    const float rounded = rintf(scaled);
    return (int8_t)(rounded > 127.0f ? 127.0f : rounded < -127.0f ? -127.0f : rounded == rounded ? rounded : 0.0f);
}

static void read_i8(const void *context, int64_t first, int64_t n, int8_t *out, float *scales)
{
    const weight_data *const w = context;
    for (int64_t r = 0; r < n; r++) {
        int8_t *const row = out + r * w->cols;
        float largest = 0.0f;
        for (int64_t c = 0; c < w->cols && w->dtype != TRD_DTYPE_I8; c++) largest = fmaxf(largest, fabsf(value_at(w, first + r, c)));
        scales[r] = w->dtype == TRD_DTYPE_I8 ? w->scales[first + r] : largest > 0.0f ? 127.0f / largest : 1.0f;
        for (int64_t c = 0; c < w->cols; c++) {
            if (w->dtype == TRD_DTYPE_I8) row[c] = ((const int8_t *)w->data)[(first + r) * w->cols + c];
            else row[c] = to_i8(value_at(w, first + r, c) * scales[r]);
        }
    }
}

static const trd_weight_options weight_defaults = { .struct_size = sizeof(trd_weight_options), .use = TRD_WEIGHT_LINEAR, .dtype = TRD_DTYPE_F32 };

void trd_weight_options_init(trd_weight_options *options, size_t size)
{
    trdi_write_defaults(options, size, &weight_defaults, sizeof weight_defaults);
}

static trd_status check_data(const char *name, const weight_data *w, int64_t rows)
{
    if (rows < 1 || w->cols < 1 || rows > INT32_MAX || w->cols > INT32_MAX)
        return trdi_fail(TRD_E_INVALID, "%s: %lld x %lld, not 1 to 2147483647 each", name, (long long)rows, (long long)w->cols);
    if (w->data == NULL) return trdi_fail(TRD_E_INVALID, "%s: data is NULL", name);
    if (w->dtype != TRD_DTYPE_F32 && w->dtype != TRD_DTYPE_F16 && w->dtype != TRD_DTYPE_I8)
        return trdi_fail(TRD_E_INVALID, "%s: data is %s, not f32, f16 or i8", name, trd_dtype_name(w->dtype));
    if ((w->dtype == TRD_DTYPE_I8) != (w->scales != NULL)) return trdi_fail(TRD_E_INVALID, "%s: scales are for i8 data, which needs them", name);
    for (int64_t r = 0; r < rows && w->scales != NULL; r++) {
        if (!(w->scales[r] > 0.0f) || isinf(w->scales[r])) return trdi_fail(TRD_E_INVALID, "%s: scales[%lld] is %g", name, (long long)r, (double)w->scales[r]);
    }
    const int8_t *const bytes = w->dtype == TRD_DTYPE_I8 ? w->data : NULL;
    for (int64_t i = 0; i < rows * w->cols && bytes != NULL; i++) {
        if (bytes[i] == -128) return trdi_fail(TRD_E_INVALID, "%s: i8 data holds -128 at row %lld; integers are -127 to 127", name, (long long)(i / w->cols));
    }
    return TRD_OK;
}

static trd_status check_options(const char *name, const trd_weight_options *o)
{
    if (o->use != TRD_WEIGHT_LINEAR && o->use != TRD_WEIGHT_EMBEDDING) return trdi_fail(TRD_E_INVALID, "%s: use %d is unknown", name, (int)o->use);
    if (o->dtype != TRD_DTYPE_F32 && o->dtype != TRD_DTYPE_F16 && o->dtype != TRD_DTYPE_I8)
        return trdi_fail(TRD_E_INVALID, "%s: a prepared weight is f32, f16 or i8, not %s", name, trd_dtype_name(o->dtype));
    if (o->bias != NULL && o->use != TRD_WEIGHT_LINEAR) return trdi_fail(TRD_E_INVALID, "%s: a table has no bias", name);
    return TRD_OK;
}

/* A weight that no operation takes is refused when it is made, not when it is used. */
static trd_status check_supported(const trd_device *device, const char *name, const trd_weight *weight, trd_dtype dtype)
{
    const trdi_span some = { weight->impl, 0 };        /* whether an operation is supported does not depend on memory */
    trdi_op op = { .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS };
    if (weight->use == TRD_WEIGHT_LINEAR) {
        op.u.linear = (trdi_op_linear){ .weight = weight->impl, .x = some, .y = some, .in = weight->cols, .out = weight->rows, .x_stride = weight->cols,
                                        .y_stride = weight->rows, .activation = TRD_ACTIVATION_NONE };
    } else {
        op.kind = TRDI_OP_EMBED;
        op.u.embed = (trdi_op_embed){ .table = weight->impl, .ids = some, .y = some, .width = weight->cols, .y_stride = weight->cols, .scale = 1.0f };
    }
    if (device->device->ops->supports(device->device->impl, &op)) return TRD_OK;
    return trdi_fail(TRD_E_UNSUPPORTED, "%s: device %s has no %s with %s weights of %lld x %lld", name, device->device->facts.id,
                     weight->use == TRD_WEIGHT_LINEAR ? "products" : "tables", trd_dtype_name(dtype), (long long)weight->rows, (long long)weight->cols);
}

static trd_status prepare(trd_device *device, const char *name, int64_t rows, const weight_data *data, const trd_weight_options *o, trd_weight **out)
{
    TRDI_TRY(check_options(name, o));
    TRDI_TRY(check_data(name, data, rows));
    trd_weight *const weight = trdi_alloc(sizeof *weight);
    if (weight == NULL) return trdi_fail(TRD_E_MEMORY, "%s: %zu bytes", name, sizeof *weight);
    const trdi_weight_source source = {
        .layout = o->use == TRD_WEIGHT_LINEAR ? TRDI_LAYOUT_LINEAR : TRDI_LAYOUT_EMBEDDING, .dtype = o->dtype, .rows = rows, .cols = data->cols,
        .read = read_f32, .read_i8 = read_i8, .context = data, .bias = o->bias,
    };
    *weight = (trd_weight){ .use = o->use, .rows = rows, .cols = data->cols };
    trd_status status = device->device->ops->weight_prepare(device->device->impl, &source, &weight->impl);
    if (status != TRD_OK) {
        trdi_free(weight);
        return trdi_fail_within(status, "%s", name);
    }
    status = check_supported(device, name, weight, o->dtype);
    if (status != TRD_OK) {
        device->device->ops->weight_free(weight->impl);
        trdi_free(weight);
        return status;
    }
    weight->device = trdi_open_device_use(device);
    *out = weight;
    return TRD_OK;
}

trd_status trd_weight_create(trd_device *device, int64_t rows, int64_t cols, trd_dtype data_dtype, const void *data,
                             const trd_weight_options *options, trd_weight **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_weight_create: out is NULL");
    *out = NULL;
    TRDI_TRY(trdi_device_check(device, "trd_weight_create"));
    trd_weight_options o = weight_defaults;
    TRDI_TRY(trdi_read_options(&o, sizeof o, options, "trd_weight_create"));
    const weight_data from = { .dtype = data_dtype, .cols = cols, .data = data, .scales = o.scales };
    return prepare(device, "trd_weight_create", rows, &from, &o, out);
}

trd_status trd_weight_from_tensor(trd_queue *queue, const trd_tensor *tensor, const trd_weight_options *options, trd_weight **out)
{
    static const char name[] = "trd_weight_from_tensor";
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "%s: out is NULL", name);
    *out = NULL;
    if (queue == NULL || tensor == NULL) return trdi_fail(TRD_E_INVALID, "%s: queue or tensor is NULL", name);
    trd_weight_options o = weight_defaults;
    TRDI_TRY(trdi_read_options(&o, sizeof o, options, name));
    if (tensor->rank != 2 || !tensor->is_contiguous || (tensor->dtype != TRD_DTYPE_F32 && tensor->dtype != TRD_DTYPE_F16))
        return trdi_fail(TRD_E_INVALID, "%s: the tensor is %s of rank %d; wanted is contiguous f32 or f16 of rank 2", name, trd_dtype_name(tensor->dtype),
                         (int)tensor->rank);
    const size_t bytes = (size_t)tensor->n_elements * trd_dtype_bytes(tensor->dtype);
    void *const data = trdi_alloc(bytes);
    if (data == NULL) return trdi_fail(TRD_E_MEMORY, "%s: %zu bytes", name, bytes);
    trd_status status = trd_tensor_read(queue, tensor, data, bytes);
    const weight_data from = { .dtype = tensor->dtype, .cols = tensor->cols, .data = data, .scales = o.scales };
    if (status == TRD_OK) status = prepare(queue->device, name, tensor->rows, &from, &o, out);
    trdi_free(data);
    return status;
}

void trd_weight_destroy(trd_weight *weight)
{
    if (weight == NULL || weight->device->process != trdi_process_id()) return;
    weight->device->device->ops->weight_free(weight->impl);
    trdi_open_device_drop(weight->device);
    trdi_free(weight);
}
