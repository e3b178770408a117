/* files.c: mapped files, paths, atomic writing. */
#include "core/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"

#if !defined(_WIN32)
#include <sys/mman.h>
#endif

#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif
#ifndef O_BINARY
#define O_BINARY 0
#endif
#ifndef O_NONBLOCK
#define O_NONBLOCK 0
#endif

/* Opening a pipe without a writer must not hang, so that it can be refused. Regular files don't care. */
static int open_to_read(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_BINARY | O_NONBLOCK);
}

#if !defined(_WIN32)
static trd_status map_descriptor(int descriptor, const char *path, size_t bytes, trdi_file_map *out)
{
    void *memory = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (memory == MAP_FAILED) return trdi_fail(TRD_E_IO, "cannot map file '%s' (%zu bytes): %s", path, bytes, strerror(errno));
    *out = (trdi_file_map){ memory, bytes, memory };
    return TRD_OK;
}

static void unmap(trdi_file_map *map) { (void)munmap(map->handle, map->bytes); }
#else
static trd_status map_descriptor(int descriptor, const char *path, size_t bytes, trdi_file_map *out)
{
    char *memory = trdi_alloc(bytes);
    if (memory == NULL) return trdi_fail(TRD_E_MEMORY, "file '%s': %zu bytes", path, bytes);
    for (size_t done = 0; done < bytes;) {
        const size_t left = bytes - done;
        const int got = read(descriptor, memory + done, left < 1u << 30 ? (unsigned)left : 1u << 30);
        if (got <= 0) {
            trdi_free(memory);
            return trdi_fail(TRD_E_IO, "cannot read file '%s' at byte %zu", path, done);
        }
        done += (size_t)got;
    }
    *out = (trdi_file_map){ (const uint8_t *)memory, bytes, memory };
    return TRD_OK;
}

static void unmap(trdi_file_map *map) { trdi_free(map->handle); }
#endif

trd_status trdi_file_map_open(const char *path, trdi_file_map *out)
{
    *out = (trdi_file_map){ 0 };
    const int descriptor = open_to_read(path);
    if (descriptor < 0) return trdi_fail(TRD_E_IO, "cannot open file '%s': %s", path, strerror(errno));
    struct stat facts;
    trd_status status = TRD_OK;
    if (fstat(descriptor, &facts) != 0) {
        status = trdi_fail(TRD_E_IO, "cannot open file '%s': %s", path, strerror(errno));
    } else if (!S_ISREG(facts.st_mode)) {
        status = trdi_fail(TRD_E_IO, "cannot open file '%s': not a regular file", path);
    } else if ((uint64_t)facts.st_size > SIZE_MAX) {
        status = trdi_fail(TRD_E_IO, "cannot open file '%s': too large to map", path);
    } else if (facts.st_size > 0) {
        status = map_descriptor(descriptor, path, (size_t)facts.st_size, out);
    }
    (void)close(descriptor);
    return status;
}

void trdi_file_map_close(trdi_file_map *map)
{
    if (map->handle != NULL) unmap(map);
    *map = (trdi_file_map){ 0 };
}

bool trdi_file_identify(const char *path, trdi_file_identity *out)
{
    struct stat facts;
    *out = (trdi_file_identity){ 0 };
    if (stat(path, &facts) != 0) return false;
    out->device = (uint64_t)facts.st_dev;
    out->inode = (uint64_t)facts.st_ino;
    out->bytes = (uint64_t)facts.st_size;
#if defined(_WIN32) || defined(__APPLE__)
    out->modified_ns = (int64_t)facts.st_mtime * 1000000000;
#else
    out->modified_ns = (int64_t)facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec;
#endif
    return true;
}

bool trdi_file_readable(const char *path)
{
    const int descriptor = open_to_read(path);
    if (descriptor < 0) return false;
    struct stat facts;
    const bool readable = fstat(descriptor, &facts) == 0 && !S_ISDIR(facts.st_mode);
    (void)close(descriptor);
    return readable;
}

char *trdi_path_join(const char *folder, const char *name)
{
    const size_t a = strlen(folder), b = strlen(name);
    const bool slash = a != 0 && folder[a - 1] != '/';
    char *path = trdi_alloc(a + b + 2);
    if (path == NULL) return NULL;
    memcpy(path, folder, a);
    if (slash) path[a] = '/';
    memcpy(path + a + (slash ? 1 : 0), name, b + 1);
    return path;
}

static bool is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

static int make_folder(const char *path)
{
#if defined(_WIN32)
    return mkdir(path);
#else
    return mkdir(path, 0700);
#endif
}

trd_status trdi_make_folders(const char *path)
{
    char *copy = trdi_strndup(path, strlen(path));
    if (copy == NULL) return trdi_fail(TRD_E_MEMORY, "folder '%s': out of memory", path);
    trd_status status = TRD_OK;
    const size_t length = strlen(copy);
    for (size_t i = 1; i <= length && status == TRD_OK; i++) {
        if (copy[i] != '/' && copy[i] != '\0') continue;
        const char kept = copy[i];
        copy[i] = '\0';
        if (make_folder(copy) != 0) {
            const int error = errno;
            if (!is_folder(copy)) status = trdi_fail(TRD_E_IO, "cannot make folder '%s': %s", copy, strerror(error));
        }
        copy[i] = kept;
    }
    trdi_free(copy);
    return status;
}

/* Names the file and creates it. A file of that name can be left from a process with our number that died: then another name. */
static int create_temporary(trdi_atomic_file *file, size_t room, int mode)
{
    static atomic_uint counter;
    for (int attempt = 0;; attempt++) {
        (void)snprintf(file->temporary, room, "%s.%ld.%u.tmp", file->path, (long)getpid(), atomic_fetch_add(&counter, 1));
        const int descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_BINARY, mode);
        if (descriptor >= 0 || errno != EEXIST || attempt == 1000) return descriptor;
    }
}

/* The path is consumed; NULL is a want of memory. @param name  what the caller called it */
static trd_status open_beside(char *path, const char *name, int mode, trdi_atomic_file *file)
{
    *file = (trdi_atomic_file){ .path = path };
    const size_t room = path != NULL ? strlen(path) + 64 : 64;
    file->temporary = trdi_alloc(room);
    if (file->path == NULL || file->temporary == NULL) {
        trdi_free(file->temporary);
        file->temporary = NULL;
        trdi_atomic_file_abandon(file);
        return trdi_fail(TRD_E_MEMORY, "file '%s': out of memory", name);
    }
    const int descriptor = create_temporary(file, room, mode);
    if (descriptor >= 0) file->stream = fdopen(descriptor, "wb");
    if (file->stream != NULL) return TRD_OK;
    const int error = errno;
    if (descriptor >= 0) {
        (void)close(descriptor);
        (void)unlink(file->temporary);
    }
    trdi_free(file->temporary);
    file->temporary = NULL;
    trdi_atomic_file_abandon(file);
    return trdi_fail(TRD_E_IO, "cannot create a file beside '%s': %s", name, strerror(error));
}

trd_status trdi_atomic_file_open(const char *path, trdi_atomic_file *file)
{
    return open_beside(trdi_strndup(path, strlen(path)), path, 0600, file);
}

#if defined(_WIN32)
static char *follow_links(const char *path) { return trdi_strndup(path, strlen(path)); }
static void copy_mode(const char *path, FILE *stream) { (void)path, (void)stream; }
#else
/* What a symbolic link points at, relative to its folder. NULL: no link, or none that can be read. */
static char *read_link(const char *path)
{
    char target[4096];
    const ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0 || (size_t)n >= sizeof target - 1) return NULL;
    target[n] = '\0';
    const char *const slash = strrchr(path, '/');
    if (target[0] == '/' || slash == NULL) return trdi_strndup(target, (size_t)n);
    char *folder = trdi_strndup(path, (size_t)(slash - path) + 1);
    char *joined = folder != NULL ? trdi_path_join(folder, target) : NULL;
    trdi_free(folder);
    return joined;
}

/* The file itself that a path of symbolic links leads to, so that renaming does not replace the link. Owned; NULL without memory. */
static char *follow_links(const char *path)
{
    char *now = trdi_strndup(path, strlen(path));
    for (int i = 0; i < 40 && now != NULL; i++) {
        char *const next = read_link(now);
        if (next == NULL) break;
        trdi_free(now);
        now = next;
    }
    return now;
}

/* What may be done with the file that is replaced may be done with the new one; where that cannot be set it is as for any new file. */
static void copy_mode(const char *path, FILE *stream)
{
    struct stat facts;
    if (stat(path, &facts) == 0) (void)fchmod(fileno(stream), facts.st_mode & 07777);
}
#endif

trd_status trdi_atomic_file_open_like(const char *path, trdi_atomic_file *file)
{
    TRDI_TRY(open_beside(follow_links(path), path, 0666, file));
    copy_mode(path, file->stream);
    return TRD_OK;
}

static bool names_descriptor(const char *path)
{
    static const char *const folders[] = { "/dev/fd/", "/proc/" }, *const names[] = { "/dev/stdin", "/dev/stdout", "/dev/stderr" };
    for (int i = 0; i < 2; i++) {
        if (strncmp(path, folders[i], strlen(folders[i])) == 0) return true;
    }
    for (int i = 0; i < 3; i++) {
        if (strcmp(path, names[i]) == 0) return true;
    }
    return false;
}

bool trdi_file_replaceable(const char *path)
{
    struct stat facts;
    return (stat(path, &facts) != 0 || S_ISREG(facts.st_mode)) && !names_descriptor(path);
}

static bool flush_to_disk(FILE *stream)
{
    if (fflush(stream) != 0 || ferror(stream)) return false;
#if defined(_WIN32)
    return true;
#else
    return fsync(fileno(stream)) == 0;
#endif
}

trd_status trdi_atomic_file_commit(trdi_atomic_file *file)
{
    trd_status status = TRD_OK;
    bool written = flush_to_disk(file->stream);
    int error = errno;
    const bool closed = fclose(file->stream) == 0;
    if (written && !closed) error = errno;
    written = written && closed;
    file->stream = NULL;
    if (written && rename(file->temporary, file->path) != 0) {
        error = errno;
        written = false;
    }
    if (!written) {
        status = trdi_fail(TRD_E_IO, "cannot write file '%s': %s", file->path, strerror(error));
    } else {
        trdi_free(file->temporary);
        file->temporary = NULL;
    }
    trdi_atomic_file_abandon(file);
    return status;
}

void trdi_atomic_file_abandon(trdi_atomic_file *file)
{
    if (file->stream != NULL) (void)fclose(file->stream);
    if (file->temporary != NULL) (void)unlink(file->temporary);
    trdi_free(file->temporary);
    trdi_free(file->path);
    *file = (trdi_atomic_file){ 0 };
}
