/*
 * weight_cache.h: prepared weights kept in a file that is mapped and used in place, so that a second load is immediate
 * and processes share the pages. A cache never fails a load: whatever is wrong with it, the weights are prepared anew.
 */
#ifndef TRDI_WEIGHT_CACHE_H
#define TRDI_WEIGHT_CACHE_H

#include "core/files.h"
#include "device/device.h"
#include "nn/weights.h"

/**
 * Smaller models are not cached: preparing 16 MiB takes about as long (some 10 ms) as opening, checking and mapping another
 * file, and small models are those that come in great numbers.
 */
#define TRDI_CACHE_LEAST_BYTES ((size_t)16 << 20)

/** Which cache file belongs to a model on a device. */
typedef struct trdi_weight_cache_key {
    char   *path;           /**< owned; NULL = this model is not cached */
    uint8_t digest[16];     /**< over everything that the prepared bytes depend on */
} trdi_weight_cache_key;

/** An opened and checked cache file. */
typedef struct trdi_weight_cache {
    trdi_file_map map;
    const float  *constants;       /**< the small arrays, inside the map */
    const void  **prepared;        /**< owned, [n_uses] inside the map */
} trdi_weight_cache;

/**
 * Find the path for a model. @param folder  as trdi_network_options.cache_dir
 * Leaves path NULL, and says why in the log, where there can be no cache.
 */
void trdi_weight_cache_locate(trdi_weight_cache_key *key, const trd_model *model, const trdi_device *device,
                              const char *compute_type, const char *folder);
/** Frees the path. */
void trdi_weight_cache_key_clear(trdi_weight_cache_key *key);

/** Map and check a file against the collected weights. @return false if there is none to use; the reason is logged */
bool trdi_weight_cache_open(trdi_weight_cache *cache, const trdi_weight_cache_key *key, const trdi_weights *weights);
void trdi_weight_cache_close(trdi_weight_cache *cache);

/** Write the prepared weights. Failures are logged only. @param constants  the small arrays */
void trdi_weight_cache_write(const trdi_weight_cache_key *key, const trdi_weights *weights, const float *constants);

#endif
