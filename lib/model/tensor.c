/* tensor.c: elements of stored tensors as f32. Payloads are unaligned and little-endian: elements are copied out, never cast. */
#include <string.h>

#include "core/half.h"
#include "model/model_private.h"

int64_t trdi_tensor_rows(const trdi_tensor *tensor)
{
    if (tensor->count == 0) return 0;    /* the other dimensions of an empty tensor are unbounded */
    int64_t rows = 1;
    for (int32_t i = 0; i + 1 < tensor->rank; i++) rows *= tensor->dims[i];
    return rows;
}

static uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | (uint16_t)p[1] << 8); }

static float load_f32(const uint8_t *p)
{
    float value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* One scale serves count / scale->count neighbouring elements. */
static void read_i8(const trdi_tensor *tensor, int64_t first, int64_t n, float *out)
{
    const uint8_t *data = tensor->data + first;
    if (tensor->scale == NULL) {
        for (int64_t i = 0; i < n; i++) out[i] = (float)(int8_t)data[i];
        return;
    }
    const int64_t span = tensor->count / tensor->scale->count;
    for (int64_t done = 0; done < n;) {
        const int64_t row = (first + done) / span;
        int64_t left = (row + 1) * span - (first + done);
        if (left > n - done) left = n - done;
        const float scale = load_f32(tensor->scale->data + 4 * row);
        for (int64_t i = 0; i < left; i++) out[done + i] = (float)(int8_t)data[done + i] / scale;
        done += left;
    }
}

static void read_i16(const trdi_tensor *tensor, int64_t first, int64_t n, float *out)
{
    const bool weight = tensor->scale != NULL || trdi_is_weight_name(tensor->name);
    const float scale = tensor->scale != NULL ? load_f32(tensor->scale->data) : weight ? 1000.0f : 1.0f;
    const uint8_t *data = tensor->data + 2 * first;
    for (int64_t i = 0; i < n; i++) out[i] = (float)(int16_t)load_u16(data + 2 * i) / scale;
}

static void read_i32(const uint8_t *data, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t value;
        memcpy(&value, data + 4 * i, sizeof value);
        out[i] = (float)value;
    }
}

void trdi_tensor_read_f32(const trdi_tensor *tensor, int64_t first, int64_t n, float *out)
{
    if (n <= 0) return;
    switch (tensor->dtype) {
    case TRD_DTYPE_F32:
        memcpy(out, tensor->data + 4 * first, 4 * (size_t)n);
        return;
    case TRD_DTYPE_F16:
        for (int64_t i = 0; i < n; i++) out[i] = trdi_half_to_float(load_u16(tensor->data + 2 * (first + i)));
        return;
    case TRD_DTYPE_BF16:
        for (int64_t i = 0; i < n; i++) {
            const uint32_t bits = (uint32_t)load_u16(tensor->data + 2 * (first + i)) << 16;
            memcpy(&out[i], &bits, sizeof bits);
        }
        return;
    case TRD_DTYPE_I8:
        read_i8(tensor, first, n, out);
        return;
    case TRD_DTYPE_I16:
        read_i16(tensor, first, n, out);
        return;
    case TRD_DTYPE_I32:
        read_i32(tensor->data + 4 * first, n, out);
        return;
    }
}
