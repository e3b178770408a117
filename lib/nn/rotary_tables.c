/*
 * rotary_tables.c: the small arrays that follow from attributes: inverse frequencies of rotary embeddings with their
 * scalings, and ALiBi slopes. Computed in double and rounded once.
 */
#include <math.h>

#include "nn/weights.h"

/*
 * Su scaling has factors for short and for long contexts. The original keeps a table of sin and cos that starts at 2048
 * positions, grows by 2048, and takes the long factors once it is larger than the trained length, so below that the short ones
 * hold for every row whatever its neighbours. We serve exactly this range: mixing factors inside a row's cache, as
 * the original then does, would make results depend on what ran before.
 */
enum { TABLE_STEP = 2048 };

static bool uses_long_factors(const trdi_rotary *rotary)
{
    return rotary->original_max_positions < TABLE_STEP;
}

int64_t trdi_rotary_max_positions(const trdi_rotary *rotary)
{
    if (rotary->dim == 0 || rotary->scaling_type != 1 || uses_long_factors(rotary)) return INT64_MAX;
    return rotary->original_max_positions / TABLE_STEP * TABLE_STEP;
}

static double llama3_frequency(const trdi_rotary *rotary, double w)
{
    const double pi = 3.14159265358979323846;
    const double length = 2.0 * pi / w, trained = (double)rotary->original_max_positions;
    const double low = (double)rotary->low_freq_factor, high = (double)rotary->high_freq_factor;
    const double factor = (double)rotary->scaling_factor;
    if (length < trained / high) return w;
    if (length > trained / low) return w / factor;
    const double s = (trained / length - low) / (high - low);
    return (1.0 - s) * w / factor + s * w;
}

void trdi_rotary_frequencies(const trdi_rotary *rotary, float *out)
{
    const int64_t half = rotary->dim / 2;
    if (rotary->scaling_type == 1)
        trdi_tensor_read_f32(uses_long_factors(rotary) ? rotary->long_factor : rotary->short_factor, 0, half, out);
    for (int64_t i = 0; i < half; i++) {
        const double w = pow((double)rotary->base, -2.0 * (double)i / (double)rotary->dim);
        switch (rotary->scaling_type) {
        case 0: out[i] = (float)(w / (double)rotary->scaling_factor); break;
        case 1: out[i] = (float)(w / (double)out[i]); break;
        case 2: out[i] = (float)llama3_frequency(rotary, w); break;
        default: out[i] = (float)w; break;
        }
    }
}

float trdi_rotary_magnitude(const trdi_rotary *rotary)
{
    if (rotary->scaling_type == 2 || rotary->original_max_positions <= 0 || rotary->max_positions <= 0) return 1.0f;
    const int64_t ratio = rotary->max_positions / rotary->original_max_positions;
    if (ratio <= 1) return 1.0f;
    return (float)sqrt(1.0 + log((double)ratio) / log((double)rotary->original_max_positions));
}

void trdi_alibi_slopes(int64_t n_heads, float scale, float *out)
{
    int exponent = 0;
    while (((int64_t)2 << exponent) <= n_heads) exponent++;
    const int64_t n_regular = (int64_t)1 << exponent;
    const double base = pow(2.0, -pow(2.0, 3.0 - exponent)), finer = pow(2.0, -pow(2.0, 2.0 - exponent));
    for (int64_t h = 0; h < n_heads; h++) {
        const double slope = h < n_regular ? pow(base, (double)(h + 1)) : pow(finer, (double)(2 * (h - n_regular) + 1));
        out[h] = (float)slope * scale;
    }
}
