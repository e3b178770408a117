/*
 * report_svg.c: the report as a picture: each place is a box that holds the boxes of what is below it. Sizes are found from the inside
 * out, then places from the outside in. Widths of text are estimated, generously: a picture that is read anywhere knows no font.
 */
#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "device/report.h"

enum { PAD = 10, GAP = 8, LINE = 16, MAX_LINES = 12, MAX_LETTERS = 58 };
#define LETTER 6.6
#define BOLD_LETTER 7.6

/* Everything in pixels; lines are drawn from the top of the box. */
typedef struct box {
    double x, y, width, height;
    char   lines[MAX_LINES][4 * MAX_LETTERS + 8];
    int    n_lines;
} box;

static bool is_leading(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

static int count_letters(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++) n += is_leading(*text);
    return n;
}

/* One line of a box; a long one is broken at a comma or blank, and goes on in the next. */
static void add_line(box *b, const char *text)
{
    while (b->n_lines < MAX_LINES) {
        char *const line = b->lines[b->n_lines++];
        size_t end = 0, good = 0;
        int letters = 0;
        while (text[end] != '\0' && letters < MAX_LETTERS) {
            if (text[end] == ' ' || text[end] == ',') good = end + 1;
            do end++;
            while (!is_leading(text[end]));
            letters++;
        }
        if (text[end] != '\0' && good > 0) end = good;
        (void)snprintf(line, sizeof b->lines[0], "%.*s", (int)end, text);
        text += end;
        if (*text == '\0') return;
    }
}

static void write_lines(const trdi_place *place, box *b)
{
    trdi_text text = { .data = NULL };
    if (place->kind == TRDI_PLACE_CORE) {
        add_line(b, place->name);
        if (place->n_units > 1 || strcmp(strrchr(place->name, ' ') + 1, place->units) != 0) add_line(b, place->units);
        return;
    }
    if (place->device != NULL) trdi_text_add(&text, "%s: %s", place->name, place->about);
    else trdi_report_place(place, &text);
    if (text.data != NULL) add_line(b, text.data);
    for (int i = 0; place->device != NULL && b->n_lines < MAX_LINES; i++) {
        text.length = 0;
        if (!trdi_report_device_line(place->device, i, &text) || text.data == NULL) break;
        add_line(b, text.data);
    }
    trdi_text_free(&text);
}

/* Cores and processors side by side, but memory, buses and devices below one another. */
static double row_width(trdi_place_kind kind)
{
    switch (kind) {
    case TRDI_PLACE_MACHINE: return 1240;
    case TRDI_PLACE_GROUP: return 1220;
    case TRDI_PLACE_PACKAGE: return 600;
    default: return 440;
    }
}

static bool breaks_row(const trdi_place *before, const trdi_place *after)
{
    const bool was_core = before->kind == TRDI_PLACE_CORE, is_core = after->kind == TRDI_PLACE_CORE;
    return before->kind == TRDI_PLACE_NUMA_NODE || after->kind == TRDI_PLACE_NUMA_NODE || was_core != is_core ||
           (before->kind != after->kind && (after->kind == TRDI_PLACE_PCI || after->kind == TRDI_PLACE_DEVICE));
}

static double widest_line(const box *b)
{
    double widest = 0;
    for (int i = 0; i < b->n_lines; i++) {
        const double width = count_letters(b->lines[i]) * (i == 0 ? BOLD_LETTER : LETTER);
        if (width > widest) widest = width;
    }
    return widest;
}

/* Size of box i from its lines and the boxes below it, whose sizes are known; these get places relative to it. */
static void lay_out(const trdi_machine_tree *tree, box *boxes, size_t i)
{
    box *const b = &boxes[i];
    const size_t end = trdi_machine_tree_skip(tree, i);
    const double top = PAD + b->n_lines * LINE;
    double x = PAD, y = top, row_height = 0, right = PAD + widest_line(b);
    const trdi_place *before = NULL;
    for (size_t k = i + 1; k < end; k = trdi_machine_tree_skip(tree, k)) {
        const bool full = x > PAD && x + boxes[k].width > row_width(tree->list[i].kind);
        if (before != NULL && (full || breaks_row(before, &tree->list[k]))) {
            x = PAD;
            y += row_height + GAP;
            row_height = 0;
        }
        boxes[k].x = x;
        boxes[k].y = y;
        if (x + boxes[k].width > right) right = x + boxes[k].width;
        if (boxes[k].height > row_height) row_height = boxes[k].height;
        x += boxes[k].width + GAP;
        before = &tree->list[k];
    }
    b->width = right + PAD;
    b->height = (before != NULL ? y + row_height : top) + PAD;
    if (tree->list[i].kind == TRDI_PLACE_CORE && b->width < 64) b->width = 64;
}

/* From relative to absolute places; memory is as wide as what it belongs to. */
static void place_below(const trdi_machine_tree *tree, box *boxes, size_t i)
{
    const size_t end = trdi_machine_tree_skip(tree, i);
    for (size_t k = i + 1; k < end; k = trdi_machine_tree_skip(tree, k)) {
        boxes[k].x += boxes[i].x;
        boxes[k].y += boxes[i].y;
        if (tree->list[k].kind == TRDI_PLACE_NUMA_NODE) boxes[k].width = boxes[i].width - 2 * PAD;
    }
}

static void add_escaped(trdi_text *text, const char *raw)
{
    const bool valid = trdi_utf8_valid(raw, strlen(raw));
    for (; *raw != '\0'; raw++) {
        const unsigned char c = (unsigned char)*raw;
        if (c == '&') trdi_text_add(text, "&amp;");
        else if (c == '<') trdi_text_add(text, "&lt;");
        else if (c == '>') trdi_text_add(text, "&gt;");
        else if (c < 0x20 || c == 0x7F) trdi_text_add(text, " ");
        else trdi_text_add(text, "%c", c >= 0x80 && !valid ? '?' : *raw);
    }
}

/* Name of the style of a place, below. */
static const char *style_of(const trdi_place *place)
{
    if (place->kind == TRDI_PLACE_CORE && place->n_allowed == 0) return "forbidden";
    if (place->kind == TRDI_PLACE_DEVICE && place->device->facts.unusable[0] != '\0') return "unusable";
    return trdi_place_kind_name(place->kind);
}

static const char style[] =
    "<style>\n"
    "text { font: 12px sans-serif; fill: #1a1a1a; }\n"
    "text.first { font-weight: bold; }\n"
    "text.core { font-size: 11px; text-anchor: middle; }\n"
    "rect { stroke: #8a8f98; stroke-width: 1; rx: 4; }\n"
    "rect.machine { fill: #f6f7f9; } rect.package { fill: #e3eaf4; } rect.group { fill: #ffffff; } rect.die { fill: #edf1f8; } rect.numa_node { fill: #dcefdc; }\n"
    "rect.cache { fill: #f7f0dd; } rect.core { fill: #ffffff; } rect.forbidden { fill: #d5d5d5; } rect.pci { fill: #ece4f3; }\n"
    "rect.device { fill: #cfe3ff; stroke: #3b6fb5; } rect.unusable { fill: #f9d9d6; stroke: #b5423b; }\n"
    "</style>\n";

static void draw(const trdi_place *place, const box *b, trdi_text *text)
{
    const bool is_core = place->kind == TRDI_PLACE_CORE;
    trdi_text_add(text, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n", style_of(place), b->x, b->y, b->width, b->height);
    for (int i = 0; i < b->n_lines; i++) {
        const double x = is_core ? b->x + b->width / 2 : b->x + PAD, y = b->y + PAD + i * LINE + LINE - 5;
        trdi_text_add(text, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", is_core ? "core" : i == 0 ? "first" : "more", x, y);
        add_escaped(text, b->lines[i]);
        trdi_text_add(text, "</text>\n");
    }
}

/* The notes, below the machine. */
static double draw_notes(double y, trdi_text *text)
{
    const char *note;
    for (int64_t i = 0; (note = trdi_device_note(i)) != NULL; i++) {
        y += LINE;
        trdi_text_add(text, "<text x=\"%d\" y=\"%.1f\">", (int)PAD, y);
        add_escaped(text, note);
        trdi_text_add(text, "</text>\n");
    }
    return y;
}

static double notes_width(void)
{
    int letters = 0;
    const char *note;
    for (int64_t i = 0; (note = trdi_device_note(i)) != NULL; i++)
        if (count_letters(note) > letters) letters = count_letters(note);
    return letters * LETTER;
}

bool trdi_report_svg(const trdi_machine_tree *tree, trdi_text *text)
{
    box *const boxes = trdi_calloc(tree->n, sizeof *boxes);
    if (boxes == NULL) return false;
    for (size_t i = 0; i < tree->n; i++) write_lines(&tree->list[i], &boxes[i]);
    for (size_t i = tree->n; i-- > 0;) lay_out(tree, boxes, i);
    boxes[0].x = boxes[0].y = PAD;
    for (size_t i = 0; i < tree->n; i++) place_below(tree, boxes, i);
    trdi_text body = { .data = NULL };
    for (size_t i = 0; i < tree->n; i++) draw(&tree->list[i], &boxes[i], &body);
    const double bottom = draw_notes(boxes[0].y + boxes[0].height + GAP, &body) + PAD;
    const double inside = boxes[0].width > notes_width() ? boxes[0].width : notes_width();
    trdi_text_add(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                        "viewBox=\"0 0 %.0f %.0f\">\n<title>Devices of this machine</title>\n", inside + 2 * PAD, bottom, inside + 2 * PAD, bottom);
    trdi_text_add(text, "%s<rect x=\"0\" y=\"0\" width=\"100%%\" height=\"100%%\" fill=\"#ffffff\" stroke=\"none\"/>\n%s</svg>\n", style,
                  body.data != NULL ? body.data : "");
    const bool good = !body.failed && !text->failed;
    trdi_text_free(&body);
    trdi_free(boxes);
    return good;
}
