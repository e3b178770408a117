/* y[t] = softmax(scale * q[t] . K^T + terms) . V per head (lib/backend/backend.h defines the operation), for CPU-type devices.
 * Keys go through in chunks of block_tokens (32 where they are packed) counted from position 0, with a softmax each, joined in order
 * (Milakov & Gimelshein 2018, arXiv:1805.02867). A query's bits depend on its visible keys alone: products run over 16 virtual lanes
 * (channel modulo 16) and a fixed tree.
 * Launch   2-D, groups of one work-item: trd_attention n x n_heads, trd_attention_probabilities n x 1.
 * Local    work: chunk + head_dim floats, each rounded up to 16.
 * Options  -DHEAD_DIM=64 | -DHEAD_DIM=0 -DKEYS_HALF=1 -DMEMORY=2 | -DHEAD_DIM=80 -DMEMORY=1 -DTERMS=0 */
#include "attention.h"

#define PACKED_CHUNK 32

static inline float16 load16(GLOBAL const char *p, const int is_half, const int i)
{
    return is_half ? vload_half16(0, (GLOBAL const half *)p + i) : vload16(0, (GLOBAL const float *)p + i);
}

/* n < 16 elements, then zeros. */
static inline float16 load_some(GLOBAL const char *p, const int is_half, const int i, const int n)
{
    float t[16];
    for (int k = 0; k < 16; k++) t[k] = k >= n ? 0.0f : is_half ? LOAD_HALF((GLOBAL const half *)p, i + k) : ((GLOBAL const float *)p)[i + k];
    return vload16(0, t);
}

/* Products of the query with four rows: each is summed as lanes_sum() does. */
static inline float4 dots4(GLOBAL const float *q, GLOBAL const char *k0, GLOBAL const char *k1, GLOBAL const char *k2, GLOBAL const char *k3,
                            const int is_half, const int dim)
{
    float16 a = (float16)(0.0f), b = a, c = a, d = a;
    int i = 0;
    for (; i + 16 <= dim; i += 16) {
        const float16 x = vload16(0, q + i);
        a = FMA(x, load16(k0, is_half, i), a);
        b = FMA(x, load16(k1, is_half, i), b);
        c = FMA(x, load16(k2, is_half, i), c);
        d = FMA(x, load16(k3, is_half, i), d);
    }
    if (i < dim) {
        const float16 x = load_some((GLOBAL const char *)q, 0, i, dim - i);
        a = FMA(x, load_some(k0, is_half, i, dim - i), a);
        b = FMA(x, load_some(k1, is_half, i, dim - i), b);
        c = FMA(x, load_some(k2, is_half, i, dim - i), c);
        d = FMA(x, load_some(k3, is_half, i, dim - i), d);
    }
    return lanes_sum4(a, b, c, d);
}

static inline GLOBAL const char *relative_row(const attention_job *job, GLOBAL const float *table, const int j)
{
    return (GLOBAL const char *)(table + relative_at(job, j));
}

/* Scores of keys from .. from + n - 1, the first of which is at k, into work, with -infinity up to a multiple of 16. */
static inline void chunk_scores(const attention_job *job, GLOBAL const char *k, const i64 step, const int is_half, const int is_memory,
                                const int from, const int n, LOCAL_PTR(float) work)
{
    for (int j = 0; j < n; j += 4) {
        const int j1 = min(j + 1, n - 1), j2 = min(j + 2, n - 1), j3 = min(j + 3, n - 1);
        float4 s = dots4(job->q, k + j * step, k + j1 * step, k + j2 * step, k + j3 * step, is_half, job->head_dim);
        if (TERMS && !is_memory && job->relative_keys != 0) {
            s += dots4(job->q, relative_row(job, job->relative_keys, from + j), relative_row(job, job->relative_keys, from + j1),
                       relative_row(job, job->relative_keys, from + j2), relative_row(job, job->relative_keys, from + j3), 0, job->head_dim);
        }
        vstore4(s * job->scale, 0, work + j);
    }
    if (TERMS && !is_memory && (job->relative_bias != 0 || job->slopes != 0)) {
        for (int j = 0; j < n; j++) work[j] = with_biases(job, from + j, work[j]);
    }
    for (int j = n; j < (n + 15) / 16 * 16; j++) work[j] = -INFINITY;
}

static inline float largest(LOCAL_PTR(const float) work, const int n)
{
    float16 m = vload16(0, work);
    for (int j = 16; j < n; j += 16) m = fmax(m, vload16(0, work + j));
    return lanes_largest(m);
}

/* work := exp(work - top); the sum. */
static inline float exp_sum(LOCAL_PTR(float) work, const int n, const float top)
{
    float16 sum = (float16)(0.0f);
    for (int j = 0; j < n; j += 16) {
        const float16 e = trd_exp16(vload16(0, work + j) - top);
        sum += e;
        vstore16(e, 0, work + j);
    }
    return lanes_sum(sum);
}

/* acc[c] = acc[c] * before + now * sum_j work[j] * v[j][c] for 64 columns, then for 16 or less. */
static inline void weigh64(GLOBAL const char *v, const i64 step, const int is_half, const int n, LOCAL_PTR(const float) work, const int column,
                           const softmax s, LOCAL_PTR(float) acc)
{
    float16 a = (float16)(0.0f), b = a, c = a, d = a;
    for (int j = 0; j < n; j++, v += step) {
        const float16 w = (float16)(work[j]);
        a = FMA(w, load16(v, is_half, column), a);
        b = FMA(w, load16(v, is_half, column + 16), b);
        c = FMA(w, load16(v, is_half, column + 32), c);
        d = FMA(w, load16(v, is_half, column + 48), d);
    }
    vstore16(FMA(a, (float16)(s.now), vload16(0, acc + column) * s.before), 0, acc + column);
    vstore16(FMA(b, (float16)(s.now), vload16(0, acc + column + 16) * s.before), 0, acc + column + 16);
    vstore16(FMA(c, (float16)(s.now), vload16(0, acc + column + 32) * s.before), 0, acc + column + 32);
    vstore16(FMA(d, (float16)(s.now), vload16(0, acc + column + 48) * s.before), 0, acc + column + 48);
}

static inline void weigh16(GLOBAL const char *v, const i64 step, const int is_half, const int n, LOCAL_PTR(const float) work, const int column,
                           const int n_columns, const softmax s, LOCAL_PTR(float) acc)
{
    float16 a = (float16)(0.0f);
    for (int j = 0; j < n; j++, v += step) {
        const float16 x = n_columns >= 16 ? load16(v, is_half, column) : load_some(v, is_half, column, n_columns);
        a = FMA((float16)(work[j]), x, a);
    }
    vstore16(FMA(a, (float16)(s.now), vload16(0, acc + column) * s.before), 0, acc + column);
}

/* The same with the rows of the relative table that keys from .. from + n - 1 see. */
static inline void weigh_relative(const attention_job *job, const int from, const int n, LOCAL_PTR(const float) work, const float now,
                                  LOCAL_PTR(float) acc)
{
    for (int column = 0; column < job->head_dim; column += 16) {
        const int left = job->head_dim - column;
        float16 a = (float16)(0.0f);
        for (int j = 0; j < n; j++) {
            GLOBAL const char *row = relative_row(job, job->relative_values, from + j);
            a = FMA((float16)(work[j]), left >= 16 ? load16(row, 0, column) : load_some(row, 0, column, left), a);
        }
        vstore16(FMA(a, (float16)(now), vload16(0, acc + column)), 0, acc + column);
    }
}

/* Join the visible keys of a set to the softmax and, with_values, to the weighted values. */
static inline softmax attend(const attention_job *job, const key_set *set, const int is_half, const int is_memory, softmax s,
                             const int with_values, LOCAL_PTR(float) work, LOCAL_PTR(float) acc)
{
    const int low = first_key(job, set), high = end_key(job, set), chunk = set->table == 0 ? PACKED_CHUNK : set->block_tokens;
    const i64 step = set->stride * (is_half ? 2 : 4), shift = value_shift(job, set);
    for (int first = low / chunk * chunk; first < high; first += chunk) {
        const int from = max(low, first), n = min(high, first + chunk) - from;
        const i64 at = key_at(job, set, from);
        chunk_scores(job, set->keys + at, step, is_half, is_memory, from, n, work);
        const float top = largest(work, n);
        if (top == -INFINITY) continue;
        s = softmax_join(s, top, exp_sum(work, n, top));
        if (!with_values) continue;
        GLOBAL const char *v = set->values + at + shift;
        int column = 0;
        for (; column + 64 <= job->head_dim; column += 64) weigh64(v, step, is_half, n, work, column, s, acc);
        for (; column < job->head_dim; column += 16) {
            weigh16(v, step, is_half, n, work, column, min(job->head_dim - column, 16), s, acc);
        }
        if (TERMS && !is_memory && job->relative_values != 0) weigh_relative(job, from, n, work, s.now, acc);
    }
    return s;
}

KERNEL trd_attention(ATTENTION_ARGS, const int n, LOCAL_ARG(float, work))
{
    OPEN_LOCAL(float, work);
    ATTENTION_OPEN;
    const int token = GROUP_ID, head = GROUP_ID_Y;
    if (token >= n) return;
    set_query(&job, rows, positions, token, head, q_stride);
    const int chunk = max(table == 0 ? PACKED_CHUNK : block_tokens, MEMORY ? memory_block_tokens : 1);
    LOCAL_PTR(float) acc = work + (chunk + 15) / 16 * 16;
    for (int c = 0; c < job.head_dim; c += 16) vstore16((float16)(0.0f), 0, acc + c);
    softmax s = attend(&job, &keys, KEYS_HALF, 0, softmax_empty(), 1, work, acc);
    if (MEMORY) s = attend(&job, &memory, MEMORY == 2, 1, s, 1, work, acc);
    GLOBAL float *out = y + (i64)token * y_stride + (i64)head * job.head_dim;
    const float divisor = s.sum == 0.0f ? 1.0f : s.sum;
    int c = 0;
    for (; c + 16 <= job.head_dim; c += 16) vstore16(vload16(0, acc + c) / divisor, 0, out + c);
    if (c < job.head_dim) lanes_store(out + c, vload16(0, acc + c) / divisor, job.head_dim - c);
}

/* The mean of the first heads' probabilities: scores are computed again, now that the sums are known. */
KERNEL trd_attention_probabilities(ATTENTION_ARGS, const int n, LOCAL_ARG(float, work), ARG(float, probabilities), const i64 probabilities_stride,
                                   const int probability_heads)
{
    OPEN_LOCAL(float, work);
    ATTENTION_OPEN;
    OPEN(float, probabilities);
    const int token = GROUP_ID;
    if (token >= n) return;
    (void)y;
    (void)y_stride;
    (void)memory;
    GLOBAL float *out = probabilities + token * probabilities_stride;
    const int n_keys = key_counts[rows[token]], chunk = table == 0 ? PACKED_CHUNK : block_tokens;
    for (int j = 0; j < n_keys; j++) out[j] = 0.0f;
    for (int head = 0; head < probability_heads; head++) {
        job.q = q;
        set_query(&job, rows, positions, token, head, q_stride);
        const softmax s = attend(&job, &keys, KEYS_HALF, 0, softmax_empty(), 0, work, work);
        const int low = first_key(&job, &keys), high = end_key(&job, &keys);
        for (int first = low / chunk * chunk; first < high && s.sum > 0.0f; first += chunk) {
            const int from = max(low, first), count = min(high, first + chunk) - from;
            chunk_scores(&job, keys.keys + key_at(&job, &keys, from), keys.stride * (KEYS_HALF ? 2 : 4), KEYS_HALF, 0, from, count, work);
            (void)exp_sum(work, count, s.top);
            for (int j = 0; j < count; j++) out[from + j] += work[j] / s.sum;
        }
    }
    for (int j = 0; j < n_keys; j++) out[j] /= (float)probability_heads;
}
