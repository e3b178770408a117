/* alloc_helpers.c: what is built on trdi_alloc() and trdi_free() alone; modules compile it too, over their host's functions. */
#include "core/alloc.h"

#include <string.h>

void *trdi_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (!trdi_mul_size(count, size, &bytes)) return NULL;
    void *memory = trdi_alloc(bytes);
    if (memory != NULL) memset(memory, 0, bytes);
    return memory;
}

char *trdi_strndup(const char *text, size_t length)
{
    if (length == SIZE_MAX) return NULL;
    char *copy = trdi_alloc(length + 1);
    if (copy == NULL) return NULL;
    if (length != 0) memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

bool trdi_reserve(void **array, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity) return true;
    size_t grown = *capacity + *capacity / 2;
    if (grown < wanted) grown = wanted;
    if (grown < 8) grown = 8;
    size_t bytes;
    if (!trdi_mul_size(grown, size, &bytes)) return false;
    void *memory = trdi_alloc(bytes);
    if (memory == NULL) return false;
    if (*array != NULL) memcpy(memory, *array, *capacity * size);
    trdi_free(*array);
    *array = memory;
    *capacity = grown;
    return true;
}
