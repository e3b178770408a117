/*
 * container.c: parser of model.bin, binary versions 1 to 6. It reads headers only: a payload is a checked range of the file.
 * Every read is compared with what is left of the file, every count with what could fit there.
 */
#include <string.h>

#include "core/alloc.h"
#include "core/log.h"
#include "model/model_private.h"

/* Smallest records: an empty name, no dimensions, no payload. */
#define LEAST_VARIABLE_BYTES 9
#define LEAST_ALIAS_BYTES 6
#define MAX_RANK 4

typedef struct cursor {
    const char    *file;
    const uint8_t *data;
    size_t         bytes, at;
} cursor;

static trd_status take(cursor *in, size_t bytes, const char *what, const uint8_t **out)
{
    *out = NULL;
    if (bytes > in->bytes - in->at) {
        return trdi_fail(TRD_E_FORMAT, "file '%s' is incomplete: %s needs %zu bytes at position %zu, %zu are left",
                         in->file, what, bytes, in->at, in->bytes - in->at);
    }
    *out = in->data + in->at;
    in->at += bytes;
    return TRD_OK;
}

static trd_status take_u8(cursor *in, const char *what, uint32_t *out)
{
    const uint8_t *p;
    TRDI_TRY(take(in, 1, what, &p));
    *out = p[0];
    return TRD_OK;
}

static trd_status take_u32(cursor *in, const char *what, uint32_t *out)
{
    const uint8_t *p;
    TRDI_TRY(take(in, 4, what, &p));
    *out = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return TRD_OK;
}

/* The length counts the NUL at the end. All names in use are printable ASCII; anything else is not a name. */
static trd_status take_string(cursor *in, const char *what, trdi_arena *arena, const char **out)
{
    const uint8_t *p;
    const size_t start = in->at;
    TRDI_TRY(take(in, 2, what, &p));
    const size_t length = (size_t)p[0] | (size_t)p[1] << 8;
    if (length == 0) return trdi_fail(TRD_E_FORMAT, "file '%s': %s at position %zu has length 0", in->file, what, start);
    TRDI_TRY(take(in, length, what, &p));
    if (p[length - 1] != 0) return trdi_fail(TRD_E_FORMAT, "file '%s': %s at position %zu does not end with NUL", in->file, what, start);
    for (size_t i = 0; i + 1 < length; i++) {
        if (p[i] < 0x20 || p[i] > 0x7e) {
            return trdi_fail(TRD_E_FORMAT, "file '%s': %s at position %zu holds the byte 0x%02x", in->file, what, start, (unsigned)p[i]);
        }
    }
    *out = trdi_arena_copy(arena, (const char *)p, length - 1);
    return *out != NULL ? TRD_OK : trdi_fail(TRD_E_MEMORY, "file '%s': %s of %zu bytes", in->file, what, length);
}

static trd_status take_count(cursor *in, const char *what, size_t least_bytes, uint32_t *out)
{
    TRDI_TRY(take_u32(in, what, out));
    const size_t left = in->bytes - in->at;
    if (*out > left / least_bytes) {
        return trdi_fail(TRD_E_FORMAT, "file '%s': %s is %lu, but only %zu bytes are left", in->file, what, (unsigned long)*out, left);
    }
    return TRD_OK;
}

static trd_status read_head(trdi_container *c, cursor *in)
{
    uint32_t version, revision = 1;
    TRDI_TRY(take_u32(in, "the binary version", &version));
    if (version > TRDI_BINARY_VERSION) {
        return trdi_fail(TRD_E_UNSUPPORTED,
                         "file '%s': unsupported binary version: this library supports versions up to %d, the model has version %lu; "
                         "it was probably made by a later release", c->file, TRDI_BINARY_VERSION, (unsigned long)version);
    }
    if (version == 0) return trdi_fail(TRD_E_FORMAT, "file '%s': binary version 0 does not exist", c->file);
    c->version = version;
    c->spec_name = "";
    if (version >= 2) {
        TRDI_TRY(take_string(in, "the specification name", &c->arena, &c->spec_name));
        TRDI_TRY(take_u32(in, "the specification revision", &revision));
    }
    c->spec = trdi_spec_find(c->spec_name);
    if (c->spec == NULL) return trdi_fail(TRD_E_UNSUPPORTED, "file '%s': unknown model %.*s", c->file, TRDI_SHOWN, c->spec_name);
    if (revision > c->spec->newest_revision) {
        return trdi_fail(TRD_E_UNSUPPORTED,
                         "file '%s': unsupported revision of %s: this library supports revisions up to %lld, the model has revision %lu; "
                         "it was probably made by a later release", c->file, c->spec_name[0] != '\0' ? c->spec_name : "the model",
                         (long long)c->spec->newest_revision, (unsigned long)revision);
    }
    if (revision == 0) return trdi_fail(TRD_E_FORMAT, "file '%s': specification revision 0 does not exist", c->file);
    c->revision = revision;
    return TRD_OK;
}

static trd_status read_shape(cursor *in, trdi_tensor *tensor)
{
    uint32_t rank;
    TRDI_TRY(take_u8(in, "the rank", &rank));
    if (rank > MAX_RANK) return trdi_fail(TRD_E_FORMAT, "file '%s': rank %lu, at most %d", in->file, (unsigned long)rank, MAX_RANK);
    tensor->rank = (int32_t)rank;
    bool empty = false;
    for (uint32_t i = 0; i < MAX_RANK; i++) {
        uint32_t extent = 1;
        if (i < rank) TRDI_TRY(take_u32(in, "a dimension", &extent));
        tensor->dims[i] = extent;
        empty = empty || extent == 0;
    }
    tensor->count = empty ? 0 : 1;
    for (int32_t i = 0; i < tensor->rank && !empty; i++) {
        if (tensor->count > INT64_MAX / tensor->dims[i]) {
            return trdi_fail(TRD_E_FORMAT, "file '%s': the shape %lld x %lld x %lld x %lld has too many elements", in->file,
                             (long long)tensor->dims[0],
                             (long long)tensor->dims[1], (long long)tensor->dims[2], (long long)tensor->dims[3]);
        }
        tensor->count *= tensor->dims[i];
    }
    return TRD_OK;
}

/* Versions 1 to 3 store the width of an element instead of its type. */
static trd_status read_dtype(cursor *in, int64_t version, trdi_tensor *tensor)
{
    uint32_t code;
    TRDI_TRY(take_u8(in, "the data type", &code));
    if (version >= 4) {
        if (code > TRD_DTYPE_BF16) return trdi_fail(TRD_E_FORMAT, "file '%s': unknown data type %lu", in->file, (unsigned long)code);
        tensor->dtype = (trd_dtype)code;
        return TRD_OK;
    }
    switch (code) {
    case 1: tensor->dtype = TRD_DTYPE_I8; return TRD_OK;
    case 2: tensor->dtype = TRD_DTYPE_I16; return TRD_OK;
    case 4: tensor->dtype = TRD_DTYPE_F32; return TRD_OK;
    default: return trdi_fail(TRD_E_FORMAT, "file '%s': unknown data type of width %lu", in->file, (unsigned long)code);
    }
}

static trd_status read_payload(cursor *in, int64_t version, trdi_variable *variable)
{
    trdi_tensor *tensor = &variable->tensor;
    uint32_t count;
    TRDI_TRY(take_u32(in, "the payload size", &count));
    const uint64_t width = trd_dtype_bytes(tensor->dtype);
    const uint64_t stored = version >= 4 ? count : count * width;
    if ((uint64_t)tensor->count > UINT64_MAX / width || (uint64_t)tensor->count * width != stored) {
        return trdi_fail(TRD_E_FORMAT, "file '%s': invalid payload size: %llu bytes stored, the shape holds %lld elements of %llu bytes",
                         in->file,
                         (unsigned long long)stored, (long long)tensor->count, (unsigned long long)width);
    }
    if (stored > SIZE_MAX) return trdi_fail(TRD_E_FORMAT, "file '%s': a payload of %llu bytes", in->file, (unsigned long long)stored);
    variable->offset = in->at;
    tensor->bytes = (size_t)stored;
    return take(in, tensor->bytes, "the payload", &tensor->data);
}

/** Attributes are looked at when the weights are long unmapped: they get memory of their own. */
static trd_status keep_scalar(trdi_container *c, trdi_variable *variable)
{
    const char *copy = trdi_arena_copy(&c->arena, (const char *)variable->tensor.data, variable->tensor.bytes);
    if (copy == NULL) return trdi_fail(TRD_E_MEMORY, "file '%s': a scalar of %zu bytes", c->file, variable->tensor.bytes);
    variable->tensor.data = (const uint8_t *)copy;
    variable->own = true;
    return TRD_OK;
}

static trd_status read_variable(trdi_container *c, cursor *in, const char **name)
{
    trdi_variable variable = { .offset = 0 };
    TRDI_TRY(take_string(in, "the name of a variable", &c->arena, name));
    TRDI_TRY(read_shape(in, &variable.tensor));
    TRDI_TRY(read_dtype(in, c->version, &variable.tensor));
    TRDI_TRY(read_payload(in, c->version, &variable));
    if (variable.tensor.rank == 0) TRDI_TRY(keep_scalar(c, &variable));
    if (c->revision == 1 && c->spec->family == TRDI_FAMILY_SEQ2SEQ) {
        *name = trdi_legacy_rename(&c->arena, *name);
        if (*name == NULL) return trdi_fail(TRD_E_MEMORY, "file '%s': name of a variable", c->file);
    }
    return trdi_registry_add_variable(c, *name, &variable);
}

static trd_status read_variables(trdi_container *c, cursor *in)
{
    uint32_t n;
    TRDI_TRY(take_count(in, "the number of variables", LEAST_VARIABLE_BYTES, &n));
    for (uint32_t i = 0; i < n; i++) {
        const char *name = NULL;
        const trd_status status = read_variable(c, in, &name);
        if (status != TRD_OK) {
            return trdi_fail_within(status, "variable %lu of %lu '%.*s'", (unsigned long)i + 1, (unsigned long)n, TRDI_SHOWN,
                                    name != NULL ? name : "?");
        }
    }
    return TRD_OK;
}

static trd_status read_aliases(trdi_container *c, cursor *in)
{
    uint32_t n;
    TRDI_TRY(take_count(in, "the number of aliases", LEAST_ALIAS_BYTES, &n));
    for (uint32_t i = 0; i < n; i++) {
        const char *alias = NULL, *target = NULL;
        trd_status status = take_string(in, "an alias", &c->arena, &alias);
        if (status == TRD_OK) status = take_string(in, "the target of an alias", &c->arena, &target);
        if (status == TRD_OK) status = trdi_registry_add_alias(c, alias, target);
        if (status != TRD_OK) {
            return trdi_fail_within(status, "alias %lu of %lu '%.*s'", (unsigned long)i + 1, (unsigned long)n, TRDI_SHOWN,
                                    alias != NULL ? alias : "?");
        }
    }
    return TRD_OK;
}

trd_status trdi_container_read(trdi_container *c, const char *file, const uint8_t *data, size_t bytes)
{
    cursor in = { file, data, bytes, 0 };
    c->file = file;
    TRDI_TRY(read_head(c, &in));
    TRDI_TRY(read_variables(c, &in));
    if (c->version >= 3) TRDI_TRY(read_aliases(c, &in));
    if (in.at < in.bytes) trdi_log(TRD_LOG_WARNING, "file '%s': %zu bytes after the last record are ignored", file, in.bytes - in.at);
    return trdi_registry_finish(c);
}

void trdi_container_set_data(trdi_container *c, const uint8_t *data)
{
    for (size_t i = 0; i < c->n_variables; i++) {
        if (!c->variables[i].own) c->variables[i].tensor.data = data == NULL ? NULL : data + c->variables[i].offset;
    }
}

void trdi_container_free(trdi_container *c)
{
    trdi_string_map_destroy(c->index);
    trdi_free(c->dangling);
    trdi_free(c->listing);
    trdi_free(c->sorted);
    trdi_free(c->entries);
    trdi_free(c->variables);
    trdi_arena_free(&c->arena);
    *c = (trdi_container){ 0 };
}
