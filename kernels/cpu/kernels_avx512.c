/* kernels_avx512.c: micro-kernels for AVX-512F; compiled with -mavx512f -mfma, called only where the processor has both. */
#define TRDI_SIMD_BYTES 64
#define TRDI_SIMD_FMA 1
#define TRDI_KERNEL_NAME "avx512"
#define TRDI_KERNEL_TABLE trdi_cpu_kernels_avx512
#include "kernels/cpu/kernel_table.h"
