/* topology.h: cores and memory of this machine that this process may use, and binding a thread to a core. hwloc stays in lib/device. */
#ifndef TRDI_TOPOLOGY_H
#define TRDI_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

/** Read once per process, at first use: before any thread of ours is bound. */
typedef struct trdi_topology {
    int64_t n_cores;       /**< cores that the affinity of the first calling thread allows; >= 1; a core counts once, whatever its hardware threads */
    int64_t n_usable;      /**< n_cores, lowered to the control group's CPU quota, rounded up; >= 1 */
    int64_t memory_bytes;  /**< of the machine, lowered to the control group's limit; 0 = unknown */
    const char *note;      /**< why threads cannot be bound; "" if they can; static */
} trdi_topology;
const trdi_topology *trdi_topology_get(void);

/** Bind the calling thread to allowed core index % n_cores; cores that share a cache are neighbours. Does nothing where note says so. */
void trdi_topology_bind(int64_t index);

/** What of the machine is nearest to a device, as lists of the system's numbers ("0-15,32-47"); "" = not known. */
typedef struct trdi_near {
    char units[128];       /**< processing units (hardware threads) that this process may use */
    char numa_nodes[64];
} trdi_near;
/** Of a device by its PCI address ("0000:65:00.0"). The first such question reads the machine's PCI devices. */
void trdi_topology_near(const char *pci, trdi_near *near);
/** All that this process may use. */
void trdi_topology_allowed(trdi_near *near);

/** Bind the calling thread to the allowed units nearest to a PCI device, and its new memory to their NUMA nodes. @return false = it is not bound */
bool trdi_topology_bind_near(const char *pci);

#endif
