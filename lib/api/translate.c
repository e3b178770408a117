/* translate.c: trd_translator_translate(): sources and prefixes to jobs, hypotheses to results. */
#include <string.h>

#include "api/options.h"
#include "api/run_jobs.h"
#include "api/vocabulary_choice.h"
#include "core/alloc.h"

typedef struct translate_call {
    trd_translator       *translator;
    const trd_model      *model;
    trd_decoding_options  options;
    const trd_sequences  *source;
    trdi_sources          sources;
    trdi_sequence        *prefixes;   /* [n]; n = 0 tokens where there is none */
    int64_t              *order;      /* [n] longest first */
    trdi_batch            batch;
    int64_t              *places;     /* [n] example of each source in the batch, or -1 */
    trd_results          *results;
} translate_call;

void trd_decoding_options_init(trd_decoding_options *options, size_t size)
{
    const trd_decoding_options defaults = {
        .beam_size = 2, .patience = 1, .num_hypotheses = 1, .length_penalty = 1, .repetition_penalty = 1,
        .max_input_length = 1024, .max_decoding_length = 256, .min_decoding_length = 1,
        .sampling_topk = 1, .sampling_topp = 1, .sampling_temperature = 1,
    };
    trdi_write_defaults(options, size, &defaults, sizeof defaults);
}

static trd_status check_call(const trd_translator *translator, const trd_sequences *source, const trd_sequences *prefix, trd_results **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_translate: out is NULL");
    *out = NULL;
    if (translator == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_translate: translator is NULL");
    TRDI_TRY(trdi_translator_check_process(translator, "trd_translator_translate"));
    if (source == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_translate: source is NULL");
    TRDI_TRY(trdi_sequences_check(source, "source"));
    if (prefix == NULL) return TRD_OK;
    TRDI_TRY(trdi_sequences_check(prefix, "prefix"));
    if (prefix->n > 0 && prefix->n < source->n) {
        return trdi_fail(TRD_E_INVALID, "prefix has less examples (%lld) than source (%lld)", (long long)prefix->n, (long long)source->n);
    }
    return TRD_OK;
}

static trd_status read_call_options(const trd_decoding_options *options, trd_decoding_options *out)
{
    trd_decoding_options_init(out, sizeof *out);
    TRDI_TRY(trdi_read_options(out, sizeof *out, options, "trd_translator_translate"));
    TRDI_TRY(trdi_sequences_check(&out->suppress_sequences, "suppress_sequences"));
    TRDI_TRY(trdi_sequences_check(&out->end_tokens, "end_tokens"));
    if (out->max_batch_size < 0) return trdi_fail(TRD_E_INVALID, "max_batch_size is %lld, it must be >= 0", (long long)out->max_batch_size);
    if (out->max_input_length < 0) return trdi_fail(TRD_E_INVALID, "max_input_length is %lld, it must be >= 0", (long long)out->max_input_length);
    return TRD_OK;
}

static trd_status prepare_inputs(translate_call *call, const trd_sequences *prefix)
{
    const int64_t n = call->source->n;
    TRDI_TRY(trdi_sources_prepare(call->model, call->source, call->options.max_input_length, &call->sources));
    call->prefixes = trdi_calloc((size_t)n, sizeof *call->prefixes);
    call->order = trdi_calloc((size_t)n, sizeof *call->order);
    call->places = trdi_calloc((size_t)n, sizeof *call->places);
    if (call->prefixes == NULL || call->order == NULL || call->places == NULL) {
        return trdi_fail(TRD_E_MEMORY, "call of %lld examples: out of memory", (long long)n);
    }
    trdi_sequence sequence = { 0 };
    for (int64_t i = 0; prefix != NULL && prefix->n > 0 && i < n; i++) {
        trdi_sequence_next(prefix, i, &sequence);
        call->prefixes[i] = sequence;
    }
    return trdi_sources_order(&call->sources, n, call->order);
}

/* Decoder start and prefix of example i. */
static trd_status make_target(const translate_call *call, int64_t i, int32_t **target, int64_t *n)
{
    const trdi_sequence *prefix = &call->prefixes[i];
    const bool start = call->model->decoder_start_id >= 0;
    *n = prefix->n + (start ? 1 : 0);
    *target = NULL;
    if (*n == 0) return trdi_fail(TRD_E_INVALID, "example %lld: One input has no decoder start token: its prefix is empty", (long long)i);
    int32_t *ids = trdi_calloc((size_t)*n, sizeof *ids);
    if (ids == NULL) return trdi_fail(TRD_E_MEMORY, "prefix of %lld tokens: out of memory", (long long)*n);
    if (start) ids[0] = call->model->decoder_start_id;
    if (prefix->n > 0) trdi_sequence_ids(prefix, call->model->target, call->model->target_ids.unk, ids + (start ? 1 : 0));
    *target = ids;
    return TRD_OK;
}

static trd_status add_stops(trdi_example *example, int64_t n)
{
    example->stop_after = trdi_calloc((size_t)n, sizeof *example->stop_after);
    if (example->stop_after == NULL) return trdi_fail(TRD_E_MEMORY, "callback of example %lld: out of memory", (long long)example->index);
    for (int64_t i = 0; i < n; i++) atomic_init(&example->stop_after[i], -1);
    return TRD_OK;
}

static trd_status add_example(translate_call *call, int64_t i)
{
    trdi_example *example = &call->batch.examples[call->batch.n_examples];
    call->places[i] = call->batch.n_examples++;
    trdi_sources_set(&call->sources, call->model, i, example);
    int32_t *target;
    TRDI_TRY(make_target(call, i, &target, &example->n_target));
    example->target = target;
    if (call->options.use_vmap && call->model->vocabulary_map != NULL) {
        TRDI_TRY(trdi_choose_vocabulary(call->model, &call->sources.sequences[i], example));
    }
    return call->batch.search.wants_events ? add_stops(example, call->options.num_hypotheses) : TRD_OK;
}

/* A worker of the original goes on with its stream from batch to batch; with several workers each has its own. */
static trd_status make_generator(translate_call *call)
{
    trdi_search *search = &call->batch.search;
    if (search->rng != TRD_RNG_MT19937 || search->sampling_topk == 1 || call->translator->n_workers > 1) return TRD_OK;
    search->generator = trdi_alloc(sizeof *search->generator);
    if (search->generator == NULL) return trdi_fail(TRD_E_MEMORY, "random generator: out of memory");
    trdi_mt19937_seed(search->generator, (uint32_t)search->seed);
    return TRD_OK;
}

/* Every example a job of its own; the draws of mt19937 depend on what runs together, so that there a batch is one job. */
static void make_jobs(translate_call *call)
{
    trdi_batch *batch = &call->batch;
    const bool closed = batch->search.rng == TRD_RNG_MT19937 && batch->search.sampling_topk != 1 && !batch->search.return_alternatives;
    const trd_decoding_options *o = &call->options;
    int64_t longest = 0, in_batch = 0;
    trdi_decode_job *open = NULL;
    for (int64_t k = 0; k < call->source->n; k++) {
        const int64_t i = call->order[k], weight = o->batch_by_tokens && o->max_batch_size > 0 ? call->source->lengths[i] : 1;
        longest = weight > longest ? weight : longest;
        if (o->max_batch_size > 0 && in_batch > 0 && (in_batch + 1) * longest > o->max_batch_size) {
            in_batch = 0;
            longest = weight;
            open = NULL;
        }
        in_batch++;
        if (call->places[i] < 0) continue;
        if (closed && open != NULL) {
            open->n_examples++;
            continue;
        }
        open = &batch->jobs[batch->n_jobs++];
        *open = (trdi_decode_job){
            .kind = TRDI_JOB_SEARCH, .search = &batch->search, .examples = &batch->examples[call->places[i]], .n_examples = 1 };
    }
}

static trd_status build_batch(translate_call *call)
{
    const int64_t n = call->source->n;
    int64_t n_run = 0;
    for (int64_t i = 0; i < n; i++) {
        call->places[i] = -1;
        n_run += call->sources.empty[i] ? 0 : 1;
    }
    if (n_run == 0) return TRD_OK;   /* options of a call that runs nothing are not looked at, as in the original */
    trdi_batch *batch = &call->batch;
    TRDI_TRY(trdi_search_resolve(call->model, &call->options, &batch->search));
    batch->translator = call->translator;
    batch->places = call->places;
    batch->on_step = call->options.on_step;
    batch->on_step_context = call->options.on_step_context;
    batch->examples = trdi_calloc((size_t)n_run, sizeof *batch->examples);
    batch->jobs = trdi_calloc((size_t)n_run, sizeof *batch->jobs);
    if (batch->examples == NULL || batch->jobs == NULL) return trdi_fail(TRD_E_MEMORY, "%lld jobs: out of memory", (long long)n_run);
    for (int64_t k = 0; k < n; k++) {
        const int64_t i = call->order[k];
        if (!call->sources.empty[i]) TRDI_TRY(add_example(call, i));
    }
    TRDI_TRY(make_generator(call));
    make_jobs(call);
    return TRD_OK;
}

/* Columns become the user's source tokens: implicit special ones go, what was cut off is 0. */
static trd_status map_attention(const translate_call *call, int64_t i, trdi_hypothesis *hypothesis, int64_t n_memory)
{
    if (hypothesis->attention == NULL) return TRD_OK;
    const int64_t first = call->model->add_source_bos ? 1 : 0, wanted = call->source->lengths[i];
    int64_t there = n_memory - first - (call->model->add_source_eos ? 1 : 0);
    if (there > wanted) there = wanted;
    float *mapped = trdi_calloc((size_t)hypothesis->n_tokens, (size_t)wanted * sizeof *mapped);
    if (mapped == NULL) return trdi_fail(TRD_E_MEMORY, "attention of example %lld: out of memory", (long long)i);
    for (int64_t t = 0; t < hypothesis->n_tokens && there > 0; t++) {
        memcpy(mapped + t * wanted, hypothesis->attention + t * n_memory + first, (size_t)there * sizeof *mapped);
    }
    trdi_free(hypothesis->attention);
    hypothesis->attention = mapped;
    return TRD_OK;
}

static int64_t arg_max(const float *values, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        if (values[i] > values[best]) best = i;
    }
    return best;
}

/* Text of source token s of example i, owned by the result. */
static trd_status source_text(const translate_call *call, int64_t i, int64_t s, trd_result *result, const char **out)
{
    if (result->texts == NULL) {
        result->texts = trdi_calloc((size_t)call->source->lengths[i], sizeof *result->texts);
        if (result->texts == NULL) return trdi_fail(TRD_E_MEMORY, "replaced tokens: out of memory");
        result->n_texts = call->source->lengths[i];
    }
    if (result->texts[s] == NULL) {
        size_t bytes;
        const char *token = trdi_sequence_field(&call->sources.sequences[i], call->model, s, &bytes);
        result->texts[s] = trdi_strndup(token != NULL ? token : "", bytes);
        if (result->texts[s] == NULL) return trdi_fail(TRD_E_MEMORY, "replaced tokens: out of memory");
    }
    *out = result->texts[s];
    return TRD_OK;
}

static trd_status replace_unknowns(const translate_call *call, int64_t i, trd_result *result, int64_t h)
{
    trdi_result_hypothesis *hypothesis = &result->hypotheses[h];
    const int64_t n_source = call->source->lengths[i];
    for (int64_t t = 0; t < hypothesis->from.n_tokens; t++) {
        if (hypothesis->from.ids[t] != call->model->target_ids.unk || n_source == 0) continue;
        const int64_t s = arg_max(hypothesis->from.attention + t * n_source, n_source);
        TRDI_TRY(source_text(call, i, s, result, &hypothesis->tokens[t]));
    }
    return TRD_OK;
}

static trd_status take_result(translate_call *call, int64_t i, trd_result *result)
{
    trdi_example *example = &call->batch.examples[call->places[i]];
    if (call->batch.search.wants_events) trdi_finish_samples(example, &call->batch.search);
    TRDI_TRY(trdi_result_reserve(result, example->n_hypotheses));
    result->has_scores = call->options.return_scores;
    result->n_source = call->source->lengths[i];
    result->n_vocabulary = trdi_network_get_info(call->translator->network)->vocabulary;
    for (int64_t h = 0; h < example->n_hypotheses; h++) {
        trdi_hypothesis *hypothesis = &result->hypotheses[h].from;
        *hypothesis = example->hypotheses[h];
        example->hypotheses[h] = (trdi_hypothesis){ 0 };
        TRDI_TRY(map_attention(call, i, hypothesis, example->n_memory));
        TRDI_TRY(trdi_result_set_tokens(result, h, call->model));
        if (call->options.replace_unknowns) TRDI_TRY(replace_unknowns(call, i, result, h));
        if (call->options.return_attention) continue;
        trdi_free(hypothesis->attention);
        hypothesis->attention = NULL;
    }
    return TRD_OK;
}

/* An empty source is not run: every hypothesis is the prefix. */
static trd_status empty_result(translate_call *call, int64_t i, trd_result *result)
{
    const trdi_sequence *prefix = &call->prefixes[i];
    const int64_t skipped = call->model->decoder_start_id < 0 && prefix->n > 0 ? 1 : 0;
    int64_t n = prefix->n - skipped;
    if (n > call->options.max_decoding_length) n = call->options.max_decoding_length > 0 ? call->options.max_decoding_length : 0;
    result->has_scores = call->options.return_scores;
    result->n_source = call->source->lengths[i];
    TRDI_TRY(trdi_result_reserve(result, call->options.num_hypotheses > 0 ? call->options.num_hypotheses : 0));
    for (int64_t h = 0; h < result->n_hypotheses; h++) {
        trdi_hypothesis *hypothesis = &result->hypotheses[h].from;
        hypothesis->ids = trdi_calloc((size_t)prefix->n, sizeof *hypothesis->ids);
        if (hypothesis->ids == NULL) return trdi_fail(TRD_E_MEMORY, "result of example %lld: out of memory", (long long)i);
        if (prefix->n > 0) trdi_sequence_ids(prefix, call->model->target, call->model->target_ids.unk, hypothesis->ids);
        memmove(hypothesis->ids, hypothesis->ids + skipped, (size_t)(prefix->n - skipped) * sizeof *hypothesis->ids);
        hypothesis->n_tokens = n;
        if (call->options.return_attention) {
            hypothesis->attention = trdi_calloc((size_t)n, (size_t)result->n_source * sizeof(float));
            if (hypothesis->attention == NULL) return trdi_fail(TRD_E_MEMORY, "result of example %lld: out of memory", (long long)i);
        }
        TRDI_TRY(trdi_result_set_tokens(result, h, call->model));
    }
    return TRD_OK;
}

static trd_status run_call(translate_call *call, const trd_sequences *prefix, trd_model *model)
{
    TRDI_TRY(prepare_inputs(call, prefix));
    TRDI_TRY(build_batch(call));
    if (call->batch.n_jobs > 0) TRDI_TRY(trdi_batch_run(&call->batch));
    TRDI_TRY(trdi_results_create(model, call->source->n, &call->results));
    for (int64_t i = 0; i < call->source->n; i++) {
        trd_result *result = &call->results->items[i];
        TRDI_TRY(call->places[i] >= 0 ? take_result(call, i, result) : empty_result(call, i, result));
    }
    return TRD_OK;
}

trd_status trd_translator_translate(trd_translator *translator, const trd_sequences *source, const trd_sequences *prefix,
                                    const trd_decoding_options *options, trd_results **out)
{
    TRDI_TRY(check_call(translator, source, prefix, out));
    translate_call call = { .translator = translator, .model = translator->model, .source = source };
    TRDI_TRY(read_call_options(options, &call.options));
    const trd_status status = run_call(&call, prefix, translator->model);
    if (status == TRD_OK) *out = call.results;
    else trd_results_destroy(call.results);
    trdi_batch_free(&call.batch);
    trdi_sources_free(&call.sources);
    trdi_free(call.prefixes);
    trdi_free(call.order);
    trdi_free(call.places);
    return status;
}
