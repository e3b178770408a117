/* machine.h: hwloc's view of this machine, for the files of lib/device that read it. Nothing else includes it. */
#ifndef TRDI_MACHINE_H
#define TRDI_MACHINE_H

#if defined(TRDI_HAVE_HWLOC)
#include <hwloc.h>
#include <stdbool.h>

/** What is loaded: cores, caches, memory; or PCI devices too, which takes longer. */
typedef enum trdi_machine_scope { TRDI_MACHINE_CORES, TRDI_MACHINE_WITH_PCI } trdi_machine_scope;

/** Read the machine; NULL if hwloc cannot. To be destroyed by hwloc_topology_destroy(). Drivers of GPUs are not started. */
hwloc_topology_t trdi_machine_load(trdi_machine_scope scope);

/** The machine with its PCI devices, read once per process and kept; NULL if hwloc cannot. */
hwloc_topology_t trdi_machine_with_pci(void);

/** Processing units that this process may use (affinity when the library was first used, and the control group's); borrowed. NULL = unknown. */
hwloc_const_bitmap_t trdi_machine_allowed(void);

#endif
#endif
