/*
 * attention.h: what both forms of attention share: arguments, which keys a token sees, where they are, and what is added to scores.
 *
 * Compiled with HEAD_DIM: the width of a head, or 0 = an argument; KEYS_HALF: keys in blocks are f16; MEMORY: second key set, 0 none, 1 f32,
 * 2 f16; TERMS: 1 = relative tables, T5 bias or ALiBi may be there.
 */
#ifndef TRD_ATTENTION_H
#define TRD_ATTENTION_H

#include "lanes.h"

#ifndef HEAD_DIM
#define HEAD_DIM 0
#endif
#ifndef KEYS_HALF
#define KEYS_HALF 0
#endif
#ifndef MEMORY
#define MEMORY 0
#endif
#ifndef TERMS
#define TERMS 1
#endif

/* One of the two key sets. Packed rows: keys and values have bases of their own; blocks: a value lies plane elements behind its key. */
typedef struct key_set {
    GLOBAL const char *keys, *values;
    GLOBAL const int *table, *offsets;   /* of blocks; table 0: packed, offsets are the rows' first keys */
    GLOBAL const int *counts;
    i64 block_stride;                    /* bytes */
    i64 stride;                          /* elements from key to key */
    int block_tokens, is_half, is_memory;
} key_set;

typedef struct attention_job {
    GLOBAL const float *q, *slopes, *relative_keys, *relative_values, *relative_bias;
    GLOBAL const int *buckets;
    int n_heads, n_heads_kv, head_dim, causal, window, alibi_positive, left, right, reach;
    float scale;
    int row, position, head, kv_head;    /* of the query */
} attention_job;

#define ATTENTION_ARGS                                                                                                              \
    ARG(float, y), ARG(const float, q), ARG(const char, k), ARG(const char, v), ARG(const int, key_starts), ARG(const int, key_counts), \
    ARG(const char, pool), ARG(const int, table), ARG(const int, offsets), ARG(const char, memory_pool), ARG(const int, memory_table), \
    ARG(const int, memory_offsets), ARG(const int, memory_counts), ARG(const int, rows), ARG(const int, positions),                 \
    ARG(const float, slopes), ARG(const float, relative_keys), ARG(const float, relative_values), ARG(const float, relative_bias), \
    ARG(const int, buckets), const i64 block_stride, const i64 memory_block_stride, const int block_tokens,                         \
    const int memory_block_tokens, const int n_heads, const int n_heads_kv, const int head_dim, const int q_stride,                 \
    const int kv_stride, const int y_stride, const float scale, const int causal, const int window, const int alibi_positive,       \
    const int left, const int right, const int reach

/* Declares y, job without its query, and the sets keys and memory. */
#define ATTENTION_OPEN                                                                                                              \
    OPEN(float, y);                                                                                                                 \
    OPEN(const float, q);                                                                                                           \
    OPEN(const char, k);                                                                                                            \
    OPEN(const char, v);                                                                                                            \
    OPEN(const int, key_starts);                                                                                                    \
    OPEN(const int, key_counts);                                                                                                    \
    OPEN(const char, pool);                                                                                                         \
    OPEN(const int, table);                                                                                                         \
    OPEN(const int, offsets);                                                                                                       \
    OPEN(const char, memory_pool);                                                                                                  \
    OPEN(const int, memory_table);                                                                                                  \
    OPEN(const int, memory_offsets);                                                                                                \
    OPEN(const int, memory_counts);                                                                                                 \
    OPEN(const int, rows);                                                                                                          \
    OPEN(const int, positions);                                                                                                     \
    OPEN(const float, slopes);                                                                                                      \
    OPEN(const float, relative_keys);                                                                                               \
    OPEN(const float, relative_values);                                                                                             \
    OPEN(const float, relative_bias);                                                                                               \
    OPEN(const int, buckets);                                                                                                       \
    attention_job job;                                                                                                              \
    job.q = q;                                                                                                                      \
    job.slopes = slopes;                                                                                                            \
    job.relative_keys = relative_keys;                                                                                              \
    job.relative_values = relative_values;                                                                                          \
    job.relative_bias = relative_bias;                                                                                              \
    job.buckets = buckets;                                                                                                          \
    job.n_heads = n_heads;                                                                                                          \
    job.n_heads_kv = n_heads_kv;                                                                                                    \
    job.head_dim = HEAD_DIM > 0 ? HEAD_DIM : head_dim;                                                                              \
    job.causal = causal;                                                                                                            \
    job.window = window;                                                                                                            \
    job.alibi_positive = alibi_positive;                                                                                            \
    job.left = left;                                                                                                                \
    job.right = right;                                                                                                              \
    job.reach = reach;                                                                                                              \
    job.scale = scale;                                                                                                              \
    key_set keys, memory;                                                                                                           \
    keys.keys = table != 0 ? pool : k;                                                                                              \
    keys.values = table != 0 ? pool : v;                                                                                            \
    keys.table = table;                                                                                                             \
    keys.offsets = table != 0 ? offsets : key_starts;                                                                               \
    keys.counts = key_counts;                                                                                                       \
    keys.block_stride = block_stride;                                                                                               \
    keys.stride = table != 0 ? job.head_dim : kv_stride;                                                                            \
    keys.block_tokens = block_tokens;                                                                                               \
    keys.is_half = KEYS_HALF;                                                                                                       \
    keys.is_memory = 0;                                                                                                             \
    memory.keys = memory.values = memory_pool;                                                                                      \
    memory.table = memory_table;                                                                                                    \
    memory.offsets = memory_offsets;                                                                                                \
    memory.counts = memory_counts;                                                                                                  \
    memory.block_stride = memory_block_stride;                                                                                      \
    memory.stride = job.head_dim;                                                                                                   \
    memory.block_tokens = memory_block_tokens;                                                                                      \
    memory.is_half = MEMORY == 2;                                                                                                   \
    memory.is_memory = 1

/* The query that the job is for. */
static inline void set_query(attention_job *job, GLOBAL const int *rows, GLOBAL const int *positions, const int token, const int head,
                             const int q_stride)
{
    job->row = rows[token];
    job->position = positions[token];
    job->head = head;
    job->kv_head = head / (job->n_heads / job->n_heads_kv);
    job->q += (i64)token * q_stride + (i64)head * job->head_dim;
}

/* First and last-plus-one key of a set that the query sees. */
static inline int first_key(const attention_job *job, const key_set *set)
{
    return !set->is_memory && job->window > 0 ? max(job->position - job->window + 1, 0) : 0;
}

static inline int end_key(const attention_job *job, const key_set *set)
{
    const int n = set->counts[job->row];
    return !set->is_memory && job->causal ? min(job->position + 1, n) : n;
}

/* Byte offset of key j from the set's keys; of its value from the set's values. */
static inline i64 key_at(const attention_job *job, const key_set *set, const int j)
{
    const int first = set->offsets[job->row];
    const i64 bytes = set->is_half ? 2 : 4;
    if (set->table == 0) return (((i64)first + j) * set->stride + (i64)job->kv_head * job->head_dim) * bytes;
    const int nth = j / set->block_tokens, slot = j - nth * set->block_tokens;
    const i64 block = set->table[first + nth];
    return block * set->block_stride + ((i64)job->kv_head * set->block_tokens + slot) * job->head_dim * bytes;
}

static inline i64 value_shift(const attention_job *job, const key_set *set)
{
    return set->table == 0 ? 0 : (i64)job->n_heads_kv * set->block_tokens * job->head_dim * (set->is_half ? 2 : 4);
}

/* Row of the relative tables for key j. */
static inline i64 relative_at(const attention_job *job, const int j)
{
    return (i64)(clamp(j - job->position, -job->left, job->right) + job->left) * job->head_dim;
}

/* What T5's table and ALiBi add to the score of key j. */
static inline float with_biases(const attention_job *job, const int j, float score)
{
    if (job->relative_bias != 0) {
        const int bucket = job->buckets[clamp(j - job->position, -job->reach, job->reach) + job->reach];
        score += job->relative_bias[(i64)bucket * job->n_heads + job->head];
    }
    if (job->slopes != 0) score += job->slopes[job->head] * (float)(job->alibi_positive ? j : j - job->position);
    return score;
}

/* A running softmax: largest score, sum of exp(score - largest). Joining a chunk multiplies what was by before and what comes by now. */
typedef struct softmax {
    float top, sum, before, now;
} softmax;

static inline softmax softmax_empty(void)
{
    softmax s;
    s.top = -INFINITY;
    s.sum = 0.0f;
    s.before = s.now = 1.0f;
    return s;
}

/* A chunk whose largest score is -infinity changes nothing. */
static inline softmax softmax_join(softmax s, const float top, const float sum)
{
    s.before = s.now = 1.0f;
    if (top > s.top) {
        s.before = trd_exp(s.top - top);
        s.top = top;
    } else {
        s.now = top == -INFINITY ? 0.0f : trd_exp(top - s.top);
    }
    s.sum = s.sum * s.before + sum * s.now;
    return s;
}

#endif
