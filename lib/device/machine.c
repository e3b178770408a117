/*
 * machine.c: loads hwloc's topologies. hwloc writes to standard error where /sys is missing; a library does not, so it is told not to, by
 * the variable that it has for this, in that case only.
 */
#include "device/machine.h"

#if defined(TRDI_HAVE_HWLOC)
#include <stdlib.h>
#include <unistd.h>

#include "core/threads.h"

#define HIDE_ERRORS "HWLOC_HIDE_ERRORS"

static hwloc_topology_t wide;
static trdi_once wide_once = TRDI_ONCE_INIT;

/* Discovery of GPUs is the back ends' matter: their drivers must not be started by asking for the number of cores. */
static void turn_off_gpu_components(hwloc_topology_t topology)
{
    static const char *const names[] = { "cuda", "nvml", "opencl", "rsmi", "levelzero", "gl" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, names[i]);
}

static hwloc_topology_t load(trdi_machine_scope scope)
{
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) != 0) return NULL;
    turn_off_gpu_components(topology);
    if (scope == TRDI_MACHINE_WITH_PCI) (void)hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc_topology_load(topology) == 0) return topology;
    hwloc_topology_destroy(topology);
    return NULL;
}

/* Would hwloc complain? It looks for these folders, below another root if it is told one. */
static bool lacks_sysfs(void)
{
    if (getenv("HWLOC_FSROOT") != NULL) return true;
    return access("/sys/bus/cpu/devices", R_OK) != 0 && access("/sys/devices/system/cpu", R_OK) != 0;
}

hwloc_topology_t trdi_machine_load(trdi_machine_scope scope)
{
    const bool hide = getenv(HIDE_ERRORS) == NULL && lacks_sysfs() && setenv(HIDE_ERRORS, "2", 1) == 0;
    const hwloc_topology_t topology = load(scope);
    if (hide) (void)unsetenv(HIDE_ERRORS);
    return topology;
}

static void load_wide(void)
{
    wide = trdi_machine_load(TRDI_MACHINE_WITH_PCI);
}

hwloc_topology_t trdi_machine_with_pci(void)
{
    trdi_once_run(&wide_once, load_wide);
    return wide;
}
#else
/* Without hwloc nothing is known of the machine; topology.c then asks the C library. */
typedef int trdi_machine_unknown;
#endif
