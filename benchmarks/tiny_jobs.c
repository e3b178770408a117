/*
 * tiny_jobs.c: processor time per job of the whole public path, with a backlog waiting: examples of one token on a model that costs almost nothing,
 * submitted one by one from several threads while the worker is full of long ones, which are then cancelled. The time of a job is that of its submission,
 * and its share of all that the process spends until the last one has ended and is given back. Beside it the same examples in one submission, and how
 * long a submission took. Prints one line of JSON.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <treadle/treadle.h>
#include <treadle/trd_future.h>

enum { MAX_THREADS = 64, PLUGS = 256 };

typedef struct submitter {
    pthread_t thread;
    trd_translator *translator;
    trd_future **futures;
    int64_t n, cpu_ns;
    int64_t *took_ns;                   /* [n] of each submission */
    char error[256];
} submitter;

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "tiny_jobs: %s: %s\n", what, why);
    return 1;
}

static trd_decoding_options one_token(void)
{
    trd_decoding_options options;
    trd_decoding_options_init(&options, sizeof options);
    options.beam_size = 1;
    options.max_decoding_length = 1;
    return options;
}

static void *submit_all(void *argument)
{
    submitter *const s = argument;
    static const char *const token = "w3";
    const int64_t length = 1;
    const trd_sequences source = { .n = 1, .lengths = &length, .tokens = &token };
    const trd_decoding_options options = one_token();
    const int64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (int64_t i = 0; i < s->n; i++) {
        const int64_t start = clock_ns(CLOCK_MONOTONIC);
        if (trd_translator_submit(s->translator, &source, NULL, &options, NULL, &s->futures[i]) != TRD_OK) {
            (void)snprintf(s->error, sizeof s->error, "%s", trd_last_error());
            break;
        }
        s->took_ns[i] = clock_ns(CLOCK_MONOTONIC) - start;
    }
    s->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Waits for all and gives them back. @return what did not succeed */
static int64_t finish(trd_future **futures, int64_t n)
{
    int64_t n_failed = 0;
    if (trd_future_wait_all(futures, n, -1) != TRD_OK) n_failed = n;
    for (int64_t i = 0; i < n; i++) {
        n_failed += trd_future_status(futures[i]) != TRD_OK;
        trd_future_release(futures[i]);
    }
    return n_failed;
}

/* All examples in one submission. @return nanoseconds of processor time, < 0 on failure */
static int64_t run_batch(trd_translator *translator, trd_future **futures, int64_t n)
{
    int64_t *const lengths = malloc((size_t)n * sizeof *lengths);
    const char **const tokens = malloc((size_t)n * sizeof *tokens);
    if (lengths == NULL || tokens == NULL) return -1;
    for (int64_t i = 0; i < n; i++) {
        lengths[i] = 1;
        tokens[i] = "w3";
    }
    const trd_sequences source = { .n = n, .lengths = lengths, .tokens = tokens };
    const trd_decoding_options options = one_token();
    const int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    const trd_status status = trd_translator_submit(translator, &source, NULL, &options, NULL, futures);
    const int64_t n_failed = status == TRD_OK ? finish(futures, n) : n;
    const int64_t spent = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    free(lengths);
    free(tokens);
    return n_failed == 0 ? spent : -1;
}

/* Examples that fill the worker until they are cancelled. */
static int fill_worker(trd_translator *translator, trd_future **plugs)
{
    static int64_t lengths[PLUGS];
    static const char *tokens[PLUGS];
    for (int i = 0; i < PLUGS; i++) {
        lengths[i] = 1;
        tokens[i] = "w3";
    }
    const trd_sequences source = { .n = PLUGS, .lengths = lengths, .tokens = tokens };
    trd_decoding_options options = one_token();
    options.min_decoding_length = options.max_decoding_length = 100000;
    return trd_translator_submit(translator, &source, NULL, &options, NULL, plugs) == TRD_OK ? 0 : failed("plug", trd_last_error());
}

static void cancel_all(trd_future **futures, int64_t n)
{
    for (int64_t i = 0; i < n; i++) trd_future_cancel(futures[i]);
    (void)trd_future_wait_all(futures, n, -1);
    for (int64_t i = 0; i < n; i++) trd_future_release(futures[i]);
}

/* Submit one by one, from all threads. *submit_ns: their processor time. */
static int submit_single(trd_translator *translator, trd_future **futures, int64_t *took, int64_t n, long n_threads, int64_t *submit_ns)
{
    submitter submitters[MAX_THREADS] = { { .n = 0 } };
    int wrong = 0;
    long n_started = 0;
    for (; n_started < n_threads; n_started++) {
        const int64_t first = n * n_started / n_threads, end = n * (n_started + 1) / n_threads;
        submitter *const s = &submitters[n_started];
        *s = (submitter){ .translator = translator, .futures = futures + first, .took_ns = took + first, .n = end - first };
        if (pthread_create(&s->thread, NULL, submit_all, s) != 0) break;
    }
    if (n_started < n_threads) wrong = failed("single", "no thread");
    for (long i = 0; i < n_started; i++) {
        (void)pthread_join(submitters[i].thread, NULL);
        *submit_ns += submitters[i].cpu_ns;
        if (submitters[i].error[0] != '\0') wrong = failed("submit", submitters[i].error);
    }
    return wrong;
}

static int run_single(trd_translator *translator, trd_future **futures, int64_t n, long n_threads, int64_t batch_ns)
{
    trd_future *plugs[PLUGS];
    int64_t *const took = calloc((size_t)n, sizeof *took), submit_ns = 0;
    if (took == NULL) return failed("single", "out of memory");
    if (fill_worker(translator, plugs) != 0) return 1;
    const int wrong = submit_single(translator, futures, took, n, n_threads, &submit_ns);
    trd_translator_info info = { .struct_size = sizeof info };
    if (wrong || trd_translator_get_info(translator, &info) != TRD_OK) return failed("single", trd_last_error());
    const int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), start = clock_ns(CLOCK_MONOTONIC);
    cancel_all(plugs, PLUGS);
    const int64_t n_failed = finish(futures, n);
    const int64_t spent = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu, wall = clock_ns(CLOCK_MONOTONIC) - start;
    if (n_failed != 0) return failed("single", "some examples failed");
    qsort(took, (size_t)n, sizeof *took, by_value);
    const double per_job = 1e-3 / (double)n;
    printf("{\"jobs\": %lld, \"submitters\": %ld, \"waiting\": %lld, \"cpu_us_per_job\": %.3f, \"submit_cpu_us_per_job\": %.3f, "
           "\"batch_cpu_us_per_job\": %.3f, \"wall_us_per_job\": %.3f, \"submit_us_p50\": %.3f, \"submit_us_p99\": %.3f, \"submit_us_max\": %.1f}\n",
           (long long)n, n_threads, (long long)info.n_queued, (double)(submit_ns + spent) * per_job, (double)submit_ns * per_job, (double)batch_ns * per_job,
           (double)wall * per_job, (double)took[n / 2] * 1e-3, (double)took[n - 1 - n / 100] * 1e-3, (double)took[n - 1] * 1e-3);
    free(took);
    return 0;
}

int main(int argc, char **argv)
{
    const int64_t n = argc == 4 ? strtoll(argv[2], NULL, 10) : 0;
    const long n_threads = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    if (n < 100 || n_threads < 1 || n_threads > MAX_THREADS) {
        fprintf(stderr, "usage: tiny_jobs MODEL N SUBMITTERS    (N at least 100, SUBMITTERS 1 to %d)\n", (int)MAX_THREADS);
        return 2;
    }
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.intra_threads = 1;
    options.max_queued_batches = -1;
    options.device = "cpu";
    trd_model *model = NULL;
    trd_translator *translator = NULL;
    if (trd_model_open(argv[1], &model) != TRD_OK || trd_translator_create(model, &options, &translator) != TRD_OK) {
        return failed(argv[1], trd_last_error());
    }
    trd_model_close(model);
    trd_future **const futures = calloc((size_t)n, sizeof *futures);
    if (futures == NULL) return failed("futures", "out of memory");
    int wrong = run_batch(translator, futures, n) < 0;      /* warm-up */
    const int64_t batch_ns = wrong ? -1 : run_batch(translator, futures, n);
    wrong = batch_ns < 0 ? failed("batch", trd_last_error()) : run_single(translator, futures, n, n_threads, batch_ns);
    free(futures);
    trd_translator_destroy(translator);
    return wrong;
}
