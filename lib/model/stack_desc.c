/*
 * stack_desc.c: an encoder or a decoder as a whole: embeddings, positions, layers, output. Everything that depends on several variables
 * (which positions apply, which layer is returned, which width the output has) is resolved here.
 */
#include <math.h>
#include <stdio.h>

#include "core/alloc.h"
#include "model/model_private.h"

#define MAX_HEADS 65535

static trd_status read_settings(trdi_stack_reader *r)
{
    const trdi_container *c = r->container;
    trdi_stack_desc *s = r->stack;
    const int64_t heads = c->revision < 3 && c->spec->family == TRDI_FAMILY_SEQ2SEQ ? c->spec->implied_heads : 8;
    TRDI_TRY(trdi_attribute_int(c, r->scope, "num_heads", (trdi_int_rule){ heads, 1, MAX_HEADS }, &s->n_heads));
    if (s->n_heads == 0) return trdi_variable_fail(c, TRD_E_FORMAT, r->scope, "num_heads", "not found");
    TRDI_TRY(trdi_attribute_flag(c, r->scope, "pre_norm", true, &s->pre_norm));
    int64_t activation;
    TRDI_TRY(trdi_attribute_int(c, r->scope, "activation", (trdi_int_rule){ TRDI_ACTIVATION_RELU, TRDI_ACTIVATION_RELU,
                                TRDI_ACTIVATION_SIGMOID }, &activation));
    s->activation = (trdi_activation)activation;
    if (!r->decoder) return TRD_OK;
    TRDI_TRY(trdi_attribute_flag(c, r->scope, "start_from_zero_embedding", false, &s->start_from_zero_embedding));
    TRDI_TRY(trdi_attribute_flag(c, r->scope, "alibi", false, &s->alibi));
    TRDI_TRY(trdi_attribute_flag(c, r->scope, "alibi_use_positive_positions", true, &s->alibi_positive));
    return trdi_attribute_flag(c, r->scope, "scale_alibi", false, &s->alibi_scaled);
}

static trd_status add_table(trdi_stack_reader *r, const char *name)
{
    trdi_stack_desc *s = r->stack;
    if (s->n_embeddings == TRDI_MAX_FEATURES) {
        return trdi_fail(TRD_E_UNSUPPORTED, "file '%s': '%s' has more than %d embedding tables", r->container->file, r->scope,
                         TRDI_MAX_FEATURES);
    }
    const trdi_tensor *table;
    char scope[64];
    trdi_join_name(scope, r->scope, name);
    const int64_t width = s->embeddings_add && s->n_embeddings > 0 ? s->embedding_width : -1;
    TRDI_TRY(trdi_weight_get(r->container, scope, "weight", -1, width, &table));
    s->embeddings[s->n_embeddings++] = table;
    if (s->embeddings_add) s->embedding_width = table->dims[1];
    else s->embedding_width += table->dims[1];
    return TRD_OK;
}

/* A float is the factor itself; an integer is a flag for the square root of the width, which also applies when nothing is stored. */
static trd_status read_embedding_scale(trdi_stack_reader *r, bool single)
{
    const trdi_container *c = r->container;
    trdi_stack_desc *s = r->stack;
    const char *name = "scale_embeddings";
    const trdi_tensor *stored = trdi_attribute_find(c, r->scope, name);
    if (stored == NULL && single) {
        name = "embeddings/multiply_by_sqrt_depth";
        stored = trdi_attribute_find(c, r->scope, name);
    }
    float value = 1.0f;
    if (stored != NULL) TRDI_TRY(trdi_attribute_float(c, r->scope, name, 1.0f, &value));
    const bool flag = stored == NULL || stored->dtype == TRD_DTYPE_I8 || stored->dtype == TRD_DTYPE_I16 || stored->dtype == TRD_DTYPE_I32;
    s->embedding_scale = !flag ? value : value != 0.0f ? sqrtf((float)s->embedding_width) : 1.0f;
    return TRD_OK;
}

static trd_status read_embeddings(trdi_stack_reader *r)
{
    const trdi_container *c = r->container;
    trdi_stack_desc *s = r->stack;
    int64_t merge = 0;
    if (!r->decoder) TRDI_TRY(trdi_attribute_int(c, r->scope, "embeddings_merge", (trdi_int_rule){ 0, 0, 1 }, &merge));
    s->embeddings_add = merge == 1;
    const bool single = r->decoder || trdi_scope_exists(c, r->scope, "embeddings");
    if (single) {
        TRDI_TRY(add_table(r, "embeddings"));
    } else {
        char name[32] = "embeddings_0";
        do {
            TRDI_TRY(add_table(r, name));
            (void)snprintf(name, sizeof name, "embeddings_%lld", (long long)s->n_embeddings);
        } while (trdi_scope_exists(c, r->scope, name));
    }
    TRDI_TRY(read_embedding_scale(r, single));
    s->d_model = s->embedding_width;
    if (r->decoder && trdi_scope_exists(c, r->scope, "project_in")) {
        TRDI_TRY(trdi_linear_read(c, r->scope, "project_in", -1, s->embedding_width, &s->project_in));
        s->d_model = s->project_in.weight->dims[0];
    }
    return trdi_norm_read(r, r->scope, "layernorm_embedding", s->d_model, &s->embedding_norm);
}

/* Absolute positions are added only if layer 0 has no other idea of position. */
static trd_status read_positions(trdi_stack_reader *r)
{
    const trdi_container *c = r->container;
    trdi_stack_desc *s = r->stack;
    const trdi_attention_desc *first = &s->layers[0].self_attention;
    s->has_positions = first->relative_keys == NULL && first->relative_bias == NULL && first->rotary.dim == 0 && !s->alibi;
    if (!s->has_positions) return TRD_OK;
    TRDI_TRY(trdi_array_get(c, r->scope, "position_encodings/encodings", true, 2, -1, s->d_model, &s->positions));
    if (s->positions == NULL && (s->d_model % 2 != 0 || s->d_model < 4)) {
        return trdi_variable_fail(c, TRD_E_FORMAT, r->scope, "position_encodings/encodings",
                                  "not found, and sinusoids need an even width of at least 4, not %lld", (long long)s->d_model);
    }
    return TRD_OK;
}

/* Layers agree on what lies outside of them: the memory, and a bias that is computed once. */
static trd_status check_alike(const trdi_stack_reader *r)
{
    const trdi_stack_desc *s = r->stack;
    const trdi_layer_desc *first = &s->layers[0];
    for (int64_t i = 0; i < s->n_layers; i++) {
        const trdi_layer_desc *layer = &s->layers[i];
        const char *what = NULL;
        if (layer->has_cross != first->has_cross) what = "cross-attention";
        if ((layer->self_attention.memory_kv.weight == NULL) != (first->self_attention.memory_kv.weight == NULL)) what = "merged attention";
        if ((layer->self_attention.relative_bias == NULL) != (first->self_attention.relative_bias == NULL)) what = "a relative attention bias";
        if (what != NULL) {
            return trdi_fail(TRD_E_FORMAT, "file '%s': either layer 0 or layer %lld of '%s' has %s, but not both", r->container->file,
                             (long long)i, r->scope, what);
        }
        if (s->alibi && layer->self_attention.rotary.dim != 0) {
            return trdi_fail(TRD_E_FORMAT, "file '%s': layer %lld of '%s' has rotary embeddings together with ALiBi", r->container->file,
                             (long long)i, r->scope);
        }
    }
    return TRD_OK;
}

static trd_status read_layers(trdi_stack_reader *r)
{
    trdi_stack_desc *s = r->stack;
    int64_t n;
    TRDI_TRY(trdi_layers_count(r->container, r->scope, &n));
    if (n == 0) return trdi_fail(TRD_E_FORMAT, "file '%s': there is no '%s/layer_0'", r->container->file, r->scope);
    s->layers = trdi_calloc((size_t)n, sizeof *s->layers);
    if (s->layers == NULL) return trdi_fail(TRD_E_MEMORY, "file '%s': %lld layers of '%s'", r->container->file, (long long)n, r->scope);
    s->n_layers = n;
    for (int64_t i = 0; i < n; i++) TRDI_TRY(trdi_layer_read(r, i, &s->layers[i]));
    TRDI_TRY(check_alike(r));
    s->merged = s->layers[0].self_attention.memory_kv.weight != NULL;
    s->has_cross = s->layers[0].has_cross || s->merged;
    return TRD_OK;
}

static trd_status read_alignment(trdi_stack_reader *r)
{
    const trdi_container *c = r->container;
    trdi_stack_desc *s = r->stack;
    s->alignment_layer = s->n_layers - 1;
    s->alignment_heads = 1;
    if (!s->has_cross) return TRD_OK;
    int64_t layer, heads;
    TRDI_TRY(trdi_attribute_int(c, r->scope, "alignment_layer", (trdi_int_rule){ -1, -s->n_layers, s->n_layers - 1 }, &layer));
    TRDI_TRY(trdi_attribute_int(c, r->scope, "alignment_heads", (trdi_int_rule){ 1, 0, s->n_heads }, &heads));
    s->alignment_layer = layer < 0 ? layer + s->n_layers : layer;
    s->alignment_heads = heads == 0 ? s->n_heads : heads;
    return TRD_OK;
}

static trd_status read_output(trdi_stack_reader *r)
{
    const trdi_container *c = r->container;
    trdi_stack_desc *s = r->stack;
    TRDI_TRY(trdi_norm_read(r, r->scope, "layer_norm", s->d_model, &s->output_norm));
    s->output_scale = 1.0f;
    if (!r->decoder) return TRD_OK;
    int64_t width = s->d_model;
    if (trdi_scope_exists(c, r->scope, "project_out")) {
        TRDI_TRY(trdi_linear_read(c, r->scope, "project_out", -1, s->d_model, &s->project_out));
        width = s->project_out.weight->dims[0];
    }
    TRDI_TRY(trdi_attribute_float(c, r->scope, "scale_outputs", 1.0f, &s->output_scale));
    TRDI_TRY(trdi_linear_read(c, r->scope, "projection", -1, width, &s->projection));
    TRDI_TRY(trdi_attribute_float(c, r->scope, "final_logit_softcapping", 0.0f, &s->logit_softcap));
    if (s->logit_softcap < 0.0f) {
        return trdi_variable_fail(c, TRD_E_FORMAT, r->scope, "final_logit_softcapping", "%g is negative", (double)s->logit_softcap);
    }
    return read_alignment(r);
}

trd_status trdi_stack_read(trdi_stack_reader *r)
{
    TRDI_TRY(read_settings(r));
    TRDI_TRY(read_embeddings(r));
    TRDI_TRY(read_layers(r));
    TRDI_TRY(read_positions(r));
    if (r->stack->merged) r->stack->alibi = false;    /* it does not apply there */
    return read_output(r);
}

void trdi_stack_free(trdi_stack_desc *stack)
{
    trdi_free(stack->layers);
    *stack = (trdi_stack_desc){ 0 };
}
