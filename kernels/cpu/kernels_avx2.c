/* kernels_avx2.c: micro-kernels for AVX2 with FMA; compiled with -mavx2 -mfma, called only where the processor has both. */
#define TRDI_SIMD_BYTES 32
#define TRDI_SIMD_FMA 1
#define TRDI_KERNEL_NAME "avx2"
#define TRDI_KERNEL_TABLE trdi_cpu_kernels_avx2
#include "kernels/cpu/kernel_table.h"
