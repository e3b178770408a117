/**
 * @file
 * trd_future.h: requests that are awaited, watched, limited and cancelled.
 *
 * A submission returns one trd_future per example. Requests of any number of submissions and threads are computed together. A future is
 * owned by whoever got it: trd_future_release() once. Releasing does not cancel. Functions may be called from any thread, also at once, unless
 * they say otherwise. In a child of fork() every inherited future ends with TRD_E_FORKED.
 */
#ifndef TRD_FUTURE_H
#define TRD_FUTURE_H

#include "trd_translator.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One example on its way. */
typedef struct trd_future trd_future;

/**
 * The future is done. Runs on the library's notifier thread, never on a worker, one callback at a time, after trd_future_is_done() has become
 * true. May call the library, and release the future; must not wait for other futures for long, nor submit to a full backlog without
 * refuse_when_full: callbacks queue up behind it. Destroying a translator does not wait for callbacks: a context may go when on_done came for every future.
 * A process that ends drops callbacks that have not begun.
 */
typedef void (*trd_done_callback)(void *context, trd_future *future);

/** How far a submission is. */
typedef struct trd_progress {
    size_t  struct_size;       /**< set by the library to the bytes that it filled */
    int64_t n_done;            /**< examples that ended, however */
    int64_t n_examples;        /**< of the submission; of files: read so far */
    int64_t n_tokens;          /**< tokens of the (first) hypotheses done */
    double  seconds;           /**< since submission */
    double  tokens_per_second; /**< over all of that time */
    int64_t n_bytes;           /**< files: of the source, behind the examples done, estimated; else 0 */
    int64_t n_total_bytes;     /**< files: of the source; -1 not known; else 0 */
} trd_progress;
/** Called on the notifier thread, at most ten times a second, and at the end. The struct is borrowed for the call. */
typedef void (*trd_progress_callback)(void *context, const trd_progress *progress);

/** How requests are treated. Start from trd_submit_options_init(). */
typedef struct trd_submit_options {
    size_t  struct_size;       /**< bytes; set by the init function */
    int32_t priority;          /**< 0; -8 .. 8: higher ones begin first */
    double  timeout_seconds;   /**< 0: none; else what has not ended so long after submission ends with TRD_E_TIMEOUT, within a step */
    /** false: submission waits for room in the bounded backlog; true: TRD_E_BUSY, or TRD_E_RANGE for more than can ever wait, and nothing is submitted */
    bool    refuse_when_full;
    trd_done_callback on_done; /**< NULL; once per future */
    void   *on_done_context;   /**< handed to on_done */
    trd_progress_callback on_progress; /**< NULL */
    void   *on_progress_context; /**< handed to on_progress */
} trd_submit_options;
/** Fill in the defaults. @param size  sizeof(trd_submit_options) as the caller was compiled */
TRD_API void trd_submit_options_init(trd_submit_options *options, size_t size);

/**
 * Translate without waiting. Everything is copied: arguments may go when this returns. options->on_step, if set, runs on the notifier thread.
 *
 * @param options  NULL for the defaults
 * @param how      NULL for the defaults
 * @param futures  [source->n], each owned; NULL where this fails, which submits nothing. Set before room is waited for: another thread may cancel them
 * @return as trd_translator_translate() for bad arguments; TRD_E_BUSY; TRD_E_RANGE; TRD_E_STATE when unloaded. What goes wrong later is the future's status
 */
TRD_API trd_status trd_translator_submit(trd_translator *translator, const trd_sequences *source, const trd_sequences *prefix,
                                         const trd_decoding_options *options, const trd_submit_options *how, trd_future **futures);
/** The same for trd_translator_score(). */
TRD_API trd_status trd_translator_submit_score(trd_translator *translator, const trd_sequences *source, const trd_sequences *target,
                                               const trd_scoring_options *options, const trd_submit_options *how, trd_future **futures);

/**
 * Wait until the future is done.
 *
 * @param timeout_seconds  < 0: for ever; 0: only look
 * @return TRD_OK: it is done, with whatever status; TRD_E_TIMEOUT; TRD_E_FORKED. From a callback: TRD_E_STATE if it would have to wait
 */
TRD_API trd_status trd_future_wait(trd_future *future, double timeout_seconds);
/** Wait until all are done. NULL entries are done. */
TRD_API trd_status trd_future_wait_all(trd_future *const *futures, int64_t n, double timeout_seconds);
/** Wait until one is done. Looks at each of them: for thousands on_done is the better way. @param which  its index, the first if several are; NULL entries are passed over. TRD_E_INVALID when there is none */
TRD_API trd_status trd_future_wait_any(trd_future *const *futures, int64_t n, double timeout_seconds, int64_t *which);
/** Is it done, however it ended? */
TRD_API bool trd_future_is_done(trd_future *future);
/** How it ended: TRD_OK, or why not. TRD_E_STATE while it is not done. */
TRD_API trd_status trd_future_status(trd_future *future);
/** What went wrong, "" if nothing; borrowed, as long as the future lives. */
TRD_API const char *trd_future_error(trd_future *future);
/**
 * The result; does not wait.
 *
 * @param out  borrowed, immutable, as long as the future lives
 * @return TRD_OK; TRD_E_STATE while it is not done; else the future's status, with its text
 */
TRD_API trd_status trd_future_result(trd_future *future, const trd_result **out);
/**
 * Ask for the end: what waits ends at once with TRD_E_CANCELLED, what runs within one step. Done futures stay as they are. Tokens that were chosen
 * but not reported when the work ended are not reported any more; nor are they when its time is over.
 * Where several examples share random draws (TRD_RNG_MT19937) they end together.
 */
TRD_API void trd_future_cancel(trd_future *future);
/** Give it back. NULL does nothing. */
TRD_API void trd_future_release(trd_future *future);

#ifdef __cplusplus
}
#endif
#endif /* TRD_FUTURE_H */
