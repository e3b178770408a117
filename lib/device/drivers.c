/* drivers.c: .icd files, and folders of links to them. */
#define _XOPEN_SOURCE 700 /* realpath, mkdtemp */
#include "device/drivers.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/files.h"

#define SYSTEM_FOLDER "/etc/OpenCL/vendors"

static const char *last_part(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool has_suffix(const char *name, const char *suffix)
{
    const size_t a = strlen(name), b = strlen(suffix);
    return a > b && strcmp(name + a - b, suffix) == 0;
}

static const char *environment_or(const char *name, const char *otherwise)
{
    const char *const value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

/* Absolute where the file exists, since links to it are made elsewhere. */
static char *copy_path(const char *path)
{
    char absolute[4096];
    if (realpath(path, absolute) != NULL) path = absolute;
    return trdi_strndup(path, strlen(path));
}

/* Takes the path. */
static bool add_driver(trdi_drivers *drivers, char *file)
{
    if (file == NULL || !trdi_reserve((void **)&drivers->list, &drivers->capacity, drivers->n + 1, sizeof *drivers->list)) {
        trdi_free(file);
        return false;
    }
    drivers->list[drivers->n++] = (trdi_driver){ .file = file };
    return true;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const trdi_driver *)a)->file, ((const trdi_driver *)b)->file);
}

static bool list_folder(trdi_drivers *drivers)
{
    DIR *const folder = opendir(drivers->source);
    if (folder == NULL) return true;
    bool good = true;
    for (const struct dirent *entry; good && (entry = readdir(folder)) != NULL;) {
        if (has_suffix(entry->d_name, ".icd")) good = add_driver(drivers, trdi_path_join(drivers->source, entry->d_name));
    }
    (void)closedir(folder);
    if (drivers->n > 1) qsort(drivers->list, drivers->n, sizeof *drivers->list, compare_files);
    return good;
}

/* A name without a folder means one in the system's folder first. */
static char *find_single(const char *source)
{
    if (strchr(source, '/') == NULL && has_suffix(source, ".icd")) {
        char *const path = trdi_path_join(environment_or("OPENCL_VENDOR_PATH", SYSTEM_FOLDER), source);
        if (path == NULL || trdi_file_readable(path)) return path;
        trdi_free(path);
    }
    return strchr(source, '/') != NULL || has_suffix(source, ".icd") ? copy_path(source) : trdi_strndup(source, strlen(source));
}

trd_status trdi_drivers_list(trdi_drivers *drivers)
{
    *drivers = (trdi_drivers){ .source = NULL };
    const char *const source = environment_or("OCL_ICD_VENDORS", environment_or("OPENCL_VENDOR_PATH", SYSTEM_FOLDER));
    struct stat facts;
    const bool exists = stat(source, &facts) == 0;
    drivers->is_folder = exists && S_ISDIR(facts.st_mode);
    drivers->source = copy_path(source);
    bool good = drivers->source != NULL;
    if (good && drivers->is_folder) good = list_folder(drivers);
    else if (good && (exists || strchr(source, '/') == NULL)) good = add_driver(drivers, find_single(source));
    if (good) return TRD_OK;
    trdi_drivers_free(drivers);
    return trdi_fail(TRD_E_MEMORY, "list of OpenCL drivers: out of memory");
}

bool trdi_driver_library_name(const char *path, char *name, size_t bytes)
{
    const size_t length = strlen(path);
    (void)snprintf(name, bytes, "%s", path);
    if (length < 4 || strcmp(path + length - 4, ".icd") != 0) return true;
    FILE *const file = fopen(path, "r");
    if (file == NULL) return false;
    const bool read = fgets(name, (int)bytes, file) != NULL;
    (void)fclose(file);
    if (read) name[strcspn(name, "\r\n")] = '\0';
    return read && name[0] != '\0';
}

void trdi_drivers_free(trdi_drivers *drivers)
{
    for (size_t i = 0; i < drivers->n; i++) {
        trdi_free(drivers->list[i].file);
        trdi_free(drivers->list[i].shared_library);
    }
    trdi_free(drivers->list);
    trdi_free(drivers->source);
    *drivers = (trdi_drivers){ .source = NULL };
}

static bool link_name(const trdi_vendor_folder *folder, const trdi_driver *driver, char *path, size_t bytes)
{
    const int length = snprintf(path, bytes, "%s/%s", folder->path, last_part(driver->file));
    return length > 0 && (size_t)length < bytes;
}

bool trdi_vendor_folder_make(const trdi_drivers *drivers, trdi_vendor_folder *folder)
{
    *folder = (trdi_vendor_folder){ .drivers = drivers };
    const int length = snprintf(folder->path, sizeof folder->path, "%s/treadle-icd-XXXXXX", environment_or("TMPDIR", "/tmp"));
    if (length < 0 || (size_t)length >= sizeof folder->path || mkdtemp(folder->path) == NULL) {
        folder->path[0] = '\0';
        return false;
    }
    bool good = true;
    char path[1024];
    for (size_t i = 0; i < drivers->n && good; i++) {
        if (drivers->list[i].kept_out) continue;
        good = link_name(folder, &drivers->list[i], path, sizeof path) && symlink(drivers->list[i].file, path) == 0;
    }
    if (!good) trdi_vendor_folder_remove(folder);
    return good;
}

void trdi_vendor_folder_remove(trdi_vendor_folder *folder)
{
    if (folder->path[0] == '\0') return;
    char path[1024];
    for (size_t i = 0; i < folder->drivers->n; i++)
        if (link_name(folder, &folder->drivers->list[i], path, sizeof path)) (void)unlink(path);
    (void)rmdir(folder->path);
    folder->path[0] = '\0';
}
