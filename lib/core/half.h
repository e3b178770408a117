/*
 * half.h: 16-bit floats (IEEE binary16) to and from f32, bit for bit as processors convert them. For stored tensors, weights prepared
 * in 16 bits, and the reference of keys and values kept in 16 bits.
 */
#ifndef TRDI_HALF_H
#define TRDI_HALF_H

#include <stdint.h>
#include <string.h>

/** Exact: every half is an f32. A signalling NaN keeps its bits. */
static inline float trdi_half_to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    uint32_t bits;
    if (magnitude < 0x0400u) {                       /* zero and subnormals: magnitude * 2^-24 is exact */
        const float value = (float)magnitude * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
    } else if (magnitude < 0x7c00u) {
        bits = (magnitude << 13) + 0x38000000u;      /* rebias the exponent by 127 - 15 */
    } else {
        bits = 0x7f800000u | (magnitude & 0x3ffu) << 13;
    }
    bits |= sign;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/** Rounded to nearest, ties to even; from 65520 on infinity; subnormals are kept; a NaN becomes a quiet one with the upper bits of its payload. */
static inline uint16_t trdi_float_to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7c00u);             /* 65536 and above */
    if (magnitude >= 0x38800000u) {                                              /* normal: a carry runs into the exponent, up to infinity */
        const uint32_t rebased = magnitude - 0x38000000u;
        return (uint16_t)(sign | (rebased + 0xfffu + (rebased >> 13 & 1u)) >> 13);
    }
    if (magnitude <= 0x33000000u) return (uint16_t)sign;                         /* up to 2^-25, a tie with 0 */
    /* Subnormal: mantissa * 2^(exponent - 150) in units of 2^-24. */
    const uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u, shift = 126u - (magnitude >> 23);
    const uint32_t whole = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u), tie = 1u << (shift - 1u);
    return (uint16_t)(sign | (whole + (rest > tie || (rest == tie && (whole & 1u) != 0u))));
}

/** The f32 that a value has once it was stored as a half. */
static inline float trdi_round_to_half(float value)
{
    return trdi_half_to_float(trdi_float_to_half(value));
}

#endif
