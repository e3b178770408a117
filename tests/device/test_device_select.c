/* test_device_select.c: what selectors mean on machines with and without other devices than the CPU. */
#include "check.h"
#include "device/device_select.h"

static const trdi_device_facts plain[] = {
    { .id = "cpu:0", .name = "Example Core 9" },
};
static const trdi_device_facts rich[] = {
    { .id = "cpu:0", .name = "Example Core 9" },
    { .id = "opencl:0", .name = "Example Core 9 again", .platform = "Portable Example" },
    { .id = "opencl:1", .name = "Example Graphics 1", .type = TRDI_DEVICE_GPU, .unusable = "its driver is from last year" },
    { .id = "opencl:2", .name = "Example Graphics 2 (rev 7, LLVM 15)", .type = TRDI_DEVICE_GPU, .platform = "Vendor" },
    { .id = "opencl:3", .name = "Example Adder", .type = TRDI_DEVICE_ACCELERATOR, .unusable = "it only adds" },
    { .id = "cuda:0", .name = "Example Graphics 2", .type = TRDI_DEVICE_GPU },
};
/* No GPU, or none that works. */
static const trdi_device_facts poor[] = {
    { .id = "cpu:0", .name = "Example Core 9" },
    { .id = "opencl:0", .name = "Slow Graphics", .type = TRDI_DEVICE_GPU, .unusable = "no memory" },
    { .id = "opencl:1", .name = "Example Core 9", .platform = "Portable Example" },
};
static const char notes[][TRDI_NOTE_BYTES] = { "opencl: nothing here", "opencl: nor there", "cuda: no such back end" };

static const trdi_device_choice plain_choice = { plain, 1, notes, 3 }, rich_choice = { rich, 6, notes, 0 }, poor_choice = { poor, 3, notes, 3 };

static void chooses(const char *selector, const trdi_device_choice *choice, const char *ids)
{
    size_t chosen[8], n;
    CHECK_OK(trdi_device_select(selector, "", choice, chosen, 8, &n));
    char found[128] = "";
    for (size_t i = 0; i < n; i++) {
        if (i > 0) strcat(found, " ");
        strcat(found, choice->facts[chosen[i]].id);
    }
    if (strcmp(found, ids) != 0) fprintf(stderr, "'%s':\n", selector);
    CHECK_STRING(found, ids);
}

static void test_found(void)
{
    static const char *const cpu[] = { "cpu", "CPU", "Cpu", "cpu:0", "CPU:0", "auto", "AUTO", "core", "Example", "xample Core 9" };
    for (size_t i = 0; i < sizeof cpu / sizeof cpu[0]; i++) chooses(cpu[i], &plain_choice, "cpu:0");
    chooses("cpu", &rich_choice, "cpu:0");
    chooses("auto", &rich_choice, "cuda:0");
    chooses("gpu", &rich_choice, "cuda:0");
    chooses("GPU:1", &rich_choice, "opencl:2");
    chooses("opencl", &rich_choice, "opencl:2");
    chooses("opencl:0", &rich_choice, "opencl:0");
    chooses("cuda", &rich_choice, "cuda:0");
    chooses("graphics 2", &rich_choice, "opencl:2");
    chooses("example", &rich_choice, "cpu:0");
    chooses("portable", &rich_choice, "opencl:0");
    chooses("vendor", &rich_choice, "opencl:2");
    /* Never the same cores under another name. */
    chooses("auto", &poor_choice, "cpu:0");
    chooses("opencl", &poor_choice, "opencl:1");
}

static void test_lists(void)
{
    chooses("cpu,opencl", &rich_choice, "cpu:0 opencl:2");
    chooses(" cuda , cpu:0 ", &rich_choice, "cuda:0 cpu:0");
    chooses("auto,gpu,cpu,CPU:0", &rich_choice, "cuda:0 cuda:0 cpu:0 cpu:0");
    chooses("gpu:0,gpu:1,opencl:0", &rich_choice, "cuda:0 opencl:2 opencl:0");
    chooses("(rev 7, LLVM 15)", &rich_choice, "opencl:2");
    size_t chosen[8], n;
    CHECK_FAILS(trdi_device_select("cpu,", "", &rich_choice, chosen, 8, &n), TRD_E_INVALID, "device 'cpu,': a name in the list is empty");
    CHECK_FAILS(trdi_device_select(" ,cpu", "", &rich_choice, chosen, 8, &n), TRD_E_INVALID, "is empty");
    CHECK_FAILS(trdi_device_select("cpu,nonesuch", "", &rich_choice, chosen, 8, &n), TRD_E_INVALID, "unsupported device 'nonesuch'");
    CHECK_FAILS(trdi_device_select("cpu,opencl:1", "", &rich_choice, chosen, 8, &n), TRD_E_DEVICE, "from last year");
    CHECK_OK(trdi_device_select("cpu,cpu", "", &rich_choice, chosen, 2, &n));
    CHECK_INT(n, 2);
    CHECK_FAILS(trdi_device_select("cpu,cpu,cpu", " (from there)", &rich_choice, chosen, 2, &n), TRD_E_RANGE,
                "device 'cpu,cpu,cpu' (from there): more than 2 devices");
}

static void test_cpu_only(void)
{
    static const char *const yes[] = { "cpu", "CPU:3", "cpu,cpu:0", " cpu , cpu" };
    static const char *const no[] = { "auto", "gpu", "cpu,gpu", "cpus", "opencl", "core", "", "cpu," };
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) CHECK(trdi_device_selects_cpu(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) CHECK(!trdi_device_selects_cpu(no[i]));
}

static void fails_on(const trdi_device_choice *choice, const char *selector, const char *origin, trd_status status, const char *text)
{
    size_t chosen[8], n;
    CHECK_FAILS(trdi_device_select(selector, origin, choice, chosen, 8, &n), status, text);
    char quoted[64];
    snprintf(quoted, sizeof quoted, "'%s'%s", selector, origin);
    CHECK(strstr(trd_last_error(), quoted) != NULL);
    CHECK(status == TRD_E_DEVICE || strstr(trd_last_error(), "this machine has cpu:0 (Example Core 9)") != NULL);
}

static void fails(const char *selector, const char *origin, trd_status status, const char *text)
{
    fails_on(&rich_choice, selector, origin, status, text);
}

static void test_not_found(void)
{
    fails("cpu:3", "", TRD_E_INVALID, "invalid device index 3: number of devices of this kind: 1; this machine has cpu:0 (Example Core 9)");
    fails("cpu:-1", "", TRD_E_INVALID, "invalid device index -1: ");
    fails("cpu:99999999999999999999", "", TRD_E_INVALID, "invalid device index 99999999999999999999: ");
    fails("cpu:", "", TRD_E_INVALID, "invalid device index : not a number");
    fails("cpu:0x", "", TRD_E_INVALID, "invalid device index 0x: not a number");
    fails("opencl:4", "", TRD_E_INVALID, "number of devices of this kind: 4");
    fails("gpu:2", "", TRD_E_INVALID, "invalid device index 2: number of usable GPUs: 2");
    fails("gpu:x", "", TRD_E_INVALID, "invalid device index x: not a number");
    fails("auto:1", "", TRD_E_INVALID, "invalid device index 1: \"auto\" takes none");
    fails("foo", "", TRD_E_INVALID, "unsupported device 'foo'");
    fails("cpus", " (from TREADLE_DEVICE)", TRD_E_INVALID, "unsupported device 'cpus' (from TREADLE_DEVICE)");
    fails("graphics 1", "", TRD_E_DEVICE, "opencl:1 (Example Graphics 1) cannot be used: its driver is from last year");
    fails("opencl:3", "", TRD_E_DEVICE, "it only adds");
}

static void test_missing(void)
{
    fails_on(&plain_choice, "opencl", "", TRD_E_INVALID, "device 'opencl': nothing here; nor there; this machine");
    fails_on(&plain_choice, "opencl:0", "", TRD_E_INVALID, "nothing here; nor there; this machine");
    fails_on(&plain_choice, "CUDA:1", " (from TREADLE_DEVICE)", TRD_E_INVALID, "no such back end; this machine");
    fails_on(&plain_choice, "gpu", "", TRD_E_INVALID, "no GPU was found; opencl: nothing here; opencl: nor there; cuda: no such back end; this");
    fails_on(&poor_choice, "gpu", "", TRD_E_DEVICE, "opencl:0 (Slow Graphics) cannot be used: no memory");
    fails_on(&rich_choice, "cuda:1", "", TRD_E_INVALID, "number of devices of this kind: 1");
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
    const trdi_device_choice choice = { many, 40, notes, 3 };
    size_t chosen[40], n;
    CHECK_FAILS(trdi_device_select("foo", "", &choice, chosen, 8, &n), TRD_E_INVALID, "cpu:0 (xxx");
    CHECK_OK(trdi_device_select("cpu:39", "", &choice, chosen, 8, &n));
    CHECK_INT(n, 1);
    CHECK_INT(chosen[0], 39);
}

int main(void)
{
    test_found();
    test_lists();
    test_cpu_only();
    test_not_found();
    test_missing();
    test_long_list();
    return 0;
}
