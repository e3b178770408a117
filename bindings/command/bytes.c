/* bytes.c: growing byte runs and arrays. */
#include "bytes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool bytes_add(byte_buffer *b, const void *data, size_t n)
{
    if (n > SIZE_MAX / 2 - b->n) return false;
    if (b->n + n > b->capacity) {
        size_t capacity = b->capacity < 256 ? 256 : b->capacity;
        while (capacity < b->n + n) capacity *= 2;
        char *data_now = realloc(b->data, capacity);
        if (data_now == NULL) return false;
        b->data = data_now;
        b->capacity = capacity;
    }
    if (n > 0) memcpy(b->data + b->n, data, n);
    b->n += n;
    return true;
}

void bytes_free(byte_buffer *b)
{
    free(b->data);
    *b = (byte_buffer){ 0 };
}

bool array_grow(void **array, size_t n, size_t *capacity, size_t element_bytes)
{
    if (n < *capacity) return true;
    if (*capacity > SIZE_MAX / 2 / element_bytes) return false;
    const size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    void *grown = realloc(*array, wanted * element_bytes);
    if (grown == NULL) return false;
    *array = grown;
    *capacity = wanted;
    return true;
}
