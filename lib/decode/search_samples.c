/*
 * search_samples.c: greedy search and random sampling: independent rows, each taking one token a step. Rows share the
 * prefix and part when the first token is chosen.
 */
#include "core/alloc.h"
#include "decode/group.h"

static trdi_row_norm normalisation(const trdi_group *group, int64_t row)
{
    (void)row;
    const trdi_search *search = group->search;
    const bool scored = search->return_scores || group->row_capacity > 1 || search->return_alternatives;
    return (trdi_row_norm){ .mode = scored ? TRDI_NORMALISE_LOG_SOFTMAX : TRDI_NORMALISE_NONE };
}

static trd_status add_choice(trdi_group *group, trdi_builder *builder, int64_t output, int64_t sample)
{
    const trdi_search *search = group->search;
    trdi_selection selection = {
        .mode = TRDI_SELECT_BEST, .first_row = (int32_t)output, .n_rows = 1, .n_candidates = 1,
        .topk = (int32_t)search->sampling_topk, .topp = search->sampling_topp, .temperature = search->sampling_temperature,
    };
    if (search->sampling_topk != 1) {
        selection.mode = TRDI_SELECT_SAMPLE;
        selection.uniform = trdi_group_uniform(group, sample, group->step + group->forced);
    }
    return trdi_builder_add_selection(builder, &selection);
}

/* The original draws for forced tokens too. */
static void discard_draws(trdi_group *group)
{
    if (!group->job->in_lockstep || group->search->sampling_topk == 1) return;
    for (int64_t i = 0; i < group->row_capacity; i++) (void)trdi_group_uniform(group, i, group->step);
}

trd_status trdi_plan_samples(trdi_group *group, trdi_builder *builder)
{
    TRDI_TRY(trdi_plan_rows(group, builder, normalisation));
    if (!group->selects) {
        discard_draws(group);
        return TRD_OK;
    }
    const bool together = group->n_rows == 1 && group->row_capacity > 1 && group->step + group->forced == group->branch_step;
    if (together) {
        for (int64_t i = 0; i < group->row_capacity; i++) TRDI_TRY(add_choice(group, builder, builder->sizes.n_outputs - 1, i));
        return TRD_OK;
    }
    const int64_t first = group->n_rows == 1 ? builder->sizes.n_outputs - 1 : group->output_base;
    for (int64_t i = 0; i < group->n_rows; i++) TRDI_TRY(add_choice(group, builder, first + i, group->rows[i].sample));
    return TRD_OK;
}

static int64_t sample_number(const trdi_group *group, const trdi_row *row) { return group->slot + row->sample; }

/* Was this step reported before the job began anew? Else it counts as reported from now on. */
static bool was_reported(trdi_group *group, int64_t sample, int64_t step)
{
    const trdi_decode_job *job = group->job->job;
    int64_t *n = &job->n_reported[(group->example - job->examples) * group->search->num_hypotheses + sample];
    if (step < *n) return true;
    *n = step + 1;
    return false;
}

static trd_status post_event(trdi_group *group, int64_t sample, int64_t step, int32_t token, float score,
                             int32_t evidence, bool is_last)
{
    if (!group->search->wants_events || was_reported(group, sample, group->first_step + step)) return TRD_OK;
    const size_t n_logits = group->keeps_logits ? (size_t)group->n_vocabulary : 0;
    trdi_event *event = trdi_alloc(sizeof *event + n_logits * sizeof(float));
    if (event == NULL) return trdi_fail(TRD_E_MEMORY, "event of a token: out of memory");
    *event = (trdi_event){ .example = group->example->index, .hypothesis = sample, .step = group->first_step + step,
                           .token = token, .log_prob = score, .is_last = is_last, .n_logits = (int64_t)n_logits };
    for (size_t i = 0; i < n_logits; i++) event->logits[i] = group->logits[(size_t)evidence * n_logits + i];
    trdi_decode_job *job = group->job->job;
    trdi_mutex_lock(&job->base.call->mutex);
    if (job->events->last != NULL) job->events->last->next = event;
    else job->events->first = event;
    job->events->last = event;
    trdi_mutex_unlock(&job->base.call->mutex);
    trdi_call_notify(job->base.call);
    return TRD_OK;
}

static trd_status keep_hypothesis(trdi_group *group, int64_t sample, int32_t node)
{
    trdi_example *example = group->example;
    if (example->hypotheses == NULL) {
        example->hypotheses = trdi_calloc((size_t)group->row_capacity, sizeof *example->hypotheses);
        if (example->hypotheses == NULL) return trdi_fail(TRD_E_MEMORY, "%lld hypotheses: out of memory", (long long)group->row_capacity);
        example->n_hypotheses = group->row_capacity;
    }
    trdi_hypothesis *hypothesis = &example->hypotheses[sample];
    TRDI_TRY(trdi_build_hypothesis(group, node, hypothesis));
    hypothesis->sample = sample;
    return TRD_OK;
}

/* All rows are over: the example is finished unless callbacks may still cut it. */
static void end_group(trdi_group *group)
{
    group->over = true;
    if (group->search->wants_events) return;
    if (!group->search->return_alternatives) {
        trdi_finish_samples(group->example, group->search);
        return;
    }
    trdi_hypothesis *hypothesis = &group->example->hypotheses[group->slot];
    for (int64_t t = hypothesis->n_head; t < hypothesis->n_tokens; t++) hypothesis->score += hypothesis->token_scores[t];
    trdi_finish_hypothesis(hypothesis, group->memory->n_positions, group->search);
}

static trd_status report_forced(trdi_group *group, int64_t first_step, int32_t evidence)
{
    for (int64_t i = 0; i < group->forced; i++) {
        const int64_t step = first_step + i;
        for (int64_t sample = 0; sample < group->row_capacity; sample++) {
            TRDI_TRY(post_event(group, group->slot + sample, step, group->prefix[step], 0.0f, evidence + (int32_t)i,
                                step + 1 == group->limit));
        }
    }
    return TRD_OK;
}

/* The prefix fills the length limit: every sample is the prefix. */
static trd_status end_in_prefix(trdi_group *group)
{
    for (int64_t i = 0; i < group->row_capacity; i++) TRDI_TRY(keep_hypothesis(group, group->slot + i, group->rows[0].node));
    end_group(group);
    return TRD_OK;
}

static trd_status part_rows(trdi_group *group, trdi_runner *runner)
{
    for (int64_t i = 1; i < group->row_capacity; i++) {
        TRDI_TRY(trdi_row_fork(&group->rows[i], &group->rows[0], runner));
        group->rows[i].sample = i;
        group->n_rows = i + 1;
    }
    return TRD_OK;
}

/* Has a callback ended this hypothesis at this step or before? */
static bool was_stopped(const trdi_group *group, int64_t sample)
{
    if (group->example->stop_after == NULL) return false;
    const long long last = atomic_load(&group->example->stop_after[sample]);
    return last >= 0 && group->first_step + group->step >= last;
}

/* @return in *over whether the row has ended */
static trd_status take_token(trdi_group *group, trdi_row *row, int32_t token, float score, int32_t evidence, bool *over)
{
    const trdi_search *search = group->search;
    TRDI_TRY(trdi_group_add_node(group, row->node, token, evidence, score, &row->node));
    TRDI_TRY(trdi_row_append_history(row, token));
    row->input = token;
    const int64_t sample = sample_number(group, row);
    const bool is_last = trdi_is_end(search, token) || group->step + 1 == group->limit;
    TRDI_TRY(post_event(group, sample, group->step, token, score, evidence, is_last));
    *over = is_last || was_stopped(group, sample);
    return *over ? keep_hypothesis(group, sample, row->node) : TRD_OK;
}

/* Rows that go on move up, in order. */
static void drop_row(trdi_group *group, int64_t i, trdi_runner *runner)
{
    trdi_row ended = group->rows[i];
    trdi_row_release(&ended, runner);
    for (int64_t k = i; k + 1 < group->n_rows; k++) group->rows[k] = group->rows[k + 1];
    group->rows[--group->n_rows] = ended;
}

trd_status trdi_advance_samples(trdi_group *group, trdi_builder *builder, const trdi_step_results *results, int32_t evidence)
{
    const int64_t first_step = group->step;
    TRDI_TRY(trdi_take_forced(group, evidence));
    TRDI_TRY(report_forced(group, first_step, evidence));
    if (!group->selects) return group->step == group->limit ? end_in_prefix(group) : TRD_OK;
    const bool single = group->n_rows == 1;
    const int32_t single_evidence = trdi_row_evidence(group, evidence, 0);
    if (single && group->step == group->branch_step) TRDI_TRY(part_rows(group, builder->runner));
    int64_t line = 0;
    for (int64_t i = 0; i < group->n_rows; line++) {
        bool over;
        const int64_t from = group->candidate_base + line;
        const int32_t row_evidence = single ? single_evidence : evidence + (int32_t)line;
        TRDI_TRY(take_token(group, &group->rows[i], results->ids[from], results->scores[from], row_evidence, &over));
        if (over) drop_row(group, i, builder->runner);
        else i++;
    }
    group->step++;
    if (group->n_rows == 0) end_group(group);
    return TRD_OK;
}
