/*
 * tiny_jobs.c: processor time per job of the whole public path, with a backlog waiting: examples of one token on a model that costs almost nothing,
 * submitted one by one. Each thread keeps WINDOW of them on their way: as soon as half of these have ended it gives them back and submits as many
 * again. With a WINDOW of all, most of the time is that of fresh memory. Beside it the same examples in one submission, and how long a
 * submission took. Prints one line of JSON.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <treadle/treadle.h>
#include <treadle/trd_future.h>

enum { MAX_THREADS = 64 };

typedef struct submitter {
    pthread_t thread;
    trd_translator *translator;
    trd_future **futures;               /* [n] */
    int64_t n, window, n_failed;
    int64_t submit_ns;                  /* processor time of submitting alone */
    int64_t *took_ns;                   /* [n] of each submission */
    int64_t least_waiting;              /* in the backlog when a window was full again */
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

static bool submit_some(submitter *s, int64_t first, int64_t end)
{
    static const char *const token = "w3";
    const int64_t length = 1;
    const trd_sequences source = { .n = 1, .lengths = &length, .tokens = &token };
    const trd_decoding_options options = one_token();
    const int64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (int64_t i = first; i < end; i++) {
        const int64_t start = clock_ns(CLOCK_MONOTONIC);
        if (trd_translator_submit(s->translator, &source, NULL, &options, NULL, &s->futures[i]) != TRD_OK) {
            (void)snprintf(s->error, sizeof s->error, "%s", trd_last_error());
            return false;
        }
        s->took_ns[i] = clock_ns(CLOCK_MONOTONIC) - start;
    }
    s->submit_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    return true;
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

static void *submit_all(void *argument)
{
    submitter *const s = argument;
    trd_translator_info info = { .struct_size = sizeof info };
    s->least_waiting = INT64_MAX;
    int64_t n_submitted = 0, n_back = 0;
    while (n_back < s->n) {
        const int64_t end = n_back + s->window < s->n ? n_back + s->window : s->n;
        if (!submit_some(s, n_submitted, end)) break;
        n_submitted = end;
        if (end < s->n && trd_translator_get_info(s->translator, &info) == TRD_OK && info.n_queued < s->least_waiting) s->least_waiting = info.n_queued;
        const int64_t half = end == s->n ? end - n_back : (s->window + 1) / 2;
        s->n_failed += finish(s->futures + n_back, half);
        n_back += half;
    }
    return NULL;
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

static int run_single(trd_translator *translator, trd_future **futures, int64_t n, long n_threads, int64_t window, int64_t batch_ns)
{
    submitter submitters[MAX_THREADS] = { { .n = 0 } };
    int64_t *const took = calloc((size_t)n, sizeof *took), submit_ns = 0, waiting = INT64_MAX;
    if (took == NULL) return failed("single", "out of memory");
    const int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), start = clock_ns(CLOCK_MONOTONIC);
    for (long i = 0; i < n_threads; i++) {
        const int64_t first = n * i / n_threads;
        submitter *const s = &submitters[i];
        *s = (submitter){ .translator = translator, .futures = futures + first, .took_ns = took + first, .n = n * (i + 1) / n_threads - first, .window = window };
        if (pthread_create(&s->thread, NULL, submit_all, s) != 0) exit(failed("single", "no thread"));
    }
    for (long i = 0; i < n_threads; i++) {
        submitter *const s = &submitters[i];
        (void)pthread_join(s->thread, NULL);
        if (s->error[0] != '\0' || s->n_failed > 0) return failed("single", s->n_failed > 0 ? "some examples failed" : s->error);
        submit_ns += s->submit_ns;
        if (s->least_waiting < waiting) waiting = s->least_waiting;
    }
    const int64_t spent = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu, wall = clock_ns(CLOCK_MONOTONIC) - start;
    qsort(took, (size_t)n, sizeof *took, by_value);
    const double per_job = 1e-3 / (double)n;
    printf("{\"jobs\": %lld, \"submitters\": %ld, \"window\": %lld, \"least_waiting\": %lld, \"cpu_us_per_job\": %.3f, \"submit_cpu_us_per_job\": %.3f, "
           "\"batch_cpu_us_per_job\": %.3f, \"wall_us_per_job\": %.3f, \"submit_us_p50\": %.3f, \"submit_us_p99\": %.3f, \"submit_us_max\": %.1f}\n",
           (long long)n, n_threads, (long long)window, (long long)(waiting == INT64_MAX ? 0 : waiting), (double)spent * per_job, (double)submit_ns * per_job,
           (double)batch_ns * per_job, (double)wall * per_job, (double)took[n / 2] * 1e-3, (double)took[n - 1 - n / 100] * 1e-3,
           (double)took[n - 1] * 1e-3);
    free(took);
    return 0;
}

int main(int argc, char **argv)
{
    const int64_t n = argc == 5 ? strtoll(argv[2], NULL, 10) : 0, window = argc == 5 ? strtoll(argv[4], NULL, 10) : 0;
    const long n_threads = argc == 5 ? strtol(argv[3], NULL, 10) : 0;
    if (n < 100 || n_threads < 1 || n_threads > MAX_THREADS || window < 1) {
        fprintf(stderr, "usage: tiny_jobs MODEL N SUBMITTERS WINDOW    (N at least 100, SUBMITTERS 1 to %d, WINDOW at least 1)\n", (int)MAX_THREADS);
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
    wrong = batch_ns < 0 ? failed("batch", trd_last_error()) : run_single(translator, futures, n, n_threads, window, batch_ns);
    free(futures);
    trd_translator_destroy(translator);
    return wrong;
}
