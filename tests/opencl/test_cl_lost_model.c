/*
 * test_cl_lost_model.c: what users of the library see when an OpenCL device is lost in the middle of a translation, or when it has no memory
 * for a model: the error's text, other devices go on, and a new translator works on the device that was opened again.
 */
#include <dlfcn.h>

#include "api/api_rig.h"
#include "opencl/fault_layer.h"

enum { OUT_OF_MEMORY = -4, OUT_OF_RESOURCES = -5 };      /* CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_RESOURCES */

static trd_status make(const char *device, trd_translator **out)
{
    trd_model *model;
    CHECK_OK(trd_model_open(rig_folder("TREADLE_TEST_MODELS", "g2p-en"), &model));
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.device = device;
    options.compute_type = "float32";
    options.intra_threads = 1;
    const trd_status status = trd_translator_create(model, &options, out);
    trd_model_close(model);
    return status;
}

/* The best translation's tokens, or "". */
static trd_status translate(trd_translator *translator, char *text, size_t size)
{
    static rig_batch batch;
    batch = (rig_batch){ .sequences = { .n = 0 } };
    rig_add(&batch, "h e l l o");
    rig_add(&batch, "w o r l d");
    const trd_decoding_options options = rig_options();
    trd_results *results = NULL;
    const trd_status status = trd_translator_translate(translator, &batch.sequences, NULL, &options, &results);
    text[0] = '\0';
    for (int64_t i = 0; status == TRD_OK && i < trd_results_count(results); i++) {
        const size_t n = strlen(text);
        (void)snprintf(text + n, size - n, "%s / ", rig_text(trd_results_get(results, i), 0));
    }
    trd_results_destroy(results);
    return status;
}

int main(void)
{
    const char *path = getenv("OPENCL_LAYERS");
    void *library = path != NULL ? dlopen(path, RTLD_NOW) : NULL;
    const fault_layer *layer = library != NULL ? (const fault_layer *)dlsym(library, FAULT_LAYER_SYMBOL) : NULL;
    CHECK(layer != NULL);
    char wanted[256], got[256];
    trd_translator *cpu, *opencl, *none = NULL;
    CHECK_OK(make("cpu", &cpu));
    CHECK_OK(translate(cpu, wanted, sizeof wanted));
    CHECK(wanted[0] != '\0');
    CHECK_OK(make("opencl:0", &opencl));
    if (layer->calls("clCreateContext") == 0) SKIP("this ICD loader has no layers");
    CHECK_OK(translate(opencl, got, sizeof got));
    CHECK_STRING(got, wanted);

    layer->set("clEnqueueNDRangeKernel", 40, false, OUT_OF_RESOURCES);       /* a step fails, the device goes on */
    CHECK_FAILS(translate(opencl, got, sizeof got), TRD_E_DEVICE, "CL_OUT_OF_RESOURCES");
    CHECK_OK(translate(opencl, got, sizeof got));
    CHECK_STRING(got, wanted);

    layer->set("clFinish", 3, false, OUT_OF_RESOURCES);
    CHECK_FAILS(translate(opencl, got, sizeof got), TRD_E_DEVICE, "device opencl:0 was lost: ");
    CHECK(layer->happened());
    CHECK_FAILS(translate(opencl, got, sizeof got), TRD_E_DEVICE, "device opencl:0 was lost: ");
    CHECK_FAILS(make("opencl:0", &none), TRD_E_DEVICE, "was lost: ");        /* it is open still */
    CHECK(none == NULL);
    CHECK_OK(translate(cpu, got, sizeof got));
    CHECK_STRING(got, wanted);
    trd_translator_destroy(opencl);
    CHECK_INT(layer->alive(NULL), 0);

    CHECK_OK(make("opencl:0", &opencl));
    CHECK_OK(translate(opencl, got, sizeof got));
    CHECK_STRING(got, wanted);
    trd_translator_destroy(opencl);
    CHECK_INT(layer->alive(NULL), 0);
    for (long nth = 1; nth < 200; nth += 1 + nth / 2) {
        layer->set("clCreateBuffer", nth, false, OUT_OF_MEMORY);
        trd_status status = make("opencl:0", &opencl);
        if (status == TRD_OK) {
            status = translate(opencl, got, sizeof got);
            trd_translator_destroy(opencl);
        }
        if (!layer->happened()) break;
        /* An allocation that failed may be tried again with less. */
        if (status != TRD_OK && (status != TRD_E_MEMORY || strstr(trd_last_error(), "opencl:0") == NULL)) {
            fprintf(stderr, "buffer %ld: status %d, '%s'\n", nth, (int)status, trd_last_error());
            return 1;
        }
        if (status == TRD_OK) CHECK_STRING(got, wanted);
        CHECK_INT(layer->alive(NULL), 0);
    }
    trd_translator_destroy(cpu);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
