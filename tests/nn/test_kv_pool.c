/* test_kv_pool.c: taking, sharing, freeing blocks; growth keeps contents and references; failing growth changes nothing. */
#include "nn/kv_pool.h"

#include "check.h"

enum { BLOCK = 256 };

static void *queue_of(const trdi_backend_ops *ops, void *device)
{
    void *queue;
    CHECK_OK(ops->queue_create(device, &(trdi_queue_options){ .n_threads = 1 }, &queue));
    return queue;
}

static char *contents(const trdi_kv_pool *pool, int32_t block)
{
    return (char *)pool->ops->buffer_host(pool->buffer) + (size_t)block * BLOCK;
}

static void check_references(trdi_kv_pool *pool)
{
    CHECK_INT(trdi_kv_pool_take(pool), -1);
    CHECK_OK(trdi_kv_pool_reserve(pool, 3));
    const int32_t a = trdi_kv_pool_take(pool), b = trdi_kv_pool_take(pool);
    CHECK(a >= 0 && b >= 0 && a != b);
    CHECK_INT(pool->uses[a], 1);
    trdi_kv_pool_retain(pool, a);
    CHECK_INT(pool->uses[a], 2);
    trdi_kv_pool_release(pool, a);
    CHECK_INT(pool->uses[a], 1);
    const int64_t n_free = pool->n_free;
    trdi_kv_pool_release(pool, a);
    CHECK_INT(pool->n_free, n_free + 1);
    CHECK_INT(trdi_kv_pool_take(pool), a);
    trdi_kv_pool_release(pool, a);
    trdi_kv_pool_release(pool, b);
    CHECK_INT(pool->n_free, pool->n_blocks);
}

/** Take blocks in several growths; each carries its number and must keep it. */
static void check_growth(trdi_kv_pool *pool)
{
    int32_t blocks[300];
    bool seen[400] = { false };
    for (int i = 0; i < 300; i++) {
        CHECK_OK(trdi_kv_pool_reserve(pool, 1));
        blocks[i] = trdi_kv_pool_take(pool);
        CHECK(blocks[i] >= 0 && blocks[i] < pool->n_blocks && pool->n_blocks < 400 + 150 && !seen[blocks[i] % 400]);
        seen[blocks[i] % 400] = true;
        memset(contents(pool, blocks[i]), i % 251, BLOCK);
    }
    for (int i = 0; i < 300; i++) {
        CHECK_INT(pool->uses[blocks[i]], 1);
        for (int b = 0; b < BLOCK; b++) CHECK_INT(contents(pool, blocks[i])[b], (char)(i % 251));
    }
    for (int i = 0; i < 300; i++) trdi_kv_pool_release(pool, blocks[i]);
    CHECK_INT(pool->n_free, pool->n_blocks);
    CHECK_OK(trdi_kv_pool_reserve(pool, pool->n_blocks));
    const int64_t before = pool->n_blocks;
    CHECK_OK(trdi_kv_pool_reserve(pool, before + 1));
    CHECK(pool->n_blocks >= before + before / 2);
}

static void check_failure(trdi_kv_pool *pool)
{
    const trdi_kv_pool before = *pool;
    CHECK_FAILS(trdi_kv_pool_reserve(pool, (int64_t)INT32_MAX + 1), TRD_E_MEMORY, "blocks");
    CHECK(memcmp(&before, pool, sizeof before) == 0);
    pool->block_bytes = SIZE_MAX / 4;
    CHECK_FAILS(trdi_kv_pool_reserve(pool, 10000), TRD_E_MEMORY, "KV pool");
    pool->block_bytes = BLOCK;
    CHECK(memcmp(&before, pool, sizeof before) == 0);
    CHECK_OK(trdi_kv_pool_reserve(pool, 1));
}

int main(void)
{
    const trdi_backend_ops *ops = trdi_backend_cpu();
    trdi_device_facts facts;
    size_t n;
    void *device;
    CHECK_OK(ops->enumerate(&facts, 1, &n));
    CHECK_OK(ops->device_open(&facts, &device));
    void *queue = queue_of(ops, device);
    trdi_kv_pool pool;
    trdi_kv_pool_init(&pool, ops, device, queue, BLOCK);
    check_references(&pool);
    check_growth(&pool);
    check_failure(&pool);
    trdi_kv_pool_clear(&pool);
    trdi_kv_pool_clear(&pool);
    ops->queue_destroy(queue);
    ops->device_close(device);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
