/* device_queue.c: see device_queue.h. */
#include "device/device_queue.h"

#include "core/alloc.h"

trd_status trdi_shared_queue_create(trdi_device *device, const trdi_queue_options *options, trdi_shared_queue **out)
{
    *out = NULL;
    trdi_shared_queue *const queue = trdi_alloc(sizeof *queue);
    if (queue == NULL) return trdi_fail(TRD_E_MEMORY, "queue on %s: %zu bytes", device->facts.id, sizeof *queue);
    queue->device = device;
    queue->impl = NULL;
    atomic_init(&queue->n_uses, 1);
    trd_status status = trdi_mutex_init(&queue->mutex);
    if (status != TRD_OK) {
        trdi_free(queue);
        return status;
    }
    status = device->ops->queue_create(device->impl, options, &queue->impl);
    if (status != TRD_OK) {
        trdi_shared_queue_drop(queue);
        return status;
    }
    *out = queue;
    return TRD_OK;
}

void trdi_shared_queue_close(trdi_shared_queue *queue)
{
    if (queue == NULL) return;
    trdi_mutex_lock(&queue->mutex);
    void *const impl = queue->impl;
    queue->impl = NULL;
    if (impl != NULL) queue->device->ops->queue_destroy(impl);   /* under the mutex: who sees NULL may rely on everything being done */
    trdi_mutex_unlock(&queue->mutex);
    trdi_shared_queue_drop(queue);
}

trdi_shared_queue *trdi_shared_queue_use(trdi_shared_queue *queue)
{
    (void)atomic_fetch_add(&queue->n_uses, 1);
    return queue;
}

void trdi_shared_queue_drop(trdi_shared_queue *queue)
{
    if (queue == NULL || atomic_fetch_sub(&queue->n_uses, 1) != 1) return;
    trdi_mutex_destroy(&queue->mutex);
    trdi_free(queue);
}
