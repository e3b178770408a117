/* test_status.c: texts of status codes, and the last error: one per thread, cut where it is too long, nested. */
#include "check.h"
#include "core/status.h"
#include "core/strings.h"
#include "core/threads.h"

static void test_texts(void)
{
#define CHECK_TEXT(name, value, text)      \
    CHECK_INT(TRD_##name, value);          \
    CHECK_STRING(trd_status_text(TRD_##name), text);
    TRD_STATUS_LIST(CHECK_TEXT)
    CHECK_STRING(trd_status_text((trd_status)99), "unknown status");
    CHECK_STRING(trd_status_text((trd_status)-1), "unknown status");
}

static void test_dtypes(void)
{
    static const struct {
        const char *name;
        size_t      bytes;
    } wanted[] = { { "f32", 4 }, { "i8", 1 }, { "i16", 2 }, { "i32", 4 }, { "f16", 2 }, { "bf16", 2 }, { "?", 0 } };
    for (int i = 0; i < 7; i++) {
        CHECK_STRING(trd_dtype_name((trd_dtype)i), wanted[i].name);
        CHECK_INT(trd_dtype_bytes((trd_dtype)i), wanted[i].bytes);
    }
}

static void test_last_error(void)
{
    CHECK_STRING(trd_last_error(), "");
    CHECK_INT(trdi_fail(TRD_E_RANGE, "row %d of %d", 7, 5), TRD_E_RANGE);
    CHECK_STRING(trd_last_error(), "row 7 of 5");
    CHECK_INT(trdi_fail_within(TRD_E_FORMAT, "tensor '%s'", "w"), TRD_E_FORMAT);
    CHECK_STRING(trd_last_error(), "tensor 'w': row 7 of 5");
    CHECK_INT(trdi_fail(TRD_E_IO, "again: %s", trd_last_error()), TRD_E_IO);
    CHECK_STRING(trd_last_error(), "again: tensor 'w': row 7 of 5");
    CHECK_INT(trdi_fail(TRD_E_IO, "%s", ""), TRD_E_IO);
    CHECK_STRING(trd_last_error(), "");
}

/* Every length around the limit: the text is cut, never in the middle of a character. */
static void test_long_texts(void)
{
    static char text[2 * TRDI_ERROR_BYTES + 8];
    static const char *const characters[] = { "a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80" };
    for (size_t shift = 0; shift < 8; shift++) {
        for (size_t c = 0; c < 4; c++) {
            memset(text, '.', shift);
            text[shift] = '\0';
            const size_t bytes = strlen(characters[c]);
            for (size_t at = shift; at < TRDI_ERROR_BYTES + 8; at += bytes) memcpy(text + at, characters[c], bytes + 1);
            (void)trdi_fail(TRD_E_IO, "%s", text);
            const size_t length = strlen(trd_last_error());
            CHECK(length <= TRDI_ERROR_BYTES - 1 && length >= TRDI_ERROR_BYTES - 1 - bytes);
            CHECK(memcmp(trd_last_error(), text, length) == 0);
            CHECK(trdi_utf8_valid(trd_last_error(), length));
            (void)trdi_fail_within(TRD_E_IO, "%s", "outer");
            CHECK(strncmp(trd_last_error(), "outer: ", 7) == 0);
            CHECK(trdi_utf8_valid(trd_last_error(), strlen(trd_last_error())));
            (void)trdi_fail_within(TRD_E_IO, "%s", text);
            CHECK(memcmp(trd_last_error(), text, strlen(trd_last_error())) == 0);
        }
    }
}

static void *fail_elsewhere(void *number)
{
    CHECK_STRING(trd_last_error(), "");
    for (int i = 0; i < 1000; i++) {
        (void)trdi_fail(TRD_E_IO, "thread %d", *(const int *)number);
        char wanted[32];
        snprintf(wanted, sizeof wanted, "thread %d", *(const int *)number);
        CHECK_STRING(trd_last_error(), wanted);
    }
    return NULL;
}

static void test_threads(void)
{
    (void)trdi_fail(TRD_E_IO, "main");
    trdi_thread threads[4];
    int numbers[4];
    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
        CHECK_OK(trdi_thread_start(&threads[i], "fails", fail_elsewhere, &numbers[i]));
    }
    for (int i = 0; i < 4; i++) trdi_thread_join(threads[i]);
    CHECK_STRING(trd_last_error(), "main");
}

int main(void)
{
    test_texts();
    test_dtypes();
    test_last_error();
    test_long_texts();
    test_threads();
    CHECK_STRING(trd_version(), WANTED_VERSION);
    return 0;
}
