/*
 * cl_linear.c: lowering of products with prepared weights: kernels/opencl/linear_tiles.cl on CPU-type devices, kernels/shared/linear_groups.cl on
 * others. Which kernel runs depends on the number of rows; the bits of a row do not.
 */
#include "backend/opencl/cl_clblast.h"
#include "backend/opencl/cl_tuning.h"
#include "backend/opencl/opencl.h"
#include "core/alloc.h"

/* What the kernels are compiled with; the sources say why. */
enum { BLOCK_ROWS = 60, SKINNY_COLUMNS = 32, TILE_COLUMNS = 64, TILE_STEPS = 16, MAX_SEGMENTS = 8, N_SKINNY = 4 };

/* Arguments that are set at a launch: x (of I8) and n, and what a kernel adds. */
enum { ARG_X = 2, ARG_X_STRIDE = 15, ARG_N = 21, ARG_OWN = 22, ARG_QUANTISE_OUT = 2, ARG_QUANTISE_N = 6 };

typedef struct linear {
    const trdi_cl_weight *weight;
    cl_kernel quantise;          /* I8 */
    cl_kernel few, many;         /* TILES */
    cl_kernel skinny[N_SKINNY], tile;   /* GROUPS: 1, 2, 4, 8 rows at a time; more */
    cl_kernel finish;            /* what follows a product of CLBlast; NULL = nothing */
    bool    may_clblast, every_clblast;
    int64_t cells;               /* steps of k in memory, of x as integers */
} linear;

static const char *refuse(const trdi_cl_device *device, const trdi_op *op)
{
    (void)device;
    const trdi_op_linear *l = &op->u.linear;
    if (l->in > INT32_MAX - 64 || l->out > INT32_MAX - 64) return "more than 2^31 inputs or outputs";
    return NULL;
}

static void release(void *state)
{
    linear *l = state;
    if (l == NULL) return;
    trdi_cl_kernel_free(l->quantise);
    trdi_cl_kernel_free(l->few);
    trdi_cl_kernel_free(l->many);
    for (int i = 0; i < N_SKINNY; i++) trdi_cl_kernel_free(l->skinny[i]);
    trdi_cl_kernel_free(l->tile);
    trdi_cl_kernel_free(l->finish);
    trdi_free(l);
}

/* ---- Making ---- */

/* Cells of a segment of k in the GROUPS form: whole tiles of steps, at most MAX_SEGMENTS of them, none too short to be worth it. */
static int64_t segment_of(int64_t cells)
{
    const int64_t even = (cells + MAX_SEGMENTS - 1) / MAX_SEGMENTS, least = 4 * TILE_STEPS;
    return ((even < least ? least : even) + TILE_STEPS - 1) / TILE_STEPS * TILE_STEPS;
}

static const char *options_of(const trdi_cl_weight *weight)
{
    return weight->dtype == TRD_DTYPE_I8 ? "-DTRD_WEIGHT_I8=1" : weight->dtype == TRD_DTYPE_F16 ? "-DTRD_WEIGHT_F16=1" : "";
}

static const char *source_of(const trdi_cl_device *device)
{
    return device->traits.form == TRDI_CL_TILES ? "linear_tiles" : "linear_groups";
}

/* A product kernel with all arguments that do not change. */
static trd_status make_kernel(trdi_cl_device *device, const trdi_op_linear *op, const char *name, cl_kernel *out)
{
    const trdi_cl_weight *weight = op->weight;
    const bool is_i8 = weight->dtype == TRD_DTYPE_I8, tiles = device->traits.form == TRDI_CL_TILES;
    const int64_t cells = is_i8 && !tiles ? (op->in + 3) / 4 : op->in;
    TRDI_TRY(trdi_cl_kernel_create(device, source_of(device), options_of(weight), name, out));
    trdi_cl_args args = { .device = device, .kernel = *out };
    trdi_cl_arg_span(&args, op->y);
    trdi_cl_arg_span(&args, op->x);
    trdi_cl_arg_memory(&args, weight->data);
    trdi_cl_arg_memory(&args, weight->scales);
    trdi_cl_arg_memory(&args, weight->bias);
    trdi_cl_arg_span(&args, op->multiplier);
    trdi_cl_arg_span(&args, op->residual);
    trdi_cl_arg_int(&args, op->y_stride);
    trdi_cl_arg_int(&args, is_i8 ? cells : op->x_stride);
    trdi_cl_arg_int(&args, op->multiplier_stride);
    trdi_cl_arg_int(&args, op->residual_stride);
    trdi_cl_arg_int(&args, cells);
    trdi_cl_arg_int(&args, op->out);
    trdi_cl_arg_int(&args, op->activation);
    trdi_cl_arg_int(&args, 0);
    if (!tiles) trdi_cl_arg_int(&args, segment_of(cells));
    return args.status;
}

static trd_status make_quantise(trdi_cl_device *device, const trdi_op_linear *op, cl_kernel *out)
{
    const trdi_cl_weight *weight = op->weight;
    TRDI_TRY(trdi_cl_kernel_create(device, source_of(device), options_of(weight), "trd_linear_quantise", out));
    trdi_cl_args args = { .device = device, .kernel = *out };
    trdi_cl_arg_span(&args, op->x);
    args.n = ARG_QUANTISE_OUT + 1;
    trdi_cl_arg_int(&args, op->x_stride);
    trdi_cl_arg_int(&args, op->in);
    trdi_cl_arg_int(&args, weight->truncate);
    return args.status;
}

static trd_status make_kernels(trdi_cl_device *device, const trdi_op_linear *op, linear *l)
{
    static const char *const names[N_SKINNY] = { "trd_linear_rows_1", "trd_linear_rows_2", "trd_linear_rows_4", "trd_linear_rows_8" };
    if (l->weight->dtype == TRD_DTYPE_I8) TRDI_TRY(make_quantise(device, op, &l->quantise));
    if (device->traits.form == TRDI_CL_TILES) {
        TRDI_TRY(make_kernel(device, op, "trd_linear_few", &l->few));
        return make_kernel(device, op, "trd_linear_many", &l->many);
    }
    for (int i = 0; i < N_SKINNY; i++) TRDI_TRY(make_kernel(device, op, names[i], &l->skinny[i]));
    return make_kernel(device, op, "trd_linear_tile", &l->tile);
}

/* Does anything follow the product? */
static bool needs_finish(const trdi_op_linear *op)
{
    const trdi_cl_weight *weight = op->weight;
    return weight->bias != NULL || op->activation >= 0 || op->multiplier.buffer != NULL || op->residual.buffer != NULL;
}

/* CLBlast serves where it is asked for, or where bits may depend on the number of rows and it measured faster. */
static trd_status consider_clblast(trdi_cl_device *device, const trdi_op_linear *op, trdi_numerics numerics, linear *l)
{
    const trdi_cl_gemm wanted = trdi_cl_gemm_wanted();
    const bool fast = numerics == TRDI_NUMERICS_FAST || (numerics == TRDI_NUMERICS_AUTO && (wanted == TRDI_CL_GEMM_CLBLAST || device->facts.type != TRDI_DEVICE_CPU));
    const bool suits = device->traits.form == TRDI_CL_GROUPS && l->weight->dtype == TRD_DTYPE_F32 && op->x.offset % sizeof(float) == 0 &&
                       op->y.offset % sizeof(float) == 0;
    if (wanted == TRDI_CL_GEMM_OWN || !fast || !suits) return TRD_OK;
    const bool large = op->in * op->out >= (int64_t)1 << 16;
    const trdi_cl_verdict verdict = wanted == TRDI_CL_GEMM_CLBLAST || large ? trdi_cl_clblast_check(device) : TRDI_CL_DROPPED;
    l->every_clblast = wanted == TRDI_CL_GEMM_CLBLAST;
    if (l->every_clblast && verdict == TRDI_CL_DROPPED) {
        return trdi_fail(TRD_E_UNSUPPORTED, "TREADLE_OPENCL_GEMM=clblast on %s: CLBlast (libclblast.so.1) is not installed, or it fails there (see the log)",
                         device->facts.id);
    }
    l->may_clblast = verdict == TRDI_CL_FASTER || (verdict == TRDI_CL_SLOWER && device->tuning->measured) || device->tuning->forced == TRDI_CL_WAY_CLBLAST;
    if ((!l->may_clblast && !l->every_clblast) || !needs_finish(op)) return TRD_OK;
    TRDI_TRY(make_kernel(device, op, "trd_linear_finish", &l->finish));
    return trdi_cl_set_int(l->finish, ARG_X_STRIDE, l->weight->padded_rows);
}

static trd_status prepare(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    const trdi_op_linear *o = &op->u.linear;
    const trdi_cl_weight *weight = o->weight;
    *state = NULL;
    if (weight == NULL || weight->layout != TRDI_LAYOUT_LINEAR || weight->rows != o->out || weight->cols != o->in) {
        return trdi_fail(TRD_E_INVALID, "linear %lld -> %lld on %s: its weight is of another kind or shape", (long long)o->in, (long long)o->out,
                         device->facts.id);
    }
    linear *l = trdi_calloc(1, sizeof *l);
    if (l == NULL) return trdi_fail(TRD_E_MEMORY, "linear on %s: %zu bytes", device->facts.id, sizeof *l);
    l->weight = weight;
    l->cells = device->traits.form == TRDI_CL_TILES ? o->in : (o->in + 3) / 4;
    trd_status status = make_kernels(device, o, l);
    if (status == TRD_OK) status = consider_clblast(device, o, options->numerics, l);
    if (status != TRD_OK) {
        release(l);
        return status;
    }
    *state = l;
    return TRD_OK;
}

/* ---- Running ---- */

/* The rows as integers: n inverse scales, then, on a line of their own, rows of cells of four bytes. */
static trd_status quantise(trdi_cl_queue *queue, const linear *l, int64_t n, cl_mem *out)
{
    const size_t scales = ((size_t)n + 15) / 16 * 16;
    TRDI_TRY(trdi_cl_queue_scratch(queue, TRDI_CL_SCRATCH_QUANTISED, (scales + (size_t)n * (size_t)l->cells) * sizeof(float), out));
    const cl_int error = trdi_cl.SetKernelArg(l->quantise, ARG_QUANTISE_OUT, sizeof *out, out);
    if (error != CL_SUCCESS) return trdi_cl_fail(error, "scratch of a product on %s", queue->device->facts.id);
    TRDI_TRY(trdi_cl_set_int(l->quantise, ARG_QUANTISE_N, n));
    const size_t local = trdi_cl_group_size(queue->device), global = (size_t)n * local;
    return trdi_cl_launch(queue, l->quantise, 1, &global, &local);
}

static trd_status launch(trdi_cl_queue *queue, const linear *l, cl_kernel kernel, int64_t n, const size_t groups[2])
{
    if (l->weight->dtype == TRD_DTYPE_I8) {
        cl_mem rows;
        TRDI_TRY(quantise(queue, l, n, &rows));
        TRDI_TRY(trdi_cl_set_memory(queue->device, kernel, ARG_X, rows));
    }
    TRDI_TRY(trdi_cl_set_int(kernel, ARG_N, n));
    const size_t local[2] = { trdi_cl_group_size(queue->device), 1 }, global[2] = { groups[0] * local[0], groups[1] };
    return trdi_cl_launch(queue, kernel, groups[1] > 1 ? 2 : 1, global, local);
}

static int64_t divide_up(int64_t n, int64_t by)
{
    return (n + by - 1) / by;
}

/* Rows of a tile, and panels of a work-item with few rows: as linear_tiles.cl has them. */
static int64_t tile_rows(const trdi_cl_traits *t)
{
    return t->vector_floats >= 16 ? 12 : t->vector_floats >= 8 ? 6 : 2;
}

static int64_t few_panels(const trdi_cl_traits *t, int64_t n)
{
    switch (tile_rows(t)) {
    case 2: return n == 1 ? 2 : 1;
    case 6: return n == 1 ? 4 : n == 2 ? 2 : 1;
    default: return n <= 6 ? 4 : 2;
    }
}

/* One launch of few rows, or blocks of rows of at most so many tiles. */
static trd_status enqueue_tiles(trdi_cl_queue *queue, const linear *l, int64_t n, trdi_cl_way way)
{
    const trdi_cl_traits *t = &queue->device->traits;
    const int64_t panels = divide_up(l->weight->rows, TRDI_CL_PANEL), most = tile_rows(t);
    const bool forced = queue->device->tuning->forced != TRDI_CL_WAY_NONE;
    /* A class of rows that one tile has in part: those it has. */
    if (n <= most && (way == TRDI_CL_WAY_FEW || (n > 4 && !forced)))
        return launch(queue, l, l->few, n, (const size_t[2]){ (size_t)divide_up(panels, few_panels(t, n)), 1 });
    const int64_t wanted_tiles = way == TRDI_CL_WAY_BLOCKS_1 ? 1 : way == TRDI_CL_WAY_BLOCKS_2 ? 2 : way == TRDI_CL_WAY_BLOCKS_5 ? 5 : 10;
    /* Four work-items for each unit, where there are so many tiles. */
    const int64_t parts = divide_up(4 * (int64_t)t->n_units, panels), tiles = divide_up(n, most);
    const int64_t even = divide_up(tiles, parts < tiles ? parts : tiles);
    const int64_t high = (even < wanted_tiles ? even : wanted_tiles) * most, rows = high < BLOCK_ROWS ? high : BLOCK_ROWS;
    TRDI_TRY(trdi_cl_set_int(l->many, ARG_OWN, rows));
    return launch(queue, l, l->many, n, (const size_t[2]){ (size_t)divide_up(n, rows), (size_t)panels });
}

/* The product, straight into y where nothing follows it. */
static trd_status enqueue_clblast(trdi_cl_queue *queue, const linear *l, const trdi_op_linear *op, int64_t n)
{
    const trdi_cl_buffer *x = op->x.buffer, *y = op->y.buffer;
    trdi_cl_sgemm product = { .m = (size_t)n, .n = (size_t)op->out, .k = (size_t)op->in, .ldx = (size_t)op->x_stride, .ldw = (size_t)l->weight->padded_rows,
                              .ldy = (size_t)op->y_stride, .x = x->memory, .w = l->weight->data, .y = y->memory,
                              .x_offset = op->x.offset / sizeof(float), .y_offset = op->y.offset / sizeof(float) };
    if (l->finish == NULL) return trdi_cl_clblast_run(queue, &product);
    product.ldy = (size_t)l->weight->padded_rows;
    product.y_offset = 0;
    TRDI_TRY(trdi_cl_queue_scratch(queue, TRDI_CL_SCRATCH_PRODUCT, (size_t)n * product.ldy * sizeof(float), &product.y));
    TRDI_TRY(trdi_cl_clblast_run(queue, &product));
    TRDI_TRY(trdi_cl_set_memory(queue->device, l->finish, ARG_X, product.y));
    TRDI_TRY(trdi_cl_set_int(l->finish, ARG_N, n));
    const size_t local = trdi_cl_group_size(queue->device), global = (size_t)n * (size_t)divide_up(op->out, (int64_t)local) * local;
    return trdi_cl_launch(queue, l->finish, 1, &global, &local);
}

static trd_status enqueue_groups(trdi_cl_queue *queue, const linear *l, int64_t n, trdi_cl_way way)
{
    if (way == TRDI_CL_WAY_TILE) {
        const int64_t tile_height = (int64_t)trdi_cl_group_size(queue->device) / 4;
        return launch(queue, l, l->tile, n, (const size_t[2]){ (size_t)(divide_up(n, tile_height) * divide_up(l->weight->rows, TILE_COLUMNS)), 1 });
    }
    int i = way == TRDI_CL_WAY_ROWS_1 ? 0 : way == TRDI_CL_WAY_ROWS_2 ? 1 : way == TRDI_CL_WAY_ROWS_4 ? 2 : 3;
    while (i > 0 && 1 << (i - 1) >= n) i--;      /* no more rows at a time than there are */
    return launch(queue, l, l->skinny[i], n, (const size_t[2]){ (size_t)(divide_up(n, 1 << i) * divide_up(l->weight->rows, SKINNY_COLUMNS)), 1 });
}

static trd_status enqueue(trdi_cl_queue *queue, const trdi_cl_op *op, int64_t n, const trdi_step *step)
{
    (void)step;
    const linear *l = op->state;
    if (n > INT32_MAX - 64) return trdi_fail(TRD_E_INVALID, "linear of %lld rows on %s", (long long)n, queue->device->facts.id);
    const trdi_cl_way way = l->every_clblast ? TRDI_CL_WAY_CLBLAST : trdi_cl_tuning_way(queue->device, l->weight, n, l->may_clblast);
    if (way == TRDI_CL_WAY_CLBLAST) return enqueue_clblast(queue, l, &op->op.u.linear, n);
    return queue->device->traits.form == TRDI_CL_TILES ? enqueue_tiles(queue, l, n, way) : enqueue_groups(queue, l, n, way);
}

const trdi_cl_lowering trdi_cl_lower_linear = { refuse, prepare, enqueue, release };
