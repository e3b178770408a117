/*
 * vocabulary_map.c: vmap.txt. A line is an n-gram of source tokens joined by single spaces, a TAB, and target tokens separated by
 * spaces; an empty n-gram lists ids that are always allowed. Lines of the same n-gram add up.
 */
#include <string.h>

#include "core/alloc.h"
#include "model/model_private.h"

/* Ids of all lines of one n-gram: n of them, in room that doubles when a further line needs more. */
typedef struct range { size_t first, n, room; } range;

struct trdi_vocabulary_map {
    trdi_arena       keys;
    trdi_string_map *ngrams;     /* n-gram -> index into ranges */
    range           *ranges;     /* ranges[0]: always allowed */
    size_t           n_ranges, ranges_capacity;
    int32_t         *ids;
    size_t           n_ids, ids_capacity;
    int64_t          max_order;
};

int64_t trdi_vocabulary_map_max_order(const trdi_vocabulary_map *map) { return map->max_order; }

static const int32_t *get_range(const trdi_vocabulary_map *map, size_t at, int64_t *n)
{
    *n = (int64_t)map->ranges[at].n;
    return *n == 0 ? NULL : map->ids + map->ranges[at].first;
}

const int32_t *trdi_vocabulary_map_always(const trdi_vocabulary_map *map, int64_t *n) { return get_range(map, 0, n); }

const int32_t *trdi_vocabulary_map_find(const trdi_vocabulary_map *map, const char *ngram, size_t bytes, int64_t *n)
{
    const int64_t at = trdi_string_map_get(map->ngrams, ngram, bytes, -1);
    *n = 0;
    return at < 0 ? NULL : get_range(map, (size_t)at, n);
}

void trdi_vocabulary_map_destroy(trdi_vocabulary_map *map)
{
    if (map == NULL) return;
    trdi_string_map_destroy(map->ngrams);
    trdi_arena_free(&map->keys);
    trdi_free(map->ranges);
    trdi_free(map->ids);
    trdi_free(map);
}

typedef struct reader {
    const trdi_model_file *file;
    const trdi_vocabulary *target;
    int32_t unk;
    trdi_vocabulary_map *map;
} reader;

static trd_status fail_memory(const reader *in)
{
    return trdi_fail(TRD_E_MEMORY, "file '%s': vocabulary map of %zu ids", in->file->label, in->map == NULL ? 0 : in->map->n_ids);
}

static trd_status find_range(const reader *in, const char *key, size_t bytes, size_t *out)
{
    trdi_vocabulary_map *map = in->map;
    *out = 0;
    if (bytes == 0) return TRD_OK;
    const int64_t known = trdi_string_map_get(map->ngrams, key, bytes, -1);
    if (known >= 0) {
        *out = (size_t)known;
        return TRD_OK;
    }
    const char *kept = trdi_arena_copy(&map->keys, key, bytes);
    if (kept == NULL || !trdi_reserve((void **)&map->ranges, &map->ranges_capacity, map->n_ranges + 1, sizeof *map->ranges) ||
        !trdi_string_map_add(map->ngrams, kept, bytes, (int64_t)map->n_ranges, NULL)) {
        return fail_memory(in);
    }
    *out = map->n_ranges;
    map->ranges[map->n_ranges++] = (range){ 0 };
    return TRD_OK;
}

/* Room for n more ids of a range. */
static trd_status make_room(const reader *in, range *to, size_t n)
{
    trdi_vocabulary_map *map = in->map;
    if (to->n + n <= to->room) return TRD_OK;
    const size_t room = to->n == 0 ? n : 2 * (to->n + n);
    if (!trdi_reserve((void **)&map->ids, &map->ids_capacity, map->n_ids + room, sizeof *map->ids)) return fail_memory(in);
    if (to->n != 0) memcpy(map->ids + map->n_ids, map->ids + to->first, to->n * sizeof *map->ids);
    to->first = map->n_ids;
    to->room = room;
    map->n_ids += room;
    return TRD_OK;
}

static size_t count_words(const char *text, size_t bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += text[i] != ' ' && (i == 0 || text[i - 1] == ' ') ? 1 : 0;
    return n;
}

static trd_status add_ids(const reader *in, range *to, const char *text, size_t bytes)
{
    TRDI_TRY(make_room(in, to, count_words(text, bytes)));
    for (size_t at = 0; at < bytes;) {
        const char *space = memchr(text + at, ' ', bytes - at);
        const size_t length = space != NULL ? (size_t)(space - text) - at : bytes - at;
        if (length != 0) {
            const int64_t id = trdi_vocabulary_id(in->target, text + at, length);
            in->map->ids[to->first + to->n++] = id < 0 ? in->unk : (int32_t)id;
        }
        at += length + 1;
    }
    return TRD_OK;
}

static trd_status read_line(const reader *in, size_t number, const char *line, size_t length)
{
    trdi_vocabulary_map *map = in->map;
    if (length != 0 && line[length - 1] == '\r') length--;
    if (length == 0) return TRD_OK;
    const char *tab = memchr(line, '\t', length);
    if (tab == NULL) return trdi_fail(TRD_E_FORMAT, "file '%s': line %zu has no TAB", in->file->label, number);
    const size_t key = (size_t)(tab - line);
    size_t at;
    TRDI_TRY(find_range(in, line, key, &at));
    TRDI_TRY(add_ids(in, &map->ranges[at], tab + 1, length - key - 1));
    int64_t order = key != 0 ? 1 : 0;
    for (size_t i = 0; i < key; i++) order += line[i] == ' ' ? 1 : 0;
    if (order > map->max_order) map->max_order = order;
    return TRD_OK;
}

static trd_status read_lines(const reader *in)
{
    trdi_vocabulary_map *map = in->map;
    map->ngrams = trdi_string_map_create(64);
    map->ranges = trdi_calloc(1, sizeof *map->ranges);
    if (map->ngrams == NULL || map->ranges == NULL) return fail_memory(in);
    map->n_ranges = map->ranges_capacity = 1;
    const char *text = (const char *)in->file->data;
    size_t number = 0;
    for (size_t at = 0; at < in->file->bytes;) {
        const char *end = memchr(text + at, '\n', in->file->bytes - at);
        const size_t length = end != NULL ? (size_t)(end - text) - at : in->file->bytes - at;
        TRDI_TRY(read_line(in, ++number, text + at, length));
        at += length + 1;
    }
    return TRD_OK;
}

trd_status trdi_vocabulary_map_read(const trdi_model_file *file, const trdi_vocabulary *target, int32_t unk, trdi_vocabulary_map **out)
{
    *out = NULL;
    reader in = { file, target, unk, trdi_calloc(1, sizeof(trdi_vocabulary_map)) };
    if (in.map == NULL) return fail_memory(&in);
    const trd_status status = read_lines(&in);
    const bool empty = in.map->n_ranges <= 1 && in.map->n_ids == 0;
    if (status == TRD_OK && !empty) *out = in.map;
    else trdi_vocabulary_map_destroy(in.map);
    return status;
}
