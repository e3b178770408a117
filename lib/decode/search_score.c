/* search_score.c: log-probabilities of a given target, fed in segments. */
#include <string.h>

#include "core/alloc.h"
#include "decode/group.h"

/** Targets are fed in pieces of so many tokens at most. */
#define SEGMENT_TOKENS ((int64_t)128)

static int64_t n_scored(const trdi_group *group) { return group->example->n_target - 1; }

static trd_status make_hypothesis(trdi_group *group)
{
    trdi_example *example = group->example;
    const size_t n = (size_t)n_scored(group);
    example->hypotheses = trdi_calloc(1, sizeof *example->hypotheses);
    if (example->hypotheses == NULL) return trdi_fail(TRD_E_MEMORY, "scores of %zu tokens: out of memory", n);
    example->n_hypotheses = 1;
    trdi_hypothesis *hypothesis = &example->hypotheses[0];
    hypothesis->ids = trdi_calloc(n, sizeof *hypothesis->ids);
    hypothesis->token_scores = trdi_calloc(n, sizeof *hypothesis->token_scores);
    if (hypothesis->ids == NULL || hypothesis->token_scores == NULL) {
        trdi_example_clear(example);
        return trdi_fail(TRD_E_MEMORY, "scores of %zu tokens: out of memory", n);
    }
    memcpy(hypothesis->ids, example->target + 1, n * sizeof *hypothesis->ids);
    hypothesis->n_tokens = (int64_t)n;
    return TRD_OK;
}

static trd_status add_given(trdi_builder *builder, const trdi_group *group, const int32_t *wanted, int64_t n)
{
    const size_t used = (size_t)builder->sizes.n_given;
    if (!trdi_reserve((void **)&builder->given, &builder->given_capacity, used + (size_t)n, sizeof *builder->given)) {
        return trdi_fail(TRD_E_MEMORY, "scores of %lld tokens: out of memory", (long long)n);
    }
    for (int64_t i = 0; i < n; i++) {
        if (wanted[i] < 0 || wanted[i] >= builder->info->vocabulary) {
            return trdi_fail(TRD_E_INVALID, "example %lld: target token id %d is not below the %lld outputs of the model",
                             (long long)group->example->index, (int)wanted[i], (long long)builder->info->vocabulary);
        }
        builder->given[used + (size_t)i] = wanted[i];
    }
    builder->sizes.n_given += n;
    return TRD_OK;
}

static int64_t piece_tokens(const trdi_group *group, trdi_builder *builder)
{
    const int64_t n = n_scored(group) - group->step;
    return trdi_builder_feed(builder, n < SEGMENT_TOKENS ? n : SEGMENT_TOKENS, 1);
}

trd_status trdi_plan_score(trdi_group *group, trdi_builder *builder)
{
    const int64_t n = piece_tokens(group, builder);
    const int32_t *inputs = group->example->target + group->step;
    if (group->example->hypotheses == NULL) TRDI_TRY(make_hypothesis(group));
    TRDI_TRY(trdi_builder_add_segment(builder, group, &group->rows[0], inputs, n));
    const trdi_row_norm norm = { .mode = TRDI_NORMALISE_LOG_SOFTMAX };
    for (int64_t i = 0; i < n; i++) {
        TRDI_TRY(trdi_builder_add_output(builder, group, group->token_base + i, NULL, 0, group->step + i, norm, 0.0f));
    }
    const trdi_selection selection = {
        .mode = TRDI_SELECT_GIVEN, .first_row = (int32_t)group->output_base, .n_rows = (int32_t)n, .n_candidates = (int32_t)n,
        .topp = 1.0f, .temperature = 1.0f, .noise_start = (int32_t)builder->sizes.n_given,
    };
    TRDI_TRY(add_given(builder, group, inputs + 1, n));
    group->forced = n;
    return trdi_builder_add_selection(builder, &selection);
}

trd_status trdi_advance_score(trdi_group *group, const trdi_step_results *results)
{
    float *scores = group->example->hypotheses[0].token_scores + group->step;
    for (int64_t i = 0; i < group->forced; i++) scores[i] = results->scores[group->candidate_base + i];
    group->step += group->forced;
    group->over = group->step == n_scored(group);
    return TRD_OK;
}
