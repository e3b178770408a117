/* options.h: reading the callers' option structs, of whatever size they were compiled with. */
#ifndef TRDI_OPTIONS_H
#define TRDI_OPTIONS_H

#include "core/status.h"

/**
 * Copy the caller's options over the defaults in into (into_bytes long, struct_size first).
 *
 * @param from  NULL keeps the defaults. Older, shorter structs set their part; bytes of newer, longer ones must be zero.
 * @param name  of the public function, for messages
 */
trd_status trdi_read_options(void *into, size_t into_bytes, const void *from, const char *name);

/** Is a struct_size that the caller should have set believable? Memory that nobody set is refused, where that shows. */
static inline bool trdi_struct_size_valid(size_t size) { return size >= sizeof size && size <= 4096; }

/** Write the defaults (defaults_bytes long) into a caller's struct of size bytes; the rest becomes zero. */
void trdi_write_defaults(void *into, size_t size, const void *defaults, size_t defaults_bytes);

/**
 * Copy a result (result_bytes long, struct_size first) into a caller's struct of struct_size bytes, which keeps its struct_size;
 * what it has beyond the result becomes zero.
 */
void trdi_write_result(void *into, size_t struct_size, const void *result, size_t result_bytes);

#endif
