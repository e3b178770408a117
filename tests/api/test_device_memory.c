/*
 * test_device_memory.c: a translator on a device whose memory is not the host's, gives the CPU's bits; when the device's memory is
 * short, jobs wait, or begin anew, and results stay the same; only what cannot run alone fails, and the rest goes on.
 */
#include <unistd.h>

#include "api/api_rig.h"
#include "api/foreign_translator.h"
#include "nn/tiny_model.h"

enum { N = 10, STEPS = 52, MOST = 24, STOP = 37 };

/* Sanitizers are slow: fewer limits, fewer failures. */
enum { SLOW = UNDER_ADDRESS_SANITIZER || UNDER_THREAD_SANITIZER };

static char folder[256];
static int64_t lengths[N];
static int32_t ids[N * MOST];

/* What a call does. */
typedef enum kind { BEAM, GREEDY, SAMPLES, ALTERNATIVES, LOCKSTEP, EVENTS, SCORE, N_KINDS } kind;
static const char *const kind_names[N_KINDS] = { "beam", "greedy", "samples", "alternatives", "mt19937", "events", "score" };

static int64_t n_events;
static bool reported[N][STEPS];
/* Each token is reported once, and every third example is stopped. */
static bool count_events(void *context, const trd_step_result *step)
{
    (void)context;
    CHECK(!reported[step->example][step->step]);
    CHECK(step->step == 0 || reported[step->example][step->step - 1]);
    reported[step->example][step->step] = true;
    n_events++;
    return step->example % 3 == 0 && step->step == STOP;
}
/* Of all examples; 4 of 10 are stopped. */
enum { ALL_EVENTS = 6 * STEPS + 4 * (STOP + 1) };

static trd_decoding_options options_of(kind what)
{
    trd_decoding_options o = rig_options();
    o.beam_size = what == BEAM ? 4 : what == ALTERNATIVES ? 2 : 1;
    o.num_hypotheses = what == BEAM ? 2 : what == GREEDY || what == EVENTS || what == LOCKSTEP ? 1 : 3;
    o.return_scores = true;
    o.return_alternatives = what == ALTERNATIVES;
    o.return_attention = what == BEAM;
    o.has_end_tokens = true;                 /* none: every result has STEPS tokens */
    o.max_decoding_length = STEPS;
    o.repetition_penalty = 1.2f;
    if (what == SAMPLES || what == LOCKSTEP) o.sampling_topk = 0;
    o.has_seed = true;
    o.seed = 5;
    o.rng = what == LOCKSTEP ? TRD_RNG_MT19937 : TRD_RNG_PHILOX;
    if (what == EVENTS) o.on_step = count_events;
    return o;
}

/* Examples first .. first+n-1. */
static trd_status run(trd_translator *t, kind what, int64_t first, int64_t n, trd_results **results)
{
    int64_t at = 0;
    for (int64_t i = 0; i < first; i++) at += lengths[i];
    const trd_sequences some = { .n = n, .lengths = lengths + first, .ids = ids + at };
    const trd_decoding_options o = options_of(what);
    n_events = 0;
    memset(reported, 0, sizeof reported);
    if (what == SCORE) return trd_translator_score(t, &some, &some, NULL, results);
    return trd_translator_translate(t, &some, NULL, &o, results);
}

static void check_same(const trd_results *got, const trd_results *want, const char *what)
{
    CHECK_INT(trd_results_count(got), trd_results_count(want));
    for (int64_t i = 0; i < trd_results_count(want); i++) {
        const trd_result *a = trd_results_get(got, i), *b = trd_results_get(want, i);
        CHECK_INT(trd_result_n_hypotheses(a), trd_result_n_hypotheses(b));
        for (int64_t h = 0; h < trd_result_n_hypotheses(b); h++) {
            const int64_t n = trd_result_n_tokens(b, h);
            CHECK_INT(trd_result_n_tokens(a, h), n);
            const bool same = memcmp(trd_result_ids(a, h), trd_result_ids(b, h), (size_t)n * sizeof(int32_t)) == 0 &&
                              trd_result_score(a, h) == trd_result_score(b, h);
            if (same) continue;
            fprintf(stderr, "%s: hypothesis %d of example %d differs: score %.9g, wanted %.9g\n", what, (int)h, (int)i,
                    (double)trd_result_score(a, h), (double)trd_result_score(b, h));
            exit(1);
        }
    }
}

/* The CPU's results, which every other way must give. */
static trd_results *wanted[N_KINDS];

static void run_on_cpu(void)
{
    trd_translator *t = rig_translator(folder, 1);
    for (int k = 0; k < N_KINDS; k++) CHECK_OK(run(t, (kind)k, 0, N, &wanted[k]));
    trd_translator_destroy(t);
}

static void on_the_device(int32_t n_workers)
{
    foreign_translator *f = foreign_open(folder, "float32", n_workers, 64);
    for (int k = 0; k < N_KINDS; k++) {
        trd_results *results;
        CHECK_OK(run(f->translator, (kind)k, 0, N, &results));
        check_same(results, wanted[k], kind_names[k]);
        if (k == EVENTS) CHECK_INT(n_events, ALL_EVENTS);
        trd_results_destroy(results);
    }
    foreign_close(f);
    CHECK_INT(foreign_memory_in_use(), 0);
}

/* The most that a fresh translator takes for one example, and for all. */
static void measure(kind what, size_t *alone, size_t *together)
{
    trd_results *results;
    *alone = 0;
    for (int64_t i = 0; i <= N; i++) {
        foreign_translator *f = foreign_open(folder, "float32", 1, 256);
        foreign_limit_memory(SIZE_MAX);
        CHECK_OK(run(f->translator, what, i < N ? i : 0, i < N ? 1 : N, &results));
        trd_results_destroy(results);
        if (i == N) *together = foreign_memory_peak();
        else if (foreign_memory_peak() > *alone) *alone = foreign_memory_peak();
        foreign_close(f);
    }
}

/* Between all at once and one alone: the same results. Below: a failure, and the translator stays usable. */
static void with_little_memory(kind what)
{
    size_t alone, together = 0;
    measure(what, &alone, &together);
    CHECK(together > 2 * alone);
    foreign_translator *f = foreign_open(folder, "float32", 1, 256);
    trd_results *results;
    int n_runs = 0, n_failed = 0;
    for (size_t limit = together; limit > alone / 4; limit -= limit / (SLOW ? 2 : 4), n_runs++) {
        foreign_close(f);
        f = foreign_open(folder, "float32", 1, 256);
        foreign_limit_memory(limit);
        const trd_status status = run(f->translator, what, 0, N, &results);
        if (status == TRD_OK) check_same(results, wanted[what], kind_names[what]);
        else CHECK_INT(status, TRD_E_MEMORY);
        if (status == TRD_OK && what == EVENTS) CHECK_INT(n_events, ALL_EVENTS);
        if (status != TRD_OK && limit >= alone) {
            fprintf(stderr, "%s: %zu bytes are more than the %zu of one alone, yet: %s\n", kind_names[what], limit, alone, trd_last_error());
            exit(1);
        }
        n_failed += status != TRD_OK;
        trd_results_destroy(results);
    }
    CHECK(n_failed > 0 && n_failed < n_runs);
    foreign_limit_memory(SIZE_MAX);
    CHECK_OK(run(f->translator, what, 0, N, &results));
    check_same(results, wanted[what], kind_names[what]);
    trd_results_destroy(results);
    foreign_close(f);
    printf("%s: alone %zu bytes, together %zu; %d of %d limits were too low\n", kind_names[what], alone, together, n_failed, n_runs);
}

/* Runs that report a lack of memory are done again with less; other failures end the jobs of the worker, and those alone. */
static void failing_runs(void)
{
    foreign_translator *f = foreign_open(folder, "float32", 1, 256);
    trd_results *results;
    for (int k = 0; k < N_KINDS; k++) {
        for (int64_t n = 0; n < 40; n += SLOW ? 21 : 7) {
            foreign_fail_run(n, TRD_E_MEMORY);
            CHECK_OK(run(f->translator, (kind)k, 0, N, &results));
            check_same(results, wanted[k], kind_names[k]);
            if (k == EVENTS) CHECK_INT(n_events, ALL_EVENTS);
            trd_results_destroy(results);
        }
        foreign_fail_run(k == SCORE ? 1 : 11, TRD_E_DEVICE);
        CHECK_FAILS(run(f->translator, (kind)k, 0, N, &results), TRD_E_DEVICE, "made to fail");
        CHECK_OK(run(f->translator, (kind)k, 0, N, &results));
        check_same(results, wanted[k], kind_names[k]);
        trd_results_destroy(results);
    }
    foreign_fail_run(-1, TRD_OK);
    foreign_close(f);
}

/* A call beside others, until told to stop. */
typedef struct companion {
    trd_translator *translator;
    trdi_thread     thread;
    atomic_bool     stop;
} companion;

static void *translate_beside(void *argument)
{
    companion *c = argument;
    const trd_decoding_options o = options_of(BEAM);
    const trd_sequences some = { .n = 4, .lengths = lengths, .ids = ids };
    while (!atomic_load(&c->stop)) {
        trd_results *results;
        CHECK_OK(trd_translator_translate(c->translator, &some, NULL, &o, &results));
        CHECK_INT(trd_results_count(results), 4);
        trd_results_destroy(results);
    }
    return NULL;
}

/*
 * A step that is planned again must not draw twice: the draws of a stream are those of the step that runs. With memory for
 * little more than one of the two, neither fails.
 */
static void two_calls(void)
{
    size_t alone, together = 0;
    measure(LOCKSTEP, &alone, &together);    /* all its examples are one job */
    foreign_translator *f = foreign_open(folder, "float32", 1, 256);
    companion c = { .translator = f->translator };
    CHECK_OK(trdi_thread_start(&c.thread, "beside", translate_beside, &c));
    for (int64_t n = 0; n < 60; n += SLOW ? 9 : 3) {
        trd_results *results;
        foreign_limit_memory(n % 2 == 0 ? SIZE_MAX : together + together / 8);
        foreign_fail_run(n, TRD_E_MEMORY);
        CHECK_OK(run(f->translator, LOCKSTEP, 0, N, &results));
        check_same(results, wanted[LOCKSTEP], "mt19937 beside beams");
        trd_results_destroy(results);
    }
    foreign_fail_run(-1, TRD_OK);
    foreign_limit_memory(SIZE_MAX);
    atomic_store(&c.stop, true);
    trdi_thread_join(c.thread);
    foreign_close(f);
}

int main(void)
{
    const char *root = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/treadle-device-memory-%ld", root != NULL ? root : "/tmp", (long)getpid());
    tiny_model_write(folder, &(tiny_model){ .name = "memory", .form = TINY_PRE_NORM, .positions = TINY_ROTARY, .vocabulary = 60 });
    for (int i = 0; i < N; i++) lengths[i] = 1 + i * 7 % MOST;
    for (int i = 0; i < N * MOST; i++) ids[i] = 3 + i * 31 % 57;
    run_on_cpu();
    on_the_device(1);
    on_the_device(2);
    failing_runs();
    two_calls();
    for (int k = 0; k < N_KINDS; k++)
        if (k != LOCKSTEP) with_little_memory((kind)k);
    for (int k = 0; k < N_KINDS; k++) trd_results_destroy(wanted[k]);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
