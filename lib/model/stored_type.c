/*
 * stored_type.c: the compute type that a file was converted to. Mixed files are settled by a fixed rule: i8 if any weight is i8,
 * else i16 if any is, else the float type of most weight bytes; the float type beside i8 is that of most other float bytes.
 */
#include <string.h>

#include "model/model_private.h"

typedef struct tally { uint64_t bytes[TRD_DTYPE_BF16 + 1]; } tally;

static trd_dtype most_float(const tally *t)
{
    trd_dtype best = TRD_DTYPE_F32;
    if (t->bytes[TRD_DTYPE_F16] > t->bytes[best]) best = TRD_DTYPE_F16;
    if (t->bytes[TRD_DTYPE_BF16] > t->bytes[best]) best = TRD_DTYPE_BF16;
    return best;
}

const char *trdi_stored_type(const trdi_container *c)
{
    tally weights = { { 0 } }, others = { { 0 } };
    bool packed = false;
    for (size_t i = 0; i < c->n_variables; i++) {
        const trdi_tensor *tensor = &c->variables[i].tensor;
        if (trdi_is_weight_name(tensor->name)) {
            weights.bytes[tensor->dtype] += tensor->bytes;
            packed = packed || tensor->dtype == TRD_DTYPE_I32;
        } else if (tensor->rank > 0 && strstr(tensor->name, "_scale") == NULL) {
            others.bytes[tensor->dtype] += tensor->bytes;
        }
    }
    const trd_dtype other = most_float(&others);
    if (weights.bytes[TRD_DTYPE_I8] > 0) {
        return other == TRD_DTYPE_F16 ? "int8_float16" : other == TRD_DTYPE_BF16 ? "int8_bfloat16" : "int8_float32";
    }
    if (weights.bytes[TRD_DTYPE_I16] > 0) return "int16";
    if (packed) return "float16";    /* AWQ runs in f16 whatever else is stored */
    const trd_dtype weight = most_float(&weights);
    return weight == TRD_DTYPE_F16 ? "float16" : weight == TRD_DTYPE_BF16 ? "bfloat16" : "float32";
}
