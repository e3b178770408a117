/* files_output.c: the output of a file run: aside and renamed at the end, or a stream. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/files_private.h"

/* The input's own file would be destroyed. */
static bool is_input(const struct stat *about, const trdi_lines *input)
{
    struct stat other;
    return input != NULL && input->is_regular && fstat(input->descriptor, &other) == 0 && other.st_dev == about->st_dev &&
           other.st_ino == about->st_ino;
}

static trd_status open_path(trdi_file_output *output, const char *path, const trdi_lines *const *inputs, int n_inputs)
{
    struct stat about;
    const bool regular = stat(path, &about) == 0 && S_ISREG(about.st_mode);
    for (int i = 0; i < n_inputs && regular; i++) {
        if (is_input(&about, inputs[i])) return trdi_fail(TRD_E_INVALID, "%s is both input and output", path);
    }
    output->is_aside = trdi_file_replaceable(path);
    if (output->is_aside) {
        if (regular && access(path, W_OK) != 0) return trdi_fail(TRD_E_IO, "cannot open %s for writing: %s", path, strerror(errno));
        TRDI_TRY(trdi_atomic_file_open_like(path, &output->aside));
        output->stream = output->aside.stream;
        return TRD_OK;
    }
    output->stream = fopen(path, "wb");
    return output->stream != NULL ? TRD_OK : trdi_fail(TRD_E_IO, "cannot open %s for writing: %s", path, strerror(errno));
}

trd_status trdi_file_output_open(trdi_file_output *output, const char *path, const trdi_lines *const *inputs, int n_inputs)
{
    const bool standard = strcmp(path, "-") == 0;
    *output = (trdi_file_output){ .name = standard ? "standard output" : path };
    if (!standard) return open_path(output, path, inputs, n_inputs);
    output->stream = stdout;
    return TRD_OK;
}

static trd_status fail_write(trdi_file_output *output, int error)
{
    clearerr(output->stream);
    return trdi_fail(TRD_E_IO, "cannot write %s: %s (results of line %lld)", output->name, strerror(error != 0 ? error : EIO),
                     (long long)output->line);
}

trd_status trdi_file_output_write(trdi_file_output *output, const char *bytes, size_t n, int64_t line)
{
    output->line = line;
    output->is_dirty = true;
    errno = 0;
    return n == 0 || fwrite(bytes, 1, n, output->stream) == n ? TRD_OK : fail_write(output, errno);
}

trd_status trdi_file_output_flush(trdi_file_output *output)
{
    if (!output->is_dirty || output->is_aside) return TRD_OK;
    output->is_dirty = false;
    errno = 0;
    return fflush(output->stream) == 0 ? TRD_OK : fail_write(output, errno);
}

trd_status trdi_file_output_commit(trdi_file_output *output)
{
    trd_status status = TRD_OK;
    if (output->is_aside) {
        status = trdi_atomic_file_commit(&output->aside);
    } else {
        status = trdi_file_output_flush(output);
        errno = 0;
        if (output->stream != stdout && fclose(output->stream) != 0 && status == TRD_OK) {
            status = trdi_fail(TRD_E_IO, "cannot write %s: %s", output->name, strerror(errno != 0 ? errno : EIO));
        }
    }
    output->stream = NULL;
    return status;
}

void trdi_file_output_abandon(trdi_file_output *output)
{
    if (output->stream == NULL) return;
    if (output->is_aside) {
        trdi_atomic_file_abandon(&output->aside);
    } else {
        (void)fflush(output->stream);
        if (output->stream != stdout) (void)fclose(output->stream);
    }
    output->stream = NULL;
}

void trdi_file_number(double value, char *text)
{
    char local[32];
    (void)snprintf(local, sizeof local, "%g", value);
    bool in_point = false;
    for (const char *c = local; *c != '\0'; c++) {
        /* Whatever is none of these is the locale's decimal point, of one byte or several. */
        const bool plain = strchr("0123456789+-einfa", *c) != NULL;
        if (plain) *text++ = *c;
        else if (!in_point) *text++ = '.';
        in_point = !plain;
    }
    *text = '\0';
}
