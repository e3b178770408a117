/* device_select.h: what a device selector means, as a function of the devices there are. */
#ifndef TRDI_DEVICE_SELECT_H
#define TRDI_DEVICE_SELECT_H

#include "backend/backend.h"

/**
 * Find the device that a selector names. Kinds and names are compared without regard to case.
 *
 * @param selector  "cpu", "cpu:0", "opencl", "cuda", "gpu", "auto" or a part of a device's name; not NULL, not ""
 * @param origin    put after the selector in texts: "" or " (from TREADLE_DEVICE)"
 * @param facts     [n], the CPU first
 * @return TRD_OK; TRD_E_INVALID with what there is; TRD_E_DEVICE if the device cannot be used
 */
trd_status trdi_device_select(const char *selector, const char *origin, const trdi_device_facts *facts, size_t n, size_t *chosen);

/** Line i of why a kind of device is not there; NULL past the last. Static. */
const char *trdi_device_missing(size_t i);

#endif
