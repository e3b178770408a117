/* score.c: trd_translator_score(): targets to jobs, log-probabilities to results. */
#include <string.h>

#include "api/options.h"
#include "api/run_jobs.h"
#include "core/alloc.h"

typedef struct score_call {
    trd_translator      *translator;
    const trd_model     *model;
    trd_scoring_options  options;
    const trd_sequences *source, *target;
    trdi_sources         sources;
    int32_t            **targets;     /* [n] owned: decoder input and output in one */
    int64_t             *n_targets;   /* [n] */
    int64_t             *order, *places;
    trdi_batch           batch;
    trd_results         *results;
} score_call;

void trd_scoring_options_init(trd_scoring_options *options, size_t size)
{
    const trd_scoring_options defaults = { .max_input_length = 1024 };
    trdi_write_defaults(options, size, &defaults, sizeof defaults);
}

static trd_status check_call(const trd_translator *translator, const trd_sequences *source, const trd_sequences *target, trd_results **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_score: out is NULL");
    *out = NULL;
    if (translator == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_score: translator is NULL");
    TRDI_TRY(trdi_translator_check_process(translator, "trd_translator_score"));
    if (source == NULL || target == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_score: %s is NULL", source == NULL ? "source" : "target");
    TRDI_TRY(trdi_sequences_check(source, "source"));
    TRDI_TRY(trdi_sequences_check(target, "target"));
    if ((source->n == 0) != (target->n == 0) || target->n < source->n) {
        return trdi_fail(TRD_E_INVALID, "target has less examples (%lld) than source (%lld), or source has none", (long long)target->n, (long long)source->n);
    }
    return TRD_OK;
}

static trd_status read_call_options(const trd_scoring_options *options, trd_scoring_options *out)
{
    trd_scoring_options_init(out, sizeof *out);
    TRDI_TRY(trdi_read_options(out, sizeof *out, options, "trd_translator_score"));
    if (out->offset < 0) return trdi_fail(TRD_E_INVALID, "offset is %lld, it must be >= 0", (long long)out->offset);
    if (out->max_input_length < 0) return trdi_fail(TRD_E_INVALID, "max_input_length is %lld, it must be >= 0", (long long)out->max_input_length);
    return TRD_OK;
}

/* Start token if the model has one, target, end token; cut to one more than the limit. */
static trd_status make_target(score_call *call, int64_t i, const trdi_sequence *target)
{
    const bool start = call->model->decoder_start_id >= 0;
    const int64_t n = target->n + (start ? 2 : 1);
    int32_t *ids = trdi_calloc((size_t)n, sizeof *ids);
    if (ids == NULL) return trdi_fail(TRD_E_MEMORY, "target of %lld tokens: out of memory", (long long)n);
    call->targets[i] = ids;
    if (start) ids[0] = call->model->decoder_start_id;
    if (target->n > 0) trdi_sequence_ids(target, call->model->target, call->model->target_ids.unk, ids + (start ? 1 : 0));
    ids[n - 1] = call->model->target_ids.eos;
    const int64_t limit = call->options.max_input_length > 0 ? call->options.max_input_length + 1 : 0;
    call->n_targets[i] = trdi_truncate(ids, n, limit, call->model->target_ids.eos);
    return TRD_OK;
}

static trd_status prepare_inputs(score_call *call)
{
    const int64_t n = call->source->n;
    TRDI_TRY(trdi_sources_prepare(call->model, call->source, call->options.max_input_length, &call->sources));
    call->targets = trdi_calloc((size_t)n, sizeof *call->targets);
    call->n_targets = trdi_calloc((size_t)n, sizeof *call->n_targets);
    call->order = trdi_calloc((size_t)n, sizeof *call->order);
    call->places = trdi_calloc((size_t)n, sizeof *call->places);
    call->batch.examples = trdi_calloc((size_t)n, sizeof *call->batch.examples);
    call->batch.jobs = trdi_calloc((size_t)n, sizeof *call->batch.jobs);
    if (call->targets == NULL || call->n_targets == NULL || call->order == NULL || call->places == NULL ||
        call->batch.examples == NULL || call->batch.jobs == NULL) {
        return trdi_fail(TRD_E_MEMORY, "call of %lld examples: out of memory", (long long)n);
    }
    trdi_sequence target = { 0 };
    for (int64_t i = 0; i < n; i++) {
        trdi_sequence_next(call->target, i, &target);
        TRDI_TRY(make_target(call, i, &target));
    }
    return trdi_sources_order(&call->sources, n, call->order);
}

static void build_batch(score_call *call)
{
    trdi_batch *batch = &call->batch;
    batch->translator = call->translator;
    for (int64_t k = 0; k < call->source->n; k++) {
        const int64_t i = call->order[k];
        call->places[i] = -1;
        if (call->sources.lengths[i] == 0 || call->n_targets[i] < 2) continue;
        trdi_example *example = &batch->examples[batch->n_examples];
        call->places[i] = batch->n_examples++;
        trdi_sources_set(&call->sources, call->model, i, example);
        example->n_target = call->n_targets[i];
        example->target = call->targets[i];
        call->targets[i] = NULL;
        batch->jobs[batch->n_jobs++] = (trdi_decode_job){ .kind = TRDI_JOB_SCORE, .examples = example, .n_examples = 1 };
    }
}

static trd_status finish_result(const score_call *call, trd_result *result)
{
    result->has_token_scores = true;
    return trdi_result_set_tokens(result, 0, call->model);
}

static trd_status take_result(score_call *call, int64_t i, trd_result *result)
{
    trdi_example *example = &call->batch.examples[call->places[i]];
    TRDI_TRY(trdi_result_reserve(result, 1));
    trdi_hypothesis *hypothesis = &result->hypotheses[0].from;
    *hypothesis = example->hypotheses[0];
    example->hypotheses[0] = (trdi_hypothesis){ 0 };
    const int64_t left_out = call->options.offset < hypothesis->n_tokens ? call->options.offset : hypothesis->n_tokens;
    hypothesis->n_tokens -= left_out;
    memmove(hypothesis->ids, hypothesis->ids + left_out, (size_t)hypothesis->n_tokens * sizeof *hypothesis->ids);
    memmove(hypothesis->token_scores, hypothesis->token_scores + left_out, (size_t)hypothesis->n_tokens * sizeof *hypothesis->token_scores);
    return finish_result(call, result);
}

/* Nothing was run: the target's tokens with score 0, or nothing where there is no token after the start. */
static trd_status empty_result(score_call *call, int64_t i, trd_result *result)
{
    TRDI_TRY(trdi_result_reserve(result, 1));
    trdi_hypothesis *hypothesis = &result->hypotheses[0].from;
    const int64_t n = call->n_targets[i] > 0 ? call->n_targets[i] - 1 : 0;
    hypothesis->ids = trdi_calloc((size_t)n, sizeof *hypothesis->ids);
    hypothesis->token_scores = trdi_calloc((size_t)n, sizeof *hypothesis->token_scores);
    if (hypothesis->ids == NULL || hypothesis->token_scores == NULL) return trdi_fail(TRD_E_MEMORY, "scores of %lld tokens: out of memory", (long long)n);
    if (n > 0) memcpy(hypothesis->ids, call->targets[i] + 1, (size_t)n * sizeof *hypothesis->ids);
    hypothesis->n_tokens = n;
    return finish_result(call, result);
}

static trd_status run_call(score_call *call)
{
    TRDI_TRY(prepare_inputs(call));
    build_batch(call);
    if (call->batch.n_jobs > 0) TRDI_TRY(trdi_batch_run(&call->batch));
    TRDI_TRY(trdi_results_create(call->translator->model, call->source->n, &call->results));
    for (int64_t i = 0; i < call->source->n; i++) {
        trd_result *result = &call->results->items[i];
        TRDI_TRY(call->places[i] >= 0 ? take_result(call, i, result) : empty_result(call, i, result));
    }
    return TRD_OK;
}

trd_status trd_translator_score(trd_translator *translator, const trd_sequences *source, const trd_sequences *target,
                                const trd_scoring_options *options, trd_results **out)
{
    TRDI_TRY(check_call(translator, source, target, out));
    score_call call = { .translator = translator, .model = translator->model, .source = source, .target = target };
    TRDI_TRY(read_call_options(options, &call.options));
    const trd_status status = run_call(&call);
    if (status == TRD_OK) *out = call.results;
    else trd_results_destroy(call.results);
    trdi_batch_free(&call.batch);
    trdi_sources_free(&call.sources);
    for (int64_t i = 0; call.targets != NULL && i < source->n; i++) trdi_free(call.targets[i]);
    trdi_free(call.targets);
    trdi_free(call.n_targets);
    trdi_free(call.order);
    trdi_free(call.places);
    return status;
}
