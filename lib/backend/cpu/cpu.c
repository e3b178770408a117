/* cpu.c: the table of the CPU back end, its device and its memory. */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "core/alloc.h"

/* Changes whenever the bytes of a prepared weight change. */
#define LAYOUT_VERSION 1

static trd_status device_open(const trdi_device_facts *facts, void **out)
{
    (void)facts;
    trdi_cpu_device *device = trdi_alloc(sizeof *device);
    *out = device;
    if (device == NULL) return trdi_fail(TRD_E_MEMORY, "CPU device: %zu bytes", sizeof *device);
    device->kernels = trdi_cpu_kernels_choose();
    return TRD_OK;
}

static void device_close(void *device)
{
    trdi_free(device);
}

static trd_status buffer_alloc(void *device, size_t bytes, trdi_memory kind, void **buffer)
{
    (void)device;
    (void)kind;
    *buffer = trdi_alloc(bytes);
    if (*buffer == NULL) return trdi_fail(TRD_E_MEMORY, "buffer of the CPU device: %zu bytes", bytes);
    return TRD_OK;
}

static void buffer_free(void *buffer)
{
    trdi_free(buffer);
}

static void *buffer_host(void *buffer)
{
    return buffer;
}

static trd_status copy(void *queue, trdi_span dst, trdi_span src, size_t bytes)
{
    (void)queue;
    if (bytes == 0) return TRD_OK;
    if (dst.buffer == NULL || src.buffer == NULL) return trdi_fail(TRD_E_INVALID, "copy of %zu bytes: a buffer is absent", bytes);
    memmove(trdi_span_at(dst), trdi_span_at(src), bytes);
    return TRD_OK;
}

static trd_status read_back(void *queue, void *dst, trdi_span src, size_t bytes)
{
    (void)queue;
    if (bytes == 0) return TRD_OK;
    if (dst == NULL || src.buffer == NULL) return trdi_fail(TRD_E_INVALID, "read of %zu bytes: a buffer is absent", bytes);
    memmove(dst, trdi_span_at(src), bytes);
    return TRD_OK;
}

static bool supports(const void *device, const trdi_op *op)
{
    (void)device;
    return trdi_cpu_refusal(op) == NULL;
}

/* A run has ended when plan_run returns. */
static trd_status queue_wait(void *queue)
{
    (void)queue;
    return TRD_OK;
}

const trdi_backend_ops *trdi_backend_cpu(void)
{
    static const trdi_backend_ops table = {
        .abi = TRDI_BACKEND_ABI,
        .name = "cpu",
        .enumerate = trdi_cpu_enumerate,
        .device_open = device_open,
        .device_close = device_close,
        .buffer_alloc = buffer_alloc,
        .buffer_free = buffer_free,
        .buffer_host = buffer_host,
        .copy = copy,
        .read = read_back,
        .queue_create = trdi_cpu_queue_create,
        .queue_destroy = trdi_cpu_queue_destroy,
        .supports = supports,
        .weight_bytes = trdi_cpu_weight_bytes,
        .weight_prepare = trdi_cpu_weight_prepare,
        .weight_data = trdi_cpu_weight_data,
        .weight_free = trdi_cpu_weight_free,
        .weight_layout_version = LAYOUT_VERSION,
        .plan_create = trdi_cpu_plan_create,
        .plan_run = trdi_cpu_plan_run,
        .queue_wait = queue_wait,
        .plan_destroy = trdi_cpu_plan_destroy,
    };
    return &table;
}
