/* test_strings.c: UTF-8 validity by table, growing texts, and the string map with many, awkward and colliding keys. */
#include "check.h"
#include "core/alloc.h"
#include "core/strings.h"
#include "scarce.h"

/* Unicode 15, table 3-7, at the edges of every row. */
static const struct {
    const char *text;
    size_t      bytes;
    bool        valid;
} utf8[] = {
    { "", 0, true },
    { "\0", 1, true },
    { "abc", 3, true },
    { "\x7F", 1, true },
    { "\x80", 1, false },                 /* continuation without a lead */
    { "\xBF", 1, false },
    { "\xC0\x80", 2, false },             /* overlong NUL */
    { "\xC1\xBF", 2, false },
    { "\xC2\x80", 2, true },              /* U+0080 */
    { "\xC2\x7F", 2, false },
    { "\xC2\xC0", 2, false },
    { "\xC2", 1, false },
    { "\xDF\xBF", 2, true },
    { "\xE0\x80\x80", 3, false },         /* overlong */
    { "\xE0\x9F\xBF", 3, false },
    { "\xE0\xA0\x80", 3, true },          /* U+0800 */
    { "\xE0\xA0", 2, false },
    { "\xE0\xA0\x7F", 3, false },
    { "\xE2\x82\xAC", 3, true },
    { "\xED\x9F\xBF", 3, true },          /* U+D7FF */
    { "\xED\xA0\x80", 3, false },         /* surrogates */
    { "\xED\xBF\xBF", 3, false },
    { "\xEE\x80\x80", 3, true },          /* U+E000 */
    { "\xEF\xBF\xBF", 3, true },
    { "\xF0\x80\x80\x80", 4, false },     /* overlong */
    { "\xF0\x8F\xBF\xBF", 4, false },
    { "\xF0\x90\x80\x80", 4, true },      /* U+10000 */
    { "\xF0\x9F\x98\x80", 4, true },
    { "\xF0\x9F\x98", 3, false },
    { "\xF0\x9F\x98\xC0", 4, false },
    { "\xF0\x9F\x18\x80", 4, false },
    { "\xF4\x8F\xBF\xBF", 4, true },      /* U+10FFFF */
    { "\xF4\x90\x80\x80", 4, false },     /* past the last */
    { "\xF5\x80\x80\x80", 4, false },
    { "\xF8\x88\x80\x80\x80", 5, false },
    { "\xFE", 1, false },
    { "\xFF", 1, false },
};

static void test_utf8(void)
{
    for (size_t i = 0; i < sizeof utf8 / sizeof utf8[0]; i++) {
        if (trdi_utf8_valid(utf8[i].text, utf8[i].bytes) != utf8[i].valid) {
            fprintf(stderr, "UTF-8 case %zu: wanted %s\n", i, utf8[i].valid ? "valid" : "invalid");
            exit(1);
        }
        /* The same among others, at the end of a block of its exact size. */
        char *const text = trdi_alloc(utf8[i].bytes + 2);
        memcpy(text, "\xC3\xA9", 2);
        memcpy(text + 2, utf8[i].text, utf8[i].bytes);
        CHECK(trdi_utf8_valid(text, utf8[i].bytes + 2) == utf8[i].valid);
        trdi_free(text);
    }
}

static void test_text(void)
{
    trdi_text text = { 0 };
    for (int i = 0; i < 500; i++) trdi_text_add(&text, "%d,", i);
    CHECK(!text.failed);
    CHECK_INT(text.length, 10 * 2 + 90 * 3 + 400 * 4);
    CHECK_INT(strlen(text.data), text.length);
    CHECK(strncmp(text.data, "0,1,2,", 6) == 0);
    CHECK_STRING(text.data + text.length - 8, "498,499,");
    trdi_text_add(&text, "%s", "");
    CHECK_INT(strlen(text.data), text.length);
    trdi_text_free(&text);
    CHECK(text.data == NULL && text.length == 0 && text.capacity == 0);

    CHECK_OK(trd_allocator_set(&scarce_allocator));
    scarce_allow(1);
    trdi_text_add(&text, "1234567");
    trdi_text_add(&text, "89");
    CHECK(text.failed);
    CHECK_STRING(text.data, "1234567");
    scarce_allow(100);
    trdi_text_add(&text, "never after a failure");
    CHECK_STRING(text.data, "1234567");
    trdi_text_free(&text);
    CHECK(!text.failed);
    CHECK_OK(trd_allocator_set(NULL));
}

static void test_map(void)
{
    enum { N = 20000 };
    static char keys[N][12];
    trdi_string_map *const map = trdi_string_map_create(0);
    CHECK(map != NULL);
    bool inserted;
    for (int i = 0; i < N; i++) {
        /* Keys of equal length that differ in few bits. */
        snprintf(keys[i], sizeof keys[i], "k%06d", i);
        CHECK(trdi_string_map_add(map, keys[i], 7, i, &inserted));
        CHECK(inserted);
    }
    CHECK(trdi_string_map_add(map, "k000007", 7, 99, &inserted));
    CHECK(!inserted);
    CHECK(trdi_string_map_add(map, "k000007", 7, 99, NULL));
    for (int i = 0; i < N; i++) CHECK_INT(trdi_string_map_get(map, keys[i], 7, -1), i);
    CHECK_INT(trdi_string_map_get(map, "k020000", 7, -5), -5);
    CHECK_INT(trdi_string_map_get(map, "k00000", 6, -5), -5);

    /* Empty keys, keys with NUL bytes, prefixes of each other; any value. */
    CHECK_INT(trdi_string_map_get(map, "", 0, -5), -5);
    CHECK(trdi_string_map_add(map, "", 0, INT64_MIN, &inserted) && inserted);
    CHECK(trdi_string_map_add(map, "\0", 1, INT64_MAX, &inserted) && inserted);
    CHECK(trdi_string_map_add(map, "\0\0", 2, -1, &inserted) && inserted);
    CHECK(trdi_string_map_get(map, "", 0, 0) == INT64_MIN);
    CHECK(trdi_string_map_get(map, "\0", 1, 0) == INT64_MAX);
    CHECK_INT(trdi_string_map_get(map, "\0\0", 2, 0), -1);
    trdi_string_map_destroy(map);
    trdi_string_map_destroy(NULL);
}

/* Room for the expected keys is made once: adding them allocates nothing. */
static void test_map_expected(void)
{
    CHECK_OK(trd_allocator_set(&scarce_allocator));
    static char keys[300][8];
    for (int i = 0; i < 300; i++) snprintf(keys[i], sizeof keys[i], "%d", i);
    for (int expected = 0; expected <= 300; expected += 20) {
        scarce_allow(2);
        trdi_string_map *const map = trdi_string_map_create((size_t)expected);
        CHECK(map != NULL);
        for (int i = 0; i < expected; i++) CHECK(trdi_string_map_add(map, keys[i], strlen(keys[i]), i, NULL));
        CHECK_INT(scarce_asked, 2);
        trdi_string_map_destroy(map);
    }
    scarce_allow(100);
    CHECK(trdi_string_map_create(SIZE_MAX) == NULL);
    CHECK(trdi_string_map_create(SIZE_MAX / 64) == NULL);
    CHECK_OK(trd_allocator_set(NULL));
}

/* Allocation n fails, for every n: what was added stays, and the map goes on when memory is back. */
static void test_map_memory(void)
{
    CHECK_OK(trd_allocator_set(&scarce_allocator));
    static char keys[200][8];
    for (int i = 0; i < 200; i++) snprintf(keys[i], sizeof keys[i], "%d", i);
    for (int n = 0;; n++) {
        scarce_allow(n);
        trdi_string_map *const map = trdi_string_map_create(0);
        if (map == NULL) {
            CHECK(n < 2);
            continue;
        }
        int added = 0;
        while (added < 200 && trdi_string_map_add(map, keys[added], strlen(keys[added]), added, NULL)) added++;
        const bool complete = added == 200;
        scarce_allow(100);
        for (int i = 0; i < 200; i++) CHECK_INT(trdi_string_map_get(map, keys[i], strlen(keys[i]), -1), i < added ? i : -1);
        for (int i = added; i < 200; i++) CHECK(trdi_string_map_add(map, keys[i], strlen(keys[i]), i, NULL));
        for (int i = 0; i < 200; i++) CHECK_INT(trdi_string_map_get(map, keys[i], strlen(keys[i]), -1), i);
        trdi_string_map_destroy(map);
        if (complete) {
            CHECK(n > 3);
            break;
        }
    }
    CHECK_OK(trd_allocator_set(NULL));
}

int main(void)
{
    test_utf8();
    test_text();
    test_map();
    test_map_expected();
    test_map_memory();
    return 0;
}
