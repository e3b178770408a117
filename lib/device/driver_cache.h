/* driver_cache.h: what treadle-probe said of the drivers, kept in the user's cache folder. */
#ifndef TRDI_DRIVER_CACHE_H
#define TRDI_DRIVER_CACHE_H

#include "core/strings.h"
#include "device/drivers.h"

/** Text of everything that the answer depends on: the module, the .icd files and the variables that drivers read. */
void trdi_driver_cache_key(const trdi_drivers *drivers, const char *module, trdi_text *key);
/** Set library, error and kept_out of all drivers from the cache. @return false, with nothing changed, if it has no answer that still holds */
bool trdi_driver_cache_read(trdi_drivers *drivers, const char *key);
/** Keep an answer. Failures are logged and otherwise ignored. */
void trdi_driver_cache_write(const trdi_drivers *drivers, const char *key);

#endif
