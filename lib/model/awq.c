/* awq.c: checks of 4-bit weights (AWQ). They can be inspected; nothing here runs them. */
#include <string.h>

#include "model/model_private.h"

enum { WEIGHT, ZERO, SCALE };

static trd_status fail_shapes(const trdi_container *c, const trdi_tensor *const t[3], int64_t type)
{
    return trdi_fail(TRD_E_FORMAT,
                     "file '%s': variable '%.*s': the shapes weight %lld x %lld, weight_zero %lld x %lld, weight_scale %lld x %lld do not fit "
                     "quantization_type %lld", c->file, TRDI_SHOWN, t[ZERO]->name, (long long)t[WEIGHT]->dims[0], (long long)t[WEIGHT]->dims[1],
                     (long long)t[ZERO]->dims[0], (long long)t[ZERO]->dims[1], (long long)t[SCALE]->dims[0], (long long)t[SCALE]->dims[1], (long long)type);
}

/* Type 1: weight [in, out/8], zero [groups, out/8], scale [groups, out]. Type 2: [out, in/8], [out, z], [out, 8 z]. */
static trd_status check_shapes(const trdi_container *c, const trdi_tensor *const t[3], int64_t type)
{
    for (int i = 0; i < 3; i++) {
        if (t[i]->rank != 2 || t[i]->count == 0) {
            return trdi_fail(TRD_E_FORMAT, "file '%s': variable '%.*s': must be a matrix that is not empty, its rank is %d", c->file,
                             TRDI_SHOWN, t[i]->name, (int)t[i]->rank);
        }
        const trd_dtype wanted = i == SCALE ? TRD_DTYPE_F16 : TRD_DTYPE_I32;
        if (t[i]->dtype != wanted) {
            return trdi_fail(TRD_E_FORMAT, "file '%s': variable '%.*s': type %s, must be %s", c->file, TRDI_SHOWN, t[i]->name,
                             trd_dtype_name(t[i]->dtype), trd_dtype_name(wanted));
        }
    }
    if (t[SCALE]->dims[1] != 8 * t[ZERO]->dims[1] || t[SCALE]->dims[0] != t[ZERO]->dims[0]) return fail_shapes(c, t, type);
    const bool fits = type == 1 ? t[ZERO]->dims[1] == t[WEIGHT]->dims[1] && t[WEIGHT]->dims[0] % t[ZERO]->dims[0] == 0
                                : t[ZERO]->dims[0] == t[WEIGHT]->dims[0];
    return fits ? TRD_OK : fail_shapes(c, t, type);
}

static trd_status check_one(const trdi_container *c, const trdi_tensor *zero, int64_t type)
{
    if (type == 0) {
        return trdi_fail(TRD_E_FORMAT, "file '%s': variable '%.*s': packed weights, but quantization_type of config.json is 0", c->file,
                         TRDI_SHOWN, zero->name);
    }
    trdi_text name = { 0 };
    trdi_text_add(&name, "%s", zero->name);
    trdi_text_add(&name, "%s", "_scale");    /* room for the longer of the two names */
    if (name.failed) {
        trdi_text_free(&name);
        return trdi_fail(TRD_E_MEMORY, "file '%s': name of the weight of '%.*s'", c->file, TRDI_SHOWN, zero->name);
    }
    char *end = name.data + strlen(zero->name) - strlen("_zero");
    memcpy(end, "_scale", sizeof "_scale");
    const trdi_tensor *scale = trdi_registry_find(c, name.data);
    *end = '\0';
    const trdi_tensor *weight = trdi_registry_find(c, name.data);
    trdi_text_free(&name);
    if (weight == NULL || scale == NULL) {
        return trdi_fail(TRD_E_FORMAT, "file '%s': variable '%.*s': there is no %s beside it", c->file, TRDI_SHOWN, zero->name,
                         weight == NULL ? "weight" : "weight_scale");
    }
    return check_shapes(c, (const trdi_tensor *const[3]){ weight, zero, scale }, type);
}

trd_status trdi_awq_check(const trdi_container *c, int64_t type)
{
    static const char ending[] = "weight_zero";
    for (size_t i = 0; i < c->n_variables; i++) {
        const trdi_tensor *tensor = &c->variables[i].tensor;
        const size_t length = strlen(tensor->name);
        if (length >= sizeof ending - 1 && strcmp(tensor->name + length - (sizeof ending - 1), ending) == 0) TRDI_TRY(check_one(c, tensor, type));
    }
    return TRD_OK;
}
