/*
 * cl_clblast.h: products by CLBlast, found at run time. It picks its algorithm by shape, so it serves where the bits of a row may depend on the
 * number of rows; and some of its versions are wrong on some devices, so each device is checked once, against our own kernels.
 */
#ifndef TRDI_CL_CLBLAST_H
#define TRDI_CL_CLBLAST_H

#include "backend/opencl/opencl.h"

/** TREADLE_OPENCL_GEMM: own kernels only; CLBlast for every product with f32 weights of the GROUPS form; the faster one, where it is allowed. */
typedef enum trdi_cl_gemm { TRDI_CL_GEMM_AUTO, TRDI_CL_GEMM_OWN, TRDI_CL_GEMM_CLBLAST } trdi_cl_gemm;
trdi_cl_gemm trdi_cl_gemm_wanted(void);

/** Check the device, the first time; a log line says why CLBlast was dropped. Threads: any. */
trdi_cl_verdict trdi_cl_clblast_check(trdi_cl_device *device);

/** y[m][n] = x[m][k] . w[k][n], rows ldx, ldw, ldy elements apart; y is not read. Offsets in elements. */
typedef struct trdi_cl_sgemm {
    size_t m, n, k, ldx, ldw, ldy;
    cl_mem x, w, y;
    size_t x_offset, y_offset;
} trdi_cl_sgemm;
/** Enqueue. @return TRD_E_UNSUPPORTED if there is no CLBlast; TRD_E_MEMORY or TRD_E_DEVICE with its error */
trd_status trdi_cl_clblast_run(trdi_cl_queue *queue, const trdi_cl_sgemm *product);
/** The device is about to be closed: CLBlast lets go of the programs that it keeps for its context. */
void trdi_cl_clblast_close(trdi_cl_device *device);

#endif
