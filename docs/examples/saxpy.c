/*
 * saxpy.c: compute on any device with the same source. Moves arrays there, works on them with operations of the library and with a kernel of its
 * own, brings the result back, and checks it.
 *
 *     cc saxpy.c -ltreadle -lm -o saxpy
 *     ./saxpy                   # the CPU
 *     ./saxpy opencl            # the first OpenCL device
 *     ./saxpy cpu opencl gpu    # several at once
 */
#include <math.h>
#include <stdio.h>
#include <treadle/treadle.h>

enum { ROWS = 512, COLS = 256, N = ROWS * COLS, MAX_DEVICES = 8 };

/* Everything that lives on one device. */
typedef struct job {
    trd_device *device;
    trd_queue  *queue;
    trd_kernel *saxpy, *largest;
    trd_tensor *x, *y, *w, *top;
} job;

static float x[N], y[N], w[COLS];

static trd_status start(job *j, const char *selector)
{
    const int64_t shape[2] = { ROWS, COLS }, columns[1] = { COLS }, rows[1] = { ROWS };
    trd_status s = trd_device_open(selector, &j->device);
    if (s == TRD_OK) s = trd_queue_create(j->device, NULL, &j->queue);
    if (s == TRD_OK) s = trd_tensor_from_host(j->queue, TRD_DTYPE_F32, 2, shape, x, &j->x);
    if (s == TRD_OK) s = trd_tensor_from_host(j->queue, TRD_DTYPE_F32, 2, shape, y, &j->y);
    if (s == TRD_OK) s = trd_tensor_from_host(j->queue, TRD_DTYPE_F32, 1, columns, w, &j->w);
    if (s == TRD_OK) s = trd_tensor_create(j->device, TRD_DTYPE_F32, 1, rows, &j->top);

    /* Kernels of one's own: one for each element, one that reduces each row. */
    if (s == TRD_OK) s = trd_kernel_create_expression(j->device, "float a, const float *x, float *y", "y[i] = a * x[i] + y[i]", &j->saxpy);
    if (s == TRD_OK) s = trd_kernel_create_expression(j->device, "const float *y, float *top", "top[r] = max(abs(y[i]))", &j->largest);

    /* The calls only queue work where a device works on its own: several devices compute at the same time. */
    const trd_argument saxpy[] = { { .kind = TRD_ARGUMENT_F32, .number = 0.5f }, { .kind = TRD_ARGUMENT_TENSOR, .tensor = j->x },
                                   { .kind = TRD_ARGUMENT_TENSOR, .tensor = j->y } };
    if (s == TRD_OK) s = trd_kernel_run(j->queue, j->saxpy, saxpy, 3, NULL);
    if (s == TRD_OK) s = trd_rms_norm(j->queue, j->y, j->w, j->y, 1e-5f);
    const trd_argument largest[] = { { .kind = TRD_ARGUMENT_TENSOR, .tensor = j->y }, { .kind = TRD_ARGUMENT_TENSOR, .tensor = j->top } };
    if (s == TRD_OK) s = trd_kernel_run(j->queue, j->largest, largest, 2, NULL);
    return s;
}

/* What the device should have found for a row. */
static float expected(int row)
{
    double squares = 0.0, most = 0.0;
    for (int c = 0; c < COLS; c++) {
        const double v = 0.5 * x[row * COLS + c] + y[row * COLS + c];
        squares += v * v;
    }
    for (int c = 0; c < COLS; c++) most = fmax(most, fabs((0.5 * x[row * COLS + c] + y[row * COLS + c]) * w[c] / sqrt(squares / COLS + 1e-5)));
    return (float)most;
}

/* Bring the result back and look at it. @return how many rows are wrong, or -1 */
static int finish(job *j)
{
    static float top[ROWS];
    if (trd_tensor_read(j->queue, j->top, top, sizeof top) != TRD_OK) return -1;
    int n_wrong = 0;
    for (int row = 0; row < ROWS; row++) n_wrong += !(fabsf(top[row] - expected(row)) <= 1e-4f * expected(row));
    trd_device_info info = { .struct_size = sizeof info };
    trd_device_memory memory = { .struct_size = sizeof memory };
    if (trd_device_describe(j->device, &info) == TRD_OK && trd_device_get_memory(j->device, &memory) == TRD_OK)
        printf("%-10s %s: largest of row 0 is %g, %d rows wrong, %llu KiB on the device\n", info.id, info.name, (double)top[0], n_wrong,
               (unsigned long long)(memory.allocated_bytes >> 10));
    return n_wrong;
}

/* Destroying NULL does nothing, so a job that failed half way goes the same way. */
static void end(job *j)
{
    trd_kernel_destroy(j->saxpy);
    trd_kernel_destroy(j->largest);
    trd_tensor_destroy(j->x);
    trd_tensor_destroy(j->y);
    trd_tensor_destroy(j->w);
    trd_tensor_destroy(j->top);
    trd_queue_destroy(j->queue);
    trd_device_close(j->device);
}

int main(int argc, char **argv)
{
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i % 1000) / 500.0f - 1.0f;
        y[i] = (float)(i % 777) / 333.0f - 1.0f;
    }
    for (int c = 0; c < COLS; c++) w[c] = 1.0f + 0.001f * (float)c;
    job jobs[MAX_DEVICES] = { 0 };
    const int n = argc - 1 > MAX_DEVICES ? MAX_DEVICES : argc > 1 ? argc - 1 : 1;
    int result = 0;
    for (int k = 0; k < n && result == 0; k++) {
        if (start(&jobs[k], argc > 1 ? argv[k + 1] : NULL) == TRD_OK) continue;
        printf("%s: %s\n", argc > 1 ? argv[k + 1] : "default device", trd_last_error());
        result = 1;
    }
    for (int k = 0; k < n && result == 0; k++) {
        const int n_wrong = finish(&jobs[k]);
        if (n_wrong < 0) fprintf(stderr, "%s\n", trd_last_error());
        if (n_wrong != 0) result = 1;
    }
    for (int k = 0; k < n; k++) end(&jobs[k]);
    return result;
}
