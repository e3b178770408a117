/*
 * vocabulary.c: the tokens of a vocabulary file, JSON or text, in id order, with a map from token to id. The unknown token is
 * appended if the file lacks it. A token that occurs twice keeps its first id.
 */
#include <string.h>

#include "core/alloc.h"
#include "model/model_private.h"

struct trdi_vocabulary {
    char    *bytes;             /* tokens one after another, each with a NUL */
    size_t   n_bytes, bytes_capacity;
    size_t  *starts;            /* [n + 1] */
    size_t   n, starts_capacity;
    trdi_string_map *ids;
};

int64_t trdi_vocabulary_size(const trdi_vocabulary *v) { return v == NULL ? 0 : (int64_t)v->n; }

const char *trdi_vocabulary_token(const trdi_vocabulary *v, int64_t id, size_t *bytes)
{
    if (bytes != NULL) *bytes = 0;
    if (v == NULL || id < 0 || (uint64_t)id >= v->n) return NULL;
    if (bytes != NULL) *bytes = v->starts[id + 1] - v->starts[id] - 1;
    return v->bytes + v->starts[id];
}

int64_t trdi_vocabulary_id(const trdi_vocabulary *v, const char *token, size_t bytes)
{
    return v == NULL ? -1 : trdi_string_map_get(v->ids, token, bytes, -1);
}

void trdi_vocabulary_destroy(trdi_vocabulary *v)
{
    if (v == NULL) return;
    trdi_string_map_destroy(v->ids);
    trdi_free(v->starts);
    trdi_free(v->bytes);
    trdi_free(v);
}

static trd_status fail_memory(const trdi_model_file *file, const trdi_vocabulary *v)
{
    return trdi_fail(TRD_E_MEMORY, "file '%s': vocabulary of %zu tokens", file->label, v == NULL ? 0 : v->n);
}

static trd_status add_token(const trdi_model_file *file, trdi_vocabulary *v, const char *token, size_t bytes)
{
    if (v->n >= INT32_MAX - 1) return trdi_fail(TRD_E_FORMAT, "file '%s': more than %d tokens", file->label, (int)INT32_MAX - 1);
    if (!trdi_reserve((void **)&v->bytes, &v->bytes_capacity, v->n_bytes + bytes + 1, 1) ||
        !trdi_reserve((void **)&v->starts, &v->starts_capacity, v->n + 2, sizeof *v->starts)) {
        return fail_memory(file, v);
    }
    v->starts[v->n++] = v->n_bytes;
    if (bytes != 0) memcpy(v->bytes + v->n_bytes, token, bytes);
    v->n_bytes += bytes;
    v->bytes[v->n_bytes++] = '\0';
    v->starts[v->n] = v->n_bytes;
    return TRD_OK;
}

static bool holds(const trdi_vocabulary *v, const trdi_token *token)
{
    for (size_t i = 0; i < v->n; i++) {
        size_t bytes;
        const char *known = trdi_vocabulary_token(v, (int64_t)i, &bytes);
        if (bytes == token->bytes && memcmp(known, token->data, bytes) == 0) return true;
    }
    return false;
}

static trd_status finish(const trdi_model_file *file, trdi_vocabulary *v, const trdi_token *unk)
{
    if (!holds(v, unk)) TRDI_TRY(add_token(file, v, unk->data, unk->bytes));
    v->ids = trdi_string_map_create(v->n);
    if (v->ids == NULL) return fail_memory(file, v);
    for (size_t i = 0; i < v->n; i++) {
        size_t bytes;
        const char *token = trdi_vocabulary_token(v, (int64_t)i, &bytes);
        if (!trdi_string_map_add(v->ids, token, bytes, (int64_t)i, NULL)) return fail_memory(file, v);
    }
    return TRD_OK;
}

static trd_status add_json_tokens(const trdi_model_file *file, const json_t *array, trdi_vocabulary *v)
{
    if (!json_is_array(array)) return trdi_fail(TRD_E_FORMAT, "file '%s': must be an array of strings", file->label);
    const size_t n = json_array_size(array);
    for (size_t i = 0; i < n; i++) {
        const json_t *token = json_array_get(array, i);
        if (!json_is_string(token)) return trdi_fail(TRD_E_FORMAT, "file '%s': element %zu is not a string", file->label, i);
        TRDI_TRY(add_token(file, v, json_string_value(token), json_string_length(token)));
    }
    return TRD_OK;
}

trd_status trdi_vocabulary_from_json(const trdi_model_file *file, const trdi_token *unk, trdi_vocabulary **out)
{
    *out = NULL;
    json_t *array = NULL;
    TRDI_TRY(trdi_json_parse(file, JSON_ALLOW_NUL, &array));
    trdi_vocabulary *v = trdi_calloc(1, sizeof *v);
    trd_status status = v == NULL ? fail_memory(file, NULL) : add_json_tokens(file, array, v);
    json_decref(array);
    if (status == TRD_OK) status = finish(file, v, unk);
    if (status == TRD_OK) *out = v;
    else trdi_vocabulary_destroy(v);
    return status;
}

/* The next line of a text, without its newline; false at the end. A last line without a newline counts. */
static bool next_line(const char *text, size_t bytes, size_t *at, const char **line, size_t *length)
{
    if (*at >= bytes) return false;
    *line = text + *at;
    const char *end = memchr(*line, '\n', bytes - *at);
    *length = end != NULL ? (size_t)(end - *line) : bytes - *at;
    *at += *length + 1;
    return true;
}

/* Carriage returns belong to the tokens unless every line has one. */
static bool every_line_has_return(const char *text, size_t bytes)
{
    const char *line;
    size_t length;
    for (size_t at = 0; next_line(text, bytes, &at, &line, &length);) {
        if (length == 0 || line[length - 1] != '\r') return false;
    }
    return true;
}

static trd_status add_lines(const trdi_model_file *file, trdi_vocabulary *v)
{
    const char *text = file->bytes != 0 ? (const char *)file->data : "", *line;
    const size_t cut = every_line_has_return(text, file->bytes) ? 1 : 0;
    size_t length;
    for (size_t at = 0; next_line(text, file->bytes, &at, &line, &length);) TRDI_TRY(add_token(file, v, line, length - cut));
    return TRD_OK;
}

trd_status trdi_vocabulary_from_text(const trdi_model_file *file, const trdi_token *unk, trdi_vocabulary **out)
{
    *out = NULL;
    trdi_vocabulary *v = trdi_calloc(1, sizeof *v);
    trd_status status = v == NULL ? fail_memory(file, NULL) : add_lines(file, v);
    if (status == TRD_OK) status = finish(file, v, unk);
    if (status == TRD_OK) *out = v;
    else trdi_vocabulary_destroy(v);
    return status;
}
