/*
 * device_registry.c: the devices of all back ends, listed once, opened while somebody uses them. The list lives as long as the process and
 * is static memory, so that nothing of the library's allocator is held after the last release.
 */
#include <stdlib.h>
#include <string.h>

#include "core/threads.h"
#include "device/device.h"
#include "device/device_select.h"
#include "device/topology.h"

enum { MAX_DEVICES = 16 };

static struct {
    trdi_mutex  mutex;                 /* guards everything below; facts do not change once listed */
    bool        listed;
    size_t      n;
    trdi_device devices[MAX_DEVICES];
    trdi_device_facts facts[MAX_DEVICES];
    int64_t     n_uses[MAX_DEVICES];
} registry = { .mutex = TRDI_MUTEX_INIT };

/* A back end knows its instruction set; what of the machine this process may use is known here. */
static void refine_cpu(trdi_device_facts *facts)
{
    const trdi_topology *const topology = trdi_topology_get();
    facts->n_compute_units = topology->n_usable;
    if (topology->memory_bytes > 0) facts->memory_bytes = topology->memory_bytes;
}

/* Needs the mutex. Devices are added one back end after the other, the CPU first. */
static trd_status list_devices(void)
{
    if (registry.listed) return TRD_OK;
    const trdi_backend_ops *const backends[] = { trdi_backend_cpu() };
    size_t n = 0;
    for (size_t b = 0; b < sizeof backends / sizeof backends[0]; b++) {
        const trdi_backend_ops *const ops = backends[b];
        if (ops->abi != TRDI_BACKEND_ABI)
            return trdi_fail(TRD_E_INTERNAL, "back end %s has interface %u, wanted %u", ops->name, (unsigned)ops->abi, (unsigned)TRDI_BACKEND_ABI);
        size_t n_new = 0;
        TRDI_TRY(ops->enumerate(registry.facts + n, MAX_DEVICES - n, &n_new));
        for (size_t i = n; i < n + n_new; i++) {
            if (strcmp(ops->name, "cpu") == 0) refine_cpu(&registry.facts[i]);
            registry.devices[i] = (trdi_device){ .ops = ops, .facts = registry.facts[i] };
        }
        n += n_new;
    }
    registry.n = n;
    registry.listed = true;
    return TRD_OK;
}

static trd_status acquire(const char *selector, const char *origin, trdi_device **out)
{
    TRDI_TRY(list_devices());
    size_t i;
    TRDI_TRY(trdi_device_select(selector, origin, registry.facts, registry.n, &i));
    trdi_device *const device = &registry.devices[i];
    if (registry.n_uses[i] == 0) TRDI_TRY(device->ops->device_open(&device->facts, &device->impl));
    registry.n_uses[i]++;
    *out = device;
    return TRD_OK;
}

trd_status trdi_device_acquire(const char *selector, trdi_device **out)
{
    *out = NULL;
    const char *origin = "";
    if (selector == NULL || selector[0] == '\0') {
        selector = getenv("TREADLE_DEVICE");
        origin = " (from TREADLE_DEVICE)";
    }
    if (selector == NULL || selector[0] == '\0') selector = "cpu";
    trdi_mutex_lock(&registry.mutex);
    const trd_status status = acquire(selector, origin, out);
    trdi_mutex_unlock(&registry.mutex);
    return status;
}

void trdi_device_release(trdi_device *device)
{
    if (device == NULL) return;
    const size_t i = (size_t)(device - registry.devices);
    trdi_mutex_lock(&registry.mutex);
    if (--registry.n_uses[i] == 0) {
        device->ops->device_close(device->impl);
        device->impl = NULL;
    }
    trdi_mutex_unlock(&registry.mutex);
}

const trdi_device *trdi_device_at(int64_t i)
{
    trdi_mutex_lock(&registry.mutex);
    const bool there = list_devices() == TRD_OK && i >= 0 && (uint64_t)i < registry.n;
    trdi_mutex_unlock(&registry.mutex);
    return there ? &registry.devices[i] : NULL;
}

const char *trdi_device_note(int64_t i)
{
    if (i < 0) return NULL;
    const char *const line = trdi_device_missing((size_t)i);
    if (line != NULL) return line;
    /* After the kinds that are missing: why threads cannot be bound, if they cannot. */
    const char *const note = trdi_topology_get()->note;
    const bool is_last = i > 0 && trdi_device_missing((size_t)i - 1) != NULL;
    return is_last && note[0] != '\0' ? note : NULL;
}
