/* cache_key.c: where the cache file of a model lies and what its name is made of. */
#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "core/digest.h"
#include "core/log.h"
#include "nn/weight_cache.h"

enum { END_BYTES = 65536, TEXT_BYTES = 512 };

/** The folder for cache files, owned; NULL = none. */
static char *cache_folder(const char *wanted)
{
    if (wanted != NULL) return wanted[0] != '\0' ? trdi_strndup(wanted, strlen(wanted)) : NULL;
    return trdi_cache_folder();
}

/** Read the first and the last 64 KiB (all of a shorter file) into out. @return bytes read, 0 on failure */
static size_t read_ends(const char *path, uint64_t file_bytes, uint8_t *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return 0;
    size_t n = fread(out, 1, END_BYTES, file);
    if (file_bytes > END_BYTES && fseek(file, -(long)END_BYTES, SEEK_END) == 0) n += fread(out + n, 1, END_BYTES, file);
    (void)fclose(file);
    return n;
}

/** Everything that the prepared bytes depend on, digested: a back end may lay weights out for the device at hand. */
static bool digest_identity(const trd_model *model, const trdi_device *device, const char *compute_type, uint8_t digest[16])
{
    trdi_file_identity file;
    if (!trdi_model_identity(model, &file)) return false;
    uint8_t *text = trdi_alloc(TEXT_BYTES + 2 * (size_t)END_BYTES);
    if (text == NULL) return false;
    const int length = snprintf((char *)text, TEXT_BYTES, "%llu %llu %llu %lld %s %u %s %s %s",
                                (unsigned long long)file.device, (unsigned long long)file.inode, (unsigned long long)file.bytes,
                                (long long)file.modified_ns, device->ops->name, (unsigned)device->ops->weight_layout_version,
                                compute_type, trd_version(), device->facts.name);
    const size_t n = read_ends(model->binary_path, file.bytes, text + TEXT_BYTES);
    const bool good = length > 0 && length < TEXT_BYTES && n > 0;
    if (good) {
        memset(text + length, 0, TEXT_BYTES - (size_t)length);
        trdi_digest(text, TEXT_BYTES + n, digest);
    }
    trdi_free(text);
    return good;
}

void trdi_weight_cache_locate(trdi_weight_cache_key *key, const trd_model *model, const trdi_device *device,
                              const char *compute_type, const char *folder)
{
    *key = (trdi_weight_cache_key){ .path = NULL };
    if (model->binary_path == NULL || !trdi_digest_available()) return;
    char *place = cache_folder(folder);
    if (place == NULL) return;
    if (!digest_identity(model, device, compute_type, key->digest)) {
        trdi_log(TRD_LOG_WARNING, "no weight cache: '%s' cannot be identified", model->binary_path);
    } else {
        char name[64] = "";
        for (int i = 0; i < 16; i++) (void)snprintf(name + 2 * i, 3, "%02x", key->digest[i]);
        (void)snprintf(name + 32, sizeof name - 32, "-%s-v%u.weights", device->ops->name, (unsigned)device->ops->weight_layout_version);
        key->path = trdi_path_join(place, name);
    }
    trdi_free(place);
}

void trdi_weight_cache_key_clear(trdi_weight_cache_key *key)
{
    trdi_free(key->path);
    key->path = NULL;
}
