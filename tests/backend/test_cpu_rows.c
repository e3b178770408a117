/* test_cpu_rows.c: operations whose rows are independent, against the reference, at awkward widths and strides. */
#include "backend_rig.h"

static const int64_t widths[] = { 1, 7, 15, 16, 17, 31, 33, 64, 100, 255 };
enum { N_WIDTHS = sizeof widths / sizeof widths[0], N = 5 };

static const int32_t positions[N] = { 0, 1, 7, 3, 5 };

/* Run op into got, its reference into want, and compare all of both. *y is the output's span inside op. */
static void compare(const rig *r, trdi_op *op, trdi_span *y, array *got, array *want, double tolerance)
{
    *y = span(want->data);
    CHECK_OK(reference_run(op, N));
    *y = span(got->data);
    CHECK_OK(rig_run(r, op, 0));                /* no rows: nothing happens */
    CHECK_OK(rig_run(r, op, N));
    check_close(r, trdi_op_name(op->kind), got->data, want->data, want->n, tolerance);
    array_free(got);
    array_free(want);
}

static void embed(rig *r)
{
    static const int32_t ids[N] = { 2, 0, 12, 5, 5 };
    for (int w = 0; w < N_WIDTHS; w++) {
        array rows = array_random(13 * widths[w]);
        void *table = rig_weight(r, TRDI_LAYOUT_EMBEDDING, &rows, 13, widths[w], NULL);
        for (int variant = 0; variant < 4; variant++) {
            trdi_op op = { .kind = TRDI_OP_EMBED, .count = TRDI_COUNT_TOKENS, .u.embed = {
                .table = table, .ids = span(ids), .positions = span(positions), .width = widths[w], .y_stride = widths[w] + variant,
                .scale = 1.7f, .accumulate = variant % 2 == 1, .zero_start = variant >= 2 } };
            array got = array_random(N * (widths[w] + variant)), want = array_copy(&got);
            compare(r, &op, &op.u.embed.y, &got, &want, 2e-7);
        }
        r->ops->weight_free(table);
        array_free(&rows);
    }
}

static void position_rows(rig *r)
{
    static const int32_t far[N] = { 0, 999999, 123456, 31, 4095 };
    for (int w = 0; w < N_WIDTHS; w++) {
        array table = array_random(8 * widths[w]);
        for (int generated = 0; generated < 2; generated++) {
            if (generated && (widths[w] % 2 != 0 || widths[w] < 4)) continue;
            trdi_op op = { .kind = TRDI_OP_POSITIONS, .count = TRDI_COUNT_TOKENS, .u.positions = {
                .table = span(generated ? NULL : table.data), .positions = span(generated ? far : positions), .width = widths[w] } };
            array got = array_random(N * widths[w]), want = array_copy(&got);
            compare(r, &op, &op.u.positions.y, &got, &want, 3e-7);
        }
        array_free(&table);
    }
}

static void norms(rig *r)
{
    for (int w = 0; w < N_WIDTHS; w++) {
        for (int variant = 0; variant < 8; variant++) {
            const int64_t groups = variant % 3 + 1, stride = widths[w] * groups + variant;
            array x = array_random(N * stride), gamma = array_random(widths[w]), beta = array_random(widths[w]);
            array residual = array_random(N * stride);
            for (int64_t i = 0; i < x.n; i++) x.data[i] += 3.0f;  /* a mean that would cancel */
            trdi_op op = { .kind = TRDI_OP_NORM, .count = TRDI_COUNT_TOKENS, .u.norm = {
                .x = span(x.data), .residual = span(variant & 1 ? residual.data : NULL), .gamma = span(gamma.data),
                .beta = span(variant & 2 ? beta.data : NULL), .width = widths[w], .n_groups = groups, .x_stride = stride,
                .y_stride = stride, .residual_stride = stride, .epsilon = 1e-5f, .scale = variant & 4 ? 0.5f : 1.0f,
                .gain_plus_one = (variant & 4) != 0 } };
            array got = array_new(N * stride), want = array_new(N * stride);
            array onto = array_copy(&x);
            op.u.norm.y = op.u.norm.x = span(onto.data);          /* in place */
            CHECK_OK(rig_run(r, &op, N));
            op.u.norm.x = span(x.data);
            op.u.norm.y = span(got.data);
            CHECK_OK(rig_run(r, &op, N));
            for (int64_t row = 0; row < N; row++) {
                check_same_bits("norm in place", onto.data + row * stride, got.data + row * stride, widths[w] * groups);
            }
            compare(r, &op, &op.u.norm.y, &got, &want, 4e-6);
            array_free(&x), array_free(&gamma), array_free(&beta), array_free(&residual), array_free(&onto);
        }
    }
}

static void maps(rig *r)
{
    static const float parameters[3] = { 1.5f, 30.0f, 0.7071f };
    for (int w = 0; w < N_WIDTHS; w++) {
        for (int f = 0; f < 3; f++) {
            array x = array_random(N * (widths[w] + 1)), z = array_random(N * (widths[w] + 2));
            for (int64_t i = 0; i < x.n; i++) x.data[i] *= 60.0f;
            trdi_op op = { .kind = TRDI_OP_MAP, .count = TRDI_COUNT_TOKENS, .u.map = {
                .function = (trdi_map_function)f, .x = span(x.data), .z = span(z.data), .width = widths[w], .x_stride = widths[w] + 1,
                .z_stride = widths[w] + 2, .y_stride = widths[w] + 3, .parameter = parameters[f] } };
            array got = array_new(N * (widths[w] + 3)), want = array_new(got.n);
            compare(r, &op, &op.u.map.y, &got, &want, 4e-7);
            array_free(&x), array_free(&z);
        }
    }
}

static void rotary(rig *r)
{
    static const int32_t far[N] = { 0, 1, 1000000, 4097, 777777 };
    static const int64_t dims[][2] = { { 2, 2 }, { 16, 16 }, { 17, 6 }, { 64, 32 }, { 100, 100 } };
    for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
        for (int variant = 0; variant < 4; variant++) {
            const int64_t stride = 3 * dims[d][0] + 1;
            array inverse = array_new(dims[d][1] / 2);
            for (int64_t i = 0; i < inverse.n; i++) {
                inverse.data[i] = (float)pow(10000.0, -2.0 * (double)i / (double)dims[d][1]);
            }
            trdi_op op = { .kind = TRDI_OP_ROTARY, .count = TRDI_COUNT_TOKENS, .u.rotary = {
                .positions = span(far), .inverse_frequencies = span(inverse.data), .n_heads = 3, .head_dim = dims[d][0],
                .dim = dims[d][1], .x_stride = stride, .magnitude = variant & 1 ? 1.19f : 1.0f, .interleave = (variant & 2) != 0 } };
            array got = array_random(N * stride), want = array_copy(&got);
            compare(r, &op, &op.u.rotary.x, &got, &want, 5e-7);
            array_free(&inverse);
        }
    }
}

static void cache(rig *r)
{
    enum { HEADS = 2, DIM = 7, BLOCK = 4, BLOCKS = 6, BYTES = 2 * HEADS * BLOCK * DIM * 4 + 12 };
    static const int32_t table[] = { 5, 1, 0, 3 }, offsets[2] = { 0, 2 };
    static const int32_t rows[N] = { 0, 0, 1, 1, 0 }, at[N] = { 3, 4, 0, 7, 5 }, copies[] = { 1, 2, 2, 4, 5, 1 };
    array k = array_random(N * (HEADS * DIM + 2)), v = array_random(k.n);
    array got = array_random(BLOCKS * BYTES / 4), want = array_copy(&got);
    trdi_op op = { .kind = TRDI_OP_KV_APPEND, .count = TRDI_COUNT_TOKENS, .u.kv_append = {
        .kv = { .layer_offset = 4, .block_stride = BYTES, .block_tokens = BLOCK, .n_heads_kv = HEADS, .head_dim = DIM,
                .table = span(table), .table_offsets = span(offsets) },
        .k = span(k.data), .v = span(v.data), .stride = HEADS * DIM + 2, .rows = span(rows), .positions = span(at) } };
    op.u.kv_append.kv.pool = span(want.data);
    CHECK_OK(reference_run(&op, N));
    op.u.kv_append.kv.pool = span(got.data);
    CHECK_OK(rig_run(r, &op, N));
    check_same_bits("kv_append", got.data, want.data, want.n);
    /* Token 4 is row 0, position 5: block table[1] = 1, slot 1; key of head 1 after 1 float, 4 slots of head 0, 1 slot. */
    check_same_bits("where a key goes", got.data + BYTES / 4 + 1 + (BLOCK + 1) * DIM, k.data + 4 * (HEADS * DIM + 2) + DIM, DIM);
    trdi_op copy = { .kind = TRDI_OP_KV_COPY, .count = TRDI_COUNT_COPIES, .u.kv_copy = { .block_stride = BYTES, .copies = span(copies) } };
    copy.u.kv_copy.pool = span(want.data);
    CHECK_OK(reference_run(&copy, 3));
    copy.u.kv_copy.pool = span(got.data);
    CHECK_OK(rig_run(r, &copy, 3));
    check_same_bits("kv_copy", got.data, want.data, want.n);
    check_same_bits("a chain of copies", got.data + 4 * BYTES / 4, got.data + 2 * BYTES / 4, BYTES / 4);
    array_free(&k), array_free(&v), array_free(&got), array_free(&want);
}

static void gather(rig *r)
{
    static const int32_t indices[N] = { 7, 0, 3, 3, 1 };
    for (int w = 0; w < N_WIDTHS; w++) {
        array x = array_random(8 * (widths[w] + 1));
        trdi_op op = { .kind = TRDI_OP_GATHER, .count = TRDI_COUNT_OUTPUTS, .u.gather = {
            .x = span(x.data), .indices = span(indices), .width = widths[w], .x_stride = widths[w] + 1, .y_stride = widths[w] + 2 } };
        array got = array_new(N * (widths[w] + 2)), want = array_new(got.n);
        compare(r, &op, &op.u.gather.y, &got, &want, 0.0);
        array_free(&x);
    }
}

static void edits(rig *r)
{
    static const trdi_edit list[] = { { 0, 0, TRDI_EDIT_PENALISE, 1.5f }, { 0, 0, TRDI_EDIT_PENALISE, 2.0f }, { 2, 3, TRDI_EDIT_SET, 9.0f },
                                      { 2, 3, TRDI_EDIT_PENALISE, 2.0f }, { 4, 99, TRDI_EDIT_SET, -INFINITY }, { 4, -1, TRDI_EDIT_SET, 1.0f },
                                      { 4, 100, TRDI_EDIT_SET, 1.0f } };
    static const int32_t starts[N + 1] = { 0, 2, 2, 4, 4, 7 }, masks[N] = { -1, 0, 1, 1, -1 };
    enum { WIDTH = 100, STRIDE = 103, WORDS = 5 };
    uint32_t bits[2 * WORDS];
    for (uint32_t i = 0; i < 2 * WORDS; i++) bits[i] = i == 2 ? UINT32_MAX : 2654435761u * (i + 1);
    trdi_op op = { .kind = TRDI_OP_EDIT, .count = TRDI_COUNT_OUTPUTS, .u.edit = {
        .edits = span(list), .edit_starts = span(starts), .masks = span(masks), .mask_bits = span(bits), .width = WIDTH,
        .stride = STRIDE, .mask_words = WORDS } };
    array got = array_random(N * STRIDE), want = array_copy(&got), before = array_copy(&got);
    compare(r, &op, &op.u.edit.logits, &got, &want, 0.0);
    array again = array_copy(&before);
    op.u.edit.logits = span(again.data);
    CHECK_OK(rig_run(r, &op, N));
    CHECK(again.data[2 * STRIDE + 3] == 4.5f && isinf(again.data[4 * STRIDE + 99]));
    CHECK((isinf(again.data[STRIDE + 1]) != 0) == ((bits[0] >> 1 & 1) == 0));
    array_free(&before), array_free(&again);
}

static void log_softmax(rig *r)
{
    for (int w = 0; w < N_WIDTHS; w++) {
        const trdi_row_norm p[N] = { { .mode = TRDI_NORMALISE_LOG_SOFTMAX }, { .mode = TRDI_NORMALISE_NONE },
                                     { .mode = TRDI_NORMALISE_BIASED, .bias_id = (int32_t)widths[w] - 1, .beta = 0.3f },
                                     { .mode = TRDI_NORMALISE_LOG_SOFTMAX }, { .mode = TRDI_NORMALISE_LOG_SOFTMAX } };
        const int64_t stride = widths[w] + 1;
        array x = array_random(N * stride);
        for (int64_t i = 0; i < x.n; i++) x.data[i] *= 20.0f;
        for (int64_t i = 0; i < widths[w]; i++) {
            x.data[3 * stride + i] = -INFINITY;
            x.data[4 * stride + i] = i % 3 == 1 ? -INFINITY : -3.4e38f;
        }
        trdi_op op = { .kind = TRDI_OP_LOG_SOFTMAX, .count = TRDI_COUNT_OUTPUTS, .u.log_softmax = {
            .x = span(x.data), .parameters = span(p), .width = widths[w], .stride = stride } };
        array got = array_new(N * stride), want = array_new(N * stride), onto = array_copy(&x);
        op.u.log_softmax.x = op.u.log_softmax.y = span(onto.data);
        CHECK_OK(rig_run(r, &op, N));
        CHECK_NEAR(onto.data[3 * stride], -log((double)widths[w]), 1e-6);
        op.u.log_softmax.x = span(x.data);
        compare(r, &op, &op.u.log_softmax.y, &got, &want, 1e-6);
        array_free(&x), array_free(&onto);
    }
}

/* Kernels of all sets with fma agree bit for bit on rows of every width. */
static void same_bits(void)
{
    const char *names[3];
    const int n = rig_isas(names);
    const trdi_cpu_kernels *first = NULL;
    for (int i = 0; i < n; i++) {
        const trdi_cpu_kernels *k = trdi_cpu_kernels_find(names[i]);
        if (strcmp(names[i], "generic") == 0) continue;
        if (first == NULL) first = k;
        for (int64_t width = 1; width < 300; width += 13) {
            array x = array_random(width), g = array_random(width), a = array_new(width), b = array_new(width);
            const trdi_norm_job job = { .gamma = g.data, .beta = g.data, .width = width, .epsilon = 1e-5f, .scale = 1.0f };
            const trdi_row_rule rule = { .mode = 2, .bias_id = 0, .beta = 0.25f };
            first->norm(&job, x.data, a.data, NULL);
            k->norm(&job, x.data, b.data, NULL);
            check_same_bits("norm", b.data, a.data, width);
            first->log_softmax(x.data, a.data, width, &rule);
            k->log_softmax(x.data, b.data, width, &rule);
            check_same_bits("log_softmax", b.data, a.data, width);
            array_free(&x), array_free(&g), array_free(&a), array_free(&b);
        }
    }
}

static void all(rig *r)
{
    embed(r);
    position_rows(r);
    norms(r);
    maps(r);
    rotary(r);
    cache(r);
    gather(r);
    edits(r);
    log_softmax(r);
}

int main(void)
{
    rig_each(all);
    same_bits();
    return 0;
}
