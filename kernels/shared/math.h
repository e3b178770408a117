/*
 * math.h: exp, log, tanh, erf and the activations, as the CPU back end computes them (kernels/cpu/vector_math.h), for float and float16:
 * trd_exp() and trd_exp16(), and so on. Within 2 ulp where fma is one rounding. Results that would be denormal are 0. NaN in, NaN out.
 */
#ifndef TRD_MATH_H
#define TRD_MATH_H

#include "shim.h"

/* ln 2 in two parts; n * LN2_HIGH is exact for |n| < 2^15. 1.5 * 2^23: adding it rounds to an integer in the low bits. */
#define LN2_HIGH 0.693359375f
#define LN2_LOW (-2.12194440e-4f)
#define ROUNDER 12582912.0f
#define ROUNDER_BITS 0x4b400000

/* select() takes the sign bit of each element of a vector, but any bit of a scalar: comparisons give 1 or -1, so both work. */
#define TRD_MATH(F, I, AS_F, AS_I, S)                                                                                        \
    static inline F trd_exp##S(const F x)                                                                                           \
    {                                                                                                                        \
        const F bounded = fmin(fmax(x, (F)(-88.0f)), (F)(89.0f));                                                            \
        const F shifted = FMA(bounded, (F)(1.44269504f), (F)(ROUNDER));                                                      \
        const F n = shifted - (F)(ROUNDER);                                                                                  \
        const F r = FMA(n, (F)(-LN2_LOW), FMA(n, (F)(-LN2_HIGH), bounded));                                                  \
        F p = (F)(1.989299176e-04f);                                                                                         \
        p = FMA(p, r, (F)(1.393545184e-03f));                                                                                \
        p = FMA(p, r, (F)(8.333309087e-03f));                                                                                \
        p = FMA(p, r, (F)(4.166644837e-02f));                                                                                \
        p = FMA(p, r, (F)(1.666666668e-01f));                                                                                \
        p = FMA(p, r, (F)(5.000000015e-01f));                                                                                \
        const F e = FMA(r * r, p, r) + (F)(1.0f);                                                                            \
        const I whole = AS_I(shifted) - (I)(ROUNDER_BITS);                                                                   \
        const I half_of = whole >> 1;                                                                                        \
        F y = e * AS_F((half_of + 127) << 23) * AS_F((whole - half_of + 127) << 23);                                         \
        y = select(y, (F)(0.0f), (I)(x < (F)(-87.3365402f)));                                                                \
        y = select(y, (F)(INFINITY), (I)(x > (F)(88.7228317f)));                                                             \
        return select(y, x, (I)(x != x));                                                                                    \
    }                                                                                                                        \
    static inline F trd_log##S(const F x)                                                                                           \
    {                                                                                                                        \
        const I bits = AS_I(x);                                                                                              \
        const F mantissa = AS_F((bits & 0x007fffff) | 0x3f800000);                                                           \
        const I big = (I)(mantissa > (F)(1.41421356f));                                                                      \
        const I exponent = ((bits >> 23) & 0xff) - 127 + (big & 1);                                                          \
        const F f = select(mantissa, mantissa * 0.5f, big) - 1.0f;                                                           \
        const F e = AS_F(exponent + ROUNDER_BITS) - (F)(ROUNDER);                                                            \
        const F f2 = f * f;                                                                                                  \
        F p = (F)(6.971611471e-02f);                                                                                         \
        p = FMA(p, f, (F)(-1.147973385e-01f));                                                                               \
        p = FMA(p, f, (F)(1.168541992e-01f));                                                                                \
        p = FMA(p, f, (F)(-1.242568733e-01f));                                                                               \
        p = FMA(p, f, (F)(1.424905765e-01f));                                                                                \
        p = FMA(p, f, (F)(-1.666780232e-01f));                                                                               \
        p = FMA(p, f, (F)(2.000071575e-01f));                                                                                \
        p = FMA(p, f, (F)(-2.499999696e-01f));                                                                               \
        p = FMA(p, f, (F)(3.333333118e-01f));                                                                                \
        F y = FMA(f2 * f, p, e * (F)(LN2_LOW));                                                                              \
        y = FMA(f2, (F)(-0.5f), y) + f;                                                                                      \
        y = FMA(e, (F)(LN2_HIGH), y);                                                                                        \
        y = select(y, (F)(-INFINITY), (I)(x < (F)(1.17549435e-38f)));                                                        \
        y = select(y, (F)(NAN), (I)(x < (F)(0.0f)));                                                                         \
        return select(y, x, (I)(x == (F)(INFINITY)) | (I)(x != x));                                                          \
    }                                                                                                                        \
    static inline F trd_tanh##S(const F x)                                                                                          \
    {                                                                                                                        \
        const F a = fabs(x), s = x * x;                                                                                      \
        F p = (F)(2.269501684e-03f);                                                                                         \
        p = FMA(p, s, (F)(-8.323187058e-03f));                                                                               \
        p = FMA(p, s, (F)(2.176250291e-02f));                                                                                \
        p = FMA(p, s, (F)(-5.395846163e-02f));                                                                               \
        p = FMA(p, s, (F)(1.333330015e-01f));                                                                                \
        p = FMA(p, s, (F)(-3.333333315e-01f));                                                                               \
        const F small = FMA(x * s, p, x);                                                                                    \
        const F large = 1.0f - 2.0f / (trd_exp##S(a + a) + 1.0f);                                                            \
        return select(copysign(large, x), small, (I)(a < (F)(0.625f)));                                                      \
    }                                                                                                                        \
    static inline F trd_erf##S(const F x)                                                                                           \
    {                                                                                                                        \
        const F t = fabs(x), s = x * x, u = fmin(t, (F)(4.0f));                                                              \
        F p = (F)(8.529401323e-05f);                                                                                         \
        p = FMA(p, s, (F)(-8.179632181e-04f));                                                                               \
        p = FMA(p, s, (F)(5.204226694e-03f));                                                                                \
        p = FMA(p, s, (F)(-2.686066479e-02f));                                                                               \
        p = FMA(p, s, (F)(1.128371805e-01f));                                                                                \
        p = FMA(p, s, (F)(-3.761263519e-01f));                                                                               \
        p = FMA(p, s, (F)(1.283791668e-01f));                                                                                \
        F q = (F)(1.641625185e-06f);                                                                                         \
        q = FMA(q, u, (F)(-4.613062837e-05f));                                                                               \
        q = FMA(q, u, (F)(5.972599488e-04f));                                                                                \
        q = FMA(q, u, (F)(-4.760857985e-03f));                                                                               \
        q = FMA(q, u, (F)(2.642184455e-02f));                                                                                \
        q = FMA(q, u, (F)(-1.100754600e-01f));                                                                               \
        q = FMA(q, u, (F)(-6.318381263e-01f));                                                                               \
        q = FMA(q, u, (F)(-1.130221615e+00f));                                                                               \
        q = FMA(q, u, (F)(3.159178698e-04f));                                                                                \
        const F large = copysign(1.0f - trd_exp##S(q), x);                                                                   \
        const F y = select(large, FMA(x, p, x), (I)(t < (F)(0.9f)));                                                         \
        return select(y, x, (I)(x != x));                                                                                    \
    }                                                                                                                        \
    static inline F trd_swish##S(const F x, const float s)                                                                          \
    {                                                                                                                        \
        const F y = x / (1.0f + trd_exp##S(x * -s));                                                                         \
        return select(y, (F)(0.0f), (I)(x < (F)(-3.0e38f)));                                                                 \
    }                                                                                                                        \
    /* The activation with the number that files use; others leave x alone. */                                               \
    static inline F trd_activate##S(const F x, const int activation)                                                                \
    {                                                                                                                        \
        switch (activation) {                                                                                                \
        case 0: return select(x, (F)(0.0f), (I)(x < (F)(0.0f)));                                                             \
        case 1: return 0.5f * x * (1.0f + trd_tanh##S(0.797884583f * FMA(x * x * x, (F)(0.044715f), x)));                    \
        case 2: return trd_swish##S(x, 1.0f);                                                                                \
        case 3: return 0.5f * x * (1.0f + trd_erf##S(0.707106769f * x));                                                     \
        case 4: return trd_swish##S(x, 1.702f);                                                                              \
        case 5: return trd_tanh##S(x);                                                                                       \
        case 6: return 1.0f / (1.0f + trd_exp##S(-x));                                                                       \
        default: return x;                                                                                                   \
        }                                                                                                                    \
    }

TRD_MATH(float, int, AS_FLOAT, AS_INT, )
TRD_MATH(float16, int16, as_float16, as_int16, 16)

/*
 * Sine, and cosine through a pointer, of x with |x| < 2^31, within 1e-7 (an absolute error; beyond, and of NaN and infinity, NaN). The same on
 * every device: x is m 2^(e - 150), and m times 2 / pi is taken in integers. TWO_PI_* are 2 / pi in units of 2^-32 and 2^-64; the product, kept
 * in units of 2^-32, has less than 56 bits. Its part below one quarter turn, rounded to the nearest, is a 32-bit fraction.
 */
#define TWO_OVER_PI_1 0xa2f9836eu
#define TWO_OVER_PI_2 0x4e441529u
#define TRD_SIN_COS(F, I, U, L, S)                                                                                          \
    static inline F trd_sin_cos##S(const F x, F *cosine)                                                                     \
    {                                                                                                                        \
        const U bits = as_##U(fabs(x));                                                                                      \
        const L m = convert_##L((bits & 0x7fffffu) | 0x800000u);                                                             \
        const L product = m * (L)(TWO_OVER_PI_1) + ((m * (L)(TWO_OVER_PI_2)) >> 32);                                         \
        const U exponent = min(max(bits >> 23, (U)(126u)), (U)(157u));                                                       \
        const L turns = ((product << 8) >> convert_##L((U)(158u) - exponent)) + (L)(0x80000000u);                            \
        const I small = (I)(fabs(x) < (F)(0.785398163f));                                                                    \
        const I quarter = select(convert_##I(turns >> 32 & (L)(3u)), (I)(0), small);                                         \
        const I fraction = as_##I(convert_##U(turns & (L)(0xffffffffu)) ^ 0x80000000u);                                      \
        const F r = select(convert_##F(fraction) * 3.6572952e-10f, fabs(x), small), s = r * r;                              \
        const F sr = FMA(FMA(FMA((F)(-1.9515295891e-4f), s, (F)(8.3321608736e-3f)), s, (F)(-1.6666654611e-1f)), r * s, r);   \
        const F cr = FMA(FMA(FMA((F)(2.443315711809948e-5f), s, (F)(-1.388731625493765e-3f)), s, (F)(4.166664568298827e-2f)), \
                         s * s, FMA((F)(-0.5f), s, (F)(1.0f)));                                                              \
        const I odd = -(quarter & 1), sine_sign = quarter << 30 & (I)(TRD_SIGN), cosine_sign = (quarter + 1) << 30 & (I)(TRD_SIGN); \
        const I given_sign = as_##I(x) & (I)(TRD_SIGN), wrong = (I)(!(fabs(x) < (F)(2147483648.0f)));                         \
        const F a = select(sr, cr, odd), b = select(cr, sr, odd);                                                            \
        *cosine = select(as_##F(as_##I(b) ^ cosine_sign), (F)(NAN), wrong);                                                  \
        return select(as_##F(as_##I(a) ^ sine_sign ^ given_sign), (F)(NAN), wrong);                                          \
    }
#define TRD_SIGN ((int)0x80000000u)

TRD_SIN_COS(float, int, uint, ulong, )
TRD_SIN_COS(float16, int16, uint16, ulong16, 16)

#endif
