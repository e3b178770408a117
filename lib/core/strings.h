/* strings.h: text helpers: UTF-8, a growing text, and a map from byte strings to numbers. */
#ifndef TRDI_STRINGS_H
#define TRDI_STRINGS_H

#include "core/status.h"

/** Is text valid UTF-8 (no surrogates, no overlong forms)? */
bool trdi_utf8_valid(const char *text, size_t bytes);

/** A text that grows. Zero-initialised is empty. On memory failure it stops growing and failed is set. */
typedef struct trdi_text {
    char  *data;      /**< NUL-terminated once something was added; else NULL */
    size_t length, capacity;
    bool   failed;
} trdi_text;
void trdi_text_add(trdi_text *text, const char *format, ...) TRDI_PRINTF(2, 3);
void trdi_text_free(trdi_text *text);

/** Map from byte strings to 64-bit numbers; open addressing. Keys are borrowed and must outlive the map. */
typedef struct trdi_string_map trdi_string_map;
/** @param expected  number of keys to make room for */
trdi_string_map *trdi_string_map_create(size_t expected);
void trdi_string_map_destroy(trdi_string_map *map);
/**
 * Add a key; the first value of a key stays.
 * @return false without memory; *inserted (may be NULL) tells whether the key was new
 */
bool trdi_string_map_add(trdi_string_map *map, const char *key, size_t bytes, int64_t value, bool *inserted);
/** Value of a key, or missing. */
int64_t trdi_string_map_get(const trdi_string_map *map, const char *key, size_t bytes, int64_t missing);

#endif
