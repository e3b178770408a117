/* probe_run.h: one run of treadle-probe. */
#ifndef TRDI_PROBE_RUN_H
#define TRDI_PROBE_RUN_H

#include "device/drivers.h"

typedef enum trdi_probe_end {
    TRDI_PROBE_ANSWERED,
    TRDI_PROBE_FAILED,       /**< it died, or was killed when its time was over: a driver's fault */
    TRDI_PROBE_NOT_STARTED   /**< nothing is known */
} trdi_probe_end;

typedef struct trdi_probe_run {
    const char  *program;    /**< treadle-probe */
    const char  *module;     /**< treadle-opencl.so */
    const char  *vendors;    /**< OCL_ICD_VENDORS for it; NULL = as here */
    trdi_driver *drivers;    /**< [n_drivers]: library and error are set from the answer */
    size_t       n_drivers;
    char         reason[TRDI_DRIVER_ERROR_BYTES];   /**< set unless it answered: "crashed while it was asked (signal 11)" */
} trdi_probe_run;

/** Start it, wait for its answer, at most TREADLE_PROBE_TIMEOUT seconds (30), and see to it that it has ended. */
trdi_probe_end trdi_probe_run_now(trdi_probe_run *run);

/** TREADLE_PROBE_TIMEOUT, else 30. */
double trdi_probe_limit_seconds(void);

/** Path of the program to use, owned; NULL when TREADLE_PROBE turns it off or there is none. TREADLE_PROBE may also name it. */
char *trdi_probe_find(void);

#endif
