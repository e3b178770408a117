/* compute_kernel.c: kernels of one's own (treadle/trd_kernel.h): building, checking of arguments, running; and the library's own expressions. */
#include <string.h>

#include "api/compute_check.h"
#include "core/alloc.h"
#include "core/strings.h"

/* ---- Building ---- */

static void free_kernel(const trdi_backend_ops *ops, trd_kernel *kernel)
{
    if (kernel->impl != NULL) ops->kernel_free(kernel->impl);
    trdi_free(kernel->program);
    trdi_free(kernel);
}

static trd_status build_expression(const trdi_device *device, const char *parameters, const char *text, trd_kernel *kernel)
{
    TRDI_TRY(trdi_expression_parse(parameters, text, &kernel->program));
    char *source;
    TRDI_TRY(trdi_expression_text(kernel->program, &source));
    const trdi_kernel_source from = { .program = kernel->program, .text = source, .name = TRDI_EXPRESSION_KERNEL };
    const trd_status status = device->ops->kernel_build(device->impl, &from, &kernel->impl);
    trdi_free(source);
    return status;
}

/* A kernel that holds no use of the device yet. */
static trd_status make_expression(const trd_device *device, const char *parameters, const char *text, trd_kernel **out)
{
    const trdi_device *const inner = device->device;
    *out = NULL;
    if (inner->ops->kernel_build == NULL) return trdi_fail(TRD_E_UNSUPPORTED, "device %s takes no kernels of one's own", inner->facts.id);
    trd_kernel *const kernel = trdi_calloc(1, sizeof *kernel);
    if (kernel == NULL) return trdi_fail(TRD_E_MEMORY, "kernel: %zu bytes", sizeof *kernel);
    const trd_status status = build_expression(inner, parameters, text, kernel);
    if (status != TRD_OK) {
        free_kernel(inner->ops, kernel);
        return status;
    }
    *out = kernel;
    return TRD_OK;
}

trd_status trd_kernel_create_expression(trd_device *device, const char *parameters, const char *text, trd_kernel **out)
{
    static const char name[] = "trd_kernel_create_expression";
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "%s: out is NULL", name);
    *out = NULL;
    TRDI_TRY(trdi_device_check(device, name));
    if (parameters == NULL || text == NULL) return trdi_fail(TRD_E_INVALID, "%s: parameters or text is NULL", name);
    const trd_status status = make_expression(device, parameters, text, out);
    if (status != TRD_OK) return trdi_fail_within(status, "%s", name);
    (*out)->device = trdi_open_device_use(device);
    return TRD_OK;
}

/* A device of another back end that computes with this machine's cores, or NULL. */
static const trdi_device *compiling_cpu(void)
{
    const trdi_device *device;
    for (int64_t i = 0; (device = trdi_device_at(i)) != NULL; i++) {
        if (strcmp(device->ops->name, "cpu") != 0 && device->facts.type == TRDI_DEVICE_CPU && device->facts.unusable[0] == '\0') return device;
    }
    return NULL;
}

static trd_status no_sources(const trdi_device *device)
{
    const trdi_device *const other = compiling_cpu();
    if (other != NULL)
        return trdi_fail(TRD_E_UNSUPPORTED, "device %s compiles no sources: use device %s (%s), which computes with the same cores, or an expression",
                         device->facts.id, other->facts.id, other->facts.name);
    return trdi_fail(TRD_E_UNSUPPORTED, "device %s compiles no sources: use an expression, or a device of OpenCL (none for this CPU was found)", device->facts.id);
}

trd_status trd_kernel_create_source(trd_device *device, const char *source, const char *name, trd_kernel **out)
{
    static const char function[] = "trd_kernel_create_source";
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "%s: out is NULL", function);
    *out = NULL;
    TRDI_TRY(trdi_device_check(device, function));
    if (source == NULL || name == NULL) return trdi_fail(TRD_E_INVALID, "%s: source or name is NULL", function);
    const trdi_device *const inner = device->device;
    trd_kernel *const kernel = trdi_calloc(1, sizeof *kernel);
    if (kernel == NULL) return trdi_fail(TRD_E_MEMORY, "%s: %zu bytes", function, sizeof *kernel);
    const trdi_kernel_source from = { .text = source, .name = name };
    const bool offered = inner->ops->kernel_build != NULL && strcmp(inner->ops->name, "cpu") != 0;
    const trd_status status = offered ? inner->ops->kernel_build(inner->impl, &from, &kernel->impl) : no_sources(inner);
    if (status != TRD_OK) {
        free_kernel(inner->ops, kernel);
        return trdi_fail_within(status, "%s", function);
    }
    kernel->device = trdi_open_device_use(device);
    *out = kernel;
    return TRD_OK;
}

void trd_kernel_destroy(trd_kernel *kernel)
{
    if (kernel == NULL || kernel->device->process != trdi_process_id()) return;
    trd_device *const device = kernel->device;
    free_kernel(device->device->ops, kernel);
    trdi_open_device_drop(device);
}

/* ---- The library's own ---- */

int trdi_expression_dtype(trd_dtype dtype)
{
    switch (dtype) {
    case TRD_DTYPE_F32: return 0;
    case TRD_DTYPE_F16: return 1;
    case TRD_DTYPE_I32: return 2;
    case TRD_DTYPE_I8: return 3;
    default: return -1;
    }
}

static trd_status make_builtin(const trd_device *device, trdi_builtin which, trd_kernel **out)
{
    static const char *const types[] = { "float", "half", "int", "char" };
    if (which == TRDI_BUILTIN_EXP) return make_expression(device, "float *y", "y[i] = exp(y[i])", out);
    trdi_text parameters = { 0 };
    if (which < TRDI_BUILTIN_FILL) {
        const int pair = (int)which - (int)TRDI_BUILTIN_CONVERT;
        trdi_text_add(&parameters, "const %s *x, %s *y", types[pair / 4], types[pair % 4]);
    } else {
        const int type = (int)which - (int)TRDI_BUILTIN_FILL;
        trdi_text_add(&parameters, "%s x, %s *y", type < 2 ? "float" : "int", types[type]);
    }
    trd_status status = parameters.failed ? trdi_fail(TRD_E_MEMORY, "parameters of an expression") : TRD_OK;
    if (status == TRD_OK) status = make_expression(device, parameters.data, which < TRDI_BUILTIN_FILL ? "y[i] = x[i]" : "y[i] = x", out);
    trdi_text_free(&parameters);
    return status;
}

trd_status trdi_builtin_get(trd_device *device, trdi_builtin which, trd_kernel **out)
{
    trd_status status = TRD_OK;
    trdi_mutex_lock(&device->mutex);
    if (device->builtins[which] == NULL) status = make_builtin(device, which, &device->builtins[which]);
    *out = device->builtins[which];
    trdi_mutex_unlock(&device->mutex);
    return status;
}

void trdi_builtins_free(trd_device *device)
{
    for (int i = 0; i < TRDI_N_BUILTINS; i++) {
        if (device->builtins[i] != NULL) free_kernel(device->device->ops, device->builtins[i]);
    }
}

/* ---- Running ---- */

static trd_status check_argument(const trdi_call *call, const trd_argument *a, int64_t k)
{
    switch (a->kind) {
    case TRD_ARGUMENT_TENSOR:
        if (a->tensor == NULL) return trdi_fail(TRD_E_INVALID, "%s: argument %lld: tensor is NULL", call->name, (long long)k);
        if (a->tensor->storage->device->device == call->queue->device->device) return TRD_OK;
        return trdi_fail(TRD_E_INVALID, "%s: argument %lld is on device %s, the queue on %s", call->name, (long long)k,
                         a->tensor->storage->device->device->facts.id, call->queue->device->device->facts.id);
    case TRD_ARGUMENT_I32:
        if (a->integer >= INT32_MIN && a->integer <= INT32_MAX) return TRD_OK;
        return trdi_fail(TRD_E_INVALID, "%s: argument %lld is %lld, beyond 32 bits", call->name, (long long)k, (long long)a->integer);
    case TRD_ARGUMENT_LOCAL:
        if (a->integer > 0) return TRD_OK;
        return trdi_fail(TRD_E_INVALID, "%s: argument %lld: %lld bytes of local memory", call->name, (long long)k, (long long)a->integer);
    case TRD_ARGUMENT_F32:
    case TRD_ARGUMENT_I64: return TRD_OK;
    default: return trdi_fail(TRD_E_INVALID, "%s: argument %lld: kind %d is unknown", call->name, (long long)k, (int)a->kind);
    }
}

/* Does the argument fit the parameter of an expression? */
static trd_status check_parameter(const trdi_call *call, const trdi_parameter *t, const trd_argument *a)
{
    if (t->is_tensor) {
        if (a->kind != TRD_ARGUMENT_TENSOR) return trdi_fail(TRD_E_INVALID, "%s: '%s' is a tensor", call->name, t->name);
        if (a->tensor->dtype != t->dtype)
            return trdi_fail(TRD_E_INVALID, "%s: '%s' is %s, the tensor %s", call->name, t->name, trd_dtype_name(t->dtype), trd_dtype_name(a->tensor->dtype));
        return a->tensor->is_contiguous ? TRD_OK : trdi_fail(TRD_E_INVALID, "%s: the tensor for '%s' is not contiguous", call->name, t->name);
    }
    const trd_argument_kind wanted = t->dtype == TRD_DTYPE_F32 ? TRD_ARGUMENT_F32 : TRD_ARGUMENT_I32;
    return a->kind == wanted ? TRD_OK : trdi_fail(TRD_E_INVALID, "%s: '%s' is one %s", call->name, t->name, wanted == TRD_ARGUMENT_F32 ? "float" : "int");
}

static trd_status check_count(const trdi_call *call, const trdi_parameter *t, const trd_argument *a, trdi_index index, int64_t wanted)
{
    static const char names[] = "irc";
    if (!t->at[index] || a->tensor->n_elements == wanted) return TRD_OK;
    return trdi_fail(TRD_E_INVALID, "%s: '%s' has %lld elements, as %s[%c] it needs %lld", call->name, t->name, (long long)a->tensor->n_elements, t->name,
                     names[index], (long long)wanted);
}

/* Rows and columns: those of the first tensor with [i]; one row for a reduction into one element, and where rows don't matter. */
static trd_status find_sizes(const trdi_call *call, const trdi_program *program, const trd_argument *arguments, int64_t *rows, int64_t *cols)
{
    const trd_tensor *first = NULL;
    for (int32_t k = program->n_parameters - 1; k >= 0; k--) {
        if (program->parameters[k].at[TRDI_INDEX_I]) first = arguments[k].tensor;
    }
    *rows = first->rows;
    *cols = first->cols;
    const bool into_one = program->reduction != TRDI_REDUCE_NONE && arguments[program->result].tensor->n_elements == 1;
    if (into_one || !program->uses_rows) {
        *rows = 1;
        *cols = first->n_elements;
    }
    for (int32_t k = 0; k < program->n_parameters; k++) {
        TRDI_TRY(check_count(call, &program->parameters[k], &arguments[k], TRDI_INDEX_I, first->n_elements));
        TRDI_TRY(check_count(call, &program->parameters[k], &arguments[k], TRDI_INDEX_R, *rows));
        TRDI_TRY(check_count(call, &program->parameters[k], &arguments[k], TRDI_INDEX_C, *cols));
    }
    if (program->uses_index && first->n_elements > INT32_MAX)
        return trdi_fail(TRD_E_INVALID, "%s: i, r and c are int: %lld elements are too many", call->name, (long long)first->n_elements);
    return TRD_OK;
}

/* What is written must not be read from elsewhere in the same run. */
static trd_status check_aliases(const trdi_call *call, const trdi_program *program, const trd_argument *arguments)
{
    for (int32_t w = 0; w < program->n_parameters; w++) {
        if (!program->parameters[w].is_written) continue;
        for (int32_t k = 0; k < program->n_parameters; k++) {
            const trdi_parameter *const t = &program->parameters[k];
            if (k == w || !t->is_tensor || !trdi_tensor_overlap(arguments[w].tensor, arguments[k].tensor)) continue;
            const bool in_step = program->reduction == TRDI_REDUCE_NONE && !t->at[TRDI_INDEX_R] && !t->at[TRDI_INDEX_C] &&
                                 arguments[w].tensor->offset == arguments[k].tensor->offset && t->dtype == program->parameters[w].dtype;
            if (!in_step) return trdi_fail(TRD_E_INVALID, "%s: '%s' is written and overlaps '%s'", call->name, program->parameters[w].name, t->name);
        }
    }
    return TRD_OK;
}

static trd_status use_arguments(const trdi_call *call, const trd_argument *arguments, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        if (arguments[k].kind == TRD_ARGUMENT_TENSOR) TRDI_TRY(trdi_queue_use(call->queue, arguments[k].tensor));
    }
    return TRD_OK;
}

enum { MAX_ARGUMENTS = 64 };

/* As the back end wants them. */
static void pass_arguments(const trd_argument *arguments, size_t n, trdi_argument *passed)
{
    static const trdi_argument_kind kinds[] = {
        [TRD_ARGUMENT_TENSOR] = TRDI_ARGUMENT_SPAN, [TRD_ARGUMENT_F32] = TRDI_ARGUMENT_F32, [TRD_ARGUMENT_I32] = TRDI_ARGUMENT_I32,
        [TRD_ARGUMENT_I64] = TRDI_ARGUMENT_I64, [TRD_ARGUMENT_LOCAL] = TRDI_ARGUMENT_LOCAL };
    for (size_t k = 0; k < n; k++) {
        passed[k] = (trdi_argument){ .kind = kinds[arguments[k].kind], .number = arguments[k].number, .integer = arguments[k].integer };
        if (arguments[k].kind == TRD_ARGUMENT_TENSOR) passed[k].span = trdi_tensor_span(arguments[k].tensor);
    }
}

trd_status trdi_run_expression(trd_queue *queue, const trd_kernel *kernel, const trd_argument *arguments, size_t n, int64_t rows, int64_t cols)
{
    trdi_argument passed[MAX_ARGUMENTS];
    pass_arguments(arguments, n, passed);
    const trdi_launch launch = { .rows = rows, .cols = cols };
    return queue->device->device->ops->kernel_run(queue->shared->impl, kernel->impl, passed, n, &launch);
}

static trd_status run_expression(const trdi_call *call, const trd_kernel *kernel, const trd_argument *arguments, int64_t n, const trd_launch *launch)
{
    const trdi_program *const program = kernel->program;
    if (launch != NULL) return trdi_fail(TRD_E_INVALID, "%s: an expression takes its sizes from its tensors: launch must be NULL", call->name);
    if (n != program->n_parameters)
        return trdi_fail(TRD_E_INVALID, "%s: %lld arguments for %d parameters", call->name, (long long)n, (int)program->n_parameters);
    for (int64_t k = 0; k < n; k++) TRDI_TRY(check_parameter(call, &program->parameters[k], &arguments[k]));
    int64_t rows, cols;
    TRDI_TRY(find_sizes(call, program, arguments, &rows, &cols));
    TRDI_TRY(check_aliases(call, program, arguments));
    if (rows == 0 || (cols == 0 && program->reduction == TRDI_REDUCE_NONE)) return TRD_OK;
    TRDI_TRY(use_arguments(call, arguments, n));
    return trdi_run_expression(call->queue, kernel, arguments, (size_t)n, rows, cols);
}

static const trd_launch launch_defaults = { .struct_size = sizeof(trd_launch), .n_dims = 1 };

void trd_launch_init(trd_launch *launch, size_t size)
{
    trdi_write_defaults(launch, size, &launch_defaults, sizeof launch_defaults);
}

static trd_status read_launch(const trdi_call *call, const trd_launch *launch, trdi_launch *out, bool *empty)
{
    if (launch == NULL) return trdi_fail(TRD_E_INVALID, "%s: launch is NULL; a source kernel needs its sizes", call->name);
    trd_launch l = launch_defaults;
    TRDI_TRY(trdi_read_options(&l, sizeof l, launch, call->name));
    if (l.n_dims < 1 || l.n_dims > 3) return trdi_fail(TRD_E_INVALID, "%s: n_dims is %d, not 1 to 3", call->name, (int)l.n_dims);
    *out = (trdi_launch){ .n_dims = l.n_dims };
    *empty = false;
    const bool free_choice = l.group_size[0] == 0;
    for (int32_t d = 0; d < l.n_dims; d++) {
        const int64_t global = l.global_size[d], group = l.group_size[d];
        if (global < 0 || group < 0 || (group == 0) != free_choice || (group > 0 && global % group != 0))
            return trdi_fail(TRD_E_INVALID, "%s: dimension %d: global size %lld, group size %lld", call->name, (int)d, (long long)global, (long long)group);
        out->global[d] = (size_t)global;
        out->group[d] = (size_t)group;
        *empty = *empty || global == 0;
    }
    return TRD_OK;
}

static trd_status run_source(const trdi_call *call, const trd_kernel *kernel, const trd_argument *arguments, int64_t n, const trd_launch *launch)
{
    trdi_launch inner;
    bool empty = false;
    TRDI_TRY(read_launch(call, launch, &inner, &empty));
    if (empty) return TRD_OK;
    TRDI_TRY(use_arguments(call, arguments, n));
    trdi_argument passed[MAX_ARGUMENTS];
    pass_arguments(arguments, (size_t)n, passed);
    return call->queue->device->device->ops->kernel_run(call->queue->shared->impl, kernel->impl, passed, (size_t)n, &inner);
}

static trd_status run(const trdi_call *call, const trd_kernel *kernel, const trd_argument *arguments, int64_t n, const trd_launch *launch)
{
    if (kernel == NULL) return trdi_fail(TRD_E_INVALID, "%s: kernel is NULL", call->name);
    if (kernel->device->device != call->queue->device->device)
        return trdi_fail(TRD_E_INVALID, "%s: the kernel is of device %s, the queue of %s", call->name, kernel->device->device->facts.id,
                         call->queue->device->device->facts.id);
    if (n > 0 && arguments == NULL) return trdi_fail(TRD_E_INVALID, "%s: arguments is NULL, and n_arguments %lld", call->name, (long long)n);
    if (n < 0 || n > MAX_ARGUMENTS)
        return trdi_fail(TRD_E_INVALID, "%s: %lld arguments, not 0 to %d", call->name, (long long)n, (int)MAX_ARGUMENTS);
    for (int64_t k = 0; k < n; k++) TRDI_TRY(check_argument(call, &arguments[k], k));
    return kernel->program != NULL ? run_expression(call, kernel, arguments, n, launch) : run_source(call, kernel, arguments, n, launch);
}

trd_status trd_kernel_run(trd_queue *queue, trd_kernel *kernel, const trd_argument *arguments, int64_t n_arguments, const trd_launch *launch)
{
    const trdi_call call = { queue, "trd_kernel_run" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = run(&call, kernel, arguments, n_arguments, launch);
    trdi_queue_leave(queue);
    return status;
}
