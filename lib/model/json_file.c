/* json_file.c: a JSON file of a model directory, with limits. */
#include <string.h>

#include "model/model_private.h"

/* The largest real vocabulary has some 5 MB; parsed values take up to 30 times the text. */
#define MAX_JSON_BYTES ((size_t)64 << 20)

trd_status trdi_json_parse(const trdi_model_file *file, size_t flags, json_t **out)
{
    *out = NULL;
    if (file->bytes > MAX_JSON_BYTES) {
        return trdi_fail(TRD_E_FORMAT, "file '%s': %zu bytes, at most %zu are read", file->label, file->bytes, MAX_JSON_BYTES);
    }
    const char *text = file->bytes != 0 ? (const char *)file->data : "";
    size_t bytes = file->bytes;
    if (bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {    /* a byte-order mark is no part of the text */
        text += 3;
        bytes -= 3;
    }
    json_error_t error = { .line = 0 };
    *out = json_loadb(text, bytes, flags | JSON_REJECT_DUPLICATES, &error);
    if (*out != NULL) return TRD_OK;
    if (json_error_code(&error) == json_error_out_of_memory) return trdi_fail(TRD_E_MEMORY, "file '%s': %s", file->label, error.text);
    return trdi_fail(TRD_E_FORMAT, "file '%s': line %d, column %d: %s", file->label, error.line, error.column, error.text);
}
