/**
 * @file
 * trd_model.h: open a model directory in the CTranslate2 format and look inside.
 * A trd_model is the checked description of the files; it uses no device. Translators are made from it (trd_translator.h).
 */
#ifndef TRD_MODEL_H
#define TRD_MODEL_H

#include "trd_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An opened model: its variables (mapped, not read), configuration and vocabularies. Immutable; any thread may use it. */
typedef struct trd_model trd_model;

/** One file of a model held in memory. */
typedef struct trd_file {
    const char *name;   /**< "model.bin", "config.json", "shared_vocabulary.json" ... */
    const void *data;   /**< borrowed until trd_model_close() of the last user of the model */
    size_t      bytes;  /**< of data */
} trd_file;

/**
 * Open the model in a directory. The files are mapped and checked; no weight is converted yet.
 *
 * @param path  UTF-8
 * @param out   owned: trd_model_close()
 * @return TRD_OK; TRD_E_IO "cannot open file ..."; TRD_E_FORMAT naming file, field and number; TRD_E_UNSUPPORTED for a
 *         specification or version this library does not know; TRD_E_MEMORY
 */
TRD_API trd_status trd_model_open(const char *path, trd_model **out);

/**
 * Open a model whose files are in memory.
 *
 * @param name   used in messages only
 * @param files  [n_files]; the array is read during the call, the data stay borrowed
 */
TRD_API trd_status trd_model_open_files(const char *name, const trd_file *files, size_t n_files, trd_model **out);

/** Give the model back. Translators made from it keep what they need. NULL does nothing. */
TRD_API void trd_model_close(trd_model *model);

/** Does a directory hold a file model.bin that can be opened for reading? Its content is not looked at. */
TRD_API bool trd_model_exists(const char *path);

/** What a model is. Strings are borrowed until trd_model_close(). A number that does not apply is 0. */
typedef struct trd_model_info {
    size_t      struct_size;         /**< set by the caller to sizeof(trd_model_info) */
    const char *name;                /**< the path or name it was opened with */
    const char *family;              /**< "sequence-to-sequence", "decoder-only", "encoder-only", "whisper" ... */
    const char *spec;                /**< specification name stored in the file; "" in binary version 1 */
    int64_t     spec_revision;       /**< revision of the specification, as stored */
    int64_t     binary_version;      /**< of model.bin: 1 .. 6 */
    const char *stored_type;         /**< compute type of the stored weights: "float32", "int8_float32" ... */
    int64_t     n_encoder_layers;    /**< 0 without an encoder */
    int64_t     n_decoder_layers;    /**< 0 without a decoder */
    int64_t     d_model;             /**< hidden width of the decoder (encoder-only: of the encoder) */
    int64_t     d_ffn;               /**< feed-forward width of its first layer */
    int64_t     n_heads;             /**< query heads */
    int64_t     n_heads_kv;          /**< key and value heads; fewer than n_heads in multi-query and grouped attention */
    int64_t     head_dim;            /**< width of one head */
    int64_t     n_source_features;   /**< number of encoder embedding tables; 0 without an encoder */
    int64_t     source_vocabulary_size; /**< tokens of the first source vocabulary */
    int64_t     target_vocabulary_size; /**< tokens of the target vocabulary, or of the only one */
    int64_t     n_parameters;        /**< elements of all stored tensors that are not aliases, scales excluded */
    int64_t     n_variables;         /**< stored variables */
    int64_t     n_aliases;           /**< names that stand for a stored variable */
    int64_t     weight_bytes;        /**< bytes of all stored payloads */
    const char *unk_token;           /**< the unknown token */
    const char *bos_token;           /**< begin of sequence */
    const char *eos_token;           /**< end of sequence */
    const char *decoder_start_token; /**< NULL: the caller's prefix brings its own */
    bool        add_source_bos;      /**< bos_token is put before every source */
    bool        add_source_eos;      /**< eos_token is put after every source */
    bool        has_vocabulary_map;  /**< a vmap.txt that can be used lies beside the model */
    const char *runs_on;             /**< what this build can do with it: "translator", or "" (inspection only) */
} trd_model_info;

/** Fill info. @param info  struct_size set by the caller; that many bytes are filled */
TRD_API trd_status trd_model_get_info(const trd_model *model, trd_model_info *info);

/** One stored variable or alias. Strings borrowed until trd_model_close(). */
typedef struct trd_model_tensor {
    size_t      struct_size;   /**< set by the caller */
    const char *name;          /**< as stored, e.g. "encoder/layer_0/ffn/linear_0/weight" */
    trd_dtype   dtype;         /**< of its elements */
    int32_t     rank;          /**< 0: a scalar attribute */
    int64_t     dims[4];       /**< outermost first; 1 past the rank */
    int64_t     bytes;         /**< payload; 0 for an alias */
    const char *alias_of;      /**< NULL for a stored variable */
    double      value;         /**< of a scalar; 0 for the rest */
} trd_model_tensor;

/** Number of stored variables and aliases. */
TRD_API int64_t trd_model_tensor_count(const trd_model *model);
/** Describe tensor i: stored variables, then aliases, both in name order. @return TRD_OK; TRD_E_RANGE; TRD_E_INVALID */
TRD_API trd_status trd_model_get_tensor(const trd_model *model, int64_t i, trd_model_tensor *out);

/** Which vocabulary. Feature k of a source with several is TRD_VOCABULARY_SOURCE + k. */
typedef enum trd_vocabulary {
    TRD_VOCABULARY_TARGET = 0,   /**< also the only one of decoder-only and encoder-only models */
    TRD_VOCABULARY_SOURCE = 1
} trd_vocabulary;

/** Tokens of a vocabulary; 0 if the model has no such vocabulary. */
TRD_API int64_t trd_model_vocabulary_size(const trd_model *model, int32_t vocabulary);
/**
 * Text of a token; borrowed until trd_model_close().
 * @param bytes  length without the final NUL; may be NULL
 * @return NULL if id is out of range
 */
TRD_API const char *trd_model_token(const trd_model *model, int32_t vocabulary, int64_t id, size_t *bytes);
/** Id of a token, or -1 if the vocabulary lacks it. @param bytes  length of token; SIZE_MAX: up to its NUL */
TRD_API int64_t trd_model_token_id(const trd_model *model, int32_t vocabulary, const char *token, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif /* TRD_MODEL_H */
