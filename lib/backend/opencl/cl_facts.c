/* cl_facts.c: which OpenCL devices there are and what they can do. Makes no context. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/opencl/opencl.h"
#include "core/log.h"

enum { MAX_PLATFORMS = 16, MAX_DEVICES = 64, INFO_BYTES = 16384 };

/* Numbers of cl_ext.h and of OpenCL 3.0 that 1.2's header lacks. */
#define DEVICE_PCI_BUS_INFO 0x410F      /* cl_khr_pci_bus_info */
#define DEVICE_PCI_BUS_ID_NV 0x4008
#define DEVICE_PCI_SLOT_ID_NV 0x4009
#define DEVICE_PCI_DOMAIN_ID_NV 0x400A
#define DEVICE_TOPOLOGY_AMD 0x4037

/* ---- Asking ---- */

static void trim(char *text)
{
    size_t n = strlen(text);
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\n')) text[--n] = '\0';
    const size_t start = strspn(text, " ");
    memmove(text, text + start, n - start + 1);
}

void trdi_cl_device_text(cl_device_id id, cl_device_info what, char *out, size_t size)
{
    char text[INFO_BYTES] = "";
    size_t length = 0;
    if (trdi_cl.GetDeviceInfo(id, what, sizeof text - 1, text, &length) != CL_SUCCESS) text[0] = '\0';
    trim(text);
    (void)snprintf(out, size, "%s", text);
}

void trdi_cl_platform_text(cl_platform_id id, cl_platform_info what, char *out, size_t size)
{
    char text[INFO_BYTES] = "";
    if (trdi_cl.GetPlatformInfo(id, what, sizeof text - 1, text, NULL) != CL_SUCCESS) text[0] = '\0';
    trim(text);
    (void)snprintf(out, size, "%s", text);
}

/* A number of any width; 0 if it cannot be had. */
static uint64_t device_number(cl_device_id id, cl_device_info what)
{
    uint64_t wide = 0;
    uint32_t narrow = 0;
    size_t bytes = 0;
    if (trdi_cl.GetDeviceInfo(id, what, 0, NULL, &bytes) != CL_SUCCESS) return 0;
    if (bytes == sizeof wide && trdi_cl.GetDeviceInfo(id, what, bytes, &wide, NULL) == CL_SUCCESS) return wide;
    if (bytes == sizeof narrow && trdi_cl.GetDeviceInfo(id, what, bytes, &narrow, NULL) == CL_SUCCESS) return narrow;
    return 0;
}

/* Is the word among those of the list? */
static bool has_word(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = strstr(list, word); at != NULL; at = strstr(at + 1, word)) {
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return true;
    }
    return false;
}

static void find_pci(cl_device_id id, const char *extensions, char out[16])
{
    cl_uint bus[4] = { 0 };      /* domain, bus, device, function */
    if (has_word(extensions, "cl_khr_pci_bus_info") &&
        trdi_cl.GetDeviceInfo(id, DEVICE_PCI_BUS_INFO, sizeof bus, bus, NULL) == CL_SUCCESS) {
        (void)snprintf(out, 16, "%04x:%02x:%02x.%x", bus[0] & 0xffff, bus[1] & 0xff, bus[2] & 0xff, bus[3] & 0xf);
    } else if (has_word(extensions, "cl_nv_device_attribute_query")) {
        const unsigned slot = (unsigned)device_number(id, DEVICE_PCI_SLOT_ID_NV);
        (void)snprintf(out, 16, "%04x:%02x:%02x.%x", (unsigned)device_number(id, DEVICE_PCI_DOMAIN_ID_NV) & 0xffff,
                       (unsigned)device_number(id, DEVICE_PCI_BUS_ID_NV) & 0xff, slot >> 3 & 0x1f, slot & 7);
    } else if (has_word(extensions, "cl_amd_device_attribute_query")) {
        struct { cl_uint type; char unused[17]; char bus, device, function; } topology;
        if (trdi_cl.GetDeviceInfo(id, DEVICE_TOPOLOGY_AMD, sizeof topology, &topology, NULL) != CL_SUCCESS || topology.type != 1) return;
        (void)snprintf(out, 16, "0000:%02x:%02x.%x", (unsigned)topology.bus & 0xff, (unsigned)topology.device & 0xff,
                       (unsigned)topology.function & 0xf);
    }
}

/* ---- Traits ---- */

/* TREADLE_OPENCL_FORM, else what the type says. */
static trdi_cl_form choose_form(cl_device_type type)
{
    const char *wanted = getenv("TREADLE_OPENCL_FORM");
    if (wanted != NULL && strcmp(wanted, "tiles") == 0) return TRDI_CL_TILES;
    if (wanted != NULL && strcmp(wanted, "groups") == 0) return TRDI_CL_GROUPS;
    if (wanted != NULL && wanted[0] != '\0') trdi_log(TRD_LOG_WARNING, "TREADLE_OPENCL_FORM is '%s': neither tiles nor groups", wanted);
    return (type & CL_DEVICE_TYPE_CPU) != 0 ? TRDI_CL_TILES : TRDI_CL_GROUPS;
}

static trdi_cl_traits find_traits(cl_device_id id, const char *extensions)
{
    trdi_cl_traits t = {
        .form = choose_form((cl_device_type)device_number(id, CL_DEVICE_TYPE)),
        .fp16 = has_word(extensions, "cl_khr_fp16"),
        .fp64 = has_word(extensions, "cl_khr_fp64"),
        .subgroups = has_word(extensions, "cl_khr_subgroups") || has_word(extensions, "cl_intel_subgroups"),
        .dot_product = has_word(extensions, "cl_khr_integer_dot_product"),
        .command_buffer = has_word(extensions, "cl_khr_command_buffer"),
        .fast_fma = (device_number(id, CL_DEVICE_SINGLE_FP_CONFIG) & CL_FP_FMA) != 0,
        .vector_floats = (int32_t)device_number(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT),
        .n_units = (int32_t)device_number(id, CL_DEVICE_MAX_COMPUTE_UNITS),
        .max_group = (size_t)device_number(id, CL_DEVICE_MAX_WORK_GROUP_SIZE),
        .local_bytes = (size_t)device_number(id, CL_DEVICE_LOCAL_MEM_SIZE),
        .max_buffer_bytes = (size_t)device_number(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE),
        .base_align_bytes = (size_t)device_number(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8,
    };
    if (t.vector_floats < 4) t.vector_floats = 4;
    if (t.vector_floats > 16) t.vector_floats = 16;
    return t;
}

trdi_cl_traits trdi_cl_find_traits(cl_device_id id)
{
    char extensions[INFO_BYTES];
    trdi_cl_device_text(id, CL_DEVICE_EXTENSIONS, extensions, sizeof extensions);
    return find_traits(id, extensions);
}

/* ---- Facts ---- */

static void add_word(char *list, size_t size, const char *word)
{
    const size_t n = strlen(list);
    (void)snprintf(list + n, size - n, "%s%s", n > 0 ? " " : "", word);
}

static void list_features(const trdi_cl_traits *t, char *out, size_t size)
{
    if (t->fp16) add_word(out, size, "fp16");
    if (t->fp64) add_word(out, size, "fp64");
    if (t->subgroups) add_word(out, size, "subgroups");
    if (t->dot_product) add_word(out, size, "dp4a");
    if (t->command_buffer) add_word(out, size, "command-buffer");
}

/* What kernels of the GROUPS form need. */
enum { LEAST_GROUP = 64, LEAST_LOCAL_BYTES = 16384 };

/* Why the kernels cannot run there; "" if they can. */
static void find_obstacle(cl_device_id id, const char *extensions, const trdi_cl_traits *traits, char *out, size_t size)
{
    char version[128];
    trdi_cl_device_text(id, CL_DEVICE_VERSION, version, sizeof version);
    int major = 0, minor = 0;
    if (sscanf(version, "OpenCL %d.%d", &major, &minor) == 2 && major == 1 && minor < 2) {
        (void)snprintf(out, size, "it has OpenCL %d.%d, and 1.2 is needed", major, minor);
    } else if (device_number(id, CL_DEVICE_AVAILABLE) == 0) {
        (void)snprintf(out, size, "its driver says that it is not available");
    } else if (device_number(id, CL_DEVICE_COMPILER_AVAILABLE) == 0) {
        (void)snprintf(out, size, "its driver has no compiler");
    } else if (device_number(id, CL_DEVICE_ENDIAN_LITTLE) == 0) {
        (void)snprintf(out, size, "it is big-endian");
    } else if (strstr(extensions, "cl_khr_byte_addressable_store") == NULL && major < 2) {
        (void)snprintf(out, size, "it cannot store bytes (cl_khr_byte_addressable_store)");
    } else if (traits->form == TRDI_CL_GROUPS && traits->max_group < LEAST_GROUP) {
        (void)snprintf(out, size, "its groups have at most %zu work-items, and %d are needed", traits->max_group, (int)LEAST_GROUP);
    } else if (traits->form == TRDI_CL_GROUPS && traits->local_bytes < LEAST_LOCAL_BYTES) {
        (void)snprintf(out, size, "its groups have %zu bytes of local memory, and %d are needed", traits->local_bytes, (int)LEAST_LOCAL_BYTES);
    }
}

static void describe(cl_platform_id platform, cl_device_id id, size_t index, trdi_device_facts *facts)
{
    char extensions[INFO_BYTES];
    trdi_cl_device_text(id, CL_DEVICE_EXTENSIONS, extensions, sizeof extensions);
    const trdi_cl_traits traits = find_traits(id, extensions);
    const cl_device_type type = (cl_device_type)device_number(id, CL_DEVICE_TYPE);
    *facts = (trdi_device_facts){
        .type = (type & CL_DEVICE_TYPE_CPU) != 0 ? TRDI_DEVICE_CPU : (type & CL_DEVICE_TYPE_GPU) != 0 ? TRDI_DEVICE_GPU : TRDI_DEVICE_ACCELERATOR,
        .compute_types = TRDI_TYPES_INT8 | (traits.fp16 ? TRDI_TYPES_F16 : 0u) |
                         ((type & CL_DEVICE_TYPE_CPU) != 0 ? TRDI_TYPES_CPU : TRDI_TYPES_GPU),
        .n_compute_units = traits.n_units,
        .memory_bytes = (int64_t)device_number(id, CL_DEVICE_GLOBAL_MEM_SIZE),
        .max_buffer_bytes = (int64_t)traits.max_buffer_bytes,
        .local_bytes = (int64_t)traits.local_bytes,
    };
    (void)snprintf(facts->id, sizeof facts->id, "opencl:%zu", index);
    trdi_cl_device_text(id, CL_DEVICE_NAME, facts->name, sizeof facts->name);
    trdi_cl_device_text(id, CL_DRIVER_VERSION, facts->driver, sizeof facts->driver);
    trdi_cl_platform_text(platform, CL_PLATFORM_NAME, facts->platform, sizeof facts->platform);
    find_pci(id, extensions, facts->pci);
    list_features(&traits, facts->features, sizeof facts->features);
    find_obstacle(id, extensions, &traits, facts->unusable, sizeof facts->unusable);
}

/* ---- Listing ---- */

typedef struct found {
    cl_platform_id platform;
    cl_device_id   id;
} found;

/* All devices of all platforms, in the loader's order. A platform that fails is passed over with a line in the log. */
static trd_status find_all(found *list, size_t *n)
{
    TRDI_TRY(trdi_cl_api_load());
    *n = 0;
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n_platforms = 0;
    const cl_int error = trdi_cl.GetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms);
    if (error == -1001 || (error == CL_SUCCESS && n_platforms == 0)) {
        return trdi_fail(TRD_E_UNSUPPORTED, "the OpenCL ICD loader found no driver (no usable .icd file)");
    }
    if (error != CL_SUCCESS) return trdi_cl_fail(error, "list of platforms");
    for (cl_uint p = 0; p < n_platforms && p < MAX_PLATFORMS; p++) {
        cl_device_id ids[MAX_DEVICES];
        cl_uint n_ids = 0;
        const cl_int status = trdi_cl.GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &n_ids);
        if (status != CL_SUCCESS && status != CL_DEVICE_NOT_FOUND) {
            trdi_log(TRD_LOG_WARNING, "OpenCL platform %u cannot list its devices: %s (%d)", (unsigned)p, trdi_cl_error_name(status), (int)status);
        }
        for (cl_uint i = 0; status == CL_SUCCESS && i < n_ids && i < MAX_DEVICES && *n < MAX_DEVICES; i++) {
            list[(*n)++] = (found){ platforms[p], ids[i] };
        }
    }
    if (*n > 0) return TRD_OK;
    char name[96];
    trdi_cl_platform_text(platforms[0], CL_PLATFORM_NAME, name, sizeof name);
    return trdi_fail(TRD_E_UNSUPPORTED, "%u drivers answer (%s%s), and none offers a device; PoCL needs a folder that it may write to (HOME or "
                     "POCL_CACHE_DIR), rusticl the variable RUSTICL_ENABLE", (unsigned)n_platforms, name, n_platforms > 1 ? ", ..." : "");
}

trd_status trdi_cl_enumerate(trdi_device_facts *facts, size_t capacity, size_t *n)
{
    found all[MAX_DEVICES];
    *n = 0;
    TRDI_TRY(find_all(all, n));
    for (size_t i = 0; i < *n && i < capacity; i++) describe(all[i].platform, all[i].id, i, &facts[i]);
    return TRD_OK;
}

trd_status trdi_cl_find_device(const char *id, cl_platform_id *platform, cl_device_id *device)
{
    found all[MAX_DEVICES];
    size_t n;
    TRDI_TRY(find_all(all, &n));
    const unsigned long index = strtoul(id + strlen("opencl:"), NULL, 10);
    if (index >= n) return trdi_fail(TRD_E_DEVICE, "device %s is gone: there are %zu OpenCL devices now", id, n);
    *platform = all[index].platform;
    *device = all[index].id;
    return TRD_OK;
}
