/* test_compute_kernel.c: expressions and source kernels: values against C, checks of what is passed. */
#include "compute_rig.h"

static trd_kernel *build(rig *r, const char *parameters, const char *text)
{
    trd_kernel *k;
    CHECK_OK(trd_kernel_create_expression(r->device, parameters, text, &k));
    return k;
}

static void test_saxpy(rig *r)
{
    static const int64_t sizes[] = { 1, 15, 16, 255, 256, 257, 1000, 16384, 16385, 100001 };
    trd_kernel *const k = build(r, "float a, const float *x, float *y", "y[i] = a*x[i] + y[i]");
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int64_t n = sizes[s];
        float *const x = rig_floats(n), *const y = rig_floats(n);
        trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, 1, n, x), *const ty = rig_tensor(r, TRD_DTYPE_F32, n, 1, y);
        RIG_RUN(r, k, rig_number(0.5f), rig_arg(tx), rig_arg(ty));
        for (int64_t i = 0; i < n; i++) y[i] = 0.5f * x[i] + y[i];
        rig_check(r, "saxpy", ty, y, 1e-7);
        trd_tensor_destroy(tx);
        trd_tensor_destroy(ty);
        free(x);
        free(y);
    }
    trd_kernel_destroy(k);
}

/* One function of one float, in C and as an expression. */
static float c_relu(float x) { return x < 0.0f ? 0.0f : x; }
static float c_swish(float x) { return x / (1.0f + expf(-x)); }
static float c_sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
static float c_gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }
static float c_gelu_tanh(float x) { return 0.5f * x * (1.0f + tanhf(0.797884561f * (x + 0.044715f * x * x * x))); }
static float c_rsqrt_abs(float x) { return 1.0f / sqrtf(fabsf(x) + 1.0f); }
static float c_log_abs(float x) { return logf(fabsf(x) + 0.5f); }
static float c_sqrt_abs(float x) { return sqrtf(fabsf(x)); }
static float c_pow(float x) { return powf(fabsf(x) + 0.1f, 1.7f); }
static float c_min(float x) { return x < 0.3f ? x : 0.3f; }
static float c_max(float x) { return x > 0.3f ? x : 0.3f; }
static float c_clamp(float x) { return x < -1.0f ? -1.0f : x > 2.0f ? 2.0f : x; }
static float c_fma(float x) { return x * x + 3.0f; }
static float c_divide(float x) { return 1.0f / (x + 20.0f) - 4.0f; }
static float c_choose(float x) { return x > 1.0f ? x * 2.0f : x < -1.0f ? -x : 0.0f; }
static float c_logic(float x) { return (float)((x > 0.0f && x < 2.0f) || !(x >= -2.0f)); }
static float c_compare(float x) { return (float)((x <= 1.0f) + 2 * (x == 0.0f) + 4 * (x != x)); }
static float c_negate(float x) { return -(-x - 1.0f) - +x; }
static float c_truncate(float x) { return (float)(int)x; }

/* Several at once: compiling takes longer than running. */
enum { AT_ONCE = 8 };

static void test_functions(rig *r)
{
    static const struct { const char *text; float (*f)(float x); double tolerance; } all[] = {
        { "= exp(x[i])", expf, 1e-6 },          { "= tanh(x[i])", tanhf, 1e-6 },      { "= erf(x[i])", erff, 1e-6 },
        { "= sin(x[i])", sinf, 1e-6 },          { "= cos(x[i])", cosf, 1e-6 },        { "= floor(x[i])", floorf, 0.0 },
        { "= ceil(x[i])", ceilf, 0.0 },         { "= round(x[i] * 2)/2", NULL, 0.0 }, { "= fabs(x[i])", fabsf, 0.0 },
        { "= relu(x[i])", c_relu, 0.0 },        { "= swish(x[i])", c_swish, 1e-6 },   { "= sigmoid(x[i])", c_sigmoid, 1e-6 },
        { "= gelu(x[i])", c_gelu, 1e-6 },       { "= gelu_tanh(x[i])", c_gelu_tanh, 1e-6 },
        { "= rsqrt(abs(x[i]) + 1)", c_rsqrt_abs, 1e-6 }, { "= log(abs(x[i]) + 0.5f)", c_log_abs, 1e-6 },
        { "= sqrt(abs(x[i]))", c_sqrt_abs, 1e-6 },       { "= pow(abs(x[i]) + .1, 1.7)", c_pow, 3e-6 },
        { "= min(x[i], 0.3)", c_min, 0.0 },     { "= max(3e-1, x[i])", c_max, 0.0 }, { "= clamp(x[i], -1, 2)", c_clamp, 0.0 },
        { "= fma(x[i], x[i], 3)", c_fma, 1e-6 },         { "= 1.0 / (x[i] + 20) - 8 / 2", c_divide, 1e-6 },
        { "= x[i] > 1 ? x[i]*2 : x[i] < -1 ? -x[i] : 0", c_choose, 0.0 },
        { "= x[i] > 0 && x[i] < 2 || !(x[i] >= -2)", c_logic, 0.0 },
        { "= (x[i] <= 1) + 2 * (x[i] == 0) + 4 * (x[i] != x[i])", c_compare, 0.0 },
        { "= -(-x[i] - 1) - +x[i]", c_negate, 1e-6 },    { "= float(int(x[i]))", c_truncate, 0.0 },
        { "= 3; t = x[i]; t = t * t; y[i] += t", c_fma, 1e-6 }, { "= x[i]; y[i] *= x[i]; y[i] += 3; y[i] -= 1; y[i] -= -1", c_fma, 1e-6 },
    };
    enum { N_ALL = sizeof all / sizeof all[0] };
    const int64_t n = 613;
    float *const x = rig_floats(n), *const want = rig_floats(n);
    for (int64_t i = 0; i < n; i++) x[i] *= 9.0f;
    x[0] = 0.0f;
    trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, 1, n, x);
    for (size_t first = 0; first < N_ALL; first += AT_ONCE) {
        const size_t m = N_ALL - first < AT_ONCE ? N_ALL - first : AT_ONCE;
        char parameters[256] = "const float *x", text[2048] = "";
        trd_argument arguments[1 + AT_ONCE] = { rig_arg(tx) };
        for (size_t k = 0; k < m; k++) {
            arguments[1 + k] = rig_arg(rig_poisoned(r, 1, n));
            (void)snprintf(parameters + strlen(parameters), 32, ", float *%c", (char)('j' + k));
            /* "y" becomes the name of this result. */
            (void)snprintf(text + strlen(text), 8, "%c[i] ", (char)('j' + k));
            for (const char *p = all[first + k].text; *p != '\0'; p++)
                (void)snprintf(text + strlen(text), 2, "%c", *p == 'y' ? (char)('j' + k) : *p);
            strcat(text, ";");
        }
        trd_kernel *const kernel = build(r, parameters, text);
        CHECK_OK(trd_kernel_run(r->queue, kernel, arguments, (int64_t)m + 1, NULL));
        for (size_t k = 0; k < m; k++) {
            for (int64_t i = 0; i < n; i++) want[i] = all[first + k].f != NULL ? all[first + k].f(x[i]) : rintf(x[i] * 2.0f) / 2.0f;
            rig_check(r, all[first + k].text, arguments[1 + k].tensor, want, all[first + k].tolerance);
            trd_tensor_destroy(arguments[1 + k].tensor);
        }
        trd_kernel_destroy(kernel);
    }
    trd_tensor_destroy(tx);
    free(x);
    free(want);
}

/* Large, small and special numbers keep their meaning. */
static void test_specials(rig *r)
{
    const float x[8] = { INFINITY, -INFINITY, NAN, 0.0f, 1e30f, -1e30f, 100.0f, -100.0f };
    trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, 1, 8, x), *const a = rig_poisoned(r, 1, 8), *const b = rig_poisoned(r, 1, 8), *const s = rig_poisoned(r, 1, 8);
    trd_kernel *const k = build(r, "float *x, float *a, float *b, float *s",
                                "a[i] = max(x[i], -5) + 0 * i; b[i] = x[i] ? exp(x[i]) : 7; s[i] = swish(x[i]) - relu(x[i])");
    RIG_RUN(r, k, rig_arg(tx), rig_arg(a), rig_arg(b), rig_arg(s));
    rig_check(r, "max of NaN", a, (float[]){ INFINITY, -5, -5, 0, 1e30f, -5, 100, -5 }, 1e-7);
    rig_check(r, "exp", b, (float[]){ INFINITY, 0, NAN, 7, INFINITY, 0, INFINITY, 0 }, 1e-7);
    rig_check(r, "swish", s, (float[]){ NAN, 0, NAN, 0, 0, 0, 0, 0 }, 1e-7);
    trd_kernel_destroy(k);
    trd_tensor *const all[] = { tx, a, b, s };
    for (int i = 0; i < 4; i++) trd_tensor_destroy(all[i]);
}

static void test_integers(rig *r)
{
    enum { N = 300 };
    int32_t a[N], b[N], want[6][N];
    static const int32_t corners[] = { 0, 1, -1, 2, -7, INT32_MAX, INT32_MIN, 46341 };
    for (int i = 0; i < N; i++) {
        a[i] = i < 64 ? corners[i / 8] : (int32_t)(uint32_t)rig_random();
        b[i] = i < 64 ? corners[i % 8] : (int32_t)(rig_random() % 1000) - 500;
        const bool plain = b[i] != 0 && b[i] != -1;
        want[0][i] = (int32_t)((uint32_t)a[i] * (uint32_t)b[i] + (uint32_t)i);
        want[1][i] = b[i] == 0 ? 0 : b[i] == -1 ? (int32_t)(0u - (uint32_t)a[i]) : a[i] / b[i];
        want[2][i] = plain ? a[i] % b[i] : 0;
        want[3][i] = a[i] < 0 ? (int32_t)(0u - (uint32_t)a[i]) : a[i];
        want[4][i] = (a[i] < b[i] ? a[i] : b[i]) ^ 0;
        want[5][i] = (a[i] >= b[i]) + 2 * (a[i] == b[i] || b[i]) + 4 * !a[i];
    }
    static const char text[] = "p[i] = a[i] * b[i] + i; q[i] = a[i] / b[i]; s[i] = a[i] % b[i]; t[i] = abs(a[i]); u[i] = min(a[i], max(b[i], b[i]));"
                               "v[i] = (a[i] >= b[i]) + 2*(a[i] == b[i] || b[i]) + 4*!a[i]";
    trd_kernel *const k = build(r, "const int *a, const int *b, int *p, int *q, int *s, int *t, int *u, int *v", text);
    trd_argument arguments[8];
    for (int j = 0; j < 8; j++) arguments[j] = rig_arg(rig_tensor(r, TRD_DTYPE_I32, 1, N, j == 1 ? b : a));
    CHECK_OK(trd_kernel_run(r->queue, k, arguments, 8, NULL));
    for (int j = 0; j < 6; j++) {
        int32_t *const got = rig_read(r, arguments[2 + j].tensor);
        for (int i = 0; i < N; i++) {
            if (got[i] == want[j][i]) continue;
            fprintf(stderr, "int %d on %s: a %d, b %d: %d, wanted %d\n", j, r->id, a[i], b[i], got[i], want[j][i]);
            exit(1);
        }
        free(got);
    }
    for (int j = 0; j < 8; j++) trd_tensor_destroy(arguments[j].tensor);
    trd_kernel_destroy(k);
}

/* Rows and columns, halves and chars, several results. */
static void test_rows(rig *r)
{
    enum { ROWS = 7, COLS = 300 };
    float *const x = rig_floats(ROWS * COLS), *const w = rig_floats(COLS), *const s = rig_floats(ROWS), want[ROWS * COLS];
    int32_t where[ROWS * COLS];
    trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, ROWS, COLS, x), *const tw = rig_tensor(r, TRD_DTYPE_F32, 1, COLS, w);
    trd_tensor *const ts = rig_tensor(r, TRD_DTYPE_F32, ROWS, 1, s), *const ty = rig_poisoned(r, ROWS, COLS);
    trd_tensor *const tz = rig_tensor(r, TRD_DTYPE_I32, ROWS, COLS, x);
    trd_kernel *const k = build(r, "const float *x, const float *w, const float *s, float *y, int *z",
                                "y[i] = x[i] * w[c] + s[r]; z[i] = 1000 * r + c;");
    RIG_RUN(r, k, rig_arg(tx), rig_arg(tw), rig_arg(ts), rig_arg(ty), rig_arg(tz));
    for (int i = 0; i < ROWS * COLS; i++) {
        want[i] = x[i] * w[i % COLS] + s[i / COLS];
        where[i] = 1000 * (i / COLS) + i % COLS;
    }
    rig_check(r, "rows and columns", ty, want, 1e-7);
    int32_t *const got = rig_read(r, tz);
    CHECK(memcmp(got, where, sizeof where) == 0);
    free(got);
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "'w' has 7 elements, as w[c] it needs 300", rig_arg(tx), rig_arg(ts), rig_arg(ts), rig_arg(ty), rig_arg(tz));
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "'s' has 300 elements, as s[r] it needs 7", rig_arg(tx), rig_arg(tw), rig_arg(tw), rig_arg(ty), rig_arg(tz));
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "'y' has 300 elements, as y[i] it needs 2100", rig_arg(tx), rig_arg(tw), rig_arg(ts), rig_arg(tw), rig_arg(tz));
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "'z' is i32, the tensor f32", rig_arg(tx), rig_arg(tw), rig_arg(ts), rig_arg(ty), rig_arg(ty));
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "4 arguments for 5", rig_arg(tx), rig_arg(tw), rig_arg(ts), rig_arg(ty));
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "'x' is a tensor", rig_number(1), rig_arg(tw), rig_arg(ts), rig_arg(ty), rig_arg(tz));
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "tensor is NULL", rig_arg(NULL), rig_arg(tw), rig_arg(ts), rig_arg(ty), rig_arg(tz));
    trd_kernel_destroy(k);
    trd_tensor *const all[] = { tx, tw, ts, ty, tz };
    for (int i = 0; i < 5; i++) trd_tensor_destroy(all[i]);
    free(x);
    free(w);
    free(s);
}

static void test_aliases(rig *r)
{
    float *const x = rig_floats(20);
    trd_tensor *const t = rig_tensor(r, TRD_DTYPE_F32, 4, 5, x);
    trd_tensor *shifted, *front;
    CHECK_OK(trd_tensor_view(t, 1, 1, (int64_t[]){ 19 }, NULL, &shifted));
    CHECK_OK(trd_tensor_view(t, 0, 1, (int64_t[]){ 19 }, NULL, &front));
    trd_kernel *k = build(r, "float *x, float *y", "y[i] = x[i] * 2");
    RIG_RUN(r, k, rig_arg(t), rig_arg(t));
    for (int i = 0; i < 20; i++) x[i] *= 2.0f;
    rig_check(r, "in place", t, x, 0.0);
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "'y' is written and overlaps 'x'", rig_arg(front), rig_arg(shifted));
    trd_kernel_destroy(k);
    trd_tensor_destroy(shifted);
    k = build(r, "float *x, float *w", "x[i] = w[c]");
    CHECK_OK(trd_tensor_view(t, 0, 1, (int64_t[]){ 5 }, NULL, &shifted));
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "overlaps 'w'", rig_arg(t), rig_arg(shifted));
    trd_kernel_destroy(k);
    trd_tensor_destroy(shifted);
    trd_tensor_destroy(front);
    trd_tensor_destroy(t);
    free(x);
}

static void test_types(rig *r)
{
    const float x[6] = { 0.1f, -2.5f, 300.0f, -300.0f, 1e6f, 0.0f };
    trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, 1, 6, x), *const ty = rig_poisoned(r, 1, 6);
    trd_tensor *half, *small;
    CHECK_OK(trd_tensor_create(r->device, TRD_DTYPE_F16, 1, (int64_t[]){ 6 }, &half));
    CHECK_OK(trd_tensor_create(r->device, TRD_DTYPE_I8, 1, (int64_t[]){ 6 }, &small));
    trd_kernel *k = build(r, "const float *x, half *h, char *s, int n, float *y", "h[i] = x[i]; s[i] = x[i] + n; y[i] = h[i] + s[i]");
    RIG_RUN(r, k, rig_arg(tx), rig_arg(half), rig_arg(small), rig_integer(1), rig_arg(ty));
    rig_check(r, "half and char", ty, (float[]){ 0.0999755859375f + 1, -2.5f - 1, 300 + 127, -300 - 128, INFINITY, 1 }, 0.0);
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "'n' is one int", rig_arg(tx), rig_arg(half), rig_arg(small), rig_number(1), rig_arg(ty));
    RIG_RUN_FAILS(r, k, TRD_E_INVALID, "beyond 32 bits", rig_arg(tx), rig_arg(half), rig_arg(small), rig_integer(1ll << 40), rig_arg(ty));
    trd_kernel_destroy(k);
    trd_tensor_destroy(tx);
    trd_tensor_destroy(ty);
    trd_tensor_destroy(half);
    trd_tensor_destroy(small);
}

/* ---- Reductions ---- */

static void check_reduction(rig *r, const char *text, int64_t rows, int64_t cols, double (*join)(double a, double b), double empty, bool mean)
{
    float *const x = rig_floats(rows * cols), *const want = rig_floats(rows);
    trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, rows, cols, x), *const ts = rig_poisoned(r, rows, 1), *const one = rig_poisoned(r, 1, 1);
    trd_kernel *const k = build(r, "const float *x, float *s", text);
    double all = empty;
    for (int64_t i = 0; i < rows; i++) {
        double a = empty;
        for (int64_t c = 0; c < cols; c++) {
            const float v = x[i * cols + c] + 0.25f;
            a = join(a, (double)v);
            all = join(all, (double)v);
        }
        want[i] = (float)(mean ? a / (double)cols : a);
    }
    RIG_RUN(r, k, rig_arg(tx), rig_arg(ts));
    rig_check(r, text, ts, want, 2e-6);
    RIG_RUN(r, k, rig_arg(tx), rig_arg(one));
    rig_check(r, text, one, (float[]){ (float)(mean ? all / (double)(rows * cols) : all) }, 2e-6);
    if (rows > 1) RIG_RUN_FAILS(r, k, TRD_E_INVALID, "overlaps", rig_arg(ts), rig_arg(ts));
    trd_kernel_destroy(k);
    trd_tensor_destroy(tx);
    trd_tensor_destroy(ts);
    trd_tensor_destroy(one);
    free(x);
    free(want);
}

static double d_add(double a, double b) { return a + b; }
static double d_multiply(double a, double b) { return a * b; }
static double d_max(double a, double b) { return b > a ? b : a; }
static double d_min(double a, double b) { return b < a ? b : a; }

static void test_reductions(rig *r)
{
    static const int64_t sizes[][2] = { { 1, 1 }, { 3, 7 }, { 5, 256 }, { 2, 1000 }, { 4, 16385 }, { 1, 70001 } };
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const int64_t rows = sizes[k][0], cols = sizes[k][1];
        check_reduction(r, "s[r] = sum(x[i] + 0.25)", rows, cols, d_add, 0.0, false);
        check_reduction(r, "s[r] = mean(x[i] + 0.25)", rows, cols, d_add, 0.0, true);
        check_reduction(r, "s[r] = max(x[i] + 0.25);", rows, cols, d_max, -INFINITY, false);
        check_reduction(r, "t = x[i]; s[r] = min(t + 0.25)", rows, cols, d_min, INFINITY, false);
    }
    check_reduction(r, "s[r] = prod(x[i] + 0.25)", 3, 11, d_multiply, 1.0, false);
    /* Ints, into ints; no columns; a scalar product. */
    int32_t ones[1000];
    for (int i = 0; i < 1000; i++) ones[i] = i - 100;
    trd_tensor *const ti = rig_tensor(r, TRD_DTYPE_I32, 2, 500, ones), *const si = rig_tensor(r, TRD_DTYPE_I32, 2, 1, ones);
    trd_kernel *k = build(r, "const int *x, int *s", "s[r] = sum(x[i] * 2)");
    RIG_RUN(r, k, rig_arg(ti), rig_arg(si));
    int32_t *got = rig_read(r, si);
    CHECK_INT(got[0], 149500);
    CHECK_INT(got[1], 649500);
    free(got);
    trd_kernel_destroy(k);
    k = build(r, "const int *x, int *s", "s[r] = max(-x[i])");
    RIG_RUN(r, k, rig_arg(ti), rig_arg(si));
    got = rig_read(r, si);
    CHECK_INT(got[0], 100);
    CHECK_INT(got[1], -400);
    free(got);
    trd_kernel_destroy(k);
    trd_tensor *const none = rig_tensor(r, TRD_DTYPE_F32, 3, 0, NULL), *const three = rig_poisoned(r, 3, 1);
    k = build(r, "const float *x, float *s", "s[r] = sum(x[i])");
    RIG_RUN(r, k, rig_arg(none), rig_arg(three));
    rig_check(r, "sum of nothing", three, (float[]){ 0, 0, 0 }, 0.0);
    trd_kernel_destroy(k);
    trd_tensor_destroy(none);
    trd_tensor_destroy(three);
    trd_tensor_destroy(ti);
    trd_tensor_destroy(si);
}

/* ---- Sources ---- */

static const char source[] =
    "KERNEL twice(ARG(const float, x), ARG(float, y), const int n, const float a, const i64 shift)\n"
    "{\n"
    "    OPEN(const float, x);\n"
    "    OPEN(float, y);\n"
    "    const int i = (int)GLOBAL_ID;\n"
    "    if (i < n) y[i] = a * x[i] + (float)shift;\n"
    "}\n"
    "static float turned(LOCAL_PTR(const float) all, const int i, const int n) { return all[n - 1 - i]; }\n"
    "KERNEL turn(ARG(const float, x), LOCAL_ARG(float, part), ARG(float, y), const int n)\n"
    "{\n"
    "    OPEN(const float, x);\n"
    "    OPEN(float, y);\n"
    "    OPEN_LOCAL(float, part);\n"
    "    const int at = GROUP_ID * n + LOCAL_ID;\n"
    "    part[LOCAL_ID] = x[at];\n"
    "    BARRIER();\n"
    "    y[at] = turned(part, LOCAL_ID, n);\n"
    "}\n";

/* Local memory whose size the host chooses: groups that turn their elements round. */
static void test_local_argument(rig *r)
{
    enum { N = 96, GROUP = 32 };
    trd_kernel *k;
    CHECK_OK(trd_kernel_create_source(r->device, source, "turn", &k));
    float *const x = rig_floats(N), want[N];
    for (int i = 0; i < N; i++) want[i] = x[i / GROUP * GROUP + GROUP - 1 - i % GROUP];
    trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, 1, N, x), *const ty = rig_poisoned(r, 1, N);
    trd_argument arguments[] = { rig_arg(tx), { .kind = TRD_ARGUMENT_LOCAL, .integer = GROUP * sizeof(float) }, rig_arg(ty), rig_integer(GROUP) };
    const trd_launch launch = { .struct_size = sizeof launch, .n_dims = 1, .global_size = { N }, .group_size = { GROUP } };
    CHECK_OK(trd_kernel_run(r->queue, k, arguments, 4, &launch));
    rig_check(r, "local memory", ty, want, 0.0);
    arguments[1].integer = 0;
    CHECK_FAILS(trd_kernel_run(r->queue, k, arguments, 4, &launch), TRD_E_INVALID, "0 bytes of local memory");
    trd_kernel_destroy(k);
    trd_tensor_destroy(tx);
    trd_tensor_destroy(ty);
    free(x);
}

static void test_sources(rig *r)
{
    trd_kernel *k;
    CHECK_FAILS(trd_kernel_create_source(r->device, NULL, "twice", &k), TRD_E_INVALID, "NULL");
    if (rig_on_cpu(r)) {
        CHECK_FAILS(trd_kernel_create_source(r->device, source, "twice", &k), TRD_E_UNSUPPORTED, "compiles no sources");
        CHECK(k == NULL);
        return;
    }
    test_local_argument(r);
    CHECK_OK(trd_kernel_create_source(r->device, source, "twice", &k));
    enum { N = 1000 };
    float *const x = rig_floats(N), want[N];
    trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, 1, N, x), *const ty = rig_poisoned(r, 1, N);
    const trd_argument arguments[] = { rig_arg(tx), rig_arg(ty), rig_integer(N), rig_number(3.0f), { .kind = TRD_ARGUMENT_I64, .integer = -7 } };
    trd_launch launch = { .struct_size = sizeof launch, .n_dims = 1, .global_size = { 1024 }, .group_size = { 32 } };
    for (int i = 0; i < N; i++) want[i] = 3.0f * x[i] - 7.0f;
    CHECK_OK(trd_kernel_run(r->queue, k, arguments, 5, &launch));
    rig_check(r, "source kernel", ty, want, 1e-6);
    launch.group_size[0] = 0;
    launch.global_size[0] = N;
    CHECK_OK(trd_tensor_fill(r->queue, ty, 0.0));
    CHECK_OK(trd_kernel_run(r->queue, k, arguments, 5, &launch));
    rig_check(r, "source kernel", ty, want, 1e-6);
    launch.global_size[0] = 0;
    CHECK_OK(trd_kernel_run(r->queue, k, arguments, 5, &launch));
    launch.group_size[0] = 7;
    launch.global_size[0] = 1000;
    CHECK_FAILS(trd_kernel_run(r->queue, k, arguments, 5, &launch), TRD_E_INVALID, "global size 1000, group size 7");
    CHECK_FAILS(trd_kernel_run(r->queue, k, arguments, 5, NULL), TRD_E_INVALID, "launch is NULL");
    launch.n_dims = 4;
    CHECK_FAILS(trd_kernel_run(r->queue, k, arguments, 5, &launch), TRD_E_INVALID, "n_dims is 4");
    trd_launch_init(&launch, sizeof launch);
    CHECK_INT(launch.struct_size, sizeof launch);
    CHECK_INT(launch.n_dims, 1);
    CHECK_INT(launch.group_size[0], 0);
    launch.global_size[0] = 1024;
    CHECK_FAILS(trd_kernel_run(r->queue, k, arguments, 4, &launch), TRD_E_INVALID, "argument");
    trd_kernel_destroy(k);
    CHECK_FAILS(trd_kernel_create_source(r->device, source, "thrice", &k), TRD_E_FORMAT, "thrice");
    CHECK_FAILS(trd_kernel_create_source(r->device, "KERNEL twice(int a) { nonsense }", "twice", &k), TRD_E_FORMAT, "");
    trd_tensor_destroy(tx);
    trd_tensor_destroy(ty);
    free(x);
}

static void test_refusals(rig *r)
{
    trd_kernel *k = NULL;
    CHECK_FAILS(trd_kernel_create_expression(r->device, "float *y", "y[i] = 1 +", &k), TRD_E_FORMAT, "column 11: a value is missing (at the end)");
    CHECK(k == NULL);
    CHECK_FAILS(trd_kernel_create_expression(NULL, "float *y", "y[i] = 1", &k), TRD_E_INVALID, "device is NULL");
    CHECK_FAILS(trd_kernel_create_expression(r->device, NULL, "y[i] = 1", &k), TRD_E_INVALID, "NULL");
    CHECK_FAILS(trd_kernel_create_expression(r->device, "float *y", "y[i] = 1", NULL), TRD_E_INVALID, "out is NULL");
    k = build(r, "float *y", "y[i] = 1");
    trd_tensor *const t = rig_poisoned(r, 2, 2);
    const trd_argument argument = rig_arg(t);
    const trd_launch launch = { .struct_size = sizeof launch, .n_dims = 1, .global_size = { 4 } };
    CHECK_FAILS(trd_kernel_run(r->queue, k, &argument, 1, &launch), TRD_E_INVALID, "launch must be NULL");
    CHECK_FAILS(trd_kernel_run(r->queue, NULL, &argument, 1, NULL), TRD_E_INVALID, "kernel is NULL");
    CHECK_FAILS(trd_kernel_run(r->queue, k, NULL, 1, NULL), TRD_E_INVALID, "arguments");
    CHECK_FAILS(trd_kernel_run(NULL, k, &argument, 1, NULL), TRD_E_INVALID, "queue is NULL");
    const trd_argument odd = { .kind = (trd_argument_kind)9 };
    CHECK_FAILS(trd_kernel_run(r->queue, k, &odd, 1, NULL), TRD_E_INVALID, "kind 9");
    trd_tensor *columns;
    CHECK_OK(trd_tensor_view(t, 0, 2, (int64_t[]){ 2, 1 }, (int64_t[]){ 2, 1 }, &columns));
    const trd_argument gaps = rig_arg(columns);
    CHECK_FAILS(trd_kernel_run(r->queue, k, &gaps, 1, NULL), TRD_E_INVALID, "not contiguous");
    trd_tensor_destroy(columns);
    trd_tensor_destroy(t);
    trd_kernel_destroy(k);
    trd_kernel_destroy(NULL);
}

static void test_all(rig *r)
{
    test_saxpy(r);
    test_functions(r);
    test_specials(r);
    test_integers(r);
    test_rows(r);
    test_aliases(r);
    test_types(r);
    test_reductions(r);
    test_sources(r);
    test_refusals(r);
    trd_device_memory memory = { .struct_size = sizeof memory };
    CHECK_OK(trd_device_get_memory(r->device, &memory));
    CHECK_INT(memory.n_allocated, 0);
}

int main(void)
{
    rig_each(test_all);
    return 0;
}
