/*
 * fake_module.c: a back end in a file of its own, for tests of discovery. What it has is told by the environment:
 * FAKE_DEVICES  "TYPE,NAME,PCI,UNUSABLE;..." with TYPE cpu, gpu or accelerator; absent = no devices
 * FAKE_FAULT    driver, refuse, abi, table, name: what is wrong with the module; enumerate, open: what fails later
 * FAKE_LOG      a file that gets a line per call
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"

static const trdi_backend_host *host;

static void record(const char *what)
{
    const char *const path = getenv("FAKE_LOG");
    FILE *const file = path != NULL ? fopen(path, "a") : NULL;
    if (file == NULL) return;
    fprintf(file, "%s\n", what);
    fclose(file);
}

static bool has_fault(const char *name)
{
    const char *const fault = getenv("FAKE_FAULT");
    return fault != NULL && strcmp(fault, name) == 0;
}

/* The next field of a description into out; *at moves past its separator. */
static void next_field(const char **at, char *out, size_t bytes)
{
    const size_t length = strcspn(*at, ",;");
    snprintf(out, bytes, "%.*s", (int)length, *at);
    *at += length;
    if (**at == ',') ++*at;
}

static void describe(const char **at, size_t number, trdi_device_facts *facts)
{
    char type[16];
    memset(facts, 0, sizeof *facts);
    next_field(at, type, sizeof type);
    next_field(at, facts->name, sizeof facts->name);
    next_field(at, facts->pci, sizeof facts->pci);
    next_field(at, facts->unusable, sizeof facts->unusable);
    if (**at == ';') ++*at;
    facts->type = strcmp(type, "gpu") == 0 ? TRDI_DEVICE_GPU : strcmp(type, "cpu") == 0 ? TRDI_DEVICE_CPU : TRDI_DEVICE_ACCELERATOR;
    facts->compute_types = facts->type == TRDI_DEVICE_GPU ? TRDI_TYPES_GPU | TRDI_TYPES_F16 | TRDI_TYPES_INT8 : TRDI_TYPES_CPU;
    facts->n_compute_units = 24;
    facts->memory_bytes = (int64_t)8 << 30;
    facts->max_buffer_bytes = (int64_t)2 << 30;
    facts->local_bytes = 65536;
    snprintf(facts->id, sizeof facts->id, "opencl:%zu", number);
    snprintf(facts->platform, sizeof facts->platform, "Fake platform");
    snprintf(facts->driver, sizeof facts->driver, "1.2.3");
    snprintf(facts->features, sizeof facts->features, "fp16 subgroups");
}

static trd_status enumerate(trdi_device_facts *facts, size_t capacity, size_t *n)
{
    record("enumerate");
    if (host->log_enabled(TRD_LOG_INFO)) host->log(TRD_LOG_INFO, "fake: asked");
    *n = 0;
    if (has_fault("enumerate")) return host->fail(TRD_E_DEVICE, "the fake driver refuses");
    for (const char *at = getenv("FAKE_DEVICES"); at != NULL && *at != '\0'; ++*n) {
        trdi_device_facts one;
        describe(&at, *n, &one);
        if (*n < capacity) facts[*n] = one;
    }
    return TRD_OK;
}

static trd_status device_open(const trdi_device_facts *facts, void **device)
{
    record("open");
    *device = NULL;
    if (has_fault("open")) {
        (void)host->fail(TRD_E_DEVICE, "the fake device is lost");
        return host->fail_within(TRD_E_DEVICE, facts->id);
    }
    *device = host->alloc(1);
    return *device != NULL ? TRD_OK : host->fail(TRD_E_MEMORY, "fake device");
}

static void device_close(void *device)
{
    record("close");
    host->free(device);
}

static trdi_backend_ops table = {
    .abi = TRDI_BACKEND_ABI, .name = "opencl", .enumerate = enumerate, .device_open = device_open, .device_close = device_close,
};

/* The library's side of the contract. */
static bool host_is_whole(uint32_t abi, const trdi_backend_host *given)
{
    return abi == TRDI_BACKEND_ABI && given->abi == abi && given->version[0] != '\0' && given->alloc != NULL && given->free != NULL &&
           given->fail != NULL && given->fail_within != NULL && given->log_enabled != NULL && given->log != NULL;
}

TRD_API trdi_backend_entry trd_backend_entry;

trd_status trd_backend_entry(uint32_t abi, const trdi_backend_host *given, const trdi_backend_ops **ops)
{
    record("entry");
    if (!host_is_whole(abi, given)) return TRD_E_UNSUPPORTED;
    host = given;
    if (has_fault("refuse")) return TRD_E_UNSUPPORTED;   /* as one of another interface */
    if (has_fault("driver")) return host->fail(TRD_E_UNSUPPORTED, "libFake.so.1 was not found");
    if (has_fault("table")) return TRD_OK;
    if (has_fault("abi")) table.abi++;
    if (has_fault("name")) table.name = "other";
    *ops = &table;
    return TRD_OK;
}
