/* stream_device.c: from the options about model, device and threads to a translator. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stream.h"

/** Kind of device ("cpu", "cuda" ...) that a device option names, for --device_index; "" for a part of a device's name. */
static const char *device_kind(const char *device)
{
    static const char *const kinds[] = { "cpu", "cuda", "opencl", "gpu", "auto" };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const size_t length = strlen(kinds[i]);
        if (strncmp(device, kinds[i], length) == 0 && (device[length] == '\0' || device[length] == ':')) return kinds[i];
    }
    return "";
}

/** Back end of the device that will be chosen. */
static const char *device_backend(const char *device, const char *kind)
{
    const bool any_gpu = strcmp(kind, "gpu") == 0 || strcmp(kind, "auto") == 0;
    if (!any_gpu && kind[0] != '\0') return kind;
    for (int64_t i = 0; i < trd_device_count(); i++) {
        trd_device_info info = { .struct_size = sizeof info };
        if (trd_device_get_info(i, &info) != TRD_OK || info.unusable[0] != '\0') continue;
        if (any_gpu ? strcmp(info.type, "gpu") == 0 : strstr(info.name, device) != NULL) return info.backend;
    }
    return strcmp(kind, "gpu") == 0 ? kind : "cpu";
}

/** The list of --device_index as devices of one kind: "opencl:0,opencl:1". Returns STATUS_GO_ON, or a usage error. */
static int read_device_indices(const stream *s, const char *kind, const char *backend, char *out, size_t out_bytes)
{
    const char *text = s->settings.device_index;
    size_t used = 0;
    out[0] = '\0';
    for (const char *c = text;; c++) {
        char *end;
        errno = 0;
        const long index = strtol(c, &end, 10);
        if (*c < '0' || *c > '9' || errno != 0 || (*end != '\0' && *end != ','))
            return usage_error(s->program, "--device_index: '%s' is not a list of device numbers", text);
        if (strcmp(backend, "cpu") == 0 && index != 0)
            return usage_error(s->program, "--device_index: there is no cpu:%ld; the CPU is cpu:0", index);
        used += (size_t)snprintf(out + used, out_bytes - used, "%s%s:%ld", used > 0 ? "," : "", kind, index);
        if (used >= out_bytes) return usage_error(s->program, "--device_index: '%s' names too many devices", text);
        c = end;
        if (*end == '\0') return STATUS_GO_ON;
    }
}

static int32_t clamp_int32(int64_t value)
{
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/** The library's limit of max_batch_rows: larger batches are run as several, which changes no result. */
#define MAX_ROWS ((int64_t)1 << 20)

/** Sizes that ct2-translator counts in batches are counted in examples and rows by the library. */
static void set_batch_bounds(const stream *s, trd_translator_options *o)
{
    const stream_settings *from = &s->settings;
    const bool translates = s->task == &translate_task;
    const int64_t examples = from->batch_size > 0 ? from->batch_size : from->read_batch_size;
    const int64_t beams = !translates ? 1 : from->beam_size > from->n_best ? from->beam_size : from->n_best;
    if (!s->files.batch_by_tokens) o->max_batch_rows = beams <= MAX_ROWS / examples ? examples * beams : MAX_ROWS;
    o->max_queued_batches = clamp_int32(from->max_queued_batches);
    if (from->max_queued_batches > 0 && !s->files.batch_by_tokens)
        o->max_queued_batches = clamp_int32(from->max_queued_batches * (examples < INT32_MAX ? examples : INT32_MAX));
}

/** Texts that the options of the translator point at. */
typedef struct device_texts {
    char devices[512], types[512];
} device_texts;

/** backend "" is a list of devices, for which the library takes types by kind of device. */
static void set_types(const stream *s, const char *backend, trd_translator_options *o, device_texts *texts)
{
    const stream_settings *from = &s->settings;
    o->compute_type = from->compute_type;
    if (strcmp(backend, "cpu") == 0 && from->cpu_compute_type != NULL) o->compute_type = from->cpu_compute_type;
    if (strcmp(backend, "cuda") == 0 && from->cuda_compute_type != NULL) o->compute_type = from->cuda_compute_type;
    if (backend[0] != '\0' || (from->cpu_compute_type == NULL && from->cuda_compute_type == NULL)) return;
    const char *const cpu = from->cpu_compute_type, *const cuda = from->cuda_compute_type;
    (void)snprintf(texts->types, sizeof texts->types, "%s%s%s%s%s", from->compute_type, cpu != NULL ? ",cpu:" : "", cpu != NULL ? cpu : "",
                   cuda != NULL ? ",cuda:" : "", cuda != NULL ? cuda : "");
    o->compute_type = texts->types;
}

static int set_device(const stream *s, trd_translator_options *o, device_texts *texts)
{
    const stream_settings *from = &s->settings;
    const char *from_environment = getenv("TREADLE_DEVICE");
    const char *chosen = from->device != NULL ? from->device : from_environment != NULL ? from_environment : "cpu";
    if (chosen[0] == '\0') chosen = "cpu";
    const char *kind = device_kind(chosen);
    const bool any = strcmp(kind, "auto") == 0;   /* which takes no number, but a GPU does */
    if (from->device != NULL) o->device = from->device;
    o->numerics = from->numerics;
    o->policy = from->policy;
    o->memory_limit = from->memory_limit;
    const char *backend = strchr(chosen, ',') != NULL ? "" : device_backend(chosen, kind);
    set_types(s, backend, o, texts);
    if (!option_given(s->command, s->line, "device_index")) return STATUS_GO_ON;

    const bool only_first = strcmp(from->device_index, "0") == 0;
    const int status = read_device_indices(s, any ? "gpu" : kind, backend, texts->devices, sizeof texts->devices);
    if (status != STATUS_GO_ON) return status;
    if (strcmp(chosen, kind) != 0)
        return only_first ? STATUS_GO_ON : usage_error(s->program, "--device_index: '%s' names its device already", chosen);
    if (!(only_first && any)) o->device = texts->devices;
    return STATUS_GO_ON;
}

int stream_open_translator(stream *s)
{
    const stream_settings *from = &s->settings;
    device_texts texts;
    trd_translator_options o;
    trd_translator_options_init(&o, sizeof o);
    const int status = set_device(s, &o, &texts);
    if (status != STATUS_GO_ON) return status;
    o.inter_threads = clamp_int32(from->inter_threads);
    o.intra_threads = clamp_int32(from->intra_threads);
    o.cpu_core_offset = clamp_int32(from->cpu_core_offset);
    set_batch_bounds(s, &o);

    trd_model *model = NULL;
    if (trd_model_open(from->model, &model) != TRD_OK) return library_error(s->program);
    const trd_status created = trd_translator_create(model, &o, &s->translator);
    trd_model_close(model);
    return created == TRD_OK ? STATUS_GO_ON : library_error(s->program);
}
