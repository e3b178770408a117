/*
 * Futures: every function, with the results of the blocking calls, in every state of a future, and with bad arguments.
 * Work that is surely not done: one step takes far longer with many tokens to go than what a test does meanwhile, and it is cancelled after.
 */
#include "api/api_rig.h"

enum { N = 6 };

static trd_translator *translator;
static rig_batch batch;

static void make_batch(void)
{
    rig_add(&batch, "آ ت ز م و ن");
    rig_add(&batch, "آ ز ا");
    rig_add(&batch, "");
    rig_add(&batch, "آ ت ش ي س و ن");
    rig_add(&batch, "ز");
    rig_add(&batch, "م و ن");
}

/* As long as nobody cancels it, it runs for minutes. */
static trd_decoding_options endless(void)
{
    trd_decoding_options o = rig_options();
    o.min_decoding_length = o.max_decoding_length = 1 << 20;
    return o;
}

static trd_future *submit_endless(const trd_submit_options *how)
{
    const trd_decoding_options o = endless();
    trd_sequences one = batch.sequences;
    one.n = 1;
    trd_future *future;
    CHECK_OK(trd_translator_submit(translator, &one, NULL, &o, how, &future));
    return future;
}

static void release_all(trd_future **futures, int64_t n)
{
    for (int64_t i = 0; i < n; i++) trd_future_release(futures[i]);
}

/* Hypotheses, tokens, scores and attention are those of the other. */
static void compare(const trd_result *got, const trd_result *want)
{
    CHECK_INT(trd_result_n_hypotheses(got), trd_result_n_hypotheses(want));
    for (int64_t h = 0; h < trd_result_n_hypotheses(want); h++) {
        CHECK_INT(trd_result_n_tokens(got, h), trd_result_n_tokens(want, h));
        for (int64_t t = 0; t < trd_result_n_tokens(want, h); t++) CHECK_STRING(trd_result_token(got, h, t), trd_result_token(want, h, t));
        CHECK(trd_result_score(got, h) == trd_result_score(want, h));
        int64_t n_got, n_want;
        const float *a = trd_result_attention(got, h, &n_got), *b = trd_result_attention(want, h, &n_want);
        CHECK_INT(n_got, n_want);
        CHECK_INT(a != NULL, b != NULL);
        const size_t bytes = (size_t)(n_want * trd_result_n_tokens(want, h)) * sizeof(float);
        if (b != NULL) CHECK(memcmp(a, b, bytes) == 0);
        const float *x = trd_result_token_scores(got, h), *y = trd_result_token_scores(want, h);
        CHECK_INT(x != NULL, y != NULL);
        for (int64_t t = 0; y != NULL && t < trd_result_n_tokens(want, h); t++) CHECK(x[t] == y[t]);
    }
}

/* Every future of a submission against the blocking call's result; all functions on a done future. */
static void compare_all(trd_future **futures, const trd_results *want)
{
    CHECK_OK(trd_future_wait_all(futures, N, -1));
    for (int64_t i = 0; i < N; i++) {
        const trd_result *result, *again;
        CHECK(trd_future_is_done(futures[i]));
        CHECK_OK(trd_future_wait(futures[i], 0));
        CHECK_OK(trd_future_status(futures[i]));
        CHECK_STRING(trd_future_error(futures[i]), "");
        CHECK_OK(trd_future_result(futures[i], &result));
        compare(result, trd_results_get(want, i));
        trd_future_cancel(futures[i]);   /* too late */
        CHECK_OK(trd_future_status(futures[i]));
        CHECK_OK(trd_future_result(futures[i], &again));
        CHECK(again == result);
    }
}

static void test_translating(void)
{
    rig_batch prefix = { 0 };
    for (int i = 0; i < N; i++) rig_add(&prefix, i % 2 == 0 ? "a" : "");
    for (int kind = 0; kind < 6; kind++) {
        trd_decoding_options o = rig_options();
        o.beam_size = kind == 1 ? 1 : 3;
        o.num_hypotheses = kind == 2 || kind == 5 ? 2 : 1;
        o.return_scores = o.return_attention = kind == 2;
        o.replace_unknowns = kind == 3;
        o.disable_unk = kind == 0;
        o.sampling_topk = kind >= 4 ? 5 : 1;
        o.has_seed = true;
        o.seed = 7;
        if (kind == 4) {
            o.beam_size = 1;
            o.rng = TRD_RNG_MT19937;
            o.max_batch_size = 4;
        }
        if (kind == 5) o.sampling_topk = 10;
        const trd_sequences *target = kind % 2 == 0 ? &prefix.sequences : NULL;
        trd_results *want;
        trd_future *futures[N];
        CHECK_OK(trd_translator_translate(translator, &batch.sequences, target, &o, &want));
        CHECK_OK(trd_translator_submit(translator, &batch.sequences, target, &o, NULL, futures));
        compare_all(futures, want);
        release_all(futures, N);
        trd_results_destroy(want);
    }
}

static void test_scoring(void)
{
    rig_batch target = { 0 };
    for (int i = 0; i < N; i++) rig_add(&target, i == 4 ? "" : "a t z m o n");
    trd_scoring_options o;
    trd_scoring_options_init(&o, sizeof o);
    for (o.offset = 0; o.offset < 10; o.offset += 3) {
        trd_results *want;
        trd_future *futures[N];
        CHECK_OK(trd_translator_score(translator, &batch.sequences, &target.sequences, &o, &want));
        CHECK_OK(trd_translator_submit_score(translator, &batch.sequences, &target.sequences, &o, NULL, futures));
        compare_all(futures, want);
        release_all(futures, N);
        trd_results_destroy(want);
    }
}

/* Arguments may go when submitting returns. */
static void test_everything_is_copied(void)
{
    rig_batch *source = calloc(1, sizeof *source), *prefix = calloc(1, sizeof *prefix);
    CHECK(source != NULL && prefix != NULL);
    for (int i = 0; i < N; i++) {
        rig_add(source, i == 2 ? "" : "آ ز ا");
        rig_add(prefix, i == 2 ? "a z" : "a");
    }
    trd_decoding_options o = rig_options();
    o.replace_unknowns = true;
    trd_results *want;
    trd_future *futures[N];
    CHECK_OK(trd_translator_translate(translator, &source->sequences, &prefix->sequences, &o, &want));
    CHECK_OK(trd_translator_submit(translator, &source->sequences, &prefix->sequences, &o, NULL, futures));
    memset(source, 0xff, sizeof *source);
    memset(prefix, 0xff, sizeof *prefix);
    memset(&o, 0xff, sizeof o);
    free(source);
    free(prefix);
    compare_all(futures, want);
    release_all(futures, N);
    trd_results_destroy(want);
}

static void check_not_done(trd_future *future)
{
    const trd_result *result = (const trd_result *)(const void *)&batch;
    CHECK(!trd_future_is_done(future));
    CHECK_FAILS(trd_future_status(future), TRD_E_STATE, "not done");
    CHECK_FAILS(trd_future_result(future, &result), TRD_E_STATE, "not done");
    CHECK(result == NULL);
    CHECK_STRING(trd_future_error(future), "");
    CHECK_FAILS(trd_future_wait(future, 0), TRD_E_TIMEOUT, "not done");
    CHECK_FAILS(trd_future_wait(future, 0.01), TRD_E_TIMEOUT, "0.01 seconds");
    CHECK_FAILS(trd_future_wait_all(&future, 1, 0.01), TRD_E_TIMEOUT, "trd_future_wait_all");
    int64_t which = 5;
    CHECK_FAILS(trd_future_wait_any(&future, 1, 0.01, &which), TRD_E_TIMEOUT, "trd_future_wait_any");
    CHECK_INT(which, -1);
}

static void check_cancelled(trd_future *future)
{
    for (int twice = 0; twice < 2; twice++) {
        const trd_result *result;
        CHECK_OK(trd_future_wait(future, -1));
        CHECK(trd_future_is_done(future));
        CHECK_FAILS(trd_future_status(future), TRD_E_CANCELLED, "cancelled");
        CHECK_FAILS(trd_future_result(future, &result), TRD_E_CANCELLED, "cancelled");
        CHECK(result == NULL);
        CHECK(strstr(trd_future_error(future), "cancelled") != NULL);
        trd_future_cancel(future);
    }
}

static void test_cancelling(void)
{
    trd_future *future = submit_endless(NULL);
    check_not_done(future);
    trd_future_cancel(future);
    trd_future_cancel(future);
    check_cancelled(future);
    trd_future_release(future);

    /* One of several: the others don't notice. */
    trd_future *futures[N];
    trd_results *want;
    CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, NULL, NULL, futures));
    CHECK_OK(trd_translator_translate(translator, &batch.sequences, NULL, NULL, &want));
    trd_future *slow = submit_endless(NULL);
    trd_future_cancel(slow);
    compare_all(futures, want);
    check_cancelled(slow);
    trd_future_release(slow);
    release_all(futures, N);
    trd_results_destroy(want);
}

/* Where examples share random draws they end together. */
static void test_cancelling_in_lockstep(void)
{
    trd_decoding_options o = endless();
    o.beam_size = 1;
    o.sampling_topk = 3;
    o.rng = TRD_RNG_MT19937;
    trd_future *futures[N];
    CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, &o, NULL, futures));
    CHECK(trd_future_is_done(futures[2]));   /* nothing to run */
    trd_future_cancel(futures[2]);
    CHECK_OK(trd_future_status(futures[2]));
    CHECK(!trd_future_is_done(futures[5]));
    trd_future_cancel(futures[3]);
    for (int i = 0; i < N; i++) {
        if (i != 2) check_cancelled(futures[i]);
    }
    release_all(futures, N);
}

static void test_released_early(void)
{
    for (int i = 0; i < 20; i++) {
        trd_future *futures[N];
        CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, NULL, NULL, futures));
        if (i % 2 == 0) CHECK_OK(trd_future_wait(futures[i % N], -1));
        release_all(futures, N);
    }
}

static void test_waiting(void)
{
    trd_future *slow = submit_endless(NULL), *fast[N];
    CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, NULL, NULL, fast));
    trd_future *both[3] = { NULL, slow, fast[0] };
    int64_t which;
    CHECK_OK(trd_future_wait_any(both, 3, -1, &which));
    CHECK_INT(which, 2);
    CHECK_OK(trd_future_wait_all(fast, N, -1));
    CHECK_OK(trd_future_wait_any(fast, N, -1, &which));
    CHECK_INT(which, 0);
    CHECK_FAILS(trd_future_wait_all(both, 3, 0.01), TRD_E_TIMEOUT, "0.01");
    CHECK_FAILS(trd_future_wait_any(both, 2, 0, &which), TRD_E_TIMEOUT, "not done");
    trd_future *many[40];
    for (int i = 0; i < 40; i++) many[i] = i % 3 == 0 ? NULL : slow;   /* the same one often */
    CHECK_FAILS(trd_future_wait_all(many, 40, 0.01), TRD_E_TIMEOUT, "0.01");
    trd_future_cancel(slow);
    CHECK_OK(trd_future_wait_all(many, 40, -1));
    CHECK_OK(trd_future_wait_any(many, 40, 1e300, &which));
    CHECK_INT(which, 1);
    CHECK_OK(trd_future_wait_all(both, 3, -1));
    CHECK_OK(trd_future_wait_all(NULL, 0, -1));
    trd_future_release(slow);
    release_all(fast, N);
}

static void test_bad_waits(void)
{
    int64_t which;
    trd_future *none[2] = { NULL, NULL };
    CHECK_FAILS(trd_future_wait(NULL, -1), TRD_E_INVALID, "future is NULL");
    CHECK_OK(trd_future_wait_all(none, 2, -1));
    CHECK_FAILS(trd_future_wait_all(none, -1, -1), TRD_E_INVALID, "n is -1");
    CHECK_FAILS(trd_future_wait_all(NULL, 1, -1), TRD_E_INVALID, "futures is NULL");
    CHECK_FAILS(trd_future_wait_all(none, 2, (double)NAN), TRD_E_INVALID, "not a number");
    CHECK_FAILS(trd_future_wait_any(none, 2, -1, &which), TRD_E_INVALID, "no future");
    CHECK_INT(which, -1);
    CHECK_FAILS(trd_future_wait_any(none, 0, -1, &which), TRD_E_INVALID, "no future");
    CHECK_FAILS(trd_future_wait_any(none, 2, -1, NULL), TRD_E_INVALID, "which is NULL");
    CHECK_FAILS(trd_future_status(NULL), TRD_E_INVALID, "future is NULL");
    const trd_result *result;
    CHECK_FAILS(trd_future_result(NULL, &result), TRD_E_INVALID, "future is NULL");
    CHECK(result == NULL);
    CHECK_STRING(trd_future_error(NULL), "");
    CHECK(trd_future_is_done(NULL));
    trd_future_cancel(NULL);
    trd_future_release(NULL);
}

static void refuse(trd_submit_options how, trd_status status, const char *part)
{
    trd_future *futures[N];
    memset(futures, 0xff, sizeof futures);
    CHECK_FAILS(trd_translator_submit(translator, &batch.sequences, NULL, NULL, &how, futures), status, part);
    for (int i = 0; i < N; i++) CHECK(futures[i] == NULL);
    memset(futures, 0xff, sizeof futures);
    CHECK_FAILS(trd_translator_submit_score(translator, &batch.sequences, &batch.sequences, NULL, &how, futures), status, part);
    for (int i = 0; i < N; i++) CHECK(futures[i] == NULL);
}

static trd_submit_options new_options(void)
{
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    return how;
}

static void test_bad_submissions(void)
{
    trd_submit_options how = new_options();
    CHECK_INT(how.struct_size, sizeof how);
    CHECK_INT(how.priority, 0);
    CHECK(how.timeout_seconds == 0 && !how.refuse_when_full && how.on_done == NULL && how.on_progress == NULL);
    trd_submit_options_init(NULL, sizeof how);
    how.priority = 9;
    refuse(how, TRD_E_INVALID, "priority is 9");
    how.priority = -9;
    refuse(how, TRD_E_INVALID, "priority is -9");
    const double bad[] = { -1, (double)NAN, (double)INFINITY, -(double)INFINITY };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        how = new_options();
        how.timeout_seconds = bad[i];
        refuse(how, TRD_E_INVALID, "timeout_seconds");
    }
    how = new_options();
    how.struct_size = 3;
    refuse(how, TRD_E_INVALID, "struct_size is 3");

    trd_future *futures[N];
    CHECK_FAILS(trd_translator_submit(NULL, &batch.sequences, NULL, NULL, NULL, futures), TRD_E_INVALID, "trd_translator_submit: translator");
    CHECK_FAILS(trd_translator_submit(translator, NULL, NULL, NULL, NULL, futures), TRD_E_INVALID, "source is NULL");
    CHECK_FAILS(trd_translator_submit(translator, &batch.sequences, NULL, NULL, NULL, NULL), TRD_E_INVALID, "out is NULL");
    CHECK_FAILS(trd_translator_submit_score(translator, &batch.sequences, NULL, NULL, NULL, futures), TRD_E_INVALID, "target is NULL");
    trd_decoding_options o = rig_options();
    o.beam_size = 0;
    CHECK_FAILS(trd_translator_submit(translator, &batch.sequences, NULL, &o, NULL, futures), TRD_E_INVALID, "beam_size");
    CHECK(futures[0] == NULL);
    trd_sequences none = { .n = 0 };
    CHECK_OK(trd_translator_submit(translator, &none, NULL, NULL, NULL, futures));
}

/* What goes wrong later is the future's alone; of a blocking call the first failure is reported. */
static void test_failing_examples(void)
{
    const int32_t ids[] = { 5, 1 << 29, 6, 7 };
    const int64_t lengths[] = { 1, 1, 2 };
    const trd_sequences source = { .n = 3, .lengths = lengths, .ids = ids };
    trd_future *futures[3];
    CHECK_OK(trd_translator_submit(translator, &source, NULL, NULL, NULL, futures));
    CHECK_OK(trd_future_wait_all(futures, 3, -1));
    CHECK_OK(trd_future_status(futures[0]));
    CHECK_OK(trd_future_status(futures[2]));
    for (int twice = 0; twice < 2; twice++) CHECK_FAILS(trd_future_status(futures[1]), TRD_E_INVALID, "example 1: source token id");
    CHECK(strstr(trd_future_error(futures[1]), "example 1: source token id") != NULL);
    release_all(futures, 3);
    trd_results *results;
    CHECK_FAILS(trd_translator_translate(translator, &source, NULL, NULL, &results), TRD_E_INVALID, "example 1: source token id");
    CHECK(results == NULL);
}

static void test_after_the_translator(void)
{
    trd_future *futures[N];
    CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, NULL, NULL, futures));
    trd_translator_destroy(translator);
    for (int i = 0; i < N; i++) {
        const trd_result *result;
        CHECK(trd_future_is_done(futures[i]));
        CHECK_OK(trd_future_result(futures[i], &result));
        if (i == 0) CHECK_STRING(rig_text(result, 0), "a t z m o n");
    }
    release_all(futures, N);
}

int main(void)
{
    make_batch();
    translator = rig_transliteration(1);
    test_translating();
    test_scoring();
    test_everything_is_copied();
    test_cancelling();
    test_cancelling_in_lockstep();
    test_released_early();
    test_waiting();
    test_bad_waits();
    test_bad_submissions();
    test_failing_examples();
    test_after_the_translator();
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(bytes, 0);
    CHECK_INT(blocks, 0);
    return 0;
}
