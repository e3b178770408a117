/**
 * @file
 * trd_tensor.h: arrays in a device's memory: make, view, write, read, copy, convert, fill.
 *
 * A tensor is row-major: its last axis is contiguous. As *rows*, a tensor of rank n is [product of all axes but the last][last axis]; rank 1
 * is one row, rank 0 one row of one element. Sizes of 0 are allowed. A tensor may be used by calls on any queue of its device; if two queues
 * use it and one of them writes, order them by events.
 */
#ifndef TRD_TENSOR_H
#define TRD_TENSOR_H

#include "trd_compute.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Most axes of a tensor. */
#define TRD_MAX_RANK 6

/** An array, or a view into one. Threads: any for reading it; see trd_tensor.h for order. */
typedef struct trd_tensor trd_tensor;

/**
 * Make a tensor with undefined contents.
 *
 * @param device  borrowed for the call
 * @param rank    0 .. TRD_MAX_RANK
 * @param shape   [rank] sizes >= 0; may be NULL with rank 0
 * @param out     owned: trd_tensor_destroy()
 * @return TRD_OK; TRD_E_INVALID; TRD_E_MEMORY when the device has not so much, also without its cache
 */
TRD_API trd_status trd_tensor_create(trd_device *device, trd_dtype dtype, int32_t rank, const int64_t *shape, trd_tensor **out);
/** Make a tensor and write data (host memory, contiguous; borrowed for the call) into it on the queue. */
TRD_API trd_status trd_tensor_from_host(trd_queue *queue, trd_dtype dtype, int32_t rank, const int64_t *shape, const void *data,
                                        trd_tensor **out);
/**
 * Another look at a part of a tensor's memory, which lives until the last of its tensors is destroyed.
 *
 * @param offset   first element, counted from the tensor's own first
 * @param rank     of the view
 * @param shape    [rank]
 * @param strides  [rank] elements from one index to the next, or NULL for contiguous. The last must be 1, and the others such that the leading
 *                 axes fold into rows at one distance, which is at least the row's size: strides[i] = strides[i+1] * shape[i+1] for all but
 *                 the last two. The stride of an axis of size 1 does not matter
 * @param out      owned: trd_tensor_destroy()
 * @return TRD_OK; TRD_E_INVALID; TRD_E_RANGE if an element would lie outside the tensor; TRD_E_MEMORY
 */
TRD_API trd_status trd_tensor_view(trd_tensor *tensor, int64_t offset, int32_t rank, const int64_t *shape, const int64_t *strides,
                                   trd_tensor **out);
/** Free, while queues may still work on it. NULL does nothing. */
TRD_API void trd_tensor_destroy(trd_tensor *tensor);

/** What a tensor is. */
typedef struct trd_tensor_info {
    size_t      struct_size;            /**< set by the caller to sizeof(trd_tensor_info) */
    trd_dtype   dtype;                  /**< of its elements */
    int32_t     rank;                   /**< axes */
    int64_t     shape[TRD_MAX_RANK];    /**< [rank], then zeros */
    int64_t     strides[TRD_MAX_RANK];  /**< [rank] in elements, then zeros */
    int64_t     n_elements;             /**< product of shape */
    bool        is_contiguous;          /**< without gaps between rows */
    const char *device;                 /**< id of its device; static */
} trd_tensor_info;
/** @return TRD_OK; TRD_E_INVALID. Threads: any. */
TRD_API trd_status trd_tensor_get_info(const trd_tensor *tensor, trd_tensor_info *info);

/**
 * Write all elements from host memory, in queue order.
 *
 * @param data   contiguous, row-major, in the tensor's dtype; free to be changed when the call returns
 * @param bytes  of data: n_elements * size of the dtype
 * @return TRD_OK; TRD_E_INVALID; TRD_E_DEVICE
 */
TRD_API trd_status trd_tensor_write(trd_queue *queue, trd_tensor *tensor, const void *data, size_t bytes);
/** Read all elements into host memory, after the work that the queue has: blocks until data is there. Parameters as trd_tensor_write(). */
TRD_API trd_status trd_tensor_read(trd_queue *queue, const trd_tensor *tensor, void *data, size_t bytes);

/**
 * y = x, element by element. Shapes may differ in the leading axes, as long as the rows agree.
 *
 * @param x  any dtype and strides; not overlapping y, unless it is the same tensor
 * @param y  same dtype, same rows and row size, same device
 * @return TRD_OK; TRD_E_INVALID; TRD_E_DEVICE
 */
TRD_API trd_status trd_tensor_copy(trd_queue *queue, const trd_tensor *x, trd_tensor *y);
/**
 * y = x in y's dtype: f32, f16, i32 and i8 into each other. To f16: to nearest, halves to even, too large becomes infinite. To integers: towards
 * zero, bounded by the type's range, NaN gives 0. i32 and i8 into each other never pass through f32.
 *
 * @param x  contiguous; not overlapping y, unless both are the same tensor
 * @param y  contiguous, same number of elements and same device
 * @return TRD_OK; TRD_E_INVALID; TRD_E_UNSUPPORTED for other dtypes or a device without kernels of one's own
 */
TRD_API trd_status trd_tensor_convert(trd_queue *queue, const trd_tensor *x, trd_tensor *y);
/** All elements of y (contiguous; f32, f16, i32 or i8) become value, converted as by trd_tensor_convert(). Returns as that. */
TRD_API trd_status trd_tensor_fill(trd_queue *queue, trd_tensor *y, double value);

#ifdef __cplusplus
}
#endif
#endif /* TRD_TENSOR_H */
