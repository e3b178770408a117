/* cl_buffer.c: memory of a device: buffers, their host sides, and copies between them. */
#include <string.h>

#include "backend/opencl/opencl.h"
#include "core/alloc.h"

/* ---- Memory ---- */

/* As the driver counts them, so that the sum returns to where it was. */
static size_t size_of(cl_mem memory)
{
    size_t bytes = 0;
    return trdi_cl.GetMemObjectInfo(memory, CL_MEM_SIZE, sizeof bytes, &bytes, NULL) == CL_SUCCESS ? bytes : 0;
}

trd_status trdi_cl_memory_alloc(trdi_cl_device *device, size_t bytes, const char *what, cl_mem *out)
{
    *out = NULL;
    if (device->traits.max_buffer_bytes > 0 && bytes > device->traits.max_buffer_bytes) {
        return trdi_fail(TRD_E_MEMORY, "%s of %zu bytes on %s: its largest is %zu", what, bytes, device->facts.id, device->traits.max_buffer_bytes);
    }
    cl_int error;
    cl_mem memory = trdi_cl.CreateBuffer(device->context, CL_MEM_READ_WRITE, bytes > 0 ? bytes : 1, NULL, &error);
    if (error != CL_SUCCESS) {
        return trdi_cl_device_fail(device, error, "%s of %zu bytes on %s (%zu bytes are in use)", what, bytes, device->facts.id,
                                   atomic_load(&device->memory_bytes));
    }
    (void)atomic_fetch_add(&device->memory_bytes, size_of(memory));
    *out = memory;
    return TRD_OK;
}

void trdi_cl_memory_free(trdi_cl_device *device, cl_mem memory)
{
    if (memory == NULL) return;
    (void)atomic_fetch_sub(&device->memory_bytes, size_of(memory));
    (void)trdi_cl.ReleaseMemObject(memory);
}

uint64_t trdi_cl_memory_in_use(const void *handle)
{
    return atomic_load(&((const trdi_cl_device *)handle)->memory_bytes);
}

/* ---- Buffers ---- */

trd_status trdi_cl_buffer_alloc(void *handle, size_t bytes, trdi_memory kind, void **out)
{
    trdi_cl_device *device = handle;
    *out = NULL;
    TRDI_TRY(trdi_cl_usable(device));
    trdi_cl_buffer *buffer = trdi_calloc(1, sizeof *buffer);
    if (buffer == NULL) return trdi_fail(TRD_E_MEMORY, "buffer on %s: %zu bytes", device->facts.id, sizeof *buffer);
    buffer->device = device;
    buffer->bytes = bytes;
    buffer->kind = kind;
    atomic_init(&buffer->n_uses, 1);
    trd_status status = TRD_OK;
    if (kind != TRDI_MEMORY_DEVICE) {
        buffer->host = trdi_calloc(1, bytes);      /* plan_run sends all of it */
        if (buffer->host == NULL) status = trdi_fail(TRD_E_MEMORY, "host side of a buffer on %s: %zu bytes", device->facts.id, bytes);
    }
    if (status == TRD_OK) status = trdi_cl_memory_alloc(device, bytes, "buffer", &buffer->memory);
    if (status != TRD_OK) {
        trdi_cl_buffer_drop(buffer);
        return status;
    }
    *out = buffer;
    return TRD_OK;
}

void trdi_cl_buffer_drop(trdi_cl_buffer *buffer)
{
    if (atomic_fetch_sub(&buffer->n_uses, 1) != 1) return;
    trdi_cl_memory_free(buffer->device, buffer->memory);
    trdi_free(buffer->host);
    trdi_free(buffer);
}

void trdi_cl_buffer_free(void *buffer)
{
    if (buffer != NULL) trdi_cl_buffer_drop(buffer);
}

void *trdi_cl_buffer_host(void *buffer)
{
    return ((trdi_cl_buffer *)buffer)->host;
}

trd_status trdi_cl_upload(trdi_cl_device *device, const void *data, size_t bytes, cl_mem *out)
{
    *out = NULL;
    if (bytes == 0) return TRD_OK;
    TRDI_TRY(trdi_cl_usable(device));
    cl_mem memory;
    TRDI_TRY(trdi_cl_memory_alloc(device, bytes, "weight", &memory));
    trdi_mutex_lock(&device->mutex);
    cl_int error = trdi_cl.EnqueueWriteBuffer(device->queue, memory, CL_TRUE, 0, bytes, data, 0, NULL, NULL);
    if (error == CL_SUCCESS) error = trdi_cl.Finish(device->queue);    /* other queues of Intel's runtime see it only then */
    trdi_mutex_unlock(&device->mutex);
    if (error != CL_SUCCESS) {
        trdi_cl_memory_free(device, memory);
        return trdi_cl_work_fail(device, error, "upload of %zu bytes to %s", bytes, device->facts.id);
    }
    *out = memory;
    return TRD_OK;
}

/* ---- Copies ---- */

/* The buffer of a span; NULL, with a text, if the range is not inside it. */
static trdi_cl_buffer *check_range(const trdi_cl_queue *queue, const char *what, trdi_span span, size_t bytes)
{
    trdi_cl_buffer *buffer = span.buffer;
    if (buffer == NULL) {
        (void)trdi_fail(TRD_E_INVALID, "%s of %zu bytes: a buffer is absent", what, bytes);
        return NULL;
    }
    if (buffer->device != queue->device) {
        (void)trdi_fail(TRD_E_INVALID, "%s of %zu bytes on a queue of %s: a buffer is of another device, %s", what, bytes, queue->device->facts.id,
                        buffer->device->facts.id);
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
    trdi_cl_device *device = queue->device;
    TRDI_TRY(trdi_cl_usable(device));
    if (bytes == 0) return TRD_OK;
    const trdi_cl_buffer *to = check_range(queue, "copy", dst, bytes);
    const trdi_cl_buffer *from = to != NULL ? check_range(queue, "copy", src, bytes) : NULL;
    if (from == NULL) return TRD_E_INVALID;
    if (to == from) {
        const size_t apart = dst.offset > src.offset ? dst.offset - src.offset : src.offset - dst.offset;
        if (apart == 0) return TRD_OK;
        if (apart < bytes) return trdi_fail(TRD_E_INVALID, "copy of %zu bytes from %zu to %zu of one buffer: they overlap", bytes, src.offset, dst.offset);
    }
    cl_event event;
    const cl_int error = trdi_cl.EnqueueCopyBuffer(queue->handle, from->memory, to->memory, src.offset, dst.offset, bytes, 0, NULL, &event);
    if (error != CL_SUCCESS) return trdi_cl_device_fail(device, error, "copy of %zu bytes on %s", bytes, device->facts.id);
    trdi_cl_queue_note(queue, event);
    return TRD_OK;
}

trd_status trdi_cl_write(void *handle, trdi_span dst, const void *src, size_t bytes)
{
    trdi_cl_queue *queue = handle;
    trdi_cl_device *device = queue->device;
    TRDI_TRY(trdi_cl_usable(device));
    if (bytes == 0) return TRD_OK;
    const trdi_cl_buffer *to = check_range(queue, "write", dst, bytes);
    if (to == NULL) return TRD_E_INVALID;
    if (src == NULL) return trdi_fail(TRD_E_INVALID, "write of %zu bytes: the source is absent", bytes);
    cl_event event;
    const cl_int error = trdi_cl.EnqueueWriteBuffer(queue->handle, to->memory, CL_TRUE, dst.offset, bytes, src, 0, NULL, &event);
    if (error != CL_SUCCESS) return trdi_cl_work_fail(device, error, "write of %zu bytes to %s", bytes, device->facts.id);
    return trdi_cl_queue_settle(queue, event, "write");
}

trd_status trdi_cl_read(void *handle, void *dst, trdi_span src, size_t bytes)
{
    trdi_cl_queue *queue = handle;
    trdi_cl_device *device = queue->device;
    TRDI_TRY(trdi_cl_usable(device));
    if (bytes == 0) return TRD_OK;
    const trdi_cl_buffer *from = check_range(queue, "read", src, bytes);
    if (from == NULL) return TRD_E_INVALID;
    if (dst == NULL) return trdi_fail(TRD_E_INVALID, "read of %zu bytes: the destination is absent", bytes);
    cl_event event;
    const cl_int error = trdi_cl.EnqueueReadBuffer(queue->handle, from->memory, CL_TRUE, src.offset, bytes, dst, 0, NULL, &event);
    if (error != CL_SUCCESS) return trdi_cl_work_fail(device, error, "read of %zu bytes from %s", bytes, device->facts.id);
    return trdi_cl_queue_settle(queue, event, "read");
}
