/*
 * kernels_wide.c: the micro-kernels in their AVX-512 shape (64-byte registers, its tiles), compiled for AVX2 with FMA, so that
 * machines without AVX-512 test all of it but the instructions.
 */
#define TRDI_SIMD_BYTES 64
#define TRDI_SIMD_FMA 1
#define TRDI_KERNEL_NAME "wide"
#define TRDI_KERNEL_TABLE trdi_cpu_kernels_wide
#include "kernels/cpu/kernel_table.h"
