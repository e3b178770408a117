/* compute_check.h: what the public operations check their tensors with. All with the queue entered. */
#ifndef TRDI_API_COMPUTE_CHECK_H
#define TRDI_API_COMPUTE_CHECK_H

#include "api/compute.h"

/** A public call under way. */
typedef struct trdi_call {
    trd_queue  *queue;
    const char *name;         /**< of the public function, for texts */
} trdi_call;

/** Not NULL, on the queue's device, of this dtype. */
trd_status trdi_check_tensor(const trdi_call *call, const trd_tensor *t, const char *what, trd_dtype dtype);
/** f32 with so many rows and columns. */
trd_status trdi_check_rows(const trdi_call *call, const trd_tensor *t, const char *what, int64_t rows, int64_t cols);
/** f32, contiguous, with n elements. */
trd_status trdi_check_vector(const trdi_call *call, const trd_tensor *t, const char *what, int64_t n);
/** y does not overlap x (NULL is fine), or is the same if that may be. */
trd_status trdi_check_apart(const trdi_call *call, const trd_tensor *y, const trd_tensor *x, const char *what, bool may_be_same);
/** trdi_queue_use(), or nothing for NULL. */
trd_status trdi_call_use(const trdi_call *call, const trd_tensor *t);
/** Run on so many rows. */
trd_status trdi_call_run(const trdi_call *call, trdi_op *op, int64_t rows);

#endif
