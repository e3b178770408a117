/*
 * modules.c: see modules.h. A module gets the host's functions in a table and gives its own back, so that it links nothing of the
 * library and a library can be inside a program that knows no dynamic symbols.
 */
#include "device/modules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/files.h"
#include "core/log.h"
#include "core/shared_library.h"
#include "core/strings.h"

#if defined(_WIN32)
#define PATH_SEPARATORS ";"
#define MODULE_SUFFIX ".dll"
#else
#define PATH_SEPARATORS ":"
#define MODULE_SUFFIX ".so"
#endif

/* Where this library is to be installed; empty where nothing is installed. */
#if !defined(TRDI_INSTALL_LIBDIR)
#define TRDI_INSTALL_LIBDIR ""
#endif

static trd_status host_fail(trd_status code, const char *text)
{
    return trdi_fail(code, "%s", text);
}

static trd_status host_fail_within(trd_status code, const char *text)
{
    return trdi_fail_within(code, "%s", text);
}

static void host_log(trd_log_level level, const char *text)
{
    trdi_log(level, "%s", text);
}

/* The module keeps a pointer to it. */
static const trdi_backend_host host = {
    .abi = TRDI_BACKEND_ABI,
    .alloc = trdi_alloc,
    .free = trdi_free,
    .fail = host_fail,
    .fail_within = host_fail_within,
    .log_enabled = trdi_log_enabled,
    .log = host_log,
    .version = TRDI_VERSION,
};

static void set_note(trdi_module *module, const char *name, const char *format, ...) TRDI_PRINTF(3, 4);
static void set_note(trdi_module *module, const char *name, const char *format, ...)
{
    const int used = snprintf(module->note, sizeof module->note, "%s: ", name);
    va_list arguments;
    va_start(arguments, format);
    if (used > 0 && (size_t)used < sizeof module->note)
        (void)vsnprintf(module->note + used, sizeof module->note - (size_t)used, format, arguments);
    va_end(arguments);
}

/* The file's name alone. */
static const char *last_part(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Of the folder of a file, without the last slash. */
static size_t folder_length(const char *path)
{
    const char *const name = last_part(path);
    return name > path ? (size_t)(name - path - 1) : 0;
}

/* What the module's own function gave, refused if it is no table of ours. */
static void take_ops(const char *name, const trdi_backend_ops *ops, trdi_module *module)
{
    const char *const file = last_part(module->path);
    if (ops == NULL) set_note(module, name, "%s gave no table of functions", file);
    else if (ops->abi != TRDI_BACKEND_ABI)
        set_note(module, name, "%s has interface %u, this library has %u", file, (unsigned)ops->abi, (unsigned)TRDI_BACKEND_ABI);
    else if (ops->name == NULL || strcmp(ops->name, name) != 0)
        set_note(module, name, "%s is a back end named '%s'", file, ops->name != NULL ? ops->name : "");
    else module->ops = ops;
}

void trdi_module_load_file(const char *name, const char *path, trdi_module *module)
{
    *module = (trdi_module){ .ops = NULL };
    module->path = trdi_strndup(path, strlen(path));
    if (module->path == NULL) {
        set_note(module, name, "out of memory");
        return;
    }
    void *library;
    if (trdi_library_open(path, &library) != TRD_OK) {
        set_note(module, name, "%s cannot be loaded: %s", last_part(path), trd_last_error());
        return;
    }
    trdi_backend_entry *entry;
    if (!trdi_library_function(library, TRDI_BACKEND_ENTRY, &entry, sizeof entry)) {
        set_note(module, name, "%s is no module of this library: it lacks %s", last_part(path), TRDI_BACKEND_ENTRY);
        return;
    }
    const trdi_backend_ops *ops = NULL;
    char before[TRDI_ERROR_BYTES];
    (void)snprintf(before, sizeof before, "%s", trd_last_error());
    /* A module of another interface cannot set a text: this one stays then. */
    (void)trdi_fail(TRD_E_UNSUPPORTED, "%s refuses interface %u of this library", last_part(path), (unsigned)TRDI_BACKEND_ABI);
    if (entry(TRDI_BACKEND_ABI, &host, &ops) == TRD_OK) take_ops(name, ops, module);
    else set_note(module, name, "%s", trd_last_error());
    (void)trdi_fail(TRD_OK, "%s", before);        /* no call of the user's has failed */
}

/* The first of the folders that has the file, joined to it; those looked at are added to seen. */
static char *find_in(const char *folder, size_t length, const char *file, trdi_text *seen)
{
    if (length == 0) return NULL;
    trdi_text_add(seen, "%s%.*s", seen->length > 0 ? ", " : "", (int)length, folder);
    char *const copy = trdi_strndup(folder, length);
    char *path = copy != NULL ? trdi_path_join(copy, file) : NULL;
    trdi_free(copy);
    if (path != NULL && trdi_file_readable(path)) return path;
    trdi_free(path);
    return NULL;
}

/* A folder, then its subfolder for modules. */
static char *find_below(const char *folder, size_t length, const char *file, trdi_text *seen)
{
    char *path = find_in(folder, length, file, seen);
    if (path != NULL || length == 0) return path;
    trdi_text below = { .data = NULL };
    trdi_text_add(&below, "%.*s/treadle", (int)length, folder);
    if (!below.failed) path = find_in(below.data, below.length, file, seen);
    trdi_text_free(&below);
    return path;
}

static char *find_in_list(const char *folders, const char *file, trdi_text *seen)
{
    char *path = NULL;
    while (path == NULL && *folders != '\0') {
        const size_t length = strcspn(folders, PATH_SEPARATORS);
        path = find_in(folders, length, file, seen);
        folders += length + (folders[length] != '\0');
    }
    return path;
}

static char *find_beside_library(const char *file, trdi_text *seen)
{
    char *const own = trdi_library_own_path(), *const program = trdi_program_path();
    char *path = NULL;
    if (own != NULL) path = find_below(own, folder_length(own), file, seen);
    const bool inside = own != NULL && program != NULL && strcmp(own, program) == 0;
    if (path == NULL && inside) path = find_below(TRDI_INSTALL_LIBDIR, strlen(TRDI_INSTALL_LIBDIR), file, seen);
    trdi_free(own);
    trdi_free(program);
    return path;
}

char *trdi_find_beside_library(const char *file)
{
    trdi_text seen = { .data = NULL };
    char *const path = find_beside_library(file, &seen);
    trdi_text_free(&seen);
    return path;
}

void trdi_module_load(const char *name, trdi_module *module)
{
    *module = (trdi_module){ .ops = NULL };
    char file[64];
    (void)snprintf(file, sizeof file, "treadle-%s" MODULE_SUFFIX, name);
    trdi_text seen = { .data = NULL };
    const char *const folders = trdi_process_privileged() ? NULL : getenv("TREADLE_BACKEND_PATH");
    char *const path = folders != NULL && folders[0] != '\0' ? find_in_list(folders, file, &seen) : find_beside_library(file, &seen);
    if (path != NULL) trdi_module_load_file(name, path, module);
    else set_note(module, name, "no %s in %s", file, seen.data != NULL ? seen.data : "any folder");
    trdi_text_free(&seen);
    trdi_free(path);
    if (module->ops != NULL) trdi_log(TRD_LOG_DEBUG, "%s: loaded %s", name, module->path);
}

void trdi_module_forget(trdi_module *module)
{
    trdi_free(module->path);
    module->path = NULL;
}
