/**
 * @file
 * trd_kernel.h: kernels of one's own: expressions on every device, sources on those that compile them.
 *
 * An expression is written like the inner part of a loop. `i` is the element, `r` its row and `c` its column, as in trd_tensor.h:
 *
 *     trd_kernel_create_expression(device, "float a, const float *x, float *y", "y[i] = a * x[i] + y[i]", &saxpy);
 *     trd_kernel_create_expression(device, "const float *x, float *s", "s[r] = sum(x[i] * x[i])", &squares);
 *
 * Parameters: `float`, `half`, `int` or `char` (tensors of f32, f16, i32, i8), with a `*` for tensors, without for numbers (float and int only).
 * Elements are x[i], w[c] (one per column) and s[r] (one per row). half counts as float when read, char as int.
 *
 * Statements, separated by `;`, run in order for each element: `y[i] = E`, also with += -= *= and /=, and `name = E` for a value to use again.
 * An expression that reduces has one such statement, its last: `s[r] = sum(E)`, mean, prod, max or min, over each row; with a tensor s of one
 * element, over everything.
 *
 * E is made as in C of numbers, parameters, i, r, c (int), + - * / %, comparisons, && || !, ?: and parentheses. int and float mix as in C, and int
 * arithmetic wraps at 32 bits; / and % by an int 0 give 0. Both sides of ?: && || are computed. Functions: abs min max clamp(x, low, high) of int
 * or float; fma(a, b, c) = a*b + c, pow sqrt rsqrt exp log tanh erf sin cos floor ceil round (half to even) relu gelu gelu_tanh
 * swish sigmoid of float; float(x), int(x) (towards zero, bounded, 0 for NaN). min and max of a NaN and a number are the number.
 * Arithmetic is f32; results of devices differ in the last places. Values stored as half round to nearest even; stored as int or char they are
 * bounded by the type.
 */
#ifndef TRD_KERNEL_H
#define TRD_KERNEL_H

#include "trd_tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A built kernel. Threads: any, several at once. */
typedef struct trd_kernel trd_kernel;

/**
 * Build an expression.
 *
 * @param device      borrowed for the call
 * @param parameters  "float a, const float *x, float *y", at most 16
 * @param text        the statements, at most 16384 bytes
 * @param out         owned: trd_kernel_destroy()
 * @return TRD_OK; TRD_E_FORMAT with the column and what is wrong; TRD_E_INVALID; TRD_E_MEMORY; TRD_E_UNSUPPORTED; TRD_E_DEVICE
 */
TRD_API trd_status trd_kernel_create_expression(trd_device *device, const char *parameters, const char *text, trd_kernel **out);

/**
 * Build a kernel from OpenCL C 1.2. The words of kernels/shared/shim.h stand before it, so that one source can serve several kinds of device:
 * KERNEL, GLOBAL, LOCAL, BARRIER() and so on; plain OpenCL C works too, on OpenCL. A tensor is handed over as two parameters, written
 * ARG(float, x): a pointer and an offset; the body opens it with OPEN(float, x); and then has x[0], its first element. Local memory of a size
 * that the host chooses (TRD_ARGUMENT_LOCAL) is LOCAL_ARG(float, t), opened with OPEN_LOCAL(float, t); functions take LOCAL_PTR(float).
 *
 *     KERNEL twice(ARG(const float, x), ARG(float, y), const int n)
 *     {
 *         OPEN(const float, x);
 *         OPEN(float, y);
 *         const i64 i = GLOBAL_ID;
 *         if (i < n) y[i] = 2.0f * x[i];
 *     }
 *
 * @param name  of the kernel function in source
 * @param out   owned: trd_kernel_destroy()
 * @return TRD_OK; TRD_E_FORMAT with the compiler's words; TRD_E_UNSUPPORTED where the device compiles nothing, naming one that does and
 *         computes with the same cores, if there is one; TRD_E_INVALID; TRD_E_MEMORY; TRD_E_DEVICE
 */
TRD_API trd_status trd_kernel_create_source(trd_device *device, const char *source, const char *name, trd_kernel **out);
/** Free, while queues may still run it. NULL does nothing. */
TRD_API void trd_kernel_destroy(trd_kernel *kernel);

/** Kinds of arguments. */
typedef enum trd_argument_kind {
    TRD_ARGUMENT_TENSOR = 0,  /**< tensor */
    TRD_ARGUMENT_F32 = 1,     /**< number */
    TRD_ARGUMENT_I32 = 2,     /**< integer */
    TRD_ARGUMENT_I64 = 3,     /**< integer; sources only */
    TRD_ARGUMENT_LOCAL = 4    /**< integer: bytes of local memory; sources only */
} trd_argument_kind;

/** One argument of a kernel. Arrays of it are handed over, so it is as it is: other kinds will use these fields. */
typedef struct trd_argument {
    trd_argument_kind kind;   /**< which of the others counts */
    float             number; /**< TRD_ARGUMENT_F32 */
    int64_t           integer;/**< TRD_ARGUMENT_I32, I64, LOCAL */
    trd_tensor       *tensor; /**< TRD_ARGUMENT_TENSOR: borrowed for the call; may be destroyed while the kernel runs */
} trd_argument;

/** How many work-items run a source kernel. Start from trd_launch_init(). */
typedef struct trd_launch {
    size_t  struct_size;      /**< bytes; set by the init function */
    int32_t n_dims;           /**< 1 (default) .. 3 */
    int64_t global_size[3];   /**< work-items, [n_dims] >= 0 and multiples of the group's; default 0 */
    int64_t group_size[3];    /**< work-items of a group, [n_dims] >= 1; all 0 (default): the driver's choice */
} trd_launch;
/** Fill in the defaults. @param size  sizeof(trd_launch) as the caller was compiled */
TRD_API void trd_launch_init(trd_launch *launch, size_t size);

/**
 * Run a kernel on the queue; may return before it is done.
 *
 * Expressions: the first tensor that stands with [i] says how many rows and columns there are; tensors with [i] have as many elements, those
 * with [c] one per column, those with [r] one per row. All are contiguous. A tensor that is written may be given a second time only if both
 * parameters stand with [i] alone, and only in expressions that do not reduce.
 * Sources: nothing is known of what the kernel touches; it must stay inside its tensors and order is that of the queue.
 *
 * @param arguments    [n_arguments], in the order of the parameters; borrowed for the call
 * @param launch       sources: how many; expressions: NULL
 * @return TRD_OK; TRD_E_INVALID; TRD_E_MEMORY; TRD_E_DEVICE
 */
TRD_API trd_status trd_kernel_run(trd_queue *queue, trd_kernel *kernel, const trd_argument *arguments, int64_t n_arguments,
                                  const trd_launch *launch);

#ifdef __cplusplus
}
#endif
#endif /* TRD_KERNEL_H */
