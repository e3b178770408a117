/* device_select.h: what a device selector means, as a function of the devices there are. */
#ifndef TRDI_DEVICE_SELECT_H
#define TRDI_DEVICE_SELECT_H

#include "backend/backend.h"
#include "device/modules.h"

/** What there is to choose from. */
typedef struct trdi_device_choice {
    const trdi_device_facts *facts;            /**< [n], the CPU first */
    size_t n;
    const char (*notes)[TRDI_NOTE_BYTES];      /**< [n_notes], "KIND: why something of that kind is not there" */
    size_t n_notes;
} trdi_device_choice;

/**
 * Find the devices that a selector names: one, or a list separated by commas, in its order; one named twice is there twice. Case does not matter.
 *
 * cpu, opencl, cuda: the best usable device of that back end, a GPU before others; opencl:1: that one. gpu, gpu:1: usable GPUs, in the
 * order cuda, opencl. auto: the first usable GPU, else the CPU. Anything else: part of a device's name, else of its platform's.
 *
 * @param selector  not NULL, not ""
 * @param origin    put after the selector in texts: "" or " (from TREADLE_DEVICE)"
 * @param chosen    [capacity], indices into facts
 * @return TRD_OK; TRD_E_INVALID with what there is; TRD_E_DEVICE if a named device cannot be used; TRD_E_RANGE if there are more names than capacity
 */
trd_status trdi_device_select(const char *selector, const char *origin, const trdi_device_choice *choice, size_t *chosen, size_t capacity,
                             size_t *n_chosen);

/** Does the selector mean the CPU whatever else there is, so that no other back end need be asked? */
bool trdi_device_selects_cpu(const char *selector);

#endif
