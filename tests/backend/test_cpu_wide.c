/* test_cpu_wide.c: kernels in the shape of AVX-512 give the bits of those for AVX2, on any machine with AVX2. */
#include "backend_rig.h"

extern const trdi_cpu_kernels trdi_cpu_kernels_wide;

static const trdi_cpu_kernels *narrow, *wide = &trdi_cpu_kernels_wide;

/* Every height of tile, one panel and several, blocks of k. */
static void linear(void)
{
    enum { M = 101, IN = 300, OUT = 16 * 9 + 5, PANELS = 10 };
    array panels = array_random(PANELS * IN * TRDI_PANEL), bias = array_random(PANELS * TRDI_PANEL), x = array_random(M * IN);
    array a = array_new(M * OUT), b = array_new(M * OUT), z = array_random(M * OUT);
    float *scratch = aligned_alloc(64, sizeof(float) * TRDI_ROW_BLOCK * TRDI_PANEL);
    CHECK(scratch != NULL);
    trdi_linear_job job = { .panels = panels.data, .bias = bias.data, .x = x.data, .multiplier = z.data, .residual = z.data, .in = IN,
                            .out = OUT, .x_stride = IN, .y_stride = OUT, .multiplier_stride = OUT, .residual_stride = OUT, .activation = 3 };
    for (int64_t m = 1; m <= M; m += m < 15 ? 1 : 17) {
        array_poison(&a);
        array_poison(&b);
        job.y = a.data;
        narrow->linear(&job, 0, m, 0, PANELS, scratch);
        job.y = b.data;
        wide->linear(&job, 0, m, 0, PANELS, scratch);
        check_same_bits("linear", b.data, a.data, m * OUT);
    }
    free(scratch);
    array_free(&panels), array_free(&bias), array_free(&x), array_free(&a), array_free(&b), array_free(&z);
}

static void rows(int64_t width)
{
    array x = array_random(width), z = array_random(width), a = array_new(width), b = array_new(width);
    const trdi_norm_job job = { .gamma = z.data, .beta = x.data, .width = width, .epsilon = 1e-5f, .scale = 0.5f, .gain_plus_one = true };
    const trdi_row_rule rule = { .mode = 2, .bias_id = (int32_t)width - 1, .beta = 0.1f };
    for (int kind = 0; kind < 6; kind++) {
        for (int i = 0; i < 2; i++) {
            const trdi_cpu_kernels *k = i == 0 ? narrow : wide;
            float *y = i == 0 ? a.data : b.data;
            switch (kind) {
            case 0: k->norm(&job, x.data, y, z.data); break;
            case 1: k->log_softmax(x.data, y, width, &rule); break;
            case 2: k->softcap(x.data, y, width, 0.7f); break;
            case 3: k->add(x.data, z.data, y, width, 1.1f); break;
            case 4: k->embed(x.data, y, width, 3.3f, false); break;
            default:
                memcpy(y, x.data, (size_t)width * sizeof(float));
                y[0] += k->exp_sum(y, width, k->largest(x.data, width));
                break;
            }
        }
        check_same_bits("a row", b.data, a.data, width);
    }
    for (float t = -1.0f; t < 1.0f; t += 0.3f) {
        CHECK_INT(wide->find_above(x.data, 0, width, 0.1f, t), narrow->find_above(x.data, 0, width, 0.1f, t));
    }
    array_free(&x), array_free(&z), array_free(&a), array_free(&b);
}

static void attention(int64_t n, int64_t dim)
{
    array q = array_random(dim), k = array_random(n * dim), v = array_random(n * dim), v2 = array_random(n * dim);
    array scores[2] = { array_new(n), array_new(n) }, acc[2] = { array_new(dim), array_new(dim) };
    float state[2][2] = { { -INFINITY, 0.0f }, { -INFINITY, 0.0f } };
    for (int i = 0; i < 2; i++) {
        const trdi_cpu_kernels *kernels = i == 0 ? narrow : wide;
        memset(acc[i].data, 0, (size_t)dim * sizeof(float));
        for (int chunk = 0; chunk < 2; chunk++) {
            kernels->dots(q.data, chunk == 0 ? k.data : v2.data, dim, n, dim, scores[i].data);
            kernels->attend(scores[i].data, v.data, chunk == 0 ? NULL : v2.data, dim, dim, n, dim, state[i], acc[i].data);
        }
        kernels->finish(acc[i].data, acc[i].data, dim, state[i][1]);
    }
    check_same_bits("scores", scores[1].data, scores[0].data, n);
    check_same_bits("states", state[1], state[0], 2);
    check_same_bits("attention", acc[1].data, acc[0].data, dim);
    array_free(&q), array_free(&k), array_free(&v), array_free(&v2);
    for (int i = 0; i < 2; i++) array_free(&scores[i]), array_free(&acc[i]);
}

int main(void)
{
    narrow = trdi_cpu_kernels_find("avx2");
    if (narrow == NULL) SKIP("this processor has no AVX2");
    linear();
    for (int64_t width = 1; width < 130; width += 7) rows(width);
    rows(1000);
    static const int64_t dims[] = { 1, 15, 16, 33, 64, 100, 128 };
    for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
        for (int64_t n = 1; n <= 33; n += 4) attention(n, dims[d]);
    }
    return 0;
}
