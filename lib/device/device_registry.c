/*
 * device_registry.c: the devices of all back ends, listed once, opened while somebody uses them. The CPU is listed first and alone; the
 * modules are asked when something but the CPU is wanted. The list lives as long as the process and is static memory, so that nothing of the
 * library's allocator is held after the last release.
 */
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/threads.h"
#include "device/device.h"
#include "device/device_select.h"
#include "device/discovery.h"
#include "device/topology.h"

/* How far the list has got. */
typedef enum list_state { NOTHING_LISTED, CPU_LISTED, ASKING_MODULES, ALL_LISTED } list_state;

static struct {
    trdi_global_mutex mutex;                  /* guards everything below */
    trdi_cond   changed;                      /* the state, after ASKING_MODULES */
    list_state  state;
    int64_t     process;                      /* that asked the modules */
    trdi_thread asker;                        /* while ASKING_MODULES */
    size_t      n, n_notes;                   /* published; what they count is constant. ASKING_MODULES: the asker writes past them */
    trdi_device devices[TRDI_MAX_DEVICES];    /* impl is not NULL while there are uses */
    trdi_device_facts facts[TRDI_MAX_DEVICES];
    char        notes[TRDI_MAX_NOTES][TRDI_NOTE_BYTES];
    int64_t     n_uses[TRDI_MAX_DEVICES];
} registry = { .mutex = TRDI_GLOBAL_MUTEX_INIT, .changed = PTHREAD_COND_INITIALIZER };

/* A back end knows its instruction set; what of the machine this process may use is known here. */
static void refine_cpu(trdi_device_facts *facts)
{
    const trdi_topology *const topology = trdi_topology_get();
    facts->n_compute_units = topology->n_usable;
    if (topology->memory_bytes > 0) facts->memory_bytes = topology->memory_bytes;
}

/* Where a device is: cores wherever we may be, others near their PCI slot. */
static void place_device(trdi_device *device)
{
    trdi_near near;
    if (device->facts.type == TRDI_DEVICE_CPU) trdi_topology_allowed(&near);
    else trdi_topology_near(device->facts.pci, &near);
    memcpy(device->nearest_cores, near.units, sizeof device->nearest_cores);
    memcpy(device->numa_nodes, near.numa_nodes, sizeof device->numa_nodes);
}

/* Under the mutex: make the findings part of the list. */
static void publish(const trdi_findings *findings, list_state state)
{
    for (size_t i = registry.n; i < findings->n_devices; i++) registry.facts[i] = findings->devices[i].facts;
    registry.n = findings->n_devices;
    registry.n_notes = findings->n_notes;
    registry.state = state;
}

/* No lock is held while a back end is asked: it may log, which calls the user. */
static trd_status list_cpu(void)
{
    trdi_global_lock(&registry.mutex);
    const bool listed = registry.state != NOTHING_LISTED;
    trdi_global_unlock(&registry.mutex);
    if (listed) return TRD_OK;
    trdi_device found[1];
    trdi_findings findings = { .devices = found, .capacity = 1, .notes = registry.notes };
    TRDI_TRY(trdi_findings_ask(&findings, trdi_backend_cpu()));
    for (size_t i = 0; i < findings.n_devices; i++) {
        refine_cpu(&found[i].facts);
        place_device(&found[i]);
    }
    trdi_global_lock(&registry.mutex);
    if (registry.state == NOTHING_LISTED) { /* else another thread was faster */
        memcpy(registry.devices, found, findings.n_devices * sizeof found[0]);
        publish(&findings, CPU_LISTED);
    }
    trdi_global_unlock(&registry.mutex);
    return TRD_OK;
}

/*
 * Under the mutex: is it this thread's turn to ask the modules? Waits while another thread does. The asker itself comes here again when
 * the user's log callback does, and a forked child when the asker stayed behind: both have to do with what is listed.
 */
static bool begin_asking(void)
{
    while (registry.state == ASKING_MODULES) {
        if (registry.process != trdi_process_id() || pthread_equal(registry.asker, pthread_self())) return false;
        trdi_cond_wait(&registry.changed, &registry.mutex.mutex);
    }
    if (registry.state == ALL_LISTED) return false;
    registry.state = ASKING_MODULES;
    registry.process = trdi_process_id();
    registry.asker = pthread_self();
    return true;
}

static void ask_modules(void)
{
    trdi_findings findings = {
        .devices = registry.devices, .capacity = TRDI_MAX_DEVICES, .n_devices = registry.n, .notes = registry.notes, .n_notes = registry.n_notes,
    };
    const size_t n_before = findings.n_devices;
    trdi_discover_modules(&findings);
    for (size_t i = n_before; i < findings.n_devices; i++) place_device(&findings.devices[i]);
    const char *const unbound = trdi_topology_get()->note;
    if (unbound[0] != '\0') trdi_findings_note(&findings, "%s", unbound);
    trdi_global_lock(&registry.mutex);
    publish(&findings, ALL_LISTED);
    trdi_cond_broadcast(&registry.changed);
    trdi_global_unlock(&registry.mutex);
}

static trd_status list_all(void)
{
    TRDI_TRY(list_cpu());
    trdi_global_lock(&registry.mutex);
    const bool asking = begin_asking();
    trdi_global_unlock(&registry.mutex);
    if (asking) ask_modules();
    return TRD_OK;
}

/* One more use of an open device. @param impl  taken if the device is not open; else left. @return false if it is not open and impl is NULL */
static bool add_use(size_t i, void **impl)
{
    trdi_device *const device = &registry.devices[i];
    trdi_global_lock(&registry.mutex);
    const bool open = registry.n_uses[i] > 0 || *impl != NULL;
    if (registry.n_uses[i] == 0 && open) {
        device->impl = *impl;
        *impl = NULL;
    }
    if (open) registry.n_uses[i]++;
    trdi_global_unlock(&registry.mutex);
    return open;
}

/* Drivers do not survive a fork; the CPU does. */
static trd_status check_process(const trdi_device *device)
{
    if (device->ops == trdi_backend_cpu()) return TRD_OK;
    trdi_global_lock(&registry.mutex);
    const bool own = registry.process == trdi_process_id();
    trdi_global_unlock(&registry.mutex);
    if (own) return TRD_OK;
    return trdi_fail(TRD_E_FORKED, "device %s (%s): its driver was started before this process was forked: list and open devices after the fork only",
                     device->facts.id, device->facts.name);
}

static trd_status use_device(size_t i)
{
    const trdi_device *const device = &registry.devices[i];
    void *impl = NULL;
    TRDI_TRY(check_process(device));
    if (add_use(i, &impl)) return TRD_OK;
    TRDI_TRY(device->ops->device_open(&device->facts, &impl));
    trdi_log(TRD_LOG_INFO, "device %s: %s, %s, cores: %lld, memory: %lld MiB", device->facts.id, device->facts.name,
             device->facts.isa[0] != '\0' ? device->facts.isa : device->facts.platform, (long long)device->facts.n_compute_units,
             (long long)(device->facts.memory_bytes >> 20));
    (void)add_use(i, &impl);
    if (impl != NULL) device->ops->device_close(impl); /* another thread was faster */
    return TRD_OK;
}

/* What the selector means, given the devices it needs to be listed. @param selected  replaced where the environment decides */
static trd_status select_devices(const char **selector, size_t *chosen, size_t capacity, size_t *n_chosen)
{
    const char *origin = "";
    if (*selector == NULL || (*selector)[0] == '\0') {
        *selector = getenv("TREADLE_DEVICE");
        origin = " (from TREADLE_DEVICE)";
    }
    if (*selector == NULL || (*selector)[0] == '\0') *selector = "cpu";
    TRDI_TRY(trdi_device_selects_cpu(*selector) ? list_cpu() : list_all());
    trdi_global_lock(&registry.mutex);
    const trdi_device_choice choice = {
        .facts = registry.facts, .n = registry.n, .notes = (const char (*)[TRDI_NOTE_BYTES])registry.notes, .n_notes = registry.n_notes,
    };
    trdi_global_unlock(&registry.mutex);
    return trdi_device_select(*selector, origin, &choice, chosen, capacity, n_chosen);
}

trd_status trdi_device_acquire_list(const char *selector, trdi_device **out, size_t capacity, size_t *n)
{
    *n = 0;
    size_t chosen[TRDI_MAX_DEVICES], n_chosen;
    TRDI_TRY(select_devices(&selector, chosen, capacity < TRDI_MAX_DEVICES ? capacity : TRDI_MAX_DEVICES, &n_chosen));
    for (size_t i = 0; i < n_chosen; i++) {
        const trd_status status = use_device(chosen[i]);
        if (status != TRD_OK) {
            while (*n > 0) trdi_device_release(out[--*n]);
            return status;
        }
        out[(*n)++] = &registry.devices[chosen[i]];
    }
    return TRD_OK;
}

trd_status trdi_device_acquire(const char *selector, trdi_device **out)
{
    *out = NULL;
    size_t chosen[TRDI_MAX_DEVICES], n_chosen;
    TRDI_TRY(select_devices(&selector, chosen, TRDI_MAX_DEVICES, &n_chosen));
    for (size_t i = 1; i < n_chosen; i++) {
        if (chosen[i] != chosen[0]) return trdi_fail(TRD_E_UNSUPPORTED, "device '%s' names %zu devices: one is wanted here", selector, n_chosen);
    }
    TRDI_TRY(use_device(chosen[0]));
    *out = &registry.devices[chosen[0]];
    return TRD_OK;
}

trd_status trdi_device_retain(trdi_device *device)
{
    return use_device((size_t)(device - registry.devices));
}

void trdi_device_release(trdi_device *device)
{
    if (device == NULL) return;
    const size_t i = (size_t)(device - registry.devices);
    void *unused = NULL;
    trdi_global_lock(&registry.mutex);
    if (--registry.n_uses[i] == 0) {
        unused = device->impl;
        device->impl = NULL;
    }
    trdi_global_unlock(&registry.mutex);
    if (unused != NULL) device->ops->device_close(unused);
}

/* Is device i listed by now? */
static bool is_listed(int64_t i)
{
    trdi_global_lock(&registry.mutex);
    const bool there = i >= 0 && (uint64_t)i < registry.n;
    trdi_global_unlock(&registry.mutex);
    return there;
}

const trdi_device *trdi_device_at(int64_t i)
{
    if (i < 0 || list_cpu() != TRD_OK) return NULL;
    if (!is_listed(i) && (list_all() != TRD_OK || !is_listed(i))) return NULL;
    return &registry.devices[i];
}

const char *trdi_device_note(int64_t i)
{
    if (list_all() != TRD_OK) return NULL;
    trdi_global_lock(&registry.mutex);
    const bool there = i >= 0 && (uint64_t)i < registry.n_notes;
    trdi_global_unlock(&registry.mutex);
    return there ? registry.notes[i] : NULL;
}
