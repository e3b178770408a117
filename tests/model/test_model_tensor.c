/* test_model_tensor.c: elements of stored tensors as f32: every half, every kind of scale, odd addresses, ranges across rows. */
#include "model/model_private.h"
#include "model_builder.h"

/* Value of an IEEE half, from its definition. */
static double half_value(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double magnitude = exponent == 31 ? (fraction == 0 ? INFINITY : NAN)
                           : exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

static trdi_tensor tensor_of(const uint8_t *data, trd_dtype dtype, int64_t rows, int64_t columns)
{
    return (trdi_tensor){ .name = "t/weight", .dtype = dtype, .rank = 2, .dims = { rows, columns, 1, 1 }, .count = rows * columns,
                          .data = data, .bytes = (size_t)(rows * columns) * trd_dtype_bytes(dtype) };
}

static void check_halves(void)
{
    static uint8_t bytes[2 * 65536 + 1];
    static float values[65536];
    for (int i = 0; i < 65536; i++) {
        bytes[1 + 2 * i] = (uint8_t)i;
        bytes[2 + 2 * i] = (uint8_t)(i >> 8);
    }
    trdi_tensor tensor = tensor_of(bytes + 1, TRD_DTYPE_F16, 256, 256);
    trdi_tensor_read_f32(&tensor, 0, 65536, values);
    for (int i = 0; i < 65536; i++) {
        const double wanted = half_value((uint16_t)i);
        CHECK(isnan(wanted) ? isnan(values[i]) : (double)values[i] == wanted && (signbit(values[i]) != 0) == (signbit(wanted) != 0));
    }
    tensor.dtype = TRD_DTYPE_BF16;
    trdi_tensor_read_f32(&tensor, 0, 65536, values);
    for (uint32_t i = 0; i < 65536; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        CHECK_INT(bits, i << 16);
    }
}

static void check_i8(void)
{
    uint8_t bytes[1 + 15], scales[1 + 12];
    const float rows[3] = { 2.0f, 4.0f, 462.84357f };
    for (int i = 0; i < 15; i++) bytes[1 + i] = (uint8_t)(int8_t)(i * 17 - 120);
    memcpy(scales + 1, rows, sizeof rows);
    const trdi_tensor scale = { .name = "t/weight_scale", .dtype = TRD_DTYPE_F32, .rank = 1, .dims = { 3, 1, 1, 1 }, .count = 3, .data = scales + 1, .bytes = 12 };
    trdi_tensor tensor = tensor_of(bytes + 1, TRD_DTYPE_I8, 3, 5);
    tensor.scale = &scale;
    for (int64_t first = 0; first < 15; first++) {
        for (int64_t n = 0; n <= 15 - first; n++) {
            float values[16];
            for (int i = 0; i < 16; i++) values[i] = NAN;
            trdi_tensor_read_f32(&tensor, first, n, values);
            for (int64_t i = 0; i < n; i++) CHECK(values[i] == (float)((first + i) * 17 - 120) / rows[(first + i) / 5]);
            CHECK(isnan(values[n]));
        }
    }
}

static void check_others(void)
{
    uint8_t bytes[1 + 8];
    float values[2];
    const int16_t shorts[2] = { -32768, 151 };
    memcpy(bytes + 1, shorts, 4);
    trdi_tensor tensor = tensor_of(bytes + 1, TRD_DTYPE_I16, 1, 2);
    trdi_tensor_read_f32(&tensor, 0, 2, values);
    CHECK(values[0] == -32768.0f / 1000.0f && values[1] == 151.0f / 1000.0f);
    float one_scale = 102.4f;
    const trdi_tensor scale = { .name = "t/weight_scale", .dtype = TRD_DTYPE_F32, .dims = { 1, 1, 1, 1 }, .count = 1, .data = (const uint8_t *)&one_scale, .bytes = 4 };
    tensor.scale = &scale;
    trdi_tensor_read_f32(&tensor, 1, 1, values);
    CHECK(values[0] == 151.0f / 102.4f);
    tensor.scale = NULL;
    tensor.name = "num_heads";
    trdi_tensor_read_f32(&tensor, 1, 1, values);
    CHECK(values[0] == 151.0f);
    const int32_t longs[2] = { INT32_MIN, 7 };
    memcpy(bytes + 1, longs, 8);
    tensor = tensor_of(bytes + 1, TRD_DTYPE_I32, 1, 2);
    trdi_tensor_read_f32(&tensor, 0, 2, values);
    CHECK(values[0] == -2147483648.0f && values[1] == 7.0f);
    const float floats[2] = { -0.0f, 1e-42f };
    memcpy(bytes + 1, floats, 8);
    tensor = tensor_of(bytes + 1, TRD_DTYPE_F32, 1, 2);
    trdi_tensor_read_f32(&tensor, 0, 2, values);
    CHECK(memcmp(values, floats, 8) == 0);
}

static void check_rows(void)
{
    trdi_tensor tensor = { .rank = 0, .dims = { 1, 1, 1, 1 }, .count = 1 };
    CHECK_INT(trdi_tensor_rows(&tensor), 1);
    tensor = (trdi_tensor){ .rank = 1, .dims = { 7, 1, 1, 1 }, .count = 7 };
    CHECK_INT(trdi_tensor_rows(&tensor), 1);
    tensor = (trdi_tensor){ .rank = 3, .dims = { 7, 2, 5, 1 }, .count = 70 };
    CHECK_INT(trdi_tensor_rows(&tensor), 14);
    tensor = (trdi_tensor){ .rank = 4, .dims = { 4294967295, 4294967295, 4294967295, 0 }, .count = 0 };
    CHECK_INT(trdi_tensor_rows(&tensor), 0);
}

static const char *stored_type_of(int weights, int others)
{
    static model_builder b;
    trd_model *model;
    builder_pair(&b);
    builder_convert(&b, weights);
    for (size_t i = 0; i < b.n_tensors; i++) {
        const bool array = b.tensors[i].rank == 1 && strstr(b.tensors[i].name, "_scale") == NULL;
        if (array) b.tensors[i].dtype = others;
    }
    CHECK_OK(builder_open(&b, &model));
    const char *type = trdi_model_stored_type(model);
    trd_model_close(model);
    return type;
}

static void check_stored_types(void)
{
    CHECK_STRING(stored_type_of(0, 0), "float32");
    CHECK_STRING(stored_type_of(1, 0), "int8_float32");
    CHECK_STRING(stored_type_of(1, 4), "int8_float16");
    CHECK_STRING(stored_type_of(1, 5), "int8_bfloat16");
    CHECK_STRING(stored_type_of(2, 0), "int16");
    CHECK_STRING(stored_type_of(4, 4), "float16");
    CHECK_STRING(stored_type_of(5, 5), "bfloat16");
    CHECK_STRING(stored_type_of(5, 0), "bfloat16");
}

int main(void)
{
    check_halves();
    check_i8();
    check_others();
    check_rows();
    check_stored_types();
    return 0;
}
