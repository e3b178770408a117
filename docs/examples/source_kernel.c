/*
 * source_kernel.c: a kernel of one's own from source, with local memory: a 3-point moving average of each row, and its largest value. For devices that
 * compile: OpenCL's. The words KERNEL, ARG, OPEN, LOCAL, BARRIER() are the library's, so that one source serves several kinds of device.
 *
 *     cc source_kernel.c -ltreadle -lm -o source_kernel
 *     ./source_kernel opencl
 */
#include <math.h>
#include <stdio.h>
#include <treadle/treadle.h>

enum { ROWS = 100, COLS = 1000, GROUP = 64 };

/* A group for each row. */
static const char source[] =
    "KERNEL smooth(ARG(const float, x), ARG(float, y), ARG(float, top), const int cols)\n"
    "{\n"
    "    OPEN(const float, x);\n"
    "    OPEN(float, y);\n"
    "    OPEN(float, top);\n"
    "    LOCAL float largest[64];\n"
    "    const int t = LOCAL_ID, r = GROUP_ID;\n"
    "    GLOBAL const float *from = x + (i64)r * cols;\n"
    "    float most = -INFINITY;\n"
    "    for (int c = t; c < cols; c += 64) {\n"
    "        const float left = from[c > 0 ? c - 1 : 0], right = from[c + 1 < cols ? c + 1 : c];\n"
    "        const float mean = (left + from[c] + right) / 3.0f;\n"
    "        y[(i64)r * cols + c] = mean;\n"
    "        most = fmax(most, mean);\n"
    "    }\n"
    "    largest[t] = most;\n"
    "    for (int step = 32; step > 0; step /= 2) {\n"
    "        BARRIER();\n"
    "        if (t < step) largest[t] = fmax(largest[t], largest[t + step]);\n"
    "    }\n"
    "    if (t == 0) top[r] = largest[0];\n"
    "}\n";

static float x[ROWS * COLS], y[ROWS * COLS], top[ROWS];

static trd_status compute(trd_queue *queue, trd_kernel *kernel, trd_tensor *tx, trd_tensor *ty, trd_tensor *ttop)
{
    const trd_argument arguments[] = { { .kind = TRD_ARGUMENT_TENSOR, .tensor = tx }, { .kind = TRD_ARGUMENT_TENSOR, .tensor = ty },
                                       { .kind = TRD_ARGUMENT_TENSOR, .tensor = ttop }, { .kind = TRD_ARGUMENT_I32, .integer = COLS } };
    trd_launch launch;
    trd_launch_init(&launch, sizeof launch);
    launch.global_size[0] = ROWS * GROUP;
    launch.group_size[0] = GROUP;
    trd_status s = trd_kernel_run(queue, kernel, arguments, 4, &launch);
    if (s == TRD_OK) s = trd_tensor_read(queue, ty, y, sizeof y);
    if (s == TRD_OK) s = trd_tensor_read(queue, ttop, top, sizeof top);
    return s;
}

static trd_status run(trd_device *device, trd_kernel *kernel)
{
    const int64_t shape[2] = { ROWS, COLS };
    trd_queue *queue = NULL;
    trd_tensor *tx = NULL, *ty = NULL, *ttop = NULL;
    trd_status s = trd_queue_create(device, NULL, &queue);
    if (s == TRD_OK) s = trd_tensor_from_host(queue, TRD_DTYPE_F32, 2, shape, x, &tx);
    if (s == TRD_OK) s = trd_tensor_create(device, TRD_DTYPE_F32, 2, shape, &ty);
    if (s == TRD_OK) s = trd_tensor_create(device, TRD_DTYPE_F32, 1, shape, &ttop);
    if (s == TRD_OK) s = compute(queue, kernel, tx, ty, ttop);
    trd_tensor_destroy(tx);
    trd_tensor_destroy(ty);
    trd_tensor_destroy(ttop);
    trd_queue_destroy(queue);
    return s;
}

static int count_wrong(void)
{
    int n_wrong = 0;
    for (int r = 0; r < ROWS; r++) {
        float most = -INFINITY;
        for (int c = 0; c < COLS; c++) {
            const float *const from = x + r * COLS;
            const float mean = (from[c > 0 ? c - 1 : 0] + from[c] + from[c + 1 < COLS ? c + 1 : c]) / 3.0f;
            n_wrong += !(fabsf(y[r * COLS + c] - mean) <= 1e-6f);
            most = fmaxf(most, mean);
        }
        n_wrong += !(fabsf(top[r] - most) <= 1e-6f);
    }
    return n_wrong;
}

int main(int argc, char **argv)
{
    for (int i = 0; i < ROWS * COLS; i++) x[i] = sinf((float)i * 0.37f);
    trd_device *device = NULL;
    trd_kernel *kernel = NULL;
    trd_status s = trd_device_open(argc > 1 ? argv[1] : "opencl", &device);
    if (s == TRD_OK) s = trd_kernel_create_source(device, source, "smooth", &kernel);
    if (s == TRD_OK) s = run(device, kernel);
    const int n_wrong = s == TRD_OK ? count_wrong() : 0;
    if (s == TRD_OK) printf("largest of row 0: %g; %d wrong\n", (double)top[0], n_wrong);
    else printf("%s\n", trd_last_error());     /* without a device that compiles, it says which would do */
    trd_kernel_destroy(kernel);
    trd_device_close(device);
    return s == TRD_OK && n_wrong == 0 ? 0 : 1;
}
