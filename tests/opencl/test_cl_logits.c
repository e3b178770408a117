/* test_cl_logits.c: edits, masks and log-softmax on OpenCL against the definition; a row's bits are its own. */
#include "opencl/cl_rig.h"

/* ---- EDIT ---- */

/* mask_bits: all allowed, about half, none. */
static uint32_t *make_masks(cl_rig *r, int64_t words)
{
    uint32_t *bits = cl_rig_array(r, (size_t)(3 * words) * sizeof *bits, TRDI_MEMORY_STEP);
    for (int64_t w = 0; w < words; w++) {
        bits[w] = UINT32_MAX;
        bits[words + w] = w % 3 == 0 ? UINT32_MAX : cl_rig_bits();
    }
    return bits;
}

static trdi_edit one_edit(int32_t row, int64_t width)
{
    static const float values[] = { 1.3f, 0.5f, -INFINITY, 7.0f };
    const uint32_t bits = cl_rig_bits();
    const int32_t id = bits % 16 == 0 ? (int32_t)width : bits % 16 == 1 ? -1 : (int32_t)(bits / 16 % (uint32_t)width);   /* some are nowhere */
    const int32_t kind = (int32_t)(bits >> 30 & 1);
    return (trdi_edit){ .row = row, .id = id, .kind = kind, .value = kind == TRDI_EDIT_SET ? values[bits >> 28 & 3] : values[bits >> 28 & 1] };
}

static void edit_case(cl_rig *r, int64_t n, int64_t width, int per_row, bool masked)
{
    const int64_t stride = width + 2, words = (width + 31) / 32 + 1;
    float *logits = cl_rig_floats(r, n * stride);
    trdi_edit *edits = cl_rig_array(r, (size_t)(n * per_row + 1) * sizeof *edits, TRDI_MEMORY_STEP);
    int32_t *starts = cl_rig_ints(r, n + 1), *masks = cl_rig_ints(r, n);
    uint32_t *bits = make_masks(r, words);
    int32_t n_edits = 0;
    for (int32_t row = 0; row < n; row++) {
        starts[row] = n_edits;
        masks[row] = row % 4 - 1;
        for (int i = 0; row % 3 != 1 && i < per_row; i++) {
            edits[n_edits] = one_edit(row, width);
            if (i % 5 == 4) edits[n_edits].id = edits[n_edits - 1].id;     /* the same again: order matters */
            n_edits++;
        }
    }
    starts[n] = n_edits;
    const trdi_op op = { .kind = TRDI_OP_EDIT, .count = TRDI_COUNT_OUTPUTS, .u.edit = {
        .logits = cl_span(logits), .edits = cl_span(edits), .edit_starts = cl_span(starts), .masks = cl_span(masked ? masks : NULL),
        .mask_bits = cl_span(masked ? bits : NULL), .width = width, .stride = stride, .mask_words = masked ? words : 0 } };
    CHECK_OK(cl_rig_run(r, &op, n));
    cl_rig_reference(&op, n);
    cl_rig_check(r, "edit", logits, n * stride, 3e-7);
    cl_rig_clear(r);
}

static void edits(cl_rig *r)
{
    static const int64_t sizes[][2] = { { 1, 1 }, { 2, 31 }, { 5, 33 }, { 4, 64 }, { 3, 257 }, { 6, 1000 }, { 2, 5003 } };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] - (r->small ? 1 : 0); i++) {
        edit_case(r, sizes[i][0], sizes[i][1], 0, false);
        edit_case(r, sizes[i][0], sizes[i][1], 0, true);
        edit_case(r, sizes[i][0], sizes[i][1], 40, i % 2 == 0);
    }
}

/* ---- LOG_SOFTMAX ---- */

/* Row kinds: plain, all -infinity, all equal, one allowed, some forbidden, large. */
static void fill_row(float *x, int64_t width, int kind)
{
    for (int64_t c = 0; c < width; c++) {
        if (kind == 1 || (kind == 3 && c != width / 2) || (kind == 4 && c % 3 == 0)) x[c] = -INFINITY;
        else if (kind == 2) x[c] = 4.25f;
        else x[c] *= kind == 5 ? 500.0f : 8.0f;
    }
}

static void softmax_case(cl_rig *r, int64_t n, int64_t width, bool in_place)
{
    const int64_t stride = width + 3;
    float *x = cl_rig_floats(r, n * stride), *y = in_place ? x : cl_rig_poisoned(r, n * stride);
    trdi_row_norm *rules = cl_rig_array(r, (size_t)n * sizeof *rules, TRDI_MEMORY_STEP);
    for (int64_t row = 0; row < n; row++) {
        fill_row(x + row * stride, width, (int)(row % 6));
        rules[row] = (trdi_row_norm){ .mode = (int32_t)((row + row / 6 + 1) % 3), .bias_id = (int32_t)(row * 7 % (width + 1)), .beta = row % 2 == 0 ? 0.25f : 0.9f };
    }
    const trdi_op op = { .kind = TRDI_OP_LOG_SOFTMAX, .count = TRDI_COUNT_OUTPUTS, .u.log_softmax = {
        .x = cl_span(x), .y = cl_span(y), .parameters = cl_span(rules), .width = width, .stride = stride } };
    CHECK_OK(cl_rig_run(r, &op, n));
    float *among = malloc((size_t)width * sizeof *among);
    CHECK(among != NULL);
    const int64_t last = n - 1;
    memcpy(among, (const float *)cl_rig_got(r, y) + last * stride, (size_t)width * sizeof *among);

    trdi_op alone = op;         /* the last row by itself */
    alone.u.log_softmax.x = cl_span(x + last * stride);
    alone.u.log_softmax.y = cl_span(y + last * stride);
    alone.u.log_softmax.parameters = cl_span(rules + last);
    CHECK_OK(cl_rig_run(r, &alone, 1));
    CHECK(memcmp(among, (const float *)cl_rig_got(r, y) + last * stride, (size_t)width * sizeof *among) == 0);
    free(among);

    CHECK_OK(cl_rig_run(r, &op, n));
    cl_rig_reference(&op, n);
    cl_rig_check(r, "log_softmax", y, n * stride, 2e-6);
    cl_rig_clear(r);
}

/* Rows that ask for nothing: copied, or left alone. */
static void untouched(cl_rig *r)
{
    float *x = cl_rig_floats(r, 60), *y = cl_rig_poisoned(r, 60);
    trdi_row_norm *rules = cl_rig_array(r, 3 * sizeof *rules, TRDI_MEMORY_STEP);
    trdi_op op = { .kind = TRDI_OP_LOG_SOFTMAX, .count = TRDI_COUNT_OUTPUTS, .u.log_softmax = {
        .x = cl_span(x), .y = cl_span(y), .parameters = cl_span(rules), .width = 18, .stride = 20 } };
    CHECK_OK(cl_rig_run(r, &op, 3));
    for (int i = 0; i < 60; i++) CHECK(i % 20 >= 18 ? isnan(((const float *)cl_rig_got(r, y))[i]) : ((const float *)cl_rig_got(r, y))[i] == x[i]);
    op.u.log_softmax.y = op.u.log_softmax.x;
    CHECK_OK(cl_rig_run(r, &op, 3));
    CHECK(memcmp(x, cl_rig_got(r, x), 60 * sizeof *x) == 0);
    cl_rig_clear(r);
}

static void softmaxes(cl_rig *r)
{
    static const int64_t sizes[][2] = { { 1, 1 }, { 6, 7 }, { 12, 16 }, { 7, 255 }, { 6, 1000 }, { 1, 4096 }, { 6, 4097 }, { 3, 13001 } };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] - (r->small ? 2 : 0); i++) {
        softmax_case(r, sizes[i][0], sizes[i][1], false);
        softmax_case(r, sizes[i][0], sizes[i][1], true);
    }
}

static void test(cl_rig *r)
{
    edits(r);
    softmaxes(r);
    untouched(r);
}

int main(void)
{
    cl_rig_each("logits", test);
    return 0;
}
