/*
 * tiny_jobs.c: processor time per job of the whole public path, with a backlog waiting: examples of one token on a model that costs almost nothing,
 * submitted one by one from several threads, all at once, and awaited. Beside it the same examples in one submission, whose difference is what single
 * requests cost, and the time that a submission took. Prints one line of JSON.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
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

/* Processor time of the library's threads by name, "treadle-0" and the like. Linux. */
static void print_threads(void)
{
    DIR *const tasks = opendir("/proc/self/task");
    printf(", \"threads\": {");
    const struct dirent *entry;
    bool first = true;
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        char path[512], name[64] = "";
        unsigned long long ns = 0;
        (void)snprintf(path, sizeof path, "/proc/self/task/%.200s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL) continue;
        if (fgets(name, sizeof name, file) == NULL) name[0] = '\0';
        fclose(file);
        name[strcspn(name, "\n")] = '\0';
        (void)snprintf(path, sizeof path, "/proc/self/task/%.200s/schedstat", entry->d_name);
        file = fopen(path, "r");
        if (file == NULL) continue;
        if (fscanf(file, "%llu", &ns) == 1) {
            printf("%s\"%s %s\": %.3f", first ? "" : ", ", name, entry->d_name, (double)ns * 1e-6);
            first = false;
        }
        fclose(file);
    }
    if (tasks != NULL) closedir(tasks);
    printf("}");
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

static int run_single(trd_translator *translator, trd_future **futures, int64_t n, long n_threads, int64_t batch_ns)
{
    submitter submitters[MAX_THREADS] = { { .n = 0 } };
    int64_t *const took = calloc((size_t)n, sizeof *took);
    if (took == NULL) return failed("single", "out of memory");
    const int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), start = clock_ns(CLOCK_MONOTONIC);
    for (long i = 0; i < n_threads; i++) {
        const int64_t first = n * i / n_threads;
        submitters[i] = (submitter){ .translator = translator, .futures = futures + first, .took_ns = took + first, .n = n * (i + 1) / n_threads - first };
        if (pthread_create(&submitters[i].thread, NULL, submit_all, &submitters[i]) != 0) return failed("single", "no thread");
    }
    int64_t submit_ns = 0;
    int wrong = 0;
    for (long i = 0; i < n_threads; i++) {
        (void)pthread_join(submitters[i].thread, NULL);
        submit_ns += submitters[i].cpu_ns;
        if (submitters[i].error[0] != '\0') wrong = failed("submit", submitters[i].error);
    }
    trd_translator_info info = { .struct_size = sizeof info };
    if (trd_translator_get_info(translator, &info) != TRD_OK) wrong = failed("info", trd_last_error());
    const int64_t n_failed = finish(futures, n);
    const int64_t spent = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu, wall = clock_ns(CLOCK_MONOTONIC) - start;
    if (n_failed != 0) wrong = failed("single", "some examples failed");
    qsort(took, (size_t)n, sizeof *took, by_value);
    printf("{\"jobs\": %lld, \"submitters\": %ld, \"cpu_us_per_job\": %.3f, \"submit_cpu_us_per_job\": %.3f, \"batch_cpu_us_per_job\": %.3f, "
           "\"wall_us_per_job\": %.3f, \"waiting_when_submitted\": %lld, \"submit_us_p50\": %.3f, \"submit_us_p99\": %.3f, \"submit_us_max\": %.1f",
           (long long)n, n_threads, (double)spent * 1e-3 / (double)n, (double)submit_ns * 1e-3 / (double)n, (double)batch_ns * 1e-3 / (double)n,
           (double)wall * 1e-3 / (double)n, (long long)info.n_queued, (double)took[n / 2] * 1e-3, (double)took[n - 1 - n / 100] * 1e-3,
           (double)took[n - 1] * 1e-3);
    print_threads();
    printf("}\n");
    free(took);
    return wrong;
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
