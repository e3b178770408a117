/* compute_tensor.c: tensors (treadle/trd_tensor.h): shapes, views, storage. */
#include <string.h>

#include "api/compute.h"
#include "core/alloc.h"

/* ---- Shapes ---- */

/* Elements of a shape, checked so that their bytes fit; of an empty shape the other sizes too, as strides are products of them. */
static trd_status count_elements(const char *name, trd_dtype dtype, int32_t rank, const int64_t *shape, int64_t *n)
{
    const size_t size = trd_dtype_bytes(dtype);
    if (size == 0) return trdi_fail(TRD_E_INVALID, "%s: dtype %d is unknown", name, (int)dtype);
    if (rank < 0 || rank > TRD_MAX_RANK) return trdi_fail(TRD_E_INVALID, "%s: rank is %d, not 0 to %d", name, (int)rank, TRD_MAX_RANK);
    if (rank > 0 && shape == NULL) return trdi_fail(TRD_E_INVALID, "%s: shape is NULL", name);
    bool empty = false;
    int64_t product = 1;
    for (int32_t i = 0; i < rank; i++) {
        if (shape[i] < 0) return trdi_fail(TRD_E_INVALID, "%s: shape[%d] is %lld", name, (int)i, (long long)shape[i]);
        empty = empty || shape[i] == 0;
        if (shape[i] > 0 && product > INT64_MAX / (int64_t)size / shape[i])
            return trdi_fail(TRD_E_INVALID, "%s: the shape has too many elements: %lld times shape[%d], which is %lld", name, (long long)product, (int)i,
                             (long long)shape[i]);
        if (shape[i] > 0) product *= shape[i];
    }
    *n = empty ? 0 : product;
    return TRD_OK;
}

/* Contiguous strides where none are given. */
static void set_shape(trd_tensor *t, int32_t rank, const int64_t *shape, const int64_t *strides)
{
    t->rank = rank;
    int64_t next = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        t->shape[i] = shape[i];
        t->strides[i] = strides != NULL ? strides[i] : next;
        next *= shape[i] > 0 ? shape[i] : 1;
    }
}

/* Rows, columns and the distance of rows, from shape and strides. @return false if the leading axes do not fold into rows */
static bool set_rows(trd_tensor *t)
{
    t->cols = t->rank == 0 ? 1 : t->shape[t->rank - 1];
    t->rows = 1;
    t->row_stride = t->cols > 0 ? t->cols : 1;
    if (t->rank > 0 && t->cols > 1 && t->strides[t->rank - 1] != 1) return false;
    bool found = false;
    int64_t wanted = 0;       /* the stride that the next axis must have */
    for (int32_t i = t->rank - 2; i >= 0; i--) {
        t->rows *= t->shape[i];
        if (t->shape[i] == 1) continue;                     /* its stride is never used */
        if (found && t->strides[i] != wanted) return false;
        if (!found) t->row_stride = t->strides[i];
        found = true;
        wanted = t->strides[i] * t->shape[i];
    }
    t->is_contiguous = t->rows < 2 || t->row_stride == (t->cols > 0 ? t->cols : 1);
    return t->rows < 2 || t->row_stride >= t->cols;
}

/* ---- Storage ---- */

static void drop_storage(trdi_storage *storage)
{
    if (storage == NULL || atomic_fetch_sub(&storage->n_uses, 1) != 1) return;
    trdi_block_free(storage->block);
    trdi_open_device_drop(storage->device);
    trdi_free(storage);
}

static trd_status make_storage(trd_device *device, size_t bytes, trdi_storage **out)
{
    trdi_storage *const storage = trdi_calloc(1, sizeof *storage);
    *out = storage;
    if (storage == NULL) return trdi_fail(TRD_E_MEMORY, "tensor: %zu bytes", sizeof *storage);
    atomic_init(&storage->n_uses, 1);
    storage->device = trdi_open_device_use(device);
    if (bytes == 0) return TRD_OK;
    const trd_status status = trdi_block_alloc(device->memory, bytes, &storage->block);
    if (status != TRD_OK) {
        drop_storage(storage);
        *out = NULL;
    }
    return status;
}

trdi_span trdi_tensor_span(const trd_tensor *tensor)
{
    const trdi_block *const block = tensor->storage->block;
    return (trdi_span){ block == NULL ? NULL : block->buffer, tensor->offset };
}

static size_t end_of(const trd_tensor *t)
{
    const int64_t last = (t->rows - 1) * t->row_stride + t->cols;
    return t->offset + (size_t)last * trd_dtype_bytes(t->dtype);
}

bool trdi_tensor_overlap(const trd_tensor *a, const trd_tensor *b)
{
    if (a->storage->block == NULL || a->storage != b->storage || a->n_elements == 0 || b->n_elements == 0) return false;
    if (a->offset >= end_of(b) || b->offset >= end_of(a)) return false;
    /* Columns side by side in the same rows: apart, if both stay inside a row of the larger matrix. */
    const size_t size = trd_dtype_bytes(a->dtype), stride = (size_t)a->row_stride * size;
    if (a->dtype != b->dtype || a->row_stride != b->row_stride || a->rows < 2 || b->rows < 2) return true;
    const size_t low = a->offset < b->offset ? a->offset : b->offset;
    const size_t in_a = (a->offset - low) % stride, in_b = (b->offset - low) % stride;
    const size_t width_a = (size_t)a->cols * size, width_b = (size_t)b->cols * size;
    if (in_a + width_a > stride || in_b + width_b > stride) return true;
    return in_a < in_b + width_b && in_b < in_a + width_a;
}

bool trdi_tensor_same(const trd_tensor *a, const trd_tensor *b)
{
    return a->storage == b->storage && a->offset == b->offset && a->dtype == b->dtype && a->rows == b->rows && a->cols == b->cols &&
           (a->rows < 2 || a->row_stride == b->row_stride);
}

/* ---- Tensors ---- */

trd_status trd_tensor_create(trd_device *device, trd_dtype dtype, int32_t rank, const int64_t *shape, trd_tensor **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_tensor_create: out is NULL");
    *out = NULL;
    TRDI_TRY(trdi_device_check(device, "trd_tensor_create"));
    int64_t n;
    TRDI_TRY(count_elements("trd_tensor_create", dtype, rank, shape, &n));
    trd_tensor *const t = trdi_calloc(1, sizeof *t);
    if (t == NULL) return trdi_fail(TRD_E_MEMORY, "trd_tensor_create: %zu bytes", sizeof *t);
    t->dtype = dtype;
    t->n_elements = n;
    set_shape(t, rank, shape, NULL);
    (void)set_rows(t);
    const trd_status status = make_storage(device, (size_t)n * trd_dtype_bytes(dtype), &t->storage);
    if (status != TRD_OK) {
        trdi_free(t);
        return trdi_fail_within(status, "trd_tensor_create");
    }
    *out = t;
    return TRD_OK;
}

trd_status trd_tensor_from_host(trd_queue *queue, trd_dtype dtype, int32_t rank, const int64_t *shape, const void *data, trd_tensor **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_tensor_from_host: out is NULL");
    *out = NULL;
    if (queue == NULL) return trdi_fail(TRD_E_INVALID, "trd_tensor_from_host: queue is NULL");
    trd_tensor *t;
    TRDI_TRY(trd_tensor_create(queue->device, dtype, rank, shape, &t));
    const trd_status status = trd_tensor_write(queue, t, data, (size_t)t->n_elements * trd_dtype_bytes(dtype));
    if (status != TRD_OK) {
        trd_tensor_destroy(t);
        return status;
    }
    *out = t;
    return TRD_OK;
}

static trd_status check_strides(const trd_tensor *view, const int64_t *strides)
{
    for (int32_t i = 0; i < view->rank && strides != NULL; i++) {
        if (strides[i] < 0 || strides[i] > INT64_MAX / 64 / (view->shape[i] > 0 ? view->shape[i] : 1))
            return trdi_fail(TRD_E_INVALID, "trd_tensor_view: strides[%d] is %lld", (int)i, (long long)strides[i]);
    }
    return TRD_OK;
}

trd_status trd_tensor_view(trd_tensor *tensor, int64_t offset, int32_t rank, const int64_t *shape, const int64_t *strides, trd_tensor **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_tensor_view: out is NULL");
    *out = NULL;
    if (tensor == NULL) return trdi_fail(TRD_E_INVALID, "trd_tensor_view: tensor is NULL");
    trd_tensor view = { .dtype = tensor->dtype };
    TRDI_TRY(count_elements("trd_tensor_view", tensor->dtype, rank, shape, &view.n_elements));
    set_shape(&view, rank, shape, strides);
    TRDI_TRY(check_strides(&view, strides));
    if (!set_rows(&view)) return trdi_fail(TRD_E_INVALID, "trd_tensor_view: these strides are no rows at one distance with elements side by side");
    const int64_t last = view.n_elements == 0 ? 0 : (view.rows - 1) * view.row_stride + view.cols;
    const int64_t room = tensor->n_elements == 0 ? 0 : (tensor->rows - 1) * tensor->row_stride + tensor->cols;
    if (offset < 0 || offset > room || last > room - offset)
        return trdi_fail(TRD_E_RANGE, "trd_tensor_view: elements %lld to %lld of a tensor that ends at %lld", (long long)offset, (long long)(offset + last - 1),
                         (long long)room);
    trd_tensor *const t = trdi_alloc(sizeof *t);
    if (t == NULL) return trdi_fail(TRD_E_MEMORY, "trd_tensor_view: %zu bytes", sizeof *t);
    *t = view;
    t->storage = tensor->storage;
    t->offset = tensor->offset + (size_t)offset * trd_dtype_bytes(tensor->dtype);
    (void)atomic_fetch_add(&t->storage->n_uses, 1);
    *out = t;
    return TRD_OK;
}

void trd_tensor_destroy(trd_tensor *tensor)
{
    if (tensor == NULL || tensor->storage->device->process != trdi_process_id()) return;
    drop_storage(tensor->storage);
    trdi_free(tensor);
}

trd_status trd_tensor_get_info(const trd_tensor *tensor, trd_tensor_info *info)
{
    if (tensor == NULL) return trdi_fail(TRD_E_INVALID, "trd_tensor_get_info: tensor is NULL");
    if (info == NULL || !trdi_struct_size_valid(info->struct_size))
        return trdi_fail(TRD_E_INVALID, "trd_tensor_get_info: info is NULL or its struct_size not set");
    trd_tensor_info found = {
        .dtype = tensor->dtype, .rank = tensor->rank, .n_elements = tensor->n_elements, .is_contiguous = tensor->is_contiguous,
        .device = tensor->storage->device->device->facts.id,
    };
    memcpy(found.shape, tensor->shape, sizeof found.shape);
    memcpy(found.strides, tensor->strides, sizeof found.strides);
    trdi_write_result(info, info->struct_size, &found, sizeof found);
    return TRD_OK;
}
