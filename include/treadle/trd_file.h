/**
 * @file
 * trd_file.h: translate and score text files, one example per line, streaming: memory is bounded whatever the file's size, chunks are spread
 * over all workers, the output keeps the order of the input.
 *
 * A line ends at a newline; one carriage return before it is removed; a last line without an end counts; an empty line is an example without tokens. Results are
 * written as soon as those before them are, while further lines are awaited: what a program or a person writes line by line into a pipe is answered at
 * once with read_batch_size 1. In a bounded backlog the examples stand in line with those of other callers. The output is written to a file beside its final place and renamed when everything is written: a run that fails, is cancelled or is killed leaves
 * an earlier output untouched. Output "-" is standard output.
 */
#ifndef TRD_FILE_H
#define TRD_FILE_H

#include "trd_future.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Takes the pieces that a tokenizer makes of a line, or the text that is made of tokens. Valid for the call it was handed to. */
typedef struct trd_pieces trd_pieces;
/**
 * Add one token; of a text: append to it. A failure ends the run, whatever the callback returns.
 *
 * @param bytes  UTF-8, copied; any byte may occur
 * @return TRD_OK; TRD_E_MEMORY; TRD_E_INVALID for NULL
 */
TRD_API trd_status trd_pieces_add(trd_pieces *pieces, const char *bytes, size_t n_bytes);

/**
 * Make tokens of a line: trd_pieces_add() once for each. Called on the thread that called the file function, in the order of the lines.
 *
 * @param line     without its end; borrowed for the call, not NUL-terminated
 * @param n_bytes  of line
 * @return false stops the run with TRD_E_CANCELLED
 */
typedef bool (*trd_tokenize_callback)(void *context, const char *line, size_t n_bytes, trd_pieces *out);
/**
 * Make text of the tokens of a hypothesis: what is added is put together. Called on the thread that called the file function, in the order of the lines.
 *
 * @param tokens  [n_tokens] NUL-terminated, borrowed for the call; NULL is possible for n_tokens = 0
 * @return false stops the run with TRD_E_CANCELLED
 */
typedef bool (*trd_detokenize_callback)(void *context, const char *const *tokens, int64_t n_tokens, trd_pieces *out);
/**
 * Write an example in a format of one's own: what is added goes to the output as it is, ends of lines too. Threads, order and false as above.
 *
 * @param result  borrowed for the call
 */
typedef bool (*trd_format_callback)(void *context, const trd_result *result, trd_pieces *out);

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
    const char *source;        /**< path; "-" is standard input (the descriptor; what stdio has read ahead is not seen) */
    const char *target;        /**< likewise; translating: prefixes, NULL for none; scoring: targets. Extra lines are ignored */
    const char *output;        /**< path of neither of these; "-" is standard output. What is no regular file is written as the work goes on */
    int64_t max_batch_size;    /**< 32; examples, or tokens; >= 1, or 0 where read_batch_size is set */
    int64_t read_batch_size;   /**< 0: 16 x max_batch_size, or 1 if that is 1; what is read and submitted at once (a chunk), in the same unit */
    bool    batch_by_tokens;   /**< false: both sizes count examples; true: tokens of sources, a chunk has at least one example */
    bool    with_scores;       /**< translating: "score ||| text"; scoring: the tokens' scores too */
    trd_tokenize_callback   tokenize_source; /**< NULL: split at spaces */
    trd_tokenize_callback   tokenize_target; /**< NULL: split at spaces */
    trd_detokenize_callback detokenize;                       /**< NULL: join by spaces */
    void   *tokenize_context;  /**< handed to all three */
    trd_format_callback     format;                           /**< NULL: as below; else with_scores and detokenize are not used */
    void   *format_context;    /**< handed to format */
    trd_progress_callback on_progress; /**< NULL; on the calling thread, at most ten times a second, and at the end, also of a failed run */
    void   *on_progress_context; /**< handed to on_progress */
    /**
     * NULL; polled: not 0 ends the run with TRD_E_CANCELLED. Borrowed for the call and only read, each time as one relaxed atomic load of an int. A
     * signal handler sets a volatile int; another thread stores atomically, for which the address of an atomic_int may be given, cast: where this
     * library is built with GCC or Clang both look alike.
     */
    const volatile int *stop;
} trd_file_options;
/** Fill in the defaults. @param size  sizeof(trd_file_options) as the caller was compiled */
TRD_API void trd_file_options_init(trd_file_options *options, size_t size);

/**
 * Translate a file: one line per hypothesis, best first: "text", or "score ||| text". Numbers have six significant digits. Blocks.
 *
 * @param decoding  NULL for the defaults; a callback, attention, logits and alternatives are refused (TRD_E_INVALID); max_batch_size and
 *                  batch_by_tokens are those of files. With a seed, each chunk but the first draws from a seed made of it and the chunk's place
 * @param stats     NULL, or struct_size set; filled also after a failure, with what was written
 * @return TRD_OK; TRD_E_IO for files that cannot be read or written, naming file and line; TRD_E_INVALID ("target file has less examples" too);
 *         TRD_E_CANCELLED; TRD_E_MEMORY; TRD_E_STATE from a callback of futures; what translating returns, naming the line. After a failure nothing of
 *         the run is in work any more.
 */
TRD_API trd_status trd_translator_translate_file(trd_translator *translator, const trd_file_options *files, const trd_decoding_options *decoding,
                                                 trd_execution_stats *stats);
/**
 * Score a file of targets: per line "mean ||| text", the mean of the log-probabilities of the tokens of text, end token included, and with_scores
 * "mean ||| text ||| score score ...". files->target is needed. As trd_translator_translate_file().
 */
TRD_API trd_status trd_translator_score_file(trd_translator *translator, const trd_file_options *files, const trd_scoring_options *scoring,
                                             trd_execution_stats *stats);

#ifdef __cplusplus
}
#endif
#endif /* TRD_FILE_H */
