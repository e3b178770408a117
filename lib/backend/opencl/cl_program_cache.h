/*
 * cl_program_cache.h: compiled programs in the user's cache folder, one file each, so that a second load compiles nothing. A cache never fails
 * anything: whatever is wrong with it, programs are compiled. Called by cl_program.c.
 */
#ifndef TRDI_CL_PROGRAM_CACHE_H
#define TRDI_CL_PROGRAM_CACHE_H

#include "backend/opencl/kernel_sources.h"
#include "backend/opencl/opencl.h"
#include "core/files.h"

/** What the cache knows of a device: where its files are, and what they all depend on. */
typedef struct trdi_cl_cache trdi_cl_cache;
/** NULL, with a line in the log, where there is no cache. */
trdi_cl_cache *trdi_cl_cache_open(const trdi_cl_device *device);
/** NULL does nothing. */
void trdi_cl_cache_close(trdi_cl_cache *cache);

/** Which file belongs to a program. */
typedef struct trdi_cl_cache_key {
    char   *path;                /**< owned; NULL = not cached */
    uint8_t digest[16];          /**< over everything that the binary depends on */
} trdi_cl_cache_key;

/** @param cache  NULL: path becomes NULL */
void trdi_cl_cache_locate(const trdi_cl_cache *cache, const trdi_cl_source *source, const char *options, trdi_cl_cache_key *key);
void trdi_cl_cache_key_clear(trdi_cl_cache_key *key);

/** A checked binary: bytes [*binary, *binary + *bytes) inside map, which the caller closes. @return false if there is none that fits */
bool trdi_cl_cache_load(const trdi_cl_cache_key *key, trdi_file_map *map, const uint8_t **binary, size_t *bytes);
/** Write a binary aside and rename it; then remove the files that were used longest ago, past the bound of the folder. */
void trdi_cl_cache_store(trdi_cl_cache *cache, const trdi_cl_cache_key *key, const void *binary, size_t bytes);
/** Remove a file that the driver did not take. */
void trdi_cl_cache_drop(const trdi_cl_cache_key *key, const char *why);

#endif
