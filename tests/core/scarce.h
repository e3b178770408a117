/* scarce.h: an allocator whose allocations fail from the n-th on, for tests of what happens then. */
#ifndef TRD_TESTS_SCARCE_H
#define TRD_TESTS_SCARCE_H

#include <stdatomic.h>
#include <stdlib.h>

#include "treadle/trd_base.h"

/* Allocations still allowed, and those asked for since it was set. */
static atomic_int scarce_left, scarce_asked;

static void *scarce_alloc(void *context, size_t bytes, size_t alignment)
{
    (void)context;
    atomic_fetch_add(&scarce_asked, 1);
    if (atomic_fetch_sub(&scarce_left, 1) <= 0) return NULL;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void scarce_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static const trd_allocator scarce_allocator = { NULL, scarce_alloc, scarce_free };

static inline void scarce_allow(int n)
{
    atomic_store(&scarce_left, n);
    atomic_store(&scarce_asked, 0);
}

#endif
