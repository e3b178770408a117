/* test_half.c: every half to f32 and back; f32 to half against the definition, on all borders and on random bits. */
#include "core/half.h"

#include "check.h"

/* Value of a finite half, from its definition. */
static double value_of(uint16_t half)
{
    const int exponent = half >> 10 & 31, mantissa = half & 1023;
    const double magnitude = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void check_half(uint16_t half)
{
    const float value = trdi_half_to_float(half);
    const bool finite = (half & 0x7c00) != 0x7c00, infinite = (half & 0x7fff) == 0x7c00;
    CHECK_INT(bits_of(value) >> 31, half >> 15);
    if (finite) CHECK((double)value == value_of(half));
    else CHECK(infinite ? isinf(value) : isnan(value));
    /* A quiet NaN keeps its bits, a signalling one becomes quiet. */
    const bool is_nan = !finite && !infinite;
    CHECK_INT(trdi_float_to_half(value), is_nan ? half | 0x200 : half);
    if (!is_nan) CHECK_INT(bits_of(trdi_round_to_half(value)), bits_of(value));
}

/* The nearest half by search: of two equally near ones the even. 65536 stands for infinity. */
static uint16_t nearest(float value)
{
    const double x = fabs((double)value);
    int low = 0, high = 0x7c00;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (value_of((uint16_t)middle) <= x) low = middle;
        else high = middle;
    }
    const double above = high == 0x7c00 ? 65536.0 : value_of((uint16_t)high), below = value_of((uint16_t)low);
    const bool up = x - below > above - x || (x - below == above - x && low % 2 == 1);
    return (uint16_t)((up ? high : low) | (signbit(value) ? 0x8000 : 0));
}

static void check_float(float value)
{
    const uint16_t got = trdi_float_to_half(value);
    if (isnan(value)) {
        CHECK_INT(got, (bits_of(value) >> 16 & 0x8000u) | 0x7e00u | (bits_of(value) >> 13 & 0x3ffu));
        return;
    }
    const uint16_t want = nearest(value);
    if (got == want) return;
    fprintf(stderr, "%.9g (%#x) becomes %#x, wanted %#x\n", (double)value, (unsigned)bits_of(value), got, want);
    exit(1);
}

int main(void)
{
    for (uint32_t half = 0; half < 65536; half++) check_half((uint16_t)half);
    /* Each half, the middle to the next, and the floats on both sides of both. */
    for (uint32_t half = 0; half < 0x7c00; half++) {
        const double next = half + 1 == 0x7c00 ? 65536.0 : value_of((uint16_t)(half + 1));
        const float points[2] = { (float)value_of((uint16_t)half), (float)((value_of((uint16_t)half) + next) / 2) };
        for (int i = 0; i < 2; i++) {
            for (int away = -1; away <= 1; away++) {
                if (bits_of(points[i]) == 0 && away < 0) continue;
                const uint32_t bits = bits_of(points[i]) + (uint32_t)away;
                check_float(from_bits(bits));
                check_float(from_bits(bits | 0x80000000u));
            }
        }
    }
    uint32_t state = 1;
    for (int i = 0; i < 300000; i++) {
        state = state * 1664525u + 1013904223u;
        check_float(from_bits(state ^ state >> 15));
    }
    CHECK_INT(trdi_float_to_half(INFINITY), 0x7c00);
    CHECK_INT(trdi_float_to_half(65519.0f), 0x7bff);
    CHECK_INT(trdi_float_to_half(65520.0f), 0x7c00);
    return 0;
}
