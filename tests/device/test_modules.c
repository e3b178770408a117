/*
 * test_modules.c: back ends as files: where they are looked for, what is refused and why, and the registry with a back end that is not the
 * CPU. A module is loaded once per process: a process per case.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/threads.h"
#include "device/device.h"
#include "device/modules.h"

#define LOG MODULES "/calls.log"

static void set(const char *name, const char *value)
{
    CHECK_INT(setenv(name, value, 1), 0);
}

static const char *first_note(void)
{
    const char *const note = trd_device_note(0);
    CHECK(note != NULL);
    return note;
}

static void check_note(const char *start, const char *part)
{
    const char *const note = first_note();
    if (strncmp(note, start, strlen(start)) != 0 || strstr(note, part) == NULL) {
        fprintf(stderr, "note is \"%s\", wanted \"%s...%s\"\n", note, start, part);
        exit(1);
    }
    CHECK_INT(trd_device_count(), 1);
    trdi_device *device;
    CHECK_FAILS(trdi_device_acquire("opencl", &device), TRD_E_INVALID, part);
    CHECK(device == NULL);
    CHECK_FAILS(trdi_device_acquire("opencl:0", &device), TRD_E_INVALID, part);
    CHECK_FAILS(trdi_device_acquire("gpu", &device), TRD_E_INVALID, part);
    CHECK_OK(trdi_device_acquire("auto", &device));
    CHECK_STRING(device->facts.id, "cpu:0");
    trdi_device_release(device);
}

static int n_calls(const char *what)
{
    FILE *const file = fopen(LOG, "r");
    if (file == NULL) return 0;
    char line[64];
    int n = 0;
    while (fgets(line, sizeof line, file) != NULL) n += strcmp(line, what) == 0;
    fclose(file);
    return n;
}

static void case_not_there(void)
{
    set("TREADLE_BACKEND_PATH", MODULES "/nowhere::" MODULES "/empty");
    check_note("opencl: no treadle-opencl.so in " MODULES "/nowhere, " MODULES "/empty", "no treadle-opencl.so");
}

/* Beside a program that has the library inside, then where it would be installed. */
static void case_default_folders(void)
{
    CHECK_INT(unsetenv("TREADLE_BACKEND_PATH"), 0);
    trdi_module module;
    trdi_module_load("nonesuch", &module);
    CHECK(module.ops == NULL && module.path == NULL);
    CHECK(strstr(module.note, "nonesuch: no treadle-nonesuch.so in " HERE ", " HERE "/treadle") != NULL);
}

static void case_text_file(void)
{
    set("TREADLE_BACKEND_PATH", MODULES "/text");
    check_note("opencl: treadle-opencl.so cannot be loaded: ", "treadle-opencl.so");
}

static void case_no_entry(void)
{
    set("TREADLE_BACKEND_PATH", MODULES "/none");
    check_note("opencl: treadle-opencl.so is no module", "trd_backend_entry");
}

static void case_driver(void)
{
    set("FAKE_FAULT", "driver");
    check_note("opencl: libFake.so.1 was not found", "libFake.so.1");
}

static void case_refuse(void)
{
    set("FAKE_FAULT", "refuse");
    check_note("opencl: treadle-opencl.so refuses interface ", "of this library");
}

static void case_abi(void)
{
    set("FAKE_FAULT", "abi");
    check_note("opencl: treadle-opencl.so has interface ", "interface");
}

static void case_table(void)
{
    set("FAKE_FAULT", "table");
    check_note("opencl: treadle-opencl.so gave no table", "no table");
}

static void case_name(void)
{
    set("FAKE_FAULT", "name");
    check_note("opencl: treadle-opencl.so is a back end named 'other'", "'other'");
}

static void case_enumerate(void)
{
    set("FAKE_FAULT", "enumerate");
    check_note("opencl: the fake driver refuses", "refuses");
    CHECK_INT(n_calls("enumerate\n"), 1);
}

static void case_no_devices(void)
{
    check_note("opencl: no device was found", "no device");
}

static void case_cpu_asks_nobody(void)
{
    set("FAKE_DEVICES", "gpu,Fake One");
    set("TREADLE_DEVICE", "cpu");
    static const char *const names[] = { NULL, "", "cpu", "CPU:0", "cpu, cpu:0" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        trdi_device *device;
        CHECK_OK(trdi_device_acquire(names[i], &device));
        CHECK_STRING(device->facts.id, "cpu:0");
        trdi_device_release(device);
    }
    trd_device_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_device_get_info(0, &info));
    CHECK_STRING(info.id, "cpu:0");
    CHECK_INT(n_calls("entry\n"), 0);
    trdi_device *device;
    CHECK_OK(trdi_device_acquire("auto", &device));
    CHECK_STRING(device->facts.id, "opencl:0");
    CHECK(device->impl != NULL);
    trdi_device_release(device);
    CHECK(device->impl == NULL);
    CHECK_INT(n_calls("entry\n"), 1);
    CHECK_INT(n_calls("enumerate\n"), 1);
    CHECK_INT(n_calls("open\n"), 1);
    CHECK_INT(n_calls("close\n"), 1);
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
}

static void case_devices(void)
{
    set("FAKE_DEVICES", "cpu,Same Cores;gpu,Fake Graphics 1,0000:03:00.0;gpu,Fake Graphics 2,,it is on fire");
    set("TREADLE_DEVICE", "gpu");
    CHECK_INT(trd_device_count(), 4);
    trd_device_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_device_get_info(2, &info));
    CHECK_STRING(info.id, "opencl:1");
    CHECK_STRING(info.name, "Fake Graphics 1");
    CHECK_STRING(info.backend, "opencl");
    CHECK_INT(info.memory_bytes, (int64_t)8 << 30);
    CHECK_OK(trd_device_get_info(3, &info));
    CHECK_STRING(info.unusable, "it is on fire");
    trdi_device *device, *list[4];
    size_t n;
    CHECK_OK(trdi_device_acquire(NULL, &device));
    CHECK_STRING(device->facts.name, "Fake Graphics 1");
    CHECK_OK(trdi_device_acquire_list("opencl:0,gpu,cpu", list, 4, &n));
    CHECK_INT(n, 3);
    CHECK_STRING(list[0]->facts.name, "Same Cores");
    CHECK(list[1] == device);
    CHECK_STRING(list[2]->facts.id, "cpu:0");
    for (size_t i = 0; i < n; i++) trdi_device_release(list[i]);
    CHECK(device->impl != NULL && list[0]->impl == NULL);
    CHECK_OK(trdi_device_acquire_list("gpu,cpu,gpu", list, 4, &n));   /* twice is two uses */
    CHECK_INT(n, 3);
    CHECK(list[0] == device && list[2] == device);
    for (size_t i = 0; i < n; i++) trdi_device_release(list[i]);
    CHECK(device->impl != NULL);
    trdi_device_release(device);
    CHECK_FAILS(trdi_device_acquire("opencl:2", &device), TRD_E_DEVICE, "opencl:2 (Fake Graphics 2) cannot be used: it is on fire");
    CHECK_FAILS(trdi_device_acquire("cpu,gpu", &device), TRD_E_UNSUPPORTED, "device 'cpu,gpu' names 2 devices");
    CHECK_FAILS(trdi_device_acquire_list("cpu,gpu", list, 1, &n), TRD_E_RANGE, "more than 1 devices");
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
}

/* A device that cannot be opened takes the rest of its list with it, and nothing else. */
static void case_open(void)
{
    set("FAKE_DEVICES", "gpu,Fake Graphics 1");
    set("FAKE_FAULT", "open");
    trdi_device *device, *list[2];
    size_t n;
    CHECK_FAILS(trdi_device_acquire("gpu", &device), TRD_E_DEVICE, "opencl:0: the fake device is lost");
    CHECK_FAILS(trdi_device_acquire_list("cpu,gpu", list, 2, &n), TRD_E_DEVICE, "lost");
    CHECK_INT(n, 0);
    CHECK(list[0]->impl == NULL);
    CHECK_OK(trdi_device_acquire("cpu", &device));
    trdi_device_release(device);
}

static void case_many(void)
{
    char many[8192] = "";
    for (size_t used = 0; used + 16 < sizeof many;) used += (size_t)snprintf(many + used, sizeof many - used, "gpu,Fake;");
    set("FAKE_DEVICES", many);
    CHECK_INT(trd_device_count(), 64);
    trdi_device *device;
    CHECK_OK(trdi_device_acquire("opencl:62", &device));
    trdi_device_release(device);
}

/* The user's log callback may ask for devices while they are being found: it sees what there is so far. */
static void count_from_log(void *context, trd_log_level level, const char *text)
{
    (void)level;
    if (strstr(text, "fake: asked") != NULL) *(int64_t *)context = trd_device_count();
}

static void case_log(void)
{
    set("FAKE_DEVICES", "gpu,Fake Graphics 1");
    int64_t n = 0;
    trd_log_set(TRD_LOG_INFO, count_from_log, &n);
    CHECK_INT(trd_device_count(), 2);
    CHECK_INT(n, 1);
    trd_log_set(TRD_LOG_OFF, NULL, NULL);
}

static void *acquire_often(void *argument)
{
    (void)argument;
    for (int i = 0; i < 200; i++) {
        trdi_device *device;
        CHECK_OK(trdi_device_acquire(i % 2 == 0 ? "gpu" : "cpu", &device));
        CHECK(device->impl != NULL);
        trdi_device_release(device);
    }
    return NULL;
}

static void case_threads(void)
{
    CHECK_INT(unsetenv("FAKE_LOG"), 0);
    set("FAKE_DEVICES", "gpu,Fake Graphics 1");
    trdi_thread threads[4];
    for (int i = 0; i < 4; i++) CHECK_OK(trdi_thread_start(&threads[i], "acquire", acquire_often, NULL));
    for (int i = 0; i < 4; i++) trdi_thread_join(threads[i]);
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
}

/* A forked child may use the CPU, but no driver that its parent has started. */
static void case_fork(void)
{
    set("FAKE_DEVICES", "gpu,Fake Graphics 1");
    trdi_device *device;
    CHECK_OK(trdi_device_acquire("gpu", &device));
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_FAILS(trdi_device_acquire("gpu", &device), TRD_E_FORKED, "opencl:0");
        CHECK_OK(trdi_device_acquire("cpu", &device));
        trdi_device_release(device);
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    trdi_device_release(device);
}

static void (*const cases[])(void) = {
    case_not_there, case_default_folders, case_text_file, case_no_entry, case_driver, case_refuse, case_abi, case_table, case_name, case_enumerate,
    case_no_devices, case_cpu_asks_nobody, case_devices, case_open, case_many, case_log, case_threads, case_fork,
};

int main(void)
{
    set("TREADLE_BACKEND_PATH", MODULES);
    set("TREADLE_PROBE", "off");
    set("FAKE_LOG", LOG);
    CHECK_INT(unsetenv("TREADLE_DEVICE"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)remove(LOG);
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            cases[i]();
            exit(0);
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
        if (status != 0) fprintf(stderr, "case %zu: status %d\n", i, status);
        CHECK_INT(status, 0);
    }
    (void)remove(LOG);
    return 0;
}
