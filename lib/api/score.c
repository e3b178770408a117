/* score.c: trd_translator_score() and trd_translator_submit_score(): targets to jobs, log-probabilities to results. */
#include <string.h>

#include "api/options.h"
#include "api/submission.h"
#include "core/alloc.h"

/* What a call is made of, while its submission is made. */
typedef struct score_call {
    const char          *what;        /* the public function */
    trd_translator      *translator;
    const trd_model     *model;
    trd_scoring_options  options;
    const trd_sequences *source, *target;
    trdi_submission     *submission;
    int64_t             *order;       /* [n] longest first */
    bool                 lines_up;    /* as the submission's */
} score_call;

void trd_scoring_options_init(trd_scoring_options *options, size_t size)
{
    const trd_scoring_options defaults = { .max_input_length = 1024 };
    trdi_write_defaults(options, size, &defaults, sizeof defaults);
}

/* ---- Arguments ---- */

/* A call that may be made is inside: trdi_workers_leave(). */
static trd_status begin_call(score_call *call, const void *out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "%s: out is NULL", call->what);
    if (call->translator == NULL) return trdi_fail(TRD_E_INVALID, "%s: translator is NULL", call->what);
    call->model = call->translator->model;
    return trdi_workers_hold(call->translator->workers, call->what);
}

static trd_status check_arguments(const score_call *call)
{
    const trd_sequences *source = call->source, *target = call->target;
    if (source == NULL || target == NULL) return trdi_fail(TRD_E_INVALID, "%s: %s is NULL", call->what, source == NULL ? "source" : "target");
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
    TRDI_TRY(trdi_read_options(out, sizeof *out, options, call->what));
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
    TRDI_TRY(trdi_sources_prepare(call->model, call->source, call->options.max_input_length, &s->sources));
    TRDI_TRY(copy_targets(call));
    return add_jobs(call);
}

/* @param how  NULL for a blocking call */
static trd_status make_submission(score_call *call, const trd_submit_options *how)
{
    TRDI_TRY(trdi_submission_create(TRDI_JOB_SCORE, call->translator->model, call->source->n, how, &call->submission));
    const trd_status status = fill_submission(call);
    trdi_free(call->order);
    if (status == TRD_OK) return TRD_OK;
    trdi_submission_release(call->submission);
    return status;
}

/* The part of a blocking call in which it is inside. */
static trd_status run_inside(score_call *call, const trd_scoring_options *options, trd_results **out)
{
    TRDI_TRY(check_arguments(call));
    TRDI_TRY(read_call_options(call, options));
    TRDI_TRY(make_submission(call, NULL));
    const trd_status status = trdi_submission_run(call->submission, call->translator->workers, call->what, out);
    trdi_submission_release(call->submission);
    return status;
}

static trd_status submit_inside(score_call *call, const trd_scoring_options *options, const trd_submit_options *how, trd_future **futures)
{
    trd_submit_options wanted;
    TRDI_TRY(check_arguments(call));
    TRDI_TRY(read_call_options(call, options));
    TRDI_TRY(trdi_submit_options_read(how, call->what, &wanted));
    TRDI_TRY(make_submission(call, &wanted));
    call->submission->lines_up = call->lines_up;
    const trd_status status = trdi_submission_start(call->submission, call->translator->workers, call->what, futures);
    trdi_submission_release(call->submission);
    return status;
}

trd_status trd_translator_score(trd_translator *translator, const trd_sequences *source, const trd_sequences *target,
                                const trd_scoring_options *options, trd_results **out)
{
    if (out != NULL) *out = NULL;
    score_call call = { .what = "trd_translator_score", .translator = translator, .source = source, .target = target };
    TRDI_TRY(begin_call(&call, out));
    const trd_status status = run_inside(&call, options, out);
    trdi_workers_leave(translator->workers);
    return status;
}

static trd_status submit(score_call *call, const trd_scoring_options *options, const trd_submit_options *how, trd_future **futures)
{
    for (int64_t i = 0; futures != NULL && call->source != NULL && i < call->source->n; i++) futures[i] = NULL;
    TRDI_TRY(begin_call(call, futures));
    const trd_status status = submit_inside(call, options, how, futures);
    trdi_workers_leave(call->translator->workers);
    return status;
}

trd_status trd_translator_submit_score(trd_translator *translator, const trd_sequences *source, const trd_sequences *target,
                                       const trd_scoring_options *options, const trd_submit_options *how, trd_future **futures)
{
    score_call call = { .what = "trd_translator_submit_score", .translator = translator, .source = source, .target = target };
    return submit(&call, options, how, futures);
}

trd_status trdi_score_line_up(trd_translator *translator, const trd_sequences *source, const trd_sequences *target,
                              const trd_scoring_options *options, const trd_submit_options *how, trd_future **futures)
{
    score_call call = { .what = "trd_translator_submit_score", .translator = translator, .source = source, .target = target, .lines_up = true };
    return submit(&call, options, how, futures);
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
