/* report_tree.c: the report for people who read a terminal, and the words that the picture shares with it. */
#include <stdio.h>
#include <string.h>

#include "device/report.h"
#include "device/topology.h"

const char *trdi_report_bytes(int64_t bytes, char text[32])
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    const bool whole = value >= 1e15 || (double)(int64_t)value == value;
    (void)snprintf(text, 32, whole ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

static void add_cores(const trdi_place *place, trdi_text *text)
{
    trdi_text_add(text, ", %lld %s", (long long)place->n_cores, place->n_cores == 1 ? "core" : "cores");
    if (place->units[0] != '\0') trdi_text_add(text, ", CPUs %s", place->units);
}

/* What of the machine is ours, where that is not all. */
static void add_limits(const trdi_place *machine, trdi_text *text)
{
    const trdi_topology *const topology = trdi_topology_get();
    char bytes[32];
    const bool fewer = topology->n_usable < machine->n_cores;
    const bool less = topology->memory_bytes > 0 && topology->memory_bytes < machine->bytes;
    if (!fewer && !less) return;
    trdi_text_add(text, "; this process may use");
    if (fewer) trdi_text_add(text, " %lld %s", (long long)topology->n_usable, topology->n_usable == 1 ? "core" : "cores");
    if (less) trdi_text_add(text, "%s %s", fewer ? " and" : "", trdi_report_bytes(topology->memory_bytes, bytes));
}

void trdi_report_place(const trdi_place *place, trdi_text *text)
{
    char bytes[32];
    trdi_text_add(text, "%s%s%s", place->name, place->about[0] != '\0' ? ": " : "", place->about);
    if (place->kind == TRDI_PLACE_PCI) return;
    if (place->bytes > 0) trdi_text_add(text, ", %s", trdi_report_bytes(place->bytes, bytes));
    if (place->kind == TRDI_PLACE_NUMA_NODE) trdi_text_add(text, "%s%s", place->units[0] != '\0' ? ", CPUs " : "", place->units);
    else add_cores(place, text);
    if (place->kind == TRDI_PLACE_MACHINE) add_limits(place, text);
}

static void add_sizes(const trdi_device *device, trdi_text *text)
{
    const trdi_device_facts *const facts = &device->facts;
    const bool is_cpu = device->ops == trdi_backend_cpu();
    char bytes[32];
    if (!is_cpu) trdi_text_add(text, "%s, ", trdi_device_type_name(facts->type));
    trdi_text_add(text, "%lld %s%s", (long long)facts->n_compute_units, is_cpu ? "core" : "unit", facts->n_compute_units == 1 ? "" : "s");
    if (facts->isa[0] != '\0') trdi_text_add(text, ", %s", facts->isa);
    if (facts->memory_bytes > 0) trdi_text_add(text, ", %s of memory", trdi_report_bytes(facts->memory_bytes, bytes));
    if (facts->max_buffer_bytes > 0) trdi_text_add(text, ", largest buffer %s", trdi_report_bytes(facts->max_buffer_bytes, bytes));
    if (facts->local_bytes > 0) trdi_text_add(text, ", local memory %s", trdi_report_bytes(facts->local_bytes, bytes));
}

/* "float32, int8" */
static void add_types(const trdi_device *device, trdi_text *text)
{
    trdi_text_add(text, "compute types: ");
    for (const char *at = trdi_device_compute_types(&device->facts); *at != '\0';) {
        const size_t length = strcspn(at, ",");
        trdi_text_add(text, "%.*s%s", (int)length, at, at[length] != '\0' ? ", " : "");
        at += length + (at[length] != '\0');
    }
}

static void add_place(const trdi_device *device, trdi_text *text)
{
    const char *const nodes = device->numa_nodes;
    trdi_text_add(text, "%s CPUs %s", device->facts.type == TRDI_DEVICE_CPU ? "on" : "nearest", device->nearest_cores);
    if (nodes[0] != '\0') trdi_text_add(text, ", NUMA node%s %s", strpbrk(nodes, ",-") != NULL ? "s" : "", nodes);
}

bool trdi_report_device_line(const trdi_device *device, int i, trdi_text *text)
{
    const trdi_device_facts *const facts = &device->facts;
    const bool has[] = {
        facts->unusable[0] != '\0', true, true, facts->features[0] != '\0', facts->platform[0] != '\0',
        facts->pci[0] != '\0' || device->nearest_cores[0] != '\0',
    };
    const int n = (int)(sizeof has / sizeof has[0]);
    int line = -1;
    for (i++; i > 0; i -= has[line])
        if (++line == n) return false;
    switch (line) {
    case 0: trdi_text_add(text, "cannot be used: %s", facts->unusable); break;
    case 1: add_sizes(device, text); break;
    case 2: add_types(device, text); break;
    case 3: trdi_text_add(text, "features: %s", facts->features); break;
    case 4: trdi_text_add(text, "driver: %s, %s", facts->platform, facts->driver); break;
    default:
        if (facts->pci[0] != '\0') trdi_text_add(text, "PCI %s, ", facts->pci);
        if (device->nearest_cores[0] == '\0') trdi_text_add(text, "nearest CPUs not known");
        else add_place(device, text);
    }
    return true;
}

/* Cores are counted in the line of what holds them. */
static bool is_shown(const trdi_place *place)
{
    return place->kind != TRDI_PLACE_CORE;
}

static bool has_shown_after(const trdi_machine_tree *tree, size_t i)
{
    const int32_t depth = tree->list[i].depth;
    for (size_t k = trdi_machine_tree_skip(tree, i); k < tree->n && tree->list[k].depth == depth; k = trdi_machine_tree_skip(tree, k))
        if (is_shown(&tree->list[k])) return true;
    return false;
}

static bool has_shown_below(const trdi_machine_tree *tree, size_t i)
{
    const size_t end = trdi_machine_tree_skip(tree, i);
    for (size_t k = i + 1; k < end; k++)
        if (is_shown(&tree->list[k])) return true;
    return false;
}

static void add_device_lines(const trdi_device *device, const char *prefix, trdi_text *text)
{
    for (int line = 0;; line++) {
        trdi_text one = { .data = NULL };
        const bool there = trdi_report_device_line(device, line, &one);
        if (there) trdi_text_add(text, "%s   %s\n", prefix, one.data != NULL ? one.data : "");
        text->failed = text->failed || one.failed;
        trdi_text_free(&one);
        if (!there || text->failed) return;
    }
}

/* @param prefix  of the lines below place i */
static void add_places(const trdi_machine_tree *tree, size_t i, const char *prefix, trdi_text *text)
{
    const size_t end = trdi_machine_tree_skip(tree, i);
    for (size_t k = i + 1; k < end; k = trdi_machine_tree_skip(tree, k)) {
        const trdi_place *const place = &tree->list[k];
        if (!is_shown(place)) continue;
        const bool more = has_shown_after(tree, k);
        char below[128];
        (void)snprintf(below, sizeof below, "%s%s", prefix, more ? "│  " : "   ");
        trdi_text_add(text, "%s%s ", prefix, more ? "├─" : "└─");
        if (place->device != NULL) {
            trdi_text_add(text, "%s: %s\n", place->name, place->about);
            add_device_lines(place->device, below, text);
        } else {
            trdi_report_place(place, text);
            trdi_text_add(text, "\n");
            if (has_shown_below(tree, k)) add_places(tree, k, below, text);
        }
    }
}

void trdi_report_tree(const trdi_machine_tree *tree, trdi_text *text)
{
    trdi_report_place(&tree->list[0], text);
    trdi_text_add(text, "\n");
    add_places(tree, 0, "", text);
    const char *note;
    for (int64_t i = 0; (note = trdi_device_note(i)) != NULL; i++) trdi_text_add(text, "%s\n", note);
}
