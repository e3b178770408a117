/* model.c: opens a model: container, configuration, description, vocabularies; shares it and gives it back. */
#include <string.h>

#include "core/alloc.h"
#include "model/model_private.h"

static void destroy(trd_model *model)
{
    struct trdi_model_private *p = model->private_part;
    trdi_vocabularies_close(model);
    trdi_stack_free(&model->encoder);
    trdi_stack_free(&model->decoder);
    if (p != NULL) {
        trdi_config_free(&p->config);
        trdi_container_free(&p->container);
        trdi_model_file_close(&p->binary);
        if (p->has_mutex) trdi_mutex_destroy(&p->mutex);
        trdi_free(p->name);
        trdi_free(p);
    }
    trdi_free(model);
}

static trd_status read_stack(trd_model *model, bool decoder)
{
    struct trdi_model_private *p = model->private_part;
    trdi_stack_reader reader = {
        .container = &p->container,
        .scope = decoder ? "decoder" : "encoder",
        .decoder = decoder,
        .d_memory = decoder ? model->encoder.d_model : 0,
        .config = &p->config,
        .stack = decoder ? &model->decoder : &model->encoder,
    };
    return trdi_stack_read(&reader);
}

/* An encoder-decoder reads its memory, and has a vocabulary for each table that its source feeds. */
static trd_status check_pair(const trd_model *model)
{
    const char *file = model->private_part->container.file;
    if (!model->decoder.has_cross) return trdi_fail(TRD_E_UNSUPPORTED, "file '%s': the decoder has no cross-attention", file);
    if (model->n_source_vocabularies != model->encoder.n_embeddings) {
        return trdi_fail(TRD_E_FORMAT, "model '%s': %lld source vocabularies, but the encoder has %lld embedding tables", model->name,
                         (long long)model->n_source_vocabularies, (long long)model->encoder.n_embeddings);
    }
    return TRD_OK;
}

/* The pooler of encoders is checked, although nothing here runs it yet. */
static trd_status check_pooler(const trd_model *model)
{
    const trdi_container *c = &model->private_part->container;
    trdi_linear dense;
    int64_t activation;
    if (!trdi_scope_exists(c, "pooler_dense", NULL)) return TRD_OK;
    TRDI_TRY(trdi_linear_read(c, "", "pooler_dense", model->encoder.d_model, model->encoder.d_model, &dense));
    return trdi_attribute_int(c, "", "pooler_activation", (trdi_int_rule){ 0, TRDI_ACTIVATION_RELU, TRDI_ACTIVATION_SIGMOID }, &activation);
}

static trd_status describe(trd_model *model)
{
    struct trdi_model_private *p = model->private_part;
    if (p->config.quantization_type != 0) {
        model->unsupported = "its weights are packed (AWQ), which this version does not run";
        return TRD_OK;
    }
    switch (model->family) {
    case TRDI_FAMILY_SEQ2SEQ:
        TRDI_TRY(read_stack(model, false));
        TRDI_TRY(read_stack(model, true));
        return check_pair(model);
    case TRDI_FAMILY_DECODER:
        model->unsupported = "it is a decoder-only model";
        return read_stack(model, true);
    case TRDI_FAMILY_ENCODER:
        model->unsupported = "it is an encoder-only model";
        TRDI_TRY(read_stack(model, false));
        return check_pooler(model);
    case TRDI_FAMILY_WHISPER:
    case TRDI_FAMILY_WAV2VEC2:
    case TRDI_FAMILY_WAV2VEC2_BERT:
        break;
    }
    model->unsupported = "it is a speech model";
    return TRD_OK;
}

static trd_status load(trd_model *model, const trdi_model_files *files)
{
    struct trdi_model_private *p = model->private_part;
    TRDI_TRY(trdi_model_map_first(model, files));
    TRDI_TRY(trdi_container_read(&p->container, p->binary.label, p->binary.data, p->binary.bytes));
    model->family = p->container.spec->family;
    model->binary_version = p->container.version;
    TRDI_TRY(trdi_config_read(files, &p->container, &p->config));
    TRDI_TRY(trdi_scales_bind(&p->container));
    TRDI_TRY(trdi_awq_check(&p->container, p->config.quantization_type));
    p->stored_type = trdi_stored_type(&p->container);
    TRDI_TRY(trdi_vocabularies_open(model, files));
    return describe(model);
}

static trd_status create(const char *name, trd_model **out)
{
    trd_model *model = trdi_calloc(1, sizeof *model);
    if (model == NULL) return trdi_fail(TRD_E_MEMORY, "model '%s': %zu bytes", name, sizeof *model);
    struct trdi_model_private *p = trdi_calloc(1, sizeof *p);
    model->private_part = p;
    trd_status status = TRD_OK;
    if (p == NULL || (p->name = trdi_strndup(name, strlen(name))) == NULL) {
        status = trdi_fail(TRD_E_MEMORY, "model '%s': %zu bytes", name, sizeof *p);
    } else {
        model->name = p->name;
        atomic_init(&p->references, 1);
        status = trdi_mutex_init(&p->mutex);
        p->has_mutex = status == TRD_OK;
    }
    if (status == TRD_OK) *out = model;
    else destroy(model);
    return status;
}

trd_status trdi_model_open(const char *name, const trd_file *files, size_t n_files, trd_model **out)
{
    const trdi_model_files source = { name, files, n_files };
    trd_model *model = NULL;
    *out = NULL;
    TRDI_TRY(create(name, &model));
    const trd_status status = load(model, &source);
    if (status == TRD_OK) *out = model;
    else destroy(model);
    return status;
}

trd_model *trdi_model_retain(trd_model *model)
{
    (void)atomic_fetch_add(&model->private_part->references, 1);
    return model;
}

void trdi_model_release(trd_model *model)
{
    if (model != NULL && atomic_fetch_sub(&model->private_part->references, 1) == 1) destroy(model);
}

const trdi_tensor *trdi_model_find(const trd_model *model, const char *name)
{
    return trdi_registry_find(&model->private_part->container, name);
}

const char *trdi_model_stored_type(const trd_model *model) { return model->private_part->stored_type; }
