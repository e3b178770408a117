/* digest.h: the 128-bit digest (XXH3 of libxxhash) of cache files, or none where the library was built without it. */
#ifndef TRDI_DIGEST_H
#define TRDI_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Can digests be made? Without them nothing is kept in cache files. */
bool trdi_digest_available(void);
/** Digest of bytes, most significant byte first. */
void trdi_digest(const void *data, size_t bytes, uint8_t out[16]);

#endif
