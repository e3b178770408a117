/*
 * foreign_device.h: a back end for tests whose memory is not the host's. DEVICE memory cannot be touched while nothing runs (the program
 * would end with a signal); STEP and RESULT are carried by runs alone; what is enqueued happens as late as the seam allows, when
 * the queue is waited for. It computes with the CPU back end's kernels, so with the same bits, or with the reference where those lack a type.
 */
#ifndef TRD_TESTS_FOREIGN_DEVICE_H
#define TRD_TESTS_FOREIGN_DEVICE_H

#include "device/device.h"

/** The table; devices are opened with foreign_facts(). */
const trdi_backend_ops *foreign_backend(void);

/** Facts of a device of GPU type. @param compute_types  TRDI_TYPES_INT8 and TRDI_TYPES_F16, as wanted */
trdi_device_facts foreign_facts(uint32_t compute_types);

/** Memory of all foreign devices together: what goes beyond is TRD_E_MEMORY. Default: no limit. */
void foreign_limit_memory(size_t bytes);
/** Bytes of all buffers; the most there ever were since the last foreign_limit_memory(). */
size_t foreign_memory_in_use(void);
size_t foreign_memory_peak(void);
/** Can prepared weights be kept in a cache file? Default: no. */
void foreign_keep_weights(bool keep);
/** Numerics that the last plan was made with. */
trdi_numerics foreign_last_numerics(void);
/** Make run number n from now on (0 = the next) fail with a status, told when its queue is waited for. n < 0: none. */
void foreign_fail_run(int64_t n, trd_status status);
/**
 * Break the device of a worker: the next thread to run something that has not been broken fails, that run and all later ones, with TRD_E_DEVICE
 * "the device is gone", and it cannot be opened again. Where each device has one worker, a thread is a device.
 */
void foreign_break_next(void);
/** Called before each run, on the thread that waits for its queue; NULL: none. Not while anything runs. */
void foreign_before_run(void (*hook)(void *context), void *context);

#endif
