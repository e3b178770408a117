/*
 * attributes.c: scalar variables that configure a model, converted to the type that is wanted.
 * Old revisions keep some of them at the top level instead of below "encoder" and "decoder".
 */
#include <math.h>
#include <string.h>

#include "model/model_private.h"

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, names[i]) == 0) return true;
    }
    return false;
}

/* Is scope/name looked up at the top level too, in files of this revision? */
static bool is_top_level_too(const trdi_container *c, const char *scope, const char *name)
{
    static const char *const both[] = { "num_heads", "pre_norm", "activation" };
    static const char *const decoder[] = { "alignment_layer", "alignment_heads" };
    const bool in_decoder = strcmp(scope, "decoder") == 0, in_encoder = strcmp(scope, "encoder") == 0;
    if (c->spec->family == TRDI_FAMILY_DECODER) return in_decoder && c->revision < 2 && is_one_of(name, both, 3);
    if (c->spec->family != TRDI_FAMILY_SEQ2SEQ || c->revision >= 5 || !(in_decoder || in_encoder)) return false;
    return is_one_of(name, both, 3) || (in_decoder ? is_one_of(name, decoder, 2) : strcmp(name, "embeddings_merge") == 0);
}

const trdi_tensor *trdi_attribute_find(const trdi_container *c, const char *scope, const char *name)
{
    const trdi_tensor *tensor = trdi_variable_find(c, scope, name);
    if (tensor == NULL && is_top_level_too(c, scope, name)) tensor = trdi_registry_find(c, name);
    return tensor;
}

/* The value as a double: exact for every type that a scalar can have. */
static trd_status read_scalar(const trdi_container *c, const char *scope, const char *name, const trdi_tensor *tensor, double *out)
{
    if (tensor->rank != 0) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "storage is not a scalar, its rank is %d", (int)tensor->rank);
    }
    if (tensor->dtype == TRD_DTYPE_I32) {
        int32_t value;
        memcpy(&value, tensor->data, sizeof value);
        *out = value;
    } else if (tensor->dtype == TRD_DTYPE_I16) {
        int16_t value;
        memcpy(&value, tensor->data, sizeof value);
        *out = value;
    } else if (tensor->dtype == TRD_DTYPE_I8) {
        *out = (double)(int8_t)tensor->data[0];
    } else {
        float value;
        trdi_tensor_read_f32(tensor, 0, 1, &value);
        *out = (double)value;
    }
    if (!isfinite(*out)) return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "the value is not finite");
    return TRD_OK;
}

trd_status trdi_attribute_int(const trdi_container *c, const char *scope, const char *name, trdi_int_rule rule, int64_t *out)
{
    *out = rule.absent;
    const trdi_tensor *tensor = trdi_attribute_find(c, scope, name);
    if (tensor == NULL) return TRD_OK;
    double value = 0.0;
    TRDI_TRY(read_scalar(c, scope, name, tensor, &value));
    if (value != floor(value) || value < (double)rule.low || value > (double)rule.high) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "the value is %.9g, must be an integer from %lld to %lld", value,
                                  (long long)rule.low, (long long)rule.high);
    }
    *out = (int64_t)value;
    return TRD_OK;
}

trd_status trdi_attribute_float(const trdi_container *c, const char *scope, const char *name, float absent, float *out)
{
    *out = absent;
    const trdi_tensor *tensor = trdi_attribute_find(c, scope, name);
    if (tensor == NULL) return TRD_OK;
    double value = 0.0;
    TRDI_TRY(read_scalar(c, scope, name, tensor, &value));
    *out = (float)value;
    return TRD_OK;
}

trd_status trdi_attribute_flag(const trdi_container *c, const char *scope, const char *name, bool absent, bool *out)
{
    *out = absent;
    const trdi_tensor *tensor = trdi_attribute_find(c, scope, name);
    if (tensor == NULL) return TRD_OK;
    double value = 0.0;
    TRDI_TRY(read_scalar(c, scope, name, tensor, &value));
    *out = value != 0.0;
    return TRD_OK;
}
