/*
 * network.c: making a network: the compute type, a check of what the description asks for, sizes, weights (from the cache
 * or prepared), and a trial recording of every stage so that an unsupported shape is known at load.
 */
#include "nn/network_private.h"

#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "core/log.h"

/** Files up to this version were converted for integers that are made by cutting off the fraction. */
enum { LAST_TRUNCATING_VERSION = 4 };

/* ---- Compute type ---- */

static trd_status resolve_type(trdi_network *network, const char *requested)
{
    const char *stored = trdi_model_stored_type(network->model);
    const uint32_t types = network->device->facts.compute_types & TRDI_TYPES_COMPUTED;
    TRDI_TRY(trdi_compute_type_resolve(requested, stored, types, &network->compute_type));
    const char *name = trdi_compute_type_name(network->compute_type);
    trdi_compute_type fallback;
    TRDI_TRY(trdi_compute_type_resolve("default", stored, types, &fallback));
    const bool forced = strcmp(trdi_compute_type_name(fallback), stored) != 0;
    if (strcmp(name, stored) != 0)
        (void)snprintf(network->note, sizeof network->note, "stored as %s; %s %s", stored,
                       forced ? "this device computes it as" : "computed, as requested, as", name);
    network->kv_dtype = trdi_compute_type_kv(network->compute_type);
    network->weights.dtype = trdi_compute_type_weights(network->compute_type);
    network->weights.truncate = network->model->binary_version <= LAST_TRUNCATING_VERSION;
    network->info.compute_type = name;
    network->info.compute_type_note = network->note;
    return TRD_OK;
}

/* ---- Description ---- */

/** Where a layer has norms of its own, its sublayers have none: no formula says what both would mean. */
static trd_status check_layer(const trdi_network *network, const trdi_stack_desc *stack, int64_t l)
{
    const trdi_layer_desc *layer = &stack->layers[l];
    const char *model = network->model->name, *scope = stack == &network->model->encoder ? "encoder" : "decoder";
    if (layer->form == TRDI_LAYER_SEQUENTIAL) return TRD_OK;
    if (layer->self_attention.norm.gamma != NULL || layer->ffn.norm.gamma != NULL ||
        (layer->has_cross && layer->cross_attention.norm.gamma != NULL))
        return trdi_fail(TRD_E_UNSUPPORTED, "model '%s', %s layer %lld: layer_norm inside a sublayer beside norms of the layer", model,
                         scope, (long long)l);
    return TRD_OK;
}

static trd_status check_description(const trdi_network *network)
{
    const trd_model *model = network->model;
    if (model->family != TRDI_FAMILY_SEQ2SEQ && model->family != TRDI_FAMILY_DECODER)
        return trdi_fail(TRD_E_UNSUPPORTED, "model '%s' is neither an encoder-decoder nor a decoder", model->name);
    for (int64_t l = 0; l < model->encoder.n_layers; l++) TRDI_TRY(check_layer(network, &model->encoder, l));
    for (int64_t l = 0; l < model->decoder.n_layers; l++) TRDI_TRY(check_layer(network, &model->decoder, l));
    return TRD_OK;
}

/* ---- Sizes ---- */

static void widen(int64_t *width, int64_t wanted)
{
    if (*width < wanted) *width = wanted;
}

static void widen_for_attention(trdi_widths *w, const trdi_attention_desc *attention)
{
    widen(&w->projected, trdi_query_width(attention) + 2 * trdi_key_width(attention));
    widen(&w->context, trdi_query_width(attention));
}

static void widen_for_stack(trdi_widths *w, const trdi_stack_desc *stack)
{
    widen(&w->hidden, stack->d_model);
    widen(&w->normed, stack->d_model);
    if (stack->project_in.weight != NULL) widen(&w->normed, stack->embedding_width);
    for (int64_t l = 0; l < stack->n_layers; l++) {
        const trdi_layer_desc *layer = &stack->layers[l];
        widen_for_attention(w, &layer->self_attention);
        if (layer->has_cross) widen_for_attention(w, &layer->cross_attention);
        widen(&w->ffn, trdi_linear_out(&layer->ffn.linear_0));
        if (trdi_layer_has_second_norm(layer)) widen(&w->second, stack->d_model);
    }
}

static void measure_widths(trdi_network *network)
{
    const trdi_stack_desc *decoder = &network->model->decoder;
    trdi_widths *w = &network->widths;
    widen_for_stack(w, &network->model->encoder);
    widen_for_stack(w, decoder);
    w->output = decoder->d_model;
    if (decoder->project_out.weight != NULL) widen(&w->output, trdi_linear_out(&decoder->project_out));
    w->vocabulary = trdi_linear_out(&decoder->projection);
}

/** Blocks hold a row's own or its memory's keys and values, so a layer's slot takes the larger. */
static trd_status lay_out_blocks(trdi_network *network)
{
    const trdi_stack_desc *decoder = &network->model->decoder;
    network->kv_offsets = trdi_calloc((size_t)decoder->n_layers, sizeof *network->kv_offsets);
    if (network->kv_offsets == NULL) return trdi_fail(TRD_E_MEMORY, "model '%s': layout of KV blocks", network->model->name);
    size_t bytes = 0;
    for (int64_t l = 0; l < decoder->n_layers; l++) {
        const trdi_layer_desc *layer = &decoder->layers[l];
        int64_t width = trdi_key_width(&layer->self_attention);
        if (layer->has_cross) widen(&width, trdi_key_width(&layer->cross_attention));
        network->kv_offsets[l] = bytes;
        bytes += (size_t)width * 2 * TRDI_BLOCK_TOKENS * trd_dtype_bytes(network->kv_dtype);
    }
    network->info.block_tokens = TRDI_BLOCK_TOKENS;
    network->info.block_bytes = bytes;
    return TRD_OK;
}

/** Positions that a stack can number; -1 = any. */
static int64_t max_positions(const trdi_stack_desc *stack)
{
    int64_t most = INT64_MAX;
    if (stack->has_positions && stack->positions != NULL) most = trdi_tensor_rows(stack->positions);
    for (int64_t l = 0; l < stack->n_layers; l++) {
        const int64_t rotary = trdi_rotary_max_positions(&stack->layers[l].self_attention.rotary);
        if (rotary < most) most = rotary;
    }
    return most == INT64_MAX ? -1 : most;
}

static void fill_info(trdi_network *network)
{
    const trd_model *model = network->model;
    trdi_network_info *info = &network->info;
    info->n_source_features = model->encoder.n_embeddings;
    for (int64_t f = 0; f < info->n_source_features; f++) info->source_rows[f] = trdi_tensor_rows(model->encoder.embeddings[f]);
    info->target_rows = trdi_tensor_rows(model->decoder.embeddings[0]);
    info->vocabulary = network->widths.vocabulary;
    info->max_source_positions = max_positions(&model->encoder);
    info->max_target_positions = max_positions(&model->decoder);
}

/* ---- Weights ---- */

/** Prepare from a cache file. @return false if there is none to use; nothing is prepared then */
static bool load_from_cache(trdi_network *network, const trdi_weight_cache_key *key)
{
    trdi_weights *weights = &network->weights;
    if (!trdi_weight_cache_open(&network->cache, key, weights)) return false;
    trd_status status = trdi_weights_upload_constants(weights, network->cache.constants);
    if (status == TRD_OK) status = trdi_weights_prepare(weights, network->cache.constants, network->cache.prepared);
    if (status == TRD_OK) return true;
    trdi_log(TRD_LOG_WARNING, "weight cache '%s' not used: %s", key->path, trd_last_error());
    trdi_weights_unprepare(weights);
    trdi_weight_cache_close(&network->cache);
    return false;
}

/** Prepare from the model's payloads. @param constants  filled */
static trd_status prepare_weights(trdi_network *network, float *constants)
{
    trdi_weights_fill_constants(&network->weights, constants);
    TRDI_TRY(trdi_weights_upload_constants(&network->weights, constants));
    return trdi_weights_prepare(&network->weights, constants, NULL);
}

/** From the cache, or from the mapped payloads and into the cache. */
static trd_status load_mapped_weights(trdi_network *network, const char *cache_dir)
{
    trdi_weights *weights = &network->weights;
    float *constants = trdi_alloc(weights->constant_bytes);
    if (constants == NULL)
        return trdi_fail(TRD_E_MEMORY, "model '%s': %zu bytes of norms and tables", network->model->name, weights->constant_bytes);
    network->info.weight_bytes = trdi_weights_total_bytes(weights, constants);

    trdi_weight_cache_key key = { .path = NULL };
    if (network->info.weight_bytes >= TRDI_CACHE_LEAST_BYTES)
        trdi_weight_cache_locate(&key, network->model, network->device, network->info.compute_type, cache_dir);
    trd_status status = TRD_OK;
    network->info.weights_from_cache = key.path != NULL && load_from_cache(network, &key);
    if (!network->info.weights_from_cache) {
        status = prepare_weights(network, constants);
        if (status == TRD_OK && key.path != NULL) trdi_weight_cache_write(&key, weights, constants);
    }
    trdi_weight_cache_key_clear(&key);
    trdi_free(constants);
    return status;
}

/** The model is mapped even if the cache serves all: that costs no reading, and fails if its file was replaced. */
static trd_status load_weights(trdi_network *network, const char *cache_dir)
{
    TRDI_TRY(trdi_model_map(network->model));
    const trd_status status = load_mapped_weights(network, cache_dir);
    trdi_model_unmap(network->model);
    return status;
}

/* ---- Network ---- */

/** Record both stages with every feature, to hear from the back end whether it takes all operations. */
static trd_status try_stages(const trdi_network *network)
{
    static char nowhere[64];
    trdi_capacities capacities = { .features = TRDI_FEATURE_ATTENTION | TRDI_FEATURE_LOGITS };
    const trdi_step_sizes least = { .n_attention = 1, .n_noise = 1, .n_mask_lines = 1 };
    TRDI_TRY(trdi_capacities_grow(&capacities, &least, capacities.features));
    trdi_places places = { .step = nowhere, .result = nowhere, .arena = nowhere, .pool = nowhere };
    TRDI_TRY(trdi_places_lay_out(&places, network, &capacities));
    for (int stage = network->info.n_source_features > 0 ? TRDI_STAGE_ENCODE : TRDI_STAGE_DECODE; stage <= TRDI_STAGE_DECODE; stage++) {
        trdi_recorder recorder;
        const trd_status status = trdi_record_stage(&recorder, network, &places, (trdi_stage)stage, capacities.features);
        trdi_free(recorder.ops);
        TRDI_TRY(status);
    }
    return TRD_OK;
}

static trd_status build(trdi_network *network, const trdi_network_options *options)
{
    TRDI_TRY(resolve_type(network, options->compute_type));
    TRDI_TRY(check_description(network));
    measure_widths(network);
    TRDI_TRY(lay_out_blocks(network));
    fill_info(network);
    TRDI_TRY(trdi_weights_collect(&network->weights, network->model));
    TRDI_TRY(load_weights(network, options->cache_dir));
    return try_stages(network);
}

trd_status trdi_network_create(trd_model *model, trdi_device *device, const trdi_network_options *options, trdi_network **out)
{
    *out = NULL;
    static const trdi_network_options defaults = { .numerics = TRDI_NUMERICS_AUTO };
    trdi_network *network = trdi_calloc(1, sizeof *network);
    if (network == NULL) return trdi_fail(TRD_E_MEMORY, "model '%s': network", model->name);
    network->model = trdi_model_retain(model);
    network->device = device;
    network->weights.ops = device->ops;
    network->weights.device = device->impl;
    if (options == NULL) options = &defaults;
    network->numerics = options->numerics;
    const trd_status status = build(network, options);
    if (status != TRD_OK) {
        trdi_network_destroy(network);
        return status;
    }
    *out = network;
    return TRD_OK;
}

void trdi_network_destroy(trdi_network *network)
{
    if (network == NULL) return;
    trdi_weights_clear(&network->weights);
    trdi_weight_cache_close(&network->cache);
    trdi_free(network->kv_offsets);
    trdi_model_release(network->model);
    trdi_free(network);
}

const trdi_network_info *trdi_network_get_info(const trdi_network *network)
{
    return &network->info;
}
