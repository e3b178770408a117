/* compute_select.c: softmax and the largest of rows (treadle/trd_operation.h). */
#include <string.h>

#include "api/compute_check.h"

/* ---- Softmax ---- */

static trd_status log_softmax(const trdi_call *call, const trd_tensor *x, trd_tensor *y)
{
    TRDI_TRY(trdi_check_tensor(call, x, "x", TRD_DTYPE_F32));
    if (x->cols < 1) return trdi_fail(TRD_E_INVALID, "%s: x has no columns", call->name);
    TRDI_TRY(trdi_check_rows(call, y, "y", x->rows, x->cols));
    TRDI_TRY(trdi_check_apart(call, y, x, "x", true));
    if (x->rows == 0) return TRD_OK;
    TRDI_TRY(trdi_call_use(call, x));
    TRDI_TRY(trdi_call_use(call, y));
    trdi_step_slot *slot;
    void *host;
    TRDI_TRY(trdi_step_take(call->queue, (size_t)x->rows * sizeof(trdi_row_norm), &slot, &host));
    for (int64_t r = 0; r < x->rows; r++) ((trdi_row_norm *)host)[r] = (trdi_row_norm){ .mode = TRDI_NORMALISE_LOG_SOFTMAX };
    trdi_op op = { .kind = TRDI_OP_LOG_SOFTMAX };
    op.u.log_softmax = (trdi_op_log_softmax){ .x = trdi_tensor_span(x), .y = trdi_tensor_span(y), .parameters = { slot->buffer, 0 },
                                              .width = x->cols, .stride = x->row_stride };
    const trd_status status = trdi_call_run(call, &op, x->rows);
    trdi_step_done(call->queue, slot);
    return status;
}

/* The operation has one stride for both. */
static trd_status check_strides(const trdi_call *call, const trd_tensor *x, const trd_tensor *y)
{
    if (x == NULL || y == NULL || x->rows < 2 || y->rows < 2 || x->row_stride == y->row_stride) return TRD_OK;
    return trdi_fail(TRD_E_INVALID, "%s: the rows of x and y lie at different distances", call->name);
}

trd_status trd_log_softmax(trd_queue *queue, const trd_tensor *x, trd_tensor *y)
{
    const trdi_call call = { queue, "trd_log_softmax" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    trd_status status = check_strides(&call, x, y);
    if (status == TRD_OK) status = log_softmax(&call, x, y);
    trdi_queue_leave(queue);
    return status;
}

static trd_status softmax(const trdi_call *call, const trd_tensor *x, trd_tensor *y)
{
    TRDI_TRY(check_strides(call, x, y));
    if (y != NULL && !y->is_contiguous) return trdi_fail(TRD_E_INVALID, "%s: y is not contiguous", call->name);
    trd_kernel *kernel;
    TRDI_TRY(trdi_builtin_get(call->queue->device, TRDI_BUILTIN_EXP, &kernel));
    TRDI_TRY(log_softmax(call, x, y));
    if (y->n_elements == 0) return TRD_OK;
    const trd_argument argument = { .kind = TRD_ARGUMENT_TENSOR, .tensor = y };
    return trdi_run_expression(call->queue, kernel, &argument, 1, 1, y->n_elements);
}

trd_status trd_softmax(trd_queue *queue, const trd_tensor *x, trd_tensor *y)
{
    const trdi_call call = { queue, "trd_softmax" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = softmax(&call, x, y);
    trdi_queue_leave(queue);
    return status;
}

/* ---- The largest ---- */

static trd_status check_top_k(const trdi_call *call, const trd_tensor *x, const trd_tensor *values, const trd_tensor *ids)
{
    TRDI_TRY(trdi_check_tensor(call, x, "x", TRD_DTYPE_F32));
    TRDI_TRY(trdi_check_tensor(call, values, "values", TRD_DTYPE_F32));
    TRDI_TRY(trdi_check_tensor(call, ids, "ids", TRD_DTYPE_I32));
    const int64_t k = values->cols;
    if (k < 1 || k > x->cols || x->cols > INT32_MAX) return trdi_fail(TRD_E_INVALID, "%s: the %lld largest of %lld", call->name, (long long)k, (long long)x->cols);
    if (values->rows != x->rows || ids->rows != x->rows || ids->cols != k)
        return trdi_fail(TRD_E_INVALID, "%s: x has %lld rows, values %lld of %lld, ids %lld of %lld", call->name, (long long)x->rows,
                         (long long)values->rows, (long long)k, (long long)ids->rows, (long long)ids->cols);
    if (!values->is_contiguous || !ids->is_contiguous) return trdi_fail(TRD_E_INVALID, "%s: values or ids is not contiguous", call->name);
    if (x->rows > INT32_MAX / k) return trdi_fail(TRD_E_INVALID, "%s: more than 2147483647 results", call->name);
    TRDI_TRY(trdi_check_apart(call, values, x, "x", false));
    TRDI_TRY(trdi_check_apart(call, ids, x, "x", false));
    return trdi_check_apart(call, ids, values, "values", false);
}

/* @param parents  takes the row of each, which is known */
static trd_status run_top_k(const trdi_call *call, const trd_tensor *x, trd_tensor *values, trd_tensor *ids, trdi_block *parents)
{
    const int32_t k = (int32_t)values->cols, rows = (int32_t)x->rows;
    TRDI_TRY(trdi_call_use(call, x));
    TRDI_TRY(trdi_call_use(call, values));
    TRDI_TRY(trdi_call_use(call, ids));
    TRDI_TRY(trdi_block_enter(parents, call->queue->shared));
    trdi_step_slot *slot;
    void *host;
    TRDI_TRY(trdi_step_take(call->queue, (size_t)rows * sizeof(trdi_selection), &slot, &host));
    for (int32_t r = 0; r < rows; r++) {
        ((trdi_selection *)host)[r] = (trdi_selection){ .mode = TRDI_SELECT_BEST, .first_row = r, .n_rows = 1, .n_candidates = k, .output = r * k,
                                                        .topp = 1.0f, .temperature = 1.0f };
    }
    trdi_op op = { .kind = TRDI_OP_SELECT };
    op.u.select = (trdi_op_select){ .values = trdi_tensor_span(x), .selections = { slot->buffer, 0 }, .ids = trdi_tensor_span(ids),
                                    .parents = { parents->buffer, 0 }, .scores = trdi_tensor_span(values), .width = x->cols, .stride = x->row_stride };
    const trd_status status = trdi_call_run(call, &op, x->rows);
    trdi_step_done(call->queue, slot);
    return status;
}

static trd_status top_k(const trdi_call *call, const trd_tensor *x, trd_tensor *values, trd_tensor *ids, trdi_block **parents)
{
    TRDI_TRY(check_top_k(call, x, values, ids));
    if (x->rows == 0) return TRD_OK;
    TRDI_TRY(trdi_block_alloc(call->queue->device->memory, (size_t)values->n_elements * sizeof(int32_t), parents));
    return run_top_k(call, x, values, ids, *parents);
}

trd_status trd_top_k(trd_queue *queue, const trd_tensor *x, trd_tensor *values, trd_tensor *ids)
{
    const trdi_call call = { queue, "trd_top_k" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    trdi_block *parents = NULL;
    const trd_status status = top_k(&call, x, values, ids, &parents);
    trdi_queue_leave(queue);
    trdi_block_free(parents);      /* takes the queue's mutex */
    return status;
}
