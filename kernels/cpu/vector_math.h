/*
 * vector_math.h: exp, log, tanh, erf and the activations, 16 lanes at a time, the same bits on every instruction set with fma.
 * Polynomials are Chebyshev fits made with mpmath (40 digits) on the reduced ranges; within 2 ulp with fma (tests/backend).
 * Results that would be denormal are 0. NaN in, NaN out.
 */
#ifndef TRDI_KERNELS_VECTOR_MATH_H
#define TRDI_KERNELS_VECTOR_MATH_H

#include "kernels/cpu/vector.h"

/* ln 2 in two parts; n * LN2_HIGH is exact for |n| < 2^15. */
#define LN2_HIGH 0.693359375f
#define LN2_LOW (-2.12194440e-4f)
/* 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits. */
#define ROUNDER 12582912.0f
#define ROUNDER_BITS 0x4b400000

/** c[0] x^(n-1) + ... + c[n-1]. */
TRDI_INLINE lanes polynomial(lanes x, const float *c, int n)
{
    lanes p = lanes_set(c[0]);
    for (int i = 1; i < n; i++) p = lanes_fma(p, x, lanes_set(c[i]));
    return p;
}

TRDI_INLINE lanes lanes_exp(lanes x)
{
    static const float c[6] = { 1.989299176e-04f, 1.393545184e-03f, 8.333309087e-03f,
                                4.166644837e-02f, 1.666666668e-01f, 5.000000015e-01f };
    const lanes bounded = lanes_min(lanes_max(x, lanes_set(-88.0f)), lanes_set(89.0f));
    const lanes shifted = lanes_fma(bounded, lanes_set(1.44269504f), lanes_set(ROUNDER));
    const lanes n = shifted - lanes_set(ROUNDER);
    lanes r = lanes_fma(n, lanes_set(-LN2_HIGH), bounded);
    r = lanes_fma(n, lanes_set(-LN2_LOW), r);
    const lanes e = lanes_fma(r * r, polynomial(r, c, 6), r) + lanes_set(1.0f);
    /* 2^n in two factors, as 2^128 is not an f32. */
    const ilanes whole = (ilanes)shifted - ilanes_set(ROUNDER_BITS);
    const ilanes half = whole >> 1;
    const lanes scaled = e * (lanes)((half + 127) << 23) * (lanes)((whole - half + 127) << 23);
    lanes y = lanes_select(x < lanes_set(-87.3365402f), lanes_set(0.0f), scaled);
    y = lanes_select(x > lanes_set(88.7228317f), lanes_set(__builtin_inff()), y);
    return lanes_select(x != x, x, y);
}

TRDI_INLINE lanes lanes_log(lanes x)
{
    static const float c[9] = { 6.971611471e-02f, -1.147973385e-01f, 1.168541992e-01f, -1.242568733e-01f, 1.424905765e-01f,
                                -1.666780232e-01f, 2.000071575e-01f, -2.499999696e-01f, 3.333333118e-01f };
    const ilanes bits = (ilanes)x;
    const lanes mantissa = (lanes)((bits & 0x007fffff) | 0x3f800000);
    const ilanes big = mantissa > lanes_set(1.41421356f);
    const ilanes exponent = ((bits >> 23) & 0xff) - 127 - big;
    const lanes f = lanes_select(big, mantissa * lanes_set(0.5f), mantissa) - lanes_set(1.0f);
    const lanes e = (lanes)(exponent + ROUNDER_BITS) - lanes_set(ROUNDER);
    const lanes f2 = f * f;
    lanes y = lanes_fma(f2 * f, polynomial(f, c, 9), e * lanes_set(LN2_LOW));
    y = lanes_fma(f2, lanes_set(-0.5f), y) + f;
    y = lanes_fma(e, lanes_set(LN2_HIGH), y);
    y = lanes_select(x < lanes_set(1.17549435e-38f), lanes_set(-__builtin_inff()), y);
    y = lanes_select(x < lanes_set(0.0f), lanes_set(__builtin_nanf("")), y);
    y = lanes_select(x == lanes_set(__builtin_inff()), x, y);
    return lanes_select(x != x, x, y);
}

TRDI_INLINE lanes lanes_tanh(lanes x)
{
    static const float c[6] = { 2.269501684e-03f, -8.323187058e-03f, 2.176250291e-02f,
                                -5.395846163e-02f, 1.333330015e-01f, -3.333333315e-01f };
    const lanes a = lanes_abs(x), s = x * x;
    const lanes small = lanes_fma(x * s, polynomial(s, c, 6), x);
    const lanes large = lanes_set(1.0f) - lanes_set(2.0f) / (lanes_exp(a + a) + lanes_set(1.0f));
    return lanes_select(a < lanes_set(0.625f), small, lanes_copysign(large, x));
}

TRDI_INLINE lanes lanes_erf(lanes x)
{
    static const float near_zero[7] = { 8.529401323e-05f, -8.179632181e-04f, 5.204226694e-03f, -2.686066479e-02f,
                                        1.128371805e-01f, -3.761263519e-01f, 1.283791668e-01f };
    /* ln(erfc(t)) for 0.88 <= t <= 4; beyond, erf is 1 in f32. */
    static const float tail[9] = { 1.641625185e-06f, -4.613062837e-05f, 5.972599488e-04f, -4.760857985e-03f, 2.642184455e-02f,
                                   -1.100754600e-01f, -6.318381263e-01f, -1.130221615e+00f, 3.159178698e-04f };
    const lanes t = lanes_abs(x), s = x * x;
    const lanes small = lanes_fma(x, polynomial(s, near_zero, 7), x);
    const lanes large = lanes_set(1.0f) - lanes_exp(polynomial(lanes_min(t, lanes_set(4.0f)), tail, 9));
    const lanes y = lanes_select(t < lanes_set(0.9f), small, lanes_copysign(large, x));
    return lanes_select(x != x, x, y);
}

/** x / (1 + exp(-s x)); 0 at -infinity. */
TRDI_INLINE lanes lanes_swish(lanes x, float s)
{
    const lanes y = x / (lanes_set(1.0f) + lanes_exp(x * lanes_set(-s)));
    return lanes_select(x < lanes_set(-3.0e38f), lanes_set(0.0f), y);
}

TRDI_INLINE lanes lanes_gelu_tanh(lanes x)
{
    const lanes cube = x * x * x;
    const lanes t = lanes_tanh(lanes_set(0.797884583f) * lanes_fma(cube, lanes_set(0.044715f), x));
    return lanes_set(0.5f) * x * (lanes_set(1.0f) + t);
}

TRDI_INLINE lanes lanes_gelu(lanes x)
{
    return lanes_set(0.5f) * x * (lanes_set(1.0f) + lanes_erf(lanes_set(0.707106769f) * x));
}

TRDI_INLINE lanes lanes_sigmoid(lanes x)
{
    return lanes_set(1.0f) / (lanes_set(1.0f) + lanes_exp(-x));
}

#define TRDI_LIFT(name, ...)                                                \
    static __attribute__((noinline)) void name(v16 *a)                      \
    {                                                                       \
        EACH_PART(i) {                                                      \
            const lanes x = a->part[i];                                     \
            a->part[i] = (__VA_ARGS__);                                     \
        }                                                                   \
    }
TRDI_LIFT(v16_exp, lanes_exp(x))
TRDI_LIFT(v16_log, lanes_log(x))
TRDI_LIFT(v16_tanh, lanes_tanh(x))
TRDI_LIFT(v16_erf, lanes_erf(x))
TRDI_LIFT(v16_relu, lanes_select(x < lanes_set(0.0f), lanes_set(0.0f), x))
TRDI_LIFT(v16_gelu_tanh, lanes_gelu_tanh(x))
TRDI_LIFT(v16_swish, lanes_swish(x, 1.0f))
TRDI_LIFT(v16_gelu, lanes_gelu(x))
TRDI_LIFT(v16_gelu_sigmoid, lanes_swish(x, 1.702f))
TRDI_LIFT(v16_sigmoid, lanes_sigmoid(x))

/** The activation with the number that files use; others leave a alone. */
static void v16_activate(v16 *a, int32_t activation)
{
    switch (activation) {
    case 0: v16_relu(a); break;
    case 1: v16_gelu_tanh(a); break;
    case 2: v16_swish(a); break;
    case 3: v16_gelu(a); break;
    case 4: v16_gelu_sigmoid(a); break;
    case 5: v16_tanh(a); break;
    case 6: v16_sigmoid(a); break;
    default: break;
    }
}

/** exp of one number, by the same code. */
static inline float one_exp(float x)
{
    return lanes_exp(lanes_set(x))[0];
}

static inline float one_log(float x)
{
    return lanes_log(lanes_set(x))[0];
}

#endif
