/* api_device.c: the public list of devices (treadle/trd_device.h) over lib/device. */
#include "treadle/trd_device.h"

#include "api/options.h"
#include "device/device.h"

/* Activations are f32 in this version of the back ends' interface, whatever a file stores: models of other types run as this one. */
static const char COMPUTE_TYPES[] = "float32";

/* A caller's struct larger than this was not set at all. */
enum { MAX_STRUCT_BYTES = 4096 };

int64_t trd_device_count(void)
{
    int64_t n = 0;
    while (trdi_device_at(n) != NULL) n++;
    return n;
}

trd_status trd_device_get_info(int64_t i, trd_device_info *info)
{
    if (info == NULL) return trdi_fail(TRD_E_INVALID, "trd_device_get_info: info is NULL");
    const size_t size = info->struct_size;
    if (size < offsetof(trd_device_info, name) || size > MAX_STRUCT_BYTES)
        return trdi_fail(TRD_E_INVALID, "trd_device_get_info: struct_size is %zu; set it to sizeof(trd_device_info), %zu", size, sizeof *info);
    const trdi_device *const device = trdi_device_at(i);
    if (device == NULL)
        return trdi_fail(TRD_E_RANGE, "trd_device_get_info: device %lld of %lld", (long long)i, (long long)trd_device_count());
    const trd_device_info found = {
        .id = device->facts.id,
        .name = device->facts.name,
        .backend = device->ops->name,
        .isa = device->facts.isa,
        .n_compute_units = device->facts.n_compute_units,
        .memory_bytes = device->facts.memory_bytes,
        .compute_types = COMPUTE_TYPES,
        .unusable = device->facts.unusable,
    };
    trdi_write_result(info, size, &found, sizeof found);
    return TRD_OK;
}

const char *trd_device_note(int64_t i)
{
    return trdi_device_note(i);
}
