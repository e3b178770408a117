/* test_cl_rows.c: operations whose rows are independent, on OpenCL, against the reference, at awkward widths and strides; a row alone has the
 * bits that it has among others. */
#include "opencl/cl_rig.h"

/* Around the vectors, the groups and the pieces of rows. */
static const int64_t all_widths[] = { 1, 7, 16, 17, 64, 100, 255, 257, 512, 4097 };
static const int64_t few_widths[] = { 7, 34, 260 };
enum { N = 5 };
static const int32_t near[N] = { 0, 1, 7, 3, 5 };

static size_t widths(const cl_rig *r, const int64_t **list)
{
    *list = r->small ? few_widths : all_widths;
    return r->small ? sizeof few_widths / sizeof few_widths[0] : sizeof all_widths / sizeof all_widths[0];
}

/* Of the variants of an operation, slow implementations run some. */
static bool skipped(const cl_rig *r, int variant)
{
    return r->small && variant != 1 && variant != 2 && variant != 7;
}

static int32_t *ints(cl_rig *r, const int32_t *from, int64_t n)
{
    int32_t *x = cl_rig_ints(r, n);
    memcpy(x, from, (size_t)n * sizeof *x);
    return x;
}

/* Run over N rows into y [n_elements], whose contents before are the operation's, and compare all of it. */
static void compare(cl_rig *r, const trdi_op *op, float *y, int64_t n_elements, double tolerance)
{
    CHECK_OK(cl_rig_run(r, op, N));
    cl_rig_reference(op, N);
    cl_rig_check(r, trdi_op_name(op->kind), y, n_elements, tolerance);
}

/* The bits that rows first .. first + n - 1 of y get in one run of all rows, and in one of these alone, are the same. */
static void same_alone(cl_rig *r, const trdi_op *op, const trdi_op *alone, float *y, int64_t elements)
{
    CHECK_OK(cl_rig_run(r, op, N));
    float *whole = malloc((size_t)elements * sizeof *whole);
    CHECK(whole != NULL);
    memcpy(whole, cl_rig_got(r, y), (size_t)elements * sizeof *whole);
    CHECK_OK(cl_rig_run(r, alone, 1));
    CHECK(memcmp(whole, cl_rig_got(r, y), (size_t)elements * sizeof *whole) == 0);
    free(whole);
}

static trdi_span moved(trdi_span span, int64_t elements)
{
    if (span.buffer != NULL) span.offset += (size_t)elements * 4;
    return span;
}

static void embed(cl_rig *r, trd_dtype dtype)
{
    static const int32_t list[N] = { 2, 0, 12, 5, 5 };
    const int64_t *w;
    const size_t n_widths = widths(r, &w);
    for (size_t i = 0; i < n_widths; i++) {
        float *rows = malloc((size_t)(13 * w[i]) * sizeof *rows);
        CHECK(rows != NULL);
        for (int64_t k = 0; k < 13 * w[i]; k++) rows[k] = cl_rig_uniform();
        for (int variant = 0; variant < 4; variant++) {
            if (skipped(r, variant)) continue;
            void *table = cl_rig_weight(r, TRDI_LAYOUT_EMBEDDING, dtype, false, rows, 13, w[i], NULL);
            float *y = cl_rig_floats(r, N * (w[i] + variant));
            const trdi_op op = { .kind = TRDI_OP_EMBED, .count = TRDI_COUNT_TOKENS, .u.embed = {
                .table = table, .ids = cl_span(ints(r, list, N)), .positions = cl_span(ints(r, near, N)), .y = cl_span(y), .width = w[i],
                .y_stride = w[i] + variant, .scale = 1.7f, .accumulate = variant % 2 == 1, .zero_start = variant >= 2 } };
            compare(r, &op, y, N * (w[i] + variant), 3e-7);
            cl_rig_clear(r);
        }
        free(rows);
    }
}

static void position_rows(cl_rig *r)
{
    static const int32_t far[N] = { 0, 1048575, 123456, 31, 4095 };
    const int64_t *w;
    const size_t n_widths = widths(r, &w);
    for (size_t i = 0; i < n_widths; i++) {
        for (int generated = 0; generated < 2; generated++) {
            if (generated && (w[i] % 2 != 0 || w[i] < 4)) continue;
            float *y = cl_rig_floats(r, N * w[i]), *table = cl_rig_floats(r, 8 * w[i]);
            trdi_op op = { .kind = TRDI_OP_POSITIONS, .count = TRDI_COUNT_TOKENS, .u.positions = {
                .table = cl_span(generated ? NULL : table), .positions = cl_span(ints(r, generated ? far : near, N)), .y = cl_span(y),
                .width = w[i] } };
            compare(r, &op, y, N * w[i], 3e-7);
            cl_rig_clear(r);
        }
    }
}

static void norm(cl_rig *r, int64_t width, int variant)
{
    const int64_t groups = variant % 3 + 1, stride = width * groups + variant;
    float *x = cl_rig_floats(r, N * stride), *residual = cl_rig_floats(r, N * stride), *y = cl_rig_poisoned(r, N * stride);
    float *gamma = cl_rig_floats(r, width), *beta = cl_rig_floats(r, width);
    for (int64_t i = 0; i < N * stride; i++) x[i] += 3.0f;       /* a mean that would cancel */
    trdi_op op = { .kind = TRDI_OP_NORM, .count = TRDI_COUNT_TOKENS, .u.norm = {
        .x = cl_span(x), .y = cl_span(y), .residual = cl_span(variant & 1 ? residual : NULL), .gamma = cl_span(gamma),
        .beta = cl_span(variant & 2 ? beta : NULL), .width = width, .n_groups = groups, .x_stride = stride, .y_stride = stride,
        .residual_stride = stride, .epsilon = 1e-5f, .scale = variant & 4 ? 0.5f : 1.0f, .gain_plus_one = (variant & 4) != 0 } };
    trdi_op alone = op;                                          /* row 3 */
    alone.u.norm.x = moved(op.u.norm.x, 3 * stride);
    alone.u.norm.residual = moved(op.u.norm.residual, 3 * stride);
    alone.u.norm.y = moved(op.u.norm.y, 3 * stride);
    same_alone(r, &op, &alone, y + 3 * stride, width * groups);
    compare(r, &op, y, N * stride, 4e-6);
    trdi_op onto = op;                                           /* y may be x, or the residual: the same bits */
    float *into[2] = { x, residual };
    for (int k = 0; k < 2; k++) {
        onto.u.norm.y = cl_span(into[k]);
        float *want = malloc((size_t)(width * groups) * sizeof *want);
        CHECK(want != NULL);
        memcpy(want, (float *)cl_rig_got(r, y) + 2 * stride, (size_t)(width * groups) * sizeof *want);
        CHECK_OK(cl_rig_run(r, &onto, N));
        CHECK(memcmp(want, (float *)cl_rig_got(r, into[k]) + 2 * stride, (size_t)(width * groups) * sizeof *want) == 0);
        CHECK_OK(cl_rig_run(r, &op, N));
        free(want);
        if (op.u.norm.residual.buffer == NULL) break;
    }
    cl_rig_clear(r);
}

static void norms(cl_rig *r)
{
    const int64_t *w;
    const size_t n_widths = widths(r, &w);
    for (size_t i = 0; i < n_widths; i++) {
        for (int variant = 0; variant < 8; variant++) {
            if (!skipped(r, variant)) norm(r, w[i], variant);
        }
    }
}

/* As test_cl_map, at widths of more than one piece. */
static void maps(cl_rig *r)
{
    static const float parameters[3] = { 1.5f, 30.0f, 0.7071f };
    for (int f = 0; f < 3; f++) {
        const int64_t width = r->small ? 4100 : 8200;
        float *x = cl_rig_floats(r, N * (width + 1)), *z = cl_rig_floats(r, N * (width + 2)), *y = cl_rig_poisoned(r, N * (width + 3));
        for (int64_t i = 0; i < N * (width + 1); i++) x[i] *= 60.0f;
        const trdi_op op = { .kind = TRDI_OP_MAP, .count = TRDI_COUNT_TOKENS, .u.map = {
            .function = (trdi_map_function)f, .x = cl_span(x), .z = cl_span(z), .y = cl_span(y), .width = width, .x_stride = width + 1,
            .z_stride = width + 2, .y_stride = width + 3, .parameter = parameters[f] } };
        compare(r, &op, y, N * (width + 3), 4e-7);
        cl_rig_clear(r);
    }
}

static void rotary(cl_rig *r)
{
    static const int32_t far[N] = { 0, 1, 1048576, 4097, 777777 };
    static const int64_t dims[][2] = { { 2, 2 }, { 16, 16 }, { 17, 6 }, { 64, 32 }, { 100, 100 } };
    for (size_t d = 0; d < (r->small ? 3 : sizeof dims / sizeof dims[0]); d++) {
        for (int variant = 0; variant < 4; variant++) {
            if (skipped(r, variant)) continue;
            const int64_t stride = 3 * dims[d][0] + 1, pairs = dims[d][1] / 2;
            float *x = cl_rig_floats(r, N * stride), *inverse = cl_rig_floats(r, pairs);
            for (int64_t i = 0; i < pairs; i++) inverse[i] = (float)pow(10000.0, -(double)i / (double)pairs);
            const trdi_op op = { .kind = TRDI_OP_ROTARY, .count = TRDI_COUNT_TOKENS, .u.rotary = {
                .x = cl_span(x), .positions = cl_span(ints(r, far, N)), .inverse_frequencies = cl_span(inverse), .n_heads = 3,
                .head_dim = dims[d][0], .dim = dims[d][1], .x_stride = stride, .magnitude = variant & 1 ? 1.19f : 1.0f,
                .interleave = (variant & 2) != 0 } };
            compare(r, &op, x, N * stride, 5e-7);
            cl_rig_clear(r);
        }
    }
}

enum { HEADS = 2, BLOCK = 4, BLOCKS = 6 };

/* Keys into blocks of f32 or f16, then whole blocks copied; every byte of the pool is compared. */
static void cache(cl_rig *r, trd_dtype dtype, int64_t dim)
{
    static const int32_t table[4] = { 5, 1, 0, 3 }, offsets[2] = { 0, 2 }, copies[6] = { 1, 2, 5, 4, 1, 0 };
    static const int32_t rows[N] = { 0, 0, 1, 1, 0 }, at[N] = { 3, 4, 0, 7, 5 };
    const int64_t bytes = 2 * HEADS * BLOCK * dim * (int64_t)trd_dtype_bytes(dtype) + 12, stride = HEADS * dim + 2;
    float *k = cl_rig_floats(r, N * stride), *v = cl_rig_floats(r, N * stride);
    static const float special[] = { 65504.0f, 65519.9f, 65520.0f, -1e30f, 5.9604645e-8f, 2.9802322e-8f, 2.9802326e-8f, 6.1e-5f, 0.0f, -0.0f,
                                     1.00048828f, 1.00146484f, INFINITY, -INFINITY };
    for (size_t i = 0; i < sizeof special / sizeof special[0] && (int64_t)i < dim; i++) k[i] = v[stride + (int64_t)i] = special[i];
    unsigned char *pool = cl_rig_array(r, (size_t)(BLOCKS * bytes), TRDI_MEMORY_DEVICE);
    for (int64_t i = 0; i < BLOCKS * bytes; i++) pool[i] = (unsigned char)cl_rig_bits();
    const trdi_op append = { .kind = TRDI_OP_KV_APPEND, .count = TRDI_COUNT_TOKENS, .u.kv_append = {
        .kv = { .pool = cl_span(pool), .dtype = dtype, .layer_offset = 4, .block_stride = (size_t)bytes, .block_tokens = BLOCK,
                .n_heads_kv = HEADS, .head_dim = dim, .table = cl_span(ints(r, table, 4)), .table_offsets = cl_span(ints(r, offsets, 2)) },
        .k = cl_span(k), .v = cl_span(v), .stride = stride, .rows = cl_span(ints(r, rows, N)), .positions = cl_span(ints(r, at, N)) } };
    CHECK_OK(cl_rig_run(r, &append, N));
    cl_rig_reference(&append, N);
    CHECK(memcmp(cl_rig_got(r, pool), pool, (size_t)(BLOCKS * bytes)) == 0);
    const trdi_op copy = { .kind = TRDI_OP_KV_COPY, .count = TRDI_COUNT_COPIES, .u.kv_copy = {
        .pool = cl_span(pool), .block_stride = (size_t)bytes, .copies = cl_span(ints(r, copies, 6)) } };
    CHECK_OK(cl_rig_run(r, &copy, 3));
    cl_rig_reference(&copy, 3);
    CHECK(memcmp(cl_rig_got(r, pool), pool, (size_t)(BLOCKS * bytes)) == 0);
    cl_rig_clear(r);
}

static void gather(cl_rig *r)
{
    static const int32_t indices[N] = { 7, 0, 3, 3, 1 };
    const int64_t *w;
    const size_t n_widths = widths(r, &w);
    for (size_t i = 0; i < n_widths; i++) {
        float *x = cl_rig_floats(r, 8 * (w[i] + 1)), *y = cl_rig_poisoned(r, N * (w[i] + 2));
        const trdi_op op = { .kind = TRDI_OP_GATHER, .count = TRDI_COUNT_OUTPUTS, .u.gather = {
            .x = cl_span(x), .y = cl_span(y), .indices = cl_span(ints(r, indices, N)), .width = w[i], .x_stride = w[i] + 1,
            .y_stride = w[i] + 2 } };
        compare(r, &op, y, N * (w[i] + 2), 0.0);
        cl_rig_clear(r);
    }
}

/* What the kernels cannot do is refused when the plan is made. */
static void refusals(cl_rig *r)
{
    void *pool = cl_rig_array(r, 64, TRDI_MEMORY_DEVICE);
    const trdi_op copy = { .kind = TRDI_OP_KV_COPY, .count = TRDI_COUNT_COPIES, .u.kv_copy = {
        .pool = cl_span(pool), .block_stride = 6, .copies = cl_span(cl_rig_ints(r, 2)) } };
    CHECK_FAILS(cl_rig_run(r, &copy, 1), TRD_E_UNSUPPORTED, "multiple of 4");
    cl_rig_clear(r);
}

static void report(cl_rig *r, const char *what)
{
    printf("  %-10s worst error %.2g of what is allowed\n", what, r->worst);
    r->worst = 0.0;
}

static void test(cl_rig *r)
{
    embed(r, TRD_DTYPE_F32);
    embed(r, TRD_DTYPE_F16);
    embed(r, TRD_DTYPE_I8);
    report(r, "embed");
    position_rows(r);
    report(r, "positions");
    norms(r);
    report(r, "norm");
    maps(r);
    report(r, "map");
    rotary(r);
    report(r, "rotary");
    for (int64_t dim = 7; dim <= 35; dim += 14) {
        cache(r, TRD_DTYPE_F32, dim);
        cache(r, TRD_DTYPE_F16, dim + 1);
    }
    cache(r, TRD_DTYPE_F16, 2 * 16);
    gather(r);
    refusals(r);
}

int main(void)
{
    cl_rig_each("rows", test);
    return 0;
}
