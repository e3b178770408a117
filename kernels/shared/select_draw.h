/*
 * select_draw.h: draws from the softmax of kept entries, and given ids; for both forms, one group per selection.
 *
 * p_i = e^(z_i - top) / sum over the kept entries, z = score / temperature; NaN and -infinity weigh nothing; if nothing else is there, all weigh
 * the same. Weights are f32; their sums are integers of weight * 2^shift, so that no draw depends on how work is shared out.
 */
#ifndef TRD_SELECT_DRAW_H
#define TRD_SELECT_DRAW_H

#include "select.h"

enum { TRD_SAMPLE = 1 };

/* A draw on its way. */
typedef struct trd_draw {
    trd_results r;
    GLOBAL const u64 *list;      /* kept keys, best first; 0: all entries */
    GLOBAL float *weights;       /* [kept] */
    int   first_row, kept, shift;
    float inverse, top;          /* of the temperature; the largest z */
    bool  nothing;               /* no z is finite */
} trd_draw;

static inline int trd_draw_entry(const trd_draw *d, const int i)
{
    return d->list != 0 ? trd_entry(d->list[i]) : i;
}

static inline float trd_draw_z(const trd_draw *d, const int i)
{
    const int entry = trd_draw_entry(d, i), row = entry / d->r.width;
    return trd_entry_score(&d->r, d->first_row, row, entry - row * d->r.width) * d->inverse;
}

/* z of all kept entries, then their weights and the sum of those. */
static inline u64 trd_weigh(trd_draw *d, const trd_local l)
{
    u64 best = 0, sum = 0;
    for (int i = LOCAL_ID; i < d->kept; i += GROUP_SIZE) {
        const float given = trd_draw_z(d, i), z = given != given ? -INFINITY : given;
        const u64 order = (u64)trd_order(z);
        d->weights[i] = z;
        best = order > best ? order : best;
    }
    d->top = trd_score_of((uint)trd_group_largest(l.partial, best));
    d->nothing = isinf(d->top) != 0;
    for (int i = LOCAL_ID; i < d->kept; i += GROUP_SIZE) {
        const float z = d->weights[i];
        const float w = d->nothing ? (z == d->top ? 1.0f : 0.0f) : trd_exp(z - d->top);
        d->weights[i] = w;
        sum += trd_fixed(w, d->shift);
    }
    return trd_group_sum(l.partial, sum);
}

/* fraction * 2^64 of 0..1; at 1 all bits. */
static inline u64 trd_fraction_f32(const float x)
{
    if (!(x > 0.0f)) return 0;
    return x >= 1.0f ? ~(u64)0 : (u64)(x * 1.8446744073709552e19f);
}

/* As trd_fraction_f32(), of the bits of a double. */
static inline u64 trd_fraction_f64(const u64 bits)
{
    const int exponent = (int)(bits >> 52), shift = exponent - 1011;     /* with the sign: what is negative is past 2047 */
    const u64 mantissa = (bits & 0xffffffffffffful) | 0x10000000000000ul;
    if (exponent >= 2048 || shift < -63) return 0;
    if (exponent >= 1023) return ~(u64)0;
    return shift >= 0 ? mantissa << shift : mantissa >> -shift;
}

/* The least integer >= fraction * total, and >= 1. */
static inline u64 trd_share(const u64 fraction, const u64 total)
{
    if (fraction == ~(u64)0) return total;
    const u64 share = MUL_HIGH_U64(fraction, total) + (u64)(fraction * total != 0);
    return share > 0 ? share : 1;
}

/* Weights past topp become 0: from the heaviest down, an entry stays while the share before it is below topp. The sum of what stays. */
static inline u64 trd_cut_tail(const trd_draw *d, const trd_local l, const u64 total, const float topp)
{
    const trd_source from = { 0, d->weights, 0.0f, 0, d->kept };
    BARRIER();
    const u64 last = trd_threshold(&from, l, d->shift, trd_share(trd_fraction_f32(topp), total));
    u64 sum = 0;
    for (int i = LOCAL_ID; i < d->kept; i += GROUP_SIZE) {
        if (trd_key_at(&from, i) < last) d->weights[i] = 0.0f;
        sum += trd_fixed(d->weights[i], d->shift);
    }
    return trd_group_sum(l.partial, sum);
}

/* The first entry at which the sum of weights, in order, reaches `wanted`, which is at most the sum of all: written by whoever finds it. */
static inline void trd_find_draw(const trd_draw *d, const trd_local l, const u64 wanted, const int output)
{
    const int each = (d->kept + GROUP_SIZE - 1) / GROUP_SIZE;
    const int start = min(LOCAL_ID * each, d->kept), end = min(start + each, d->kept);
    BARRIER();
    u64 sum = 0, before = 0;
    for (int i = start; i < end; i++) sum += trd_fixed(d->weights[i], d->shift);
    l.partial[LOCAL_ID] = sum;
    BARRIER();
    for (int t = 0; t < LOCAL_ID; t++) before += l.partial[t];
    if (before >= wanted || before + sum < wanted) return;
    int i = start;
    for (before += trd_fixed(d->weights[i], d->shift); before < wanted; before += trd_fixed(d->weights[i], d->shift)) i++;
    trd_result(&d->r, d->first_row, output, trd_draw_entry(d, i));
}

/* The n largest of log p + noise over what is kept. */
static inline void trd_find_noisy(const trd_draw *d, const trd_local l, LOCAL_PTR(uint) taken, GLOBAL const float *noise, const u64 total, const bool cuts,
                                  GLOBAL u64 *chosen, const int n, const int output)
{
    const float log_sum = trd_log((float)total * AS_FLOAT((uint)(127 - d->shift) << 23));
    for (int i = LOCAL_ID; i < d->kept; i += GROUP_SIZE) {
        /* From the score itself: the weight of a finite one may have underflowed, yet it goes before what is forbidden. */
        const bool cut = d->weights[i] == 0.0f && (cuts || d->nothing);
        d->weights[i] = cut ? -INFINITY : (d->nothing ? 0.0f : trd_draw_z(d, i) - d->top) - log_sum + noise[i];
    }
    BARRIER();
    const trd_source from = { 0, d->weights, 0.0f, 0, d->kept };
    if (n <= TRD_FEW) {
        trd_take_few(&from, l, chosen, n);
    } else {
        trd_take_largest(&from, l, taken, chosen, n);
        trd_sort_global_all(chosen, n);
    }
    for (int c = LOCAL_ID; c < n; c += GROUP_SIZE) {
        trd_result(&d->r, d->first_row, output + c, trd_draw_entry(d, trd_entry(chosen[c])));
    }
}

/*
 * SAMPLE and NOISE of selections first..first+groups-1, which have the same kept.
 * Shapes   values [][stride], row_scores [] or absent; scratch, `each` keys per selection: at list_at the kept keys (-1: all are kept),
 *          at chosen_at n_candidates keys for NOISE, at weights_at the weights.
 * Launch   1-D, one group per selection.    Local   8 * GROUP_SIZE + 2180 bytes. */
KERNEL trd_select_draw(RESULTS_ARGS, ARG(const trd_selection, selections), ARG(const float, noise), ARG(u64, scratch), const int first,
                       const int kept, const int shift, const i64 each, const i64 list_at, const i64 chosen_at, const i64 weights_at)
{
    TRD_LOCAL(l);
    LOCAL uint taken[1];
    OPEN(const trd_selection, selections);
    OPEN(const float, noise);
    OPEN(u64, scratch);
    GLOBAL const trd_selection *s = selections + first + GROUP_ID;
    GLOBAL u64 *mine = scratch + GROUP_ID * each;
    trd_draw d;
    OPEN_RESULTS(results);
    d.r = results;
    d.list = list_at < 0 ? 0 : mine + list_at;
    d.weights = (GLOBAL float *)(mine + weights_at);
    d.first_row = s->first_row;
    d.kept = kept;
    d.shift = shift;
    d.inverse = 1.0f / s->temperature;
    u64 total = trd_weigh(&d, l);
    if (s->topp < 1.0f) total = trd_cut_tail(&d, l, total, s->topp);
    if (s->mode == TRD_SAMPLE) trd_find_draw(&d, l, trd_share(trd_fraction_f64(s->uniform), total), s->output);
    else trd_find_noisy(&d, l, taken, noise + s->noise_start, total, s->topp < 1.0f, mine + chosen_at, s->n_candidates, s->output);
}

/*
 * GIVEN of selections first..: for row c, the entry given[noise_start + c], bounded to the width.
 * Launch   1-D, one group per selection. */
KERNEL trd_select_given(RESULTS_ARGS, ARG(const trd_selection, selections), ARG(const int, given), const int first)
{
    OPEN(const trd_selection, selections);
    OPEN(const int, given);
    GLOBAL const trd_selection *s = selections + first + GROUP_ID;
    OPEN_RESULTS(r);
    for (int c = LOCAL_ID; c < s->n_candidates; c += GROUP_SIZE) {
        const int id = clamp(given[s->noise_start + c], 0, width - 1), at = s->output + c;
        r.ids[at] = id;
        r.parents[at] = c;
        r.scores[at] = trd_entry_score(&r, s->first_row, c, id);
    }
}

#endif
