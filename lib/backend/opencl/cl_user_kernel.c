/* cl_user_kernel.c: kernels that users of the library bring: expressions, of which the text was made, and sources. */
#include "backend/expression.h"
#include "backend/opencl/opencl.h"
#include "core/alloc.h"

typedef struct user_kernel {
    trdi_cl_device *device;
    bool       is_expression, reduces;
    size_t     result;           /* argument that takes a reduction */
    trdi_mutex mutex;            /* guards handle and join: arguments belong to them */
    cl_kernel  handle, join;     /* join: of a reduction, else NULL */
    trdi_cl_program *programs[2];/* what they were made from */
    cl_uint    n_arguments;      /* of the kernel function */
} user_kernel;

static trd_status make_handles(user_kernel *kernel, const trdi_kernel_source *source)
{
    trdi_cl_device *device = kernel->device;
    TRDI_TRY(trdi_cl_kernel_create_text(device, source->text, source->name, &kernel->handle, &kernel->programs[0]));
    if (kernel->reduces) TRDI_TRY(trdi_cl_kernel_create_text(device, source->text, TRDI_EXPRESSION_JOIN, &kernel->join, &kernel->programs[1]));
    return kernel->is_expression ? trdi_cl_kernel_takes_group(device, kernel->handle, source->name, TRDI_EXPRESSION_GROUP) : TRD_OK;
}

trd_status trdi_cl_kernel_build(void *device_handle, const trdi_kernel_source *source, void **out)
{
    trdi_cl_device *device = device_handle;
    *out = NULL;
    user_kernel *kernel = trdi_calloc(1, sizeof *kernel);
    if (kernel == NULL) return trdi_fail(TRD_E_MEMORY, "kernel '%s': %zu bytes", source->name, sizeof *kernel);
    kernel->device = device;
    kernel->is_expression = source->program != NULL;
    kernel->reduces = kernel->is_expression && source->program->reduction != TRDI_REDUCE_NONE;
    if (kernel->reduces) kernel->result = (size_t)source->program->result;
    trd_status status = trdi_mutex_init(&kernel->mutex);
    if (status != TRD_OK) {
        trdi_free(kernel);
        return status;
    }
    status = make_handles(kernel, source);
    if (status == TRD_OK) {
        const cl_int error = trdi_cl.GetKernelInfo(kernel->handle, CL_KERNEL_NUM_ARGS, sizeof kernel->n_arguments, &kernel->n_arguments, NULL);
        if (error != CL_SUCCESS) status = trdi_cl_device_fail(device, error, "kernel '%s' on %s", source->name, device->facts.id);
    }
    if (status != TRD_OK) {
        trdi_cl_user_kernel_free(kernel);
        return status;
    }
    *out = kernel;
    return TRD_OK;
}

/* Runs that were enqueued keep the kernel. */
void trdi_cl_user_kernel_free(void *handle)
{
    user_kernel *kernel = handle;
    if (kernel == NULL) return;
    trdi_cl_kernel_free(kernel->handle);
    trdi_cl_kernel_free(kernel->join);
    for (size_t i = 0; i < 2; i++) trdi_cl_program_drop(kernel->device, kernel->programs[i]);
    trdi_mutex_destroy(&kernel->mutex);
    trdi_free(kernel);
}

static void set_argument(trdi_cl_args *args, const trdi_argument *a)
{
    switch (a->kind) {
    case TRDI_ARGUMENT_SPAN: trdi_cl_arg_span(args, a->span); break;
    case TRDI_ARGUMENT_F32: trdi_cl_arg_float(args, a->number); break;
    case TRDI_ARGUMENT_I32: trdi_cl_arg_int(args, a->integer); break;
    case TRDI_ARGUMENT_I64: trdi_cl_arg_long(args, a->integer); break;
    case TRDI_ARGUMENT_LOCAL: trdi_cl_arg_local(args, (size_t)a->integer); break;
    }
}

static trd_status set_arguments(const user_kernel *kernel, const trdi_argument *arguments, size_t n, const trdi_launch *launch, cl_mem pieced)
{
    trdi_cl_args args = { .device = kernel->device, .kernel = kernel->handle, .status = TRD_OK };
    size_t wanted = kernel->reduces ? 5 : kernel->is_expression ? 2 : 0;
    for (size_t i = 0; i < n; i++) wanted += arguments[i].kind == TRDI_ARGUMENT_SPAN ? 2 : 1;
    if (wanted != kernel->n_arguments) {
        return trdi_fail(TRD_E_INVALID, "the arguments make %zu parameters (a tensor is two), the kernel has %u", wanted, (unsigned)kernel->n_arguments);
    }
    for (size_t i = 0; i < n; i++) {
        set_argument(&args, &arguments[i]);
        if (args.status != TRD_OK) return trdi_fail_within(args.status, "argument %zu", i);
    }
    if (kernel->is_expression) {
        trdi_cl_arg_long(&args, launch->rows);
        trdi_cl_arg_long(&args, launch->cols);
    }
    if (kernel->reduces) {
        trdi_cl_arg_long(&args, trdi_expression_pieces(launch->cols));
        trdi_cl_arg_memory(&args, pieced);
    }
    return args.status;
}

/* After the pieces of each row: the row. */
static trd_status join_pieces(trdi_cl_queue *queue, const user_kernel *kernel, const trdi_argument *arguments, const trdi_launch *launch, cl_mem pieced)
{
    trdi_cl_args args = { .device = kernel->device, .kernel = kernel->join, .status = TRD_OK };
    trdi_cl_arg_span(&args, arguments[kernel->result].span);
    trdi_cl_arg_memory(&args, pieced);
    trdi_cl_arg_long(&args, launch->rows);
    trdi_cl_arg_long(&args, launch->cols);
    trdi_cl_arg_long(&args, trdi_expression_pieces(launch->cols));
    TRDI_TRY(args.status);
    const size_t group = TRDI_EXPRESSION_GROUP, global = ((size_t)launch->rows + group - 1) / group * group;
    return trdi_cl_launch(queue, kernel->join, 1, &global, &group);
}

/* Groups share what there is to do. */
static trd_status launch_groups(trdi_cl_queue *queue, const user_kernel *kernel, size_t n_groups)
{
    const size_t most = (size_t)1 << 20, group = TRDI_EXPRESSION_GROUP;
    const size_t global = (kernel->reduces && n_groups > most ? most : n_groups) * group;
    return trdi_cl_launch(queue, kernel->handle, 1, &global, &group);
}

static trd_status run_reduction(trdi_cl_queue *queue, const user_kernel *kernel, const trdi_argument *arguments, size_t n, const trdi_launch *launch)
{
    const size_t pieces = (size_t)trdi_expression_pieces(launch->cols), n_groups = (size_t)launch->rows * pieces;
    cl_mem pieced = NULL;
    if (pieces > 1) TRDI_TRY(trdi_cl_queue_scratch(queue, TRDI_CL_SCRATCH_SELECT, n_groups * sizeof(float), &pieced));
    TRDI_TRY(set_arguments(kernel, arguments, n, launch, pieced));
    TRDI_TRY(launch_groups(queue, kernel, n_groups));
    return pieces > 1 ? join_pieces(queue, kernel, arguments, launch, pieced) : TRD_OK;
}

static trd_status run(trdi_cl_queue *queue, const user_kernel *kernel, const trdi_argument *arguments, size_t n, const trdi_launch *launch)
{
    if (kernel->reduces) return run_reduction(queue, kernel, arguments, n, launch);
    TRDI_TRY(set_arguments(kernel, arguments, n, launch, NULL));
    const size_t elements = (size_t)(launch->rows * launch->cols), group = TRDI_EXPRESSION_GROUP;
    if (kernel->is_expression) return launch_groups(queue, kernel, (elements + group - 1) / group);
    return trdi_cl_launch(queue, kernel->handle, launch->n_dims, launch->global, launch->group[0] == 0 ? NULL : launch->group);
}

trd_status trdi_cl_kernel_run(void *queue_handle, void *kernel_handle, const trdi_argument *arguments, size_t n, const trdi_launch *launch)
{
    trdi_cl_queue *queue = queue_handle;
    user_kernel *kernel = kernel_handle;
    TRDI_TRY(trdi_cl_usable(queue->device));
    trdi_mutex_lock(&kernel->mutex);
    queue->noting = true;
    const trd_status status = run(queue, kernel, arguments, n, launch);
    queue->noting = false;
    trdi_mutex_unlock(&kernel->mutex);
    if (status != TRD_OK) return status;
    const cl_int error = trdi_cl.Flush(queue->handle);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_device_fail(queue->device, error, "a kernel on %s", queue->device->facts.id);
}
