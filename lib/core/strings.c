/* strings.c: UTF-8 check, growing text, map from byte strings to numbers. */
#include "core/strings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "core/threads.h"

/* Length of the well-formed sequence at p (Unicode 15, table 3-7), or 0. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    const unsigned char a = p[0];
    if (a < 0x80) return 1;
    const size_t length = a >= 0xC2 && a <= 0xDF ? 2 : (a & 0xF0) == 0xE0 ? 3 : a >= 0xF0 && a <= 0xF4 ? 4 : 0;
    if (length == 0 || length > left) return 0;
    unsigned char low = 0x80, high = 0xBF;
    if (a == 0xE0) low = 0xA0;
    if (a == 0xED) high = 0x9F;
    if (a == 0xF0) low = 0x90;
    if (a == 0xF4) high = 0x8F;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
    }
    return length;
}

bool trdi_utf8_valid(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        const size_t length = utf8_sequence((const unsigned char *)text + i, bytes - i);
        if (length == 0) return false;
        i += length;
    }
    return true;
}

void trdi_text_add(trdi_text *text, const char *format, ...)
{
    if (text->failed) return;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int wanted = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (wanted < 0 || !trdi_reserve((void **)&text->data, &text->capacity, text->length + (size_t)wanted + 1, 1)) {
        text->failed = true;
    } else {
        (void)vsnprintf(text->data + text->length, (size_t)wanted + 1, format, again);
        text->length += (size_t)wanted;
    }
    va_end(again);
}

void trdi_text_free(trdi_text *text)
{
    trdi_free(text->data);
    *text = (trdi_text){ 0 };
}

typedef struct map_slot {
    const char *key;    /* NULL = free */
    size_t   bytes;
    uint64_t hash;
    int64_t  value;
} map_slot;

struct trdi_string_map {
    map_slot *slots;
    size_t n_slots, n_used;    /* n_slots is a power of two; at most 5/8 used */
};

static uint64_t seed;
static trdi_once seed_once = TRDI_ONCE_INIT;

/* Different in every process, so that no model file can be made whose vocabulary falls into one slot. */
static void choose_seed(void)
{
    const uint64_t place = (uint64_t)(uintptr_t)&place;
    seed = (14695981039346656037u ^ (uint64_t)trdi_now_ns()) + place * 0x9E3779B97F4A7C15u;
}

/* FNV-1a, 64 bits, from a seed, with a final mix so that the low bits depend on all bytes. */
static uint64_t hash_bytes(const char *key, size_t bytes)
{
    uint64_t hash = seed;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ (unsigned char)key[i]) * 1099511628211u;
    return hash ^ (hash >> 32);
}

static map_slot *find_slot(map_slot *slots, size_t n_slots, const char *key, size_t bytes, uint64_t hash)
{
    for (size_t i = (size_t)hash & (n_slots - 1);; i = (i + 1) & (n_slots - 1)) {
        map_slot *slot = &slots[i];
        if (slot->key == NULL) return slot;
        if (slot->hash == hash && slot->bytes == bytes && memcmp(slot->key, key, bytes) == 0) return slot;
    }
}

static bool grow_map(trdi_string_map *map, size_t n_slots)
{
    map_slot *slots = trdi_calloc(n_slots, sizeof *slots);
    if (slots == NULL) return false;
    for (size_t i = 0; i < map->n_slots; i++) {
        const map_slot *old = &map->slots[i];
        if (old->key != NULL) *find_slot(slots, n_slots, old->key, old->bytes, old->hash) = *old;
    }
    trdi_free(map->slots);
    map->slots = slots;
    map->n_slots = n_slots;
    return true;
}

trdi_string_map *trdi_string_map_create(size_t expected)
{
    trdi_once_run(&seed_once, choose_seed);
    size_t n_slots = 16;
    while (n_slots < SIZE_MAX / 4 && n_slots / 8 * 5 < expected) n_slots *= 2;
    trdi_string_map *map = trdi_calloc(1, sizeof *map);
    if (map != NULL && !grow_map(map, n_slots)) {
        trdi_free(map);
        map = NULL;
    }
    return map;
}

void trdi_string_map_destroy(trdi_string_map *map)
{
    if (map == NULL) return;
    trdi_free(map->slots);
    trdi_free(map);
}

bool trdi_string_map_add(trdi_string_map *map, const char *key, size_t bytes, int64_t value, bool *inserted)
{
    if (inserted != NULL) *inserted = false;
    if (map->n_used >= map->n_slots / 8 * 5 && !grow_map(map, map->n_slots * 2)) return false;
    const uint64_t hash = hash_bytes(key, bytes);
    map_slot *slot = find_slot(map->slots, map->n_slots, key, bytes, hash);
    if (slot->key != NULL) return true;
    *slot = (map_slot){ key, bytes, hash, value };
    map->n_used++;
    if (inserted != NULL) *inserted = true;
    return true;
}

int64_t trdi_string_map_get(const trdi_string_map *map, const char *key, size_t bytes, int64_t missing)
{
    const map_slot *slot = find_slot(map->slots, map->n_slots, key, bytes, hash_bytes(key, bytes));
    return slot->key != NULL ? slot->value : missing;
}
