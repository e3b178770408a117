/* plain_math.c: sine, cosine, exp and log in double precision from series on small ranges; no fma, so the same everywhere. */
#include "backend/plain_math.h"

#include <math.h>

/* pi/2 in three parts of 33 bits: products with a quotient below 2^20 are exact, so are two of them with one below 2^26. */
#define HALF_PI_1 0x1.921fb544p+0
#define HALF_PI_2 0x1.0b4611a6p-34
#define HALF_PI_3 0x1.3198a2e037073p-69
#define LN2_1 0x1.62e42feep-1
#define LN2_2 0x1.a39ef35793c76p-33

/* sum of c[i] x^i, from the highest. */
static double horner(double x, const double *c, int n)
{
    double p = c[n - 1];
    for (int i = n - 2; i >= 0; i--) p = p * x + c[i];
    return p;
}

void trdi_plain_sin_cos(double angle, double *sine, double *cosine)
{
    /* Taylor coefficients; on [-pi/4, pi/4] the first left out is below 1e-17. */
    static const double s[8] = { 1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800.0,
                                 -1.0 / 1307674368000.0 };
    static const double c[9] = { 1.0, -0.5, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600,
                                 -1.0 / 87178291200.0, 1.0 / 20922789888000.0 };
    const double quarter = floor(angle * 0.63661977236758134 + 0.5);
    const double r = ((angle - quarter * HALF_PI_1) - quarter * HALF_PI_2) - quarter * HALF_PI_3;
    const double r2 = r * r, sr = r * horner(r2, s, 8), cr = horner(r2, c, 9);
    switch ((int)(quarter - 4.0 * floor(quarter * 0.25))) {
    case 0: *sine = sr; *cosine = cr; break;
    case 1: *sine = cr; *cosine = -sr; break;
    case 2: *sine = -sr; *cosine = -cr; break;
    default: *sine = -cr; *cosine = sr; break;
    }
}

double trdi_plain_exp(double x)
{
    double c[15];
    c[0] = 1.0;
    for (int i = 1; i < 15; i++) c[i] = c[i - 1] / i;
    const double n = floor(x * 1.4426950408889634 + 0.5);
    const double r = (x - n * LN2_1) - n * LN2_2;
    return ldexp(horner(r, c, 15), (int)n);
}

double trdi_plain_log(double x)
{
    int e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752) {
        m *= 2.0;
        e--;
    }
    /* log m = 2 atanh(s) with |s| < 0.172. */
    const double s = (m - 1.0) / (m + 1.0), s2 = s * s;
    double c[12];
    for (int i = 0; i < 12; i++) c[i] = 2.0 / (2 * i + 1);
    return e * LN2_1 + (s * horner(s2, c, 12) + e * LN2_2);
}
