/*
 * test_reference_types.c: the reference of weights in f16 and i8 and of keys and values in f16, against the formulas said once more
 * here; what plans of the CPU back end take of them and what they refuse.
 */
#include "backend_rig.h"
#include "core/half.h"

/* A weight given in floats and as integers with scales. */
typedef struct typed_rows {
    array   values;
    int8_t *integers;
    float  *scales;
    int64_t rows, cols;
} typed_rows;

static void read_f32(const void *context, int64_t first, int64_t n, float *out)
{
    const typed_rows *t = context;
    memcpy(out, t->values.data + first * t->cols, (size_t)(n * t->cols) * sizeof *out);
}

static void read_i8(const void *context, int64_t first, int64_t n, int8_t *out, float *scales)
{
    const typed_rows *t = context;
    memcpy(out, t->integers + first * t->cols, (size_t)(n * t->cols));
    memcpy(scales, t->scales + first, (size_t)n * sizeof *scales);
}

static typed_rows rows_new(int64_t rows, int64_t cols)
{
    typed_rows t = { .values = array_random(rows * cols), .rows = rows, .cols = cols };
    t.integers = malloc((size_t)(rows * cols));
    t.scales = malloc((size_t)rows * sizeof *t.scales);
    CHECK(t.integers != NULL && t.scales != NULL);
    for (int64_t i = 0; i < rows * cols; i++) t.integers[i] = (int8_t)(rig_uniform() * 127.9f);
    for (int64_t r = 0; r < rows; r++) t.scales[r] = 90.0f + 50.0f * rig_uniform();
    return t;
}

static void rows_free(typed_rows *t)
{
    array_free(&t->values);
    free(t->integers);
    free(t->scales);
}

static trdi_weight_source source_of(const typed_rows *t, trdi_weight_layout layout, trd_dtype dtype, const float *bias)
{
    return (trdi_weight_source){ .layout = layout, .dtype = dtype, .rows = t->rows, .cols = t->cols, .read = read_f32,
                                 .read_i8 = dtype == TRD_DTYPE_I8 ? read_i8 : NULL, .context = t, .bias = bias };
}

static void *prepare(const rig *r, const trdi_weight_source *source)
{
    void *weight, *again;
    CHECK_OK(r->ops->weight_prepare(r->device, source, &weight));
    /* Bytes prepared earlier make the same weight. */
    const size_t bytes = r->ops->weight_bytes(r->device, source);
    void *kept = aligned_alloc(64, (bytes + 63) / 64 * 64);
    CHECK(kept != NULL);
    memcpy(kept, r->ops->weight_data(weight), bytes);
    trdi_weight_source from_kept = *source;
    from_kept.prepared = kept;
    CHECK_OK(r->ops->weight_prepare(r->device, &from_kept, &again));
    const trdi_cpu_weight *a = weight, *b = again;
    CHECK(a->dtype == source->dtype && b->dtype == source->dtype && (a->scales == NULL) == (b->scales == NULL));
    if (a->scales != NULL) CHECK(memcmp(a->scales, b->scales, (size_t)source->rows * sizeof(float)) == 0);
    CHECK((a->bias == NULL) == (b->bias == NULL) && memcmp(a->data, b->data, bytes) == 0);
    r->ops->weight_free(again);
    free(kept);
    return weight;
}

static trdi_op linear_op(void *weight, const array *x, const array *y, int64_t in, int64_t out)
{
    return (trdi_op){ .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS, .u.linear = {
        .weight = weight, .x = span(x->data), .y = span(y->data), .in = in, .out = out, .x_stride = in, .y_stride = out, .activation = -1 } };
}

static float i8_element(const typed_rows *t, const float *x, bool truncate, float bias, int64_t o)
{
    float most = 0.0f;
    int32_t sum = 0;
    for (int64_t k = 0; k < t->cols; k++) most = fmaxf(most, fabsf(x[k]));
    const float a = most == 0.0f ? 1.0f : 127.0f / most;
    for (int64_t k = 0; k < t->cols; k++) {
        const float scaled = x[k] * a;
        sum += (int32_t)(truncate ? truncf(scaled) : rintf(scaled)) * t->integers[o * t->cols + k];
    }
    return (float)sum * (1.0f / a) / t->scales[o] + bias;
}

/* Row 1 is all zeros; row 2 holds ties, which go to even. */
static void linear_i8(rig *r)
{
    static const int64_t sizes[][2] = { { 1, 1 }, { 7, 3 }, { 64, 16 }, { 100, 33 }, { 255, 17 } };
    enum { M = 4 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const int64_t in = sizes[i][0], out = sizes[i][1];
        typed_rows rows = rows_new(out, in);
        array bias = array_random(out), x = array_random(M * in), y = array_new(M * out);
        for (int64_t k = 0; k < in; k++) {
            x.data[in + k] = 0.0f;
            x.data[2 * in + k] = k == 0 ? 127.0f : (float)(k % 7) + 0.5f;
        }
        for (int truncate = 0; truncate < 2; truncate++) {
            trdi_weight_source source = source_of(&rows, TRDI_LAYOUT_LINEAR, TRD_DTYPE_I8, bias.data);
            source.truncate = truncate != 0;
            void *weight = prepare(r, &source);
            const trdi_op op = linear_op(weight, &x, &y, in, out);
            CHECK_OK(reference_run(&op, M));
            for (int64_t row = 0; row < M; row++) {
                for (int64_t o = 0; o < out; o++)
                    CHECK_NEAR(y.data[row * out + o], i8_element(&rows, x.data + row * in, truncate != 0, bias.data[o], o), 1e-6);
            }
            CHECK_FAILS(rig_run(r, &op, M), TRD_E_UNSUPPORTED, "the weight is i8");
            CHECK(!r->ops->supports(r->device, &op));
            r->ops->weight_free(weight);
        }
        array_free(&bias);
        array_free(&x);
        array_free(&y);
        rows_free(&rows);
    }
}

/* Plans take f16 weights: they are the rounded values in f32. */
static void linear_f16(rig *r)
{
    enum { M = 5, IN = 70, OUT = 35 };
    typed_rows rows = rows_new(OUT, IN);
    array bias = array_random(OUT), x = array_random(M * IN), y = array_new(M * OUT), reference = array_new(M * OUT);
    const trdi_weight_source source = source_of(&rows, TRDI_LAYOUT_LINEAR, TRD_DTYPE_F16, bias.data);
    void *weight = prepare(r, &source);
    trdi_op op = linear_op(weight, &x, &y, IN, OUT);
    CHECK_OK(rig_run(r, &op, M));
    op.u.linear.y = span(reference.data);
    CHECK_OK(reference_run(&op, M));
    for (int64_t row = 0; row < M; row++) {
        for (int64_t o = 0; o < OUT; o++) {
            double sum = (double)bias.data[o];
            for (int64_t k = 0; k < IN; k++) sum += (double)x.data[row * IN + k] * (double)trdi_round_to_half(rows.values.data[o * IN + k]);
            CHECK_NEAR(reference.data[row * OUT + o], sum, 1e-6);
        }
    }
    check_close(r, "linear with f16 weights", y.data, reference.data, y.n, 2e-5);
    r->ops->weight_free(weight);
    array_free(&bias);
    array_free(&x);
    array_free(&y);
    array_free(&reference);
    rows_free(&rows);
}

static void embed(rig *r)
{
    enum { N = 3, WIDTH = 9, ROWS = 70 };
    static const int32_t ids[N] = { 69, 0, 31 };
    typed_rows rows = rows_new(ROWS, WIDTH);
    array y = array_new(N * WIDTH);
    for (int i = 0; i < 2; i++) {
        const trd_dtype dtype = i == 0 ? TRD_DTYPE_I8 : TRD_DTYPE_F16;
        const trdi_weight_source source = source_of(&rows, TRDI_LAYOUT_EMBEDDING, dtype, NULL);
        void *table = prepare(r, &source);
        const trdi_op op = { .kind = TRDI_OP_EMBED, .count = TRDI_COUNT_TOKENS, .u.embed = {
            .table = table, .ids = span(ids), .y = span(y.data), .width = WIDTH, .y_stride = WIDTH, .scale = 3.0f } };
        array_poison(&y);
        if (dtype == TRD_DTYPE_I8) CHECK_FAILS(rig_run(r, &op, N), TRD_E_UNSUPPORTED, "the table is i8");
        else CHECK_OK(rig_run(r, &op, N));
        CHECK_OK(reference_run(&op, N));
        for (int64_t e = 0; e < N * WIDTH; e++) {
            const int64_t at = ids[e / WIDTH] * WIDTH + e % WIDTH;
            const float stored = dtype == TRD_DTYPE_I8 ? (float)rows.integers[at] / rows.scales[ids[e / WIDTH]]
                                                       : trdi_round_to_half(rows.values.data[at]);
            CHECK(y.data[e] == 3.0f * stored);
        }
        r->ops->weight_free(table);
    }
    array_free(&y);
    rows_free(&rows);
}

enum { HEADS = 2, DIM = 5, TOKENS = 4, POSITIONS = 7, BLOCKS = 3, LAYER_OFFSET = 64, STRIDE = HEADS * DIM };

/* Appending to f16 blocks and attending to them is what f32 blocks give for keys and values that were rounded before. */
static void kv_f16(rig *r)
{
    static const int32_t table[2] = { 2, 0 }, zero = 0, zeros[POSITIONS], positions[POSITIONS] = { 0, 1, 2, 3, 4, 5, 6 }, count = POSITIONS;
    array k = array_random(POSITIONS * STRIDE), v = array_random(POSITIONS * STRIDE), q = array_random(POSITIONS * STRIDE);
    array pools[2], y[2] = { array_new(q.n), array_new(q.n) };
    array rounded[2] = { array_copy(&k), array_copy(&v) };
    for (int64_t i = 0; i < k.n; i++) {
        rounded[0].data[i] = trdi_round_to_half(k.data[i]);
        rounded[1].data[i] = trdi_round_to_half(v.data[i]);
    }
    for (int i = 0; i < 2; i++) {
        const trd_dtype dtype = i == 0 ? TRD_DTYPE_F16 : TRD_DTYPE_F32;
        const size_t stride = LAYER_OFFSET + 2 * TOKENS * STRIDE * trd_dtype_bytes(dtype);
        pools[i] = array_new((int64_t)(BLOCKS * stride / sizeof(float)));
        const trdi_kv_layout kv = { .pool = span(pools[i].data), .dtype = dtype, .layer_offset = LAYER_OFFSET, .block_stride = stride,
                                    .block_tokens = TOKENS, .n_heads_kv = HEADS, .head_dim = DIM, .table = span(table),
                                    .table_offsets = span(&zero) };
        trdi_op append = { .kind = TRDI_OP_KV_APPEND, .count = TRDI_COUNT_TOKENS, .u.kv_append = {
            .kv = kv, .k = span(i == 0 ? k.data : rounded[0].data), .v = span(i == 0 ? v.data : rounded[1].data), .stride = STRIDE,
            .rows = span(zeros), .positions = span(positions) } };
        trdi_op attention = { .kind = TRDI_OP_ATTENTION, .count = TRDI_COUNT_TOKENS, .u.attention = {
            .source = TRDI_KEYS_PAGED, .q = span(q.data), .y = span(y[i].data), .key_counts = span(&count), .kv = kv, .rows = span(zeros),
            .positions = span(positions), .n_heads = HEADS, .n_heads_kv = HEADS, .head_dim = DIM, .q_stride = STRIDE, .y_stride = STRIDE,
            .scale = 0.4f, .causal = true } };
        CHECK_OK(reference_run(&append, POSITIONS));
        CHECK_OK(reference_run(&attention, POSITIONS));
        CHECK(r->ops->supports(r->device, &append) == (dtype == TRD_DTYPE_F32));
        CHECK(r->ops->supports(r->device, &attention) == (dtype == TRD_DTYPE_F32));
        if (dtype != TRD_DTYPE_F16) continue;
        CHECK_FAILS(rig_run(r, &append, POSITIONS), TRD_E_UNSUPPORTED, "keys and values are not f32");
        CHECK_FAILS(rig_run(r, &attention, POSITIONS), TRD_E_UNSUPPORTED, "keys and values are not f32");
        /* Position 5, head 1, channel 2: slot 1 of block 0, which lies first; the value plane follows the key plane. */
        const uint16_t *block = (const uint16_t *)(const void *)((const char *)pools[0].data + LAYER_OFFSET);
        CHECK_INT(block[(1 * TOKENS + 1) * DIM + 2], trdi_float_to_half(k.data[5 * STRIDE + DIM + 2]));
        CHECK_INT(block[HEADS * TOKENS * DIM + (1 * TOKENS + 1) * DIM + 2], trdi_float_to_half(v.data[5 * STRIDE + DIM + 2]));
    }
    check_same_bits("attention to f16 blocks", y[0].data, y[1].data, q.n);
    for (int i = 0; i < 2; i++) {
        array_free(&pools[i]);
        array_free(&y[i]);
        array_free(&rounded[i]);
    }
    array_free(&k);
    array_free(&v);
    array_free(&q);
}

/* Merged attention with f16 memory is refused by plans though its own keys are f32. */
static void memory_f16(rig *r)
{
    array q = array_random(4);
    static const int32_t zero = 0, one = 1;
    const trdi_kv_layout own = { .pool = span(q.data), .block_stride = 64, .block_tokens = 1, .n_heads_kv = 1, .head_dim = 4,
                                 .table = span(&zero), .table_offsets = span(&zero) };
    trdi_op op = { .kind = TRDI_OP_ATTENTION, .count = TRDI_COUNT_TOKENS, .u.attention = {
        .source = TRDI_KEYS_PAGED, .q = span(q.data), .y = span(q.data), .key_counts = span(&one), .kv = own, .memory_kv = own,
        .memory_counts = span(&one), .rows = span(&zero), .positions = span(&zero), .n_heads = 1, .n_heads_kv = 1, .head_dim = 4,
        .q_stride = 4, .y_stride = 4, .scale = 1.0f } };
    CHECK(r->ops->supports(r->device, &op));
    op.u.attention.memory_kv.dtype = TRD_DTYPE_F16;
    CHECK(!r->ops->supports(r->device, &op));
    array_free(&q);
}

static void refused_sources(rig *r)
{
    typed_rows rows = rows_new(3, 4);
    void *weight;
    trdi_weight_source source = source_of(&rows, TRDI_LAYOUT_LINEAR, TRD_DTYPE_BF16, NULL);
    CHECK_FAILS(r->ops->weight_prepare(r->device, &source, &weight), TRD_E_UNSUPPORTED, "bf16");
    source.dtype = TRD_DTYPE_I8;
    CHECK_FAILS(r->ops->weight_prepare(r->device, &source, &weight), TRD_E_INVALID, "no function");
    CHECK(weight == NULL);
    rows_free(&rows);
}

int main(void)
{
    rig r = rig_open("generic", 1);
    linear_i8(&r);
    linear_f16(&r);
    embed(&r);
    kv_f16(&r);
    memory_f16(&r);
    refused_sources(&r);
    rig_close(&r);
    return 0;
}
