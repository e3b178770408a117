/* compute_copy.c: moving elements (treadle/trd_tensor.h): between host and device, between tensors, into other dtypes. */
#include "api/compute.h"

static trd_status check_tensor(const trd_queue *queue, const trd_tensor *t, const char *name, const char *what)
{
    if (t == NULL) return trdi_fail(TRD_E_INVALID, "%s: %s is NULL", name, what);
    if (t->storage->device->device == queue->device->device) return TRD_OK;
    return trdi_fail(TRD_E_INVALID, "%s: %s is on device %s, the queue on %s", name, what, t->storage->device->device->facts.id,
                     queue->device->device->facts.id);
}

/* ---- Host ---- */

static trd_status check_transfer(const trd_queue *queue, const trd_tensor *t, const void *data, size_t bytes, const char *name)
{
    TRDI_TRY(check_tensor(queue, t, name, "tensor"));
    const size_t wanted = (size_t)t->n_elements * trd_dtype_bytes(t->dtype);
    if (bytes != wanted) return trdi_fail(TRD_E_INVALID, "%s: %zu bytes for a tensor of %zu", name, bytes, wanted);
    return data != NULL || wanted == 0 ? TRD_OK : trdi_fail(TRD_E_INVALID, "%s: data is NULL", name);
}

/* One run of bytes, or one for each row. */
typedef struct pieces {
    int64_t n;
    size_t  bytes, step;      /* of a piece; from one to the next */
} pieces;

static pieces pieces_of(const trd_tensor *t, bool whole)
{
    const size_t size = trd_dtype_bytes(t->dtype);
    if (t->n_elements == 0) return (pieces){ 0 };
    if (whole) return (pieces){ 1, (size_t)t->n_elements * size, 0 };
    return (pieces){ t->rows, (size_t)t->cols * size, (size_t)t->row_stride * size };
}

static trd_status write_pieces(trd_queue *queue, trd_tensor *t, const char *data)
{
    TRDI_TRY(trdi_queue_use(queue, t));
    const pieces p = pieces_of(t, t->is_contiguous);
    for (int64_t i = 0; i < p.n; i++) {
        trdi_span to = trdi_tensor_span(t);
        to.offset += (size_t)i * p.step;
        TRDI_TRY(queue->device->device->ops->write(queue->shared->impl, to, data + (size_t)i * p.bytes, p.bytes));
    }
    return TRD_OK;
}

trd_status trd_tensor_write(trd_queue *queue, trd_tensor *tensor, const void *data, size_t bytes)
{
    TRDI_TRY(trdi_queue_enter(queue, "trd_tensor_write"));
    trd_status status = check_transfer(queue, tensor, data, bytes, "trd_tensor_write");
    if (status == TRD_OK) status = write_pieces(queue, tensor, data);
    trdi_queue_leave(queue);
    return status;
}

static trd_status read_pieces(trd_queue *queue, const trd_tensor *t, char *data)
{
    TRDI_TRY(trdi_queue_use(queue, t));
    const pieces p = pieces_of(t, t->is_contiguous);
    for (int64_t i = 0; i < p.n; i++) {
        trdi_span from = trdi_tensor_span(t);
        from.offset += (size_t)i * p.step;
        TRDI_TRY(queue->device->device->ops->read(queue->shared->impl, data + (size_t)i * p.bytes, from, p.bytes));
    }
    return TRD_OK;
}

trd_status trd_tensor_read(trd_queue *queue, const trd_tensor *tensor, void *data, size_t bytes)
{
    TRDI_TRY(trdi_queue_enter(queue, "trd_tensor_read"));
    trd_status status = check_transfer(queue, tensor, data, bytes, "trd_tensor_read");
    if (status == TRD_OK) status = read_pieces(queue, tensor, data);
    trdi_queue_leave(queue);
    return status;
}

/* ---- Device ---- */

static trd_status copy_pieces(trd_queue *queue, const trd_tensor *x, trd_tensor *y)
{
    TRDI_TRY(check_tensor(queue, x, "trd_tensor_copy", "x"));
    TRDI_TRY(check_tensor(queue, y, "trd_tensor_copy", "y"));
    if (x->dtype != y->dtype)
        return trdi_fail(TRD_E_INVALID, "trd_tensor_copy: x is %s, y is %s: use trd_tensor_convert", trd_dtype_name(x->dtype), trd_dtype_name(y->dtype));
    const bool both = x->is_contiguous && y->is_contiguous && x->n_elements == y->n_elements;
    if (!both && (x->rows != y->rows || x->cols != y->cols))
        return trdi_fail(TRD_E_INVALID, "trd_tensor_copy: x is %lld rows of %lld, y is %lld rows of %lld", (long long)x->rows, (long long)x->cols,
                         (long long)y->rows, (long long)y->cols);
    if (trdi_tensor_same(x, y)) return TRD_OK;
    if (trdi_tensor_overlap(x, y)) return trdi_fail(TRD_E_INVALID, "trd_tensor_copy: x and y overlap");
    TRDI_TRY(trdi_queue_use(queue, x));
    TRDI_TRY(trdi_queue_use(queue, y));
    const pieces from = pieces_of(x, both), to = pieces_of(y, both);
    for (int64_t i = 0; i < from.n; i++) {
        trdi_span a = trdi_tensor_span(x), b = trdi_tensor_span(y);
        a.offset += (size_t)i * from.step;
        b.offset += (size_t)i * to.step;
        TRDI_TRY(queue->device->device->ops->copy(queue->shared->impl, b, a, from.bytes));
    }
    return TRD_OK;
}

trd_status trd_tensor_copy(trd_queue *queue, const trd_tensor *x, trd_tensor *y)
{
    TRDI_TRY(trdi_queue_enter(queue, "trd_tensor_copy"));
    const trd_status status = copy_pieces(queue, x, y);
    trdi_queue_leave(queue);
    return status;
}

static trd_status check_kind(const trd_tensor *t, const char *name, const char *what)
{
    if (trdi_expression_dtype(t->dtype) < 0)
        return trdi_fail(TRD_E_UNSUPPORTED, "%s: %s is %s; f32, f16, i32 and i8 can be converted", name, what, trd_dtype_name(t->dtype));
    return t->is_contiguous ? TRD_OK : trdi_fail(TRD_E_INVALID, "%s: %s is not contiguous; trd_tensor_copy() makes it so", name, what);
}

static trd_status convert(trd_queue *queue, const trd_tensor *x, trd_tensor *y)
{
    static const char name[] = "trd_tensor_convert";
    TRDI_TRY(check_tensor(queue, x, name, "x"));
    TRDI_TRY(check_tensor(queue, y, name, "y"));
    TRDI_TRY(check_kind(x, name, "x"));
    TRDI_TRY(check_kind(y, name, "y"));
    if (x->n_elements != y->n_elements)
        return trdi_fail(TRD_E_INVALID, "%s: x has %lld elements, y %lld", name, (long long)x->n_elements, (long long)y->n_elements);
    if (trdi_tensor_same(x, y) || x->n_elements == 0) return TRD_OK;
    if (trdi_tensor_overlap(x, y)) return trdi_fail(TRD_E_INVALID, "%s: x and y overlap", name);
    trd_kernel *kernel;
    const int which = TRDI_BUILTIN_CONVERT + 4 * trdi_expression_dtype(x->dtype) + trdi_expression_dtype(y->dtype);
    TRDI_TRY(trdi_builtin_get(queue->device, (trdi_builtin)which, &kernel));
    TRDI_TRY(trdi_queue_use(queue, x));
    TRDI_TRY(trdi_queue_use(queue, y));
    trd_tensor from = *x;     /* arguments are not const; x is only read */
    const trd_argument arguments[] = { { .kind = TRD_ARGUMENT_TENSOR, .tensor = &from }, { .kind = TRD_ARGUMENT_TENSOR, .tensor = y } };
    return trdi_run_expression(queue, kernel, arguments, 2, 1, x->n_elements);
}

trd_status trd_tensor_convert(trd_queue *queue, const trd_tensor *x, trd_tensor *y)
{
    TRDI_TRY(trdi_queue_enter(queue, "trd_tensor_convert"));
    const trd_status status = convert(queue, x, y);
    trdi_queue_leave(queue);
    return status;
}

/* Towards zero, bounded, 0 for NaN. */
static int32_t to_i32(double value)
{
    if (!(value == value)) return 0;
    return value >= 2147483647.0 ? INT32_MAX : value <= -2147483648.0 ? INT32_MIN : (int32_t)value;
}

static trd_status fill(trd_queue *queue, trd_tensor *y, double value)
{
    static const char name[] = "trd_tensor_fill";
    TRDI_TRY(check_tensor(queue, y, name, "y"));
    TRDI_TRY(check_kind(y, name, "y"));
    if (y->n_elements == 0) return TRD_OK;
    trd_kernel *kernel;
    TRDI_TRY(trdi_builtin_get(queue->device, (trdi_builtin)(TRDI_BUILTIN_FILL + trdi_expression_dtype(y->dtype)), &kernel));
    TRDI_TRY(trdi_queue_use(queue, y));
    const bool is_int = y->dtype == TRD_DTYPE_I32 || y->dtype == TRD_DTYPE_I8;
    const trd_argument number = { .kind = is_int ? TRD_ARGUMENT_I32 : TRD_ARGUMENT_F32, .number = (float)value, .integer = to_i32(value) };
    const trd_argument arguments[] = { number, { .kind = TRD_ARGUMENT_TENSOR, .tensor = y } };
    return trdi_run_expression(queue, kernel, arguments, 2, 1, y->n_elements);
}

trd_status trd_tensor_fill(trd_queue *queue, trd_tensor *y, double value)
{
    TRDI_TRY(trdi_queue_enter(queue, "trd_tensor_fill"));
    const trd_status status = fill(queue, y, value);
    trdi_queue_leave(queue);
    return status;
}
