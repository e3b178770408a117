/*
 * token_lists.h: token sequences as they are collected from lines: the texts back to back with their lengths, which is a form
 * the library takes, so that tokens may hold any byte.
 */
#ifndef COMMAND_TOKEN_LISTS_H
#define COMMAND_TOKEN_LISTS_H

#include <treadle/treadle.h>

#include "bytes.h"

/** Sequences of tokens. Starts as zeros; token_lists_free() in the end. */
typedef struct token_lists {
    byte_buffer text;            /**< all tokens back to back */
    int64_t *token_bytes;      /**< [n_tokens] */
    size_t   n_tokens, token_capacity;
    int64_t *lengths;          /**< [n] tokens of each sequence */
    size_t   n, capacity;
    size_t   n_ended;          /**< tokens of the ended sequences */
} token_lists;

/** Append a token to the sequence being made. @return false if memory ran out */
bool token_lists_add(token_lists *lists, const char *token, size_t bytes);
/** End the sequence being made; it holds the tokens added since the last end. @return false if memory ran out */
bool token_lists_end(token_lists *lists);
/** Split at single separators, dropping empty pieces, and add the pieces. @return false if memory ran out */
bool token_lists_split(token_lists *lists, const char *text, size_t bytes, char separator);
/** Append all sequences of another. @return false if memory ran out */
bool token_lists_append(token_lists *lists, const token_lists *more);
/** Forget the content, keep the memory. */
void token_lists_clear(token_lists *lists);
void token_lists_free(token_lists *lists);
/** As the library takes it; borrows from lists. */
trd_sequences token_lists_view(const token_lists *lists);

#endif /* COMMAND_TOKEN_LISTS_H */
