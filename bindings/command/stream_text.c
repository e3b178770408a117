/* stream_text.c: between lines and tokens by SentencePiece, and JSON, as callbacks of the library's file functions. */
#include <stdlib.h>
#include <string.h>

#include "stream.h"

static bool add_piece(void *context, const char *piece, size_t bytes)
{
    return trd_pieces_add(context, piece, bytes) == TRD_OK;
}

bool stream_cut_source(void *context, const char *line, size_t bytes, trd_pieces *out)
{
    const stream *s = context;
    return spm_encode(s->source_spm, line, bytes, add_piece, out);
}

bool stream_cut_target(void *context, const char *line, size_t bytes, trd_pieces *out)
{
    const stream *s = context;
    return spm_encode(s->target_spm, line, bytes, add_piece, out);
}

bool stream_join_target(void *context, const char *const *tokens, int64_t n, trd_pieces *out)
{
    const stream *s = context;
    return n == 0 || spm_decode(s->target_spm, tokens, (size_t)n, add_piece, out);
}

static bool add_text(void *context, const char *text, size_t n)
{
    return bytes_add(context, text, n);
}

static bool join_pieces(const stream *s, const trd_result *result, int64_t h, byte_buffer *text)
{
    const size_t n = (size_t)trd_result_n_tokens(result, h);
    const char **pieces = calloc(n + 1, sizeof *pieces);
    if (pieces == NULL) return false;
    for (size_t t = 0; t < n; t++) pieces[t] = trd_result_token(result, h, (int64_t)t);
    const bool ok = n == 0 || spm_decode(s->target_spm, pieces, n, add_text, text);
    free((void *)pieces);
    return ok;
}

json_t *stream_text_json(const stream *s, const trd_result *result, int64_t h)
{
    byte_buffer text = { 0 };
    bool ok = bytes_add(&text, "", 1);   /* so that data is there for an empty text too */
    text.n = 0;
    if (ok && s->target_spm != NULL) ok = join_pieces(s, result, h, &text);
    for (int64_t t = 0; ok && s->target_spm == NULL && t < trd_result_n_tokens(result, h); t++) {
        const char *token = trd_result_token(result, h, t);
        ok = (t == 0 || bytes_add(&text, " ", 1)) && bytes_add(&text, token, strlen(token));
    }
    json_t *json = ok ? json_text(text.data, text.n) : NULL;
    bytes_free(&text);
    return json;
}

json_t *stream_tokens_json(const trd_result *result, int64_t h)
{
    json_t *tokens = json_array();
    for (int64_t t = 0; t < trd_result_n_tokens(result, h); t++)
        (void)json_array_append_new(tokens, json_word(trd_result_token(result, h, t)));
    return tokens;
}

static int put_json(const char *text, size_t n, void *context)
{
    return add_piece(context, text, n) ? 0 : -1;
}

bool stream_put_json(json_t *value, trd_pieces *out)
{
    const bool ok = value != NULL && json_dump_callback(value, put_json, out, JSON_COMPACT | JSON_REAL_PRECISION(9)) == 0;
    json_decref(value);
    return ok && add_piece(out, "\n", 1);
}
