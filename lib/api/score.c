/* score.c: trd_translator_score() and trd_translator_submit_score(): targets to jobs, log-probabilities to results. */
#include <string.h>

#include "api/options.h"
#include "api/submission.h"
#include "core/alloc.h"

/* What a call is made of, while its submission is made. */
typedef struct score_call {
    trdi_making          of;
    const trd_model     *model;
    const trd_scoring_options *given; /* the caller's, or NULL */
    trd_scoring_options  options;
    const trd_sequences *target;
    trdi_submission     *submission;
    int64_t             *order;       /* [n] longest first */
} score_call;

void trd_scoring_options_init(trd_scoring_options *options, size_t size)
{
    const trd_scoring_options defaults = { .max_input_length = 1024 };
    trdi_write_defaults(options, size, &defaults, sizeof defaults);
}

/* ---- Arguments ---- */

static trd_status check_arguments(const score_call *call)
{
    const trd_sequences *source = call->of.source, *target = call->target;
    if (source == NULL || target == NULL) return trdi_fail(TRD_E_INVALID, "%s: %s is NULL", call->of.what, source == NULL ? "source" : "target");
    TRDI_TRY(trdi_sequences_check(source, "source"));
    TRDI_TRY(trdi_sequences_check(target, "target"));
    if ((source->n == 0) != (target->n == 0) || target->n < source->n) {
        return trdi_fail(TRD_E_INVALID, "target has less examples (%lld) than source (%lld), or source has none", (long long)target->n, (long long)source->n);
    }
    return TRD_OK;
}

static trd_status read_call_options(score_call *call, const trd_scoring_options *options)
{
    trd_scoring_options *out = &call->options;
    trd_scoring_options_init(out, sizeof *out);
    TRDI_TRY(trdi_read_options(out, sizeof *out, options, call->of.what));
    if (out->offset < 0) return trdi_fail(TRD_E_INVALID, "offset is %lld, it must be >= 0", (long long)out->offset);
    if (out->max_input_length < 0) return trdi_fail(TRD_E_INVALID, "max_input_length is %lld, it must be >= 0", (long long)out->max_input_length);
    return TRD_OK;
}

/* ---- To jobs ---- */

/* Start token if the model has one, target, end token; cut to one more than the limit. @return tokens written before the cut */
static int64_t make_target(const score_call *call, trd_future *future, const trdi_sequence *target, int32_t *ids)
{
    const bool start = call->model->decoder_start_id >= 0;
    const int64_t n = target->n + (start ? 2 : 1);
    if (start) ids[0] = call->model->decoder_start_id;
    if (target->n > 0) trdi_sequence_ids(target, call->model->target, call->model->target_ids.unk, ids + (start ? 1 : 0));
    ids[n - 1] = call->model->target_ids.eos;
    const int64_t limit = call->options.max_input_length > 0 ? call->options.max_input_length + 1 : 0;
    future->target = ids;
    future->n_target = trdi_truncate(ids, n, limit, call->model->target_ids.eos);
    future->n_idle = future->n_target > 0 ? future->n_target - 1 : 0;
    return n;
}

static trd_status copy_targets(score_call *call)
{
    trdi_submission *s = call->submission;
    int64_t total = 2 * s->n;
    for (int64_t i = 0; i < s->n; i++) total += call->target->lengths[i];
    s->targets = trdi_calloc((size_t)total, sizeof *s->targets);
    if (s->targets == NULL) return trdi_fail(TRD_E_MEMORY, "targets of %lld tokens: out of memory", (long long)total);
    int32_t *at = s->targets;
    trdi_sequence target = { 0 };
    for (int64_t i = 0; i < s->n; i++) {
        trdi_sequence_next(call->target, i, &target);
        at += make_target(call, &s->futures[i], &target, at);
    }
    return TRD_OK;
}

static trd_status add_jobs(score_call *call)
{
    trdi_submission *s = call->submission;
    TRDI_TRY(trdi_submission_reserve(s, s->n));
    call->order = trdi_calloc((size_t)s->n, sizeof *call->order);
    if (call->order == NULL) return trdi_fail(TRD_E_MEMORY, "call of %lld examples: out of memory", (long long)s->n);
    TRDI_TRY(trdi_sources_order(&s->sources, s->n, call->order));
    for (int64_t k = 0; k < s->n; k++) {
        const int64_t i = call->order[k];
        if (s->sources.lengths[i] == 0 || s->futures[i].n_target < 2) continue;
        trdi_submission_add_job(s, trdi_submission_add_example(s, i), 1);
    }
    return TRD_OK;
}

static trd_status fill_submission(score_call *call)
{
    trdi_submission *s = call->submission;
    s->offset = call->options.offset;
    TRDI_TRY(trdi_sources_prepare(call->model, call->of.source, call->options.max_input_length, &s->sources));
    TRDI_TRY(copy_targets(call));
    return add_jobs(call);
}

static trd_status check(trdi_making *making)
{
    score_call *call = (score_call *)(void *)making;
    call->model = making->translator->model;
    TRDI_TRY(check_arguments(call));
    return read_call_options(call, call->given);
}

static trd_status make(trdi_making *making, const trd_submit_options *how, trdi_submission **out)
{
    score_call *call = (score_call *)(void *)making;
    TRDI_TRY(trdi_submission_create(TRDI_JOB_SCORE, making->translator->model, making->source->n, how, out));
    call->submission = *out;
    const trd_status status = fill_submission(call);
    trdi_free(call->order);
    if (status != TRD_OK) trdi_submission_release(call->submission);
    return status;
}

static score_call describe(const char *what, trd_translator *translator, const trd_sequences *source, const trd_sequences *target,
                      const trd_scoring_options *options)
{
    return (score_call){
        .of = { .what = what, .translator = translator, .source = source, .check = check, .make = make }, .target = target, .given = options };
}

trd_status trd_translator_score(trd_translator *translator, const trd_sequences *source, const trd_sequences *target,
                                   const trd_scoring_options *options, trd_results **out)
{
    score_call call = describe("trd_translator_score", translator, source, target, options);
    return trdi_making_run(&call.of, out);
}

trd_status trd_translator_submit_score(trd_translator *translator, const trd_sequences *source, const trd_sequences *target,
                  const trd_scoring_options *options, const trd_submit_options *how, trd_future **futures)
{
    score_call call = describe("trd_translator_submit_score", translator, source, target, options);
    return trdi_making_submit(&call.of, how, futures);
}

trd_status trdi_score_line_up(trd_translator *translator, const trd_sequences *source, const trd_sequences *target,
                                 const trd_scoring_options *options, const trd_submit_options *how, trd_future **futures)
{
    score_call call = describe("trd_translator_submit_score", translator, source, target, options);
    call.of.lines_up = true;
    return trdi_making_submit(&call.of, how, futures);
}

/* ---- To results ---- */

/* Without the first tokens, if so asked. */
static void take_scores(const trd_future *future, trdi_hypothesis *hypothesis)
{
    trdi_example *example = future->example;
    *hypothesis = example->hypotheses[0];
    example->hypotheses[0] = (trdi_hypothesis){ 0 };
    const int64_t offset = future->submission->offset, left_out = offset < hypothesis->n_tokens ? offset : hypothesis->n_tokens;
    hypothesis->n_tokens -= left_out;
    memmove(hypothesis->ids, hypothesis->ids + left_out, (size_t)hypothesis->n_tokens * sizeof *hypothesis->ids);
    memmove(hypothesis->token_scores, hypothesis->token_scores + left_out, (size_t)hypothesis->n_tokens * sizeof *hypothesis->token_scores);
}

/* Nothing was run: the target's tokens with score 0, or nothing where there is no token after the start. */
static trd_status repeat_target(const trd_future *future, trdi_hypothesis *hypothesis)
{
    const int64_t n = future->n_idle;
    hypothesis->ids = trdi_calloc((size_t)n, sizeof *hypothesis->ids);
    hypothesis->token_scores = trdi_calloc((size_t)n, sizeof *hypothesis->token_scores);
    if (hypothesis->ids == NULL || hypothesis->token_scores == NULL) return trdi_fail(TRD_E_MEMORY, "scores of %lld tokens: out of memory", (long long)n);
    if (n > 0) memcpy(hypothesis->ids, future->target + 1, (size_t)n * sizeof *hypothesis->ids);
    hypothesis->n_tokens = n;
    return TRD_OK;
}

trd_status trdi_score_convert(trd_future *future)
{
    trd_result *result = future->result;
    TRDI_TRY(trdi_result_reserve(result, 1));
    result->has_token_scores = true;
    trdi_hypothesis *hypothesis = &result->hypotheses[0].from;
    if (future->example != NULL) take_scores(future, hypothesis);
    else TRDI_TRY(repeat_target(future, hypothesis));
    return trdi_result_set_tokens(result, 0, future->submission->results->model);
}
