/* device_names.c: words for what facts hold as numbers. */
#include "device/device.h"

const char *trdi_device_type_name(trdi_device_type type)
{
    switch (type) {
    case TRDI_DEVICE_CPU: return "cpu";
    case TRDI_DEVICE_GPU: return "gpu";
    case TRDI_DEVICE_ACCELERATOR: return "accelerator";
    }
    return "?";
}

const char *trdi_device_compute_types(const trdi_device_facts *facts)
{
    static const char *const names[2][2] = {
        { "float32", "float32,float16" },
        { "float32,int8,int8_float32", "float32,float16,int8,int8_float32,int8_float16" },
    };
    return names[(facts->compute_types & TRDI_TYPES_INT8) != 0][(facts->compute_types & TRDI_TYPES_F16) != 0];
}
