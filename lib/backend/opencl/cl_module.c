/* cl_module.c: the table of the OpenCL back end and the module's one exported function. */
#include "backend/module_host.h"
#include "backend/opencl/cl_tuning.h"
#include "backend/opencl/opencl.h"

static const trdi_backend_ops table = {
    .abi = TRDI_BACKEND_ABI,
    .name = "opencl",
    .enumerate = trdi_cl_enumerate,
    .device_open = trdi_cl_device_open,
    .device_close = trdi_cl_device_close,
    .buffer_alloc = trdi_cl_buffer_alloc,
    .buffer_free = trdi_cl_buffer_free,
    .buffer_host = trdi_cl_buffer_host,
    .copy = trdi_cl_copy,
    .write = trdi_cl_write,
    .read = trdi_cl_read,
    .queue_create = trdi_cl_queue_create,
    .queue_destroy = trdi_cl_queue_destroy,
    .queue_wait = trdi_cl_queue_wait,
    .event_record = trdi_cl_event_record,
    .event_wait = trdi_cl_event_wait,
    .event_done = trdi_cl_event_done,
    .event_free = trdi_cl_event_free,
    .supports = trdi_cl_supports,
    .weight_bytes = trdi_cl_weight_bytes,
    .weight_prepare = trdi_cl_weight_prepare,
    .weight_data = trdi_cl_weight_data,
    .weight_free = trdi_cl_weight_free,
    .weight_layout_version = 1,
    .plan_create = trdi_cl_plan_create,
    .plan_run = trdi_cl_plan_run,
    .plan_destroy = trdi_cl_plan_destroy,
    .memory_in_use = trdi_cl_memory_in_use,
    .tune = trdi_cl_tune,
    .kernel_build = trdi_cl_kernel_build,
    .kernel_run = trdi_cl_kernel_run,
    .kernel_free = trdi_cl_user_kernel_free,
};

trdi_backend_entry trd_backend_entry;

TRD_API trd_status trd_backend_entry(uint32_t abi, const trdi_backend_host *host, const trdi_backend_ops **ops)
{
    *ops = NULL;
    if (abi != TRDI_BACKEND_ABI) return TRD_E_UNSUPPORTED;   /* the host's table may be another one: it cannot be given a text */
    trdi_module_set_host(host);
    TRDI_TRY(trdi_cl_api_load());
    *ops = &table;
    return TRD_OK;
}
