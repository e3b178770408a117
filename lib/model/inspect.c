/*
 * inspect.c: facts of a model for people. Models that are described give them from the description; for the others (speech, packed
 * weights) they come from names and shapes, and stay 0 where those don't tell.
 */
#include <string.h>

#include "model/model_private.h"

static void count_variables(const trdi_container *c, trdi_model_facts *out)
{
    for (size_t i = 0; i < c->n_variables; i++) {
        const trdi_tensor *tensor = &c->variables[i].tensor;
        out->weight_bytes += (int64_t)tensor->bytes;
        const bool array = tensor->rank > 0 && strstr(tensor->name, "_scale") == NULL && strstr(tensor->name, "_token") == NULL;
        if (array) out->n_parameters += tensor->count;
    }
}

static void describe_stack(const trdi_stack_desc *s, trdi_model_facts *out)
{
    const trdi_attention_desc *attention = &s->layers[0].self_attention;
    out->d_model = s->d_model;
    out->d_ffn = s->layers[0].ffn.linear_0.weight->dims[0];
    out->n_heads = s->n_heads;
    out->n_heads_kv = attention->n_heads_kv;
    out->head_dim = attention->head_dim;
}

static int64_t count_layers(const trdi_container *c, const char *scope)
{
    int64_t n;
    return trdi_layers_count(c, scope, &n) == TRD_OK ? n : 0;
}

/* Width and heads from the variables that every such model has. */
static void guess(const trdi_container *c, trdi_model_facts *out)
{
    static const char *const widths[] = { "decoder/layer_norm/gamma", "encoder/layer_norm/gamma", "encoder/fp_projection/bias" };
    out->n_encoder_layers = count_layers(c, "encoder");
    out->n_decoder_layers = count_layers(c, "decoder");
    const char *scope = out->n_decoder_layers != 0 ? "decoder" : "encoder";
    for (size_t i = 0; i < sizeof widths / sizeof widths[0] && out->d_model == 0; i++) {
        const trdi_tensor *tensor = trdi_registry_find(c, widths[i]);
        if (tensor != NULL && tensor->rank == 1) out->d_model = tensor->dims[0];
    }
    if (trdi_attribute_find(c, scope, "num_heads") == NULL) scope = "encoder";
    if (trdi_attribute_int(c, scope, "num_heads", (trdi_int_rule){ 0, 1, INT32_MAX }, &out->n_heads) != TRD_OK) out->n_heads = 0;
}

void trdi_model_get_facts(const trd_model *model, trdi_model_facts *out)
{
    const struct trdi_model_private *p = model->private_part;
    const trdi_container *c = &p->container;
    *out = (trdi_model_facts){
        .spec = c->spec_name,
        .spec_revision = c->revision,
        .n_variables = (int64_t)c->n_variables,
        .n_aliases = (int64_t)c->n_listed_aliases,
        .unk = p->config.unk.data,
        .bos = p->config.bos.data,
        .eos = p->config.eos.data,
        .decoder_start = p->config.decoder_start.data,
    };
    count_variables(c, out);
    out->n_encoder_layers = model->encoder.n_layers;
    out->n_decoder_layers = model->decoder.n_layers;
    if (model->decoder.n_layers != 0) describe_stack(&model->decoder, out);
    else if (model->encoder.n_layers != 0) describe_stack(&model->encoder, out);
    else guess(c, out);
}

int64_t trdi_model_listed_count(const trd_model *model) { return (int64_t)model->private_part->container.n_listed; }

const trdi_tensor *trdi_model_listed(const trd_model *model, int64_t i, const char **alias)
{
    const trdi_container *c = &model->private_part->container;
    *alias = NULL;
    if (i < 0 || (uint64_t)i >= c->n_listed) return NULL;
    const trdi_entry *entry = &c->entries[c->listing[i]];
    if (entry->alias) *alias = entry->name;
    return &c->variables[entry->variable].tensor;
}
