/*
 * cl_lower_select.c: selection (kernels/shared/select.cl, kernels/opencl/select_tiles.cl). The host reads the selections of the step to check
 * them and to launch kernels for runs of alike ones: they must lie in step memory. Per selection, scratch holds keys, 8 bytes each: the best of
 * each piece of a row; the list of the best of all; the entries that noise chose; and the weights of a draw, two to a key.
 */
#include "backend/opencl/opencl.h"
#include "core/alloc.h"

enum {
    SMALLEST_PIECE = 2048,       /* entries of a row that are worth a group of their own */
    GROUPS_PER_UNIT = 2,         /* groups, or work-items of TILES, that a unit is to have */
    SCRATCH_KEYS = 4 << 20       /* most keys of one launch; more selections take several */
};

_Static_assert(sizeof(trdi_selection) == 48, "trd_selection of kernels/shared/select.h");

/* The places of arguments that change. The first ones are alike in all kernels. */
enum { PART_SCRATCH = 14, MERGE_SCRATCH = 14, DRAW_SCRATCH = 16, GIVEN_FIRST = 16 };

typedef struct state {
    cl_kernel part, merge, draw, given;
} state;

/* Consecutive selections that differ in rows, outputs and draws only. */
typedef struct run {
    const trdi_selection *s;     /* the first */
    int64_t first, count;
    int64_t wanted;              /* best entries to be found; 0 = none are */
    int64_t kept;                /* entries that a draw is made from; 0 = no draw */
    int64_t pieces, cap, n_keys; /* pieces per row, keys per piece, keys of all pieces */
    int64_t list_at, chosen_at, weights_at, each;    /* in keys */
} run;

static const char *select_refusal(const trdi_cl_device *device, const trdi_op *op)
{
    (void)device;
    return op->u.select.stride > INT32_MAX ? "rows of more than 2^31 logits" : NULL;
}

/* ---- Preparing ---- */

static void release_select(void *handle)
{
    state *s = handle;
    if (s == NULL) return;
    trdi_cl_kernel_free(s->part);
    trdi_cl_kernel_free(s->merge);
    trdi_cl_kernel_free(s->draw);
    trdi_cl_kernel_free(s->given);
    trdi_free(s);
}

/* A kernel with the arguments that all have, and one operand more where it has one. */
static trd_status make_kernel(trdi_cl_device *device, const trdi_op_select *op, const char *name, const trdi_span *operand, cl_kernel *out)
{
    trdi_cl_args args = { .device = device };
    TRDI_TRY(trdi_cl_kernel_create(device, device->traits.form == TRDI_CL_TILES ? "select_tiles" : "select", "", name, out));
    args.kernel = *out;
    trdi_cl_arg_span(&args, op->values);
    trdi_cl_arg_span(&args, op->row_scores);
    trdi_cl_arg_span(&args, op->ids);
    trdi_cl_arg_span(&args, op->parents);
    trdi_cl_arg_span(&args, op->scores);
    trdi_cl_arg_int(&args, op->width);
    trdi_cl_arg_int(&args, op->stride);
    trdi_cl_arg_span(&args, op->selections);
    if (operand != NULL) trdi_cl_arg_span(&args, *operand);
    return args.status;
}

static trd_status prepare_select(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **out)
{
    (void)options;
    const trdi_op_select *e = &op->u.select;
    if (((const trdi_cl_buffer *)e->selections.buffer)->host == NULL) {
        return trdi_fail(TRD_E_UNSUPPORTED, "select on %s: the selections are not in step memory", device->facts.id);
    }
    state *s = trdi_calloc(1, sizeof *s);
    if (s == NULL) return trdi_fail(TRD_E_MEMORY, "selection of a plan: %zu bytes", sizeof *s);
    trd_status status = make_kernel(device, e, "trd_select_part", NULL, &s->part);
    if (status == TRD_OK) status = make_kernel(device, e, "trd_select_merge", NULL, &s->merge);
    if (status == TRD_OK) status = make_kernel(device, e, "trd_select_draw", &e->noise, &s->draw);
    if (status == TRD_OK) status = make_kernel(device, e, "trd_select_given", &e->given, &s->given);
    if (status != TRD_OK) release_select(s);
    else *out = s;
    return status;
}

/* ---- Checking ---- */

/* Are elements first..first+n-1, of 4 bytes, inside the span's buffer? */
static bool inside(trdi_span span, int64_t first, int64_t n)
{
    const trdi_cl_buffer *buffer = span.buffer;
    if (buffer == NULL || first < 0 || span.offset > buffer->bytes) return false;
    return (uint64_t)first + (uint64_t)n <= (buffer->bytes - span.offset) / 4;
}

static bool draws(const trdi_selection *s)
{
    return s->mode == TRDI_SELECT_SAMPLE || s->mode == TRDI_SELECT_NOISE;
}

static int64_t kept_count(const trdi_selection *s, int64_t total)
{
    int64_t k = s->topk <= 0 || s->topk >= total ? total : s->topk;
    if (k < s->n_candidates) k = s->n_candidates;
    return k < total ? k : total;
}

/* NULL, or what is wrong with a selection; static. */
static const char *misfit(const trdi_op_select *op, const trdi_selection *s)
{
    if ((unsigned)s->mode > TRDI_SELECT_GIVEN) return "unknown mode";
    if (s->n_rows < 1 || s->first_row < 0 || s->n_candidates < 0 || s->output < 0) return "a count is out of range";
    const int64_t total = s->n_rows * op->width, last = (int64_t)s->first_row + s->n_rows - 1;
    if (total > INT32_MAX) return "more than 2^31 entries";
    if (!inside(op->values, last * op->stride, op->width)) return "its rows are not inside the logits";
    if (op->row_scores.buffer != NULL && !inside(op->row_scores, last, 1)) return "its rows are not inside the row scores";
    if (!inside(op->ids, s->output, s->n_candidates) || !inside(op->parents, s->output, s->n_candidates) ||
        !inside(op->scores, s->output, s->n_candidates)) {
        return "its candidates are not inside the results";
    }
    if (s->mode == TRDI_SELECT_GIVEN) {
        if (s->n_candidates != s->n_rows) return "n_candidates is not n_rows";
        return inside(op->given, s->noise_start, s->n_rows) ? NULL : "its ids are not inside those given";
    }
    if (s->n_candidates > total) return "more candidates than entries";
    if (s->mode == TRDI_SELECT_SAMPLE && s->n_candidates != 1) return "a sample is one candidate";
    if (s->mode == TRDI_SELECT_NOISE && !inside(op->noise, s->noise_start, kept_count(s, total))) return "its noise is not inside the noise";
    return NULL;
}

static trd_status check(const trdi_op_select *op, const trdi_selection *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const char *why = misfit(op, &s[i]);
        if (why == NULL) continue;
        return trdi_fail(TRD_E_INVALID, "selection %lld of %lld (mode %d, rows %d..+%d, %d candidates): %s", (long long)i, (long long)n, (int)s[i].mode,
                         (int)s[i].first_row, (int)s[i].n_rows, (int)s[i].n_candidates, why);
    }
    return TRD_OK;
}

/* ---- Running ---- */

static bool alike(const trdi_selection *a, const trdi_selection *b, int64_t width)
{
    if (a->mode != b->mode || a->n_rows != b->n_rows || a->n_candidates != b->n_candidates) return false;
    return !draws(a) || kept_count(a, a->n_rows * width) == kept_count(b, b->n_rows * width);
}

/* Pieces of a row, so that all units have work: results do not depend on it. */
static int64_t choose_pieces(const trdi_cl_device *device, int64_t width, int64_t n_rows)
{
    const int64_t most = width / SMALLEST_PIECE, wanted = (GROUPS_PER_UNIT * device->traits.n_units + n_rows - 1) / n_rows;
    const int64_t pieces = wanted < most ? wanted : most;
    return pieces > 1 ? pieces : 1;
}

/* Fill in what follows from s, first and count. */
static void plan_run(const trdi_cl_device *device, int64_t width, run *r)
{
    const trdi_selection *s = r->s;
    const int64_t total = s->n_rows * width;
    r->kept = draws(s) ? kept_count(s, total) : 0;
    r->wanted = s->mode == TRDI_SELECT_BEST ? s->n_candidates : r->kept < total ? r->kept : 0;
    r->pieces = choose_pieces(device, width, r->count * s->n_rows);
    const int64_t length = (width + r->pieces - 1) / r->pieces;
    r->cap = r->wanted < length ? r->wanted : length;
    r->n_keys = s->n_rows * r->pieces * r->cap;
    r->list_at = r->n_keys;
    r->chosen_at = r->list_at + r->wanted;
    r->weights_at = r->chosen_at + (s->mode == TRDI_SELECT_NOISE ? s->n_candidates : 0);
    r->each = r->weights_at + (r->kept + 1) / 2;
}

/* Launch `groups` groups. */
static trd_status launch(trdi_cl_queue *queue, cl_kernel kernel, int64_t groups)
{
    const size_t local = trdi_cl_group_size(queue->device), global = (size_t)groups * local;
    return trdi_cl_launch(queue, kernel, 1, &global, &local);
}

static trd_status find_best(trdi_cl_queue *queue, const state *s, const run *r, cl_mem scratch)
{
    trdi_cl_args part = { .device = queue->device, .kernel = s->part, .n = PART_SCRATCH };
    trdi_cl_arg_memory(&part, scratch);
    trdi_cl_arg_int(&part, r->first);
    trdi_cl_arg_int(&part, r->s->n_rows);
    trdi_cl_arg_int(&part, r->pieces);
    trdi_cl_arg_int(&part, r->cap);
    trdi_cl_arg_long(&part, r->each);
    TRDI_TRY(part.status);
    TRDI_TRY(launch(queue, s->part, r->count * r->s->n_rows * r->pieces));
    trdi_cl_args merge = { .device = queue->device, .kernel = s->merge, .n = MERGE_SCRATCH };
    trdi_cl_arg_memory(&merge, scratch);
    trdi_cl_arg_int(&merge, r->first);
    trdi_cl_arg_int(&merge, r->n_keys);
    trdi_cl_arg_int(&merge, r->wanted);
    trdi_cl_arg_int(&merge, r->s->mode == TRDI_SELECT_BEST);
    trdi_cl_arg_long(&merge, r->each);
    trdi_cl_arg_long(&merge, r->list_at);
    TRDI_TRY(merge.status);
    return launch(queue, s->merge, r->count);
}

/* Bits that a weight of 1 is shifted by, so that the sum of n stays below 2^62. */
static int64_t weight_shift(int64_t n)
{
    int64_t bits = 0;
    while (bits < 31 && n >> bits != 0) bits++;
    return 62 - bits;
}

static trd_status draw(trdi_cl_queue *queue, const state *s, const run *r, cl_mem scratch)
{
    trdi_cl_args args = { .device = queue->device, .kernel = s->draw, .n = DRAW_SCRATCH };
    trdi_cl_arg_memory(&args, scratch);
    trdi_cl_arg_int(&args, r->first);
    trdi_cl_arg_int(&args, r->kept);
    trdi_cl_arg_int(&args, weight_shift(r->kept));
    trdi_cl_arg_long(&args, r->each);
    trdi_cl_arg_long(&args, r->wanted > 0 ? r->list_at : -1);
    trdi_cl_arg_long(&args, r->chosen_at);
    trdi_cl_arg_long(&args, r->weights_at);
    TRDI_TRY(args.status);
    return launch(queue, s->draw, r->count);
}

static trd_status enqueue_run(trdi_cl_queue *queue, const state *s, const run *r)
{
    if (r->s->n_candidates == 0) return TRD_OK;
    if (r->s->mode == TRDI_SELECT_GIVEN) {
        TRDI_TRY(trdi_cl_set_int(s->given, GIVEN_FIRST, r->first));
        return launch(queue, s->given, r->count);
    }
    cl_mem scratch;
    TRDI_TRY(trdi_cl_queue_scratch(queue, TRDI_CL_SCRATCH_SELECT, (size_t)(r->each * r->count) * sizeof(uint64_t), &scratch));
    if (r->wanted > 0) TRDI_TRY(find_best(queue, s, r, scratch));
    return r->kept > 0 ? draw(queue, s, r, scratch) : TRD_OK;
}

static trd_status enqueue_select(trdi_cl_queue *queue, const trdi_cl_op *op, int64_t n, const trdi_step *step)
{
    (void)step;
    const trdi_op_select *e = &op->op.u.select;
    const trdi_selection *s = trdi_cl_step_at(e->selections);
    TRDI_TRY(check(e, s, n));
    for (int64_t i = 0; i < n;) {
        run r = { .s = &s[i], .first = i, .count = 1 };
        while (i + r.count < n && alike(r.s, &s[i + r.count], e->width)) r.count++;
        plan_run(queue->device, e->width, &r);
        const int64_t most = SCRATCH_KEYS / (r.each > 0 ? r.each : 1);
        if (r.count > most) r.count = most > 0 ? most : 1;
        TRDI_TRY(enqueue_run(queue, op->state, &r));
        i += r.count;
    }
    return TRD_OK;
}

const trdi_cl_lowering trdi_cl_lower_select = { select_refusal, prepare_select, enqueue_select, release_select };
