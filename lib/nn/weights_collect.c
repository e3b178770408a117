/* weights_collect.c: the walk over encoder and decoder that notes every matrix and small array, in a fixed order. */
#include "nn/network_private.h"

static void add_tensor(trdi_weights *weights, const trdi_tensor *tensor)
{
    if (tensor == NULL) return;
    trdi_weights_add_constant(weights, (trdi_constant){ .kind = TRDI_CONSTANT_TENSOR, .key = tensor, .count = tensor->count });
}

static void add_norm(trdi_weights *weights, const trdi_norm *norm)
{
    add_tensor(weights, norm->gamma);
    add_tensor(weights, norm->beta);
}

static void add_attention(trdi_weights *weights, const trdi_stack_desc *stack, const trdi_attention_desc *attention)
{
    add_norm(weights, &attention->norm);
    for (int i = 0; i < 3; i++) trdi_weights_add_linear(weights, &attention->linear[i]);
    trdi_weights_add_linear(weights, &attention->memory_kv);
    add_norm(weights, &attention->q_norm);
    add_norm(weights, &attention->k_norm);
    add_norm(weights, &attention->v_norm);
    if (attention->cross) return;

    if (attention->rotary.dim > 0)
        trdi_weights_add_constant(weights, (trdi_constant){ .kind = TRDI_CONSTANT_ROTARY, .key = &attention->rotary,
                                                            .count = attention->rotary.dim / 2 });
    if (attention->memory_kv.weight != NULL) return;
    add_tensor(weights, attention->relative_keys);
    add_tensor(weights, attention->relative_values);
    add_tensor(weights, attention->asymmetric_keys);
    add_tensor(weights, attention->relative_bias);
    if (stack->alibi)
        trdi_weights_add_constant(weights, (trdi_constant){ .kind = TRDI_CONSTANT_ALIBI, .key = attention,
                                                            .count = attention->n_heads,
                                                            .scale = stack->alibi_scaled ? attention->queries_scale : 1.0f });
}

static void add_layer(trdi_weights *weights, const trdi_stack_desc *stack, const trdi_layer_desc *layer)
{
    for (int i = 0; i < 4; i++) add_norm(weights, &layer->norms[i]);
    add_norm(weights, &layer->external_pre);
    add_norm(weights, &layer->external_post);
    add_attention(weights, stack, &layer->self_attention);
    if (layer->has_cross) add_attention(weights, stack, &layer->cross_attention);
    add_norm(weights, &layer->ffn.norm);
    trdi_weights_add_linear(weights, &layer->ffn.linear_0);
    trdi_weights_add_linear(weights, &layer->ffn.linear_0_noact);
    trdi_weights_add_linear(weights, &layer->ffn.linear_1);
}

static void add_stack(trdi_weights *weights, const trdi_stack_desc *stack)
{
    for (int64_t i = 0; i < stack->n_embeddings; i++) trdi_weights_add_embedding(weights, stack->embeddings[i]);
    trdi_weights_add_linear(weights, &stack->project_in);
    if (stack->has_positions) add_tensor(weights, stack->positions);
    add_norm(weights, &stack->embedding_norm);
    for (int64_t l = 0; l < stack->n_layers; l++) add_layer(weights, stack, &stack->layers[l]);
    add_norm(weights, &stack->output_norm);
    trdi_weights_add_linear(weights, &stack->project_out);
    trdi_weights_add_linear(weights, &stack->projection);
}

trd_status trdi_weights_collect(trdi_weights *weights, const trd_model *model)
{
    add_stack(weights, &model->encoder);
    add_stack(weights, &model->decoder);
    if (weights->failed) return trdi_fail(TRD_E_MEMORY, "model '%s': list of its weights", model->name);
    return TRD_OK;
}
