/* machine_tree.c: see machine_tree.h. Devices of PCI stand below their slot, the others below the machine. */
#include "device/machine_tree.h"

#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "device/machine.h"
#include "device/topology.h"

const char *trdi_place_kind_name(trdi_place_kind kind)
{
    static const char *const names[TRDI_N_PLACES] = { "machine", "group", "package", "die", "numa_node", "cache", "core", "pci", "device" };
    return (unsigned)kind < TRDI_N_PLACES ? names[kind] : "?";
}

static void add_place(trdi_machine_tree *tree, const trdi_place *place)
{
    if (tree->failed || !trdi_reserve((void **)&tree->list, &tree->capacity, tree->n + 1, sizeof *place)) tree->failed = true;
    else tree->list[tree->n++] = *place;
}

static void add_device(trdi_machine_tree *tree, int32_t depth, const trdi_device *device)
{
    trdi_place place = { .kind = TRDI_PLACE_DEVICE, .depth = depth, .bytes = device->facts.memory_bytes, .device = device };
    (void)snprintf(place.name, sizeof place.name, "%s", device->facts.id);
    (void)snprintf(place.about, sizeof place.about, "%s", device->facts.name);
    add_place(tree, &place);
}

static bool is_placed(const trdi_machine_tree *tree, const trdi_device *device)
{
    for (size_t i = 0; i < tree->n; i++)
        if (tree->list[i].device == device) return true;
    return false;
}

static void add_other_devices(trdi_machine_tree *tree)
{
    const trdi_device *device;
    for (int64_t i = 0; (device = trdi_device_at(i)) != NULL; i++)
        if (!is_placed(tree, device)) add_device(tree, 1, device);
}

#if defined(TRDI_HAVE_HWLOC)

static const char *info_of(hwloc_obj_t object, const char *name)
{
    const char *const text = hwloc_obj_get_info_by_name(object, name);
    return text != NULL ? text : "";
}

/* Base classes of PCI devices, as pci.ids names them. */
static const char *pci_class(unsigned class_id)
{
    switch (class_id >> 8) {
    case 0x01: return "storage";
    case 0x02: return "network";
    case 0x03: return "display";
    case 0x04: return "multimedia";
    case 0x05: return "memory";
    case 0x0b: return "processor";
    case 0x12: return "accelerator";
    default: return "other";
    }
}

/* "display: NVIDIA Corporation GA102 (card0)" */
static void describe_pci(hwloc_obj_t object, trdi_place *place)
{
    const struct hwloc_pcidev_attr_s *const pci = &object->attr->pcidev;
    (void)snprintf(place->name, sizeof place->name, "PCI %04x:%02x:%02x.%x", pci->domain, pci->bus, pci->dev, pci->func);
    const char *const vendor = info_of(object, "PCIVendor"), *const model = info_of(object, "PCIDevice");
    const char *const known = vendor[0] != '\0' && model[0] != '\0' ? " " : "";
    char numbers[16] = "";
    if (vendor[0] == '\0' && model[0] == '\0') (void)snprintf(numbers, sizeof numbers, "%04x:%04x", pci->vendor_id, pci->device_id);
    const char *const system = object->io_first_child != NULL && object->io_first_child->name != NULL ? object->io_first_child->name : "";
    (void)snprintf(place->about, sizeof place->about, "%s: %s%s%s%s%s%s%s", pci_class(pci->class_id), vendor, known, model, numbers,
                   system[0] != '\0' ? " (" : "", system, system[0] != '\0' ? ")" : "");
}

static void add_pci(trdi_machine_tree *tree, hwloc_obj_t object, int32_t depth)
{
    trdi_place place = { .kind = TRDI_PLACE_PCI, .depth = depth };
    describe_pci(object, &place);
    add_place(tree, &place);
    const trdi_device *device;
    const char *const address = place.name + strlen("PCI ");
    for (int64_t i = 0; (device = trdi_device_at(i)) != NULL; i++)
        if (strcmp(device->facts.pci, address) == 0) add_device(tree, depth + 1, device);
}

/* Is it worth a place of its own? */
static bool is_shown(hwloc_topology_t topology, hwloc_obj_t object, trdi_place_kind *kind)
{
    const bool shared = object->cpuset != NULL && hwloc_get_nbobjs_inside_cpuset_by_type(topology, object->cpuset, HWLOC_OBJ_CORE) > 1;
    switch (object->type) {
    case HWLOC_OBJ_MACHINE: *kind = TRDI_PLACE_MACHINE; return true;
    case HWLOC_OBJ_GROUP: *kind = TRDI_PLACE_GROUP; return object->memory_arity > 0;
    case HWLOC_OBJ_PACKAGE: *kind = TRDI_PLACE_PACKAGE; return true;
    case HWLOC_OBJ_DIE: *kind = TRDI_PLACE_DIE; return true;
    case HWLOC_OBJ_NUMANODE: *kind = TRDI_PLACE_NUMA_NODE; return true;
    case HWLOC_OBJ_CORE: *kind = TRDI_PLACE_CORE; return true;
    case HWLOC_OBJ_PU: *kind = TRDI_PLACE_CORE; return hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) <= 0;
    default: *kind = TRDI_PLACE_CACHE; return hwloc_obj_type_is_dcache(object->type) && shared;
    }
}

static void name_place(hwloc_obj_t object, trdi_place *place)
{
    const unsigned number = object->logical_index;
    switch (place->kind) {
    case TRDI_PLACE_MACHINE: (void)snprintf(place->name, sizeof place->name, "machine"); break;
    case TRDI_PLACE_NUMA_NODE: (void)snprintf(place->name, sizeof place->name, "NUMA node %u", object->os_index); break;
    case TRDI_PLACE_CACHE: (void)snprintf(place->name, sizeof place->name, "L%u cache", object->attr->cache.depth); break;
    default: (void)snprintf(place->name, sizeof place->name, "%s %u", trdi_place_kind_name(place->kind), number); break;
    }
}

static void count_units(hwloc_topology_t topology, hwloc_obj_t object, trdi_place *place)
{
    (void)hwloc_bitmap_list_snprintf(place->units, sizeof place->units, object->cpuset);
    const int n_cores = hwloc_get_nbobjs_inside_cpuset_by_type(topology, object->cpuset, HWLOC_OBJ_CORE);
    place->n_units = hwloc_bitmap_weight(object->cpuset);
    place->n_cores = n_cores > 0 ? n_cores : place->n_units;
    place->n_allowed = place->n_units;
    hwloc_bitmap_t allowed = trdi_machine_allowed() != NULL ? hwloc_bitmap_alloc() : NULL;
    if (allowed == NULL) return;
    hwloc_bitmap_and(allowed, object->cpuset, trdi_machine_allowed());
    place->n_allowed = hwloc_bitmap_weight(allowed);
    hwloc_bitmap_free(allowed);
}

static void add_object(trdi_machine_tree *tree, hwloc_topology_t topology, hwloc_obj_t object, trdi_place_kind kind, int32_t depth)
{
    trdi_place place = { .kind = kind, .depth = depth };
    name_place(object, &place);
    (void)snprintf(place.about, sizeof place.about, "%s", info_of(object, kind == TRDI_PLACE_MACHINE ? "DMIProductName" : "CPUModel"));
    if (kind == TRDI_PLACE_MACHINE) place.bytes = (int64_t)object->total_memory;
    if (kind == TRDI_PLACE_NUMA_NODE) place.bytes = (int64_t)object->attr->numanode.local_memory;
    if (kind == TRDI_PLACE_CACHE) place.bytes = (int64_t)object->attr->cache.size;
    count_units(topology, object, &place);
    add_place(tree, &place);
}

/* An object and all below it: memory first, then cores, then what hangs on its buses. The depth of a machine is small. */
static void add_below(trdi_machine_tree *tree, hwloc_topology_t topology, hwloc_obj_t object, int32_t depth)
{
    trdi_place_kind kind;
    if (object->type == HWLOC_OBJ_PCI_DEVICE) {
        add_pci(tree, object, depth);
        return;
    }
    if (object->type != HWLOC_OBJ_BRIDGE && is_shown(topology, object, &kind)) add_object(tree, topology, object, kind, depth++);
    for (hwloc_obj_t child = object->memory_first_child; child != NULL; child = child->next_sibling) add_below(tree, topology, child, depth);
    for (hwloc_obj_t child = object->first_child; child != NULL; child = child->next_sibling) add_below(tree, topology, child, depth);
    for (hwloc_obj_t child = object->io_first_child; child != NULL; child = child->next_sibling) add_below(tree, topology, child, depth);
}

static bool add_machine(trdi_machine_tree *tree)
{
    const hwloc_topology_t topology = trdi_machine_with_pci();
    if (topology == NULL) return false;
    add_below(tree, topology, hwloc_get_root_obj(topology), 0);
    return true;
}

#else

static bool add_machine(trdi_machine_tree *tree)
{
    (void)tree;
    return false;
}

#endif

trd_status trdi_machine_tree_make(trdi_machine_tree *tree)
{
    *tree = (trdi_machine_tree){ .list = NULL };
    const trdi_topology *const topology = trdi_topology_get();
    if (!add_machine(tree)) {
        const trdi_place machine = {
            .kind = TRDI_PLACE_MACHINE, .name = "machine", .n_cores = topology->n_cores, .n_units = topology->n_cores,
            .n_allowed = topology->n_cores, .bytes = topology->memory_bytes,
        };
        add_place(tree, &machine);
    }
    add_other_devices(tree);
    if (!tree->failed) return TRD_OK;
    trdi_machine_tree_free(tree);
    return trdi_fail(TRD_E_MEMORY, "description of this machine: out of memory");
}

void trdi_machine_tree_free(trdi_machine_tree *tree)
{
    trdi_free(tree->list);
    *tree = (trdi_machine_tree){ .list = NULL };
}

size_t trdi_machine_tree_skip(const trdi_machine_tree *tree, size_t i)
{
    const int32_t depth = tree->list[i].depth;
    do i++;
    while (i < tree->n && tree->list[i].depth > depth);
    return i;
}
