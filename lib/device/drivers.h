/*
 * drivers.h: the OpenCL drivers of this machine, as the ICD loader finds them, and which of them may be asked in this process. A driver
 * can crash or hang while it is asked for its devices; so treadle-probe, a program of its own, asks first.
 */
#ifndef TRDI_DRIVERS_H
#define TRDI_DRIVERS_H

#include "core/status.h"

enum { TRDI_DRIVER_ERROR_BYTES = 192 };

typedef struct trdi_driver {
    char    *file;         /**< the .icd file, or a library that is named directly; absolute where it exists; owned */
    char    *shared_library; /**< of the driver, as it was loaded; NULL = not known; owned */
    uint64_t library_bytes;
    int64_t  library_modified_ns;
    char     error[TRDI_DRIVER_ERROR_BYTES];   /**< why it gives no devices; "" = nothing is known against it */
    bool     kept_out;     /**< it must not be loaded into this process */
} trdi_driver;

typedef struct trdi_drivers {
    char        *source;   /**< where the loader looks: a folder, an .icd file or a library; owned */
    bool         is_folder;
    trdi_driver *list;     /**< [n], by name */
    size_t       n, capacity;
} trdi_drivers;

/** List what OCL_ICD_VENDORS, OPENCL_VENDOR_PATH or the system's folder hold. @return TRD_OK, also when there is nothing; TRD_E_MEMORY */
trd_status trdi_drivers_list(trdi_drivers *drivers);
/** The library of an .icd file: its first line; any other file is one. @return false if there is none */
bool trdi_driver_library_name(const char *path, char *name, size_t bytes);
/** Does nothing on a zeroed struct. */
void trdi_drivers_free(trdi_drivers *drivers);

/**
 * Have the drivers asked by treadle-probe, unless an answer is in the cache or TREADLE_PROBE turns it off; sets error and kept_out.
 *
 * @param module  path of treadle-opencl.so
 */
void trdi_drivers_check(trdi_drivers *drivers, const char *module);

/** A folder with links to some .icd files, for OCL_ICD_VENDORS. */
typedef struct trdi_vendor_folder {
    char path[256];        /**< "" = none */
    const trdi_drivers *drivers;
} trdi_vendor_folder;
/** Make a folder with the drivers that are not kept out. @return false, with nothing left behind, if it cannot be made */
bool trdi_vendor_folder_make(const trdi_drivers *drivers, trdi_vendor_folder *folder);
/** Remove it. Does nothing on a zeroed struct. */
void trdi_vendor_folder_remove(trdi_vendor_folder *folder);

#endif
