/*
 * files_private.h: what the files behind trd_file.h share: lines from descriptors, tokens of lines, the output written aside, and a bell that
 * futures ring. Used by files*.c alone.
 */
#ifndef TRDI_FILES_PRIVATE_H
#define TRDI_FILES_PRIVATE_H

#include <stdatomic.h>
#include <stdio.h>

#include "core/files.h"
#include "core/threads.h"
#include "treadle/trd_file.h"

/* files_lines.c */

/** An input, one line at a time. A line ends at '\n'; one '\r' before it is removed; a last line without '\n' counts. Any byte may occur. */
typedef struct trdi_lines {
    const char *name;         /**< for messages: the path, borrowed, or "standard input" */
    int     descriptor;       /**< -1: not open */
    bool    is_ours;          /**< to be closed */
    bool    is_regular;       /**< reading it never waits for somebody */
    bool    at_end;
    char   *data;             /**< [capacity]; what is read and not handed out yet: begin .. end; no '\n' before scanned */
    size_t  capacity, begin, end, scanned;
    int64_t n_lines;          /**< handed out */
    int64_t n_bytes;          /**< of these, with their ends */
    int64_t total_bytes;      /**< of a regular file; -1: not known */
} trdi_lines;

typedef enum trdi_line_state { TRDI_LINE_READY, TRDI_LINE_NEEDS_MORE, TRDI_LINE_END } trdi_line_state;

/** Open a file, or standard input for "-". Opening a pipe does not wait for its writer. */
trd_status trdi_lines_open(trdi_lines *lines, const char *path);
/** The next line if it is there, without its end; borrowed until the next call. */
trdi_line_state trdi_lines_next(trdi_lines *lines, const char **line, size_t *bytes);
/** Read some bytes, once. To be called after NEEDS_MORE; waits unless the descriptor is ready. Nothing may come. */
trd_status trdi_lines_fill(trdi_lines *lines);
/** Also after a failed open, and on zeros with descriptor -1. */
void trdi_lines_close(trdi_lines *lines);

/* files_tokens.c */

/** Token sequences: the texts back to back with their lengths, so that tokens may hold any byte. Starts as zeros. */
typedef struct trdi_file_tokens {
    char    *bytes;
    size_t   n_bytes, bytes_capacity;
    int64_t *token_bytes;
    size_t   n_tokens, token_capacity;
    int64_t *lengths;
    size_t   n, capacity;
    size_t   n_ended;         /**< tokens of ended sequences */
} trdi_file_tokens;

/** Where callbacks put what they made: tokens of a sequence, or bytes of a text. */
struct trd_pieces {
    trdi_file_tokens *tokens; /**< bytes alone are added to it where is_text */
    bool is_text;
    bool failed;              /**< memory ran out */
};

/** Make tokens of a line and end the sequence. tokenize NULL: split at single spaces. @param what  "NAME, line N", for messages */
trd_status trdi_file_tokens_add_line(trdi_file_tokens *tokens, const char *line, size_t bytes, trd_tokenize_callback tokenize, void *context,
                                     const char *name, int64_t line_number);
/** Append all sequences of another. */
trd_status trdi_file_tokens_append(trdi_file_tokens *tokens, const trdi_file_tokens *more);
void trdi_file_tokens_clear(trdi_file_tokens *tokens);
void trdi_file_tokens_free(trdi_file_tokens *tokens);

/* files_output.c */

/** The output. */
typedef struct trdi_file_output {
    const char *name;         /**< for messages: the path, borrowed, or "standard output" */
    FILE       *stream;       /**< NULL: not open */
    trdi_atomic_file aside;   /**< a regular file is written here, and renamed at the end */
    bool        is_aside;
    bool        is_dirty;     /**< something is in the stream's buffer */
    int64_t     line;         /**< of the source, whose results were written last, from 1 */
} trdi_file_output;

/**
 * Open for writing: a file beside the path; what is no regular file (a pipe, a device), and "-", is written as the work goes on.
 *
 * @param inputs  [n_inputs] must not be the same file: TRD_E_INVALID; NULL entries are passed over
 */
trd_status trdi_file_output_open(trdi_file_output *output, const char *path, const trdi_lines *const *inputs, int n_inputs);
/** Write bytes of the results of a source line. */
trd_status trdi_file_output_write(trdi_file_output *output, const char *bytes, size_t n, int64_t line);
/** Let readers of a stream see what was written. Does nothing for a file written aside. */
trd_status trdi_file_output_flush(trdi_file_output *output);
/** Everything is written: rename, or flush and close. */
trd_status trdi_file_output_commit(trdi_file_output *output);
/** Close; what was written aside is removed. Also after commit, and on zeros. */
void trdi_file_output_abandon(trdi_file_output *output);
/** A number as C++ streams print it, whatever the locale: six digits, "%g". @param text  [32] */
void trdi_file_number(double value, char *text);

/* files_bell.c */

/**
 * Wakes the thread of a file run when a future is done, while it may be waiting for input too. Counted: each future on its way holds one
 * reference, since its callback may come after the run has seen that it is done.
 */
typedef struct trdi_bell trdi_bell;
trd_status trdi_bell_create(trdi_bell **out);
void trdi_bell_retain(trdi_bell *bell, int64_t n);
void trdi_bell_release(trdi_bell *bell, int64_t n);
/** trd_done_callback: counts, rings and releases. */
void trdi_bell_ring(void *bell, trd_future *future);
/** Futures that rang so far. */
int64_t trdi_bell_count(const trdi_bell *bell);
/**
 * Sleep until it rings, one of the inputs can be read, a signal comes or the time is over.
 *
 * @param inputs  [2] what to wait for; NULL entries are not waited for. @param ready  [2] which can be read
 */
void trdi_bell_wait(trdi_bell *bell, trdi_lines *const inputs[2], int milliseconds, bool ready[2]);

/* files_run.c */

/** One file run. Zeros but for what the public functions set. */
typedef struct trdi_file_run {
    trd_translator      *translator;
    const char          *function;    /**< the public one, for messages */
    bool                 scores;      /**< scoring; else translating */
    trd_file_options     files;
    trd_decoding_options decoding;
    trd_scoring_options  scoring;
    trd_execution_stats  stats;
} trdi_file_run;
trd_status trdi_file_run_all(trdi_file_run *run);

#endif
