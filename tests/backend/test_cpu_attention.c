/* test_cpu_attention.c: attention in all its forms against the reference; prompt, step by step, packed and paged give the same bits. */
#include "backend/op_tables.h"
#include "backend_rig.h"

enum { ROWS = 3, MAX_TOKENS = 128 };

typedef struct form {
    const char *name;
    int64_t n_heads, n_heads_kv, head_dim, block_tokens, window;
    bool paged, causal, alibi, alibi_positive, shaw, asymmetric, t5, bidirectional, memory;
    int64_t probability_heads;
} form;

static const form forms[] = {
    { .name = "plain", .n_heads = 3, .n_heads_kv = 3, .head_dim = 16, .probability_heads = 1 },
    { .name = "odd width", .n_heads = 2, .n_heads_kv = 1, .head_dim = 7, .probability_heads = 2, .causal = true },
    { .name = "wide", .n_heads = 4, .n_heads_kv = 2, .head_dim = 100, .causal = true },
    { .name = "paged", .n_heads = 6, .n_heads_kv = 2, .head_dim = 64, .block_tokens = 16, .paged = true, .causal = true },
    { .name = "window", .n_heads = 2, .n_heads_kv = 2, .head_dim = 33, .block_tokens = 5, .paged = true, .causal = true, .window = 9,
      .probability_heads = 2 },
    { .name = "alibi", .n_heads = 4, .n_heads_kv = 4, .head_dim = 8, .block_tokens = 32, .paged = true, .causal = true, .alibi = true },
    { .name = "alibi, positive", .n_heads = 4, .n_heads_kv = 4, .head_dim = 8, .causal = true, .alibi = true, .alibi_positive = true },
    { .name = "Shaw", .n_heads = 2, .n_heads_kv = 2, .head_dim = 17, .shaw = true, .probability_heads = 1 },
    { .name = "Shaw, paged", .n_heads = 2, .n_heads_kv = 2, .head_dim = 16, .block_tokens = 7, .paged = true, .causal = true, .shaw = true },
    { .name = "asymmetric", .n_heads = 2, .n_heads_kv = 1, .head_dim = 16, .asymmetric = true },
    { .name = "T5, both ways", .n_heads = 3, .n_heads_kv = 3, .head_dim = 16, .t5 = true, .bidirectional = true },
    { .name = "T5", .n_heads = 3, .n_heads_kv = 3, .head_dim = 16, .block_tokens = 16, .paged = true, .causal = true, .t5 = true },
    { .name = "merged", .n_heads = 4, .n_heads_kv = 2, .head_dim = 24, .block_tokens = 16, .paged = true, .causal = true, .memory = true },
    { .name = "merged, packed", .n_heads = 2, .n_heads_kv = 2, .head_dim = 16, .block_tokens = 16, .causal = true, .memory = true },
};

/* Keys of three rows, packed and in blocks, and queries of all their tokens. */
typedef struct scene {
    const form *f;
    array q, y, k, v, pool, memory_pool, slopes, relative_keys, relative_values, relative_bias, probabilities;
    int32_t starts[ROWS], counts[ROWS], table[ROWS * 32], offsets[ROWS], memory_table[ROWS * 4], memory_offsets[ROWS], memory_counts[ROWS];
    int32_t rows[MAX_TOKENS], positions[MAX_TOKENS];
    int64_t n_tokens;
    trdi_op op;
} scene;

static const int32_t lengths[ROWS] = { 41, 1, 70 };

/* Store the packed keys into blocks that are dealt out of order. */
static void fill_pool(scene *s, trdi_kv_layout *kv, array *pool, int32_t *table, int32_t *offsets, const int32_t *counts, const float *k,
                      const float *v, int64_t stride)
{
    const form *f = s->f;
    const int64_t block = 2 * f->n_heads_kv * kv->block_tokens * f->head_dim + 16, n_blocks = 48;
    *pool = array_new(n_blocks * block);
    kv->pool = span(pool->data);
    kv->block_stride = (size_t)block * sizeof(float);
    kv->layer_offset = 16 * sizeof(float);
    kv->n_heads_kv = f->n_heads_kv;
    kv->head_dim = f->head_dim;
    kv->table = span(table);
    kv->table_offsets = span(offsets);
    int32_t used = 0, from = 0;
    for (int32_t r = 0; r < ROWS; r++) {
        offsets[r] = used;
        for (int32_t p = 0; p < counts[r]; p++) {
            if (p % kv->block_tokens == 0) {
                table[used] = (int32_t)((used * 7 + 3) % 47);
                used++;
            }
            for (int64_t h = 0; h < f->n_heads_kv; h++) {
                float *slot = trdi_kv_slot(kv, table[used - 1], h, p % kv->block_tokens);
                memcpy(slot, k + (from + p) * stride + h * f->head_dim, (size_t)f->head_dim * sizeof(float));
                memcpy(slot + f->n_heads_kv * kv->block_tokens * f->head_dim, v + (from + p) * stride + h * f->head_dim,
                       (size_t)f->head_dim * sizeof(float));
            }
        }
        from += counts[r];
    }
}

static void add_terms(scene *s)
{
    const form *f = s->f;
    trdi_op_attention *a = &s->op.u.attention;
    if (f->alibi) a->alibi_slopes = span(s->slopes.data);
    a->alibi_positive = f->alibi_positive;
    if (f->shaw || f->asymmetric) {
        a->relative_keys = span(s->relative_keys.data);
        a->relative_left = f->shaw ? 4 : 6;
        a->relative_right = f->shaw ? 4 : 2;
    }
    if (f->shaw) a->relative_values = span(s->relative_values.data);
    if (f->t5) {
        a->relative_bias = span(s->relative_bias.data);
        a->relative_buckets = 32;
        a->relative_max_distance = 60;
        a->relative_bidirectional = f->bidirectional;
    }
    if (f->probability_heads > 0) {
        a->probabilities = span(s->probabilities.data);
        a->probabilities_stride = 75;
        a->probability_heads = f->probability_heads;
    }
}

static scene *scene_new(const form *f)
{
    scene *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->f = f;
    for (int32_t r = 0; r < ROWS; r++) {
        s->starts[r] = (int32_t)s->n_tokens;
        s->counts[r] = lengths[r];
        for (int32_t p = 0; p < lengths[r]; p++) {
            s->rows[s->n_tokens] = r;
            s->positions[s->n_tokens++] = p;
        }
    }
    const int64_t n = s->n_tokens, q_stride = f->n_heads * f->head_dim + 3, kv_stride = f->n_heads_kv * f->head_dim + 5;
    s->q = array_random(n * q_stride);
    s->y = array_new(n * q_stride);
    s->k = array_random(n * kv_stride);
    s->v = array_random(n * kv_stride);
    s->slopes = array_random(f->n_heads);
    s->relative_keys = array_random(9 * f->head_dim);
    s->relative_values = array_random(9 * f->head_dim);
    s->relative_bias = array_random(32 * f->n_heads);
    s->probabilities = array_new(n * 75);
    s->op = (trdi_op){ .kind = TRDI_OP_ATTENTION, .count = TRDI_COUNT_TOKENS, .u.attention = {
        .source = f->paged ? TRDI_KEYS_PAGED : TRDI_KEYS_PACKED, .q = span(s->q.data), .y = span(s->y.data), .k = span(s->k.data),
        .v = span(s->v.data), .key_starts = span(s->starts), .key_counts = span(s->counts), .rows = span(s->rows),
        .positions = span(s->positions), .n_heads = f->n_heads, .n_heads_kv = f->n_heads_kv, .head_dim = f->head_dim,
        .q_stride = q_stride, .kv_stride = kv_stride, .y_stride = q_stride, .scale = 1.3f, .causal = f->causal, .window = f->window } };
    trdi_op_attention *a = &s->op.u.attention;
    a->kv.block_tokens = f->block_tokens > 0 ? f->block_tokens : 32;
    a->memory_kv.block_tokens = 11;
    fill_pool(s, &a->kv, &s->pool, s->table, s->offsets, s->counts, s->k.data, s->v.data, kv_stride);
    const int32_t memory[ROWS] = { 20, 0, 13 };
    memcpy(s->memory_counts, memory, sizeof memory);
    fill_pool(s, &a->memory_kv, &s->memory_pool, s->memory_table, s->memory_offsets, memory, s->v.data, s->k.data, kv_stride);
    a->memory_counts = span(s->memory_counts);
    if (!f->memory) a->memory_kv.pool = (trdi_span){ 0 };
    add_terms(s);
    return s;
}

static void scene_free(scene *s)
{
    array *all[] = { &s->q, &s->y, &s->k, &s->v, &s->pool, &s->memory_pool, &s->slopes, &s->relative_keys, &s->relative_values,
                     &s->relative_bias, &s->probabilities };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) array_free(all[i]);
    free(s);
}

enum { N_FORMS = sizeof forms / sizeof forms[0] };
/* What the reference says, computed once per form. */
static array wanted[N_FORMS], wanted_probabilities[N_FORMS];

static void reference(int i)
{
    rig_state = 7;
    scene *s = scene_new(&forms[i]);
    wanted[i] = array_new(s->y.n);
    wanted_probabilities[i] = array_new(s->probabilities.n);
    s->op.u.attention.y = span(wanted[i].data);
    if (forms[i].probability_heads > 0) s->op.u.attention.probabilities = span(wanted_probabilities[i].data);
    CHECK_OK(reference_run(&s->op, s->n_tokens));
    scene_free(s);
}

static void against_reference(rig *r)
{
    for (int i = 0; i < N_FORMS; i++) {
        rig_state = 7;
        scene *s = scene_new(&forms[i]);
        CHECK_OK(rig_run(r, &s->op, s->n_tokens));
        check_close(r, forms[i].name, s->y.data, wanted[i].data, wanted[i].n, 3e-6);
        check_close(r, forms[i].name, s->probabilities.data, wanted_probabilities[i].data, wanted_probabilities[i].n, 3e-6);
        scene_free(s);
    }
}

/* Tokens one at a time, with the keys there are then, must give the bits of the whole prompt. */
static void step_by_step(const rig *r, scene *s, const array *whole)
{
    trdi_op_attention *a = &s->op.u.attention;
    array_poison(&s->y);
    for (int64_t t = 0; t < s->n_tokens; t++) {
        const trdi_op op = s->op;
        s->counts[s->rows[t]] = s->positions[t] + 1;
        a->q.offset = a->y.offset = (size_t)(t * a->q_stride) * sizeof(float);
        a->rows.offset = a->positions.offset = (size_t)t * sizeof(int32_t);
        a->probabilities = (trdi_span){ 0 };
        CHECK_OK(rig_run(r, &s->op, 1));
        s->op = op;
        s->counts[s->rows[t]] = lengths[s->rows[t]];
    }
    check_same_bits("step by step", s->y.data, whole->data, whole->n);
}

static void same_bits(void)
{
    const char *names[3];
    const int n_isas = rig_isas(names);
    for (int f = 0; f < N_FORMS; f++) {
        form in_blocks = forms[f];
        in_blocks.block_tokens = 32;            /* the chunk of packed keys */
        in_blocks.paged = true;
        if (!in_blocks.causal) continue;
        array fused = { 0 };
        for (int i = 0; i < n_isas; i++) {
            array first = { 0 };
            for (int32_t threads = 1; threads <= 2; threads++) {
                rig_state = 99;
                scene *s = scene_new(&in_blocks);
                rig r = rig_open(names[i], threads);
                trdi_cpu_queue_share_all(r.queue);
                CHECK_OK(rig_run(&r, &s->op, s->n_tokens));
                if (first.data == NULL) first = array_copy(&s->y);
                check_same_bits("other team", s->y.data, first.data, first.n);
                step_by_step(&r, s, &first);
                s->op.u.attention.source = TRDI_KEYS_PACKED;
                array_poison(&s->y);
                CHECK_OK(rig_run(&r, &s->op, s->n_tokens));
                check_same_bits("packed", s->y.data, first.data, first.n);
                rig_close(&r);
                scene_free(s);
            }
            if (strcmp(names[i], "generic") != 0) {
                if (fused.data == NULL) fused = array_copy(&first);
                check_same_bits("another set with fma", first.data, fused.data, first.n);
            }
            array_free(&first);
        }
        if (fused.data != NULL) array_free(&fused);
    }
}

/* A row without keys gives zeros, in the probabilities nothing. */
static void no_keys(rig *r)
{
    scene *s = scene_new(&forms[0]);
    s->counts[1] = 0;
    CHECK_OK(rig_run(r, &s->op, s->n_tokens));
    const int64_t t = lengths[0], stride = s->op.u.attention.y_stride;
    for (int64_t c = 0; c < s->f->n_heads * s->f->head_dim; c++) CHECK(s->y.data[t * stride + c] == 0.0f);
    CHECK(isnan(s->probabilities.data[t * 75]));
    scene_free(s);
}

/* Against the formula of T5's buckets, computed here in f32 with the C library. */
static void buckets(void)
{
    for (int64_t d = -200; d <= 200; d++) {
        for (int both = 0; both < 2; both++) {
            const int n = both ? 16 : 32, base = both && d > 0 ? 16 : 0;
            const int r = (int)(both ? llabs(d) : d < 0 ? -d : 0);
            int b = r;
            if (r >= n / 2) {
                b = (int)((float)(n / 2) + logf((float)r / (float)(n / 2)) / logf(128.0f / (float)(n / 2)) * (float)(n - n / 2));
                if (b > n - 1) b = n - 1;
            }
            CHECK_INT(trdi_relative_bucket(d, 32, 128, both != 0), base + b);
        }
    }
}

int main(void)
{
    buckets();
    for (int i = 0; i < N_FORMS; i++) reference(i);
    rig_each(against_reference);
    for (int i = 0; i < N_FORMS; i++) {
        array_free(&wanted[i]);
        array_free(&wanted_probabilities[i]);
    }
    rig_each(no_keys);
    same_bits();
    return 0;
}
