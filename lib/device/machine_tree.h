/* machine_tree.h: the machine and the devices on it as one tree, for reports. */
#ifndef TRDI_MACHINE_TREE_H
#define TRDI_MACHINE_TREE_H

#include "device/device.h"

typedef enum trdi_place_kind {
    TRDI_PLACE_MACHINE,
    TRDI_PLACE_GROUP,      /**< of packages, or of parts of one, with memory of its own */
    TRDI_PLACE_PACKAGE,
    TRDI_PLACE_DIE,
    TRDI_PLACE_NUMA_NODE,
    TRDI_PLACE_CACHE,      /**< only those that several cores share */
    TRDI_PLACE_CORE,
    TRDI_PLACE_PCI,
    TRDI_PLACE_DEVICE,     /**< one of the library's: see device */
    TRDI_N_PLACES
} trdi_place_kind;

/** "machine", "group", "package", "die", "numa_node", "cache", "core", "pci", "device"; static. */
const char *trdi_place_kind_name(trdi_place_kind kind);

typedef struct trdi_place {
    trdi_place_kind kind;
    int32_t depth;         /**< 0 = the machine; its children follow it with depth + 1 */
    char    name[64];      /**< "package 0", "L3 cache", "PCI 0000:65:00.0", "opencl:0" */
    char    about[160];    /**< the vendor's name for it */
    char    units[128];    /**< its hardware threads by the system's numbers: "0-3"; "" = none, or not known */
    int64_t n_cores, n_units, n_allowed;   /**< cores, hardware threads, and of these those that this process may use */
    int64_t bytes;         /**< of memory or cache; 0 = not known */
    const trdi_device *device;             /**< DEVICE: borrowed for ever; else NULL */
} trdi_place;

/** All places, each before its children. */
typedef struct trdi_machine_tree {
    trdi_place *list;      /**< [n], owned */
    size_t n, capacity;
    bool   failed;         /**< memory ran out; private while it is made */
} trdi_machine_tree;

/** Read the machine and all devices. @return TRD_OK; TRD_E_MEMORY */
trd_status trdi_machine_tree_make(trdi_machine_tree *tree);
void trdi_machine_tree_free(trdi_machine_tree *tree);
/** The place after i and all that is below it; n at the end. */
size_t trdi_machine_tree_skip(const trdi_machine_tree *tree, size_t i);

#endif
