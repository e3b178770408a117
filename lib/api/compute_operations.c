/* compute_operations.c: the public operations on rows (treadle/trd_operation.h): check, record, run. */
#include <math.h>
#include <string.h>

#include "api/compute_check.h"

/* ---- Checks ---- */

trd_status trdi_check_tensor(const trdi_call *call, const trd_tensor *t, const char *what, trd_dtype dtype)
{
    if (t == NULL) return trdi_fail(TRD_E_INVALID, "%s: %s is NULL", call->name, what);
    if (t->storage->device->device != call->queue->device->device)
        return trdi_fail(TRD_E_INVALID, "%s: %s is on device %s, the queue on %s", call->name, what, t->storage->device->device->facts.id,
                         call->queue->device->device->facts.id);
    if (t->dtype != dtype) return trdi_fail(TRD_E_INVALID, "%s: %s is %s, not %s", call->name, what, trd_dtype_name(t->dtype), trd_dtype_name(dtype));
    return TRD_OK;
}

trd_status trdi_check_rows(const trdi_call *call, const trd_tensor *t, const char *what, int64_t rows, int64_t cols)
{
    TRDI_TRY(trdi_check_tensor(call, t, what, TRD_DTYPE_F32));
    if (t->rows == rows && t->cols == cols) return TRD_OK;
    return trdi_fail(TRD_E_INVALID, "%s: %s has %lld rows of %lld, wanted are %lld of %lld", call->name, what, (long long)t->rows, (long long)t->cols,
                     (long long)rows, (long long)cols);
}

trd_status trdi_check_vector(const trdi_call *call, const trd_tensor *t, const char *what, int64_t n)
{
    TRDI_TRY(trdi_check_tensor(call, t, what, TRD_DTYPE_F32));
    if (t->n_elements == n && t->is_contiguous) return TRD_OK;
    return trdi_fail(TRD_E_INVALID, "%s: %s has %lld elements%s, wanted are %lld", call->name, what, (long long)t->n_elements,
                     t->is_contiguous ? "" : " that are not contiguous", (long long)n);
}

trd_status trdi_check_apart(const trdi_call *call, const trd_tensor *y, const trd_tensor *x, const char *what, bool may_be_same)
{
    if (x == NULL || !trdi_tensor_overlap(x, y) || (may_be_same && trdi_tensor_same(x, y))) return TRD_OK;
    return trdi_fail(TRD_E_INVALID, "%s: y overlaps %s", call->name, what);
}

trd_status trdi_call_use(const trdi_call *call, const trd_tensor *t)
{
    return t == NULL ? TRD_OK : trdi_queue_use(call->queue, t);
}

trd_status trdi_call_run(const trdi_call *call, trdi_op *op, int64_t rows)
{
    op->count = TRDI_COUNT_TOKENS;
    return trdi_run_operation(call->queue, call->name, op, rows);
}

/* x and y of the same rows, with at least one column. */
static trd_status check_pair(const trdi_call *call, const trd_tensor *x, const trd_tensor *y)
{
    TRDI_TRY(trdi_check_tensor(call, x, "x", TRD_DTYPE_F32));
    if (x->cols < 1) return trdi_fail(TRD_E_INVALID, "%s: x has no columns", call->name);
    TRDI_TRY(trdi_check_rows(call, y, "y", x->rows, x->cols));
    return trdi_check_apart(call, y, x, "x", true);
}

static trd_status use_pair(const trdi_call *call, const trd_tensor *x, const trd_tensor *y)
{
    TRDI_TRY(trdi_call_use(call, x));
    return trdi_call_use(call, y);
}

/* ---- Norms ---- */

static trd_status norm(const trdi_call *call, const trd_tensor *x, const trd_tensor *w, const trd_tensor *b, trd_tensor *y, float eps, bool mean)
{
    TRDI_TRY(check_pair(call, x, y));
    TRDI_TRY(trdi_check_vector(call, w, "w", x->cols));
    if (mean) TRDI_TRY(trdi_check_vector(call, b, "b", x->cols));
    TRDI_TRY(trdi_check_apart(call, y, w, "w", false));
    TRDI_TRY(trdi_check_apart(call, y, b, "b", false));
    if (!(eps > 0.0f) || isinf(eps)) return trdi_fail(TRD_E_INVALID, "%s: eps is %g, not positive", call->name, (double)eps);
    if (x->n_elements == 0) return TRD_OK;
    TRDI_TRY(use_pair(call, x, y));
    TRDI_TRY(use_pair(call, w, b));
    trdi_op op = { .kind = TRDI_OP_NORM };
    op.u.norm = (trdi_op_norm){ .x = trdi_tensor_span(x), .y = trdi_tensor_span(y), .gamma = trdi_tensor_span(w), .width = x->cols, .n_groups = 1,
                                .x_stride = x->row_stride, .y_stride = y->row_stride, .epsilon = eps, .scale = 1.0f };
    if (mean) op.u.norm.beta = trdi_tensor_span(b);
    return trdi_call_run(call, &op, x->rows);
}

trd_status trd_rms_norm(trd_queue *queue, const trd_tensor *x, const trd_tensor *w, trd_tensor *y, float eps)
{
    const trdi_call call = { queue, "trd_rms_norm" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = norm(&call, x, w, NULL, y, eps, false);
    trdi_queue_leave(queue);
    return status;
}

trd_status trd_layer_norm(trd_queue *queue, const trd_tensor *x, const trd_tensor *w, const trd_tensor *b, trd_tensor *y, float eps)
{
    const trdi_call call = { queue, "trd_layer_norm" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = norm(&call, x, w, b, y, eps, true);
    trdi_queue_leave(queue);
    return status;
}

/* ---- Maps ---- */

static trd_status map(const trdi_call *call, trdi_map_function function, const trd_tensor *x, const trd_tensor *z, float parameter, trd_tensor *y)
{
    TRDI_TRY(check_pair(call, x, y));
    if (function == TRDI_MAP_ADD) {
        TRDI_TRY(trdi_check_rows(call, z, "b", x->rows, x->cols));
        TRDI_TRY(trdi_check_apart(call, y, z, "b", true));
    }
    if (x->n_elements == 0) return TRD_OK;
    TRDI_TRY(use_pair(call, x, y));
    TRDI_TRY(trdi_call_use(call, z));
    trdi_op op = { .kind = TRDI_OP_MAP };
    op.u.map = (trdi_op_map){ .function = function, .x = trdi_tensor_span(x), .y = trdi_tensor_span(y), .width = x->cols, .x_stride = x->row_stride,
                              .y_stride = y->row_stride, .parameter = parameter };
    if (z != NULL) {
        op.u.map.z = trdi_tensor_span(z);
        op.u.map.z_stride = z->row_stride;
    }
    return trdi_call_run(call, &op, x->rows);
}

trd_status trd_add(trd_queue *queue, const trd_tensor *a, const trd_tensor *b, trd_tensor *y)
{
    const trdi_call call = { queue, "trd_add" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = map(&call, TRDI_MAP_ADD, a, b, 1.0f, y);
    trdi_queue_leave(queue);
    return status;
}

trd_status trd_scale(trd_queue *queue, const trd_tensor *x, float factor, trd_tensor *y)
{
    const trdi_call call = { queue, "trd_scale" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = map(&call, TRDI_MAP_SCALE, x, NULL, factor, y);
    trdi_queue_leave(queue);
    return status;
}

/* ---- Products ---- */

static const trd_linear_options linear_defaults = { .struct_size = sizeof(trd_linear_options), .activation = TRD_ACTIVATION_NONE };

void trd_linear_options_init(trd_linear_options *options, size_t size)
{
    trdi_write_defaults(options, size, &linear_defaults, sizeof linear_defaults);
}

static trd_status check_weight(const trdi_call *call, const trd_weight *w, trd_weight_use use, const char *what)
{
    if (w == NULL) return trdi_fail(TRD_E_INVALID, "%s: %s is NULL", call->name, what);
    if (w->device->device != call->queue->device->device)
        return trdi_fail(TRD_E_INVALID, "%s: %s is on device %s, the queue on %s", call->name, what, w->device->device->facts.id,
                         call->queue->device->device->facts.id);
    if (w->use != use) return trdi_fail(TRD_E_INVALID, "%s: %s was prepared for %s", call->name, what, use == TRD_WEIGHT_LINEAR ? "trd_embed" : "trd_linear");
    return TRD_OK;
}

static trd_status linear_extra(const trdi_call *call, const trd_tensor *t, const char *what, const trd_tensor *y)
{
    if (t == NULL) return TRD_OK;
    TRDI_TRY(trdi_check_rows(call, t, what, y->rows, y->cols));
    TRDI_TRY(trdi_check_apart(call, y, t, what, true));
    return trdi_call_use(call, t);
}

static trd_status linear(const trdi_call *call, const trd_tensor *x, const trd_weight *weight, trd_tensor *y, const trd_linear_options *options)
{
    trd_linear_options o = linear_defaults;
    TRDI_TRY(trdi_read_options(&o, sizeof o, options, call->name));
    if ((int)o.activation < TRD_ACTIVATION_NONE || (int)o.activation > TRD_ACTIVATION_SIGMOID)
        return trdi_fail(TRD_E_INVALID, "%s: activation %d is unknown", call->name, (int)o.activation);
    TRDI_TRY(check_weight(call, weight, TRD_WEIGHT_LINEAR, "weight"));
    TRDI_TRY(trdi_check_tensor(call, x, "x", TRD_DTYPE_F32));
    TRDI_TRY(trdi_check_rows(call, x, "x", x->rows, weight->cols));
    TRDI_TRY(trdi_check_rows(call, y, "y", x->rows, weight->rows));
    TRDI_TRY(trdi_check_apart(call, y, x, "x", false));
    TRDI_TRY(linear_extra(call, o.multiplier, "multiplier", y));
    TRDI_TRY(linear_extra(call, o.residual, "residual", y));
    if (x->rows == 0) return TRD_OK;
    TRDI_TRY(use_pair(call, x, y));
    trdi_op op = { .kind = TRDI_OP_LINEAR };
    op.u.linear = (trdi_op_linear){ .weight = weight->impl, .x = trdi_tensor_span(x), .y = trdi_tensor_span(y), .in = weight->cols, .out = weight->rows,
                                    .x_stride = x->row_stride, .y_stride = y->row_stride, .activation = (int32_t)o.activation };
    if (o.multiplier != NULL) {
        op.u.linear.multiplier = trdi_tensor_span(o.multiplier);
        op.u.linear.multiplier_stride = o.multiplier->row_stride;
    }
    if (o.residual != NULL) {
        op.u.linear.residual = trdi_tensor_span(o.residual);
        op.u.linear.residual_stride = o.residual->row_stride;
    }
    return trdi_call_run(call, &op, x->rows);
}

trd_status trd_linear(trd_queue *queue, const trd_tensor *x, const trd_weight *weight, trd_tensor *y, const trd_linear_options *options)
{
    const trdi_call call = { queue, "trd_linear" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = linear(&call, x, weight, y, options);
    trdi_queue_leave(queue);
    return status;
}

/* ---- Rows by number ---- */

/* Ids of the host, each in 0 .. n-1, into memory of the call. */
static trd_status take_ids(const trdi_call *call, const int32_t *ids, int64_t count, int64_t n, trdi_step_slot **slot)
{
    if (ids == NULL) return trdi_fail(TRD_E_INVALID, "%s: ids is NULL", call->name);
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= n) return trdi_fail(TRD_E_RANGE, "%s: ids[%lld] is %d, not 0 to %lld", call->name, (long long)i, (int)ids[i], (long long)n - 1);
    }
    void *host;
    TRDI_TRY(trdi_step_take(call->queue, (size_t)count * sizeof *ids, slot, &host));
    memcpy(host, ids, (size_t)count * sizeof *ids);
    return TRD_OK;
}

static trd_status embed(const trdi_call *call, const trd_weight *table, const int32_t *ids, float scale, trd_tensor *y)
{
    TRDI_TRY(check_weight(call, table, TRD_WEIGHT_EMBEDDING, "table"));
    TRDI_TRY(trdi_check_tensor(call, y, "y", TRD_DTYPE_F32));
    TRDI_TRY(trdi_check_rows(call, y, "y", y->rows, table->cols));
    if (y->rows == 0) return TRD_OK;
    TRDI_TRY(trdi_call_use(call, y));
    trdi_step_slot *slot;
    TRDI_TRY(take_ids(call, ids, y->rows, table->rows, &slot));
    trdi_op op = { .kind = TRDI_OP_EMBED };
    op.u.embed = (trdi_op_embed){ .table = table->impl, .ids = { slot->buffer, 0 }, .y = trdi_tensor_span(y), .width = y->cols,
                                  .y_stride = y->row_stride, .scale = scale };
    const trd_status status = trdi_call_run(call, &op, y->rows);
    trdi_step_done(call->queue, slot);
    return status;
}

trd_status trd_embed(trd_queue *queue, const trd_weight *table, const int32_t *ids, float scale, trd_tensor *y)
{
    const trdi_call call = { queue, "trd_embed" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = embed(&call, table, ids, scale, y);
    trdi_queue_leave(queue);
    return status;
}

static trd_status gather(const trdi_call *call, const trd_tensor *x, const int32_t *ids, trd_tensor *y)
{
    TRDI_TRY(trdi_check_tensor(call, x, "x", TRD_DTYPE_F32));
    TRDI_TRY(trdi_check_tensor(call, y, "y", TRD_DTYPE_F32));
    TRDI_TRY(trdi_check_rows(call, y, "y", y->rows, x->cols));
    TRDI_TRY(trdi_check_apart(call, y, x, "x", false));
    if (y->n_elements == 0) return TRD_OK;
    TRDI_TRY(use_pair(call, x, y));
    trdi_step_slot *slot;
    TRDI_TRY(take_ids(call, ids, y->rows, x->rows, &slot));
    trdi_op op = { .kind = TRDI_OP_GATHER };
    op.u.gather = (trdi_op_gather){ .x = trdi_tensor_span(x), .y = trdi_tensor_span(y), .indices = { slot->buffer, 0 }, .width = x->cols,
                                    .x_stride = x->row_stride, .y_stride = y->row_stride };
    const trd_status status = trdi_call_run(call, &op, y->rows);
    trdi_step_done(call->queue, slot);
    return status;
}

trd_status trd_gather(trd_queue *queue, const trd_tensor *x, const int32_t *ids, trd_tensor *y)
{
    const trdi_call call = { queue, "trd_gather" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = gather(&call, x, ids, y);
    trdi_queue_leave(queue);
    return status;
}

/* ---- Rotary positions ---- */

static const trd_rotary_options rotary_defaults = { .struct_size = sizeof(trd_rotary_options), .n_heads = 1, .magnitude = 1.0f };

void trd_rotary_options_init(trd_rotary_options *options, size_t size)
{
    trdi_write_defaults(options, size, &rotary_defaults, sizeof rotary_defaults);
}

static trd_status check_rotary(const trdi_call *call, const trd_tensor *x, const int32_t *positions, const trd_tensor *frequencies,
                               const trd_rotary_options *o)
{
    TRDI_TRY(trdi_check_tensor(call, x, "x", TRD_DTYPE_F32));
    TRDI_TRY(trdi_check_tensor(call, frequencies, "frequencies", TRD_DTYPE_F32));
    if (o->n_heads < 1 || x->cols < 1 || x->cols % o->n_heads != 0)
        return trdi_fail(TRD_E_INVALID, "%s: %lld columns are not %lld heads", call->name, (long long)x->cols, (long long)o->n_heads);
    const int64_t pairs = frequencies->n_elements, head = x->cols / o->n_heads;
    if (pairs < 1 || pairs > head / 2 || !frequencies->is_contiguous)
        return trdi_fail(TRD_E_INVALID, "%s: %lld frequencies for heads of %lld channels", call->name, (long long)pairs, (long long)head);
    TRDI_TRY(trdi_check_apart(call, x, frequencies, "frequencies", false));
    if (positions == NULL && x->rows > 0) return trdi_fail(TRD_E_INVALID, "%s: positions is NULL", call->name);
    for (int64_t r = 0; r < x->rows; r++) {
        if (positions[r] < 0 || positions[r] > 1 << 24)
            return trdi_fail(TRD_E_INVALID, "%s: positions[%lld] is %d, not 0 to 16777216", call->name, (long long)r, (int)positions[r]);
    }
    return TRD_OK;
}

static trd_status rotary(const trdi_call *call, trd_tensor *x, const int32_t *positions, const trd_tensor *frequencies, const trd_rotary_options *options)
{
    trd_rotary_options o = rotary_defaults;
    TRDI_TRY(trdi_read_options(&o, sizeof o, options, call->name));
    TRDI_TRY(check_rotary(call, x, positions, frequencies, &o));
    if (x->rows == 0) return TRD_OK;
    TRDI_TRY(use_pair(call, x, frequencies));
    trdi_step_slot *slot;
    void *host;
    const size_t bytes = (size_t)x->rows * sizeof *positions;
    TRDI_TRY(trdi_step_take(call->queue, bytes, &slot, &host));
    memcpy(host, positions, bytes);
    trdi_op op = { .kind = TRDI_OP_ROTARY };
    op.u.rotary = (trdi_op_rotary){ .x = trdi_tensor_span(x), .positions = { slot->buffer, 0 }, .inverse_frequencies = trdi_tensor_span(frequencies),
                                    .n_heads = o.n_heads, .head_dim = x->cols / o.n_heads, .dim = 2 * frequencies->n_elements,
                                    .x_stride = x->row_stride, .magnitude = o.magnitude, .interleave = o.interleave };
    const trd_status status = trdi_call_run(call, &op, x->rows);
    trdi_step_done(call->queue, slot);
    return status;
}

trd_status trd_rotary(trd_queue *queue, trd_tensor *x, const int32_t *positions, const trd_tensor *frequencies, const trd_rotary_options *options)
{
    const trdi_call call = { queue, "trd_rotary" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = rotary(&call, x, positions, frequencies, options);
    trdi_queue_leave(queue);
    return status;
}
