/* token_lists.c: collecting token sequences. */
#include "token_lists.h"

#include <stdlib.h>
#include <string.h>

bool token_lists_add(token_lists *lists, const char *token, size_t bytes)
{
    void *grown = lists->token_bytes;
    if (!array_grow(&grown, lists->n_tokens, &lists->token_capacity, sizeof *lists->token_bytes)) return false;
    lists->token_bytes = grown;
    if (!bytes_add(&lists->text, token, bytes)) return false;
    lists->token_bytes[lists->n_tokens++] = (int64_t)bytes;
    return true;
}

bool token_lists_end(token_lists *lists)
{
    void *grown = lists->lengths;
    if (!array_grow(&grown, lists->n, &lists->capacity, sizeof *lists->lengths)) return false;
    lists->lengths = grown;
    lists->lengths[lists->n++] = (int64_t)(lists->n_tokens - lists->n_ended);
    lists->n_ended = lists->n_tokens;
    return true;
}

bool token_lists_split(token_lists *lists, const char *text, size_t bytes, char separator)
{
    while (bytes > 0) {
        const char *end = memchr(text, separator, bytes);
        const size_t piece = end != NULL ? (size_t)(end - text) : bytes;
        if (piece > 0 && !token_lists_add(lists, text, piece)) return false;
        const size_t step = end != NULL ? piece + 1 : piece;
        text += step;
        bytes -= step;
    }
    return true;
}

bool token_lists_append(token_lists *lists, const token_lists *more)
{
    const char *text = more->text.data;
    size_t token = 0;
    for (size_t i = 0; i < more->n; i++) {
        for (int64_t t = 0; t < more->lengths[i]; t++, token++) {
            if (!token_lists_add(lists, text, (size_t)more->token_bytes[token])) return false;
            text += more->token_bytes[token];
        }
        if (!token_lists_end(lists)) return false;
    }
    return true;
}

void token_lists_clear(token_lists *lists)
{
    lists->text.n = 0;
    lists->n_tokens = 0;
    lists->n = 0;
    lists->n_ended = 0;
}

void token_lists_free(token_lists *lists)
{
    bytes_free(&lists->text);
    free(lists->token_bytes);
    free(lists->lengths);
    *lists = (token_lists){ 0 };
}

trd_sequences token_lists_view(const token_lists *lists)
{
    static const int64_t none = 0;
    return (trd_sequences){
        .n = (int64_t)lists->n,
        .lengths = lists->lengths,
        .bytes = lists->text.data != NULL ? lists->text.data : "",
        .byte_lengths = lists->token_bytes != NULL ? lists->token_bytes : &none,
    };
}
