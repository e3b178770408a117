/* cl_kernel.c: arguments of kernels, and launches. */
#include "backend/opencl/opencl.h"

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

trd_status trdi_cl_kernel_takes_group(trdi_cl_device *device, cl_kernel kernel, const char *name, size_t group)
{
    size_t most = 0;
    if (device->forgetful) return TRD_OK;       /* rusticl of Mesa 22.3 answers 32, and runs larger ones */
    const cl_int error = trdi_cl.GetKernelWorkGroupInfo(kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
    if (error != CL_SUCCESS) return trdi_cl_device_fail(device, error, "largest group of kernel %s on %s", name, device->facts.id);
    if (most >= group) return TRD_OK;
    return trdi_fail(TRD_E_UNSUPPORTED, "kernel %s on %s (%s): its groups can have %zu work-items there, and %zu are needed", name, device->facts.id,
                     device->facts.name, most, group);
}

trd_status trdi_cl_launch(trdi_cl_queue *queue, cl_kernel kernel, int n_dims, const size_t *global, const size_t *local)
{
    cl_event event = NULL;
    const cl_int error = trdi_cl.EnqueueNDRangeKernel(queue->handle, kernel, (cl_uint)n_dims, NULL, global, local, 0, NULL, queue->noting ? &event : NULL);
    if (error == CL_SUCCESS && event != NULL) trdi_cl_queue_note(queue, event);
    if (error == CL_SUCCESS) return TRD_OK;
    char name[64] = "?";
    (void)trdi_cl.GetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name - 1, name, NULL);
    return trdi_cl_device_fail(queue->device, error, "kernel %s on %s with %zu work-items in groups of %zu", name, queue->device->facts.id,
                               global[0], local != NULL ? local[0] : (size_t)0);
}
