/*
 * device_memory.h: the caching allocator of a device. Blocks that are freed stay, sorted by size, and serve again; so a program that makes
 * and drops tensors in a loop asks the driver for memory once.
 *
 * Order: a block may be freed while queues still work on it. Each queue that used it then records an event, a *fence*, and whoever gets the
 * block next makes its queue wait for the fences of other queues before it touches the memory (trdi_block_enter).
 */
#ifndef TRDI_DEVICE_MEMORY_H
#define TRDI_DEVICE_MEMORY_H

#include "device/device_queue.h"

typedef struct trdi_device_memory trdi_device_memory;

/** A queue that uses a block (event NULL), or has used it in an earlier life. */
typedef struct trdi_fence {
    trdi_shared_queue *queue;
    void              *event;
} trdi_fence;

typedef struct trdi_block {
    void   *buffer;           /**< the back end's, of kind DEVICE; may be read by the owner */
    size_t  bytes;            /**< of the buffer, at least what was asked for */
    trdi_device_memory *memory;
    trdi_fence *fences;       /**< guarded by the memory's mutex, as all below */
    size_t  n_fences, fence_capacity;
    struct trdi_block *next;  /**< in its list of free blocks */
} trdi_block;

typedef struct trdi_memory_counters {
    uint64_t allocated_bytes, cached_bytes; /**< in use, and kept for later; sizes of the buffers */
    uint64_t peak_bytes;      /**< most ever allocated at once */
    uint64_t n_allocated, n_cached;         /**< blocks */
    uint64_t n_requests, n_reused;          /**< blocks asked for since the start, and how many of those came from the cache */
} trdi_memory_counters;

/** The memory of a device: one per open device, whoever asks. The device must stay open until the release. */
trd_status trdi_device_memory_acquire(trdi_device *device, trdi_device_memory **out);
/** The last one gives back everything; no block may be in use then. NULL does nothing. */
void trdi_device_memory_release(trdi_device_memory *memory);

/**
 * A block of at least so many bytes (0 as 1), contents undefined. When the device is out of memory the cache is emptied and the device is
 * asked again. Threads: any.
 */
trd_status trdi_block_alloc(trdi_device_memory *memory, size_t bytes, trdi_block **out);
/** Give a block back; what queues still do with it goes on. NULL does nothing. Threads: any; takes the mutexes of the queues that used it. */
void trdi_block_free(trdi_block *block);
/** Say that queue is about to work on the block, and order that after the block's earlier life. The caller holds the queue's mutex. */
trd_status trdi_block_enter(trdi_block *block, trdi_shared_queue *queue);
/** Give the cached blocks back to the device. */
void trdi_device_memory_empty(trdi_device_memory *memory);
void trdi_device_memory_count(trdi_device_memory *memory, trdi_memory_counters *out);

/** Bytes of the size class that holds `bytes`: eight to an octave, at least 256. SIZE_MAX where there is none. */
size_t trdi_memory_class_bytes(size_t bytes);

#endif
