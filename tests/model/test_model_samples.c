/*
 * test_model_samples.c: the model directories at hand are opened and described. Expected values are those of the format's
 * documentation: counts, shapes, types and single numbers of each sample, and the equivalence of its five versions.
 */
#include "check.h"
#include "core/threads.h"
#include "model/model.h"

static const char *folder(const char *variable, const char *name)
{
    static char path[2][1024];
    static int turn;
    turn = 1 - turn;
    const char *root = getenv(variable);
    CHECK(root != NULL);
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", root, name);
    return path[turn];
}

static trd_model_info get_info(const trd_model *model)
{
    trd_model_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_model_get_info(model, &info));
    return info;
}

static float element(const trd_model *model, const char *name, int64_t at)
{
    const trdi_tensor *tensor = trdi_model_find(model, name);
    CHECK(tensor != NULL);
    float value;
    trdi_tensor_read_f32(tensor, at, 1, &value);
    return value;
}

typedef struct sample {
    const char *name, *spec, *stored_type;
    int64_t version, revision, n_variables;
    float tolerance;    /* of a weight after quantisation */
} sample;

static const sample samples[] = {
    { "models/v1/aren-transliteration",     "",                "float32",      1, 1, 200, 1e-6f },
    { "models/v1/aren-transliteration-i16", "",                "int16",        1, 1, 200, 1.1e-3f },
    { "models/v2/aren-transliteration",     "TransformerBase", "float32",      2, 2, 200, 1e-6f },
    { "models/v2/aren-transliteration-i16", "TransformerBase", "int16",        2, 2, 269, 1.1e-3f },
    { "models/v2/aren-transliteration-i8",  "TransformerBase", "int8_float32", 2, 2, 269, 1.1e-2f },
};

static void check_transliteration_stacks(const trd_model *model)
{
    const trdi_stack_desc *stacks[2] = { &model->encoder, &model->decoder };
    for (int i = 0; i < 2; i++) {
        const trdi_stack_desc *s = stacks[i];
        CHECK_INT(s->n_layers, 6);
        CHECK_INT(s->d_model, 32);
        CHECK_INT(s->n_heads, 8);
        CHECK(s->pre_norm && s->has_positions && s->positions == NULL && !s->alibi);
        CHECK_INT(s->activation, TRDI_ACTIVATION_RELU);
        CHECK_INT(s->n_embeddings, 1);
        CHECK_INT(s->embeddings[0]->dims[0], i == 0 ? 51 : 43);
        CHECK_NEAR(s->embedding_scale, sqrt(32.0), 1e-6);
        CHECK(s->output_norm.gamma != NULL && s->output_norm.beta != NULL && s->embedding_norm.gamma == NULL);
        CHECK_NEAR(s->output_norm.epsilon, 1e-5, 1e-12);
        CHECK_NEAR(s->output_scale, 1.0, 0.0);
        for (int64_t n = 0; n < 6; n++) {
            const trdi_layer_desc *layer = &s->layers[n];
            CHECK_INT(layer->form, TRDI_LAYER_SEQUENTIAL);
            CHECK_INT(layer->self_attention.head_dim, 4);
            CHECK_INT(layer->self_attention.n_heads_kv, 8);
            CHECK_NEAR(layer->self_attention.queries_scale, 0.5, 1e-7);
            CHECK_INT(layer->self_attention.linear[0].weight->dims[0], 96);
            CHECK_INT(layer->ffn.linear_0.weight->dims[0], 128);
            CHECK(layer->has_cross == (i == 1));
            if (i == 1) CHECK_INT(layer->cross_attention.linear[1].weight->dims[0], 64);
        }
    }
    CHECK(model->decoder.has_cross && !model->decoder.merged);
    CHECK_INT(model->decoder.projection.weight->dims[0], 43);
    CHECK_INT(model->decoder.projection.bias->count, 43);
    CHECK_INT(model->decoder.alignment_layer, 5);
    CHECK_INT(model->decoder.alignment_heads, 1);
}

static void check_transliteration_vocabularies(const trd_model *model)
{
    static const char *const source[] = { "آ", "ت", "ز", "م", "و", "ن" };
    static const int source_ids[] = { 31, 10, 19, 13, 5, 7 };
    static const char *const target[] = { "a", "t", "z", "m", "o", "n", "</s>" };
    static const int target_ids[] = { 3, 11, 23, 13, 8, 7, 2 };
    CHECK_INT(trd_model_vocabulary_size(model, TRD_VOCABULARY_SOURCE), 51);
    CHECK_INT(trd_model_vocabulary_size(model, TRD_VOCABULARY_TARGET), 43);
    CHECK_INT(trd_model_vocabulary_size(model, TRD_VOCABULARY_SOURCE + 1), 0);
    CHECK_INT(trd_model_vocabulary_size(model, -1), 0);
    for (int i = 0; i < 6; i++) {
        CHECK_INT(trd_model_token_id(model, TRD_VOCABULARY_SOURCE, source[i], SIZE_MAX), source_ids[i]);
        CHECK_STRING(trd_model_token(model, TRD_VOCABULARY_SOURCE, source_ids[i], NULL), source[i]);
    }
    for (int i = 0; i < 7; i++) CHECK_INT(trd_model_token_id(model, TRD_VOCABULARY_TARGET, target[i], SIZE_MAX), target_ids[i]);
    CHECK_STRING(trd_model_token(model, TRD_VOCABULARY_TARGET, 42, NULL), "<unk>");
    CHECK(trd_model_token(model, TRD_VOCABULARY_TARGET, 43, NULL) == NULL);
    CHECK_INT(trd_model_token_id(model, TRD_VOCABULARY_TARGET, "no such token", SIZE_MAX), -1);
    CHECK_INT(model->target_ids.unk, 42);
    CHECK_INT(model->target_ids.bos, 1);
    CHECK_INT(model->target_ids.eos, 2);
    CHECK_INT(model->source_ids.unk, 50);
    CHECK_INT(model->decoder_start_id, 1);
    CHECK(!model->add_source_bos && !model->add_source_eos && model->vocabulary_map == NULL);
}

static void check_transliteration(const sample *s)
{
    trd_model *model;
    CHECK_OK(trd_model_open(folder("TREADLE_TEST_SHARED", s->name), &model));
    const trd_model_info info = get_info(model);
    CHECK_STRING(info.spec, s->spec);
    CHECK_STRING(info.stored_type, s->stored_type);
    CHECK_STRING(info.family, "sequence-to-sequence");
    CHECK_STRING(info.runs_on, "translator");
    CHECK_STRING(info.decoder_start_token, "<s>");
    CHECK_INT(info.binary_version, s->version);
    CHECK_INT(info.spec_revision, s->revision);
    CHECK_INT(info.n_variables, s->n_variables);
    CHECK_INT(info.n_aliases, 0);
    CHECK_INT(info.d_ffn, 128);
    CHECK_INT(info.head_dim, 4);
    CHECK_INT(info.n_source_features, 1);
    CHECK_INT(trd_model_tensor_count(model), s->n_variables);
    check_transliteration_stacks(model);
    check_transliteration_vocabularies(model);
    static const double row[4] = { 0.151346, 0.266631, 0.190898, 0.011145 }, bias[4] = { -2.355157, -2.156163, -0.045864, 0.274691 };
    for (int64_t i = 0; i < 4; i++) {
        CHECK_NEAR(element(model, "decoder/embeddings/weight", i), row[i], s->tolerance);
        CHECK_NEAR(element(model, "decoder/projection/bias", i), bias[i], 1e-6);
    }
    CHECK_NEAR(element(model, "encoder/embeddings/weight", 3 * 32), -0.01892, s->tolerance);
    CHECK_NEAR(element(model, "encoder/embeddings/weight", 3 * 32 + 1), -0.103725, s->tolerance);
    trd_model_close(model);
}

/* Every variable of two float files is the same, whatever its version called it. */
static void check_versions_equal(void)
{
    trd_model *a, *b;
    CHECK_OK(trd_model_open(folder("TREADLE_TEST_SHARED", samples[0].name), &a));
    CHECK_OK(trd_model_open(folder("TREADLE_TEST_SHARED", samples[2].name), &b));
    for (int64_t i = 0; i < trd_model_tensor_count(a); i++) {
        trd_model_tensor x = { .struct_size = sizeof x }, y = { .struct_size = sizeof y };
        CHECK_OK(trd_model_get_tensor(a, i, &x));
        CHECK_OK(trd_model_get_tensor(b, i, &y));
        CHECK_STRING(x.name, y.name);
        const trdi_tensor *p = trdi_model_find(a, x.name), *q = trdi_model_find(b, x.name);
        CHECK_INT(p->bytes, q->bytes);
        CHECK(memcmp(p->data, q->data, p->bytes) == 0);
    }
    trd_model_close(a);
    trd_model_close(b);
}

static void check_phonemes(void)
{
    trd_model *model;
    CHECK_OK(trd_model_open(folder("TREADLE_TEST_MODELS", "g2p-en"), &model));
    const trd_model_info info = get_info(model);
    CHECK_STRING(info.spec, "TransformerSpec");
    CHECK_STRING(info.stored_type, "int8_float32");
    CHECK_INT(info.spec_revision, 7);
    CHECK_INT(info.binary_version, 6);
    CHECK_INT(info.n_variables, 146);
    CHECK_INT(info.n_aliases, 1);
    CHECK_INT(info.d_model, 128);
    CHECK_INT(info.n_heads, 4);
    CHECK(info.add_source_eos && !info.add_source_bos);
    CHECK_INT(trd_model_tensor_count(model), 147);
    trd_model_tensor last = { .struct_size = sizeof last };
    CHECK_OK(trd_model_get_tensor(model, 146, &last));
    CHECK_STRING(last.name, "encoder/position_encodings/encodings");
    CHECK_STRING(last.alias_of, "decoder/position_encodings/encodings");
    CHECK_INT(last.bytes, 0);
    CHECK_FAILS(trd_model_get_tensor(model, 147, &last), TRD_E_RANGE, "147");
    CHECK(model->encoder.positions == model->decoder.positions && model->encoder.positions != NULL);
    CHECK(model->decoder.embeddings[0]->scale != NULL);
    CHECK_INT(model->decoder.embeddings[0]->scale->count, 72);
    CHECK_NEAR(model->decoder.embedding_scale, sqrt(128.0), 1e-5);
    trd_model_close(model);
}

static void check_smollm2(void)
{
    trd_model *model;
    const int64_t start = trdi_now_ns();
    CHECK_OK(trd_model_open(folder("TREADLE_TEST_SHARED", "models/smollm2-135m-int8"), &model));
    printf("smollm2-135m-int8 (135 MB, 49152 tokens) opened in %.1f ms\n", (double)(trdi_now_ns() - start) * 1e-6);
    const trd_model_info info = get_info(model);
    CHECK_STRING(info.family, "decoder-only");
    CHECK_STRING(info.runs_on, "");
    CHECK_INT(info.n_variables, 493);
    CHECK_INT(info.n_aliases, 1);
    CHECK_INT(info.n_decoder_layers, 30);
    CHECK_INT(info.n_encoder_layers, 0);
    CHECK_INT(info.d_model, 576);
    CHECK_INT(info.n_heads, 9);
    CHECK_INT(info.n_heads_kv, 3);
    CHECK_INT(info.head_dim, 64);
    CHECK_INT(info.target_vocabulary_size, 49152);
    CHECK_INT(info.source_vocabulary_size, 0);
    CHECK(model->decoder.projection.weight == model->decoder.embeddings[0]);
    CHECK(trdi_model_find(model, "decoder/projection/weight_scale") == trdi_model_find(model, "decoder/embeddings/weight_scale"));
    const trdi_layer_desc *layer = &model->decoder.layers[29];
    CHECK_INT(layer->self_attention.rotary.dim, 64);
    CHECK(!layer->self_attention.rotary.interleave && layer->ffn.linear_0_noact.weight != NULL);
    CHECK_NEAR(layer->self_attention.rotary.base, 100000.0, 0.0);
    CHECK_NEAR(layer->ffn.norm.epsilon, 1e-5, 1e-9);
    CHECK(layer->ffn.norm.beta == NULL && !model->decoder.has_positions);
    CHECK_NEAR(model->decoder.embedding_scale, 1.0, 0.0);
    CHECK_INT(model->decoder.activation, TRDI_ACTIVATION_SWISH);
    trd_model_close(model);
}

static void check_minilm(void)
{
    trd_model *model;
    CHECK_OK(trd_model_open(folder("TREADLE_TEST_SHARED", "models/minilm-l6-f16"), &model));
    const trd_model_info info = get_info(model);
    CHECK_STRING(info.family, "encoder-only");
    CHECK_STRING(info.stored_type, "float16");
    CHECK_INT(info.n_encoder_layers, 6);
    CHECK_INT(info.d_model, 384);
    CHECK_INT(info.n_heads, 12);
    CHECK_INT(info.n_source_features, 2);
    CHECK(model->encoder.embeddings_add && !model->encoder.pre_norm && model->encoder.embedding_norm.gamma != NULL);
    CHECK_INT(model->encoder.embedding_width, 384);
    CHECK_NEAR(model->encoder.layers[0].ffn.norm.epsilon, 1e-12, 1e-18);
    trd_model_close(model);
}

int main(void)
{
    check_phonemes();
    const char *shared = getenv("TREADLE_TEST_SHARED");
    char readme[1024];
    (void)snprintf(readme, sizeof readme, "%s/models/README.md", shared != NULL ? shared : "");
    if (shared == NULL || !trdi_file_readable(readme)) SKIP("no sample models in TREADLE_TEST_SHARED (%s)", shared != NULL ? shared : "not set");
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) check_transliteration(&samples[i]);
    check_versions_equal();
    check_smollm2();
    check_minilm();
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
