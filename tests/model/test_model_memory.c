/*
 * test_model_memory.c: the n-th allocation of a load fails, for every n: the load says so, nothing leaks, and the next load works.
 */
#include "model/model.h"
#include "model_builder.h"

static int64_t n_allocations, fail_at;

static void *failing_alloc(void *context, size_t bytes, size_t alignment)
{
    (void)context;
    if (n_allocations++ == fail_at) return NULL;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void failing_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static int64_t n_injected;

/* open(context) is tried with every allocation failing in turn until one load gets through. */
static void fail_everywhere(const char *what, trd_status (*open_model)(const void *context, trd_model **out), const void *context)
{
    int64_t n = 0;
    for (;; n++) {
        size_t blocks;
        trd_model *model = NULL;
        n_allocations = 0;
        fail_at = n;
        const trd_status status = open_model(context, &model);
        if (status == TRD_OK) {
            CHECK(n_allocations <= n);    /* nothing failed */
            trd_model_close(model);
            break;
        }
        if (status != TRD_E_MEMORY || model != NULL) {
            fprintf(stderr, "%s, allocation %" PRId64 ": %s: %s\n", what, n, trd_status_text(status), trd_last_error());
            exit(1);
        }
        trd_memory_in_use(NULL, &blocks);
        CHECK_INT(blocks, 0);
        fail_at = -1;
        if (n % 16 == 0) {
            CHECK_OK(open_model(context, &model));
            trd_model_close(model);
            trd_memory_in_use(NULL, &blocks);
            CHECK_INT(blocks, 0);
        }
        n_injected++;
    }
    printf("%s: %" PRId64 " allocations\n", what, n);
    CHECK(n > 10);
}

static trd_status open_built(const void *context, trd_model **out) { return builder_open(context, out); }
static trd_status open_folder(const void *context, trd_model **out) { return trd_model_open(context, out); }

int main(void)
{
    const trd_allocator allocator = { NULL, failing_alloc, failing_free };
    CHECK_OK(trd_allocator_set(&allocator));
    static model_builder b;
    builder_pair(&b);
    builder_convert(&b, 1);
    builder_alias(&b, "encoder/position_encodings/encodings", "decoder/nowhere");
    builder_alias(&b, "other/weight", "decoder/layer_0/ffn/linear_0/weight");
    b.has_vmap = true;
    (void)snprintf(b.vmap, sizeof b.vmap, "a\tx y\n\tx\na b\ty\na\tz\n");
    fail_everywhere("i8 pair in memory", open_built, &b);
    b.version = 4;
    (void)snprintf(b.vocabulary_name[0], sizeof b.vocabulary_name[0], "source_1_vocabulary.txt");
    (void)snprintf(b.vocabulary[0], sizeof b.vocabulary[0], "a\nb\nc\n");
    builder_set(&b, "eos_token", 1, 1, 3, 1, 'e');
    fail_everywhere("version 4, text vocabulary", open_built, &b);
    builder_decoder(&b);
    (void)snprintf(b.config, sizeof b.config, "{\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"quantization_type\": 1}");
    builder_set(&b, "x/weight", 3, 2, 64, 8, 0);
    builder_set(&b, "x/weight_zero", 3, 2, 2, 8, 0);
    builder_set(&b, "x/weight_scale", 4, 2, 2, 64, 0);
    fail_everywhere("packed decoder", open_built, &b);
    char path[1024];
    const char *models = getenv("TREADLE_TEST_MODELS");
    CHECK(models != NULL);
    (void)snprintf(path, sizeof path, "%s/g2p-en", models);
    fail_everywhere("g2p-en from its folder", open_folder, path);
    CHECK_OK(trd_allocator_set(NULL));
    printf("allocation failures injected: %" PRId64 "\n", n_injected);
    return 0;
}
