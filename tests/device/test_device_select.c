/* test_device_select.c: what selectors mean on machines with and without other devices than the CPU. */
#include "check.h"
#include "device/device_select.h"

static const trdi_device_facts plain[] = {
    { .id = "cpu:0", .name = "Example Core 9" },
};
static const trdi_device_facts rich[] = {
    { .id = "cpu:0", .name = "Example Core 9" },
    { .id = "other:0", .name = "Example Graphics 1", .unusable = "its driver is from last year" },
    { .id = "other:1", .name = "Example Graphics 2" },
};

static size_t choose(const char *selector, const trdi_device_facts *facts, size_t n)
{
    size_t chosen = 99;
    CHECK_OK(trdi_device_select(selector, "", facts, n, &chosen));
    return chosen;
}

static void test_found(void)
{
    static const char *const cpu[] = { "cpu", "CPU", "Cpu", "cpu:0", "CPU:0", "auto", "AUTO", "core", "Example", "xample Core 9" };
    for (size_t i = 0; i < sizeof cpu / sizeof cpu[0]; i++) CHECK_INT(choose(cpu[i], plain, 1), 0);
    CHECK_INT(choose("cpu", rich, 3), 0);
    CHECK_INT(choose("auto", rich, 3), 2);
    CHECK_INT(choose("graphics 2", rich, 3), 2);
    CHECK_INT(choose("example", rich, 3), 0);
}

static void fails(const char *selector, const char *origin, trd_status status, const char *text)
{
    size_t chosen = 0;
    CHECK_FAILS(trdi_device_select(selector, origin, rich, 3, &chosen), status, text);
    char quoted[64];
    snprintf(quoted, sizeof quoted, "'%s'%s", selector, origin);
    CHECK(strstr(trd_last_error(), quoted) != NULL);
    CHECK(strstr(trd_last_error(), "Example") != NULL);
}

static void test_not_found(void)
{
    fails("cpu:3", "", TRD_E_INVALID, "invalid device index 3: number of devices of this kind: 1; this machine has cpu:0 (Example Core 9)");
    fails("cpu:-1", "", TRD_E_INVALID, "invalid device index -1: ");
    fails("cpu:99999999999999999999", "", TRD_E_INVALID, "invalid device index 99999999999999999999: ");
    fails("cpu:", "", TRD_E_INVALID, "invalid device index : not a number");
    fails("cpu:0x", "", TRD_E_INVALID, "invalid device index 0x: not a number");
    fails("auto:1", "", TRD_E_INVALID, "invalid device index 1: \"auto\" takes none");
    fails("cuda", "", TRD_E_INVALID, "no CUDA back end in this build; this machine has cpu:0");
    fails("CUDA:1", " (from TREADLE_DEVICE)", TRD_E_INVALID, "no CUDA back end in this build");
    fails("opencl", "", TRD_E_INVALID, "no OpenCL back end in this build");
    fails("opencl:0", "", TRD_E_INVALID, "no OpenCL back end in this build");
    fails("gpu", "", TRD_E_INVALID, "no back end for GPUs in this build");
    fails("foo", "", TRD_E_INVALID, "unsupported device 'foo'");
    fails("cpus", " (from TREADLE_DEVICE)", TRD_E_INVALID, "unsupported device 'cpus' (from TREADLE_DEVICE)");
    fails("graphics 1", "", TRD_E_DEVICE, "other:0 (Example Graphics 1) cannot be used: its driver is from last year");
}

static void test_missing(void)
{
    CHECK_STRING(trdi_device_missing(0), "opencl: no OpenCL back end in this build");
    CHECK_STRING(trdi_device_missing(1), "cuda: no CUDA back end in this build");
    CHECK(trdi_device_missing(2) == NULL);
}

/* A long list of devices is cut, not written past its room. */
static void test_long_list(void)
{
    static trdi_device_facts many[40];
    for (int i = 0; i < 40; i++) {
        many[i].unusable[0] = '\0';
        snprintf(many[i].id, sizeof many[i].id, "cpu:%d", i);
        memset(many[i].name, 'x', sizeof many[i].name - 1);
    }
    size_t chosen;
    CHECK_FAILS(trdi_device_select("foo", "", many, 40, &chosen), TRD_E_INVALID, "cpu:0 (xxx");
    CHECK_OK(trdi_device_select("cpu:39", "", many, 40, &chosen));
    CHECK_INT(chosen, 39);
}

int main(void)
{
    test_found();
    test_not_found();
    test_missing();
    test_long_list();
    return 0;
}
