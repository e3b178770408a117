/*
 * test_foreign_device.c: every form of model on a device whose memory is not the host's: in f32 the same bits as on the CPU; in int8 what the
 * original gives; in f16 near f32. So nothing above the seam touches device memory, or counts on when a run happens.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "nn/expected.h"
#include "nn/foreign_device.h"
#include "nn/nn_rig.h"
#include "nn/variants.h"

enum { LENGTH = 9, SOURCE = 7, START = 1, END = 2 };
static const int32_t source[SOURCE] = { 7, 12, 30, 5, 21, 3, 17 };
static const int32_t other[5] = { 4, 39, 22, 8, 9 };

static void open_foreign(rig *r, const char *path, const char *compute_type)
{
    const trdi_device_facts facts = foreign_facts(TRDI_TYPES_INT8 | TRDI_TYPES_F16);
    CHECK_OK(rig_open_on(r, foreign_backend(), &facts, path, &(trdi_network_options){ .compute_type = compute_type }));
    CHECK_STRING(trdi_network_get_info(r->network)->compute_type, compute_type);
    r->forbidden = END;
}

static void encode(rig *r, rig_row *row, const int32_t *ids, int32_t n)
{
    *row = (rig_row){ .length = 0 };
    if (trdi_network_get_info(r->network)->n_source_features > 0) CHECK_OK(rig_encode(r, row, 1, &ids, &n));
}

static double greedy(rig *r, int32_t *ids)
{
    rig_row row;
    double score;
    encode(r, &row, source, SOURCE);
    CHECK_INT(rig_greedy(r, &row, START, -1, LENGTH, ids, &score), LENGTH);
    rig_row_release(r, &row);
    CHECK_INT(trdi_runner_blocks_in_use(r->runner), 0);
    return score;
}

/** Two rows at once, in segments, after growth of everything: scores of the best tokens. */
static void crowd(rig *r, float *scores)
{
    rig_row rows[RIG_ROWS];
    const int32_t *tokens[RIG_ROWS];
    int32_t lengths[RIG_ROWS], best[RIG_ROWS * SOURCE];
    for (int i = 0; i < RIG_ROWS; i++) {
        encode(r, &rows[i], i % 2 == 0 ? source : other, i % 2 == 0 ? SOURCE : 5);
        tokens[i] = i % 2 == 0 ? other : source;
        lengths[i] = i % 2 == 0 ? 5 : SOURCE;
    }
    CHECK_OK(rig_decode(r, rows, RIG_ROWS, tokens, lengths, best, scores, NULL));
    for (int i = 0; i < RIG_ROWS; i++) rig_row_release(r, &rows[i]);
}

static void check_f32(const char *path)
{
    rig cpu, far;
    int32_t want[LENGTH], got[LENGTH];
    float want_scores[RIG_ROWS * SOURCE], scores[RIG_ROWS * SOURCE];
    CHECK_OK(rig_open(&cpu, path, NULL));
    cpu.forbidden = END;
    open_foreign(&far, path, "float32");
    const double want_score = greedy(&cpu, want);
    CHECK(greedy(&far, got) == want_score);
    CHECK(memcmp(got, want, sizeof got) == 0);
    crowd(&cpu, want_scores);
    crowd(&far, scores);
    CHECK(memcmp(scores, want_scores, (RIG_ROWS / 2) * (SOURCE + 5) * sizeof *scores) == 0);
    CHECK(greedy(&far, got) == want_score);
    rig_close(&cpu);
    rig_close(&far);
}

/** Attention and logits come back through results and reads. */
static void check_evidence(const char *path)
{
    rig r[2];
    float attention[2][SOURCE], logits[2][40];
    CHECK_OK(rig_open(&r[0], path, NULL));
    r[0].forbidden = END;
    open_foreign(&r[1], path, "float32");
    for (int i = 0; i < 2; i++) {
        rig_row row;
        const int32_t *tokens = other, five = 5;
        int32_t best[5];
        float scores[5];
        trdi_step_results results;
        r[i].features = TRDI_FEATURE_ATTENTION | TRDI_FEATURE_LOGITS;
        encode(&r[i], &row, source, SOURCE);
        CHECK_OK(rig_decode(&r[i], &row, 1, &tokens, &five, best, scores, &results));
        memcpy(attention[i], results.attention + 3 * results.attention_stride, sizeof attention[i]);
        CHECK_OK(trdi_runner_read_logits(r[i].runner, 3, logits[i]));
        rig_row_release(&r[i], &row);
        rig_close(&r[i]);
    }
    CHECK(memcmp(attention[0], attention[1], sizeof attention[0]) == 0);
    CHECK(memcmp(logits[0], logits[1], sizeof logits[0]) == 0);
}

static const struct expected *find(const struct expected *table, const char *name)
{
    for (int i = 0; i < N_VARIANTS; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    fprintf(stderr, "nothing is expected of %s\n", name);
    exit(1);
}

static void check_int8(const char *path, const struct expected *want, double tolerance)
{
    rig r;
    int32_t ids[LENGTH];
    open_foreign(&r, path, "int8_float32");
    const double score = greedy(&r, ids);
    for (int i = 0; i < LENGTH; i++) CHECK_INT(ids[i], want->ids[i]);
    CHECK_NEAR(score, want->score, tolerance);
    rig_close(&r);
}

/** Log-probability of the best token after each of START and given tokens: it has no jumps, unlike the tokens chosen. */
static void best_scores(const char *path, const char *compute_type, const int32_t *ids, float *scores)
{
    rig r;
    rig_row row;
    int32_t tokens[LENGTH] = { START }, best[LENGTH];
    const int32_t *all = tokens, n = LENGTH;
    memcpy(tokens + 1, ids, (LENGTH - 1) * sizeof *ids);
    open_foreign(&r, path, compute_type);
    encode(&r, &row, source, SOURCE);
    CHECK_OK(rig_decode(&r, &row, 1, &all, &n, best, scores, NULL));
    rig_row_release(&r, &row);
    rig_close(&r);
}

/** One type is near another, and not the same. */
static void check_near(const char *path, const char *type, const char *other_type, const int32_t *ids, double tolerance)
{
    float scores[LENGTH], others[LENGTH];
    best_scores(path, type, ids, scores);
    best_scores(path, other_type, ids, others);
    for (int i = 0; i < LENGTH; i++) CHECK_NEAR(scores[i], others[i], tolerance);
    CHECK(memcmp(scores, others, sizeof scores) != 0);
}

/** What a translator is told of numerics arrives with each plan. */
static void check_numerics(const char *path)
{
    static const trdi_numerics all[] = { TRDI_NUMERICS_FAST, TRDI_NUMERICS_REPRODUCIBLE, TRDI_NUMERICS_AUTO };
    for (int i = 0; i < 3; i++) {
        rig r;
        int32_t ids[LENGTH];
        const trdi_device_facts facts = foreign_facts(0);
        CHECK_OK(rig_open_on(&r, foreign_backend(), &facts, path, &(trdi_network_options){ .numerics = all[i] }));
        (void)greedy(&r, ids);
        CHECK_INT(foreign_last_numerics(), all[i]);
        rig_close(&r);
    }
}

/** Blocks take half the bytes in 16 bits, and what prepared integers take depends on the device alone. */
static void check_blocks(const char *path)
{
    static const struct { const char *type; int64_t bytes; } types[] = {
        { "float32", 4 }, { "int8_float32", 4 }, { "float16", 2 }, { "int8_float16", 2 } };
    for (int i = 0; i < 4; i++) {
        rig r;
        open_foreign(&r, path, types[i].type);
        const trdi_network_info *info = trdi_network_get_info(r.network);
        CHECK_INT(info->block_bytes, info->block_tokens * 2 /* layers */ * 2 /* keys, values */ * 32 * types[i].bytes);
        rig_close(&r);
    }
}

/** In merged, one activation lies so near a tie that the last bit of a norm decides its integer. */
static void check_variant(const char *path, const char *name)
{
    const bool tie = strcmp(name, "merged") == 0;
    check_f32(path);
    check_int8(path, find(expected_int8, name), tie ? 0.05 : 1e-4);
    check_near(path, "float16", "float32", find(expected, name)->ids, 0.01);
    check_near(path, "int8_float16", "int8_float32", find(expected, name)->ids, 0.1);
}

int main(void)
{
    char folder[] = "/tmp/treadle-foreign-XXXXXX", path[1024], command[1200];
    CHECK(mkdtemp(folder) != NULL);
    for (int i = 0; i < N_VARIANTS; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, variants[i].name);
        tiny_model_write(path, &variants[i]);
        check_variant(path, variants[i].name);
        if (i == 0) check_evidence(path);
        if (i == 0) check_blocks(path);
        if (i == 0) check_numerics(path);
        printf("%s\n", variants[i].name);
    }
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    CHECK_INT(foreign_memory_in_use(), 0);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
