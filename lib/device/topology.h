/* topology.h: cores and memory of this machine that this process may use, and binding a thread to a core. hwloc stays in topology.c. */
#ifndef TRDI_TOPOLOGY_H
#define TRDI_TOPOLOGY_H

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

#endif
