/* test_cpu_math.c: our exp, log, tanh, erf and activations against the C library in double, in units in the last place. */
#include "backend/plain_math.h"
#include "backend_rig.h"

static double swish(double x) { return x / (1.0 + exp(-x)); }
static double swish_gelu(double x) { return x / (1.0 + exp(-1.702 * x)); }
static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double gelu(double x) { return 0.5 * x * (1.0 + erf(0.7071067811865475 * x)); }
static double gelu_tanh(double x) { return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); }

static const struct {
    const char *name;
    double (*f)(double);
    double low, high, ulps;   /* range that is swept; largest error with fma */
    double absolute;          /* error that is let pass where the result is near 0 */
} functions[] = {
    [0] = { "exp", exp, -87.3, 88.7, 1.5, 0.0 },
    [1] = { "log", log, 1e-30, 1e4, 2.0, 0.0 },
    [2] = { "tanh", tanh, -12.0, 12.0, 2.0, 0.0 },
    [3] = { "erf", erf, -5.0, 5.0, 2.0, 0.0 },
    [5] = { "gelu, tanh", gelu_tanh, -9.0, 9.0, 4.0, 1e-7 },
    [6] = { "swish", swish, -80.0, 80.0, 4.0, 0.0 },
    [7] = { "gelu", gelu, -9.0, 9.0, 4.0, 1e-7 },
    [8] = { "gelu, sigmoid", swish_gelu, -40.0, 40.0, 6.0, 1e-9 },
    [9] = { "tanh again", tanh, -1.0, 1.0, 2.0, 0.0 },
    [10] = { "sigmoid", sigmoid, -80.0, 80.0, 3.0, 0.0 },
};
enum { N_FUNCTIONS = sizeof functions / sizeof functions[0], N = 40000 };

static double ulp(double y)
{
    int e;
    (void)frexp(fmax(fabs(y), 1.2e-38), &e);
    return ldexp(1.0, e - 24);
}

static void sweep(const trdi_cpu_kernels *k, int function, float *x, float *y)
{
    const double low = functions[function].low, high = functions[function].high;
    for (int i = 0; i < N; i++) {
        const double t = (double)i / (N - 1);
        x[i] = (float)(low > 0.0 ? low * pow(high / low, t) : low + (high - low) * t);
    }
    k->apply(function, x, y, N);
    double worst = 0.0;
    float where = 0.0f;
    for (int i = 0; i < N; i++) {
        const double want = functions[function].f((double)x[i]), error = fabs((double)y[i] - want);
        if (error <= functions[function].absolute) continue;
        if (error / ulp(want) > worst) {
            worst = error / ulp(want);
            where = x[i];
        }
    }
    printf("%s, %s: %.2f ulp at %g\n", k->name, functions[function].name, worst, (double)where);
    /* Without fma the reduced argument and the polynomial round more often. */
    CHECK(worst <= functions[function].ulps * (strcmp(k->name, "generic") == 0 ? 1.5 : 1.0));
}

static float one(const trdi_cpu_kernels *k, int function, float x)
{
    float y;
    k->apply(function, &x, &y, 1);
    return y;
}

static void special_values(const trdi_cpu_kernels *k)
{
    CHECK(one(k, 0, -INFINITY) == 0.0f && one(k, 0, INFINITY) == INFINITY && one(k, 0, 0.0f) == 1.0f && isnan(one(k, 0, NAN)));
    CHECK(one(k, 0, -88.0f) == 0.0f && one(k, 0, -1e30f) == 0.0f && one(k, 0, 89.0f) == INFINITY && one(k, 0, 88.72283f) < INFINITY);
    CHECK(one(k, 0, -87.336540f) > 0.0f);
    CHECK(one(k, 1, 0.0f) == -INFINITY && one(k, 1, 1.0f) == 0.0f && one(k, 1, INFINITY) == INFINITY && isnan(one(k, 1, -1.0f)));
    CHECK(isnan(one(k, 1, NAN)));
    CHECK(one(k, 2, INFINITY) == 1.0f && one(k, 2, -INFINITY) == -1.0f && one(k, 2, 0.0f) == 0.0f && isnan(one(k, 2, NAN)));
    CHECK(one(k, 3, INFINITY) == 1.0f && one(k, 3, -INFINITY) == -1.0f && one(k, 3, 0.0f) == 0.0f && isnan(one(k, 3, NAN)));
    CHECK(one(k, 4, -3.0f) == 0.0f && one(k, 4, 3.0f) == 3.0f && isnan(one(k, 4, NAN)));
    CHECK(one(k, 6, -INFINITY) == 0.0f && one(k, 6, -200.0f) == 0.0f && one(k, 6, INFINITY) == INFINITY);
    CHECK(one(k, 10, -INFINITY) == 0.0f && one(k, 10, INFINITY) == 1.0f);
}

static void plain(void)
{
    for (int i = 0; i < 20000; i++) {
        const double x = (double)rig_uniform() * 1e6, small = (double)rig_uniform() * 20.0;
        double s, c;
        trdi_plain_sin_cos(x, &s, &c);
        CHECK_NEAR(s, sin(x), 2e-15);
        CHECK_NEAR(c, cos(x), 2e-15);
        CHECK_NEAR(trdi_plain_exp(small) / exp(small), 1.0, 1e-15);
        CHECK_NEAR(trdi_plain_log(exp(small)), small, 1e-14);
    }
}

int main(void)
{
    static float x[N], y[N], first[N];
    const char *names[3];
    const int n = rig_isas(names);
    for (int f = 0; f < N_FUNCTIONS; f++) {
        bool fused = false;
        for (int i = 0; i < n && functions[f].f != NULL; i++) {
            const trdi_cpu_kernels *k = trdi_cpu_kernels_find(names[i]);
            sweep(k, f, x, y);
            if (strcmp(k->name, "generic") == 0) continue;
            if (fused) check_same_bits(functions[f].name, y, first, N);
            memcpy(first, y, sizeof first);
            fused = true;
        }
    }
    for (int i = 0; i < n; i++) special_values(trdi_cpu_kernels_find(names[i]));
    plain();
    return 0;
}
