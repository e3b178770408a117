/*
 * device_registry.c: the devices of all back ends, listed once, opened while somebody uses them. The list lives as long as the process and
 * is static memory, so that nothing of the library's allocator is held after the last release.
 */
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/threads.h"
#include "device/device.h"
#include "device/device_select.h"
#include "device/topology.h"

enum { MAX_DEVICES = 16 };

static struct {
    trdi_mutex  mutex;                 /* guards everything below */
    bool        listed;                /* from then on the number of devices, their ops and facts are constant */
    size_t      n;
    trdi_device devices[MAX_DEVICES];  /* impl is not NULL while there are uses */
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

/* Ask all back ends, one after the other, the CPU first. No lock is held: back ends may log, which calls the user. */
static trd_status find_devices(trdi_device *found, size_t *n)
{
    const trdi_backend_ops *const backends[] = { trdi_backend_cpu() };
    *n = 0;
    for (size_t b = 0; b < sizeof backends / sizeof backends[0]; b++) {
        const trdi_backend_ops *const ops = backends[b];
        if (ops->abi != TRDI_BACKEND_ABI)
            return trdi_fail(TRD_E_INTERNAL, "back end %s has interface %u, wanted %u", ops->name, (unsigned)ops->abi, (unsigned)TRDI_BACKEND_ABI);
        trdi_device_facts facts[MAX_DEVICES];
        size_t n_new = 0;
        TRDI_TRY(ops->enumerate(facts, MAX_DEVICES - *n, &n_new));
        if (n_new > MAX_DEVICES - *n) n_new = MAX_DEVICES - *n;   /* there are more than were asked for */
        for (size_t i = 0; i < n_new; i++) {
            if (strcmp(ops->name, "cpu") == 0) refine_cpu(&facts[i]);
            found[(*n)++] = (trdi_device){ .ops = ops, .facts = facts[i] };
        }
    }
    return TRD_OK;
}

static trd_status list_devices(void)
{
    trdi_mutex_lock(&registry.mutex);
    const bool listed = registry.listed;
    trdi_mutex_unlock(&registry.mutex);
    if (listed) return TRD_OK;
    trdi_device found[MAX_DEVICES];
    size_t n;
    TRDI_TRY(find_devices(found, &n));
    trdi_mutex_lock(&registry.mutex);
    if (!registry.listed) { /* else another thread was faster */
        for (size_t i = 0; i < n; i++) {
            registry.devices[i] = found[i];
            registry.facts[i] = found[i].facts;
        }
        registry.n = n;
        registry.listed = true;
    }
    trdi_mutex_unlock(&registry.mutex);
    return TRD_OK;
}

/* One more use of an open device. @param impl  taken if the device is not open; else left. @return false if it is not open and impl is NULL */
static bool add_use(size_t i, void **impl)
{
    trdi_device *const device = &registry.devices[i];
    trdi_mutex_lock(&registry.mutex);
    const bool open = registry.n_uses[i] > 0 || *impl != NULL;
    if (registry.n_uses[i] == 0 && open) {
        device->impl = *impl;
        *impl = NULL;
    }
    if (open) registry.n_uses[i]++;
    trdi_mutex_unlock(&registry.mutex);
    return open;
}

static trd_status use_device(size_t i)
{
    const trdi_device *const device = &registry.devices[i];
    void *impl = NULL;
    if (add_use(i, &impl)) return TRD_OK;
    TRDI_TRY(device->ops->device_open(&device->facts, &impl));
    trdi_log(TRD_LOG_INFO, "device %s: %s, %s, cores: %lld, memory: %lld MiB", device->facts.id, device->facts.name, device->facts.isa,
             (long long)device->facts.n_compute_units, (long long)(device->facts.memory_bytes >> 20));
    (void)add_use(i, &impl);
    if (impl != NULL) device->ops->device_close(impl); /* another thread was faster */
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
    TRDI_TRY(list_devices());
    size_t i;
    TRDI_TRY(trdi_device_select(selector, origin, registry.facts, registry.n, &i));
    TRDI_TRY(use_device(i));
    *out = &registry.devices[i];
    return TRD_OK;
}

void trdi_device_release(trdi_device *device)
{
    if (device == NULL) return;
    const size_t i = (size_t)(device - registry.devices);
    void *unused = NULL;
    trdi_mutex_lock(&registry.mutex);
    if (--registry.n_uses[i] == 0) {
        unused = device->impl;
        device->impl = NULL;
    }
    trdi_mutex_unlock(&registry.mutex);
    if (unused != NULL) device->ops->device_close(unused);
}

const trdi_device *trdi_device_at(int64_t i)
{
    if (list_devices() != TRD_OK) return NULL;
    return i >= 0 && (uint64_t)i < registry.n ? &registry.devices[i] : NULL;
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
