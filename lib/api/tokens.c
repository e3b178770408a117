/* tokens.c: the caller's token sequences, in three forms, and their ids. */
#include <string.h>

#include "api/translator.h"

/** Separates the features of a source token: U+FFE8. */
static const char field_separator[] = "\xEF\xBF\xA8";
#define SEPARATOR_BYTES (sizeof field_separator - 1)

static trd_status check_lengths(const trd_sequences *sequences, const char *what, int64_t *total)
{
    *total = 0;
    if (sequences->n < 0) return trdi_fail(TRD_E_INVALID, "%s: n is %lld", what, (long long)sequences->n);
    if (sequences->n > 0 && sequences->lengths == NULL) return trdi_fail(TRD_E_INVALID, "%s: lengths is NULL", what);
    for (int64_t i = 0; i < sequences->n; i++) {
        const int64_t length = sequences->lengths[i];
        if (length < 0 || length > INT32_MAX - *total) {
            return trdi_fail(TRD_E_INVALID, "%s: length of sequence %lld is %lld", what, (long long)i, (long long)length);
        }
        *total += length;
    }
    return TRD_OK;
}

trd_status trdi_sequences_check(const trd_sequences *sequences, const char *what)
{
    int64_t total;
    if (sequences->reserved[0] != NULL || sequences->reserved[1] != NULL) {
        return trdi_fail(TRD_E_INVALID, "%s: reserved is not NULL: start from zeros", what);
    }
    TRDI_TRY(check_lengths(sequences, what, &total));
    if (total == 0) return TRD_OK;
    const int forms = (sequences->tokens != NULL) + (sequences->bytes != NULL) + (sequences->ids != NULL);
    if (forms != 1) return trdi_fail(TRD_E_INVALID, "%s: %d of tokens, bytes and ids are given, 1 is wanted", what, forms);
    if (sequences->bytes != NULL && sequences->byte_lengths == NULL) return trdi_fail(TRD_E_INVALID, "%s: byte_lengths is NULL", what);
    for (int64_t i = 0; i < total; i++) {
        if (sequences->tokens != NULL && sequences->tokens[i] == NULL) {
            return trdi_fail(TRD_E_INVALID, "%s: token %lld is NULL", what, (long long)i);
        }
        if (sequences->bytes != NULL && sequences->byte_lengths[i] < 0) {
            return trdi_fail(TRD_E_INVALID, "%s: token %lld has %lld bytes", what, (long long)i, (long long)sequences->byte_lengths[i]);
        }
    }
    return TRD_OK;
}

void trdi_sequence_next(const trd_sequences *from, int64_t index, trdi_sequence *sequence)
{
    for (int64_t i = 0; from->bytes != NULL && i < sequence->n; i++) {
        sequence->first_byte += from->byte_lengths[sequence->first + i];
    }
    sequence->from = from;
    sequence->first += sequence->n;
    sequence->n = from->lengths[index];
}

const char *trdi_sequence_token(const trdi_sequence *sequence, int64_t i, size_t *bytes)
{
    const trd_sequences *from = sequence->from;
    const int64_t at = sequence->first + i;
    *bytes = 0;
    if (from->tokens != NULL) {
        *bytes = strlen(from->tokens[at]);
        return from->tokens[at];
    }
    if (from->bytes == NULL) return NULL;
    int64_t begin = sequence->first_byte;
    for (int64_t k = sequence->first; k < at; k++) begin += from->byte_lengths[k];
    *bytes = (size_t)from->byte_lengths[at];
    return from->bytes + begin;
}

static int32_t find_id(const trdi_vocabulary *vocabulary, const char *token, size_t bytes, int32_t unknown_id)
{
    const int64_t id = trdi_vocabulary_id(vocabulary, token, bytes);
    return id >= 0 ? (int32_t)id : unknown_id;
}

/* Token i and where the next one begins: walks the bytes form once. */
static const char *walk(const trdi_sequence *sequence, int64_t i, int64_t *byte, size_t *bytes)
{
    const trd_sequences *from = sequence->from;
    if (from->bytes == NULL) return trdi_sequence_token(sequence, i, bytes);
    const char *token = from->bytes + *byte;
    *bytes = (size_t)from->byte_lengths[sequence->first + i];
    *byte += from->byte_lengths[sequence->first + i];
    return token;
}

void trdi_sequence_ids(const trdi_sequence *sequence, const trdi_vocabulary *vocabulary, int32_t unknown_id, int32_t *out)
{
    int64_t byte = sequence->first_byte;
    for (int64_t i = 0; i < sequence->n; i++) {
        if (sequence->from->ids != NULL) {
            out[i] = sequence->from->ids[sequence->first + i];
            continue;
        }
        size_t bytes;
        const char *token = walk(sequence, i, &byte, &bytes);
        out[i] = find_id(vocabulary, token, bytes, unknown_id);
    }
}

int32_t trdi_feature_id(const trd_model *model, int64_t k, int32_t id)
{
    if (k == 0) return id;
    size_t bytes;
    const char *token = trdi_vocabulary_token(model->source[0], id, &bytes);
    int64_t found = token != NULL ? trdi_vocabulary_id(model->source[k], token, bytes) : -1;
    if (found < 0 && id != model->source_ids.unk) found = trdi_feature_id(model, k, model->source_ids.unk);
    return (int32_t)found;
}

/* End of the field that begins at token: the separator or the end. */
static size_t field_length(const char *token, size_t bytes)
{
    for (size_t i = 0; i + SEPARATOR_BYTES <= bytes; i++) {
        if (memcmp(token + i, field_separator, SEPARATOR_BYTES) == 0) return i;
    }
    return bytes;
}

static trd_status split_token(const char *token, size_t bytes, const trd_model *model, int64_t place, int32_t *const *out)
{
    const int64_t n_features = model->n_source_vocabularies;
    int64_t k = 0;
    for (;; k++) {
        const size_t length = field_length(token, bytes);
        if (k < n_features) out[k][place] = find_id(model->source[k], token, length, trdi_feature_id(model, k, model->source_ids.unk));
        if (length == bytes) break;
        token += length + SEPARATOR_BYTES;
        bytes -= length + SEPARATOR_BYTES;
    }
    if (k + 1 == n_features) return TRD_OK;
    return trdi_fail(TRD_E_INVALID, "source token %lld has %lld features, the model wants %lld", (long long)place,
                     (long long)k + 1, (long long)n_features);
}

trd_status trdi_sequence_features(const trdi_sequence *sequence, const trd_model *model, int32_t *const *out)
{
    const int64_t n_features = model->n_source_vocabularies;
    if (sequence->from->ids != NULL) {
        for (int64_t i = 0; i < sequence->n; i++) {
            for (int64_t k = 0; k < n_features; k++) out[k][i] = sequence->from->ids[(sequence->first + i) * n_features + k];
        }
        return TRD_OK;
    }
    if (n_features == 1) {
        trdi_sequence_ids(sequence, model->source[0], model->source_ids.unk, out[0]);
        return TRD_OK;
    }
    int64_t byte = sequence->first_byte;
    for (int64_t i = 0; i < sequence->n; i++) {
        size_t bytes;
        const char *token = walk(sequence, i, &byte, &bytes);
        TRDI_TRY(split_token(token, bytes, model, i, out));
    }
    return TRD_OK;
}

const char *trdi_sequence_field(const trdi_sequence *sequence, const trd_model *model, int64_t i, size_t *bytes)
{
    const int64_t n_features = model->n_source_vocabularies;
    if (sequence->from->ids != NULL) {
        return trdi_vocabulary_token(model->source[0], sequence->from->ids[(sequence->first + i) * n_features], bytes);
    }
    const char *token = trdi_sequence_token(sequence, i, bytes);
    if (n_features > 1) *bytes = field_length(token, *bytes);
    return token;
}

int64_t trdi_truncate(int32_t *ids, int64_t n, int64_t max_length, int32_t eos)
{
    if (max_length <= 0 || n <= max_length) return n;
    if (ids[n - 1] == eos) {
        ids[max_length - 1] = eos;
    } else if (max_length >= 2 && ids[n - 2] == eos) {
        ids[max_length - 2] = eos;
        ids[max_length - 1] = ids[n - 1];
    }
    return max_length;
}
