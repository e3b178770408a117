/*
 * cl_tuning.h: which kernels compute a product, by its class: the type of the weights, the number of rows, the size of the weight. A built-in table
 * for each form serves until `treadle tune` has measured the device; what it measured is a file in the user's cache folder. No choice changes the
 * bits of a row, but for CLBlast, which only plans that allow it take.
 */
#ifndef TRDI_CL_TUNING_H
#define TRDI_CL_TUNING_H

#include "backend/opencl/opencl.h"

typedef enum trdi_cl_way {
    TRDI_CL_WAY_NONE,
    TRDI_CL_WAY_FEW,                                                   /* TILES: one tile has all rows */
    TRDI_CL_WAY_BLOCKS_1, TRDI_CL_WAY_BLOCKS_2, TRDI_CL_WAY_BLOCKS_5, TRDI_CL_WAY_BLOCKS_10,   /* TILES: so many tiles of rows per work-item */
    TRDI_CL_WAY_ROWS_1, TRDI_CL_WAY_ROWS_2, TRDI_CL_WAY_ROWS_4, TRDI_CL_WAY_ROWS_8,            /* GROUPS: rows per group */
    TRDI_CL_WAY_TILE,                                                  /* GROUPS: tiles in local memory */
    TRDI_CL_WAY_CLBLAST,
    TRDI_CL_N_WAYS
} trdi_cl_way;

/** Classes: rows up to 1, 4, 8, 16, 48, more; weights up to 2^19, 2^21 numbers, more; f32, f16, i8. */
enum { TRDI_CL_ROW_CLASSES = 6, TRDI_CL_SIZE_CLASSES = 3, TRDI_CL_WEIGHT_CLASSES = 3 };

struct trdi_cl_tuning {
    trdi_cl_way forced;          /**< while measuring; else NONE */
    bool measured;               /**< the table is from a file, or from this process's measuring */
    struct { uint8_t own, clblast; } choices[TRDI_CL_WEIGHT_CLASSES][TRDI_CL_ROW_CLASSES][TRDI_CL_SIZE_CLASSES];   /**< clblast: it is faster */
};

/** The table of a device that is being opened: the file's, or the built-in one. */
trd_status trdi_cl_tuning_open(trdi_cl_device *device);
void trdi_cl_tuning_close(trdi_cl_device *device);

/** How to compute n rows with a weight. @param allow_clblast  CLBlast may be the answer */
trdi_cl_way trdi_cl_tuning_way(const trdi_cl_device *device, const trdi_cl_weight *weight, int64_t n, bool allow_clblast);

/** trdi_backend_ops.tune */
trd_status trdi_cl_tune(void *device, void (*report)(void *context, const trdi_tune_result *result), void *context);

#endif
