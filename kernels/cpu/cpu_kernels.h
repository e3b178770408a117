/*
 * cpu_kernels.h: the table of micro-kernels that each instruction set fills, for the CPU back end. Rows and shapes are checked by
 * the caller. Kernels of sets with fma agree bit for bit; "generic" multiplies, then adds, and is a class of its own.
 */
#ifndef TRDI_CPU_KERNELS_H
#define TRDI_CPU_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

/** Outputs per panel of a packed weight. */
#define TRDI_PANEL 16
/** Rows that share one pass over a block of weights; scratch of the linear kernel is this times TRDI_PANEL floats. */
#define TRDI_ROW_BLOCK 48

/** y[r] = act(x[r] . W^T + bias) * multiplier[r] + residual[r]; absent parts are NULL. */
typedef struct trdi_linear_job {
    const float *panels;      /**< [ceil(out / 16)][in][16], zeros past out */
    const float *bias;        /**< [out] rounded up to 16 */
    const float *x, *multiplier, *residual;
    float       *y;
    int64_t in, out, x_stride, y_stride, multiplier_stride, residual_stride;
    int32_t activation;       /**< -1 = none */
} trdi_linear_job;

typedef struct trdi_norm_job {
    const float *gamma, *beta;  /**< [width]; beta NULL = RMS */
    int64_t width;
    float   epsilon, scale;
    bool    gain_plus_one;
} trdi_norm_job;

/** What log-softmax does to a row; mode and fields as trdi_row_norm. */
typedef struct trdi_row_rule {
    int32_t mode, bias_id;
    float   beta;
} trdi_row_rule;

typedef struct trdi_cpu_kernels {
    const char *name;         /**< "generic", "avx2", "avx512" */
    /**
     * Rows row0..row1-1 by panels panel0..panel1-1. Every output is one chain of fma in order of k from 0, then bias,
     * activation, multiplier, residual. scratch: TRDI_ROW_BLOCK * TRDI_PANEL floats, 64-byte aligned.
     */
    void (*linear)(const trdi_linear_job *job, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1, float *scratch);
    /** One row (or one head of one row); residual may be NULL. */
    void (*norm)(const trdi_norm_job *job, const float *x, float *y, const float *residual);
    /** y (+)= scale * row; row NULL = zeros. */
    void (*embed)(const float *row, float *y, int64_t width, float scale, bool accumulate);
    void (*scale)(const float *x, float *y, int64_t width, float factor);
    void (*softcap)(const float *x, float *y, int64_t width, float cap);
    void (*add)(const float *x, const float *z, float *y, int64_t width, float factor);
    /** Rotate the first 2 * pairs channels of one head. */
    void (*rotate)(float *x, const float *cosines, const float *sines, int64_t pairs, bool interleave);
    /** One row of log-softmax; x may be y. */
    void (*log_softmax)(const float *x, float *y, int64_t width, const trdi_row_rule *rule);
    /** Largest of n > 0 numbers; NaN passed over; -infinity if there is nothing else. */
    float (*largest)(const float *x, int64_t n);
    /** x[i] = exp(x[i] - shift); returns their sum. */
    float (*exp_sum)(float *x, int64_t n, float shift);
    /** First index >= start with x[i] + add above threshold (any number is above a NaN threshold), or n. */
    int64_t (*find_above)(const float *x, int64_t start, int64_t n, float add, float threshold);
    /** out[j] = q . k[j * stride ..]. */
    void (*dots)(const float *q, const float *k, int64_t stride, int64_t n, int64_t dim, float *out);
    /**
     * Join a chunk of n scores and values to the running softmax of one head: state[0] is the largest score so far, state[1]
     * the sum of exponentials, acc[d] the sum of weighted values. In order of j; scores are overwritten by exp(score - largest).
     * v2 are values added to v, or NULL.
     */
    void (*attend)(float *scores, const float *v, const float *v2, int64_t stride, int64_t stride2, int64_t n, int64_t dim,
                   float *state, float *acc);
    /** y[d] = acc[d] / l, or 0 where l is 0. */
    void (*finish)(const float *acc, float *y, int64_t dim, float l);
    /** y[i] = f(x[i]) for tests: 0 exp, 1 log, 2 tanh, 3 erf, 4 + a: activation a. */
    void (*apply)(int32_t function, const float *x, float *y, int64_t n);
} trdi_cpu_kernels;

extern const trdi_cpu_kernels trdi_cpu_kernels_generic;
#if defined(__x86_64__)
extern const trdi_cpu_kernels trdi_cpu_kernels_avx2;
extern const trdi_cpu_kernels trdi_cpu_kernels_avx512;
#endif

#endif
