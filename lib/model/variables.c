/* variables.c: variables by scope and name, with the shape that a description needs. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/model_private.h"

void trdi_join_name(char *text, const char *scope, const char *name)
{
    (void)snprintf(text, TRDI_NAME_BYTES, "%s%s%s", scope, scope[0] != '\0' ? "/" : "", name);
}

const trdi_tensor *trdi_variable_find(const trdi_container *c, const char *scope, const char *name)
{
    char full[TRDI_NAME_BYTES];
    trdi_join_name(full, scope, name);
    return trdi_registry_find(c, full);
}

trd_status trdi_variable_fail(const trdi_container *c, trd_status code, const char *scope, const char *name, const char *format, ...)
{
    char full[TRDI_NAME_BYTES], text[400];
    trdi_join_name(full, scope, name);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return trdi_fail(code, "file '%s': variable '%s': %s", c->file, full, text);
}

static trd_status fail_missing(const trdi_container *c, const char *scope, const char *name)
{
    char full[TRDI_NAME_BYTES];
    trdi_join_name(full, scope, name);
    for (size_t i = 0; i < c->n_dangling; i++) {
        if (strcmp(c->dangling[i].name, full) == 0) {
            return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "not found: it is an alias of '%.*s', which does not exist",
                                      TRDI_SHOWN, c->dangling[i].target);
        }
    }
    return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "not found");
}

static trd_status check_shape(const trdi_container *c, const char *scope, const char *name, const trdi_tensor *tensor, int32_t rank,
                              int64_t dim_0, int64_t dim_1)
{
    const int64_t wanted[2] = { dim_0, dim_1 };
    if (tensor->rank != rank) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "rank %d, must be %d", (int)tensor->rank, (int)rank);
    }
    for (int32_t i = 0; i < rank && i < 2; i++) {
        if (wanted[i] >= 0 && tensor->dims[i] != wanted[i]) {
            return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "dimension %d is %lld, must be %lld", (int)i,
                                      (long long)tensor->dims[i], (long long)wanted[i]);
        }
        if (tensor->dims[i] == 0) return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "dimension %d is 0", (int)i);
    }
    return TRD_OK;
}

static bool is_float(trd_dtype dtype)
{
    return dtype == TRD_DTYPE_F32 || dtype == TRD_DTYPE_F16 || dtype == TRD_DTYPE_BF16;
}

trd_status trdi_array_get(const trdi_container *c, const char *scope, const char *name, bool optional, int32_t rank, int64_t dim_0,
                          int64_t dim_1,
                          const trdi_tensor **out)
{
    *out = NULL;
    const trdi_tensor *tensor = trdi_variable_find(c, scope, name);
    if (tensor == NULL) return optional ? TRD_OK : fail_missing(c, scope, name);
    TRDI_TRY(check_shape(c, scope, name, tensor, rank, dim_0, dim_1));
    if (!is_float(tensor->dtype)) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "type %s, must be a float", trd_dtype_name(tensor->dtype));
    }
    *out = tensor;
    return TRD_OK;
}

trd_status trdi_weight_get(const trdi_container *c, const char *scope, const char *name, int64_t rows, int64_t columns,
                           const trdi_tensor **out)
{
    *out = NULL;
    const trdi_tensor *tensor = trdi_variable_find(c, scope, name);
    if (tensor == NULL) return fail_missing(c, scope, name);
    TRDI_TRY(check_shape(c, scope, name, tensor, 2, rows, columns));
    if (tensor->dtype == TRD_DTYPE_I32) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "type i32, but the configuration does not declare packed weights");
    }
    if (tensor->dtype == TRD_DTYPE_I8 && tensor->scale == NULL) {
        return trdi_variable_fail(c, TRD_E_FORMAT, scope, name, "type i8 without a scale");
    }
    *out = tensor;
    return TRD_OK;
}
