/* cmd_devices.c: treadle devices: what this machine offers, and why something is missing. */
#include <string.h>

#include "command.h"
#include "json_text.h"

typedef struct devices_settings {
    bool json;
} devices_settings;

static const option_spec devices_options[] = {
    { "json", OPTION_FLAG, NULL, NULL, NULL, offsetof(devices_settings, json), 0, 0, 0, "Options", "print one JSON object" },
};

static void print_device(const trd_device_info *d)
{
    printf("%-10s %s\n", d->id, d->name);
    if (d->unusable[0] != '\0') printf("           cannot be used: %s\n", d->unusable);
    printf("           %lld %s", (long long)d->n_compute_units, d->n_compute_units == 1 ? "core" : "cores");
    if (d->isa[0] != '\0') printf(", %s", d->isa);
    if (d->memory_bytes > 0) printf(", %.1f GiB of memory", (double)d->memory_bytes / (1024.0 * 1024.0 * 1024.0));
    printf("\n           compute types: %s\n", d->compute_types);
}

/** "a,b" as a list of strings. */
static json_t *list_json(const char *text)
{
    json_t *list = json_array();
    while (*text != '\0') {
        const size_t n = strcspn(text, ", ");
        if (n > 0) (void)json_array_append_new(list, json_text(text, n));
        text += n + (text[n] != '\0');
    }
    return list;
}

static json_t *device_json(const trd_device_info *d)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "id", json_word(d->id));
    (void)json_object_set_new(object, "name", json_word(d->name));
    (void)json_object_set_new(object, "backend", json_word(d->backend));
    (void)json_object_set_new(object, "isa", json_word(d->isa));
    (void)json_object_set_new(object, "n_compute_units", json_integer(d->n_compute_units));
    (void)json_object_set_new(object, "memory_bytes", json_integer(d->memory_bytes));
    (void)json_object_set_new(object, "compute_types", list_json(d->compute_types));
    (void)json_object_set_new(object, "unusable", json_word(d->unusable));
    return object;
}

static int run_devices(const invocation *program, int argc, char **argv)
{
    devices_settings settings;
    command_line line;
    const int status = options_parse(program, &devices_command, argc, argv, &settings, &line);
    if (status != STATUS_GO_ON) return status;

    json_t *devices = json_array(), *notes = json_array(), *object = json_object();
    (void)json_object_set_new(object, "devices", devices);
    (void)json_object_set_new(object, "notes", notes);
    bool ok = true;
    for (int64_t i = 0; i < trd_device_count() && ok; i++) {
        trd_device_info info = { .struct_size = sizeof info };
        ok = trd_device_get_info(i, &info) == TRD_OK;
        if (!ok) (void)library_error(program);
        else if (settings.json) (void)json_array_append_new(devices, device_json(&info));
        else print_device(&info);
    }
    for (int64_t i = 0; trd_device_note(i) != NULL; i++) {
        if (settings.json) (void)json_array_append_new(notes, json_word(trd_device_note(i)));
        else printf("%s\n", trd_device_note(i));
    }
    if (settings.json) return json_print(object, true, stdout) && ok ? STATUS_OK : STATUS_FAILED;
    json_decref(object);
    return ok ? STATUS_OK : STATUS_FAILED;
}

const subcommand devices_command = {
    .name = "devices",
    .usage = "[--json]",
    .summary = "list the devices of this machine",
    .description = "List the devices that models can run on, and why others were not found.",
    .options = devices_options,
    .n_options = sizeof devices_options / sizeof devices_options[0],
    .run = run_devices,
};
