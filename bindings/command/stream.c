/* stream.c: runs translate, score and ct2-translator: checks, files, the pipeline, and writing with its errors. */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool add_text(void *context, const char *text, size_t n)
{
    return bytes_add(context, text, n);
}

static bool join_pieces(stream *s, const trd_result *result, int64_t h)
{
    const int64_t n = trd_result_n_tokens(result, h);
    const char **pieces = NULL;
    size_t capacity = 0;
    bool ok = true;
    for (int64_t t = 0; t < n && ok; t++) {
        void *grown = pieces;
        ok = array_grow(&grown, (size_t)t, &capacity, sizeof *pieces);
        pieces = grown;
        if (ok) pieces[t] = trd_result_token(result, h, t);
    }
    ok = ok && (n == 0 || spm_decode(s->target_spm, pieces, (size_t)n, add_text, &s->text));
    free((void *)pieces);
    return ok;
}

const byte_buffer *stream_text(stream *s, const trd_result *result, int64_t h)
{
    if (!bytes_add(&s->text, "", 1)) return NULL;   /* so that data is there for an empty text too */
    s->text.n = 0;
    if (s->target_spm != NULL) return join_pieces(s, result, h) ? &s->text : NULL;
    for (int64_t t = 0; t < trd_result_n_tokens(result, h); t++) {
        const char *token = trd_result_token(result, h, t);
        if (t > 0 && !bytes_add(&s->text, " ", 1)) return NULL;
        if (!bytes_add(&s->text, token, strlen(token))) return NULL;
    }
    return &s->text;
}

static trd_status run_chunk(void *context, const chunk *c, trd_results **out)
{
    const stream *s = context;
    return s->task->run(s, c, out);
}

static void set_write_failure(const stream *s, int error, failure *why)
{
    failure_set(why, "cannot write %s: %s", s->out.name, strerror(error != 0 ? error : EIO));
    why->quiet = error == EPIPE;
}

static bool write_example(stream *s, const trd_result *result, failure *why)
{
    output_begin(&s->out);
    errno = 0;
    const bool written = s->task->write(s, result);
    const int error = errno;
    const bool broken = ferror(s->out.file) != 0;
    output_end(&s->out);
    if (broken) set_write_failure(s, error, why);
    else if (!written) failure_set(why, "out of memory, or the tokens of a result cannot be joined");
    return written && !broken;
}

static bool write_chunk(void *context, const chunk *c, const trd_results *results, failure *why)
{
    stream *s = context;
    int64_t tokens = 0;
    const int64_t n = trd_results_count(results);
    for (int64_t i = 0; i < n; i++) {
        const trd_result *result = trd_results_get(results, i);
        if (!write_example(s, result, why)) return false;
        tokens += s->task->count_tokens(result);
    }
    const int error = output_flush(&s->out);
    if (error != 0) set_write_failure(s, error, why);
    else progress_written(&s->progress, n, c->end_byte, tokens);
    return error == 0;
}

/** Options that the chosen task has no use for are pointed out, not obeyed: ct2-translator has one table for both. */
static void warn_of_useless_options(const stream *s)
{
    const unsigned user = s->task == &translate_task ? USER_TRANSLATE : USER_SCORE;
    for (size_t i = 0; i < s->command->n_options; i++) {
        const option_spec *o = &s->command->options[i];
        const bool useful = o->users == 0 || (o->users & user) != 0 || strcmp(o->name, "task") == 0;
        if (!useful && option_given(s->command, s->line, o->name))
            complain(s->program, "warning: --%s means nothing for this task", o->name);
    }
}

static int check_settings(stream *s)
{
    const stream_settings *from = &s->settings;
    if (from->model == NULL) return usage_error(s->program, "--model is missing");
    if (from->log_profiling) {
        complain(s->program, "--log_profiling is not supported: this build keeps no profile of operations");
        return STATUS_FAILED;
    }
    if (from->batch_size == 0 && from->read_batch_size == 0)
        return usage_error(s->program, "--batch_size: 0 needs --read_batch_size");
    s->by_tokens = strcmp(from->batch_type, "tokens") == 0;
    s->read_size = from->read_batch_size > 0 ? from->read_batch_size : from->batch_size == 1 ? 1 : 16 * from->batch_size;
    warn_of_useless_options(s);
    return s->task->prepare(s);
}

static int open_spm(const stream *s, const char *path, spm **out)
{
    char why[400];
    if (path == NULL) return STATUS_GO_ON;
    *out = spm_open(path, why, sizeof why);
    if (*out != NULL) return STATUS_GO_ON;
    complain(s->program, "%s", why);
    return STATUS_FAILED;
}

static int open_reader(const stream *s, line_reader *reader, const char *path)
{
    if (lines_open(reader, path)) return STATUS_GO_ON;
    complain(s->program, "cannot open %s: %s", reader->name, strerror(reader->error));
    return STATUS_FAILED;
}

/** Writing a file over itself would destroy what is not read yet. */
static bool is_same_file(const line_reader *reader, const char *path)
{
    struct stat a, b;
    return reader->file != NULL && path != NULL && stat(path, &b) == 0 && S_ISREG(b.st_mode) &&
           fstat(fileno(reader->file), &a) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_inputs(stream *s)
{
    const stream_settings *from = &s->settings;
    if (from->src != NULL && from->tgt != NULL && strcmp(from->src, "-") == 0 && strcmp(from->tgt, "-") == 0)
        return usage_error(s->program, "only one of --src and --tgt can be standard input");
    int status = open_reader(s, &s->source, from->src);
    if (status == STATUS_GO_ON && from->read_batch_size == 0 && isatty(fileno(s->source.file)) == 1)
        s->read_size = 1;   /* somebody types: answer each line */
    s->has_target = from->tgt != NULL;
    if (status == STATUS_GO_ON && s->has_target) status = open_reader(s, &s->target, from->tgt);
    if (status == STATUS_GO_ON) status = open_spm(s, from->src_spm, &s->source_spm);
    if (status == STATUS_GO_ON) status = open_spm(s, from->tgt_spm, &s->target_spm);
    if (status != STATUS_GO_ON) return status;
    if (is_same_file(&s->source, from->out) || is_same_file(&s->target, from->out)) {
        complain(s->program, "%s is both input and output", from->out);
        return STATUS_FAILED;
    }
    return STATUS_GO_ON;
}

static int open_output(stream *s)
{
    if (output_open(&s->out, s->settings.out)) return STATUS_GO_ON;
    complain(s->program, "cannot open %s for writing: %s", s->out.name, strerror(errno));
    return STATUS_FAILED;
}

static int run_stream(stream *s)
{
    const pipeline_steps steps = { .context = s, .read = stream_read, .run = run_chunk, .write = write_chunk };
    const size_t n_runners = s->settings.inter_threads < 16 ? (size_t)s->settings.inter_threads + 1 : 16;
    const bool show = isatty(STDERR_FILENO) == 1 && !s->out.on_terminal && isatty(fileno(s->source.file)) != 1;
    s->out.shows_progress = show;
    progress_start(&s->progress, show, s->translator, s->source.total_bytes);
    failure why;
    const bool ok = pipeline_run(&steps, n_runners, &why);
    const double seconds = clock_seconds() - s->progress.started;
    progress_stop(&s->progress);
    s->out.shows_progress = false;

    if (!ok && !why.quiet) complain(s->program, "%s", why.text);
    if (ok && s->settings.log_throughput)
        fprintf(stderr, "%g\n", seconds > 0 ? (double)s->progress.tokens / seconds : 0);
    return ok ? STATUS_OK : STATUS_FAILED;
}

static int close_stream(stream *s, int status)
{
    trd_translator_destroy(s->translator);
    const int error = output_close(&s->out);
    if (error != 0 && status == STATUS_OK) {
        if (error != EPIPE) complain(s->program, "cannot write %s: %s", s->out.name, strerror(error));
        status = STATUS_FAILED;
    }
    lines_close(&s->source);
    lines_close(&s->target);
    spm_close(s->source_spm);
    spm_close(s->target_spm);
    token_lists_free(&s->next_source);
    token_lists_free(&s->next_target);
    token_lists_free(&s->suppressed);
    token_lists_free(&s->end_token);
    bytes_free(&s->text);
    return status;
}

int stream_main(const invocation *program, const subcommand *command, int argc, char **argv)
{
    command_line line;
    stream s = { .program = program, .command = command, .line = &line };
    int status = options_parse(program, command, argc, argv, &s.settings, &line);
    if (status != STATUS_GO_ON) return status;
    const bool scores = command == &score_command || (s.settings.task != NULL && strcmp(s.settings.task, "score") == 0);
    s.task = scores ? &score_task : &translate_task;

    output_init(&s.out);
    status = check_settings(&s);
    if (status == STATUS_GO_ON) status = open_inputs(&s);
    if (status == STATUS_GO_ON) status = stream_open_translator(&s);
    if (status == STATUS_GO_ON) status = open_output(&s);
    if (status == STATUS_GO_ON) status = run_stream(&s);
    status = close_stream(&s, status);
    return status == STATUS_FAILED ? STATUS_TOLD : status;
}
