/* files.h: mapped files, paths and atomic writing. Paths are UTF-8. */
#ifndef TRDI_FILES_H
#define TRDI_FILES_H

#include <stdio.h>

#include "core/status.h"

/** A read-only view of a whole file: mapped, or read where mapping is not to be had. */
typedef struct trdi_file_map {
    const uint8_t *data;
    size_t bytes;
    void  *handle;       /**< private */
} trdi_file_map;

/** TRD_E_IO "cannot open file 'PATH': reason" if it cannot be opened; directories and special files are refused. */
trd_status trdi_file_map_open(const char *path, trdi_file_map *out);
/** Does nothing on a zeroed map. */
void trdi_file_map_close(trdi_file_map *map);
/** What tells one state of a file from another. */
typedef struct trdi_file_identity {
    uint64_t device, inode, bytes;
    int64_t  modified_ns;
} trdi_file_identity;
/** @return false if there is no such file */
bool trdi_file_identify(const char *path, trdi_file_identity *out);
/** Can the file be opened for reading? */
bool trdi_file_readable(const char *path);
/** "folder/name", owned (trdi_free); NULL without memory. */
char *trdi_path_join(const char *folder, const char *name);
/**
 * The folder for what can be made again: TREADLE_CACHE, else the user's cache folder; none in a privileged process. Owned; NULL = keep nothing.
 * It may not exist yet.
 */
char *trdi_cache_folder(void);
/** Make a folder and its parents (mode 0700). */
trd_status trdi_make_folders(const char *path);

/** A file being written aside. */
typedef struct trdi_atomic_file {
    FILE *stream;
    char *temporary, *path;   /**< private, owned */
} trdi_atomic_file;
/** Create "PATH.PID.COUNTER.tmp" beside path for writing, for this user alone (mode 0600). */
trd_status trdi_atomic_file_open(const char *path, trdi_atomic_file *file);
/**
 * The same for a file of the user's: a new one gets the usual mode, one that exists keeps its own, and of a symbolic link the file that it leads to
 * is replaced.
 */
trd_status trdi_atomic_file_open_like(const char *path, trdi_atomic_file *file);
/**
 * May a new file take the place of what is at the path? Where nothing or a regular file is; not for names of descriptors ("/dev/stdout"): they stand
 * for what is open.
 */
bool trdi_file_replaceable(const char *path);
/** Flush to disk and rename onto path; on failure the temporary file is removed. Closes either way. */
trd_status trdi_atomic_file_commit(trdi_atomic_file *file);
/** Close and remove the temporary file. Does nothing on a zeroed struct. */
void trdi_atomic_file_abandon(trdi_atomic_file *file);

#endif
