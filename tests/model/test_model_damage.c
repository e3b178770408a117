/*
 * test_model_damage.c: small models of every binary version, cut at every byte and with every byte of their headers changed; the same for
 * the JSON and text files beside them. Each attempt opens or fails with a text; nothing reads outside the bytes (each attempt has its
 * own block of exactly that size, for the sanitizer), and nothing leaks.
 */
#include "model/model.h"
#include "model_builder.h"

static int64_t n_tried, n_refused;

static void check_outcome(trd_status status, trd_model *model)
{
    n_tried++;
    if (status == TRD_OK) {
        CHECK(model != NULL);
        trd_model_close(model);
        return;
    }
    n_refused++;
    CHECK(model == NULL);
    CHECK(status == TRD_E_FORMAT || status == TRD_E_UNSUPPORTED || status == TRD_E_IO);
    CHECK(trd_last_error()[0] != '\0');
}

static void try_bytes(const model_builder *b, const uint8_t *data, size_t bytes, bool must_fail)
{
    uint8_t *copy = malloc(bytes != 0 ? bytes : 1);
    CHECK(copy != NULL);
    memcpy(copy, data, bytes);
    trd_model *model;
    const trd_status status = builder_open_bytes(b, copy, bytes, &model);
    CHECK(!must_fail || status != TRD_OK);
    check_outcome(status, model);
    free(copy);
}

static void try_built(const model_builder *b)
{
    trd_model *model = NULL;
    const trd_status status = builder_open(b, &model);
    check_outcome(status, model);
}

static void damage_binary(const model_builder *b)
{
    built_file file;
    builder_write(b, &file);
    trd_model *model;
    CHECK_OK(builder_open_bytes(b, file.data, file.bytes, &model));
    trd_model_close(model);
    for (size_t n = 0; n < file.bytes; n++) try_bytes(b, file.data, n, true);
    for (size_t at = 0; at < file.bytes; at++) {
        if (file.is_payload[at]) continue;
        const uint8_t old = file.data[at];
        const uint8_t values[] = { 0x00, 0x01, 0x7f, 0xff, (uint8_t)(old + 1), old ^ 0x10 };
        for (size_t i = 0; i < sizeof values; i++) {
            if (values[i] == old) continue;
            file.data[at] = values[i];
            try_bytes(b, file.data, file.bytes, false);
        }
        file.data[at] = old;
    }
    built_file_free(&file);
}

/* Scalars are payload, yet they configure the model. */
static void damage_attributes(model_builder *b)
{
    static const double values[] = { -32768, -129, -2, -1, 0, 1, 2, 3, 4, 5, 7, 8, 9, 64, 127, 128, 32767, 1e9, -1e9, 0.5, 1e-40, INFINITY, NAN };
    for (size_t i = 0; i < b->n_tensors; i++) {
        const built_tensor kept = b->tensors[i];
        if (kept.rank != 0) continue;
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            for (int dtype = 0; dtype < 4; dtype++) {
                b->tensors[i].fill = values[v];
                b->tensors[i].dtype = dtype;
                try_built(b);
            }
        }
        b->tensors[i] = kept;
    }
}

/* Every variable once removed, once empty, once with each other type and rank. */
static void damage_variables(model_builder *b)
{
    static model_builder changed;
    for (size_t i = 0; i < b->n_tensors; i++) {
        const built_tensor t = b->tensors[i];
        for (int kind = 0; kind < 12; kind++) {
            changed = *b;
            built_tensor *c = &changed.tensors[i];
            if (kind < 6) c->dtype = kind;
            else if (kind < 10) c->rank = kind - 6;
            else if (kind == 10) c->dims[0] = 0;
            else (void)snprintf(c->name, sizeof c->name, "gone");
            if (kind == 6 && t.rank > 0) c->fill = 1;
            try_built(&changed);
        }
    }
}

static void add_old_tokens(model_builder *b)
{
    builder_set(b, "unk_token", 1, 1, 2, 1, 'u');
    builder_set(b, "with_source_bos", 1, 0, 1, 1, 1);
    builder_set(b, "with_target_bos", 1, 0, 1, 1, 0);
}

static void add_variety(model_builder *b)
{
    builder_set(b, "encoder/layer_0/self_attention/rotary_dim", 3, 0, 1, 1, 0);
    builder_set(b, "encoder/layer_0/self_attention/rotary_scaling_type", 1, 0, 1, 1, 1);
    builder_set(b, "encoder/layer_0/self_attention/rotary_scaling_long_factor", 0, 1, 2, 1, 2);
    builder_set(b, "encoder/layer_0/self_attention/rotary_scaling_short_factor", 0, 1, 2, 1, 1);
    builder_set(b, "decoder/layer_0/self_attention/relative_attention_bias", 0, 2, 8, 2, 1);
    builder_set(b, "decoder/layer_0/self_attention/relative_attention_max_distance", 3, 0, 1, 1, 20);
    builder_set(b, "decoder/scale_outputs", 0, 0, 1, 1, 0.5);
}

/* Text files: cut everywhere, every byte replaced. */
static void damage_text(model_builder *b, char *text)
{
    char kept[1024];
    (void)snprintf(kept, sizeof kept, "%s", text);
    const size_t length = strlen(kept);
    for (size_t n = 0; n < length; n++) {
        text[n] = '\0';
        try_built(b);
        text[n] = kept[n];
    }
    static const char values[] = { 1, '\t', '\n', '\r', ' ', '"', ',', '[', ']', '{', '}', '\\', '0', 'n', (char)0x80, (char)0xc3, (char)0xff };
    for (size_t at = 0; at < length; at++) {
        for (size_t i = 0; i < sizeof values; i++) {
            text[at] = values[i];
            try_built(b);
        }
        text[at] = kept[at];
    }
    trd_model *model;
    CHECK_OK(builder_open(b, &model));
    trd_model_close(model);
}

int main(void)
{
    static model_builder b;
    for (uint32_t version = 1; version <= 6; version++) {
        builder_pair(&b);
        b.version = version;
        if (version == 1) builder_remove(&b, "decoder/alignment_layer");
        if (version < 3) {    /* no aliases yet */
            builder_set(&b, "decoder/projection/weight", 0, 2, 5, 8, 0.5);
            b.n_aliases = 0;
        }
        if (version < 6) add_old_tokens(&b);
        builder_convert(&b, version % 2 == 0 ? 1 : 2);
        damage_binary(&b);
    }
    builder_pair(&b);
    add_variety(&b);
    damage_attributes(&b);
    damage_variables(&b);
    builder_convert(&b, 1);
    damage_variables(&b);
    b.has_vmap = true;
    (void)snprintf(b.vmap, sizeof b.vmap, "a\tx y\r\n\tx\r\na b\ty\r\n");
    damage_text(&b, b.vmap);
    damage_text(&b, b.config);
    damage_text(&b, b.vocabulary[0]);
    (void)snprintf(b.vocabulary_name[1], sizeof b.vocabulary_name[1], "target_vocabulary.txt");
    (void)snprintf(b.vocabulary[1], sizeof b.vocabulary[1], "<unk>\r\n<s>\r\n</s>\r\nx\r\n");
    damage_text(&b, b.vocabulary[1]);
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
    trd_model *model;
    builder_pair(&b);
    CHECK_OK(builder_open(&b, &model));
    trd_model_close(model);
    printf("damaged files tried: %" PRId64 ", refused: %" PRId64 "\n", n_tried, n_refused);
    return 0;
}
