/* lines.c: the line rules of lines.h over getline(). */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool lines_open(line_reader *reader, const char *path)
{
    *reader = (line_reader){ .total_bytes = -1 };
    const bool standard = path == NULL || strcmp(path, "-") == 0;
    (void)snprintf(reader->name, sizeof reader->name, "%s", standard ? "standard input" : path);
    reader->file = standard ? stdin : fopen(path, "rb");
    if (reader->file == NULL) {
        reader->error = errno;
        return false;
    }
    struct stat about;
    if (fstat(fileno(reader->file), &about) == 0 && S_ISREG(about.st_mode)) reader->total_bytes = (int64_t)about.st_size;
    return true;
}

bool lines_next(line_reader *reader, const char **line, size_t *bytes)
{
    errno = 0;
    const ssize_t got = getline(&reader->line, &reader->line_bytes, reader->file);
    if (got < 0) {
        if (!feof(reader->file) || ferror(reader->file)) reader->error = errno != 0 ? errno : EIO;
        return false;
    }
    size_t n = (size_t)got;
    reader->n_lines++;
    reader->n_bytes += (int64_t)got;
    if (n > 0 && reader->line[n - 1] == '\n') n--;
    if (n > 0 && reader->line[n - 1] == '\r') n--;
    *line = reader->line;
    *bytes = n;
    return true;
}

void lines_close(line_reader *reader)
{
    if (reader->file != NULL && reader->file != stdin) (void)fclose(reader->file);
    free(reader->line);
    *reader = (line_reader){ .total_bytes = -1 };
}
