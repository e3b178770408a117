/*
 * stream.h: what translate, score and ct2-translator share: their options and settings, opening model, files and
 * translator, and running the input through in chunks. cmd_translate.c and cmd_score.c add how a chunk is run and written.
 */
#ifndef COMMAND_STREAM_H
#define COMMAND_STREAM_H

#include "bytes.h"
#include "command.h"
#include "lines.h"
#include "output.h"
#include "pipeline.h"
#include "progress.h"
#include "spm.h"

/** Bits of option_spec.users. */
enum { USER_TRANSLATE = 1, USER_SCORE = 2, USER_CT2 = 4 };

/** Values of the options, named as these. */
typedef struct stream_settings {
    const char *task;
    const char *model, *device, *device_index, *compute_type, *cuda_compute_type, *cpu_compute_type, *numerics;
    int64_t     inter_threads, intra_threads, cpu_core_offset, max_queued_batches;
    const char *src, *tgt, *out, *src_spm, *tgt_spm;
    int64_t     batch_size, read_batch_size, max_input_length;
    const char *batch_type;
    bool        json, with_score, with_tokens_score, log_throughput, log_profiling;
    int64_t     beam_size, sampling_topk, n_best, no_repeat_ngram_size, max_decoding_length, min_decoding_length;
    double      patience, sampling_topp, sampling_temperature, length_penalty, coverage_penalty, repetition_penalty,
                prefix_bias_beta;
    bool        use_vmap, disable_unk, replace_unknowns;
    const char *suppress_sequences, *end_token;
    uint64_t    seed;
} stream_settings;

/** The table of all three commands. @param n  its size */
#define STREAM_OPTIONS_N 45
extern const option_spec stream_options[STREAM_OPTIONS_N];

typedef struct stream stream;

/** What one kind of task does. */
typedef struct stream_task {
    /** Check and convert settings; returns STATUS_GO_ON or an exit code. */
    int (*prepare)(stream *s);
    trd_status (*run)(const stream *s, const chunk *c, trd_results **out);
    /** Write one example. @return false if memory ran out */
    bool (*write)(stream *s, const trd_result *result);
    /** Tokens that --log_throughput counts. */
    int64_t (*count_tokens)(const trd_result *result);
} stream_task;

/** A command being run. */
struct stream {
    const invocation   *program;
    const subcommand   *command;
    const command_line *line;
    stream_settings     settings;
    const stream_task  *task;
    bool                has_target;
    trd_translator     *translator;
    /* the reader's */
    line_reader         source, target;
    spm                *source_spm, *target_spm;
    token_lists         next_source, next_target; /* one example read ahead */
    bool                has_next;
    int64_t             n_read;
    int64_t             read_size;                /* of a chunk, in examples or tokens */
    bool                by_tokens;
    /* the runners' */
    trd_decoding_options decoding;                /* cmd_translate.c; borrows from these two */
    token_lists         suppressed, end_token;
    trd_scoring_options scoring;                  /* cmd_score.c */
    /* the writer's */
    output              out;
    byte_buffer         text;                     /* scratch of stream_text() */
    progress            progress;
};

/** Run translate, score or ct2-translator. @return an exit code; STATUS_TOLD rather than STATUS_FAILED */
int stream_main(const invocation *program, const subcommand *command, int argc, char **argv);

extern const stream_task translate_task, score_task;

/** Hypothesis h as text: joined by spaces, or by SentencePiece. Borrowed until the next call. @return NULL if that failed */
const byte_buffer *stream_text(stream *s, const trd_result *result, int64_t h);

/** Open model and translator as the settings say, with messages. @return STATUS_GO_ON or an exit code */
int stream_open_translator(stream *s);
/** Take the next chunk of the input; pipeline_steps.read. */
bool stream_read(void *context, chunk *c, failure *why);

#endif /* COMMAND_STREAM_H */
