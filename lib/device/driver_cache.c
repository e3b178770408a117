/*
 * driver_cache.c: one JSON file per key. An answer holds while the libraries of the drivers are what they were; one with a driver that is
 * kept out is asked again after an hour, since what was wrong with it may lie elsewhere.
 */
#include "device/driver_cache.h"

#include <inttypes.h>
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/files.h"
#include "core/log.h"

enum { FORMAT_VERSION = 1, FAILURE_SECONDS = 3600, MAX_FILES = 16 };

#define FILE_PREFIX "opencl-drivers-"

/* What decides which devices a loader or driver shows, or which libraries it loads. */
static const char *const variables[] = {
    "OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES", "OCL_ICD_ASSUME_ICD_EXTENSION", "OCL_ICD_PLATFORM_SORT", "OPENCL_LAYERS",
    "OPENCL_LAYER_PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "RUSTICL_ENABLE", "POCL_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
    "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "ONEAPI_DEVICE_SELECTOR", "CL_CONFIG_DEVICES",
};

static void add_file(trdi_text *key, const char *what, const char *path)
{
    trdi_file_identity file = { 0 };
    (void)trdi_file_identify(path, &file);
    trdi_text_add(key, "%s %s %" PRIu64 " %" PRId64 "\n", what, path, file.bytes, file.modified_ns);
}

void trdi_driver_cache_key(const trdi_drivers *drivers, const char *module, trdi_text *key)
{
    trdi_text_add(key, "format %d library %s source %s\n", (int)FORMAT_VERSION, trd_version(), drivers->source);
    add_file(key, "module", module);
    for (size_t i = 0; i < drivers->n; i++) add_file(key, "icd", drivers->list[i].file);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *const value = getenv(variables[i]);
        if (value != NULL) trdi_text_add(key, "%s=%s\n", variables[i], value);
    }
}

/* FNV-1a, 64 bits; the whole key is compared as well. */
static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *text != '\0'; text++) h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return h;
}

/* Path of the file for a key, owned; NULL = nothing is kept. */
static char *cache_path(const char *key, bool make_folder)
{
    char *const folder = trdi_cache_folder();
    if (folder == NULL) return NULL;
    char name[64];
    (void)snprintf(name, sizeof name, FILE_PREFIX "%016" PRIx64 ".json", hash(key));
    char *path = NULL;
    if (!make_folder || trdi_make_folders(folder) == TRD_OK) path = trdi_path_join(folder, name);
    else trdi_log(TRD_LOG_WARNING, "what drivers answered is not kept: %s", trd_last_error());
    trdi_free(folder);
    return path;
}

static bool has_failure(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_true(json_object_get(json_array_get(list, i), "kept_out"))) return true;
    return false;
}

/* Does the entry's library look as it did? */
static bool is_unchanged(const json_t *entry)
{
    const char *const library = json_string_value(json_object_get(entry, "library"));
    trdi_file_identity now;
    if (library == NULL) return true;
    return trdi_file_identify(library, &now) && now.bytes == (uint64_t)json_integer_value(json_object_get(entry, "bytes")) &&
           now.modified_ns == json_integer_value(json_object_get(entry, "modified_ns"));
}

static bool still_holds(const json_t *root, const char *key, size_t n)
{
    const char *const kept = json_string_value(json_object_get(root, "key"));
    const json_t *const list = json_object_get(root, "drivers");
    if (kept == NULL || strcmp(kept, key) != 0 || !json_is_array(list) || json_array_size(list) != n) return false;
    const int64_t age = (int64_t)time(NULL) - json_integer_value(json_object_get(root, "written"));
    if (has_failure(list) && (age < 0 || age > FAILURE_SECONDS)) return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *const entry = json_array_get(list, i);
        if (!json_is_string(json_object_get(entry, "error")) || !json_is_boolean(json_object_get(entry, "kept_out")) || !is_unchanged(entry))
            return false;
    }
    return true;
}

static void take_entry(trdi_driver *driver, const json_t *entry)
{
    const char *const library = json_string_value(json_object_get(entry, "library"));
    trdi_free(driver->shared_library);
    driver->shared_library = library != NULL ? trdi_strndup(library, strlen(library)) : NULL;
    driver->library_bytes = (uint64_t)json_integer_value(json_object_get(entry, "bytes"));
    driver->library_modified_ns = json_integer_value(json_object_get(entry, "modified_ns"));
    driver->kept_out = json_is_true(json_object_get(entry, "kept_out"));
    (void)snprintf(driver->error, sizeof driver->error, "%s", json_string_value(json_object_get(entry, "error")));
}

bool trdi_driver_cache_read(trdi_drivers *drivers, const char *key)
{
    char *const path = cache_path(key, false);
    json_t *const root = path != NULL ? json_load_file(path, 0, NULL) : NULL;
    trdi_free(path);
    const bool holds = root != NULL && still_holds(root, key, drivers->n);
    const json_t *const list = json_object_get(root, "drivers");
    for (size_t i = 0; holds && i < drivers->n; i++) take_entry(&drivers->list[i], json_array_get(list, i));
    json_decref(root);
    return holds;
}

/* NULL as null: a path that is not UTF-8 cannot be kept. */
static json_t *driver_json(const trdi_driver *driver)
{
    return json_pack("{s:s?, s:I, s:I, s:s, s:b}", "library", driver->shared_library, "bytes", (json_int_t)driver->library_bytes,
                     "modified_ns", (json_int_t)driver->library_modified_ns, "error", driver->error, "kept_out", (int)driver->kept_out);
}

static void write_json(const json_t *root, const char *path)
{
    trdi_atomic_file file;
    trd_status status = trdi_atomic_file_open(path, &file);
    if (status == TRD_OK && json_dumpf(root, file.stream, JSON_INDENT(1)) != 0) {
        trdi_atomic_file_abandon(&file);
        status = trdi_fail(TRD_E_IO, "cannot write '%s'", path);
    } else if (status == TRD_OK) {
        status = trdi_atomic_file_commit(&file);
    }
    if (status != TRD_OK) trdi_log(TRD_LOG_WARNING, "what drivers answered is not kept: %s", trd_last_error());
}

/* Path of the oldest answer of a folder, owned; *n: how many there are. */
static char *oldest_file(const char *folder, size_t *n)
{
    char *oldest = NULL;
    int64_t written = INT64_MAX;
    *n = 0;
    DIR *const directory = opendir(folder);
    if (directory == NULL) return NULL;
    for (const struct dirent *each = readdir(directory); each != NULL; each = readdir(directory)) {
        const size_t bytes = strlen(each->d_name);
        if (strncmp(each->d_name, FILE_PREFIX, strlen(FILE_PREFIX)) != 0 || strcmp(each->d_name + bytes - 5, ".json") != 0) continue;
        char *path = trdi_path_join(folder, each->d_name);
        trdi_file_identity file;
        if (path == NULL || !trdi_file_identify(path, &file)) {
            trdi_free(path);
            continue;
        }
        (*n)++;
        if (file.modified_ns < written) {
            written = file.modified_ns;
            char *const before = oldest;
            oldest = path;
            path = before;
        }
        trdi_free(path);
    }
    (void)closedir(directory);
    return oldest;
}

/* Remove the oldest answers past the bound: every variation of the environment has one. Other processes may do the same at once. */
static void make_room(void)
{
    char *const folder = trdi_cache_folder();
    bool full = folder != NULL;
    while (full) {
        size_t n;
        char *const oldest = oldest_file(folder, &n);
        full = oldest != NULL && n > MAX_FILES && unlink(oldest) == 0;
        trdi_free(oldest);
    }
    trdi_free(folder);
}

void trdi_driver_cache_write(const trdi_drivers *drivers, const char *key)
{
    char *const path = cache_path(key, true);
    if (path == NULL) return;
    json_t *const list = json_array();
    bool good = list != NULL;
    for (size_t i = 0; good && i < drivers->n; i++) good = json_array_append_new(list, driver_json(&drivers->list[i])) == 0;
    json_t *const root = good ? json_pack("{s:s, s:I, s:O}", "key", key, "written", (json_int_t)time(NULL), "drivers", list) : NULL;
    if (root != NULL) write_json(root, path);
    make_room();
    json_decref(root);
    json_decref(list);
    trdi_free(path);
}
