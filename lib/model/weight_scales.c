/*
 * weight_scales.c: integer weights and the scales they are divided by. An i8 weight has one f32 scale per row; an i16 weight has
 * one for the tensor, and 1000 if the file stores none.
 */
#include <math.h>
#include <string.h>

#include "model/model_private.h"

bool trdi_is_weight_name(const char *name)
{
    static const char ending[] = "weight";
    const size_t length = strlen(name), wanted = sizeof ending - 1;
    return length >= wanted && memcmp(name + length - wanted, ending, wanted) == 0;
}

/* A convolution is quantised as the matrix [out, in * kernel]. */
static int64_t count_scales(const trdi_tensor *weight)
{
    if (weight->dtype == TRD_DTYPE_I16) return 1;
    if (weight->rank == 3 && strstr(weight->name, "conv") != NULL) return weight->dims[0];
    return trdi_tensor_rows(weight);
}

static trd_status check_scale(const trdi_container *c, const trdi_tensor *weight, const trdi_tensor *scale)
{
    const int64_t wanted = count_scales(weight);
    if (scale->dtype != TRD_DTYPE_F32) {
        return trdi_fail(TRD_E_FORMAT, "file '%s': variable '%.*s': type %s, must be f32", c->file, TRDI_SHOWN, scale->name,
                         trd_dtype_name(scale->dtype));
    }
    if (scale->count != wanted) {
        return trdi_fail(TRD_E_FORMAT, "file '%s': variable '%.*s': %lld scales, '%.*s' needs %lld", c->file, TRDI_SHOWN, scale->name,
                         (long long)scale->count,
                         TRDI_SHOWN, weight->name, (long long)wanted);
    }
    for (int64_t i = 0; i < scale->count; i++) {
        float value;
        trdi_tensor_read_f32(scale, i, 1, &value);
        if (!isfinite(value) || value <= 0.0f) {
            return trdi_fail(TRD_E_FORMAT, "file '%s': variable '%.*s': scale %lld is %g, must be finite and above 0", c->file,
                             TRDI_SHOWN, scale->name,
                             (long long)i, (double)value);
        }
    }
    return TRD_OK;
}

static trd_status bind(const trdi_container *c, trdi_tensor *weight)
{
    trdi_text name = { 0 };
    trdi_text_add(&name, "%s_scale", weight->name);
    if (name.failed) {
        trdi_text_free(&name);
        return trdi_fail(TRD_E_MEMORY, "file '%s': name of the scale of '%.*s'", c->file, TRDI_SHOWN, weight->name);
    }
    const trdi_tensor *scale = trdi_registry_find(c, name.data);
    trdi_text_free(&name);
    if (scale == NULL) {
        if (weight->dtype == TRD_DTYPE_I16) return TRD_OK;
        return trdi_fail(TRD_E_FORMAT, "file '%s': variable '%.*s_scale' not found", c->file, TRDI_SHOWN, weight->name);
    }
    TRDI_TRY(check_scale(c, weight, scale));
    weight->scale = scale;
    return TRD_OK;
}

trd_status trdi_scales_bind(trdi_container *c)
{
    for (size_t i = 0; i < c->n_variables; i++) {
        trdi_tensor *tensor = &c->variables[i].tensor;
        const bool integer = tensor->dtype == TRD_DTYPE_I8 || tensor->dtype == TRD_DTYPE_I16;
        if (integer && trdi_is_weight_name(tensor->name)) TRDI_TRY(bind(c, tensor));
    }
    return TRD_OK;
}
