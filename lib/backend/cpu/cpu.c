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

static trd_status write_to(void *queue, trdi_span dst, const void *src, size_t bytes)
{
    (void)queue;
    if (bytes == 0) return TRD_OK;
    if (dst.buffer == NULL || src == NULL) return trdi_fail(TRD_E_INVALID, "write of %zu bytes: a buffer is absent", bytes);
    memmove(trdi_span_at(dst), src, bytes);
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

const char *trdi_cpu_misfit(const trdi_op *op)
{
    const char *why = trdi_op_refusal(op);
    if (why != NULL) return why;
    if (op->kind == TRDI_OP_EMBED) {
        const trdi_cpu_weight *table = op->u.embed.table;
        if (table->layout != TRDI_LAYOUT_EMBEDDING || table->cols != op->u.embed.width) return "the table has another layout or width";
    }
    if (op->kind == TRDI_OP_LINEAR) {
        const trdi_cpu_weight *weight = op->u.linear.weight;
        if (weight->layout != TRDI_LAYOUT_LINEAR) return "the weight has another layout";
        if (weight->rows != op->u.linear.out || weight->cols != op->u.linear.in) return "the weight has other sizes";
    }
    return NULL;
}

static bool is_i8(const void *weight)
{
    return ((const trdi_cpu_weight *)weight)->dtype == TRD_DTYPE_I8;
}

/* Does attention read keys and values that are not f32? */
static bool reads_other_types(const trdi_op_attention *op)
{
    return (op->source == TRDI_KEYS_PAGED && op->kv.dtype != TRD_DTYPE_F32) ||
           (op->memory_kv.pool.buffer != NULL && op->memory_kv.dtype != TRD_DTYPE_F32);
}

/* The kernels compute in f32, also with weights that were rounded to halves; other types are for the reference alone. */
const char *trdi_cpu_refusal(const trdi_op *op)
{
    const char *why = trdi_cpu_misfit(op);
    if (why != NULL) return why;
    if (op->kind == TRDI_OP_EMBED && is_i8(op->u.embed.table)) return "the table is i8";
    if (op->kind == TRDI_OP_LINEAR && is_i8(op->u.linear.weight)) return "the weight is i8";
    if (op->kind == TRDI_OP_KV_APPEND && op->u.kv_append.kv.dtype != TRD_DTYPE_F32) return "keys and values are not f32";
    if (op->kind == TRDI_OP_ATTENTION && reads_other_types(&op->u.attention)) return "keys and values are not f32";
    return NULL;
}

static bool supports(const void *device, const trdi_op *op)
{
    (void)device;
    return trdi_cpu_refusal(op) == NULL;
}

/* A run has ended when plan_run returns, so events have passed as soon as they are made. */
static trd_status queue_wait(void *queue)
{
    (void)queue;
    return TRD_OK;
}

static trd_status event_record(void *queue, void **event)
{
    static char passed;
    (void)queue;
    *event = &passed;
    return TRD_OK;
}

static trd_status event_wait(void *queue, void *event)
{
    (void)queue;
    (void)event;
    return TRD_OK;
}

static trd_status event_done(void *event, bool *done)
{
    (void)event;
    *done = true;
    return TRD_OK;
}

static void event_free(void *event)
{
    (void)event;
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
        .write = write_to,
        .read = read_back,
        .queue_create = trdi_cpu_queue_create,
        .queue_destroy = trdi_cpu_queue_destroy,
        .queue_wait = queue_wait,
        .event_record = event_record,
        .event_wait = event_wait,
        .event_done = event_done,
        .event_free = event_free,
        .supports = supports,
        .weight_bytes = trdi_cpu_weight_bytes,
        .weight_prepare = trdi_cpu_weight_prepare,
        .weight_data = trdi_cpu_weight_data,
        .weight_free = trdi_cpu_weight_free,
        .weight_layout_version = LAYOUT_VERSION,
        .plan_create = trdi_cpu_plan_create,
        .plan_run = trdi_cpu_plan_run,
        .plan_destroy = trdi_cpu_plan_destroy,
        .kernel_build = trdi_cpu_kernel_build,
        .kernel_run = trdi_cpu_kernel_run,
        .kernel_free = trdi_cpu_kernel_free,
    };
    return &table;
}
