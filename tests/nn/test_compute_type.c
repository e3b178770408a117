/* test_compute_type.c: resolution of compute types: every request, on devices with and without each capability. */
#include "nn/compute_type.h"

#include "check.h"

enum {
    NONE = TRDI_TYPES_CPU,
    CPU_8 = TRDI_TYPES_CPU | TRDI_TYPES_INT8,
    CPU_16 = TRDI_TYPES_CPU | TRDI_TYPES_INT16,
    CPU_8_16 = CPU_8 | CPU_16,
    GPU = TRDI_TYPES_GPU,
    GPU_F16 = GPU | TRDI_TYPES_F16,
    GPU_8 = GPU | TRDI_TYPES_INT8,
    GPU_8_F16 = GPU_8 | TRDI_TYPES_F16,
    GPU_ALL = GPU_8_F16 | TRDI_TYPES_BF16
};

/** want NULL = the request is refused */
static const struct { const char *requested, *stored; uint32_t types; const char *want; } cases[] = {
    { NULL, "float32", NONE, "float32" },
    { "default", "int8_float32", NONE, "float32" },
    { "default", "int8_float32", CPU_8, "int8_float32" },
    { "default", "int8_float32", CPU_16, "int16" },
    { "default", "int8_float32", GPU_F16, "float16" },
    { "default", "int8_float32", GPU, "float32" },
    { "default", "int8_float16", GPU_8_F16, "int8_float16" },
    { "default", "int8_float16", CPU_8, "int8_float32" },
    { "default", "int8_float16", GPU_F16, "float16" },
    { "default", "int8_float16", CPU_16, "int16" },
    { "default", "int8_float16", NONE, "float32" },
    { "default", "int8_bfloat16", GPU_ALL, "int8_bfloat16" },
    { "default", "int8_bfloat16", GPU_8_F16, "int8_float32" },
    { "default", "int8_bfloat16", GPU | TRDI_TYPES_BF16, "bfloat16" },
    { "default", "int8_bfloat16", GPU_F16, "float32" },
    { "default", "int16", CPU_16, "int16" },
    { "default", "int16", CPU_8, "int8_float32" },
    { "default", "int16", GPU_8_F16, "float16" },
    { "default", "int16", NONE, "float32" },
    { "default", "float16", NONE, "float32" },
    { "default", "float16", GPU_F16, "float16" },
    { "default", "bfloat16", GPU_F16, "float32" },
    { "default", "bfloat16", GPU_ALL, "bfloat16" },
    { "auto", "float32", NONE, "float32" },
    { "auto", "float32", CPU_8_16, "int8_float32" },
    { "auto", "float32", CPU_16, "int16" },
    { "auto", "float32", GPU_8_F16, "int8_float16" },
    { "auto", "float32", GPU_8, "int8_float32" },
    { "auto", "float32", GPU_F16, "float16" },
    { "auto", "float32", GPU, "float32" },
    { "float32", "int8_float32", CPU_8, "float32" },
    { "float", "float16", GPU_F16, "float32" },
    { "float16", "float32", NONE, NULL },
    { "float16", "float32", GPU_F16, "float16" },
    { "bfloat16", "float32", GPU_F16, NULL },
    { "int16", "float32", CPU_8, NULL },
    { "int16", "float32", CPU_16, "int16" },
    { "int8", "float32", CPU_8, "int8_float32" },
    { "int8", "float16", GPU_8_F16, "int8_float16" },
    { "int8", "float16", CPU_8, "int8_float32" },
    { "int8", "int8_bfloat16", GPU_ALL, "int8_bfloat16" },
    { "int8", "float32", NONE, NULL },
    { "int8", "float32", GPU_F16, NULL },
    { "int8_float32", "float32", NONE, NULL },
    { "int8_float32", "float32", CPU_16, NULL },
    { "int8_float16", "float32", CPU_8, NULL },
    { "int8_float16", "float32", GPU_8_F16, "int8_float16" },
    { "int8_bfloat16", "float32", GPU_8_F16, NULL },
};

/** Types of weights and of keys and values. */
static void check_parts(void)
{
    static const struct { trdi_compute_type type; trd_dtype weights, kv; } parts[] = {
        { TRDI_COMPUTE_FLOAT32, TRD_DTYPE_F32, TRD_DTYPE_F32 },
        { TRDI_COMPUTE_FLOAT16, TRD_DTYPE_F16, TRD_DTYPE_F16 },
        { TRDI_COMPUTE_INT8_FLOAT32, TRD_DTYPE_I8, TRD_DTYPE_F32 },
        { TRDI_COMPUTE_INT8_FLOAT16, TRD_DTYPE_I8, TRD_DTYPE_F16 },
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        CHECK_INT(trdi_compute_type_weights(parts[i].type), parts[i].weights);
        CHECK_INT(trdi_compute_type_kv(parts[i].type), parts[i].kv);
    }
    /* Whatever a device says it has: what this version computes with comes out of every request, or nothing. */
    for (uint32_t types = 0; types < 64; types++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            trdi_compute_type type;
            if (trdi_compute_type_resolve(cases[i].requested, cases[i].stored, types & TRDI_TYPES_COMPUTED, &type) != TRD_OK) continue;
            CHECK(type == TRDI_COMPUTE_FLOAT32 || type == TRDI_COMPUTE_FLOAT16 || type == TRDI_COMPUTE_INT8_FLOAT32 ||
                  type == TRDI_COMPUTE_INT8_FLOAT16);
        }
    }
}

int main(void)
{
    check_parts();
    trdi_compute_type type;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *requested = cases[i].requested;
        if (cases[i].want != NULL) {
            CHECK_OK(trdi_compute_type_resolve(requested, cases[i].stored, cases[i].types, &type));
            CHECK_STRING(trdi_compute_type_name(type), cases[i].want);
        } else {
            char text[200];
            (void)snprintf(text, sizeof text, "Requested %s compute type, but the target device or backend do not support efficient %s "
                           "computation.", requested, requested);
            CHECK_FAILS(trdi_compute_type_resolve(requested, cases[i].stored, cases[i].types, &type), TRD_E_UNSUPPORTED, text);
        }
    }
    CHECK_FAILS(trdi_compute_type_resolve("int4", "float32", CPU_8, &type), TRD_E_INVALID, "Invalid compute type: int4");
    CHECK_FAILS(trdi_compute_type_resolve("", "float32", CPU_8, &type), TRD_E_INVALID, "Invalid compute type: ");
    return 0;
}
