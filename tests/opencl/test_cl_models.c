/*
 * test_cl_models.c: every form of model on each OpenCL device, in both forms of kernels: in f32 the tokens and scores of the original, the
 * same bits whether tokens come one by one, all at once or beside other rows; in int8 the original's tokens; in f16 scores near those of f32.
 */
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/expected.h"
#include "nn/nn_rig.h"
#include "nn/variants.h"
#include "opencl/cl_rig.h"

enum { LENGTH = 9, SOURCE = 7, START = 1, END = 2, CROWD = 5 };
static const int32_t source[SOURCE] = { 7, 12, 30, 5, 21, 3, 17 };
static const int32_t other[5] = { 4, 39, 22, 8, 9 };

static char folder[] = "/tmp/treadle-cl-models-XXXXXX";

/* On a device that is open already, so that programs are compiled once. */
static void open_on(rig *r, const cl_rig *cl, const char *name, const char *compute_type)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    *r = (rig){ .forbidden = END, .queue = cl->queue, .device = { .ops = cl->ops, .impl = cl->device, .facts = cl->facts } };
    CHECK_OK(trdi_model_open(path, NULL, 0, &r->model));
    CHECK_OK(trdi_network_create(r->model, &r->device, &(trdi_network_options){ .compute_type = compute_type, .cache_dir = "" }, &r->network));
    CHECK_STRING(trdi_network_get_info(r->network)->compute_type, compute_type);
    CHECK_OK(trdi_runner_create(r->network, r->queue, &r->runner));
}

static void close_on(rig *r)
{
    CHECK_INT(trdi_runner_blocks_in_use(r->runner), 0);
    trdi_runner_destroy(r->runner);
    trdi_network_destroy(r->network);
    trdi_model_release(r->model);
}

static void encode(rig *r, rig_row *row, const int32_t *ids, int32_t n)
{
    *row = (rig_row){ .length = 0 };
    if (trdi_network_get_info(r->network)->n_source_features > 0) CHECK_OK(rig_encode(r, row, 1, &ids, &n));
}

static const struct expected *find(const struct expected *table, const char *name)
{
    for (int i = 0; i < N_VARIANTS; i++) {
        if (strcmp(table[i].name, name) == 0) return &table[i];
    }
    fprintf(stderr, "nothing is expected of %s\n", name);
    exit(1);
}

/* ---- Tokens and scores ---- */

static void check_greedy(rig *r, const cl_rig *cl, const struct expected *want, double tolerance)
{
    rig_row row;
    double score;
    int32_t ids[LENGTH];
    encode(r, &row, source, SOURCE);
    CHECK_INT(rig_greedy(r, &row, START, -1, LENGTH, ids, &score), LENGTH);
    rig_row_release(r, &row);
    const bool same = memcmp(ids, want->ids, sizeof ids) == 0;
    if (same && fabs(score - want->score) <= tolerance) return;
    fprintf(stderr, "%s on %s (%s, %s): score %.9g, wanted %.9g; tokens", want->name, cl->facts.id, cl->facts.platform, cl->form, score, want->score);
    for (int i = 0; i < LENGTH; i++) fprintf(stderr, " %d(%d)", (int)ids[i], (int)want->ids[i]);
    fprintf(stderr, "\n");
    exit(1);
}

/* Scores of the best tokens after START, ids[0..LENGTH-2], given in one segment: no jumps, unlike the tokens chosen. */
static void best_scores(const cl_rig *cl, const char *name, const char *type, const int32_t *ids, float *scores)
{
    rig r;
    rig_row row;
    int32_t tokens[LENGTH] = { START }, best[LENGTH];
    const int32_t *all = tokens, n = LENGTH;
    memcpy(tokens + 1, ids, (LENGTH - 1) * sizeof *ids);
    open_on(&r, cl, name, type);
    encode(&r, &row, source, SOURCE);
    CHECK_OK(rig_decode(&r, &row, 1, &all, &n, best, scores, NULL));
    rig_row_release(&r, &row);
    close_on(&r);
}

static void check_near(const cl_rig *cl, const char *name, const char *type, const char *other_type, const int32_t *ids, double tolerance)
{
    float scores[LENGTH], others[LENGTH];
    best_scores(cl, name, type, ids, scores);
    best_scores(cl, name, other_type, ids, others);
    for (int i = 0; i < LENGTH; i++) CHECK_NEAR(scores[i], others[i], tolerance);
    CHECK(memcmp(scores, others, sizeof scores) != 0);
}

/* ---- Bits ---- */

/* Tokens from..LENGTH-1 of the target in segments of at most `most`, beside n-1 neighbours. */
static void score_in_segments(rig *r, const int32_t *ids, int32_t most, int32_t n, float *scores)
{
    rig_row rows[CROWD];
    int32_t tokens[LENGTH] = { START }, best[CROWD * LENGTH], lengths[CROWD];
    const int32_t *all[CROWD];
    float got[CROWD * LENGTH];
    memcpy(tokens + 1, ids, (LENGTH - 1) * sizeof *ids);
    for (int32_t i = 0; i < n - 1; i++) encode(r, &rows[i], other, 5 - i);
    encode(r, &rows[n - 1], source, SOURCE);
    for (int32_t done = 0; done < LENGTH;) {
        const int32_t count = LENGTH - done < most ? LENGTH - done : most;
        int32_t before = 0;
        for (int32_t i = 0; i < n - 1; i++, before += lengths[i - 1]) {
            all[i] = other;
            lengths[i] = 1 + (done + i) % 3;
        }
        all[n - 1] = tokens + done;
        lengths[n - 1] = count;
        CHECK_OK(rig_decode(r, rows, n, all, lengths, best, got, NULL));
        memcpy(scores + done, got + before, (size_t)count * sizeof *got);
        done += count;
    }
    for (int32_t i = 0; i < n; i++) rig_row_release(r, &rows[i]);
}

static void check_segments(rig *r, const cl_rig *cl, const char *name, const int32_t *ids)
{
    static const struct { int32_t most, rows; } ways[] = { { LENGTH, 1 }, { 4, 1 }, { 1, 2 }, { LENGTH, 2 }, { 3, CROWD } };
    float single[LENGTH], scores[LENGTH];
    score_in_segments(r, ids, 1, 1, single);
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        score_in_segments(r, ids, ways[w].most, ways[w].rows, scores);
        if (memcmp(single, scores, sizeof single) == 0) continue;
        fprintf(stderr, "%s on %s (%s, %s), segments of %d among %d rows:\n", name, cl->facts.id, cl->facts.platform, cl->form, (int)ways[w].most,
                (int)ways[w].rows);
        for (int i = 0; i < LENGTH; i++) fprintf(stderr, "  %.9g, one by one %.9g\n", (double)scores[i], (double)single[i]);
        exit(1);
    }
}

static void check_attention(rig *r)
{
    rig_row row;
    const int32_t tokens[2] = { START, find(expected, "pre_norm_sinusoids")->ids[0] }, *all = tokens, two = 2;
    int32_t best[2];
    float scores[2];
    trdi_step_results results;
    r->features = TRDI_FEATURE_ATTENTION;
    encode(r, &row, source, SOURCE);
    CHECK_OK(rig_decode(r, &row, 1, &all, &two, best, scores, &results));
    for (int i = 0; i < SOURCE; i++) CHECK_NEAR(results.attention[results.attention_stride + i], expected_attention[i], 1e-5);
    rig_row_release(r, &row);
    r->features = 0;
}

/* ---- All ---- */

static void check_variant(const cl_rig *cl, const char *name)
{
    rig r;
    open_on(&r, cl, name, "float32");
    check_greedy(&r, cl, find(expected, name), 2e-4);
    check_segments(&r, cl, name, find(expected, name)->ids);
    if (strcmp(name, "pre_norm_sinusoids") == 0) check_attention(&r);
    close_on(&r);
    open_on(&r, cl, name, "int8_float32");
    /* In merged, one activation lies so near a tie that the last bit of a norm decides its integer. */
    check_greedy(&r, cl, find(expected_int8, name), strcmp(name, "merged") == 0 ? 0.05 : 2e-4);
    check_segments(&r, cl, name, find(expected, name)->ids);
    close_on(&r);
    if ((cl->facts.compute_types & TRDI_TYPES_F16) == 0) return;
    check_near(cl, name, "float16", "float32", find(expected, name)->ids, 0.01);
    check_near(cl, name, "int8_float16", "int8_float32", find(expected, name)->ids, 0.1);
    open_on(&r, cl, name, "float16");
    check_segments(&r, cl, name, find(expected, name)->ids);
    close_on(&r);
}

static void test(cl_rig *cl)
{
    static const char *const few[] = { "pre_norm_sinusoids", "rotary_llama3", "decoder_parallel_two" };
    if (cl->small) {
        for (size_t i = 0; i < sizeof few / sizeof few[0]; i++) check_variant(cl, few[i]);
        return;
    }
    for (int i = 0; i < N_VARIANTS; i++) check_variant(cl, variants[i].name);
}

int main(void)
{
    (void)cl_rig_module();
    CHECK(mkdtemp(folder) != NULL);
    char path[1024];
    for (int i = 0; i < N_VARIANTS; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, variants[i].name);
        tiny_model_write(path, &variants[i]);
    }
    cl_rig_each("models", test);
    (void)snprintf(path, sizeof path, "rm -rf '%s'", folder);
    CHECK_INT(system(path), 0);
    return 0;
}
