/* trace_write.c: the trace into a file, by its name. */
#include <errno.h>
#include <string.h>

#include "core/files.h"
#include "sched/trace.h"

static trd_status no_memory(const char *path)
{
    return trdi_fail(TRD_E_MEMORY, "the trace '%s': out of memory", path);
}

static bool is_svg(const char *path)
{
    const size_t length = strlen(path);
    return length >= 4 && strcmp(path + length - 4, ".svg") == 0;
}

static trd_status write_stdout(const trdi_trace_picture *picture)
{
    if (!trdi_trace_write_json(picture, stdout)) return no_memory("-");
    if (fflush(stdout) != 0 || ferror(stdout)) return trdi_fail(TRD_E_IO, "cannot write the trace to standard output: %s", strerror(errno));
    return TRD_OK;
}

static trd_status write_file(const trdi_trace_picture *picture, const char *path)
{
    trdi_atomic_file file;
    TRDI_TRY(trdi_atomic_file_open(path, &file));
    trdi_text text = { .data = NULL };
    const bool svg = is_svg(path);
    const bool made = svg ? trdi_trace_write_svg(picture, &text) : trdi_trace_write_json(picture, file.stream);
    /* What the stream does not take is found by the commit. */
    if (made && svg) (void)fwrite(text.data, 1, text.length, file.stream);
    trdi_text_free(&text);
    if (made) return trdi_atomic_file_commit(&file);
    trdi_atomic_file_abandon(&file);
    return no_memory(path);
}

trd_status trdi_trace_write(const char *path)
{
    if (path == NULL || path[0] == '\0') return trdi_fail(TRD_E_INVALID, "trd_trace_write: path is %s", path == NULL ? "NULL" : "empty");
    trdi_trace_picture picture;
    TRDI_TRY(trdi_trace_picture_take(&picture));
    const trd_status status = strcmp(path, "-") == 0 ? write_stdout(&picture) : write_file(&picture, path);
    trdi_trace_picture_free(&picture);
    return status;
}
