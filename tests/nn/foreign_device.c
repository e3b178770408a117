/* foreign_device.c: see foreign_device.h. One lock is held while anything runs, since only then memory is open. */
#include "nn/foreign_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/cpu/cpu.h"
#include "core/alloc.h"
#include "core/threads.h"

typedef struct buffer {
    atomic_int  uses;
    trdi_memory kind;
    size_t bytes, mapped;
    char  *memory;            /* the device's: PROT_NONE while nothing runs */
    char  *host;              /* STEP and RESULT */
} buffer;

typedef struct plan {
    atomic_int uses;
    trdi_op *ops;             /* spans point into memory */
    size_t   n_ops;
    void    *cpu;             /* the CPU's plan; NULL = by the reference */
    buffer **buffers;
    size_t   n_buffers, capacity;
} plan;

typedef enum action_kind { ACTION_RUN, ACTION_COPY, ACTION_WRITE } action_kind;

typedef struct action {
    struct action *next;
    action_kind kind;
    plan     *run;
    trdi_step step;
    buffer   *dst, *src;
    size_t    dst_offset, src_offset, bytes;
    char     *data;
} action;

typedef struct queue {
    void   *cpu;
    action *first, *last;
    trd_status status;        /* first failure since the last wait */
    char    error[512];
} queue;

static trdi_mutex gate = TRDI_MUTEX_INIT;
static atomic_size_t limit = SIZE_MAX, in_use, peak;
static atomic_llong fail_after = -1;
static atomic_int fail_status;
static atomic_int n_to_break;
static _Thread_local bool is_broken;
static void (*run_hook)(void *context);
static void *hook_context;
static atomic_bool keeps_weights;
static atomic_int last_numerics;

void foreign_limit_memory(size_t bytes)
{
    atomic_store(&limit, bytes);
    atomic_store(&peak, atomic_load(&in_use));
}

size_t foreign_memory_in_use(void) { return atomic_load(&in_use); }
size_t foreign_memory_peak(void) { return atomic_load(&peak); }

void foreign_fail_run(int64_t n, trd_status status)
{
    atomic_store(&fail_status, (int)status);
    atomic_store(&fail_after, n);
}

void foreign_break_next(void) { atomic_fetch_add(&n_to_break, 1); }

void foreign_before_run(void (*hook)(void *context), void *context)
{
    run_hook = hook;
    hook_context = context;
}

trdi_numerics foreign_last_numerics(void) { return (trdi_numerics)atomic_load(&last_numerics); }
void foreign_keep_weights(bool keep) { atomic_store(&keeps_weights, keep); }

trdi_device_facts foreign_facts(uint32_t compute_types)
{
    return (trdi_device_facts){ .id = "foreign:0", .name = "a device far away", .type = TRDI_DEVICE_GPU,
                                .compute_types = compute_types | TRDI_TYPES_GPU, .n_compute_units = 1, .memory_bytes = (int64_t)1 << 40 };
}

static trd_status device_open(const trdi_device_facts *facts, void **device)
{
    (void)facts;
    return trdi_backend_cpu()->device_open(NULL, device);
}

/* ---- Memory ---- */

static void set_access(const buffer *b, int protection)
{
    if (mprotect(b->memory, b->mapped, protection) == 0) return;
    perror("mprotect");
    abort();
}

static void let_go(buffer *b)
{
    if (b == NULL || atomic_fetch_sub(&b->uses, 1) > 1) return;
    set_access(b, PROT_READ | PROT_WRITE);
    free(b->memory);
    trdi_free(b->host);
    atomic_fetch_sub(&in_use, b->bytes);
    trdi_free(b);
}

static bool take_memory(size_t bytes)
{
    const size_t now = atomic_fetch_add(&in_use, bytes) + bytes;
    if (now > atomic_load(&limit)) {
        atomic_fetch_sub(&in_use, bytes);
        return false;
    }
    if (now > atomic_load(&peak)) atomic_store(&peak, now);
    return true;
}

/* New memory holds NaN and indices of -1: nobody may count on zeros. */
static trd_status buffer_alloc(void *device, size_t bytes, trdi_memory kind, void **out)
{
    (void)device;
    *out = NULL;
    if (!take_memory(bytes)) return trdi_fail(TRD_E_MEMORY, "foreign device: %zu bytes are not left", bytes);
    buffer *b = trdi_calloc(1, sizeof *b);
    char *host = kind != TRDI_MEMORY_DEVICE ? trdi_alloc(bytes) : NULL;
    if (b == NULL || (host == NULL && kind != TRDI_MEMORY_DEVICE)) {
        trdi_free(b);
        trdi_free(host);
        atomic_fetch_sub(&in_use, bytes);
        return trdi_fail(TRD_E_MEMORY, "foreign device: buffer of %zu bytes", bytes);
    }
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *b = (buffer){ .kind = kind, .bytes = bytes, .mapped = (bytes / page + 1) * page, .host = host };
    atomic_init(&b->uses, 1);
    b->memory = aligned_alloc(page, b->mapped);
    if (b->memory == NULL) abort();
    memset(b->memory, 0xff, b->mapped);
    if (host != NULL) memset(host, 0xff, bytes);
    set_access(b, PROT_NONE);
    *out = b;
    return TRD_OK;
}

static void buffer_free(void *b)
{
    let_go(b);
}

static void *buffer_host(void *b)
{
    return ((buffer *)b)->host;
}

/* ---- Plans ---- */

static bool supports(const void *device, const trdi_op *op)
{
    (void)device;
    return trdi_cpu_misfit(op) == NULL;
}

static void plan_let_go(plan *p)
{
    if (p == NULL || atomic_fetch_sub(&p->uses, 1) > 1) return;
    for (size_t i = 0; i < p->n_buffers; i++) let_go(p->buffers[i]);
    trdi_backend_cpu()->plan_destroy(p->cpu);
    trdi_free(p->buffers);
    trdi_free(p->ops);
    trdi_free(p);
}

static trd_status add_buffer(plan *p, buffer *b)
{
    for (size_t i = 0; i < p->n_buffers; i++)
        if (p->buffers[i] == b) return TRD_OK;
    void *buffers = p->buffers;
    if (!trdi_reserve(&buffers, &p->capacity, p->n_buffers + 1, sizeof *p->buffers)) return trdi_fail(TRD_E_MEMORY, "foreign plan");
    p->buffers = buffers;
    p->buffers[p->n_buffers++] = b;
    atomic_fetch_add(&b->uses, 1);
    return TRD_OK;
}

/* Point the operation's spans into memory. */
static trd_status move_spans(plan *p, trdi_op *op)
{
    trdi_span spans[TRDI_MAX_OP_SPANS];
    const size_t n = trdi_op_spans(op, spans);
    for (size_t i = 0; i < n; i++) {
        buffer *b = spans[i].buffer;
        if (b == NULL) continue;
        if (spans[i].offset > b->bytes) return trdi_fail(TRD_E_INTERNAL, "%s: a span past its buffer", trdi_op_name(op->kind));
        TRDI_TRY(add_buffer(p, b));
        spans[i].buffer = b->memory;
    }
    trdi_op_set_spans(op, spans);
    return TRD_OK;
}

static trd_status fill_plan(plan *p, void *device, const trdi_op *ops, const trdi_plan_options *options)
{
    bool by_kernels = true;
    p->ops = trdi_calloc(p->n_ops, sizeof *p->ops);
    if (p->ops == NULL) return trdi_fail(TRD_E_MEMORY, "foreign plan of %zu operations", p->n_ops);
    for (size_t i = 0; i < p->n_ops; i++) {
        const char *why = trdi_cpu_misfit(&ops[i]);
        if (why != NULL) return trdi_fail(TRD_E_UNSUPPORTED, "%s: %s", trdi_op_name(ops[i].kind), why);
        p->ops[i] = ops[i];
        TRDI_TRY(move_spans(p, &p->ops[i]));
        by_kernels = by_kernels && trdi_cpu_refusal(&p->ops[i]) == NULL;
    }
    return by_kernels ? trdi_backend_cpu()->plan_create(device, p->ops, p->n_ops, options, &p->cpu) : TRD_OK;
}

static trd_status plan_create(void *device, const trdi_op *ops, size_t n_ops, const trdi_plan_options *options, void **out)
{
    *out = NULL;
    plan *p = trdi_calloc(1, sizeof *p);
    if (p == NULL) return trdi_fail(TRD_E_MEMORY, "foreign plan");
    p->n_ops = n_ops;
    atomic_store(&last_numerics, (int)options->numerics);
    atomic_init(&p->uses, 1);
    const trd_status status = fill_plan(p, device, ops, options);
    if (status != TRD_OK) {
        plan_let_go(p);
        return status;
    }
    *out = p;
    return TRD_OK;
}

static void plan_destroy(void *p)
{
    plan_let_go(p);
}

/* ---- Queues ---- */

static trd_status run_operations(const queue *q, const action *a)
{
    if (a->run->cpu != NULL) return trdi_backend_cpu()->plan_run(q->cpu, a->run->cpu, &a->step);
    for (size_t i = 0; i < a->run->n_ops; i++) {
        if (a->step.abort != NULL && atomic_load(a->step.abort)) return trdi_fail(TRD_E_CANCELLED, "foreign run: cancelled");
        TRDI_TRY(trdi_reference_run(&a->run->ops[i], &a->step));
    }
    return TRD_OK;
}

static trd_status run(const queue *q, const action *a)
{
    if (run_hook != NULL) run_hook(hook_context);
    if (!is_broken && atomic_load(&n_to_break) > 0) {   /* one thread at a time runs: see flush() */
        is_broken = true;
        atomic_fetch_sub(&n_to_break, 1);
    }
    if (is_broken) return trdi_fail(TRD_E_DEVICE, "foreign run: the device is gone");
    if (atomic_load(&fail_after) >= 0 && atomic_fetch_sub(&fail_after, 1) == 0)
        return trdi_fail((trd_status)atomic_load(&fail_status), "foreign run: made to fail");
    for (size_t i = 0; i < a->run->n_buffers; i++) {
        const buffer *b = a->run->buffers[i];
        set_access(b, PROT_READ | PROT_WRITE);
        if (b->kind == TRDI_MEMORY_STEP) memcpy(b->memory, b->host, b->bytes);
    }
    const trd_status status = run_operations(q, a);
    for (size_t i = 0; i < a->run->n_buffers; i++) {
        const buffer *b = a->run->buffers[i];
        if (b->kind == TRDI_MEMORY_RESULT) memcpy(b->host, b->memory, b->bytes);
        if (b->kind != TRDI_MEMORY_DEVICE) memset(b->memory, 0xff, b->bytes);
        set_access(b, PROT_NONE);
    }
    return status;
}

/* dst, then src, of COPY; dst and data of WRITE. */
static void move_bytes(const action *a)
{
    set_access(a->dst, PROT_READ | PROT_WRITE);
    if (a->src != NULL && a->src != a->dst) set_access(a->src, PROT_READ | PROT_WRITE);
    memmove(a->dst->memory + a->dst_offset, a->src != NULL ? a->src->memory + a->src_offset : a->data, a->bytes);
    set_access(a->dst, PROT_NONE);
    if (a->src != NULL) set_access(a->src, PROT_NONE);
}

static void free_action(action *a)
{
    plan_let_go(a->run);
    let_go(a->dst);
    let_go(a->src);
    trdi_free(a->data);
    trdi_free(a);
}

static void flush(queue *q)
{
    trdi_mutex_lock(&gate);
    while (q->first != NULL) {
        action *a = q->first;
        q->first = a->next;
        trd_status status = TRD_OK;
        if (a->kind == ACTION_RUN) status = run(q, a);
        else move_bytes(a);
        if (status != TRD_OK && q->status == TRD_OK) {
            q->status = status;
            (void)snprintf(q->error, sizeof q->error, "%s", trd_last_error());
        }
        free_action(a);
    }
    q->last = NULL;
    trdi_mutex_unlock(&gate);
}

static trd_status queue_wait(void *handle)
{
    queue *q = handle;
    flush(q);
    const trd_status status = q->status;
    q->status = TRD_OK;
    return status == TRD_OK ? TRD_OK : trdi_fail(status, "%s", q->error);
}

static trd_status queue_create(void *device, const trdi_queue_options *options, void **out)
{
    *out = NULL;
    if (is_broken) return trdi_fail(TRD_E_DEVICE, "foreign queue: the device is gone");
    queue *q = trdi_calloc(1, sizeof *q);
    if (q == NULL) return trdi_fail(TRD_E_MEMORY, "foreign queue");
    const trd_status status = trdi_backend_cpu()->queue_create(device, options, &q->cpu);
    if (status != TRD_OK) {
        trdi_free(q);
        return status;
    }
    *out = q;
    return TRD_OK;
}

static void queue_destroy(void *handle)
{
    queue *q = handle;
    if (q == NULL) return;
    flush(q);
    trdi_backend_cpu()->queue_destroy(q->cpu);
    trdi_free(q);
}

static trd_status enqueue(queue *q, action from)
{
    action *a = trdi_alloc(sizeof *a);
    if (a == NULL) {
        trdi_free(from.data);
        return trdi_fail(TRD_E_MEMORY, "foreign queue: no memory for one more");
    }
    *a = from;
    if (a->run != NULL) atomic_fetch_add(&a->run->uses, 1);
    if (a->dst != NULL) atomic_fetch_add(&a->dst->uses, 1);
    if (a->src != NULL) atomic_fetch_add(&a->src->uses, 1);
    if (q->last != NULL) q->last->next = a;
    else q->first = a;
    q->last = a;
    return TRD_OK;
}

static trd_status check_range(trdi_span span, size_t bytes)
{
    const buffer *b = span.buffer;
    if (b != NULL && b->kind == TRDI_MEMORY_DEVICE && span.offset <= b->bytes && bytes <= b->bytes - span.offset) return TRD_OK;
    return trdi_fail(TRD_E_INVALID, "foreign device: %zu bytes at %zu are not all in a DEVICE buffer", bytes, span.offset);
}

static trd_status copy(void *q, trdi_span dst, trdi_span src, size_t bytes)
{
    TRDI_TRY(check_range(dst, bytes));
    TRDI_TRY(check_range(src, bytes));
    return enqueue(q, (action){ .kind = ACTION_COPY, .dst = dst.buffer, .src = src.buffer, .dst_offset = dst.offset,
                                .src_offset = src.offset, .bytes = bytes });
}

static trd_status write_to(void *q, trdi_span dst, const void *src, size_t bytes)
{
    TRDI_TRY(check_range(dst, bytes));
    char *data = trdi_alloc(bytes);
    if (data == NULL) return trdi_fail(TRD_E_MEMORY, "foreign write of %zu bytes", bytes);
    memcpy(data, src, bytes);
    return enqueue(q, (action){ .kind = ACTION_WRITE, .dst = dst.buffer, .dst_offset = dst.offset, .bytes = bytes, .data = data });
}

static trd_status read_back(void *handle, void *dst, trdi_span src, size_t bytes)
{
    TRDI_TRY(check_range(src, bytes));
    flush(handle);
    const buffer *b = src.buffer;
    trdi_mutex_lock(&gate);
    set_access(b, PROT_READ);
    memcpy(dst, b->memory + src.offset, bytes);
    set_access(b, PROT_NONE);
    trdi_mutex_unlock(&gate);
    return TRD_OK;
}

/* Results hold nothing until the queue is waited for. */
static trd_status plan_run(void *handle, void *plan_handle, const trdi_step *step)
{
    plan *p = plan_handle;
    for (size_t i = 0; i < p->n_buffers; i++)
        if (p->buffers[i]->kind == TRDI_MEMORY_RESULT) memset(p->buffers[i]->host, 0xff, p->buffers[i]->bytes);
    return enqueue(handle, (action){ .kind = ACTION_RUN, .run = p, .step = *step });
}

static const void *weight_data(const void *weight)
{
    return atomic_load(&keeps_weights) ? trdi_cpu_weight_data(weight) : NULL;
}

const trdi_backend_ops *foreign_backend(void)
{
    static trdi_backend_ops table;
    table = (trdi_backend_ops){
        .abi = TRDI_BACKEND_ABI,
        .name = "foreign",
        .device_open = device_open,
        .device_close = trdi_backend_cpu()->device_close,
        .buffer_alloc = buffer_alloc,
        .buffer_free = buffer_free,
        .buffer_host = buffer_host,
        .copy = copy,
        .write = write_to,
        .read = read_back,
        .queue_create = queue_create,
        .queue_destroy = queue_destroy,
        .queue_wait = queue_wait,
        .supports = supports,
        .weight_bytes = trdi_cpu_weight_bytes,
        .weight_prepare = trdi_cpu_weight_prepare,
        .weight_data = weight_data,
        .weight_free = trdi_cpu_weight_free,
        .weight_layout_version = 1,
        .plan_create = plan_create,
        .plan_run = plan_run,
        .plan_destroy = plan_destroy,
    };
    return &table;
}
