/*
 * test_workers.c: translators on several devices, and the same one twice; their options, counters and facts; cancelling all; a device that fails for
 * good while others do its work; destroying while work is in flight.
 */
#include <time.h>
#include <unistd.h>

#include "api/api_rig.h"
#include "api/foreign_translator.h"
#include "nn/tiny_model.h"

enum { N = 24 };

static char folder[256];
static rig_batch batch;

static trd_translator_options defaults(void)
{
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.cache_dir = "";
    options.intra_threads = 1;
    return options;
}

static trd_status open_with(const trd_translator_options *options, trd_translator **out)
{
    trd_model *model;
    CHECK_OK(trd_model_open(folder, &model));
    const trd_status status = trd_translator_create(model, options, out);
    trd_model_close(model);
    return status;
}

static trd_decoding_options some_steps(void)
{
    trd_decoding_options options = rig_options();
    options.max_decoding_length = options.min_decoding_length = 12;
    options.return_scores = true;
    return options;
}

static trd_results *translate(trd_translator *with)
{
    const trd_decoding_options options = some_steps();
    trd_results *results;
    CHECK_OK(trd_translator_translate(with, &batch.sequences, NULL, &options, &results));
    CHECK_INT(trd_results_count(results), N);
    return results;
}

static void check_same(const trd_results *got, const trd_results *want)
{
    for (int64_t i = 0; i < N; i++) {
        const trd_result *g = trd_results_get(got, i), *w = trd_results_get(want, i);
        CHECK_INT(trd_result_n_tokens(g, 0), trd_result_n_tokens(w, 0));
        CHECK(memcmp(trd_result_ids(g, 0), trd_result_ids(w, 0), (size_t)trd_result_n_tokens(w, 0) * sizeof(int32_t)) == 0);
        CHECK(trd_result_score(g, 0) == trd_result_score(w, 0));
    }
}

static trd_translator_info info_of(trd_translator *of)
{
    trd_translator_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_translator_get_info(of, &info));
    return info;
}

static trd_translator_device_info device_of(trd_translator *of, int32_t device)
{
    trd_translator_device_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_translator_get_device_info(of, device, &info));
    return info;
}

static trd_translator_counters counters_of(trd_translator *of)
{
    trd_translator_counters counters = { .struct_size = sizeof counters };
    CHECK_OK(trd_translator_get_counters(of, &counters));
    return counters;
}

/* ---- On the CPU ---- */

static void test_same_device_twice(const trd_results *want)
{
    trd_translator_options options = defaults();
    options.device = "cpu, CPU:0 ,cpu";
    options.inter_threads = 2;
    options.policy = "round-robin";
    trd_translator *t;
    CHECK_OK(open_with(&options, &t));
    const trd_translator_info info = info_of(t);
    CHECK_INT(info.n_devices, 1);
    CHECK_INT(info.n_workers, 6);
    CHECK(info.is_loaded);
    for (int i = 0; i < 3; i++) {
        trd_results *got = translate(t);
        check_same(got, want);
        trd_results_destroy(got);
    }
    const trd_translator_device_info device = device_of(t, 0);
    CHECK_STRING(device.device, "cpu:0");
    CHECK_STRING(device.compute_type, "float32");
    CHECK_INT(device.n_workers, 6);
    CHECK_INT(device.n_retired, 0);
    CHECK_STRING(device.retired_reason, "");
    CHECK_INT(device.n_done, 3 * N);
    CHECK(device.weight_bytes > 0 && device.kv_bytes > 0 && device.step_bytes > 0 && device.kv_blocks > 0);
    CHECK_INT(device.kv_blocks_in_use, 0);
    CHECK_INT(device.used_bytes, device.weight_bytes + device.kv_bytes + device.step_bytes);
    CHECK(device.peak_bytes >= device.used_bytes && device.tokens_done > 0 && device.busy_seconds > 0);
    const trd_translator_counters counters = counters_of(t);
    CHECK_INT(counters.n_submitted, 3 * N);
    CHECK_INT(counters.n_succeeded, 3 * N);
    CHECK_INT(counters.n_queued + counters.n_running + counters.n_failed + counters.n_cancelled + counters.n_redone, 0);
    CHECK_OK(trd_translator_empty_cache(t));
    /* A worker whose last job has ended may need a moment more to see that it is idle. */
    while (device_of(t, 0).kv_bytes + device_of(t, 0).step_bytes > 0) { }
    CHECK_INT(device_of(t, 0).used_bytes, device_of(t, 0).weight_bytes);
    trd_results_destroy(translate(t));
    trd_translator_destroy(t);
}

static void refused(trd_translator_options options, trd_status status, const char *text)
{
    trd_translator *t;
    CHECK_FAILS(open_with(&options, &t), status, text);
    CHECK(t == NULL);
}

static void test_refused(trd_translator *t)
{
    trd_translator_options o = defaults();
    o.device = "cpu,";
    refused(o, TRD_E_INVALID, "a name in the list is empty");
    o.device = "cpu,nonesuch";
    refused(o, TRD_E_INVALID, "unsupported device 'nonesuch'");
    static char many[65 * 4] = "cpu";
    for (int i = 0; i < 64; i++) strcat(many, ",cpu");
    o.device = many;
    refused(o, TRD_E_RANGE, "more than 64 devices");
    o.device = "cpu,cpu";
    o.inter_threads = 1024;
    refused(o, TRD_E_INVALID, "2 devices with 1024 workers each (inter_threads): the sum may be up to 1024");
    o.inter_threads = 1;
    o.device = "cpu";
    static const char *const types[] = { "int9", "cpu:int9", "cpu", "", "float32,", "opencl:float32:" };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        o.compute_type = types[i];
        refused(o, TRD_E_INVALID, "Invalid compute type");
    }
    o.compute_type = NULL;
    o.policy = "nonesuch";
    refused(o, TRD_E_INVALID, "policy is 'nonesuch', it must be one of \"throughput\"");
    o.policy = NULL;
    o.memory_limit = -1;
    refused(o, TRD_E_INVALID, "memory_limit is -1");
    o.memory_limit = 1000;
    refused(o, TRD_E_MEMORY, "memory_limit is 1000");
    trd_translator_device_info device = { .struct_size = sizeof device };
    CHECK_FAILS(trd_translator_get_device_info(t, 1, &device), TRD_E_RANGE, "there is no device 1");
    CHECK_FAILS(trd_translator_get_device_info(t, -1, &device), TRD_E_RANGE, "there is no device -1");
    CHECK_FAILS(trd_translator_get_device_info(t, 0, NULL), TRD_E_INVALID, "info is NULL");
    CHECK_FAILS(trd_translator_get_counters(NULL, NULL), TRD_E_INVALID, "translator is NULL");
    CHECK_FAILS(trd_translator_unload(NULL, false, NULL), TRD_E_INVALID, "translator is NULL");
    CHECK_FAILS(trd_translator_load(NULL, false), TRD_E_INVALID, "translator is NULL");
    CHECK_FAILS(trd_translator_empty_cache(NULL), TRD_E_INVALID, "translator is NULL");
    trd_translator_cancel_all(NULL);
}

static void test_compute_types(const trd_results *want)
{
    static const char *const types[] = { "float32", "cpu:float32", "int8,cpu:float32", "cuda:int8,cpu:0:float,opencl:1:float16", "cpu:0:float32,cpu:int8" };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        trd_translator_options options = defaults();
        options.compute_type = types[i];
        trd_translator *t;
        CHECK_OK(open_with(&options, &t));
        CHECK_STRING(info_of(t).compute_type, "float32");
        trd_results *got = translate(t);
        check_same(got, want);
        trd_results_destroy(got);
        trd_translator_destroy(t);
    }
}

/* ---- Cancelling, destroying ---- */

static void submit_long(trd_translator *t, trd_future **futures)
{
    trd_decoding_options options = rig_options();
    options.max_decoding_length = options.min_decoding_length = 100000;
    CHECK_OK(trd_translator_submit(t, &batch.sequences, NULL, &options, NULL, futures));
}

static void check_ended(trd_future **futures, trd_status status)
{
    CHECK_OK(trd_future_wait_all(futures, N, -1));
    for (int i = 0; i < N; i++) {
        CHECK_INT(trd_future_status(futures[i]), status);
        trd_future_release(futures[i]);
    }
}

static void test_cancel_all(trd_translator *t, const trd_results *want)
{
    trd_future *futures[N];
    trd_results *results;
    bool done;
    const int64_t cancelled = counters_of(t).n_cancelled;
    submit_long(t, futures);
    while (counters_of(t).n_running == 0) { }
    CHECK_OK(trd_translator_unload(t, false, &done));
    CHECK(!done);
    trd_translator_cancel_all(t);
    check_ended(futures, TRD_E_CANCELLED);
    CHECK_INT(counters_of(t).n_cancelled, cancelled + N);
    CHECK_FAILS(trd_translator_translate(t, &batch.sequences, NULL, NULL, &results), TRD_E_STATE, "was cancelled");
    CHECK_FAILS(trd_translator_submit(t, &batch.sequences, NULL, NULL, NULL, futures), TRD_E_STATE, "was cancelled");
    trd_translator_cancel_all(t);
    CHECK_OK(trd_translator_load(t, false));
    CHECK_OK(trd_translator_load(t, false));
    results = translate(t);
    check_same(results, want);
    trd_results_destroy(results);
    CHECK_INT(counters_of(t).n_cancelled, cancelled + N);
}

/* What a callback may do to its own translator without waiting for itself. */
static bool meddle(void *context, const trd_step_result *step)
{
    static bool cancelled;
    if (cancelled) return false;   /* of a token that was chosen before */
    cancelled = step->step >= 2;
    bool done = true;
    CHECK_OK(trd_translator_unload(context, false, &done));
    CHECK(!done);
    CHECK_OK(trd_translator_load(context, false));
    if (step->step < 2) return false;
    trd_translator_cancel_all(context);
    CHECK_FAILS(trd_translator_load(context, false), TRD_E_BUSY, "have not returned yet: 1");
    return false;
}

static void test_inside_callback(trd_translator *t)
{
    trd_decoding_options options = rig_options();
    options.beam_size = 1;
    options.max_decoding_length = options.min_decoding_length = 100000;
    options.on_step = meddle;
    options.on_step_context = t;
    trd_results *results;
    trd_sequences one = batch.sequences;   /* several are submitted one after the other, the later ones perhaps too late */
    one.n = 1;
    CHECK_FAILS(trd_translator_translate(t, &one, NULL, &options, &results), TRD_E_CANCELLED, "cancelled");
    CHECK_OK(trd_translator_load(t, false));
    trd_results_destroy(translate(t));
}

static void test_destroy_drains(const trd_results *want)
{
    const trd_translator_options options = defaults();
    trd_translator *t;
    CHECK_OK(open_with(&options, &t));
    const trd_decoding_options decoding = some_steps();
    trd_future *futures[N];
    CHECK_OK(trd_translator_submit(t, &batch.sequences, NULL, &decoding, NULL, futures));
    trd_translator_destroy(t);
    for (int64_t i = 0; i < N; i++) {
        const trd_result *result;
        CHECK(trd_future_is_done(futures[i]));
        CHECK_OK(trd_future_result(futures[i], &result));
        CHECK(trd_result_score(result, 0) == trd_result_score(trd_results_get(want, i), 0));
        trd_future_release(futures[i]);
    }
    CHECK_OK(open_with(&options, &t));
    submit_long(t, futures);
    trd_translator_cancel_all(t);
    trd_translator_destroy(t);
    check_ended(futures, TRD_E_CANCELLED);
}

/* ---- On devices that fail ---- */

typedef struct pair {
    trdi_device device[2];
    trd_translator *translator;
} pair;

static void pair_open(pair *p, const char *compute_type)
{
    static const char *const ids[] = { "foreign:0", "foreign:1" };
    trdi_device *devices[2];
    for (int i = 0; i < 2; i++) {
        p->device[i] = (trdi_device){ .ops = foreign_backend(), .facts = foreign_facts(TRDI_TYPES_INT8 | TRDI_TYPES_F16) };
        (void)snprintf(p->device[i].facts.id, sizeof p->device[i].facts.id, "%s", ids[i]);
        CHECK_OK(p->device[i].ops->device_open(&p->device[i].facts, &p->device[i].impl));
        devices[i] = &p->device[i];
    }
    trd_translator_options options = defaults();
    options.compute_type = compute_type;
    options.policy = "round-robin";
    trd_model *model;
    CHECK_OK(trd_model_open(folder, &model));
    CHECK_OK(trdi_translator_create_on(model, devices, 2, &options, &p->translator));
    trd_model_close(model);
}

static void pair_close(pair *p)
{
    trd_translator_destroy(p->translator);
    for (int i = 0; i < 2; i++) p->device[i].ops->device_close(p->device[i].impl);
    CHECK_INT(foreign_memory_in_use(), 0);
}

static void test_types_of_two(void)
{
    pair p;
    pair_open(&p, "foreign:1:int8,foreign:float16,float32");
    CHECK_INT(info_of(p.translator).n_devices, 2);
    CHECK_STRING(device_of(p.translator, 0).compute_type, "float16");
    CHECK_STRING(device_of(p.translator, 1).compute_type, "int8_float32");
    CHECK_STRING(device_of(p.translator, 1).device, "foreign:1");
    CHECK(device_of(p.translator, 0).weight_bytes > 0 && device_of(p.translator, 1).weight_bytes > 0);
    trd_results_destroy(translate(p.translator));
    CHECK_INT(device_of(p.translator, 0).n_done + device_of(p.translator, 1).n_done, N);
    pair_close(&p);
}

/* A worker retires when its device cannot be opened again, which it tries a few times with pauses. */
static void translate_until_retired(pair *p, const trd_results *want)
{
    for (int i = 0; i < 20000; i++) {
        const struct timespec pause = { .tv_nsec = 1000000 };
        (void)nanosleep(&pause, NULL);
        trd_results *got = translate(p->translator);
        check_same(got, want);
        trd_results_destroy(got);
        if (device_of(p->translator, 0).n_retired + device_of(p->translator, 1).n_retired > 0) return;
    }
    CHECK(false);
}

static void test_failing_device(const trd_results *want)
{
    pair p;
    pair_open(&p, "float32");
    trd_results *got = translate(p.translator);
    check_same(got, want);
    trd_results_destroy(got);
    foreign_break_next();
    translate_until_retired(&p, want);
    const int32_t broken = device_of(p.translator, 0).n_retired > 0 ? 0 : 1;
    CHECK_INT(device_of(p.translator, broken).n_retired, 1);
    CHECK(strstr(device_of(p.translator, broken).retired_reason, "the device is gone") != NULL);
    CHECK_INT(device_of(p.translator, 1 - broken).n_retired, 0);
    CHECK(counters_of(p.translator).n_redone > 0);
    CHECK_INT(counters_of(p.translator).n_failed, 0);
    /* The last one goes too: then calls fail, with the reason, and the rest of the library goes on. */
    foreign_break_next();
    trd_results *results;
    trd_status status = TRD_OK;
    for (int i = 0; i < 1000 && status == TRD_OK; i++) {
        const trd_decoding_options options = some_steps();
        status = trd_translator_translate(p.translator, &batch.sequences, NULL, &options, &results);
    }
    CHECK_INT(status, TRD_E_DEVICE);
    CHECK(strstr(trd_last_error(), "the device is gone") != NULL);
    pair_close(&p);
}

static void make_batch(void)
{
    static const char letters[] = "a b c d e f g h i j k l";
    for (int i = 0; i < N; i++) rig_add(&batch, letters + 2 * (i % 10));
}

int main(void)
{
    (void)snprintf(folder, sizeof folder, "workers-%ld", (long)getpid());
    tiny_model_write(folder, &(tiny_model){ .name = "workers" });
    make_batch();
    const trd_translator_options options = defaults();
    trd_translator *t;
    CHECK_OK(open_with(&options, &t));
    trd_results *want = translate(t);
    test_same_device_twice(want);
    test_refused(t);
    test_compute_types(want);
    test_cancel_all(t, want);
    test_inside_callback(t);
    trd_translator_destroy(t);
    test_destroy_drains(want);
    test_types_of_two();
    test_failing_device(want);
    trd_results_destroy(want);
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
