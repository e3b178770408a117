/*
 * network.h: a model's layers on one device. A *network* is the prepared weights, shared by the workers of a device.
 * A *runner* belongs to one engine: its step block, arena, KV pool and recorded plans. Used by decode.
 *
 * All rows are packed; the runner knows nothing of searches, options or requests.
 */
#ifndef TRDI_NETWORK_H
#define TRDI_NETWORK_H

#include "device/device.h"
#include "device/memory_budget.h"
#include "model/model.h"

typedef struct trdi_network trdi_network;
typedef struct trdi_runner trdi_runner;

typedef struct trdi_network_options {
    const char *compute_type;   /**< as in trd_translator_options; NULL = "default" */
    const char *cache_dir;      /**< NULL: TREADLE_CACHE, else XDG_CACHE_HOME/treadle, else ~/.cache/treadle; "" = none */
    trdi_numerics numerics;     /**< of every plan */
} trdi_network_options;

/** Facts of a network. Strings live as long as it. */
typedef struct trdi_network_info {
    const char *compute_type;       /**< in effect */
    const char *compute_type_note;  /**< why it differs from the stored type, or "" */
    bool    weights_from_cache;
    int64_t n_source_features;
    int64_t source_rows[TRDI_MAX_FEATURES]; /**< rows of each source embedding table: ids must be below */
    int64_t target_rows;            /**< rows of the target embedding table */
    int64_t vocabulary;             /**< outputs: rows of the projection */
    int64_t max_source_positions;   /**< -1 = unlimited */
    int64_t max_target_positions;   /**< -1 = unlimited */
    int64_t block_tokens;           /**< positions of a KV block */
    size_t  block_bytes;            /**< bytes of a KV block, all layers */
    size_t  weight_bytes;
} trdi_network_info;

/**
 * Prepare a model for a device (layers checked against the back end's supports()). The model is retained; its payload map is
 * released after preparation. Resolves the compute type: nn/compute_type.h.
 */
trd_status trdi_network_create(trd_model *model, trdi_device *device, const trdi_network_options *options, trdi_network **out);
void trdi_network_destroy(trdi_network *network);
const trdi_network_info *trdi_network_get_info(const trdi_network *network);

/** A runner on a queue of the network's device. Both are borrowed and must outlive it. */
trd_status trdi_runner_create(trdi_network *network, void *queue, trdi_runner **out);
void trdi_runner_destroy(trdi_runner *runner);
/** Count the runner's buffers in a budget, and keep within it; before the first step. NULL = none. Borrowed. */
void trdi_runner_set_budget(trdi_runner *runner, trdi_memory_budget *budget);
/** Bytes of its buffers: pool, arena, step and result. */
size_t trdi_runner_bytes(const trdi_runner *runner);

/** Stages. ENCODE: source tokens through the encoder, memory keys and values into blocks. DECODE: target tokens, logits, candidates. */
typedef enum trdi_stage { TRDI_STAGE_ENCODE, TRDI_STAGE_DECODE } trdi_stage;
/** What a DECODE step also produces. Each combination is a plan of its own, recorded at first use. */
enum { TRDI_FEATURE_ATTENTION = 1u, TRDI_FEATURE_LOGITS = 2u };

/** Sizes of the next step. */
typedef struct trdi_step_sizes {
    int64_t n_tokens;      /**< new tokens, all rows */
    int64_t n_rows;        /**< rows (ENCODE: source sequences) */
    int64_t n_table;       /**< entries of the flat block table */
    int64_t n_outputs;     /**< DECODE: tokens whose logits are wanted */
    int64_t n_edits, n_mask_lines, n_selections, n_candidates, n_noise, n_given, n_copies;
    int64_t n_attention;   /**< columns of the attention output: longest memory of the step */
} trdi_step_sizes;

/** Host addresses inside the step block, valid until the next trdi_runner_begin(). Uninitialised: fill all that the sizes promise. */
typedef struct trdi_step_arrays {
    int32_t *ids[TRDI_MAX_FEATURES];/**< [n_tokens] each; DECODE: only ids[0] */
    int32_t *rows;                  /**< [n_tokens] row of each token; tokens of a row are contiguous and in order */
    int32_t *positions;             /**< [n_tokens] absolute position in the row, from 0 */
    int32_t *key_starts;            /**< ENCODE [n_rows]: first token of the row */
    int32_t *key_counts;            /**< [n_rows] ENCODE: length; DECODE: positions in the cache after this step */
    int32_t *table;                 /**< [n_table] block numbers */
    int32_t *table_offsets;         /**< [n_rows] DECODE: the row's own blocks begin at table[table_offsets[row]] */
    int32_t *memory_offsets;        /**< [n_rows] its memory blocks likewise (ENCODE: where memory is stored) */
    int32_t *memory_counts;         /**< [n_rows] DECODE: memory positions; 0 = none */
    int32_t *outputs;               /**< [n_outputs] token indices */
    trdi_edit *edits;               /**< [n_edits] ordered by row (= output index) */
    int32_t *edit_starts;           /**< [n_outputs + 1] */
    int32_t *masks;                 /**< [n_outputs] line or -1 */
    uint32_t *mask_bits;            /**< [n_mask_lines][mask_words] set bit = allowed */
    int64_t  mask_words;
    trdi_row_norm *row_norms;       /**< [n_outputs] */
    float   *row_scores;            /**< [n_outputs] */
    trdi_selection *selections;     /**< [n_selections] */
    float   *noise;                 /**< [n_noise] */
    int32_t *given;                 /**< [n_given] */
    int32_t *copies;                /**< [n_copies][2] source, destination; done before everything else of the step */
} trdi_step_arrays;

/** What a DECODE step gave; valid until the next trdi_runner_begin(). */
typedef struct trdi_step_results {
    const int32_t *ids, *parents;   /**< [n_candidates] */
    const float   *scores;          /**< [n_candidates] */
    const float   *attention;       /**< [n_tokens][n_attention] with FEATURE_ATTENTION; only columns below memory_counts are set */
    int64_t        attention_stride;
} trdi_step_results;

/** Make room for a step (capacities grow by half; after warm-up nothing is allocated) and say where to write its arrays. */
trd_status trdi_runner_begin(trdi_runner *runner, trdi_stage stage, uint32_t features, const trdi_step_sizes *sizes,
                             trdi_step_arrays *out);
/** Run the step that was begun. @param results  DECODE only; may be NULL. @param abort  polled; may be NULL */
trd_status trdi_runner_run(trdi_runner *runner, atomic_bool *abort, trdi_step_results *results);
/** Copy the edited, un-normalised logits of an output of the last run (with FEATURE_LOGITS): out [vocabulary]. */
trd_status trdi_runner_read_logits(trdi_runner *runner, int64_t output, float *out);

/** Blocks of the KV pool: reference counted; freed blocks are reused. */
/** Make sure n blocks can be taken; grows the pool (contents kept). */
trd_status trdi_runner_reserve_blocks(trdi_runner *runner, int64_t n);
/** Take a free block (reference count 1); -1 if none was reserved. */
int32_t trdi_runner_take_block(trdi_runner *runner);
void trdi_runner_retain_block(trdi_runner *runner, int32_t block);
void trdi_runner_release_block(trdi_runner *runner, int32_t block);
/** References to a block: 1 = may be written. */
int32_t trdi_runner_block_uses(const trdi_runner *runner, int32_t block);
/** Blocks that can be taken without growth. */
int64_t trdi_runner_free_blocks(const trdi_runner *runner);
/** Give back the memory of steps, and of the pool unless a block is in use. What was begun is void; the next step makes buffers anew. */
void trdi_runner_shrink(trdi_runner *runner);
/** From now on take no byte more than steps and blocks need, however slow that is. */
void trdi_runner_set_frugal(trdi_runner *runner, bool frugal);
/** Blocks in use, for leak checks. */
int64_t trdi_runner_blocks_in_use(const trdi_runner *runner);

#endif
