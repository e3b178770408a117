/* discovery.h: asks the back ends that are modules for their devices. */
#ifndef TRDI_DISCOVERY_H
#define TRDI_DISCOVERY_H

#include "device/device.h"
#include "device/modules.h"

enum { TRDI_MAX_DEVICES = 64, TRDI_MAX_NOTES = 32 };

/** Devices and notes being collected; what comes when an array is full is dropped. */
typedef struct trdi_findings {
    trdi_device *devices;                  /**< [capacity] */
    size_t       capacity;
    size_t       n_devices;
    char       (*notes)[TRDI_NOTE_BYTES];  /**< [TRDI_MAX_NOTES] */
    size_t       n_notes;
} trdi_findings;

/** Add the devices of one back end. A failure of the back end is returned. */
trd_status trdi_findings_ask(trdi_findings *findings, const trdi_backend_ops *ops);
/** Add a line. */
void trdi_findings_note(trdi_findings *findings, const char *format, ...) TRDI_PRINTF(2, 3);

/**
 * Load all modules and ask them. Back ends without a module, without devices, or that fail, leave notes. To be called once per process;
 * holds no lock, and back ends may log, which calls the user.
 */
void trdi_discover_modules(trdi_findings *findings);

#endif
