/**
 * @file
 * trd_operation.h: operations on tensors: the very ones that models run with.
 *
 * For all of them: tensors are f32 and lie on the queue's device; "rows" is meant as in trd_tensor.h, and rows may lie apart (views with
 * strides); the call may return before the work is done, and tensors may be destroyed at once, while arrays of the host are borrowed for the
 * call only. Zero rows do nothing. y is written, and may be x where that is said; any other overlap of an output with an input is
 * TRD_E_INVALID. Errors: TRD_E_INVALID for handles, dtypes and shapes that do not fit, TRD_E_UNSUPPORTED if the device's kernels do not take
 * this operation or size, TRD_E_MEMORY, TRD_E_DEVICE if the driver refuses. Threads: any.
 *
 * Cost: each call prepares its operation anew. On OpenCL that makes up to six kernel objects for trd_linear(), about 75 us with PoCL: much for
 * a few short rows, little for large matrices. What models run is prepared once.
 */
#ifndef TRD_OPERATION_H
#define TRD_OPERATION_H

#include "trd_tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Weights ---- */

/** A matrix in the layout that a device's kernels want. Threads: any. */
typedef struct trd_weight trd_weight;

/** What a weight is for. */
typedef enum trd_weight_use {
    TRD_WEIGHT_LINEAR = 0,     /**< trd_linear(): [outputs][inputs] */
    TRD_WEIGHT_EMBEDDING = 1   /**< trd_embed(): [entries][width] */
} trd_weight_use;

/** Options of trd_weight_create() and trd_weight_from_tensor(). Start from trd_weight_options_init(). */
typedef struct trd_weight_options {
    size_t         struct_size; /**< bytes; set by the init function */
    trd_weight_use use;         /**< default TRD_WEIGHT_LINEAR */
    /** Prepared form: TRD_DTYPE_F32 (default), TRD_DTYPE_F16 (rounded half to even) or TRD_DTYPE_I8 (see trd_linear()). */
    trd_dtype      dtype;
    const float   *bias;        /**< [rows], host memory, borrowed for the call; NULL (default) for none; LINEAR only */
    const float   *scales;      /**< [rows] > 0: of I8 data, value = integer / scale; NULL otherwise */
} trd_weight_options;
/** Fill in the defaults. @param size  sizeof(trd_weight_options) as the caller was compiled */
TRD_API void trd_weight_options_init(trd_weight_options *options, size_t size);

/**
 * Prepare a weight from host memory.
 *
 * @param rows, cols  >= 1
 * @param data_dtype  TRD_DTYPE_F32, TRD_DTYPE_F16, or TRD_DTYPE_I8 with options->scales
 * @param data        [rows][cols], contiguous, borrowed for the call. F32 and F16 data become I8 by scale = 127 / max|row| (1 for a row of
 *                    zeros), rounded half to even
 * @param out         owned: trd_weight_destroy()
 * @return TRD_OK; TRD_E_INVALID; TRD_E_UNSUPPORTED if the device has no such form; TRD_E_MEMORY
 */
TRD_API trd_status trd_weight_create(trd_device *device, int64_t rows, int64_t cols, trd_dtype data_dtype, const void *data,
                                     const trd_weight_options *options, trd_weight **out);
/** The same from a tensor of rank 2 (f32 or f16, contiguous), which is read through the host: blocks. */
TRD_API trd_status trd_weight_from_tensor(trd_queue *queue, const trd_tensor *tensor, const trd_weight_options *options, trd_weight **out);
/** Free, while queues may still work with it. NULL does nothing. */
TRD_API void trd_weight_destroy(trd_weight *weight);

/** Activations of trd_linear(), numbered as in model files. */
typedef enum trd_activation {
    TRD_ACTIVATION_NONE = -1,         /**< x */
    TRD_ACTIVATION_RELU = 0,          /**< max(x, 0) */
    TRD_ACTIVATION_GELU_TANH = 1,     /**< x/2 (1 + tanh(0.7978846 (x + 0.044715 x^3))) */
    TRD_ACTIVATION_SWISH = 2,         /**< x / (1 + exp(-x)) */
    TRD_ACTIVATION_GELU = 3,          /**< x/2 (1 + erf(x / sqrt 2)) */
    TRD_ACTIVATION_GELU_SIGMOID = 4,  /**< x / (1 + exp(-1.702 x)) */
    TRD_ACTIVATION_TANH = 5,          /**< tanh(x) */
    TRD_ACTIVATION_SIGMOID = 6        /**< 1 / (1 + exp(-x)) */
} trd_activation;

/** Options of trd_linear(). Start from trd_linear_options_init(). */
typedef struct trd_linear_options {
    size_t            struct_size;  /**< bytes; set by the init function */
    trd_activation    activation;   /**< default TRD_ACTIVATION_NONE */
    const trd_tensor *multiplier;   /**< rows x outputs, or NULL (default) */
    const trd_tensor *residual;     /**< rows x outputs, or NULL (default) */
} trd_linear_options;
/** Fill in the defaults. @param size  sizeof(trd_linear_options) as the caller was compiled */
TRD_API void trd_linear_options_init(trd_linear_options *options, size_t size);

/**
 * y[r] = act(W x[r] + bias) * multiplier[r] + residual[r]; the last three only where given.
 *
 * With an I8 weight, a row of x is quantised first: a = 127 / max|x[r]| (1 if all are zero), q = round(x a), half to even; the sum of integers is
 * exact, then divided by a and by the weight's scales.
 *
 * @param x        [rows, inputs]
 * @param weight   TRD_WEIGHT_LINEAR of the same device
 * @param y        [rows, outputs]; may be multiplier or residual, not x
 * @param options  NULL for the defaults
 * Source: CTranslate2's Dense layer; Wu et al. 2016, arXiv:1609.08144, section 6, for integers.
 */
TRD_API trd_status trd_linear(trd_queue *queue, const trd_tensor *x, const trd_weight *weight, trd_tensor *y,
                              const trd_linear_options *options);

/** Options of trd_attention(). Start from trd_attention_options_init(); set n_heads. */
typedef struct trd_attention_options {
    size_t  struct_size;        /**< bytes; set by the init function */
    int64_t n_heads;            /**< heads of q; default 1 */
    int64_t n_heads_kv;         /**< heads of k and v, which n_heads is a multiple of; default 0 = n_heads */
    float   scale;              /**< of q . k; default 0 = 1 / sqrt(head size) */
    bool    causal;             /**< a token sees no later key; default false */
    int64_t window;             /**< a token sees the last so many keys only, its own included; default 0 = all */
    int64_t n_sequences;        /**< default 0 = all tokens are one sequence, and the lengths are not read */
    const int64_t *lengths;     /**< [n_sequences] tokens of q of each, >= 0; their sum is q's rows */
    const int64_t *key_lengths; /**< [n_sequences] tokens of k and v, >= 0; NULL = lengths. With causal or window, not below lengths */
} trd_attention_options;
/** Fill in the defaults. @param size  sizeof(trd_attention_options) as the caller was compiled */
TRD_API void trd_attention_options_init(trd_attention_options *options, size_t size);

/**
 * y = softmax(scale * q K^T) V, per head and sequence; sequences lie packed, one after the other.
 *
 * Head h is the columns h*d .. (h+1)*d - 1 of a row, d = columns of q / n_heads. Query i of n stands at position keys - n + i, so that the last
 * query sees the last key. A token that sees no key gives zeros.
 *
 * @param q     [tokens, n_heads * d]
 * @param k, v  [key tokens, n_heads_kv * d]
 * @param y     [tokens, n_heads * d]; not q
 * Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1; groups of heads: Ainslie et al. 2023, arXiv:2305.13245.
 */
TRD_API trd_status trd_attention(trd_queue *queue, const trd_tensor *q, const trd_tensor *k, const trd_tensor *v, trd_tensor *y,
                                 const trd_attention_options *options);

/* ---- Rows ---- */

/**
 * Root-mean-square normalisation of rows: y[r][c] = x[r][c] * w[c] / sqrt(mean_c(x[r][c]^2) + eps).
 *
 * @param x    [rows, cols], cols >= 1
 * @param w    [cols]
 * @param y    [rows, cols]; may be x
 * @param eps  > 0
 * Source: Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4, plus eps.
 */
TRD_API trd_status trd_rms_norm(trd_queue *queue, const trd_tensor *x, const trd_tensor *w, trd_tensor *y, float eps);

/**
 * Layer normalisation of rows: y[r][c] = (x[r][c] - m) * w[c] / sqrt(s + eps) + b[c], with the row's mean m and variance s (divided by cols).
 *
 * @param x    [rows, cols], cols >= 1
 * @param w, b [cols]
 * @param y    [rows, cols]; may be x
 * @param eps  > 0
 * Source: Ba et al. 2016, arXiv:1607.06450, eq. 4.
 */
TRD_API trd_status trd_layer_norm(trd_queue *queue, const trd_tensor *x, const trd_tensor *w, const trd_tensor *b, trd_tensor *y, float eps);

/** Options of trd_rotary(). Start from trd_rotary_options_init(). */
typedef struct trd_rotary_options {
    size_t  struct_size;  /**< bytes; set by the init function */
    int64_t n_heads;      /**< default 1 */
    bool    interleave;   /**< pairs are neighbours (2i, 2i+1); default false: (i, i + dim/2) */
    float   magnitude;    /**< factor of the results; default 1 */
} trd_rotary_options;
/** Fill in the defaults. @param size  sizeof(trd_rotary_options) as the caller was compiled */
TRD_API void trd_rotary_options_init(trd_rotary_options *options, size_t size);

/**
 * Rotate pairs of channels in place: the pair i of each head by the angle positions[r] * frequencies[i]:
 * (a, b) becomes (a cos - b sin, b cos + a sin). Channels past the first dim = 2 * pairs stay.
 *
 * @param x            [rows, n_heads * d], dim <= d; read and written
 * @param positions    [rows], host memory, 0 .. 2^24
 * @param frequencies  [pairs]
 * @param options      NULL for the defaults
 * Source: Su et al. 2021, arXiv:2104.09864.
 */
TRD_API trd_status trd_rotary(trd_queue *queue, trd_tensor *x, const int32_t *positions, const trd_tensor *frequencies,
                              const trd_rotary_options *options);

/**
 * y[i] = scale * table[ids[i]].
 *
 * @param table  TRD_WEIGHT_EMBEDDING [entries][width] of the same device
 * @param ids    [rows of y], host memory, each 0 .. entries-1 (else TRD_E_RANGE, naming it)
 * @param y      [rows, width]
 */
TRD_API trd_status trd_embed(trd_queue *queue, const trd_weight *table, const int32_t *ids, float scale, trd_tensor *y);

/**
 * Row y[i] = row x[ids[i]].
 *
 * @param x    [n, cols]; not y
 * @param ids  [rows of y], host memory, each 0 .. n-1 (else TRD_E_RANGE, naming it)
 * @param y    [rows, cols]
 */
TRD_API trd_status trd_gather(trd_queue *queue, const trd_tensor *x, const int32_t *ids, trd_tensor *y);

/** y = a + b, element by element; all [rows, cols]; y may be a or b. */
TRD_API trd_status trd_add(trd_queue *queue, const trd_tensor *a, const trd_tensor *b, trd_tensor *y);
/** y = factor * x, element by element; both [rows, cols]; y may be x. */
TRD_API trd_status trd_scale(trd_queue *queue, const trd_tensor *x, float factor, trd_tensor *y);

/**
 * y[r][c] = x[r][c] - log(sum_c exp(x[r][c])), for each row. A row of all equal or all -infinity becomes uniform.
 *
 * @param x  [rows, cols], cols >= 1
 * @param y  [rows, cols]; may be x
 */
TRD_API trd_status trd_log_softmax(trd_queue *queue, const trd_tensor *x, trd_tensor *y);
/** y[r][c] = exp(x[r][c]) / sum_c exp(x[r][c]): the exponential of trd_log_softmax(), whose rules hold; y is contiguous. */
TRD_API trd_status trd_softmax(trd_queue *queue, const trd_tensor *x, trd_tensor *y);

/**
 * The k largest of each row, largest first; of equals the lower column first, NaN last.
 *
 * @param x       [rows, cols]
 * @param values  f32 [rows, k], 1 <= k <= cols; contiguous
 * @param ids     i32 [rows, k]: their columns; contiguous
 */
TRD_API trd_status trd_top_k(trd_queue *queue, const trd_tensor *x, trd_tensor *values, trd_tensor *ids);

#ifdef __cplusplus
}
#endif
#endif /* TRD_OPERATION_H */
