/* random.c: Philox 4x32-10 and MT19937. */
#include "decode/random.h"

#include <math.h>

double trdi_philox_uniform(uint64_t seed, uint32_t place, uint32_t hypothesis, uint32_t step, uint32_t element)
{
    uint32_t c[4] = { place, hypothesis, step, element };
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        const uint32_t n0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
        c[0] = n0;
        c[1] = (uint32_t)b;
        c[2] = n2;
        c[3] = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const uint64_t bits = ((uint64_t)c[1] << 32 | c[0]) >> 11;
    return (double)bits * 0x1p-53;
}

void trdi_mt19937_seed(trdi_mt19937 *generator, uint32_t seed)
{
    generator->state[0] = seed;
    for (uint32_t i = 1; i < 624; i++) {
        const uint32_t before = generator->state[i - 1];
        generator->state[i] = 1812433253u * (before ^ (before >> 30)) + i;
    }
    generator->next = 624;
}

static void refill(trdi_mt19937 *generator)
{
    uint32_t *s = generator->state;
    for (int i = 0; i < 624; i++) {
        const uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % 624] & 0x7FFFFFFFu);
        s[i] = s[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908B0DFu : 0u);
    }
    generator->next = 0;
}

uint32_t trdi_mt19937_next(trdi_mt19937 *generator)
{
    if (generator->next >= 624) refill(generator);
    uint32_t y = generator->state[generator->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9D2C5680u;
    y ^= (y << 15) & 0xEFC60000u;
    return y ^ (y >> 18);
}

double trdi_mt19937_uniform(trdi_mt19937 *generator)
{
    const double a = trdi_mt19937_next(generator), b = trdi_mt19937_next(generator);
    const double u = (a + b * 0x1p32) * 0x1p-64;
    return u < 1.0 ? u : nextafter(1.0, 0.0);
}

float trdi_mt19937_uniform_f32(trdi_mt19937 *generator)
{
    const float u = (float)trdi_mt19937_next(generator) * 0x1p-32f;
    return u < 1.0f ? u : nextafterf(1.0f, 0.0f);
}
