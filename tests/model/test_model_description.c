/*
 * test_model_description.c: values that a description resolves from several variables: defaults, legacy places, embedding scales,
 * positions, layer forms, merged attention, alignment, source features, special tokens of every version.
 */
#include "model/model.h"
#include "model_builder.h"

static model_builder b;

static trd_model *open_built(void)
{
    trd_model *model;
    CHECK_OK(builder_open(&b, &model));
    return model;
}

static double encoder_scale(void)
{
    trd_model *model = open_built();
    const double scale = model->encoder.embedding_scale;
    trd_model_close(model);
    return scale;
}

static void check_embedding_scale(void)
{
    builder_pair(&b);
    CHECK_NEAR(encoder_scale(), sqrt(8.0), 1e-6);    /* absent: the square root */
    builder_set(&b, "encoder/embeddings_0/multiply_by_sqrt_depth", 1, 0, 1, 1, 0);
    CHECK_NEAR(encoder_scale(), sqrt(8.0), 1e-6);    /* the old name belongs to a single table */
    builder_set(&b, "encoder/embeddings/weight", 0, 2, 6, 8, 0.5);
    builder_set(&b, "encoder/embeddings/multiply_by_sqrt_depth", 1, 0, 1, 1, 0);
    CHECK_NEAR(encoder_scale(), 1.0, 0.0);
    builder_set(&b, "encoder/scale_embeddings", 0, 0, 1, 1, 2.5);
    CHECK_NEAR(encoder_scale(), 2.5, 0.0);
    builder_set(&b, "encoder/scale_embeddings", 1, 0, 1, 1, 1);
    CHECK_NEAR(encoder_scale(), sqrt(8.0), 1e-6);
    builder_set(&b, "encoder/scale_embeddings", 1, 0, 1, 1, 0);
    CHECK_NEAR(encoder_scale(), 1.0, 0.0);
}

static void check_old_places(void)
{
    builder_pair(&b);
    b.version = 5;
    b.revision = 4;
    builder_remove(&b, "encoder/num_heads");
    builder_remove(&b, "encoder/activation");
    builder_remove(&b, "decoder/alignment_heads");
    builder_set(&b, "num_heads", 1, 0, 1, 1, 4);
    builder_set(&b, "activation", 1, 0, 1, 1, 2);
    builder_set(&b, "alignment_heads", 2, 0, 1, 1, 0);
    trd_model *model = open_built();
    CHECK_INT(model->encoder.n_heads, 4);
    CHECK_INT(model->decoder.n_heads, 2);    /* its own comes first */
    CHECK_INT(model->encoder.activation, TRDI_ACTIVATION_SWISH);
    CHECK_INT(model->decoder.activation, TRDI_ACTIVATION_RELU);
    CHECK_INT(model->decoder.alignment_heads, 2);    /* 0 means all */
    trd_model_close(model);
    b.revision = 5;    /* from here on only the scopes count */
    model = open_built();
    CHECK_INT(model->encoder.n_heads, 8);
    CHECK_INT(model->encoder.activation, TRDI_ACTIVATION_RELU);
    CHECK_INT(model->decoder.alignment_heads, 1);
    trd_model_close(model);
    b.revision = 2;
    builder_remove(&b, "num_heads");
    CHECK_FAILS(builder_open(&b, &model), TRD_E_FORMAT, "'encoder/num_heads': not found");
    b.spec = "TransformerBase";
    model = open_built();
    CHECK_INT(model->encoder.n_heads, 8);
    trd_model_close(model);
    b.spec = "TransformerBig";
    CHECK_FAILS(builder_open(&b, &model), TRD_E_FORMAT, "16 heads do not divide the width 8");
    builder_decoder(&b);
    b.revision = 1;
    b.version = 5;
    builder_remove(&b, "decoder/num_heads");
    builder_set(&b, "num_heads", 2, 0, 1, 1, 1);
    model = open_built();
    CHECK_INT(model->decoder.n_heads, 1);
    trd_model_close(model);
}

static void check_positions(void)
{
    builder_pair(&b);
    builder_set(&b, "encoder/position_encodings/encodings", 0, 2, 30, 8, 0.5);
    trd_model *model = open_built();
    CHECK(model->encoder.has_positions && model->encoder.positions->dims[0] == 30);
    CHECK(model->decoder.has_positions && model->decoder.positions == NULL);
    trd_model_close(model);
    builder_set(&b, "encoder/layer_0/self_attention/relative_position_keys", 0, 2, 5, 4, 0.5);
    builder_set(&b, "decoder/alibi", 1, 0, 1, 1, 1);
    model = open_built();
    CHECK(!model->encoder.has_positions && model->encoder.positions == NULL);
    CHECK(!model->decoder.has_positions && model->decoder.alibi && model->decoder.alibi_positive && !model->decoder.alibi_scaled);
    trd_model_close(model);
}

static void set_pre_post(const char *layer)
{
    static const char *const names[] = { "input_layer_norm", "post_attention_layer_norm", "pre_feedforward_layer_norm", "post_feedforward_layer_norm" };
    char full[128];
    for (int i = 0; i < 4; i++) {
        (void)snprintf(full, sizeof full, "%s/%s/gamma", layer, names[i]);
        builder_set(&b, full, 0, 1, 8, 1, 1.0);
    }
    (void)snprintf(full, sizeof full, "%s/self_attention/layer_norm", layer);
    builder_remove(&b, full);
    (void)snprintf(full, sizeof full, "%s/ffn/layer_norm", layer);
    builder_remove(&b, full);
}

static void check_pre_post(void)
{
    builder_pair(&b);
    set_pre_post("encoder/layer_0");
    set_pre_post("decoder/layer_0");
    builder_remove(&b, "decoder/layer_0/attention/layer_norm");
    builder_set(&b, "decoder/layer_0/external_pre_encoder_attention_layer_norm/gamma", 0, 1, 8, 1, 1.0);
    builder_set(&b, "decoder/layer_0/external_pre_encoder_attention_layer_norm/layer_norm_use_residual", 1, 0, 1, 1, 1);
    builder_set(&b, "decoder/layer_0/layer_scalar", 0, 0, 1, 1, 0.75);
    builder_set(&b, "decoder/layer_0/self_attention/sliding_window", 3, 0, 1, 1, 16);
    builder_set(&b, "encoder/layer_0/self_attention/sliding_window", 3, 0, 1, 1, 16);
    trd_model *model = open_built();
    const trdi_layer_desc *layer = &model->decoder.layers[0];
    CHECK_INT(layer->form, TRDI_LAYER_PRE_POST);
    CHECK_INT(model->encoder.layers[0].form, TRDI_LAYER_PRE_POST);
    CHECK(layer->external_pre.gamma != NULL && layer->external_pre.gain_plus_one && layer->external_post.gamma == NULL);
    CHECK_NEAR(layer->external_pre.epsilon, 1e-6, 1e-12);
    CHECK_NEAR(layer->layer_scalar, 0.75, 0.0);
    CHECK_INT(layer->self_attention.sliding_window, 16);
    CHECK_INT(model->encoder.layers[0].self_attention.sliding_window, 0);    /* encoders ignore it */
    CHECK(model->decoder.has_cross && !model->decoder.merged);
    trd_model_close(model);
    builder_remove(&b, "decoder/layer_0/attention");
    builder_set(&b, "decoder/layer_0/self_attention/memory_kv/weight", 0, 2, 16, 8, 0.5);
    builder_set(&b, "decoder/layer_0/self_attention/rotary_dim", 3, 0, 1, 1, 0);
    model = open_built();
    layer = &model->decoder.layers[0];
    CHECK(model->decoder.has_cross && model->decoder.merged && !layer->has_cross);
    CHECK(layer->self_attention.memory_kv.weight != NULL && layer->self_attention.memory_kv.bias == NULL);
    CHECK_INT(layer->self_attention.sliding_window, 0);    /* does not apply to merged attention */
    CHECK_INT(layer->self_attention.rotary.dim, 4);
    CHECK(layer->self_attention.rotary.interleave);
    trd_model_close(model);
    builder_copy_scope(&b, "decoder/layer_0", "decoder/layer_1");
    builder_remove(&b, "decoder/layer_1/self_attention/memory_kv");
    CHECK_FAILS(builder_open(&b, &model), TRD_E_FORMAT, "has merged attention, but not both");
}

static void check_features(void)
{
    builder_pair(&b);
    builder_set(&b, "encoder/embeddings_0/weight", 0, 2, 6, 5, 0.5);
    builder_set(&b, "encoder/embeddings_1/weight", 0, 2, 4, 3, 0.5);
    (void)snprintf(b.vocabulary_name[0], 40, "source_1_vocabulary.json");
    (void)snprintf(b.vocabulary_name[2], 40, "source_2_vocabulary.json");
    (void)snprintf(b.vocabulary[b.n_vocabularies++], 512, "[\"<unk>\", \"p\", \"q\"]");
    trd_model *model = open_built();
    CHECK_INT(model->encoder.n_embeddings, 2);
    CHECK_INT(model->encoder.embedding_width, 8);
    CHECK_INT(model->n_source_vocabularies, 2);
    CHECK_INT(trd_model_token_id(model, TRD_VOCABULARY_SOURCE + 1, "q", 1), 2);
    CHECK_NEAR(model->encoder.embedding_scale, sqrt(8.0), 1e-6);
    trd_model_close(model);
}

static void check_tokens(void)
{
    builder_pair(&b);
    b.version = 3;
    builder_set(&b, "eos_token", 1, 1, 1, 1, 'x');
    trd_model *model = open_built();    /* what config.json says does not count in old versions */
    CHECK_INT(model->target_ids.eos, 3);
    CHECK(!model->add_source_eos);
    CHECK_INT(model->decoder_start_id, 1);
    trd_model_close(model);
    builder_set(&b, "with_target_bos", 1, 0, 1, 1, 0);
    builder_set(&b, "with_source_bos", 1, 0, 1, 1, 1);
    model = open_built();
    CHECK_INT(model->decoder_start_id, 3);
    CHECK(model->add_source_bos);
    trd_model_close(model);
    builder_set(&b, "user_decoder_start_tokens", 1, 0, 1, 1, 1);
    model = open_built();
    CHECK_INT(model->decoder_start_id, -1);
    trd_model_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_model_get_info(model, &info));
    CHECK(info.decoder_start_token == NULL);
    CHECK_STRING(info.eos_token, "x");
    trd_model_close(model);
    builder_pair(&b);
    (void)snprintf(b.config, sizeof b.config, "{\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": \"y\", \"decoder_start_token\": \"nobody\", "
                   "\"layer_norm_epsilon\": 0.125}");
    model = open_built();
    CHECK_INT(model->target_ids.eos, 4);
    CHECK_INT(model->source_ids.eos, 0);
    CHECK_INT(model->decoder_start_id, 0);
    CHECK(!model->add_source_eos && !model->add_source_bos);
    CHECK_NEAR(model->encoder.layers[0].ffn.norm.epsilon, 0.125, 0.0);
    trd_model_close(model);
}

static void check_aliases(void)
{
    builder_pair(&b);
    builder_convert(&b, 1);
    builder_alias(&b, "other/weight", "decoder/layer_0/ffn/linear_0/weight");
    builder_alias(&b, "third/weight", "other/weight");
    trd_model *model = open_built();
    CHECK(model->decoder.projection.weight == model->decoder.embeddings[0] && model->decoder.embeddings[0]->scale != NULL);
    CHECK(trdi_model_find(model, "third/weight") == model->decoder.layers[0].ffn.linear_0.weight);
    CHECK(trdi_model_find(model, "third/weight_scale") == model->decoder.layers[0].ffn.linear_0.weight->scale);
    CHECK(trdi_model_find(model, "other/weight_zero") == NULL && trdi_model_find(model, "") == NULL);
    trd_model_tensor tensor = { .struct_size = sizeof tensor };
    const int64_t n = trd_model_tensor_count(model);
    CHECK_INT(n, (int64_t)b.n_tensors + 3);
    char last[2][96] = { "", "" };
    for (int64_t i = 0; i < n; i++) {
        CHECK_OK(trd_model_get_tensor(model, i, &tensor));
        char *before = last[i >= n - 3];
        CHECK(strcmp(before, tensor.name) < 0 && (tensor.alias_of != NULL) == (i >= n - 3));
        (void)snprintf(before, 96, "%s", tensor.name);
    }
    CHECK_STRING(tensor.name, "third/weight");
    CHECK_STRING(tensor.alias_of, "decoder/layer_0/ffn/linear_0/weight");
    CHECK_FAILS(trd_model_get_tensor(model, -1, &tensor), TRD_E_RANGE, "-1");
    trd_model_close(model);
}

/* Callers compiled with a shorter or longer struct. */
static void check_struct_sizes(void)
{
    builder_pair(&b);
    trd_model *model = open_built();
    struct { trd_model_info info; unsigned char more[16]; } wide;
    memset(&wide, 0xaa, sizeof wide);
    wide.info.struct_size = sizeof wide;
    CHECK_OK(trd_model_get_info(model, &wide.info));
    CHECK_INT(wide.info.struct_size, sizeof wide);
    for (int i = 0; i < 16; i++) CHECK_INT(wide.more[i], 0);
    memset(&wide, 0xaa, sizeof wide);
    wide.info.struct_size = offsetof(trd_model_info, spec);
    CHECK_OK(trd_model_get_info(model, &wide.info));
    CHECK_STRING(wide.info.family, "sequence-to-sequence");
    unsigned char next;
    memcpy(&next, (unsigned char *)&wide.info + offsetof(trd_model_info, spec), 1);
    CHECK_INT(next, 0xaa);
    wide.info.struct_size = 3;
    CHECK_FAILS(trd_model_get_info(model, &wide.info), TRD_E_INVALID, "struct_size is 3");
    CHECK_FAILS(trd_model_get_info(NULL, &wide.info), TRD_E_INVALID, "model is NULL");
    CHECK_FAILS(trd_model_get_tensor(model, 0, NULL), TRD_E_INVALID, "out is NULL");
    CHECK_INT(trd_model_tensor_count(NULL), 0);
    CHECK_INT(trd_model_vocabulary_size(NULL, 0), 0);
    CHECK_INT(trd_model_token_id(model, 0, NULL, 0), -1);
    trd_model_close(model);
}

/* Speech models and packed weights can be looked at. */
static void check_inspection(void)
{
    builder_decoder(&b);
    b.spec = "WhisperSpec";
    b.revision = 3;
    (void)snprintf(b.config, sizeof b.config, "{\"suppress_ids\": [1, 2], \"lang_ids\": null}");
    (void)snprintf(b.vocabulary[0], 512, "[\"<|endoftext|>\", \"<|startoftranscript|>\"]");
    trd_model *model = open_built();
    trd_model_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_model_get_info(model, &info));
    CHECK_STRING(info.family, "whisper");
    CHECK_STRING(info.runs_on, "");
    CHECK_INT(info.n_decoder_layers, 1);
    CHECK_INT(info.d_model, 8);
    CHECK_INT(info.n_heads, 2);
    CHECK_INT(info.target_vocabulary_size, 2);
    CHECK_INT(model->target_ids.bos, 1);
    CHECK(model->unsupported != NULL);
    trd_model_close(model);
}

int main(void)
{
    check_embedding_scale();
    check_old_places();
    check_positions();
    check_pre_post();
    check_features();
    check_tokens();
    check_aliases();
    check_struct_sizes();
    check_inspection();
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
