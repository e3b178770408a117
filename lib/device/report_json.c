/* report_json.c: the report for programs. Text of drivers and vendors may be in any encoding: what is not UTF-8 becomes '?'. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "device/report.h"

static json_t *text_json(const char *text)
{
    char copy[512];
    if (trdi_utf8_valid(text, strlen(text))) return json_string(text);
    (void)snprintf(copy, sizeof copy, "%s", text);
    for (char *at = copy; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80) *at = '?';
    return json_string(copy);
}

/* Words separated by commas or blanks. */
static json_t *words_json(const char *text)
{
    json_t *const list = json_array();
    while (list != NULL && *text != '\0') {
        const size_t length = strcspn(text, ", ");
        if (length > 0) (void)json_array_append_new(list, json_stringn(text, length));
        text += length + (text[length] != '\0');
    }
    return list;
}

static json_t *device_json(const trdi_device *device)
{
    const trdi_device_facts *const facts = &device->facts;
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:o, s:s, s:s, s:o}", "id", facts->id,
                     "name", text_json(facts->name), "backend", device->ops->name, "type", trdi_device_type_name(facts->type), "isa", facts->isa,
                     "platform", text_json(facts->platform), "driver", text_json(facts->driver), "pci", facts->pci,
                     "features", words_json(facts->features), "n_compute_units", (json_int_t)facts->n_compute_units,
                     "memory_bytes", (json_int_t)facts->memory_bytes, "max_buffer_bytes", (json_int_t)facts->max_buffer_bytes,
                     "local_bytes", (json_int_t)facts->local_bytes, "compute_types", words_json(trdi_device_compute_types(facts)),
                     "nearest_cores", device->nearest_cores, "numa_nodes", device->numa_nodes, "unusable", text_json(facts->unusable));
}

/* A place with what is below it; the depth of a machine is small. */
static json_t *place_json(const trdi_machine_tree *tree, size_t i)
{
    const trdi_place *const place = &tree->list[i];
    json_t *const children = json_array();
    const size_t end = trdi_machine_tree_skip(tree, i);
    for (size_t k = i + 1; k < end; k = trdi_machine_tree_skip(tree, k)) (void)json_array_append_new(children, place_json(tree, k));
    if (place->device != NULL) {
        json_decref(children);
        return json_pack("{s:s, s:s}", "kind", trdi_place_kind_name(place->kind), "id", place->name);
    }
    return json_pack("{s:s, s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:o}", "kind", trdi_place_kind_name(place->kind), "name", place->name,
                     "about", text_json(place->about), "cpus", place->units, "n_cores", (json_int_t)place->n_cores,
                     "n_cpus", (json_int_t)place->n_units, "n_allowed", (json_int_t)place->n_allowed, "bytes", (json_int_t)place->bytes,
                     "children", children);
}

static json_t *devices_json(void)
{
    json_t *const list = json_array();
    const trdi_device *device;
    for (int64_t i = 0; (device = trdi_device_at(i)) != NULL; i++) (void)json_array_append_new(list, device_json(device));
    return list;
}

static json_t *notes_json(void)
{
    json_t *const list = json_array();
    const char *note;
    for (int64_t i = 0; (note = trdi_device_note(i)) != NULL; i++) (void)json_array_append_new(list, text_json(note));
    return list;
}

static int add_chunk(const char *chunk, size_t bytes, void *context)
{
    trdi_text *const text = context;
    trdi_text_add(text, "%.*s", (int)bytes, chunk);
    return text->failed ? -1 : 0;
}

bool trdi_report_json(const trdi_machine_tree *tree, trdi_text *text)
{
    json_t *const root = json_pack("{s:s, s:o, s:o, s:o}", "version", trd_version(), "devices", devices_json(), "notes", notes_json(),
                                   "machine", place_json(tree, 0));
    const bool good = root != NULL && json_dump_callback(root, add_chunk, text, JSON_INDENT(2)) == 0;
    json_decref(root);
    if (good) trdi_text_add(text, "\n");
    return good && !text->failed;
}
