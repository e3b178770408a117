/* cmd_tune.c: treadle tune: measures how a device computes products fastest, and keeps what was found. */
#include <string.h>

#include "command.h"
#include "json_text.h"

typedef struct tune_settings {
    const char *device;
    bool        json;
} tune_settings;

static const option_spec tune_options[] = {
    { "device", OPTION_TEXT, "NAME", NULL, NULL, offsetof(tune_settings, device), 0, 0, 0, "Options",
      "opencl, gpu, a name such as opencl:0 or a part of a device's name [TREADLE_DEVICE]" },
    { "json", OPTION_FLAG, NULL, NULL, NULL, offsetof(tune_settings, json), 0, 0, 0, "Options", "print one JSON object" },
};

static void print_result(void *context, const trd_tune_result *r)
{
    bool *const started = context;
    if (!*started) printf("weights   rows  inputs  outputs  kernel     microseconds\n");
    *started = true;
    printf("%-8s %5lld  %6lld  %7lld  %-10s %12.1f%s\n", r->weights, (long long)r->rows, (long long)r->inputs, (long long)r->outputs, r->way,
           r->microseconds, r->chosen != 0 ? "  chosen" : "");
    (void)fflush(stdout);
}

static void collect_result(void *context, const trd_tune_result *r)
{
    json_t *const object = json_object();
    (void)json_object_set_new(object, "weights", json_word(r->weights));
    (void)json_object_set_new(object, "rows", json_integer(r->rows));
    (void)json_object_set_new(object, "inputs", json_integer(r->inputs));
    (void)json_object_set_new(object, "outputs", json_integer(r->outputs));
    (void)json_object_set_new(object, "kernel", json_word(r->way));
    (void)json_object_set_new(object, "microseconds", json_real(r->microseconds));
    (void)json_object_set_new(object, "chosen", json_boolean(r->chosen));
    (void)json_array_append_new(context, object);
}

static int run_tune(const invocation *program, int argc, char **argv)
{
    tune_settings settings;
    command_line line;
    const int status = options_parse(program, &tune_command, argc, argv, &settings, &line);
    if (status != STATUS_GO_ON) return status;
    if (!settings.json) {
        bool started = false;
        return trd_device_tune(settings.device, print_result, &started) == TRD_OK ? STATUS_OK : library_error(program);
    }
    json_t *const results = json_array(), *const object = json_object();
    (void)json_object_set_new(object, "results", results);
    if (trd_device_tune(settings.device, collect_result, results) == TRD_OK) return json_print(object, true, stdout) ? STATUS_OK : STATUS_FAILED;
    json_decref(object);
    return library_error(program);
}

const subcommand tune_command = {
    .name = "tune",
    .usage = "[--device NAME] [--json]",
    .summary = "measure which kernels are fastest on a device",
    .description = "Measure which kernels compute matrix products fastest on an OpenCL device, and keep the table in the cache folder.",
    .options = tune_options,
    .n_options = sizeof tune_options / sizeof tune_options[0],
    .run = run_tune,
};
