/*
 * test_placement.c: where devices lie in a machine, which threads are bound near them, and the reports of whole machines: on machines
 * described by files (machines/: exported by hwloc, PCI devices added by hand), with a back end made for tests (fake_module.c). The machine
 * is read once: a process per case.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/scarce.h"
#include "device/device.h"
#include "device/topology.h"

static void set(const char *name, const char *value)
{
    CHECK_INT(setenv(name, value, 1), 0);
}

#if defined(TRDI_HAVE_HWLOC)

static void use_machine(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.xml", MACHINES, name);
    set("HWLOC_XMLFILE", path);
}

static void check_near(int64_t i, const char *name, const char *cores, const char *nodes)
{
    trd_device_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_device_get_info(i, &info));
    CHECK_STRING(info.name, name);
    CHECK_STRING(info.nearest_cores, cores);
    CHECK_STRING(info.numa_nodes, nodes);
}

static void use_two_packages(void)
{
    use_machine("two_packages");
    set("FAKE_DEVICES", "gpu,Big <1> & co,0000:65:00.0;gpu,Small,0000:b3:00.0,it is too warm;gpu,Elsewhere,0000:01:00.0;gpu,Nowhere;cpu,Cores");
}

static void case_two_packages(void)
{
    use_two_packages();
    CHECK_INT(trd_device_count(), 6);
    trd_device_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_device_get_info(0, &info));
    CHECK_STRING(info.nearest_cores, "0-15");
    CHECK_STRING(info.numa_nodes, "0-1");
    CHECK_STRING(info.type, "cpu");
    CHECK_STRING(info.pci, "");
    check_near(1, "Big <1> & co", "0-7", "0");
    check_near(2, "Small", "8-15", "1");
    check_near(3, "Elsewhere", "", "");
    check_near(4, "Nowhere", "", "");
    check_near(5, "Cores", "0-15", "0-1");
    CHECK_OK(trd_device_get_info(2, &info));
    CHECK_STRING(info.type, "gpu");
    CHECK_STRING(info.pci, "0000:b3:00.0");
    CHECK_STRING(info.unusable, "it is too warm");
    CHECK_STRING(info.compute_types, "float32,float16,int8,int8_float32,int8_float16");
    CHECK_STRING(info.platform, "Fake platform");
    CHECK_STRING(info.driver, "1.2.3");
    CHECK_STRING(info.features, "fp16 subgroups");
    CHECK_INT(info.max_buffer_bytes, (int64_t)2 << 30);
    CHECK_INT(info.local_bytes, 65536);
}

static void case_sub_numa(void)
{
    use_machine("sub_numa");
    set("FAKE_DEVICES", "gpu,Near the second,0000:b3:00.0");
    check_near(1, "Near the second", "3-5", "1");
}

/* Each line of want, in this order, is somewhere in text. */
static void check_lines(const char *text, const char *const *want, size_t n)
{
    const char *at = text;
    for (size_t i = 0; i < n; i++) {
        const char *const found = strstr(at, want[i]);
        if (found == NULL) {
            fprintf(stderr, "no \"%s\" where it should be, in:\n%s\n", want[i], text);
            exit(1);
        }
        at = found + strlen(want[i]);
    }
}

static void case_tree(void)
{
    use_two_packages();
    char *text;
    CHECK_OK(trd_device_report(TRD_REPORT_TREE, &text));
    static const char *const want[] = {
        "machine, ", ", 8 cores, CPUs 0-15", "\n├─ package 0, 4 cores, CPUs 0-7\n", "│  ├─ NUMA node 0, 59.6 GiB, CPUs 0-7\n",
        "│  ├─ L3 cache, 30.5 MiB, 4 cores, CPUs 0-7\n", "│  └─ PCI 0000:65:00.0: display: NVIDIA Corporation Example H1 (card1)\n",
        "│     └─ opencl:0: Big <1> & co\n", "│           gpu, 24 units, 8 GiB of memory, largest buffer 2 GiB, local memory 64 KiB\n",
        "│           compute types: float32, float16, int8, int8_float32, int8_float16\n", "│           features: fp16 subgroups\n",
        "│           driver: Fake platform, 1.2.3\n", "│           PCI 0000:65:00.0, nearest CPUs 0-7, NUMA node 0\n",
        "├─ package 1", "PCI 0000:b3:00.0: display: Advanced Micro Devices Example <7> & more (card2)\n",
        "opencl:1: Small\n", "cannot be used: it is too warm\n", "PCI 0000:b4:00.0: network: 8086:1593 (eth0)\n", "├─ cpu:0: ",
        "on CPUs 0-15, NUMA nodes 0-1\n", "├─ opencl:2: Elsewhere\n", "PCI 0000:01:00.0, nearest CPUs not known\n", "├─ opencl:3: Nowhere\n",
        "└─ opencl:4: Cores\n", "cuda: ", "threads are not bound: hwloc describes another machine\n",
    };
    check_lines(text, want, sizeof want / sizeof want[0]);
    CHECK(strstr(text, "core 3") == NULL);
    trd_string_free(text);
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
}

static const json_t *child(const json_t *place, size_t i, const char *kind)
{
    const json_t *const found = json_array_get(json_object_get(place, "children"), i);
    CHECK_STRING(json_string_value(json_object_get(found, "kind")), kind);
    return found;
}

static void case_json(void)
{
    use_two_packages();
    char *text;
    CHECK_OK(trd_device_report(TRD_REPORT_JSON, &text));
    json_t *const root = json_loads(text, 0, NULL);
    CHECK(root != NULL);
    trd_string_free(text);
    CHECK_STRING(json_string_value(json_object_get(root, "version")), trd_version());
    CHECK_INT(json_array_size(json_object_get(root, "devices")), 6);
    const json_t *const small = json_array_get(json_object_get(root, "devices"), 2);
    CHECK_STRING(json_string_value(json_object_get(small, "nearest_cores")), "8-15");
    CHECK_STRING(json_string_value(json_array_get(json_object_get(small, "compute_types"), 2)), "int8");
    CHECK_INT(json_integer_value(json_object_get(small, "local_bytes")), 65536);
    CHECK(json_array_size(json_object_get(root, "notes")) >= 2);
    const json_t *const machine = json_object_get(root, "machine");
    const json_t *const package = child(machine, 1, "package");
    (void)child(package, 0, "numa_node");
    const json_t *const cache = child(package, 1, "cache");
    CHECK_STRING(json_string_value(json_object_get(child(cache, 3, "core"), "cpus")), "14-15");
    const json_t *const device = child(child(package, 2, "pci"), 0, "device");
    CHECK_STRING(json_string_value(json_object_get(device, "id")), "opencl:1");
    json_decref(root);
}

static void case_svg(void)
{
    use_two_packages();
    char *text;
    CHECK_OK(trd_device_report(TRD_REPORT_SVG, &text));
    static const char *const want[] = {
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg ", ">package 0, 4 cores, CPUs 0-7<", "class=\"numa_node\"", ">core 0<", ">0-1<",
        "Big &lt;1&gt; &amp; co", "class=\"unusable\"", "cannot be used: it is too warm", ">cuda: ", "</svg>\n",
    };
    check_lines(text, want, sizeof want / sizeof want[0]);
    CHECK(strstr(text, "Big <") == NULL && strstr(text, "nan") == NULL && strstr(text, "=\"-") == NULL);
    trd_string_free(text);
}

static void case_report_arguments(void)
{
    char *text = (char *)1;
    CHECK_FAILS(trd_device_report(TRD_REPORT_TREE, NULL), TRD_E_INVALID, "text is NULL");
    CHECK_FAILS(trd_device_report((trd_report)3, &text), TRD_E_INVALID, "form is 3");
    CHECK(text == NULL);
    trd_string_free(NULL);
}

static void case_report_memory(void)
{
    use_two_packages();
    CHECK_INT(trd_device_count(), 6);
    CHECK_OK(trd_allocator_set(&scarce_allocator));
    for (int form = TRD_REPORT_TREE; form <= TRD_REPORT_SVG; form++) {
        trd_status status = TRD_E_MEMORY;
        for (int n = 0; status != TRD_OK; n++) {
            scarce_allow(n);
            char *text;
            status = trd_device_report((trd_report)form, &text);
            if (status != TRD_OK) CHECK_INT(status, TRD_E_MEMORY);
            CHECK((status == TRD_OK) == (text != NULL));
            trd_string_free(text);
            size_t blocks;
            trd_memory_in_use(NULL, &blocks);
            CHECK_INT(blocks, 0);
            CHECK(n < 2000);
        }
    }
    CHECK_OK(trd_allocator_set(NULL));
}

/* Processor i of this machine, and only that. */
static bool runs_on(size_t i)
{
    cpu_set_t set_now;
    CHECK_INT(sched_getaffinity(0, sizeof set_now, &set_now), 0);
    return CPU_ISSET(i, &set_now) && CPU_COUNT(&set_now) == 1;
}

static bool may_use_two(void)
{
    cpu_set_t set_now;
    CHECK_INT(sched_getaffinity(0, sizeof set_now, &set_now), 0);
    return CPU_ISSET(0, &set_now) && CPU_ISSET(1, &set_now);
}

static void restrict_to(size_t i)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(i, &one);
    CHECK_INT(sched_setaffinity(0, sizeof one, &one), 0);
}

/* This machine has at least the processors 0 and 1: pretend that a GPU is near the second. */
static void use_two_cores(void)
{
    use_machine("two_cores");
    set("HWLOC_THISSYSTEM", "1");
    set("FAKE_DEVICES", "gpu,Near,0000:65:00.0;gpu,Nowhere;cpu,Cores,0000:65:00.0");
}

static void case_bind(void)
{
    if (!may_use_two()) return;
    use_two_cores();
    restrict_to(0);
    cpu_set_t both;
    CPU_ZERO(&both);
    CPU_SET(0, &both);
    CPU_SET(1, &both);
    CHECK_INT(sched_setaffinity(0, sizeof both, &both), 0);
    CHECK_STRING(trdi_topology_get()->note, "");
    check_near(1, "Near", "1", "0");
    trdi_device_bind_feeder(trdi_device_at(0));
    trdi_device_bind_feeder(trdi_device_at(2));
    trdi_device_bind_feeder(trdi_device_at(3));
    CHECK(may_use_two());
    trdi_device_bind_feeder(trdi_device_at(1));
    CHECK(runs_on(1));
}

/* What this process may not use is not near, and nothing is bound to it. */
static void case_affinity(void)
{
    if (!may_use_two()) return;
    use_two_cores();
    restrict_to(0);
    check_near(1, "Near", "", "0");
    trdi_device_bind_feeder(trdi_device_at(1));
    CHECK(runs_on(0));
}

/* A library is silent, also where hwloc finds no /sys to read. */
static void case_silent(void)
{
    const int file = open(WORK "/stderr.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
    const int before = dup(2);
    CHECK(file >= 0 && before >= 0);
    CHECK(dup2(file, 2) == 2);
    (void)mkdir(WORK "/empty", 0700);
    set("HWLOC_FSROOT", WORK "/empty");
    char *text;
    const trd_status status = trd_device_report(TRD_REPORT_TREE, &text);
    CHECK(dup2(before, 2) == 2);
    CHECK_OK(status);
    trd_string_free(text);
    CHECK_INT(lseek(file, 0, SEEK_END), 0);
    CHECK(getenv("HWLOC_HIDE_ERRORS") == NULL);
}

static void (*const cases[])(void) = {
    case_two_packages, case_sub_numa, case_tree, case_json, case_svg, case_report_arguments, case_report_memory, case_bind, case_affinity,
    case_silent,
};
#else

/* Without hwloc the machine is a number of cores. */
static void case_plain(void)
{
    set("FAKE_DEVICES", "gpu,Big,0000:65:00.0");
    for (int form = TRD_REPORT_TREE; form <= TRD_REPORT_SVG; form++) {
        char *text;
        CHECK_OK(trd_device_report((trd_report)form, &text));
        CHECK(strstr(text, "machine") != NULL && strstr(text, "Big") != NULL);
        trd_string_free(text);
    }
    trdi_device_bind_feeder(trdi_device_at(1));
}

static void (*const cases[])(void) = { case_plain };
#endif

int main(void)
{
    set("TREADLE_BACKEND_PATH", MODULES);
    set("TREADLE_PROBE", "off");
    set("TREADLE_CACHE", "");
    static const char *const unwanted[] = { "TREADLE_DEVICE", "FAKE_LOG", "FAKE_FAULT", "HWLOC_SYNTHETIC", "HWLOC_HIDE_ERRORS", "HWLOC_THISSYSTEM" };
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) CHECK_INT(unsetenv(unwanted[i]), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            cases[i]();
            exit(0);
        }
        int status = 1;
        CHECK(waitpid(pid, &status, 0) == pid);
        if (status != 0) fprintf(stderr, "case %zu: status %d\n", i, status);
        CHECK_INT(status, 0);
    }
    return 0;
}
