/*
 * stack_record.c: encoders and decoders as operations: embeddings, positions, the forms of layers, and the two stages.
 * A form is a few lines that place norms and residuals around the same sublayers.
 */
#include "nn/network_private.h"

static const trdi_rows absent = { { NULL, 0 }, 0 };
static const trdi_norm_extra plain = { .scale = 1.0f };

static void record_ffn(trdi_recorder *r, const trdi_layer_desc *layer, trdi_rows x, trdi_rows y, trdi_rows residual)
{
    const trdi_ffn_desc *ffn = &layer->ffn;
    const trdi_rows inner = trdi_in_arena(r, r->places->in_arena.ffn, trdi_linear_out(&ffn->linear_0));
    trdi_linear_extra extra = { .activation = r->stack->activation };
    r->part = "feed-forward";
    if (ffn->linear_0_noact.weight != NULL) {
        trdi_record_linear(r, TRDI_COUNT_TOKENS, &ffn->linear_0_noact, x, inner, trdi_linear_residual(absent));
        extra.multiplier = inner;
    }
    trdi_record_linear(r, TRDI_COUNT_TOKENS, &ffn->linear_0, x, inner, extra);
    trdi_record_linear(r, TRDI_COUNT_TOKENS, &ffn->linear_1, inner, y, trdi_linear_residual(residual));
}

/** Norm over the whole width of tokens. */
static void record_token_norm(trdi_recorder *r, const trdi_norm *norm, trdi_rows x, trdi_rows y, trdi_norm_extra extra)
{
    trdi_record_norm(r, TRDI_COUNT_TOKENS, norm, r->stack->d_model, x, y, extra);
}

/** x = x * factor. */
static void record_scale(trdi_recorder *r, trdi_count count, trdi_rows x, int64_t width, float factor)
{
    trdi_record(r, &(trdi_op){ .kind = TRDI_OP_MAP, .count = count, .u.map = {
        .function = TRDI_MAP_SCALE, .x = x.span, .y = x.span, .width = width, .x_stride = x.stride, .y_stride = x.stride,
        .parameter = factor } });
}

/** x = f(x), with the sublayer's own norm before or after and a residual around; without a norm there is no residual either. */
static void record_sequential(trdi_recorder *r, trdi_sublayer *sublayer, const trdi_layer_desc *layer, const trdi_norm *norm)
{
    const trdi_rows x = trdi_hidden(r), normed = trdi_normed(r);
    const bool has_norm = norm->gamma != NULL, before = has_norm && r->stack->pre_norm;
    if (before) record_token_norm(r, norm, x, normed, plain);
    sublayer(r, layer, before ? normed : x, x, has_norm ? x : absent);
    if (has_norm && !before) record_token_norm(r, norm, x, x, plain);
}

static void record_sequential_layer(trdi_recorder *r, const trdi_layer_desc *layer)
{
    record_sequential(r, trdi_record_self_attention, layer, &layer->self_attention.norm);
    if (layer->has_cross) record_sequential(r, trdi_record_cross_attention, layer, &layer->cross_attention.norm);
    record_sequential(r, record_ffn, layer, &layer->ffn.norm);
}

/** x = FF(h') + x + SA(h); h' = h with one norm, else a second norm of the same x, taken before x changes. */
static void record_parallel_layer(trdi_recorder *r, const trdi_layer_desc *layer)
{
    const trdi_rows x = trdi_hidden(r), h = trdi_normed(r);
    const bool two = trdi_layer_has_second_norm(layer);
    const trdi_rows second = two ? trdi_in_arena(r, r->places->in_arena.second, r->stack->d_model) : h;
    record_token_norm(r, &layer->norms[0], x, h, plain);
    if (two) record_token_norm(r, &layer->norms[1], x, second, plain);
    trdi_record_self_attention(r, layer, h, x, x);
    record_ffn(r, layer, second, x, x);
}

/** x = (x + after(f(before(x)))) * scale; an absent norm is the identity. */
static void record_between(trdi_recorder *r, trdi_sublayer *sublayer, const trdi_layer_desc *layer, const trdi_norm *before,
                           const trdi_norm *after, float scale)
{
    const trdi_rows x = trdi_hidden(r), normed = trdi_normed(r);
    record_token_norm(r, before, x, normed, plain);
    const trdi_rows input = before->gamma != NULL ? normed : x;
    if (after->gamma == NULL) {
        sublayer(r, layer, input, x, x);
        if (scale != 1.0f) record_scale(r, TRDI_COUNT_TOKENS, x, r->stack->d_model, scale);
        return;
    }
    sublayer(r, layer, input, normed, absent);
    record_token_norm(r, after, normed, x, (trdi_norm_extra){ .residual = x, .scale = scale });
}

static void record_pre_post_layer(trdi_recorder *r, const trdi_layer_desc *layer)
{
    record_between(r, trdi_record_self_attention, layer, &layer->norms[0], &layer->norms[1], 1.0f);
    if (layer->has_cross)
        record_between(r, trdi_record_cross_attention, layer, &layer->external_pre, &layer->external_post, 1.0f);
    record_between(r, record_ffn, layer, &layer->norms[2], &layer->norms[3], layer->layer_scalar);
}

static void record_embeddings(trdi_recorder *r, trdi_rows y)
{
    const trdi_stack_desc *stack = r->stack;
    const trdi_step_layout *in_step = &r->places->in_step;
    int64_t column = 0;
    for (int64_t i = 0; i < stack->n_embeddings; i++) {
        const trdi_tensor *table = stack->embeddings[i];
        const int64_t width = table->dims[table->rank - 1];
        trdi_record(r, &(trdi_op){ .kind = TRDI_OP_EMBED, .count = TRDI_COUNT_TOKENS, .u.embed = {
            .table = trdi_weights_find(&r->network->weights, table, NULL, TRDI_LAYOUT_EMBEDDING),
            .ids = trdi_in_step(r, in_step->ids[i]),
            .positions = trdi_in_step(r, in_step->positions),
            .y = trdi_columns(y, column).span,
            .width = width,
            .y_stride = y.stride,
            .scale = stack->embedding_scale,
            .accumulate = stack->embeddings_add && i > 0,
            .zero_start = stack->start_from_zero_embedding,
        } });
        if (!stack->embeddings_add) column += width;
    }
}

/** Gather, scale, project_in, positions, norm. */
static void record_input(trdi_recorder *r)
{
    const trdi_stack_desc *stack = r->stack;
    const trdi_rows x = trdi_hidden(r);
    r->part = "embeddings";
    if (stack->project_in.weight != NULL) {
        const trdi_rows narrow = trdi_in_arena(r, r->places->in_arena.normed, stack->embedding_width);
        record_embeddings(r, narrow);
        trdi_record_linear(r, TRDI_COUNT_TOKENS, &stack->project_in, narrow, x, trdi_linear_residual(absent));
    } else {
        record_embeddings(r, x);
    }
    if (stack->has_positions) {
        trdi_record(r, &(trdi_op){ .kind = TRDI_OP_POSITIONS, .count = TRDI_COUNT_TOKENS, .u.positions = {
            .table = trdi_weights_constant(&r->network->weights, TRDI_CONSTANT_TENSOR, stack->positions),
            .positions = trdi_in_step(r, r->places->in_step.positions),
            .y = x.span,
            .width = stack->d_model,
        } });
    }
    record_token_norm(r, &stack->embedding_norm, x, x, plain);
}

void trdi_record_stack(trdi_recorder *r, const trdi_stack_desc *stack)
{
    r->stack = stack;
    r->layer = -1;
    record_input(r);
    for (r->layer = 0; r->layer < stack->n_layers; r->layer++) {
        const trdi_layer_desc *layer = &stack->layers[r->layer];
        switch (layer->form) {
        case TRDI_LAYER_SEQUENTIAL: record_sequential_layer(r, layer); break;
        case TRDI_LAYER_PARALLEL_SHARED:
        case TRDI_LAYER_PARALLEL_TWO: record_parallel_layer(r, layer); break;
        case TRDI_LAYER_PRE_POST: record_pre_post_layer(r, layer); break;
        }
    }
    r->layer = -1;
}

static void record_copies(trdi_recorder *r)
{
    r->stack = &r->network->model->decoder;
    r->layer = -1;
    r->part = "cache copies";
    trdi_record(r, &(trdi_op){ .kind = TRDI_OP_KV_COPY, .count = TRDI_COUNT_COPIES, .u.kv_copy = {
        .pool = { r->places->pool, 0 },
        .block_stride = r->network->info.block_bytes,
        .copies = trdi_in_step(r, r->places->in_step.copies),
    } });
}

/** Source tokens to memory keys and values of every decoder layer. */
static void record_encode(trdi_recorder *r)
{
    const trd_model *model = r->network->model;
    trdi_record_stack(r, &model->encoder);
    const trdi_rows memory = trdi_hidden(r);
    r->part = "output norm";
    record_token_norm(r, &model->encoder.output_norm, memory, memory, plain);
    r->stack = &model->decoder;
    for (r->layer = 0; r->layer < model->decoder.n_layers; r->layer++)
        trdi_record_memory(r, &model->decoder.layers[r->layer], memory);
    r->layer = -1;
}

/** The wanted tokens' hidden states to logits. */
static void record_logits(trdi_recorder *r, trdi_rows logits)
{
    const trdi_stack_desc *stack = r->stack;
    const trdi_arena_layout *in_arena = &r->places->in_arena;
    trdi_rows x = trdi_in_arena(r, in_arena->gathered, stack->d_model);
    int64_t width = stack->d_model;
    r->part = "output";
    trdi_record(r, &(trdi_op){ .kind = TRDI_OP_GATHER, .count = TRDI_COUNT_OUTPUTS, .u.gather = {
        .x = trdi_hidden(r).span, .x_stride = stack->d_model,
        .y = x.span, .y_stride = x.stride,
        .indices = trdi_in_step(r, r->places->in_step.outputs),
        .width = width,
    } });
    trdi_record_norm(r, TRDI_COUNT_OUTPUTS, &stack->output_norm, width, x, x, plain);
    if (stack->project_out.weight != NULL) {
        width = trdi_linear_out(&stack->project_out);
        const trdi_rows reduced = trdi_in_arena(r, in_arena->reduced, width);
        trdi_record_linear(r, TRDI_COUNT_OUTPUTS, &stack->project_out, x, reduced, trdi_linear_residual(absent));
        x = reduced;
    }
    if (stack->output_scale != 1.0f) record_scale(r, TRDI_COUNT_OUTPUTS, x, width, stack->output_scale);
    trdi_record_linear(r, TRDI_COUNT_OUTPUTS, &stack->projection, x, logits, trdi_linear_residual(absent));
    if (stack->logit_softcap != 0.0f) {
        trdi_record(r, &(trdi_op){ .kind = TRDI_OP_MAP, .count = TRDI_COUNT_OUTPUTS, .u.map = {
            .function = TRDI_MAP_SOFTCAP, .x = logits.span, .y = logits.span, .width = r->network->info.vocabulary,
            .x_stride = logits.stride, .y_stride = logits.stride, .parameter = stack->logit_softcap } });
    }
}

/** Edits, normalisation, candidates. */
static void record_choice(trdi_recorder *r, trdi_rows logits)
{
    const trdi_step_layout *in_step = &r->places->in_step;
    const trdi_result_layout *in_result = &r->places->in_result;
    const int64_t width = r->network->info.vocabulary;
    const bool keep = (r->features & TRDI_FEATURE_LOGITS) != 0;
    const trdi_rows scores = keep ? trdi_in_arena(r, r->places->in_arena.scores, logits.stride) : logits;
    r->part = "choice";
    trdi_record(r, &(trdi_op){ .kind = TRDI_OP_EDIT, .count = TRDI_COUNT_OUTPUTS, .u.edit = {
        .logits = logits.span, .stride = logits.stride, .width = width,
        .edits = trdi_in_step(r, in_step->edits),
        .edit_starts = trdi_in_step(r, in_step->edit_starts),
        .masks = trdi_in_step(r, in_step->masks),
        .mask_bits = trdi_in_step(r, in_step->mask_bits),
        .mask_words = (width + 31) / 32,
    } });
    trdi_record(r, &(trdi_op){ .kind = TRDI_OP_LOG_SOFTMAX, .count = TRDI_COUNT_OUTPUTS, .u.log_softmax = {
        .x = logits.span, .y = scores.span, .parameters = trdi_in_step(r, in_step->row_norms), .width = width,
        .stride = logits.stride } });
    trdi_record(r, &(trdi_op){ .kind = TRDI_OP_SELECT, .count = TRDI_COUNT_SELECTIONS, .u.select = {
        .values = scores.span, .width = width, .stride = scores.stride,
        .row_scores = trdi_in_step(r, in_step->row_scores),
        .selections = trdi_in_step(r, in_step->selections),
        .noise = trdi_in_step(r, in_step->noise),
        .given = trdi_in_step(r, in_step->given),
        .ids = trdi_in_result(r, in_result->ids),
        .parents = trdi_in_result(r, in_result->parents),
        .scores = trdi_in_result(r, in_result->scores),
    } });
}

trd_status trdi_record_stage(trdi_recorder *recorder, const trdi_network *network, const trdi_places *places, trdi_stage stage,
                             uint32_t features)
{
    *recorder = (trdi_recorder){ .network = network, .places = places, .stage = stage, .features = features, .layer = -1 };
    record_copies(recorder);
    if (stage == TRDI_STAGE_ENCODE) {
        record_encode(recorder);
    } else {
        trdi_record_stack(recorder, &network->model->decoder);
        const trdi_rows logits = trdi_in_arena(recorder, places->in_arena.logits, places->in_arena.logits_stride);
        record_logits(recorder, logits);
        record_choice(recorder, logits);
    }
    return recorder->status;
}
