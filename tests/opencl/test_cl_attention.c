/* test_cl_attention.c: attention on OpenCL in all its forms against the reference; prompt, step by step, packed and in blocks give the same bits. */
#include "opencl/cl_rig.h"

enum { ROWS = 3, MAX_TOKENS = 128, PROBABILITIES = 75 };

typedef struct form {
    const char *name;
    int64_t n_heads, n_heads_kv, head_dim, block_tokens, window;
    bool paged, causal, alibi, alibi_positive, shaw, asymmetric, t5, bidirectional, memory, half, memory_half;
    int64_t probability_heads;
    bool small;                       /* of the few that slow implementations run */
} form;

static const form forms[] = {
    { .name = "plain", .n_heads = 3, .n_heads_kv = 3, .head_dim = 16, .probability_heads = 1, .small = true },
    { .name = "odd width", .n_heads = 2, .n_heads_kv = 1, .head_dim = 7, .probability_heads = 2, .causal = true, .small = true },
    { .name = "wide", .n_heads = 4, .n_heads_kv = 2, .head_dim = 100, .causal = true },
    { .name = "widest", .n_heads = 1, .n_heads_kv = 1, .head_dim = 4096, .block_tokens = 16, .paged = true, .causal = true },
    { .name = "32", .n_heads = 4, .n_heads_kv = 2, .head_dim = 32, .block_tokens = 16, .paged = true, .causal = true },
    { .name = "80", .n_heads = 2, .n_heads_kv = 2, .head_dim = 80, .block_tokens = 16, .paged = true },
    { .name = "128", .n_heads = 2, .n_heads_kv = 1, .head_dim = 128, .block_tokens = 16, .paged = true, .causal = true },
    { .name = "paged", .n_heads = 6, .n_heads_kv = 2, .head_dim = 64, .block_tokens = 16, .paged = true, .causal = true, .small = true },
    { .name = "packed, 64", .n_heads = 2, .n_heads_kv = 2, .head_dim = 64 },
    { .name = "f16", .n_heads = 6, .n_heads_kv = 2, .head_dim = 64, .block_tokens = 16, .paged = true, .causal = true, .half = true, .small = true },
    { .name = "f16, odd width", .n_heads = 2, .n_heads_kv = 2, .head_dim = 13, .block_tokens = 100, .paged = true, .half = true,
      .probability_heads = 2 },
    { .name = "window", .n_heads = 2, .n_heads_kv = 2, .head_dim = 33, .block_tokens = 5, .paged = true, .causal = true, .window = 9,
      .probability_heads = 2, .small = true },
    { .name = "window, both ways", .n_heads = 2, .n_heads_kv = 2, .head_dim = 16, .window = 40 },
    { .name = "alibi", .n_heads = 4, .n_heads_kv = 4, .head_dim = 8, .block_tokens = 32, .paged = true, .causal = true, .alibi = true },
    { .name = "alibi, positive", .n_heads = 4, .n_heads_kv = 4, .head_dim = 8, .causal = true, .alibi = true, .alibi_positive = true },
    { .name = "Shaw", .n_heads = 2, .n_heads_kv = 2, .head_dim = 17, .shaw = true, .probability_heads = 1, .small = true },
    { .name = "Shaw, paged", .n_heads = 2, .n_heads_kv = 2, .head_dim = 16, .block_tokens = 7, .paged = true, .causal = true, .shaw = true },
    { .name = "Shaw, f16", .n_heads = 2, .n_heads_kv = 2, .head_dim = 64, .block_tokens = 16, .paged = true, .causal = true, .shaw = true,
      .half = true },
    { .name = "asymmetric", .n_heads = 2, .n_heads_kv = 1, .head_dim = 16, .asymmetric = true },
    { .name = "T5, both ways", .n_heads = 3, .n_heads_kv = 3, .head_dim = 16, .t5 = true, .bidirectional = true },
    { .name = "T5", .n_heads = 3, .n_heads_kv = 3, .head_dim = 16, .block_tokens = 16, .paged = true, .causal = true, .t5 = true, .small = true },
    { .name = "merged", .n_heads = 4, .n_heads_kv = 2, .head_dim = 24, .block_tokens = 16, .paged = true, .causal = true, .memory = true,
      .small = true },
    { .name = "merged, f16", .n_heads = 4, .n_heads_kv = 2, .head_dim = 64, .block_tokens = 16, .paged = true, .causal = true, .memory = true,
      .half = true, .memory_half = true },
    { .name = "merged, packed", .n_heads = 2, .n_heads_kv = 2, .head_dim = 16, .block_tokens = 16, .causal = true, .memory = true,
      .memory_half = true },
};
enum { N_FORMS = sizeof forms / sizeof forms[0] };

/* Keys of three rows, packed and in blocks, and queries of all their tokens. */
typedef struct scene {
    const form *f;
    float *q, *y, *k, *v, *probabilities;
    int32_t *numbers;                 /* the step's one buffer, and how much of it is given away */
    int64_t n_numbers;
    int32_t *starts, *counts, *rows, *positions;
    int64_t n_tokens, n_y;
    trdi_op op;
} scene;

static const int32_t long_rows[ROWS] = { 41, 1, 70 }, short_rows[ROWS] = { 18, 1, 6 }, tiny_rows[ROWS] = { 6, 1, 2 };

static const int32_t *lengths(const cl_rig *r)
{
    const char *implementation = getenv("TREADLE_TEST_IMPLEMENTATION");
    if (implementation != NULL && strcmp(implementation, "oclgrind") == 0 && strcmp(r->form, "groups") == 0) return tiny_rows;
    return r->small ? short_rows : long_rows;
}

static int32_t *numbers(scene *s, int64_t n)
{
    s->n_numbers += n;
    CHECK(s->n_numbers <= 1024);
    return s->numbers + s->n_numbers - n;
}

/* Store the packed keys into blocks that are dealt out of order. */
static void fill_pool(cl_rig *r, scene *s, trdi_kv_layout *kv, const int32_t *counts, const float *k, const float *v, int64_t stride)
{
    const form *f = s->f;
    const int64_t plane = f->n_heads_kv * kv->block_tokens * f->head_dim;
    const size_t bytes = 2 * (size_t)plane * trd_dtype_bytes(kv->dtype) + 64, n_blocks = 48;
    char *pool = cl_rig_array(r, n_blocks * bytes, TRDI_MEMORY_DEVICE);
    memset(pool, 0xff, n_blocks * bytes);      /* NaN, in either type */
    int32_t *table = numbers(s, 48), *offsets = numbers(s, ROWS);
    kv->pool = cl_span(pool);
    kv->block_stride = bytes;
    kv->layer_offset = 64;
    kv->n_heads_kv = f->n_heads_kv;
    kv->head_dim = f->head_dim;
    kv->table = cl_span(table);
    kv->table_offsets = cl_span(offsets);
    int32_t used = 0, from = 0;
    int32_t rows[MAX_TOKENS], positions[MAX_TOKENS];
    for (int32_t row = 0; row < ROWS; row++) {
        offsets[row] = used;
        for (int32_t p = 0; p < counts[row]; p++, from++) {
            if (p % kv->block_tokens == 0) {
                table[used] = (int32_t)((used * 7 + 3) % 47);
                used++;
            }
            rows[from] = row;
            positions[from] = p;
        }
    }
    const trdi_op append = { .kind = TRDI_OP_KV_APPEND, .count = TRDI_COUNT_TOKENS, .u.kv_append = {
        .kv = *kv, .k = cl_span(k), .v = cl_span(v), .stride = stride, .rows = cl_span(rows), .positions = cl_span(positions) } };
    cl_rig_reference(&append, from);
}

static void add_terms(cl_rig *r, scene *s)
{
    const form *f = s->f;
    trdi_op_attention *a = &s->op.u.attention;
    if (f->alibi) a->alibi_slopes = cl_span(cl_rig_floats(r, f->n_heads));
    a->alibi_positive = f->alibi_positive;
    if (f->shaw || f->asymmetric) {
        a->relative_keys = cl_span(cl_rig_floats(r, 9 * f->head_dim));
        a->relative_left = f->shaw ? 4 : 6;
        a->relative_right = f->shaw ? 4 : 2;
    }
    if (f->shaw) a->relative_values = cl_span(cl_rig_floats(r, 9 * f->head_dim));
    if (f->t5) {
        a->relative_bias = cl_span(cl_rig_floats(r, 32 * f->n_heads));
        a->relative_buckets = 32;
        a->relative_max_distance = 60;
        a->relative_bidirectional = f->bidirectional;
    }
    if (f->probability_heads > 0) {
        s->probabilities = cl_rig_poisoned(r, s->n_tokens * PROBABILITIES);
        a->probabilities = cl_span(s->probabilities);
        a->probabilities_stride = PROBABILITIES;
        a->probability_heads = f->probability_heads;
    }
}

static void fill_tokens(cl_rig *r, scene *s)
{
    s->starts = numbers(s, ROWS);
    s->counts = numbers(s, ROWS);
    s->rows = numbers(s, MAX_TOKENS);
    s->positions = numbers(s, MAX_TOKENS);
    s->n_tokens = 0;
    for (int32_t row = 0; row < ROWS; row++) {
        s->starts[row] = (int32_t)s->n_tokens;
        s->counts[row] = lengths(r)[row];
        for (int32_t p = 0; p < lengths(r)[row]; p++) {
            s->rows[s->n_tokens] = row;
            s->positions[s->n_tokens++] = p;
        }
    }
}

static void scene_fill(cl_rig *r, scene *s, const form *f)
{
    *s = (scene){ .f = f, .numbers = cl_rig_ints(r, 1024) };
    fill_tokens(r, s);
    const int64_t n = s->n_tokens, q_stride = f->n_heads * f->head_dim + 3, kv_stride = f->n_heads_kv * f->head_dim + 5;
    const float scale = 5.2f / sqrtf((float)f->head_dim);
    s->n_y = n * q_stride;
    s->q = cl_rig_floats(r, s->n_y);
    s->y = cl_rig_poisoned(r, s->n_y);
    s->k = cl_rig_floats(r, n * kv_stride);
    s->v = cl_rig_floats(r, n * kv_stride);
    s->op = (trdi_op){ .kind = TRDI_OP_ATTENTION, .count = TRDI_COUNT_TOKENS, .u.attention = {
        .source = f->paged ? TRDI_KEYS_PAGED : TRDI_KEYS_PACKED, .q = cl_span(s->q), .y = cl_span(s->y), .k = cl_span(s->k),
        .v = cl_span(s->v), .key_starts = cl_span(s->starts), .key_counts = cl_span(s->counts), .rows = cl_span(s->rows),
        .positions = cl_span(s->positions), .n_heads = f->n_heads, .n_heads_kv = f->n_heads_kv, .head_dim = f->head_dim,
        .q_stride = q_stride, .kv_stride = kv_stride, .y_stride = q_stride, .scale = scale, .causal = f->causal, .window = f->window } };
    trdi_op_attention *a = &s->op.u.attention;
    a->kv.block_tokens = f->block_tokens > 0 ? f->block_tokens : 32;
    a->kv.dtype = f->half ? TRD_DTYPE_F16 : TRD_DTYPE_F32;
    if (f->paged) fill_pool(r, s, &a->kv, s->counts, s->k, s->v, kv_stride);
    if (f->memory) {
        const int32_t memory[ROWS] = { n < 19 ? 5 : 16, 0, 3 };     /* of the n rows of k and v */
        CHECK(memory[0] + memory[2] <= n);
        int32_t *counts = numbers(s, ROWS);
        memcpy(counts, memory, sizeof memory);
        a->memory_counts = cl_span(counts);
        a->memory_kv.block_tokens = 11;
        a->memory_kv.dtype = f->memory_half ? TRD_DTYPE_F16 : TRD_DTYPE_F32;
        fill_pool(r, s, &a->memory_kv, memory, s->v, s->k, kv_stride);
    }
    add_terms(r, s);
}

static void against_reference(cl_rig *r)
{
    for (int i = 0; i < N_FORMS; i++) {
        if (r->small && !forms[i].small) continue;
        scene s;
        scene_fill(r, &s, &forms[i]);
        const double before = r->worst;
        r->worst = 0.0;
        CHECK_OK(cl_rig_run(r, &s.op, 0));                     /* no rows: nothing happens */
        CHECK_OK(cl_rig_run(r, &s.op, s.n_tokens));
        cl_rig_reference(&s.op, s.n_tokens);
        cl_rig_check(r, forms[i].name, s.y, s.n_y, 3e-6);
        if (s.probabilities != NULL) cl_rig_check(r, forms[i].name, s.probabilities, s.n_tokens * PROBABILITIES, 3e-6);
        r->worst = r->worst > before ? r->worst : before;
        cl_rig_clear(r);
    }
}

/* Token t alone, with the keys there are then, must give the bits of the whole prompt. */
static void token_alone(cl_rig *r, const scene *s, const float *whole, int64_t t)
{
    const int64_t stride = s->op.u.attention.y_stride, width = s->f->n_heads * s->f->head_dim;
    trdi_op op = s->op;
    trdi_op_attention *a = &op.u.attention;
    a->q.offset = a->y.offset = (size_t)(t * stride) * sizeof(float);
    a->rows.offset = a->positions.offset = (size_t)t * sizeof(int32_t);
    a->probabilities = (trdi_span){ NULL, 0 };
    const int32_t count = s->counts[s->rows[t]];
    s->counts[s->rows[t]] = s->positions[t] + 1;
    CHECK_OK(cl_rig_run(r, &op, 1));
    s->counts[s->rows[t]] = count;
    CHECK(memcmp((float *)cl_rig_got(r, s->y) + t * stride, whole + t * stride, (size_t)width * sizeof *whole) == 0);
}

static void same_bits(cl_rig *r)
{
    for (int i = 0; i < N_FORMS; i++) {
        form in_blocks = forms[i];
        if (!in_blocks.causal || (r->small && !in_blocks.small)) continue;
        in_blocks.block_tokens = 32;            /* the chunk of packed keys */
        in_blocks.paged = true;
        scene s;
        scene_fill(r, &s, &in_blocks);
        CHECK_OK(cl_rig_run(r, &s.op, s.n_tokens));
        float *whole = malloc((size_t)s.n_y * sizeof *whole);
        CHECK(whole != NULL);
        memcpy(whole, cl_rig_got(r, s.y), (size_t)s.n_y * sizeof *whole);
        for (int64_t t = 0; t < s.n_tokens; t += r->small ? 7 : 1 + t % 5) token_alone(r, &s, whole, t);
        if (!in_blocks.half) {
            s.op.u.attention.source = TRDI_KEYS_PACKED;
            CHECK_OK(cl_rig_run(r, &s.op, s.n_tokens));
            const int64_t stride = s.op.u.attention.y_stride, width = in_blocks.n_heads * in_blocks.head_dim;
            for (int64_t t = 0; t < s.n_tokens; t++) {
                CHECK(memcmp((float *)cl_rig_got(r, s.y) + t * stride, whole + t * stride, (size_t)width * sizeof *whole) == 0);
            }
        }
        free(whole);
        cl_rig_clear(r);
    }
}

/* A row without keys gives zeros, in the probabilities nothing. */
static void no_keys(cl_rig *r)
{
    scene s;
    scene_fill(r, &s, &forms[0]);
    s.counts[1] = 0;
    CHECK_OK(cl_rig_run(r, &s.op, s.n_tokens));
    const int64_t t = lengths(r)[0], stride = s.op.u.attention.y_stride;
    const float *y = cl_rig_got(r, s.y), *probabilities = cl_rig_got(r, s.probabilities);
    for (int64_t c = 0; c < s.f->n_heads * s.f->head_dim; c++) CHECK(y[t * stride + c] == 0.0f);
    CHECK(isnan(probabilities[t * PROBABILITIES]));
    cl_rig_clear(r);
}

static void test(cl_rig *r)
{
    against_reference(r);
    no_keys(r);
    same_bits(r);
}

int main(void)
{
    cl_rig_each("attention", test);
    return 0;
}
