/*
 * test_unload.c: unloading gives everything back, again and again, on the CPU and on a device with memory of its own; what cannot be unloaded now is left
 * alone; the model comes back from its file, or from the host's memory. test_unload [N times].
 */
#include <unistd.h>

#include "api/api_rig.h"
#include "api/foreign_translator.h"
#include "nn/tiny_model.h"

static char folder[256];
static rig_batch batch;

static void translate(trd_translator *with, char *text, size_t bytes)
{
    trd_decoding_options options = rig_options();
    options.max_decoding_length = options.min_decoding_length = 20;
    trd_results *results;
    CHECK_OK(trd_translator_translate(with, &batch.sequences, NULL, &options, &results));
    (void)snprintf(text, bytes, "%s", rig_text(trd_results_get(results, 0), 0));
    trd_results_destroy(results);
}

static void check_unloaded(trd_translator *t)
{
    trd_results *results;
    trd_future *future;
    trd_translator_info info = { .struct_size = sizeof info };
    CHECK_FAILS(trd_translator_translate(t, &batch.sequences, NULL, NULL, &results), TRD_E_STATE, "was unloaded");
    CHECK_FAILS(trd_translator_score(t, &batch.sequences, &batch.sequences, NULL, &results), TRD_E_STATE, "was unloaded");
    CHECK_FAILS(trd_translator_submit(t, &batch.sequences, NULL, NULL, NULL, &future), TRD_E_STATE, "was unloaded");
    const trd_sequences none = { .n = 0 };
    CHECK_OK(trd_translator_translate(t, &none, NULL, NULL, &results));
    CHECK_INT(trd_results_count(results), 0);
    trd_results_destroy(results);
    CHECK_OK(trd_translator_get_info(t, &info));
    CHECK(!info.is_loaded);
    CHECK_INT(info.n_active, 0);
    CHECK(info.compute_type[0] != '\0' && info.device[0] != '\0');
    trd_translator_device_info device = { .struct_size = sizeof device };
    CHECK_OK(trd_translator_get_device_info(t, 0, &device));
    CHECK_INT(device.used_bytes, 0);
}

static size_t library_bytes(void)
{
    size_t bytes;
    trd_memory_in_use(&bytes, NULL);
    return bytes;
}

/* Resident kibibytes, -1 where they are not to be had. */
static int64_t resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long size, resident = -1;
    if (file == NULL) return -1;
    if (fscanf(file, "%ld %ld", &size, &resident) != 2) resident = -1;
    (void)fclose(file);
    return resident < 0 ? -1 : resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void unload(trd_translator *t)
{
    bool done;
    CHECK_OK(trd_translator_unload(t, false, &done));
    CHECK(done);
}

static void unload_often(trd_translator *t, int n, bool foreign)
{
    char want[1024], got[1024];
    translate(t, want, sizeof want);
    unload(t);
    check_unloaded(t);
    const size_t bytes = library_bytes();
    int64_t warm_kib = -1;
    for (int i = 0; i < n; i++) {
        CHECK_OK(trd_translator_load(t, false));
        translate(t, got, sizeof got);
        CHECK_STRING(got, want);
        unload(t);
        CHECK_INT(library_bytes(), bytes);
        if (foreign) CHECK_INT(foreign_memory_in_use(), 0);
        if (i == n / 4) warm_kib = resident_kib();
    }
    const int64_t end_kib = resident_kib();
    printf("%d times: %zu bytes while unloaded, resident KiB after a quarter %lld, at the end %lld\n", n, bytes, (long long)warm_kib,
           (long long)end_kib);
    /* Sanitizers keep what was freed. */
    if (!UNDER_ADDRESS_SANITIZER && !UNDER_THREAD_SANITIZER && n >= 100) CHECK(end_kib <= warm_kib + 1024);
    CHECK_OK(trd_translator_load(t, false));
    translate(t, got, sizeof got);
    CHECK_STRING(got, want);
}

/* The CPU has nothing to give back to the host. */
static void test_to_host_on_cpu(trd_translator *t)
{
    bool done = true;
    char text[1024];
    CHECK_OK(trd_translator_unload(t, true, &done));
    CHECK(!done);
    translate(t, text, sizeof text);
    unload(t);
    CHECK_OK(trd_translator_unload(t, false, &done));   /* twice is nothing more to do */
    CHECK(done);
    check_unloaded(t);
    CHECK_OK(trd_translator_load(t, true));
}

static void replace_model(int32_t d_model)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/model.bin", folder);
    CHECK_INT(remove(path), 0);
    if (d_model > 0) tiny_model_write(folder, &(tiny_model){ .name = "unload", .d_model = d_model });
}

/* A copy on the host outlives the file; without one a file that changed, or went, is not taken for the old one. */
static void test_host_copy(trd_translator *t)
{
    char want[1024], got[1024];
    bool done;
    translate(t, want, sizeof want);
    CHECK_OK(trd_translator_unload(t, true, &done));
    CHECK(done);
    CHECK_INT(foreign_memory_in_use(), 0);
    check_unloaded(t);
    replace_model(64);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(trd_translator_load(t, true));
        translate(t, got, sizeof got);
        CHECK_STRING(got, want);
        CHECK_OK(trd_translator_unload(t, true, &done));
        CHECK(done);
    }
    CHECK_OK(trd_translator_unload(t, false, &done));   /* the copy goes too */
    CHECK_FAILS(trd_translator_load(t, false), TRD_E_IO, "has changed since the model was opened");
    replace_model(0);
    CHECK_FAILS(trd_translator_load(t, false), TRD_E_IO, "model.bin");
    check_unloaded(t);
}

int main(int argc, char **argv)
{
    const bool slow = UNDER_ADDRESS_SANITIZER || UNDER_THREAD_SANITIZER;
    const int n = argc > 1 ? atoi(argv[1]) : slow ? 50 : 1000;
    (void)snprintf(folder, sizeof folder, "unload-%ld", (long)getpid());
    tiny_model_write(folder, &(tiny_model){ .name = "unload" });
    rig_add(&batch, "a b c d e f");
    trd_translator *t = rig_translator(folder, 2);
    unload_often(t, n, false);
    test_to_host_on_cpu(t);
    trd_translator_destroy(t);
    foreign_translator *f = foreign_open(folder, "int8", 2, 8);
    unload_often(f->translator, 20, true);
    test_host_copy(f->translator);
    foreign_close(f);
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
