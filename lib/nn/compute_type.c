/*
 * compute_type.c: resolution of compute types. One table holds the wishes in order of preference with what each needs of
 * the device, so a new device or type is a new line.
 */
#include "nn/compute_type.h"

#include <string.h>

static const char *const names[TRDI_N_COMPUTE_TYPES] = {
    [TRDI_COMPUTE_FLOAT32] = "float32",
    [TRDI_COMPUTE_FLOAT16] = "float16",
    [TRDI_COMPUTE_BFLOAT16] = "bfloat16",
    [TRDI_COMPUTE_INT16] = "int16",
    [TRDI_COMPUTE_INT8_FLOAT32] = "int8_float32",
    [TRDI_COMPUTE_INT8_FLOAT16] = "int8_float16",
    [TRDI_COMPUTE_INT8_BFLOAT16] = "int8_bfloat16",
};

typedef struct choice {
    trdi_compute_type type;
    uint32_t needs;           /**< all these bits */
} choice;

enum { MAX_CHOICES = 5, ROW_AUTO = TRDI_N_COMPUTE_TYPES, N_ROWS };

/** By wanted type: the first choice whose needs are met is taken. Every row ends with float32, which needs nothing. */
static const choice rows[N_ROWS][MAX_CHOICES] = {
    [TRDI_COMPUTE_FLOAT32] = { { TRDI_COMPUTE_FLOAT32, 0 } },
    [TRDI_COMPUTE_FLOAT16] = { { TRDI_COMPUTE_FLOAT16, TRDI_TYPES_F16 }, { TRDI_COMPUTE_FLOAT32, 0 } },
    [TRDI_COMPUTE_BFLOAT16] = { { TRDI_COMPUTE_BFLOAT16, TRDI_TYPES_BF16 }, { TRDI_COMPUTE_FLOAT32, 0 } },
    [TRDI_COMPUTE_INT16] = {
        { TRDI_COMPUTE_INT16, TRDI_TYPES_INT16 },
        { TRDI_COMPUTE_INT8_FLOAT32, TRDI_TYPES_CPU | TRDI_TYPES_INT8 },
        { TRDI_COMPUTE_FLOAT16, TRDI_TYPES_GPU | TRDI_TYPES_F16 },
        { TRDI_COMPUTE_FLOAT32, 0 } },
    [TRDI_COMPUTE_INT8_FLOAT32] = {
        { TRDI_COMPUTE_INT8_FLOAT32, TRDI_TYPES_INT8 },
        { TRDI_COMPUTE_INT16, TRDI_TYPES_CPU | TRDI_TYPES_INT16 },
        { TRDI_COMPUTE_FLOAT16, TRDI_TYPES_GPU | TRDI_TYPES_F16 },
        { TRDI_COMPUTE_FLOAT32, 0 } },
    [TRDI_COMPUTE_INT8_FLOAT16] = {
        { TRDI_COMPUTE_INT8_FLOAT16, TRDI_TYPES_INT8 | TRDI_TYPES_F16 },
        { TRDI_COMPUTE_INT8_FLOAT32, TRDI_TYPES_INT8 },
        { TRDI_COMPUTE_FLOAT16, TRDI_TYPES_F16 },
        { TRDI_COMPUTE_INT16, TRDI_TYPES_INT16 },
        { TRDI_COMPUTE_FLOAT32, 0 } },
    [TRDI_COMPUTE_INT8_BFLOAT16] = {
        { TRDI_COMPUTE_INT8_BFLOAT16, TRDI_TYPES_INT8 | TRDI_TYPES_BF16 },
        { TRDI_COMPUTE_INT8_FLOAT32, TRDI_TYPES_INT8 },
        { TRDI_COMPUTE_BFLOAT16, TRDI_TYPES_BF16 },
        { TRDI_COMPUTE_FLOAT32, 0 } },
    [ROW_AUTO] = {
        { TRDI_COMPUTE_INT8_FLOAT16, TRDI_TYPES_GPU | TRDI_TYPES_INT8 | TRDI_TYPES_F16 },
        { TRDI_COMPUTE_INT8_FLOAT32, TRDI_TYPES_INT8 },
        { TRDI_COMPUTE_FLOAT16, TRDI_TYPES_GPU | TRDI_TYPES_F16 },
        { TRDI_COMPUTE_INT16, TRDI_TYPES_CPU | TRDI_TYPES_INT16 },
        { TRDI_COMPUTE_FLOAT32, 0 } },
};

const char *trdi_compute_type_name(trdi_compute_type type)
{
    return names[type];
}

trd_dtype trdi_compute_type_weights(trdi_compute_type type)
{
    switch (type) {
    case TRDI_COMPUTE_FLOAT16: return TRD_DTYPE_F16;
    case TRDI_COMPUTE_INT8_FLOAT32:
    case TRDI_COMPUTE_INT8_FLOAT16: return TRD_DTYPE_I8;
    default: return TRD_DTYPE_F32;
    }
}

trd_dtype trdi_compute_type_kv(trdi_compute_type type)
{
    return type == TRDI_COMPUTE_FLOAT16 || type == TRDI_COMPUTE_INT8_FLOAT16 ? TRD_DTYPE_F16 : TRD_DTYPE_F32;
}

static trdi_compute_type first_choice(int row, uint32_t types)
{
    const choice *c = rows[row];
    while ((c->needs & types) != c->needs) c++;
    return c->type;
}

/** @return TRDI_N_COMPUTE_TYPES if there is no such name */
static trdi_compute_type by_name(const char *name)
{
    if (strcmp(name, "float") == 0) return TRDI_COMPUTE_FLOAT32;
    int type = 0;
    while (type < TRDI_N_COMPUTE_TYPES && strcmp(names[type], name) != 0) type++;
    return (trdi_compute_type)type;
}

static trd_status unsupported(const char *name)
{
    return trdi_fail(TRD_E_UNSUPPORTED, "Requested %s compute type, but the target device or backend do not support "
                     "efficient %s computation.", name, name);
}

/** The i8 type with the float type of the stored one. */
static trdi_compute_type int8_for(trdi_compute_type stored)
{
    switch (stored) {
    case TRDI_COMPUTE_FLOAT16:
    case TRDI_COMPUTE_INT8_FLOAT16: return TRDI_COMPUTE_INT8_FLOAT16;
    case TRDI_COMPUTE_BFLOAT16:
    case TRDI_COMPUTE_INT8_BFLOAT16: return TRDI_COMPUTE_INT8_BFLOAT16;
    default: return TRDI_COMPUTE_INT8_FLOAT32;
    }
}

static bool is_int8(trdi_compute_type type)
{
    return type == TRDI_COMPUTE_INT8_FLOAT32 || type == TRDI_COMPUTE_INT8_FLOAT16 || type == TRDI_COMPUTE_INT8_BFLOAT16;
}

trd_status trdi_compute_type_resolve(const char *requested, const char *stored, uint32_t types, trdi_compute_type *out)
{
    *out = TRDI_COMPUTE_FLOAT32;
    const char *name = requested != NULL ? requested : "default";
    trdi_compute_type saved = by_name(stored);
    if (saved == TRDI_N_COMPUTE_TYPES) saved = TRDI_COMPUTE_FLOAT32;

    if (strcmp(name, "default") == 0) {
        *out = first_choice((int)saved, types);
        return TRD_OK;
    }
    if (strcmp(name, "auto") == 0) {
        *out = first_choice(ROW_AUTO, types);
        return TRD_OK;
    }
    if (strcmp(name, "int8") == 0) {
        const trdi_compute_type type = first_choice((int)int8_for(saved), types);
        if (!is_int8(type)) return unsupported(name);
        *out = type;
        return TRD_OK;
    }
    const trdi_compute_type wanted = by_name(name);
    if (wanted == TRDI_N_COMPUTE_TYPES) return trdi_fail(TRD_E_INVALID, "Invalid compute type: %s", name);
    if (first_choice((int)wanted, types) != wanted) return unsupported(names[wanted]);
    *out = wanted;
    return TRD_OK;
}
