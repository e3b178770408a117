/* test_two_kinds.c: one translator on the CPU and on an OpenCL device: both work, and where their compute type is one, results are those of the CPU. */
#include "api/api_rig.h"

enum { N = 60 };

static rig_batch batch;

static trd_translator *open_on(const char *device)
{
    trd_model *model;
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.device = device;
    options.compute_type = "float32";
    options.policy = "round-robin";
    options.intra_threads = 1;
    options.max_batch_rows = 8;   /* several batches for each */
    options.cache_dir = "";
    trd_translator *translator;
    CHECK_OK(trd_model_open(rig_folder("TREADLE_TEST_MODELS", "g2p-en"), &model));
    const trd_status status = trd_translator_create(model, &options, &translator);
    if (status != TRD_OK && strstr(device, "opencl") != NULL) NO_DEVICE("no OpenCL device: %s", trd_last_error());
    CHECK_OK(status);
    trd_model_close(model);
    return translator;
}

static trd_results *translate(trd_translator *with)
{
    trd_results *results;
    CHECK_OK(trd_translator_translate(with, &batch.sequences, NULL, NULL, &results));
    return results;
}

int main(void)
{
    static const char letters[] = "q w e r t y u i o p a s d f g h j k l";
    for (int i = 0; i < N; i++) rig_add(&batch, letters + 2 * (i % 17));
    trd_translator *const alone = open_on("cpu"), *const both = open_on("cpu,opencl");
    trd_results *const want = translate(alone), *const got = translate(both);
    for (int64_t i = 0; i < N; i++) {
        char text[4096];
        (void)snprintf(text, sizeof text, "%s", rig_text(trd_results_get(want, i), 0));
        CHECK_STRING(rig_text(trd_results_get(got, i), 0), text);
    }
    trd_results_destroy(got);
    int64_t n_done = 0;
    for (int32_t i = 0; i < 2; i++) {
        trd_translator_device_info info = { .struct_size = sizeof info };
        CHECK_OK(trd_translator_get_device_info(both, i, &info));
        CHECK_INT(info.n_workers, 1);
        CHECK(info.n_done > 0);
        n_done += info.n_done;
    }
    CHECK_INT(n_done, N);
    /* What the OpenCL device took comes back too. */
    bool done;
    CHECK_OK(trd_translator_unload(both, false, &done));
    CHECK(done);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(trd_translator_load(both, false));
        trd_results_destroy(translate(both));
        CHECK_OK(trd_translator_unload(both, true, &done));
        CHECK(done);
        trd_translator_device_info info = { .struct_size = sizeof info };
        CHECK_OK(trd_translator_get_device_info(both, 1, &info));
        CHECK_INT(info.used_bytes, 0);
    }
    trd_results_destroy(want);
    trd_translator_destroy(alone);
    trd_translator_destroy(both);
    return 0;
}
