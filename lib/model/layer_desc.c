/* layer_desc.c: one layer of an encoder or decoder: linear layers, norms, feed-forward, and the form in which they are joined. */
#include <stdio.h>
#include <string.h>

#include "model/model_private.h"

trd_status trdi_linear_read(const trdi_container *c, const char *scope, const char *name, int64_t rows, int64_t columns, trdi_linear *out)
{
    char full[TRDI_NAME_BYTES];
    trdi_join_name(full, scope, name);
    TRDI_TRY(trdi_weight_get(c, full, "weight", rows, columns, &out->weight));
    return trdi_array_get(c, full, "bias", true, 1, out->weight->dims[0], -1, &out->bias);
}

trd_status trdi_norm_read(const trdi_stack_reader *r, const char *scope, const char *name, int64_t width, trdi_norm *out)
{
    char full[TRDI_NAME_BYTES];
    trdi_join_name(full, scope, name);
    if (!trdi_scope_exists(r->container, full, NULL)) return TRD_OK;
    TRDI_TRY(trdi_array_get(r->container, full, "gamma", false, 1, width, -1, &out->gamma));
    TRDI_TRY(trdi_array_get(r->container, full, "beta", true, 1, width, -1, &out->beta));
    TRDI_TRY(trdi_attribute_flag(r->container, full, "layer_norm_use_residual", false, &out->gain_plus_one));
    if (out->beta != NULL) out->gain_plus_one = false;
    out->epsilon = r->config->has_epsilon ? r->config->epsilon : out->beta != NULL ? 1e-5f : 1e-6f;
    return TRD_OK;
}

/* A norm that the form of the layer needs. */
static trd_status require_norm(const trdi_stack_reader *r, const char *scope, const char *name, trdi_norm *out)
{
    TRDI_TRY(trdi_norm_read(r, scope, name, r->stack->d_model, out));
    return out->gamma != NULL ? TRD_OK : trdi_variable_fail(r->container, TRD_E_FORMAT, scope, name, "not found");
}

static trd_status read_ffn(const trdi_stack_reader *r, const char *scope, trdi_ffn_desc *ffn)
{
    const trdi_container *c = r->container;
    const int64_t d = r->stack->d_model;
    TRDI_TRY(trdi_norm_read(r, scope, "layer_norm", d, &ffn->norm));
    TRDI_TRY(trdi_linear_read(c, scope, "linear_0", -1, d, &ffn->linear_0));
    const int64_t width = ffn->linear_0.weight->dims[0];
    if (trdi_scope_exists(c, scope, "linear_0_noact")) {
        TRDI_TRY(trdi_linear_read(c, scope, "linear_0_noact", width, d, &ffn->linear_0_noact));
    }
    return trdi_linear_read(c, scope, "linear_1", d, width, &ffn->linear_1);
}

static trd_status choose_form(const trdi_stack_reader *r, const char *scope, trdi_layer_form *out)
{
    static const char *const norms[4] = { "input_layer_norm", "post_attention_layer_norm", "pre_feedforward_layer_norm", "post_feedforward_layer_norm" };
    const trdi_container *c = r->container;
    bool exists[4];
    int n = 0;
    for (int i = 0; i < 4; i++) {
        exists[i] = trdi_scope_exists(c, scope, norms[i]);
        n += exists[i] ? 1 : 0;
    }
    *out = TRDI_LAYER_SEQUENTIAL;
    if (n == 4) {
        *out = TRDI_LAYER_PRE_POST;
    } else if (exists[2] || exists[3] || (!r->decoder && n != 0)) {
        return trdi_fail(TRD_E_FORMAT, "file '%s': '%s' has %d of the four norms of a pre/post layer", c->file, scope, n);
    } else if (r->decoder && trdi_scope_exists(c, scope, "shared_layer_norm")) {
        *out = TRDI_LAYER_PARALLEL_SHARED;
    } else if (exists[0]) {
        *out = TRDI_LAYER_PARALLEL_TWO;
    } else if (exists[1]) {
        return trdi_fail(TRD_E_FORMAT, "file '%s': '%s' has post_attention_layer_norm without input_layer_norm", c->file, scope);
    }
    return TRD_OK;
}

static trd_status read_form_norms(const trdi_stack_reader *r, const char *scope, trdi_layer_desc *layer)
{
    switch (layer->form) {
    case TRDI_LAYER_SEQUENTIAL:
        return TRD_OK;
    case TRDI_LAYER_PARALLEL_SHARED:
        return require_norm(r, scope, "shared_layer_norm", &layer->norms[0]);
    case TRDI_LAYER_PARALLEL_TWO:
        TRDI_TRY(require_norm(r, scope, "input_layer_norm", &layer->norms[0]));
        return trdi_norm_read(r, scope, "post_attention_layer_norm", r->stack->d_model, &layer->norms[1]);
    case TRDI_LAYER_PRE_POST:
        break;
    }
    TRDI_TRY(require_norm(r, scope, "input_layer_norm", &layer->norms[0]));
    TRDI_TRY(require_norm(r, scope, "post_attention_layer_norm", &layer->norms[1]));
    TRDI_TRY(require_norm(r, scope, "pre_feedforward_layer_norm", &layer->norms[2]));
    TRDI_TRY(require_norm(r, scope, "post_feedforward_layer_norm", &layer->norms[3]));
    if (!r->decoder) return TRD_OK;
    TRDI_TRY(trdi_norm_read(r, scope, "external_pre_encoder_attention_layer_norm", r->stack->d_model, &layer->external_pre));
    TRDI_TRY(trdi_norm_read(r, scope, "external_post_encoder_attention_layer_norm", r->stack->d_model, &layer->external_post));
    return trdi_attribute_float(r->container, scope, "layer_scalar", 1.0f, &layer->layer_scalar);
}

/* What no model has and no formula defines. */
static trd_status check_form(const trdi_container *c, const char *scope, const trdi_layer_desc *layer)
{
    const bool merged = layer->self_attention.memory_kv.weight != NULL;
    if (merged && layer->has_cross) {
        return trdi_fail(TRD_E_FORMAT, "file '%s': '%s' has both cross-attention and merged attention", c->file, scope);
    }
    if (merged && layer->form != TRDI_LAYER_PRE_POST) {
        return trdi_fail(TRD_E_UNSUPPORTED, "file '%s': '%s' has merged attention outside the pre/post form", c->file, scope);
    }
    if (layer->has_cross && layer->form != TRDI_LAYER_SEQUENTIAL && layer->form != TRDI_LAYER_PRE_POST) {
        return trdi_fail(TRD_E_UNSUPPORTED, "file '%s': '%s' has cross-attention in the parallel form", c->file, scope);
    }
    return TRD_OK;
}

trd_status trdi_layer_read(const trdi_stack_reader *r, int64_t n, trdi_layer_desc *layer)
{
    const trdi_container *c = r->container;
    char scope[64], part[96];
    (void)snprintf(scope, sizeof scope, "%s/layer_%lld", r->scope, (long long)n);
    layer->layer_scalar = 1.0f;
    TRDI_TRY(choose_form(r, scope, &layer->form));
    TRDI_TRY(read_form_norms(r, scope, layer));
    (void)snprintf(part, sizeof part, "%s/self_attention", scope);
    TRDI_TRY(trdi_attention_read(r, part, false, &layer->self_attention));
    layer->has_cross = r->decoder && trdi_scope_exists(c, scope, "attention");
    if (layer->has_cross) {
        if (r->d_memory == 0) {
            return trdi_fail(TRD_E_FORMAT, "file '%s': '%s' has cross-attention, but the model has no encoder", c->file, scope);
        }
        (void)snprintf(part, sizeof part, "%s/attention", scope);
        TRDI_TRY(trdi_attention_read(r, part, true, &layer->cross_attention));
    }
    (void)snprintf(part, sizeof part, "%s/ffn", scope);
    TRDI_TRY(read_ffn(r, part, &layer->ffn));
    return check_form(c, scope, layer);
}

/* The number in "PREFIX<number>/...": -1 if it is not written plainly, INT64_MAX if it is huge. */
static int64_t layer_number(const char *digits)
{
    size_t length = 0;
    int64_t number = 0;
    for (; digits[length] >= '0' && digits[length] <= '9'; length++) {
        if (length < 9) number = number * 10 + (digits[length] - '0');
    }
    if (length == 0 || digits[length] != '/' || (digits[0] == '0' && length > 1)) return -1;
    return length <= 9 ? number : INT64_MAX;
}

/* Above every real model; bounds what a small hostile file can make us allocate. */
#define MAX_LAYERS 4096

trd_status trdi_layers_count(const trdi_container *c, const char *scope, int64_t *out)
{
    char prefix[64];
    int64_t n = 0;
    for (;; n++) {
        if (n > MAX_LAYERS) return trdi_fail(TRD_E_UNSUPPORTED, "file '%s': '%s' has more than %d layers", c->file, scope, MAX_LAYERS);
        (void)snprintf(prefix, sizeof prefix, "%s/layer_%lld", scope, (long long)n);
        if (!trdi_scope_exists(c, prefix, NULL)) break;
    }
    *out = n;
    (void)snprintf(prefix, sizeof prefix, "%s/layer_", scope);
    const size_t length = strlen(prefix);
    for (size_t i = trdi_registry_lower_bound(c, prefix); i < c->n_entries; i++) {
        const char *name = c->entries[c->sorted[i]].name;
        if (strncmp(name, prefix, length) != 0) break;
        if (layer_number(name + length) >= n) {
            return trdi_fail(TRD_E_FORMAT, "file '%s': variable '%.*s' exists, but there is no '%s%lld'", c->file, TRDI_SHOWN, name,
                             prefix, (long long)n);
        }
    }
    return TRD_OK;
}
