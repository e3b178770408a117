/*
 * test_cl_visible.c: what the other tests of this folder rely on: the process sees the implementation that
 * TREADLE_TEST_IMPLEMENTATION names and no other one, "all" sees three, and each of them has a device.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

typedef cl_int (CL_API_CALL *get_platforms)(cl_uint, cl_platform_id *, cl_uint *);
typedef cl_int (CL_API_CALL *get_platform_info)(cl_platform_id, cl_platform_info, size_t, void *, size_t *);
typedef cl_int (CL_API_CALL *get_devices)(cl_platform_id, cl_device_type, cl_uint, cl_device_id *, cl_uint *);

static const struct { const char *name, *platform; } implementations[] = {
    { "pocl", "Portable Computing Language" }, { "intel", "Intel" }, { "rusticl", "rusticl" }, { "oclgrind", "Oclgrind" } };
enum { N_IMPLEMENTATIONS = sizeof implementations / sizeof implementations[0] };

/* Place of the platform in the table above. */
static int which(const char *platform)
{
    for (int i = 0; i < N_IMPLEMENTATIONS; i++)
        if (strncmp(platform, implementations[i].platform, strlen(implementations[i].platform)) == 0) return i;
    return -1;
}

int main(void)
{
    const char *wanted = getenv("TREADLE_TEST_IMPLEMENTATION");
    CHECK(wanted != NULL);
    void *loader = dlopen("libOpenCL.so.1", RTLD_NOW);
    CHECK(loader != NULL);
    get_platforms platforms_of;
    get_platform_info info_of;
    get_devices devices_of;
    *(void **)&platforms_of = dlsym(loader, "clGetPlatformIDs");
    *(void **)&info_of = dlsym(loader, "clGetPlatformInfo");
    *(void **)&devices_of = dlsym(loader, "clGetDeviceIDs");

    cl_platform_id platforms[16];
    cl_uint n = 0;
    CHECK_INT(platforms_of(16, platforms, &n), CL_SUCCESS);
    int seen[N_IMPLEMENTATIONS] = { 0 };
    for (cl_uint i = 0; i < n; i++) {
        char name[256] = "";
        CHECK_INT(info_of(platforms[i], CL_PLATFORM_NAME, sizeof name, name, NULL), CL_SUCCESS);
        cl_uint n_devices = 0;
        devices_of(platforms[i], CL_DEVICE_TYPE_ALL, 0, NULL, &n_devices);
        printf("%s: %u devices\n", name, n_devices);
        CHECK(n_devices >= 1);
        CHECK(which(name) >= 0);
        seen[which(name)]++;
    }
    for (int i = 0; i < N_IMPLEMENTATIONS; i++) {
        const bool all = strcmp(wanted, "all") == 0 && strcmp(implementations[i].name, "oclgrind") != 0;
        CHECK_INT(seen[i], all || strcmp(wanted, implementations[i].name) == 0);
    }
    return 0;
}
