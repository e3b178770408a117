/* cl_clblast.c: CLBlast at run time: finding it, checking it against our own kernels, running it. */
#include "backend/opencl/cl_clblast.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/log.h"

/* CLBlastSgemm() of clblast_c.h; its enumerations are ints. */
typedef int (*sgemm_function)(int layout, int a_transpose, int b_transpose, size_t m, size_t n, size_t k, float alpha, cl_mem a, size_t a_offset,
                              size_t a_ld, cl_mem b, size_t b_offset, size_t b_ld, float beta, cl_mem c, size_t c_offset, size_t c_ld,
                              cl_command_queue *queue, cl_event *event);
enum { ROW_MAJOR = 101, NOT_TRANSPOSED = 111 };

static struct {
    trdi_once once;
    sgemm_function sgemm;        /* NULL = not there */
    int (*clear)(void);          /* CLBlastClearCache(): programs of all contexts; they are made again where they are needed */
    trdi_mutex checking;         /* guards the verdict of every device; held while one is checked */
} library = { .once = TRDI_ONCE_INIT };

static void load(void)
{
    static const char *const names[] = { "libclblast.so.1", "libclblast.so" };
    if (trdi_mutex_init(&library.checking) != TRD_OK) return;
    void *handle = NULL;
    for (size_t i = 0; handle == NULL && i < sizeof names / sizeof names[0]; i++) handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (handle != NULL) *(void **)&library.sgemm = dlsym(handle, "CLBlastSgemm");
    if (handle != NULL) *(void **)&library.clear = dlsym(handle, "CLBlastClearCache");
}

trdi_cl_gemm trdi_cl_gemm_wanted(void)
{
    const char *text = getenv("TREADLE_OPENCL_GEMM");
    if (text == NULL || text[0] == '\0' || strcmp(text, "auto") == 0) return TRDI_CL_GEMM_AUTO;
    if (strcmp(text, "own") == 0) return TRDI_CL_GEMM_OWN;
    if (strcmp(text, "clblast") == 0) return TRDI_CL_GEMM_CLBLAST;
    trdi_log(TRD_LOG_WARNING, "TREADLE_OPENCL_GEMM is '%s', which is none of auto, own, clblast: auto is taken", text);
    return TRDI_CL_GEMM_AUTO;
}

trd_status trdi_cl_clblast_run(trdi_cl_queue *queue, const trdi_cl_sgemm *p)
{
    trdi_once_run(&library.once, load);
    if (library.sgemm == NULL) return trdi_fail(TRD_E_UNSUPPORTED, "CLBlast (libclblast.so.1) is not installed");
    const int error = library.sgemm(ROW_MAJOR, NOT_TRANSPOSED, NOT_TRANSPOSED, p->m, p->n, p->k, 1.0f, p->x, p->x_offset, p->ldx, p->w, 0, p->ldw,
                                    0.0f, p->y, p->y_offset, p->ldy, &queue->handle, NULL);
    if (error == 0) return TRD_OK;
    return trdi_cl_device_fail(queue->device, error, "CLBlast, product of %zu x %zu -> %zu on %s", p->m, p->k, p->n, queue->device->facts.id);
}

/* ---- The check ---- */

/* One shape with both: weights, operands and results on the device and here. */
typedef struct trial {
    int64_t m, n, k;
    void   *queue, *weight, *x, *y, *plan;
    float  *host, *own, *theirs; /* x, then results */
} trial;

static float pattern(int64_t i)
{
    return (float)((uint32_t)i * 2654435761u >> 20) / 2048.0f - 1.0f;
}

static void read_pattern(const void *context, int64_t first, int64_t n, float *out)
{
    const int64_t cols = *(const int64_t *)context;
    for (int64_t i = 0; i < n * cols; i++) out[i] = pattern(first * cols + i + 7);
}

static void close_trial(trial *t)
{
    trdi_cl_plan_destroy(t->plan);
    trdi_cl_weight_free(t->weight);
    trdi_cl_queue_destroy(t->queue);
    trdi_cl_buffer_free(t->x);
    trdi_cl_buffer_free(t->y);
    trdi_free(t->host);
    trdi_free(t->own);
    trdi_free(t->theirs);
}

static trd_status open_trial(trdi_cl_device *device, trial *t)
{
    const size_t x_bytes = (size_t)(t->m * t->k) * sizeof(float), y_bytes = (size_t)(t->m * t->n) * sizeof(float);
    const trdi_weight_source source = { .layout = TRDI_LAYOUT_LINEAR, .dtype = TRD_DTYPE_F32, .rows = t->n, .cols = t->k, .read = read_pattern, .context = &t->k };
    t->host = trdi_alloc(x_bytes);
    t->own = trdi_alloc(y_bytes);
    t->theirs = trdi_alloc(y_bytes);
    if (t->host == NULL || t->own == NULL || t->theirs == NULL) return trdi_fail(TRD_E_MEMORY, "check of CLBlast: %zu bytes", x_bytes + 2 * y_bytes);
    TRDI_TRY(trdi_cl_queue_create(device, &(trdi_queue_options){ .n_threads = 1 }, &t->queue));
    TRDI_TRY(trdi_cl_weight_prepare(device, &source, &t->weight));
    TRDI_TRY(trdi_cl_buffer_alloc(device, x_bytes, TRDI_MEMORY_DEVICE, &t->x));
    TRDI_TRY(trdi_cl_buffer_alloc(device, y_bytes, TRDI_MEMORY_DEVICE, &t->y));
    const trdi_op op = { .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS, .u.linear = {
        .weight = t->weight, .x = { t->x, 0 }, .y = { t->y, 0 }, .in = t->k, .out = t->n, .x_stride = t->k, .y_stride = t->n, .activation = -1 } };
    TRDI_TRY(trdi_cl_plan_create(device, &op, 1, &(trdi_plan_options){ TRDI_NUMERICS_REPRODUCIBLE }, &t->plan));
    for (int64_t i = 0; i < t->m * t->k; i++) t->host[i] = pattern(3 * i);
    return trdi_cl_write(t->queue, (trdi_span){ t->x, 0 }, t->host, x_bytes);
}

static trd_status run_once(trial *t, bool own)
{
    if (own) {
        const trdi_step step = { .counts = { [TRDI_COUNT_ONE] = 1, [TRDI_COUNT_TOKENS] = t->m } };
        TRDI_TRY(trdi_cl_plan_run(t->queue, t->plan, &step));
    } else {
        const trdi_cl_weight *weight = t->weight;
        const trdi_cl_sgemm product = { .m = (size_t)t->m, .n = (size_t)t->n, .k = (size_t)t->k, .ldx = (size_t)t->k, .ldw = (size_t)weight->padded_rows,
                                        .ldy = (size_t)t->n, .x = ((trdi_cl_buffer *)t->x)->memory, .w = weight->data, .y = ((trdi_cl_buffer *)t->y)->memory };
        TRDI_TRY(trdi_cl_clblast_run(t->queue, &product));
    }
    return trdi_cl_queue_wait(t->queue);
}

/* Results of one of the two over a poisoned y. */
static trd_status fetch(trial *t, bool own, float *out)
{
    const size_t bytes = (size_t)(t->m * t->n) * sizeof(float);
    for (int64_t i = 0; i < t->m * t->n; i++) out[i] = NAN;
    TRDI_TRY(trdi_cl_write(t->queue, (trdi_span){ t->y, 0 }, out, bytes));
    TRDI_TRY(run_once(t, own));
    return trdi_cl_read(t->queue, out, (trdi_span){ t->y, 0 }, bytes);
}

static trd_status compare(trial *t, bool *same)
{
    TRDI_TRY(fetch(t, true, t->own));
    TRDI_TRY(fetch(t, false, t->theirs));
    const float allowed = 1e-5f * sqrtf((float)t->k);
    *same = true;
    for (int64_t i = 0; i < t->m * t->n; i++) *same = *same && fabsf(t->theirs[i] - t->own[i]) <= allowed * (1.0f + fabsf(t->own[i]));
    return TRD_OK;
}

static trd_status best_time(trial *t, bool own, int64_t *best_ns)
{
    *best_ns = INT64_MAX;
    for (int i = 0; i < 4; i++) {
        const int64_t start = trdi_now_ns();
        TRDI_TRY(run_once(t, own));
        const int64_t took = trdi_now_ns() - start;
        if (i > 0 && took < *best_ns) *best_ns = took;       /* the first warms up */
    }
    return TRD_OK;
}

static trd_status judge(trdi_cl_device *device, trdi_cl_verdict *verdict)
{
    static const int64_t awkward[][3] = { { 65, 100, 33 }, { 37, 17, 129 }, { 9, 300, 512 }, { 256, 1024, 512 } };
    enum { N = sizeof awkward / sizeof awkward[0] };
    *verdict = TRDI_CL_DROPPED;
    for (int i = 0; i < N; i++) {
        trial t = { .m = awkward[i][0], .n = awkward[i][1], .k = awkward[i][2] };
        bool same = false;
        int64_t own_ns = 0, their_ns = 0;
        trd_status status = open_trial(device, &t);
        if (status == TRD_OK) status = compare(&t, &same);
        if (status == TRD_OK && i == N - 1) status = best_time(&t, true, &own_ns);
        if (status == TRD_OK && i == N - 1) status = best_time(&t, false, &their_ns);
        close_trial(&t);
        TRDI_TRY(status);
        if (!same) {
            trdi_log(TRD_LOG_WARNING, "%s: CLBlast is not used: its product of %lld x %lld -> %lld is wrong", device->facts.id, (long long)t.m, (long long)t.k,
                     (long long)t.n);
            return TRD_OK;
        }
        if (i < N - 1) continue;
        *verdict = their_ns < own_ns ? TRDI_CL_FASTER : TRDI_CL_SLOWER;
        trdi_log(TRD_LOG_INFO, "%s: CLBlast is right, and %s: %.0f us, our own kernel %.0f us (%lld x %lld -> %lld)", device->facts.id,
                 *verdict == TRDI_CL_FASTER ? "faster" : "not used, as it is slower", (double)their_ns * 1e-3, (double)own_ns * 1e-3, (long long)t.m,
                 (long long)t.k, (long long)t.n);
    }
    return TRD_OK;
}

void trdi_cl_clblast_close(trdi_cl_device *device)
{
    if (device->clblast != TRDI_CL_NOT_CHECKED && library.clear != NULL) (void)library.clear();
}

trdi_cl_verdict trdi_cl_clblast_check(trdi_cl_device *device)
{
    trdi_once_run(&library.once, load);
    if (library.sgemm == NULL) return TRDI_CL_DROPPED;
    trdi_mutex_lock(&library.checking);
    if (device->clblast == TRDI_CL_NOT_CHECKED) {
        trdi_cl_verdict verdict = TRDI_CL_DROPPED;
        const trd_status status = judge(device, &verdict);
        if (status != TRD_OK) {
            verdict = TRDI_CL_DROPPED;
            trdi_log(TRD_LOG_WARNING, "%s: CLBlast is not used: its check failed (status %d)", device->facts.id, (int)status);
        }
        device->clblast = verdict;
    }
    const trdi_cl_verdict verdict = device->clblast;
    trdi_mutex_unlock(&library.checking);
    return verdict;
}
