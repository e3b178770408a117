/* cl_lower_attention.c: attention, of kernels/opencl/attention_tiles.cl or kernels/shared/attention_groups.cl: one launch over tokens and heads,
 * and one over tokens where probabilities are wanted. */
#include "backend/op_tables.h"
#include "backend/opencl/opencl.h"

#include <stdio.h>

#include "core/alloc.h"

/* As PACKED_CHUNK of attention_tiles.cl. */
enum { PACKED_CHUNK = 32 };

typedef struct attention_state {
    cl_kernel attend, probabilities;  /* probabilities NULL = not wanted */
    cl_uint   n_argument;             /* of both */
    trdi_cl_device *device;
    cl_mem    buckets;                /* T5; else NULL */
    int64_t   reach;
    size_t    group;
} attention_state;

static int64_t round_up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Local memory that is an argument. */
static size_t work_bytes(const trdi_cl_device *device, const trdi_op_attention *a)
{
    const int64_t group = (int64_t)trdi_cl_group_size(device);
    if (device->traits.form == TRDI_CL_GROUPS) return (size_t)round_up(a->head_dim, group) * sizeof(float);
    int64_t chunk = a->source == TRDI_KEYS_PAGED ? a->kv.block_tokens : PACKED_CHUNK;
    if (a->memory_kv.pool.buffer != NULL && a->memory_kv.block_tokens > chunk) chunk = a->memory_kv.block_tokens;
    return (size_t)(round_up(chunk, 16) + round_up(a->head_dim, 16)) * sizeof(float);
}

static const char *refuse(const trdi_cl_device *device, const trdi_op *op)
{
    const size_t fixed = device->traits.form == TRDI_CL_GROUPS ? 8 * sizeof(float) * trdi_cl_group_size(device) : 0;
    return work_bytes(device, &op->u.attention) + fixed <= device->traits.local_bytes ? NULL : "its heads or chunks don't fit the local memory";
}

static bool has_terms(const trdi_op_attention *a)
{
    return a->relative_keys.buffer != NULL || a->relative_bias.buffer != NULL || a->alibi_slopes.buffer != NULL;
}

/* What the program is compiled for. Common widths of heads are constants in it. */
static void options_of(const trdi_op_attention *a, char *out, size_t size)
{
    const int64_t dim = a->head_dim;
    const bool common = dim == 32 || dim == 64 || dim == 80 || dim == 96 || dim == 128;
    const bool has_memory = a->memory_kv.pool.buffer != NULL;
    (void)snprintf(out, size, "-DHEAD_DIM=%d -DKEYS_HALF=%d -DMEMORY=%d -DTERMS=%d", common ? (int)dim : 0,
                   a->source == TRDI_KEYS_PAGED && a->kv.dtype == TRD_DTYPE_F16, !has_memory ? 0 : a->memory_kv.dtype == TRD_DTYPE_F16 ? 2 : 1,
                   has_terms(a));
}

static void add_cache(trdi_cl_args *args, const trdi_kv_layout *kv, bool present)
{
    const trdi_span none = { NULL, 0 };
    trdi_cl_arg_span(args, present ? (trdi_span){ kv->pool.buffer, kv->pool.offset + kv->layer_offset } : none);
    trdi_cl_arg_span(args, present ? kv->table : none);
    trdi_cl_arg_span(args, present ? kv->table_offsets : none);
}

/* ATTENTION_ARGS of kernels/shared/attention.h. */
static void add_args(trdi_cl_args *args, const trdi_op_attention *a, const attention_state *state)
{
    const bool paged = a->source == TRDI_KEYS_PAGED, has_memory = a->memory_kv.pool.buffer != NULL;
    trdi_cl_arg_span(args, a->y);
    trdi_cl_arg_span(args, a->q);
    trdi_cl_arg_span(args, a->k);
    trdi_cl_arg_span(args, a->v);
    trdi_cl_arg_span(args, a->key_starts);
    trdi_cl_arg_span(args, a->key_counts);
    add_cache(args, &a->kv, paged);
    add_cache(args, &a->memory_kv, has_memory);
    trdi_cl_arg_span(args, a->memory_counts);
    trdi_cl_arg_span(args, a->rows);
    trdi_cl_arg_span(args, a->positions);
    trdi_cl_arg_span(args, a->alibi_slopes);
    trdi_cl_arg_span(args, a->relative_keys);
    trdi_cl_arg_span(args, a->relative_values);
    trdi_cl_arg_span(args, a->relative_bias);
    trdi_cl_arg_memory(args, state->buckets);
    trdi_cl_arg_long(args, paged ? (int64_t)a->kv.block_stride : 0);
    trdi_cl_arg_long(args, has_memory ? (int64_t)a->memory_kv.block_stride : 0);
    trdi_cl_arg_int(args, paged ? a->kv.block_tokens : 1);
    trdi_cl_arg_int(args, has_memory ? a->memory_kv.block_tokens : 1);
    trdi_cl_arg_int(args, a->n_heads);
    trdi_cl_arg_int(args, a->n_heads_kv);
    trdi_cl_arg_int(args, a->head_dim);
    trdi_cl_arg_int(args, a->q_stride);
    trdi_cl_arg_int(args, paged ? 0 : a->kv_stride);
    trdi_cl_arg_int(args, a->y_stride);
    trdi_cl_arg_float(args, a->scale);
    trdi_cl_arg_int(args, a->causal);
    trdi_cl_arg_int(args, a->window <= 0 ? 0 : a->window < INT32_MAX ? a->window : INT32_MAX);
    trdi_cl_arg_int(args, a->alibi_positive);
    trdi_cl_arg_int(args, a->relative_keys.buffer != NULL ? a->relative_left : 0);
    trdi_cl_arg_int(args, a->relative_keys.buffer != NULL ? a->relative_right : 0);
    trdi_cl_arg_int(args, state->reach);
}

static trd_status make_kernel(trdi_cl_device *device, const trdi_op_attention *a, const attention_state *state, const char *name,
                              cl_kernel *kernel, trdi_cl_args *args)
{
    char options[96];
    options_of(a, options, sizeof options);
    const char *source = device->traits.form == TRDI_CL_TILES ? "attention_tiles" : "attention_groups";
    *args = (trdi_cl_args){ .device = device, .status = TRD_OK };
    TRDI_TRY(trdi_cl_kernel_create(device, source, options, name, kernel));
    args->kernel = *kernel;
    add_args(args, a, state);
    return args->status;
}

static trd_status make_attend(trdi_cl_device *device, const trdi_op_attention *a, attention_state *state)
{
    trdi_cl_args args;
    TRDI_TRY(make_kernel(device, a, state, "trd_attention", &state->attend, &args));
    state->n_argument = args.n;
    trdi_cl_arg_int(&args, 0);
    trdi_cl_arg_local(&args, work_bytes(device, a));
    return args.status;
}

static trd_status make_probabilities(trdi_cl_device *device, const trdi_op_attention *a, attention_state *state)
{
    if (a->probabilities.buffer == NULL) return TRD_OK;
    trdi_cl_args args;
    TRDI_TRY(make_kernel(device, a, state, "trd_attention_probabilities", &state->probabilities, &args));
    trdi_cl_arg_int(&args, 0);
    trdi_cl_arg_local(&args, work_bytes(device, a));
    trdi_cl_arg_span(&args, a->probabilities);
    trdi_cl_arg_long(&args, a->probabilities_stride);
    trdi_cl_arg_int(&args, a->probability_heads);
    return args.status;
}

static trd_status upload_buckets(trdi_cl_device *device, const trdi_op_attention *a, attention_state *state)
{
    if (a->relative_bias.buffer == NULL) return TRD_OK;
    int32_t *buckets;
    TRDI_TRY(trdi_bucket_table(a, &buckets, &state->reach));
    const trd_status status = trdi_cl_upload(device, buckets, (size_t)(2 * state->reach + 1) * sizeof *buckets, &state->buckets);
    trdi_free(buckets);
    return status;
}

static void release(void *handle)
{
    attention_state *state = handle;
    if (state == NULL) return;
    trdi_cl_kernel_free(state->attend);
    trdi_cl_kernel_free(state->probabilities);
    trdi_cl_memory_free(state->device, state->buckets);
    trdi_free(state);
}

static trd_status prepare(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **out)
{
    (void)options;
    const trdi_op_attention *a = &op->u.attention;
    attention_state *state = trdi_calloc(1, sizeof *state);
    if (state == NULL) return trdi_fail(TRD_E_MEMORY, "attention of a plan: %zu bytes", sizeof *state);
    state->device = device;
    state->group = trdi_cl_group_size(device);
    trd_status status = upload_buckets(device, a, state);
    if (status == TRD_OK) status = make_attend(device, a, state);
    if (status == TRD_OK) status = make_probabilities(device, a, state);
    if (status != TRD_OK) {
        release(state);
        return status;
    }
    *out = state;
    return TRD_OK;
}

static trd_status enqueue(trdi_cl_queue *queue, const trdi_cl_op *op, int64_t n, const trdi_step *step)
{
    (void)step;
    const attention_state *state = op->state;
    const size_t local[2] = { state->group, 1 };
    size_t global[2] = { (size_t)n * state->group, (size_t)op->op.u.attention.n_heads };
    TRDI_TRY(trdi_cl_set_int(state->attend, state->n_argument, n));
    TRDI_TRY(trdi_cl_launch(queue, state->attend, 2, global, local));
    if (state->probabilities == NULL) return TRD_OK;
    global[1] = 1;
    TRDI_TRY(trdi_cl_set_int(state->probabilities, state->n_argument, n));
    return trdi_cl_launch(queue, state->probabilities, 2, global, local);
}

const trdi_cl_lowering trdi_cl_lower_attention = { refuse, prepare, enqueue, release };
