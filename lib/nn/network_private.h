/* network_private.h: what the files of lib/nn share: the network, the places of activations, and the recorder. */
#ifndef TRDI_NETWORK_PRIVATE_H
#define TRDI_NETWORK_PRIVATE_H

#include "nn/compute_type.h"
#include "nn/network.h"
#include "nn/weight_cache.h"

/** Positions of a KV block: the chunk in which attention sums keys, and what a diverging row copies. */
enum { TRDI_BLOCK_TOKENS = 16 };

/** Widest row of each activation over both stacks, in elements. */
typedef struct trdi_widths {
    int64_t hidden;     /**< residual stream */
    int64_t normed;     /**< input of a sublayer; merged embeddings before project_in */
    int64_t second;     /**< the second norm of parallel layers; 0 without */
    int64_t projected;  /**< queries, keys, values; or keys and values of the memory */
    int64_t context;    /**< heads' outputs */
    int64_t ffn;
    int64_t output;     /**< decoder output before the projection */
    int64_t vocabulary;
} trdi_widths;

struct trdi_network {
    trd_model        *model;      /**< retained */
    trdi_device      *device;     /**< borrowed */
    trdi_network_info info;
    trdi_compute_type compute_type;
    trdi_numerics     numerics;
    trd_dtype         kv_dtype;   /**< of keys and values in blocks */
    char              note[128];
    trdi_weights      weights;
    trdi_weight_cache cache;      /**< empty unless the weights lie in it */
    trdi_widths       widths;
    size_t           *kv_offsets; /**< [decoder layers] where a layer's keys begin in a block */
};

/* ---- Places: capacities and offsets ---- */

/** Sizes for which buffers are laid out: the fields of trdi_step_sizes, multiples of 16, and the features they serve. */
typedef struct trdi_capacities {
    trdi_step_sizes sizes;
    uint32_t        features;
} trdi_capacities;

/** Every field of trdi_step_sizes with the capacity that the first step gets at least. */
#define TRDI_SIZE_FIELDS(X)                                                                          \
    X(n_tokens, 64) X(n_rows, 16) X(n_table, 64) X(n_outputs, 16) X(n_edits, 64) X(n_mask_lines, 0)  \
    X(n_selections, 16) X(n_candidates, 64) X(n_noise, 0) X(n_given, 16) X(n_copies, 16) X(n_attention, 0)

/** Does a step fit? @param features  those it uses */
bool trdi_capacities_hold(const trdi_capacities *capacities, const trdi_step_sizes *sizes, uint32_t features);
/** Make it fit: what is too small grows by half at least. @return TRD_E_INVALID if a size is negative or past 2^31 */
trd_status trdi_capacities_grow(trdi_capacities *capacities, const trdi_step_sizes *sizes, uint32_t features);

/** Bytes from the start of the step block. */
typedef struct trdi_step_layout {
    size_t ids[TRDI_MAX_FEATURES], rows, positions, key_starts, key_counts, table, table_offsets, memory_offsets, memory_counts,
           outputs, edits, edit_starts, masks, mask_bits, row_norms, row_scores, selections, noise, given, copies, bytes;
} trdi_step_layout;

/** Bytes from the start of the result buffer. */
typedef struct trdi_result_layout {
    size_t ids, parents, scores, attention, bytes;
} trdi_result_layout;

/** Bytes from the start of the arena. ffn shares its place with projected and context, which are dead by then. */
typedef struct trdi_arena_layout {
    size_t  hidden, normed, second, projected, context, ffn, gathered, reduced, logits, scores, bytes;
    int64_t logits_stride;
} trdi_arena_layout;

/** Each returns false when a product overflows. */
bool trdi_step_layout_make(trdi_step_layout *layout, const trdi_network *network, const trdi_capacities *capacities);
bool trdi_result_layout_make(trdi_result_layout *layout, const trdi_capacities *capacities);
bool trdi_arena_layout_make(trdi_arena_layout *layout, const trdi_network *network, const trdi_capacities *capacities);
/** Host addresses of the step block's arrays. @param block  its first byte */
void trdi_step_layout_arrays(const trdi_step_layout *layout, const trdi_network *network, uint8_t *block, trdi_step_arrays *out);

/** The buffers that a plan's spans point into, and where things are in them. */
typedef struct trdi_places {
    trdi_capacities    capacities;
    void              *step, *result, *arena, *pool;
    trdi_step_layout   in_step;
    trdi_result_layout in_result;
    trdi_arena_layout  in_arena;
} trdi_places;

/** Lay out (not allocate) for capacities. @return TRD_E_MEMORY on overflow */
trd_status trdi_places_lay_out(trdi_places *places, const trdi_network *network, const trdi_capacities *capacities);

/* ---- Recording ---- */

/** Rows of activations. span.buffer NULL = absent. */
typedef struct trdi_rows {
    trdi_span span;
    int64_t   stride;
} trdi_rows;

/** Collects the operations of one plan. After a failure the rest is ignored and status tells why. */
typedef struct trdi_recorder {
    const trdi_network *network;
    const trdi_places  *places;
    trdi_stage stage;
    uint32_t   features;
    trdi_op   *ops;               /**< owned */
    size_t     n_ops, capacity_ops;
    trd_status status;
    const trdi_stack_desc *stack; /**< being recorded */
    int64_t    layer;             /**< being recorded; -1 = outside of layers */
    const char *part;             /**< of the layer, for messages */
} trdi_recorder;

/** Add one operation; asks the back end whether it takes it. */
void trdi_record(trdi_recorder *recorder, const trdi_op *op);

trdi_span trdi_in_step(const trdi_recorder *recorder, size_t offset);
trdi_span trdi_in_result(const trdi_recorder *recorder, size_t offset);
trdi_rows trdi_in_arena(const trdi_recorder *recorder, size_t offset, int64_t stride);
/** The same rows from another column on. */
trdi_rows trdi_columns(trdi_rows rows, int64_t first);
/** Residual stream and sublayer input of the stack being recorded. */
trdi_rows trdi_hidden(const trdi_recorder *recorder);
trdi_rows trdi_normed(const trdi_recorder *recorder);

/** What trdi_record_norm() does besides; zero fields = nothing. */
typedef struct trdi_norm_extra {
    trdi_rows residual;
    float     scale;       /**< 0 = 1 */
    int64_t   n_groups;    /**< 0 = 1 */
} trdi_norm_extra;
/** y = (norm(x) + residual) * scale, over groups of width columns. Nothing is recorded for an absent norm. */
void trdi_record_norm(trdi_recorder *recorder, trdi_count count, const trdi_norm *norm, int64_t width, trdi_rows x, trdi_rows y,
                      trdi_norm_extra extra);

typedef struct trdi_linear_extra {
    trdi_rows multiplier, residual;
    trdi_activation activation;
} trdi_linear_extra;
static inline trdi_rows trdi_no_rows(void) { return (trdi_rows){ { NULL, 0 }, 0 }; }
static inline trdi_linear_extra trdi_linear_residual(trdi_rows residual)
{
    return (trdi_linear_extra){ .residual = residual, .activation = TRDI_ACTIVATION_NONE };
}
void trdi_record_linear(trdi_recorder *recorder, trdi_count count, const trdi_linear *linear, trdi_rows x, trdi_rows y,
                        trdi_linear_extra extra);

/** A sublayer without its norm: y = f(x) + residual (may be absent). y is neither projected, context nor ffn. */
typedef void trdi_sublayer(trdi_recorder *recorder, const trdi_layer_desc *layer, trdi_rows x, trdi_rows y, trdi_rows residual);
trdi_sublayer trdi_record_self_attention, trdi_record_cross_attention;
/** For the layer: project the encoder's output (x, normalised) to memory keys and values and store them. */
void trdi_record_memory(trdi_recorder *recorder, const trdi_layer_desc *layer, trdi_rows x);
/** Tokens to the residual stream, and all layers. */
void trdi_record_stack(trdi_recorder *recorder, const trdi_stack_desc *stack);

/** Record a whole stage. @param out  ops owned by the caller (trdi_free) */
trd_status trdi_record_stage(trdi_recorder *recorder, const trdi_network *network, const trdi_places *places,
                             trdi_stage stage, uint32_t features);

/* ---- Helpers on descriptions ---- */

static inline bool trdi_attention_is_merged(const trdi_attention_desc *attention) { return attention->memory_kv.weight != NULL; }
static inline bool trdi_layer_has_second_norm(const trdi_layer_desc *layer)
{
    return layer->form == TRDI_LAYER_PARALLEL_TWO && layer->norms[1].gamma != NULL;
}
/** Elements of a query, and of a key or value, per token. */
static inline int64_t trdi_query_width(const trdi_attention_desc *a) { return a->n_heads * a->head_dim; }
static inline int64_t trdi_key_width(const trdi_attention_desc *a) { return a->n_heads_kv * a->head_dim; }
/** Rows of a linear layer's weight. */
static inline int64_t trdi_linear_out(const trdi_linear *linear) { return trdi_tensor_rows(linear->weight); }

#endif
