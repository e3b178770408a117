/**
 * @file
 * trd_file.h: translate and score text files, one example per line, streaming: memory is bounded whatever the file's size, chunks are spread
 * over all workers, the output keeps the order of the input.
 *
 * The output is written to a file beside its final place and renamed when everything is written: a run that fails, is cancelled or is killed leaves
 * an earlier output untouched. Output "-" is standard output.
 */
#ifndef TRD_FILE_H
#define TRD_FILE_H

#include "trd_future.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Takes the pieces that a tokenizer makes of a line. */
typedef struct trd_pieces trd_pieces;
/** Add one token. bytes: UTF-8, copied. TRD_E_MEMORY */
TRD_API trd_status trd_pieces_add(trd_pieces *pieces, const char *bytes, size_t n_bytes);

/**
 * Make tokens of a line, or a line of tokens (detokenize: the tokens back to back, n_tokens with their lengths; one call of trd_pieces_add()
 * with the text). Called on the thread that called the file function, in order.
 *
 * @return false stops the run with TRD_E_CANCELLED
 */
typedef bool (*trd_tokenize_callback)(void *context, const char *line, size_t n_bytes, trd_pieces *out);
typedef bool (*trd_detokenize_callback)(void *context, const char *const *tokens, int64_t n_tokens, trd_pieces *out);

/** What a file run did. */
typedef struct trd_execution_stats {
    size_t  struct_size;       /**< set by the caller */
    int64_t n_tokens;          /**< of first hypotheses (translating); of scores (scoring) */
    int64_t n_examples;        /**< lines */
    double  total_time_in_ms;  /**< reading, running and writing; opening files is not in it */
} trd_execution_stats;

/** How files are read and written. Start from trd_file_options_init(). */
typedef struct trd_file_options {
    size_t  struct_size;       /**< bytes; set by the init function */
    const char *source;        /**< path; "-" is standard input */
    const char *target;        /**< translating: prefixes, NULL for none; scoring: targets */
    const char *output;
    int64_t max_batch_size;    /**< 32; examples, or tokens, that chunks are cut by; >= 1 */
    int64_t read_batch_size;   /**< 0: 16 x max_batch_size, or 1 if that is 1; what is read at once, in the same unit */
    bool    batch_by_tokens;   /**< false */
    bool    with_scores;       /**< translating: "score ||| text"; scoring: the tokens' scores too */
    trd_tokenize_callback   tokenize_source, tokenize_target; /**< NULL: split at spaces */
    trd_detokenize_callback detokenize;                       /**< NULL: join by spaces */
    void   *tokenize_context;  /**< handed to all three */
    trd_progress_callback on_progress; /**< NULL; on the calling thread */
    void   *on_progress_context;
    const volatile int *stop;  /**< NULL; polled: not 0 ends the run with TRD_E_CANCELLED. May be set by a signal handler */
} trd_file_options;
/** Fill in the defaults. @param size  sizeof(trd_file_options) as the caller was compiled */
TRD_API void trd_file_options_init(trd_file_options *options, size_t size);

/**
 * Translate a file: one line per hypothesis. Blocks.
 *
 * @param decoding  NULL for the defaults; a callback, attention, logits and alternatives are refused (TRD_E_INVALID)
 * @param stats     NULL, or struct_size set; filled also after a failure, with what was done
 * @return TRD_OK; TRD_E_IO for files that cannot be read or written, naming file and line; TRD_E_INVALID; TRD_E_CANCELLED; what translating returns,
 *         naming the line
 */
TRD_API trd_status trd_translator_translate_file(trd_translator *translator, const trd_file_options *files, const trd_decoding_options *decoding,
                                                 trd_execution_stats *stats);
/** Score a file of targets: "mean ||| text" per line. As trd_translator_translate_file(). */
TRD_API trd_status trd_translator_score_file(trd_translator *translator, const trd_file_options *files, const trd_scoring_options *scoring,
                                             trd_execution_stats *stats);

#ifdef __cplusplus
}
#endif
#endif /* TRD_FILE_H */
