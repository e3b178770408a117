/*
 * cpu_attention.c: attention by chunks of keys counted from position 0. Each chunk has a softmax of its own (largest score, sum,
 * weighted values); chunks are joined in order. So the bits of a token depend on its query and its visible keys alone, not on
 * how many tokens came with it or on where the keys are kept.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"

/* Queries that share a chunk of keys while it is in the cache. */
#define TILE_TOKENS 8

/* Scratch of one thread. */
typedef struct workspace {
    float *scores, *extra;                      /* [chunk] rounded up to 16 */
    float *relative;                            /* [chunk][head_dim rounded up to 16]: rows of a relative table */
    float *keys, *values;                       /* [chunk][head_dim rounded up to 16]: of packed rows, brought together */
    float *states;                              /* [TILE_TOKENS * n_heads][2]: largest, sum */
    float *sums;                                /* [TILE_TOKENS * n_heads][head_dim rounded up to 16] */
} workspace;

/* One chunk of keys of one KV head. */
typedef struct chunk {
    int64_t first, n;         /* first position, keys there are */
    bool    memory;           /* of the second key set: no causality, no terms */
    const float *keys, *values;
    int64_t stride;           /* from key to key */
} chunk;

/* A run of tokens of one row. */
typedef struct tile {
    const trdi_cpu_op *op;
    const trdi_cpu_thread *thread;
    int64_t row, first_token, n_tokens, n_keys;
    int64_t kv_head, first_head, n_heads;       /* query heads of this KV head */
} tile;

static int64_t up16(int64_t n)
{
    return (n + 15) / 16 * 16;
}

static int64_t largest_chunk(const trdi_op_attention *a)
{
    int64_t n = a->source == TRDI_KEYS_PAGED ? a->kv.block_tokens : TRDI_PACKED_CHUNK;
    if (a->memory_kv.pool.buffer != NULL && a->memory_kv.block_tokens > n) n = a->memory_kv.block_tokens;
    return up16(n);
}

static bool has_relative(const trdi_op_attention *a)
{
    return a->relative_keys.buffer != NULL;
}

size_t trdi_cpu_attention_scratch(const trdi_op_attention *a)
{
    const int64_t c = largest_chunk(a), dim = up16(a->head_dim), states = TILE_TOKENS * (a->n_heads / a->n_heads_kv);
    return sizeof(float) * (size_t)(2 * c + (has_relative(a) ? 3 : 2) * c * dim + up16(2 * states) + states * dim);
}

static workspace workspace_at(void *scratch, const trdi_op_attention *a)
{
    const int64_t c = largest_chunk(a), dim = up16(a->head_dim), states = TILE_TOKENS * (a->n_heads / a->n_heads_kv);
    workspace w;
    w.scores = scratch;
    w.extra = w.scores + c;
    w.keys = w.extra + c;
    w.values = w.keys + c * dim;
    w.relative = w.values + c * dim;
    w.states = w.relative + (has_relative(a) ? c * dim : 0);
    w.sums = w.states + up16(2 * states);
    return w;
}

/* Fill in where the keys and values of a chunk are. */
static void chunk_locate(const tile *at, chunk *c)
{
    const trdi_op_attention *a = &at->op->op.u.attention;
    if (!c->memory && a->source == TRDI_KEYS_PACKED) {
        const int64_t start = trdi_span_i32(a->key_starts)[at->row] + c->first, column = at->kv_head * a->head_dim;
        c->keys = trdi_span_f32(a->k) + start * a->kv_stride + column;
        c->values = trdi_span_f32(a->v) + start * a->kv_stride + column;
        c->stride = a->kv_stride;
        return;
    }
    const trdi_kv_layout *kv = c->memory ? &a->memory_kv : &a->kv;
    const int32_t *table = trdi_span_i32(kv->table) + trdi_span_i32(kv->table_offsets)[at->row];
    c->keys = trdi_kv_slot(kv, table[c->first / kv->block_tokens], at->kv_head, 0);
    c->values = c->keys + kv->n_heads_kv * kv->block_tokens * kv->head_dim;
    c->stride = kv->head_dim;
}

/* Packed rows lie far apart, often on the same few lines of the cache: where many queries come, bring them together first. */
static void chunk_gather(const tile *at, chunk *c, const workspace *w)
{
    const int64_t dim = up16(at->op->op.u.attention.head_dim);
    const size_t bytes = (size_t)at->op->op.u.attention.head_dim * sizeof(float);
    for (int64_t j = 0; j < c->n; j++) {
        memcpy(w->keys + j * dim, c->keys + j * c->stride, bytes);
        memcpy(w->values + j * dim, c->values + j * c->stride, bytes);
    }
    c->keys = w->keys;
    c->values = w->values;
    c->stride = dim;
}

/* First and last-plus-one key that a token at this position sees. */
static void visible(const trdi_op_attention *a, int64_t position, int64_t n_keys, int64_t *low, int64_t *high)
{
    *low = a->window > 0 && position - a->window + 1 > 0 ? position - a->window + 1 : 0;
    *high = a->causal && position + 1 < n_keys ? position + 1 : n_keys;
}

static int64_t clip(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* Copy the rows of a relative table for n keys from position `first` on, seen from `position`. */
static void relative_rows(const trdi_op_attention *a, const float *table, int64_t first, int64_t n, int64_t position, float *rows)
{
    const int64_t dim = up16(a->head_dim);
    for (int64_t j = 0; j < n; j++) {
        const int64_t r = clip(first + j - position, -a->relative_left, a->relative_right) + a->relative_left;
        memcpy(rows + j * dim, table + r * a->head_dim, (size_t)a->head_dim * sizeof(float));
    }
}

/* Add T5 bias and ALiBi to the scores of n keys from position `first` on. */
static void add_biases(const tile *at, int64_t head, int64_t position, int64_t first, int64_t n, float *scores)
{
    const trdi_op_attention *a = &at->op->op.u.attention;
    const float *bias = trdi_span_f32(a->relative_bias), *slopes = trdi_span_f32(a->alibi_slopes);
    if (bias != NULL) {
        const int64_t reach = at->op->bucket_reach;
        for (int64_t j = 0; j < n; j++) {
            const int32_t bucket = at->op->buckets[clip(first + j - position, -reach, reach) + reach];
            scores[j] += bias[bucket * a->n_heads + head];
        }
    }
    if (slopes != NULL) {
        const int64_t zero = a->alibi_positive ? 0 : position;
        for (int64_t j = 0; j < n; j++) scores[j] += slopes[head] * (float)(first + j - zero);
    }
}

/* Scores of keys low..high-1 (positions) of a located chunk for one query head, into w->scores. */
static void chunk_scores(const tile *at, const chunk *c, const workspace *w, int64_t token, int64_t head, int64_t low, int64_t high)
{
    const trdi_op_attention *a = &at->op->op.u.attention;
    const trdi_cpu_kernels *k = at->thread->kernels;
    const float *q = trdi_span_f32(a->q) + token * a->q_stride + head * a->head_dim;
    const int64_t n = high - low, position = trdi_span_i32(a->positions)[token];
    k->dots(q, c->keys + (low - c->first) * c->stride, c->stride, n, a->head_dim, w->scores);
    const float *relative = c->memory ? NULL : trdi_span_f32(a->relative_keys);
    if (relative != NULL) {
        relative_rows(a, relative, low, n, position, w->relative);
        k->dots(q, w->relative, up16(a->head_dim), n, a->head_dim, w->extra);
        for (int64_t j = 0; j < n; j++) w->scores[j] += w->extra[j];
    }
    for (int64_t j = 0; j < n; j++) w->scores[j] *= a->scale;
    if (!c->memory) add_biases(at, head, position, low, n, w->scores);
}

/* Join keys low..high-1 of a located chunk to the running softmax of one query head. */
static void chunk_attend(const tile *at, const chunk *c, const workspace *w, int64_t token, int64_t head, int64_t low, int64_t high,
                         int64_t slot)
{
    const trdi_op_attention *a = &at->op->op.u.attention;
    const trdi_cpu_kernels *k = at->thread->kernels;
    const int64_t n = high - low, dim = up16(a->head_dim);
    chunk_scores(at, c, w, token, head, low, high);
    const float *relative = c->memory ? NULL : trdi_span_f32(a->relative_values);
    if (relative != NULL) relative_rows(a, relative, low, n, trdi_span_i32(a->positions)[token], w->relative);
    k->attend(w->scores, c->values + (low - c->first) * c->stride, relative != NULL ? w->relative : NULL, c->stride, dim, n,
              a->head_dim, w->states + 2 * slot, w->sums + slot * dim);
}

/* All queries of the tile against one chunk. */
static void tile_chunk(const tile *at, chunk *c, const workspace *w)
{
    const trdi_op_attention *a = &at->op->op.u.attention;
    const int32_t *positions = trdi_span_i32(a->positions);
    chunk_locate(at, c);
    if (!c->memory && a->source == TRDI_KEYS_PACKED && at->n_tokens * at->n_heads >= 4) chunk_gather(at, c, w);
    for (int64_t i = 0; i < at->n_tokens; i++) {
        const int64_t token = at->first_token + i;
        int64_t low = 0, high = c->first + c->n;
        if (!c->memory) visible(a, positions[token], at->n_keys, &low, &high);
        if (low < c->first) low = c->first;
        if (high > c->first + c->n) high = c->first + c->n;
        if (low >= high) continue;
        for (int64_t h = 0; h < at->n_heads; h++) {
            chunk_attend(at, c, w, token, at->first_head + h, low, high, i * at->n_heads + h);
        }
    }
}

/* Chunks that any query of the tile sees, of one key set. */
static void tile_keys(const tile *at, const workspace *w, bool memory)
{
    const trdi_op_attention *a = &at->op->op.u.attention;
    int64_t step = TRDI_PACKED_CHUNK, n_keys = at->n_keys, low = 0, high = n_keys;
    if (memory) {
        step = a->memory_kv.block_tokens;
        n_keys = high = trdi_span_i32(a->memory_counts)[at->row];
    } else {
        if (a->source == TRDI_KEYS_PAGED) step = a->kv.block_tokens;
        const int32_t *positions = trdi_span_i32(a->positions) + at->first_token;
        low = n_keys;
        high = 0;
        for (int64_t i = 0; i < at->n_tokens; i++) {
            int64_t from, to;
            visible(a, positions[i], n_keys, &from, &to);
            if (from < low) low = from;
            if (to > high) high = to;
        }
    }
    for (int64_t first = low / step * step; first < high; first += step) {
        chunk c = { .first = first, .n = n_keys - first < step ? n_keys - first : step, .memory = memory };
        tile_chunk(at, &c, w);
    }
}

static void run_tile(const tile *at, const workspace *w)
{
    const trdi_op_attention *a = &at->op->op.u.attention;
    const int64_t dim = up16(a->head_dim), n = at->n_tokens * at->n_heads;
    for (int64_t s = 0; s < n; s++) {
        w->states[2 * s] = -INFINITY;
        w->states[2 * s + 1] = 0.0f;
    }
    memset(w->sums, 0, (size_t)(n * dim) * sizeof(float));
    tile_keys(at, w, false);
    if (a->memory_kv.pool.buffer != NULL) tile_keys(at, w, true);
    for (int64_t s = 0; s < n; s++) {
        const int64_t token = at->first_token + s / at->n_heads, head = at->first_head + s % at->n_heads;
        float *y = trdi_span_f32(a->y) + token * a->y_stride + head * a->head_dim;
        at->thread->kernels->finish(w->sums + s * dim, y, a->head_dim, w->states[2 * s + 1]);
    }
}

/* Largest score and sum of one query head over its visible keys. */
static void head_softmax(const tile *at, const workspace *w, int64_t low, int64_t high, int64_t step, int64_t head, float state[2])
{
    const trdi_cpu_kernels *k = at->thread->kernels;
    state[0] = -INFINITY;
    state[1] = 0.0f;
    for (int64_t first = low / step * step; first < high; first += step) {
        chunk c = { .first = first, .n = at->n_keys - first < step ? at->n_keys - first : step };
        const int64_t from = low > first ? low : first, to = high < first + c.n ? high : first + c.n;
        chunk_locate(at, &c);
        chunk_scores(at, &c, w, at->first_token, head, from, to);
        k->attend(w->scores, NULL, NULL, 0, 0, to - from, 0, state, NULL);
    }
}

/* The mean of the first heads' probabilities of one token: scores are computed again, now that the sums are known. */
static void run_probabilities(tile *at, const workspace *w)
{
    const trdi_op_attention *a = &at->op->op.u.attention;
    const trdi_cpu_kernels *k = at->thread->kernels;
    const int64_t step = a->source == TRDI_KEYS_PAGED ? a->kv.block_tokens : TRDI_PACKED_CHUNK;
    float *out = trdi_span_f32(a->probabilities) + at->first_token * a->probabilities_stride;
    memset(out, 0, (size_t)at->n_keys * sizeof(float));
    int64_t low, high;
    visible(a, trdi_span_i32(a->positions)[at->first_token], at->n_keys, &low, &high);
    for (int64_t head = 0; head < a->probability_heads; head++) {
        float state[2];
        at->kv_head = head / (a->n_heads / a->n_heads_kv);
        head_softmax(at, w, low, high, step, head, state);
        for (int64_t first = low / step * step; first < high; first += step) {
            chunk c = { .first = first, .n = at->n_keys - first < step ? at->n_keys - first : step };
            const int64_t from = low > first ? low : first, to = high < first + c.n ? high : first + c.n;
            chunk_locate(at, &c);
            chunk_scores(at, &c, w, at->first_token, head, from, to);
            (void)k->exp_sum(w->scores, to - from, state[0]);
            for (int64_t j = from; j < to; j++) out[j] += w->scores[j - from] / state[1];
        }
    }
    for (int64_t j = 0; j < at->n_keys; j++) out[j] /= (float)a->probability_heads;
}

/* Threads take tiles in turn: under a causal mask later tokens cost more than earlier ones. */
void trdi_cpu_run_attention(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n)
{
    const trdi_op_attention *a = &op->op.u.attention;
    const workspace w = workspace_at(thread->scratch, a);
    const int32_t *rows = trdi_span_i32(a->rows), *key_counts = trdi_span_i32(a->key_counts);
    const int64_t group = a->n_heads / a->n_heads_kv;
    int64_t tokens = n * a->n_heads_kv / (4 * thread->count);
    tokens = clip(tokens, 1, TILE_TOKENS);
    const int64_t n_tiles = (n + tokens - 1) / tokens;
    /* Too few tiles for the team: query heads go apart. */
    const int64_t heads = n_tiles * a->n_heads_kv >= 2 * thread->count ? group : 1, parts = a->n_heads / heads;
    for (int64_t item = thread->index; item < n_tiles * parts; item += thread->count) {
        const int64_t first_head = item % parts * heads, start = item / parts * tokens;
        const int64_t end = start + tokens < n ? start + tokens : n;
        tile at = { .op = op, .thread = thread, .kv_head = first_head / group, .first_head = first_head, .n_heads = heads };
        for (int64_t t = start; t < end; t += at.n_tokens) {
            at.row = rows[t];
            at.n_keys = key_counts[at.row];
            at.first_token = t;
            at.n_tokens = 1;
            while (t + at.n_tokens < end && rows[t + at.n_tokens] == at.row) at.n_tokens++;
            run_tile(&at, &w);
        }
    }
    if (a->probabilities.buffer == NULL) return;
    for (int64_t t = thread->index; t < n; t += thread->count) {
        tile at = { .op = op, .thread = thread, .row = rows[t], .first_token = t, .n_tokens = 1, .n_keys = key_counts[rows[t]] };
        run_probabilities(&at, &w);
    }
}
