/* fault_layer.c: the OpenCL layer of fault_layer.h. */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl_layer.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opencl/fault_layer.h"

/* ---- State ---- */

typedef void (CL_CALLBACK *notify_function)(const char *, const void *, size_t, void *);

enum { MAX_FUNCTIONS = 64, N_KINDS = 6, MAX_GATES = 64 };
static const char *const kinds[N_KINDS] = { "context", "queue", "buffer", "program", "kernel", "event" };
enum { CONTEXT, QUEUE, BUFFER, PROGRAM, KERNEL, EVENT };

static const cl_icd_dispatch *target;
static struct {
    pthread_mutex_t mutex;       /* guards everything here */
    size_t n_functions;
    struct { const char *name; long calls; } functions[MAX_FUNCTIONS];
    char  wanted[64];
    long  left;                  /* calls until the fault; 0 = at every one; -1 = none */
    bool  lasting, happened;
    int   error;
    long  alive[N_KINDS];
    bool  gate;
    size_t n_gates;
    cl_event gates[MAX_GATES];
    notify_function notify;
    void *notify_context;
} state = { .mutex = PTHREAD_MUTEX_INITIALIZER, .left = -1 };

static void count_call(const char *name)
{
    for (size_t i = 0; i < state.n_functions; i++) {
        if (strcmp(state.functions[i].name, name) != 0) continue;
        state.functions[i].calls++;
        return;
    }
    if (state.n_functions < MAX_FUNCTIONS) {
        state.functions[state.n_functions].name = name;
        state.functions[state.n_functions++].calls = 1;
    }
}

/* The error that this call gives, or CL_SUCCESS. */
static cl_int fault(const char *name)
{
    cl_int error = CL_SUCCESS;
    pthread_mutex_lock(&state.mutex);
    count_call(name);
    if (state.left >= 0 && strcmp(state.wanted, name) == 0) {
        if (state.left > 0) state.left--;
        if (state.left == 0) {
            error = state.error;
            state.happened = true;
            if (!state.lasting) state.left = -1;
        }
    }
    pthread_mutex_unlock(&state.mutex);
    return error;
}

static void count_object(int kind, long more)
{
    pthread_mutex_lock(&state.mutex);
    state.alive[kind] += more;
    pthread_mutex_unlock(&state.mutex);
}

static void *refuse(cl_int error, cl_int *out)
{
    if (out != NULL) *out = error;
    return NULL;
}

static void *created(int kind, void *object)
{
    if (object != NULL) count_object(kind, 1);
    return object;
}

/* ---- What tests call ---- */

static void set(const char *function, long nth, bool lasting, int error)
{
    pthread_mutex_lock(&state.mutex);
    (void)snprintf(state.wanted, sizeof state.wanted, "%s", function);
    state.left = nth;
    state.lasting = lasting;
    state.error = error;
    state.happened = false;
    pthread_mutex_unlock(&state.mutex);
}

static void clear(void)
{
    set("", -1, false, 0);
}

static bool happened(void)
{
    pthread_mutex_lock(&state.mutex);
    const bool answer = state.happened;
    pthread_mutex_unlock(&state.mutex);
    return answer;
}

static long alive(const char *kind)
{
    long n = 0;
    pthread_mutex_lock(&state.mutex);
    for (int i = 0; i < N_KINDS; i++) {
        if (kind == NULL || strcmp(kind, kinds[i]) == 0) n += state.alive[i];
    }
    pthread_mutex_unlock(&state.mutex);
    return n;
}

static long calls(const char *function)
{
    long n = 0;
    pthread_mutex_lock(&state.mutex);
    for (size_t i = 0; i < state.n_functions; i++) {
        if (strcmp(state.functions[i].name, function) == 0) n = state.functions[i].calls;
    }
    pthread_mutex_unlock(&state.mutex);
    return n;
}

static void shut_gate(void)
{
    pthread_mutex_lock(&state.mutex);
    state.gate = true;
    pthread_mutex_unlock(&state.mutex);
}

static void open_gate(void)
{
    cl_event gates[MAX_GATES];
    pthread_mutex_lock(&state.mutex);
    state.gate = false;
    const size_t n = state.n_gates;
    memcpy(gates, state.gates, sizeof gates);
    state.n_gates = 0;
    pthread_mutex_unlock(&state.mutex);
    for (size_t i = 0; i < n; i++) {
        (void)target->clSetUserEventStatus(gates[i], CL_COMPLETE);
        (void)target->clReleaseEvent(gates[i]);
    }
}

static void notify(const char *text)
{
    pthread_mutex_lock(&state.mutex);
    const notify_function function = state.notify;
    void *context = state.notify_context;
    pthread_mutex_unlock(&state.mutex);
    if (function != NULL) function(text, NULL, 0, context);
}

extern const fault_layer treadle_fault_layer;
__attribute__((visibility("default"))) const fault_layer treadle_fault_layer = {
    set, clear, happened, alive, calls, shut_gate, open_gate, notify };

/* ---- Objects ---- */

static cl_context CL_API_CALL create_context(const cl_context_properties *properties, cl_uint n, const cl_device_id *devices,
                                             notify_function function, void *data, cl_int *error)
{
    const cl_int wanted = fault("clCreateContext");
    if (wanted != CL_SUCCESS) return refuse(wanted, error);
    pthread_mutex_lock(&state.mutex);
    state.notify = function;
    state.notify_context = data;
    pthread_mutex_unlock(&state.mutex);
    return created(CONTEXT, target->clCreateContext(properties, n, devices, function, data, error));
}

static cl_command_queue CL_API_CALL create_queue(cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int *error)
{
    const cl_int wanted = fault("clCreateCommandQueue");
    return wanted != CL_SUCCESS ? refuse(wanted, error) : created(QUEUE, target->clCreateCommandQueue(context, device, properties, error));
}

static cl_mem CL_API_CALL create_buffer(cl_context context, cl_mem_flags flags, size_t bytes, void *host, cl_int *error)
{
    const cl_int wanted = fault("clCreateBuffer");
    return wanted != CL_SUCCESS ? refuse(wanted, error) : created(BUFFER, target->clCreateBuffer(context, flags, bytes, host, error));
}

static cl_program CL_API_CALL create_program(cl_context context, cl_uint n, const char **texts, const size_t *lengths, cl_int *error)
{
    const cl_int wanted = fault("clCreateProgramWithSource");
    return wanted != CL_SUCCESS ? refuse(wanted, error) : created(PROGRAM, target->clCreateProgramWithSource(context, n, texts, lengths, error));
}

static cl_program CL_API_CALL load_program(cl_context context, cl_uint n, const cl_device_id *devices, const size_t *lengths,
                                           const unsigned char **binaries, cl_int *states, cl_int *error)
{
    const cl_int wanted = fault("clCreateProgramWithBinary");
    if (wanted != CL_SUCCESS) return refuse(wanted, error);
    return created(PROGRAM, target->clCreateProgramWithBinary(context, n, devices, lengths, binaries, states, error));
}

static cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name, cl_int *error)
{
    const cl_int wanted = fault("clCreateKernel");
    return wanted != CL_SUCCESS ? refuse(wanted, error) : created(KERNEL, target->clCreateKernel(program, name, error));
}

/* Retain and release are counted when they succeed. */
#define COUNTED(name, type, function, kind, more)                      \
    static cl_int CL_API_CALL name(type object)                        \
    {                                                                  \
        const cl_int error = target->function(object);                 \
        if (error == CL_SUCCESS) count_object(kind, more);             \
        return error;                                                  \
    }
COUNTED(retain_context, cl_context, clRetainContext, CONTEXT, 1)
COUNTED(release_context, cl_context, clReleaseContext, CONTEXT, -1)
COUNTED(retain_queue, cl_command_queue, clRetainCommandQueue, QUEUE, 1)
COUNTED(release_queue, cl_command_queue, clReleaseCommandQueue, QUEUE, -1)
COUNTED(retain_buffer, cl_mem, clRetainMemObject, BUFFER, 1)
COUNTED(release_buffer, cl_mem, clReleaseMemObject, BUFFER, -1)
COUNTED(retain_program, cl_program, clRetainProgram, PROGRAM, 1)
COUNTED(release_program, cl_program, clReleaseProgram, PROGRAM, -1)
COUNTED(retain_kernel, cl_kernel, clRetainKernel, KERNEL, 1)
COUNTED(release_kernel, cl_kernel, clReleaseKernel, KERNEL, -1)
COUNTED(retain_event, cl_event, clRetainEvent, EVENT, 1)
COUNTED(release_event, cl_event, clReleaseEvent, EVENT, -1)

/* ---- Programs and kernels ---- */

static cl_int CL_API_CALL build_program(cl_program program, cl_uint n, const cl_device_id *devices, const char *options,
                                        void (CL_CALLBACK *done)(cl_program, void *), void *data)
{
    const cl_int wanted = fault("clBuildProgram");
    return wanted != CL_SUCCESS ? wanted : target->clBuildProgram(program, n, devices, options, done, data);
}

/* After a fault: what a compiler says. */
static cl_int CL_API_CALL build_info(cl_program program, cl_device_id device, cl_program_build_info what, size_t bytes, void *out, size_t *wanted)
{
    static const char text[] = "<source>:7:1: error: this compiler was told to fail";
    const bool failing = happened() && strcmp(state.wanted, "clBuildProgram") == 0;
    if (!failing || what != CL_PROGRAM_BUILD_LOG) return target->clGetProgramBuildInfo(program, device, what, bytes, out, wanted);
    if (out != NULL && bytes < sizeof text) return CL_INVALID_VALUE;
    if (out != NULL) memcpy(out, text, sizeof text);
    if (wanted != NULL) *wanted = sizeof text;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL program_info(cl_program program, cl_program_info what, size_t bytes, void *out, size_t *wanted)
{
    const cl_int error = fault(what == CL_PROGRAM_BINARIES ? "clGetProgramInfo:BINARIES" : "clGetProgramInfo");
    return error != CL_SUCCESS ? error : target->clGetProgramInfo(program, what, bytes, out, wanted);
}

/* A small device: "clGetDeviceInfo:GROUP", "clGetDeviceInfo:LOCAL". */
static cl_int CL_API_CALL device_info(cl_device_id device, cl_device_info what, size_t bytes, void *out, size_t *wanted)
{
    const cl_int error = target->clGetDeviceInfo(device, what, bytes, out, wanted);
    if (error != CL_SUCCESS || out == NULL || bytes != 8 || (what != CL_DEVICE_MAX_WORK_GROUP_SIZE && what != CL_DEVICE_LOCAL_MEM_SIZE)) return error;
    const cl_ulong given = (cl_ulong)fault(what == CL_DEVICE_LOCAL_MEM_SIZE ? "clGetDeviceInfo:LOCAL" : "clGetDeviceInfo:GROUP");
    if (given > 0) memcpy(out, &given, sizeof given);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL group_info(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info what, size_t bytes, void *out, size_t *wanted)
{
    const cl_int error = target->clGetKernelWorkGroupInfo(kernel, device, what, bytes, out, wanted);
    if (error != CL_SUCCESS || out == NULL || what != CL_KERNEL_WORK_GROUP_SIZE) return error;
    const cl_int given = fault("clGetKernelWorkGroupInfo");
    const size_t most = (size_t)given;
    if (given > 0) memcpy(out, &most, sizeof most);
    return given < 0 ? given : CL_SUCCESS;
}

static cl_int CL_API_CALL set_arg(cl_kernel kernel, cl_uint index, size_t bytes, const void *value)
{
    const cl_int wanted = fault("clSetKernelArg");
    return wanted != CL_SUCCESS ? wanted : target->clSetKernelArg(kernel, index, bytes, value);
}

/* ---- Commands ---- */

/* An event that the caller asked for is one more object. */
static cl_int commanded(cl_int error, const cl_event *event)
{
    if (error == CL_SUCCESS && event != NULL) count_object(EVENT, 1);
    return error;
}

/* The event to wait for when the gate is shut, else NULL. */
static cl_event gate_of(cl_command_queue queue)
{
    cl_context context;
    cl_event gate = NULL;
    pthread_mutex_lock(&state.mutex);
    if (state.gate && state.n_gates < MAX_GATES &&
        target->clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL) == CL_SUCCESS) {
        gate = target->clCreateUserEvent(context, NULL);
        if (gate != NULL) state.gates[state.n_gates++] = gate;
    }
    pthread_mutex_unlock(&state.mutex);
    return gate;
}

static cl_int CL_API_CALL write_buffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t bytes, const void *from,
                                       cl_uint n, const cl_event *wait, cl_event *event)
{
    const cl_int wanted = fault("clEnqueueWriteBuffer");
    if (wanted != CL_SUCCESS) return wanted;
    const cl_event gate = blocking || n > 0 ? NULL : gate_of(queue);
    return commanded(target->clEnqueueWriteBuffer(queue, buffer, blocking, offset, bytes, from, gate != NULL ? 1 : n, gate != NULL ? &gate : wait,
                                                  event), event);
}

static cl_int CL_API_CALL read_buffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t bytes, void *to, cl_uint n,
                                      const cl_event *wait, cl_event *event)
{
    const cl_int wanted = fault("clEnqueueReadBuffer");
    return wanted != CL_SUCCESS ? wanted :
        commanded(target->clEnqueueReadBuffer(queue, buffer, blocking, offset, bytes, to, n, wait, event), event);
}

static cl_int CL_API_CALL write_rect(cl_command_queue queue, cl_mem buffer, cl_bool blocking, const size_t *origin, const size_t *host,
                                     const size_t *region, size_t row, size_t slice, size_t host_row, size_t host_slice, const void *from,
                                     cl_uint n, const cl_event *wait, cl_event *event)
{
    const cl_int wanted = fault("clEnqueueWriteBufferRect");
    return wanted != CL_SUCCESS ? wanted : commanded(target->clEnqueueWriteBufferRect(queue, buffer, blocking, origin, host, region, row, slice,
                                                                                     host_row, host_slice, from, n, wait, event), event);
}

static cl_int CL_API_CALL copy_buffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_at, size_t to_at, size_t bytes, cl_uint n,
                                      const cl_event *wait, cl_event *event)
{
    const cl_int wanted = fault("clEnqueueCopyBuffer");
    return wanted != CL_SUCCESS ? wanted : commanded(target->clEnqueueCopyBuffer(queue, from, to, from_at, to_at, bytes, n, wait, event), event);
}

static cl_int CL_API_CALL fill_buffer(cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_bytes, size_t offset,
                                      size_t bytes, cl_uint n, const cl_event *wait, cl_event *event)
{
    const cl_int wanted = fault("clEnqueueFillBuffer");
    return wanted != CL_SUCCESS ? wanted :
        commanded(target->clEnqueueFillBuffer(queue, buffer, pattern, pattern_bytes, offset, bytes, n, wait, event), event);
}

static cl_int CL_API_CALL run_kernel(cl_command_queue queue, cl_kernel kernel, cl_uint n_dims, const size_t *offset, const size_t *global,
                                     const size_t *local, cl_uint n, const cl_event *wait, cl_event *event)
{
    const cl_int wanted = fault("clEnqueueNDRangeKernel");
    return wanted != CL_SUCCESS ? wanted :
        commanded(target->clEnqueueNDRangeKernel(queue, kernel, n_dims, offset, global, local, n, wait, event), event);
}

static cl_int CL_API_CALL marker(cl_command_queue queue, cl_uint n, const cl_event *wait, cl_event *event)
{
    const cl_int wanted = fault("clEnqueueMarkerWithWaitList");
    return wanted != CL_SUCCESS ? wanted : commanded(target->clEnqueueMarkerWithWaitList(queue, n, wait, event), event);
}

static cl_int CL_API_CALL barrier(cl_command_queue queue, cl_uint n, const cl_event *wait, cl_event *event)
{
    const cl_int wanted = fault("clEnqueueBarrierWithWaitList");
    return wanted != CL_SUCCESS ? wanted : commanded(target->clEnqueueBarrierWithWaitList(queue, n, wait, event), event);
}

/* Waiting fails after the fact, as it does when a device dies. */
static cl_int CL_API_CALL finish(cl_command_queue queue)
{
    const cl_int error = target->clFinish(queue), wanted = fault("clFinish");
    return wanted != CL_SUCCESS ? wanted : error;
}

static cl_int CL_API_CALL flush(cl_command_queue queue)
{
    const cl_int wanted = fault("clFlush");
    return wanted != CL_SUCCESS ? wanted : target->clFlush(queue);
}

static cl_int CL_API_CALL wait_for(cl_uint n, const cl_event *events)
{
    const cl_int error = target->clWaitForEvents(n, events), wanted = fault("clWaitForEvents");
    return wanted != CL_SUCCESS ? wanted : error;
}

/* The command went wrong, which nothing but its event tells. */
static cl_int CL_API_CALL event_info(cl_event event, cl_event_info what, size_t bytes, void *out, size_t *wanted)
{
    const cl_int error = target->clGetEventInfo(event, what, bytes, out, wanted);
    if (what != CL_EVENT_COMMAND_EXECUTION_STATUS || error != CL_SUCCESS || out == NULL) return error;
    const cl_int given = fault("clGetEventInfo");
    if (given != CL_SUCCESS) memcpy(out, &given, sizeof given);
    return CL_SUCCESS;
}

/* ---- Entries ---- */

static void put_in(cl_icd_dispatch *table)
{
    table->clCreateContext = create_context;
    table->clRetainContext = retain_context;
    table->clReleaseContext = release_context;
    table->clCreateCommandQueue = create_queue;
    table->clRetainCommandQueue = retain_queue;
    table->clReleaseCommandQueue = release_queue;
    table->clCreateBuffer = create_buffer;
    table->clRetainMemObject = retain_buffer;
    table->clReleaseMemObject = release_buffer;
    table->clCreateProgramWithSource = create_program;
    table->clCreateProgramWithBinary = load_program;
    table->clRetainProgram = retain_program;
    table->clReleaseProgram = release_program;
    table->clBuildProgram = build_program;
    table->clGetProgramBuildInfo = build_info;
    table->clGetProgramInfo = program_info;
    table->clCreateKernel = create_kernel;
    table->clRetainKernel = retain_kernel;
    table->clReleaseKernel = release_kernel;
    table->clSetKernelArg = set_arg;
    table->clGetDeviceInfo = device_info;
    table->clGetKernelWorkGroupInfo = group_info;
    table->clEnqueueWriteBuffer = write_buffer;
    table->clEnqueueReadBuffer = read_buffer;
    table->clEnqueueWriteBufferRect = write_rect;
    table->clEnqueueCopyBuffer = copy_buffer;
    table->clEnqueueFillBuffer = fill_buffer;
    table->clEnqueueNDRangeKernel = run_kernel;
    table->clEnqueueMarkerWithWaitList = marker;
    table->clEnqueueBarrierWithWaitList = barrier;
    table->clRetainEvent = retain_event;
    table->clReleaseEvent = release_event;
    table->clWaitForEvents = wait_for;
    table->clGetEventInfo = event_info;
    table->clFlush = flush;
    table->clFinish = finish;
}

static void read_environment(void)
{
    const char *text = getenv("TREADLE_FAULT");
    char function[64], plus[2] = "";
    long nth;
    int error;
    if (text == NULL) return;
    if (sscanf(text, "%63[^:]:%ld:%d", function, &nth, &error) == 3) set(function, nth, false, error);
    else if (sscanf(text, "%63[^:]:%ld%1[+]:%d", function, &nth, plus, &error) == 4) set(function, nth, true, error);
}

__attribute__((visibility("default"))) cl_int CL_API_CALL clGetLayerInfo(cl_layer_info what, size_t bytes, void *out, size_t *wanted)
{
    const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    static const char name[] = "treadle faults";
    const void *from = what == CL_LAYER_API_VERSION ? (const void *)&version : (const void *)name;
    const size_t size = what == CL_LAYER_API_VERSION ? sizeof version : sizeof name;
    if (what != CL_LAYER_API_VERSION && what != CL_LAYER_NAME) return CL_INVALID_VALUE;
    if (out != NULL && bytes < size) return CL_INVALID_VALUE;
    if (out != NULL) memcpy(out, from, size);
    if (wanted != NULL) *wanted = size;
    return CL_SUCCESS;
}

__attribute__((visibility("default"))) cl_int CL_API_CALL clInitLayer(cl_uint n, const cl_icd_dispatch *below, cl_uint *n_out, const cl_icd_dispatch **out)
{
    static cl_icd_dispatch table;
    if (below == NULL || n_out == NULL || out == NULL || n < sizeof table / sizeof table.clGetPlatformIDs) return CL_INVALID_VALUE;
    target = below;
    table = *below;
    put_in(&table);
    read_environment();
    *out = &table;
    *n_out = sizeof table / sizeof table.clGetPlatformIDs;
    return CL_SUCCESS;
}
