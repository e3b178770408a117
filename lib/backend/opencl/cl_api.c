/* cl_api.c: finds the OpenCL functions in the ICD loader; names of errors. */
#include "backend/opencl/cl_api.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/threads.h"

trdi_cl_api trdi_cl;

static struct {
    trd_status status;
    char text[256];
} loaded = { TRD_OK, "" };

/* POSIX lets object pointers stand for functions; C does not, hence the copy of bytes. */
static bool find(void *library, const char *name, void *slot)
{
    void *address = dlsym(library, name);
    if (address == NULL) (void)snprintf(loaded.text, sizeof loaded.text, "the OpenCL ICD loader lacks %s", name);
    *(void **)slot = address;
    return address != NULL;
}

static void load(void)
{
    static const char *const names[] = { "libOpenCL.so.1", "libOpenCL.so" };
    void *library = NULL;
    for (size_t i = 0; library == NULL && i < sizeof names / sizeof names[0]; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    loaded.status = TRD_E_UNSUPPORTED;
    if (library == NULL) {
        (void)snprintf(loaded.text, sizeof loaded.text, "no OpenCL ICD loader (libOpenCL.so.1) is installed");
        return;
    }
    bool all = true;
#define TRDI_CL_FIND(name) all = all && find(library, "cl" #name, &trdi_cl.name);
    TRDI_CL_FUNCTIONS(TRDI_CL_FIND)
#undef TRDI_CL_FIND
    if (all) loaded.status = TRD_OK;
}

trd_status trdi_cl_api_load(void)
{
    static trdi_once once = TRDI_ONCE_INIT;
    trdi_once_run(&once, load);
    return loaded.status == TRD_OK ? TRD_OK : trdi_fail(loaded.status, "%s", loaded.text);
}

const char *trdi_cl_error_name(cl_int error)
{
    static const struct { cl_int code; const char *name; } names[] = {
#define NAME(code) { code, #code }
        NAME(CL_DEVICE_NOT_FOUND), NAME(CL_DEVICE_NOT_AVAILABLE), NAME(CL_COMPILER_NOT_AVAILABLE),
        NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE), NAME(CL_OUT_OF_RESOURCES), NAME(CL_OUT_OF_HOST_MEMORY),
        NAME(CL_PROFILING_INFO_NOT_AVAILABLE), NAME(CL_MEM_COPY_OVERLAP), NAME(CL_BUILD_PROGRAM_FAILURE), NAME(CL_MAP_FAILURE),
        NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST), NAME(CL_COMPILE_PROGRAM_FAILURE), NAME(CL_LINKER_NOT_AVAILABLE),
        NAME(CL_LINK_PROGRAM_FAILURE), NAME(CL_INVALID_VALUE), NAME(CL_INVALID_DEVICE_TYPE), NAME(CL_INVALID_PLATFORM),
        NAME(CL_INVALID_DEVICE), NAME(CL_INVALID_CONTEXT), NAME(CL_INVALID_QUEUE_PROPERTIES), NAME(CL_INVALID_COMMAND_QUEUE),
        NAME(CL_INVALID_HOST_PTR), NAME(CL_INVALID_MEM_OBJECT), NAME(CL_INVALID_BINARY), NAME(CL_INVALID_BUILD_OPTIONS),
        NAME(CL_INVALID_PROGRAM), NAME(CL_INVALID_PROGRAM_EXECUTABLE), NAME(CL_INVALID_KERNEL_NAME),
        NAME(CL_INVALID_KERNEL_DEFINITION), NAME(CL_INVALID_KERNEL), NAME(CL_INVALID_ARG_INDEX), NAME(CL_INVALID_ARG_VALUE),
        NAME(CL_INVALID_ARG_SIZE), NAME(CL_INVALID_KERNEL_ARGS), NAME(CL_INVALID_WORK_DIMENSION),
        NAME(CL_INVALID_WORK_GROUP_SIZE), NAME(CL_INVALID_WORK_ITEM_SIZE), NAME(CL_INVALID_GLOBAL_OFFSET),
        NAME(CL_INVALID_EVENT_WAIT_LIST), NAME(CL_INVALID_EVENT), NAME(CL_INVALID_OPERATION), NAME(CL_INVALID_BUFFER_SIZE),
        NAME(CL_INVALID_GLOBAL_WORK_SIZE), NAME(CL_INVALID_COMPILER_OPTIONS),
#undef NAME
        { -1001, "CL_PLATFORM_NOT_FOUND_KHR" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].code == error) return names[i].name;
    }
    return "unknown";
}

trd_status trdi_cl_fail(cl_int error, const char *what, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, what);
    (void)vsnprintf(text, sizeof text, what, arguments);
    va_end(arguments);
    const bool memory = error == CL_MEM_OBJECT_ALLOCATION_FAILURE || error == CL_OUT_OF_HOST_MEMORY;
    return trdi_fail(memory ? TRD_E_MEMORY : TRD_E_DEVICE, "OpenCL, %s: %s (%d)", text, trdi_cl_error_name(error), (int)error);
}
