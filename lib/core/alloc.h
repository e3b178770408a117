/*
 * alloc.h: all host memory of the library. Everything is aligned to 64 bytes (a cache line, one AVX-512 vector). Sizes go
 * through checked multiplication. Failure returns NULL; the caller sets the message with what it wanted the memory for.
 */
#ifndef TRDI_ALLOC_H
#define TRDI_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Uninitialised memory; bytes = 0 gives a valid pointer to nothing. */
void *trdi_alloc(size_t bytes);
/** count * size bytes of zeros; NULL also when the product overflows. */
void *trdi_calloc(size_t count, size_t size);
void trdi_free(void *memory);
/** Copy of a string (length bytes plus a NUL). */
char *trdi_strndup(const char *text, size_t length);

/** *product = a * b; false on overflow. */
static inline bool trdi_mul_size(size_t a, size_t b, size_t *product)
{
    if (b != 0 && a > SIZE_MAX / b) return false;
    *product = a * b;
    return true;
}

/**
 * Make *array hold at least wanted elements of size bytes; grows by half, keeps the contents; *capacity follows.
 * @return false when memory ran out; array and capacity are then unchanged
 */
bool trdi_reserve(void **array, size_t *capacity, size_t wanted, size_t size);

#endif
