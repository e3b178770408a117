/*
 * kv_pool.h: blocks of keys and values of one runner: reference counts on the host, contents on the device.
 * Layout [block][layer], so that growing copies a prefix. Used by runner.c only.
 */
#ifndef TRDI_KV_POOL_H
#define TRDI_KV_POOL_H

#include "device/memory_budget.h"

typedef struct trdi_kv_pool {
    const trdi_backend_ops *ops;
    void    *device, *queue;   /**< borrowed */
    trdi_memory_budget *budget;/**< that buffers come from and blocks are counted in; NULL = none; borrowed; set while the pool is empty */
    void    *buffer;           /**< [n_blocks][block_bytes]; another one after growth; NULL while n_blocks is 0 */
    size_t   block_bytes;
    int64_t  n_blocks;
    int32_t *uses;             /**< [n_blocks] references; 0 = free */
    int32_t *free_blocks;      /**< [n_blocks]; the first n_free are free */
    int64_t  n_free;
    bool     frugal;           /**< grows by what is needed alone, if need be with the contents on the host meanwhile; slow; set by the owner */
} trdi_kv_pool;

/** An empty pool. All pointers are borrowed. */
void trdi_kv_pool_init(trdi_kv_pool *pool, const trdi_backend_ops *ops, void *device, void *queue, size_t block_bytes);
void trdi_kv_pool_clear(trdi_kv_pool *pool);
/**
 * Make sure n blocks are free; grows by half, or just enough where memory is short, and keeps the contents.
 *
 * @return TRD_E_MEMORY: the pool is as before; TRD_E_DEVICE: its contents are lost (frugal: memory was let go, and not to be had again)
 */
trd_status trdi_kv_pool_reserve(trdi_kv_pool *pool, int64_t n);
/** A free block with one reference, or -1. */
int32_t trdi_kv_pool_take(trdi_kv_pool *pool);
void trdi_kv_pool_retain(trdi_kv_pool *pool, int32_t block);
void trdi_kv_pool_release(trdi_kv_pool *pool, int32_t block);

#endif
