/* test_compute_scarce.c: memory that runs out at the n-th allocation, for every n, through everything that the compute interface does: a status, no leak. */
#include "../core/scarce.h"
#include "compute_rig.h"

typedef struct things {
    trd_device *device;
    trd_queue  *queue;
    trd_event  *event;
    trd_tensor *x, *y, *view, *half, *values, *ids;
    trd_weight *weight, *table;
    trd_kernel *kernel, *sum;
} things;

static const float data[64] = { 1.0f, -2.0f, 3.0f };
static const int64_t shape[2] = { 8, 8 };

static trd_status make(things *t)
{
    trd_status s = trd_device_open("cpu", &t->device);
    if (s == TRD_OK) s = trd_queue_create(t->device, NULL, &t->queue);
    if (s == TRD_OK) s = trd_tensor_from_host(t->queue, TRD_DTYPE_F32, 2, shape, data, &t->x);
    if (s == TRD_OK) s = trd_tensor_create(t->device, TRD_DTYPE_F32, 2, shape, &t->y);
    if (s == TRD_OK) s = trd_tensor_view(t->x, 8, 1, shape, NULL, &t->view);
    if (s == TRD_OK) s = trd_tensor_create(t->device, TRD_DTYPE_F16, 2, shape, &t->half);
    if (s == TRD_OK) s = trd_tensor_create(t->device, TRD_DTYPE_F32, 2, (int64_t[]){ 8, 2 }, &t->values);
    if (s == TRD_OK) s = trd_tensor_create(t->device, TRD_DTYPE_I32, 2, (int64_t[]){ 8, 2 }, &t->ids);
    if (s == TRD_OK) s = trd_weight_from_tensor(t->queue, t->x, NULL, &t->weight);
    trd_weight_options o;
    trd_weight_options_init(&o, sizeof o);
    o.use = TRD_WEIGHT_EMBEDDING;
    if (s == TRD_OK) s = trd_weight_create(t->device, 8, 8, TRD_DTYPE_F32, data, &o, &t->table);
    if (s == TRD_OK) s = trd_kernel_create_expression(t->device, "float *x, float *y", "y[i] = x[i] + exp(y[i])", &t->kernel);
    if (s == TRD_OK) s = trd_kernel_create_expression(t->device, "float *x, float *y", "y[r] = sum(x[i])", &t->sum);
    return s;
}

static trd_status use(things *t)
{
    static const int32_t ids[8] = { 0, 7, 3 };
    const trd_argument xy[] = { rig_arg(t->x), rig_arg(t->y) };
    trd_tensor *fresh = NULL;
    trd_status s = trd_linear(t->queue, t->x, t->weight, t->y, NULL);
    if (s == TRD_OK) s = trd_attention(t->queue, t->x, t->x, t->x, t->y, NULL);
    if (s == TRD_OK) s = trd_embed(t->queue, t->table, ids, 1.0f, t->y);
    if (s == TRD_OK) s = trd_gather(t->queue, t->x, ids, t->y);
    if (s == TRD_OK) s = trd_softmax(t->queue, t->x, t->y);
    if (s == TRD_OK) s = trd_top_k(t->queue, t->x, t->values, t->ids);
    if (s == TRD_OK) s = trd_kernel_run(t->queue, t->kernel, xy, 2, NULL);
    if (s == TRD_OK) s = trd_tensor_create(t->device, TRD_DTYPE_F32, 1, (int64_t[]){ 8 }, &fresh);
    const trd_argument rows[] = { rig_arg(t->x), rig_arg(fresh) };
    if (s == TRD_OK) s = trd_kernel_run(t->queue, t->sum, rows, 2, NULL);
    trd_tensor_destroy(fresh);
    if (s == TRD_OK) s = trd_tensor_convert(t->queue, t->x, t->half);
    if (s == TRD_OK) s = trd_tensor_fill(t->queue, t->y, 2.0);
    if (s == TRD_OK) s = trd_event_record(t->queue, &t->event);
    if (s == TRD_OK) s = trd_event_wait(t->event, 1000000);
    if (s == TRD_OK) s = trd_queue_wait(t->queue);
    return s;
}

static void end(things *t)
{
    trd_kernel_destroy(t->kernel);
    trd_kernel_destroy(t->sum);
    trd_weight_destroy(t->weight);
    trd_weight_destroy(t->table);
    trd_tensor *const all[] = { t->x, t->y, t->view, t->half, t->values, t->ids };
    for (int i = 0; i < 6; i++) trd_tensor_destroy(all[i]);
    trd_event_destroy(t->event);
    trd_device_close(t->device);        /* before the queue: handles go in any order */
    trd_queue_destroy(t->queue);
}

int main(void)
{
    (void)setenv("OMP_NUM_THREADS", "2", 1);
    CHECK_INT(trd_device_count() >= 1, 1);      /* the list of devices is made before memory is short */
    CHECK_OK(trd_allocator_set(&scarce_allocator));
    int n = 0;
    bool done = false;
    for (; !done; n++) {
        scarce_allow(n);
        things t = { 0 };
        trd_status s = make(&t);
        if (s == TRD_OK) s = use(&t);
        end(&t);
        if (s != TRD_OK) CHECK_INT(s, TRD_E_MEMORY);
        done = s == TRD_OK;
        size_t bytes, blocks;
        trd_memory_in_use(&bytes, &blocks);
        if (blocks != 0) {
            fprintf(stderr, "after the failure of allocation %d: %zu blocks are left\n", n, blocks);
            return 1;
        }
        CHECK(n < 10000);
    }
    CHECK(n > 40);
    printf("%d allocations\n", n);
    return 0;
}
