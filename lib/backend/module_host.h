/* module_host.h: what a module's entry function needs of module_host.c. */
#ifndef TRDI_MODULE_HOST_H
#define TRDI_MODULE_HOST_H

#include "backend/backend.h"

/** Before anything else of core is used in the module. The table lives as long as the process. */
void trdi_module_set_host(const trdi_backend_host *host);
/** Version of the library that loaded the module. */
const char *trdi_module_version(void);

#endif
