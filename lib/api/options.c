/* options.c: see options.h. */
#include "api/options.h"

#include <string.h>

trd_status trdi_read_options(void *into, size_t into_bytes, const void *from, const char *name)
{
    if (from == NULL) return TRD_OK;
    size_t size;
    memcpy(&size, from, sizeof size);
    if (size < sizeof size || size > 65536) {
        return trdi_fail(TRD_E_INVALID, "%s: options.struct_size is %zu: start from the init function", name, size);
    }
    for (size_t i = into_bytes; i < size; i++) {
        if (((const unsigned char *)from)[i] != 0) {
            return trdi_fail(TRD_E_INVALID, "%s: options hold a value at byte %zu that version %s does not know", name, i, trd_version());
        }
    }
    memcpy(into, from, size < into_bytes ? size : into_bytes);
    memcpy(into, &into_bytes, sizeof into_bytes);
    return TRD_OK;
}

void trdi_write_defaults(void *into, size_t size, const void *defaults, size_t defaults_bytes)
{
    if (into == NULL || size < sizeof size) return;
    memset(into, 0, size);
    memcpy(into, defaults, size < defaults_bytes ? size : defaults_bytes);
    memcpy(into, &size, sizeof size);
}

void trdi_write_result(void *into, size_t struct_size, const void *result, size_t result_bytes)
{
    const size_t skip = sizeof struct_size, common = struct_size < result_bytes ? struct_size : result_bytes;
    memcpy((char *)into + skip, (const char *)result + skip, common - skip);
    if (struct_size > result_bytes) memset((char *)into + result_bytes, 0, struct_size - result_bytes);
}
