/*
 * test_cl_select.c: candidates on OpenCL against the definition: order, ties, NaN, forbidden entries, pieces of rows, draws, noise; what a
 * selection gives does not depend on its neighbours; nonsense is refused.
 */
#include "opencl/cl_rig.h"

typedef struct results {
    int32_t *ids, *parents;
    float   *scores;
    int64_t  n;
} results;

static results make_results(cl_rig *r, int64_t n)
{
    const size_t bytes = (size_t)n * 4;
    results out = { .n = n };
    out.ids = cl_rig_array(r, bytes, TRDI_MEMORY_DEVICE);
    out.parents = cl_rig_array(r, bytes, TRDI_MEMORY_DEVICE);
    out.scores = cl_rig_array(r, bytes, TRDI_MEMORY_DEVICE);
    memset(out.ids, 0x55, bytes);
    memset(out.parents, 0x55, bytes);
    memset(out.scores, 0x55, bytes);
    return out;
}

static trdi_selection *make_selections(cl_rig *r, const trdi_selection *from, size_t n)
{
    trdi_selection *s = cl_rig_array(r, n * sizeof *s, TRDI_MEMORY_STEP);
    memcpy(s, from, n * sizeof *s);
    return s;
}

static trdi_op select_op(const float *values, const float *row_scores, const trdi_selection *s, int64_t width, int64_t stride, const results *out)
{
    return (trdi_op){ .kind = TRDI_OP_SELECT, .count = TRDI_COUNT_SELECTIONS, .u.select = {
        .values = cl_span(values), .row_scores = cl_span(row_scores), .selections = cl_span(s), .ids = cl_span(out->ids),
        .parents = cl_span(out->parents), .scores = cl_span(out->scores), .width = width, .stride = stride } };
}

static bool same_candidate(const results *a, int64_t i, const results *b, int64_t j)
{
    if (a->ids[i] != b->ids[j] || a->parents[i] != b->parents[j]) return false;
    return (isnan(a->scores[i]) && isnan(b->scores[j])) || memcmp(&a->scores[i], &b->scores[j], sizeof(float)) == 0;
}

static results got_results(cl_rig *r, const results *out)
{
    return (results){ cl_rig_got(r, out->ids), cl_rig_got(r, out->parents), cl_rig_got(r, out->scores), out->n };
}

/* The device writes what the definition does, and nothing else. */
static void compare(cl_rig *r, const trdi_op *op, int64_t n, const results *want)
{
    CHECK_OK(cl_rig_run(r, op, n));
    cl_rig_reference(op, n);
    const results got = got_results(r, want);
    for (int64_t i = 0; i < want->n; i++) {
        if (same_candidate(&got, i, want, i)) continue;
        fprintf(stderr, "select (%s, %s, %s), mode %d, width %d: candidate %d is row %d id %d score %.9g, wanted row %d id %d score %.9g\n",
                r->facts.id, r->facts.platform, r->form, (int)((const trdi_selection *)op->u.select.selections.buffer)->mode,
                (int)op->u.select.width, (int)i, got.parents[i], got.ids[i], (double)got.scores[i], want->parents[i], want->ids[i],
                (double)want->scores[i]);
        exit(1);
    }
}

/* ---- BEST ---- */

/* 0 plain, 1 many ties and zeros of both signs, 2 forbidden and NaN, 3 all equal, 4 rising. */
static void fill_values(float *x, int64_t n, int variant)
{
    for (int64_t i = 0; i < n; i++) {
        if (variant == 1) x[i] = roundf(x[i] * 3.0f) == 0.0f ? (i % 2 == 0 ? 0.0f : -0.0f) : roundf(x[i] * 3.0f);
        if (variant == 2 && i % 5 != 0) x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? -INFINITY : INFINITY;
        if (variant == 3) x[i] = 2.5f;
        if (variant == 4) x[i] = (float)i;
    }
}

static void best_case(cl_rig *r, int64_t width, int64_t candidates, int variant)
{
    enum { ROWS = 7 };
    const int64_t stride = width + 3;
    float *values = cl_rig_floats(r, ROWS * stride), *row_scores = cl_rig_floats(r, ROWS);
    fill_values(values, ROWS * stride, variant);
    for (int i = 0; i < ROWS && (variant == 1 || variant == 3); i++) row_scores[i] = variant == 1 ? -0.0f : 1.0f;
    const int32_t k4 = (int32_t)(candidates < 4 * width ? candidates : 4 * width), k1 = (int32_t)(candidates < width ? candidates : width);
    const trdi_selection list[] = {
        { .mode = TRDI_SELECT_BEST, .first_row = 0, .n_rows = 4, .n_candidates = k4 },
        { .mode = TRDI_SELECT_BEST, .first_row = 4, .n_rows = 1, .n_candidates = 1, .output = k4 },
        { .mode = TRDI_SELECT_BEST, .first_row = 6, .n_rows = 1, .n_candidates = k1, .output = k4 + 2 },       /* one place between is nobody's */
        { .mode = TRDI_SELECT_BEST, .first_row = 5, .n_rows = 1, .n_candidates = k1, .output = k4 + 2 + k1 },
        { .mode = TRDI_SELECT_BEST, .first_row = 5, .n_rows = 1, .n_candidates = 0, .output = 0 } };
    const results out = make_results(r, k4 + 2 * k1 + 4);
    const trdi_selection *s = make_selections(r, list, 5);
    const trdi_op op = select_op(values, variant == 2 ? NULL : row_scores, s, width, stride, &out);
    compare(r, &op, 5, &out);
    cl_rig_clear(r);
}

static void best(cl_rig *r)
{
    static const int64_t widths[] = { 1, 7, 16, 33, 100, 1000, 5003 };
    if (r->small) {          /* the largest first: when scratch grows, oclgrind takes what kernels wrote to the new one for uninitialised */
        best_case(r, 150, 140, 1);
        best_case(r, 33, 13, 2);
        best_case(r, 33, 1, 1);
        return;
    }
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        for (int variant = 0; variant < 5; variant++) {
            best_case(r, widths[w], 1, variant);
            best_case(r, widths[w], 10, variant);
            best_case(r, widths[w], 13, variant);
            if (widths[w] <= 1000) best_case(r, widths[w], 4 * widths[w], variant);
        }
        best_case(r, widths[w], 300, 1);
    }
    best_case(r, 4200, 15, 1);
    best_case(r, 4500, 40, 1);
    best_case(r, 40000, 700, 0);
}

/* ---- Draws ---- */

/* The draw, straight, in double; false where a boundary is too near to say. */
static bool plain_draw(const float *x, int64_t n, const trdi_selection *s, const int32_t *order, int32_t *id)
{
    double p[512], total = 0.0, cumulative = 0.0, before = 0.0, left = 0.0;
    const int64_t kept = s->topk > 0 && s->topk < n ? s->topk : n;
    for (int64_t i = 0; i < n; i++) p[i] = 0.0;
    for (int64_t i = 0; i < kept; i++) {
        p[order[i]] = exp(((double)x[order[i]] - (double)x[order[0]]) / (double)s->temperature);
        total += p[order[i]];
    }
    for (int64_t i = 0; i < kept; i++) {
        const double each = p[order[i]] / total;
        if (s->topp < 1.0f && fabs(before - (double)s->topp) < 1e-5) return false;
        if (i > 0 && before >= (double)s->topp) p[order[i]] = 0.0;
        left += p[order[i]];
        before += each;
    }
    for (int64_t i = 0; i < n; i++) {
        const int32_t e = kept < n ? order[i] : (int32_t)i;
        if (p[e] == 0.0) continue;
        cumulative += p[e] / left;
        if (fabs(cumulative - s->uniform) < 1e-5) return false;
        *id = e;
        if (cumulative >= s->uniform) break;
    }
    return true;
}

/* Ids, the best first. */
static void sort_ids(const float *x, int64_t n, int32_t *order)
{
    for (int32_t i = 0; i < n; i++) {
        int32_t j = i;
        for (; j > 0 && x[i] > x[order[j - 1]]; j--) order[j] = order[j - 1];
        order[j] = i;
    }
}

enum { N_UNIFORMS = 7 };
static const double uniforms[N_UNIFORMS] = { 0.0, 1e-3, 0.25, 0.5, 0.77, 0.999, 1.0 };

/* All draws of one row of values: several selections in one step. */
static int samples_case(cl_rig *r, int64_t width, int variant)
{
    float *values = cl_rig_floats(r, width), *row_scores = cl_rig_floats(r, 1);
    int32_t order[512];
    for (int64_t i = 0; i < width; i++) {
        values[i] *= 6.0f;
        if (variant >= 6 && i % 3 != 1 && width > 1) values[i] = -INFINITY;
    }
    sort_ids(values, width, order);
    trdi_selection list[N_UNIFORMS];
    for (int u = 0; u < N_UNIFORMS; u++) {
        list[u] = (trdi_selection){ .mode = TRDI_SELECT_SAMPLE, .n_rows = 1, .n_candidates = 1, .output = u, .topk = variant % 2 ? 10 : 0,
                                    .topp = variant % 3 == 0 ? 1.0f : variant % 3 == 1 ? 0.8f : 0.01f,
                                    .temperature = variant % 4 < 2 ? 1.0f : 0.6f, .uniform = uniforms[u] };
    }
    const trdi_selection *s = make_selections(r, list, N_UNIFORMS);
    const results out = make_results(r, N_UNIFORMS);
    const trdi_op op = select_op(values, row_scores, s, width, width, &out);
    CHECK_OK(cl_rig_run(r, &op, N_UNIFORMS));
    const results got = got_results(r, &out);
    int decided = 0;
    for (int u = 0; u < N_UNIFORMS; u++) {
        const int32_t id = got.ids[u];
        CHECK(id >= 0 && id < width && isfinite(got.scores[u]));
        CHECK(got.parents[u] == 0 && got.scores[u] == values[id] + row_scores[0]);
        int32_t want = 0;
        if (!plain_draw(values, width, &list[u], order, &want)) continue;
        decided++;
        if (id != want) fprintf(stderr, "%s %s: width %d variant %d u %g\n", r->facts.id, r->form, (int)width, variant, uniforms[u]);
        CHECK_INT(id, want);
    }
    cl_rig_clear(r);
    return decided;
}

static void samples(cl_rig *r)
{
    static const int64_t widths[] = { 33, 1, 7, 16, 100, 300 };
    int decided = 0;
    if (r->small) {
        CHECK(samples_case(r, 33, 4) + samples_case(r, 33, 9) > 8);
        return;
    }
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        for (int variant = 0; variant < 12; variant++) decided += samples_case(r, widths[w], variant);
    }
    CHECK(decided > 350);
}

/* Draws hit entries as often as their probability says; equal weights are split exactly, at the ends of their shares. */
static void shares(cl_rig *r)
{
    enum { N = 64 };
    float *values = cl_rig_floats(r, 8);
    for (int i = 0; i < 8; i++) values[i] = 1.5f;
    trdi_selection list[N];
    for (int i = 0; i < N; i++) {
        list[i] = (trdi_selection){ .mode = TRDI_SELECT_SAMPLE, .n_rows = 1, .n_candidates = 1, .output = i, .topp = i < 32 ? 1.0f : 0.5f, .temperature = 1.0f,
                                    .uniform = (i % 32 + 1) / 32.0 };
    }
    const results out = make_results(r, N);
    const trdi_op op = select_op(values, NULL, make_selections(r, list, N), 8, 8, &out);
    CHECK_OK(cl_rig_run(r, &op, N));
    const results got = got_results(r, &out);
    for (int i = 0; i < N; i++) CHECK_INT(got.ids[i], i < 32 ? i / 4 : (i - 32) / 8);
    cl_rig_clear(r);
}

static void nothing_but_nan(cl_rig *r)
{
    float *values = cl_rig_floats(r, 40);
    for (int64_t i = 0; i < 40; i++) values[i] = NAN;
    const trdi_selection list[] = {
        { .mode = TRDI_SELECT_BEST, .n_rows = 1, .n_candidates = 5 },
        { .mode = TRDI_SELECT_SAMPLE, .n_rows = 1, .n_candidates = 1, .output = 5, .topp = 1.0f, .temperature = 1.0f, .uniform = 0.99 },
        { .mode = TRDI_SELECT_SAMPLE, .n_rows = 1, .n_candidates = 1, .output = 6, .topk = 3, .topp = 0.5f, .temperature = 1.0f, .uniform = 0.0 } };
    const results out = make_results(r, 7);
    const trdi_op op = select_op(values, NULL, make_selections(r, list, 3), 40, 40, &out);
    CHECK_OK(cl_rig_run(r, &op, 3));
    const results got = got_results(r, &out);
    for (int i = 0; i < 5; i++) CHECK_INT(got.ids[i], i);
    CHECK_INT(got.ids[5], 39);
    CHECK_INT(got.ids[6], 0);
    cl_rig_clear(r);
}

/* ---- NOISE, GIVEN ---- */

static void noise_case(cl_rig *r, int64_t width, int variant, int32_t candidates)
{
    const int64_t stride = width + 1;
    float *values = cl_rig_floats(r, 4 * stride), *row_scores = cl_rig_floats(r, 4), *noise = cl_rig_floats(r, 3 * width + 2);
    for (int64_t i = 0; i < 4 * stride; i++) {
        values[i] *= variant >= 3 ? 200.0f : 5.0f;      /* weights that underflow, though they are finite */
        if (variant >= 3 && i % 4 != 0) values[i] = -INFINITY;
    }
    for (int64_t i = 0; i < 3 * width + 2; i++) noise[i] = -logf(0.5f * (noise[i] + 1.0f) + 1e-6f);
    int32_t *given = cl_rig_ints(r, 4);
    memcpy(given, (const int32_t[]){ 3, 0, (int32_t)width - 1, 2 }, 4 * sizeof *given);
    const trdi_selection list[] = {
        { .mode = TRDI_SELECT_NOISE, .n_rows = 3, .n_candidates = candidates, .topk = variant % 3 == 1 ? candidates + 3 : 0,
          .topp = variant == 2 ? 0.7f : 1.0f, .temperature = 0.9f, .noise_start = 2 },
        { .mode = TRDI_SELECT_GIVEN, .first_row = 1, .n_rows = 3, .n_candidates = 3, .output = candidates, .noise_start = 1 },
        { .mode = TRDI_SELECT_NOISE, .first_row = 2, .n_rows = 2, .n_candidates = 2, .topp = 1.0f, .temperature = 1.0f, .output = candidates + 3 } };
    const results out = make_results(r, candidates + 6);
    trdi_op op = select_op(values, row_scores, make_selections(r, list, 3), width, stride, &out);
    op.u.select.noise = cl_span(noise);
    op.u.select.given = cl_span(given);
    compare(r, &op, 3, &out);
    cl_rig_clear(r);
}

static void noise_and_given(cl_rig *r)
{
    static const int64_t widths[] = { 33, 7, 16, 100, 1700 };
    if (r->small) {
        noise_case(r, 33, 1, 5);
        noise_case(r, 33, 2, 15);
        return;
    }
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        for (int variant = 0; variant < 6; variant++) noise_case(r, widths[w], variant, 5);
        if (widths[w] >= 33) noise_case(r, widths[w], 0, 40);
    }
}

/* Ids outside the width are bounded to it. */
static void wild_ids(cl_rig *r)
{
    float *values = cl_rig_floats(r, 30);
    int32_t *given = cl_rig_ints(r, 3);
    memcpy(given, (const int32_t[]){ -5, 10, INT32_MAX }, 3 * sizeof *given);
    const results out = make_results(r, 3);
    trdi_op op = select_op(values, NULL, make_selections(r, &(trdi_selection){ .mode = TRDI_SELECT_GIVEN, .n_rows = 3, .n_candidates = 3 }, 1), 10, 10, &out);
    op.u.select.given = cl_span(given);
    CHECK_OK(cl_rig_run(r, &op, 1));
    const int32_t *ids = cl_rig_got(r, out.ids);
    CHECK(ids[0] == 0 && ids[1] == 9 && ids[2] == 9);
    cl_rig_clear(r);
}

/* ---- Neighbours ---- */

/* Every selection of a mixed step gives the same when it is alone. */
static void neighbours(cl_rig *r)
{
    const int64_t width = 4500;
    float *values = cl_rig_floats(r, 8 * width), *noise = cl_rig_floats(r, 2 * width);
    for (int64_t i = 0; i < 8 * width; i++) values[i] *= 5.0f;
    trdi_selection list[8];
    for (int32_t i = 0; i < 8; i++) {
        const int32_t mode = i % 4 == 3 ? TRDI_SELECT_NOISE : i % 4 == 0 ? TRDI_SELECT_BEST : TRDI_SELECT_SAMPLE;
        list[i] = (trdi_selection){ .mode = mode, .first_row = i, .n_rows = 1, .n_candidates = mode == TRDI_SELECT_SAMPLE ? 1 : 10, .output = 10 * i,
                                    .topk = i == 2 || i == 7 ? 50 : 0, .topp = i == 5 || i == 2 ? 0.9f : 1.0f, .temperature = 0.8f, .uniform = 0.1 * i, .noise_start = i };
    }
    const trdi_selection *s = make_selections(r, list, 8);
    const results out = make_results(r, 80);
    trdi_op op = select_op(values, NULL, s, width, width, &out);
    op.u.select.noise = cl_span(noise);
    CHECK_OK(cl_rig_run(r, &op, 8));
    int32_t ids[80];
    float scores[80];
    memcpy(ids, cl_rig_got(r, out.ids), sizeof ids);
    memcpy(scores, cl_rig_got(r, out.scores), sizeof scores);
    for (int i = 0; i < 8; i++) {
        op.u.select.selections = cl_span(s + i);
        CHECK_OK(cl_rig_run(r, &op, 1));
        const size_t n = (size_t)list[i].n_candidates * 4, at = (size_t)list[i].output;
        CHECK(memcmp((const int32_t *)cl_rig_got(r, out.ids) + at, ids + at, n) == 0);
        CHECK(memcmp((const float *)cl_rig_got(r, out.scores) + at, scores + at, n) == 0);
    }
    cl_rig_clear(r);
}

/* ---- Nonsense ---- */

static void nonsense(cl_rig *r)
{
    const trdi_selection bad[] = {
        { .mode = 9, .n_rows = 1, .n_candidates = 1 },
        { .mode = -1, .n_rows = 1, .n_candidates = 1 },
        { .mode = TRDI_SELECT_BEST, .n_rows = 1, .n_candidates = 21 },
        { .mode = TRDI_SELECT_BEST, .n_rows = 0, .n_candidates = 1 },
        { .mode = TRDI_SELECT_BEST, .n_rows = 1, .n_candidates = 1, .first_row = 1000 },
        { .mode = TRDI_SELECT_BEST, .n_rows = 1, .n_candidates = 1, .first_row = INT32_MAX },
        { .mode = TRDI_SELECT_BEST, .n_rows = 1, .n_candidates = 1, .output = 1000 },
        { .mode = TRDI_SELECT_BEST, .n_rows = 1, .n_candidates = 1, .output = -1 },
        { .mode = TRDI_SELECT_GIVEN, .n_rows = 1, .n_candidates = 1 },
        { .mode = TRDI_SELECT_NOISE, .n_rows = 1, .n_candidates = 1, .temperature = 1.0f },
        { .mode = TRDI_SELECT_SAMPLE, .n_rows = 1, .n_candidates = 2, .temperature = 1.0f } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const float *values = cl_rig_floats(r, 20);
        const results out = make_results(r, 20);
        const trdi_op op = select_op(values, NULL, make_selections(r, &bad[i], 1), 20, 20, &out);
        CHECK_FAILS(cl_rig_run(r, &op, 1), TRD_E_INVALID, "selection");
        cl_rig_clear(r);
    }
    const float *values = cl_rig_floats(r, 20);
    const results out = make_results(r, 20);
    const trdi_selection *s = cl_rig_array(r, sizeof *s, TRDI_MEMORY_DEVICE);
    const trdi_op op = select_op(values, NULL, s, 20, 20, &out);
    CHECK_FAILS(cl_rig_run(r, &op, 1), TRD_E_UNSUPPORTED, "step memory");
    cl_rig_clear(r);
}

static void test(cl_rig *r)
{
    best(r);
    samples(r);
    if (!r->small) shares(r);
    nothing_but_nan(r);
    noise_and_given(r);
    wild_ids(r);
    if (!r->small) neighbours(r);
    nonsense(r);
}

int main(void)
{
    cl_rig_each("select", test);
    return 0;
}
