/* cl_pending.c: operations that have no kernels yet are refused by name. */
#include "backend/opencl/opencl.h"
#define PENDING(name)                                                                                             \
    static const char *name##_refusal(const trdi_cl_device *device, const trdi_op *op)                            \
    {                                                                                                             \
        (void)device;                                                                                             \
        (void)op;                                                                                                 \
        return "no kernel yet";                                                                                   \
    }                                                                                                             \
    const trdi_cl_lowering trdi_cl_lower_##name = { .refusal = name##_refusal };
PENDING(edit)
PENDING(log_softmax)
PENDING(select)
