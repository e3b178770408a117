/*
 * test_cl_math.c: the functions of kernels/shared/math.h against the C library in double, through what is made of them: activations of a product
 * with one weight of 1, and sine and cosine through rotary of (1, 0). All powers of two, special values, and what lies about the edges.
 */
#include "opencl/cl_rig.h"

#include <float.h>

enum { MOST = 4096 };

/* Distance of neighbours at x; of the smallest normal numbers below these, where results may be 0. */
static double ulp(double x)
{
    const double a = fabs(x);
    if (a < (double)FLT_MIN) return (double)FLT_MIN / 2.0;
    int e;
    (void)frexp(a, &e);
    return ldexp(1.0, e - 24);
}

static int64_t fill(const cl_rig *r, float *x)
{
    static const float special[] = { 0.0f, -0.0f, INFINITY, -INFINITY, NAN, FLT_MIN, -FLT_MIN, FLT_MAX, -FLT_MAX, 0.625f, 0.62499994f, 0.9f, 1.2727922f,
                                     87.33f, 87.34f, -87.3365f, -87.34f, 88.72283f, 88.73f, 89.0f, -88.0f, 103.9f, -103.9f, 4.0f, -4.0f, 5.6568f };
    int64_t n = 0;
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) x[n++] = special[i];
    for (int e = -120; e < 127; e += r->small ? 9 : 1) {
        x[n++] = ldexpf(1.0f, e);
        x[n++] = -ldexpf(1.37f, e);
    }
    for (; n < (r->small ? 200 : MOST); n++) x[n] = cl_rig_uniform() * (n % 3 == 0 ? 1.0f : n % 3 == 1 ? 6.0f : 90.0f);
    return n;
}

static double wanted(double x, int activation)
{
    switch (activation) {
    case 0: return x > 0.0 ? x : 0.0;
    case 1: return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case 2: return x / (1.0 + exp(-x));
    case 3: return 0.5 * x * (1.0 + erf(0.7071067811865475 * x));
    case 4: return x / (1.0 + exp(-1.702 * x));
    case 5: return tanh(x);
    default: return 1.0 / (1.0 + exp(-x));
    }
}

/* What the result may be off by. Formulas with 1 + f(x) lose f's small values: an ulp of 1 times x. Arguments are rounded before exp. */
static double allowed(double x, double want, int activation)
{
    if (activation == 0) return 0.0;
    if (activation == 1 || activation == 3) return 4.0 * ulp(want) + 1.8e-7 * fmin(fabs(x), 14.0);
    if (activation == 5) return 3.0 * ulp(want);
    const double overflow = activation == 6 ? 0.0 : 3e-37;         /* x / infinity from exp(88.73) on */
    return 4.0 * ulp(want) + overflow + (activation == 4 ? 1.1e-7 * fabs(1.702 * x * want) : 0.0);
}

static void activation(cl_rig *r, int which, double *worst)
{
    static const float one = 1.0f;
    void *weight = cl_rig_weight(r, TRDI_LAYOUT_LINEAR, TRD_DTYPE_F32, false, &one, 1, 1, NULL);
    float *x = cl_rig_floats(r, MOST), *y = cl_rig_poisoned(r, MOST);
    const int64_t n = fill(r, x);
    const trdi_op op = { .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS, .u.linear = {
        .weight = weight, .x = cl_span(x), .y = cl_span(y), .in = 1, .out = 1, .x_stride = 1, .y_stride = 1, .activation = which } };
    CHECK_OK(cl_rig_run(r, &op, n));
    const float *got = cl_rig_got(r, y);
    *worst = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)x[i], want = v == -INFINITY && (which == 2 || which == 4) ? 0.0 : wanted(v, which);
        if (which == 0 && isnan(v)) continue;
        if (isnan(want) ? isnan(got[i]) : (double)got[i] == want) continue;
        const double error = fabs((double)got[i] - want), most = allowed(v, want, which);
        if (isfinite(want) && isfinite(got[i]) && error <= most) {
            if (most > 0.0 && error / most > *worst) *worst = error / most;
            continue;
        }
        fprintf(stderr, "activation %d (%s, %s) of %.9g is %.9g, wanted %.9g within %.3g\n", which, r->facts.platform, r->form, v, (double)got[i],
                want, most);
        exit(1);
    }
    cl_rig_clear(r);
}

/* cos and sin of position times frequency: (1, 0) rotated. Angles up to 2^30, and about multiples of a quarter turn. */
static void angles(cl_rig *r, double *worst)
{
    enum { PAIRS = 64 };
    const int64_t n = r->small ? 4 : 60;
    float *x = cl_rig_floats(r, n * 2 * PAIRS), *inverse = cl_rig_floats(r, PAIRS);
    int32_t *positions = cl_rig_ints(r, n);
    for (int64_t t = 0; t < n; t++) positions[t] = t < 31 ? (int32_t)1 << t : (int32_t)(cl_rig_bits() >> 12);
    for (int64_t i = 0; i < PAIRS; i++) inverse[i] = i < 16 ? (float)(1.5707963267948966 / (double)(1 << i)) : i < 40 ? ldexpf(1.0f, 16 - (int)i) : fabsf(inverse[i]);
    for (int64_t i = 0; i < n * 2 * PAIRS; i++) x[i] = i % 2 == 0 ? 1.0f : 0.0f;
    const trdi_op op = { .kind = TRDI_OP_ROTARY, .count = TRDI_COUNT_TOKENS, .u.rotary = {
        .x = cl_span(x), .positions = cl_span(positions), .inverse_frequencies = cl_span(inverse), .n_heads = 1, .head_dim = 2 * PAIRS,
        .dim = 2 * PAIRS, .x_stride = 2 * PAIRS, .magnitude = 1.0f, .interleave = true } };
    CHECK_OK(cl_rig_run(r, &op, n));
    const float *got = cl_rig_got(r, x);
    *worst = 0.0;
    for (int64_t i = 0; i < n * PAIRS; i++) {
        const float angle = (float)positions[i / PAIRS] * inverse[i % PAIRS];
        if (fabsf(angle) >= 2147483648.0f) continue;
        const double error = fmax(fabs((double)got[2 * i] - cos((double)angle)), fabs((double)got[2 * i + 1] - sin((double)angle)));
        if (error > *worst) *worst = error;
        if (error <= (fabsf(angle) <= 1048576.0f ? 1.2e-7 : 3e-7)) continue;
        fprintf(stderr, "angle %.9g (%s, %s): (%.9g, %.9g), wanted (%.9g, %.9g)\n", (double)angle, r->facts.platform, r->form, (double)got[2 * i],
                (double)got[2 * i + 1], cos((double)angle), sin((double)angle));
        exit(1);
    }
    cl_rig_clear(r);
}

static void test(cl_rig *r)
{
    static const char *const names[7] = { "relu", "gelu (tanh)", "swish", "gelu", "gelu (sigmoid)", "tanh", "sigmoid" };
    double worst;
    for (int which = 0; which < 7; which++) {
        activation(r, which, &worst);
        printf("  %-15s worst %.2g of what is allowed\n", names[which], worst);
    }
    angles(r, &worst);
    printf("  %-15s worst error %.3g\n", "sine, cosine", worst);
}

int main(void)
{
    cl_rig_each("math", test);
    return 0;
}
