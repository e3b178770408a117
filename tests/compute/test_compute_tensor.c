/* test_compute_tensor.c: devices, queues, events, tensors and copies of the public compute interface; memory comes back. */
#include "compute_rig.h"

static void test_shapes(rig *r)
{
    trd_tensor *t = NULL;
    const int64_t shape[3] = { 2, 3, 4 }, negative[1] = { -1 }, huge[2] = { INT64_MAX / 2, 5 }, zero[2] = { 0, 5 };
    CHECK_OK(trd_tensor_create(r->device, TRD_DTYPE_F32, 3, shape, &t));
    trd_tensor_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_tensor_get_info(t, &info));
    CHECK_INT(info.rank, 3);
    CHECK_INT(info.n_elements, 24);
    CHECK_INT(info.strides[0], 12);
    CHECK_INT(info.strides[1], 4);
    CHECK_INT(info.strides[2], 1);
    CHECK(info.is_contiguous);
    CHECK_STRING(info.device, r->id);
    trd_tensor_destroy(t);

    CHECK_FAILS(trd_tensor_create(NULL, TRD_DTYPE_F32, 1, shape, &t), TRD_E_INVALID, "device is NULL");
    CHECK(t == NULL);
    CHECK_FAILS(trd_tensor_create(r->device, (trd_dtype)9, 1, shape, &t), TRD_E_INVALID, "dtype 9");
    CHECK_FAILS(trd_tensor_create(r->device, TRD_DTYPE_F32, TRD_MAX_RANK + 1, shape, &t), TRD_E_INVALID, "rank");
    CHECK_FAILS(trd_tensor_create(r->device, TRD_DTYPE_F32, 1, negative, &t), TRD_E_INVALID, "shape[0] is -1");
    CHECK_FAILS(trd_tensor_create(r->device, TRD_DTYPE_F32, 2, huge, &t), TRD_E_INVALID, "too many");
    CHECK_FAILS(trd_tensor_create(r->device, TRD_DTYPE_F32, 1, NULL, &t), TRD_E_INVALID, "shape is NULL");
    CHECK_FAILS(trd_tensor_create(r->device, TRD_DTYPE_F32, 1, shape, NULL), TRD_E_INVALID, "out is NULL");
    /* Empty or not: strides are products of the other sizes. */
    const int64_t half_huge = INT64_C(1) << 40, empty[3][3] = { { half_huge, half_huge, 0 }, { 0, half_huge, half_huge }, { half_huge, 0, half_huge } };
    for (int i = 0; i < 3; i++) CHECK_FAILS(trd_tensor_create(r->device, TRD_DTYPE_F32, 3, empty[i], &t), TRD_E_INVALID, "1099511627776 times shape[");
    const int64_t wide[3] = { half_huge, 0, 1 << 20 };
    CHECK_OK(trd_tensor_create(r->device, TRD_DTYPE_F32, 3, wide, &t));
    CHECK_OK(trd_tensor_get_info(t, &info));
    CHECK_INT(info.n_elements, 0);
    CHECK_INT(info.strides[0], 1 << 20);
    trd_tensor *view;
    CHECK_FAILS(trd_tensor_view(t, 0, 3, empty[0], NULL, &view), TRD_E_INVALID, "too many elements");
    trd_tensor_destroy(t);
    CHECK_OK(trd_tensor_create(r->device, TRD_DTYPE_F32, 2, zero, &t));
    CHECK_OK(trd_tensor_write(r->queue, t, NULL, 0));
    CHECK_OK(trd_tensor_read(r->queue, t, NULL, 0));
    CHECK_OK(trd_tensor_fill(r->queue, t, 1.0));
    trd_tensor_destroy(t);
    CHECK_OK(trd_tensor_create(r->device, TRD_DTYPE_I8, 0, NULL, &t));
    CHECK_OK(trd_tensor_get_info(t, &info));
    CHECK_INT(info.n_elements, 1);
    trd_tensor_destroy(t);
    trd_tensor_destroy(NULL);
}

static void test_transfers(rig *r)
{
    float *const x = rig_floats(1001);
    trd_tensor *const t = rig_tensor(r, TRD_DTYPE_F32, 7, 143, x);
    rig_check(r, "write, read", t, x, 0.0);
    CHECK_FAILS(trd_tensor_write(r->queue, t, x, 1000), TRD_E_INVALID, "1000 bytes");
    CHECK_FAILS(trd_tensor_read(r->queue, t, x, 4005), TRD_E_INVALID, "4005 bytes");
    CHECK_FAILS(trd_tensor_write(r->queue, t, NULL, 4004), TRD_E_INVALID, "data is NULL");
    CHECK_FAILS(trd_tensor_write(NULL, t, x, 4004), TRD_E_INVALID, "queue is NULL");
    CHECK_FAILS(trd_tensor_write(r->queue, NULL, x, 4004), TRD_E_INVALID, "tensor is NULL");
    /* What the host does with its memory after a write does not matter, on another queue neither. */
    const int64_t sizes[] = { 1, 1001, 1 << 20 };
    for (int k = 0; k < 3; k++) {
        float *const big = rig_floats(sizes[k]), *const scratch = rig_floats(sizes[k]);
        trd_tensor *const target = rig_tensor(r, TRD_DTYPE_F32, 1, sizes[k], scratch);
        memcpy(scratch, big, (size_t)sizes[k] * sizeof *big);
        CHECK_OK(trd_tensor_write(r->queue, target, scratch, (size_t)sizes[k] * sizeof *big));
        memset(scratch, 0, (size_t)sizes[k] * sizeof *big);
        rig_check(r, "write", target, big, 0.0);
        trd_tensor_destroy(target);
        free(scratch);
        free(big);
    }
    free(x);
    trd_tensor_destroy(t);
}

static void test_views(rig *r)
{
    float *const x = rig_floats(6 * 10);
    trd_tensor *const t = rig_tensor(r, TRD_DTYPE_F32, 6, 10, x);
    const int64_t shape[2] = { 3, 4 }, strides[2] = { 20, 1 }, turned[2] = { 1, 10 }, flat[3] = { 2, 3, 10 }, overlapping[2] = { 3, 1 };
    trd_tensor *view, *other, *copy;
    CHECK_OK(trd_tensor_view(t, 12, 2, shape, strides, &view));        /* rows 1, 3, 5, columns 2 .. 5 */
    float want[12];
    for (int i = 0; i < 12; i++) want[i] = x[(1 + 2 * (i / 4)) * 10 + 2 + i % 4];
    rig_check(r, "view", view, want, 0.0);
    CHECK_OK(trd_tensor_create(r->device, TRD_DTYPE_F32, 2, shape, &copy));
    CHECK_OK(trd_tensor_copy(r->queue, view, copy));
    rig_check(r, "copy of a view", copy, want, 0.0);
    for (int i = 0; i < 12; i++) want[i] = (float)i;
    CHECK_OK(trd_tensor_write(r->queue, view, want, sizeof want));
    for (int i = 0; i < 12; i++) x[(1 + 2 * (i / 4)) * 10 + 2 + i % 4] = (float)i;
    rig_check(r, "write into a view", t, x, 0.0);
    CHECK_OK(trd_tensor_view(t, 0, 3, flat, NULL, &other));
    CHECK_OK(trd_tensor_copy(r->queue, t, other));                      /* the same elements: nothing to do */
    trd_tensor_destroy(other);
    CHECK_FAILS(trd_tensor_copy(r->queue, view, t), TRD_E_INVALID, "rows");
    CHECK_FAILS(trd_tensor_view(t, 0, 2, shape, turned, &other), TRD_E_INVALID, "strides");
    CHECK_FAILS(trd_tensor_view(t, 0, 2, shape, overlapping, &other), TRD_E_INVALID, "strides");
    CHECK_FAILS(trd_tensor_view(t, 49, 2, shape, NULL, &other), TRD_E_RANGE, "ends at 60");
    CHECK_FAILS(trd_tensor_view(t, -1, 2, shape, NULL, &other), TRD_E_RANGE, "-1");
    CHECK_FAILS(trd_tensor_view(t, 17, 2, shape, strides, &other), TRD_E_RANGE, "ends at 60");
    CHECK_FAILS(trd_tensor_view(NULL, 0, 2, shape, NULL, &other), TRD_E_INVALID, "tensor is NULL");
    CHECK_OK(trd_tensor_view(t, 48, 2, shape, NULL, &other));
    trd_tensor_destroy(t);                                              /* its memory lives on */
    rig_check(r, "view after its tensor", other, x + 48, 0.0);
    CHECK_FAILS(trd_tensor_copy(r->queue, view, other), TRD_E_INVALID, "overlap");
    trd_tensor_destroy(other);
    trd_tensor_destroy(view);
    trd_tensor_destroy(copy);
    free(x);
}

static void test_convert(rig *r)
{
    static const float values[8] = { 0.0f, -1.75f, 1.0f / 3.0f, 65520.0f, 3.0e9f, -3.0e9f, 130.9f, NAN };
    static const int32_t as_i32[8] = { 0, -1, 0, 65520, INT32_MAX, INT32_MIN, 130, 0 };
    static const int8_t as_i8[8] = { 0, -1, 0, 127, 127, -128, 127, 0 };
    const float third = 0.33325195f;
    const float as_half[8] = { 0.0f, -1.75f, third, INFINITY, INFINITY, -INFINITY, 130.875f, NAN };
    trd_tensor *const x = rig_tensor(r, TRD_DTYPE_F32, 1, 8, values), *const back = rig_poisoned(r, 1, 8);
    const trd_dtype dtypes[] = { TRD_DTYPE_F16, TRD_DTYPE_I32, TRD_DTYPE_I8 };
    trd_tensor *t[3];
    const int64_t shape[2] = { 8, 1 };
    for (int k = 0; k < 3; k++) {
        CHECK_OK(trd_tensor_create(r->device, dtypes[k], 2, shape, &t[k]));
        CHECK_OK(trd_tensor_convert(r->queue, x, t[k]));
    }
    CHECK_OK(trd_tensor_convert(r->queue, t[0], back));
    rig_check(r, "f16", back, as_half, 0.0);
    int32_t *const i32 = rig_read(r, t[1]);
    CHECK(memcmp(i32, as_i32, sizeof as_i32) == 0);
    free(i32);
    int8_t *i8 = rig_read(r, t[2]);
    CHECK(memcmp(i8, as_i8, sizeof as_i8) == 0);
    free(i8);
    CHECK_OK(trd_tensor_convert(r->queue, t[1], t[2]));                 /* i32 to i8 */
    i8 = rig_read(r, t[2]);
    CHECK(memcmp(i8, as_i8, sizeof as_i8) == 0);
    free(i8);
    CHECK_OK(trd_tensor_fill(r->queue, t[2], -5.9));
    CHECK_OK(trd_tensor_convert(r->queue, t[2], t[0]));
    CHECK_OK(trd_tensor_convert(r->queue, t[0], back));
    float want[8];
    for (int k = 0; k < 8; k++) want[k] = -5.0f;
    rig_check(r, "fill of i8", back, want, 0.0);
    CHECK_OK(trd_tensor_fill(r->queue, back, 0.25));
    for (int k = 0; k < 8; k++) want[k] = 0.25f;
    rig_check(r, "fill", back, want, 0.0);
    trd_tensor *short_one, *bf16;
    CHECK_OK(trd_tensor_view(back, 0, 1, (int64_t[]){ 7 }, NULL, &short_one));
    CHECK_OK(trd_tensor_create(r->device, TRD_DTYPE_BF16, 2, shape, &bf16));
    CHECK_FAILS(trd_tensor_convert(r->queue, x, short_one), TRD_E_INVALID, "8 elements, y 7");
    CHECK_FAILS(trd_tensor_convert(r->queue, x, bf16), TRD_E_UNSUPPORTED, "bf16");
    CHECK_FAILS(trd_tensor_fill(r->queue, bf16, 0.0), TRD_E_UNSUPPORTED, "bf16");
    CHECK_FAILS(trd_tensor_copy(r->queue, x, t[0]), TRD_E_INVALID, "trd_tensor_convert");
    trd_tensor_destroy(short_one);
    trd_tensor_destroy(bf16);
    for (int k = 0; k < 3; k++) trd_tensor_destroy(t[k]);
    trd_tensor_destroy(x);
    trd_tensor_destroy(back);
}

static void test_events(rig *r)
{
    trd_queue *other;
    trd_queue_options options;
    trd_queue_options_init(&options, sizeof options);
    options.n_threads = 1;
    CHECK_OK(trd_queue_create(r->device, &options, &other));
    options.n_threads = -1;
    trd_queue *bad;
    CHECK_FAILS(trd_queue_create(r->device, &options, &bad), TRD_E_INVALID, "n_threads is -1");
    CHECK(bad == NULL);
    /* One queue writes, the other adds up, the first reads, many times over the same memory. */
    trd_tensor *const x = rig_poisoned(r, 64, 100), *const y = rig_poisoned(r, 64, 100);
    CHECK_OK(trd_tensor_fill(r->queue, y, 0.0));
    float want = 0.0f;
    for (int k = 1; k <= 20; k++) {
        trd_event *written, *added;
        CHECK_OK(trd_tensor_fill(r->queue, x, k));
        CHECK_OK(trd_event_record(r->queue, &written));
        CHECK_OK(trd_queue_wait_event(other, written));
        CHECK_OK(trd_add(other, y, x, y));
        CHECK_OK(trd_event_record(other, &added));
        CHECK_OK(trd_queue_wait_event(r->queue, added));
        trd_event_destroy(written);
        want += (float)k;
        if (k % 7 == 0) {
            CHECK_OK(trd_event_wait(added, k == 7 ? -1 : 60000000000));
            bool done;
            CHECK_OK(trd_event_done(added, &done));
            CHECK(done);
        }
        trd_event_destroy(added);
    }
    float *const got = rig_read(r, y);
    for (int i = 0; i < 6400; i++) CHECK(got[i] == want);
    free(got);
    trd_tensor_destroy(x);
    trd_tensor_destroy(y);
    trd_event *late;
    CHECK_OK(trd_event_record(other, &late));
    trd_queue_destroy(other);
    CHECK_OK(trd_event_wait(late, 1000000000));                         /* events outlive their queue */
    trd_event_destroy(late);
    CHECK_FAILS(trd_event_record(NULL, &late), TRD_E_INVALID, "queue is NULL");
    CHECK_FAILS(trd_event_wait(NULL, 0), TRD_E_INVALID, "event is NULL");
    CHECK_FAILS(trd_queue_wait_event(r->queue, NULL), TRD_E_INVALID, "event is NULL");
    CHECK_FAILS(trd_queue_wait(NULL), TRD_E_INVALID, "queue is NULL");
    trd_event_destroy(NULL);
    trd_queue_destroy(NULL);
}

static trd_device_memory memory_of(const rig *r)
{
    trd_device_memory m = { .struct_size = sizeof m };
    CHECK_OK(trd_device_get_memory(r->device, &m));
    return m;
}

static void test_memory(rig *r)
{
    CHECK_OK(trd_device_empty_cache(r->device));
    const trd_device_memory before = memory_of(r);
    CHECK_INT(before.allocated_bytes, 0);
    CHECK_INT(before.cached_bytes, 0);
    trd_tensor *t = rig_poisoned(r, 100, 100), *view;
    CHECK_OK(trd_tensor_view(t, 0, 1, (int64_t[]){ 5 }, NULL, &view));
    trd_device_memory now = memory_of(r);
    CHECK(now.allocated_bytes >= 40000 && now.allocated_bytes <= 45000);
    CHECK_INT(now.n_allocated, 1);
    CHECK(now.peak_bytes >= now.allocated_bytes);
    trd_tensor_destroy(t);
    CHECK_INT(memory_of(r).n_allocated, 1);                             /* the view keeps it */
    trd_tensor_destroy(view);
    now = memory_of(r);
    CHECK_INT(now.allocated_bytes, 0);
    CHECK_INT(now.n_cached, 1);
    const uint64_t requests = now.n_requests, reused = now.n_reused;
    /* The same size again and again takes the same block. */
    for (int k = 0; k < 10; k++) {
        t = rig_poisoned(r, 99, 100);
        trd_tensor_destroy(t);
    }
    now = memory_of(r);
    CHECK_INT(now.n_requests, requests + 10);
    CHECK_INT(now.n_reused, reused + 10);
    CHECK_OK(trd_device_empty_cache(r->device));
    now = memory_of(r);
    CHECK_INT(now.cached_bytes, 0);
    CHECK_INT(now.n_cached, 0);
    /* Another handle of the device sees the same memory. */
    rig other = rig_open(r->id);
    t = rig_poisoned(&other, 10, 10);
    CHECK_INT(memory_of(r).n_allocated, 1);
    CHECK_FAILS(trd_device_get_memory(r->device, NULL), TRD_E_INVALID, "NULL");
    CHECK_FAILS(trd_device_empty_cache(NULL), TRD_E_INVALID, "device is NULL");
    rig_close(&other);                                                  /* before its tensor */
    trd_tensor_destroy(t);
    CHECK_INT(memory_of(r).n_allocated, 0);
}

static void test_devices(void)
{
    trd_device *device;
    CHECK_FAILS(trd_device_open("no such device", &device), TRD_E_INVALID, "no such device");
    CHECK(device == NULL);
    CHECK_FAILS(trd_device_open("cpu", NULL), TRD_E_INVALID, "out is NULL");
    trd_queue *queue;
    CHECK_FAILS(trd_queue_create(NULL, NULL, &queue), TRD_E_INVALID, "device is NULL");
    trd_device_close(NULL);
}

static void test_all(rig *r)
{
    test_shapes(r);
    test_transfers(r);
    test_views(r);
    test_convert(r);
    test_events(r);
    test_memory(r);
}

int main(void)
{
    size_t bytes, blocks, bytes_after, blocks_after;
    test_devices();
    trd_memory_in_use(&bytes, &blocks);
    rig_each(test_all);
    trd_memory_in_use(&bytes_after, &blocks_after);
    if (getenv("TREADLE_TEST_IMPLEMENTATION") == NULL) CHECK_INT(blocks_after, blocks);   /* drivers' modules keep what they loaded */
    return 0;
}
