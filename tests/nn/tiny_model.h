/*
 * tiny_model.h: writes small random models in every form that lib/nn knows, as directories that any reader of the format
 * opens. The weights depend on the description alone, so results can be compared with another program's.
 */
#ifndef TRD_TESTS_TINY_MODEL_H
#define TRD_TESTS_TINY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/** Where norms and residuals are. */
typedef enum tiny_form { TINY_PRE_NORM, TINY_POST_NORM, TINY_PARALLEL_SHARED, TINY_PARALLEL_TWO, TINY_PARALLEL_ONE_INPUT, TINY_PRE_POST } tiny_form;
typedef enum tiny_positions {
    TINY_GENERATED, TINY_LEARNED, TINY_ROTARY, TINY_SHAW, TINY_SHAW_KEYS, TINY_T5, TINY_ALIBI
} tiny_positions;

/** 0 is a default for everything but name. */
typedef struct tiny_model {
    const char    *name;
    bool           decoder_only;
    tiny_form      form;
    tiny_positions positions;
    int32_t        d_model, n_heads, n_heads_kv, head_dim, d_ffn, n_layers, vocabulary;  /**< 32, 4, n_heads, d_model / n_heads, 48, 2, 40 */
    bool           rms, gain_plus_one, gated, no_bias, head_norms, embedding_norm, merged, external_norms;
    int32_t        activation;
    int32_t        rotary_dim;             /**< 0 = whole head */
    bool           rotary_halves;          /**< not interleaved */
    int32_t        rotary_scaling;         /**< 1 + value of the file; 0 = none */
    int32_t        rotary_original, rotary_max;
    int32_t        window;
    bool           alibi_negative, alibi_scaled;
    int32_t        n_features;             /**< 0 = 1 */
    bool           features_add;
    bool           zero_start;
    bool           stray_norms;            /**< norms in sublayers whatever the form */
    int32_t        embedding_width;        /**< decoder's, with project_in and project_out; 0 = d_model */
    float          scale_outputs, softcap, layer_scalar, queries_scale, scale_embeddings;
    int32_t        alignment_heads;
} tiny_model;

/** Make the directory and write all its files; ends the program on failure. */
void tiny_model_write(const char *directory, const tiny_model *model);

#endif
