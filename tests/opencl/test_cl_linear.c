/*
 * test_cl_linear.c: products with weights of every type, in both forms of kernels, at sizes around their tiles: against the reference, with
 * integers against sums made here, and the bits of a row alone against the same row among others.
 */
#include "cl_rig.h"

typedef struct problem {
    int64_t m, in, out, pad;     /* pad: strides beyond the widths */
    int32_t activation;
    bool    bias, multiplier, residual, onto;   /* onto: y is the residual, or else the multiplier */
} problem;

static const problem problems[] = {
    { 1, 1, 1, 0, -1, false, false, false, false },
    { 1, 3, 15, 1, 0, true, false, false, false },
    { 1, 129, 100, 0, 1, true, true, true, false },
    { 2, 16, 17, 3, 2, true, true, false, true },
    { 3, 63, 16, 0, 3, false, false, true, true },
    { 5, 129, 33, 5, 5, true, false, true, false },
    { 9, 63, 100, 2, 6, true, true, true, true },
    { 17, 129, 65, 1, -1, true, false, true, true },
    { 33, 16, 17, 0, 4, false, true, true, false },
    /* the rest is for full runs */
    { 2, 513, 1000, 0, -1, false, false, false, false },
    { 4, 1030, 64, 5, 4, true, false, true, false },
    { 6, 16, 16, 0, 6, true, true, true, true },
    { 7, 257, 48, 1, -1, true, false, true, true },
    { 8, 1100, 31, 0, -1, true, false, false, false },
    { 8, 64, 129, 0, 1, true, false, false, false },
    { 12, 513, 35, 0, -1, false, false, false, false },
    { 13, 64, 80, 0, 2, true, true, false, false },
    { 49, 2100, 19, 0, 0, true, false, false, false },
    { 64, 65, 129, 0, 3, true, false, false, false },
    { 67, 513, 1000, 3, 1, true, false, true, false },
    { 131, 31, 130, 0, -1, true, false, true, true },
};
enum { N_SMALL = 9, N_PROBLEMS = sizeof problems / sizeof problems[0] };

static const trd_dtype dtypes[] = { TRD_DTYPE_F32, TRD_DTYPE_F16, TRD_DTYPE_I8 };

typedef struct operands {
    float *rows, *bias;          /* plain memory */
    float *x, *multiplier, *residual, *y;
    trdi_op op;
} operands;

/* Rows of x differ in size, so that their scales as integers do. */
static void fill_x(float *x, const problem *p)
{
    for (int64_t r = 0; r < p->m; r++) {
        for (int64_t k = 0; k < p->in; k++) x[r * (p->in + p->pad) + k] *= (float)(r % 5 + 1);
        for (int64_t k = p->in; k < p->in + p->pad; k++) x[r * (p->in + p->pad) + k] = NAN;
    }
}

static operands make(cl_rig *r, const problem *p, trd_dtype dtype, bool truncate)
{
    operands o = { .rows = malloc((size_t)(p->out * p->in) * sizeof(float)), .bias = malloc((size_t)p->out * sizeof(float)) };
    CHECK(o.rows != NULL && o.bias != NULL);
    for (int64_t i = 0; i < p->out * p->in; i++) o.rows[i] = cl_rig_uniform();
    for (int64_t i = 0; i < p->out; i++) o.bias[i] = cl_rig_uniform();
    const int64_t stride = p->out + p->pad;
    o.x = cl_rig_floats(r, p->m * (p->in + p->pad));
    o.multiplier = cl_rig_floats(r, p->m * stride);
    o.residual = cl_rig_floats(r, p->m * stride);
    o.y = cl_rig_poisoned(r, p->m * stride);
    fill_x(o.x, p);
    if (p->onto && p->residual) o.y = o.residual;
    else if (p->onto) o.y = o.multiplier;
    o.op = (trdi_op){ .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS, .u.linear = {
        .weight = cl_rig_weight(r, TRDI_LAYOUT_LINEAR, dtype, truncate, o.rows, p->out, p->in, p->bias ? o.bias : NULL),
        .x = cl_span(o.x), .y = cl_span(o.y), .in = p->in, .out = p->out, .x_stride = p->in + p->pad, .y_stride = stride,
        .multiplier_stride = stride, .residual_stride = stride, .activation = p->activation } };
    if (p->multiplier) o.op.u.linear.multiplier = cl_span(o.multiplier);
    if (p->residual) o.op.u.linear.residual = cl_span(o.residual);
    return o;
}

static void drop(cl_rig *r, operands *o)
{
    cl_rig_clear(r);
    free(o->rows);
    free(o->bias);
}

/* What lies between the rows of y is as it was. */
static void check_gaps(cl_rig *r, const problem *p, const float *y)
{
    const float *got = cl_rig_got(r, y);
    for (int64_t i = 0; i < p->m; i++) {
        const int64_t at = i * (p->out + p->pad) + p->out;
        CHECK(memcmp(got + at, y + at, (size_t)p->pad * sizeof *y) == 0);
    }
}

static void against_reference(cl_rig *r, const problem *p, trd_dtype dtype)
{
    operands o = make(r, p, dtype, (p->m & 1) != 0);
    char what[128];
    (void)snprintf(what, sizeof what, "linear %lld x %lld -> %lld, weights of %s", (long long)p->m, (long long)p->in, (long long)p->out, trd_dtype_name(dtype));
    CHECK_OK(cl_rig_run(r, &o.op, p->m));
    cl_rig_reference(&o.op, p->m);
    check_gaps(r, p, o.y);
    /* Integer sums are exact; what is left is the rounding of their scaling. */
    const double sums = dtype == TRD_DTYPE_I8 ? 2e-6 : 2e-6 * sqrt((double)p->in) * 5.0;
    cl_rig_check(r, what, o.y, p->m * (p->out + p->pad), sums + 1e-6);
    drop(r, &o);
}

/* The bits of the first rows, alone and in company of ever more. */
static void alone_and_batched(cl_rig *r, int64_t in, int64_t out, trd_dtype dtype, int64_t m)
{
    const problem p = { m, in, out, 3, 1, true, false, true, false };
    operands o = make(r, &p, dtype, false);
    float *all = malloc((size_t)(m * out) * sizeof *all);
    CHECK(all != NULL);
    CHECK_OK(cl_rig_run(r, &o.op, m));
    for (int64_t i = 0; i < m; i++) memcpy(all + i * out, (float *)cl_rig_got(r, o.y) + i * (out + 3), (size_t)out * sizeof *all);
    for (int64_t n = 1; n < m; n += n < 9 ? 1 : 11) {
        CHECK_OK(cl_rig_run(r, &o.op, n));
        const float *got = cl_rig_got(r, o.y);
        for (int64_t i = 0; i < n; i++) {
            if (memcmp(all + i * out, got + i * (out + 3), (size_t)out * sizeof *all) == 0) continue;
            fprintf(stderr, "linear %lld -> %lld, weights of %s (%s): row %lld of %lld has other bits than of %lld\n", (long long)in, (long long)out,
                    trd_dtype_name(dtype), r->form, (long long)i, (long long)n, (long long)m);
            exit(1);
        }
        for (int64_t i = n * (out + 3); i < m * (out + 3); i++) CHECK(isnan(got[i]));
    }
    free(all);
    drop(r, &o);
}

/* With weights that are integers already, rows whose largest number is 127, and no bias the product is the sum itself. */
static void exact_integers(cl_rig *r, int64_t m, int64_t in, int64_t out)
{
    const problem p = { m, in, out, 0, -1, false, false, false, false };
    operands o = make(r, &p, TRD_DTYPE_F32, false);
    for (int64_t i = 0; i < out * in; i++) o.rows[i] = i % in == 0 ? 127.0f : (float)((int)(cl_rig_bits() % 255) - 127);
    for (int64_t i = 0; i < m * in; i++) o.x[i] = i % in == 0 ? -127.0f : (float)((int)(cl_rig_bits() % 255) - 127);
    if (in > 2000) {             /* the largest sum there is: past 2^24 */
        for (int64_t k = 0; k < in; k++) o.rows[k] = 127.0f;
        for (int64_t k = 0; k < in; k++) o.x[k] = -127.0f;
        for (int64_t k = 0; k < in / 2; k++) o.x[k] = k % 2 == 0 ? -126.0f : -127.0f;
    }
    o.op.u.linear.weight = cl_rig_weight(r, TRDI_LAYOUT_LINEAR, TRD_DTYPE_I8, false, o.rows, out, in, NULL);
    CHECK_OK(cl_rig_run(r, &o.op, m));
    const float *got = cl_rig_got(r, o.y);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < out; j++) {
            int64_t sum = 0;
            for (int64_t k = 0; k < in; k++) sum += (int64_t)o.x[i * in + k] * (int64_t)o.rows[j * in + k];
            if (got[i * out + j] == (float)(int32_t)sum) continue;
            fprintf(stderr, "int8 %lld x %lld -> %lld (%s): %lld, %lld is %.9g, wanted %lld\n", (long long)m, (long long)in, (long long)out, r->form,
                    (long long)i, (long long)j, (double)got[i * out + j], (long long)sum);
            exit(1);
        }
    }
    drop(r, &o);
}

/* The same products by CLBlast, which adds in another order: right, and not of the same bits everywhere, or else it did not run. */
static void by_clblast(cl_rig *r)
{
    bool differs = false;
    for (size_t i = 0; i < N_PROBLEMS; i++) {
        const problem *p = &problems[i];
        if (p->m < 2) continue;
        operands o = make(r, p, TRD_DTYPE_F32, false);
        const int64_t n = p->m * (p->out + p->pad);
        CHECK_OK(cl_rig_run_with(r, &o.op, p->m, TRDI_NUMERICS_AUTO));
        float *own = malloc((size_t)n * sizeof *own);
        CHECK(own != NULL);
        memcpy(own, cl_rig_got(r, o.y), (size_t)n * sizeof *own);
        CHECK(setenv("TREADLE_OPENCL_GEMM", "clblast", 1) == 0);
        const trd_status status = cl_rig_run_with(r, &o.op, p->m, TRDI_NUMERICS_AUTO);
        CHECK(unsetenv("TREADLE_OPENCL_GEMM") == 0);
        if (status != TRD_OK) {
            CHECK_INT(status, TRD_E_UNSUPPORTED);
            CHECK(strstr(trd_last_error(), "CLBlast") != NULL);
            printf("linear: no CLBlast here: %s\n", trd_last_error());
            free(own);
            drop(r, &o);
            return;
        }
        differs = differs || memcmp(own, cl_rig_got(r, o.y), (size_t)n * sizeof *own) != 0;
        cl_rig_reference(&o.op, p->m);
        check_gaps(r, p, o.y);
        cl_rig_check(r, "linear by CLBlast", o.y, n, 1e-5 * sqrt((double)p->in) + 1e-6);
        free(own);
        drop(r, &o);
    }
    CHECK(differs);
}

static void refusals(cl_rig *r)
{
    const problem p = { 1, 8, 8, 0, -1, false, false, false, false };
    operands o = make(r, &p, TRD_DTYPE_F32, false);
    o.op.u.linear.out = 7;
    CHECK_INT(cl_rig_run(r, &o.op, 1), TRD_E_INVALID);
    CHECK(strstr(trd_last_error(), "8 -> 7") != NULL);
    void *weight = &o;
    trdi_weight_source source = { .layout = TRDI_LAYOUT_LINEAR, .dtype = TRD_DTYPE_I16, .rows = 4, .cols = 4, .read = cl_read_rows };
    CHECK_INT(r->ops->weight_prepare(r->device, &source, &weight), TRD_E_UNSUPPORTED);
    CHECK(weight == NULL);
    source.dtype = TRD_DTYPE_I8;     /* and no function for it */
    CHECK_INT(r->ops->weight_prepare(r->device, &source, &weight), TRD_E_INVALID);
    source.dtype = TRD_DTYPE_F32;
    source.rows = 0;
    CHECK_INT(r->ops->weight_prepare(r->device, &source, &weight), TRD_E_INVALID);
    CHECK(r->ops->weight_bytes(r->device, &source) == SIZE_MAX);
    source.rows = INT64_MAX;
    CHECK_INT(r->ops->weight_prepare(r->device, &source, &weight), TRD_E_INVALID);
    source.rows = 17;
    CHECK_INT(r->ops->weight_bytes(r->device, &source), 32 * 4 * 4);
    source.dtype = TRD_DTYPE_I8;
    source.cols = 5;
    CHECK_INT(r->ops->weight_bytes(r->device, &source), 32 * (strcmp(r->form, "tiles") == 0 ? 5 : 8) + 32 * 4);
    r->ops->weight_free(NULL);
    drop(r, &o);
}

static void test(cl_rig *r)
{
    const size_t n_problems = r->small ? N_SMALL : N_PROBLEMS;
    for (size_t i = 0; i < n_problems; i++) {
        for (size_t d = 0; d < 3; d++) against_reference(r, &problems[i], dtypes[d]);
    }
    for (size_t d = 0; d < 3; d++) {
        alone_and_batched(r, r->small ? 80 : 600, r->small ? 17 : 100, dtypes[d], r->small ? 10 : 70);
        if (!r->small) alone_and_batched(r, 2100, 17, dtypes[d], 10);
    }
    exact_integers(r, 3, 100, 20);
    exact_integers(r, 2, 2200, 17);
    if (!r->small) exact_integers(r, 40, 2200, 33);
    refusals(r);
    const char *implementation = getenv("TREADLE_TEST_IMPLEMENTATION");
    if (implementation != NULL && strcmp(implementation, "pocl") == 0 && strcmp(r->form, "groups") == 0) by_clblast(r);
}

int main(void)
{
    cl_rig_each("linear", test);
    return 0;
}
