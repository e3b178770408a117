/* cl_lower_rows.c: operations on rows that are one kernel each. */
#include "backend/opencl/opencl.h"

/* ---- MAP (kernels/shared/map.cl) ---- */

static const char *any_shape(const trdi_cl_device *device, const trdi_op *op)
{
    (void)device;
    (void)op;
    return NULL;
}

static trd_status prepare_map(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state)
{
    (void)options;
    const trdi_op_map *map = &op->u.map;
    trdi_cl_args args = { .device = device };
    TRDI_TRY(trdi_cl_kernel_create(device, "map", "", "trd_map", &args.kernel));
    trdi_cl_arg_span(&args, map->y);
    trdi_cl_arg_span(&args, map->x);
    trdi_cl_arg_span(&args, map->z);
    trdi_cl_arg_int(&args, map->y_stride);
    trdi_cl_arg_int(&args, map->x_stride);
    trdi_cl_arg_int(&args, map->z_stride);
    trdi_cl_arg_int(&args, map->width);
    trdi_cl_arg_int(&args, (int64_t)map->function);
    trdi_cl_arg_float(&args, map->parameter);
    return trdi_cl_one_make(&args, args.n, 1, state);
}

const trdi_cl_lowering trdi_cl_lower_map = { any_shape, prepare_map, trdi_cl_one_enqueue, trdi_cl_one_release };
