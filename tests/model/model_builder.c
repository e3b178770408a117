/* model_builder.c: see model_builder.h. */
#include "model_builder.h"

static size_t element_bytes(int dtype)
{
    static const size_t bytes[] = { 4, 1, 2, 4, 2, 2 };
    return dtype >= 0 && dtype <= 5 ? bytes[dtype] : 1;
}

built_tensor *builder_find(model_builder *b, const char *name)
{
    for (size_t i = 0; i < b->n_tensors; i++) {
        if (strcmp(b->tensors[i].name, name) == 0) return &b->tensors[i];
    }
    return NULL;
}

void builder_set(model_builder *b, const char *name, int dtype, int rank, int64_t dim_0, int64_t dim_1, double fill)
{
    built_tensor *t = builder_find(b, name);
    if (t == NULL) {
        CHECK(b->n_tensors < BUILT_MAX && strlen(name) < sizeof t->name);
        t = &b->tensors[b->n_tensors++];
    }
    memset(t, 0, sizeof *t);
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->dtype = dtype;
    t->rank = rank;
    for (int i = 0; i < 6; i++) t->dims[i] = 1;
    t->dims[0] = (uint32_t)dim_0;
    t->dims[1] = (uint32_t)dim_1;
    t->count = -1;
    t->fill = fill;
}

void builder_remove(model_builder *b, const char *prefix)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->n_tensors; i++) {
        if (strncmp(b->tensors[i].name, prefix, strlen(prefix)) != 0) b->tensors[kept++] = b->tensors[i];
    }
    CHECK(kept < b->n_tensors);
    b->n_tensors = kept;
}

void builder_alias(model_builder *b, const char *name, const char *target)
{
    CHECK(b->n_aliases < 32);
    (void)snprintf(b->aliases[b->n_aliases][0], 96, "%s", name);
    (void)snprintf(b->aliases[b->n_aliases++][1], 96, "%s", target);
}

void builder_copy_scope(model_builder *b, const char *from, const char *to)
{
    const size_t length = strlen(from), n = b->n_tensors;
    for (size_t i = 0; i < n; i++) {
        const built_tensor t = b->tensors[i];
        if (strncmp(t.name, from, length) != 0 || t.name[length] != '/') continue;
        char name[256];
        (void)snprintf(name, sizeof name, "%s%s", to, t.name + length);
        builder_set(b, name, t.dtype, t.rank, t.dims[0], t.dims[1], t.fill);
    }
}

void builder_convert(model_builder *b, int dtype)
{
    const size_t n = b->n_tensors;
    for (size_t i = 0; i < n; i++) {
        built_tensor *t = &b->tensors[i];
        const size_t length = strlen(t->name);
        const bool weight = length >= 6 && strcmp(t->name + length - 6, "weight") == 0;
        if (t->dtype != 0 || t->rank == 0 || (!weight && dtype < 4)) continue;
        t->dtype = dtype;
        char scale[128];
        (void)snprintf(scale, sizeof scale, "%s_scale", t->name);
        if (dtype == 1) builder_set(b, scale, 0, 1, t->dims[0], 1, 100.0);
        if (dtype == 2) builder_set(b, scale, 0, 0, 1, 1, 100.0);
    }
}

static void add_linear(model_builder *b, const char *scope, const char *name, int64_t rows, int64_t columns)
{
    char full[128];
    (void)snprintf(full, sizeof full, "%s/%s/weight", scope, name);
    builder_set(b, full, 0, 2, rows, columns, 0.25);
    (void)snprintf(full, sizeof full, "%s/%s/bias", scope, name);
    builder_set(b, full, 0, 1, rows, 1, 0.5);
}

static void add_norm(model_builder *b, const char *scope, const char *name)
{
    char full[128];
    (void)snprintf(full, sizeof full, "%s/%s/gamma", scope, name);
    builder_set(b, full, 0, 1, 8, 1, 1.0);
    (void)snprintf(full, sizeof full, "%s/%s/beta", scope, name);
    builder_set(b, full, 0, 1, 8, 1, 0.0);
}

static void add_layer(model_builder *b, const char *layer, bool cross)
{
    char scope[96];
    (void)snprintf(scope, sizeof scope, "%s/self_attention", layer);
    add_norm(b, scope, "layer_norm");
    add_linear(b, scope, "linear_0", 24, 8);
    add_linear(b, scope, "linear_1", 8, 8);
    if (cross) {
        (void)snprintf(scope, sizeof scope, "%s/attention", layer);
        add_norm(b, scope, "layer_norm");
        add_linear(b, scope, "linear_0", 8, 8);
        add_linear(b, scope, "linear_1", 16, 8);
        add_linear(b, scope, "linear_2", 8, 8);
    }
    (void)snprintf(scope, sizeof scope, "%s/ffn", layer);
    add_norm(b, scope, "layer_norm");
    add_linear(b, scope, "linear_0", 6, 8);
    add_linear(b, scope, "linear_1", 8, 6);
}

static void add_encoder(model_builder *b)
{
    builder_set(b, "encoder/num_heads", 2, 0, 1, 1, 2.0);
    builder_set(b, "encoder/pre_norm", 1, 0, 1, 1, 1.0);
    builder_set(b, "encoder/activation", 1, 0, 1, 1, 0.0);
    builder_set(b, "encoder/embeddings_merge", 1, 0, 1, 1, 0.0);
    builder_set(b, "encoder/embeddings_0/weight", 0, 2, 6, 8, 0.125);
    add_layer(b, "encoder/layer_0", false);
    add_norm(b, "encoder", "layer_norm");
}

static void add_decoder(model_builder *b, bool cross)
{
    builder_set(b, "decoder/num_heads", 2, 0, 1, 1, 2.0);
    builder_set(b, "decoder/pre_norm", 1, 0, 1, 1, 1.0);
    builder_set(b, "decoder/activation", 1, 0, 1, 1, 0.0);
    builder_set(b, "decoder/alignment_layer", 2, 0, 1, 1, -1.0);
    builder_set(b, "decoder/alignment_heads", 2, 0, 1, 1, 1.0);
    builder_set(b, "decoder/embeddings/weight", 0, 2, 5, 8, 0.125);
    add_layer(b, "decoder/layer_0", cross);
    add_norm(b, "decoder", "layer_norm");
    builder_set(b, "decoder/projection/bias", 0, 1, 5, 1, 0.0);
    builder_alias(b, "decoder/projection/weight", "decoder/embeddings/weight");
}

static void start(model_builder *b, const char *spec, uint32_t revision)
{
    *b = (model_builder){ .version = 6, .revision = revision, .spec = spec, .n_tensors_stored = -1, .n_aliases_stored = -1 };
}

static void add_vocabulary(model_builder *b, const char *name, const char *json)
{
    (void)snprintf(b->vocabulary_name[b->n_vocabularies], 40, "%s.json", name);
    (void)snprintf(b->vocabulary[b->n_vocabularies++], 512, "%s", json);
}

void builder_pair(model_builder *b)
{
    start(b, "TransformerSpec", 7);
    add_encoder(b);
    add_decoder(b, true);
    (void)snprintf(b->config, sizeof b->config,
                   "{\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"decoder_start_token\": \"<s>\", "
                   "\"add_source_bos\": false, \"add_source_eos\": true, \"layer_norm_epsilon\": null}");
    add_vocabulary(b, "source_vocabulary", "[\"<unk>\", \"<s>\", \"</s>\", \"a\", \"b\", \"c\"]");
    add_vocabulary(b, "target_vocabulary", "[\"<unk>\", \"<s>\", \"</s>\", \"x\", \"y\"]");
}

void builder_decoder(model_builder *b)
{
    start(b, "TransformerDecoderSpec", 8);
    add_decoder(b, false);
    (void)snprintf(b->config, sizeof b->config, "{\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}");
    add_vocabulary(b, "vocabulary", "[\"<unk>\", \"<s>\", \"</s>\", \"x\", \"y\"]");
}

void builder_encoder(model_builder *b)
{
    start(b, "TransformerEncoderSpec", 1);
    add_encoder(b);
    (void)snprintf(b->config, sizeof b->config, "{\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}");
    add_vocabulary(b, "vocabulary", "[\"<unk>\", \"<s>\", \"</s>\", \"a\", \"b\", \"c\"]");
}

static void put(built_file *f, const void *data, size_t bytes, bool payload)
{
    if (f->bytes + bytes > f->capacity) {
        f->capacity = (f->bytes + bytes) * 2 + 1024;
        f->data = realloc(f->data, f->capacity);
        f->is_payload = realloc(f->is_payload, f->capacity);
        CHECK(f->data != NULL && f->is_payload != NULL);
    }
    if (bytes == 0) return;
    memcpy(f->data + f->bytes, data, bytes);
    memset(f->is_payload + f->bytes, payload ? 1 : 0, bytes);
    f->bytes += bytes;
}

static void put_number(built_file *f, uint64_t value, size_t bytes)
{
    uint8_t text[8];
    for (size_t i = 0; i < bytes; i++) text[i] = (uint8_t)(value >> (8 * i));
    put(f, text, bytes, false);
}

static void put_string(built_file *f, const char *text)
{
    put_number(f, strlen(text) + 1, 2);
    put(f, text, strlen(text) + 1, false);
}

static void put_element(built_file *f, int dtype, double value)
{
    const float real = (float)value;
    const int32_t whole = isfinite(value) ? (int32_t)value : 0;
    uint32_t bits;
    memcpy(&bits, &real, sizeof bits);
    if (dtype == 0) {
        put(f, &bits, 4, true);
    } else if (dtype == 4) {    /* normal values only, truncated */
        const uint16_t half = value == 0.0 ? 0 : (uint16_t)((bits >> 16 & 0x8000u) | (((bits & 0x7fffffffu) - 0x38000000u) >> 13));
        put(f, &half, 2, true);
    } else if (dtype == 5) {
        const uint16_t half = (uint16_t)(bits >> 16);
        put(f, &half, 2, true);
    } else {
        put(f, &whole, element_bytes(dtype), true);
    }
}

static void put_tensor(built_file *f, const model_builder *b, const built_tensor *t)
{
    int64_t elements = 1;
    put_string(f, t->name);
    put_number(f, (uint64_t)t->rank, 1);
    for (int i = 0; i < t->rank && i < 6; i++) {
        put_number(f, t->dims[i], 4);
        if (elements <= INT32_MAX) elements *= t->dims[i];    /* more is never written out */
    }
    const size_t width = element_bytes(t->dtype);
    const bool invented = t->count >= 0;    /* the size is a lie: the payload stays small */
    if (invented) elements = elements > 64 || elements < 0 ? 64 : elements;
    put_number(f, b->version >= 4 ? (uint64_t)t->dtype : width, 1);
    put_number(f, (uint64_t)(invented ? t->count : b->version >= 4 ? elements * (int64_t)width : elements), 4);
    CHECK(elements <= 1 << 20);
    for (int64_t i = 0; i < elements; i++) put_element(f, t->dtype, t->fill);
}

void builder_write(const model_builder *b, built_file *f)
{
    *f = (built_file){ 0 };
    put_number(f, b->version, 4);
    if (b->version >= 2) {
        put_string(f, b->spec);
        put_number(f, b->revision, 4);
    }
    put_number(f, b->n_tensors_stored >= 0 ? (uint64_t)b->n_tensors_stored : b->n_tensors, 4);
    for (size_t i = 0; i < b->n_tensors; i++) put_tensor(f, b, &b->tensors[i]);
    if (b->version < 3) return;
    put_number(f, b->n_aliases_stored >= 0 ? (uint64_t)b->n_aliases_stored : b->n_aliases, 4);
    for (size_t i = 0; i < b->n_aliases; i++) {
        put_string(f, b->aliases[i][0]);
        put_string(f, b->aliases[i][1]);
    }
}

void built_file_free(built_file *f)
{
    free(f->data);
    free(f->is_payload);
    *f = (built_file){ 0 };
}

trd_status builder_open_bytes(const model_builder *b, const uint8_t *data, size_t bytes, trd_model **out)
{
    trd_file files[8];
    size_t n = 0;
    files[n++] = (trd_file){ "model.bin", data, bytes };
    if (b->config[0] != '\0') files[n++] = (trd_file){ "config.json", b->config, strlen(b->config) };
    for (size_t i = 0; i < b->n_vocabularies; i++) files[n++] = (trd_file){ b->vocabulary_name[i], b->vocabulary[i], strlen(b->vocabulary[i]) };
    if (b->has_vmap) files[n++] = (trd_file){ "vmap.txt", b->vmap, strlen(b->vmap) };
    return trd_model_open_files("built", files, n, out);
}

trd_status builder_open(const model_builder *b, trd_model **out)
{
    static built_file file;
    built_file_free(&file);
    builder_write(b, &file);
    return builder_open_bytes(b, file.data, file.bytes, out);
}
