/* bytes.h: a growing run of bytes, for lines, token texts and joined hypotheses. */
#ifndef COMMAND_BYTES_H
#define COMMAND_BYTES_H

#include <stdbool.h>
#include <stddef.h>

/** Starts as zeros; bytes_free() in the end. */
typedef struct byte_buffer {
    char  *data;       /**< [n]; NULL while nothing was added */
    size_t n, capacity;
} byte_buffer;

/** Append; false if memory ran out (nothing is changed then). */
bool bytes_add(byte_buffer *b, const void *data, size_t n);
void bytes_free(byte_buffer *b);

/** Make room for one more element of an array that holds n of capacity; doubles. @return false if memory ran out */
bool array_grow(void **array, size_t n, size_t *capacity, size_t element_bytes);

#endif /* COMMAND_BYTES_H */
