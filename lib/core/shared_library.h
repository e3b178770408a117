/* shared_library.h: code loaded at run time, and where the code of this library itself lies. */
#ifndef TRDI_SHARED_LIBRARY_H
#define TRDI_SHARED_LIBRARY_H

#include "core/status.h"

/** Load a library with all it needs, its symbols to itself. Never unloaded. @return TRD_E_UNSUPPORTED with the system's reason */
trd_status trdi_library_open(const char *path, void **library);
/** Is a library of this name in the process already, whoever loaded it? */
bool trdi_library_present(const char *name);
/** Put the address of a function into *function, a pointer to a function of size bytes. @return false if there is none */
bool trdi_library_function(void *library, const char *name, void *function, size_t size);
/** Path of the file in which this code lies: the shared library, or a program that has it inside. Owned; NULL = unknown. */
char *trdi_library_own_path(void);
/** Path of the running program. Owned; NULL = unknown. */
char *trdi_program_path(void);
/** Does this process have rights that its user lacks (setuid and the like)? Then its environment is not to be trusted. */
bool trdi_process_privileged(void);

#endif
