/*
 * cl_api.h: the OpenCL functions in use, found in the ICD loader at run time, so that the module loads where there is no OpenCL and
 * can say so. Every call of this back end goes through trdi_cl.
 */
#ifndef TRDI_CL_API_H
#define TRDI_CL_API_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "core/status.h"

/** Functions of OpenCL 1.2 that must be there: X(name without "cl"). */
#define TRDI_CL_FUNCTIONS(X)                                                                          \
    X(GetPlatformIDs) X(GetPlatformInfo) X(GetDeviceIDs) X(GetDeviceInfo)                                            \
    X(CreateContext) X(ReleaseContext) X(CreateCommandQueue) X(ReleaseCommandQueue)                                  \
    X(CreateBuffer) X(GetMemObjectInfo) X(ReleaseMemObject)                                                          \
    X(CreateProgramWithSource) X(CreateProgramWithBinary) X(BuildProgram) X(GetProgramInfo) X(GetProgramBuildInfo)   \
    X(RetainProgram) X(ReleaseProgram)                                                                               \
    X(CreateKernel) X(SetKernelArg) X(GetKernelInfo) X(GetKernelWorkGroupInfo) X(ReleaseKernel)                      \
    X(EnqueueReadBuffer) X(EnqueueWriteBuffer) X(EnqueueWriteBufferRect) X(EnqueueCopyBuffer)                         \
    X(EnqueueNDRangeKernel)                                                                                          \
    X(EnqueueMarkerWithWaitList) X(EnqueueBarrierWithWaitList)                                                       \
    X(WaitForEvents) X(GetEventInfo) X(ReleaseEvent) X(Flush) X(Finish)

typedef struct trdi_cl_api {
#define TRDI_CL_MEMBER(name) __typeof__(&cl##name) name;
    TRDI_CL_FUNCTIONS(TRDI_CL_MEMBER)
#undef TRDI_CL_MEMBER
} trdi_cl_api;

extern trdi_cl_api trdi_cl;

/** Find the functions, once. @return TRD_E_UNSUPPORTED "no OpenCL ICD loader: ..." */
trd_status trdi_cl_api_load(void);

/** "CL_OUT_OF_RESOURCES"; "unknown" for others; static. */
const char *trdi_cl_error_name(cl_int error);

/**
 * Fail with the name of an OpenCL error: "WHAT: CL_OUT_OF_RESOURCES (-5)". Failed allocations are TRD_E_MEMORY, all else TRD_E_DEVICE.
 * @param what  format of what was being done, on which object, with which numbers
 */
trd_status trdi_cl_fail(cl_int error, const char *what, ...) TRDI_PRINTF(2, 3);

#endif
