/*
 * device_run.c: translates one batch again and again on one device, on request: each line "run" on standard input is answered by one line of
 * JSON. So opencl.py lets several of these processes take turns, and a shell can do `printf 'run\nrun\n' | device_run ...`. Steps are timed
 * by the library's own trace when asked for. Sources are random ids; all hypotheses have the same length.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <treadle/treadle.h>

typedef struct setting {
    const char *model, *device, *compute_type;
    long batch, length, tokens, beam, threads;
    bool trace;
} setting;

/** What the log told. Written by the library's worker, read between calls. */
static struct { long n_compiled, n_steps; double enqueue_ms, thread_ms, all_ms; } told;

static void listen(void *context, trd_log_level level, const char *text)
{
    (void)context;
    (void)level;
    if (strstr(text, "compiled in") != NULL) told.n_compiled++;
    const char *step = strstr(text, "step of ");
    long n_tokens;
    double enqueue, thread, all;
    if (step != NULL && sscanf(step, "step of %ld tokens: enqueue %lf ms, thread %lf ms, all %lf ms", &n_tokens, &enqueue, &thread, &all) == 4) {
        told.n_steps++;
        told.enqueue_ms += enqueue;
        told.thread_ms += thread;
        told.all_ms += all;
    }
}

static double now_ms(void)
{
    struct timespec t;
    (void)timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int failed(const char *what)
{
    fprintf(stderr, "device_run: %s: %s\n", what, trd_last_error());
    return 1;
}

/** A number that two runs share when they give the same tokens. */
static uint64_t digest(const trd_results *results)
{
    uint64_t d = 1469598103934665603u;
    for (int64_t i = 0; i < trd_results_count(results); i++) {
        const trd_result *result = trd_results_get(results, i);
        const int32_t *ids = trd_result_ids(result, 0);
        for (int64_t t = 0; t < trd_result_n_tokens(result, 0); t++) d = (d ^ (uint64_t)(uint32_t)ids[t]) * 1099511628211u;
    }
    return d;
}

typedef struct bench_job {
    trd_translator *translator;
    trd_sequences source;
    trd_decoding_options decoding;
} bench_job;

/** One batch; prints its line. */
static int run(const bench_job *job, const char *kind)
{
    told.n_steps = 0;
    told.enqueue_ms = told.thread_ms = told.all_ms = 0.0;
    trd_results *results = NULL;
    const double start = now_ms();
    const trd_status status = trd_translator_translate(job->translator, &job->source, NULL, &job->decoding, &results);
    const double ms = now_ms() - start;
    if (status != TRD_OK) return failed("translate");
    int64_t n_tokens = 0;
    for (int64_t i = 0; i < trd_results_count(results); i++) n_tokens += trd_result_n_tokens(trd_results_get(results, i), 0);
    printf("{\"kind\": \"%s\", \"ms\": %.3f, \"tokens\": %lld, \"tokens_per_second\": %.1f, \"digest\": \"%016llx\", \"programs_compiled\": %ld", kind,
           ms, (long long)n_tokens, (double)n_tokens / ms * 1e3, (unsigned long long)digest(results), told.n_compiled);
    if (told.n_steps > 0) {
        const double n = (double)told.n_steps;
        printf(", \"steps\": %ld, \"step_ms\": %.4f, \"step_enqueue_ms\": %.4f, \"step_thread_ms\": %.4f", told.n_steps, told.all_ms / n,
               told.enqueue_ms / n, told.thread_ms / n);
    }
    printf("}\n");
    fflush(stdout);
    trd_results_destroy(results);
    return 0;
}

static int load(const setting *s, trd_translator **translator)
{
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.device = s->device;
    options.compute_type = s->compute_type;
    options.intra_threads = (int32_t)s->threads;
    trd_model *model = NULL;
    const double start = now_ms();
    if (trd_model_open(s->model, &model) != TRD_OK) return failed(s->model);
    const trd_status status = trd_translator_create(model, &options, translator);
    const double ms = now_ms() - start;
    trd_model_close(model);
    trd_translator_info info = { .struct_size = sizeof info };
    if (status != TRD_OK || trd_translator_get_info(*translator, &info) != TRD_OK) return failed("load");
    printf("{\"kind\": \"load\", \"device\": \"%s\", \"name\": \"%s\", \"compute_type\": \"%s\", \"ms\": %.3f, \"programs_compiled\": %ld}\n", info.device,
           info.device_name, info.compute_type, ms, told.n_compiled);
    fflush(stdout);
    return 0;
}

static int serve(const setting *s)
{
    bench_job job = { .translator = NULL };
    int wrong = load(s, &job.translator);
    int64_t *lengths = calloc((size_t)s->batch, sizeof *lengths);
    int32_t *ids = calloc((size_t)(s->batch * s->length), sizeof *ids);
    trd_model *model = NULL;
    if (lengths == NULL || ids == NULL) wrong = 1;
    if (!wrong && trd_model_open(s->model, &model) != TRD_OK) wrong = failed(s->model);
    const int64_t n_words = wrong ? 0 : trd_model_vocabulary_size(model, TRD_VOCABULARY_SOURCE);
    trd_model_close(model);
    uint32_t state = 1;
    for (long i = 0; !wrong && i < s->batch * s->length; i++) {
        state = state * 1664525u + 1013904223u;
        ids[i] = (int32_t)(3 + (int64_t)(state >> 8) % (n_words - 3));
    }
    for (long i = 0; !wrong && i < s->batch; i++) lengths[i] = s->length;
    job.source = (trd_sequences){ .n = s->batch, .lengths = lengths, .ids = ids };
    trd_decoding_options_init(&job.decoding, sizeof job.decoding);
    job.decoding.beam_size = s->beam;
    job.decoding.min_decoding_length = job.decoding.max_decoding_length = s->tokens;
    if (!wrong) wrong = run(&job, "first");
    char line[64];
    while (!wrong && fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "run\n") == 0) wrong = run(&job, "run");
        else break;
    }
    free(lengths);
    free(ids);
    trd_translator_destroy(job.translator);
    return wrong;
}

int main(int argc, char **argv)
{
    if (argc != 9 && !(argc == 10 && strcmp(argv[9], "trace") == 0)) {
        fprintf(stderr, "usage: device_run MODEL DEVICE COMPUTE_TYPE BATCH SOURCE_LENGTH TOKENS BEAM THREADS [trace]\n");
        return 2;
    }
    const setting s = {
        .model = argv[1], .device = argv[2], .compute_type = argv[3], .batch = strtol(argv[4], NULL, 10), .length = strtol(argv[5], NULL, 10),
        .tokens = strtol(argv[6], NULL, 10), .beam = strtol(argv[7], NULL, 10), .threads = strtol(argv[8], NULL, 10), .trace = argc == 10,
    };
    if (s.batch < 1 || s.length < 1 || s.tokens < 1 || s.beam < 1 || s.threads < 0) {
        fprintf(stderr, "device_run: batch, lengths and beam must be at least 1\n");
        return 2;
    }
    trd_log_set(s.trace ? TRD_LOG_TRACE : TRD_LOG_DEBUG, listen, NULL);
    return serve(&s);
}
