/*
 * bench_linear.c: matrix products of decoding on the CPU back end and on each OpenCL device, in Gflop/s: rows x inputs -> outputs, for
 * weights of each type. These operations lie below the public interface, so it is here and not among the benchmarks.
 *
 *   bench_linear [rows,rows,...] [f32,f16,i8] [cpu]         TREADLE_BACKEND_PATH: the folder of treadle-opencl.so
 *
 * "cpu" counts time of processors instead of the wall's: on a busy machine, with one thread for each device.
 * A run is a plan of several products with weights of their own (64 MiB together, or 16), as a step is: caches are as cold, and launches
 * overlap as much. Devices take turns; the best of the runs counts.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/cpu.h"
#include "core/alloc.h"
#include "core/log.h"
#include "core/threads.h"

enum { MAX_DEVICES = 8, MAX_COPIES = 16, RUNS = 25 };
#define COLD_BYTES ((size_t)64 << 20)

typedef struct device {
    const trdi_backend_ops *ops;
    trdi_device_facts facts;
    void *handle, *queue;
} device;

typedef struct shape {
    int64_t in, out;
} shape;

static const shape shapes[] = { { 512, 512 }, { 512, 2048 }, { 2048, 512 }, { 512, 32000 } };

static bool count_processors;

static int64_t now_ns(void)
{
    return count_processors ? (int64_t)clock() * (1000000000 / CLOCKS_PER_SEC) : trdi_now_ns();
}

static void must(trd_status status, const char *what)
{
    if (status == TRD_OK) return;
    fprintf(stderr, "%s: %s\n", what, trd_last_error());
    exit(1);
}

/* ---- Devices ---- */

static trd_status host_fail(trd_status code, const char *text)
{
    return trdi_fail(code, "%s", text);
}

static void host_log(trd_log_level level, const char *text)
{
    trdi_log(level, "%s", text);
}

static const trdi_backend_ops *open_module(void)
{
    static const trdi_backend_host host = {
        .abi = TRDI_BACKEND_ABI, .alloc = trdi_alloc, .free = trdi_free, .fail = host_fail, .fail_within = host_fail,
        .log_enabled = trdi_log_enabled, .log = host_log, .version = "benchmark",
    };
    const char *folder = getenv("TREADLE_BACKEND_PATH");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/treadle-opencl.so", folder != NULL ? folder : ".");
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    trdi_backend_entry *entry;
    *(void **)&entry = dlsym(library, TRDI_BACKEND_ENTRY);
    const trdi_backend_ops *ops = NULL;
    if (entry == NULL || entry(TRDI_BACKEND_ABI, &host, &ops) != TRD_OK) fprintf(stderr, "no OpenCL: %s\n", trd_last_error());
    return ops;
}

static size_t open_all(const trdi_backend_ops *ops, int32_t n_threads, device *list, size_t n)
{
    trdi_device_facts facts[MAX_DEVICES];
    size_t found = 0;
    if (ops == NULL || ops->enumerate(facts, MAX_DEVICES, &found) != TRD_OK) return n;
    for (size_t i = 0; i < found && i < MAX_DEVICES && n < MAX_DEVICES; i++) {
        if (facts[i].unusable[0] != '\0') continue;
        device *d = &list[n++];
        *d = (device){ .ops = ops, .facts = facts[i] };
        must(ops->device_open(&facts[i], &d->handle), facts[i].id);
        must(ops->queue_create(d->handle, &(trdi_queue_options){ .n_threads = n_threads }, &d->queue), facts[i].id);
        printf("%s: %s %s\n", d->facts.id, d->facts.platform, d->facts.name);
    }
    return n;
}

/* ---- Products ---- */

static float noise(uint32_t i)
{
    i = i * 2654435761u;
    i ^= i >> 15;
    return (float)(i * 2246822519u >> 8) / 8388608.0f - 1.0f;
}

static void read_rows(const void *context, int64_t first, int64_t n, float *out)
{
    const shape *s = context;
    for (int64_t i = 0; i < n * s->in; i++) out[i] = noise((uint32_t)(first * s->in + i));
}

static void read_i8(const void *context, int64_t first, int64_t n, int8_t *out, float *scales)
{
    const shape *s = context;
    for (int64_t i = 0; i < n; i++) scales[i] = 127.0f;
    for (int64_t i = 0; i < n * s->in; i++) out[i] = (int8_t)(noise((uint32_t)(first * s->in + i)) * 127.0f);
}

/* Products of one shape on one device. */
typedef struct work {
    void *x, *y, *weights[MAX_COPIES], *plan;
    size_t n;
    int64_t best_ns;
} work;

static work make_work(const device *d, const shape *s, int64_t rows, trd_dtype dtype)
{
    const trdi_weight_source source = { .layout = TRDI_LAYOUT_LINEAR, .dtype = dtype, .rows = s->out, .cols = s->in, .read = read_rows,
                                        .read_i8 = read_i8, .context = s };
    work w = { .n = COLD_BYTES / ((size_t)(s->in * s->out) * sizeof(float)), .best_ns = INT64_MAX };
    w.n = w.n < 1 ? 1 : w.n < MAX_COPIES ? w.n : MAX_COPIES;
    const size_t x_bytes = (size_t)(rows * s->in) * sizeof(float);
    must(d->ops->buffer_alloc(d->handle, x_bytes, TRDI_MEMORY_DEVICE, &w.x), "x");
    must(d->ops->buffer_alloc(d->handle, (size_t)(rows * s->out) * sizeof(float), TRDI_MEMORY_DEVICE, &w.y), "y");
    float *x = trdi_alloc(x_bytes);
    if (x == NULL) exit(1);
    for (int64_t i = 0; i < rows * s->in; i++) x[i] = noise((uint32_t)i * 7u + 1u);
    must(d->ops->write(d->queue, (trdi_span){ w.x, 0 }, x, x_bytes), "x");
    trdi_free(x);
    trdi_op ops[MAX_COPIES];
    for (size_t i = 0; i < w.n; i++) {
        must(d->ops->weight_prepare(d->handle, &source, &w.weights[i]), "weight");
        ops[i] = (trdi_op){ .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS, .u.linear = {
            .weight = w.weights[i], .x = { w.x, 0 }, .y = { w.y, 0 }, .in = s->in, .out = s->out, .x_stride = s->in, .y_stride = s->out, .activation = -1 } };
    }
    if (d->ops->plan_create(d->handle, ops, w.n, NULL, &w.plan) != TRD_OK) w.plan = NULL;   /* not on this device */
    return w;
}

static void drop_work(const device *d, work *w)
{
    if (w->plan != NULL) d->ops->plan_destroy(w->plan);
    for (size_t i = 0; i < w->n; i++) d->ops->weight_free(w->weights[i]);
    d->ops->buffer_free(w->x);
    d->ops->buffer_free(w->y);
}

static void run(const device *d, work *w, int64_t rows)
{
    trdi_step step = { .counts = { [TRDI_COUNT_ONE] = 1, [TRDI_COUNT_TOKENS] = rows } };
    const int64_t start = now_ns();
    must(d->ops->plan_run(d->queue, w->plan, &step), "run");
    must(d->ops->queue_wait(d->queue), "run");
    const int64_t took = now_ns() - start;
    if (took < w->best_ns) w->best_ns = took;
}

static void measure(const device *devices, size_t n, const shape *s, int64_t rows, trd_dtype dtype)
{
    work all[MAX_DEVICES];
    for (size_t i = 0; i < n; i++) all[i] = make_work(&devices[i], s, rows, dtype);
    for (int r = 0; r < RUNS; r++) {
        for (size_t i = 0; i < n; i++) {
            if (all[i].plan != NULL) run(&devices[i], &all[i], rows);
        }
    }
    printf("%-4s %4lld x %4lld -> %5lld:", trd_dtype_name(dtype), (long long)rows, (long long)s->in, (long long)s->out);
    for (size_t i = 0; i < n; i++) {
        const double seconds = (double)all[i].best_ns * 1e-9 / (double)all[i].n;
        if (all[i].plan == NULL) printf("  %s %7s %13s", devices[i].facts.id, "-", "");
        else printf("  %s %7.1f (%8.1f us)", devices[i].facts.id, 2e-9 * (double)(rows * s->in * s->out) / seconds, seconds * 1e6);
        drop_work(&devices[i], &all[i]);
    }
    printf("\n");
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *list = argc > 1 ? argv[1] : "1,4,32,128", *types = argc > 2 ? argv[2] : "f32,f16,i8";
    count_processors = argc > 3 && strcmp(argv[3], "cpu") == 0;
    device devices[MAX_DEVICES];
    size_t n = open_all(trdi_backend_cpu(), (int32_t)(getenv("OMP_NUM_THREADS") != NULL ? atoi(getenv("OMP_NUM_THREADS")) : 2), devices, 0);
    n = open_all(open_module(), 1, devices, n);
    static const struct { const char *name; trd_dtype dtype; } known[] = { { "f32", TRD_DTYPE_F32 }, { "f16", TRD_DTYPE_F16 }, { "i8", TRD_DTYPE_I8 } };
    for (size_t t = 0; t < sizeof known / sizeof known[0]; t++) {
        if (strstr(types, known[t].name) == NULL) continue;
        for (const char *at = list; at != NULL; at = strchr(at, ',') != NULL ? strchr(at, ',') + 1 : NULL) {
            for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) measure(devices, n, &shapes[s], atoll(at), known[t].dtype);
        }
    }
    for (size_t i = 0; i < n; i++) {
        devices[i].ops->queue_destroy(devices[i].queue);
        devices[i].ops->device_close(devices[i].handle);
    }
    return 0;
}
