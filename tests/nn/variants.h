/* variants.h: the forms of models that are compared with the original implementation; expected.h holds its results. */
#ifndef TRD_TESTS_NN_VARIANTS_H
#define TRD_TESTS_NN_VARIANTS_H

#include "nn/tiny_model.h"

static const tiny_model variants[] = {
    { .name = "pre_norm_sinusoids", .alignment_heads = 2 },
    { .name = "post_norm_learned", .form = TINY_POST_NORM, .positions = TINY_LEARNED, .embedding_norm = true, .activation = 3,
      .scale_embeddings = 1.0f },
    { .name = "t5", .positions = TINY_T5, .rms = true, .gated = true, .no_bias = true, .activation = 1, .queries_scale = 1.0f,
      .scale_outputs = 0.25f, .scale_embeddings = 1.0f },
    { .name = "rotary_interleaved_grouped", .positions = TINY_ROTARY, .rms = true, .gated = true, .activation = 2, .n_heads_kv = 2 },
    { .name = "rotary_halves_partial_linear", .positions = TINY_ROTARY, .rotary_dim = 4, .rotary_halves = true, .rotary_scaling = 1,
      .n_heads_kv = 1 },
    { .name = "rotary_su", .positions = TINY_ROTARY, .rotary_halves = true, .rotary_scaling = 2, .rotary_original = 8, .rotary_max = 64 },
    { .name = "rotary_su_short", .positions = TINY_ROTARY, .rotary_scaling = 2, .rotary_original = 4096, .rotary_max = 32768 },
    { .name = "rotary_llama3", .positions = TINY_ROTARY, .rotary_halves = true, .rotary_scaling = 3, .rotary_original = 40, .gated = true,
      .activation = 4 },
    { .name = "shaw", .positions = TINY_SHAW, .activation = 5 },
    { .name = "shaw_keys", .positions = TINY_SHAW_KEYS, .form = TINY_POST_NORM, .activation = 6 },
    { .name = "alibi", .positions = TINY_ALIBI, .d_model = 48, .n_heads = 6 },
    { .name = "alibi_negative_scaled", .positions = TINY_ALIBI, .alibi_negative = true, .alibi_scaled = true },
    { .name = "pre_post_external", .form = TINY_PRE_POST, .positions = TINY_ROTARY, .rms = true, .gain_plus_one = true, .head_norms = true,
      .external_norms = true, .layer_scalar = 0.8f, .n_heads_kv = 2, .head_dim = 12, .gated = true, .activation = 1, .no_bias = true,
      .softcap = 3.0f },
    { .name = "pre_post_plain_cross", .form = TINY_PRE_POST, .layer_scalar = 1.1f },
    { .name = "merged", .form = TINY_PRE_POST, .positions = TINY_ROTARY, .rotary_halves = true, .rms = true, .gain_plus_one = true,
      .head_norms = true, .merged = true, .n_heads_kv = 2, .gated = true, .activation = 1, .no_bias = true },
    { .name = "head_norms", .head_norms = true, .positions = TINY_LEARNED },
    { .name = "window", .positions = TINY_ROTARY, .window = 3 },
    { .name = "features_concatenated", .n_features = 2 },
    { .name = "features_added", .n_features = 2, .features_add = true, .scale_embeddings = 0.5f },
    { .name = "zero_start_narrow_embeddings", .positions = TINY_LEARNED, .zero_start = true, .embedding_width = 20, .scale_outputs = 0.7f },
    { .name = "decoder_parallel_shared", .decoder_only = true, .form = TINY_PARALLEL_SHARED, .positions = TINY_ROTARY, .n_heads_kv = 1 },
    { .name = "decoder_parallel_two", .decoder_only = true, .form = TINY_PARALLEL_TWO, .positions = TINY_ALIBI },
    { .name = "decoder_parallel_one", .decoder_only = true, .form = TINY_PARALLEL_ONE_INPUT, .positions = TINY_ROTARY },
    { .name = "decoder_pre_post", .decoder_only = true, .form = TINY_PRE_POST, .positions = TINY_ROTARY, .rms = true, .layer_scalar = 0.9f },
};
enum { N_VARIANTS = sizeof variants / sizeof variants[0] };

#endif
