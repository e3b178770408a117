/* plain_math.h: double-precision functions of our own, so that tables don't depend on the C library of the machine. */
#ifndef TRDI_PLAIN_MATH_H
#define TRDI_PLAIN_MATH_H

/** Sine and cosine of an angle, |angle| < 1e8; about 1e-15 absolute. */
void trdi_plain_sin_cos(double angle, double *sine, double *cosine);
/** e^x for |x| < 700; about 1e-15 relative. */
double trdi_plain_exp(double x);
/** Natural logarithm of a positive normal number; about 1e-15. */
double trdi_plain_log(double x);

#endif
