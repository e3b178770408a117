/*
 * cpu.h: the inside of the CPU back end: its objects and the functions that its files share. A span's buffer is the memory
 * itself, so plans hold plain pointers.
 */
#ifndef TRDI_BACKEND_CPU_H
#define TRDI_BACKEND_CPU_H

#include "backend/backend.h"
#include "backend/cpu/team.h"
#include "kernels/cpu/cpu_kernels.h"

/** Keys per chunk of attention over packed rows; over blocks it is block_tokens. */
#define TRDI_PACKED_CHUNK 32

typedef struct trdi_cpu_device {
    const trdi_cpu_kernels *kernels;
} trdi_cpu_device;

/**
 * A prepared weight: one run of floats, panels [ceil(rows/16)][cols][16] or rows [rows][cols], then the bias padded to 16, then the
 * scales padded to 16. F16: values rounded to halves. I8: the integers as floats.
 */
typedef struct trdi_cpu_weight {
    trdi_weight_layout layout;
    trd_dtype dtype;
    bool truncate;            /**< I8: as trdi_weight_source.truncate */
    int64_t rows, cols;
    const float *data;
    const float *bias;        /**< inside data; NULL = none */
    const float *scales;      /**< I8: [rows], inside data; else NULL */
    float *owned;             /**< NULL where the caller keeps the data */
} trdi_cpu_weight;

/** What one team thread has while it runs an operation. */
typedef struct trdi_cpu_thread {
    const trdi_cpu_kernels *kernels;
    const trdi_step *step;
    int32_t index, count;
    void   *scratch;          /**< what the plan's largest operation needs, 64-byte aligned */
} trdi_cpu_thread;

/** An operation of a plan with what was precomputed for it. */
typedef struct trdi_cpu_op {
    trdi_op  op;
    int32_t *buckets;         /**< attention with T5 bias: bucket of distance -bucket_reach .. bucket_reach; else NULL */
    int64_t  bucket_reach;
    float   *frequencies;     /**< positions without a table: [width / 2]; else NULL */
    double   row_ns, fixed_ns;/**< rough time of a row, and of a run, on one core */
    int64_t  row_parts;       /**< parts that a row can be shared out in */
} trdi_cpu_op;

typedef void (*trdi_cpu_run)(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);

/** Address of a span. */
static inline void *trdi_span_at(trdi_span span)
{
    return span.buffer == NULL ? NULL : (char *)span.buffer + span.offset;
}

static inline float *trdi_span_f32(trdi_span span)
{
    return (float *)trdi_span_at(span);
}

static inline const int32_t *trdi_span_i32(trdi_span span)
{
    return (const int32_t *)trdi_span_at(span);
}

/** The part of items that thread index of count takes: one run of neighbours. */
static inline void trdi_cpu_share(int64_t items, const trdi_cpu_thread *thread, int64_t *first, int64_t *last)
{
    *first = items * thread->index / thread->count;
    *last = items * (thread->index + 1) / thread->count;
}

/** K of a slot of a block of f32; V is n_heads_kv * block_tokens * head_dim further. */
static inline float *trdi_kv_slot(const trdi_kv_layout *kv, int64_t block, int64_t head, int64_t slot)
{
    char *base = (char *)trdi_span_at(kv->pool) + kv->layer_offset + (size_t)block * kv->block_stride;
    return (float *)(void *)base + (head * kv->block_tokens + slot) * kv->head_dim;
}

/* cpu_isa.c */
/** Kernels by name, or NULL where this processor lacks the instructions or the name is unknown. */
const trdi_cpu_kernels *trdi_cpu_kernels_find(const char *name);
/** What TREADLE_CPU_ISA or CT2_FORCE_CPU_ISA ask for (with a warning if it cannot be had), else the best. */
const trdi_cpu_kernels *trdi_cpu_kernels_choose(void);
trd_status trdi_cpu_enumerate(trdi_device_facts *facts, size_t capacity, size_t *n);

/** NULL if the operation is well formed and its weight fits it, else what is wrong; static. All types. */
const char *trdi_cpu_misfit(const trdi_op *op);
/** NULL if a plan of this back end takes the operation, else why not; static. */
const char *trdi_cpu_refusal(const trdi_op *op);

/* cpu_weight.c */
size_t trdi_cpu_weight_bytes(const void *device, const trdi_weight_source *source);
trd_status trdi_cpu_weight_prepare(void *device, const trdi_weight_source *source, void **weight);
const void *trdi_cpu_weight_data(const void *weight);
void trdi_cpu_weight_free(void *weight);

/* cpu_plan.c */
trd_status trdi_cpu_queue_create(void *device, const trdi_queue_options *options, void **queue);
void trdi_cpu_queue_destroy(void *queue);
/** For tests: share out every operation, even where that costs more than it brings. */
void trdi_cpu_queue_share_all(void *queue);
trd_status trdi_cpu_plan_create(void *device, const trdi_op *ops, size_t n_ops, const trdi_plan_options *options, void **plan);
trd_status trdi_cpu_plan_run(void *queue, void *plan, const trdi_step *step);
void trdi_cpu_plan_destroy(void *plan);

/**
 * Run function on the queue's team, or on the calling thread alone where the work is too short for more. step is NULL in what it gets.
 * @param ns  rough time of the work on one thread
 */
trd_status trdi_cpu_queue_share(void *queue, double ns, size_t scratch_bytes,
                                void (*function)(void *context, const trdi_cpu_thread *thread), void *context);

/* cpu_expression.c */
trd_status trdi_cpu_kernel_build(void *device, const trdi_kernel_source *source, void **kernel);
trd_status trdi_cpu_kernel_run(void *queue, void *kernel, const trdi_argument *arguments, size_t n, const trdi_launch *launch);
void trdi_cpu_kernel_free(void *kernel);

/* cpu_rows.c: one function per kind; each runs its thread's share. */
void trdi_cpu_run_embed(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
void trdi_cpu_run_positions(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
void trdi_cpu_run_norm(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
void trdi_cpu_run_linear(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
void trdi_cpu_run_map(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
void trdi_cpu_run_rotary(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
void trdi_cpu_run_kv_append(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
void trdi_cpu_run_kv_copy(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
void trdi_cpu_run_gather(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
void trdi_cpu_run_edit(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
void trdi_cpu_run_log_softmax(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);

/* cpu_attention.c */
void trdi_cpu_run_attention(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
/** Scratch of one thread for an attention operation. */
size_t trdi_cpu_attention_scratch(const trdi_op_attention *op);

/* cpu_select.c */
void trdi_cpu_run_select(const trdi_cpu_op *op, const trdi_cpu_thread *thread, int64_t n);
/** Scratch of one thread for the selections of this step; SIZE_MAX where one of them makes no sense. */
size_t trdi_cpu_select_scratch(const trdi_op_select *op, int64_t n);

/* reference.c, reference_attention.c, reference_select.c */
/** Run one operation plainly: the definition that tests compare plans with, of weights and keys and values of every type. */
trd_status trdi_reference_run(const trdi_op *op, const trdi_step *step);
void trdi_reference_attention(const trdi_op_attention *op, int64_t n);
/** K of a slot of a block, elements of the layout's type; V is n_heads_kv * block_tokens * head_dim elements further. */
void *trdi_reference_slot(const trdi_kv_layout *kv, int64_t block, int64_t head, int64_t slot);
trd_status trdi_reference_select(const trdi_op_select *op, int64_t n);

#endif
