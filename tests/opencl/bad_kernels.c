/*
 * bad_kernels.c: runs one of five small kernels: a good one, and four with a mistake each that gives the right result by luck. Used by
 * test_oclgrind.sh to see that the simulator's complaints fail a test.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

static const char source[] =
    "kernel void good(global int *x) { x[get_global_id(0)] = 1; }\n"
    "kernel void bounds(global int *x) { x[get_global_id(0)] = 1; if (get_global_id(0) == 7) x[64] = 1; }\n"
    "kernel void race(global int *x) { x[get_global_id(0)] = 1; x[8] = (int)get_global_id(0); }\n"
    "kernel void uninitialised(global int *x) { local int y[8]; if (get_local_id(0) < 4) y[get_local_id(0)] = 1; barrier(CLK_LOCAL_MEM_FENCE);\n"
    "  x[get_global_id(0)] = y[get_local_id(0)]; }\n"
    "kernel void barriers(global int *x) { if (get_local_id(0) < 4) barrier(CLK_LOCAL_MEM_FENCE); x[get_global_id(0)] = 1; }\n";

static void *loader;
#define FUNCTION(name) __typeof__(&name) p_##name; *(void **)&p_##name = dlsym(loader, #name); CHECK(p_##name != NULL)

int main(int argc, char **argv)
{
    CHECK_INT(argc, 2);
    loader = dlopen("libOpenCL.so.1", RTLD_NOW);
    CHECK(loader != NULL);
    FUNCTION(clGetPlatformIDs);
    FUNCTION(clGetDeviceIDs);
    FUNCTION(clCreateContext);
    FUNCTION(clCreateCommandQueue);
    FUNCTION(clCreateProgramWithSource);
    FUNCTION(clBuildProgram);
    FUNCTION(clCreateKernel);
    FUNCTION(clCreateBuffer);
    FUNCTION(clSetKernelArg);
    FUNCTION(clEnqueueNDRangeKernel);
    FUNCTION(clFinish);
    FUNCTION(clReleaseMemObject);
    FUNCTION(clReleaseKernel);
    FUNCTION(clReleaseProgram);
    FUNCTION(clReleaseCommandQueue);
    FUNCTION(clReleaseContext);
    cl_platform_id platform;
    cl_device_id device;
    cl_int error;
    CHECK_INT(p_clGetPlatformIDs(1, &platform, NULL), CL_SUCCESS);
    CHECK_INT(p_clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), CL_SUCCESS);
    cl_context context = p_clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    cl_command_queue queue = p_clCreateCommandQueue(context, device, 0, &error);
    const char *text = source;
    cl_program program = p_clCreateProgramWithSource(context, 1, &text, NULL, &error);
    CHECK_INT(p_clBuildProgram(program, 1, &device, "-cl-std=CL1.2", NULL, NULL), CL_SUCCESS);
    cl_kernel kernel = p_clCreateKernel(program, argv[1], &error);
    CHECK_INT(error, CL_SUCCESS);
    cl_mem memory = p_clCreateBuffer(context, CL_MEM_READ_WRITE, 64 * sizeof(int), NULL, &error);
    CHECK_INT(p_clSetKernelArg(kernel, 0, sizeof memory, &memory), CL_SUCCESS);
    const size_t global = 8, local = 8;
    CHECK_INT(p_clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, &local, 0, NULL, NULL), CL_SUCCESS);
    CHECK_INT(p_clFinish(queue), CL_SUCCESS);
    CHECK_INT(p_clReleaseMemObject(memory), CL_SUCCESS);
    CHECK_INT(p_clReleaseKernel(kernel), CL_SUCCESS);
    CHECK_INT(p_clReleaseProgram(program), CL_SUCCESS);
    CHECK_INT(p_clReleaseCommandQueue(queue), CL_SUCCESS);
    CHECK_INT(p_clReleaseContext(context), CL_SUCCESS);
    return 0;
}
