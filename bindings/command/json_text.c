/* json_text.c: thin helpers over jansson. */
#include "json_text.h"

#include <math.h>
#include <string.h>

#include "bytes.h"

/** Length of the UTF-8 sequence at text, or 0 if there is none. jansson rejects the same ones. */
static size_t utf8_length(const unsigned char *text, size_t bytes)
{
    const unsigned char c = text[0];
    const size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : (c & 0xF0) == 0xE0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    if (n == 0 || n > bytes) return 0;
    for (size_t i = 1; i < n; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    if (n == 3 && ((c == 0xE0 && text[1] < 0xA0) || (c == 0xED && text[1] >= 0xA0))) return 0;
    if (n == 4 && ((c == 0xF0 && text[1] < 0x90) || (c == 0xF4 && text[1] >= 0x90))) return 0;
    return n;
}

json_t *json_text(const char *text, size_t size)
{
    if (text == NULL) return json_null();
    json_t *plain = json_stringn(text, size);
    if (plain != NULL) return plain;

    byte_buffer clean = { 0 };
    bool ok = true;
    for (size_t i = 0; i < size && ok;) {
        const size_t n = utf8_length((const unsigned char *)text + i, size - i);
        ok = n > 0 ? bytes_add(&clean, text + i, n) : bytes_add(&clean, "\xEF\xBF\xBD", 3);
        i += n > 0 ? n : 1;
    }
    json_t *cleaned = ok ? json_stringn(clean.data != NULL ? clean.data : "", clean.n) : NULL;
    bytes_free(&clean);
    return cleaned;
}

json_t *json_word(const char *text)
{
    return json_text(text, text != NULL ? strlen(text) : 0);
}

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

bool json_print(json_t *value, bool indented, FILE *stream)
{
    const size_t layout = indented ? JSON_INDENT(2) : JSON_COMPACT;
    const bool ok = value != NULL && json_dumpf(value, stream, layout | JSON_REAL_PRECISION(9)) == 0;
    json_decref(value);
    return fputc('\n', stream) != EOF && ok;
}
