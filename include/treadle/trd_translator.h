/**
 * @file
 * trd_translator.h: translate and score with encoder-decoder Transformers.
 *
 * A trd_translator owns workers: each is one host thread with one queue of a device and one decoding engine. Calls are
 * cut into jobs (one per sequence) which the workers run together, whatever call they came from. Any number of threads
 * may call one translator.
 */
#ifndef TRD_TRANSLATOR_H
#define TRD_TRANSLATOR_H

#include "trd_base.h"
#include "trd_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A list of token sequences, in one of three forms: set tokens, or bytes with byte_lengths, or ids.
 * Everything is borrowed for the call. Start from zeros: { .n = ..., .lengths = ..., .tokens = ... }.
 */
typedef struct trd_sequences {
    int64_t            n;            /**< sequences */
    const int64_t     *lengths;      /**< [n] tokens of each, >= 0 */
    const char *const *tokens;       /**< [sum of lengths] NUL-terminated UTF-8, or NULL */
    const char        *bytes;        /**< all tokens' UTF-8 back to back, or NULL */
    const int64_t     *byte_lengths; /**< [sum of lengths] bytes of each token in bytes */
    const int32_t     *ids;          /**< [sum of lengths][features] token ids, or NULL; features is 1 but for source factors */
    const void        *reserved[2];  /**< NULL; room for later forms */
} trd_sequences;

/** How a translator is set up. Start from trd_translator_options_init(). */
typedef struct trd_translator_options {
    size_t      struct_size;         /**< bytes; set by the init function */
    /**
     * "cpu" (default), "opencl", "gpu", "auto", "cpu:0", a part of a device's name; TREADLE_DEVICE replaces the default. Or a list, "cpu,opencl",
     * whose devices then share the work; one named twice has twice the workers. Kinds of device differ in rounding, and by default perhaps in compute
     * type: which of them ran an example is then seen in its result.
     */
    const char *device;
    /**
     * "default" (default), "auto", "float32", "float", "int8", "int8_float32", "int16", "float16" ... For several devices also by kind or device:
     * "cpu:float32,opencl:1:int8"; an entry without a name is for those that no other one names, which is "default" if there is none. What no device
     * is named by is passed over.
     */
    const char *compute_type;
    int32_t     inter_threads;       /**< workers for each device of the list; default 1; >= 1 */
    int32_t     intra_threads;       /**< threads of each worker; 0 (default): OMP_NUM_THREADS, else min(4, cores allowed) */
    int32_t     max_queued_batches;  /**< bound of the backlog in jobs waiting: 0 (default) automatic, > 0 exact, < 0 unbounded */
    int32_t     cpu_core_offset;     /**< >= 0 pins the threads of worker i from core offset + i * intra_threads on; -1 (default) does not pin */
    int64_t     max_batch_rows;      /**< hypotheses a worker advances together; default 256; 1 .. 1048576 */
    const char *cache_dir;           /**< where prepared weights are kept; NULL (default): TREADLE_CACHE, else the user's cache folder; "" keeps none */
    /**
     * "auto" (default): "reproducible" on devices of CPU type, "fast" on others. "reproducible": a result's bits depend on neither the
     * rest of the batch nor the number of threads. "fast": large products may go to a vendor's library, which chooses by shape.
     */
    const char *numerics;
    const char *policy;              /**< who takes the next work: "throughput" (NULL, default), "latency", "round-robin" (docs/serving.md); an unknown name is refused with the list */
    int64_t     memory_limit;        /**< bytes of each device for weights, keys and values, and steps together: work waits where it is short; 0 (default): none */
} trd_translator_options;

/** Fill in the defaults. @param size  sizeof(trd_translator_options) as the caller was compiled */
TRD_API void trd_translator_options_init(trd_translator_options *options, size_t size);

/**
 * Translates and scores. Any thread may use it. A child of fork() may too if all its devices are the CPU: it shares the weights and gets workers of its
 * own at its first call, whatever the parent was doing. Other devices' drivers do not survive a fork: there everything but trd_translator_destroy() is
 * TRD_E_FORKED in the child, and the fork must come before anything here asks for devices.
 */
typedef struct trd_translator trd_translator;

/**
 * Prepare a model for a device and start its workers.
 *
 * @param model    borrowed for the call; what is needed of it is kept alive, so it may be closed at once
 * @param options  NULL for the defaults
 * @param out      owned: trd_translator_destroy()
 * @return TRD_OK; TRD_E_STATE if the model is no sequence-to-sequence model ("cannot be used as a translator");
 *         TRD_E_INVALID for an unknown device, compute type or numerics or a number out of range; TRD_E_UNSUPPORTED if the device
 *         lacks the compute type; TRD_E_MEMORY; TRD_E_DEVICE
 */
TRD_API trd_status trd_translator_create(trd_model *model, const trd_translator_options *options, trd_translator **out);

/**
 * Let work run to its end, stop the workers and free everything; after trd_translator_cancel_all() that takes a step. NULL does nothing. Waits for
 * calls that other threads are inside; no new one may begin, and it must not be called from a callback of a blocking call. Results stay valid. In a child of
 * fork() it frees what is the child's alone.
 */
TRD_API void trd_translator_destroy(trd_translator *translator);

/**
 * End all work: what waits ends at once with TRD_E_CANCELLED, what runs within a step. Does not wait for it. Later calls are TRD_E_STATE, until
 * trd_translator_load(). NULL does nothing. Threads: any, callbacks too.
 */
TRD_API void trd_translator_cancel_all(trd_translator *translator);

/**
 * Give back what the model takes on its devices. Nothing happens, and *done is false, while anything waits or runs, while a thread is inside a call, and for
 * to_host with the CPU as the only kind of device. Calls are TRD_E_STATE then, until trd_translator_load().
 *
 * @param to_host  keep the model's weights mapped in the host's memory, so that loading needs no file; else a copy so kept goes too
 * @param done     NULL, or whether it was done; unloading twice is
 */
TRD_API trd_status trd_translator_unload(trd_translator *translator, bool to_host, bool *done);
/**
 * Undo trd_translator_unload() or trd_translator_cancel_all(); nothing to do while loaded. Waits while another thread loads or unloads.
 *
 * @param keep_host  keep what trd_translator_unload() kept on the host; else it goes
 * @return what trd_translator_create() returns; TRD_E_IO if the model's file has changed since it was opened; TRD_E_BUSY while calls that were
 *         cancelled have not returned. After a failure it stays unloaded and may be tried again
 */
TRD_API trd_status trd_translator_load(trd_translator *translator, bool keep_host);
/**
 * Give back what steps have taken beside the weights: keys and values, activations. Idle workers do so at once, the others when they have run out of
 * work. It comes back as needed.
 */
TRD_API trd_status trd_translator_empty_cache(trd_translator *translator);

/** What a translator runs on. Strings live as long as the translator. */
typedef struct trd_translator_info {
    size_t      struct_size;        /**< set by the caller */
    const char *device;             /**< "cpu:0"; the first of several, as with what follows */
    const char *device_name;        /**< as the vendor writes it */
    const char *compute_type;       /**< in effect, e.g. "float32" */
    const char *compute_type_note;  /**< why it differs from the stored type; "" if it does not */
    int32_t     n_workers;          /**< over all devices */
    int32_t     n_threads;          /**< of each worker */
    int64_t     n_queued;           /**< jobs waiting at this moment */
    int64_t     n_active;           /**< jobs waiting or running at this moment */
    bool        weights_from_cache; /**< the prepared weights were mapped from the cache file */
    int64_t     n_devices;          /**< devices, each once: trd_translator_get_device_info() */
    bool        is_loaded;          /**< false after trd_translator_unload() */
} trd_translator_info;
/** Fill info. @param info  struct_size set by the caller; that many bytes are filled. Threads: any. */
TRD_API trd_status trd_translator_get_info(trd_translator *translator, trd_translator_info *info);

/** A device of a translator at this moment. Strings live as long as the translator. */
typedef struct trd_translator_device_info {
    size_t      struct_size;        /**< set by the caller */
    const char *device;             /**< "cpu:0" */
    const char *device_name;        /**< as the vendor writes it */
    const char *compute_type;       /**< in effect, of the last loading */
    const char *compute_type_note;  /**< why it differs from the stored type; "" if it does not */
    bool        weights_from_cache; /**< the prepared weights were mapped from the cache file */
    int32_t     n_workers;          /**< inter_threads, as often as the device was named */
    int32_t     n_retired;          /**< of these: their device failed for good, others do their work */
    char        retired_reason[256];/**< of one of these; "" if there is none */
    int64_t     n_running;          /**< jobs that its workers have */
    int64_t     n_done;             /**< jobs ended by them since they were started, however */
    int64_t     tokens_done;        /**< estimate of the tokens of those that succeeded: sources and outputs */
    double      busy_seconds;       /**< spent in steps, all workers */
    double      tokens_per_second;  /**< of late, while busy, all workers, in the same tokens; 0 = not known */
    int64_t     weight_bytes;       /**< prepared weights, 0 while unloaded; on the CPU those of a cache file are mapped, not allocated */
    int64_t     kv_bytes;           /**< pools of keys and values */
    int64_t     step_bytes;         /**< activations and what steps are told */
    int64_t     used_bytes;         /**< all three */
    int64_t     peak_bytes;         /**< most of these since the translator was made */
    int64_t     limit_bytes;        /**< memory_limit; 0 = none */
    int64_t     kv_blocks;          /**< blocks that the pools hold */
    int64_t     kv_blocks_in_use;   /**< of these */
} trd_translator_device_info;
/** Fill info. @param device  0 .. n_devices-1, else TRD_E_RANGE  @param info  struct_size set by the caller. Threads: any. */
TRD_API trd_status trd_translator_get_device_info(trd_translator *translator, int64_t device, trd_translator_device_info *info);

/** What a translator's backlog holds, and what became of all jobs since the translator was made. A job is an example. */
typedef struct trd_translator_counters {
    size_t  struct_size;       /**< set by the caller */
    int64_t n_queued;          /**< waiting, at this moment */
    int64_t n_running;         /**< running, at this moment */
    int64_t n_submitting;      /**< of threads and file runs that wait for room in the backlog, at this moment */
    int64_t n_submitted;       /**< ever */
    int64_t n_succeeded;       /**< ended with a result */
    int64_t n_failed;          /**< ended for another reason than the next two */
    int64_t n_cancelled;       /**< TRD_E_CANCELLED */
    int64_t n_expired;         /**< TRD_E_TIMEOUT */
    int64_t n_redone;          /**< times that a job was given to another worker, because a device failed */
} trd_translator_counters;
/** Fill counters. @param counters  struct_size set by the caller. Threads: any. */
TRD_API trd_status trd_translator_get_counters(trd_translator *translator, trd_translator_counters *counters);

/** How uniform numbers for sampling are made. */
typedef enum trd_rng {
    TRD_RNG_PHILOX = 0,   /**< counter-based; keyed by (seed, place in the call, hypothesis, step): independent of batching */
    TRD_RNG_MT19937 = 1   /**< the draws of CTranslate2 for one call on a fresh object with one worker; its batches run one after the other */
} trd_rng;

/** One token just chosen, for callbacks. Strings and arrays are borrowed for the call. */
typedef struct trd_step_result {
    int64_t      step;           /**< index of the decoding step, forced prefix included */
    int64_t      example;        /**< index in the caller's batch */
    int64_t      hypothesis;     /**< 0 .. num_hypotheses-1 when several samples are drawn */
    int32_t      token_id;       /**< the token chosen */
    const char  *token;          /**< its text */
    bool         has_log_prob;   /**< only with return_scores */
    float        log_prob;       /**< of this token; 0 for a forced one */
    const float *logits;         /**< [n_logits] with return_logits, else NULL */
    int64_t      n_logits;       /**< size of the vocabulary with return_logits, else 0 */
    bool         is_last;        /**< this hypothesis ends here */
} trd_step_result;

/**
 * Called once per token in greedy decoding, on the thread that made the call and waits for it, never on a worker.
 * @return true ends this hypothesis with the token just reported; the others go on
 */
typedef bool (*trd_step_callback)(void *context, const trd_step_result *step);

/** How to decode. Start from trd_decoding_options_init(); the defaults are those of CTranslate2's translate_batch. */
typedef struct trd_decoding_options {
    size_t   struct_size;           /**< bytes; set by the init function */
    int64_t  beam_size;             /**< 2; 1 is greedy */
    float    patience;              /**< 1; > 0; round(beam_size * patience) finished hypotheses end a beam search */
    int64_t  num_hypotheses;        /**< 1 */
    float    length_penalty;        /**< 1; exponent of the length that divides the score */
    float    coverage_penalty;      /**< 0 */
    float    repetition_penalty;    /**< 1; > 0 */
    int64_t  no_repeat_ngram_size;  /**< 0 is off */
    bool     disable_unk;           /**< false */
    bool     return_end_token;      /**< false */
    bool     use_vmap;              /**< false; true restricts outputs to the model's vocabulary map, if it has one */
    bool     replace_unknowns;      /**< false */
    bool     return_scores;         /**< false */
    bool     return_logits;         /**< false */
    bool     return_attention;      /**< false */
    bool     return_alternatives;   /**< false; expand the position after the prefix into num_hypotheses alternatives */
    float    min_alternative_expansion_prob; /**< 0 */
    float    prefix_bias_beta;      /**< 0; in (0, 1): the prefix is a preference, not a constraint */
    int64_t  max_input_length;      /**< 1024 tokens, special ones included; 0 is off */
    int64_t  max_decoding_length;   /**< 256 */
    int64_t  min_decoding_length;   /**< 1 */
    int64_t  sampling_topk;         /**< 1 takes the best; 0 samples from all */
    float    sampling_topp;         /**< 1; in (0, 1] */
    float    sampling_temperature;  /**< 1; 0 takes the best */
    uint64_t seed;                  /**< 0; with has_seed */
    bool     has_seed;              /**< false: seeded by the operating system */
    trd_rng  rng;                   /**< TRD_RNG_PHILOX */
    trd_sequences suppress_sequences; /**< .n = 0; tokens must be in the vocabulary */
    bool     has_end_tokens;        /**< false: the model's end token */
    trd_sequences end_tokens;       /**< one sequence (.n = 1) with any number of tokens, also none */
    trd_step_callback on_step;      /**< NULL; greedy only */
    void    *on_step_context;       /**< handed to on_step */
    int64_t  max_batch_size;        /**< 0: the call is one batch. Nothing but the order of TRD_RNG_MT19937's draws depends on it */
    bool     batch_by_tokens;       /**< false: max_batch_size counts examples */
} trd_decoding_options;
/** Fill in the defaults. @param size  sizeof(trd_decoding_options) as the caller was compiled */
TRD_API void trd_decoding_options_init(trd_decoding_options *options, size_t size);

/** How to score. Start from trd_scoring_options_init(). */
typedef struct trd_scoring_options {
    size_t  struct_size;       /**< bytes; set by the init function */
    int64_t max_input_length;  /**< 1024; 0 is off */
    int64_t offset;            /**< 0; leading output tokens left out; >= 0 */
} trd_scoring_options;
/** Fill in the defaults. @param size  sizeof(trd_scoring_options) as the caller was compiled */
TRD_API void trd_scoring_options_init(trd_scoring_options *options, size_t size);

/** Results of one call, in the caller's order. Immutable; owned: trd_results_destroy(). */
typedef struct trd_results trd_results;
/** The result of one example; borrowed from its trd_results. */
typedef struct trd_result trd_result;

/**
 * Translate a batch. Blocks until every example is done.
 *
 * @param source   sequences to translate; may hold empty ones
 * @param prefix   NULL, .n = 0, or at least one sequence per source: target tokens to start with
 * @param options  NULL for the defaults
 * @param out      owned
 * @return TRD_OK; TRD_E_INVALID for an option out of range, naming it; TRD_E_STATE; TRD_E_MEMORY. After a failure no result is
 *         returned and the translator stays usable.
 */
TRD_API trd_status trd_translator_translate(trd_translator *translator, const trd_sequences *source,
                                            const trd_sequences *prefix, const trd_decoding_options *options,
                                            trd_results **out);

/**
 * Log-probabilities of given targets (teacher forcing): one hypothesis per example with the target's tokens and the end
 * token, and trd_result_token_scores() for them.
 *
 * @param target  as many sequences as source, or more (the rest is ignored)
 */
TRD_API trd_status trd_translator_score(trd_translator *translator, const trd_sequences *source,
                                        const trd_sequences *target, const trd_scoring_options *options,
                                        trd_results **out);

/** Give results back, with everything that was borrowed from them. NULL does nothing. */
TRD_API void trd_results_destroy(trd_results *results);
/** Examples. */
TRD_API int64_t trd_results_count(const trd_results *results);
/** Result of example i; NULL if i is out of range. */
TRD_API const trd_result *trd_results_get(const trd_results *results, int64_t i);

/** Hypotheses, best first (scoring: 1). */
TRD_API int64_t trd_result_n_hypotheses(const trd_result *result);
/** Tokens of hypothesis h; 0 if h is out of range. */
TRD_API int64_t trd_result_n_tokens(const trd_result *result, int64_t h);
/** Ids of hypothesis h, [n_tokens]; NULL if h is out of range or it has no token. */
TRD_API const int32_t *trd_result_ids(const trd_result *result, int64_t h);
/** Text of token t of hypothesis h, unknown tokens replaced if that was asked; NULL if out of range. */
TRD_API const char *trd_result_token(const trd_result *result, int64_t h, int64_t t);
/** Were scores asked for (and the example run or empty)? */
TRD_API bool trd_result_has_scores(const trd_result *result);
/** Score of hypothesis h: normalised sum of log-probabilities. 0 if out of range or not asked for. */
TRD_API float trd_result_score(const trd_result *result, int64_t h);
/** Log-probabilities of the tokens of hypothesis h, [n_tokens]; scoring only, else NULL. */
TRD_API const float *trd_result_token_scores(const trd_result *result, int64_t h);
/** Attention of hypothesis h: [n_tokens][n_source] row-major; NULL if not asked for. @param n_source  the user's source tokens */
TRD_API const float *trd_result_attention(const trd_result *result, int64_t h, int64_t *n_source);
/** Logits after suppressions, [n_steps][n_vocabulary] row-major, one row per decoding step; NULL if not asked for. */
TRD_API const float *trd_result_logits(const trd_result *result, int64_t h, int64_t *n_steps, int64_t *n_vocabulary);

#ifdef __cplusplus
}
#endif
#endif /* TRD_TRANSLATOR_H */
