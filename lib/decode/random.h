/*
 * random.h: uniform numbers for sampling. Philox: a function of a key and a counter, so that a draw does not depend
 * on what else is computed. MT19937: the stream that reproduces CTranslate2's draws.
 */
#ifndef TRDI_RANDOM_H
#define TRDI_RANDOM_H

#include <stdint.h>

/** Uniform in [0, 1) with 53 bits, by (seed, place in the call, hypothesis, step, element). Source: Salmon et al. 2011, Philox 4x32-10. */
double trdi_philox_uniform(uint64_t seed, uint32_t place, uint32_t hypothesis, uint32_t step, uint32_t element);

/** Mersenne twister, 32 bits. Source: Matsumoto and Nishimura 1998. */
typedef struct trdi_mt19937 {
    uint32_t state[624];
    int      next;
} trdi_mt19937;
void     trdi_mt19937_seed(trdi_mt19937 *generator, uint32_t seed);
uint32_t trdi_mt19937_next(trdi_mt19937 *generator);
/** Two outputs a, b: (a + b 2^32) / 2^64, below 1. */
double   trdi_mt19937_uniform(trdi_mt19937 *generator);
/** One output: a / 2^32 as float, below 1. */
float    trdi_mt19937_uniform_f32(trdi_mt19937 *generator);

#endif
