/* workers_types.c: compute types for several devices: "int8", or "cpu:float32,opencl:1:int8", whose names are kinds or devices. */
#include <string.h>

#include "api/workers_private.h"
#include "core/alloc.h"
#include "nn/compute_type.h"

/* An entry of the list. name_bytes is 0 where the type is for every device that no other entry names. */
typedef struct entry {
    const char *name, *type;
    size_t name_bytes, type_bytes;
} entry;

static bool next_entry(const char **at, entry *out)
{
    if (*at == NULL) return false;
    const char *start = *at, *end = start + strcspn(start, ",");
    *at = *end == ',' ? end + 1 : NULL;
    while (start < end && *start == ' ') start++;
    while (end > start && end[-1] == ' ') end--;
    *out = (entry){ .name = start, .type = start, .type_bytes = (size_t)(end - start) };
    for (const char *c = start; c < end; c++) {
        if (*c != ':') continue;
        out->name_bytes = (size_t)(c - start);
        out->type = c + 1;
        out->type_bytes = (size_t)(end - c - 1);
    }
    return true;
}

/* 0: not meant; 1: any device; 2: its kind; 3: itself. */
static int match(const entry *e, const char *id)
{
    if (e->name_bytes == 0) return 1;
    const size_t kind = strcspn(id, ":");
    if (e->name_bytes == kind && memcmp(e->name, id, kind) == 0) return 2;
    return e->name_bytes == strlen(id) && memcmp(e->name, id, e->name_bytes) == 0 ? 3 : 0;
}

/* Names that no device has are let be, so that one list serves many machines; types are checked all the same. */
static trd_status check_type(const entry *e)
{
    char name[32];
    trdi_compute_type unused;
    if (e->type_bytes >= sizeof name) return trdi_fail(TRD_E_INVALID, "Invalid compute type: %.*s", (int)e->type_bytes, e->type);
    memcpy(name, e->type, e->type_bytes);
    name[e->type_bytes] = '\0';
    return trdi_compute_type_resolve(name, "float32", UINT32_MAX, &unused);
}

trd_status trdi_compute_type_of(const char *list, const char *device_id, char **out)
{
    *out = NULL;
    if (list == NULL) return TRD_OK;
    entry e, best = { .type = NULL };
    int quality = 0;
    for (const char *at = list; next_entry(&at, &e);) {
        TRDI_TRY(check_type(&e));
        const int m = match(&e, device_id);
        if (m <= quality) continue;
        quality = m;
        best = e;
    }
    if (best.type == NULL) return TRD_OK;
    *out = trdi_strndup(best.type, best.type_bytes);
    return *out != NULL ? TRD_OK : trdi_fail(TRD_E_MEMORY, "compute type: out of memory");
}
