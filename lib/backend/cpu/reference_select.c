/* reference_select.c: selection said plainly: every entry of the group in a list, sorted, weighed in double. */
#include <math.h>
#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "core/alloc.h"

typedef struct entry {
    float   score;            /* value + row score */
    double  key;              /* what it is sorted by */
    double  p, log_p;
    int64_t place;            /* in order of row and id, or of the kept list */
    int32_t row, id;
} entry;

/* Key descending, NaN last, then place. */
static int by_key(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (isnan(x->key) != isnan(y->key)) return isnan(x->key) ? 1 : -1;
    if (x->key > y->key) return -1;
    if (x->key < y->key) return 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static int by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Softmax of the keys into p; -infinity and NaN get 0, or all the same where nothing is left. */
static void softmax(entry *e, int64_t n)
{
    double top = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++) top = e[i].key > top ? e[i].key : top;
    for (int64_t i = 0; i < n; i++) {
        const double below = isinf(top) ? 0.0 : isnan(e[i].key) ? -INFINITY : e[i].key - top;
        e[i].log_p = below;
        e[i].p = (double)(float)exp(below);
        sum += e[i].p;
    }
    for (int64_t i = 0; i < n; i++) {
        e[i].p /= sum;
        e[i].log_p -= log(sum);
    }
}

/* Keep topk, scale, cut to topp; p is then the distribution, entries stand in the kept order. */
static int64_t keep(const trdi_selection *s, entry *e, int64_t n)
{
    int64_t k = s->topk > 0 && s->topk < n ? s->topk : n;
    if (k < s->n_candidates) k = s->n_candidates;
    if (k < n) {
        qsort(e, (size_t)n, sizeof *e, by_key);
        for (int64_t i = 0; i < k; i++) e[i].place = i;
    }
    for (int64_t i = 0; i < k; i++) e[i].key = (double)(e[i].score * (1.0f / s->temperature));
    softmax(e, k);
    if (!(s->topp < 1.0f)) return k;
    for (int64_t i = 0; i < k; i++) e[i].key = e[i].p;
    qsort(e, (size_t)k, sizeof *e, by_key);
    double before = 0.0, left = 0.0;
    for (int64_t i = 0; i < k; i++) {
        const double p = e[i].p;
        if (i > 0 && before >= (double)s->topp) e[i].p = 0.0;
        left += e[i].p;
        before += p;
    }
    for (int64_t i = 0; i < k; i++) {
        e[i].p /= left;
        e[i].log_p = e[i].p > 0.0 ? e[i].log_p - log(left) : -INFINITY;
    }
    qsort(e, (size_t)k, sizeof *e, by_place);
    return k;
}

static int64_t draw(const entry *e, int64_t n, double uniform)
{
    double cumulative = 0.0;
    int64_t last = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!(e[i].p > 0.0)) continue;
        cumulative += e[i].p;
        last = i;
        if (cumulative >= uniform) return i;
    }
    return last;
}

static void select_group(const trdi_op_select *op, const trdi_selection *s, entry *e)
{
    int64_t n = s->n_rows * op->width, first = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = s->first_row + i / op->width;
        const float extra = op->row_scores.buffer != NULL ? trdi_span_f32(op->row_scores)[row] : 0.0f;
        e[i] = (entry){ .score = trdi_span_f32(op->values)[row * op->stride + i % op->width] + extra, .place = i,
                        .row = (int32_t)(i / op->width), .id = (int32_t)(i % op->width) };
        e[i].key = (double)e[i].score;
    }
    if (s->mode == TRDI_SELECT_SAMPLE || s->mode == TRDI_SELECT_NOISE) n = keep(s, e, n);
    if (s->mode == TRDI_SELECT_SAMPLE) first = draw(e, n, s->uniform);
    if (s->mode == TRDI_SELECT_NOISE) {
        for (int64_t i = 0; i < n; i++) e[i].key = e[i].log_p + (double)trdi_span_f32(op->noise)[s->noise_start + i];
    }
    if (s->mode == TRDI_SELECT_NOISE || s->mode == TRDI_SELECT_BEST) qsort(e, (size_t)n, sizeof *e, by_key);
    for (int32_t c = 0; c < s->n_candidates; c++) {
        const entry *from = s->mode == TRDI_SELECT_GIVEN
                                ? &e[c * op->width + trdi_span_i32(op->given)[s->noise_start + c]] : &e[first + c];
        ((int32_t *)trdi_span_at(op->ids))[s->output + c] = from->id;
        ((int32_t *)trdi_span_at(op->parents))[s->output + c] = from->row;
        trdi_span_f32(op->scores)[s->output + c] = from->score;
    }
}

trd_status trdi_reference_select(const trdi_op_select *op, int64_t n)
{
    const trdi_selection *selections = trdi_span_at(op->selections);
    for (int64_t i = 0; i < n; i++) {
        entry *e = trdi_calloc((size_t)(selections[i].n_rows * op->width), sizeof *e);
        if (e == NULL) return trdi_fail(TRD_E_MEMORY, "reference of select");
        select_group(op, &selections[i], e);
        trdi_free(e);
    }
    return TRD_OK;
}
