/*
 * device_queue.h: a queue that several threads and the memory of a device refer to. Users of the seam alone need none: one engine has one
 * queue and one thread. The public queues do.
 */
#ifndef TRDI_DEVICE_QUEUE_H
#define TRDI_DEVICE_QUEUE_H

#include <stdatomic.h>

#include "core/threads.h"
#include "device/device.h"

/** Outlives its queue: impl is NULL once that was closed, and then all that ran on it is done. */
typedef struct trdi_shared_queue {
    trdi_device *device;      /**< borrowed: open for as long as impl is there */
    atomic_int   n_uses;
    trdi_mutex   mutex;       /**< guards impl and every call on it. Taken before the mutex of a trdi_device_memory, never after it */
    void        *impl;
} trdi_shared_queue;

/** One use, the caller's. */
trd_status trdi_shared_queue_create(trdi_device *device, const trdi_queue_options *options, trdi_shared_queue **out);
/** Wait for what is under way and give the queue back; what still refers to it sees impl NULL. Drops the caller's use. NULL does nothing. */
void trdi_shared_queue_close(trdi_shared_queue *queue);
/** One more use; the argument is returned. */
trdi_shared_queue *trdi_shared_queue_use(trdi_shared_queue *queue);
/** NULL does nothing. */
void trdi_shared_queue_drop(trdi_shared_queue *queue);

#endif
