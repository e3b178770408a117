/*
 * search_expand.c: alternatives: the best next tokens after the prefix, each continued by a group of its own. As in
 * CTranslate2, but for positions, which are counted from the start token.
 */
#include <math.h>
#include <string.h>

#include "core/alloc.h"
#include "decode/group.h"

static trdi_row_norm normalisation(const trdi_group *group, int64_t row)
{
    (void)group;
    (void)row;
    return (trdi_row_norm){ .mode = TRDI_NORMALISE_LOG_SOFTMAX };
}

trd_status trdi_plan_expand(trdi_group *group, trdi_builder *builder)
{
    TRDI_TRY(trdi_plan_rows(group, builder, normalisation));
    if (!group->selects) return TRD_OK;
    /* End tokens are banned, but may still fill the last ranks of a small vocabulary: ask for enough to leave them out. */
    const int64_t there = trdi_group_choices(group), wanted = group->n_wanted + group->search->n_end_ids;
    const trdi_selection selection = {
        .mode = TRDI_SELECT_BEST, .first_row = (int32_t)(builder->sizes.n_outputs - 1), .n_rows = 1,
        .n_candidates = (int32_t)(wanted < there ? wanted : there), .topp = 1.0f, .temperature = 1.0f,
    };
    group->n_candidates = selection.n_candidates;
    return trdi_builder_add_selection(builder, &selection);
}

static trd_status make_room(trdi_group *group, int64_t n)
{
    trdi_example *example = group->example;
    if (n == 0) return TRD_OK;
    example->hypotheses = trdi_calloc((size_t)n, sizeof *example->hypotheses);
    if (example->hypotheses == NULL) return trdi_fail(TRD_E_MEMORY, "%lld alternatives: out of memory", (long long)n);
    example->n_hypotheses = n;
    return TRD_OK;
}

/* A hypothesis that ends with the head: nothing is left to decode. */
static trd_status keep_head(trdi_group *group, int64_t slot, int32_t node, float score)
{
    trdi_hypothesis *hypothesis = &group->example->hypotheses[slot];
    TRDI_TRY(trdi_build_hypothesis(group, node, hypothesis));
    hypothesis->sample = slot;
    hypothesis->n_head = hypothesis->n_tokens;
    hypothesis->head_score = score;
    trdi_finish_hypothesis(hypothesis, group->memory->n_positions, group->search);
    return TRD_OK;
}

static trd_status end_in_prefix(trdi_group *group)
{
    TRDI_TRY(make_room(group, group->n_wanted));
    for (int64_t i = 0; i < group->n_wanted; i++) TRDI_TRY(keep_head(group, i, group->rows[0].node, 0.0f));
    group->over = true;
    return TRD_OK;
}

static trd_status copy_floats(float **to, size_t *capacity, const float *from, size_t n)
{
    if (n == 0) return TRD_OK;
    if (!trdi_reserve((void **)to, capacity, n, sizeof(float))) return trdi_fail(TRD_E_MEMORY, "alternative: out of memory");
    memcpy(*to, from, n * sizeof(float));
    return TRD_OK;
}

/* The child's record begins with the parent's: prefix, then the token that makes the alternative. */
static trd_status copy_head(trdi_group *child, const trdi_group *parent, int32_t evidence, int32_t token, float score)
{
    for (int32_t i = 0; i < parent->n_nodes; i++) {
        int32_t unused;
        const trdi_node *node = &parent->nodes[i];
        TRDI_TRY(trdi_group_add_node(child, node->parent, node->token, node->evidence, node->score, &unused));
    }
    trdi_row *row = &child->rows[0];
    TRDI_TRY(trdi_group_add_node(child, row->node, token, evidence, score, &row->node));
    child->n_head = child->n_nodes;
    child->head_score = score;
    child->n_evidence = parent->n_evidence;
    const size_t lines = (size_t)parent->n_evidence;
    if (parent->keeps_attention) {
        TRDI_TRY(copy_floats(&child->attention, &child->attention_capacity, parent->attention, lines * (size_t)parent->memory->n_positions));
    }
    if (parent->keeps_logits) {
        TRDI_TRY(copy_floats(&child->logits, &child->logits_capacity, parent->logits, lines * (size_t)parent->n_vocabulary));
    }
    return TRD_OK;
}

static trd_status make_child(trdi_group *parent, trdi_runner *runner, int64_t slot, int32_t evidence, int32_t token, float score, trdi_group **out)
{
    trdi_group *child;
    TRDI_TRY(trdi_group_create(parent->job, parent->example, parent, &child));
    child->slot = slot;
    child->encoded = true;
    child->n_vocabulary = parent->n_vocabulary;
    trdi_row *row = &child->rows[0];
    trd_status status = trdi_row_fork(row, &parent->rows[0], runner);
    if (status == TRD_OK) {
        row->n_history = 0;   /* the rules look at the continuation alone */
        row->score = 0.0f;
        row->input = token;
        status = copy_head(child, parent, evidence, token, score);
    }
    if (status != TRD_OK) {
        trdi_group_destroy(child, runner);
        return status;
    }
    *out = child;
    return TRD_OK;
}

/* Candidates that are no end token and likely enough, best first; indices into the candidate arrays. */
static int64_t count_survivors(const trdi_group *group, const trdi_step_results *results, int32_t *survivors)
{
    int64_t n = 0;
    for (int64_t k = 0; k < group->n_candidates && n < group->n_wanted; k++) {
        const int64_t from = group->candidate_base + k;
        if (trdi_is_end(group->search, results->ids[from])) continue;
        if (expf(results->scores[from]) < group->search->min_alternative_probability) break;
        survivors[n++] = (int32_t)from;
    }
    return n;
}

trd_status trdi_advance_expand(trdi_group *group, trdi_builder *builder, const trdi_step_results *results, int32_t evidence,
                               trdi_group **children, int64_t *n_children)
{
    TRDI_TRY(trdi_take_forced(group, evidence));
    if (!group->selects) return group->step == group->limit ? end_in_prefix(group) : TRD_OK;
    int32_t *survivors = trdi_calloc((size_t)group->n_wanted, sizeof *survivors);
    if (survivors == NULL) return trdi_fail(TRD_E_MEMORY, "%lld alternatives: out of memory", (long long)group->n_wanted);
    const int64_t n = count_survivors(group, results, survivors);
    const int32_t line = trdi_row_evidence(group, evidence, 0);
    const bool full = group->step + 1 == group->limit;
    trd_status status = make_room(group, n);
    for (int64_t i = 0; i < n && status == TRD_OK; i++) {
        const int32_t token = results->ids[survivors[i]];
        const float score = results->scores[survivors[i]];
        if (full) {
            int32_t node;
            status = trdi_group_add_node(group, group->rows[0].node, token, line, score, &node);
            if (status == TRD_OK) status = keep_head(group, i, node, score);
        } else {
            status = make_child(group, builder->runner, i, line, token, score, &children[i]);
            if (status == TRD_OK) (*n_children)++;
        }
    }
    trdi_free(survivors);
    group->over = true;
    return status;
}
