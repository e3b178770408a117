/*
 * cpu_expression.c: runs expressions (backend/expression.h) on the CPU. Each thread goes through its share in blocks of up to 256 elements of one
 * row, instruction by instruction, so that the cost of interpreting is spread over a block and the loops are plain ones. Values that are the same
 * everywhere are computed once. Partial results of a reduction belong to fixed pieces of a row and are joined in order, so that the number
 * of threads does not show.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/expression.h"
#include "core/alloc.h"
#include "core/half.h"

enum { BLOCK = 256, PIECE_BLOCKS = 64, PIECE = BLOCK * PIECE_BLOCKS };

typedef union cell { float f; int32_t i; } cell;

typedef struct cpu_expression {
    const trdi_program *program;    /* borrowed: lives longer */
    int32_t n_slots;
    int16_t slots[TRDI_MAX_VALUES]; /* where a value stands while it is needed */
} cpu_expression;

typedef struct partial {
    double  f;
    int32_t i;
} partial;

typedef struct expression_run {
    const cpu_expression *expression;
    const trdi_argument *arguments;
    int64_t rows, cols, pieces;     /* pieces per row */
    partial *partials;              /* [rows * pieces], of a reduction */
} expression_run;

/* One block. */
typedef struct block {
    const expression_run *run;
    const trdi_cpu_thread *thread;
    cell   *cells;                  /* [n_slots][BLOCK] */
    int64_t row, col;               /* of its first element */
    int     n;
} block;

/* ---- Building ---- */

/*
 * A value gives its slot back after its last use, but never to the instruction that uses it, so that no loop reads what it writes. Uniform values
 * are there before all others, so each has a slot of its own.
 */
static void assign_slots(cpu_expression *e)
{
    const trdi_program *const program = e->program;
    int16_t last[TRDI_MAX_VALUES], unused[TRDI_MAX_VALUES];
    int n_unused = 0;
    for (int16_t v = 0; v < program->n_instructions; v++) {
        const trdi_instruction *const in = &program->instructions[v];
        const int16_t operands[3] = { in->a, in->b, in->c };
        last[v] = in->uniform ? INT16_MAX : v;
        if (in->op == TRDI_X_STORE && last[in->b] < v) last[in->b] = v;
        for (int k = 0; k < trdi_expression_operands((trdi_expression_op)in->op); k++) {
            if (last[operands[k]] < v) last[operands[k]] = v;
        }
    }
    if (program->reduction != TRDI_REDUCE_NONE) last[program->reduced] = INT16_MAX;
    for (int16_t v = 0; v < program->n_instructions; v++) {
        const bool own = program->instructions[v].uniform || n_unused == 0;
        e->slots[v] = !own ? unused[--n_unused] : (int16_t)e->n_slots++;
        for (int16_t u = 0; u <= v; u++) {
            if (last[u] == v) unused[n_unused++] = e->slots[u];
        }
    }
}

trd_status trdi_cpu_kernel_build(void *device, const trdi_kernel_source *source, void **kernel)
{
    (void)device;
    *kernel = NULL;
    if (source->program == NULL) return trdi_fail(TRD_E_UNSUPPORTED, "the CPU back end compiles no sources");
    cpu_expression *const e = trdi_calloc(1, sizeof *e);
    if (e == NULL) return trdi_fail(TRD_E_MEMORY, "expression: %zu bytes", sizeof *e);
    e->program = source->program;
    assign_slots(e);
    *kernel = e;
    return TRD_OK;
}

void trdi_cpu_kernel_free(void *kernel)
{
    trdi_free(kernel);
}

/* ---- Memory ---- */

static cell *cells_of(const block *b, int16_t value)
{
    return b->cells + (size_t)b->run->expression->slots[value] * BLOCK;
}

/* First element, or the only one, of a tensor that a block needs. */
static int64_t first_element(const block *b, int index)
{
    if (index == TRDI_INDEX_I) return b->row * b->run->cols + b->col;
    return index == TRDI_INDEX_R ? b->row : b->col;
}

static void load(const block *b, const trdi_instruction *in, cell *restrict y)
{
    const char *const base = trdi_span_at(b->run->arguments[in->a].span);
    const trd_dtype dtype = b->run->expression->program->parameters[in->a].dtype;
    const char *const from = base + (size_t)first_element(b, in->index) * trd_dtype_bytes(dtype);
    const int n = in->index == TRDI_INDEX_R ? 1 : b->n;
    if (dtype == TRD_DTYPE_F16) {
        const uint16_t *const half = (const uint16_t *)(const void *)from;
        for (int k = 0; k < n; k++) y[k].f = trdi_half_to_float(half[k]);
    } else if (dtype == TRD_DTYPE_I8) {
        const int8_t *const small = (const int8_t *)(const void *)from;
        for (int k = 0; k < n; k++) y[k].i = small[k];
    } else {
        memcpy(y, from, (size_t)n * sizeof *y);
    }
    for (int k = n; k < b->n; k++) y[k] = y[0];
}

static int8_t bounded_i8(int32_t i)
{
    return (int8_t)(i < -128 ? -128 : i > 127 ? 127 : i);
}

static void store(const block *b, int16_t parameter, int64_t at, const cell *restrict x, int n)
{
    char *const base = trdi_span_at(b->run->arguments[parameter].span);
    const trd_dtype dtype = b->run->expression->program->parameters[parameter].dtype;
    char *const to = base + (size_t)at * trd_dtype_bytes(dtype);
    if (dtype == TRD_DTYPE_F16) {
        uint16_t *const half = (uint16_t *)(void *)to;
        for (int k = 0; k < n; k++) half[k] = trdi_float_to_half(x[k].f);
    } else if (dtype == TRD_DTYPE_I8) {
        int8_t *const small = (int8_t *)(void *)to;
        for (int k = 0; k < n; k++) small[k] = bounded_i8(x[k].i);
    } else {
        memcpy(to, x, (size_t)n * sizeof *x);
    }
}

/* ---- Instructions ---- */

static int32_t wrapped(uint32_t u)
{
    int32_t i;
    memcpy(&i, &u, sizeof i);
    return i;
}

static int32_t int_add(int32_t a, int32_t b) { return wrapped((uint32_t)a + (uint32_t)b); }
static int32_t int_sub(int32_t a, int32_t b) { return wrapped((uint32_t)a - (uint32_t)b); }
static int32_t int_mul(int32_t a, int32_t b) { return wrapped((uint32_t)a * (uint32_t)b); }
static int32_t int_div(int32_t a, int32_t b) { return b == 0 ? 0 : b == -1 ? int_sub(0, a) : a / b; }
static int32_t int_mod(int32_t a, int32_t b) { return b == 0 || b == -1 ? 0 : a % b; }

static int32_t int_from_float(float a)
{
    if (!(a == a)) return 0;
    return a >= 2147483648.0f ? INT32_MAX : a <= -2147483648.0f ? INT32_MIN : (int32_t)a;
}

/* As fmin and fmax: of a NaN and a number, the number. */
static float float_min(float a, float b) { return a < b || b != b ? a : b; }
static float float_max(float a, float b) { return a > b || b != b ? a : b; }

/* One loop: E of A, B, C gives y[k].FIELD. */
#define EACH(FIELD, E)                                      \
    do {                                                    \
        for (int k = 0; k < n; k++) y[k].FIELD = (E);       \
        return;                                             \
    } while (0)
#define FA a[k].f
#define FB b[k].f
#define IA a[k].i
#define IB b[k].i

static void run_float_plain(int op, const cell *restrict a, const cell *restrict b, const cell *restrict c, cell *restrict y, int n)
{
    switch (op) {
    case TRDI_X_F_ADD: EACH(f, FA + FB);
    case TRDI_X_F_SUB: EACH(f, FA - FB);
    case TRDI_X_F_MUL: EACH(f, FA * FB);
    case TRDI_X_F_DIV: EACH(f, FA / FB);
    case TRDI_X_F_NEGATE: EACH(f, -FA);
    case TRDI_X_F_MIN: EACH(f, float_min(FA, FB));
    case TRDI_X_F_MAX: EACH(f, float_max(FA, FB));
    case TRDI_X_F_ABS: EACH(f, fabsf(FA));
    case TRDI_X_F_FMA: EACH(f, FA * FB + c[k].f);
    case TRDI_X_F_POW: EACH(f, powf(FA, FB));
    case TRDI_X_F_SQRT: EACH(f, sqrtf(FA));
    case TRDI_X_F_SIN: EACH(f, sinf(FA));
    case TRDI_X_F_COS: EACH(f, cosf(FA));
    case TRDI_X_F_FLOOR: EACH(f, floorf(FA));
    case TRDI_X_F_CEIL: EACH(f, ceilf(FA));
    case TRDI_X_F_ROUND: EACH(f, rintf(FA));
    case TRDI_X_F_LESS: EACH(i, FA < FB);
    case TRDI_X_F_LESS_EQUAL: EACH(i, FA <= FB);
    case TRDI_X_F_EQUAL: EACH(i, FA == FB);
    case TRDI_X_F_NOT_EQUAL: EACH(i, FA != FB);
    case TRDI_X_F_FROM_INT: EACH(f, (float)IA);
    default: break;
    }
}

static void run_int(int op, const cell *restrict a, const cell *restrict b, const cell *restrict c, cell *restrict y, int n)
{
    switch (op) {
    case TRDI_X_I_ADD: EACH(i, int_add(IA, IB));
    case TRDI_X_I_SUB: EACH(i, int_sub(IA, IB));
    case TRDI_X_I_MUL: EACH(i, int_mul(IA, IB));
    case TRDI_X_I_DIV: EACH(i, int_div(IA, IB));
    case TRDI_X_I_MOD: EACH(i, int_mod(IA, IB));
    case TRDI_X_I_NEGATE: EACH(i, int_sub(0, IA));
    case TRDI_X_I_MIN: EACH(i, IA < IB ? IA : IB);
    case TRDI_X_I_MAX: EACH(i, IA > IB ? IA : IB);
    case TRDI_X_I_ABS: EACH(i, IA < 0 ? int_sub(0, IA) : IA);
    case TRDI_X_I_LESS: EACH(i, IA < IB);
    case TRDI_X_I_LESS_EQUAL: EACH(i, IA <= IB);
    case TRDI_X_I_EQUAL: EACH(i, IA == IB);
    case TRDI_X_I_NOT_EQUAL: EACH(i, IA != IB);
    case TRDI_X_I_FROM_FLOAT: EACH(i, int_from_float(FA));
    case TRDI_X_F_SELECT:
    case TRDI_X_I_SELECT: EACH(i, IA != 0 ? IB : c[k].i);
    case TRDI_X_B_AND: EACH(i, IA != 0 && IB != 0);
    case TRDI_X_B_OR: EACH(i, IA != 0 || IB != 0);
    case TRDI_X_B_NOT: EACH(i, IA == 0);
    default: break;
    }
}

/* Number of a function among the vector kernels (trdi_cpu_kernels.apply), or -1. */
static int applied(int op)
{
    switch (op) {
    case TRDI_X_F_EXP: return 0;
    case TRDI_X_F_LOG: return 1;
    case TRDI_X_F_TANH: return 2;
    case TRDI_X_F_ERF: return 3;
    case TRDI_X_F_RELU: return 4;
    case TRDI_X_F_GELU_TANH: return 5;
    case TRDI_X_F_SWISH: return 6;
    case TRDI_X_F_GELU: return 7;
    case TRDI_X_F_SIGMOID: return 10;
    default: return -1;
    }
}

static void fill(cell *y, cell value, int n)
{
    for (int k = 0; k < n; k++) y[k] = value;
}

static cell scalar_of(const expression_run *run, int16_t parameter)
{
    const trdi_argument *const argument = &run->arguments[parameter];
    cell value;
    if (run->expression->program->parameters[parameter].dtype == TRD_DTYPE_F32) value.f = argument->number;
    else value.i = (int32_t)argument->integer;
    return value;
}

static void run_index(const block *b, int index, cell *y)
{
    const int32_t first = (int32_t)first_element(b, index), step = index == TRDI_INDEX_R ? 0 : 1;
    for (int k = 0; k < b->n; k++) y[k].i = first + k * step;
}

static void run_instruction(const block *b, int16_t v)
{
    const trdi_instruction *const in = &b->run->expression->program->instructions[v];
    if (in->op == TRDI_X_STORE) {
        store(b, in->a, first_element(b, TRDI_INDEX_I), cells_of(b, in->b), b->n);
        return;
    }
    cell *const y = cells_of(b, v);
    cell number = { .i = in->number.i };
    switch (in->op) {
    case TRDI_X_NUMBER: fill(y, number, b->n); return;
    case TRDI_X_SCALAR: fill(y, scalar_of(b->run, in->a), b->n); return;
    case TRDI_X_INDEX: run_index(b, in->index, y); return;
    case TRDI_X_LOAD: load(b, in, y); return;
    default: break;
    }
    const cell *const a = cells_of(b, in->a);
    const int function = applied(in->op);
    if (function >= 0) {
        b->thread->kernels->apply(function, &a->f, &y->f, b->n);
        return;
    }
    const cell *const second = in->b < 0 ? a : cells_of(b, in->b), *const third = in->c < 0 ? a : cells_of(b, in->c);
    if (in->op < TRDI_X_I_ADD && in->op != TRDI_X_F_SELECT) run_float_plain(in->op, a, second, third, y, b->n);
    else run_int(in->op, a, second, third, y, b->n);
}

static void run_block(const block *b, bool uniform)
{
    const trdi_program *const program = b->run->expression->program;
    for (int16_t v = 0; v < program->n_instructions; v++) {
        if (program->instructions[v].uniform == uniform) run_instruction(b, v);
    }
}

/* ---- Reductions ---- */

static partial nothing(trdi_reduction reduction)
{
    switch (reduction) {
    case TRDI_REDUCE_PRODUCT: return (partial){ 1.0, 1 };
    case TRDI_REDUCE_MAX: return (partial){ -INFINITY, INT32_MIN };
    case TRDI_REDUCE_MIN: return (partial){ INFINITY, INT32_MAX };
    default: return (partial){ 0.0, 0 };
    }
}

static void join(trdi_reduction reduction, partial *a, partial b)
{
    switch (reduction) {
    case TRDI_REDUCE_PRODUCT:
        a->f *= b.f;
        a->i = int_mul(a->i, b.i);
        break;
    case TRDI_REDUCE_MAX:
        if (b.f > a->f) a->f = b.f;
        if (b.i > a->i) a->i = b.i;
        break;
    case TRDI_REDUCE_MIN:
        if (b.f < a->f) a->f = b.f;
        if (b.i < a->i) a->i = b.i;
        break;
    default:
        a->f += b.f;
        a->i = int_add(a->i, b.i);
        break;
    }
}

enum { LANES = 8 };

/* Eight lanes, so that sums and products need not wait for each other. */
static void reduce_floats(trdi_reduction reduction, const cell *x, int n, partial *into)
{
    double lanes[LANES];
    for (int l = 0; l < LANES; l++) lanes[l] = nothing(reduction).f;
    for (int k = 0; k < n; k += LANES) {
        const int m = n - k < LANES ? n - k : LANES;
        for (int l = 0; l < m; l++) {
            const double v = (double)x[k + l].f;
            switch (reduction) {
            case TRDI_REDUCE_PRODUCT: lanes[l] *= v; break;
            case TRDI_REDUCE_MAX: lanes[l] = v > lanes[l] ? v : lanes[l]; break;
            case TRDI_REDUCE_MIN: lanes[l] = v < lanes[l] ? v : lanes[l]; break;
            default: lanes[l] += v; break;
            }
        }
    }
    for (int l = 0; l < LANES; l++) join(reduction, into, (partial){ lanes[l], into->i });
}

static void reduce_block(const block *b, partial *into)
{
    const trdi_program *const program = b->run->expression->program;
    const cell *const x = cells_of(b, program->reduced);
    if (program->instructions[program->reduced].type == TRDI_VALUE_FLOAT) {
        const int32_t kept = into->i;
        reduce_floats(program->reduction, x, b->n, into);
        into->i = kept;
    } else {
        for (int k = 0; k < b->n; k++) join(program->reduction, into, (partial){ into->f, x[k].i });
    }
}

/* The row's pieces in order, then into the result. */
static void finish_row(const expression_run *run, int64_t row)
{
    const trdi_program *const program = run->expression->program;
    partial all = nothing(program->reduction);
    for (int64_t p = 0; p < run->pieces; p++) join(program->reduction, &all, run->partials[row * run->pieces + p]);
    if (program->reduction == TRDI_REDUCE_MEAN) all.f /= (double)run->cols;
    const bool is_int = program->instructions[program->reduced].type == TRDI_VALUE_INT;
    const bool to_int = trdi_value_type_of(program->parameters[program->result].dtype) == TRDI_VALUE_INT;
    cell value;
    if (is_int && to_int) value.i = all.i;
    else if (is_int) value.f = (float)all.i;
    else if (to_int) value.i = int_from_float((float)all.f);
    else value.f = (float)all.f;
    const block b = { .run = run };
    store(&b, program->result, row, &value, 1);
}

/* ---- Running ---- */

/* Pieces first .. last-1 of all rows' pieces. */
static void run_share(void *context, const trdi_cpu_thread *thread)
{
    const expression_run *const run = context;
    const trdi_reduction reduction = run->expression->program->reduction;
    block b = { .run = run, .thread = thread, .cells = thread->scratch, .n = BLOCK };
    run_block(&b, true);
    int64_t first, last;
    trdi_cpu_share(run->rows * run->pieces, thread, &first, &last);
    for (int64_t piece = first; piece < last; piece++) {
        b.row = piece / run->pieces;
        const int64_t start = (piece % run->pieces) * PIECE;
        const int64_t end = run->cols - start < PIECE ? run->cols : start + PIECE;
        partial sum = nothing(reduction);
        for (b.col = start; b.col < end; b.col += BLOCK) {
            b.n = end - b.col < BLOCK ? (int)(end - b.col) : BLOCK;
            run_block(&b, false);
            if (reduction != TRDI_REDUCE_NONE) reduce_block(&b, &sum);
        }
        if (reduction != TRDI_REDUCE_NONE) run->partials[piece] = sum;
    }
}

/* Rough time of one core: half a nanosecond for each value of an element. */
static double cost_ns(const expression_run *run)
{
    return 0.5 * (double)run->rows * (double)run->cols * (double)run->expression->program->n_instructions;
}

trd_status trdi_cpu_kernel_run(void *queue, void *kernel, const trdi_argument *arguments, size_t n, const trdi_launch *launch)
{
    const cpu_expression *const e = kernel;
    (void)n;
    expression_run run = { .expression = e, .arguments = arguments, .rows = launch->rows, .cols = launch->cols,
                           .pieces = (launch->cols + PIECE - 1) / PIECE };
    const bool reduces = e->program->reduction != TRDI_REDUCE_NONE;
    if (reduces) {
        size_t bytes;
        if (!trdi_mul_size((size_t)(run.rows * run.pieces), sizeof *run.partials, &bytes)) bytes = SIZE_MAX;
        run.partials = trdi_alloc(bytes);
        if (run.partials == NULL) return trdi_fail(TRD_E_MEMORY, "reduction of %lld rows: %zu bytes", (long long)run.rows, bytes);
    }
    trd_status status = TRD_OK;
    const size_t scratch = (size_t)e->n_slots * BLOCK * sizeof(cell);
    if (run.rows * run.pieces > 0) status = trdi_cpu_queue_share(queue, cost_ns(&run), scratch, run_share, &run);
    for (int64_t r = 0; r < run.rows && reduces && status == TRD_OK; r++) finish_row(&run, r);
    trdi_free(run.partials);
    return status;
}
