/* test_device_registry.c: devices by selector and environment, opened once however often they are acquired; what the public list says. */
#include "check.h"
#include "core/scarce.h"
#include "core/threads.h"
#include "device/device.h"

static void test_acquire(void)
{
    CHECK_INT(unsetenv("TREADLE_DEVICE"), 0);
    trdi_device *a, *b, *c;
    CHECK_OK(trdi_device_acquire(NULL, &a));
    CHECK_OK(trdi_device_acquire("cpu:0", &b));
    CHECK_OK(trdi_device_acquire("auto", &c));
    CHECK(a == b && b == c && a->impl != NULL);
    CHECK_STRING(a->ops->name, "cpu");
    CHECK_STRING(a->facts.id, "cpu:0");
    trdi_device_release(b);
    CHECK(a->impl != NULL);
    trdi_device_release(a);
    trdi_device_release(c);
    CHECK(a->impl == NULL);
    trdi_device_release(NULL);
    CHECK_OK(trdi_device_acquire("", &a));
    CHECK(a == b && a->impl != NULL);
    trdi_device_release(a);

    CHECK_FAILS(trdi_device_acquire("cpu:3", &a), TRD_E_INVALID, "device index 3");
    CHECK(a == NULL);
    CHECK_FAILS(trdi_device_acquire("cuda", &a), TRD_E_INVALID, "this build has no CUDA back end");
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
}

static void test_environment(void)
{
    trdi_device *device;
    CHECK_INT(setenv("TREADLE_DEVICE", "opencl:1", 1), 0);
    CHECK_FAILS(trdi_device_acquire(NULL, &device), TRD_E_INVALID, "device 'opencl:1' (from TREADLE_DEVICE): no treadle-opencl.so in ");
    CHECK_OK(trdi_device_acquire("cpu", &device));
    trdi_device_release(device);
    CHECK_INT(setenv("TREADLE_DEVICE", "CPU:0", 1), 0);
    CHECK_OK(trdi_device_acquire("", &device));
    trdi_device_release(device);
    CHECK_INT(setenv("TREADLE_DEVICE", "", 1), 0);
    CHECK_OK(trdi_device_acquire(NULL, &device));
    trdi_device_release(device);
    CHECK_INT(unsetenv("TREADLE_DEVICE"), 0);
}

static void test_list(void)
{
    CHECK_INT(trd_device_count(), 1);
    struct {
        trd_device_info info;
        char            after[16];
    } room;
    memset(&room, 0x5a, sizeof room);
    room.info.struct_size = sizeof room.info;
    CHECK_OK(trd_device_get_info(0, &room.info));
    CHECK_INT(room.info.struct_size, sizeof room.info);
    CHECK_STRING(room.info.id, "cpu:0");
    CHECK_STRING(room.info.backend, "cpu");
    CHECK_STRING(room.info.unusable, "");
    CHECK_STRING(room.info.compute_types, "float32");
    CHECK(room.info.name[0] != '\0' && room.info.isa[0] != '\0');
    CHECK_INT(room.info.n_compute_units, trdi_device_cores_allowed());
    CHECK(room.info.memory_bytes > 0);
    CHECK_INT(room.after[0], 0x5a);

    /* A caller with an older, shorter struct. */
    memset(&room, 0x5a, sizeof room);
    room.info.struct_size = offsetof(trd_device_info, backend);
    CHECK_OK(trd_device_get_info(0, &room.info));
    CHECK_STRING(room.info.id, "cpu:0");
    unsigned char untouched[sizeof room.info.backend];
    memset(untouched, 0x5a, sizeof untouched);
    CHECK(memcmp(&room.info.backend, untouched, sizeof untouched) == 0);

    /* One with a newer, longer struct: what we do not know is zero. */
    memset(&room, 0x5a, sizeof room);
    room.info.struct_size = sizeof room;
    CHECK_OK(trd_device_get_info(0, &room.info));
    CHECK_INT(room.after[15], 0);
}

/* The user's log callback may call the library. */
static void ask_from_log(void *context, trd_log_level level, const char *text)
{
    (void)level;
    if (strstr(text, "device cpu:0: ") != NULL) *(int64_t *)context = trd_device_count();
}

static void test_log(void)
{
    int64_t n = 0;
    trd_log_set(TRD_LOG_INFO, ask_from_log, &n);
    trdi_device *device;
    CHECK_OK(trdi_device_acquire("cpu", &device));
    CHECK_INT(n, 1);
    n = 0;
    trdi_device *again;
    CHECK_OK(trdi_device_acquire("cpu", &again));
    CHECK_INT(n, 0);
    trdi_device_release(again);
    trdi_device_release(device);
    trd_log_set(TRD_LOG_OFF, NULL, NULL);
}

static void *acquire_often(void *argument)
{
    (void)argument;
    for (int i = 0; i < 300; i++) {
        trdi_device *device;
        CHECK_OK(trdi_device_acquire("cpu", &device));
        CHECK(device->impl != NULL);
        trdi_device_release(device);
    }
    return NULL;
}

static void test_threads(void)
{
    trdi_thread threads[4];
    for (int i = 0; i < 4; i++) CHECK_OK(trdi_thread_start(&threads[i], "acquire", acquire_often, NULL));
    for (int i = 0; i < 4; i++) trdi_thread_join(threads[i]);
    trdi_device *device;
    CHECK_OK(trdi_device_acquire("cpu", &device));
    trdi_device_release(device);
    CHECK(device->impl == NULL);
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
}

static void test_memory(void)
{
    CHECK_OK(trd_allocator_set(&scarce_allocator));
    trd_status status = TRD_E_MEMORY;
    for (int n = 0; status != TRD_OK; n++) {
        scarce_allow(n);
        trdi_device *device;
        status = trdi_device_acquire("cpu", &device);
        if (status != TRD_OK) CHECK_INT(status, TRD_E_MEMORY);
        CHECK((status == TRD_OK) == (device != NULL));
        trdi_device_release(device);
        size_t blocks;
        trd_memory_in_use(NULL, &blocks);
        CHECK_INT(blocks, 0);
        CHECK(n < 20);
    }
    CHECK_OK(trd_allocator_set(NULL));
}

static void test_bad_arguments(void)
{
    trd_device_info info = { .struct_size = sizeof info };
    CHECK_FAILS(trd_device_get_info(0, NULL), TRD_E_INVALID, "info is NULL");
    CHECK_FAILS(trd_device_get_info(1, &info), TRD_E_RANGE, "device 1");
    CHECK_FAILS(trd_device_get_info(-1, &info), TRD_E_RANGE, "device -1");
    info.struct_size = 0;
    CHECK_FAILS(trd_device_get_info(0, &info), TRD_E_INVALID, "struct_size is 0");
    info.struct_size = (size_t)1 << 40;
    CHECK_FAILS(trd_device_get_info(0, &info), TRD_E_INVALID, "struct_size is");
}

static void test_notes(void)
{
    CHECK(strstr(trd_device_note(0), "opencl: no treadle-opencl.so in ") != NULL);
    CHECK(strstr(trd_device_note(1), "this build has no CUDA back end") != NULL);
    CHECK(trd_device_note(-1) == NULL);
    int64_t n = 0;
    while (trd_device_note(n) != NULL) n++;
    CHECK(n == 2 || n == 3);
    CHECK(trd_device_note(n + 1) == NULL);
}

int main(void)
{
    CHECK_INT(setenv("TREADLE_BACKEND_PATH", "/nonexistent", 1), 0); /* the CPU alone */
    test_threads();
    test_acquire();
    test_environment();
    test_list();
    test_log();
    test_memory();
    test_bad_arguments();
    test_notes();
    return 0;
}
