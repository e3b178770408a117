/* api_device.c: the public list of devices (treadle/trd_device.h) over lib/device. */
#include "treadle/trd_device.h"

#include "api/compute.h"
#include "api/options.h"
#include "device/device.h"
#include "device/report.h"

/* A caller's struct larger than this was not set at all. */
enum { MAX_STRUCT_BYTES = 4096 };

int64_t trd_device_count(void)
{
    int64_t n = 0;
    while (trdi_device_at(n) != NULL) n++;
    return n;
}

trd_status trdi_describe_device(const char *call, int64_t i, trd_device_info *info)
{
    if (info == NULL) return trdi_fail(TRD_E_INVALID, "%s: info is NULL", call);
    const size_t size = info->struct_size;
    if (size < offsetof(trd_device_info, name) || size > MAX_STRUCT_BYTES)
        return trdi_fail(TRD_E_INVALID, "%s: struct_size is %zu; set it to sizeof(trd_device_info), %zu", call, size, sizeof *info);
    const trdi_device *const device = trdi_device_at(i);
    if (device == NULL)
        return trdi_fail(TRD_E_RANGE, "%s: device %lld of %lld", call, (long long)i, (long long)trd_device_count());
    const trd_device_info found = {
        .id = device->facts.id,
        .name = device->facts.name,
        .backend = device->ops->name,
        .isa = device->facts.isa,
        .n_compute_units = device->facts.n_compute_units,
        .memory_bytes = device->facts.memory_bytes,
        .compute_types = trdi_device_compute_types(&device->facts),
        .unusable = device->facts.unusable,
        .type = trdi_device_type_name(device->facts.type),
        .platform = device->facts.platform,
        .driver = device->facts.driver,
        .pci = device->facts.pci,
        .features = device->facts.features,
        .max_buffer_bytes = device->facts.max_buffer_bytes,
        .local_bytes = device->facts.local_bytes,
        .nearest_cores = device->nearest_cores,
        .numa_nodes = device->numa_nodes,
    };
    trdi_write_result(info, size, &found, sizeof found);
    return TRD_OK;
}

trd_status trd_device_get_info(int64_t i, trd_device_info *info)
{
    return trdi_describe_device("trd_device_get_info", i, info);
}

/* ---- Tuning ---- */

typedef struct tune_listener {
    trd_tune_callback report;
    void *context;
    const char *device;
} tune_listener;

static void pass_on(void *context, const trdi_tune_result *result)
{
    const tune_listener *to = context;
    const char *weights = result->weights == TRD_DTYPE_I8 ? "int8" : result->weights == TRD_DTYPE_F16 ? "float16" : "float32";
    if (to->report == NULL) return;
    to->report(to->context, &(trd_tune_result){ .struct_size = sizeof(trd_tune_result), .weights = weights, .rows = result->rows, .inputs = result->in,
                                                .outputs = result->out, .way = result->way, .microseconds = result->best_us, .chosen = result->chosen,
                                                .device = to->device, .path = result->path });
}

/* Says which devices could be tuned instead. */
static trd_status nothing_to_tune(const trdi_device *device)
{
    trdi_text others = { NULL, 0, 0, false };
    const trdi_device *other;
    for (int64_t i = 0; (other = trdi_device_at(i)) != NULL; i++) {
        if (other->ops->tune == NULL || other->facts.unusable[0] != '\0') continue;
        trdi_text_add(&others, "%s%s (%s)", others.length > 0 ? ", " : "", other->facts.id, other->facts.name);
    }
    const trd_status status = others.data != NULL && !others.failed
        ? trdi_fail(TRD_E_UNSUPPORTED, "%s: there is nothing to tune; what can be tuned here: %s", device->facts.id, others.data)
        : trdi_fail(TRD_E_UNSUPPORTED, "%s: there is nothing to tune, and no other device here that can be tuned", device->facts.id);
    trdi_text_free(&others);
    return status;
}

trd_status trd_device_tune(const char *selector, trd_tune_callback report, void *context)
{
    trdi_device *device;
    TRDI_TRY(trdi_device_acquire(selector, &device));
    /* A handle of its own: models that run on the device keep the choices they have. */
    void *own = NULL;
    trd_status status = TRD_OK;
    if (device->ops->tune == NULL) status = nothing_to_tune(device);
    if (status == TRD_OK) status = device->ops->device_open(&device->facts, &own);
    if (status == TRD_OK) status = device->ops->tune(own, pass_on, &(tune_listener){ report, context, device->facts.id });
    if (own != NULL) device->ops->device_close(own);
    trdi_device_release(device);
    return status;
}

const char *trd_device_note(int64_t i)
{
    return trdi_device_note(i);
}

static bool write_report(trd_report form, const trdi_machine_tree *tree, trdi_text *text)
{
    switch (form) {
    case TRD_REPORT_JSON: return trdi_report_json(tree, text);
    case TRD_REPORT_SVG: return trdi_report_svg(tree, text);
    default: trdi_report_tree(tree, text); return !text->failed;
    }
}

trd_status trd_device_report(trd_report form, char **text)
{
    if (text == NULL) return trdi_fail(TRD_E_INVALID, "trd_device_report: text is NULL");
    *text = NULL;
    if ((unsigned)form > TRD_REPORT_SVG) return trdi_fail(TRD_E_INVALID, "trd_device_report: form is %d", (int)form);
    trdi_machine_tree tree;
    TRDI_TRY(trdi_machine_tree_make(&tree));
    trdi_text written = { .data = NULL };
    const bool good = write_report(form, &tree, &written);
    trdi_machine_tree_free(&tree);
    if (good) {
        *text = written.data;
        return TRD_OK;
    }
    trdi_text_free(&written);
    return trdi_fail(TRD_E_MEMORY, "report on devices: out of memory");
}
