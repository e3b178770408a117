/*
 * trace_svg.c: the trace as a picture: one line per worker, time to the right, below it the jobs in flight and a table of totals. A span wider
 * than a pixel is a box of its own; of narrower ones a column's height tells which share of its time they took, so that the picture's size is
 * bounded whatever was traced.
 */
#include <math.h>
#include <string.h>

#include "sched/trace.h"

enum {
    WIDTH = 1220, LEFT = 190, COLUMNS = 1000, RIGHT = LEFT + COLUMNS,   /* a column is a pixel */
    TOP = 96, LANE = 26, GAP = 6, CHART = 80, ROW = 18
};

static const char style[] =
    "<style>\n"
    "text { font: 12px sans-serif; fill: #1a1a1a; }\n"
    "text.title { font-size: 17px; font-weight: bold; } text.device { font-weight: bold; } text.axis { font-size: 11px; fill: #555b66; }\n"
    "text.middle { text-anchor: middle; } text.end { text-anchor: end; }\n"
    "line { stroke: #d9dce1; stroke-width: 1; } rect.lane { fill: #f1f3f6; }\n"
    ".encode { fill: #e0823d; } .decode { fill: #3b7dd8; } .load { fill: #8d9aa8; } .running { fill: #6fb583; } .waiting { fill: #ecc94f; }\n"
    "</style>\n";

typedef struct drawing {
    const trdi_trace_picture *picture;
    trdi_text *text;
    double per_ns;                 /* pixels */
    double y;
} drawing;

static double x_of(const drawing *d, int64_t ns)
{
    return (double)(ns - d->picture->first_ns) * d->per_ns;
}

static void add_escaped(trdi_text *text, const char *raw)
{
    for (; *raw != '\0'; raw++) {
        const unsigned char c = (unsigned char)*raw;
        if (c == '&') trdi_text_add(text, "&amp;");
        else if (c == '<') trdi_text_add(text, "&lt;");
        else if (c == '>') trdi_text_add(text, "&gt;");
        else trdi_text_add(text, "%c", c < 0x20 || c == 0x7F ? ' ' : *raw);
    }
}

static void add_label(drawing *d, const char *class, double x, double y, const char *label)
{
    trdi_text_add(d->text, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    add_escaped(d->text, label);
    trdi_text_add(d->text, "</text>\n");
}

/* "12.3 ms" with three digits or so. */
static const char *duration(double ns, char text[32])
{
    if (ns >= 1e9) (void)snprintf(text, 32, "%.4g s", ns * 1e-9);
    else if (ns >= 1e6) (void)snprintf(text, 32, "%.4g ms", ns * 1e-6);
    else (void)snprintf(text, 32, "%.4g \302\265s", ns * 1e-3);
    return text;
}

static void draw_span(drawing *d, const trdi_trace_record *r, double x0, double x1)
{
    char at[32], lasted[32];
    trdi_text_add(d->text, "<rect class=\"%s\" x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%d\"><title>%s, %s at %s: jobs %lld, rows %lld, tokens %lld"
                           "</title></rect>\n", trdi_trace_kind_name((trdi_trace_kind)r->kind), LEFT + x0, d->y, x1 - x0 > 1.5 ? x1 - x0 - 0.3 : x1 - x0,
                  (int)LANE, trdi_trace_kind_name((trdi_trace_kind)r->kind), duration((double)(r->end_ns - r->start_ns), lasted),
                  duration((double)(r->start_ns - d->picture->first_ns), at), (long long)r->n_jobs, (long long)r->n_rows, (long long)r->n_tokens);
}

/* The narrow spans of a lane, one kind above the other; equal neighbours are one box. */
static void draw_columns(drawing *d, float share[COLUMNS][TRDI_TRACE_KINDS])
{
    for (int kind = 0; kind < TRDI_TRACE_JOB; kind++) {
        for (int x = 0; x < COLUMNS;) {
            double below = 0;
            for (int k = 0; k < kind; k++) below += (double)share[x][k];
            const int low = (int)lround(fmin(below, 1) * LANE), high = (int)lround(fmin(below + (double)share[x][kind], 1) * LANE);
            int end = x + 1;
            while (end < COLUMNS && memcmp(share[end], share[x], sizeof share[x]) == 0) end++;
            if (high > low) {
                trdi_text_add(d->text, "<rect class=\"%s\" x=\"%d\" y=\"%.0f\" width=\"%d\" height=\"%d\"/>\n", trdi_trace_kind_name((trdi_trace_kind)kind),
                              LEFT + x, d->y + LANE - high, end - x, high - low);
            }
            x = end;
        }
    }
}

/* A span narrower than a column lies in one or in two of them. */
static void share_out(float share[COLUMNS][TRDI_TRACE_KINDS], int kind, double x0, double x1)
{
    const int first = x0 < COLUMNS ? (int)x0 : COLUMNS - 1, second = first + 1 < COLUMNS ? first + 1 : first;
    const double inside = fmin(x1, first + 1) - x0;
    share[first][kind] += (float)inside;
    share[second][kind] += (float)(x1 - x0 - inside);
}

static void draw_lane(drawing *d, int32_t lane)
{
    static const float steps = 52;     /* shares are rounded to half a pixel, so that neighbours can be equal */
    float share[COLUMNS][TRDI_TRACE_KINDS] = { { 0 } };
    trdi_text_add(d->text, "<rect class=\"lane\" x=\"%d\" y=\"%.0f\" width=\"%d\" height=\"%d\"/>\n", (int)LEFT, d->y, (int)COLUMNS, (int)LANE);
    for (int64_t i = 0; i < d->picture->n; i++) {
        const trdi_trace_record *const r = &d->picture->records[i];
        if (r->thread != lane) continue;
        const double x0 = x_of(d, r->start_ns), x1 = x_of(d, r->end_ns);
        if (x1 - x0 >= 1) draw_span(d, r, x0, x1);
        else share_out(share, r->kind, x0, x1);
    }
    for (int x = 0; x < COLUMNS; x++)
        for (int k = 0; k < TRDI_TRACE_KINDS; k++) share[x][k] = roundf(share[x][k] * steps) / steps;
    draw_columns(d, share);
}

static void draw_lanes(drawing *d)
{
    const trdi_trace_picture *const p = d->picture;
    for (int32_t i = 0; i < p->n_lanes; i++) {
        const trdi_trace_lane *const lane = &p->lanes[i];
        if (i == 0 || lane->device_index != p->lanes[i - 1].device_index) {
            if (i > 0) d->y += GAP;
            add_label(d, "device", 14, d->y + 17, lane->device[0] != '\0' ? lane->device : "no device");
        }
        char name[32];
        (void)snprintf(name, sizeof name, lane->worker >= 0 ? "worker %d" : "host", (int)lane->worker);
        add_label(d, "end", LEFT - 10, d->y + 17, name);
        draw_lane(d, i);
        d->y += LANE + GAP;
    }
}

/* 1, 2 or 5 times a power of ten, about an eighth of all. */
static double tick_step(double ns)
{
    const double power = pow(10, floor(log10(ns / 8)));
    const double times = ns / 8 / power;
    return power * (times < 2 ? 2 : times < 5 ? 5 : 10);
}

static void draw_axis(drawing *d, double bottom)
{
    const double all = (double)(d->picture->last_ns - d->picture->first_ns);
    if (all <= 0) return;
    const double step = tick_step(all);
    for (int i = 0; i * step <= all; i++) {
        char label[32];
        const double x = LEFT + i * step * d->per_ns;
        trdi_text_add(d->text, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.0f\"/>\n", x, (int)TOP - 6, x, bottom);
        add_label(d, "axis middle", x, TOP - 10, i == 0 ? "0" : duration(i * step, label));
    }
}

/* The moment of most jobs in flight within each column. */
static void sample_levels(const drawing *d, int64_t waiting[COLUMNS], int64_t running[COLUMNS])
{
    const trdi_trace_picture *const p = d->picture;
    trdi_trace_level level = { 0 };
    int64_t i = 0;
    for (int x = 0; x < COLUMNS; x++) {
        waiting[x] = level.n_waiting;
        running[x] = level.n_running;
        for (; i < p->n_levels && (x + 1 == COLUMNS || x_of(d, p->levels[i].at_ns) < x + 1); i++) {
            level = p->levels[i];
            if (level.n_waiting + level.n_running <= waiting[x] + running[x]) continue;
            waiting[x] = level.n_waiting;
            running[x] = level.n_running;
        }
    }
}

/* An area from the floor of the chart up to first + second. */
static void draw_area(drawing *d, const char *class, const int64_t *first, const int64_t *second, double per_job)
{
    const double floor_y = d->y + CHART;
    trdi_text_add(d->text, "<path class=\"%s\" d=\"M%d %.0f", class, (int)LEFT, floor_y);
    int64_t last = -1;
    for (int x = 0; x < COLUMNS; x++) {
        const int64_t level = first[x] + (second != NULL ? second[x] : 0);
        if (level != last) trdi_text_add(d->text, "H%dV%.1f", LEFT + x, floor_y - (double)level * per_job);
        last = level;
    }
    trdi_text_add(d->text, "H%dV%.0fZ\"/>\n", (int)RIGHT, floor_y);
}

static void draw_levels(drawing *d)
{
    if (d->picture->n_levels == 0) return;
    int64_t waiting[COLUMNS], running[COLUMNS], most = 1;
    sample_levels(d, waiting, running);
    for (int x = 0; x < COLUMNS; x++)
        if (waiting[x] + running[x] > most) most = waiting[x] + running[x];
    d->y += GAP;
    const double per_job = (double)CHART / (double)most;
    trdi_text_add(d->text, "<rect class=\"lane\" x=\"%d\" y=\"%.0f\" width=\"%d\" height=\"%d\"/>\n", (int)LEFT, d->y, (int)COLUMNS, (int)CHART);
    draw_area(d, "waiting", running, waiting, per_job);
    draw_area(d, "running", running, NULL, per_job);
    char label[32];
    add_label(d, "device", 14, d->y + 17, "jobs in flight");
    (void)snprintf(label, sizeof label, "%lld", (long long)most);
    add_label(d, "axis end", LEFT - 10, d->y + 10, label);
    add_label(d, "axis end", LEFT - 10, d->y + CHART, "0");
    d->y += CHART + GAP;
}

static void draw_legend(drawing *d)
{
    static const char *const names[] = { "encode", "decode", "load", "running", "waiting" };
    static const char *const labels[] = { "encoding step", "decoding step", "loading", "jobs that run", "jobs that wait" };
    double x = LEFT;
    for (int i = 0; i < 5; i++, x += 130) {
        trdi_text_add(d->text, "<rect class=\"%s\" x=\"%.0f\" y=\"50\" width=\"12\" height=\"12\"/>\n", names[i], x);
        add_label(d, "axis", x + 17, 60, labels[i]);
    }
}

/* One line of the table: the device to the left, numbers to the right. */
static void draw_row(drawing *d, const char *class, const char *const *cells, int n)
{
    static const int right_edges[] = { 14, 270, 350, 440, 530, 620, 710, 820, 930, 1040 };
    char classes[32];
    for (int i = 0; i < n; i++) {
        (void)snprintf(classes, sizeof classes, "%s%s", class, i == 0 ? "" : " end");
        add_label(d, classes, right_edges[i], d->y, cells[i]);
    }
    d->y += ROW;
}

/* Rates are of the lane's own time, from its first span to its last. */
static void draw_totals_row(drawing *d, const trdi_trace_lane *lane)
{
    char cells[10][48];
    const double all = (double)(lane->last_ns - lane->first_ns), per_second = all > 0 ? 1e9 / all : 0;
    int64_t busy = 0;
    for (int k = 0; k < TRDI_TRACE_JOB; k++) busy += lane->busy_ns[k];
    (void)snprintf(cells[0], sizeof cells[0], "%.47s", lane->device);
    (void)snprintf(cells[1], sizeof cells[1], lane->worker >= 0 ? "%d" : "host", (int)lane->worker);
    (void)snprintf(cells[2], sizeof cells[2], "%.1f %%", (double)busy * per_second * 1e-7);
    for (int k = 0; k < TRDI_TRACE_JOB; k++) (void)duration((double)lane->busy_ns[k], cells[3 + k]);
    (void)snprintf(cells[6], sizeof cells[6], "%lld", (long long)lane->n_steps);
    (void)snprintf(cells[7], sizeof cells[7], "%lld", (long long)lane->n_rows);
    (void)snprintf(cells[8], sizeof cells[8], "%lld", (long long)lane->n_tokens);
    (void)snprintf(cells[9], sizeof cells[9], "%.0f", (double)lane->n_tokens * per_second);
    const char *list[10];
    for (int i = 0; i < 10; i++) list[i] = cells[i];
    draw_row(d, "", list, 10);
}

static void draw_jobs_row(drawing *d)
{
    int64_t n = 0, n_good = 0, n_cancelled = 0, n_late = 0;
    double waited = 0, lived = 0;
    for (int64_t i = 0; i < d->picture->n; i++) {
        const trdi_trace_record *const r = &d->picture->records[i];
        if (r->kind != TRDI_TRACE_JOB) continue;
        n++;
        n_good += r->status == TRD_OK;
        n_cancelled += r->status == TRD_E_CANCELLED;
        n_late += r->status == TRD_E_TIMEOUT;
        waited += (double)((r->admitted_ns != 0 ? r->admitted_ns : r->end_ns) - r->start_ns);
        lived += (double)(r->end_ns - r->start_ns);
    }
    if (n == 0) return;
    char text[256], wait[32], life[32];
    (void)snprintf(text, sizeof text, "%lld jobs: %lld succeeded, %lld cancelled, %lld past their deadline, %lld failed; mean wait %s, mean life %s",
                   (long long)n, (long long)n_good, (long long)n_cancelled, (long long)n_late, (long long)(n - n_good - n_cancelled - n_late),
                   duration(waited / (double)n, wait), duration(lived / (double)n, life));
    add_label(d, "", 14, d->y, text);
    d->y += ROW;
}

static void draw_totals(drawing *d)
{
    static const char *const heads[] = { "totals", "worker", "busy", "encode", "decode", "load", "steps", "decoded rows", "tokens", "tokens/s" };
    d->y += ROW + GAP;
    draw_row(d, "device", heads, 10);
    for (int32_t i = 0; i < d->picture->n_lanes; i++) draw_totals_row(d, &d->picture->lanes[i]);
    draw_jobs_row(d);
}

static void draw_title(drawing *d)
{
    char text[128], lasted[32];
    const trdi_trace_picture *const p = d->picture;
    add_label(d, "title", 14, 28, "Work on devices over time");
    (void)snprintf(text, sizeof text, "%s, %lld spans, %lld dropped", duration((double)(p->last_ns - p->first_ns), lasted), (long long)p->n,
                   (long long)p->n_dropped);
    add_label(d, "axis end", RIGHT, 28, p->n > 0 ? text : "no span was kept");
}

bool trdi_trace_write_svg(const trdi_trace_picture *picture, trdi_text *text)
{
    trdi_text body = { .data = NULL };
    const double all = (double)(picture->last_ns - picture->first_ns);
    drawing d = { .picture = picture, .text = &body, .per_ns = all > 0 ? COLUMNS / all : 0, .y = TOP };
    draw_title(&d);
    draw_legend(&d);
    draw_lanes(&d);
    draw_levels(&d);
    /* Over the lanes: a line that lies behind them is not seen. */
    draw_axis(&d, d.y);
    draw_totals(&d);
    trdi_text_add(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
                        "viewBox=\"0 0 %d %.0f\">\n<title>Work on devices over time</title>\n%s"
                        "<rect x=\"0\" y=\"0\" width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
                  (int)WIDTH, d.y, (int)WIDTH, d.y, style);
    trdi_text_add(text, "%s</svg>\n", body.data != NULL ? body.data : "");
    const bool good = !body.failed && !text->failed;
    trdi_text_free(&body);
    return good;
}
