/*
 * weights.h: everything of a model that lives on the device: the prepared matrices, and one buffer of small f32 arrays
 * (norm gains, position tables, rotary frequencies, slopes). First a walk over the description collects what is needed,
 * each thing once and always in the same order; then they are prepared from the model's payloads or from a cache file.
 */
#ifndef TRDI_WEIGHTS_H
#define TRDI_WEIGHTS_H

#include "backend/backend.h"
#include "model/model.h"

/** One prepared matrix. Identical (tensor, bias, layout) share it. */
typedef struct trdi_weight_use {
    const trdi_tensor *tensor, *bias;  /**< bias NULL = none */
    trdi_weight_layout layout;
    bool  truncate;                    /**< as trdi_weights.truncate */
    void *handle;                      /**< of weight_prepare(); NULL before */
} trdi_weight_use;

typedef enum trdi_constant_kind {
    TRDI_CONSTANT_TENSOR,   /**< a stored tensor as f32; key: the trdi_tensor */
    TRDI_CONSTANT_ROTARY,   /**< inverse frequencies, position scaling included; key: the trdi_rotary */
    TRDI_CONSTANT_ALIBI     /**< slopes of the heads; key: the trdi_attention_desc */
} trdi_constant_kind;

/** One small f32 array. */
typedef struct trdi_constant {
    trdi_constant_kind kind;
    const void *key;
    int64_t count;
    size_t  offset;         /**< bytes in the buffer, a multiple of 64 */
    float   scale;          /**< ALIBI: factor on the slopes */
} trdi_constant;

typedef struct trdi_weights {
    const trdi_backend_ops *ops;
    void  *device;          /**< borrowed */
    trd_dtype dtype;        /**< of the matrices once prepared; set before collecting, as is truncate */
    bool   truncate;        /**< I8: integers come from floats by truncation, as for files of old versions; else half to even */
    trdi_weight_use *uses;  /**< [n_uses] */
    size_t n_uses, capacity_uses;
    trdi_constant *constants;
    size_t n_constants, capacity_constants;
    size_t constant_bytes;  /**< of all small arrays together */
    void  *constant_buffer; /**< on the device; NULL before */
    bool   failed;          /**< memory ran out while collecting */
} trdi_weights;

/** Walk the model's stacks and note what they need. Reads no payload. */
trd_status trdi_weights_collect(trdi_weights *weights, const trd_model *model);
/** Used by the walk. */
void trdi_weights_add_linear(trdi_weights *weights, const trdi_linear *linear);
void trdi_weights_add_embedding(trdi_weights *weights, const trdi_tensor *table);
void trdi_weights_add_constant(trdi_weights *weights, trdi_constant constant);

/** Compute the small arrays from the model's payloads. @param out  [constant_bytes / 4], gaps are zeroed */
void trdi_weights_fill_constants(const trdi_weights *weights, float *out);
/** Put the small arrays on the device. @param values  [constant_bytes / 4] */
trd_status trdi_weights_upload_constants(trdi_weights *weights, const float *values);

/** How a matrix is described to the back end. @param values  the small arrays, which hold the biases */
trdi_weight_source trdi_weights_source(const trdi_weights *weights, size_t use, const float *values);
/**
 * Rows first .. first+n-1 as integers -127 .. 127 and scales: value = integer / scale. Rows stored so are given as they are; others
 * are quantised from their values: scale = 127 / max |value|, 1 for a row of zeros. Allocates nothing.
 * @param out  [n][cols]  @param scales  [n]
 */
void trdi_quantise_rows(const trdi_tensor *tensor, bool truncate, int64_t first, int64_t n, int8_t *out, float *scales);
/** Bytes of all matrices and small arrays once prepared. */
size_t trdi_weights_total_bytes(const trdi_weights *weights, const float *values);
/**
 * Prepare every matrix. @param prepared  [n_uses] bytes prepared earlier, which then stay in use; NULL = from the payloads
 * On failure nothing stays prepared.
 */
trd_status trdi_weights_prepare(trdi_weights *weights, const float *values, const void *const *prepared);
/** Free what was prepared; what was collected stays. */
void trdi_weights_unprepare(trdi_weights *weights);
/** Free everything. */
void trdi_weights_clear(trdi_weights *weights);

/** The prepared matrix of a collected use. */
void *trdi_weights_find(const trdi_weights *weights, const trdi_tensor *tensor, const trdi_tensor *bias, trdi_weight_layout layout);
/** Where a collected small array is; absent for key NULL. */
trdi_span trdi_weights_constant(const trdi_weights *weights, trdi_constant_kind kind, const void *key);

/** Positions that a Su-scaled rotary embedding serves with one set of factors; INT64_MAX for the others. See rotary_tables.c. */
int64_t trdi_rotary_max_positions(const trdi_rotary *rotary);
/** Inverse frequencies [dim / 2]. */
void trdi_rotary_frequencies(const trdi_rotary *rotary, float *out);
/** Factor on sin and cos. */
float trdi_rotary_magnitude(const trdi_rotary *rotary);
/** ALiBi slopes [n_heads] times scale. */
void trdi_alibi_slopes(int64_t n_heads, float scale, float *out);

#endif
