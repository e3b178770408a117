/* test_cpu_select.c: candidates against the reference and against plain rules: order, ties, NaN, forbidden entries, draws. */
#include "backend_rig.h"

enum { ROWS = 6, MAX_WIDTH = 256, MAX_OUT = ROWS * MAX_WIDTH };

typedef struct results {
    int32_t ids[MAX_OUT], parents[MAX_OUT];
    float   scores[MAX_OUT];
} results;

static trdi_op select_op(const array *values, const array *row_scores, const trdi_selection *s, int64_t width, int64_t stride, results *out)
{
    return (trdi_op){ .kind = TRDI_OP_SELECT, .count = TRDI_COUNT_SELECTIONS, .u.select = {
        .values = span(values->data), .row_scores = span(row_scores == NULL ? NULL : row_scores->data), .selections = span(s),
        .ids = span(out->ids), .parents = span(out->parents), .scores = span(out->scores), .width = width, .stride = stride } };
}

static void poison(results *out)
{
    memset(out, 0x55, sizeof *out);
}

/* Both write the same results, and nothing else. */
static void compare(const rig *r, trdi_op *op, int64_t n, results *got)
{
    static results want;
    poison(&want);
    poison(got);
    trdi_op reference = *op;
    reference.u.select.ids = span(want.ids);
    reference.u.select.parents = span(want.parents);
    reference.u.select.scores = span(want.scores);
    CHECK_OK(reference_run(&reference, n));
    CHECK_OK(rig_run(r, op, n));
    for (int i = 0; i < MAX_OUT; i++) {
        if (got->ids[i] == want.ids[i] && got->parents[i] == want.parents[i] &&
            memcmp(&got->scores[i], &want.scores[i], sizeof(float)) == 0) {
            continue;
        }
        fprintf(stderr, "select (%s, %d threads), mode %d: candidate %d is row %d id %d score %.9g, wanted row %d id %d score %.9g\n",
                r->isa, (int)r->threads, (int)((const trdi_selection *)op->u.select.selections.buffer)->mode, i, got->parents[i],
                got->ids[i], (double)got->scores[i], want.parents[i], want.ids[i], (double)want.scores[i]);
        exit(1);
    }
}

static void best(rig *r)
{
    static results out;
    static const int64_t widths[] = { 1, 7, 15, 16, 17, 31, 33, 100 };
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        const int64_t width = widths[w], stride = width + 3;
        for (int variant = 0; variant < 4; variant++) {
            array values = array_random(ROWS * stride), row_scores = array_random(ROWS);
            for (int64_t i = 0; i < values.n; i++) {
                if (variant == 1) values.data[i] = roundf(values.data[i] * 3.0f);         /* many ties */
                if (variant == 2 && i % 5 != 0) values.data[i] = i % 3 == 0 ? NAN : -INFINITY;
            }
            if (variant == 1) for (int64_t i = 0; i < ROWS; i++) row_scores.data[i] = 1.0f;
            const trdi_selection s[3] = {
                { .mode = TRDI_SELECT_BEST, .first_row = 0, .n_rows = 4, .n_candidates = (int32_t)(variant == 3 ? 4 * width : (3 * width + 7) / 8) },
                { .mode = TRDI_SELECT_BEST, .first_row = 4, .n_rows = 1, .n_candidates = 1, .output = (int32_t)(4 * width) },
                { .mode = TRDI_SELECT_BEST, .first_row = 5, .n_rows = 1, .n_candidates = (int32_t)width, .output = (int32_t)(4 * width + 1) } };
            trdi_op op = select_op(&values, variant == 2 ? NULL : &row_scores, s, width, stride, &out);
            compare(r, &op, 3, &out);
            array_free(&values);
            array_free(&row_scores);
        }
    }
}

/* All NaN: still ids in range, in order. */
static void nothing_but_nan(rig *r)
{
    static results out;
    array values = array_new(40);
    for (int64_t i = 0; i < 40; i++) values.data[i] = NAN;
    const trdi_selection s[2] = { { .mode = TRDI_SELECT_BEST, .n_rows = 1, .n_candidates = 5 },
                                  { .mode = TRDI_SELECT_SAMPLE, .n_rows = 1, .n_candidates = 1, .output = 5, .topp = 1.0f, .temperature = 1.0f, .uniform = 0.99 } };
    trdi_op op = select_op(&values, NULL, s, 40, 40, &out);
    CHECK_OK(rig_run(r, &op, 2));
    for (int i = 0; i < 5; i++) CHECK_INT(out.ids[i], i);
    CHECK(out.ids[5] >= 0 && out.ids[5] < 40);
    array_free(&values);
}

/* The draw, straight: f32 softmax, then double; false where u is too near a boundary to say. */
static bool plain_draw(const float *x, int64_t n, const trdi_selection *s, int32_t *id)
{
    double p[MAX_WIDTH], total = 0.0, cumulative = 0.0, top = -INFINITY;
    int64_t order[MAX_WIDTH];
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = 1; i < n; i++) {
        for (int64_t j = i; j > 0 && x[order[j]] > x[order[j - 1]]; j--) {
            const int64_t t = order[j];
            order[j] = order[j - 1];
            order[j - 1] = t;
        }
    }
    const int64_t kept = s->topk > 0 && s->topk < n ? s->topk : n;
    for (int64_t i = 0; i < n; i++) top = fmax(top, (double)x[i]);
    for (int64_t i = 0; i < n; i++) p[i] = 0.0;
    for (int64_t i = 0; i < kept; i++) {
        p[order[i]] = exp(((double)x[order[i]] - top) / (double)s->temperature);
        total += p[order[i]];
    }
    double before = 0.0, left = 0.0;
    for (int64_t i = 0; i < kept; i++) {
        const double each = p[order[i]] / total;
        if (fabs(before - (double)s->topp) < 1e-5 && s->topp < 1.0f) return false;
        if (i > 0 && before >= (double)s->topp) p[order[i]] = 0.0;
        left += p[order[i]];
        before += each;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t e = kept < n ? order[i] : i;
        if (p[e] == 0.0) continue;
        cumulative += p[e] / left;
        if (fabs(cumulative - s->uniform) < 1e-5) return false;
        *id = (int32_t)e;
        if (cumulative >= s->uniform) break;
    }
    return true;
}

static void samples(rig *r)
{
    static results out;
    static const int64_t widths[] = { 1, 7, 16, 17, 33, 100, 255 };
    static const double uniforms[] = { 0.0, 1e-3, 0.25, 0.5, 0.77, 0.999, 1.0 };
    int decided = 0;
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        const int64_t width = widths[w];
        for (int variant = 0; variant < 12; variant++) {
            array values = array_random(width), row_scores = array_random(1);
            for (int64_t i = 0; i < width; i++) values.data[i] *= 6.0f;
            for (int64_t i = 0; i < width && variant >= 6; i++) if (i % 3 != 1 && width > 1) values.data[i] = -INFINITY;
            for (size_t u = 0; u < sizeof uniforms / sizeof uniforms[0]; u++) {
                const trdi_selection s = { .mode = TRDI_SELECT_SAMPLE, .n_rows = 1, .n_candidates = 1, .topk = variant % 2 ? 10 : 0,
                                           .topp = variant % 3 == 0 ? 1.0f : variant % 3 == 1 ? 0.8f : 0.01f,
                                           .temperature = variant % 4 < 2 ? 1.0f : 0.6f, .uniform = uniforms[u] };
                trdi_op op = select_op(&values, &row_scores, &s, width, width, &out);
                CHECK_OK(rig_run(r, &op, 1));
                CHECK(out.ids[0] >= 0 && out.ids[0] < width && isfinite(out.scores[0]));
                CHECK(out.scores[0] == values.data[out.ids[0]] + row_scores.data[0]);
                int32_t want = 0;
                if (!plain_draw(values.data, width, &s, &want)) continue;
                decided++;
                if (out.ids[0] != want) fprintf(stderr, "width %d variant %d u %g\n", (int)width, variant, uniforms[u]);
                CHECK_INT(out.ids[0], want);
                compare(r, &op, 1, &out);
            }
            array_free(&values);
            array_free(&row_scores);
        }
    }
    CHECK(decided > 400);
}

static void noise_and_given(rig *r)
{
    static results out;
    static const int64_t widths[] = { 7, 16, 33, 100 };
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        for (int variant = 0; variant < 6; variant++) {
            const int64_t width = widths[w], stride = width + 1;
            array values = array_random(4 * stride), row_scores = array_random(4), noise = array_random(4 * width + 2);
            for (int64_t i = 0; i < values.n; i++) {
                values.data[i] *= variant >= 3 ? 200.0f : 5.0f;    /* weights that underflow, though they are finite */
                if (variant >= 3 && i % 4 != 0) values.data[i] = -INFINITY;
            }
            for (int64_t i = 0; i < noise.n; i++) noise.data[i] = -logf(0.5f * (noise.data[i] + 1.0f) + 1e-6f);
            const int32_t given[4] = { 3, 0, (int32_t)width - 1, 2 };
            const trdi_selection s[2] = {
                { .mode = TRDI_SELECT_NOISE, .n_rows = 3, .n_candidates = 5, .topk = variant % 3 == 1 ? 8 : 0,
                  .topp = variant == 2 ? 0.7f : 1.0f, .temperature = 0.9f, .noise_start = 2 },
                { .mode = TRDI_SELECT_GIVEN, .first_row = 1, .n_rows = 3, .n_candidates = 3, .output = 5, .noise_start = 1 } };
            trdi_op op = select_op(&values, &row_scores, s, width, stride, &out);
            op.u.select.noise = span(noise.data);
            op.u.select.given = span(given);
            compare(r, &op, 2, &out);
            for (int i = 0; i < 5; i++) CHECK(isfinite(out.scores[i]) || width < 16);
            CHECK_INT(out.ids[6], width - 1);
            array_free(&values);
            array_free(&row_scores);
            array_free(&noise);
        }
    }
}

static void nonsense(rig *r)
{
    static results out;
    array values = array_random(20);
    const trdi_selection bad[] = { { .mode = 9, .n_rows = 1, .n_candidates = 1 },
                                   { .mode = TRDI_SELECT_BEST, .n_rows = 1, .n_candidates = 21 },
                                   { .mode = TRDI_SELECT_BEST, .n_rows = 0, .n_candidates = 1 },
                                   { .mode = TRDI_SELECT_GIVEN, .n_rows = 1, .n_candidates = 1 },
                                   { .mode = TRDI_SELECT_NOISE, .n_rows = 1, .n_candidates = 1, .temperature = 1.0f },
                                   { .mode = TRDI_SELECT_SAMPLE, .n_rows = 1, .n_candidates = 2, .temperature = 1.0f } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        trdi_op op = select_op(&values, NULL, &bad[i], 20, 20, &out);
        CHECK_FAILS(rig_run(r, &op, 1), TRD_E_INVALID, "selection");
    }
    array_free(&values);
}

static void all(rig *r)
{
    best(r);
    nothing_but_nan(r);
    samples(r);
    noise_and_given(r);
    nonsense(r);
}

int main(void)
{
    rig_each(all);
    return 0;
}
