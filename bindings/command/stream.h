/*
 * stream.h: what translate, score and ct2-translator share: their options and settings, opening model and translator, and running files
 * through it. cmd_translate.c and cmd_score.c add what is peculiar to one task.
 */
#ifndef COMMAND_STREAM_H
#define COMMAND_STREAM_H

#include "command.h"
#include "interrupt.h"
#include "json_text.h"
#include "progress.h"
#include "spm.h"
#include "token_lists.h"

/** Bits of option_spec.users. */
enum { USER_TRANSLATE = 1, USER_SCORE = 2, USER_CT2 = 4 };

/** Values of the options, named as these. */
typedef struct stream_settings {
    const char *task;
    const char *model, *device, *device_index, *compute_type, *cuda_compute_type, *cpu_compute_type, *numerics, *policy;
    int64_t     memory_limit;
    int64_t     inter_threads, intra_threads, cpu_core_offset, max_queued_batches;
    const char *src, *tgt, *out, *src_spm, *tgt_spm;
    int64_t     batch_size, read_batch_size, max_input_length;
    const char *batch_type;
    bool        json, with_score, with_tokens_score, log_throughput, log_profiling;
    const char *progress, *trace;
    int64_t     beam_size, sampling_topk, n_best, no_repeat_ngram_size, max_decoding_length, min_decoding_length;
    double      patience, sampling_topp, sampling_temperature, length_penalty, coverage_penalty, repetition_penalty,
                prefix_bias_beta;
    bool        use_vmap, disable_unk, replace_unknowns;
    const char *suppress_sequences, *end_token;
    uint64_t    seed;
} stream_settings;

/** The table of all three commands. @param n  its size */
#define STREAM_OPTIONS_N 49
extern const option_spec stream_options[STREAM_OPTIONS_N];

typedef struct stream stream;

/** What one kind of task does. */
typedef struct stream_task {
    /** Check and convert settings; returns STATUS_GO_ON or an exit code. */
    int (*prepare)(stream *s);
    /** Run the files of s->files. */
    trd_status (*run)(stream *s, trd_execution_stats *stats);
    /** --json: one example. context is the stream. */
    trd_format_callback write_json;
} stream_task;

/** A command being run. */
struct stream {
    const invocation    *program;
    const subcommand    *command;
    const command_line  *line;
    stream_settings      settings;
    const stream_task   *task;
    interrupts           interrupts;
    trd_translator      *translator;
    trd_file_options     files;
    trd_decoding_options decoding;                /* cmd_translate.c; borrows from these two */
    token_lists          suppressed, end_token;
    trd_scoring_options  scoring;                 /* cmd_score.c */
    spm                 *source_spm, *target_spm;
    progress             progress;
};

/** Run translate, score or ct2-translator. @return an exit code; STATUS_TOLD rather than STATUS_FAILED */
int stream_main(const invocation *program, const subcommand *command, int argc, char **argv);

extern const stream_task translate_task, score_task;

/** Open model and translator as the settings say, with messages. @return STATUS_GO_ON or an exit code */
int stream_open_translator(stream *s);

/** Print what --log_profiling asks for. */
void stream_print_counters(const stream *s);

/* stream_text.c; context is the stream */
bool stream_cut_source(void *context, const char *line, size_t bytes, trd_pieces *out);
bool stream_cut_target(void *context, const char *line, size_t bytes, trd_pieces *out);
bool stream_join_target(void *context, const char *const *tokens, int64_t n, trd_pieces *out);
/** Text and tokens of hypothesis h, owned; NULL if that failed. */
json_t *stream_text_json(const stream *s, const trd_result *result, int64_t h);
json_t *stream_tokens_json(const trd_result *result, int64_t h);
/** One line; value is consumed, and may be NULL for what failed. */
bool stream_put_json(json_t *value, trd_pieces *out);

#endif /* COMMAND_STREAM_H */
