/*
 * topology.c: cores, memory, binding, by hwloc. Without it the C library's count of processors serves, and nothing is bound.
 * What is read here lives as long as the process and is not memory of the library's allocator.
 */
#include "device/topology.h"

#include <math.h>
#include <unistd.h>

#include "core/log.h"
#include "core/threads.h"
#include "device/cgroup.h"
#include "device/machine.h"

static trdi_topology facts;
static trdi_once once = TRDI_ONCE_INIT;

#if defined(TRDI_HAVE_HWLOC)
static hwloc_topology_t machine;  /* NULL until it is loaded */
static hwloc_bitmap_t   allowed;  /* processing units */
static hwloc_obj_type_t unit;     /* what counts as a core: HWLOC_OBJ_CORE, or HWLOC_OBJ_PU where no cores are known */

static hwloc_bitmap_t load_allowed(hwloc_topology_t topology)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set == NULL) return NULL;
    /* Threads that we start inherit the affinity of the thread that starts them. */
    if (hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_THREAD) != 0) hwloc_bitmap_fill(set);
    hwloc_bitmap_and(set, set, hwloc_topology_get_allowed_cpuset(topology));
    if (!hwloc_bitmap_iszero(set)) return set;
    hwloc_bitmap_free(set);
    return NULL;
}

/* Core number index among the allowed ones, in hwloc's logical order; NULL past the last. */
static hwloc_obj_t allowed_core(int64_t index)
{
    hwloc_obj_t core = NULL;
    while ((core = hwloc_get_next_obj_by_type(machine, unit, core)) != NULL)
        if (hwloc_bitmap_intersects(core->cpuset, allowed) && index-- == 0) return core;
    return NULL;
}

static bool read_machine(void)
{
    const hwloc_topology_t topology = trdi_machine_load(TRDI_MACHINE_CORES);
    if (topology == NULL) return false;
    allowed = load_allowed(topology);
    if (allowed == NULL) {
        hwloc_topology_destroy(topology);
        return false;
    }
    machine = topology;
    unit = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    while (allowed_core(facts.n_cores) != NULL) facts.n_cores++;
    facts.memory_bytes = (int64_t)hwloc_get_root_obj(machine)->total_memory;
    facts.note = hwloc_topology_is_thissystem(machine) ? "" : "threads are not bound: hwloc describes another machine";
    return facts.n_cores > 0;
}

static void bind_thread(int64_t index)
{
    const hwloc_obj_t core = allowed_core(index);
    hwloc_bitmap_t set = core != NULL ? hwloc_bitmap_dup(core->cpuset) : NULL;
    if (set == NULL) return;
    hwloc_bitmap_and(set, set, allowed);
    if (hwloc_set_cpubind(machine, set, HWLOC_CPUBIND_THREAD) != 0)
        trdi_log(TRD_LOG_WARNING, "a thread could not be bound to core %lld", (long long)index);
    hwloc_bitmap_free(set);
}

hwloc_const_bitmap_t trdi_machine_allowed(void)
{
    (void)trdi_topology_get();
    return allowed;
}

/* What of the machine is nearest to a PCI device: hwloc's object that holds the bus; NULL = not known. */
static hwloc_obj_t nearest(hwloc_topology_t topology, const char *pci)
{
    if (topology == NULL || pci[0] == '\0') return NULL;
    const hwloc_obj_t device = hwloc_get_pcidev_by_busidstring(topology, pci);
    return device != NULL ? hwloc_get_non_io_ancestor_obj(topology, device) : NULL;
}

/* The allowed processing units of set, as a new bitmap; NULL if there are none, or no memory. */
static hwloc_bitmap_t allowed_part(hwloc_const_bitmap_t set)
{
    hwloc_bitmap_t part = trdi_machine_allowed() != NULL ? hwloc_bitmap_alloc() : NULL;
    if (part == NULL) return NULL;
    hwloc_bitmap_and(part, set, allowed);
    if (!hwloc_bitmap_iszero(part)) return part;
    hwloc_bitmap_free(part);
    return NULL;
}

static void write_units(hwloc_const_bitmap_t set, char *text, size_t bytes)
{
    hwloc_bitmap_t part = allowed_part(set);
    if (part == NULL) return;
    (void)hwloc_bitmap_list_snprintf(text, bytes, part);
    hwloc_bitmap_free(part);
}

static void find_near(const char *pci, trdi_near *near)
{
    const hwloc_obj_t object = nearest(pci[0] != '\0' ? trdi_machine_with_pci() : NULL, pci);
    if (object == NULL) return;
    write_units(object->cpuset, near->units, sizeof near->units);
    (void)hwloc_bitmap_list_snprintf(near->numa_nodes, sizeof near->numa_nodes, object->nodeset);
}

static void find_allowed(trdi_near *near)
{
    if (trdi_machine_allowed() == NULL) return;
    write_units(allowed, near->units, sizeof near->units);
    (void)hwloc_bitmap_list_snprintf(near->numa_nodes, sizeof near->numa_nodes, hwloc_get_root_obj(machine)->nodeset);
}

static bool bind_near(const char *pci)
{
    const hwloc_topology_t topology = trdi_machine_with_pci();
    const hwloc_obj_t object = nearest(topology, pci);
    hwloc_bitmap_t set = object != NULL ? allowed_part(object->cpuset) : NULL;
    if (set == NULL) return false;
    const bool bound = hwloc_set_cpubind(topology, set, HWLOC_CPUBIND_THREAD) == 0;
    /* Where there is a choice. Memory elsewhere is better than none, so this does not insist. */
    if (hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE) > 1)
        (void)hwloc_set_membind(topology, object->nodeset, HWLOC_MEMBIND_BIND, HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET);
    hwloc_bitmap_free(set);
    return bound;
}

#else

static bool read_machine(void)
{
    return false;
}

static void find_near(const char *pci, trdi_near *near)
{
    (void)pci;
    (void)near;
}

static void find_allowed(trdi_near *near)
{
    (void)near;
}

static bool bind_near(const char *pci)
{
    (void)pci;
    return false;
}

static void bind_thread(int64_t index)
{
    (void)index;
}

#endif

static void read_processors(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    facts.n_cores = n > 0 ? n : 1;
    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    facts.memory_bytes = pages > 0 && page_bytes > 0 ? (int64_t)pages * page_bytes : 0;
#if defined(TRDI_HAVE_HWLOC)
    facts.note = "threads are not bound: hwloc could not read this machine";
#else
    facts.note = "threads are not bound: built without hwloc";
#endif
}

static void apply_cgroup(void)
{
    trdi_cgroup_limits limits;
    trdi_cgroup_read("", &limits);
    facts.n_usable = facts.n_cores;
    if (limits.cpus > 0 && ceil(limits.cpus) < (double)facts.n_cores) facts.n_usable = (int64_t)ceil(limits.cpus);
    if (limits.memory_bytes > 0 && (facts.memory_bytes == 0 || limits.memory_bytes < facts.memory_bytes))
        facts.memory_bytes = limits.memory_bytes;
}

static void read_all(void)
{
    if (!read_machine()) read_processors();
    apply_cgroup();
}

const trdi_topology *trdi_topology_get(void)
{
    trdi_once_run(&once, read_all);
    return &facts;
}

void trdi_topology_bind(int64_t index)
{
    const trdi_topology *const topology = trdi_topology_get();
    if (topology->note[0] != '\0') return;
    const int64_t n = topology->n_cores;
    bind_thread((index % n + n) % n);
}

void trdi_topology_near(const char *pci, trdi_near *near)
{
    (void)trdi_topology_get();
    *near = (trdi_near){ .units = "" };
    find_near(pci, near);
}

void trdi_topology_allowed(trdi_near *near)
{
    (void)trdi_topology_get();
    *near = (trdi_near){ .units = "" };
    find_allowed(near);
}

bool trdi_topology_bind_near(const char *pci)
{
    return pci[0] != '\0' && trdi_topology_get()->note[0] == '\0' && bind_near(pci);
}
