/**
 * @file
 * trd_device.h: the devices of this machine and how they are named ("cpu:0"; later "opencl:0", "cuda:1").
 */
#ifndef TRD_DEVICE_H
#define TRD_DEVICE_H

#include "trd_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What is known of one device without opening it. Strings are borrowed and live as long as the process. */
typedef struct trd_device_info {
    size_t      struct_size;      /**< set by the caller to sizeof(trd_device_info) */
    const char *id;               /**< "cpu:0" */
    const char *name;             /**< as the vendor writes it */
    const char *backend;          /**< "cpu" */
    const char *isa;              /**< instruction set in use on a CPU ("avx2"); "" elsewhere */
    int64_t     n_compute_units;  /**< cores that this process may use */
    int64_t     memory_bytes;     /**< memory that this process may use, cgroup limits included */
    const char *compute_types;    /**< supported compute types, comma separated, e.g. "float32" */
    const char *unusable;         /**< why the device cannot be used; "" if it can */
} trd_device_info;

/** Number of devices, unusable ones included; at least 1 (the CPU). Threads: any. */
TRD_API int64_t trd_device_count(void);

/**
 * Describe device i.
 *
 * @param info  struct_size set by the caller; that many bytes are filled
 * @return TRD_OK; TRD_E_RANGE if i is not in 0 .. trd_device_count()-1; TRD_E_INVALID
 */
TRD_API trd_status trd_device_get_info(int64_t i, trd_device_info *info);

/** Line i of why something was not found ("cuda: built without CUDA"); NULL past the last. Static strings. */
TRD_API const char *trd_device_note(int64_t i);

#ifdef __cplusplus
}
#endif
#endif /* TRD_DEVICE_H */
