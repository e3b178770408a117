/*
 * soak.c: many threads send small requests of all kinds to one translator, wait for them in all ways, cancel, limit and drop some at random,
 * while steps and the device fail now and then: every request ends once, with the result that it has alone or with a reason that was
 * given to it, and memory stays flat. Usage: soak [requests [threads [seed]]]; without arguments a short form, which is a test.
 */
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "api/api_rig.h"
#include "api/notifier.h"
#include "api/translator.h"
#include "core/threads.h"
#include "nn/foreign_device.h"
#include "nn/tiny_model.h"

enum { N_SOURCES = 12, MOST_TOKENS = 14, IN_FLIGHT = 12, MOST_EXAMPLES = 4, STEPS = 12, ROUNDS = 10 };

typedef enum kind { GREEDY, BEAM, SAMPLES, TOKENS, LOCKSTEP, SCORE, N_KINDS } kind;
static const char *const kind_names[N_KINDS] = { "greedy", "beam", "samples", "tokens", "mt19937", "score" };

/* One request; freed by the last of its owner and its callbacks. */
typedef struct request {
    kind        kind;
    int64_t     first, n;                /* sources */
    trd_future *futures[MOST_EXAMPLES];
    atomic_int  n_uses, n_called[MOST_EXAMPLES], n_steps[MOST_EXAMPLES];
    bool        has_callback, has_deadline, cancelled;
} request;

static trd_translator *translator;
static trdi_device device;
static int64_t lengths[N_SOURCES];
static int32_t ids[N_SOURCES][MOST_TOKENS];
static trd_results *alone[N_KINDS];
static trd_result const *lockstep_alone[N_SOURCES][MOST_EXAMPLES];
static trd_results *lockstep_results[N_SOURCES];

static atomic_llong n_requests, n_examples, n_ended[TRD_E_INTERNAL + 1], n_refused, n_blocking, n_dropped, n_callbacks, n_callbacks_wanted, n_injected;

typedef struct random_state {
    uint64_t state;
} random_state;

static uint64_t draw(random_state *r, uint64_t below)
{
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    return (r->state >> 33) % below;
}

/* ---- Requests ---- */

static trd_decoding_options options_of(kind what)
{
    trd_decoding_options o = rig_options();
    o.beam_size = what == BEAM ? 3 : 1;
    o.num_hypotheses = what == BEAM || what == SAMPLES ? 2 : 1;
    o.return_scores = true;
    o.max_decoding_length = STEPS;
    if (what == SAMPLES || what == LOCKSTEP) o.sampling_topk = 0;
    o.has_seed = true;
    o.seed = 11;
    o.rng = what == LOCKSTEP ? TRD_RNG_MT19937 : TRD_RNG_PHILOX;
    return o;
}

/* Sources first .. first+n-1, round and round; arrays are the caller's. */
static trd_sequences sources_of(int64_t first, int64_t n, int64_t *some_lengths, int32_t *some_ids)
{
    int64_t used = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t from = (first + i) % N_SOURCES;
        some_lengths[i] = lengths[from];
        memcpy(some_ids + used, ids[from], (size_t)lengths[from] * sizeof(int32_t));
        used += lengths[from];
    }
    return (trd_sequences){ .n = n, .lengths = some_lengths, .ids = some_ids };
}

static const trd_result *expected(const request *r, int64_t i)
{
    if (r->kind == LOCKSTEP) return lockstep_alone[r->first][i];
    return trd_results_get(alone[r->kind], (r->first + i) % N_SOURCES);
}

static bool is_same(const trd_result *got, const trd_result *want)
{
    if (trd_result_n_hypotheses(got) != trd_result_n_hypotheses(want)) return false;
    for (int64_t h = 0; h < trd_result_n_hypotheses(want); h++) {
        const int64_t n = trd_result_n_tokens(want, h);
        if (trd_result_n_tokens(got, h) != n || trd_result_score(got, h) != trd_result_score(want, h)) return false;
        if (n > 0 && memcmp(trd_result_ids(got, h), trd_result_ids(want, h), (size_t)n * sizeof(int32_t)) != 0) return false;
        const float *a = trd_result_token_scores(got, h), *b = trd_result_token_scores(want, h);
        if ((a != NULL) != (b != NULL) || (b != NULL && memcmp(a, b, (size_t)n * sizeof(float)) != 0)) return false;
    }
    return true;
}

static void check_result(const request *r, int64_t i, const trd_result *result)
{
    if (is_same(result, expected(r, i))) return;
    fprintf(stderr, "%s, sources from %lld, example %lld: another result than alone\n", kind_names[r->kind], (long long)r->first, (long long)i);
    exit(1);
}

static void drop_use(request *r)
{
    if (atomic_fetch_sub(&r->n_uses, 1) == 1) free(r);
}

static void on_done(void *context, trd_future *future)
{
    request *r = context;
    int64_t i = 0;
    while (i < r->n && r->futures[i] != future) i++;
    CHECK(i < r->n);
    CHECK_INT(atomic_fetch_add(&r->n_called[i], 1), 0);
    CHECK(trd_future_is_done(future));
    atomic_fetch_add(&n_callbacks, 1);
    drop_use(r);
}

static bool on_step(void *context, const trd_step_result *step)
{
    request *r = context;
    CHECK_INT(atomic_fetch_add(&r->n_steps[step->example], 1), step->step);
    return false;
}

/* How a future ended must be something that can have happened to it. */
static void check_end(request *r, int64_t i)
{
    const trd_status status = trd_future_status(r->futures[i]);
    const trd_result *result;
    CHECK_INT(trd_future_result(r->futures[i], &result), status);
    CHECK_INT(trd_future_status(r->futures[i]), status);
    atomic_fetch_add(&n_ended[status], 1);
    if (status == TRD_OK) {
        check_result(r, i, result);
        if (r->kind == TOKENS) CHECK(atomic_load(&r->n_steps[i]) >= trd_result_n_tokens(result, 0));
        return;
    }
    const bool failed = (status == TRD_E_INTERNAL || status == TRD_E_DEVICE) && atomic_load(&n_injected) > 0;
    if (failed || (status == TRD_E_CANCELLED && r->cancelled) || (status == TRD_E_TIMEOUT && r->has_deadline)) return;
    fprintf(stderr, "%s ended with %s: %s\n", kind_names[r->kind], trd_status_text(status), trd_future_error(r->futures[i]));
    exit(1);
}

static void give_back(request *r)
{
    for (int64_t i = 0; i < r->n; i++) trd_future_release(r->futures[i]);
    drop_use(r);
}

static request *new_request(random_state *random)
{
    request *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    r->kind = (kind)draw(random, N_KINDS);
    r->first = (int64_t)draw(random, N_SOURCES);
    /* Draws depend on the place in the call. */
    r->n = r->kind == LOCKSTEP ? MOST_EXAMPLES : r->kind == SAMPLES ? 1 : 1 + (int64_t)(draw(random, 4) == 0 ? draw(random, MOST_EXAMPLES) : 0);
    if (r->kind == SAMPLES) r->first = 0;
    r->has_callback = draw(random, 3) == 0;
    r->has_deadline = draw(random, 10) == 0;
    atomic_init(&r->n_uses, 1);
    return r;
}

/* @return NULL when there was no room, as asked */
static request *submit(random_state *random)
{
    request *r = new_request(random);
    int64_t some_lengths[MOST_EXAMPLES];
    int32_t some_ids[MOST_EXAMPLES * MOST_TOKENS];
    const trd_sequences source = sources_of(r->first, r->n, some_lengths, some_ids);
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    how.priority = (int32_t)draw(random, 17) - 8;
    how.refuse_when_full = draw(random, 2) == 0;
    if (r->has_deadline) how.timeout_seconds = 1e-6 * (double)(1 + draw(random, 20000));
    if (r->has_callback) {
        how.on_done = on_done;
        how.on_done_context = r;
        atomic_fetch_add(&r->n_uses, (int)r->n);
    }
    trd_decoding_options o = options_of(r->kind);
    if (r->kind == TOKENS) {
        o.on_step = on_step;
        o.on_step_context = r;
        if (!r->has_callback) {      /* it says when no token will come any more */
            r->has_callback = true;
            how.on_done = on_done;
            how.on_done_context = r;
            atomic_fetch_add(&r->n_uses, (int)r->n);
        }
    }
    const trd_status status = r->kind == SCORE ? trd_translator_submit_score(translator, &source, &source, NULL, &how, r->futures)
                                               : trd_translator_submit(translator, &source, NULL, &o, &how, r->futures);
    if ((status == TRD_E_BUSY || status == TRD_E_RANGE) && how.refuse_when_full) {
        atomic_fetch_add(&n_refused, 1);
        free(r);
        return NULL;
    }
    CHECK_OK(status);
    atomic_fetch_add(&n_examples, r->n);
    if (r->has_callback) atomic_fetch_add(&n_callbacks_wanted, r->n);
    return r;
}

/* Not among the futures: a whole call, which fails as a whole. */
static void call_blocking(random_state *random)
{
    request *r = new_request(random);
    int64_t some_lengths[MOST_EXAMPLES];
    int32_t some_ids[MOST_EXAMPLES * MOST_TOKENS];
    const trd_sequences source = sources_of(r->first, r->n, some_lengths, some_ids);
    trd_decoding_options o = options_of(r->kind);
    if (r->kind == TOKENS) {
        o.on_step = on_step;
        o.on_step_context = r;
    }
    trd_results *results;
    const trd_status status = r->kind == SCORE ? trd_translator_score(translator, &source, &source, NULL, &results)
                                               : trd_translator_translate(translator, &source, NULL, &o, &results);
    atomic_fetch_add(&n_blocking, 1);
    if (status != TRD_OK) CHECK((status == TRD_E_INTERNAL || status == TRD_E_DEVICE) && atomic_load(&n_injected) > 0);
    for (int64_t i = 0; status == TRD_OK && i < r->n; i++) check_result(r, i, trd_results_get(results, i));
    trd_results_destroy(results);
    free(r);
}

/* ---- Threads ---- */

static void wait_somehow(request *r, random_state *random)
{
    int64_t which;
    switch (draw(random, 4)) {
    case 0:
        for (int64_t i = 0; i < r->n; i++) CHECK_OK(trd_future_wait(r->futures[i], -1));
        break;
    case 1:
        CHECK_OK(trd_future_wait_any(r->futures, r->n, -1, &which));
        CHECK(trd_future_is_done(r->futures[which]));
        break;
    case 2:
        for (trd_status s = TRD_E_TIMEOUT; s != TRD_OK;) {
            s = trd_future_wait_all(r->futures, r->n, 1e-4);
            CHECK(s == TRD_OK || s == TRD_E_TIMEOUT);
        }
        break;
    default:
        break;
    }
    CHECK_OK(trd_future_wait_all(r->futures, r->n, -1));
}

static void finish(request *r, random_state *random)
{
    const bool cancels = draw(random, 12) == 0;
    if (cancels) {
        r->cancelled = true;
        trd_future_cancel(r->futures[draw(random, (uint64_t)r->n)]);
    }
    if (draw(random, 12) == 0) {         /* nobody waits */
        atomic_fetch_add(&n_dropped, r->n);
        give_back(r);
        return;
    }
    wait_somehow(r, random);
    for (int64_t i = 0; i < r->n; i++) check_end(r, i);
    give_back(r);
}

static void fail_something(random_state *random)
{
    atomic_fetch_add(&n_injected, 1);
    foreign_fail_run((int64_t)draw(random, 3), draw(random, 2) == 0 ? TRD_E_INTERNAL : TRD_E_DEVICE);
}

typedef struct worker {
    trdi_thread  thread;
    random_state random;
    int64_t      n;
} worker;

static void *run(void *argument)
{
    worker *w = argument;
    request *window[IN_FLIGHT] = { NULL };
    for (int64_t k = 0; k < w->n; k++) {
        request **place = &window[draw(&w->random, IN_FLIGHT)];
        if (*place != NULL) finish(*place, &w->random);
        *place = NULL;
        atomic_fetch_add(&n_requests, 1);
        if (draw(&w->random, 400) == 0) fail_something(&w->random);
        if (draw(&w->random, 20) == 0) call_blocking(&w->random);
        else *place = submit(&w->random);
    }
    for (int i = 0; i < IN_FLIGHT; i++) {
        if (window[i] != NULL) finish(window[i], &w->random);
    }
    return NULL;
}

/* ---- The whole ---- */

static long resident_kib(void)
{
    long pages = 0, all = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%ld %ld", &all, &pages) != 2) pages = 0;
    (void)fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Two workers on a device that can be made to fail, with a backlog that is often full. */
static void open_translator(const char *folder)
{
    trd_model *model;
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.compute_type = "float32";
    options.cache_dir = "";
    options.inter_threads = 2;
    options.intra_threads = 1;
    options.max_batch_rows = 128;
    options.max_queued_batches = 96;
    device = (trdi_device){ .ops = foreign_backend(), .facts = foreign_facts(TRDI_TYPES_INT8 | TRDI_TYPES_F16) };
    CHECK_OK(device.ops->device_open(&device.facts, &device.impl));
    CHECK_OK(trd_model_open(folder, &model));
    trdi_device *devices[] = { &device };
    CHECK_OK(trdi_translator_create_on(model, devices, 1, &options, &translator));
    trd_model_close(model);
}

static void make_expectations(void)
{
    random_state random = { 42 };
    int64_t some_lengths[N_SOURCES];
    int32_t some_ids[N_SOURCES * MOST_TOKENS];
    for (int64_t i = 0; i < N_SOURCES; i++) {
        lengths[i] = 1 + (int64_t)draw(&random, MOST_TOKENS);
        for (int64_t t = 0; t < lengths[i]; t++) ids[i][t] = 4 + (int32_t)draw(&random, 30);
    }
    for (kind k = GREEDY; k < N_KINDS; k++) {
        const trd_sequences source = sources_of(0, N_SOURCES, some_lengths, some_ids);
        const trd_decoding_options o = options_of(k);
        if (k == SCORE) CHECK_OK(trd_translator_score(translator, &source, &source, NULL, &alone[k]));
        else CHECK_OK(trd_translator_translate(translator, &source, NULL, &o, &alone[k]));
    }
    for (int64_t i = 0; i < N_SOURCES; i++) {
        const trd_sequences source = sources_of(i, MOST_EXAMPLES, some_lengths, some_ids);
        const trd_decoding_options o = options_of(LOCKSTEP);
        CHECK_OK(trd_translator_translate(translator, &source, NULL, &o, &lockstep_results[i]));
        for (int64_t e = 0; e < MOST_EXAMPLES; e++) lockstep_alone[i][e] = trd_results_get(lockstep_results[i], e);
    }
}

static int64_t n_active(void)
{
    trd_translator_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_translator_get_info(translator, &info));
    return info.n_active;
}

static void wait_until_quiet(void)
{
    while (n_active() > 0 || atomic_load(&n_callbacks) < atomic_load(&n_callbacks_wanted)) {
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    CHECK_INT(atomic_load(&n_callbacks), atomic_load(&n_callbacks_wanted));
    foreign_fail_run(-1, TRD_OK);
}

static void run_round(int64_t n, int32_t n_threads, uint64_t seed)
{
    worker *workers = calloc((size_t)n_threads, sizeof *workers);
    CHECK(workers != NULL);
    for (int32_t i = 0; i < n_threads; i++) {
        workers[i].random.state = seed * 1000003u + (uint64_t)i * 7919u + 1;
        workers[i].n = n / n_threads + (i < n % n_threads);
        CHECK_OK(trdi_thread_start(&workers[i].thread, "soak", run, &workers[i]));
    }
    for (int32_t i = 0; i < n_threads; i++) trdi_thread_join(workers[i].thread);
    free(workers);
    wait_until_quiet();
}

static void print_counts(void)
{
    printf("%lld requests, %lld of them blocking, %lld refused; %lld examples: %lld dropped, %lld succeeded, %lld cancelled, %lld timed out, "
           "%lld failed by %lld injected failures; %lld callbacks\n", (long long)n_requests, (long long)n_blocking, (long long)n_refused,
           (long long)n_examples, (long long)n_dropped, (long long)n_ended[TRD_OK], (long long)n_ended[TRD_E_CANCELLED],
           (long long)n_ended[TRD_E_TIMEOUT], (long long)(n_ended[TRD_E_INTERNAL] + n_ended[TRD_E_DEVICE]), (long long)n_injected,
           (long long)n_callbacks);
}

int main(int argc, char **argv)
{
    const bool is_long = argc > 1;
    const int64_t n = is_long ? strtoll(argv[1], NULL, 10) : UNDER_THREAD_SANITIZER || UNDER_ADDRESS_SANITIZER ? 1500 : 4000;
    const int32_t n_threads = argc > 2 ? (int32_t)strtol(argv[2], NULL, 10) : 32;
    const uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    if (n < 1 || n_threads < 1 || n_threads > 1024) {
        fprintf(stderr, "usage: %s [requests [threads [seed]]]\n", argv[0]);
        return 2;
    }
    char folder[4096], command[4200];
    const char *const root = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/treadle-soak-%ld", root != NULL ? root : "/tmp", (long)getpid());
    tiny_model_write(folder, &(tiny_model){ .name = "soak" });
    open_translator(folder);
    make_expectations();
    size_t bytes, blocks, warm_bytes = 0;
    long warm_kib = 0;
    const int64_t started_ns = trdi_now_ns();
    for (int round = 0; round < ROUNDS; round++) {
        run_round(n / ROUNDS + (round < n % ROUNDS), n_threads, seed + (uint64_t)round);
        trd_memory_in_use(&bytes, &blocks);
        printf("round %d: %zu bytes in %zu blocks held, %ld KiB resident, %.1f s\n", round, bytes, blocks, resident_kib(),
               (double)(trdi_now_ns() - started_ns) * 1e-9);
        (void)fflush(stdout);
        if (round > 1) continue;
        warm_bytes = bytes;
        warm_kib = resident_kib();
    }
    print_counts();
    CHECK_INT(n_requests, n);
    CHECK_INT(n_examples, n_dropped + n_ended[TRD_OK] + n_ended[TRD_E_CANCELLED] + n_ended[TRD_E_TIMEOUT] + n_ended[TRD_E_INTERNAL] + n_ended[TRD_E_DEVICE]);
    CHECK(n_ended[TRD_OK] > n_examples / 4);
    if (is_long && n >= 100000) {        /* the first rounds of a short run do not meet the largest batches */
        printf("memory held: %+.2f %% since warm, resident: %+.2f %%\n", 100 * ((double)bytes / (double)warm_bytes - 1),
               100 * ((double)resident_kib() / (double)warm_kib - 1));
        CHECK((double)bytes <= 1.01 * (double)warm_bytes);
    }
    for (kind k = GREEDY; k < N_KINDS; k++) trd_results_destroy(alone[k]);
    for (int64_t i = 0; i < N_SOURCES; i++) trd_results_destroy(lockstep_results[i]);
    trd_translator_destroy(translator);
    trdi_notifier_stop(INT64_C(60000000000));   /* it gives its references back after the callbacks */
    device.ops->device_close(device.impl);
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(bytes, 0);
    CHECK_INT(blocks, 0);
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command) == 0 ? 0 : 1;
}
