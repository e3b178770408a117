/* cl_lower_rows.c: operations on rows, one kernel of kernels/shared/rows.cl each. */
#include "backend/op_tables.h"
#include "backend/opencl/opencl.h"
#include "core/alloc.h"

/* Columns of a piece: wide rows are shared out, so that few rows keep many units busy. A multiple of 16 * the largest group. */
enum { PIECE = 4096 };

static const char *any_shape(const trdi_cl_device *device, const trdi_op *op)
{
    (void)device;
    (void)op;
    return NULL;
}

static trd_status begin(trdi_cl_device *device, const char *name, trdi_cl_args *args)
{
    *args = (trdi_cl_args){ .device = device, .status = TRD_OK };
    return trdi_cl_kernel_create(device, "rows", "", name, &args->kernel);
}

/* Groups x: rows, y: parts of a row. */
static trd_status enqueue_grid(trdi_cl_queue *queue, const trdi_cl_op *op, int64_t n, const trdi_step *step)
{
    (void)step;
    const trdi_cl_one *one = op->state;
    TRDI_TRY(trdi_cl_set_int(one->kernel, one->n_argument, n));
    const size_t global[2] = { (size_t)n * one->group, one->per_row }, local[2] = { one->group, 1 };
    return trdi_cl_launch(queue, one->kernel, 2, global, local);
}

/* Arguments width and piece, for rows cut into pieces. @return pieces of a row */
static size_t add_pieces(trdi_cl_args *args, int64_t width)
{
    trdi_cl_arg_int(args, width);
    trdi_cl_arg_int(args, PIECE);
    return (size_t)((width + PIECE - 1) / PIECE);
}

/* ---- EMBED ---- */

static const char *refuse_embed(const trdi_cl_device *device, const trdi_op *op)
{
    (void)device;
    const trdi_cl_weight *table = op->u.embed.table;
    if (table->layout != TRDI_LAYOUT_EMBEDDING) return "its table was not prepared as an embedding";
    return table->cols == op->u.embed.width ? NULL : "its table has other columns";
}

static int type_of(trd_dtype dtype)
{
    return dtype == TRD_DTYPE_F16 ? 1 : dtype == TRD_DTYPE_I8 ? 2 : 0;
}

static trd_status prepare_embed(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    const trdi_op_embed *e = &op->u.embed;
    const trdi_cl_weight *table = e->table;
    trdi_cl_args args;
    TRDI_TRY(begin(device, "trd_embed", &args));
    trdi_cl_arg_span(&args, e->y);
    trdi_cl_arg_memory(&args, table->data);
    trdi_cl_arg_memory(&args, table->scales);
    trdi_cl_arg_span(&args, e->ids);
    trdi_cl_arg_span(&args, e->positions);
    trdi_cl_arg_int(&args, e->y_stride);
    const size_t pieces = add_pieces(&args, e->width);
    trdi_cl_arg_int(&args, type_of(table->dtype));
    trdi_cl_arg_float(&args, e->scale);
    trdi_cl_arg_int(&args, e->accumulate);
    trdi_cl_arg_int(&args, e->zero_start);
    return trdi_cl_one_make(&args, args.n, pieces, state);
}

const trdi_cl_lowering trdi_cl_lower_embed = { refuse_embed, prepare_embed, enqueue_grid, trdi_cl_one_release };

/* ---- POSITIONS ---- */

/* The frequencies of generated positions on the device. *memory: NULL where there is a table. */
static trd_status upload_frequencies(trdi_cl_device *device, const trdi_op_positions *p, cl_mem *memory)
{
    *memory = NULL;
    if (p->table.buffer != NULL) return TRD_OK;
    float *frequencies;
    TRDI_TRY(trdi_sinusoid_table(p->width, &frequencies));
    const trd_status status = trdi_cl_upload(device, frequencies, (size_t)(p->width / 2) * sizeof *frequencies, memory);
    trdi_free(frequencies);
    return status;
}

static trd_status prepare_positions(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    const trdi_op_positions *p = &op->u.positions;
    cl_mem table;
    TRDI_TRY(upload_frequencies(device, p, &table));
    trdi_cl_args args;
    trd_status status = begin(device, "trd_positions", &args);
    if (status == TRD_OK) {
        trdi_cl_arg_span(&args, p->y);
        trdi_cl_arg_span(&args, p->table);
        trdi_cl_arg_memory(&args, table);
        trdi_cl_arg_span(&args, p->positions);
        trdi_cl_arg_int(&args, p->width);
        status = trdi_cl_one_make(&args, args.n, 1, state);
    }
    if (status == TRD_OK) ((trdi_cl_one *)*state)->table = table;
    else trdi_cl_memory_free(device, table);
    return status;
}

const trdi_cl_lowering trdi_cl_lower_positions = { any_shape, prepare_positions, enqueue_grid, trdi_cl_one_release };

/* ---- NORM ---- */

static trd_status prepare_norm(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    const trdi_op_norm *norm = &op->u.norm;
    trdi_cl_args args;
    TRDI_TRY(begin(device, "trd_norm", &args));
    trdi_cl_arg_span(&args, norm->y);
    trdi_cl_arg_span(&args, norm->x);
    trdi_cl_arg_span(&args, norm->residual);
    trdi_cl_arg_span(&args, norm->gamma);
    trdi_cl_arg_span(&args, norm->beta);
    trdi_cl_arg_int(&args, norm->y_stride);
    trdi_cl_arg_int(&args, norm->x_stride);
    trdi_cl_arg_int(&args, norm->residual_stride);
    trdi_cl_arg_int(&args, norm->width);
    trdi_cl_arg_float(&args, norm->epsilon);
    trdi_cl_arg_float(&args, norm->scale);
    trdi_cl_arg_float(&args, norm->gain_plus_one ? 1.0f : 0.0f);
    return trdi_cl_one_make(&args, args.n, (size_t)norm->n_groups, state);
}

const trdi_cl_lowering trdi_cl_lower_norm = { any_shape, prepare_norm, enqueue_grid, trdi_cl_one_release };

/* ---- MAP ---- */

static trd_status prepare_map(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    const trdi_op_map *map = &op->u.map;
    trdi_cl_args args;
    TRDI_TRY(begin(device, "trd_map", &args));
    trdi_cl_arg_span(&args, map->y);
    trdi_cl_arg_span(&args, map->x);
    trdi_cl_arg_span(&args, map->z);
    trdi_cl_arg_int(&args, map->y_stride);
    trdi_cl_arg_int(&args, map->x_stride);
    trdi_cl_arg_int(&args, map->z_stride);
    const size_t pieces = add_pieces(&args, map->width);
    trdi_cl_arg_int(&args, (int64_t)map->function);
    trdi_cl_arg_float(&args, map->parameter);
    return trdi_cl_one_make(&args, args.n, pieces, state);
}

const trdi_cl_lowering trdi_cl_lower_map = { any_shape, prepare_map, enqueue_grid, trdi_cl_one_release };

/* ---- ROTARY ---- */

static trd_status prepare_rotary(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    const trdi_op_rotary *rotary = &op->u.rotary;
    trdi_cl_args args;
    TRDI_TRY(begin(device, "trd_rotary", &args));
    trdi_cl_arg_span(&args, rotary->x);
    trdi_cl_arg_span(&args, rotary->positions);
    trdi_cl_arg_span(&args, rotary->inverse_frequencies);
    trdi_cl_arg_int(&args, rotary->x_stride);
    trdi_cl_arg_int(&args, rotary->n_heads);
    trdi_cl_arg_int(&args, rotary->head_dim);
    trdi_cl_arg_int(&args, rotary->dim / 2);
    trdi_cl_arg_float(&args, rotary->magnitude);
    trdi_cl_arg_int(&args, rotary->interleave);
    return trdi_cl_one_make(&args, args.n, 1, state);
}

/* A kernel counts a row's pairs in 31 bits. */
static const char *refuse_rotary(const trdi_cl_device *device, const trdi_op *op)
{
    (void)device;
    return op->u.rotary.dim / 2 * op->u.rotary.n_heads <= INT32_MAX ? NULL : "rows of 2^31 pairs and more";
}

const trdi_cl_lowering trdi_cl_lower_rotary = { refuse_rotary, prepare_rotary, enqueue_grid, trdi_cl_one_release };

/* ---- KV_APPEND ---- */

static trd_status prepare_kv_append(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    const trdi_op_kv_append *append = &op->u.kv_append;
    const trdi_kv_layout *kv = &append->kv;
    trdi_cl_args args;
    TRDI_TRY(begin(device, "trd_kv_append", &args));
    trdi_cl_arg_span(&args, (trdi_span){ kv->pool.buffer, kv->pool.offset + kv->layer_offset });
    trdi_cl_arg_span(&args, kv->table);
    trdi_cl_arg_span(&args, kv->table_offsets);
    trdi_cl_arg_span(&args, append->k);
    trdi_cl_arg_span(&args, append->v);
    trdi_cl_arg_span(&args, append->rows);
    trdi_cl_arg_span(&args, append->positions);
    trdi_cl_arg_long(&args, (int64_t)kv->block_stride);
    trdi_cl_arg_long(&args, kv->n_heads_kv * kv->block_tokens * kv->head_dim);
    trdi_cl_arg_int(&args, kv->block_tokens);
    trdi_cl_arg_int(&args, kv->head_dim);
    trdi_cl_arg_int(&args, append->stride);
    trdi_cl_arg_int(&args, kv->dtype == TRD_DTYPE_F16);
    return trdi_cl_one_make(&args, args.n, (size_t)kv->n_heads_kv, state);
}

const trdi_cl_lowering trdi_cl_lower_kv_append = { any_shape, prepare_kv_append, enqueue_grid, trdi_cl_one_release };

/* ---- KV_COPY ---- */

static const char *refuse_kv_copy(const trdi_cl_device *device, const trdi_op *op)
{
    (void)device;
    return op->u.kv_copy.block_stride % sizeof(cl_uint) == 0 ? NULL : "blocks that are no multiple of 4 bytes";
}

static trd_status prepare_kv_copy(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    const trdi_op_kv_copy *copy = &op->u.kv_copy;
    const int64_t words = (int64_t)(copy->block_stride / sizeof(cl_uint));
    trdi_cl_args args;
    TRDI_TRY(begin(device, "trd_kv_copy", &args));
    trdi_cl_arg_span(&args, copy->pool);
    trdi_cl_arg_span(&args, copy->copies);
    trdi_cl_arg_long(&args, words);
    const size_t pieces = add_pieces(&args, words);
    return trdi_cl_one_make(&args, args.n, pieces, state);
}

const trdi_cl_lowering trdi_cl_lower_kv_copy = { refuse_kv_copy, prepare_kv_copy, enqueue_grid, trdi_cl_one_release };

/* ---- GATHER ---- */

static trd_status prepare_gather(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    const trdi_op_gather *gather = &op->u.gather;
    trdi_cl_args args;
    TRDI_TRY(begin(device, "trd_gather", &args));
    trdi_cl_arg_span(&args, gather->y);
    trdi_cl_arg_span(&args, gather->x);
    trdi_cl_arg_span(&args, gather->indices);
    trdi_cl_arg_int(&args, gather->y_stride);
    trdi_cl_arg_int(&args, gather->x_stride);
    const size_t pieces = add_pieces(&args, gather->width);
    return trdi_cl_one_make(&args, args.n, pieces, state);
}

const trdi_cl_lowering trdi_cl_lower_gather = { any_shape, prepare_gather, enqueue_grid, trdi_cl_one_release };
