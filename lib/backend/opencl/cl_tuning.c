/* cl_tuning.c: tables of how products are computed: built in, measured, and kept in files. */
#include "backend/opencl/cl_tuning.h"

#include <stdio.h>
#include <string.h>

#include "backend/module_host.h"
#include "backend/opencl/cl_clblast.h"
#include "core/alloc.h"
#include "core/files.h"
#include "core/log.h"
#include "core/strings.h"

#define FOLDER "opencl-tuning"
#define LEAD 0.95                 /* of the built-in way's time: what another must stay below */

static const char *const way_names[TRDI_CL_N_WAYS] = {
    [TRDI_CL_WAY_NONE] = "none",         [TRDI_CL_WAY_FEW] = "few",           [TRDI_CL_WAY_BLOCKS_1] = "blocks_1", [TRDI_CL_WAY_BLOCKS_2] = "blocks_2",
    [TRDI_CL_WAY_BLOCKS_5] = "blocks_5", [TRDI_CL_WAY_BLOCKS_10] = "blocks_10", [TRDI_CL_WAY_ROWS_1] = "rows_1",   [TRDI_CL_WAY_ROWS_2] = "rows_2",
    [TRDI_CL_WAY_ROWS_4] = "rows_4",     [TRDI_CL_WAY_ROWS_8] = "rows_8",     [TRDI_CL_WAY_TILE] = "tile",         [TRDI_CL_WAY_CLBLAST] = "clblast",
};
static const char *const weight_names[TRDI_CL_WEIGHT_CLASSES] = { "f32", "f16", "i8" };
static const trd_dtype weight_types[TRDI_CL_WEIGHT_CLASSES] = { TRD_DTYPE_F32, TRD_DTYPE_F16, TRD_DTYPE_I8 };

/* The most rows of each class; the last has no bound, and is measured at this number. */
static const int64_t class_rows[TRDI_CL_ROW_CLASSES] = { 1, 4, 8, 16, 48, 128 };
/* What each class of sizes is measured with: in, out. */
static const int64_t class_shapes[TRDI_CL_SIZE_CLASSES][2] = { { 512, 512 }, { 512, 2048 }, { 1024, 8192 } };
static const int64_t class_sizes[TRDI_CL_SIZE_CLASSES - 1] = { (int64_t)1 << 19, (int64_t)1 << 21 };

/* ---- The built-in tables: by class of rows ---- */

static const uint8_t built_in[2][TRDI_CL_ROW_CLASSES] = {
    [TRDI_CL_TILES] = { TRDI_CL_WAY_FEW, TRDI_CL_WAY_FEW, TRDI_CL_WAY_BLOCKS_10, TRDI_CL_WAY_BLOCKS_10, TRDI_CL_WAY_BLOCKS_10, TRDI_CL_WAY_BLOCKS_10 },
    [TRDI_CL_GROUPS] = { TRDI_CL_WAY_ROWS_1, TRDI_CL_WAY_ROWS_4, TRDI_CL_WAY_ROWS_8, TRDI_CL_WAY_ROWS_8, TRDI_CL_WAY_TILE, TRDI_CL_WAY_TILE },
};

static void fill_built_in(const trdi_cl_device *device, trdi_cl_tuning *tuning)
{
    for (int w = 0; w < TRDI_CL_WEIGHT_CLASSES; w++) {
        for (int r = 0; r < TRDI_CL_ROW_CLASSES; r++) {
            for (int s = 0; s < TRDI_CL_SIZE_CLASSES; s++) {
                tuning->choices[w][r][s].own = built_in[device->traits.form][r];
                /* CLBlast where it was faster in the check of the device, from the size of that check's order on. */
                tuning->choices[w][r][s].clblast = w == 0 && r == TRDI_CL_ROW_CLASSES - 1;
            }
        }
    }
}

/* ---- Choosing ---- */

static int row_class(int64_t n)
{
    int r = 0;
    while (r < TRDI_CL_ROW_CLASSES - 1 && n > class_rows[r]) r++;
    return r;
}

static int size_class(int64_t size)
{
    int s = 0;
    while (s < TRDI_CL_SIZE_CLASSES - 1 && size > class_sizes[s]) s++;
    return s;
}

trdi_cl_way trdi_cl_tuning_way(const trdi_cl_device *device, const trdi_cl_weight *weight, int64_t n, bool allow_clblast)
{
    const trdi_cl_tuning *t = device->tuning;
    if (t->forced != TRDI_CL_WAY_NONE) return t->forced;
    const int w = weight->dtype == TRD_DTYPE_F32 ? 0 : weight->dtype == TRD_DTYPE_F16 ? 1 : 2;
    const int r = row_class(n), s = size_class(weight->rows * weight->cols);
    if (allow_clblast && t->choices[w][r][s].clblast) return TRDI_CL_WAY_CLBLAST;
    return (trdi_cl_way)t->choices[w][r][s].own;
}

/* ---- Files ---- */

/* The first lines of a device's file: what the measurements depend on. Owned; NULL without memory. */
static char *file_head(const trdi_cl_device *device)
{
    trdi_text text = { NULL, 0, 0, false };
    trdi_text_add(&text, "treadle tuning 1\ndevice %s\nplatform %s\ndriver %s\nunits %d\nform %s\nlibrary %s\n", device->facts.name, device->facts.platform,
                  device->facts.driver, (int)device->traits.n_units, device->traits.form == TRDI_CL_TILES ? "tiles" : "groups", trdi_module_version());
    if (text.failed) trdi_text_free(&text);
    return text.failed ? NULL : text.data;
}

/* Path of the file with this head. Owned; NULL where nothing is kept. */
static char *file_path(const char *head, char **folder)
{
    uint64_t hash = 14695981039346656037u;       /* FNV-1a */
    for (const char *c = head; *c != '\0'; c++) hash = (hash ^ (uint8_t)*c) * 1099511628211u;
    char name[64];
    (void)snprintf(name, sizeof name, "%016llx.tuning", (unsigned long long)hash);
    char *place = trdi_cache_folder();
    *folder = place != NULL ? trdi_path_join(place, FOLDER) : NULL;
    trdi_free(place);
    return *folder != NULL ? trdi_path_join(*folder, name) : NULL;
}

static void add_choice(trdi_text *text, const trdi_cl_tuning *t, int w, int r, int s)
{
    trdi_text_add(text, "%s %d %d %s %s\n", weight_names[w], r, s, way_names[t->choices[w][r][s].own], t->choices[w][r][s].clblast ? "clblast" : "own");
}

/* The text of a file. Owned; NULL without memory. */
static char *file_text(const char *head, const trdi_cl_tuning *tuning)
{
    trdi_text text = { NULL, 0, 0, false };
    trdi_text_add(&text, "%s", head);
    for (int i = 0; i < TRDI_CL_WEIGHT_CLASSES * TRDI_CL_ROW_CLASSES * TRDI_CL_SIZE_CLASSES; i++) {
        add_choice(&text, tuning, i / (TRDI_CL_ROW_CLASSES * TRDI_CL_SIZE_CLASSES), i / TRDI_CL_SIZE_CLASSES % TRDI_CL_ROW_CLASSES, i % TRDI_CL_SIZE_CLASSES);
    }
    trdi_text_add(&text, "end\n");
    if (text.failed) trdi_text_free(&text);
    return text.failed ? NULL : text.data;
}

static int64_t tile_rows(const trdi_cl_device *device)
{
    return device->traits.vector_floats >= 16 ? 12 : device->traits.vector_floats >= 8 ? 6 : 2;
}

/* Is the way one of the form's own kernels, and does it take the rows of the class? */
static bool fits(const trdi_cl_device *device, int way, int64_t rows)
{
    const bool tiles = device->traits.form == TRDI_CL_TILES;
    if (way == TRDI_CL_WAY_FEW) return tiles && rows <= tile_rows(device);
    if (way >= TRDI_CL_WAY_BLOCKS_1 && way <= TRDI_CL_WAY_BLOCKS_10) return tiles;
    return !tiles && way >= TRDI_CL_WAY_ROWS_1 && way <= TRDI_CL_WAY_TILE;
}

/* Tiles of rows per work-item; 0 of other ways. */
static int64_t tiles_of(int way)
{
    return way == TRDI_CL_WAY_BLOCKS_1 ? 1 : way == TRDI_CL_WAY_BLOCKS_2 ? 2 : way == TRDI_CL_WAY_BLOCKS_5 ? 5 : way == TRDI_CL_WAY_BLOCKS_10 ? 10 : 0;
}

/* Does the way do the same as the built-in one for so many rows? Blocks of all rows are blocks of all rows. */
static bool is_built_in_too(const trdi_cl_device *device, int way, int built, int64_t rows)
{
    const int64_t tiles = (rows + tile_rows(device) - 1) / tile_rows(device);
    return tiles_of(way) >= tiles && tiles_of(built) >= tiles;
}

/* The choices after the head: exactly the lines that file_text() writes, with ways of this form. */
static bool parse(const trdi_cl_device *device, const char *text, trdi_cl_tuning *out)
{
    for (int w = 0; w < TRDI_CL_WEIGHT_CLASSES; w++) {
        for (int r = 0; r < TRDI_CL_ROW_CLASSES; r++) {
            for (int s = 0; s < TRDI_CL_SIZE_CLASSES; s++) {
                char own[16], other[16];
                int used = 0, way = TRDI_CL_N_WAYS - 1;
                char start[32];
                const int n = snprintf(start, sizeof start, "%s %d %d ", weight_names[w], r, s);
                if (strncmp(text, start, (size_t)n) != 0 || sscanf(text + n, "%15[a-z0-9_] %15[a-z]%n", own, other, &used) != 2) return false;
                if (text[n + used] != '\n') return false;
                while (way > 0 && strcmp(own, way_names[way]) != 0) way--;
                const bool clblast = strcmp(other, "clblast") == 0;
                if (!fits(device, way, class_rows[r > 0 ? r - 1 : 0]) || (!clblast && strcmp(other, "own") != 0)) return false;
                out->choices[w][r][s].own = (uint8_t)way;
                out->choices[w][r][s].clblast = clblast;
                text += n + used + 1;
            }
        }
    }
    return strcmp(text, "end\n") == 0;
}

/* The text of a small file. Owned; NULL if there is none, or it is no text. */
static char *read_text(const char *path)
{
    trdi_file_map map;
    if (!trdi_file_readable(path) || trdi_file_map_open(path, &map) != TRD_OK) return NULL;
    char *text = map.bytes < (1u << 20) ? trdi_strndup((const char *)map.data, map.bytes) : NULL;
    trdi_file_map_close(&map);
    return text;
}

static void load_file(const trdi_cl_device *device, const char *path, const char *head, trdi_cl_tuning *tuning)
{
    char *text = read_text(path);
    if (text == NULL) return;
    trdi_cl_tuning found = *tuning;
    if (strncmp(text, head, strlen(head)) == 0 && parse(device, text + strlen(head), &found)) {
        *tuning = found;
        tuning->measured = true;
        trdi_log(TRD_LOG_DEBUG, "%s: tuned by '%s'", device->facts.id, path);
    } else {
        trdi_log(TRD_LOG_WARNING, "%s: tuning '%s' is damaged: it is not used", device->facts.id, path);
    }
    trdi_free(text);
}

static trd_status write_file(const char *folder, const char *path, const char *text)
{
    TRDI_TRY(trdi_make_folders(folder));
    trdi_atomic_file file;
    TRDI_TRY(trdi_atomic_file_open(path, &file));
    if (fputs(text, file.stream) == EOF) {
        trdi_atomic_file_abandon(&file);
        return trdi_fail(TRD_E_IO, "tuning cannot be written to '%s' (no space?)", path);
    }
    return trdi_atomic_file_commit(&file);
}

/* Where a device's table is kept. Owned. */
typedef struct place {
    char *head, *folder, *path;
} place;

static void free_place(place *at)
{
    trdi_free(at->head);
    trdi_free(at->folder);
    trdi_free(at->path);
}

/* Can a table be kept there? Measuring takes long: this is found out first. */
static trd_status check_place(const trdi_cl_device *device, const place *at)
{
    if (at->head == NULL) return trdi_fail(TRD_E_MEMORY, "tuning of %s", device->facts.id);
    if (at->path == NULL) return trdi_fail(TRD_E_IO, "tuning of %s could not be kept: there is no cache folder", device->facts.id);
    TRDI_TRY(trdi_make_folders(at->folder));
    trdi_atomic_file file;
    TRDI_TRY(trdi_atomic_file_open(at->path, &file));
    trdi_atomic_file_abandon(&file);
    return TRD_OK;
}

static trd_status store(const trdi_cl_device *device, const place *at)
{
    char *text = file_text(at->head, device->tuning);
    if (text == NULL) return trdi_fail(TRD_E_MEMORY, "tuning of %s", device->facts.id);
    const trd_status status = write_file(at->folder, at->path, text);
    if (status == TRD_OK) trdi_log(TRD_LOG_INFO, "%s: tuning kept in '%s'", device->facts.id, at->path);
    trdi_free(text);
    return status;
}

trd_status trdi_cl_tuning_open(trdi_cl_device *device)
{
    device->tuning = trdi_calloc(1, sizeof *device->tuning);
    if (device->tuning == NULL) return trdi_fail(TRD_E_MEMORY, "tuning of %s: %zu bytes", device->facts.id, sizeof *device->tuning);
    fill_built_in(device, device->tuning);
    char *folder = NULL, *head = file_head(device), *path = head != NULL ? file_path(head, &folder) : NULL;
    if (path != NULL) load_file(device, path, head, device->tuning);
    trdi_free(folder);
    trdi_free(head);
    trdi_free(path);
    return TRD_OK;
}

void trdi_cl_tuning_close(trdi_cl_device *device)
{
    trdi_free(device->tuning);
    device->tuning = NULL;
}

/* ---- Measuring ---- */

/* Products of one class on a queue of their own. */
typedef struct bench {
    trdi_cl_device *device;
    int64_t in, out, rows;
    trd_dtype dtype;
    void *queue, *weight, *x, *y;
} bench;

static float number(int64_t i)
{
    return (float)((uint32_t)i * 2654435761u >> 20) / 2048.0f - 1.0f;
}

static void read_numbers(const void *context, int64_t first, int64_t n, float *out)
{
    const bench *b = context;
    for (int64_t i = 0; i < n * b->in; i++) out[i] = number(first * b->in + i);
}

static void read_integers(const void *context, int64_t first, int64_t n, int8_t *out, float *scales)
{
    const bench *b = context;
    for (int64_t i = 0; i < n; i++) scales[i] = 127.0f;
    for (int64_t i = 0; i < n * b->in; i++) out[i] = (int8_t)(number(first * b->in + i) * 127.0f);
}

static void close_bench(bench *b)
{
    trdi_cl_weight_free(b->weight);
    trdi_cl_buffer_free(b->x);
    trdi_cl_buffer_free(b->y);
    b->weight = b->x = b->y = NULL;
}

static trd_status open_bench(bench *b)
{
    const int64_t most = class_rows[TRDI_CL_ROW_CLASSES - 1];
    const trdi_weight_source source = { .layout = TRDI_LAYOUT_LINEAR, .dtype = b->dtype, .rows = b->out, .cols = b->in, .read = read_numbers,
                                        .read_i8 = read_integers, .context = b };
    const size_t x_bytes = (size_t)(most * b->in) * sizeof(float);
    TRDI_TRY(trdi_cl_weight_prepare(b->device, &source, &b->weight));
    TRDI_TRY(trdi_cl_buffer_alloc(b->device, x_bytes, TRDI_MEMORY_DEVICE, &b->x));
    TRDI_TRY(trdi_cl_buffer_alloc(b->device, (size_t)(most * b->out) * sizeof(float), TRDI_MEMORY_DEVICE, &b->y));
    float *x = trdi_alloc(x_bytes);
    if (x == NULL) return trdi_fail(TRD_E_MEMORY, "tuning: %zu bytes", x_bytes);
    for (int64_t i = 0; i < most * b->in; i++) x[i] = number(5 * i);
    const trd_status status = trdi_cl_write(b->queue, (trdi_span){ b->x, 0 }, x, x_bytes);
    trdi_free(x);
    return status;
}

static trd_status run_plan(const bench *b, void *plan, int times)
{
    const trdi_step step = { .counts = { [TRDI_COUNT_ONE] = 1, [TRDI_COUNT_TOKENS] = b->rows } };
    for (int i = 0; i < times; i++) TRDI_TRY(trdi_cl_plan_run(b->queue, plan, &step));
    return trdi_cl_queue_wait(b->queue);
}

/* Best time of one product, in microseconds: runs of several, as many as take a few milliseconds. */
static trd_status time_plan(const bench *b, void *plan, double *best_us)
{
    TRDI_TRY(run_plan(b, plan, 1));              /* compiles */
    int64_t start = trdi_now_ns();
    TRDI_TRY(run_plan(b, plan, 1));
    const int64_t once = trdi_now_ns() - start;
    const int times = once > 2000000 ? 1 : once < 50000 ? 40 : (int)(2000000 / once);
    *best_us = 1e30;
    for (int i = 0; i < 5; i++) {
        start = trdi_now_ns();
        TRDI_TRY(run_plan(b, plan, times));
        const double us = (double)(trdi_now_ns() - start) * 1e-3 / times;
        if (us < *best_us) *best_us = us;
    }
    return TRD_OK;
}

static trd_status time_way(const bench *b, trdi_cl_way way, double *best_us)
{
    const trdi_op op = { .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS, .u.linear = {
        .weight = b->weight, .x = { b->x, 0 }, .y = { b->y, 0 }, .in = b->in, .out = b->out, .x_stride = b->in, .y_stride = b->out, .activation = -1 } };
    const trdi_plan_options options = { way == TRDI_CL_WAY_CLBLAST ? TRDI_NUMERICS_FAST : TRDI_NUMERICS_REPRODUCIBLE };
    void *plan;
    b->device->tuning->forced = way;
    trd_status status = trdi_cl_plan_create(b->device, &op, 1, &options, &plan);
    if (status == TRD_OK) {
        status = time_plan(b, plan, best_us);
        trdi_cl_plan_destroy(plan);
    }
    b->device->tuning->forced = TRDI_CL_WAY_NONE;
    return status;
}

/* What is told of measurements. */
typedef struct listener {
    void (*report)(void *context, const trdi_tune_result *result);
    void *context;
    const char *path;
} listener;

/* All ways for one class; the best of ours, and whether CLBlast is faster, go into the table. */
static trd_status measure_class(bench *b, int w, int r, int s, bool clblast, const listener *to)
{
    const int built = built_in[b->device->traits.form][r];
    double times[TRDI_CL_N_WAYS], best = 1e30;
    int own = built;
    for (int way = 1; way < TRDI_CL_N_WAYS; way++) {
        times[way] = -1.0;
        const bool theirs = way == TRDI_CL_WAY_CLBLAST && clblast && w == 0;
        if (!theirs && (!fits(b->device, way, b->rows) || (way != built && is_built_in_too(b->device, way, built, b->rows)))) continue;
        TRDI_TRY(time_way(b, (trdi_cl_way)way, &times[way]));
        /* The built-in way stays unless another is clearly faster: what is measured has noise. */
        const double counts = way == built ? times[way] * LEAD : times[way];
        if (!theirs && counts < best) {
            best = counts;
            own = way;
        }
    }
    const bool faster = times[TRDI_CL_WAY_CLBLAST] >= 0.0 && times[TRDI_CL_WAY_CLBLAST] < best;
    b->device->tuning->choices[w][r][s].own = (uint8_t)own;
    b->device->tuning->choices[w][r][s].clblast = faster;
    for (int way = 1; way < TRDI_CL_N_WAYS && to->report != NULL; way++) {
        if (times[way] < 0.0) continue;
        to->report(to->context, &(trdi_tune_result){ .weights = b->dtype, .rows = b->rows, .in = b->in, .out = b->out, .way = way_names[way],
                                                     .best_us = times[way], .chosen = faster ? way == TRDI_CL_WAY_CLBLAST : way == own,
                                                     .path = to->path });
    }
    return TRD_OK;
}

static trd_status measure_all(bench *b, bool clblast, const listener *to)
{
    for (int w = 0; w < TRDI_CL_WEIGHT_CLASSES; w++) {
        if (weight_types[w] == TRD_DTYPE_F16 && (b->device->facts.compute_types & TRDI_TYPES_F16) == 0) continue;
        for (int s = 0; s < TRDI_CL_SIZE_CLASSES; s++) {
            b->dtype = weight_types[w];
            b->in = class_shapes[s][0];
            b->out = class_shapes[s][1];
            trd_status status = open_bench(b);
            for (int r = 0; r < TRDI_CL_ROW_CLASSES && status == TRD_OK; r++) {
                b->rows = class_rows[r];
                status = measure_class(b, w, r, s, clblast, to);
            }
            close_bench(b);
            TRDI_TRY(status);
        }
    }
    return TRD_OK;
}

static trd_status tune(trdi_cl_device *device, const listener *to)
{
    const bool clblast = device->traits.form == TRDI_CL_GROUPS && trdi_cl_gemm_wanted() != TRDI_CL_GEMM_OWN && trdi_cl_clblast_check(device) > TRDI_CL_DROPPED;
    bench b = { .device = device };
    const trdi_cl_tuning before = *device->tuning;
    TRDI_TRY(trdi_cl_queue_create(device, &(trdi_queue_options){ .n_threads = 1 }, &b.queue));
    const trd_status status = measure_all(&b, clblast, to);
    trdi_cl_queue_destroy(b.queue);
    if (status != TRD_OK) {
        *device->tuning = before;
        return status;
    }
    device->tuning->measured = true;
    return TRD_OK;
}

trd_status trdi_cl_tune(void *handle, void (*report)(void *context, const trdi_tune_result *result), void *context)
{
    trdi_cl_device *device = handle;
    place at = { file_head(device), NULL, NULL };
    if (at.head != NULL) at.path = file_path(at.head, &at.folder);
    trd_status status = check_place(device, &at);
    if (status == TRD_OK) status = tune(device, &(listener){ report, context, at.path });
    if (status == TRD_OK) status = store(device, &at);
    free_place(&at);
    return status;
}
