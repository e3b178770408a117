/**
 * @file
 * trd_compute.h: compute with devices directly: open one, queue work on it, order it by events, see its memory.
 *
 *   trd_tensor.h     arrays in a device's memory, and copies
 *   trd_operation.h  what networks are made of: products, attention, norms, softmax ...
 *   trd_kernel.h     kernels of one's own: expressions on every device, sources on OpenCL
 *
 * Work on one queue happens in the order of the calls; two queues are ordered by events only. On the CPU a call has done its work when it
 * returns; on other devices it may return before. Where a device's failure shows only later, trd_queue_wait() reports it.
 */
#ifndef TRD_COMPUTE_H
#define TRD_COMPUTE_H

#include "trd_base.h"
#include "trd_device.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An open device. What is made on it keeps it open, so handles may be given back in any order. */
typedef struct trd_device trd_device;
/** A device's queue. Threads: any; calls on one queue exclude each other. */
typedef struct trd_queue trd_queue;
/** A point in the work of a queue. Threads: any. */
typedef struct trd_event trd_event;

/**
 * Open a device.
 *
 * @param selector  as trd_translator_options.device: "cpu", "opencl:1", "gpu", "auto", a part of a name; NULL or "" for the default
 *                  (TREADLE_DEVICE, else "cpu")
 * @param out       owned: trd_device_close()
 * @return TRD_OK; TRD_E_INVALID with a text for a selector that fits no device; TRD_E_UNSUPPORTED, TRD_E_DEVICE where it cannot be used
 */
TRD_API trd_status trd_device_open(const char *selector, trd_device **out);
/** Give the handle back; the device is closed when nothing made on it is left. NULL does nothing. */
TRD_API void trd_device_close(trd_device *device);
/** Describe an open device: as trd_device_get_info(). @param info  struct_size set by the caller */
TRD_API trd_status trd_device_describe(const trd_device *device, trd_device_info *info);

/** Memory of a device that tensors use, whoever opened it. Freed memory is cached and serves again. */
typedef struct trd_device_memory {
    size_t   struct_size;      /**< set by the caller to sizeof(trd_device_memory) */
    uint64_t allocated_bytes;  /**< of tensors, rounded up to the allocator's sizes (at most an eighth, or 256 bytes, more) */
    uint64_t cached_bytes;     /**< freed and kept */
    uint64_t peak_bytes;       /**< most allocated at once so far */
    uint64_t n_allocated;      /**< blocks in use; views share their tensor's */
    uint64_t n_cached;         /**< blocks kept */
    uint64_t n_requests;       /**< blocks asked for so far */
    uint64_t n_reused;         /**< how many of them the cache had */
    uint64_t device_bytes;     /**< all that the library holds on the device: these, and weights and caches of models; 0 on CPUs: host memory */
} trd_device_memory;
/** @return TRD_OK; TRD_E_INVALID. Threads: any. */
TRD_API trd_status trd_device_get_memory(const trd_device *device, trd_device_memory *memory);
/** Give the cached memory back to the device, after waiting for work that still uses it. Threads: any. */
TRD_API trd_status trd_device_empty_cache(trd_device *device);

/** Options of trd_queue_create(). Start from trd_queue_options_init(). */
typedef struct trd_queue_options {
    size_t  struct_size;       /**< bytes; set by the init function */
    int32_t n_threads;         /**< CPU: threads that share the work of a call; default 0 = OMP_NUM_THREADS, else at most 4. Others ignore it */
} trd_queue_options;
/** Fill in the defaults. @param size  sizeof(trd_queue_options) as the caller was compiled */
TRD_API void trd_queue_options_init(trd_queue_options *options, size_t size);

/**
 * Make a queue.
 *
 * @param device   borrowed for the call
 * @param options  NULL for the defaults
 * @param out      owned: trd_queue_destroy()
 * @return TRD_OK; TRD_E_INVALID; TRD_E_MEMORY; TRD_E_DEVICE if the driver refuses
 */
TRD_API trd_status trd_queue_create(trd_device *device, const trd_queue_options *options, trd_queue **out);
/** Wait for what is under way, then free. Events and tensors used with it stay good. NULL does nothing. */
TRD_API void trd_queue_destroy(trd_queue *queue);
/** Wait until all work of the queue is done. @return TRD_OK, or the first failure of that work since the last wait */
TRD_API trd_status trd_queue_wait(trd_queue *queue);

/**
 * Mark the present end of a queue's work.
 *
 * @param out  owned: trd_event_destroy()
 * @return TRD_OK; TRD_E_INVALID; TRD_E_MEMORY; TRD_E_DEVICE
 */
TRD_API trd_status trd_event_record(trd_queue *queue, trd_event **out);
/** NULL does nothing; the work is not disturbed. */
TRD_API void trd_event_destroy(trd_event *event);
/** Has the event passed? @param done  false on failure. @return TRD_OK; TRD_E_INVALID; TRD_E_DEVICE */
TRD_API trd_status trd_event_done(trd_event *event, bool *done);
/**
 * Block the calling thread until the event has passed.
 *
 * @param timeout_ns  longest wait; negative waits for ever
 * @return TRD_OK; TRD_E_TIMEOUT; TRD_E_INVALID; TRD_E_DEVICE
 */
TRD_API trd_status trd_event_wait(trd_event *event, int64_t timeout_ns);
/**
 * Let what follows on the queue start only after the event. Does not block, but for an event of another device: that one is waited for here.
 *
 * @return TRD_OK; TRD_E_INVALID; TRD_E_DEVICE
 */
TRD_API trd_status trd_queue_wait_event(trd_queue *queue, trd_event *event);

#ifdef __cplusplus
}
#endif
#endif /* TRD_COMPUTE_H */
