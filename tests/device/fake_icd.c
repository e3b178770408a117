/*
 * fake_icd.c: OpenCL drivers as libraries for the ICD loader, one per BEHAVIOUR (a compile definition): GOOD has a GPU at 0000:65:00.0 and
 * nothing that computes; EMPTY finds nothing; CRASH, HANG and EXIT do that when they are asked; JEALOUS crashes if GOOD was asked too.
 * With FAKE_ICD_LOG, a file, each time that a driver is asked is a line.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_icd.h>

#define EXPORT __attribute__((visibility("default")))

enum { GOOD, EMPTY, CRASH, HANG, EXIT, JEALOUS };
static const char *const names[] = { "good", "empty", "crash", "hang", "exit", "jealous" };

struct _cl_platform_id { const cl_icd_dispatch *dispatch; };
struct _cl_device_id { const cl_icd_dispatch *dispatch; };

static cl_int put(const void *value, size_t bytes, size_t room, void *out, size_t *needed)
{
    if (needed != NULL) *needed = bytes;
    if (out == NULL) return CL_SUCCESS;
    if (room < bytes) return CL_INVALID_VALUE;
    memcpy(out, value, bytes);
    return CL_SUCCESS;
}

static cl_int put_text(const char *text, size_t room, void *out, size_t *needed)
{
    return put(text, strlen(text) + 1, room, out, needed);
}

EXPORT cl_int CL_API_CALL clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t room, void *out, size_t *needed)
{
    (void)platform;
    switch (what) {
    case CL_PLATFORM_PROFILE: return put_text("FULL_PROFILE", room, out, needed);
    case CL_PLATFORM_VERSION: return put_text("OpenCL 1.2 fake", room, out, needed);
    case CL_PLATFORM_EXTENSIONS: return put_text("cl_khr_icd", room, out, needed);
    case CL_PLATFORM_ICD_SUFFIX_KHR: return put_text("FAKE", room, out, needed);
    default: return put_text("Fake platform", room, out, needed);
    }
}

static cl_int CL_API_CALL get_device_info(cl_device_id device, cl_device_info what, size_t room, void *out, size_t *needed)
{
    (void)device;
    static const cl_uint pci[4] = { 0, 0x65, 0, 0 };
    const cl_ulong number = what == CL_DEVICE_TYPE ? CL_DEVICE_TYPE_GPU : what == CL_DEVICE_GLOBAL_MEM_SIZE ? (cl_ulong)8 << 30 : 1;
    switch (what) {
    case CL_DEVICE_NAME: return put_text("Fake Graphics", room, out, needed);
    case CL_DEVICE_VERSION: return put_text("OpenCL 1.2 fake", room, out, needed);
    case CL_DRIVER_VERSION: return put_text("1.0", room, out, needed);
    case CL_DEVICE_EXTENSIONS: return put_text("cl_khr_byte_addressable_store cl_khr_pci_bus_info", room, out, needed);
    case 0x410F: return put(pci, sizeof pci, room, out, needed);
    default: return put(&number, room < sizeof number ? room : sizeof number, room, out, needed);
    }
}

static cl_int CL_API_CALL get_device_ids(cl_platform_id platform, cl_device_type type, cl_uint room, cl_device_id *out, cl_uint *n);

static const cl_icd_dispatch dispatch = {
    .clGetPlatformInfo = clGetPlatformInfo, .clGetDeviceIDs = get_device_ids, .clGetDeviceInfo = get_device_info,
};
static struct _cl_platform_id the_platform = { &dispatch };
static struct _cl_device_id the_device = { &dispatch };

static cl_int CL_API_CALL get_device_ids(cl_platform_id platform, cl_device_type type, cl_uint room, cl_device_id *out, cl_uint *n)
{
    (void)platform;
    const bool wanted = type == CL_DEVICE_TYPE_ALL || (type & CL_DEVICE_TYPE_GPU) != 0;
    if (n != NULL) *n = wanted;
    if (wanted && room > 0 && out != NULL) out[0] = &the_device;
    return wanted ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static void record(void)
{
    const char *const path = getenv("FAKE_ICD_LOG");
    FILE *const file = path != NULL ? fopen(path, "a") : NULL;
    if (file == NULL) return;
    fprintf(file, "%s\n", names[BEHAVIOUR]);
    fclose(file);
}

/* Has this process asked both GOOD and JEALOUS? */
static bool are_together(void)
{
    char process[32];
    snprintf(process, sizeof process, "%ld", (long)getpid());
    setenv(BEHAVIOUR == GOOD ? "FAKE_ICD_GOOD" : "FAKE_ICD_JEALOUS", process, 1);
    const char *const other = getenv(BEHAVIOUR == GOOD ? "FAKE_ICD_JEALOUS" : "FAKE_ICD_GOOD");
    return other != NULL && strcmp(other, process) == 0;
}

static void misbehave(void)
{
    if (BEHAVIOUR == CRASH || ((BEHAVIOUR == GOOD || BEHAVIOUR == JEALOUS) && are_together())) raise(SIGSEGV);
    while (BEHAVIOUR == HANG) sleep(1000);
    if (BEHAVIOUR == EXIT) _exit(3);
}

EXPORT cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint room, cl_platform_id *out, cl_uint *n);
cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint room, cl_platform_id *out, cl_uint *n)
{
    record();
    printf("a driver that prints\n");
    misbehave();
    const bool has_platform = BEHAVIOUR != EMPTY;
    if (n != NULL) *n = has_platform;
    if (has_platform && room > 0 && out != NULL) out[0] = &the_platform;
    return has_platform ? CL_SUCCESS : CL_PLATFORM_NOT_FOUND_KHR;
}

EXPORT void *CL_API_CALL clGetExtensionFunctionAddress(const char *name)
{
    cl_int(CL_API_CALL *const function)(cl_uint, cl_platform_id *, cl_uint *) = clIcdGetPlatformIDsKHR;
    void *address = NULL;
    if (strcmp(name, "clIcdGetPlatformIDsKHR") == 0) memcpy(&address, &function, sizeof address);
    return address;
}
