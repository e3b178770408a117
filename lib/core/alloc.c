/*
 * alloc.c: host memory. Each block carries a 64-byte header with its size, so that what is held can be counted
 * whatever allocator is in use.
 */
#include "core/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/status.h"

#define ALIGNMENT ((size_t)64)

typedef struct block_header {
    size_t bytes;
} block_header;

static void *default_alloc(void *context, size_t bytes, size_t alignment)
{
    (void)context;
#if defined(_WIN32)
    return _aligned_malloc(bytes, alignment);
#else
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
#endif
}

static void default_free(void *context, void *memory)
{
    (void)context;
#if defined(_WIN32)
    _aligned_free(memory);
#else
    free(memory);
#endif
}

static trd_allocator allocator = { NULL, default_alloc, default_free };
static atomic_size_t held_bytes, held_blocks;

trd_status trd_allocator_set(const trd_allocator *wanted)
{
    if (wanted != NULL && (wanted->alloc == NULL || wanted->free == NULL)) {
        return trdi_fail(TRD_E_INVALID, "trd_allocator_set: %s is NULL", wanted->alloc == NULL ? "alloc" : "free");
    }
    const size_t blocks = atomic_load(&held_blocks);
    if (blocks != 0) {
        return trdi_fail(TRD_E_STATE, "trd_allocator_set: the library still holds %zu blocks of the allocator in use", blocks);
    }
    allocator = wanted != NULL ? *wanted : (trd_allocator){ NULL, default_alloc, default_free };
    return TRD_OK;
}

void trd_memory_in_use(size_t *bytes, size_t *blocks)
{
    if (bytes != NULL) *bytes = atomic_load(&held_bytes);
    if (blocks != NULL) *blocks = atomic_load(&held_blocks);
}

void *trdi_alloc(size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * ALIGNMENT) return NULL;
    char *base = allocator.alloc(allocator.context, bytes + ALIGNMENT, ALIGNMENT);
    if (base == NULL) return NULL;
    const block_header header = { bytes };
    memcpy(base, &header, sizeof header);
    atomic_fetch_add_explicit(&held_bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&held_blocks, 1, memory_order_relaxed);
    return base + ALIGNMENT;
}

void trdi_free(void *memory)
{
    if (memory == NULL) return;
    char *base = (char *)memory - ALIGNMENT;
    block_header header;
    memcpy(&header, base, sizeof header);
    atomic_fetch_sub_explicit(&held_bytes, header.bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&held_blocks, 1, memory_order_relaxed);
    allocator.free(allocator.context, base);
}

void trd_string_free(char *text)
{
    trdi_free(text);
}
