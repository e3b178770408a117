/*
 * select.h: what the kernels of selection share: keys, and a group's ways to find the largest of many, the n largest, and to sort them.
 *
 * A key is 64 bits: the score, mapped to an unsigned number of the same order with NaN lowest and one zero, then the entry's number inverted, so
 * that of two equal scores the earlier entry has the larger key. Keys of different entries differ. 0 is the key of no entry.
 */
#ifndef TRD_SELECT_H
#define TRD_SELECT_H

#include "shim.h"
#include "math.h"

/* trdi_selection of backend.h; the double is taken as bits, since devices may lack the type. */
typedef struct trd_selection {
    int   mode, first_row, n_rows, n_candidates, output, topk;
    float topp, temperature;
    u64   uniform;
    int   noise_start, unused;
} trd_selection;

static inline uint trd_order(const float v)
{
    const uint bits = AS_UINT(v);
    if (v != v) return 0u;
    if (v == 0.0f) return 0x80000000u;
    return (bits & 0x80000000u) != 0u ? ~bits : bits | 0x80000000u;
}

/* The score of an order; NaN for 0. */
static inline float trd_score_of(const uint order)
{
    if (order == 0u) return NAN;
    return AS_FLOAT((order & 0x80000000u) != 0u ? order & 0x7fffffffu : ~order);
}

static inline u64 trd_key(const float score, const int entry)
{
    return (u64)trd_order(score) << 32 | (u64)(0xffffffffu - (uint)entry);
}

static inline int trd_entry(const u64 key)
{
    return (int)(0xffffffffu - (uint)key);
}

/* Values of one row of a selection, numbered from first; or a list of keys. */
typedef struct trd_source {
    GLOBAL const u64   *list;    /* 0: values */
    GLOBAL const float *values;
    float add;
    int   first, n;
} trd_source;

static inline u64 trd_key_at(const trd_source *from, const int i)
{
    return from->list != 0 ? from->list[i] : trd_key(from->values[i] + from->add, from->first + i);
}

/* Local memory of a group. */
typedef struct trd_local {
    LOCAL_PTR(u64) partial;      /* [GROUP_SIZE] */
    LOCAL_PTR(u64) blocks;       /* [16] */
    LOCAL_PTR(uint) bins;        /* [512]: low halves, then high halves */
} trd_local;
#define TRD_LOCAL(name)                                  \
    LOCAL u64 name##_partial[GROUP_SIZE];                \
    LOCAL u64 name##_blocks[16];                         \
    LOCAL uint name##_bins[512];                         \
    const trd_local name = { name##_partial, name##_blocks, name##_bins }

/* The largest, or the sum, of all work-items' x. */
static inline u64 trd_group_largest(LOCAL_PTR(u64) partial, const u64 x)
{
    partial[LOCAL_ID] = x;
    for (int step = GROUP_SIZE / 2; step > 0; step /= 2) {
        BARRIER();
        if (LOCAL_ID < step && partial[LOCAL_ID + step] > partial[LOCAL_ID]) partial[LOCAL_ID] = partial[LOCAL_ID + step];
    }
    BARRIER();
    const u64 y = partial[0];
    BARRIER();
    return y;
}

static inline u64 trd_group_sum(LOCAL_PTR(u64) partial, const u64 x)
{
    partial[LOCAL_ID] = x;
    for (int step = GROUP_SIZE / 2; step > 0; step /= 2) {
        BARRIER();
        if (LOCAL_ID < step) partial[LOCAL_ID] += partial[LOCAL_ID + step];
    }
    BARRIER();
    const u64 y = partial[0];
    BARRIER();
    return y;
}

/* A weight in 0..1 as an integer: sums of them are the same in any order, on any device, without double. */
static inline u64 trd_fixed(const float weight, const int shift)
{
    return (u64)(weight * AS_FLOAT((uint)(shift + 127) << 23));
}

/* 64-bit sums by 32-bit atomics; what is read after a barrier is whole. */
static inline void trd_add_bin(LOCAL_PTR(uint) bins, const int bin, const u64 x)
{
    const uint low = (uint)x, old = ATOMIC_ADD_LOCAL(bins + bin, low);
    const uint high = (uint)(x >> 32) + (uint)(old + low < old);
    if (high != 0u) (void)ATOMIC_ADD_LOCAL(bins + 256 + bin, high);
}

static inline u64 trd_bin(LOCAL_PTR(const uint) bins, const int bin)
{
    return (u64)bins[256 + bin] << 32 | (u64)bins[bin];
}

/* One digit of all keys that begin with prefix: what they count for, by digit, and by 16 digits in blocks. */
static inline void trd_count_digits(const trd_source *from, const trd_local l, const int shift, const int at, const u64 prefix, const u64 mask)
{
    for (int b = LOCAL_ID; b < 512; b += GROUP_SIZE) l.bins[b] = 0u;
    BARRIER();
    for (int i = LOCAL_ID; i < from->n; i += GROUP_SIZE) {
        const u64 key = trd_key_at(from, i);
        if ((key & mask) != prefix) continue;
        trd_add_bin(l.bins, (int)(key >> at & 255), shift < 0 ? (u64)1 : trd_fixed(from->values[i], shift));
    }
    BARRIER();
    for (int b = LOCAL_ID; b < 16; b += GROUP_SIZE) {
        u64 sum = 0;
        for (int i = 0; i < 16; i++) sum += trd_bin(l.bins, 16 * b + i);
        l.blocks[b] = sum;
    }
    BARRIER();
}

/*
 * The key from which on upwards keys count for `remaining` in all: each for 1 (shift < 0), or for its value as a weight. Of weights, the last
 * is the one that reaches remaining. Digit by digit of 8 bits from the top; ends early when a digit's keys are all wanted.
 */
static inline u64 trd_threshold(const trd_source *from, const trd_local l, const int shift, u64 remaining)
{
    u64 prefix = 0, mask = 0;
    bool found = false;
    for (int at = 56; at >= 0 && !found; at -= 8) {
        trd_count_digits(from, l, shift, at, prefix, mask);
        int block = 15;
        while (block > 0 && l.blocks[block] < remaining) remaining -= l.blocks[block--];
        int bin = 16 * block + 15;
        while (bin > 16 * block && trd_bin(l.bins, bin) < remaining) remaining -= trd_bin(l.bins, bin--);
        const u64 here = trd_bin(l.bins, bin);
        prefix |= (u64)bin << at;
        mask |= (u64)255 << at;
        if (shift < 0) found = here == remaining;
        else if (at <= 32) found = here == trd_fixed(trd_score_of((uint)(prefix >> 32)), shift);    /* one entry has this weight */
        BARRIER();
    }
    return prefix;
}

/* The n largest of a source that has as many, in no order. `taken`: local counter. */
static inline void trd_take_largest(const trd_source *from, const trd_local l, LOCAL_PTR(uint) taken, GLOBAL u64 *out, const int n)
{
    const u64 from_key = trd_threshold(from, l, -1, (u64)n);
    if (LOCAL_ID == 0) *taken = 0u;
    BARRIER();
    for (int i = LOCAL_ID; i < from->n; i += GROUP_SIZE) {
        const u64 key = trd_key_at(from, i);
        if (key < from_key) continue;
        out[ATOMIC_ADD_LOCAL(taken, 1u)] = key;
    }
    BARRIER();
}

/* Few of the largest, in order, by as many walks; 0 where there are no more. */
static inline void trd_take_few(const trd_source *from, const trd_local l, GLOBAL u64 *out, const int n)
{
    u64 below = ~(u64)0;
    for (int c = 0; c < n; c++) {
        u64 best = 0;
        for (int i = LOCAL_ID; i < from->n; i += GROUP_SIZE) {
            const u64 key = trd_key_at(from, i);
            best = key < below && key > best ? key : best;
        }
        below = trd_group_largest(l.partial, best);
        if (LOCAL_ID == 0) out[c] = below;
    }
    BARRIER();
}

#define TRD_FEW 12               /* tunable: candidates up to which trd_take_few() is used */

/* Bitonic, largest first, for any n; KEYS is the type of a pointer to them: what would lie past the end counts as smallest and never moves. */
#define TRD_SORT(name, KEYS)                                                                     \
    static inline void name(KEYS keys, const int a, const int b, const int n)                    \
    {                                                                                            \
        if (b >= n || keys[a] >= keys[b]) return;                                                \
        const u64 t = keys[a];                                                                   \
        keys[a] = keys[b];                                                                       \
        keys[b] = t;                                                                             \
    }                                                                                            \
    static inline void name##_all(KEYS keys, const int n)                                        \
    {                                                                                            \
        for (int size = 2; size < 2 * n; size *= 2) {                                            \
            const int half_of = size / 2;                                                        \
            for (int p = LOCAL_ID; p / half_of * size < n; p += GROUP_SIZE) {                    \
                const int start = p / half_of * size, offset = p & (half_of - 1);                \
                name(keys, start + offset, start + size - 1 - offset, n);                        \
            }                                                                                    \
            BARRIER();                                                                           \
            for (int step = size / 4; step > 0; step /= 2) {                                     \
                for (int p = LOCAL_ID; p / step * 2 * step < n; p += GROUP_SIZE) {               \
                    const int at = p / step * 2 * step + (p & (step - 1));                       \
                    name(keys, at, at + step, n);                                                \
                }                                                                                \
                BARRIER();                                                                       \
            }                                                                                    \
        }                                                                                        \
    }
TRD_SORT(trd_sort_global, GLOBAL u64 *)

/* Where results go, and what they are made of. */
typedef struct trd_results {
    GLOBAL const float *values, *row_scores;
    GLOBAL int *ids, *parents;
    GLOBAL float *scores;
    int width, stride;
} trd_results;
#define RESULTS_ARGS                                                                                       \
    ARG(const float, values), ARG(const float, row_scores), ARG(int, ids), ARG(int, parents), ARG(float, scores), \
        const int width, const int stride
#define OPEN_RESULTS(name)       \
    OPEN(const float, values);   \
    OPEN(const float, row_scores); \
    OPEN(int, ids);              \
    OPEN(int, parents);          \
    OPEN(float, scores);         \
    const trd_results name = { values, row_scores, ids, parents, scores, width, stride }

/* Value and row score of an entry of a selection. */
static inline float trd_entry_score(const trd_results *r, const int first_row, const int row, const int id)
{
    const float add = r->row_scores != 0 ? r->row_scores[first_row + row] : 0.0f;
    return r->values[(i64)(first_row + row) * r->stride + id] + add;
}

static inline void trd_result(const trd_results *r, const int first_row, const int at, const int entry)
{
    const int row = entry / r->width, id = entry - row * r->width;
    r->ids[at] = id;
    r->parents[at] = row;
    r->scores[at] = trd_entry_score(r, first_row, row, id);
}

#endif
