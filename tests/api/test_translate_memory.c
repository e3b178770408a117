/*
 * Memory: after a warm-up longer decodings allocate as often as short ones; the n-th allocation fails for every n of a load and of
 * a translation and everything works afterwards; nothing is held at the end.
 */
#include <stdatomic.h>

#include "api/api_rig.h"

static atomic_llong n_calls, fail_at = -1;

static void *counting_alloc(void *context, size_t bytes, size_t alignment)
{
    (void)context;
    const long long call = atomic_fetch_add(&n_calls, 1);
    if (call == atomic_load(&fail_at)) return NULL;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void counting_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static rig_batch batch;

static void make_batch(void)
{
    rig_add(&batch, "آ ت ز م و ن");
    rig_add(&batch, "آ ز ا");
    rig_add(&batch, "آ ت ش ي س و ن");
}

/* @return allocations of one call that decodes n steps; one sentence, so that what runs together does not depend on timing */
static long long allocations_of(trd_translator *translator, int64_t beam, int64_t n)
{
    trd_decoding_options o = rig_options();
    o.beam_size = beam;
    o.min_decoding_length = n;
    o.max_decoding_length = n;
    trd_results *results;
    const long long before = atomic_load(&n_calls);
    trd_sequences one = batch.sequences;
    one.n = 1;
    CHECK_OK(trd_translator_translate(translator, &one, NULL, &o, &results));
    const long long used = atomic_load(&n_calls) - before;
    CHECK_INT(trd_result_n_tokens(trd_results_get(results, 0), 0), n);
    trd_results_destroy(results);
    return used;
}

static void test_nothing_per_token(void)
{
    trd_translator *translator = rig_transliteration(2);
    for (int64_t beam = 1; beam <= 4; beam += 3) {
        for (int i = 0; i < 4; i++) (void)allocations_of(translator, beam, i % 2 == 0 ? 200 : 20);   /* warm-up */
        const long long few = allocations_of(translator, beam, 20), many = allocations_of(translator, beam, 200);
        printf("beam %d: %lld allocations for 20 tokens each, %lld for 200\n", (int)beam, few, many);
        CHECK_INT(few, many);
    }
    trd_translator_destroy(translator);
}

/* One life: open, create, translate in several ways, score. @return the first failure */
static trd_status live_once(const char *folder)
{
    trd_model *model = NULL;
    trd_translator *translator = NULL;
    trd_results *results = NULL;
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.cache_dir = "";
    options.intra_threads = 1;
    trd_status status = trd_model_open(folder, &model);
    if (status == TRD_OK) status = trd_translator_create(model, &options, &translator);
    trd_model_close(model);
    for (int kind = 0; kind < 4 && status == TRD_OK; kind++) {
        trd_decoding_options o = rig_options();
        o.beam_size = kind == 1 ? 1 : 3;
        o.num_hypotheses = kind == 1 ? 1 : 2;
        o.return_attention = o.return_logits = o.return_scores = kind != 0;
        o.return_alternatives = kind == 2;
        o.repetition_penalty = 1.5f;
        if (kind < 3) status = trd_translator_translate(translator, &batch.sequences, NULL, &o, &results);
        else status = trd_translator_score(translator, &batch.sequences, &batch.sequences, NULL, &results);
        trd_results_destroy(results);
        results = NULL;
    }
    trd_translator_destroy(translator);
    return status;
}

static void test_each_failing(const char *folder)
{
    atomic_store(&n_calls, 0);
    CHECK_OK(live_once(folder));
    const long long total = atomic_load(&n_calls);
    int64_t failed = 0, tried = 0;
    for (long long n = 0; n < total; n += UNDER_THREAD_SANITIZER ? 7 : 1) {
        tried++;
        atomic_store(&n_calls, 0);
        atomic_store(&fail_at, n);
        const trd_status status = live_once(folder);
        atomic_store(&fail_at, -1);
        if (status != TRD_OK) {
            CHECK_INT(status, TRD_E_MEMORY);
            failed++;
        }
        size_t bytes, blocks;
        trd_memory_in_use(&bytes, &blocks);
        if (blocks != 0) fprintf(stderr, "allocation %lld of %lld failed: %s\n", n, total, trd_last_error());
        CHECK_INT(blocks, 0);
    }
    printf("%lld allocation failures injected, %lld of them ended the call\n", (long long)tried, (long long)failed);
    CHECK(failed > tried / 2);
    CHECK_OK(live_once(folder));
}

/* The same translator survives failures inside calls. */
static void test_usable_afterwards(void)
{
    trd_translator *translator = rig_transliteration(1);
    (void)allocations_of(translator, 2, 20);
    const long long total = allocations_of(translator, 2, 20);
    for (long long n = 0; n < total; n++) {
        atomic_store(&n_calls, 0);
        atomic_store(&fail_at, n);
        trd_results *results;
        const trd_status status = trd_translator_translate(translator, &batch.sequences, NULL, NULL, &results);
        atomic_store(&fail_at, -1);
        if (status == TRD_OK) trd_results_destroy(results);
        else CHECK_INT(status, TRD_E_MEMORY);
        CHECK_OK(trd_translator_translate(translator, &batch.sequences, NULL, NULL, &results));
        CHECK_STRING(rig_text(trd_results_get(results, 0), 0), "a t z m o n");
        trd_results_destroy(results);
    }
    trd_translator_destroy(translator);
}

int main(void)
{
    const trd_allocator allocator = { NULL, counting_alloc, counting_free };
    CHECK_OK(trd_allocator_set(&allocator));
    make_batch();
    static char folder[4096];
    (void)snprintf(folder, sizeof folder, "%s", rig_folder("TREADLE_TEST_SHARED", "models/v2/aren-transliteration"));
    if (!trd_model_exists(folder)) SKIP("no model in %s", folder);
    test_nothing_per_token();
    test_usable_afterwards();
    test_each_failing(folder);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(bytes, 0);
    CHECK_INT(blocks, 0);
    return 0;
}
