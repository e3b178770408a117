/* files_lines.c: lines from descriptors. Nothing is read ahead of a line but one block, so that typed lines are seen at once. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/files_private.h"
#include "core/alloc.h"

#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif
#ifndef O_BINARY
#define O_BINARY 0
#endif

enum { BLOCK_BYTES = 1 << 16 };

#if defined(__linux__)
/* A pipe opens at once; poll() then waits for its first writer. */
enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_BINARY | O_NONBLOCK };
#else
enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_BINARY };
#endif

trd_status trdi_lines_open(trdi_lines *lines, const char *path)
{
    const bool standard = strcmp(path, "-") == 0;
    *lines = (trdi_lines){ .name = standard ? "standard input" : path, .is_ours = !standard, .total_bytes = -1 };
    lines->descriptor = standard ? STDIN_FILENO : open(path, OPEN_FLAGS);
    if (lines->descriptor < 0) return trdi_fail(TRD_E_IO, "cannot open %s: %s", lines->name, strerror(errno));
    struct stat about;
    if (fstat(lines->descriptor, &about) == 0 && S_ISREG(about.st_mode)) {
        lines->is_regular = true;
        lines->total_bytes = (int64_t)about.st_size;
    }
    return TRD_OK;
}

trdi_line_state trdi_lines_next(trdi_lines *lines, const char **line, size_t *bytes)
{
    const char *const data = lines->data;
    const size_t left = lines->end - lines->begin;
    const char *newline = lines->end > lines->scanned ? memchr(data + lines->scanned, '\n', lines->end - lines->scanned) : NULL;
    lines->scanned = lines->end;
    if (newline == NULL && !lines->at_end) return TRDI_LINE_NEEDS_MORE;
    if (newline == NULL && left == 0) return TRDI_LINE_END;
    const size_t whole = newline != NULL ? (size_t)(newline - data) + 1 - lines->begin : left;
    size_t n = newline != NULL ? whole - 1 : whole;
    *line = data + lines->begin;
    if (n > 0 && (*line)[n - 1] == '\r') n--;
    *bytes = n;
    lines->begin += whole;
    lines->scanned = lines->begin;
    lines->n_lines++;
    lines->n_bytes += (int64_t)whole;
    return TRDI_LINE_READY;
}

static trd_status make_room(trdi_lines *lines)
{
    const size_t left = lines->end - lines->begin;
    if (lines->begin > 0) {
        memmove(lines->data, lines->data + lines->begin, left);
        lines->scanned -= lines->begin;
        lines->begin = 0;
        lines->end = left;
    }
    void *data = lines->data;
    /* What a huge line took is given back with the next one: no line needs more than its own length and a block. */
    if (lines->capacity > 4 * BLOCK_BYTES && left == 0) {
        trdi_free(data);
        data = NULL;
        lines->capacity = 0;
    }
    const bool there = trdi_reserve(&data, &lines->capacity, left + BLOCK_BYTES, 1);
    lines->data = data;
    if (there) return TRD_OK;
    return trdi_fail(TRD_E_MEMORY, "cannot read %s: line %lld has more than %zu bytes: %s", lines->name, (long long)lines->n_lines + 1, left,
                     strerror(ENOMEM));
}

trd_status trdi_lines_fill(trdi_lines *lines)
{
    TRDI_TRY(make_room(lines));
    const ssize_t got = read(lines->descriptor, lines->data + lines->end, BLOCK_BYTES);
    if (got > 0) lines->end += (size_t)got;
    if (got == 0) lines->at_end = true;
    if (got >= 0 || errno == EINTR || errno == EAGAIN) return TRD_OK;
    return trdi_fail(TRD_E_IO, "cannot read %s: %s (line %lld)", lines->name, strerror(errno), (long long)lines->n_lines + 1);
}

void trdi_lines_close(trdi_lines *lines)
{
    if (lines->is_ours && lines->descriptor >= 0) (void)close(lines->descriptor);
    trdi_free(lines->data);
    *lines = (trdi_lines){ .descriptor = -1, .total_bytes = -1 };
}
