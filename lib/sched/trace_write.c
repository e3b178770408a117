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

/* What the stream does not take is found by who closes it. @return false: out of memory */
static bool write_picture(const trdi_trace_picture *picture, bool svg, FILE *stream)
{
    if (!svg) return trdi_trace_write_json(picture, stream);
    trdi_text text = { .data = NULL };
    const bool made = trdi_trace_write_svg(picture, &text);
    if (made) (void)fwrite(text.data, 1, text.length, stream);
    trdi_text_free(&text);
    return made;
}

/* A pipe or a device. */
static trd_status write_in_place(const trdi_trace_picture *picture, const char *path)
{
    FILE *const stream = fopen(path, "wb");
    if (stream == NULL) return trdi_fail(TRD_E_IO, "cannot open %s for writing: %s", path, strerror(errno));
    const bool made = write_picture(picture, is_svg(path), stream);
    errno = 0;
    const bool failed = ferror(stream) != 0, closed = fclose(stream) == 0;
    if (!made) return no_memory(path);
    return closed && !failed ? TRD_OK : trdi_fail(TRD_E_IO, "cannot write %s: %s", path, strerror(errno != 0 ? errno : EIO));
}

static trd_status write_file(const trdi_trace_picture *picture, const char *path)
{
    if (!trdi_file_replaceable(path)) return write_in_place(picture, path);
    trdi_atomic_file file;
    TRDI_TRY(trdi_atomic_file_open_like(path, &file));
    const bool made = write_picture(picture, is_svg(path), file.stream);
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
