/*
 * test_cl_translator.c: translators on every OpenCL device through the public interface: many threads that each make, use and destroy their
 * own, all devices at once; errors between; alone and batched the same bits; nothing of ours is left at the end.
 */
#include "api/api_rig.h"
#include "core/threads.h"

enum { MAX_DEVICES = 4, N_CALLERS = 3, N_ROUNDS = 3 };

typedef struct caller {
    char    device[64];
    trd_model *model;
    bool    same;
} caller;

static const char *const words[] = { "k e r n e l", "t h r e a d", "s o u l", "a" };
static const char *const spoken[] = { "K ER1 N AH0 L", "TH R EH1 D", "S AW1 L", "EY1" };

static trd_translator *make(trd_model *model, const char *device)
{
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.device = device;
    options.compute_type = "float32";
    options.numerics = "reproducible";
    options.cache_dir = "";
    trd_translator *translator;
    CHECK_OK(trd_translator_create(model, &options, &translator));
    trd_translator_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_translator_get_info(translator, &info));
    CHECK_STRING(info.device, device);
    return translator;
}

/* Sentences first.. of the words. */
static trd_results *translate(trd_translator *translator, rig_batch *batch, int first, int n, int64_t beam_size)
{
    batch->sequences.n = 0;
    for (int i = 0; i < n; i++) rig_add(batch, words[first + i]);
    trd_decoding_options options = rig_options();
    options.beam_size = beam_size;
    options.return_scores = true;
    trd_results *results;
    CHECK_OK(trd_translator_translate(translator, &batch->sequences, NULL, &options, &results));
    return results;
}

static bool is_text(const trd_result *result, const char *text)
{
    char got[256] = "";
    for (int64_t t = 0; t < trd_result_n_tokens(result, 0); t++) {
        const size_t used = strlen(got);
        (void)snprintf(got + used, sizeof got - used, "%s%s", t > 0 ? " " : "", trd_result_token(result, 0, t));
    }
    if (strcmp(got, text) == 0) return true;
    fprintf(stderr, "got \"%s\", wanted \"%s\"\n", got, text);
    return false;
}

/* All words together; each alone gives the same score, bit for bit. */
static bool check_words(trd_translator *translator, rig_batch *batch, int64_t beam_size)
{
    bool same = true;
    trd_results *together = translate(translator, batch, 0, 4, beam_size);
    for (int i = 0; i < 4; i++) {
        trd_results *alone = translate(translator, batch, i, 1, beam_size);
        const float a = trd_result_score(trd_results_get(together, i), 0), b = trd_result_score(trd_results_get(alone, 0), 0);
        same = same && is_text(trd_results_get(together, i), spoken[i]) && memcmp(&a, &b, sizeof a) == 0;
        trd_results_destroy(alone);
    }
    trd_results_destroy(together);
    return same;
}

/* Calls that fail, each with its own reason. */
static void check_errors(trd_translator *translator, rig_batch *batch)
{
    batch->sequences.n = 0;
    rig_add(batch, words[0]);
    trd_decoding_options options = rig_options();
    trd_results *results;
    options.beam_size = 0;
    CHECK_FAILS(trd_translator_translate(translator, &batch->sequences, NULL, &options, &results), TRD_E_INVALID, "beam_size");
    options = rig_options();
    options.num_hypotheses = 9;
    CHECK_FAILS(trd_translator_translate(translator, &batch->sequences, NULL, &options, &results), TRD_E_INVALID, "num_hypotheses");
}

static void *call(void *argument)
{
    caller *c = argument;
    rig_batch *batch = calloc(1, sizeof *batch);
    c->same = batch != NULL;
    for (int round = 0; c->same && round < N_ROUNDS; round++) {
        trd_translator *translator = make(c->model, c->device);
        c->same = check_words(translator, batch, 1 + round % 2);
        check_errors(translator, batch);
        c->same = c->same && check_words(translator, batch, 2 - round % 2);
        trd_translator_destroy(translator);
    }
    free(batch);
    return NULL;
}

/* Names of the OpenCL devices that can be used. */
static int find_devices(char names[MAX_DEVICES][64])
{
    int n = 0;
    for (int64_t i = 0; i < trd_device_count(); i++) {
        trd_device_info info = { .struct_size = sizeof info };
        CHECK_OK(trd_device_get_info(i, &info));
        if (strcmp(info.backend, "opencl") != 0 || info.unusable[0] != '\0' || n == MAX_DEVICES) continue;
        printf("%s: %s\n", info.id, info.name);
        (void)snprintf(names[n++], sizeof names[0], "%s", info.id);
    }
    return n;
}

int main(void)
{
    char names[MAX_DEVICES][64];
    const int n_devices = find_devices(names);
    if (n_devices == 0) NO_DEVICE("no usable OpenCL device");
    trd_model *model;
    CHECK_OK(trd_model_open(rig_folder("TREADLE_TEST_MODELS", "g2p-en"), &model));
    static caller callers[MAX_DEVICES * N_CALLERS];
    trdi_thread threads[MAX_DEVICES * N_CALLERS];
    const int n = n_devices * (n_devices > 1 ? 1 : N_CALLERS);
    for (int i = 0; i < n; i++) {
        callers[i].model = model;
        (void)snprintf(callers[i].device, sizeof callers[i].device, "%s", names[i % n_devices]);
        CHECK_OK(trdi_thread_start(&threads[i], "caller", call, &callers[i]));
    }
    for (int i = 0; i < n; i++) {
        trdi_thread_join(threads[i]);
        CHECK(callers[i].same);
    }
    trd_model_close(model);
    return 0;
}
