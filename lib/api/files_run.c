/*
 * files_run.c: a file run: one thread, the caller's, reads lines, submits them in chunks, and writes results in the order of the input. It never
 * waits for one of these alone, so that typed lines are answered before the input ends and a request to stop is seen soon.
 */
#include <string.h>

#include "api/files_private.h"
#include "api/submission.h"
#include "core/alloc.h"
#include "core/platform.h"

enum {
    POLL_MS = 50,                  /* how often the stop flag is looked at */
    PROGRESS_NS = 100000000,
    SPARE_EXAMPLES = 1024,         /* per worker: small chunks are taken in until so many examples are on their way ... */
    SPARE_BYTES = 1 << 20          /* ... or so much text */
};

/* What is read, and submitted, at once. */
typedef struct chunk {
    struct chunk    *next;
    trdi_file_tokens source, target;   /* freed once submitted */
    int64_t          first;            /* index of its first example in the file */
    int64_t          n, n_written;
    int64_t          n_source_bytes;   /* of lines */
    int64_t          end_byte;         /* of the source, after its last line */
    trd_future     **futures;          /* [n] */
    bool             is_submitted;
} chunk;

typedef struct run_state {
    trdi_file_run   *run;
    trdi_lines       source, target;
    bool             has_target;
    trdi_file_output output;
    trdi_bell       *bell;
    int64_t          read_size;
    int32_t          n_workers;
    /* reading */
    trdi_file_tokens next_source, next_target;   /* an example read and not in a chunk yet */
    bool             has_next_source, has_next_target;
    trdi_lines      *wanted[2];        /* inputs that must be read before this goes on */
    chunk           *open;             /* being filled */
    bool             ended;
    trd_status       failed;           /* of reading; what was read before is still worked on where the output is a stream */
    char             error[TRDI_ERROR_BYTES];
    /* on their way */
    chunk           *first, *last;     /* filled, in order; all but the last are submitted */
    int64_t          n_chunks, n_on_way, n_bytes_on_way;
    /* done */
    trdi_file_tokens text;             /* scratch: what is written for one example */
    size_t           names_capacity;
    const char     **names;            /* scratch: tokens of a hypothesis */
    int64_t          n_read, n_written, bytes_written;
    int64_t          started_ns, reported_ns;
} run_state;

static trd_status fail_at_line(const run_state *s, int64_t example, trd_status status, const char *text)
{
    char copy[TRDI_ERROR_BYTES];
    (void)snprintf(copy, sizeof copy, "%s", text);
    return trdi_fail(status, "%s, line %lld: %s", s->source.name, (long long)example + 1, copy);
}

/* A call counts its examples from 0, people the lines of a file from 1. */
static trd_status fail_submission(const run_state *s, int64_t first, trd_status status)
{
    const char *text = trd_last_error();
    long long index;
    int n = 0;
    if (sscanf(text, "example %lld: %n", &index, &n) != 1 || n == 0) return status;
    return fail_at_line(s, first + index, status, text + n);
}

static trd_status fail_future(const run_state *s, int64_t example, trd_future *future)
{
    const char *text = trd_future_error(future);
    int n = 0;
    (void)sscanf(text, "example %*d: %n", &n);
    return fail_at_line(s, example, trd_future_status(future), text + n);
}

/* reading */

static void free_chunk(chunk *c)
{
    if (c == NULL) return;
    for (int64_t i = c->n_written; i < c->n && c->is_submitted; i++) trd_future_release(c->futures[i]);
    trdi_file_tokens_free(&c->source);
    trdi_file_tokens_free(&c->target);
    trdi_free((void *)c->futures);
    trdi_free(c);
}

static trd_status open_chunk(run_state *s)
{
    s->open = trdi_calloc(1, sizeof *s->open);
    if (s->open == NULL) return trdi_fail(TRD_E_MEMORY, "%s, line %lld: out of memory", s->source.name, (long long)s->n_read + 1);
    s->open->first = s->n_read;
    return TRD_OK;
}

static trd_status close_chunk(run_state *s)
{
    chunk *c = s->open;
    if (c == NULL || c->n == 0) return TRD_OK;
    c->futures = trdi_calloc((size_t)c->n, sizeof *c->futures);
    if (c->futures == NULL) return trdi_fail(TRD_E_MEMORY, "%s, line %lld: out of memory", s->source.name, (long long)c->first + 1);
    if (s->last != NULL) s->last->next = c;
    else s->first = c;
    s->last = c;
    s->open = NULL;
    s->n_chunks++;
    s->n_on_way += c->n;
    s->n_bytes_on_way += c->n_source_bytes;
    return TRD_OK;
}

/* One line in tokens. @return false: there is none now, or it failed */
static bool read_line(run_state *s, trdi_lines *lines, trdi_file_tokens *out, trd_tokenize_callback tokenize, trdi_line_state *state,
                      trd_status *status)
{
    const char *line;
    size_t bytes;
    *state = trdi_lines_next(lines, &line, &bytes);
    if (*state == TRDI_LINE_NEEDS_MORE) s->wanted[lines == &s->target] = lines;
    if (*state != TRDI_LINE_READY) return false;
    trdi_file_tokens_clear(out);
    *status = trdi_file_tokens_add_line(out, line, bytes, tokenize, s->run->files.tokenize_context, lines->name, lines->n_lines);
    return *status == TRD_OK;
}

/* An example into next_source and next_target. @return false: there is none now, none any more (ended), or it failed */
static bool read_example(run_state *s, trd_status *status)
{
    trdi_line_state state;
    if (!s->has_next_source) {
        s->has_next_source = read_line(s, &s->source, &s->next_source, s->run->files.tokenize_source, &state, status);
        if (state == TRDI_LINE_END) s->ended = true;
        if (!s->has_next_source) return false;
    }
    if (!s->has_target || s->has_next_target) return true;
    s->has_next_target = read_line(s, &s->target, &s->next_target, s->run->files.tokenize_target, &state, status);
    if (state == TRDI_LINE_END) {
        *status = trdi_fail(TRD_E_INVALID, "target file has less examples than the source: %s ends after %lld", s->target.name,
                            (long long)s->target.n_lines);
    }
    return s->has_next_target;
}

static trd_status take_example(run_state *s)
{
    chunk *c = s->open;
    TRDI_TRY(trdi_file_tokens_append(&c->source, &s->next_source));
    if (s->has_target) TRDI_TRY(trdi_file_tokens_append(&c->target, &s->next_target));
    s->has_next_source = s->has_next_target = false;
    c->n++;
    c->n_source_bytes += s->source.n_bytes - c->end_byte;
    c->end_byte = s->source.n_bytes;
    s->n_read++;
    return TRD_OK;
}

/* Go on with the open chunk until it is full, the input ends, or a line is not there yet. */
static trd_status fill_chunk(run_state *s)
{
    const bool by_tokens = s->run->files.batch_by_tokens;
    trd_status status = TRD_OK;
    if (s->open == NULL) {
        TRDI_TRY(open_chunk(s));
        s->open->end_byte = s->last != NULL ? s->last->end_byte : s->bytes_written;
    }
    for (;;) {
        const int64_t size = by_tokens ? (int64_t)s->open->source.n_tokens : s->open->n;
        if (!by_tokens && size >= s->read_size) return close_chunk(s);
        if (!read_example(s, &status)) break;
        if (by_tokens && s->open->n > 0 && s->next_source.lengths[0] > s->read_size - size) return close_chunk(s);
        TRDI_TRY(take_example(s));
    }
    return status == TRD_OK && s->ended ? close_chunk(s) : status;
}

/* Is there room for more, beside what is on its way? */
static bool wants_input(const run_state *s)
{
    if (s->ended) return false;
    if (s->n_chunks < s->n_workers + 2) return true;
    return s->n_on_way < (int64_t)SPARE_EXAMPLES * s->n_workers && s->n_bytes_on_way < SPARE_BYTES;
}

/* Reading failed: of a stream, what comes before is still written. */
static trd_status stop_reading(run_state *s, trd_status status)
{
    if (s->output.is_aside || status == TRD_E_CANCELLED) return status;
    s->failed = status;
    (void)snprintf(s->error, sizeof s->error, "%s", trd_last_error());
    s->ended = true;
    return close_chunk(s);
}

static trd_status read_some(run_state *s, bool *moved)
{
    s->wanted[0] = s->wanted[1] = NULL;
    if (!wants_input(s)) return TRD_OK;
    const int64_t before = s->n_read;
    const trd_status status = fill_chunk(s);
    *moved = *moved || s->n_read > before || s->ended;
    return status == TRD_OK ? TRD_OK : stop_reading(s, status);
}

/* submitting */

static trd_sequences view(const trdi_file_tokens *tokens, int64_t n)
{
    static const int64_t none = 0;
    return (trd_sequences){
        .n = n, .lengths = tokens->lengths, .bytes = tokens->bytes != NULL ? tokens->bytes : "",
        .byte_lengths = tokens->token_bytes != NULL ? tokens->token_bytes : &none,
    };
}

/*
 * The seed of a chunk: samples are keyed by the example's place in its call, so chunks need different seeds. The first chunk has the user's own, so that a
 * short file gives what one call gives. The rest is splitmix64's mixing.
 */
static uint64_t chunk_seed(uint64_t seed, int64_t first)
{
    if (first == 0) return seed;
    uint64_t x = seed + (uint64_t)first * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static trd_status submit(run_state *s, chunk *c)
{
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    how.on_done = trdi_bell_ring;
    how.on_done_context = s->bell;
    const trd_sequences source = view(&c->source, c->n), target = view(&c->target, c->n);
    if (s->run->scores) return trdi_score_line_up(s->run->translator, &source, &target, &s->run->scoring, &how, c->futures);
    trd_decoding_options options = s->run->decoding;
    options.seed = chunk_seed(options.seed, c->first);
    return trdi_translate_line_up(s->run->translator, &source, s->has_target ? &target : NULL, &options, &how, c->futures);
}

/* The last chunk, if it is not on its way yet. */
static trd_status submit_last(run_state *s, bool *moved)
{
    chunk *c = s->last;
    if (c == NULL || c->is_submitted) return TRD_OK;
    trdi_bell_retain(s->bell, c->n);
    const trd_status status = submit(s, c);
    if (status != TRD_OK) {
        trdi_bell_release(s->bell, c->n);
        return fail_submission(s, c->first, status);
    }
    c->is_submitted = *moved = true;
    trdi_file_tokens_free(&c->source);
    trdi_file_tokens_free(&c->target);
    return TRD_OK;
}

/* writing */

static trd_status add_text(run_state *s, const char *text, size_t n)
{
    trd_pieces pieces = { .tokens = &s->text, .is_text = true };
    return trd_pieces_add(&pieces, text, n);
}

static trd_status add_number(run_state *s, double value, const char *after)
{
    char text[48];
    trdi_file_number(value, text);
    strcat(text, after);
    return add_text(s, text, strlen(text));
}

static trd_status stopped_by_callback(const trd_pieces *pieces, bool go_on)
{
    if (pieces->failed) return trdi_fail(TRD_E_MEMORY, "text of a result: out of memory");
    return go_on ? TRD_OK : trdi_fail(TRD_E_CANCELLED, "the detokenizer stopped the run");
}

static trd_status add_hypothesis(run_state *s, const trd_result *result, int64_t h)
{
    const int64_t n = trd_result_n_tokens(result, h);
    const trd_file_options *const files = &s->run->files;
    if (files->detokenize == NULL) {
        for (int64_t t = 0; t < n; t++) {
            const char *token = trd_result_token(result, h, t);
            if (t > 0) TRDI_TRY(add_text(s, " ", 1));
            TRDI_TRY(add_text(s, token, strlen(token)));
        }
        return TRD_OK;
    }
    void *grown = (void *)s->names;
    const bool there = trdi_reserve(&grown, &s->names_capacity, (size_t)n, sizeof *s->names);
    s->names = grown;
    if (!there) return trdi_fail(TRD_E_MEMORY, "text of a result: out of memory");
    for (int64_t t = 0; t < n; t++) s->names[t] = trd_result_token(result, h, t);
    trd_pieces pieces = { .tokens = &s->text, .is_text = true };
    return stopped_by_callback(&pieces, files->detokenize(files->tokenize_context, s->names, n, &pieces));
}

static trd_status add_translation(run_state *s, const trd_result *result)
{
    for (int64_t h = 0; h < trd_result_n_hypotheses(result); h++) {
        if (s->run->files.with_scores) TRDI_TRY(add_number(s, (double)trd_result_score(result, h), " ||| "));
        TRDI_TRY(add_hypothesis(s, result, h));
        TRDI_TRY(add_text(s, "\n", 1));
    }
    return TRD_OK;
}

static trd_status add_score(run_state *s, const trd_result *result)
{
    const int64_t n = trd_result_n_tokens(result, 0);
    const float *scores = trd_result_token_scores(result, 0);
    float sum = 0;
    for (int64_t t = 0; t < n && scores != NULL; t++) sum += scores[t];
    TRDI_TRY(add_number(s, n > 0 ? (double)(sum / (float)n) : 0.0, " ||| "));
    TRDI_TRY(add_hypothesis(s, result, 0));
    if (s->run->files.with_scores) {
        TRDI_TRY(add_text(s, " |||", 4));
        for (int64_t t = 0; t < n && scores != NULL; t++) {
            TRDI_TRY(add_text(s, " ", 1));
            TRDI_TRY(add_number(s, (double)scores[t], ""));
        }
    }
    return add_text(s, "\n", 1);
}

static trd_status add_example(run_state *s, const trd_result *result)
{
    const trd_file_options *const files = &s->run->files;
    trdi_file_tokens_clear(&s->text);
    if (files->format == NULL) return s->run->scores ? add_score(s, result) : add_translation(s, result);
    trd_pieces pieces = { .tokens = &s->text, .is_text = true };
    return stopped_by_callback(&pieces, files->format(files->format_context, result, &pieces));
}

static trd_status write_example(run_state *s, chunk *c)
{
    const int64_t example = c->first + c->n_written;
    trd_future *future = c->futures[c->n_written];
    const trd_result *result;
    if (trd_future_status(future) != TRD_OK) return fail_future(s, example, future);
    TRDI_TRY(trd_future_result(future, &result));
    const trd_status status = add_example(s, result);
    if (status != TRD_OK) return fail_at_line(s, example, status, trd_last_error());
    TRDI_TRY(trdi_file_output_write(&s->output, s->text.bytes, s->text.n_bytes, example + 1));
    s->run->stats.n_tokens += trd_result_n_tokens(result, 0);
    s->run->stats.n_examples++;
    s->n_written++;
    c->n_written++;
    trd_future_release(future);
    return TRD_OK;
}

static trd_status write_done(run_state *s, bool *moved)
{
    for (chunk *c = s->first; c != NULL; c = s->first) {
        while (c->is_submitted && c->n_written < c->n && trd_future_is_done(c->futures[c->n_written])) {
            TRDI_TRY(write_example(s, c));
            *moved = true;
        }
        if (c->n_written < c->n) return TRD_OK;
        s->first = c->next;
        if (s->last == c) s->last = NULL;
        s->n_chunks--;
        s->n_on_way -= c->n;
        s->n_bytes_on_way -= c->n_source_bytes;
        s->bytes_written = c->end_byte;
        free_chunk(c);
    }
    return TRD_OK;
}

/* the run */

static void report(run_state *s, bool last)
{
    const trd_file_options *const files = &s->run->files;
    const int64_t now = trdi_now_ns();
    if (files->on_progress == NULL || (!last && now - s->reported_ns < PROGRESS_NS)) return;
    s->reported_ns = now;
    const double seconds = (double)(now - s->started_ns) * 1e-9;
    const int64_t n_done = trdi_bell_count(s->bell) < s->n_written ? s->n_written : trdi_bell_count(s->bell);
    trd_progress progress = {
        .struct_size = sizeof progress, .n_done = n_done, .n_examples = s->n_read, .n_tokens = s->run->stats.n_tokens, .seconds = seconds,
        .tokens_per_second = seconds > 0 ? (double)s->run->stats.n_tokens / seconds : 0,
        .n_bytes = s->bytes_written, .n_total_bytes = s->source.total_bytes,
    };
    /* Of what is on its way, the part that is done, though it is not written. */
    const int64_t on_way = s->n_read - s->n_written;
    if (on_way > 0 && s->source.n_bytes > s->bytes_written) {
        progress.n_bytes += (int64_t)((double)(s->source.n_bytes - s->bytes_written) * (double)(n_done - s->n_written) / (double)on_way);
    }
    files->on_progress(files->on_progress_context, &progress);
}

static trd_status fill_inputs(run_state *s, const bool ready[2])
{
    trd_status status = TRD_OK;
    for (int i = 0; i < 2 && status == TRD_OK; i++) {
        if (ready[i] && s->wanted[i] != NULL) status = trdi_lines_fill(s->wanted[i]);
    }
    return status == TRD_OK ? TRD_OK : stop_reading(s, status);
}

static trd_status take_turn(run_state *s)
{
    /* Another thread may set it, not only a signal handler. */
    const volatile int *const stop = s->run->files.stop;
    if (stop != NULL && TRDI_LOAD_INT(stop) != 0) {
        return trdi_fail(TRD_E_CANCELLED, "%s: stopped after %lld lines", s->run->function, (long long)s->n_written);
    }
    bool moved = false;
    TRDI_TRY(write_done(s, &moved));
    TRDI_TRY(submit_last(s, &moved));
    TRDI_TRY(read_some(s, &moved));
    report(s, false);
    if (moved) return TRD_OK;
    TRDI_TRY(trdi_file_output_flush(&s->output));
    bool ready[2];
    trdi_bell_wait(s->bell, s->wanted, POLL_MS, ready);
    return fill_inputs(s, ready);
}

static bool is_finished(const run_state *s)
{
    return s->ended && s->first == NULL;
}

/* What is on its way ends; the library works on nothing of this run after it. */
static void cancel_all(run_state *s)
{
    for (chunk *c = s->first; c != NULL && c->is_submitted; c = c->next) {
        for (int64_t i = c->n_written; i < c->n; i++) trd_future_cancel(c->futures[i]);
    }
    for (chunk *c = s->first; c != NULL && c->is_submitted; c = c->next) (void)trd_future_wait_all(c->futures + c->n_written, c->n - c->n_written, -1);
}

static trd_status run_to_end(run_state *s)
{
    trd_status status = TRD_OK;
    s->started_ns = s->reported_ns = trdi_now_ns();
    while (status == TRD_OK && !is_finished(s)) status = take_turn(s);
    if (status == TRD_OK && s->failed != TRD_OK) status = trdi_fail(s->failed, "%s", s->error);
    char text[TRDI_ERROR_BYTES];
    (void)snprintf(text, sizeof text, "%s", trd_last_error());
    if (status == TRD_OK) {
        status = trdi_file_output_commit(&s->output);
    } else {
        cancel_all(s);
        report(s, true);
        trdi_file_output_abandon(&s->output);
        status = trdi_fail(status, "%s", text);
    }
    s->run->stats.total_time_in_ms = (double)(trdi_now_ns() - s->started_ns) * 1e-6;
    if (status == TRD_OK) report(s, true);
    return status;
}

static trd_status open_all(run_state *s)
{
    const trd_file_options *const files = &s->run->files;
    TRDI_TRY(trdi_bell_create(&s->bell));
    TRDI_TRY(trdi_lines_open(&s->source, files->source));
    s->has_target = files->target != NULL;
    if (s->has_target) TRDI_TRY(trdi_lines_open(&s->target, files->target));
    const trdi_lines *const inputs[] = { &s->source, s->has_target ? &s->target : NULL };
    return trdi_file_output_open(&s->output, files->output, inputs, 2);
}

static void free_all(run_state *s)
{
    while (s->first != NULL) {
        chunk *next = s->first->next;
        free_chunk(s->first);
        s->first = next;
    }
    free_chunk(s->open);
    trdi_file_output_abandon(&s->output);
    trdi_lines_close(&s->source);
    trdi_lines_close(&s->target);
    trdi_file_tokens_free(&s->next_source);
    trdi_file_tokens_free(&s->next_target);
    trdi_file_tokens_free(&s->text);
    trdi_free((void *)s->names);
    trdi_bell_release(s->bell, 1);
}

static int64_t read_size(const trd_file_options *files)
{
    if (files->read_batch_size > 0) return files->read_batch_size;
    if (files->max_batch_size == 1) return 1;
    return files->max_batch_size > INT64_MAX / 16 ? INT64_MAX : 16 * files->max_batch_size;
}

trd_status trdi_file_run_all(trdi_file_run *run)
{
    run_state s = { .run = run, .source = { .descriptor = -1 }, .target = { .descriptor = -1 }, .read_size = read_size(&run->files) };
    trd_translator_info info = { .struct_size = sizeof info };
    TRDI_TRY(trd_translator_get_info(run->translator, &info));
    s.n_workers = info.n_workers;
    trd_status status = open_all(&s);
    if (status == TRD_OK) status = run_to_end(&s);
    free_all(&s);
    return status;
}
