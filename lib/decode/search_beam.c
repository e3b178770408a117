/*
 * search_beam.c: beam search with hard or preferred prefixes, patience and several end tokens. As in
 * CTranslate2: 2 * beam candidates a step, end tokens count among the first beam ranks only, no score-bound pruning.
 */
#include <math.h>
#include <string.h>

#include "core/alloc.h"
#include "decode/group.h"

typedef struct candidate {
    int32_t parent, token;
    float   score;
} candidate;

static trdi_row_norm normalisation(const trdi_group *group, int64_t row)
{
    if (group->biased && group->step < group->n_prefix && !group->diverged[row]) {
        return (trdi_row_norm){ .mode = TRDI_NORMALISE_BIASED, .bias_id = group->prefix[group->step], .beta = group->search->prefix_bias_beta };
    }
    return (trdi_row_norm){ .mode = TRDI_NORMALISE_LOG_SOFTMAX };
}

/* Rows the original has at this step: from the second on, all beams, also those that only fill the ranks. */
static int64_t original_rows(const trdi_group *group, int64_t step)
{
    const int64_t beams = group->search->beam_size;
    return step == 0 && 2 * beams <= trdi_group_choices(group) ? 1 : beams;
}

/* One number per entry the original keeps; those of this group's rows come first. */
static trd_status add_noise(trdi_group *group, trdi_builder *builder, int64_t step, int64_t n_rows, int32_t *start)
{
    const int64_t topk = group->search->sampling_topk;
    const int64_t drawn = topk > 0 ? topk : original_rows(group, step) * group->n_vocabulary;
    const int64_t used = topk > 0 ? topk : n_rows * group->n_vocabulary;
    const size_t at = (size_t)builder->sizes.n_noise;
    if (!trdi_reserve((void **)&builder->noise, &builder->noise_capacity, at + (size_t)used, sizeof *builder->noise)) {
        return trdi_fail(TRD_E_MEMORY, "noise of a decoding step: out of memory");
    }
    trdi_mt19937 *generator = group->job->generator;
    for (int64_t i = 0; i < (drawn > used ? drawn : used); i++) {
        float u;
        if (generator == NULL) {
            u = (float)trdi_philox_uniform(group->search->seed, (uint32_t)group->example->index, (uint32_t)group->slot,
                                           (uint32_t)(group->first_step + step), (uint32_t)i);
        } else {
            u = i < drawn ? trdi_mt19937_uniform_f32(generator) : 0.5f;
        }
        /* Uniform between the smallest normal f32 and 1. */
        if (i < used) builder->noise[at + (size_t)i] = -logf(u * (1.0f - 0x1p-126f) + 0x1p-126f);
    }
    *start = (int32_t)at;
    builder->sizes.n_noise += used;
    return TRD_OK;
}

trd_status trdi_plan_beam(trdi_group *group, trdi_builder *builder)
{
    const trdi_search *search = group->search;
    TRDI_TRY(trdi_plan_rows(group, builder, normalisation));
    const int64_t step = group->step + group->forced;
    const bool noisy = search->sampling_topk != 1;
    if (!group->selects) {
        int32_t unused;
        if (noisy && group->job->in_lockstep) {
            const int64_t kept = builder->sizes.n_noise;
            TRDI_TRY(add_noise(group, builder, group->step, group->n_rows, &unused));
            builder->sizes.n_noise = kept;   /* drawn, as the original does, and dropped */
        }
        return TRD_OK;
    }
    const int64_t there = group->n_rows * trdi_group_choices(group);
    const int64_t wanted = 2 * search->beam_size;
    trdi_selection selection = {
        .mode = noisy ? TRDI_SELECT_NOISE : TRDI_SELECT_BEST,
        .first_row = (int32_t)(builder->sizes.n_outputs - group->n_rows), .n_rows = (int32_t)group->n_rows,
        .n_candidates = (int32_t)(wanted < there ? wanted : there),
        .topk = (int32_t)search->sampling_topk, .topp = search->sampling_topp, .temperature = search->sampling_temperature,
    };
    if (noisy) TRDI_TRY(add_noise(group, builder, step, group->n_rows, &selection.noise_start));
    group->n_candidates = selection.n_candidates;
    return trdi_builder_add_selection(builder, &selection);
}

static bool is_hard(const trdi_group *group) { return group->n_prefix > 0 && !(group->search->prefix_bias_beta > 0.0f); }

/* Candidate of rank k; ranks past what there is are fillers. */
static candidate read_candidate(const trdi_group *group, const trdi_step_results *results, int64_t k)
{
    if (k >= group->n_candidates) return (candidate){ 0, 0, TRDI_LOWEST };
    const int64_t from = group->candidate_base + k;
    candidate c = { results->parents[from], results->ids[from], results->scores[from] };
    if (is_hard(group) && group->step == group->n_prefix && k > 0 && trdi_is_end(group->search, c.token)) {
        c = (candidate){ 0, 0, TRDI_FILLER_SCORE };
    }
    return c;
}

static trd_status register_finished(trdi_group *group, int32_t node, float score)
{
    if (!trdi_reserve((void **)&group->finished, &group->finished_capacity, (size_t)group->n_finished + 1, sizeof *group->finished)) {
        return trdi_fail(TRD_E_MEMORY, "finished hypotheses: out of memory");
    }
    group->finished[group->n_finished++] = (trdi_finished){ node, score };
    return TRD_OK;
}

static trd_status add_candidate_node(trdi_group *group, candidate c, int32_t evidence, int32_t *node)
{
    const trdi_row *parent = &group->rows[c.parent];
    return trdi_group_add_node(group, parent->node, c.token, trdi_row_evidence(group, evidence, c.parent), c.score - parent->score, node);
}

static void update_divergence(trdi_group *group, const trdi_step_results *results)
{
    if (!group->biased) return;
    bool all = true;
    for (int64_t k = 0; k < group->search->beam_size; k++) {
        const bool follows = group->step < group->n_prefix && read_candidate(group, results, k).token == group->prefix[group->step];
        group->diverged[k] = group->diverged[k] || !follows;
        all = all && group->diverged[k];
    }
    if (all) group->biased = false;
}

/* The first candidate from *next on that goes on; slot itself if there is none. */
static int32_t replacement(const trdi_group *group, const trdi_step_results *results, int64_t slot, int64_t *next)
{
    const int64_t n = 2 * group->search->beam_size;
    while (*next < n) {
        const int64_t rank = (*next)++;
        if (!trdi_is_end(group->search, read_candidate(group, results, rank).token)) return (int32_t)rank;
    }
    return (int32_t)slot;
}

static trd_status sort_out_candidates(trdi_group *group, const trdi_step_results *results, int32_t evidence, bool last)
{
    const int64_t beams = group->search->beam_size;
    int64_t next = beams;
    for (int64_t k = 0; k < beams; k++) {
        const candidate c = read_candidate(group, results, k);
        group->kept[k] = (int32_t)k;
        if (!trdi_is_end(group->search, c.token) && !last) continue;
        if (k == 0) group->top_done = true;
        int32_t node;
        TRDI_TRY(add_candidate_node(group, c, evidence, &node));
        TRDI_TRY(register_finished(group, node, c.score));
        group->kept[k] = replacement(group, results, k, &next);
    }
    return TRD_OK;
}

static bool is_done(const trdi_group *group, bool last)
{
    const trdi_search *search = group->search;
    if (last) return true;
    if (search->length_penalty == 0.0f && search->coverage_penalty == 0.0f) {
        return group->top_done && group->n_finished >= group->n_wanted;
    }
    return group->n_finished >= (int64_t)floorf((float)search->beam_size * search->patience + 0.5f);
}

/* The kept candidates become the rows; tables are copied, not tensors. */
static trd_status continue_beams(trdi_group *group, const trdi_step_results *results, int32_t evidence, trdi_runner *runner)
{
    for (int64_t k = 0; k < group->search->beam_size; k++) {
        const candidate c = read_candidate(group, results, group->kept[k]);
        trdi_row *row = &group->spare[k];
        TRDI_TRY(trdi_row_fork(row, &group->rows[c.parent], runner));
        TRDI_TRY(add_candidate_node(group, c, evidence, &row->node));
        TRDI_TRY(trdi_row_append_history(row, c.token));
        row->input = c.token;
        row->score = c.score;
    }
    for (int64_t k = 0; k < group->n_rows; k++) trdi_row_release(&group->rows[k], runner);
    trdi_row *old = group->rows;
    group->rows = group->spare;
    group->spare = old;
    group->n_rows = group->search->beam_size;
    group->step++;
    return TRD_OK;
}

/* The prefix fills the length limit: every rank holds it, the others as fillers. */
static trd_status end_in_prefix(trdi_group *group)
{
    for (int64_t k = 0; k < group->search->beam_size; k++) {
        TRDI_TRY(register_finished(group, group->rows[0].node, k == 0 ? 0.0f : TRDI_FILLER_SCORE));
    }
    group->over = true;
    return trdi_finish_beams(group);
}

trd_status trdi_advance_beam(trdi_group *group, trdi_builder *builder, const trdi_step_results *results, int32_t evidence)
{
    TRDI_TRY(trdi_take_forced(group, evidence));
    if (!group->selects) return group->step == group->limit ? end_in_prefix(group) : TRD_OK;
    update_divergence(group, results);
    const bool last = group->step + 1 == group->limit;
    TRDI_TRY(sort_out_candidates(group, results, evidence, last));
    if (!is_done(group, last)) return continue_beams(group, results, evidence, builder->runner);
    group->over = true;
    return trdi_finish_beams(group);
}
