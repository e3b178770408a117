/* search.c: what the kinds of search share: forced prefixes, segments and outputs of rows, random numbers. */
#include "decode/group.h"

int64_t trdi_group_choices(const trdi_group *group)
{
    return group->example->allowed != NULL ? group->example->n_allowed : group->n_vocabulary;
}

double trdi_group_uniform(const trdi_group *group, int64_t sample, int64_t step)
{
    if (group->job->generator != NULL) return trdi_mt19937_uniform(group->job->generator);
    return trdi_philox_uniform(group->search->seed, (uint32_t)group->example->index, (uint32_t)(sample + group->slot),
                               (uint32_t)(group->first_step + step), 0);
}

/** Pieces of prefixes and targets are such that a step makes about this many logits (32 MB). */
#define STEP_LOGITS ((int64_t)1 << 23)

/* Steps that a hard prefix takes up. */
static int64_t forced_steps(const trdi_group *group)
{
    if (group->search->prefix_bias_beta > 0.0f) return 0;
    return group->n_prefix < group->limit ? group->n_prefix : group->limit;
}

bool trdi_group_feeds(const trdi_group *group)
{
    if (group->kind == TRDI_GROUP_SCORE) return true;
    return !group->job->in_lockstep && group->step < forced_steps(group);
}

static int64_t room_for_logits(const trdi_builder *builder)
{
    return STEP_LOGITS / builder->info->vocabulary - builder->sizes.n_outputs;
}

bool trdi_builder_can_feed(const trdi_builder *builder, const trdi_group *group)
{
    const bool makes_logits = group->kind == TRDI_GROUP_SCORE || group->keeps_logits;
    return builder->feed_left > 0 && (!makes_logits || builder->sizes.n_outputs == 0 || room_for_logits(builder) > 0);
}

int64_t trdi_builder_feed(trdi_builder *builder, int64_t n, int64_t n_outputs)
{
    if (n > builder->feed_left) n = builder->feed_left;
    if (n_outputs > 0 && n > room_for_logits(builder) / n_outputs) n = room_for_logits(builder) / n_outputs;
    if (n < 1) n = 1;
    builder->feed_left -= n;
    return n;
}

/* How many prefix tokens this step forces, and whether a free choice follows them in the same step. */
static void plan_forced(trdi_group *group, trdi_builder *builder)
{
    const int64_t end = forced_steps(group);
    group->forced = group->step < end ? end - group->step : 0;
    if (trdi_group_feeds(group)) group->forced = trdi_builder_feed(builder, group->forced, group->keeps_logits ? 1 : 0);
    const bool is_last_piece = group->forced == 0 || group->step + group->forced == end;
    group->selects = is_last_piece && group->step + group->forced < group->limit;
    /* One at a time keeps the original's order of draws; alternatives draw nothing before they branch. */
    if (group->job->in_lockstep && group->forced > 0 && group->kind != TRDI_GROUP_EXPAND) {
        group->forced = 1;
        group->selects = false;
    }
}

static trd_status plan_single_row(trdi_group *group, trdi_builder *builder, trdi_row_norm norm)
{
    trdi_row *row = &group->rows[0];
    const int32_t *tokens = group->forced > 0 ? group->example->target + group->step : &row->input;
    const int64_t n = group->forced + (group->selects ? 1 : 0);
    TRDI_TRY(trdi_builder_add_segment(builder, group, row, tokens, n));
    const bool blind = group->kind == TRDI_GROUP_EXPAND;   /* alternatives: the rules do not see the prefix */
    const int32_t *history = group->forced > 0 ? group->prefix : row->history;
    for (int64_t i = 0; group->keeps_logits && i < group->forced; i++) {
        const int64_t seen = blind ? 0 : group->step + i;
        TRDI_TRY(trdi_builder_add_output(builder, group, group->token_base + i, history, seen, group->step + i, (trdi_row_norm){ 0 }, 0.0f));
    }
    if (!group->selects) return TRD_OK;
    const int64_t step = group->step + group->forced;
    const int64_t seen = blind ? 0 : group->forced > 0 ? step : row->n_history;
    return trdi_builder_add_output(builder, group, group->token_base + group->forced, history, seen, step, norm, row->score);
}

trd_status trdi_plan_rows(trdi_group *group, trdi_builder *builder, trdi_row_norm (*norm_of)(const trdi_group *group, int64_t row))
{
    if (group->n_rows == 1) return plan_single_row(group, builder, norm_of(group, 0));
    for (int64_t i = 0; i < group->n_rows; i++) {
        trdi_row *row = &group->rows[i];
        TRDI_TRY(trdi_builder_add_segment(builder, group, row, &row->input, 1));
        TRDI_TRY(trdi_builder_add_output(builder, group, group->token_base + i, row->history, row->n_history, group->step,
                                         norm_of(group, i), row->score));
    }
    return TRD_OK;
}

int32_t trdi_row_evidence(const trdi_group *group, int32_t evidence, int64_t row)
{
    return evidence + (int32_t)(group->n_rows == 1 ? group->forced : row);
}

trd_status trdi_take_forced(trdi_group *group, int32_t evidence)
{
    trdi_row *row = &group->rows[0];
    for (int64_t i = 0; i < group->forced; i++) {
        const int32_t token = group->prefix[group->step + i];
        TRDI_TRY(trdi_group_add_node(group, row->node, token, evidence + (int32_t)i, 0.0f, &row->node));
        TRDI_TRY(trdi_row_append_history(row, token));
        row->input = token;
    }
    group->step += group->forced;
    return TRD_OK;
}

trd_status trdi_group_plan(trdi_group *group, trdi_builder *builder)
{
    group->token_base = builder->sizes.n_tokens;
    group->output_base = builder->sizes.n_outputs;
    group->candidate_base = builder->sizes.n_candidates;
    if (group->kind == TRDI_GROUP_SCORE) return trdi_plan_score(group, builder);
    plan_forced(group, builder);
    if (group->keeps_attention) builder->features |= TRDI_FEATURE_ATTENTION;
    if (group->keeps_logits) builder->features |= TRDI_FEATURE_LOGITS;
    switch (group->kind) {
    case TRDI_GROUP_SAMPLES: return trdi_plan_samples(group, builder);
    case TRDI_GROUP_BEAM: return trdi_plan_beam(group, builder);
    case TRDI_GROUP_EXPAND: return trdi_plan_expand(group, builder);
    case TRDI_GROUP_SCORE: break;
    }
    return trdi_fail(TRD_E_INTERNAL, "group of unknown kind %d", (int)group->kind);
}

trd_status trdi_group_advance(trdi_group *group, trdi_builder *builder, const trdi_step_results *results,
                              trdi_group **children, int64_t *n_children)
{
    *n_children = 0;
    if (group->kind == TRDI_GROUP_SCORE) return trdi_advance_score(group, results);
    int32_t evidence;
    TRDI_TRY(trdi_group_record_evidence(group, builder, results, &evidence));
    switch (group->kind) {
    case TRDI_GROUP_SAMPLES: return trdi_advance_samples(group, builder, results, evidence);
    case TRDI_GROUP_BEAM: return trdi_advance_beam(group, builder, results, evidence);
    case TRDI_GROUP_EXPAND: return trdi_advance_expand(group, builder, results, evidence, children, n_children);
    case TRDI_GROUP_SCORE: break;
    }
    return trdi_fail(TRD_E_INTERNAL, "group of unknown kind %d", (int)group->kind);
}
