/*
 * requests_run.c: the same examples as one batch, or as single requests of as many threads, on one translator that stays loaded. A line of standard
 * input is a command, answered by one line of JSON, so that requests.py lets several programs take turns:
 *   batch BEAM N                    the first N examples in one call
 *   requests BEAM N T0 T1 ... TN-1  example i in a call of its own, on a thread of its own, T milliseconds after the start
 * Results of requests are compared with those of the last batch of the same beam.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <treadle/treadle.h>

enum { MAX_EXAMPLES = 4096, MAX_BEAM = 16, LINE_BYTES = 1 << 20, LEAD_NS = 30000000 };

typedef struct example {
    const char **tokens;
    int64_t n;
    uint64_t digest[MAX_BEAM + 1];      /* of the batch's result, by beam; 0 = none yet */
} example;

static struct {
    trd_translator *translator;
    trd_decoding_options decoding;
    example examples[MAX_EXAMPLES];
    long n;
} bench;

/* One request and what came of it. */
typedef struct request {
    pthread_t thread;
    const example *example;
    long    beam;
    int64_t at_ns, end_ns;
    int64_t n_tokens;
    bool    same;
    trd_status status;
    char    error[256];
} request;

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "requests_run: %s: %s\n", what, why);
    return 1;
}

/* A number that two results share when they have the same tokens; never 0. */
static uint64_t digest(const trd_result *result)
{
    uint64_t d = 1469598103934665603u;
    const int32_t *const ids = trd_result_ids(result, 0);
    for (int64_t t = 0; t < trd_result_n_tokens(result, 0); t++) d = (d ^ (uint64_t)(uint32_t)ids[t]) * 1099511628211u;
    return d | 1;
}

static trd_decoding_options options_of(long beam)
{
    trd_decoding_options options = bench.decoding;
    options.beam_size = beam;
    return options;
}

static int run_batch(long beam, long n)
{
    int64_t *const lengths = calloc((size_t)n, sizeof *lengths);
    int64_t n_tokens = 0;
    for (long i = 0; lengths != NULL && i < n; i++) n_tokens += lengths[i] = bench.examples[i].n;
    const char **const tokens = calloc((size_t)n_tokens + 1, sizeof *tokens);
    if (lengths == NULL || tokens == NULL) return failed("batch", "out of memory");
    const char **next = tokens;
    for (long i = 0; i < n; i++, next += lengths[i - 1]) memcpy(next, bench.examples[i].tokens, (size_t)lengths[i] * sizeof *tokens);
    const trd_sequences source = { .n = n, .lengths = lengths, .tokens = tokens };
    const trd_decoding_options options = options_of(beam);
    trd_results *results = NULL;
    const int64_t start = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    const trd_status status = trd_translator_translate(bench.translator, &source, NULL, &options, &results);
    const int64_t end = clock_ns(CLOCK_MONOTONIC), cpu_end = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    free(lengths);
    free(tokens);
    if (status != TRD_OK) return failed("batch", trd_last_error());
    n_tokens = 0;
    printf("{\"kind\": \"batch\", \"ms\": %.4f, \"cpu_ms\": %.4f, \"digests\": [", (double)(end - start) * 1e-6, (double)(cpu_end - cpu) * 1e-6);
    for (long i = 0; i < n; i++) {
        const trd_result *const result = trd_results_get(results, i);
        n_tokens += trd_result_n_tokens(result, 0);
        bench.examples[i].digest[beam] = digest(result);
        printf("%s\"%016llx\"", i > 0 ? ", " : "", (unsigned long long)bench.examples[i].digest[beam]);
    }
    printf("], \"tokens\": %lld}\n", (long long)n_tokens);
    trd_results_destroy(results);
    return 0;
}

static void *run_request(void *argument)
{
    request *const r = argument;
    const struct timespec at = { .tv_sec = (time_t)(r->at_ns / 1000000000), .tv_nsec = (long)(r->at_ns % 1000000000) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0) { }
    const trd_sequences source = { .n = 1, .lengths = &r->example->n, .tokens = r->example->tokens };
    const trd_decoding_options options = options_of(r->beam);
    trd_results *results = NULL;
    r->status = trd_translator_translate(bench.translator, &source, NULL, &options, &results);
    r->end_ns = clock_ns(CLOCK_MONOTONIC);
    if (r->status != TRD_OK) {
        (void)snprintf(r->error, sizeof r->error, "%s", trd_last_error());
        return NULL;
    }
    const trd_result *const result = trd_results_get(results, 0);
    r->n_tokens = trd_result_n_tokens(result, 0);
    r->same = digest(result) == r->example->digest[r->beam];
    trd_results_destroy(results);
    return NULL;
}

static int print_requests(const request *requests, long n, int64_t start, int64_t cpu_ns)
{
    int64_t end = start, n_tokens = 0;
    long n_same = 0;
    for (long i = 0; i < n; i++) {
        if (requests[i].status != TRD_OK) return failed("request", requests[i].error);
        if (requests[i].end_ns > end) end = requests[i].end_ns;
        n_tokens += requests[i].n_tokens;
        n_same += requests[i].same;
    }
    printf("{\"kind\": \"requests\", \"ms\": %.4f, \"cpu_ms\": %.4f, \"tokens\": %lld, \"same\": %ld, \"latencies_ms\": [", (double)(end - start) * 1e-6,
           (double)cpu_ns * 1e-6, (long long)n_tokens, n_same);
    for (long i = 0; i < n; i++) printf("%s%.4f", i > 0 ? ", " : "", (double)(requests[i].end_ns - requests[i].at_ns) * 1e-6);
    printf("]}\n");
    return 0;
}

/* Threads are made ahead of the start, so that making them is in no figure. @param times  "T0 T1 ..." */
static int run_requests(long beam, long n, char *times)
{
    request *const requests = calloc((size_t)n, sizeof *requests);
    if (requests == NULL) return failed("requests", "out of memory");
    const int64_t start = clock_ns(CLOCK_MONOTONIC) + LEAD_NS + n * 100000;
    long n_started = 0;
    int wrong = 0;
    for (; n_started < n && !wrong; n_started++) {
        request *const r = &requests[n_started];
        *r = (request){ .example = &bench.examples[n_started], .beam = beam, .at_ns = start + (int64_t)(strtod(times, &times) * 1e6) };
        if (pthread_create(&r->thread, NULL, run_request, r) != 0) {
            wrong = failed("requests", "no thread");
            break;
        }
    }
    const int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (long i = 0; i < n_started; i++) (void)pthread_join(requests[i].thread, NULL);
    if (!wrong) wrong = print_requests(requests, n, start, clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    free(requests);
    return wrong;
}

/* Examples: lines of tokens separated by spaces. The text stays for as long as the program runs. */
static int read_examples(const char *path)
{
    static char line[LINE_BYTES];
    FILE *const file = fopen(path, "r");
    if (file == NULL) return failed(path, "cannot be opened");
    while (bench.n < MAX_EXAMPLES && fgets(line, sizeof line, file) != NULL) {
        example *const e = &bench.examples[bench.n++];
        char *const copy = malloc(strlen(line) + 1);
        e->tokens = calloc(strlen(line) + 1, sizeof *e->tokens);
        if (copy == NULL || e->tokens == NULL) return failed(path, "out of memory");
        strcpy(copy, line);
        for (char *token = strtok(copy, " \n"); token != NULL; token = strtok(NULL, " \n")) e->tokens[e->n++] = token;
    }
    fclose(file);
    return bench.n > 0 ? 0 : failed(path, "holds nothing");
}

static int load(const char *path, const char *device, long n_threads)
{
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.device = device;
    options.compute_type = "float32";
    options.intra_threads = (int32_t)n_threads;
    trd_model *model = NULL;
    if (trd_model_open(path, &model) != TRD_OK) return failed(path, trd_last_error());
    const trd_status status = trd_translator_create(model, &options, &bench.translator);
    trd_model_close(model);
    trd_translator_info info = { .struct_size = sizeof info };
    if (status != TRD_OK || trd_translator_get_info(bench.translator, &info) != TRD_OK) return failed("load", trd_last_error());
    printf("{\"kind\": \"load\", \"device\": \"%s\", \"name\": \"%s\", \"workers\": %d, \"threads\": %d}\n", info.device, info.device_name,
           (int)info.n_workers, (int)info.n_threads);
    return 0;
}

static int obey(char *line)
{
    long beam = 0, n = 0;
    int used = 0;
    const bool batch = sscanf(line, "batch %ld %ld", &beam, &n) == 2;
    if (!batch && sscanf(line, "requests %ld %ld%n", &beam, &n, &used) != 2) return failed("no such command", line);
    if (beam < 1 || beam > MAX_BEAM || n < 1 || n > bench.n) return failed("numbers out of range", line);
    const int wrong = batch ? run_batch(beam, n) : run_requests(beam, n, line + used);
    fflush(stdout);
    return wrong;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: requests_run MODEL DEVICE THREADS EXAMPLES MIN_LENGTH MAX_LENGTH\n");
        return 2;
    }
    trd_decoding_options_init(&bench.decoding, sizeof bench.decoding);
    bench.decoding.min_decoding_length = strtol(argv[5], NULL, 10);
    bench.decoding.max_decoding_length = strtol(argv[6], NULL, 10);
    static char line[LINE_BYTES];
    int wrong = read_examples(argv[4]) || load(argv[1], argv[2], strtol(argv[3], NULL, 10));
    fflush(stdout);
    while (!wrong && fgets(line, sizeof line, stdin) != NULL) wrong = obey(line);
    trd_translator_destroy(bench.translator);
    return wrong;
}
