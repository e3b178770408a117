/*
 * What a step that several calls share must not be asked for: refused before it starts, so that the other calls go on; and the
 * memory of a step that scores long targets stays bounded, with the same bits.
 */
#include <unistd.h>

#include "api/api_rig.h"
#include "nn/tiny_model.h"

enum { VOCABULARY = 40000, N_EXAMPLES = 24, N_TOKENS = 60, STEPS = 400 };

static trd_translator *translator;

static const char *folder(void)
{
    static char path[4096];
    const char *root = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/treadle-steps-%ld", root != NULL ? root : "/tmp", (long)getpid());
    return path;
}

static void open_model(const tiny_model *model)
{
    tiny_model_write(folder(), model);
    translator = rig_translator(folder(), 1);
}

static void close_model(void)
{
    trd_translator_destroy(translator);
    char command[4200];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder());
    CHECK_INT(system(command), 0);
}

static trd_status translate(trd_decoding_options o, trd_results **results)
{
    static const int64_t length = 3;
    static const int32_t ids[] = { 7, 8, 9 };
    const trd_sequences source = { .n = 1, .lengths = &length, .ids = ids };
    return trd_translator_translate(translator, &source, NULL, &o, results);
}

static int n_refused;

static void refuse(trd_decoding_options o, trd_status status, const char *part)
{
    trd_results *results;
    CHECK_FAILS(translate(o, &results), status, part);
    n_refused++;
}

/* Runs while the call that reports is in the middle of its steps. */
static bool ask_for_attention(void *context, const trd_step_result *step)
{
    (void)context;
    if (step->step != 0) return false;
    trd_decoding_options o = rig_options();
    o.return_attention = true;
    refuse(o, TRD_E_UNSUPPORTED, "return_attention");
    o = rig_options();
    o.replace_unknowns = true;
    refuse(o, TRD_E_UNSUPPORTED, "replace_unknowns");
    o = rig_options();
    o.coverage_penalty = 0.5f;
    refuse(o, TRD_E_UNSUPPORTED, "coverage_penalty");
    return false;
}

static void test_merged_attention(void)
{
    open_model(&(tiny_model){ .name = "merged", .form = TINY_PRE_POST, .positions = TINY_ROTARY, .rms = true, .merged = true,
                              .no_bias = true });
    trd_decoding_options o = rig_options();
    o.beam_size = 1;
    o.has_end_tokens = true;
    o.max_decoding_length = STEPS;
    o.on_step = ask_for_attention;
    trd_results *results;
    CHECK_OK(translate(o, &results));
    CHECK_INT(n_refused, 3);
    CHECK_INT(trd_result_n_tokens(trd_results_get(results, 0), 0), STEPS);
    trd_results_destroy(results);
    close_model();
}

static trd_results *score(int64_t n, const int32_t *ids)
{
    static int64_t lengths[N_EXAMPLES];
    for (int64_t i = 0; i < n; i++) lengths[i] = N_TOKENS;
    const trd_sequences both = { .n = n, .lengths = lengths, .ids = ids };
    trd_results *results;
    CHECK_OK(trd_translator_score(translator, &both, &both, NULL, &results));
    return results;
}

/* All logits of the call would be 230 MB. */
static void test_scoring_memory(void)
{
    static int32_t ids[N_EXAMPLES * N_TOKENS];
    for (int i = 0; i < N_EXAMPLES * N_TOKENS; i++) ids[i] = 3 + i * 7919 % (VOCABULARY - 3);
    size_t before, after;
    trd_results_destroy(score(1, ids));
    trd_memory_in_use(&before, NULL);
    trd_results *together = score(N_EXAMPLES, ids);
    trd_memory_in_use(&after, NULL);
    if (after > before + ((size_t)80 << 20)) {
        fprintf(stderr, "scoring %d targets of %d tokens took %zu bytes more\n", N_EXAMPLES, N_TOKENS, after - before);
        exit(1);
    }
    for (int i = 0; i < N_EXAMPLES; i += 7) {
        trd_results *alone = score(1, ids + i * N_TOKENS);
        const trd_result *a = trd_results_get(alone, 0), *b = trd_results_get(together, i);
        CHECK_INT(trd_result_n_tokens(a, 0), N_TOKENS + 1);
        CHECK_INT(trd_result_n_tokens(b, 0), N_TOKENS + 1);
        CHECK(memcmp(trd_result_token_scores(a, 0), trd_result_token_scores(b, 0), (N_TOKENS + 1) * sizeof(float)) == 0);
        trd_results_destroy(alone);
    }
    trd_results_destroy(together);
}

static void test_wide_vocabulary(void)
{
    open_model(&(tiny_model){ .name = "wide", .form = TINY_PRE_NORM, .vocabulary = VOCABULARY });
    trd_decoding_options o = rig_options();
    o.beam_size = 65536;
    refuse(o, TRD_E_INVALID, "with 40000 output tokens it must be at most 53687");
    test_scoring_memory();
    close_model();
}

static size_t blocks_at_first_token;
static int64_t n_reported;

static bool count_blocks(void *context, const trd_step_result *step)
{
    (void)context;
    (void)step;
    if (n_reported++ == 0) trd_memory_in_use(NULL, &blocks_at_first_token);
    return false;
}

/* Tokens are reported while the rest of a large call still waits for room in the backlog. */
static void test_reports_in_time(void)
{
    enum { N = 40, LENGTH = 100 };
    trd_model *model;
    tiny_model_write(folder(), &(tiny_model){ .name = "reports", .form = TINY_PRE_NORM });
    CHECK_OK(trd_model_open(folder(), &model));
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.intra_threads = 1;
    options.max_queued_batches = 1;
    options.max_batch_rows = 1;
    options.cache_dir = "";
    CHECK_OK(trd_translator_create(model, &options, &translator));
    trd_model_close(model);
    int64_t lengths[N];
    int32_t ids[N];
    for (int i = 0; i < N; i++) {
        lengths[i] = 1;
        ids[i] = 5 + i % 30;
    }
    trd_decoding_options o = rig_options();
    o.beam_size = 1;
    o.has_end_tokens = true;
    o.max_decoding_length = LENGTH;
    o.on_step = count_blocks;
    const trd_sequences source = { .n = N, .lengths = lengths, .ids = ids };
    trd_results *results;
    size_t before;
    trd_memory_in_use(NULL, &before);
    CHECK_OK(trd_translator_translate(translator, &source, NULL, &o, &results));
    CHECK_INT(n_reported, N * LENGTH);
    if (blocks_at_first_token > before + N * LENGTH / 2) {
        fprintf(stderr, "%zu blocks of memory held at the first of %d reports\n", blocks_at_first_token - before, N * LENGTH);
        exit(1);
    }
    trd_results_destroy(results);
    close_model();
}

int main(void)
{
    test_merged_attention();
    test_reports_in_time();
    test_wide_vocabulary();
    return 0;
}
