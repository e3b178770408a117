/*
 * group.h: one example while it is being decoded: its rows, their block tables, and the record of what was chosen.
 * A group adds its segments to the step builder, and advances by what the step selected. Used by the engine alone.
 */
#ifndef TRDI_GROUP_H
#define TRDI_GROUP_H

#include "decode/decode.h"

/** A value no score reaches: the lowest finite f32. */
#define TRDI_LOWEST (-3.4028234663852886e38f)
/** Score of beams that exist only to fill the ranks while a prefix is forced. */
#define TRDI_FILLER_SCORE (-1e10f)

/** Encoded source of one example; shared by the alternatives of an example. */
typedef struct trdi_memory_cache {
    int32_t *blocks;      /**< [n_blocks] */
    int64_t  n_blocks, n_positions, uses;
} trdi_memory_cache;

/** One hypothesis being extended. */
typedef struct trdi_row {
    int32_t *history;     /**< tokens chosen in the loop, forced ones included, the start token not */
    size_t   history_capacity;
    int64_t  n_history;
    int32_t *blocks;      /**< block table */
    size_t   blocks_capacity;
    int64_t  n_blocks, n_cached;
    int32_t  input;       /**< token to feed next */
    int32_t  node;        /**< last token's node; -1 = none yet */
    float    score;       /**< cumulative */
    int64_t  sample;      /**< SAMPLES: number of the sample */
    int64_t  planned_in;  /**< number of the builder in which its segment is; what follows holds for that one */
    int64_t  n_new;       /**< positions of n_cached that the segment adds */
    int32_t  replaced;    /**< block whose copy the row now has; -1 = none */
} trdi_row;

/** One chosen token; hypotheses are chains of nodes. */
typedef struct trdi_node {
    int32_t parent;       /**< -1 = first */
    int32_t token;
    int32_t evidence;     /**< line of attention and logits of the step that chose it */
    float   score;        /**< its log-probability; 0 if forced */
} trdi_node;

typedef struct trdi_finished {
    int32_t node;
    float   score;        /**< cumulative */
} trdi_finished;

typedef enum trdi_group_kind {
    TRDI_GROUP_SAMPLES,   /**< greedy: independent rows */
    TRDI_GROUP_BEAM,
    TRDI_GROUP_EXPAND,    /**< alternatives: one step, then a group of its own for each survivor */
    TRDI_GROUP_SCORE
} trdi_group_kind;

/** An admitted job. */
typedef struct trdi_engine_job {
    trdi_decode_job *job;
    int64_t  n_groups;         /**< not yet over, waiting ones included */
    int64_t  n_unencoded;
    bool     in_lockstep;      /**< mt19937: all groups begin together and force one token a step, so that draws keep their order */
    trdi_mt19937 *generator;   /**< with in_lockstep; the job's own unless the search has one */
    trdi_mt19937 *kept;        /**< with in_lockstep: [2] the generator at admission, and before the step being planned */
    int64_t  kept_in;          /**< builder before which kept[1] was taken */
    int64_t  traced_in;        /**< last span of a trace that counts it */
    struct trdi_engine_job *previous, *next;   /**< in the engine's list */
    bool     ending;           /**< is about to be completed */
    bool     begun_anew;       /**< its old groups are being dropped */
    bool     is_held;          /**< waits, or has had all memory to itself: nobody else is admitted meanwhile */
    bool     waiting;          /**< begun anew when memory was short: takes no part until another job has ended */
    int32_t  n_alone;          /**< times it has begun anew with all memory to itself: if that does not do, it fails */
    trd_status status;         /**< first failure: the engine drops the job */
    char     error[TRDI_ERROR_BYTES];
} trdi_engine_job;

typedef struct trdi_group {
    trdi_engine_job *job;
    trdi_example    *example;
    const trdi_search *search;      /**< NULL for SCORE */
    trdi_group_kind  kind;
    trdi_memory_cache *memory;
    bool      encoded, over;
    bool      planned;              /**< takes part in the step being run */
    bool      left_out;             /**< not, for want of memory */
    int64_t   slot;                 /**< alternatives: which hypothesis; else 0 */

    const int32_t *prefix;          /**< forced or preferred tokens after the start token */
    int64_t   n_prefix;
    bool      biased;               /**< the prefix is a preference, still followed by some beam */
    int64_t   limit, min_length;    /**< steps */
    int64_t   branch_step;          /**< SAMPLES: step at which the rows part */
    int64_t   first_step;           /**< alternatives: steps taken before, for events */
    int64_t   n_wanted;             /**< hypotheses to return */

    trdi_row *rows, *spare;         /**< [row_capacity] each; spare: BEAM */
    int64_t   row_capacity, n_rows;
    int64_t   step;

    trdi_node *nodes;
    size_t    nodes_capacity;
    int32_t   n_nodes;
    int32_t   n_head;               /**< alternatives: nodes 0 .. n_head-1 are the head */
    float     head_score;
    bool      keeps_attention, keeps_logits;
    float    *attention;            /**< [n_evidence][memory->n_positions] */
    float    *logits;               /**< [n_evidence][vocabulary] */
    size_t    attention_capacity, logits_capacity;
    int32_t   n_evidence;
    int64_t   n_vocabulary;         /**< columns of logits */

    trdi_finished *finished;        /**< BEAM */
    size_t    finished_capacity;
    int64_t   n_finished;
    bool      top_done;
    bool     *diverged;             /**< [beam_size] */
    int32_t  *kept;                 /**< [beam_size] scratch: candidate of each slot */

    /* Plan of the step being built. */
    int64_t   forced;               /**< prefix tokens this step forces */
    bool      selects;
    int64_t   token_base, output_base, candidate_base, n_candidates;
} trdi_group;

/** What the groups of a step add up to. Arrays are the engine's and are reused. */
typedef struct trdi_builder {
    trdi_runner *runner;
    const trdi_network_info *info;
    uint32_t features;
    trdi_step_sizes sizes;
    int32_t *ids, *token_rows, *positions;      size_t ids_capacity, token_rows_capacity, positions_capacity;
    int32_t *key_counts, *table_offsets, *memory_offsets, *memory_counts;
    size_t   key_counts_capacity, table_offsets_capacity, memory_offsets_capacity, memory_counts_capacity;
    int32_t *table;                             size_t table_capacity;
    int32_t *outputs;                           size_t outputs_capacity;
    trdi_edit *edits;                           size_t edits_capacity;
    int32_t *edit_starts;                       size_t edit_starts_capacity;   /**< start of each output's edits */
    int32_t *masks;                             size_t masks_capacity;
    const uint32_t **mask_lines;                size_t mask_lines_capacity;
    trdi_row_norm *row_norms;                   size_t row_norms_capacity;
    float   *row_scores;                        size_t row_scores_capacity;
    trdi_selection *selections;                 size_t selections_capacity;
    float   *noise;                             size_t noise_capacity;
    int32_t *given;                             size_t given_capacity;
    int32_t *copies;                            size_t copies_capacity;
    int32_t *seen;                              /**< [vocabulary] stamps, to find distinct tokens */
    int32_t  stamp;
    int64_t  number;                            /**< counts resets, so that rows know what belongs to this step */
    int64_t  feed_left;                         /**< tokens of prefixes and targets that the step may still take along */
    bool     pool_is_full;                      /**< growth of the pool has failed: not tried again until a job has ended */
    char     full_text[TRDI_ERROR_BYTES];       /**< why */
} trdi_builder;

/* group.c: life, rows, blocks, record */
/** @param parent  the expanded group whose alternative this one continues, or NULL */
trd_status trdi_group_create(trdi_engine_job *job, trdi_example *example, trdi_group *parent, trdi_group **out);
/** Gives its blocks back to the runner. */
void       trdi_group_destroy(trdi_group *group, trdi_runner *runner);
/** Drop the rows' blocks when no more of them is needed. */
void       trdi_group_release_rows(trdi_group *group, trdi_runner *runner);
/** Make a row a copy of another: tables share blocks. dst must hold nothing. */
trd_status trdi_row_fork(trdi_row *dst, const trdi_row *src, trdi_runner *runner);
void       trdi_row_release(trdi_row *row, trdi_runner *runner);
trd_status trdi_row_append_history(trdi_row *row, int32_t token);
/** Add a node. @return its number in *out */
trd_status trdi_group_add_node(trdi_group *group, int32_t parent, int32_t token, int32_t evidence, float score, int32_t *out);
/** Copy the attention and logits lines of the step just run. @return first line in *base */
trd_status trdi_group_record_evidence(trdi_group *group, trdi_builder *builder, const trdi_step_results *results, int32_t *base);
bool       trdi_is_end(const trdi_search *search, int32_t token);
/** Fail the group's job with the calling thread's last error; the engine drops it after the step. */
void       trdi_group_fail(trdi_group *group, trd_status status);

/* step_build.c: what all kinds share when they add to the builder */
void       trdi_builder_reset(trdi_builder *builder);
/** Free what it has collected; it stays usable. */
void       trdi_builder_shrink(trdi_builder *builder);
void       trdi_builder_destroy(trdi_builder *builder);
/** Make sure n blocks can be taken. TRD_E_MEMORY leaves pool_is_full set. */
trd_status trdi_builder_reserve_blocks(trdi_builder *builder, int64_t n);
/** Undo what planning did to a group's rows. The builder's content is the caller's to drop. */
void       trdi_group_unplan(trdi_group *group, trdi_builder *builder);
/** Add a segment of n tokens for a row: takes and copies blocks as needed. */
trd_status trdi_builder_add_segment(trdi_builder *builder, trdi_group *group, trdi_row *row, const int32_t *tokens, int64_t n);
/** Want the logits of token (index in the step); history is what the rules look at, at decoding step step. */
trd_status trdi_builder_add_output(trdi_builder *builder, trdi_group *group, int64_t token, const int32_t *history, int64_t n_history,
                                   int64_t step, trdi_row_norm norm, float row_score);
trd_status trdi_builder_add_selection(trdi_builder *builder, const trdi_selection *selection);
/** Move everything into the runner's step block. */
trd_status trdi_builder_begin(trdi_builder *builder);

/* logits_rules.c: penalties and bans as edits of one output */
trd_status trdi_add_edits(trdi_builder *builder, const trdi_group *group, int32_t output, const int32_t *history, int64_t n_history, int64_t step);

/* search.c: what the kinds share */
/** Has it a prefix or target before it that is fed in pieces? In lockstep none is: the order of draws would depend on the pieces. */
bool       trdi_group_feeds(const trdi_group *group);
/** Has the step room for a piece of what a group feeds? */
bool       trdi_builder_can_feed(const trdi_builder *builder, const trdi_group *group);
/** Take room for a piece of at most n tokens. @param n_outputs  logits that each token makes. @return its length, >= 1 */
int64_t    trdi_builder_feed(trdi_builder *builder, int64_t n, int64_t n_outputs);
trd_status trdi_group_plan(trdi_group *group, trdi_builder *builder);
/** @param children  EXPAND puts new groups here (room for n_wanted); the engine takes them over */
trd_status trdi_group_advance(trdi_group *group, trdi_builder *builder, const trdi_step_results *results,
                              trdi_group **children, int64_t *n_children);
/** Next uniform number for the group's search: of the job's stream, or by key. */
double     trdi_group_uniform(const trdi_group *group, int64_t sample, int64_t step);
/** Add one row's segment and, with selects, its output; a single row also takes the forced tokens along. */
trd_status trdi_plan_rows(trdi_group *group, trdi_builder *builder, trdi_row_norm (*norm_of)(const trdi_group *group, int64_t row));
/** Record the forced tokens of the step just run on the single row. */
trd_status trdi_take_forced(trdi_group *group, int32_t evidence);
/** Line of evidence of a row in the step just run. */
int32_t    trdi_row_evidence(const trdi_group *group, int32_t evidence, int64_t row);
/** Entries of a row that may be chosen. */
int64_t    trdi_group_choices(const trdi_group *group);

/* search_samples.c, search_beam.c, search_expand.c, search_score.c: one kind each */
trd_status trdi_plan_samples(trdi_group *group, trdi_builder *builder);
trd_status trdi_advance_samples(trdi_group *group, trdi_builder *builder, const trdi_step_results *results, int32_t evidence);
trd_status trdi_plan_beam(trdi_group *group, trdi_builder *builder);
trd_status trdi_advance_beam(trdi_group *group, trdi_builder *builder, const trdi_step_results *results, int32_t evidence);
trd_status trdi_plan_expand(trdi_group *group, trdi_builder *builder);
trd_status trdi_advance_expand(trdi_group *group, trdi_builder *builder, const trdi_step_results *results, int32_t evidence,
                               trdi_group **children, int64_t *n_children);
trd_status trdi_plan_score(trdi_group *group, trdi_builder *builder);
trd_status trdi_advance_score(trdi_group *group, const trdi_step_results *results);

/* finish.c: from chains of nodes to hypotheses */
/** Raw hypothesis of the chain that ends in node. */
trd_status trdi_build_hypothesis(const trdi_group *group, int32_t node, trdi_hypothesis *out);
/** Normalise hypothesis->score (cumulative on entry) and strip end tokens. */
void trdi_finish_hypothesis(trdi_hypothesis *hypothesis, int64_t n_memory, const trdi_search *search);
/** Best n_wanted of the finished beams into the example. */
trd_status trdi_finish_beams(trdi_group *group);

#endif
