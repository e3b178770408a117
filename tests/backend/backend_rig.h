/*
 * backend_rig.h: what tests of the CPU back end share: an open device and queue for one instruction set and team size, arrays
 * with canaries around them, and plans of one operation.
 */
#ifndef TRD_TESTS_BACKEND_RIG_H
#define TRD_TESTS_BACKEND_RIG_H

#include <math.h>
#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "check.h"

/* Floats on each side of an array that nobody may touch. */
#define GUARD 32
#define CANARY 12345.678f

typedef struct rig {
    const trdi_backend_ops *ops;
    void *device, *queue;
    const char *isa;
    int32_t threads;
} rig;

/* Names of the instruction sets that this processor can run. */
static inline int rig_isas(const char *names[3])
{
    static const char *const all[3] = { "generic", "avx2", "avx512" };
    int n = 0;
    for (int i = 0; i < 3; i++) {
        if (trdi_cpu_kernels_find(all[i]) != NULL) names[n++] = all[i];
    }
    return n;
}

static inline rig rig_open(const char *isa, int32_t threads)
{
    rig r = { .ops = trdi_backend_cpu(), .isa = isa, .threads = threads };
    (void)setenv("TREADLE_CPU_ISA", isa, 1);
    trdi_device_facts facts;
    size_t n;
    CHECK_OK(r.ops->enumerate(&facts, 1, &n));
    CHECK_STRING(facts.isa, isa);
    CHECK_OK(r.ops->device_open(&facts, &r.device));
    CHECK_OK(r.ops->queue_create(r.device, &(trdi_queue_options){ .n_threads = threads }, &r.queue));
    return r;
}

static inline void rig_close(rig *r)
{
    r->ops->queue_destroy(r->queue);
    r->ops->device_close(r->device);
}

/* Every instruction set, with 1, 2 and 3 threads; the 3 share out every operation, the 2 only what is worth it. */
static inline void rig_each(void (*test)(rig *r))
{
    const char *names[3];
    const int n = rig_isas(names);
    for (int i = 0; i < n; i++) {
        for (int32_t threads = 1; threads <= 3; threads++) {
            rig r = rig_open(names[i], threads);
            if (threads == 3) trdi_cpu_queue_share_all(r.queue);
            test(&r);
            rig_close(&r);
        }
    }
}

/* An array of floats between canaries; data is 64-byte aligned. */
typedef struct array {
    float  *data, *base;
    int64_t n;
} array;

static inline array array_new(int64_t n)
{
    array a = { .n = n };
    const size_t bytes = ((size_t)n + 2 * GUARD) * sizeof(float);
    a.base = aligned_alloc(64, (bytes + 63) / 64 * 64);
    CHECK(a.base != NULL);
    a.data = a.base + GUARD;
    for (int64_t i = 0; i < n + 2 * GUARD; i++) a.base[i] = CANARY;
    for (int64_t i = 0; i < n; i++) a.data[i] = NAN;
    return a;
}

static inline void array_poison(array *a)
{
    for (int64_t i = 0; i < a->n; i++) a->data[i] = NAN;
}

static inline void array_free(array *a)
{
    for (int64_t i = 0; i < GUARD; i++) CHECK(a->base[i] == CANARY && a->data[a->n + i] == CANARY);
    free(a->base);
}

static uint64_t rig_state = 88172645463325252u;
/* Uniform in [-1, 1). */
static inline float rig_uniform(void)
{
    rig_state ^= rig_state << 13;
    rig_state ^= rig_state >> 7;
    rig_state ^= rig_state << 17;
    return (float)(rig_state >> 40) / (float)(1 << 23) - 1.0f;
}

static inline array array_random(int64_t n)
{
    array a = array_new(n);
    for (int64_t i = 0; i < n; i++) a.data[i] = rig_uniform();
    return a;
}

static inline array array_copy(const array *from)
{
    array a = array_new(from->n);
    memcpy(a.data, from->data, (size_t)from->n * sizeof(float));
    return a;
}

static inline trdi_span span(const void *p)
{
    union { const void *in; void *out; } u = { .in = p };
    return (trdi_span){ .buffer = u.out };
}

/* Run one operation over n rows. */
static inline trd_status rig_run(const rig *r, const trdi_op *op, int64_t n)
{
    trdi_step step = { .counts = { [TRDI_COUNT_ONE] = 1 } };
    step.counts[op->count] = n;
    void *plan;
    const trd_status made = r->ops->plan_create(r->device, op, 1, NULL, &plan);
    if (made != TRD_OK) return made;
    const trd_status status = r->ops->plan_run(r->queue, plan, &step);
    if (status == TRD_OK) CHECK_OK(r->ops->queue_wait(r->queue));
    r->ops->plan_destroy(plan);
    return status;
}

static inline trd_status reference_run(const trdi_op *op, int64_t n)
{
    trdi_step step = { .counts = { [TRDI_COUNT_ONE] = 1 } };
    step.counts[op->count] = n;
    return trdi_reference_run(op, &step);
}

/* got equals want within tolerance * (1 + |want|); infinities and NaN (untouched elements) must stand in the same places. */
static inline void check_close(const rig *r, const char *what, const float *got, const float *want, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++) {
        if (isnan(want[i]) ? isnan(got[i]) : got[i] == want[i]) continue;
        if (isfinite(want[i]) && fabs((double)got[i] - (double)want[i]) <= tolerance * (1.0 + fabs((double)want[i]))) continue;
        fprintf(stderr, "%s (%s, %d threads): element %lld of %lld is %.9g, wanted %.9g\n", what, r->isa, (int)r->threads,
                (long long)i, (long long)n, (double)got[i], (double)want[i]);
        exit(1);
    }
}

static inline void check_same_bits(const char *what, const float *got, const float *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(&got[i], &want[i], sizeof(float)) == 0) continue;
        fprintf(stderr, "%s: element %lld of %lld is %.9g, wanted %.9g\n", what, (long long)i, (long long)n, (double)got[i],
                (double)want[i]);
        exit(1);
    }
}

static inline void rig_read_rows(const void *context, int64_t first, int64_t n, float *out)
{
    const array *a = *(const array *const *)context;
    const int64_t cols = *(const int64_t *)((const char *)context + sizeof(void *));
    memcpy(out, a->data + first * cols, (size_t)(n * cols) * sizeof(float));
}

/* What rig_read_rows() reads. */
typedef struct rows_source {
    const array *rows;
    int64_t cols;
} rows_source;

static inline void *rig_weight(const rig *r, trdi_weight_layout layout, const array *rows, int64_t n, int64_t cols, const float *bias)
{
    const rows_source from = { rows, cols };
    const trdi_weight_source source = { .layout = layout, .rows = n, .cols = cols, .read = rig_read_rows, .context = &from, .bias = bias };
    void *weight;
    CHECK_OK(r->ops->weight_prepare(r->device, &source, &weight));
    return weight;
}

#endif
