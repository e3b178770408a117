/* cl_program.c: programs of a device, each built once from an embedded source and its options; kernels and their arguments. */
#include "backend/opencl/kernel_sources.h"
#include "backend/opencl/opencl.h"

#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "core/log.h"
#include "core/strings.h"

struct trdi_cl_program {
    trdi_cl_program *next;
    const char *source;          /* name; static */
    char       *options;         /* all of them; owned */
    cl_program  handle;
};

static const trdi_cl_source *find_source(const char *name)
{
    for (size_t i = 0; i < trdi_cl_n_sources; i++) {
        if (strcmp(trdi_cl_sources[i].name, name) == 0) return &trdi_cl_sources[i];
    }
    return NULL;
}

/* Options of the device's class, then the caller's. Owned; NULL without memory. */
static char *all_options(const trdi_cl_device *device, const char *options)
{
    const trdi_cl_traits *t = &device->traits;
    trdi_text text = { NULL, 0, 0, false };
    trdi_text_add(&text, "-cl-std=CL1.2 -DTRD_%s=1 -DTRD_VECTOR_FLOATS=%d -DGROUP_SIZE=%d", t->form == TRDI_CL_TILES ? "TILES" : "GROUPS",
                  (int)t->vector_floats, (int)trdi_cl_group_size(device));
    if (t->fast_fma) trdi_text_add(&text, " -DTRD_FAST_FMA=1");
    if (t->fp16) trdi_text_add(&text, " -DTRD_FP16=1");
    if (options[0] != '\0') trdi_text_add(&text, " %s", options);
    if (text.failed) trdi_text_free(&text);
    return text.failed ? NULL : text.data;
}

/* The first lines of what the compiler said, into the failure's text. */
static trd_status build_failed(const trdi_cl_device *device, cl_program program, const char *source, cl_int error)
{
    char text[400] = "";
    size_t bytes = 0;
    if (trdi_cl.GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) == CL_SUCCESS && bytes > 1) {
        char *whole = trdi_alloc(bytes + 1);
        if (whole != NULL && trdi_cl.GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, bytes, whole, NULL) == CL_SUCCESS) {
            whole[bytes] = '\0';
            (void)snprintf(text, sizeof text, "%s", whole);
        }
        trdi_free(whole);
    }
    return trdi_cl_fail(error, "program '%s' on %s (%s): %s", source, device->facts.id, device->facts.name, text);
}

static trd_status build(trdi_cl_device *device, const trdi_cl_source *source, const char *options, cl_program *out)
{
    cl_int error;
    cl_program program = trdi_cl.CreateProgramWithSource(device->context, 1, &(const char *){ source->text }, &source->bytes, &error);
    if (error != CL_SUCCESS) return trdi_cl_fail(error, "program '%s' on %s", source->name, device->facts.id);
    const int64_t start = trdi_now_ns();
    error = trdi_cl.BuildProgram(program, 1, &device->id, options, NULL, NULL);
    if (error != CL_SUCCESS) {
        const trd_status status = build_failed(device, program, source->name, error);
        (void)trdi_cl.ReleaseProgram(program);
        return status;
    }
    trdi_log(TRD_LOG_DEBUG, "%s: program '%s' (%s) compiled in %.0f ms", device->facts.id, source->name, options,
             (double)(trdi_now_ns() - start) * 1e-6);
    *out = program;
    return TRD_OK;
}

/* Under the device's mutex. Takes options. */
static trd_status add_program(trdi_cl_device *device, const trdi_cl_source *source, char *options, trdi_cl_program **out)
{
    trdi_cl_program *program = trdi_calloc(1, sizeof *program);
    trd_status status = program == NULL ? trdi_fail(TRD_E_MEMORY, "program '%s': %zu bytes", source->name, sizeof *program) : TRD_OK;
    if (status == TRD_OK) status = build(device, source, options, &program->handle);
    if (status != TRD_OK) {
        trdi_free(program);
        trdi_free(options);
        return status;
    }
    program->source = source->name;
    program->options = options;
    program->next = device->programs;
    device->programs = program;
    *out = program;
    return TRD_OK;
}

/* Under the device's mutex. */
static trd_status find_program(trdi_cl_device *device, const char *name, const char *extra, trdi_cl_program **out)
{
    const trdi_cl_source *source = find_source(name);
    if (source == NULL) return trdi_fail(TRD_E_INTERNAL, "no kernel source '%s'", name);
    char *options = all_options(device, extra);
    if (options == NULL) return trdi_fail(TRD_E_MEMORY, "options of program '%s'", name);
    for (trdi_cl_program *p = device->programs; p != NULL; p = p->next) {
        if (p->source == source->name && strcmp(p->options, options) == 0) {
            trdi_free(options);
            *out = p;
            return TRD_OK;
        }
    }
    return add_program(device, source, options, out);
}

trd_status trdi_cl_kernel_create(trdi_cl_device *device, const char *source, const char *options, const char *name, cl_kernel *out)
{
    *out = NULL;
    trdi_cl_program *program = NULL;
    cl_int error = CL_SUCCESS;
    trdi_mutex_lock(&device->mutex);
    const trd_status status = find_program(device, source, options, &program);
    if (status == TRD_OK) *out = trdi_cl.CreateKernel(program->handle, name, &error);
    trdi_mutex_unlock(&device->mutex);
    TRDI_TRY(status);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_fail(error, "kernel '%s' of '%s' on %s", name, source, device->facts.id);
}

void trdi_cl_kernel_free(cl_kernel kernel)
{
    if (kernel != NULL) (void)trdi_cl.ReleaseKernel(kernel);
}

void trdi_cl_programs_free(trdi_cl_device *device)
{
    while (device->programs != NULL) {
        trdi_cl_program *program = device->programs;
        device->programs = program->next;
        (void)trdi_cl.ReleaseProgram(program->handle);
        trdi_free(program->options);
        trdi_free(program);
    }
}

/* ---- Arguments ---- */

static void set_arg(trdi_cl_args *args, size_t bytes, const void *value)
{
    if (args->status != TRD_OK) return;
    const cl_int error = trdi_cl.SetKernelArg(args->kernel, args->n, bytes, value);
    if (error != CL_SUCCESS) args->status = trdi_cl_fail(error, "argument %u of a kernel on %s", (unsigned)args->n, args->device->facts.id);
    args->n++;
}

void trdi_cl_arg_span(trdi_cl_args *args, trdi_span span)
{
    const trdi_cl_buffer *buffer = span.buffer;
    const cl_mem memory = buffer != NULL ? buffer->memory : args->device->nothing;
    const cl_long offset = buffer != NULL ? (cl_long)span.offset : -1;
    set_arg(args, sizeof memory, &memory);
    set_arg(args, sizeof offset, &offset);
}

void trdi_cl_arg_memory(trdi_cl_args *args, cl_mem memory)
{
    const cl_mem given = memory != NULL ? memory : args->device->nothing;
    const cl_long offset = memory != NULL ? 0 : -1;
    set_arg(args, sizeof given, &given);
    set_arg(args, sizeof offset, &offset);
}

void trdi_cl_arg_int(trdi_cl_args *args, int64_t value)
{
    if (args->status == TRD_OK && (value > INT32_MAX || value < INT32_MIN)) {
        args->status = trdi_fail(TRD_E_INVALID, "argument %u of a kernel is %lld: past 31 bits", (unsigned)args->n, (long long)value);
    }
    set_arg(args, sizeof(cl_int), &(cl_int){ (cl_int)value });
}

void trdi_cl_arg_long(trdi_cl_args *args, int64_t value)
{
    set_arg(args, sizeof(cl_long), &(cl_long){ value });
}

void trdi_cl_arg_float(trdi_cl_args *args, float value)
{
    set_arg(args, sizeof value, &value);
}

void trdi_cl_arg_local(trdi_cl_args *args, size_t bytes)
{
    set_arg(args, bytes, NULL);
}

trd_status trdi_cl_set_int(cl_kernel kernel, cl_uint index, int64_t value)
{
    if (value > INT32_MAX || value < INT32_MIN) return trdi_fail(TRD_E_INVALID, "%lld rows: past 31 bits", (long long)value);
    const cl_int given = (cl_int)value, error = trdi_cl.SetKernelArg(kernel, index, sizeof given, &given);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_fail(error, "argument %u of a kernel", (unsigned)index);
}

trd_status trdi_cl_set_memory(trdi_cl_device *device, cl_kernel kernel, cl_uint index, cl_mem memory)
{
    trdi_cl_args args = { .device = device, .kernel = kernel, .n = index, .status = TRD_OK };
    trdi_cl_arg_memory(&args, memory);
    return args.status;
}

trd_status trdi_cl_launch(trdi_cl_queue *queue, cl_kernel kernel, int n_dims, const size_t *global, const size_t *local)
{
    const cl_int error = trdi_cl.EnqueueNDRangeKernel(queue->handle, kernel, (cl_uint)n_dims, NULL, global, local, 0, NULL, NULL);
    if (error == CL_SUCCESS) return TRD_OK;
    char name[64] = "?";
    (void)trdi_cl.GetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name - 1, name, NULL);
    return trdi_cl_fail(error, "kernel %s on %s with %zu work-items in groups of %zu", name, queue->device->facts.id, global[0],
                        local != NULL ? local[0] : (size_t)0);
}
