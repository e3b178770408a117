/* cl_queue.c: buffers, queues, copies and events. Queues are in order. */
#include <stdio.h>
#include <string.h>

#include "backend/opencl/opencl.h"
#include "core/alloc.h"

/* ---- Buffers ---- */

trd_status trdi_cl_buffer_alloc(void *handle, size_t bytes, trdi_memory kind, void **out)
{
    trdi_cl_device *device = handle;
    *out = NULL;
    if (device->traits.max_buffer_bytes > 0 && bytes > device->traits.max_buffer_bytes) {
        return trdi_fail(TRD_E_MEMORY, "buffer of %zu bytes on %s: its largest is %zu", bytes, device->facts.id, device->traits.max_buffer_bytes);
    }
    trdi_cl_buffer *buffer = trdi_calloc(1, sizeof *buffer);
    if (buffer == NULL) return trdi_fail(TRD_E_MEMORY, "buffer on %s: %zu bytes", device->facts.id, sizeof *buffer);
    *buffer = (trdi_cl_buffer){ .device = device, .bytes = bytes, .kind = kind };
    if (kind != TRDI_MEMORY_DEVICE) {
        buffer->host = trdi_alloc(bytes);
        if (buffer->host == NULL) {
            trdi_free(buffer);
            return trdi_fail(TRD_E_MEMORY, "host side of a buffer on %s: %zu bytes", device->facts.id, bytes);
        }
        memset(buffer->host, 0, bytes);      /* plan_run sends all of it */
    }
    cl_int error;
    buffer->memory = trdi_cl.CreateBuffer(device->context, CL_MEM_READ_WRITE, bytes > 0 ? bytes : 1, NULL, &error);
    if (error != CL_SUCCESS) {
        trdi_free(buffer->host);
        trdi_free(buffer);
        return trdi_cl_fail(error, "buffer of %zu bytes on %s", bytes, device->facts.id);
    }
    *out = buffer;
    return TRD_OK;
}

void trdi_cl_buffer_free(void *handle)
{
    trdi_cl_buffer *buffer = handle;
    if (buffer == NULL) return;
    (void)trdi_cl.ReleaseMemObject(buffer->memory);
    trdi_free(buffer->host);
    trdi_free(buffer);
}

void *trdi_cl_buffer_host(void *buffer)
{
    return ((trdi_cl_buffer *)buffer)->host;
}

trd_status trdi_cl_upload(trdi_cl_device *device, const void *data, size_t bytes, cl_mem *out)
{
    *out = NULL;
    if (bytes == 0) return TRD_OK;
    cl_int error;
    cl_mem memory = trdi_cl.CreateBuffer(device->context, CL_MEM_READ_WRITE, bytes, NULL, &error);
    if (error != CL_SUCCESS) return trdi_cl_fail(error, "%zu bytes of weights on %s", bytes, device->facts.id);
    trdi_mutex_lock(&device->mutex);
    error = trdi_cl.EnqueueWriteBuffer(device->queue, memory, CL_TRUE, 0, bytes, data, 0, NULL, NULL);
    trdi_mutex_unlock(&device->mutex);
    if (error != CL_SUCCESS) {
        (void)trdi_cl.ReleaseMemObject(memory);
        return trdi_cl_fail(error, "upload of %zu bytes to %s", bytes, device->facts.id);
    }
    *out = memory;
    return TRD_OK;
}

/* ---- Queues ---- */

trd_status trdi_cl_queue_create(void *handle, const trdi_queue_options *options, void **out)
{
    trdi_cl_device *device = handle;
    (void)options;
    *out = NULL;
    trdi_cl_queue *queue = trdi_calloc(1, sizeof *queue);
    if (queue == NULL) return trdi_fail(TRD_E_MEMORY, "queue of %s: %zu bytes", device->facts.id, sizeof *queue);
    queue->device = device;
    cl_int error;
    queue->handle = trdi_cl.CreateCommandQueue(device->context, device->id, 0, &error);
    if (error != CL_SUCCESS) {
        trdi_free(queue);
        return trdi_cl_fail(error, "queue of %s", device->facts.id);
    }
    *out = queue;
    return TRD_OK;
}

void trdi_cl_queue_destroy(void *handle)
{
    trdi_cl_queue *queue = handle;
    if (queue == NULL) return;
    (void)trdi_cl.Finish(queue->handle);
    for (int i = 0; i < TRDI_CL_N_SCRATCH; i++) {
        if (queue->scratch[i].memory != NULL) (void)trdi_cl.ReleaseMemObject(queue->scratch[i].memory);
    }
    (void)trdi_cl.ReleaseCommandQueue(queue->handle);
    trdi_free(queue);
}

trd_status trdi_cl_queue_wait(void *handle)
{
    trdi_cl_queue *queue = handle;
    const cl_int error = trdi_cl.Finish(queue->handle);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_fail(error, "waiting for %s", queue->device->facts.id);
}

trd_status trdi_cl_queue_scratch(trdi_cl_queue *queue, trdi_cl_scratch use, size_t bytes, cl_mem *out)
{
    if (bytes > queue->scratch[use].bytes) {
        const size_t wanted = bytes + bytes / 2;
        cl_int error;
        cl_mem memory = trdi_cl.CreateBuffer(queue->device->context, CL_MEM_READ_WRITE, wanted, NULL, &error);
        if (error != CL_SUCCESS) return trdi_cl_fail(error, "scratch of %zu bytes on %s", wanted, queue->device->facts.id);
        if (queue->scratch[use].memory != NULL) (void)trdi_cl.ReleaseMemObject(queue->scratch[use].memory);
        queue->scratch[use].memory = memory;
        queue->scratch[use].bytes = wanted;
    }
    *out = queue->scratch[use].memory;
    return TRD_OK;
}

/* ---- Copies ---- */

/* The buffer of a span; NULL, with a text, if the range is not inside it. */
static trdi_cl_buffer *check_range(const char *what, trdi_span span, size_t bytes)
{
    trdi_cl_buffer *buffer = span.buffer;
    if (buffer == NULL) {
        (void)trdi_fail(TRD_E_INVALID, "%s of %zu bytes: a buffer is absent", what, bytes);
        return NULL;
    }
    if (span.offset > buffer->bytes || bytes > buffer->bytes - span.offset) {
        (void)trdi_fail(TRD_E_INVALID, "%s of %zu bytes at %zu of a buffer of %zu", what, bytes, span.offset, buffer->bytes);
        return NULL;
    }
    return buffer;
}

trd_status trdi_cl_copy(void *handle, trdi_span dst, trdi_span src, size_t bytes)
{
    trdi_cl_queue *queue = handle;
    if (bytes == 0) return TRD_OK;
    const trdi_cl_buffer *to = check_range("copy", dst, bytes), *from = check_range("copy", src, bytes);
    if (to == NULL || from == NULL) return TRD_E_INVALID;
    const cl_int error = trdi_cl.EnqueueCopyBuffer(queue->handle, from->memory, to->memory, src.offset, dst.offset, bytes, 0, NULL, NULL);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_fail(error, "copy of %zu bytes on %s", bytes, queue->device->facts.id);
}

trd_status trdi_cl_write(void *handle, trdi_span dst, const void *src, size_t bytes)
{
    trdi_cl_queue *queue = handle;
    if (bytes == 0) return TRD_OK;
    const trdi_cl_buffer *to = check_range("write", dst, bytes);
    if (to == NULL) return TRD_E_INVALID;
    const cl_int error = trdi_cl.EnqueueWriteBuffer(queue->handle, to->memory, CL_TRUE, dst.offset, bytes, src, 0, NULL, NULL);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_fail(error, "write of %zu bytes to %s", bytes, queue->device->facts.id);
}

trd_status trdi_cl_read(void *handle, void *dst, trdi_span src, size_t bytes)
{
    trdi_cl_queue *queue = handle;
    if (bytes == 0) return TRD_OK;
    const trdi_cl_buffer *from = check_range("read", src, bytes);
    if (from == NULL) return TRD_E_INVALID;
    const cl_int error = trdi_cl.EnqueueReadBuffer(queue->handle, from->memory, CL_TRUE, src.offset, bytes, dst, 0, NULL, NULL);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_fail(error, "read of %zu bytes from %s", bytes, queue->device->facts.id);
}

/* ---- Events ---- */

trd_status trdi_cl_event_record(void *handle, void **out)
{
    trdi_cl_queue *queue = handle;
    *out = NULL;
    cl_event event;
    cl_int error = trdi_cl.EnqueueMarkerWithWaitList(queue->handle, 0, NULL, &event);
    if (error != CL_SUCCESS) return trdi_cl_fail(error, "event on %s", queue->device->facts.id);
    error = trdi_cl.Flush(queue->handle);    /* another queue may wait for it */
    if (error != CL_SUCCESS) {
        (void)trdi_cl.ReleaseEvent(event);
        return trdi_cl_fail(error, "event on %s", queue->device->facts.id);
    }
    *out = event;
    return TRD_OK;
}

trd_status trdi_cl_event_wait(void *handle, void *event_handle)
{
    trdi_cl_queue *queue = handle;
    cl_event event = event_handle;
    if (queue == NULL) {
        const cl_int error = trdi_cl.WaitForEvents(1, &event);
        return error == CL_SUCCESS ? TRD_OK : trdi_cl_fail(error, "waiting for an event");
    }
    const cl_int error = trdi_cl.EnqueueBarrierWithWaitList(queue->handle, 1, &event, NULL);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_fail(error, "wait on a queue of %s", queue->device->facts.id);
}

trd_status trdi_cl_event_done(void *event, bool *done)
{
    cl_int state = CL_QUEUED;
    const cl_int error = trdi_cl.GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    if (error != CL_SUCCESS) return trdi_cl_fail(error, "state of an event");
    *done = state <= CL_COMPLETE;
    return state < 0 ? trdi_cl_fail(state, "what an event stands for") : TRD_OK;
}

void trdi_cl_event_free(void *event)
{
    if (event != NULL) (void)trdi_cl.ReleaseEvent(event);
}
