/* legacy_names.c: revision 1 files keep the names of the training program; this gives them today's. */
#include <string.h>

#include "model/model_private.h"

/* Replace the first occurrence of from in text[size]; the text is long enough for any single replacement below. */
static void replace_first(char *text, size_t size, const char *from, const char *to)
{
    char *found = strstr(text, from);
    if (found == NULL) return;
    const size_t from_length = strlen(from), to_length = strlen(to), rest = strlen(found + from_length) + 1;
    if ((size_t)(found - text) + to_length + rest > size) return;
    memmove(found + to_length, found + from_length, rest);
    memcpy(found, to, to_length);
}

const char *trdi_legacy_rename(trdi_arena *arena, const char *name)
{
    static const char *const steps[][2] = {
        { "transformer/", "" }, { ":0", "" }, { "w_embs", "embeddings/weight" }, { "kernel", "weight" },
        { "LayerNorm", "layer_norm" }, { "dense", "projection" }, { "conv1d_", "linear_" }, { "conv1d", "linear_0" },
    };
    /* A longer name is none of those that the training program wrote: it stays as it is. */
    char text[512];
    const size_t length = strlen(name);
    if (length > 256) return name;
    memcpy(text, name, length + 1);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) replace_first(text, sizeof text, steps[i][0], steps[i][1]);
    if (strstr(text, "encoder") != NULL) {
        replace_first(text, sizeof text, "multi_head", "self_attention");
    } else {
        replace_first(text, sizeof text, "masked_multi_head", "self_attention");
        replace_first(text, sizeof text, "multi_head", "attention");
    }
    return trdi_arena_copy(arena, text, strlen(text));
}
