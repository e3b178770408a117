/* files_tokens.c: tokens of lines, and what callbacks of the caller put there. */
#include <string.h>

#include "api/files_private.h"
#include "core/alloc.h"

static bool add_bytes(trdi_file_tokens *tokens, const char *bytes, size_t n)
{
    if (n > SIZE_MAX - tokens->n_bytes) return false;
    void *grown = tokens->bytes;
    const bool there = trdi_reserve(&grown, &tokens->bytes_capacity, tokens->n_bytes + n, 1);
    tokens->bytes = grown;
    if (!there) return false;
    if (n > 0) memcpy(tokens->bytes + tokens->n_bytes, bytes, n);
    tokens->n_bytes += n;
    return true;
}

static bool add_token(trdi_file_tokens *tokens, const char *bytes, size_t n)
{
    void *grown = tokens->token_bytes;
    const bool there = trdi_reserve(&grown, &tokens->token_capacity, tokens->n_tokens + 1, sizeof *tokens->token_bytes);
    tokens->token_bytes = grown;
    if (!there || !add_bytes(tokens, bytes, n)) return false;
    tokens->token_bytes[tokens->n_tokens++] = (int64_t)n;
    return true;
}

static bool end_sequence(trdi_file_tokens *tokens)
{
    void *grown = tokens->lengths;
    const bool there = trdi_reserve(&grown, &tokens->capacity, tokens->n + 1, sizeof *tokens->lengths);
    tokens->lengths = grown;
    if (!there) return false;
    tokens->lengths[tokens->n++] = (int64_t)(tokens->n_tokens - tokens->n_ended);
    tokens->n_ended = tokens->n_tokens;
    return true;
}

trd_status trd_pieces_add(trd_pieces *pieces, const char *bytes, size_t n_bytes)
{
    if (pieces == NULL || (bytes == NULL && n_bytes > 0)) {
        return trdi_fail(TRD_E_INVALID, "trd_pieces_add: %s is NULL", pieces == NULL ? "pieces" : "bytes");
    }
    const bool added = pieces->is_text ? add_bytes(pieces->tokens, bytes, n_bytes) : add_token(pieces->tokens, bytes, n_bytes);
    if (added) return TRD_OK;
    pieces->failed = true;
    return trdi_fail(TRD_E_MEMORY, "trd_pieces_add: %zu bytes: out of memory", n_bytes);
}

static bool split(trd_pieces *out, const char *line, size_t bytes)
{
    while (bytes > 0 && !out->failed) {
        const char *space = memchr(line, ' ', bytes);
        const size_t piece = space != NULL ? (size_t)(space - line) : bytes;
        if (piece > 0) (void)trd_pieces_add(out, line, piece);
        const size_t step = space != NULL ? piece + 1 : piece;
        line += step;
        bytes -= step;
    }
    return true;
}

trd_status trdi_file_tokens_add_line(trdi_file_tokens *tokens, const char *line, size_t bytes, trd_tokenize_callback tokenize, void *context,
                                     const char *name, int64_t line_number)
{
    trd_pieces pieces = { .tokens = tokens };
    const bool go_on = tokenize != NULL ? tokenize(context, line, bytes, &pieces) : split(&pieces, line, bytes);
    if (pieces.failed) return trdi_fail(TRD_E_MEMORY, "%s, line %lld: %zu bytes: out of memory", name, (long long)line_number, bytes);
    if (!go_on) return trdi_fail(TRD_E_CANCELLED, "%s, line %lld: the tokenizer stopped the run", name, (long long)line_number);
    if (end_sequence(tokens)) return TRD_OK;
    return trdi_fail(TRD_E_MEMORY, "%s, line %lld: out of memory", name, (long long)line_number);
}

trd_status trdi_file_tokens_append(trdi_file_tokens *tokens, const trdi_file_tokens *more)
{
    const char *bytes = more->bytes;
    size_t token = 0;
    for (size_t i = 0; i < more->n; i++) {
        for (int64_t t = 0; t < more->lengths[i]; t++, token++) {
            if (!add_token(tokens, bytes, (size_t)more->token_bytes[token])) return trdi_fail(TRD_E_MEMORY, "tokens of lines: out of memory");
            bytes += more->token_bytes[token];
        }
        if (!end_sequence(tokens)) return trdi_fail(TRD_E_MEMORY, "tokens of lines: out of memory");
    }
    return TRD_OK;
}

void trdi_file_tokens_clear(trdi_file_tokens *tokens)
{
    tokens->n_bytes = tokens->n_tokens = tokens->n = tokens->n_ended = 0;
}

void trdi_file_tokens_free(trdi_file_tokens *tokens)
{
    trdi_free(tokens->bytes);
    trdi_free(tokens->token_bytes);
    trdi_free(tokens->lengths);
    *tokens = (trdi_file_tokens){ 0 };
}
