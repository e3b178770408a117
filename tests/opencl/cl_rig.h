/*
 * cl_rig.h: what tests of operations on OpenCL share. An operation is built over host arrays, as the plain reference takes it. The rig sends
 * the arrays to a device, runs the same operation there as a plan, and fetches what came out; then the reference runs on the host arrays and
 * both are compared. Arrays lie between canaries on both sides. Every usable device is tried in both forms of kernels.
 */
#ifndef TRD_TESTS_CL_RIG_H
#define TRD_TESTS_CL_RIG_H

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "check.h"
#include "core/alloc.h"
#include "core/log.h"

enum { CL_RIG_GUARD = 256, CL_RIG_MAX_ARRAYS = 64, CL_RIG_MAX_WEIGHTS = 16 };
#define CL_RIG_CANARY 0xa7

typedef struct cl_array {
    unsigned char *base, *got;   /* guard, bytes, guard; got: what the device gave */
    size_t bytes;
    trdi_memory kind;
    void  *buffer;
} cl_array;

typedef struct cl_rig {
    const trdi_backend_ops *ops;
    trdi_device_facts facts;
    const char *form;            /* "tiles", "groups" */
    void *device, *queue, *cpu;
    bool  small;                 /* TREADLE_TEST_SMALL: few and small sizes */
    size_t n_arrays, n_weights;
    cl_array arrays[CL_RIG_MAX_ARRAYS];
    struct { void *host, *device; } weights[CL_RIG_MAX_WEIGHTS];
    double worst;                /* largest error of cl_rig_check(), as part of its tolerance */
} cl_rig;

/* ---- The module ---- */

static inline trd_status cl_host_fail(trd_status code, const char *text)
{
    return trdi_fail(code, "%s", text);
}

static inline trd_status cl_host_fail_within(trd_status code, const char *text)
{
    return trdi_fail_within(code, "%s", text);
}

static inline void cl_host_log(trd_log_level level, const char *text)
{
    trdi_log(level, "%s", text);
}

/* The back end of TREADLE_BACKEND_PATH; see NO_DEVICE where there is no OpenCL. */
static inline const trdi_backend_ops *cl_rig_module(void)
{
    static const trdi_backend_host host = {
        .abi = TRDI_BACKEND_ABI, .alloc = trdi_alloc, .free = trdi_free, .fail = cl_host_fail, .fail_within = cl_host_fail_within,
        .log_enabled = trdi_log_enabled, .log = cl_host_log, .version = "test",
    };
    static const trdi_backend_ops *ops;
    if (ops != NULL) return ops;
    const char *folder = getenv("TREADLE_BACKEND_PATH");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/treadle-opencl.so", folder != NULL ? folder : ".");
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    trdi_backend_entry *entry;
    *(void **)&entry = dlsym(library, TRDI_BACKEND_ENTRY);
    CHECK(entry != NULL);
    if (entry(TRDI_BACKEND_ABI, &host, &ops) == TRD_OK) return ops;
    NO_DEVICE("%s", trd_last_error());
}

/* ---- Rigs ---- */

static inline void cl_rig_open(cl_rig *r, const trdi_device_facts *facts, const char *form)
{
    *r = (cl_rig){ .ops = cl_rig_module(), .facts = *facts, .form = form, .small = getenv("TREADLE_TEST_SMALL") != NULL };
    (void)setenv("TREADLE_OPENCL_FORM", form, 1);
    CHECK_OK(r->ops->device_open(facts, &r->device));
    CHECK_OK(r->ops->queue_create(r->device, &(trdi_queue_options){ .n_threads = 1 }, &r->queue));
    trdi_device_facts cpu;
    size_t n;
    CHECK_OK(trdi_backend_cpu()->enumerate(&cpu, 1, &n));
    CHECK_OK(trdi_backend_cpu()->device_open(&cpu, &r->cpu));
}

/* Forget all arrays and weights: between two cases. */
static inline void cl_rig_clear(cl_rig *r)
{
    for (size_t i = 0; i < r->n_arrays; i++) {
        r->ops->buffer_free(r->arrays[i].buffer);
        free(r->arrays[i].base);
        free(r->arrays[i].got);
    }
    for (size_t i = 0; i < r->n_weights; i++) {
        trdi_backend_cpu()->weight_free(r->weights[i].host);
        r->ops->weight_free(r->weights[i].device);
    }
    r->n_arrays = r->n_weights = 0;
}

static inline void cl_rig_close(cl_rig *r)
{
    cl_rig_clear(r);
    r->ops->queue_destroy(r->queue);
    r->ops->device_close(r->device);
    trdi_backend_cpu()->device_close(r->cpu);
}

/* Run the test on every usable device in both forms; see NO_DEVICE if there is none. Only one form with TREADLE_TEST_FORM. */
static inline void cl_rig_each(const char *what, void (*test)(cl_rig *r))
{
    const trdi_backend_ops *ops = cl_rig_module();
    static const char *const forms[] = { "tiles", "groups" };
    trdi_device_facts facts[8];
    size_t n = 0, n_tried = 0;
    if (ops->enumerate(facts, 8, &n) != TRD_OK) NO_DEVICE("%s", trd_last_error());
    const char *only = getenv("TREADLE_TEST_FORM");
    for (size_t i = 0; i < n && i < 8; i++) {
        if (facts[i].unusable[0] != '\0') continue;
        for (size_t f = 0; f < 2; f++) {
            if (only != NULL && strcmp(only, forms[f]) != 0) continue;
            cl_rig r;
            cl_rig_open(&r, &facts[i], forms[f]);
            test(&r);
            printf("%s: %s (%s, %s), %s: worst error %.3g of what is allowed\n", what, facts[i].id, facts[i].platform, facts[i].name, forms[f], r.worst);
            (void)fflush(stdout);
            cl_rig_close(&r);
            n_tried++;
        }
    }
    if (n_tried == 0) NO_DEVICE("none of its %zu devices can be used", n);
}

/* ---- Arrays ---- */

/* Zeroed memory that exists on the device too. It lives until cl_rig_clear(). */
static inline void *cl_rig_array(cl_rig *r, size_t bytes, trdi_memory kind)
{
    CHECK(r->n_arrays < CL_RIG_MAX_ARRAYS);
    cl_array *a = &r->arrays[r->n_arrays++];
    const size_t whole = (bytes + 63) / 64 * 64 + 2 * CL_RIG_GUARD;
    *a = (cl_array){ .base = aligned_alloc(64, whole), .got = aligned_alloc(64, whole), .bytes = bytes, .kind = kind };
    CHECK(a->base != NULL && a->got != NULL);
    memset(a->base, CL_RIG_CANARY, whole);
    memset(a->base + CL_RIG_GUARD, 0, bytes);
    CHECK_OK(r->ops->buffer_alloc(r->device, bytes + 2 * CL_RIG_GUARD, kind, &a->buffer));
    return a->base + CL_RIG_GUARD;
}

static inline cl_array *cl_rig_find(cl_rig *r, const void *address)
{
    const unsigned char *at = address;
    for (size_t i = 0; i < r->n_arrays; i++) {
        cl_array *a = &r->arrays[i];
        if (at >= a->base + CL_RIG_GUARD && at <= a->base + CL_RIG_GUARD + a->bytes) return a;
    }
    fprintf(stderr, "cl_rig: an address that belongs to no array\n");
    exit(1);
}

/* What the device gave for a host address. */
static inline void *cl_rig_got(cl_rig *r, const void *address)
{
    cl_array *a = cl_rig_find(r, address);
    return a->got + ((const unsigned char *)address - a->base);
}

static uint64_t cl_rig_state = 88172645463325252u;
static inline uint32_t cl_rig_bits(void)
{
    cl_rig_state ^= cl_rig_state << 13;
    cl_rig_state ^= cl_rig_state >> 7;
    cl_rig_state ^= cl_rig_state << 17;
    return (uint32_t)(cl_rig_state >> 32);
}

/* Uniform in [-1, 1). */
static inline float cl_rig_uniform(void)
{
    return (float)(cl_rig_bits() >> 8) / (float)(1 << 23) - 1.0f;
}

/* n random floats on the device and here. */
static inline float *cl_rig_floats(cl_rig *r, int64_t n)
{
    float *x = cl_rig_array(r, (size_t)n * sizeof *x, TRDI_MEMORY_DEVICE);
    for (int64_t i = 0; i < n; i++) x[i] = cl_rig_uniform();
    return x;
}

/* n NaN: an output. */
static inline float *cl_rig_poisoned(cl_rig *r, int64_t n)
{
    float *x = cl_rig_array(r, (size_t)n * sizeof *x, TRDI_MEMORY_DEVICE);
    for (int64_t i = 0; i < n; i++) x[i] = NAN;
    return x;
}

/* n numbers of the step block. */
static inline int32_t *cl_rig_ints(cl_rig *r, int64_t n)
{
    return cl_rig_array(r, (size_t)n * sizeof(int32_t), TRDI_MEMORY_STEP);
}

/* The span of a host address (NULL = absent), as the reference takes it. */
static inline trdi_span cl_span(const void *address)
{
    union { const void *in; void *out; } u = { .in = address };
    return (trdi_span){ .buffer = u.out };
}

/* ---- Weights ---- */

typedef struct cl_rows {
    const float *rows;
    int64_t cols;
} cl_rows;

static inline void cl_read_rows(const void *context, int64_t first, int64_t n, float *out)
{
    const cl_rows *from = context;
    memcpy(out, from->rows + first * from->cols, (size_t)(n * from->cols) * sizeof *out);
}

static inline void cl_read_i8(const void *context, int64_t first, int64_t n, int8_t *out, float *scales)
{
    const cl_rows *from = context;
    for (int64_t r = 0; r < n; r++) {
        const float *row = from->rows + (first + r) * from->cols;
        float top = 0.0f;
        for (int64_t c = 0; c < from->cols; c++) top = fmaxf(top, fabsf(row[c]));
        scales[r] = top > 0.0f ? 127.0f / top : 1.0f;
        for (int64_t c = 0; c < from->cols; c++) out[r * from->cols + c] = (int8_t)nearbyintf(row[c] * scales[r]);
    }
}

/* A weight for operations, of n rows of cols numbers each (plain memory, read here). @param bias  [n] or NULL */
static inline void *cl_rig_weight(cl_rig *r, trdi_weight_layout layout, trd_dtype dtype, bool truncate, const float *rows, int64_t n,
                                  int64_t cols, const float *bias)
{
    CHECK(r->n_weights < CL_RIG_MAX_WEIGHTS);
    const cl_rows from = { rows, cols };
    const trdi_weight_source source = {
        .layout = layout, .dtype = dtype, .truncate = truncate, .rows = n, .cols = cols, .read = cl_read_rows, .read_i8 = cl_read_i8,
        .context = &from, .bias = bias,
    };
    void *host, *device;
    CHECK_OK(trdi_backend_cpu()->weight_prepare(r->cpu, &source, &host));
    CHECK_OK(r->ops->weight_prepare(r->device, &source, &device));
    r->weights[r->n_weights].host = host;
    r->weights[r->n_weights++].device = device;
    return host;
}

/* ---- Running ---- */

static inline void cl_rig_send(cl_rig *r, cl_array *a)
{
    const size_t whole = a->bytes + 2 * CL_RIG_GUARD;
    void *host = r->ops->buffer_host(a->buffer);
    if (host != NULL) memcpy(host, a->base, whole);
    else CHECK_OK(r->ops->write(r->queue, (trdi_span){ a->buffer, 0 }, a->base, whole));
}

static inline void cl_rig_fetch(cl_rig *r, cl_array *a)
{
    const size_t whole = a->bytes + 2 * CL_RIG_GUARD;
    const void *host = r->ops->buffer_host(a->buffer);
    if (host != NULL) memcpy(a->got, host, whole);
    else CHECK_OK(r->ops->read(r->queue, a->got, (trdi_span){ a->buffer, 0 }, whole));
    for (size_t i = 0; i < CL_RIG_GUARD; i++) CHECK(a->got[i] == CL_RIG_CANARY && a->got[CL_RIG_GUARD + a->bytes + i] == CL_RIG_CANARY);
}

static inline void *cl_rig_device_weight(const cl_rig *r, const void *host)
{
    for (size_t i = 0; i < r->n_weights; i++) {
        if (r->weights[i].host == host) return r->weights[i].device;
    }
    fprintf(stderr, "cl_rig: a weight of another rig\n");
    exit(1);
}

/* The operation on the device's memory. */
static inline trdi_op cl_rig_translate(cl_rig *r, const trdi_op *op)
{
    trdi_op out = *op;
    trdi_span spans[TRDI_MAX_OP_SPANS];
    const size_t n = trdi_op_spans(op, spans);
    for (size_t i = 0; i < n; i++) {
        if (spans[i].buffer == NULL) continue;
        const unsigned char *at = (const unsigned char *)spans[i].buffer + spans[i].offset;
        const cl_array *a = cl_rig_find(r, at);
        spans[i] = (trdi_span){ a->buffer, (size_t)(at - a->base) };
    }
    trdi_op_set_spans(&out, spans);
    if (op->kind == TRDI_OP_LINEAR) out.u.linear.weight = cl_rig_device_weight(r, op->u.linear.weight);
    if (op->kind == TRDI_OP_EMBED) out.u.embed.table = cl_rig_device_weight(r, op->u.embed.table);
    return out;
}

static inline trdi_step cl_rig_step(const trdi_op *op, int64_t n)
{
    trdi_step step = { .counts = { [TRDI_COUNT_ONE] = 1 } };
    step.counts[op->count] = n;
    return step;
}

/* Run the operation over n rows on the device; host arrays stay as they are, cl_rig_got() has what came out. */
static inline trd_status cl_rig_run_with(cl_rig *r, const trdi_op *op, int64_t n, trdi_numerics numerics)
{
    for (size_t i = 0; i < r->n_arrays; i++) cl_rig_send(r, &r->arrays[i]);
    const trdi_op translated = cl_rig_translate(r, op);
    const trdi_plan_options options = { .numerics = numerics };
    const trdi_step step = cl_rig_step(op, n);
    void *plan;
    const trd_status made = r->ops->plan_create(r->device, &translated, 1, &options, &plan);
    if (made != TRD_OK) return made;
    trd_status status = r->ops->plan_run(r->queue, plan, &step);
    const trd_status waited = r->ops->queue_wait(r->queue);
    if (status == TRD_OK) status = waited;
    r->ops->plan_destroy(plan);
    for (size_t i = 0; status == TRD_OK && i < r->n_arrays; i++) cl_rig_fetch(r, &r->arrays[i]);
    return status;
}

static inline trd_status cl_rig_run(cl_rig *r, const trdi_op *op, int64_t n)
{
    return cl_rig_run_with(r, op, n, TRDI_NUMERICS_REPRODUCIBLE);
}

/* Run the definition on the host arrays. */
static inline void cl_rig_reference(const trdi_op *op, int64_t n)
{
    const trdi_step step = cl_rig_step(op, n);
    CHECK_OK(trdi_reference_run(op, &step));
}

/* ---- Comparing ---- */

/*
 * What the device gave at want equals want within tolerance * (1 + |want|). Infinities and NaN (untouched elements) must stand in the same
 * places.
 */
static inline void cl_rig_check(cl_rig *r, const char *what, const float *want, int64_t n, double tolerance)
{
    const float *got = cl_rig_got(r, want);
    for (int64_t i = 0; i < n; i++) {
        if (isnan(want[i]) ? isnan(got[i]) : got[i] == want[i]) continue;
        const double error = fabs((double)got[i] - (double)want[i]) / (tolerance * (1.0 + fabs((double)want[i])));
        if (isfinite(want[i]) && error <= 1.0) {
            if (error > r->worst) r->worst = error;
            continue;
        }
        fprintf(stderr, "%s (%s, %s, %s): element %lld of %lld is %.9g, wanted %.9g\n", what, r->facts.id, r->facts.platform, r->form,
                (long long)i, (long long)n, (double)got[i], (double)want[i]);
        exit(1);
    }
}

static inline void cl_rig_check_ints(cl_rig *r, const char *what, const int32_t *want, int64_t n)
{
    const int32_t *got = cl_rig_got(r, want);
    for (int64_t i = 0; i < n; i++) {
        if (got[i] == want[i]) continue;
        fprintf(stderr, "%s (%s, %s, %s): element %lld of %lld is %d, wanted %d\n", what, r->facts.id, r->facts.platform, r->form, (long long)i,
                (long long)n, (int)got[i], (int)want[i]);
        exit(1);
    }
}

#endif
