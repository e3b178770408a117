/* test_compute_operation.c: every public operation against a plain computation in double; shapes, dtypes and overlaps that do not fit. */
#include "compute_rig.h"

static const struct { int64_t rows, cols; } sizes[] = { { 1, 1 }, { 3, 7 }, { 2, 64 }, { 5, 257 }, { 17, 100 } };
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

/* ---- Norms and maps ---- */

static void want_norm(const float *x, const float *w, const float *b, float *y, int64_t rows, int64_t cols, double eps)
{
    for (int64_t r = 0; r < rows; r++) {
        double mean = 0.0, square = 0.0;
        for (int64_t c = 0; c < cols && b != NULL; c++) mean += (double)x[r * cols + c] / (double)cols;
        for (int64_t c = 0; c < cols; c++) square += ((double)x[r * cols + c] - mean) * ((double)x[r * cols + c] - mean) / (double)cols;
        for (int64_t c = 0; c < cols; c++)
            y[r * cols + c] = (float)(((double)x[r * cols + c] - mean) / sqrt(square + eps) * (double)w[c] + (b != NULL ? (double)b[c] : 0.0));
    }
}

static void test_norms(rig *r)
{
    for (int k = 0; k < N_SIZES; k++) {
        const int64_t rows = sizes[k].rows, cols = sizes[k].cols;
        float *const x = rig_floats(rows * cols), *const w = rig_floats(cols), *const b = rig_floats(cols), *const want = rig_floats(rows * cols);
        trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, rows, cols, x), *const tw = rig_tensor(r, TRD_DTYPE_F32, 1, cols, w);
        trd_tensor *const tb = rig_tensor(r, TRD_DTYPE_F32, cols, 1, b), *const ty = rig_poisoned(r, rows, cols);
        CHECK_OK(trd_rms_norm(r->queue, tx, tw, ty, 1e-3f));
        want_norm(x, w, NULL, want, rows, cols, 1e-3);
        rig_check(r, "rms_norm", ty, want, 1e-5);
        CHECK_OK(trd_layer_norm(r->queue, tx, tw, tb, ty, 1e-3f));
        want_norm(x, w, b, want, rows, cols, 1e-3);
        rig_check(r, "layer_norm", ty, want, 1e-5);
        CHECK_OK(trd_layer_norm(r->queue, tx, tw, tb, tx, 1e-3f));
        rig_check(r, "layer_norm in place", tx, want, 1e-5);
        trd_tensor *const all[] = { tx, tw, tb, ty };
        for (int i = 0; i < 4; i++) trd_tensor_destroy(all[i]);
        free(x);
        free(w);
        free(b);
        free(want);
    }
}

static void test_norm_refusals(rig *r)
{
    float *const x = rig_floats(64);
    trd_tensor *const t = rig_tensor(r, TRD_DTYPE_F32, 4, 8, x), *const w = rig_tensor(r, TRD_DTYPE_F32, 1, 8, x), *const y = rig_poisoned(r, 4, 8);
    trd_tensor *const narrow = rig_poisoned(r, 4, 7), *const ints = rig_tensor(r, TRD_DTYPE_I32, 4, 8, x), *const empty = rig_tensor(r, TRD_DTYPE_F32, 0, 8, NULL);
    trd_tensor *const hollow = rig_tensor(r, TRD_DTYPE_F32, 4, 0, NULL);
    trd_tensor *shifted;
    CHECK_FAILS(trd_rms_norm(NULL, t, w, y, 1e-5f), TRD_E_INVALID, "trd_rms_norm: queue is NULL");
    CHECK_FAILS(trd_rms_norm(r->queue, NULL, w, y, 1e-5f), TRD_E_INVALID, "x is NULL");
    CHECK_FAILS(trd_rms_norm(r->queue, t, NULL, y, 1e-5f), TRD_E_INVALID, "w is NULL");
    CHECK_FAILS(trd_rms_norm(r->queue, t, w, NULL, 1e-5f), TRD_E_INVALID, "y is NULL");
    CHECK_FAILS(trd_rms_norm(r->queue, t, w, narrow, 1e-5f), TRD_E_INVALID, "y has 4 rows of 7, wanted are 4 of 8");
    CHECK_FAILS(trd_rms_norm(r->queue, t, narrow, y, 1e-5f), TRD_E_INVALID, "w has 28 elements, wanted are 8");
    CHECK_FAILS(trd_rms_norm(r->queue, ints, w, y, 1e-5f), TRD_E_INVALID, "x is i32, not f32");
    CHECK_FAILS(trd_rms_norm(r->queue, t, w, y, 0.0f), TRD_E_INVALID, "eps");
    CHECK_FAILS(trd_rms_norm(r->queue, t, w, y, NAN), TRD_E_INVALID, "eps");
    CHECK_FAILS(trd_rms_norm(r->queue, hollow, w, hollow, 1e-5f), TRD_E_INVALID, "no columns");
    CHECK_FAILS(trd_layer_norm(r->queue, t, w, NULL, y, 1e-5f), TRD_E_INVALID, "trd_layer_norm: b is NULL");
    CHECK_OK(trd_tensor_view(t, 8, 2, (int64_t[]){ 3, 8 }, NULL, &shifted));
    trd_tensor *front;
    CHECK_OK(trd_tensor_view(t, 0, 2, (int64_t[]){ 3, 8 }, NULL, &front));
    CHECK_FAILS(trd_rms_norm(r->queue, front, w, shifted, 1e-5f), TRD_E_INVALID, "y overlaps x");
    CHECK_OK(trd_rms_norm(r->queue, empty, w, empty, 1e-5f));
    trd_tensor *const all[] = { t, w, y, narrow, ints, empty, hollow, shifted, front };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) trd_tensor_destroy(all[i]);
    free(x);
}

static void test_maps(rig *r)
{
    for (int k = 0; k < N_SIZES; k++) {
        const int64_t rows = sizes[k].rows, cols = sizes[k].cols, n = rows * cols;
        float *const a = rig_floats(n), *const b = rig_floats(n), *const want = rig_floats(n);
        trd_tensor *const ta = rig_tensor(r, TRD_DTYPE_F32, rows, cols, a), *const tb = rig_tensor(r, TRD_DTYPE_F32, rows, cols, b);
        for (int64_t i = 0; i < n; i++) want[i] = (a[i] + b[i]) * -1.5f;
        CHECK_OK(trd_add(r->queue, ta, tb, tb));
        CHECK_OK(trd_scale(r->queue, tb, -1.5f, ta));
        rig_check(r, "add, scale", ta, want, 1e-6);
        trd_tensor_destroy(ta);
        trd_tensor_destroy(tb);
        free(a);
        free(b);
        free(want);
    }
    /* Columns of a wider tensor: the rest stays. */
    float *const x = rig_floats(60), *const want = rig_floats(60);
    trd_tensor *const t = rig_tensor(r, TRD_DTYPE_F32, 6, 10, x);
    trd_tensor *left, *right;
    CHECK_OK(trd_tensor_view(t, 0, 2, (int64_t[]){ 6, 5 }, (int64_t[]){ 10, 1 }, &left));
    CHECK_OK(trd_tensor_view(t, 5, 2, (int64_t[]){ 6, 5 }, (int64_t[]){ 10, 1 }, &right));
    CHECK_OK(trd_add(r->queue, left, right, left));
    for (int i = 0; i < 60; i++) want[i] = i % 10 < 5 ? x[i] + x[i + 5] : x[i];
    rig_check(r, "add of columns", t, want, 1e-6);
    CHECK_FAILS(trd_add(r->queue, left, NULL, left), TRD_E_INVALID, "b is NULL");
    CHECK_FAILS(trd_add(r->queue, left, t, left), TRD_E_INVALID, "b has 6 rows of 10");
    trd_tensor_destroy(left);
    trd_tensor_destroy(right);
    trd_tensor_destroy(t);
    free(x);
    free(want);
}

/* ---- Products ---- */

static double activate(int a, double x)
{
    switch (a) {
    case 0: return x > 0.0 ? x : 0.0;
    case 1: return 0.5 * x * (1.0 + tanh(0.7978845608 * (x + 0.044715 * x * x * x)));
    case 2: return x / (1.0 + exp(-x));
    case 3: return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
    case 4: return x / (1.0 + exp(-1.702 * x));
    case 5: return tanh(x);
    case 6: return 1.0 / (1.0 + exp(-x));
    default: return x;
    }
}

/* What the weight becomes in its dtype. */
static void round_weight(float *w, int64_t rows, int64_t cols, trd_dtype dtype)
{
    for (int64_t o = 0; o < rows && dtype == TRD_DTYPE_I8; o++) {
        float largest = 0.0f;
        for (int64_t k = 0; k < cols; k++) largest = fmaxf(largest, fabsf(w[o * cols + k]));
        const float scale = largest > 0.0f ? 127.0f / largest : 1.0f;
        for (int64_t k = 0; k < cols; k++) w[o * cols + k] = rintf(w[o * cols + k] * scale) / scale;
    }
}

static void quantise(float *x, int64_t rows, int64_t cols)
{
    round_weight(x, rows, cols, TRD_DTYPE_I8);
}

static void check_linear(rig *r, int64_t rows, int64_t in, int64_t out, trd_dtype dtype, int activation, bool extras)
{
    float *const x = rig_floats(rows * in), *const w = rig_floats(out * in), *const b = rig_floats(out);
    float *const m = rig_floats(rows * out), *const add = rig_floats(rows * out), *const want = rig_floats(rows * out);
    trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, rows, in, x), *const ty = rig_poisoned(r, rows, out);
    trd_tensor *const tm = rig_tensor(r, TRD_DTYPE_F32, rows, out, m), *const ta = rig_tensor(r, TRD_DTYPE_F32, rows, out, add);
    trd_weight_options wo;
    trd_weight_options_init(&wo, sizeof wo);
    wo.dtype = dtype;
    wo.bias = extras ? b : NULL;
    trd_linear_options o;
    trd_linear_options_init(&o, sizeof o);
    o.activation = (trd_activation)activation;
    o.multiplier = extras ? tm : NULL;
    o.residual = extras ? ta : NULL;
    trd_weight *weight;
    CHECK_OK(trd_weight_create(r->device, out, in, TRD_DTYPE_F32, w, &wo, &weight));
    CHECK_OK(trd_linear(r->queue, tx, weight, ty, &o));
    round_weight(w, out, in, dtype);
    if (dtype == TRD_DTYPE_I8) quantise(x, rows, in);
    for (int64_t i = 0; i < rows * out; i++) {
        double sum = 0.0;
        for (int64_t k = 0; k < in; k++) sum += (double)x[i / out * in + k] * (double)w[i % out * in + k];
        sum = activate(activation, sum + (extras ? (double)b[i % out] : 0.0));
        want[i] = (float)(extras ? sum * (double)m[i] + (double)add[i] : sum);
    }
    /* f16: half an ulp of 11 bits for each of the terms. */
    char what[96];
    (void)snprintf(what, sizeof what, "linear, %s, %d x %d by %d, activation %d", trd_dtype_name(dtype), (int)rows, (int)in, (int)out, activation);
    rig_check(r, what, ty, want, dtype == TRD_DTYPE_F16 ? 1e-3 * sqrt((double)in) : 2e-5);
    trd_tensor *const all[] = { tx, ty, tm, ta };
    for (int i = 0; i < 4; i++) trd_tensor_destroy(all[i]);
    trd_weight_destroy(weight);
    float *const arrays[] = { x, w, b, m, add, want };
    for (int i = 0; i < 6; i++) free(arrays[i]);
}

/* Does the device prepare weights of this dtype? */
static bool has_weights(rig *r, trd_dtype dtype)
{
    const float one = 1.0f;
    trd_weight_options o;
    trd_weight_options_init(&o, sizeof o);
    o.dtype = dtype;
    trd_weight *w;
    const trd_status status = trd_weight_create(r->device, 1, 1, TRD_DTYPE_F32, &one, &o, &w);
    trd_weight_destroy(w);
    if (status != TRD_OK) printf("%s: %s\n", r->id, trd_last_error());
    if (status != TRD_OK) CHECK_INT(status, TRD_E_UNSUPPORTED);
    return status == TRD_OK;
}

static void test_linear(rig *r)
{
    static const int64_t shapes[][3] = { { 1, 1, 1 }, { 1, 64, 33 }, { 3, 7, 5 }, { 9, 100, 48 }, { 33, 65, 17 } };
    const trd_dtype dtypes[] = { TRD_DTYPE_F32, TRD_DTYPE_F16, TRD_DTYPE_I8 };
    for (int d = 0; d < 3; d++) {
        if (!has_weights(r, dtypes[d])) continue;
        for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
            check_linear(r, shapes[k][0], shapes[k][1], shapes[k][2], dtypes[d], -1, false);
            check_linear(r, shapes[k][0], shapes[k][1], shapes[k][2], dtypes[d], (int)k, true);
        }
        for (int a = -1; a <= 6; a++) check_linear(r, 2, 8, 20, dtypes[d], a, a % 2 == 0);
    }
}

static void test_weights(rig *r)
{
    float *const w = rig_floats(6 * 4), *const x = rig_floats(8);
    trd_tensor *const tw = rig_tensor(r, TRD_DTYPE_F32, 6, 4, w), *const tx = rig_tensor(r, TRD_DTYPE_F32, 2, 4, x);
    trd_tensor *const a = rig_poisoned(r, 2, 6), *const b = rig_poisoned(r, 2, 6), *const narrow = rig_poisoned(r, 2, 5);
    trd_weight *from_host, *from_tensor, *table, *none = NULL;
    trd_weight_options o;
    trd_weight_options_init(&o, sizeof o);
    CHECK_OK(trd_weight_create(r->device, 6, 4, TRD_DTYPE_F32, w, NULL, &from_host));
    CHECK_OK(trd_weight_from_tensor(r->queue, tw, NULL, &from_tensor));
    CHECK_OK(trd_linear(r->queue, tx, from_host, a, NULL));
    CHECK_OK(trd_linear(r->queue, tx, from_tensor, b, NULL));
    float *const want = rig_read(r, a);
    rig_check(r, "weight from a tensor", b, want, 0.0);
    CHECK_FAILS(trd_linear(r->queue, tx, from_host, tx, NULL), TRD_E_INVALID, "y has 2 rows of 4");
    CHECK_FAILS(trd_linear(r->queue, a, from_host, a, NULL), TRD_E_INVALID, "x has 2 rows of 6, wanted are 2 of 4");
    CHECK_FAILS(trd_linear(r->queue, tx, NULL, a, NULL), TRD_E_INVALID, "weight is NULL");
    trd_linear_options lo;
    trd_linear_options_init(&lo, sizeof lo);
    lo.residual = narrow;
    CHECK_FAILS(trd_linear(r->queue, tx, from_host, a, &lo), TRD_E_INVALID, "residual has 2 rows of 5");
    lo.residual = NULL;
    lo.activation = (trd_activation)7;
    CHECK_FAILS(trd_linear(r->queue, tx, from_host, a, &lo), TRD_E_INVALID, "activation 7");
    o.use = TRD_WEIGHT_EMBEDDING;
    CHECK_OK(trd_weight_create(r->device, 6, 4, TRD_DTYPE_F32, w, &o, &table));
    CHECK_FAILS(trd_linear(r->queue, tx, table, a, NULL), TRD_E_INVALID, "prepared for trd_embed");
    o.bias = w;
    CHECK_FAILS(trd_weight_create(r->device, 6, 4, TRD_DTYPE_F32, w, &o, &none), TRD_E_INVALID, "no bias");
    CHECK(none == NULL);
    trd_weight_options_init(&o, sizeof o);
    CHECK_FAILS(trd_weight_create(r->device, 0, 4, TRD_DTYPE_F32, w, &o, &none), TRD_E_INVALID, "0 x 4");
    CHECK_FAILS(trd_weight_create(r->device, 6, 4, TRD_DTYPE_I32, w, &o, &none), TRD_E_INVALID, "i32");
    CHECK_FAILS(trd_weight_create(r->device, 6, 4, TRD_DTYPE_I8, w, &o, &none), TRD_E_INVALID, "scales");
    CHECK_FAILS(trd_weight_create(r->device, 6, 4, TRD_DTYPE_F32, NULL, &o, &none), TRD_E_INVALID, "data is NULL");
    o.dtype = TRD_DTYPE_I16;
    CHECK_FAILS(trd_weight_create(r->device, 6, 4, TRD_DTYPE_F32, w, &o, &none), TRD_E_INVALID, "i16");
    CHECK_FAILS(trd_weight_from_tensor(r->queue, NULL, NULL, &none), TRD_E_INVALID, "NULL");
    trd_tensor *flat;
    CHECK_OK(trd_tensor_view(tw, 0, 1, (int64_t[]){ 24 }, NULL, &flat));
    CHECK_FAILS(trd_weight_from_tensor(r->queue, flat, NULL, &none), TRD_E_INVALID, "rank 1");
    trd_tensor *const all[] = { tw, tx, a, b, narrow, flat };
    for (int i = 0; i < 6; i++) trd_tensor_destroy(all[i]);
    trd_weight_destroy(from_host);
    trd_weight_destroy(from_tensor);
    trd_weight_destroy(table);
    trd_weight_destroy(NULL);
    free(want);
    free(w);
    free(x);
}

/* Integers with scales are taken as they are, not quantised again. */
static void test_i8_data(rig *r)
{
    const int8_t w[6] = { 1, -2, 127, 50, 0, -127 };
    const float scales[2] = { 2.0f, 100.0f }, x[3] = { 127.0f, -3.0f, 64.0f };
    const float want[2] = { (127.0f + 6.0f + 127.0f * 64.0f) / 2.0f, (50.0f * 127.0f - 127.0f * 64.0f) / 100.0f };
    const trd_dtype dtypes[] = { TRD_DTYPE_F32, TRD_DTYPE_I8 };
    for (int d = 0; d < 2; d++) {
        if (!has_weights(r, dtypes[d])) continue;
        trd_weight_options o;
        trd_weight_options_init(&o, sizeof o);
        o.dtype = dtypes[d];
        o.scales = scales;
        trd_weight *weight;
        CHECK_OK(trd_weight_create(r->device, 2, 3, TRD_DTYPE_I8, w, &o, &weight));
        trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, 1, 3, x), *const ty = rig_poisoned(r, 1, 2);
        CHECK_OK(trd_linear(r->queue, tx, weight, ty, NULL));
        rig_check(r, "i8 data", ty, want, 1e-6);
        trd_tensor_destroy(tx);
        trd_tensor_destroy(ty);
        trd_weight_destroy(weight);
    }
}

/* ---- Rows by number ---- */

static void test_rows(rig *r)
{
    enum { ENTRIES = 50, WIDTH = 33, N = 40 };
    float *const table = rig_floats(ENTRIES * WIDTH), *const want = rig_floats(N * WIDTH);
    int32_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = (int32_t)(rig_random() % ENTRIES);
    for (int i = 0; i < N * WIDTH; i++) want[i] = table[ids[i / WIDTH] * WIDTH + i % WIDTH] * 2.0f;
    trd_weight_options o;
    trd_weight_options_init(&o, sizeof o);
    o.use = TRD_WEIGHT_EMBEDDING;
    trd_weight *weight;
    CHECK_OK(trd_weight_create(r->device, ENTRIES, WIDTH, TRD_DTYPE_F32, table, &o, &weight));
    trd_tensor *const tt = rig_tensor(r, TRD_DTYPE_F32, ENTRIES, WIDTH, table), *const ty = rig_poisoned(r, N, WIDTH);
    CHECK_OK(trd_embed(r->queue, weight, ids, 2.0f, ty));
    rig_check(r, "embed", ty, want, 1e-6);
    for (int i = 0; i < N * WIDTH; i++) want[i] *= 0.5f;
    CHECK_OK(trd_gather(r->queue, tt, ids, ty));
    rig_check(r, "gather", ty, want, 1e-6);
    /* More calls at once than a queue has places for their ids, each with its own. */
    for (int k = 0; k < 100; k++) {
        trd_tensor *row;
        CHECK_OK(trd_tensor_view(ty, (k % N) * WIDTH, 2, (int64_t[]){ 1, WIDTH }, NULL, &row));
        const int32_t id = k % ENTRIES;
        CHECK_OK(trd_gather(r->queue, tt, &id, row));
        for (int c = 0; c < WIDTH; c++) want[(k % N) * WIDTH + c] = table[id * WIDTH + c];
        trd_tensor_destroy(row);
    }
    rig_check(r, "many gathers", ty, want, 0.0);
    ids[7] = ENTRIES;
    CHECK_FAILS(trd_embed(r->queue, weight, ids, 1.0f, ty), TRD_E_RANGE, "ids[7] is 50, not 0 to 49");
    ids[7] = -1;
    CHECK_FAILS(trd_gather(r->queue, tt, ids, ty), TRD_E_RANGE, "ids[7] is -1");
    CHECK_FAILS(trd_embed(r->queue, weight, NULL, 1.0f, ty), TRD_E_INVALID, "ids is NULL");
    CHECK_FAILS(trd_embed(r->queue, NULL, ids, 1.0f, ty), TRD_E_INVALID, "table is NULL");
    CHECK_FAILS(trd_gather(r->queue, tt, ids, tt), TRD_E_INVALID, "y overlaps x");
    CHECK_FAILS(trd_gather(r->queue, NULL, ids, ty), TRD_E_INVALID, "x is NULL");
    trd_tensor_destroy(tt);
    trd_tensor_destroy(ty);
    trd_weight_destroy(weight);
    free(table);
    free(want);
}

static void check_rotary(rig *r, int64_t heads, int64_t dim, int64_t pairs, bool interleave)
{
    enum { ROWS = 5 };
    const int32_t positions[ROWS] = { 0, 1, 17, 3, 1000 };
    const int64_t cols = heads * dim;
    float *const x = rig_floats(ROWS * cols), *const f = rig_floats(pairs), *const want = rig_floats(ROWS * cols);
    for (int64_t i = 0; i < pairs; i++) f[i] = powf(10000.0f, -(float)i / (float)pairs);
    memcpy(want, x, (size_t)(ROWS * cols) * sizeof *x);
    for (int64_t k = 0; k < ROWS * heads * pairs; k++) {
        const int64_t row = k / (heads * pairs), head = k / pairs % heads, p = k % pairs;
        const double angle = (double)((float)positions[row] * f[p]);
        float *const base = want + row * cols + head * dim;
        float *const a = base + (interleave ? 2 * p : p), *const b = base + (interleave ? 2 * p + 1 : p + pairs);
        const double va = (double)*a, vb = (double)*b;
        *a = (float)(2.0 * (va * cos(angle) - vb * sin(angle)));
        *b = (float)(2.0 * (vb * cos(angle) + va * sin(angle)));
    }
    trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, ROWS, cols, x), *const tf = rig_tensor(r, TRD_DTYPE_F32, 1, pairs, f);
    trd_rotary_options o;
    trd_rotary_options_init(&o, sizeof o);
    o.n_heads = heads;
    o.interleave = interleave;
    o.magnitude = 2.0f;
    CHECK_OK(trd_rotary(r->queue, tx, positions, tf, &o));
    rig_check(r, "rotary", tx, want, 2e-5);
    CHECK_FAILS(trd_rotary(r->queue, tx, NULL, tf, &o), TRD_E_INVALID, "positions is NULL");
    CHECK_FAILS(trd_rotary(r->queue, tx, (int32_t[]){ 0, 0, -1, 0, 0 }, tf, &o), TRD_E_INVALID, "positions[2] is -1");
    o.n_heads = cols + 1;
    CHECK_FAILS(trd_rotary(r->queue, tx, positions, tf, &o), TRD_E_INVALID, "heads");
    o.n_heads = cols;
    CHECK_FAILS(trd_rotary(r->queue, tx, positions, tf, &o), TRD_E_INVALID, "frequencies for heads of 1");
    trd_tensor_destroy(tx);
    trd_tensor_destroy(tf);
    free(x);
    free(f);
    free(want);
}

static void test_rotary(rig *r)
{
    check_rotary(r, 1, 2, 1, false);
    check_rotary(r, 3, 16, 8, false);
    check_rotary(r, 2, 20, 6, true);
    check_rotary(r, 2, 20, 6, false);
}

/* ---- Attention ---- */

typedef struct heads { int64_t q, kv, dim; } heads;

static void want_attention(const float *q, const float *k, const float *v, float *y, heads h, const int64_t *lengths, const int64_t *keys, int64_t n,
                           double scale, bool causal, int64_t window)
{
    int64_t t0 = 0, k0 = 0;
    for (int64_t s = 0; s < n; s++) {
        for (int64_t i = 0; i < lengths[s] * h.q; i++) {
            const int64_t t = i / h.q, head = i % h.q, kv = head / (h.q / h.kv), at = keys[s] - lengths[s] + t;
            double sum = 0.0, largest = -INFINITY, out[64] = { 0 }, scores[64];
            for (int pass = 0; pass < 2; pass++) {
                for (int64_t j = 0; j < keys[s]; j++) {
                    if ((causal && j > at) || (window > 0 && j <= at - window)) continue;
                    double dot = 0.0;
                    for (int64_t d = 0; d < h.dim; d++)
                        dot += (double)q[((t0 + t) * h.q + head) * h.dim + d] * (double)k[((k0 + j) * h.kv + kv) * h.dim + d];
                    scores[j] = dot * scale;
                    if (pass == 0) largest = scores[j] > largest ? scores[j] : largest;
                    else sum += exp(scores[j] - largest);
                    for (int64_t d = 0; d < h.dim && pass == 1; d++) out[d] += exp(scores[j] - largest) * (double)v[((k0 + j) * h.kv + kv) * h.dim + d];
                }
            }
            for (int64_t d = 0; d < h.dim; d++) y[((t0 + t) * h.q + head) * h.dim + d] = sum > 0.0 ? (float)(out[d] / sum) : 0.0f;
        }
        t0 += lengths[s];
        k0 += keys[s];
    }
}

static void check_attention(rig *r, heads h, const int64_t *lengths, const int64_t *keys, int64_t n, bool packed, float scale, bool causal, int64_t window)
{
    int64_t tokens = 0, n_keys = 0;
    for (int64_t s = 0; s < n; s++) {
        tokens += lengths[s];
        n_keys += keys[s];
    }
    float *const q = rig_floats(tokens * h.q * h.dim), *const k = rig_floats(n_keys * h.kv * h.dim), *const v = rig_floats(n_keys * h.kv * h.dim);
    float *const want = rig_floats(tokens * h.q * h.dim);
    trd_tensor *const tq = rig_tensor(r, TRD_DTYPE_F32, tokens, h.q * h.dim, q), *const tk = rig_tensor(r, TRD_DTYPE_F32, n_keys, h.kv * h.dim, k);
    trd_tensor *const tv = rig_tensor(r, TRD_DTYPE_F32, n_keys, h.kv * h.dim, v), *const ty = rig_poisoned(r, tokens, h.q * h.dim);
    trd_attention_options o;
    trd_attention_options_init(&o, sizeof o);
    o.n_heads = h.q;
    o.n_heads_kv = h.kv;
    o.scale = scale;
    o.causal = causal;
    o.window = window;
    o.n_sequences = packed ? n : 0;
    o.lengths = packed ? lengths : NULL;
    o.key_lengths = packed ? keys : NULL;
    CHECK_OK(trd_attention(r->queue, tq, tk, tv, ty, &o));
    want_attention(q, k, v, want, h, lengths, keys, n, scale > 0.0f ? (double)scale : 1.0 / sqrt((double)h.dim), causal, window);
    rig_check(r, "attention", ty, want, 1e-5);
    trd_tensor *const all[] = { tq, tk, tv, ty };
    for (int i = 0; i < 4; i++) trd_tensor_destroy(all[i]);
    free(q);
    free(k);
    free(v);
    free(want);
}

static void test_attention(rig *r)
{
    check_attention(r, (heads){ 1, 1, 4 }, (int64_t[]){ 1 }, (int64_t[]){ 1 }, 1, false, 0.0f, false, 0);
    check_attention(r, (heads){ 4, 2, 16 }, (int64_t[]){ 9 }, (int64_t[]){ 9 }, 1, false, 0.0f, true, 0);
    check_attention(r, (heads){ 2, 2, 8 }, (int64_t[]){ 5 }, (int64_t[]){ 40 }, 1, false, 0.7f, true, 7);
    check_attention(r, (heads){ 3, 1, 5 }, (int64_t[]){ 3, 0, 7, 1 }, (int64_t[]){ 10, 2, 7, 60 }, 4, true, 0.0f, false, 0);
    check_attention(r, (heads){ 6, 3, 32 }, (int64_t[]){ 3, 4, 7 }, (int64_t[]){ 10, 4, 33 }, 3, true, 0.0f, true, 0);
    check_attention(r, (heads){ 2, 1, 4 }, (int64_t[]){ 2, 3 }, (int64_t[]){ 0, 4 }, 2, true, 0.0f, false, 0);   /* no keys: zeros */
    check_attention(r, (heads){ 2, 1, 4 }, (int64_t[]){ 2 }, (int64_t[]){ 0 }, 1, false, 0.0f, false, 0);
    trd_tensor *const q = rig_poisoned(r, 4, 8), *const k = rig_poisoned(r, 4, 8), *const y = rig_poisoned(r, 4, 8), *const narrow = rig_poisoned(r, 4, 4);
    trd_attention_options o;
    trd_attention_options_init(&o, sizeof o);
    o.n_heads = 3;
    CHECK_FAILS(trd_attention(r->queue, q, k, k, y, &o), TRD_E_INVALID, "8 columns of q are not 3 heads");
    o.n_heads = 2;
    CHECK_FAILS(trd_attention(r->queue, q, k, narrow, y, &o), TRD_E_INVALID, "v has 4 rows of 4");
    CHECK_FAILS(trd_attention(r->queue, q, narrow, narrow, y, &o), TRD_E_INVALID, "k has 4 rows of 4, wanted are 4 of 8");
    CHECK_FAILS(trd_attention(r->queue, q, k, k, q, &o), TRD_E_INVALID, "y overlaps q");
    CHECK_FAILS(trd_attention(r->queue, NULL, k, k, y, &o), TRD_E_INVALID, "q is NULL");
    o.window = -1;
    CHECK_FAILS(trd_attention(r->queue, q, k, k, y, &o), TRD_E_INVALID, "window is -1");
    o.window = 0;
    o.n_sequences = 2;
    CHECK_FAILS(trd_attention(r->queue, q, k, k, y, &o), TRD_E_INVALID, "lengths NULL");
    o.lengths = (int64_t[]){ 1, 2 };
    CHECK_FAILS(trd_attention(r->queue, q, k, k, y, &o), TRD_E_INVALID, "3 tokens and 3 keys");
    o.lengths = (int64_t[]){ 1, 4 };
    CHECK_FAILS(trd_attention(r->queue, q, k, k, y, &o), TRD_E_INVALID, "exceeds");
    o.lengths = (int64_t[]){ 1, 3 };
    o.key_lengths = (int64_t[]){ 3, 1 };
    o.causal = true;
    CHECK_FAILS(trd_attention(r->queue, q, k, k, y, &o), TRD_E_INVALID, "sequence 1 has 3 tokens and only 1 keys");
    trd_tensor *const all[] = { q, k, y, narrow };
    for (int i = 0; i < 4; i++) trd_tensor_destroy(all[i]);
}

/* ---- Softmax and the largest ---- */

static void test_softmax(rig *r)
{
    for (int k = 0; k < N_SIZES; k++) {
        const int64_t rows = sizes[k].rows, cols = sizes[k].cols, n = rows * cols;
        float *const x = rig_floats(n), *const logs = rig_floats(n), *const want = rig_floats(n);
        for (int64_t i = 0; i < n; i++) x[i] *= 10.0f;
        if (cols > 3) x[1] = -INFINITY;
        for (int64_t row = 0; row < rows; row++) {
            double sum = 0.0;
            for (int64_t c = 0; c < cols; c++) sum += exp((double)x[row * cols + c]);
            for (int64_t c = 0; c < cols; c++) {
                logs[row * cols + c] = (float)((double)x[row * cols + c] - log(sum));
                want[row * cols + c] = (float)(exp((double)x[row * cols + c]) / sum);
            }
        }
        trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, rows, cols, x), *const ty = rig_poisoned(r, rows, cols);
        CHECK_OK(trd_log_softmax(r->queue, tx, ty));
        rig_check(r, "log_softmax", ty, logs, 2e-6);
        CHECK_OK(trd_softmax(r->queue, tx, tx));
        rig_check(r, "softmax in place", tx, want, 5e-6);
        trd_tensor_destroy(tx);
        trd_tensor_destroy(ty);
        free(x);
        free(logs);
        free(want);
    }
    trd_tensor *const t = rig_poisoned(r, 2, 4), *const other = rig_poisoned(r, 2, 5), *const hollow = rig_tensor(r, TRD_DTYPE_F32, 3, 0, NULL);
    CHECK_FAILS(trd_softmax(r->queue, t, other), TRD_E_INVALID, "trd_softmax");
    CHECK_FAILS(trd_softmax(r->queue, t, NULL), TRD_E_INVALID, "y is NULL");
    CHECK_FAILS(trd_log_softmax(r->queue, NULL, t), TRD_E_INVALID, "x is NULL");
    CHECK_FAILS(trd_log_softmax(r->queue, hollow, hollow), TRD_E_INVALID, "no columns");
    trd_tensor_destroy(t);
    trd_tensor_destroy(other);
    trd_tensor_destroy(hollow);
}

static void check_top_k(rig *r, int64_t rows, int64_t cols, int64_t k)
{
    float *const x = rig_floats(rows * cols);
    for (int64_t i = 0; i < rows * cols; i++) x[i] = rintf(x[i] * 50.0f);      /* so that there are equals */
    if (cols > 5) x[2] = INFINITY;
    trd_tensor *const tx = rig_tensor(r, TRD_DTYPE_F32, rows, cols, x), *const values = rig_poisoned(r, rows, k);
    trd_tensor *ids;
    CHECK_OK(trd_tensor_create(r->device, TRD_DTYPE_I32, 2, (int64_t[]){ rows, k }, &ids));
    CHECK_OK(trd_top_k(r->queue, tx, values, ids));
    float *const got = rig_read(r, values);
    int32_t *const got_ids = rig_read(r, ids);
    bool *const taken = calloc((size_t)cols, sizeof *taken);
    for (int64_t row = 0; row < rows; row++) {
        memset(taken, 0, (size_t)cols * sizeof *taken);
        for (int64_t c = 0; c < k; c++) {
            int64_t best = -1;
            for (int64_t i = 0; i < cols; i++) {
                if (!taken[i] && (best < 0 || x[row * cols + i] > x[row * cols + best])) best = i;
            }
            taken[best] = true;
            CHECK_INT(got_ids[row * k + c], best);
            CHECK(got[row * k + c] == x[row * cols + best]);
        }
    }
    free(taken);
    free(got);
    free(got_ids);
    free(x);
    trd_tensor_destroy(tx);
    trd_tensor_destroy(values);
    trd_tensor_destroy(ids);
}

static void test_top_k(rig *r)
{
    check_top_k(r, 1, 1, 1);
    check_top_k(r, 3, 100, 5);
    check_top_k(r, 9, 1000, 1);
    check_top_k(r, 2, 7, 7);
    trd_tensor *const x = rig_poisoned(r, 3, 4), *const values = rig_poisoned(r, 3, 2), *const wide = rig_poisoned(r, 3, 5);
    trd_tensor *const ids = rig_tensor(r, TRD_DTYPE_I32, 3, 2, (int32_t[6]){ 0 }), *const few = rig_tensor(r, TRD_DTYPE_I32, 2, 2, (int32_t[4]){ 0 });
    CHECK_FAILS(trd_top_k(r->queue, x, wide, ids), TRD_E_INVALID, "the 5 largest of 4");
    CHECK_FAILS(trd_top_k(r->queue, x, values, few), TRD_E_INVALID, "ids 2 of 2");
    CHECK_FAILS(trd_top_k(r->queue, x, values, values), TRD_E_INVALID, "ids is f32, not i32");
    CHECK_FAILS(trd_top_k(r->queue, x, NULL, ids), TRD_E_INVALID, "values is NULL");
    trd_tensor *const all[] = { x, values, wide, ids, few };
    for (int i = 0; i < 5; i++) trd_tensor_destroy(all[i]);
}

/* Two devices in one process: what belongs to one is refused by the other; events are waited for across them. */
static void test_other_device(rig *r)
{
    if (rig_on_cpu(r)) return;
    rig cpu = rig_open("cpu");
    float *const x = rig_floats(64);
    trd_tensor *const here = rig_tensor(r, TRD_DTYPE_F32, 8, 8, x), *const there = rig_tensor(&cpu, TRD_DTYPE_F32, 8, 8, x);
    trd_weight *weight;
    trd_kernel *kernel;
    trd_event *event;
    CHECK_OK(trd_weight_create(cpu.device, 8, 8, TRD_DTYPE_F32, x, NULL, &weight));
    CHECK_OK(trd_kernel_create_expression(cpu.device, "float *x", "x[i] = 1", &kernel));
    const trd_argument argument = rig_arg(here);
    CHECK_FAILS(trd_add(r->queue, here, there, here), TRD_E_INVALID, "b is on device cpu:0, the queue on opencl:");
    CHECK_FAILS(trd_linear(r->queue, here, weight, here, NULL), TRD_E_INVALID, "weight is on device cpu:0");
    CHECK_FAILS(trd_tensor_copy(r->queue, here, there), TRD_E_INVALID, "y is on device cpu:0");
    CHECK_FAILS(trd_tensor_write(cpu.queue, here, x, 256), TRD_E_INVALID, "the queue on cpu:0");
    CHECK_FAILS(trd_kernel_run(r->queue, kernel, &argument, 1, NULL), TRD_E_INVALID, "the kernel is of device cpu:0");
    CHECK_FAILS(trd_kernel_run(cpu.queue, kernel, &argument, 1, NULL), TRD_E_INVALID, "argument 0 is on device opencl:");
    CHECK_OK(trd_scale(r->queue, here, 2.0f, here));
    CHECK_OK(trd_event_record(r->queue, &event));
    CHECK_OK(trd_queue_wait_event(cpu.queue, event));
    bool done;
    CHECK_OK(trd_event_done(event, &done));
    CHECK(done);
    trd_event_destroy(event);
    trd_kernel_destroy(kernel);
    trd_weight_destroy(weight);
    trd_tensor_destroy(here);
    trd_tensor_destroy(there);
    rig_close(&cpu);
    free(x);
}

static void test_all(rig *r)
{
    test_other_device(r);
    test_norms(r);
    test_norm_refusals(r);
    test_maps(r);
    test_linear(r);
    test_weights(r);
    test_i8_data(r);
    test_rows(r);
    test_rotary(r);
    test_attention(r);
    test_softmax(r);
    test_top_k(r);
    /* All memory of the tensors came back. */
    trd_device_memory memory = { .struct_size = sizeof memory };
    CHECK_OK(trd_device_get_memory(r->device, &memory));
    CHECK_INT(memory.allocated_bytes, 0);
    CHECK_INT(memory.n_allocated, 0);
}

int main(void)
{
    rig_each(test_all);
    return 0;
}
