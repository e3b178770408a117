/*
 * weight_cache.c: the cache file. header, index, small arrays, prepared matrices; each part at a multiple of 64 bytes.
 * Header, index and small arrays are covered by a checksum; the matrices are not, because reading them all
 * is what the cache saves; they are protected by being written aside, flushed and renamed.
 */
#include "nn/weight_cache.h"

#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "core/digest.h"
#include "core/log.h"

enum { FORMAT = 2, ALIGNMENT = 64 };
static const char magic[8] = { 'T', 'R', 'D', 'W', 'G', 'H', 'T', '\n' };

/** In the machine's own byte order: the magic and format are wrong in any other. */
typedef struct cache_header {
    char     magic[8];
    uint32_t format, n_entries;
    uint64_t file_bytes, constants_offset, constants_bytes;
    uint8_t  digest[16];           /**< of the key */
    uint8_t  checksum[16];         /**< of everything before the first matrix, with this field zeroed */
    uint8_t  unused[56];
} cache_header;
_Static_assert(sizeof(cache_header) == 2 * ALIGNMENT, "the index begins aligned");

typedef struct cache_entry {
    uint64_t offset, bytes;
    int64_t  rows, cols;
    uint32_t layout, has_bias, dtype, truncate;
    uint64_t unused[2];
} cache_entry;
_Static_assert(sizeof(cache_entry) == ALIGNMENT, "entries keep the alignment");

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t constants_offset_of(const trdi_weights *weights)
{
    return sizeof(cache_header) + weights->n_uses * sizeof(cache_entry);
}

/** Bytes before the first matrix. */
static size_t front_bytes_of(const trdi_weights *weights)
{
    return (size_t)aligned(constants_offset_of(weights) + weights->constant_bytes);
}

/** Header, index and small arrays as they should be for these weights, checksum included; owned, NULL without memory. */
static uint8_t *make_front(const trdi_weight_cache_key *key, const trdi_weights *weights, const float *constants)
{
    const size_t front_bytes = front_bytes_of(weights);
    uint8_t *front = trdi_calloc(1, front_bytes);
    if (front == NULL) return NULL;
    cache_header *header = (cache_header *)(void *)front;
    cache_entry *entries = (cache_entry *)(void *)(front + sizeof *header);
    uint64_t offset = front_bytes;
    for (size_t i = 0; i < weights->n_uses; i++) {
        const trdi_weight_source source = trdi_weights_source(weights, i, constants);
        const uint64_t bytes = weights->ops->weight_bytes(weights->device, &source);
        entries[i] = (cache_entry){ .offset = offset, .bytes = bytes, .rows = source.rows, .cols = source.cols,
                                    .layout = (uint32_t)source.layout, .has_bias = source.bias != NULL,
                                    .dtype = (uint32_t)source.dtype, .truncate = source.truncate };
        offset += aligned(bytes);
    }
    *header = (cache_header){ .format = FORMAT, .n_entries = (uint32_t)weights->n_uses, .file_bytes = offset,
                              .constants_offset = constants_offset_of(weights), .constants_bytes = weights->constant_bytes };
    memcpy(header->magic, magic, sizeof magic);
    memcpy(header->digest, key->digest, sizeof header->digest);
    memcpy(front + constants_offset_of(weights), constants, weights->constant_bytes);
    uint8_t checksum[16];
    trdi_digest(front, front_bytes, checksum);
    memcpy(header->checksum, checksum, sizeof checksum);
    return front;
}

/**
 * NULL if the file is what these weights would be written as, else what is wrong. The front is rebuilt from the
 * collected weights and the file's own small arrays, so every size, offset and shape is compared, none is trusted.
 */
static const char *find_fault(const trdi_file_map *map, const trdi_weight_cache_key *key, const trdi_weights *weights)
{
    const size_t front_bytes = front_bytes_of(weights);
    if (map->bytes < front_bytes) return "it is too short for its index";
    cache_header header;
    memcpy(&header, map->data, sizeof header);
    if (memcmp(header.magic, magic, sizeof magic) != 0 || header.format != FORMAT) return "it is no cache file of this version";
    if (memcmp(header.digest, key->digest, sizeof header.digest) != 0) return "it belongs to another model";
    if (header.file_bytes != map->bytes) return "its length is not what its header says";
    if (header.n_entries != weights->n_uses || header.constants_bytes != weights->constant_bytes) return "it has other weights";

    uint8_t *front = make_front(key, weights, (const float *)(const void *)(map->data + constants_offset_of(weights)));
    if (front == NULL) return "there is no memory to check it";
    const bool same = memcmp(front, map->data, front_bytes) == 0;
    trdi_free(front);
    return same ? NULL : "its index is damaged";
}

bool trdi_weight_cache_open(trdi_weight_cache *cache, const trdi_weight_cache_key *key, const trdi_weights *weights)
{
    *cache = (trdi_weight_cache){ .prepared = NULL };
    if (!trdi_file_readable(key->path)) return false;
    if (trdi_file_map_open(key->path, &cache->map) != TRD_OK) {
        trdi_log(TRD_LOG_WARNING, "weight cache not used: %s", trd_last_error());
        return false;
    }
    const char *fault = find_fault(&cache->map, key, weights);
    if (fault == NULL && (cache->prepared = trdi_calloc(weights->n_uses, sizeof *cache->prepared)) == NULL)
        fault = "there is no memory for its index";
    if (fault != NULL) {
        trdi_log(TRD_LOG_WARNING, "weight cache '%s' not used: %s", key->path, fault);
        trdi_weight_cache_close(cache);
        return false;
    }
    const cache_entry *entries = (const cache_entry *)(const void *)(cache->map.data + sizeof(cache_header));
    for (size_t i = 0; i < weights->n_uses; i++) cache->prepared[i] = cache->map.data + entries[i].offset;
    cache->constants = (const float *)(const void *)(cache->map.data + constants_offset_of(weights));
    return true;
}

void trdi_weight_cache_close(trdi_weight_cache *cache)
{
    trdi_file_map_close(&cache->map);
    trdi_free(cache->prepared);
    *cache = (trdi_weight_cache){ .prepared = NULL };
}

static bool write_matrix(FILE *stream, const trdi_weights *weights, size_t use, const cache_entry *entry)
{
    static const uint8_t zeros[ALIGNMENT];
    const size_t bytes = (size_t)entry->bytes, gap = (size_t)(aligned(bytes) - bytes);
    return fwrite(weights->ops->weight_data(weights->uses[use].handle), 1, bytes, stream) == bytes &&
           fwrite(zeros, 1, gap, stream) == gap;
}

static bool write_all(FILE *stream, const trdi_weights *weights, const uint8_t *front)
{
    const size_t front_bytes = front_bytes_of(weights);
    const cache_entry *entries = (const cache_entry *)(const void *)(front + sizeof(cache_header));
    if (fwrite(front, 1, front_bytes, stream) != front_bytes) return false;
    for (size_t i = 0; i < weights->n_uses; i++)
        if (!write_matrix(stream, weights, i, &entries[i])) return false;
    return true;
}

/** Make the folder of a path. */
static trd_status make_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = trdi_strndup(path, (size_t)(slash - path));
    if (folder == NULL) return trdi_fail(TRD_E_MEMORY, "path of '%s'", path);
    const trd_status status = trdi_make_folders(folder);
    trdi_free(folder);
    return status;
}

static trd_status write_file(const char *path, const trdi_weights *weights, const uint8_t *front)
{
    TRDI_TRY(make_parent(path));
    trdi_atomic_file file;
    TRDI_TRY(trdi_atomic_file_open(path, &file));
    if (write_all(file.stream, weights, front)) return trdi_atomic_file_commit(&file);
    trdi_atomic_file_abandon(&file);
    return trdi_fail(TRD_E_IO, "cannot write '%s'", path);
}

void trdi_weight_cache_write(const trdi_weight_cache_key *key, const trdi_weights *weights, const float *constants)
{
    for (size_t i = 0; i < weights->n_uses; i++)
        if (weights->ops->weight_data == NULL || weights->ops->weight_data(weights->uses[i].handle) == NULL) return;
    uint8_t *front = make_front(key, weights, constants);
    if (front == NULL) {
        trdi_log(TRD_LOG_WARNING, "weight cache not written: no memory for its index");
        return;
    }
    if (write_file(key->path, weights, front) != TRD_OK)
        trdi_log(TRD_LOG_WARNING, "weight cache not written: %s", trd_last_error());
    else
        trdi_log(TRD_LOG_INFO, "weight cache written: '%s'", key->path);
    trdi_free(front);
}
