/* test_topology.c: cores counted on synthetic machines, and threads bound on this one. The topology is read once: a process per case. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/threads.h"
#include "device/device.h"
#include "device/topology.h"

#if defined(TRDI_HAVE_HWLOC)
#include <hwloc.h>

static const struct {
    const char *machine;
    int64_t     n_cores;
} machines[] = {
    { "pack:1 core:1 pu:1", 1 },
    { "pack:2 l3:1 core:4 pu:2", 8 },      /* hardware threads share a core */
    { "numa:2 pack:2 l2:4 core:3 pu:1", 48 },
    { "pu:6", 6 },                         /* no cores known */
};

static void check_machine(const char *machine, int64_t n_cores)
{
    CHECK_INT(setenv("HWLOC_SYNTHETIC", machine, 1), 0);
    const trdi_topology *const topology = trdi_topology_get();
    CHECK_INT(topology->n_cores, n_cores);
    CHECK(topology->n_usable >= 1 && topology->n_usable <= n_cores);
    CHECK(topology->memory_bytes > 0);
    CHECK(strstr(topology->note, "another machine") != NULL);
    CHECK(trdi_topology_get() == topology);
    CHECK_INT(trdi_device_cores_allowed(), topology->n_usable);
    trdi_topology_bind(0);
}

/* Cores where the calling thread may run. */
static int n_cores_of_thread(hwloc_topology_t topology)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    CHECK(set != NULL);
    CHECK_INT(hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_THREAD), 0);
    const int n = hwloc_get_nbobjs_inside_cpuset_by_type(topology, set, HWLOC_OBJ_PU);
    hwloc_bitmap_free(set);
    return n;
}

static void *bound_thread(void *topology)
{
    const int64_t n_cores = trdi_topology_get()->n_cores;
    trdi_pin pin = { .first_core = n_cores - 1 };
    const int before = n_cores_of_thread(topology);
    for (int32_t t = 0; t < 2 * n_cores; t++) trdi_device_pin_thread(&pin, t);
    const int after = n_cores_of_thread(topology);
    CHECK(after >= 1 && after <= before);
    if (n_cores > 1) CHECK(after < before);
    return NULL;
}

/* A bound thread has one core; others keep theirs. */
static void check_binding(void)
{
    hwloc_topology_t topology;
    CHECK_INT(hwloc_topology_init(&topology), 0);
    CHECK_INT(hwloc_topology_load(topology), 0);
    const int before = n_cores_of_thread(topology);
    CHECK_STRING(trdi_topology_get()->note, "");
    trdi_thread thread;
    CHECK_OK(trdi_thread_start(&thread, "bound", bound_thread, topology));
    trdi_thread_join(thread);
    CHECK_INT(n_cores_of_thread(topology), before);
    hwloc_topology_destroy(topology);
}

/* The affinity of a process, not only its machine, decides. */
static void check_affinity(void)
{
    hwloc_topology_t topology;
    CHECK_INT(hwloc_topology_init(&topology), 0);
    CHECK_INT(hwloc_topology_load(topology), 0);
    const hwloc_obj_t pu = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, 0);
    CHECK_INT(hwloc_set_cpubind(topology, pu->cpuset, HWLOC_CPUBIND_THREAD), 0);
    CHECK_INT(trdi_topology_get()->n_cores, 1);
    CHECK_INT(trdi_device_cores_allowed(), 1);
    hwloc_topology_destroy(topology);
}

static int run_case(int i)
{
    const int n_machines = (int)(sizeof machines / sizeof machines[0]);
    if (i < n_machines) check_machine(machines[i].machine, machines[i].n_cores);
    else if (i == n_machines) check_binding();
    else if (i == n_machines + 1) check_affinity();
    else return -1;
    return 0;
}
#else

static int run_case(int i)
{
    if (i > 0) return -1;
    const trdi_topology *const topology = trdi_topology_get();
    CHECK(topology->n_cores >= 1);
    CHECK_STRING(topology->note, "threads are not bound: built without hwloc");
    trdi_topology_bind(0);
    return 0;
}
#endif

int main(void)
{
    for (int i = 0;; i++) {
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) exit(run_case(i) < 0 ? 99 : 0);
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        if (WEXITSTATUS(status) == 99) return i > 0 ? 0 : 1;
        CHECK_INT(WEXITSTATUS(status), 0);
    }
}
