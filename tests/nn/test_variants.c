/*
 * test_variants.c: every form of model: greedy tokens and scores as the original gives them, and the same bits whether tokens come
 * one by one, all at once, or beside other rows.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "nn/expected.h"
#include "nn/nn_rig.h"
#include "nn/variants.h"

enum { LENGTH = 9, SOURCE = 7, START = 1, END = 2 };
static const int32_t source[SOURCE] = { 7, 12, 30, 5, 21, 3, 17 };
static const int32_t other[5] = { 4, 39, 22, 8, 9 };

static const struct expected *expected_of(const char *name)
{
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (strcmp(expected[i].name, name) == 0) return &expected[i];
    fprintf(stderr, "nothing is expected of %s\n", name);
    exit(1);
}

static void encode(rig *r, rig_row *row, const int32_t *ids, int32_t n)
{
    *row = (rig_row){ .length = 0 };
    if (trdi_network_get_info(r->network)->n_source_features > 0) CHECK_OK(rig_encode(r, row, 1, &ids, &n));
}

static void check_greedy(rig *r, const struct expected *want, int32_t *ids)
{
    rig_row row;
    double score;
    encode(r, &row, source, SOURCE);
    CHECK_INT(rig_greedy(r, &row, START, -1, LENGTH, ids, &score), LENGTH);
    for (int i = 0; i < LENGTH; i++) CHECK_INT(ids[i], want->ids[i]);
    CHECK_NEAR(score, want->score, 2e-4);
    rig_row_release(r, &row);
}

/** Log-probabilities of the best tokens after each of START, ids[0..LENGTH-2]: split into two segments at cut, with a neighbour or not. */
static void score_in_segments(rig *r, const int32_t *ids, int32_t cut, bool neighbour, float *scores)
{
    rig_row rows[2];
    int32_t tokens[LENGTH] = { START }, best[2 * LENGTH];
    memcpy(tokens + 1, ids, (LENGTH - 1) * sizeof *ids);
    float got[2 * LENGTH];
    if (neighbour) encode(r, &rows[0], other, 5);
    encode(r, &rows[neighbour], source, SOURCE);
    for (int32_t done = 0; done < LENGTH;) {
        const int32_t n = done < cut ? cut - done : LENGTH - done;
        const int32_t *both[2] = { other, tokens + done };
        const int32_t lengths[2] = { 2, n };
        CHECK_OK(rig_decode(r, rows, neighbour ? 2 : 1, both + !neighbour, lengths + !neighbour, best, got, NULL));
        memcpy(scores + done, got + (neighbour ? 2 : 0), (size_t)n * sizeof *got);
        done += n;
    }
    for (int i = 0; i <= neighbour; i++) rig_row_release(r, &rows[i]);
}

static void check_segments(rig *r, const char *name, const int32_t *ids)
{
    float single[LENGTH], whole[LENGTH];
    rig_row row;
    int32_t token = START, best;
    encode(r, &row, source, SOURCE);
    for (int i = 0; i < LENGTH; i++) {
        const int32_t *tokens = &token, one = 1;
        CHECK_OK(rig_decode(r, &row, 1, &tokens, &one, &best, &single[i], NULL));
        token = ids[i];
    }
    rig_row_release(r, &row);
    for (int32_t cut = 0; cut < LENGTH; cut += 4) {
        for (int neighbour = 0; neighbour < 2; neighbour++) {
            score_in_segments(r, ids, cut, neighbour != 0, whole);
            if (memcmp(single, whole, sizeof single) == 0) continue;
            for (int i = 0; i < LENGTH; i++) fprintf(stderr, "%s, cut %d: %.9g, one by one %.9g\n", name, (int)cut, (double)whole[i], (double)single[i]);
            exit(1);
        }
    }
}

static void check_attention(rig *r)
{
    rig_row row;
    const struct expected *want = expected_of("pre_norm_sinusoids");
    const int32_t tokens[2] = { START, want->ids[0] }, *all = tokens, two = 2;
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

static void check_variant(const char *folder, const tiny_model *variant)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", folder, variant->name);
    tiny_model_write(path, variant);
    rig r;
    CHECK_OK(rig_open(&r, path, NULL));
    r.forbidden = END;
    int32_t ids[LENGTH];
    check_greedy(&r, expected_of(variant->name), ids);
    check_segments(&r, variant->name, ids);
    if (strcmp(variant->name, "pre_norm_sinusoids") == 0) check_attention(&r);
    if (variant->decoder_only || variant->merged) {
        r.features = TRDI_FEATURE_ATTENTION;
        rig_row row = { .length = 0 };
        const int32_t start = START, *tokens = &start, one = 1;
        float score;
        CHECK_FAILS(rig_decode(&r, &row, 1, &tokens, &one, ids, &score, NULL), TRD_E_UNSUPPORTED, "cross-attention");
        rig_row_release(&r, &row);
    }
    CHECK_INT(trdi_runner_blocks_in_use(r.runner), 0);
    rig_close(&r);
    char command[1200];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    CHECK_INT(system(command), 0);
}

int main(void)
{
    char folder[] = "/tmp/treadle-variants-XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    for (int i = 0; i < N_VARIANTS; i++) {
        check_variant(folder, &variants[i]);
        printf("%s\n", variants[i].name);
    }
    CHECK_INT(rmdir(folder), 0);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
