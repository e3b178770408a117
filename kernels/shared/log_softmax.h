/*
 * log_softmax.h: what both forms of log-softmax share. A row is cut into chunks of TRD_SOFTMAX_CHUNK entries, whatever the number of rows, so that a
 * row's bits are its own. First each chunk's largest value and its sum of e^(x - largest), then every entry of it.
 */
#ifndef TRD_LOG_SOFTMAX_H
#define TRD_LOG_SOFTMAX_H

#include "shim.h"
#include "math.h"

#define TRD_SOFTMAX_CHUNK 4096   /* cl_lower_logits.c has it too */

/* trdi_row_norm of backend.h. */
typedef struct trd_row_norm {
    int   mode, bias_id;
    float beta;
    int   unused;
} trd_row_norm;
enum { TRD_NORMALISE_NONE = 0, TRD_NORMALISE_BIASED = 2 };

/* Of a row, from the (largest, sum) of its chunks: entries become x * keep - shift; keep is 0 where all are alike. */
typedef struct trd_row_terms {
    float largest, log_sum;
    bool  uniform;
} trd_row_terms;

static inline trd_row_terms trd_join_chunks(GLOBAL const float *parts, const int n_chunks, const int width)
{
    trd_row_terms t;
    t.largest = -INFINITY;
    for (int c = 0; c < n_chunks; c++) t.largest = fmax(parts[2 * c], t.largest);
    t.uniform = isinf(t.largest) != 0;
    float sum = t.uniform ? (float)width : 0.0f;
    for (int c = 0; c < n_chunks && !t.uniform; c++) sum += parts[2 * c + 1] * trd_exp(parts[2 * c] - t.largest);
    t.log_sum = trd_log(sum);
    return t;
}

static inline float trd_log_p(const trd_row_terms *t, const float x)
{
    return t->uniform ? -t->log_sum : x - t->largest - t->log_sum;
}

/* log((1 - beta) p + beta [chosen]) of log p. */
static inline float trd_biased(const trd_row_norm *rule, const float log_p, const bool chosen)
{
    const float rest = 1.0f - rule->beta;
    return chosen ? trd_log(rest * trd_exp(log_p) + rule->beta) : log_p + trd_log(rest);
}

#endif
