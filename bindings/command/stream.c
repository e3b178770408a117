/* stream.c: runs translate, score and ct2-translator: checks, then the library's file functions, and what is said about how they end. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/** NULL and "-" are the standard one, of this descriptor. */
static bool is_standard(const char *path)
{
    return path == NULL || strcmp(path, "-") == 0;
}

static bool is_terminal(const char *path, int standard)
{
    struct stat about;
    if (is_standard(path)) return isatty(standard) == 1;
    if (stat(path, &about) != 0 || !S_ISCHR(about.st_mode)) return false;
    const int descriptor = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    const bool is = descriptor >= 0 && isatty(descriptor) == 1;
    if (descriptor >= 0) (void)close(descriptor);
    return is;
}

static bool shows_progress(const stream *s)
{
    const stream_settings *from = &s->settings;
    if (strcmp(from->progress, "auto") != 0) return strcmp(from->progress, "always") == 0;
    return s->progress.on_terminal && !is_terminal(from->out, STDOUT_FILENO) && !is_terminal(from->src, STDIN_FILENO);
}

static void set_files(stream *s)
{
    const stream_settings *from = &s->settings;
    trd_file_options *f = &s->files;
    trd_file_options_init(f, sizeof *f);
    f->source = from->src != NULL ? from->src : "-";
    f->target = from->tgt;
    f->output = from->out != NULL ? from->out : "-";
    f->max_batch_size = from->batch_size;
    f->read_batch_size = from->read_batch_size;
    f->batch_by_tokens = strcmp(from->batch_type, "tokens") == 0;
    if (from->read_batch_size == 0 && is_terminal(from->src, STDIN_FILENO)) f->read_batch_size = 1;   /* somebody types: answer each line */
    if (from->src_spm != NULL) f->tokenize_source = stream_cut_source;
    if (from->tgt_spm != NULL) {
        f->tokenize_target = stream_cut_target;
        f->detokenize = stream_join_target;
    }
    f->tokenize_context = f->format_context = s;
    if (from->json) f->format = s->task->write_json;
    s->progress.on_terminal = isatty(STDERR_FILENO) == 1;
    if (shows_progress(s)) {
        f->on_progress = progress_show;
        f->on_progress_context = &s->progress;
    }
    f->stop = (const volatile int *)&s->interrupts.stop;
}

static int check_settings(stream *s)
{
    const stream_settings *from = &s->settings;
    if (from->model == NULL) return usage_error(s->program, "--model is missing");
    if (from->batch_size == 0 && from->read_batch_size == 0)
        return usage_error(s->program, "--batch_size: 0 needs --read_batch_size");
    if (from->src != NULL && from->tgt != NULL && strcmp(from->src, "-") == 0 && strcmp(from->tgt, "-") == 0)
        return usage_error(s->program, "only one of --src and --tgt can be standard input");
    if (from->trace != NULL && strcmp(from->trace, "-") == 0 && is_standard(from->out))
        return usage_error(s->program, "--trace: standard output is where the results go");
    warn_of_useless_options(s);
    set_files(s);
    return s->task->prepare(s);
}

/** Before a model is loaded for a file that is not there. */
static int check_input(const stream *s, const char *path)
{
    if (is_standard(path) || access(path, R_OK) == 0) return STATUS_GO_ON;
    complain(s->program, "cannot open %s: %s", path, strerror(errno));
    return STATUS_FAILED;
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

static int open_inputs(stream *s)
{
    int status = check_input(s, s->settings.src);
    if (status == STATUS_GO_ON) status = check_input(s, s->settings.tgt);
    if (status == STATUS_GO_ON) status = open_spm(s, s->settings.src_spm, &s->source_spm);
    if (status == STATUS_GO_ON) status = open_spm(s, s->settings.tgt_spm, &s->target_spm);
    return status;
}

/** Is the output written as the work goes on? As the library decides it; to be wrong costs a second at an interrupt, or a left over file. */
static bool writes_stream(const stream *s)
{
    struct stat about;
    return is_standard(s->settings.out) || strncmp(s->settings.out, "/dev/", 5) == 0 ||
           (stat(s->settings.out, &about) == 0 && !S_ISREG(about.st_mode));
}

/** The reader of our output went away, which needs no word. */
static bool is_broken_pipe(const char *text)
{
    return strncmp(text, "cannot write", 12) == 0 && strstr(text, strerror(EPIPE)) != NULL;
}

/** Do two paths lead to one file that is there, or are they the same name? Streams and devices may serve twice. */
static bool is_same_file(const char *a, const char *b)
{
    struct stat about_a, about_b;
    if (a == NULL || b == NULL || is_standard(a) || is_standard(b)) return false;
    if (stat(a, &about_a) != 0 || stat(b, &about_b) != 0) return strcmp(a, b) == 0;
    return S_ISREG(about_a.st_mode) && about_a.st_dev == about_b.st_dev && about_a.st_ino == about_b.st_ino;
}

/** The trace is written last, over whatever is there. */
static int start_trace(const stream *s)
{
    const stream_settings *const from = &s->settings;
    if (from->trace == NULL) return STATUS_GO_ON;
    const char *const others[] = { from->src, from->tgt, from->out, from->src_spm, from->tgt_spm };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (is_same_file(from->trace, others[i])) return usage_error(s->program, "--trace: %s is an input or the output", from->trace);
    return trd_trace_start(0) == TRD_OK ? STATUS_GO_ON : library_error(s->program);
}

/** Also of work that failed or was interrupted. */
static int write_trace(const stream *s, int status)
{
    if (s->settings.trace == NULL || trd_trace_write(s->settings.trace) == TRD_OK) return status;
    (void)library_error(s->program);
    return status == STATUS_OK ? STATUS_FAILED : status;
}

static int run_files(stream *s)
{
    trd_execution_stats stats = { .struct_size = sizeof stats };
    interrupts_begin(&s->interrupts, writes_stream(s));
    const trd_status status = s->task->run(s, &stats);
    const int interrupted = interrupts_end(&s->interrupts);
    char why[1024];
    (void)snprintf(why, sizeof why, "%s", trd_last_error());
    if (s->files.on_progress != NULL) progress_end(&s->progress);
    if (s->settings.log_profiling) stream_print_counters(s);
    if (interrupted != 0) return interrupted;
    if (status != TRD_OK && !is_broken_pipe(why)) complain(s->program, "%s", why);
    if (status == TRD_OK && s->settings.log_throughput) {
        const double seconds = stats.total_time_in_ms / 1000;
        fprintf(stderr, "%g\n", seconds > 0 ? (double)stats.n_tokens / seconds : 0);
    }
    return status == TRD_OK ? STATUS_OK : STATUS_FAILED;
}

static void close_stream(stream *s)
{
    trd_translator_destroy(s->translator);
    interrupts_finish(&s->interrupts);
    spm_close(s->source_spm);
    spm_close(s->target_spm);
    token_lists_free(&s->suppressed);
    token_lists_free(&s->end_token);
}

int stream_main(const invocation *program, const subcommand *command, int argc, char **argv)
{
    command_line line;
    stream s = { .program = program, .command = command, .line = &line };
    int status = options_parse(program, command, argc, argv, &s.settings, &line);
    if (status != STATUS_GO_ON) return status;
    const bool scores = command == &score_command || (s.settings.task != NULL && strcmp(s.settings.task, "score") == 0);
    s.task = scores ? &score_task : &translate_task;

    interrupts_start(&s.interrupts);
    status = check_settings(&s);
    if (status == STATUS_GO_ON) status = open_inputs(&s);
    if (status == STATUS_GO_ON) status = start_trace(&s);
    if (status == STATUS_GO_ON) status = stream_open_translator(&s);
    if (status == STATUS_GO_ON) status = write_trace(&s, run_files(&s));
    close_stream(&s);
    return status == STATUS_FAILED ? STATUS_TOLD : status;
}
