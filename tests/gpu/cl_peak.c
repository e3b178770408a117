/*
 * cl_peak.c: what the visible OpenCL devices can do at most, as lines of JSON: bytes per second of reading memory and of copying it, and
 * products and sums per second of f32. Figures of models are put beside these. Used by tests/gpu/run.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char source[] =
    "kernel void read_all(global const float4 *x, global float *y, const ulong n)\n"
    "{\n"
    "    float4 sum = 0.0f;\n"
    "#ifdef GPU\n"
    "    for (ulong i = get_global_id(0); i < n; i += get_global_size(0)) sum += x[i];\n"
    "#else\n"
    "    const ulong each = n / get_global_size(0), first = get_global_id(0) * each;\n"
    "    for (ulong i = first; i < first + each; i++) sum += x[i];\n"
    "#endif\n"
    "    y[get_global_id(0)] = sum.x + sum.y + sum.z + sum.w;\n"
    "}\n"
    "kernel void multiply_add(global float *y, const int rounds)\n"
    "{\n"
    "    float16 a = (float)get_global_id(0) * 1e-9f, b = a + 1e-9f, c = a + 2e-9f, d = a + 3e-9f;\n"
    "    for (int i = 0; i < rounds; i++) {\n"
    "        a = fma(a, b, c); b = fma(b, c, d); c = fma(c, d, a); d = fma(d, a, b);\n"
    "    }\n"
    "    a += b + c + d;\n"
    "    y[get_global_id(0)] = a.s0 + a.s1 + a.s2 + a.s3 + a.s4 + a.s5 + a.s6 + a.s7 + a.s8 + a.s9 + a.sa + a.sb + a.sc + a.sd + a.se + a.sf;\n"
    "}\n";

#define FUNCTIONS(X)                                                                                        \
    X(clGetPlatformIDs) X(clGetDeviceIDs) X(clGetDeviceInfo) X(clCreateContext) X(clCreateCommandQueue)     \
    X(clCreateBuffer) X(clCreateProgramWithSource) X(clBuildProgram) X(clCreateKernel) X(clSetKernelArg)    \
    X(clEnqueueNDRangeKernel) X(clEnqueueCopyBuffer) X(clEnqueueFillBuffer) X(clFinish) X(clReleaseMemObject) X(clReleaseContext) \
    X(clReleaseCommandQueue) X(clReleaseProgram) X(clReleaseKernel)
#define MEMBER(name) static __typeof__(&name) p_##name;
FUNCTIONS(MEMBER)

static int load(void)
{
    void *loader = dlopen("libOpenCL.so.1", RTLD_NOW);
    if (loader == NULL) {
        fprintf(stderr, "cl_peak: %s\n", dlerror());
        return 0;
    }
#define FIND(name) *(void **)&p_##name = dlsym(loader, #name); if (p_##name == NULL) return 0;
    FUNCTIONS(FIND)
    return 1;
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void stop(const char *what, cl_int error)
{
    fprintf(stderr, "cl_peak: %s: error %d\n", what, (int)error);
    exit(1);
}
#define MUST(call) do { const cl_int e_ = (call); if (e_ != CL_SUCCESS) stop(#call, e_); } while (0)

typedef struct rig {
    cl_command_queue queue;
    cl_kernel read_all, multiply_add;
    cl_mem a, b, out;
    size_t bytes, items;
} rig;

/** Seconds of the fastest of five, after one that does not count. */
static double best_of(const rig *r, void (*work)(const rig *))
{
    double best = 1e30;
    for (int i = 0; i < 6; i++) {
        const double start = now();
        work(r);
        MUST(p_clFinish(r->queue));
        const double seconds = now() - start;
        if (i > 0 && seconds < best) best = seconds;
    }
    return best;
}

static void copy(const rig *r) { MUST(p_clEnqueueCopyBuffer(r->queue, r->a, r->b, 0, 0, r->bytes, 0, NULL, NULL)); }

static void read_all(const rig *r)
{
    MUST(p_clEnqueueNDRangeKernel(r->queue, r->read_all, 1, NULL, &r->items, NULL, 0, NULL, NULL));
}

enum { ROUNDS = 512 };
static void multiply_add(const rig *r)
{
    MUST(p_clEnqueueNDRangeKernel(r->queue, r->multiply_add, 1, NULL, &r->items, NULL, 0, NULL, NULL));
}

static void measure(cl_device_id device)
{
    char name[256] = "";
    cl_ulong largest = 0;
    cl_uint units = 1;
    cl_device_type type = 0;
    MUST(p_clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof name, name, NULL));
    MUST(p_clGetDeviceInfo(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof largest, &largest, NULL));
    MUST(p_clGetDeviceInfo(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL));
    MUST(p_clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL));
    cl_int error;
    cl_context context = p_clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    if (error != CL_SUCCESS) stop("clCreateContext", error);
    const char *text = source;
    const int gpu = (type & CL_DEVICE_TYPE_GPU) != 0;
    rig r = { .queue = p_clCreateCommandQueue(context, device, 0, &error), .bytes = gpu ? (size_t)1 << 30 : (size_t)1 << 27 };
    if (r.bytes > largest) r.bytes = (size_t)largest / 4096 * 4096;
    r.items = gpu ? (size_t)units * 4096 : (size_t)units * 256;
    cl_program program = p_clCreateProgramWithSource(context, 1, &text, NULL, &error);
    MUST(p_clBuildProgram(program, 1, &device, gpu ? "-cl-std=CL1.2 -DGPU" : "-cl-std=CL1.2", NULL, NULL));
    r.read_all = p_clCreateKernel(program, "read_all", &error);
    r.multiply_add = p_clCreateKernel(program, "multiply_add", &error);
    r.a = p_clCreateBuffer(context, CL_MEM_READ_WRITE, r.bytes, NULL, &error);
    r.b = p_clCreateBuffer(context, CL_MEM_READ_WRITE, r.bytes, NULL, &error);
    if (error != CL_SUCCESS) stop("clCreateBuffer", error);
    r.out = p_clCreateBuffer(context, CL_MEM_READ_WRITE, r.items * sizeof(float), NULL, &error);
    const cl_ulong n = r.bytes / 16;
    const cl_int rounds = ROUNDS;
    const float zero = 0.0f;
    MUST(p_clEnqueueFillBuffer(r.queue, r.a, &zero, sizeof zero, 0, r.bytes, 0, NULL, NULL));
    MUST(p_clSetKernelArg(r.read_all, 0, sizeof r.a, &r.a));
    MUST(p_clSetKernelArg(r.read_all, 1, sizeof r.out, &r.out));
    MUST(p_clSetKernelArg(r.read_all, 2, sizeof n, &n));
    MUST(p_clSetKernelArg(r.multiply_add, 0, sizeof r.out, &r.out));
    MUST(p_clSetKernelArg(r.multiply_add, 1, sizeof rounds, &rounds));
    const double reading = best_of(&r, read_all), copying = best_of(&r, copy), computing = best_of(&r, multiply_add);
    printf("{\"device\": \"%s\", \"compute_units\": %u, \"read_gb_per_second\": %.1f, \"copy_gb_per_second\": %.1f, \"f32_gflop_per_second\": %.0f}\n",
           name, (unsigned)units, (double)r.bytes / reading * 1e-9, 2.0 * (double)r.bytes / copying * 1e-9,
           (double)r.items * ROUNDS * 4 * 16 * 2 / computing * 1e-9);
    MUST(p_clReleaseMemObject(r.a));
    MUST(p_clReleaseMemObject(r.b));
    MUST(p_clReleaseMemObject(r.out));
    MUST(p_clReleaseKernel(r.read_all));
    MUST(p_clReleaseKernel(r.multiply_add));
    MUST(p_clReleaseProgram(program));
    MUST(p_clReleaseCommandQueue(r.queue));
    MUST(p_clReleaseContext(context));
}

int main(void)
{
    cl_platform_id platforms[16];
    cl_uint n_platforms = 0;
    if (!load() || p_clGetPlatformIDs(16, platforms, &n_platforms) != CL_SUCCESS) return 1;
    for (cl_uint i = 0; i < n_platforms && i < 16; i++) {
        cl_device_id devices[16];
        cl_uint n_devices = 0;
        if (p_clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 16, devices, &n_devices) != CL_SUCCESS) continue;
        for (cl_uint d = 0; d < n_devices && d < 16; d++) measure(devices[d]);
    }
    return 0;
}
