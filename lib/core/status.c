/* status.c: status texts, this thread's last-error text, and version. */
#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/platform.h"

static TRDI_THREAD_LOCAL char last_error[TRDI_ERROR_BYTES];

const char *trd_status_text(trd_status status)
{
    switch (status) {
#define STATUS_TEXT(name, value, text) case TRD_##name: return text;
    TRD_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}

const char *trd_last_error(void) { return last_error; }

const char *trd_version(void) { return TRDI_VERSION; }

/* Make text this thread's last error. A text that filled its room may end inside a UTF-8 character, which is then dropped. */
static void keep(char *text)
{
    size_t length = strlen(text);
    if (length == TRDI_ERROR_BYTES - 1) {
        size_t start = length;
        while (start > 0 && length - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) start--;
        if (start > 0 && (unsigned char)text[start - 1] >= 0xC0) length = start - 1;
    }
    memcpy(last_error, text, length);
    last_error[length] = '\0';
}

trd_status trdi_fail(trd_status code, const char *format, ...)
{
    /* Formatted aside first: an argument may be the old text. */
    char text[TRDI_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    keep(text);
    return code;
}

trd_status trdi_fail_within(trd_status code, const char *format, ...)
{
    char text[TRDI_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    strncat(text, ": ", sizeof text - strlen(text) - 1); /* a cut text is fine */
    strncat(text, last_error, sizeof text - strlen(text) - 1);
    keep(text);
    return code;
}
