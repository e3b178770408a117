/* arena.c: texts of a model, in blocks that never move. Freed all at once. */
#include <string.h>

#include "core/alloc.h"
#include "model/model_private.h"

#define BLOCK_BYTES ((size_t)16384)

typedef struct trdi_arena_block {
    struct trdi_arena_block *next;
    size_t used, capacity;
    char   data[];
} trdi_arena_block;

static bool add_block(trdi_arena *arena, size_t capacity)
{
    trdi_arena_block *block = trdi_alloc(sizeof *block + capacity);
    if (block == NULL) return false;
    block->next = arena->first;
    block->used = 0;
    block->capacity = capacity;
    arena->first = block;
    return true;
}

char *trdi_arena_copy(trdi_arena *arena, const char *text, size_t length)
{
    if (length > SIZE_MAX / 2) return NULL;
    const size_t wanted = length + 1;
    const trdi_arena_block *first = arena->first;
    if (first == NULL || wanted > first->capacity - first->used) {
        if (!add_block(arena, wanted > BLOCK_BYTES ? wanted : BLOCK_BYTES)) return NULL;
    }
    char *copy = arena->first->data + arena->first->used;
    arena->first->used += wanted;
    if (length != 0) memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

void trdi_arena_free(trdi_arena *arena)
{
    while (arena->first != NULL) {
        trdi_arena_block *next = arena->first->next;
        trdi_free(arena->first);
        arena->first = next;
    }
}
