/*
 * compute_rig.h: what tests of the public compute interface share: the devices to run on, a queue, tensors from and to the host, comparison. They
 * use public functions only. Alone they run on the CPU; where TREADLE_TEST_IMPLEMENTATION is set, on every OpenCL device they see.
 */
#ifndef TRD_TESTS_COMPUTE_RIG_H
#define TRD_TESTS_COMPUTE_RIG_H

#include "check.h"
#include "treadle/treadle.h"

typedef struct rig {
    trd_device *device;
    trd_queue  *queue;
    char        id[32];
} rig;

static inline rig rig_open(const char *selector)
{
    rig r;
    CHECK_OK(trd_device_open(selector, &r.device));
    CHECK_OK(trd_queue_create(r.device, NULL, &r.queue));
    trd_device_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_device_describe(r.device, &info));
    (void)snprintf(r.id, sizeof r.id, "%s", info.id);
    return r;
}

static inline void rig_close(rig *r)
{
    trd_queue_destroy(r->queue);
    trd_device_close(r->device);
}

static inline bool rig_on_cpu(const rig *r)
{
    return strncmp(r->id, "cpu", 3) == 0;
}

/* Run on each device that this process is to test; see NO_DEVICE if there is none. */
static inline void rig_each(void (*test)(rig *r))
{
    const char *const backend = getenv("TREADLE_TEST_IMPLEMENTATION") != NULL ? "opencl" : "cpu";
    int n_run = 0;
    for (int64_t i = 0; i < trd_device_count(); i++) {
        trd_device_info info = { .struct_size = sizeof info };
        CHECK_OK(trd_device_get_info(i, &info));
        if (strcmp(info.backend, backend) != 0 || info.unusable[0] != '\0') continue;
        rig r = rig_open(info.id);
        test(&r);
        rig_close(&r);
        n_run++;
    }
    if (n_run == 0) NO_DEVICE("no usable device of %s", backend);
}

static uint64_t rig_state = 88172645463325252u;
static inline uint64_t rig_random(void)
{
    rig_state ^= rig_state << 13;
    rig_state ^= rig_state >> 7;
    rig_state ^= rig_state << 17;
    return rig_state;
}

/* Uniform in [-1, 1). */
static inline float rig_uniform(void)
{
    return (float)(rig_random() >> 40) / (float)(1 << 23) - 1.0f;
}

static inline float *rig_floats(int64_t n)
{
    float *const x = malloc(((size_t)n + 1) * sizeof *x);
    CHECK(x != NULL);
    for (int64_t i = 0; i < n; i++) x[i] = rig_uniform();
    return x;
}

static inline trd_tensor *rig_tensor(const rig *r, trd_dtype dtype, int64_t rows, int64_t cols, const void *data)
{
    const int64_t shape[2] = { rows, cols };
    trd_tensor *t;
    CHECK_OK(trd_tensor_from_host(r->queue, dtype, 2, shape, data, &t));
    return t;
}

/* Full of NaN, so that what was not written shows. */
static inline trd_tensor *rig_poisoned(const rig *r, int64_t rows, int64_t cols)
{
    float *const x = rig_floats(rows * cols);
    for (int64_t i = 0; i < rows * cols; i++) x[i] = NAN;
    trd_tensor *const t = rig_tensor(r, TRD_DTYPE_F32, rows, cols, x);
    free(x);
    return t;
}

/* Contents, to be freed. */
static inline void *rig_read(const rig *r, const trd_tensor *t)
{
    trd_tensor_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_tensor_get_info(t, &info));
    const size_t bytes = (size_t)info.n_elements * trd_dtype_bytes(info.dtype);
    void *const data = malloc(bytes + 1);
    CHECK(data != NULL);
    CHECK_OK(trd_tensor_read(r->queue, t, data, bytes));
    return data;
}

/* Within tolerance * (1 + |want|); infinities and NaN in the same places. */
static inline void rig_close_floats(const rig *r, const char *what, const float *got, const float *want, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++) {
        if (isnan(want[i]) ? isnan(got[i]) : got[i] == want[i]) continue;
        if (isfinite(want[i]) && fabs((double)got[i] - (double)want[i]) <= tolerance * (1.0 + fabs((double)want[i]))) continue;
        fprintf(stderr, "%s on %s: element %lld of %lld is %.9g, wanted %.9g\n", what, r->id, (long long)i, (long long)n, (double)got[i], (double)want[i]);
        exit(1);
    }
}

/* Compare a tensor with what it should be. */
static inline void rig_check(const rig *r, const char *what, const trd_tensor *t, const float *want, double tolerance)
{
    trd_tensor_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_tensor_get_info(t, &info));
    float *const got = rig_read(r, t);
    rig_close_floats(r, what, got, want, info.n_elements, tolerance);
    free(got);
}

static inline trd_argument rig_arg(trd_tensor *t)
{
    return (trd_argument){ .kind = TRD_ARGUMENT_TENSOR, .tensor = t };
}

static inline trd_argument rig_number(float x)
{
    return (trd_argument){ .kind = TRD_ARGUMENT_F32, .number = x };
}

static inline trd_argument rig_integer(int64_t i)
{
    return (trd_argument){ .kind = TRD_ARGUMENT_I32, .integer = i };
}

#define RIG_RUN(r, kernel, ...)                                                                                     \
    do {                                                                                                            \
        const trd_argument rig_arguments_[] = { __VA_ARGS__ };                                                      \
        CHECK_OK(trd_kernel_run((r)->queue, kernel, rig_arguments_, sizeof rig_arguments_ / sizeof rig_arguments_[0], NULL)); \
    } while (0)
#define RIG_RUN_FAILS(r, kernel, status, part, ...)                                                                 \
    do {                                                                                                            \
        const trd_argument rig_arguments_[] = { __VA_ARGS__ };                                                      \
        CHECK_FAILS(trd_kernel_run((r)->queue, kernel, rig_arguments_, sizeof rig_arguments_ / sizeof rig_arguments_[0], NULL), status, part); \
    } while (0)

#endif
