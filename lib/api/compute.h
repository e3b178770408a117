/*
 * compute.h: the inside of the public compute interface (treadle/trd_compute.h and the headers it names): the objects behind its handles, and what
 * its files share. Every public function checks its arguments, records the operation that models use, and runs it as a plan of one.
 */
#ifndef TRDI_API_COMPUTE_H
#define TRDI_API_COMPUTE_H

#include "api/options.h"
#include "backend/expression.h"
#include "device/device_memory.h"
#include "treadle/trd_compute.h"
#include "treadle/trd_kernel.h"
#include "treadle/trd_operation.h"
#include "treadle/trd_tensor.h"

/** Expressions that the library itself needs, built at first use on a device. */
typedef enum trdi_builtin {
    TRDI_BUILTIN_EXP,          /**< y = exp(y) */
    TRDI_BUILTIN_CONVERT,      /**< 16: x of dtype a / 4, y of dtype a % 4, in the order f32, f16, i32, i8 */
    TRDI_BUILTIN_FILL = TRDI_BUILTIN_CONVERT + 16,  /**< 4 */
    TRDI_N_BUILTINS = TRDI_BUILTIN_FILL + 4
} trdi_builtin;

struct trd_device {
    trdi_device *device;
    trdi_device_memory *memory;
    int64_t     process;       /**< that opened it */
    atomic_int  n_uses;        /**< the user's handles, and every object made on it */
    trdi_mutex  mutex;         /**< guards builtins */
    struct trd_kernel *builtins[TRDI_N_BUILTINS];  /**< which hold no use of the device */
};

/** Memory that the host writes for one call: a buffer of kind STEP, free again once the event has passed. */
typedef struct trdi_step_slot {
    void  *buffer;
    size_t bytes;
    void  *event;              /**< NULL = free */
} trdi_step_slot;

enum { TRDI_STEP_SLOTS = 16 };

struct trd_queue {
    trd_device *device;        /**< holds a use */
    trdi_shared_queue *shared; /**< its mutex guards all below */
    trdi_step_slot slots[TRDI_STEP_SLOTS];
    size_t      next_slot;
};

struct trd_event {
    trd_device *device;        /**< holds a use */
    void       *impl;
};

/** Memory that a tensor and its views share. */
typedef struct trdi_storage {
    trd_device *device;        /**< holds a use */
    trdi_block *block;         /**< NULL for no elements */
    atomic_int  n_uses;
} trdi_storage;

struct trd_tensor {
    trdi_storage *storage;
    size_t    offset;          /**< bytes */
    trd_dtype dtype;
    int32_t   rank;
    int64_t   shape[TRD_MAX_RANK], strides[TRD_MAX_RANK];
    int64_t   n_elements, rows, cols, row_stride;  /**< as rows; row_stride in elements, at least max(cols, 1) unless rows < 2 */
    bool      is_contiguous;
};

struct trd_weight {
    trd_device *device;        /**< holds a use */
    void      *impl;
    trd_weight_use use;
    int64_t    rows, cols;
};

struct trd_kernel {
    trd_device *device;        /**< holds a use, unless it is a builtin */
    void      *impl;
    trdi_program *program;     /**< owned; NULL = source */
};

/* ---- compute_device.c, compute_queue.c ---- */

/** TRD_E_FORKED in a child of the process that opened the device. */
trd_status trdi_device_check(const trd_device *device, const char *name);
trd_device *trdi_open_device_use(trd_device *device);
/** NULL does nothing. */
void trdi_open_device_drop(trd_device *device);

/** Checks, then takes the queue's mutex; trdi_queue_leave() gives it back. @param name  of the public function */
trd_status trdi_queue_enter(trd_queue *queue, const char *name);
void trdi_queue_leave(trd_queue *queue);

/** A tensor that an operation is about to use: check it for device and order its memory. With the queue entered. */
trd_status trdi_queue_use(trd_queue *queue, const trd_tensor *tensor);

/**
 * Room for what the host tells one operation. With the queue entered.
 * @param host  where to write it, until trdi_step_done()
 */
trd_status trdi_step_take(trd_queue *queue, size_t bytes, trdi_step_slot **slot, void **host);
/** The operation that reads it was enqueued (or failed). slot may be NULL. */
void trdi_step_done(trd_queue *queue, trdi_step_slot *slot);

/** Run one operation on n rows. With the queue entered. @param name  of the public function */
trd_status trdi_run_operation(trd_queue *queue, const char *name, const trdi_op *op, int64_t n);

/* ---- compute_tensor.c ---- */

/** Where a tensor's first element lies; a tensor without elements has none. */
trdi_span trdi_tensor_span(const trd_tensor *tensor);
/** Do two tensors share a byte? */
bool trdi_tensor_overlap(const trd_tensor *a, const trd_tensor *b);
/** Are they the same elements at the same places? */
bool trdi_tensor_same(const trd_tensor *a, const trd_tensor *b);

/* ---- compute_kernel.c ---- */

/** One of the library's own, borrowed for as long as the device is open. */
trd_status trdi_builtin_get(trd_device *device, trdi_builtin which, trd_kernel **out);
void trdi_builtins_free(trd_device *device);
/** Run an expression as rows x cols. With the queue entered; tensors were checked. */
trd_status trdi_run_expression(trd_queue *queue, const trd_kernel *kernel, const trd_argument *arguments, size_t n, int64_t rows, int64_t cols);
/** Place of a dtype among f32, f16, i32, i8; -1 for others. */
int trdi_expression_dtype(trd_dtype dtype);

/** trd_device_get_info() for the public function that call names in messages. */
trd_status trdi_describe_device(const char *call, int64_t i, trd_device_info *info);

#endif
