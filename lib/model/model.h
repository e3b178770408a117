/*
 * model.h: a model directory turned into a checked description. Knows no device and no scheduler.
 * Used by nn (weights, layers), decode (special ids, vocabularies, the vocabulary map) and api (inspection).
 *
 * After trdi_model_open() succeeded, every tensor below has been checked: dtype, rank, shape against its neighbours,
 * finite scales, payload inside the file. Tensor payloads are unaligned: read them through trdi_tensor_read_f32().
 */
#ifndef TRDI_MODEL_H
#define TRDI_MODEL_H

#include "core/files.h"
#include "core/status.h"
#include "treadle/trd_model.h"

/** One stored variable. An alias is a second name of the same struct. */
typedef struct trdi_tensor {
    const char    *name;
    trd_dtype      dtype;
    int32_t        rank;
    int64_t        dims[4];   /**< 1 past the rank */
    int64_t        count;     /**< product of dims */
    const uint8_t *data;      /**< unaligned, in the map */
    size_t         bytes;
    const struct trdi_tensor *scale;  /**< i8: f32 [rows]; i16: f32 scalar or NULL = 1000; a multiplier of the float value: divide */
} trdi_tensor;

/** Rows of a tensor = product of all dimensions but the last; a rank-1 tensor is one row. */
int64_t trdi_tensor_rows(const trdi_tensor *tensor);
/**
 * Elements first .. first+n-1 (row-major) as f32, dequantised (value / scale).
 * f16, bf16 and f32 are exact; no allocation, no failure: the range must be inside the tensor.
 */
void trdi_tensor_read_f32(const trdi_tensor *tensor, int64_t first, int64_t n, float *out);

/** weight NULL = absent. */
typedef struct trdi_linear {
    const trdi_tensor *weight;  /**< [out, in] */
    const trdi_tensor *bias;    /**< [out] or NULL */
} trdi_linear;

/** gamma NULL = absent. beta NULL = RMS norm. */
typedef struct trdi_norm {
    const trdi_tensor *gamma, *beta;
    bool  gain_plus_one;   /**< RMS gain is 1 + gamma */
    float epsilon;         /**< resolved: configuration, else 1e-5 / 1e-6 */
} trdi_norm;

/** Values as in files. */
typedef enum trdi_activation {
    TRDI_ACTIVATION_NONE = -1,
    TRDI_ACTIVATION_RELU = 0,
    TRDI_ACTIVATION_GELU_TANH = 1,
    TRDI_ACTIVATION_SWISH = 2,
    TRDI_ACTIVATION_GELU = 3,
    TRDI_ACTIVATION_GELU_SIGMOID = 4,
    TRDI_ACTIVATION_TANH = 5,
    TRDI_ACTIVATION_SIGMOID = 6
} trdi_activation;

/** Rotary embedding of one attention layer; dim 0 = none. */
typedef struct trdi_rotary {
    int64_t dim;                 /**< rotated channels, even, <= head_dim */
    bool    interleave;          /**< pairs (2i, 2i+1); else (i, i + dim/2) */
    float   base;
    int32_t scaling_type;        /**< -1 none, 0 linear, 1 Su, 2 Llama3 */
    float   scaling_factor, low_freq_factor, high_freq_factor;
    int64_t original_max_positions, max_positions;
    const trdi_tensor *long_factor, *short_factor;   /**< type 1 */
} trdi_rotary;

typedef struct trdi_attention_desc {
    trdi_norm   norm;            /**< absent: no norm and no residual inside */
    bool        cross;
    trdi_linear linear[3];       /**< self: fused QKV, output; cross: Q, fused KV, output */
    trdi_linear memory_kv;       /**< merged attention, or absent */
    int64_t     n_heads, n_heads_kv, head_dim;
    float       queries_scale;   /**< resolved */
    trdi_rotary rotary;
    int64_t     sliding_window;  /**< 0 = unlimited; 0 in encoders */
    trdi_norm   q_norm, k_norm, v_norm;                /**< of width head_dim */
    const trdi_tensor *relative_keys, *relative_values;/**< Shaw [2M+1, head_dim] */
    const trdi_tensor *relative_bias;                  /**< T5 [buckets, n_heads] */
    int64_t     relative_max_distance;
    const trdi_tensor *asymmetric_keys;                /**< [L+R+1, head_dim] */
    int64_t     left_max_position, right_max_position;
} trdi_attention_desc;

typedef struct trdi_ffn_desc {
    trdi_norm   norm;
    trdi_linear linear_0, linear_0_noact, linear_1;
} trdi_ffn_desc;

/** Where a layer has its norms; told from which norms are stored. */
typedef enum trdi_layer_form {
    TRDI_LAYER_SEQUENTIAL,
    TRDI_LAYER_PARALLEL_SHARED,   /**< norms[0] = shared_layer_norm */
    TRDI_LAYER_PARALLEL_TWO,      /**< norms[0] = input, norms[1] = post-attention (absent: norms[0] serves both) */
    TRDI_LAYER_PRE_POST           /**< norms[0..3] = input, post-attention, pre-ffn, post-ffn */
} trdi_layer_form;

typedef struct trdi_layer_desc {
    trdi_layer_form     form;
    trdi_norm           norms[4];
    trdi_norm           external_pre, external_post;  /**< around the cross-attention, PRE_POST only; absent = identity */
    float               layer_scalar;                 /**< 1 */
    trdi_attention_desc self_attention, cross_attention;
    bool                has_cross;
    trdi_ffn_desc       ffn;
} trdi_layer_desc;

#define TRDI_MAX_FEATURES 16

/** An encoder or a decoder. */
typedef struct trdi_stack_desc {
    int64_t          n_layers;
    trdi_layer_desc *layers;          /**< [n_layers] */
    int64_t          d_model;
    int64_t          n_heads;
    bool             pre_norm;
    trdi_activation  activation;
    int64_t          n_embeddings;    /**< tables */
    const trdi_tensor *embeddings[TRDI_MAX_FEATURES];  /**< [rows, width] */
    int64_t          embedding_width; /**< after the merge, before project_in */
    bool             embeddings_add;  /**< merge by addition; else concatenate */
    float            embedding_scale; /**< resolved: 1 = none */
    bool             start_from_zero_embedding;
    bool             has_positions;   /**< absolute positions are added */
    const trdi_tensor *positions;     /**< [rows, d_model]; NULL with has_positions = generated sinusoids */
    trdi_norm        embedding_norm, output_norm;
    trdi_linear      project_in, project_out;
    bool             alibi, alibi_positive, alibi_scaled;
    bool             has_cross;       /**< cross-attention or merged attention in every layer */
    bool             merged;          /**< merged attention in every layer */
    int64_t          alignment_layer; /**< resolved to 0 .. n_layers-1 */
    int64_t          alignment_heads; /**< resolved to 1 .. n_heads */
    float            output_scale;    /**< 1 = none */
    trdi_linear      projection;      /**< decoder: [V, width] */
    float            logit_softcap;   /**< 0 = off */
} trdi_stack_desc;

typedef enum trdi_family {
    TRDI_FAMILY_SEQ2SEQ, TRDI_FAMILY_DECODER, TRDI_FAMILY_ENCODER, TRDI_FAMILY_WHISPER, TRDI_FAMILY_WAV2VEC2, TRDI_FAMILY_WAV2VEC2_BERT
} trdi_family;

/** Tokens of one vocabulary, id order, the appended unknown token included. */
typedef struct trdi_vocabulary trdi_vocabulary;
int64_t     trdi_vocabulary_size(const trdi_vocabulary *vocabulary);
/** NULL if id is out of range; *bytes may be NULL. */
const char *trdi_vocabulary_token(const trdi_vocabulary *vocabulary, int64_t id, size_t *bytes);
/** -1 if the vocabulary lacks the token. */
int64_t     trdi_vocabulary_id(const trdi_vocabulary *vocabulary, const char *token, size_t bytes);

/** vmap.txt: which target ids each source n-gram allows. */
typedef struct trdi_vocabulary_map trdi_vocabulary_map;
/** Longest n-gram, 0 if only always-allowed ids exist. */
int64_t trdi_vocabulary_map_max_order(const trdi_vocabulary_map *map);
/** Ids that are always allowed; *n of them. */
const int32_t *trdi_vocabulary_map_always(const trdi_vocabulary_map *map, int64_t *n);
/** Ids that the n-gram of tokens (joined by single spaces, bytes long) allows; NULL and *n = 0 if the map lacks it. */
const int32_t *trdi_vocabulary_map_find(const trdi_vocabulary_map *map, const char *ngram, size_t bytes, int64_t *n);

typedef struct trdi_special_ids { int32_t unk, bos, eos; } trdi_special_ids;

/** The opened model. trd_model of the public header. */
struct trd_model {
    trdi_family      family;
    trdi_stack_desc  encoder, decoder;         /**< filled for SEQ2SEQ, DECODER and ENCODER as they apply */
    int64_t          n_source_vocabularies;
    trdi_vocabulary *source[TRDI_MAX_FEATURES];/**< may all be the same object as target */
    trdi_vocabulary *target;                   /**< also the one of single-vocabulary models */
    trdi_special_ids source_ids, target_ids;
    bool             add_source_bos, add_source_eos;
    int32_t          decoder_start_id;         /**< -1: the caller's prefix brings it */
    trdi_vocabulary_map *vocabulary_map;       /**< NULL = none */
    int64_t          binary_version;
    const char      *unsupported;              /**< why this version cannot translate with it ("it is a decoder-only model"), or NULL */
    const char      *name;                     /**< path, or the name given with files */
    const char      *binary_path;              /**< of model.bin; NULL when opened from memory */
    struct trdi_model_private *private_part;
};

/**
 * trd_model_open() and trd_model_open_files().
 * @param files  NULL: name is a folder; else [n_files], borrowed for the call, their data until the model is closed
 */
trd_status trdi_model_open(const char *name, const trd_file *files, size_t n_files, trd_model **out);
/** Share a model: one more trd_model_close() is needed. */
trd_model *trdi_model_retain(trd_model *model);
/** trd_model_close(). */
void trdi_model_release(trd_model *model);
/** A stored variable or alias by name; NULL if there is none. */
const trdi_tensor *trdi_model_find(const trd_model *model, const char *name);
/** What model.bin was when it was checked; false for a model from memory. */
bool trdi_model_identity(const trd_model *model, trdi_file_identity *out);
/** Stored compute type, e.g. "int8_float32"; static. */
const char *trdi_model_stored_type(const trd_model *model);
/**
 * A file-backed model is mapped when it is opened. Whoever reads payloads brackets that with map and unmap: at the last unmap the
 * pages go, tensor data become NULL, names and shapes stay; a later map brings them back, or fails with TRD_E_IO if the file is no
 * longer the one that was checked. Both count users and lock. No-ops for models from memory.
 */
trd_status trdi_model_map(trd_model *model);
void trdi_model_unmap(trd_model *model);

/** Facts for inspection; texts are borrowed from the model. */
typedef struct trdi_model_facts {
    const char *spec;
    int64_t spec_revision, n_variables, n_aliases;
    int64_t n_parameters;       /**< elements of stored arrays, scales excluded */
    int64_t weight_bytes;       /**< all payloads */
    int64_t n_encoder_layers, n_decoder_layers, d_model, d_ffn, n_heads, n_heads_kv, head_dim;
    const char *unk, *bos, *eos, *decoder_start;   /**< decoder_start: NULL = the caller's prefix brings it */
} trdi_model_facts;
void trdi_model_get_facts(const trd_model *model, trdi_model_facts *out);
int64_t trdi_model_listed_count(const trd_model *model);
/** Entry i of the list "stored variables, then aliases, each by name"; NULL past its end. *alias: the alias's own name, or NULL. */
const trdi_tensor *trdi_model_listed(const trd_model *model, int64_t i, const char **alias);

#endif
