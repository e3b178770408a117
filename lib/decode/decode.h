/*
 * decode.h: what api asks of decode. A *job* is one or more examples that end together; decode encodes them, searches or
 * scores, and leaves hypotheses in ids. It knows ids only: texts, files and results of the public interface belong to api.
 */
#ifndef TRDI_DECODE_H
#define TRDI_DECODE_H

#include "decode/random.h"
#include "nn/network.h"
#include "sched/sched.h"
#include "treadle/trd_translator.h"

/** Sequences of ids, back to back. */
typedef struct trdi_id_lists {
    int64_t  n;
    int64_t *starts;   /**< [n + 1] */
    int32_t *ids;      /**< [starts[n]] */
} trdi_id_lists;

/** Options of a search, resolved to ids and checked. Shared by the jobs of a call; borrowed until they are done. */
typedef struct trdi_search {
    int64_t  beam_size, num_hypotheses;
    float    patience, length_penalty, coverage_penalty, repetition_penalty;
    int64_t  no_repeat_ngram_size;
    int64_t  max_length, min_length;  /**< steps; prefix tokens count */
    bool     return_end_token, return_scores, return_logits, return_attention, return_alternatives;
    bool     wants_events;            /**< a callback watches the tokens: greedy search */
    float    min_alternative_probability;
    float    prefix_bias_beta;
    int64_t  sampling_topk;           /**< 1 = take the best, also when the temperature is 0 */
    float    sampling_topp, sampling_temperature;
    uint64_t seed;
    trd_rng  rng;
    trdi_mt19937 *generator;          /**< MT19937: one stream for all jobs, which then run one after the other; NULL = one for each job */
    int32_t  unk_id;                  /**< forbidden when >= 0 */
    int32_t *end_ids;                 /**< [n_end_ids] */
    int64_t  n_end_ids;
    trdi_id_lists suppressed;         /**< sequences, none empty */
} trdi_search;

/** One finished hypothesis. All arrays owned: trdi_hypothesis_free(). */
typedef struct trdi_hypothesis {
    int64_t  n_tokens;
    int32_t *ids;            /**< [n_tokens] */
    float   *token_scores;   /**< [n_tokens] log-probabilities, 0 for forced tokens */
    float    score;          /**< normalised */
    float   *attention;      /**< [n_tokens][n_memory], or NULL */
    int64_t  n_logits;       /**< steps */
    float   *logits;         /**< [n_logits][vocabulary], or NULL */
    int64_t  sample;         /**< its number among the samples drawn, before sorting */
    int64_t  n_head;         /**< alternatives: tokens before the continuation; they don't count for normalisation */
    float    head_score;     /**< alternatives: added to the normalised score of the continuation */
} trdi_hypothesis;
void trdi_hypothesis_free(trdi_hypothesis *hypothesis);

/** One sequence to translate or score. The first part is borrowed until the job is done, the second is filled. */
typedef struct trdi_example {
    int64_t        index;                    /**< place in the call: keys the random numbers, names events */
    int64_t        n_source;                 /**< source tokens, special ones included, >= 1 */
    const int32_t *source[TRDI_MAX_FEATURES];/**< [n_source] each */
    int64_t        n_target;                 /**< decoder start and forced or preferred prefix (scoring: all tokens), >= 1 */
    const int32_t *target;
    const uint32_t *allowed;                 /**< bits of the vocabulary map's ids, or NULL = all */
    int64_t        n_allowed;                /**< bits set */
    atomic_llong  *stop_after;               /**< with events: [num_hypotheses] last step to keep, -1 = none; set by the owner */

    trdi_hypothesis *hypotheses;             /**< [n_hypotheses]; owned: trdi_example_clear() */
    int64_t        n_hypotheses;
    int64_t        n_memory;                 /**< columns of attention */
} trdi_example;
/** Free what was filled. */
void trdi_example_clear(trdi_example *example);

/** A token just chosen, for callbacks. Owned by whoever takes it off the queue: trdi_free(). */
typedef struct trdi_event {
    struct trdi_event *next;
    int64_t example, hypothesis, step;
    int32_t token;
    float   log_prob;
    bool    is_last;
    int64_t n_logits;
    float   logits[];        /**< [n_logits] */
} trdi_event;

/** Events of a call, oldest first; guarded by the call's mutex. */
typedef struct trdi_event_queue {
    trdi_event *first, *last;
} trdi_event_queue;

typedef enum trdi_job_kind { TRDI_JOB_SEARCH, TRDI_JOB_SCORE } trdi_job_kind;

/** Zero-initialise; fill base.call, kind, search (SEARCH only), examples; submit &base. */
typedef struct trdi_decode_job {
    trdi_job       base;
    trdi_job_kind  kind;
    const trdi_search *search;
    trdi_example  *examples;      /**< [n_examples]; mt19937: in the order of the draws */
    int64_t        n_examples;
    trdi_event_queue *events;     /**< with search->wants_events */
    int64_t       *n_reported;    /**< private to the engine; with events: [n_examples][num_hypotheses] steps told, which are not told again */
} trdi_decode_job;
/** Free what the engine left in a job that has ended; a job that ended on its way from one worker to another still has some. */
void trdi_decode_job_clear(trdi_decode_job *job);

/**
 * Turn the raw samples of a greedy example into its result: cut after stop_after, score, sort, strip end tokens. The engine has done
 * so itself unless search->wants_events, when the owner calls it after the last callback.
 */
void trdi_finish_samples(trdi_example *example, const trdi_search *search);

/** How the engines of a translator are made. */
typedef struct trdi_engine_setup {
    trdi_network *network;
    trdi_device  *device;
    int32_t       n_threads;
    int64_t       first_core;   /**< of worker 0, the next ones follow by n_threads; -1: threads are not pinned */
    int64_t       max_rows;
    /**
     * Of the device, shared by all its engines: their buffers are counted in it and stay within its limit, jobs wait, or begin anew, where that
     * is too little for all. trdi_memory_budget_empty() makes idle engines give back everything, the others as soon as they are idle.
     * NULL = none. Borrowed.
     */
    trdi_memory_budget *budget;
} trdi_engine_setup;
/** For trdi_worker_setup.open: context is a trdi_engine_setup, borrowed until the scheduler is destroyed. */
trd_status trdi_engine_open(void *context, const trdi_worker_info *worker, void **executor);
extern const trdi_executor_ops trdi_engine_ops;

#endif
