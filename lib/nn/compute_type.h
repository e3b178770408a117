/* compute_type.h: names of compute types and what a device makes of a request. Used by network.c. */
#ifndef TRDI_COMPUTE_TYPE_H
#define TRDI_COMPUTE_TYPE_H

#include "backend/backend.h"

/** A pair of weight type and float type. */
typedef enum trdi_compute_type {
    TRDI_COMPUTE_FLOAT32,
    TRDI_COMPUTE_FLOAT16,
    TRDI_COMPUTE_BFLOAT16,
    TRDI_COMPUTE_INT16,
    TRDI_COMPUTE_INT8_FLOAT32,
    TRDI_COMPUTE_INT8_FLOAT16,
    TRDI_COMPUTE_INT8_BFLOAT16,
    TRDI_N_COMPUTE_TYPES
} trdi_compute_type;

/** "float32" ...; static. */
const char *trdi_compute_type_name(trdi_compute_type type);

/** Of what a device may offer, what this version computes with: 16-bit integers and bfloat16 are for later. */
enum { TRDI_TYPES_COMPUTED = TRDI_TYPES_INT8 | TRDI_TYPES_F16 | TRDI_TYPES_CPU | TRDI_TYPES_GPU };

/** Type of prepared weights: F32, F16 or I8. Activations are f32 with all of them. type needs nothing beyond TRDI_TYPES_COMPUTED. */
trd_dtype trdi_compute_type_weights(trdi_compute_type type);
/** Type of keys and values in their blocks: F32 or F16. */
trd_dtype trdi_compute_type_kv(trdi_compute_type type);

/**
 * The type that a request gives on a device.
 *
 * @param requested  a name, "int8", "auto", "default", or NULL = "default"
 * @param stored     compute type of the stored weights
 * @param types      TRDI_TYPES_* of the device
 * @return TRD_OK; TRD_E_INVALID for an unknown name; TRD_E_UNSUPPORTED if the request is explicit and the device lacks it
 */
trd_status trdi_compute_type_resolve(const char *requested, const char *stored, uint32_t types, trdi_compute_type *out);

#endif
