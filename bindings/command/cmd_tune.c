/* cmd_tune.c: treadle tune: measures how a device computes products fastest, and keeps what was found. */
#include <stdlib.h>
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

/* What is heard while a device is tuned. */
typedef struct listener {
    json_t *results;       /* NULL: lines are printed */
    char   *device, *path; /* owned */
} listener;

static void print_result(const trd_tune_result *r, bool first)
{
    if (first) printf("weights   rows  inputs  outputs  kernel     microseconds\n");
    printf("%-8s %5lld  %6lld  %7lld  %-10s %12.1f%s\n", r->weights, (long long)r->rows, (long long)r->inputs, (long long)r->outputs, r->way,
           r->microseconds, r->chosen != 0 ? "  used" : "");
    (void)fflush(stdout);
}

static void collect_result(json_t *results, const trd_tune_result *r)
{
    json_t *const object = json_object();
    (void)json_object_set_new(object, "weights", json_word(r->weights));
    (void)json_object_set_new(object, "rows", json_integer(r->rows));
    (void)json_object_set_new(object, "inputs", json_integer(r->inputs));
    (void)json_object_set_new(object, "outputs", json_integer(r->outputs));
    (void)json_object_set_new(object, "kernel", json_word(r->way));
    (void)json_object_set_new(object, "microseconds", json_real(r->microseconds));
    (void)json_object_set_new(object, "chosen", json_boolean(r->chosen));
    (void)json_array_append_new(results, object);
}

static void take_result(void *context, const trd_tune_result *r)
{
    listener *const to = context;
    const bool first = to->path == NULL;
    if (first) {
        to->device = strdup(r->device);
        to->path = strdup(r->path);
    }
    if (to->results != NULL) collect_result(to->results, r);
    else print_result(r, first);
}

/** What the table holds for: the device, its driver and the library. Takes the results. */
static json_t *about(const listener *heard)
{
    json_t *const object = json_object();
    (void)json_object_set_new(object, "version", json_word(trd_version()));
    trd_device_info info = { .struct_size = sizeof info };
    for (int64_t i = 0; heard->device != NULL && trd_device_get_info(i, &info) == TRD_OK; i++) {
        if (strcmp(info.id, heard->device) != 0) continue;
        (void)json_object_set_new(object, "device", json_word(info.id));
        (void)json_object_set_new(object, "name", json_word(info.name));
        (void)json_object_set_new(object, "platform", json_word(info.platform));
        (void)json_object_set_new(object, "driver", json_word(info.driver));
        break;
    }
    if (heard->path != NULL) (void)json_object_set_new(object, "path", json_word(heard->path));
    (void)json_object_set(object, "results", heard->results);
    return object;
}

static int run_tune(const invocation *program, int argc, char **argv)
{
    tune_settings settings;
    command_line line;
    int status = options_parse(program, &tune_command, argc, argv, &settings, &line);
    if (status != STATUS_GO_ON) return status;
    listener heard = { settings.json ? json_array() : NULL, NULL, NULL };
    if (trd_device_tune(settings.device, take_result, &heard) != TRD_OK) {
        status = library_error(program);
    } else if (settings.json) {
        status = json_print(about(&heard), true, stdout) ? STATUS_OK : STATUS_FAILED;
    } else {
        printf("The table of %s is kept in %s\n", heard.device, heard.path);
        status = STATUS_OK;
    }
    json_decref(heard.results);
    free(heard.device);
    free(heard.path);
    return status;
}

const subcommand tune_command = {
    .name = "tune",
    .usage = "[--device NAME] [--json]",
    .summary = "measure which kernels are fastest on a device",
    .description = "Measure which kernels compute matrix products fastest on an OpenCL device, and keep the table in the cache folder.\nThe built-in kernel "
                   "stays in use unless another is clearly faster.",
    .options = tune_options,
    .n_options = sizeof tune_options / sizeof tune_options[0],
    .run = run_tune,
};
