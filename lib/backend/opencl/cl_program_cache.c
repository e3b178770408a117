/*
 * cl_program_cache.c: files of compiled programs: a header with the key and a checksum, then what the driver gave. The key is a digest of the
 * source, the options, the device, its driver and this library's version, so files are never changed, only replaced by equal ones.
 */
#include "backend/opencl/cl_program_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/module_host.h"
#include "core/alloc.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/strings.h"

enum { FORMAT_VERSION = 1, MAX_FILES = 4096 };
#define MAGIC "TRDCLBIN"
#define FOLDER "opencl-programs"
#define SUFFIX ".program"
#define MAX_FOLDER_BYTES ((uint64_t)256 << 20)
#define STALE_SECONDS 3600       /* a file written aside is left by a process that died, if it is so old */

typedef struct file_header {
    char     magic[8];
    uint32_t version, header_bytes;
    uint64_t payload_bytes;
    uint8_t  key[16], checksum[16];
    uint8_t  unused[8];
} file_header;

struct trdi_cl_cache {
    const char *device;          /* its id; borrowed */
    char *folder;
    char *identity;              /* of device, driver, library */
    atomic_bool told;            /* that files cannot be written */
};

/* ---- Keys ---- */

static char *make_identity(const trdi_cl_device *device)
{
    static const cl_device_info of_device[] = { CL_DEVICE_NAME, CL_DEVICE_VENDOR, CL_DEVICE_VERSION, CL_DRIVER_VERSION, CL_DEVICE_OPENCL_C_VERSION };
    static const cl_platform_info of_platform[] = { CL_PLATFORM_NAME, CL_PLATFORM_VERSION };
    trdi_text text = { NULL, 0, 0, false };
    char line[256];
    for (size_t i = 0; i < sizeof of_device / sizeof of_device[0]; i++) {
        trdi_cl_device_text(device->id, of_device[i], line, sizeof line);
        trdi_text_add(&text, "%s\n", line);
    }
    for (size_t i = 0; i < sizeof of_platform / sizeof of_platform[0]; i++) {
        trdi_cl_platform_text(device->platform, of_platform[i], line, sizeof line);
        trdi_text_add(&text, "%s\n", line);
    }
    trdi_text_add(&text, "%zu\n%s\n", sizeof(void *), trdi_module_version());
    if (text.failed) trdi_text_free(&text);
    return text.failed ? NULL : text.data;
}

trdi_cl_cache *trdi_cl_cache_open(const trdi_cl_device *device)
{
    char *place = trdi_digest_available() ? trdi_cache_folder() : NULL;
    if (place == NULL) {
        trdi_log(TRD_LOG_INFO, "%s: no cache of compiled programs: %s", device->facts.id,
                 trdi_digest_available() ? "there is no cache folder" : "built without xxhash");
        return NULL;
    }
    trdi_cl_cache *cache = trdi_calloc(1, sizeof *cache);
    if (cache != NULL) {
        cache->device = device->facts.id;
        cache->folder = trdi_path_join(place, FOLDER);
        cache->identity = make_identity(device);
    }
    trdi_free(place);
    if (cache != NULL && cache->folder != NULL && cache->identity != NULL) return cache;
    trdi_cl_cache_close(cache);
    return NULL;
}

void trdi_cl_cache_close(trdi_cl_cache *cache)
{
    if (cache == NULL) return;
    trdi_free(cache->folder);
    trdi_free(cache->identity);
    trdi_free(cache);
}

void trdi_cl_cache_locate(const trdi_cl_cache *cache, const trdi_cl_source *source, const char *options, trdi_cl_cache_key *key)
{
    *key = (trdi_cl_cache_key){ .path = NULL };
    if (cache == NULL) return;
    trdi_text text = { NULL, 0, 0, false };
    trdi_text_add(&text, "%d\n%s%s\n%s\n", (int)FORMAT_VERSION, cache->identity, source->digest, options);
    if (!text.failed) {
        char name[128], hex[33] = "";
        trdi_digest(text.data, strlen(text.data), key->digest);
        for (int i = 0; i < 16; i++) (void)snprintf(hex + 2 * i, 3, "%02x", key->digest[i]);
        (void)snprintf(name, sizeof name, "%.60s-%s" SUFFIX, source->name, hex);
        key->path = trdi_path_join(cache->folder, name);
    }
    trdi_text_free(&text);
}

void trdi_cl_cache_key_clear(trdi_cl_cache_key *key)
{
    trdi_free(key->path);
    key->path = NULL;
}

/* ---- Reading ---- */

/* NULL if the file holds the binary of the key, else what is wrong with it. */
static const char *find_fault(const trdi_file_map *map, const trdi_cl_cache_key *key)
{
    file_header header;
    if (map->bytes < sizeof header) return "it is cut off";
    memcpy(&header, map->data, sizeof header);
    if (memcmp(header.magic, MAGIC, sizeof header.magic) != 0) return "it is no file of compiled programs";
    if (header.version != FORMAT_VERSION || header.header_bytes != sizeof header) return "it has another version";
    if (memcmp(header.key, key->digest, sizeof header.key) != 0) return "it belongs to another program";
    if (header.payload_bytes != map->bytes - sizeof header || header.payload_bytes == 0) return "it is cut off";
    uint8_t checksum[16];
    trdi_digest(map->data + sizeof header, (size_t)header.payload_bytes, checksum);
    return memcmp(header.checksum, checksum, sizeof checksum) == 0 ? NULL : "it is damaged";
}

bool trdi_cl_cache_load(const trdi_cl_cache_key *key, trdi_file_map *map, const uint8_t **binary, size_t *bytes)
{
    if (key->path == NULL || !trdi_file_readable(key->path)) return false;
    if (trdi_file_map_open(key->path, map) != TRD_OK) return false;
    const char *fault = find_fault(map, key);
    if (fault != NULL) {
        trdi_file_map_close(map);
        trdi_cl_cache_drop(key, fault);
        return false;
    }
    (void)utimensat(AT_FDCWD, key->path, NULL, 0);       /* it was used now: make_room() */
    *binary = map->data + sizeof(file_header);
    *bytes = map->bytes - sizeof(file_header);
    return true;
}

void trdi_cl_cache_drop(const trdi_cl_cache_key *key, const char *why)
{
    if (key->path == NULL) return;
    trdi_log(TRD_LOG_WARNING, "compiled program '%s' not used: %s", key->path, why);
    (void)unlink(key->path);
}

/* ---- Writing ---- */

typedef struct entry {
    char    *path;
    uint64_t bytes;
    int64_t  used;               /* seconds */
} entry;

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The program files of a folder; removes what dead processes left. @return how many */
static size_t list_files(const char *folder, entry *entries)
{
    size_t n = 0;
    DIR *directory = opendir(folder);
    if (directory == NULL) return 0;
    for (const struct dirent *each = readdir(directory); each != NULL && n < MAX_FILES; each = readdir(directory)) {
        const bool aside = ends_with(each->d_name, ".tmp");
        if (!aside && !ends_with(each->d_name, SUFFIX)) continue;
        char *path = trdi_path_join(folder, each->d_name);
        struct stat facts;
        if (path == NULL || stat(path, &facts) != 0 || !S_ISREG(facts.st_mode)) {
            trdi_free(path);
        } else if (aside) {
            if (facts.st_mtime + STALE_SECONDS < time(NULL)) (void)unlink(path);
            trdi_free(path);
        } else {
            entries[n++] = (entry){ path, (uint64_t)facts.st_size, (int64_t)facts.st_mtime };
        }
    }
    (void)closedir(directory);
    return n;
}

/* Remove the files used longest ago until the rest is within the bound. Other processes may do the same at once. */
static void make_room(const char *folder)
{
    entry *entries = trdi_alloc(MAX_FILES * sizeof *entries);
    if (entries == NULL) return;
    const size_t n = list_files(folder, entries);
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) total += entries[i].bytes;
    while (total > MAX_FOLDER_BYTES) {
        entry *oldest = NULL;
        for (size_t i = 0; i < n; i++) {
            if (entries[i].bytes > 0 && (oldest == NULL || entries[i].used < oldest->used)) oldest = &entries[i];
        }
        if (oldest == NULL) break;
        (void)unlink(oldest->path);
        total -= oldest->bytes;
        oldest->bytes = 0;
    }
    for (size_t i = 0; i < n; i++) trdi_free(entries[i].path);
    trdi_free(entries);
}

/* NULL when done, else what was not possible. */
static const char *write_file(const trdi_cl_cache *cache, const trdi_cl_cache_key *key, const void *binary, size_t bytes)
{
    file_header header = { .version = FORMAT_VERSION, .header_bytes = sizeof header, .payload_bytes = bytes };
    memcpy(header.magic, MAGIC, sizeof header.magic);
    memcpy(header.key, key->digest, sizeof header.key);
    trdi_digest(binary, bytes, header.checksum);
    trdi_atomic_file file;
    if (trdi_make_folders(cache->folder) != TRD_OK) return "its folder cannot be made";
    if (trdi_atomic_file_open(key->path, &file) != TRD_OK) return "no file can be made in its folder";
    if (fwrite(&header, sizeof header, 1, file.stream) != 1 || fwrite(binary, bytes, 1, file.stream) != 1) {
        trdi_atomic_file_abandon(&file);
        return "it cannot be written (no space?)";
    }
    return trdi_atomic_file_commit(&file) == TRD_OK ? NULL : "it cannot be written (no space?)";
}

void trdi_cl_cache_store(trdi_cl_cache *cache, const trdi_cl_cache_key *key, const void *binary, size_t bytes)
{
    if (cache == NULL || key->path == NULL || bytes == 0) return;
    const char *obstacle = write_file(cache, key, binary, bytes);
    if (obstacle == NULL) {
        trdi_log(TRD_LOG_DEBUG, "%s: compiled program kept in '%s' (%zu bytes)", cache->device, key->path, bytes);
        make_room(cache->folder);
    } else if (!atomic_exchange(&cache->told, true)) {
        trdi_log(TRD_LOG_WARNING, "%s: compiled programs are not kept: '%s': %s", cache->device, key->path, obstacle);
    }
}
