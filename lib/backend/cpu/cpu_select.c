/*
 * cpu_select.c: candidates of one group of logits rows: the best, draws from the softmax, or given ids. An entry is a number
 * row * width + id of the concatenated rows; its score is value + row score.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"

/* The best n entries seen so far; while filling, a heap with the worst at the root. */
typedef struct best {
    float   *scores;
    int32_t *rows, *ids;
    int64_t  n;
} best;

/* One selection on its way. */
typedef struct group {
    const trdi_op_select *op;
    const trdi_selection *s;
    const trdi_cpu_kernels *kernels;
    const float *values;      /* of first_row */
    const float *row_scores;  /* of first_row; NULL = zeros */
    int64_t total;            /* n_rows * width */
} group;

static float row_score(const group *g, int64_t row)
{
    return g->row_scores != NULL ? g->row_scores[row] : 0.0f;
}

static float entry_value(const group *g, int64_t row, int64_t id)
{
    return g->values[row * g->op->stride + id] + row_score(g, row);
}

/* Score descending, then row, then id; NaN after everything else. */
static bool better(float a, int64_t row_a, int64_t id_a, float b, int64_t row_b, int64_t id_b)
{
    if (isnan(a) != isnan(b)) return isnan(b);
    if (a > b) return true;
    if (a < b) return false;
    return row_a != row_b ? row_a < row_b : id_a < id_b;
}

static bool better_at(const best *b, int64_t i, int64_t j)
{
    return better(b->scores[i], b->rows[i], b->ids[i], b->scores[j], b->rows[j], b->ids[j]);
}

static void swap_entries(best *b, int64_t i, int64_t j)
{
    const float score = b->scores[i];
    const int32_t row = b->rows[i], id = b->ids[i];
    b->scores[i] = b->scores[j];
    b->rows[i] = b->rows[j];
    b->ids[i] = b->ids[j];
    b->scores[j] = score;
    b->rows[j] = row;
    b->ids[j] = id;
}

/* Let entry i of a heap of n sink below those that are worse. */
static void sink(best *b, int64_t i, int64_t n)
{
    for (;;) {
        int64_t worst = i;
        const int64_t left = 2 * i + 1, right = left + 1;
        if (left < n && better_at(b, worst, left)) worst = left;
        if (right < n && better_at(b, worst, right)) worst = right;
        if (worst == i) return;
        swap_entries(b, i, worst);
        i = worst;
    }
}

static void make_heap(best *b)
{
    for (int64_t i = b->n / 2 - 1; i >= 0; i--) sink(b, i, b->n);
}

/* Heap -> best first. */
static void sort_heap(best *b)
{
    for (int64_t n = b->n - 1; n > 0; n--) {
        swap_entries(b, 0, n);
        sink(b, 0, n);
    }
}

/* Entries come in order of row and id, so one as good as the root is worse than it. */
static void offer_row(best *b, const trdi_cpu_kernels *kernels, const float *values, int64_t start, int64_t n, float add, int32_t row)
{
    int64_t i = start;
    while ((i = kernels->find_above(values, i, n, add, b->scores[0])) < n) {
        b->scores[0] = values[i] + add;
        b->rows[0] = row;
        b->ids[0] = (int32_t)i;
        sink(b, 0, b->n);
        i++;
    }
}

/* The b->n <= total best entries of the group, best first. */
static void best_of_rows(const group *g, best *b)
{
    const int64_t width = g->op->width;
    for (int64_t e = 0; e < b->n; e++) {
        b->rows[e] = (int32_t)(e / width);
        b->ids[e] = (int32_t)(e % width);
        b->scores[e] = entry_value(g, e / width, e % width);
    }
    make_heap(b);
    for (int64_t row = b->n / width; row < g->s->n_rows; row++) {
        const int64_t start = row == b->n / width ? b->n % width : 0;
        offer_row(b, g->kernels, g->values + row * g->op->stride, start, width, row_score(g, row), (int32_t)row);
    }
    sort_heap(b);
}

/* The b->n best of n numbers; ids are their indices. */
static void best_of_list(const trdi_cpu_kernels *kernels, const float *x, int64_t n, best *b)
{
    for (int64_t i = 0; i < b->n; i++) {
        b->scores[i] = x[i];
        b->rows[i] = 0;
        b->ids[i] = (int32_t)i;
    }
    make_heap(b);
    offer_row(b, kernels, x, b->n, n, 0.0f, 0);
    sort_heap(b);
}

/* The entries a draw is made from: the topk best, or all (then rows and ids are not written out). */
typedef struct kept {
    best    list;             /* topk > 0 */
    bool    all;
    int64_t n;
    float  *weights;          /* [n] */
    int32_t *order;           /* [n], for topp */
} kept;

static int64_t kept_count(const trdi_selection *s, int64_t total)
{
    int64_t k = s->topk <= 0 || s->topk >= total ? total : s->topk;
    if (k < s->n_candidates) k = s->n_candidates;
    return k < total ? k : total;
}

size_t trdi_cpu_select_scratch(const trdi_op_select *op, int64_t n)
{
    const trdi_selection *selections = trdi_span_at(op->selections);
    size_t bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        const trdi_selection *s = &selections[i];
        if (s->n_rows < 1 || s->first_row < 0 || s->n_candidates < 0 || s->output < 0) return SIZE_MAX;
        const int64_t total = s->n_rows * op->width;
        if (total > INT32_MAX) return SIZE_MAX;
        const bool draws = s->mode == TRDI_SELECT_SAMPLE || s->mode == TRDI_SELECT_NOISE;
        if (s->mode == TRDI_SELECT_GIVEN ? op->given.buffer == NULL || s->n_candidates != s->n_rows : s->n_candidates > total) {
            return SIZE_MAX;
        }
        if (s->mode == TRDI_SELECT_SAMPLE && s->n_candidates != 1) return SIZE_MAX;
        if (s->mode == TRDI_SELECT_NOISE && op->noise.buffer == NULL) return SIZE_MAX;
        if ((unsigned)s->mode > TRDI_SELECT_GIVEN) return SIZE_MAX;
        const size_t need = draws ? 20 * (size_t)kept_count(s, total) : 0;
        if (need > bytes) bytes = need;
    }
    return bytes;
}

/* z -> e^(z - largest) over what is finite, with their sum; entries that are -infinity or NaN get 0. All bad: all equal. */
static float weigh_entries(const group *g, float *z, int64_t n, float *top)
{
    for (int64_t i = 0; i < n; i++) z[i] = isnan(z[i]) ? -INFINITY : z[i];
    *top = g->kernels->largest(z, n);
    if (!isinf(*top)) return g->kernels->exp_sum(z, n, *top);
    float sum = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        z[i] = z[i] == *top ? 1.0f : 0.0f;
        sum += z[i];
    }
    return sum;
}

/* Entry i of the kept list, divided by the temperature. */
static float kept_score(const group *g, const kept *k, int64_t i)
{
    const float score = k->all ? entry_value(g, i / g->op->width, i % g->op->width) : k->list.scores[i];
    return score * (1.0f / g->s->temperature);
}

static void kept_fill(const group *g, void *scratch, kept *k)
{
    k->n = kept_count(g->s, g->total);
    k->all = k->n == g->total;
    k->weights = scratch;
    k->order = (int32_t *)(void *)(k->weights + k->n);
    k->list = (best){ .scores = (float *)(void *)(k->order + k->n), .n = k->n };
    k->list.rows = (int32_t *)(void *)(k->list.scores + k->n);
    k->list.ids = k->list.rows + k->n;
    if (!k->all) best_of_rows(g, &k->list);
    for (int64_t i = 0; i < k->n; i++) k->weights[i] = kept_score(g, k, i);
}

static bool heavier(const float *p, int32_t a, int32_t b)
{
    return p[a] != p[b] ? p[a] > p[b] : a < b;
}

static void sink_order(const float *p, int32_t *order, int64_t i, int64_t n)
{
    for (;;) {
        int64_t top = i;
        const int64_t left = 2 * i + 1, right = left + 1;
        if (left < n && heavier(p, order[left], order[top])) top = left;
        if (right < n && heavier(p, order[right], order[top])) top = right;
        if (top == i) return;
        const int32_t t = order[i];
        order[i] = order[top];
        order[top] = t;
        i = top;
    }
}

/*
 * Weights (with their sum) of entries past topp become 0: taken from the heaviest down, an entry stays while the probability
 * before it is below topp; the first always stays. Returns the sum of what stays.
 */
static float cut_tail(const kept *k, float sum, float topp)
{
    int64_t n = k->n;
    for (int64_t i = 0; i < n; i++) k->order[i] = (int32_t)i;
    for (int64_t i = n / 2 - 1; i >= 0; i--) sink_order(k->weights, k->order, i, n);
    double before = 0.0;
    bool first = true;
    while (n > 0 && (first || before < (double)topp)) {
        const int32_t i = k->order[0];
        before += (double)(k->weights[i] / sum);
        k->order[0] = k->order[--n];
        k->order[n] = i;                        /* those that stay gather at the end */
        sink_order(k->weights, k->order, 0, n);
        first = false;
    }
    for (int64_t i = 0; i < n; i++) k->weights[k->order[i]] = 0.0f;
    float left = 0.0f;
    for (int64_t i = 0; i < k->n; i++) left += k->weights[i];
    return left;
}

/* The first entry whose cumulative probability reaches uniform; never one of probability 0. */
static int64_t draw(const kept *k, float sum, double uniform)
{
    double total = 0.0;
    int64_t last = 0;
    for (int64_t i = 0; i < k->n; i++) {
        const float p = k->weights[i] / sum;
        if (!(p > 0.0f)) continue;
        total += (double)p;
        last = i;
    }
    double cumulative = 0.0;
    for (int64_t i = 0; i < last; i++) {
        const float p = k->weights[i] / sum;
        if (!(p > 0.0f)) continue;
        cumulative += (double)p / total;
        if (cumulative >= uniform) return i;
    }
    return last;
}

static void kept_entry(const group *g, const kept *k, int64_t i, int32_t *row, int32_t *id)
{
    *row = k->all ? (int32_t)(i / g->op->width) : k->list.rows[i];
    *id = k->all ? (int32_t)(i % g->op->width) : k->list.ids[i];
}

static void select_sample(const group *g, void *scratch, best *out)
{
    kept k;
    float top;
    kept_fill(g, scratch, &k);
    float sum = weigh_entries(g, k.weights, k.n, &top);
    if (g->s->topp < 1.0f) sum = cut_tail(&k, sum, g->s->topp);
    kept_entry(g, &k, draw(&k, sum, g->s->uniform), &out->rows[0], &out->ids[0]);
    out->scores[0] = entry_value(g, out->rows[0], out->ids[0]);
}

static void select_noise(const group *g, void *scratch, best *out)
{
    kept k;
    float top;
    kept_fill(g, scratch, &k);
    float sum = weigh_entries(g, k.weights, k.n, &top);
    if (g->s->topp < 1.0f) sum = cut_tail(&k, sum, g->s->topp);
    const float *noise = trdi_span_f32(g->op->noise) + g->s->noise_start;
    float log_sum;
    g->kernels->apply(1, &sum, &log_sum, 1);
    for (int64_t i = 0; i < k.n; i++) {
        /* From the score itself: the weight of a finite one may have underflowed, yet it goes before what is forbidden. */
        const bool cut = k.weights[i] == 0.0f && (g->s->topp < 1.0f || isinf(top));
        k.weights[i] = cut ? -INFINITY : (isinf(top) ? 0.0f : kept_score(g, &k, i) - top) - log_sum + noise[i];
    }
    best_of_list(g->kernels, k.weights, k.n, out);
    for (int64_t c = 0; c < out->n; c++) {
        kept_entry(g, &k, out->ids[c], &out->rows[c], &out->ids[c]);
        out->scores[c] = entry_value(g, out->rows[c], out->ids[c]);
    }
}

static void select_given(const group *g, best *out)
{
    const int32_t *given = trdi_span_i32(g->op->given) + g->s->noise_start;
    for (int64_t c = 0; c < out->n; c++) {
        const int32_t id = given[c] < 0 ? 0 : given[c] < g->op->width ? given[c] : (int32_t)(g->op->width - 1);
        out->rows[c] = (int32_t)c;
        out->ids[c] = id;
        out->scores[c] = entry_value(g, c, id);
    }
}

void trdi_cpu_run_select(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_select *e = &op->op.u.select;
    const trdi_selection *selections = trdi_span_at(e->selections);
    const float *row_scores = trdi_span_f32(e->row_scores);
    for (int64_t i = thread->index; i < n; i += thread->count) {
        const trdi_selection *s = &selections[i];
        const group g = { .op = e, .s = s, .kernels = thread->kernels, .total = s->n_rows * e->width,
                          .values = trdi_span_f32(e->values) + s->first_row * e->stride,
                          .row_scores = row_scores == NULL ? NULL : row_scores + s->first_row };
        best out = { .scores = trdi_span_f32(e->scores) + s->output, .n = s->n_candidates };
        out.rows = (int32_t *)trdi_span_at(e->parents) + s->output;
        out.ids = (int32_t *)trdi_span_at(e->ids) + s->output;
        if (out.n == 0) continue;
        switch (s->mode) {
        case TRDI_SELECT_BEST: best_of_rows(&g, &out); break;
        case TRDI_SELECT_SAMPLE: select_sample(&g, thread->scratch, &out); break;
        case TRDI_SELECT_NOISE: select_noise(&g, thread->scratch, &out); break;
        default: select_given(&g, &out); break;
        }
    }
}
