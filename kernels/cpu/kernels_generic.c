/* kernels_generic.c: micro-kernels for any processor: 128-bit vectors as the compiler has them (SSE2, NEON), no fma. */
#define TRDI_SIMD_BYTES 16
#define TRDI_SIMD_FMA 0
#define TRDI_KERNEL_NAME "generic"
#define TRDI_KERNEL_TABLE trdi_cpu_kernels_generic
#include "kernels/cpu/kernel_table.h"
