/* Known answers of the random generators, and that a Philox draw depends on every part of its key. */
#include "check.h"

#include "decode/random.h"

/* Values of the reference implementation with seed 5489, as the C++ standard demands of std::mt19937: the 10000th is 4123659995. */
static void test_mt19937(void)
{
    trdi_mt19937 generator;
    trdi_mt19937_seed(&generator, 5489);
    CHECK_INT(trdi_mt19937_next(&generator), 3499211612u);
    uint32_t last = 0;
    for (int i = 2; i <= 10000; i++) last = trdi_mt19937_next(&generator);
    CHECK_INT(last, 4123659995u);
}

static void test_mt19937_uniform(void)
{
    trdi_mt19937 generator, same;
    trdi_mt19937_seed(&generator, 46);
    trdi_mt19937_seed(&same, 46);
    for (int i = 0; i < 1000; i++) {
        const double a = trdi_mt19937_next(&same), b = trdi_mt19937_next(&same), u = trdi_mt19937_uniform(&generator);
        CHECK(u == (a + b * 4294967296.0) / 18446744073709551616.0);
        CHECK(u >= 0.0 && u < 1.0);
    }
}

/* Random123's known answer for philox4x32-10 with zero key and counter begins 6627e8d5 e169c58d. */
static void test_philox_known(void)
{
    const uint64_t low = 0x6627e8d5u, high = 0xe169c58du;
    CHECK(trdi_philox_uniform(0, 0, 0, 0, 0) == (double)((high << 32 | low) >> 11) * 0x1p-53);
    /* counter and key of all ones: 408f276d 41c83b0e ... */
    const uint64_t low1 = 0x408f276du, high1 = 0x41c83b0eu;
    CHECK(trdi_philox_uniform(UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX) == (double)((high1 << 32 | low1) >> 11) * 0x1p-53);
}

static void test_philox_key(void)
{
    const double base = trdi_philox_uniform(7, 1, 2, 3, 4);
    CHECK(base == trdi_philox_uniform(7, 1, 2, 3, 4));
    CHECK(base != trdi_philox_uniform(8, 1, 2, 3, 4));
    CHECK(base != trdi_philox_uniform(7 + ((uint64_t)1 << 40), 1, 2, 3, 4));
    CHECK(base != trdi_philox_uniform(7, 2, 2, 3, 4));
    CHECK(base != trdi_philox_uniform(7, 1, 3, 3, 4));
    CHECK(base != trdi_philox_uniform(7, 1, 2, 4, 4));
    CHECK(base != trdi_philox_uniform(7, 1, 2, 3, 5));
}

int main(void)
{
    test_mt19937();
    test_mt19937_uniform();
    test_philox_known();
    test_philox_key();
    return 0;
}
