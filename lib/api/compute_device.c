/* compute_device.c: open devices (treadle/trd_compute.h): uses, memory counters. */
#include "api/compute.h"
#include "core/alloc.h"

trd_status trdi_device_check(const trd_device *device, const char *name)
{
    if (device == NULL) return trdi_fail(TRD_E_INVALID, "%s: device is NULL", name);
    if (device->process == trdi_process_id()) return TRD_OK;
    /* Drivers don't survive a fork: the registry refuses their devices in the child. */
    const char *const id = device->device->facts.id;
    const char *const cure = device->device->ops == trdi_backend_cpu() ? "open it in the child" : "only a child forked before any driver was started can open it";
    return trdi_fail(TRD_E_FORKED, "%s: device %s was opened before a fork and belongs to the parent process: %s", name, id, cure);
}

trd_device *trdi_open_device_use(trd_device *device)
{
    (void)atomic_fetch_add(&device->n_uses, 1);
    return device;
}

void trdi_open_device_drop(trd_device *device)
{
    if (device == NULL || atomic_fetch_sub(&device->n_uses, 1) != 1) return;
    trdi_builtins_free(device);
    trdi_device_memory_release(device->memory);
    trdi_device_release(device->device);
    trdi_mutex_destroy(&device->mutex);
    trdi_free(device);
}

trd_status trd_device_open(const char *selector, trd_device **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_device_open: out is NULL");
    *out = NULL;
    trd_device *const device = trdi_calloc(1, sizeof *device);
    if (device == NULL) return trdi_fail(TRD_E_MEMORY, "trd_device_open: %zu bytes", sizeof *device);
    trd_status status = trdi_mutex_init(&device->mutex);
    if (status != TRD_OK) {
        trdi_free(device);
        return status;
    }
    device->process = trdi_process_id();
    atomic_init(&device->n_uses, 1);
    status = trdi_device_acquire(selector, &device->device);
    if (status == TRD_OK) status = trdi_device_memory_acquire(device->device, &device->memory);
    if (status != TRD_OK) {
        trdi_open_device_drop(device);
        return status;
    }
    *out = device;
    return TRD_OK;
}

void trd_device_close(trd_device *device)
{
    /* What a forked child inherited goes with the process: its locks may be held for ever. */
    if (device == NULL || device->process != trdi_process_id()) return;
    trdi_open_device_drop(device);
}

trd_status trd_device_describe(const trd_device *device, trd_device_info *info)
{
    if (device == NULL) return trdi_fail(TRD_E_INVALID, "trd_device_describe: device is NULL");
    for (int64_t i = 0; trdi_device_at(i) != NULL; i++) {
        if (trdi_device_at(i) == device->device) return trdi_describe_device("trd_device_describe", i, info);
    }
    return trdi_fail(TRD_E_INTERNAL, "trd_device_describe: %s is in no list", device->device->facts.id);
}

trd_status trd_device_get_memory(const trd_device *device, trd_device_memory *memory)
{
    TRDI_TRY(trdi_device_check(device, "trd_device_get_memory"));
    if (memory == NULL || !trdi_struct_size_valid(memory->struct_size))
        return trdi_fail(TRD_E_INVALID, "trd_device_get_memory: memory is NULL or its struct_size not set");
    trdi_memory_counters now;
    trdi_device_memory_count(device->memory, &now);
    const trdi_device *const open = device->device;
    const trd_device_memory found = {
        .allocated_bytes = now.allocated_bytes, .cached_bytes = now.cached_bytes, .peak_bytes = now.peak_bytes,
        .n_allocated = now.n_allocated, .n_cached = now.n_cached, .n_requests = now.n_requests, .n_reused = now.n_reused,
        .device_bytes = open->ops->memory_in_use != NULL ? open->ops->memory_in_use(open->impl) : 0,
    };
    trdi_write_result(memory, memory->struct_size, &found, sizeof found);
    return TRD_OK;
}

trd_status trd_device_empty_cache(trd_device *device)
{
    TRDI_TRY(trdi_device_check(device, "trd_device_empty_cache"));
    trdi_device_memory_empty(device->memory);
    return TRD_OK;
}
