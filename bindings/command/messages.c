/* messages.c: what the program says on standard error, the end of standard output, and the search for a near word. */
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void print_message(const invocation *program, const char *format, va_list arguments)
{
    fprintf(stderr, "%s: ", program->name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void complain(const invocation *program, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(program, format, arguments);
    va_end(arguments);
}

int usage_error(const invocation *program, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(program, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try '%s --help'.\n", program->name);
    return program->as_ct2 ? STATUS_FAILED : STATUS_USAGE;
}

int library_error(const invocation *program)
{
    complain(program, "%s", trd_last_error());
    return STATUS_FAILED;
}

int finish_output(const invocation *program, int status)
{
    errno = 0;
    const bool failed = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (status == STATUS_TOLD) return STATUS_FAILED;
    if (!failed) return status;
    if (errno == 0) {
        /* A write before this one failed and its reason is gone: let one more fail. */
        (void)putchar('\n');
        (void)fflush(stdout);
    }
    if (errno != EPIPE) complain(program, "cannot write standard output: %s", strerror(errno != 0 ? errno : EIO));
    return status == STATUS_OK ? STATUS_FAILED : status;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t word_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    const size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST) return SIZE_MAX;
    size_t rows[3][LONGEST + 1];   /* of the table of edits: before last, last, this */
    for (size_t j = 0; j <= m; j++) rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3];
        const size_t *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (swapped) row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

bool word_is_near(const char *word, size_t distance)
{
    return distance <= 1 + strlen(word) / 4;
}
