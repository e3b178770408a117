/*
 * shim.h: the words of the shared dialect, in OpenCL C 1.2. There is no CUDA half yet: it must supply these words, the types uint, ulong and uchar,
 * and OpenCL's names of functions of scalars (min, max, clamp, fma, rsqrt ...). What stands under TRD_TILES is OpenCL's alone. Every source
 * starts with this file. Compiled with TRD_TILES or TRD_GROUPS; GROUP_SIZE work-items per group; TRD_FAST_FMA where fma is an instruction;
 * TRD_VECTOR_FLOATS, the native vector width; TRD_FP16 where half is a type of arithmetic.
 *
 * An operand in memory is two arguments, a pointer and a byte offset (-1 = absent): ARG declares them, OPEN makes the pointer of them.
 * Local memory: LOCAL declares an array in a kernel, LOCAL_PTR(type) is the type of a pointer to it. An array whose size the host chooses is
 * an argument: LOCAL_ARG declares it, OPEN_LOCAL makes the pointer.
 */
#ifndef TRD_SHIM_H
#define TRD_SHIM_H

#pragma OPENCL FP_CONTRACT OFF
#ifdef TRD_FP16
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#endif

#define KERNEL __kernel void
#define GLOBAL __global
#define LOCAL __local
#define LOCAL_PTR(type) __local type *
#define CONSTANT __constant
#define BARRIER() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define GROUP_ID ((int)get_group_id(0))
#define GROUP_ID_Y ((int)get_group_id(1))
#define GROUPS ((int)get_num_groups(0))
#define LOCAL_ID ((int)get_local_id(0))
#define GLOBAL_ID ((i64)get_global_id(0))
/* The old value; of unsigned int in local memory. */
#define ATOMIC_ADD_LOCAL(address, value) atomic_add(address, value)
#define MUL_HIGH_U64(a, b) mul_hi((ulong)(a), (ulong)(b))
typedef long i64;
typedef ulong u64;

/* Halves in memory, as floats; stored half to even. */
#define LOAD_HALF(p, i) vload_half(i, p)
#define STORE_HALF(p, i, x) vstore_half_rte(x, i, p)
/* The same bits as another type of 32 bits. */
#define AS_FLOAT(x) as_float(x)
#define AS_INT(x) as_int(x)
#define AS_UINT(x) as_uint(x)

#ifndef GROUP_SIZE
#define GROUP_SIZE 1
#endif
#ifndef TRD_VECTOR_FLOATS
#define TRD_VECTOR_FLOATS 8
#endif

#define ARG(type, name) GLOBAL type *name##_base, const i64 name##_at
#define OPEN(type, name) GLOBAL type *const name = name##_at < 0 ? (GLOBAL type *)0 : (GLOBAL type *)((GLOBAL const char *)name##_base + name##_at)
#define LOCAL_ARG(type, name) __local type *name##_local
#define OPEN_LOCAL(type, name) LOCAL_PTR(type) const name = name##_local

/* One rounding where the device has it; the same for scalars and vectors. */
#ifdef TRD_FAST_FMA
#define FMA(a, b, c) fma(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif

#endif
