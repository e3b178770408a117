/* modules.h: back ends that are files of their own (treadle-opencl.so), found and loaded at run time. Used by the registry and treadle-probe. */
#ifndef TRDI_MODULES_H
#define TRDI_MODULES_H

#include "backend/backend.h"

enum { TRDI_NOTE_BYTES = 384 };

/** A back end of a module, or why there is none. */
typedef struct trdi_module {
    const trdi_backend_ops *ops;     /**< NULL: see note; else valid as long as the process */
    char *path;                      /**< of its file, owned (trdi_module_forget()); NULL = no file was found */
    char  note[TRDI_NOTE_BYTES];     /**< "opencl: why it is not there"; "" if it is */
} trdi_module;

/**
 * Find and load the module of a back end. It is looked for in the folders of TREADLE_BACKEND_PATH (separated by colons; only there; not
 * in a process with another user's rights), else in the folder of the library, in its subfolder treadle/, and, for a program that has the
 * library inside, where the library would be installed. A module that fails leaves a note: a process can do without it.
 *
 * @param name  "opencl"; the file is treadle-NAME.so. Call once per name: a module is not unloaded.
 */
void trdi_module_load(const char *name, trdi_module *module);
/** Load a module's file. module->path is set in any case, unless memory runs out. */
void trdi_module_load_file(const char *name, const char *path, trdi_module *module);
/** Path of a file beside the library or in treadle/ below it, where trdi_module_load() looks too. Owned; NULL = not there. */
char *trdi_find_beside_library(const char *file);
/** Free the path; the code stays. */
void trdi_module_forget(trdi_module *module);

#endif
