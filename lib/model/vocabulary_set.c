/* vocabulary_set.c: which vocabulary files a model has, the ids of its special tokens, and its vocabulary map. */
#include <stdio.h>

#include "model/model_private.h"

/* NAME.json, else NAME.txt; *out = NULL if neither exists. */
static trd_status open_named(const trdi_model_files *files, const char *name, const trdi_token *unk, trdi_vocabulary **out)
{
    char full[64];
    trdi_model_file file;
    bool found;
    *out = NULL;
    (void)snprintf(full, sizeof full, "%s.json", name);
    TRDI_TRY(trdi_model_file_find(files, full, &file, &found));
    const bool json = found;
    if (!found) {
        (void)snprintf(full, sizeof full, "%s.txt", name);
        TRDI_TRY(trdi_model_file_find(files, full, &file, &found));
    }
    if (!found) return TRD_OK;
    const trd_status status = json ? trdi_vocabulary_from_json(&file, unk, out) : trdi_vocabulary_from_text(&file, unk, out);
    trdi_model_file_close(&file);
    return status;
}

static trd_status fail_missing(const trd_model *model, const char *which, const char *name)
{
    return trdi_fail(TRD_E_IO, "cannot load the %s from '%s': there is neither %s.json nor %s.txt", which, model->name, name, name);
}

static trd_status open_numbered(trd_model *model, const trdi_model_files *files, const trdi_token *unk)
{
    for (int i = 1;; i++) {
        char name[40];
        trdi_vocabulary *vocabulary;
        (void)snprintf(name, sizeof name, "source_%d_vocabulary", i);
        TRDI_TRY(open_named(files, name, unk, &vocabulary));
        if (vocabulary == NULL) break;
        if (model->n_source_vocabularies == TRDI_MAX_FEATURES) {
            trdi_vocabulary_destroy(vocabulary);
            return trdi_fail(TRD_E_UNSUPPORTED, "model '%s': more than %d source vocabularies", model->name, TRDI_MAX_FEATURES);
        }
        model->source[model->n_source_vocabularies++] = vocabulary;
    }
    return model->n_source_vocabularies != 0 ? TRD_OK : fail_missing(model, "source vocabulary", "source_vocabulary");
}

static trd_status open_pair(trd_model *model, const trdi_model_files *files, const trdi_token *unk)
{
    TRDI_TRY(open_named(files, "shared_vocabulary", unk, &model->target));
    if (model->target != NULL) {
        model->source[0] = model->target;
        model->n_source_vocabularies = 1;
        return TRD_OK;
    }
    TRDI_TRY(open_named(files, "target_vocabulary", unk, &model->target));
    if (model->target == NULL) return fail_missing(model, "target vocabulary", "target_vocabulary");
    TRDI_TRY(open_named(files, "source_vocabulary", unk, &model->source[0]));
    if (model->source[0] == NULL) return open_numbered(model, files, unk);
    model->n_source_vocabularies = 1;
    return TRD_OK;
}

/* A special token that the vocabulary lacks is the unknown token, which every vocabulary has. */
static int32_t find_id(const trdi_vocabulary *vocabulary, const trdi_token *token, const trdi_token *unk)
{
    int64_t id = trdi_vocabulary_id(vocabulary, token->data, token->bytes);
    if (id < 0) id = trdi_vocabulary_id(vocabulary, unk->data, unk->bytes);
    return (int32_t)id;
}

static trdi_special_ids find_ids(const trdi_vocabulary *vocabulary, const trdi_config *config)
{
    const trdi_token *unk = &config->unk;
    return (trdi_special_ids){ find_id(vocabulary, unk, unk), find_id(vocabulary, &config->bos, unk), find_id(vocabulary, &config->eos, unk) };
}

static trd_status open_map(trd_model *model, const trdi_model_files *files)
{
    trdi_model_file file;
    bool found;
    TRDI_TRY(trdi_model_file_find(files, "vmap.txt", &file, &found));
    if (!found) return TRD_OK;
    const trd_status status = trdi_vocabulary_map_read(&file, model->target, model->target_ids.unk, &model->vocabulary_map);
    trdi_model_file_close(&file);
    return status;
}

trd_status trdi_vocabularies_open(trd_model *model, const trdi_model_files *files)
{
    const trdi_config *config = &model->private_part->config;
    const bool pair = model->family == TRDI_FAMILY_SEQ2SEQ;
    if (pair) {
        TRDI_TRY(open_pair(model, files, &config->unk));
    } else {
        TRDI_TRY(open_named(files, "vocabulary", &config->unk, &model->target));
        if (model->target == NULL) return fail_missing(model, "vocabulary", "vocabulary");
    }
    model->target_ids = find_ids(model->target, config);
    model->source_ids = pair ? find_ids(model->source[0], config) : model->target_ids;
    model->add_source_bos = config->add_source_bos;
    model->add_source_eos = config->add_source_eos;
    model->decoder_start_id = config->decoder_start.data == NULL ? -1 : find_id(model->target, &config->decoder_start, &config->unk);
    return pair ? open_map(model, files) : TRD_OK;
}

void trdi_vocabularies_close(trd_model *model)
{
    trdi_vocabulary_map_destroy(model->vocabulary_map);
    for (int64_t i = 0; i < model->n_source_vocabularies; i++) {
        if (model->source[i] != model->target) trdi_vocabulary_destroy(model->source[i]);
    }
    trdi_vocabulary_destroy(model->target);
}
