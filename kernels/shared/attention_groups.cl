/* y[t] = softmax(scale * q[t] . K^T + terms) . V per head (lib/backend/backend.h defines the operation), for GPUs.
 * Keys go through in chunks of CHUNK counted from position 0, with a softmax each, joined in order (Milakov & Gimelshein 2018,
 * arXiv:1805.02867). KEY_LANES work-items share a key's product; then each has one column, or several, of the values of every parts-th
 * key. Trees are fixed, so a query's bits depend on its visible keys alone.
 * Launch   2-D, groups of GROUP_SIZE x 1: trd_attention n x n_heads groups, trd_attention_probabilities n x 1.
 * Local    acc: ceil(head_dim / GROUP_SIZE) * GROUP_SIZE floats; 20 * GROUP_SIZE bytes besides.
 * Options  -DHEAD_DIM=64 | -DHEAD_DIM=0 -DKEYS_HALF=1 -DMEMORY=2 | -DHEAD_DIM=80 -DMEMORY=1 -DTERMS=0 */
#include "attention.h"

#define KEY_LANES 4                   /* a power of two; masks, not %, beside /: clang joins both by a "freeze" that oclgrind 21 does not know */
#define CHUNK ((GROUP_SIZE + KEY_LANES - 1) / KEY_LANES)

/* Element i of a row of keys or values. */
static inline float element(GLOBAL const char *p, const int is_half, const int i)
{
    return is_half ? LOAD_HALF((GLOBAL const half *)p, i) : ((GLOBAL const float *)p)[i];
}

/* This work-item's part of the product of the query with a row: of every 4 * KEY_LANES channels 4. */
static inline float part_dot(const attention_job *job, GLOBAL const char *row, const int is_half, const int lane)
{
    float sum = 0.0f;
    for (int c = 4 * lane; c < job->head_dim; c += 4 * KEY_LANES) {
        if (c + 4 <= job->head_dim) {
            for (int i = 0; i < 4; i++) sum = FMA(job->q[c + i], element(row, is_half, c + i), sum);
        } else {
            for (int i = c; i < job->head_dim; i++) sum = FMA(job->q[i], element(row, is_half, i), sum);
        }
    }
    return sum;
}

/* Where the keys of a chunk are. All work-items call it; so they do with what follows. */
static inline void locate(const attention_job *job, const key_set *set, const int first, const int end, LOCAL_PTR(i64) at)
{
    const int t = LOCAL_ID;
    BARRIER();                       /* at may still be read */
    at[t] = t < CHUNK && first + t < end ? key_at(job, set, first + t) : 0;
    BARRIER();
}

/* Work-item t < CHUNK: the score of key first + t, -infinity where it is not in low .. high - 1. */
static inline float chunk_score(const attention_job *job, const key_set *set, const int is_half, const int is_memory, const int first,
                                const int low, const int high, LOCAL_PTR(const i64) at, LOCAL_PTR(float) partial)
{
    const int t = LOCAL_ID, mine = first + t / KEY_LANES, j = first + t;
    const int with_terms = TERMS && !is_memory;
    float sum = 0.0f;
    if (mine >= low && mine < high) {
        sum = part_dot(job, set->keys + at[t / KEY_LANES], is_half, t & (KEY_LANES - 1));
        if (with_terms && job->relative_keys != 0) {
            sum += part_dot(job, (GLOBAL const char *)(job->relative_keys + relative_at(job, mine)), 0, t & (KEY_LANES - 1));
        }
    }
    partial[t] = sum;
    BARRIER();
    float score = -INFINITY;
    if (t < CHUNK && j >= low && j < high) {
        LOCAL_PTR(const float) p = partial + t * KEY_LANES;
        score = ((p[0] + p[2]) + (p[1] + p[3])) * job->scale;
        if (with_terms) score = with_biases(job, j, score);
    }
    return score;
}

/* Largest, sum of CHUNK numbers, one of each work-item t < CHUNK; the others bring -infinity, 0. */
static inline float chunk_largest(LOCAL_PTR(float) tree, const float x)
{
    const int t = LOCAL_ID;
    BARRIER();
    tree[t] = x;
    for (int step = CHUNK / 2; step > 0; step /= 2) {
        BARRIER();
        if (t < step) tree[t] = fmax(tree[t], tree[t + step]);
    }
    BARRIER();
    return tree[0];
}

static inline float chunk_sum(LOCAL_PTR(float) tree, const float x)
{
    const int t = LOCAL_ID;
    BARRIER();
    tree[t] = x;
    for (int step = CHUNK / 2; step > 0; step /= 2) {
        BARRIER();
        if (t < step) tree[t] += tree[t + step];
    }
    BARRIER();
    return tree[0];
}

/* Join the weighted values of keys low .. high - 1 of a chunk to acc. */
static inline void weigh(const attention_job *job, const key_set *set, const int is_half, const int is_memory, const int first, const int low,
                         const int high, LOCAL_PTR(const i64) at, LOCAL_PTR(const float) weights, const int columns, const softmax s, LOCAL_PTR(float) acc)
{
    const int t = LOCAL_ID, parts = GROUP_SIZE / columns, part = t / columns, end = min(high - first, CHUNK);
    GLOBAL const char *values = set->values + value_shift(job, set);
    const int with_relative = TERMS && !is_memory && job->relative_values != 0;
    for (int c = t & (columns - 1), slot = t; c < job->head_dim; c += columns, slot += GROUP_SIZE) {
        float sum = 0.0f;
        for (int j = part; j < end; j += parts) {
            if (first + j < low) continue;
            float v = element(values + at[j], is_half, c);
            if (with_relative) v += job->relative_values[relative_at(job, first + j) + c];
            sum = FMA(weights[j], v, sum);
        }
        acc[slot] = FMA(sum, s.now, acc[slot] * s.before);
    }
}

/* Join the visible keys of a set to the softmax and, with_values, to the weighted values. */
static inline softmax attend(const attention_job *job, const key_set *set, const int is_half, const int is_memory, softmax s,
                             const int with_values, const int columns, LOCAL_PTR(float) acc, LOCAL_PTR(i64) at, LOCAL_PTR(float) partial,
                             LOCAL_PTR(float) tree, LOCAL_PTR(float) weights)
{
    const int low = first_key(job, set), high = end_key(job, set);
    for (int first = low / CHUNK * CHUNK; first < high; first += CHUNK) {
        locate(job, set, first, high, at);
        const float score = chunk_score(job, set, is_half, is_memory, first, low, high, at, partial);
        const float top = chunk_largest(tree, score);
        const float weight = top == -INFINITY ? 0.0f : trd_exp(score - top);
        weights[LOCAL_ID] = weight;
        s = softmax_join(s, top, chunk_sum(tree, weight));
        if (with_values) weigh(job, set, is_half, is_memory, first, low, high, at, weights, columns, s, acc);
    }
    return s;
}

/* Longer than CHUNK, so that all work-items write alike: PoCL 3.1 goes wrong where the same condition stands on both sides of a barrier. */
#define ATTENTION_LOCALS             \
    LOCAL i64 at[GROUP_SIZE];        \
    LOCAL float partial[GROUP_SIZE]; \
    LOCAL float tree[GROUP_SIZE];    \
    LOCAL float weights[GROUP_SIZE]

KERNEL trd_attention(ATTENTION_ARGS, const int n, LOCAL_ARG(float, acc))
{
    OPEN_LOCAL(float, acc);
    ATTENTION_LOCALS;
    ATTENTION_OPEN;
    const int token = GROUP_ID, head = GROUP_ID_Y, t = LOCAL_ID;
    (void)n;
    set_query(&job, rows, positions, token, head, q_stride);
    int columns = 1;
    while (columns < job.head_dim && columns < GROUP_SIZE) columns *= 2;
    for (int slot = t; slot < (job.head_dim + columns - 1) / columns * GROUP_SIZE; slot += GROUP_SIZE) acc[slot] = 0.0f;
    softmax s = attend(&job, &keys, KEYS_HALF, 0, softmax_empty(), 1, columns, acc, at, partial, tree, weights);
    if (MEMORY) s = attend(&job, &memory, MEMORY == 2, 1, s, 1, columns, acc, at, partial, tree, weights);
    BARRIER();
    GLOBAL float *out = y + (i64)token * y_stride + (i64)head * job.head_dim;
    const float divisor = s.sum == 0.0f ? 1.0f : s.sum;
    for (int c = t; c < job.head_dim; c += GROUP_SIZE) {
        float sum = acc[c];          /* parts > 1 where all columns are in the first GROUP_SIZE slots */
        for (int part = columns; part < GROUP_SIZE; part += columns) sum += acc[part + c];
        out[c] = sum / divisor;
    }
}

/* The mean of the first heads' probabilities: scores are computed again, now that the sums are known. Work-item t < CHUNK writes the
 * keys whose number is t modulo CHUNK. */
KERNEL trd_attention_probabilities(ATTENTION_ARGS, const int n, LOCAL_ARG(float, acc), ARG(float, probabilities), const i64 probabilities_stride,
                                   const int probability_heads)
{
    OPEN_LOCAL(float, acc);
    ATTENTION_LOCALS;
    ATTENTION_OPEN;
    OPEN(float, probabilities);
    const int token = GROUP_ID, t = LOCAL_ID;
    (void)n;
    (void)y;
    (void)y_stride;
    (void)memory;
    GLOBAL float *out = probabilities + token * probabilities_stride;
    const int n_keys = key_counts[rows[token]], start = t < CHUNK ? t : n_keys;
    for (int j = start; j < n_keys; j += CHUNK) out[j] = 0.0f;
    for (int head = 0; head < probability_heads; head++) {
        job.q = q;
        set_query(&job, rows, positions, token, head, q_stride);
        const softmax s = attend(&job, &keys, KEYS_HALF, 0, softmax_empty(), 0, 1, acc, at, partial, tree, weights);
        const int low = first_key(&job, &keys), high = end_key(&job, &keys);
        for (int first = low / CHUNK * CHUNK; first < high; first += CHUNK) {
            locate(&job, &keys, first, high, at);
            const float score = chunk_score(&job, &keys, KEYS_HALF, 0, first, low, high, at, partial);
            if (score != -INFINITY) out[first + t] += trd_exp(score - s.top) / s.sum;
        }
    }
    for (int j = start; j < n_keys; j += CHUNK) out[j] /= (float)probability_heads;
}
