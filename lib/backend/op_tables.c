/* op_tables.c: tables that operations imply. */
#include "backend/op_tables.h"

#include "backend/plain_math.h"
#include "core/alloc.h"

trd_status trdi_sinusoid_table(int64_t width, float **out)
{
    const int64_t half = width / 2;
    float *frequencies = trdi_alloc((size_t)half * sizeof *frequencies);
    *out = frequencies;
    if (frequencies == NULL) return trdi_fail(TRD_E_MEMORY, "frequencies of %lld positions", (long long)width);
    for (int64_t j = 0; j < half; j++) {
        frequencies[j] = (float)trdi_plain_exp((double)j * -9.2103403719761836 / (double)(half - 1));
    }
    return TRD_OK;
}

int32_t trdi_relative_bucket(int64_t distance, int64_t n_buckets, int64_t max_distance, bool bidirectional)
{
    int64_t n = n_buckets, base = 0, r;
    if (bidirectional) {
        n /= 2;
        if (distance > 0) base = n;
        r = distance < 0 ? -distance : distance;
    } else {
        r = distance < 0 ? -distance : 0;
    }
    const int64_t exact = n / 2;
    if (r < exact || r == 0) return (int32_t)(base + r);
    /* In f32, as files expect; a bucket beyond the last is the last. */
    const float ratio = (float)trdi_plain_log((double)((float)r / (float)(exact > 0 ? exact : 1)));
    const float span = (float)trdi_plain_log((double)((float)max_distance / (float)(exact > 0 ? exact : 1)));
    const float place = (float)exact + ratio / span * (float)(n - exact);
    const int64_t bucket = place >= 0.0f && place < (float)(n - 1) ? (int64_t)place : n - 1;
    return (int32_t)(base + bucket);
}

trd_status trdi_bucket_table(const trdi_op_attention *op, int32_t **out, int64_t *reach)
{
    const int64_t far = op->relative_max_distance > op->relative_buckets ? op->relative_max_distance : op->relative_buckets;
    int32_t *buckets = trdi_alloc((size_t)(2 * far + 1) * sizeof *buckets);
    *out = buckets;
    *reach = far;
    if (buckets == NULL) return trdi_fail(TRD_E_MEMORY, "buckets of %lld distances", (long long)(2 * far + 1));
    for (int64_t d = -far; d <= far; d++) {
        buckets[d + far] = trdi_relative_bucket(d, op->relative_buckets, op->relative_max_distance, op->relative_bidirectional);
    }
    return TRD_OK;
}
