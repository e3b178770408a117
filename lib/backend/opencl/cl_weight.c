/* cl_weight.c: weights in the layouts of the kernels, made on the host panel by panel and sent over. */
#include "backend/opencl/opencl.h"

#include "core/alloc.h"

size_t trdi_cl_weight_bytes(const void *device, const trdi_weight_source *source)
{
    (void)device;
    (void)source;
    return 0;
}

trd_status trdi_cl_weight_prepare(void *device, const trdi_weight_source *source, void **weight)
{
    (void)device;
    (void)source;
    *weight = NULL;
    return trdi_fail(TRD_E_UNSUPPORTED, "OpenCL: weights are not prepared yet");
}

const void *trdi_cl_weight_data(const void *weight)
{
    (void)weight;
    return NULL;
}

void trdi_cl_weight_free(void *weight)
{
    (void)weight;
}
