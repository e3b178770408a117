/* cmd_devices.c: treadle devices: what this machine offers, and why something is missing: as a tree, as JSON, as a picture. */
#include <errno.h>
#include <string.h>

#include "command.h"

typedef struct devices_settings {
    bool        json;
    const char *svg;
} devices_settings;

static const option_spec devices_options[] = {
    { "json", OPTION_FLAG, NULL, NULL, NULL, offsetof(devices_settings, json), 0, 0, 0, "Options", "print one JSON object" },
    { "svg", OPTION_TEXT, "FILE", NULL, NULL, offsetof(devices_settings, svg), 0, 0, 0, "Options",
      "write a picture of the machine instead; '-': to standard output" },
};

/** Write a report to standard output, or to a file. */
static int write_report(const invocation *program, trd_report form, const char *path)
{
    char *text;
    if (trd_device_report(form, &text) != TRD_OK) return library_error(program);
    const bool to_file = path != NULL && strcmp(path, "-") != 0;
    FILE *const file = to_file ? fopen(path, "wb") : stdout;
    bool written = file != NULL && fputs(text, file) >= 0;
    int error = errno;
    trd_string_free(text);
    if (!to_file) return STATUS_OK;    /* main() reports what goes wrong with standard output */
    if (file != NULL && fclose(file) != 0 && written) {
        error = errno;
        written = false;
    }
    if (written) return STATUS_OK;
    complain(program, "cannot write '%s': %s", path, strerror(error));
    return STATUS_FAILED;
}

static int run_devices(const invocation *program, int argc, char **argv)
{
    devices_settings settings;
    command_line line;
    const int status = options_parse(program, &devices_command, argc, argv, &settings, &line);
    if (status != STATUS_GO_ON) return status;
    if (settings.json && settings.svg != NULL) return usage_error(program, "--json and --svg exclude each other");
    if (settings.svg != NULL) return write_report(program, TRD_REPORT_SVG, settings.svg);
    return write_report(program, settings.json ? TRD_REPORT_JSON : TRD_REPORT_TREE, NULL);
}

const subcommand devices_command = {
    .name = "devices",
    .usage = "[--json | --svg FILE]",
    .summary = "list the devices of this machine",
    .description = "Show this machine as a tree with the devices that models can run on, and why others were not found.",
    .options = devices_options,
    .n_options = sizeof devices_options / sizeof devices_options[0],
    .run = run_devices,
};
