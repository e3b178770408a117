/* device.h: the registry of devices, selection by name, placement of threads by hwloc, and memory limits. */
#ifndef TRDI_DEVICE_H
#define TRDI_DEVICE_H

#include "backend/backend.h"
#include "treadle/trd_device.h"

/** One device, opened at most once per process; lives until the process ends or trdi_device_release() drops the last use. */
typedef struct trdi_device {
    const trdi_backend_ops *ops;
    void             *impl;      /**< the back end's device, open */
    trdi_device_facts facts;
    char nearest_cores[128];     /**< hardware threads nearest to it that this process may use: "0-15,32-47"; "" = not known */
    char numa_nodes[64];         /**< of these: "0"; "" = not known */
} trdi_device;

/**
 * Choose and open a device. selector: NULL or "" (TREADLE_DEVICE, else "cpu"), else as trdi_device_select() says. A selector that only
 * means the CPU asks no other back end: no module is loaded and no driver is started.
 *
 * @return TRD_OK; what trdi_device_select() and the back end return; TRD_E_UNSUPPORTED if the selector names several devices; TRD_E_FORKED if
 *         the device's driver was started before a fork
 */
trd_status trdi_device_acquire(const char *selector, trdi_device **out);
/**
 * As trdi_device_acquire() for a selector that may name several: all are opened, or none. out: [capacity], in the selector's order, each to be
 * released; a device named twice is there twice. More are TRD_E_RANGE.
 */
trd_status trdi_device_acquire_list(const char *selector, trdi_device **out, size_t capacity, size_t *n);
/** One more use of a device that was acquired at some time: opened again if it is closed by now. TRD_E_FORKED as above. */
trd_status trdi_device_retain(trdi_device *device);
/** NULL does nothing. */
void trdi_device_release(trdi_device *device);

/**
 * Device i of the list of all back ends, not opened: only what is not impl may be read. NULL past the last, or when the CPU cannot be listed.
 * Device 0 is the CPU, and to look at it asks no other back end.
 */
const trdi_device *trdi_device_at(int64_t i);
/** Line i of why something is not there; NULL past the last. Static. */
const char *trdi_device_note(int64_t i);

/** "cpu", "gpu", "accelerator"; static. */
const char *trdi_device_type_name(trdi_device_type type);
/** Names of the compute types that a device has, separated by commas: "float32,int8,int8_float32"; static. */
const char *trdi_device_compute_types(const trdi_device_facts *facts);

/** Threads a worker uses for intra_threads (0 = OMP_NUM_THREADS if a positive number, else min(4, cores allowed)). */
int32_t trdi_device_default_threads(int32_t intra_threads);

/** Cores that this process may use (affinity and cgroup quota, rounded up), at least 1; hardware threads of a core count once. */
int64_t trdi_device_cores_allowed(void);

/** Pins threads: thread t of the context's worker goes to allowed core (first + t) % cores. For trdi_queue_options.thread_start. */
typedef struct trdi_pin { int64_t first_core; } trdi_pin;
void trdi_device_pin_thread(void *pin, int32_t thread);
/**
 * Bind the calling thread, which is to feed the device, to the cores nearest to it, and its memory likewise. Does nothing for devices that
 * are cores themselves, nor where the place of the device is not known.
 */
void trdi_device_bind_feeder(const trdi_device *device);

#endif
