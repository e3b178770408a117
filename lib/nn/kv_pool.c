/* kv_pool.c: taking, sharing, freeing blocks, and growing the pool without losing what is in it. */
#include "nn/kv_pool.h"

#include <assert.h>
#include <string.h>

#include "core/alloc.h"

enum { SMALLEST_POOL = 16 };

void trdi_kv_pool_init(trdi_kv_pool *pool, const trdi_backend_ops *ops, void *device, void *queue, size_t block_bytes)
{
    *pool = (trdi_kv_pool){ .ops = ops, .device = device, .queue = queue, .block_bytes = block_bytes };
}

/* n more blocks, of which so many more are in use. */
static void count_blocks(const trdi_kv_pool *pool, int64_t n, int64_t n_in_use)
{
    if (pool->budget == NULL) return;
    if (n != 0) atomic_fetch_add_explicit(&pool->budget->kv_blocks, n, memory_order_relaxed);
    if (n_in_use != 0) atomic_fetch_add_explicit(&pool->budget->kv_blocks_in_use, n_in_use, memory_order_relaxed);
}

void trdi_kv_pool_clear(trdi_kv_pool *pool)
{
    count_blocks(pool, -pool->n_blocks, pool->n_free - pool->n_blocks);
    trdi_memory_budget_free(pool->budget, TRDI_PART_KV, pool->ops, pool->buffer, (size_t)pool->n_blocks * pool->block_bytes);
    trdi_free(pool->uses);
    trdi_free(pool->free_blocks);
    pool->buffer = NULL;
    pool->uses = pool->free_blocks = NULL;
    pool->n_blocks = pool->n_free = 0;
}

/** A buffer for n blocks that begins with the present contents. */
static trd_status grown_buffer(const trdi_kv_pool *pool, int64_t n_blocks, void **out)
{
    size_t bytes;
    if (!trdi_mul_size((size_t)n_blocks, pool->block_bytes, &bytes))
        return trdi_fail(TRD_E_MEMORY, "KV pool: %lld blocks of %zu bytes", (long long)n_blocks, pool->block_bytes);
    void *buffer = NULL;
    trd_status status = trdi_memory_budget_alloc(pool->budget, TRDI_PART_KV, pool->ops, pool->device, bytes, TRDI_MEMORY_DEVICE, &buffer);
    if (status != TRD_OK) return trdi_fail_within(status, "KV pool of %lld blocks", (long long)n_blocks);
    if (pool->n_blocks > 0) {
        status = pool->ops->copy(pool->queue, (trdi_span){ buffer, 0 }, (trdi_span){ pool->buffer, 0 },
                                 (size_t)pool->n_blocks * pool->block_bytes);
        if (status == TRD_OK) status = pool->ops->queue_wait(pool->queue);
    }
    if (status != TRD_OK) {
        trdi_memory_budget_free(pool->budget, TRDI_PART_KV, pool->ops, buffer, bytes);
        return status;
    }
    *out = buffer;
    return TRD_OK;
}

static trd_status write_back(trdi_kv_pool *pool, const void *contents, size_t bytes)
{
    TRDI_TRY(trdi_memory_budget_alloc(pool->budget, TRDI_PART_KV, pool->ops, pool->device, bytes, TRDI_MEMORY_DEVICE, &pool->buffer));
    return pool->ops->write(pool->queue, (trdi_span){ pool->buffer, 0 }, contents, bytes);
}

/* As grown_buffer(), without room for both: the old buffer has gone when this succeeds. */
static trd_status moved_by_host(trdi_kv_pool *pool, int64_t n_blocks, void **out)
{
    const size_t before = (size_t)pool->n_blocks * pool->block_bytes, bytes = (size_t)n_blocks * pool->block_bytes;
    void *const contents = trdi_alloc(before);
    if (contents == NULL) return trdi_fail(TRD_E_MEMORY, "KV pool of %lld blocks: out of memory", (long long)n_blocks);
    trd_status status = pool->ops->read(pool->queue, contents, (trdi_span){ pool->buffer, 0 }, before);
    if (status == TRD_OK) {
        trdi_memory_budget_free(pool->budget, TRDI_PART_KV, pool->ops, pool->buffer, before);
        pool->buffer = NULL;
        status = trdi_memory_budget_alloc(pool->budget, TRDI_PART_KV, pool->ops, pool->device, bytes, TRDI_MEMORY_DEVICE, out);
        if (status == TRD_OK) status = pool->ops->write(pool->queue, (trdi_span){ *out, 0 }, contents, before);
        else if (write_back(pool, contents, before) == TRD_OK) status = trdi_fail_within(status, "KV pool of %lld blocks", (long long)n_blocks);
        else status = trdi_fail(TRD_E_DEVICE, "KV pool of %lld blocks: its memory was let go and is not to be had again", (long long)pool->n_blocks);
    }
    trdi_free(contents);
    return status;
}

static trd_status grow(trdi_kv_pool *pool, int64_t n_blocks)
{
    if (n_blocks > INT32_MAX) return trdi_fail(TRD_E_MEMORY, "KV pool: %lld blocks are too many", (long long)n_blocks);
    const size_t bytes = (size_t)n_blocks * sizeof *pool->uses;
    int32_t *uses = trdi_alloc(bytes), *free_blocks = trdi_alloc(bytes);
    void *buffer = NULL;
    trd_status status = TRD_OK;
    if (uses == NULL || free_blocks == NULL)
        status = trdi_fail(TRD_E_MEMORY, "KV pool: tables of %lld blocks", (long long)n_blocks);
    if (status == TRD_OK) status = grown_buffer(pool, n_blocks, &buffer);
    if (status == TRD_E_MEMORY && pool->frugal && pool->n_blocks > 0 && uses != NULL && free_blocks != NULL)
        status = moved_by_host(pool, n_blocks, &buffer);
    if (status != TRD_OK) {
        trdi_free(uses);
        trdi_free(free_blocks);
        return status;
    }

    const int64_t old_blocks = pool->n_blocks;
    int64_t n_free = 0;
    for (int64_t b = n_blocks - 1; b >= old_blocks; b--) free_blocks[n_free++] = (int32_t)b;
    if (old_blocks > 0) memcpy(uses, pool->uses, (size_t)old_blocks * sizeof *uses);
    memset(uses + old_blocks, 0, (size_t)(n_blocks - old_blocks) * sizeof *uses);
    /* Freed blocks come last, so they are taken first: their memory is likely in a cache. */
    if (pool->n_free > 0) memcpy(free_blocks + n_free, pool->free_blocks, (size_t)pool->n_free * sizeof *free_blocks);
    n_free += pool->n_free;
    const int64_t n_in_use = old_blocks - pool->n_free;

    trdi_kv_pool_clear(pool);
    pool->buffer = buffer;
    pool->uses = uses;
    pool->free_blocks = free_blocks;
    pool->n_blocks = n_blocks;
    pool->n_free = n_free;
    count_blocks(pool, n_blocks, n_in_use);
    return TRD_OK;
}

trd_status trdi_kv_pool_reserve(trdi_kv_pool *pool, int64_t n)
{
    if (n <= pool->n_free) return TRD_OK;
    const int64_t wanted = pool->n_blocks - pool->n_free + n;
    if (pool->frugal) return grow(pool, wanted);
    const int64_t by_half = pool->n_blocks + pool->n_blocks / 2;
    int64_t ample = wanted < by_half ? by_half : wanted;
    if (ample < SMALLEST_POOL) ample = SMALLEST_POOL;
    const trd_status status = grow(pool, ample);
    return status == TRD_E_MEMORY && wanted < ample ? grow(pool, wanted) : status;
}

int32_t trdi_kv_pool_take(trdi_kv_pool *pool)
{
    if (pool->n_free == 0) return -1;
    const int32_t block = pool->free_blocks[--pool->n_free];
    assert(pool->uses[block] == 0);
    pool->uses[block] = 1;
    count_blocks(pool, 0, 1);
    return block;
}

void trdi_kv_pool_retain(trdi_kv_pool *pool, int32_t block)
{
    assert(block >= 0 && block < pool->n_blocks && pool->uses[block] > 0);
    pool->uses[block]++;
}

void trdi_kv_pool_release(trdi_kv_pool *pool, int32_t block)
{
    assert(block >= 0 && block < pool->n_blocks && pool->uses[block] > 0);
    if (--pool->uses[block] > 0) return;
    pool->free_blocks[pool->n_free++] = block;
    count_blocks(pool, 0, -1);
}
