/* api_model.c: the public functions that open models and look inside them. */
#include <string.h>

#include "api/options.h"
#include "core/alloc.h"
#include "core/files.h"
#include "model/model.h"

trd_status trd_model_open(const char *path, trd_model **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_model_open: out is NULL");
    *out = NULL;
    if (path == NULL) return trdi_fail(TRD_E_INVALID, "trd_model_open: path is NULL");
    return trdi_model_open(path, NULL, 0, out);
}

trd_status trd_model_open_files(const char *name, const trd_file *files, size_t n_files, trd_model **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_model_open_files: out is NULL");
    *out = NULL;
    if (name == NULL || files == NULL) return trdi_fail(TRD_E_INVALID, "trd_model_open_files: %s is NULL", name == NULL ? "name" : "files");
    for (size_t i = 0; i < n_files; i++) {
        if (files[i].name == NULL) return trdi_fail(TRD_E_INVALID, "trd_model_open_files: file %zu has no name", i);
        if (files[i].data == NULL && files[i].bytes != 0) {
            return trdi_fail(TRD_E_INVALID, "trd_model_open_files: the data of '%s' are NULL, its size is %zu", files[i].name,
                             files[i].bytes);
        }
    }
    return trdi_model_open(name, files, n_files, out);
}

void trd_model_close(trd_model *model) { trdi_model_release(model); }

bool trd_model_exists(const char *path)
{
    if (path == NULL) return false;
    char *file = trdi_path_join(path, "model.bin");
    const bool exists = file != NULL && trdi_file_readable(file);
    trdi_free(file);
    return exists;
}

static const char *family_name(trdi_family family)
{
    switch (family) {
    case TRDI_FAMILY_SEQ2SEQ: return "sequence-to-sequence";
    case TRDI_FAMILY_DECODER: return "decoder-only";
    case TRDI_FAMILY_ENCODER: return "encoder-only";
    case TRDI_FAMILY_WHISPER: return "whisper";
    case TRDI_FAMILY_WAV2VEC2: return "wav2vec2";
    case TRDI_FAMILY_WAV2VEC2_BERT: return "wav2vec2-bert";
    }
    return "";
}

static void fill_info(const trd_model *model, trd_model_info *info)
{
    trdi_model_facts facts;
    trdi_model_get_facts(model, &facts);
    *info = (trd_model_info){
        .name = model->name,
        .family = family_name(model->family),
        .spec = facts.spec,
        .spec_revision = facts.spec_revision,
        .binary_version = model->binary_version,
        .stored_type = trdi_model_stored_type(model),
        .n_encoder_layers = facts.n_encoder_layers,
        .n_decoder_layers = facts.n_decoder_layers,
        .d_model = facts.d_model,
        .d_ffn = facts.d_ffn,
        .n_heads = facts.n_heads,
        .n_heads_kv = facts.n_heads_kv,
        .head_dim = facts.head_dim,
        .n_source_features = model->encoder.n_embeddings,
        .source_vocabulary_size = model->n_source_vocabularies > 0 ? trdi_vocabulary_size(model->source[0]) : 0,
        .target_vocabulary_size = trdi_vocabulary_size(model->target),
        .n_parameters = facts.n_parameters,
        .n_variables = facts.n_variables,
        .n_aliases = facts.n_aliases,
        .weight_bytes = facts.weight_bytes,
        .unk_token = facts.unk,
        .bos_token = facts.bos,
        .eos_token = facts.eos,
        .decoder_start_token = facts.decoder_start,
        .add_source_bos = model->add_source_bos,
        .add_source_eos = model->add_source_eos,
        .has_vocabulary_map = model->vocabulary_map != NULL,
        .runs_on = model->unsupported == NULL ? "translator" : "",
    };
}

trd_status trd_model_get_info(const trd_model *model, trd_model_info *info)
{
    if (model == NULL || info == NULL) return trdi_fail(TRD_E_INVALID, "trd_model_get_info: %s is NULL", model == NULL ? "model" : "info");
    if (!trdi_struct_size_valid(info->struct_size)) {
        return trdi_fail(TRD_E_INVALID, "trd_model_get_info: struct_size is %zu", info->struct_size);
    }
    trd_model_info ours;
    fill_info(model, &ours);
    trdi_write_result(info, info->struct_size, &ours, sizeof ours);
    return TRD_OK;
}

int64_t trd_model_tensor_count(const trd_model *model)
{
    return model != NULL ? trdi_model_listed_count(model) : 0;
}

trd_status trd_model_get_tensor(const trd_model *model, int64_t i, trd_model_tensor *out)
{
    if (model == NULL || out == NULL) return trdi_fail(TRD_E_INVALID, "trd_model_get_tensor: %s is NULL", model == NULL ? "model" : "out");
    if (!trdi_struct_size_valid(out->struct_size)) {
        return trdi_fail(TRD_E_INVALID, "trd_model_get_tensor: struct_size is %zu", out->struct_size);
    }
    const char *alias;
    const trdi_tensor *tensor = trdi_model_listed(model, i, &alias);
    if (tensor == NULL) {
        return trdi_fail(TRD_E_RANGE, "trd_model_get_tensor: %lld, the model has %lld", (long long)i,
                         (long long)trd_model_tensor_count(model));
    }
    trd_model_tensor ours = {
        .name = alias != NULL ? alias : tensor->name,
        .dtype = tensor->dtype,
        .rank = tensor->rank,
        .bytes = alias != NULL ? 0 : (int64_t)tensor->bytes,
        .alias_of = alias != NULL ? tensor->name : NULL,
    };
    memcpy(ours.dims, tensor->dims, sizeof ours.dims);
    if (tensor->rank == 0) {
        float value;
        trdi_tensor_read_f32(tensor, 0, 1, &value);
        ours.value = (double)value;
    }
    trdi_write_result(out, out->struct_size, &ours, sizeof ours);
    return TRD_OK;
}

static const trdi_vocabulary *find_vocabulary(const trd_model *model, int32_t which)
{
    if (model == NULL) return NULL;
    if (which == TRD_VOCABULARY_TARGET) return model->target;
    const int64_t feature = (int64_t)which - TRD_VOCABULARY_SOURCE;
    return feature >= 0 && feature < model->n_source_vocabularies ? model->source[feature] : NULL;
}

int64_t trd_model_vocabulary_size(const trd_model *model, int32_t vocabulary)
{
    return trdi_vocabulary_size(find_vocabulary(model, vocabulary));
}

const char *trd_model_token(const trd_model *model, int32_t vocabulary, int64_t id, size_t *bytes)
{
    return trdi_vocabulary_token(find_vocabulary(model, vocabulary), id, bytes);
}

int64_t trd_model_token_id(const trd_model *model, int32_t vocabulary, const char *token, size_t bytes)
{
    if (token == NULL) return -1;
    return trdi_vocabulary_id(find_vocabulary(model, vocabulary), token, bytes == SIZE_MAX ? strlen(token) : bytes);
}
