/* translate.c: trd_translator_translate() and trd_translator_submit(): sources and prefixes to jobs, hypotheses to results. */
#include <string.h>

#include "api/options.h"
#include "api/submission.h"
#include "api/vocabulary_choice.h"
#include "core/alloc.h"

/* What a call is made of, while its submission is made. */
typedef struct translate_call {
    trdi_making           of;
    const trd_model      *model;
    const trd_decoding_options *given; /* the caller's, or NULL */
    trd_decoding_options  options;
    const trd_sequences  *prefix;
    trdi_submission      *submission;
    int64_t              *order;      /* [n] longest first */
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

/* ---- Arguments ---- */

static trd_status check_arguments(const translate_call *call)
{
    if (call->of.source == NULL) return trdi_fail(TRD_E_INVALID, "%s: source is NULL", call->of.what);
    TRDI_TRY(trdi_sequences_check(call->of.source, "source"));
    if (call->prefix == NULL) return TRD_OK;
    TRDI_TRY(trdi_sequences_check(call->prefix, "prefix"));
    if (call->prefix->n > 0 && call->prefix->n < call->of.source->n) {
        return trdi_fail(TRD_E_INVALID, "prefix has less examples (%lld) than source (%lld)", (long long)call->prefix->n, (long long)call->of.source->n);
    }
    return TRD_OK;
}

static trd_status read_call_options(translate_call *call, const trd_decoding_options *options)
{
    trd_decoding_options *out = &call->options;
    trd_decoding_options_init(out, sizeof *out);
    TRDI_TRY(trdi_read_options(out, sizeof *out, options, call->of.what));
    TRDI_TRY(trdi_sequences_check(&out->suppress_sequences, "suppress_sequences"));
    TRDI_TRY(trdi_sequences_check(&out->end_tokens, "end_tokens"));
    if (out->max_batch_size < 0) return trdi_fail(TRD_E_INVALID, "max_batch_size is %lld, it must be >= 0", (long long)out->max_batch_size);
    if (out->max_input_length < 0) return trdi_fail(TRD_E_INVALID, "max_input_length is %lld, it must be >= 0", (long long)out->max_input_length);
    return TRD_OK;
}

static void copy_options(translate_call *call)
{
    trdi_submission *s = call->submission;
    const trd_decoding_options *o = &call->options;
    s->num_hypotheses = o->num_hypotheses;
    s->max_decoding_length = o->max_decoding_length;
    s->return_scores = o->return_scores;
    s->return_attention = o->return_attention;
    s->replace_unknowns = o->replace_unknowns;
    s->on_step = o->on_step;
    s->on_step_context = o->on_step_context;
}

/* ---- To jobs ---- */

static int64_t prefix_length(const translate_call *call, int64_t i)
{
    return call->prefix != NULL && call->prefix->n > 0 ? call->prefix->lengths[i] : 0;
}

/* Decoder start and prefix of every example. */
static trd_status copy_targets(translate_call *call)
{
    trdi_submission *s = call->submission;
    const int64_t n_start = call->model->decoder_start_id >= 0 ? 1 : 0;
    int64_t total = s->n * n_start;
    for (int64_t i = 0; i < s->n; i++) total += prefix_length(call, i);
    s->targets = trdi_calloc((size_t)total, sizeof *s->targets);
    if (s->targets == NULL) return trdi_fail(TRD_E_MEMORY, "prefixes of %lld tokens: out of memory", (long long)total);
    int32_t *at = s->targets;
    trdi_sequence sequence = { 0 };
    for (int64_t i = 0; i < s->n; i++) {
        trd_future *future = &s->futures[i];
        future->target = at;
        future->n_target = n_start + prefix_length(call, i);
        if (n_start > 0) at[0] = call->model->decoder_start_id;
        if (call->prefix != NULL && call->prefix->n > 0) {
            trdi_sequence_next(call->prefix, i, &sequence);
            trdi_sequence_ids(&sequence, call->model->target, call->model->target_ids.unk, at + n_start);
        }
        at += future->n_target;
    }
    return TRD_OK;
}

/* Texts of the source tokens, for what replaces unknown ones. */
static trd_status copy_texts(translate_call *call)
{
    trdi_submission *s = call->submission;
    if (!call->options.replace_unknowns) return TRD_OK;
    size_t n_tokens = 0, n_bytes = 0, bytes;
    for (int64_t i = 0; i < s->n; i++) {
        const trdi_sequence *sequence = &s->sources.sequences[i];
        n_tokens += (size_t)sequence->n;
        for (int64_t t = 0; t < sequence->n; t++) {
            (void)trdi_sequence_field(sequence, call->model, t, &bytes);
            n_bytes += bytes + 1;
        }
    }
    const char **texts = trdi_alloc(n_tokens * sizeof(char *) + n_bytes);
    if (texts == NULL) return trdi_fail(TRD_E_MEMORY, "%zu source tokens: out of memory", n_tokens);
    s->results->texts = texts;
    char *at = (char *)(void *)(texts + n_tokens);
    for (int64_t i = 0; i < s->n; i++) {
        const trdi_sequence *sequence = &s->sources.sequences[i];
        s->futures[i].texts = texts;
        for (int64_t t = 0; t < sequence->n; t++) {
            const char *text = trdi_sequence_field(sequence, call->model, t, &bytes);
            if (text != NULL) memcpy(at, text, bytes);
            at[bytes] = '\0';
            *texts++ = at;
            at += bytes + 1;
        }
    }
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
    trdi_submission *s = call->submission;
    if (s->futures[i].n_target == 0) {
        return trdi_fail(TRD_E_INVALID, "example %lld: One input has no decoder start token: its prefix is empty", (long long)i);
    }
    trdi_example *example = trdi_submission_add_example(s, i);
    if (call->options.use_vmap && call->model->vocabulary_map != NULL) {
        TRDI_TRY(trdi_choose_vocabulary(call->model, &s->sources.sequences[i], example));
    }
    return s->search.wants_events ? add_stops(example, call->options.num_hypotheses) : TRD_OK;
}

/* A worker of the original goes on with its stream from batch to batch; with several workers each has its own. */
static trd_status make_generator(translate_call *call)
{
    trdi_search *search = &call->submission->search;
    if (search->rng != TRD_RNG_MT19937 || search->sampling_topk == 1 || trdi_workers_count(call->of.translator->workers) > 1) return TRD_OK;
    search->generator = trdi_alloc(sizeof *search->generator);
    if (search->generator == NULL) return trdi_fail(TRD_E_MEMORY, "random generator: out of memory");
    trdi_mt19937_seed(search->generator, (uint32_t)search->seed);
    return TRD_OK;
}

/* Every example a job of its own; the draws of mt19937 depend on what runs together, so that there a batch is one job. */
static void make_jobs(translate_call *call)
{
    trdi_submission *s = call->submission;
    const bool closed = s->search.rng == TRD_RNG_MT19937 && s->search.sampling_topk != 1 && !s->search.return_alternatives;
    const trd_decoding_options *o = &call->options;
    int64_t longest = 0, in_batch = 0, n = 0, first = 0;
    for (int64_t k = 0; k < s->n; k++) {
        const int64_t i = call->order[k], weight = o->batch_by_tokens && o->max_batch_size > 0 ? call->of.source->lengths[i] : 1;
        longest = weight > longest ? weight : longest;
        if (o->max_batch_size > 0 && in_batch > 0 && (in_batch + 1) * longest > o->max_batch_size) {
            if (n > 0) trdi_submission_add_job(s, &s->examples[first], n);
            first += n;
            in_batch = n = 0;
            longest = weight;
        }
        in_batch++;
        n += s->futures[i].example != NULL ? 1 : 0;
        if (closed || n == 0) continue;
        trdi_submission_add_job(s, &s->examples[first], n);
        first += n;
        n = 0;
    }
    if (n > 0) trdi_submission_add_job(s, &s->examples[first], n);
}

static trd_status add_jobs(translate_call *call)
{
    trdi_submission *s = call->submission;
    int64_t n_run = 0;
    for (int64_t i = 0; i < s->n; i++) n_run += s->sources.empty[i] ? 0 : 1;
    if (n_run == 0) return TRD_OK;   /* options of a call that runs nothing are not looked at, as in the original */
    TRDI_TRY(trdi_search_resolve(call->model, &call->options, &s->search));
    TRDI_TRY(trdi_submission_reserve(s, n_run));
    call->order = trdi_calloc((size_t)s->n, sizeof *call->order);
    if (call->order == NULL) return trdi_fail(TRD_E_MEMORY, "call of %lld examples: out of memory", (long long)s->n);
    TRDI_TRY(trdi_sources_order(&s->sources, s->n, call->order));
    for (int64_t k = 0; k < s->n; k++) {
        if (!s->sources.empty[call->order[k]]) TRDI_TRY(add_example(call, call->order[k]));
    }
    TRDI_TRY(make_generator(call));
    make_jobs(call);
    return TRD_OK;
}

/* Tokens that an example has which is not run: its prefix. */
static int64_t idle_tokens(const translate_call *call, const trd_future *future)
{
    const int64_t n = future->n_target > 0 ? future->n_target - 1 : 0, most = call->options.max_decoding_length;
    return n > most ? (most > 0 ? most : 0) : n;
}

static trd_status fill_submission(translate_call *call)
{
    trdi_submission *s = call->submission;
    copy_options(call);
    TRDI_TRY(trdi_sources_prepare(call->model, call->of.source, call->options.max_input_length, &s->sources));
    TRDI_TRY(copy_targets(call));
    TRDI_TRY(copy_texts(call));
    for (int64_t i = 0; i < s->n; i++) {
        s->futures[i].n_source = call->of.source->lengths[i];
        s->futures[i].n_idle = idle_tokens(call, &s->futures[i]);
    }
    return add_jobs(call);
}

static trd_status check(trdi_making *making)
{
    translate_call *call = (translate_call *)(void *)making;
    call->model = making->translator->model;
    TRDI_TRY(check_arguments(call));
    return read_call_options(call, call->given);
}

static trd_status make(trdi_making *making, const trd_submit_options *how, trdi_submission **out)
{
    translate_call *call = (translate_call *)(void *)making;
    TRDI_TRY(trdi_submission_create(TRDI_JOB_SEARCH, making->translator->model, making->source->n, how, out));
    call->submission = *out;
    call->submission->n_vocabulary = trdi_workers_vocabulary(call->of.translator->workers);
    const trd_status status = fill_submission(call);
    trdi_free(call->order);
    if (status != TRD_OK) trdi_submission_release(call->submission);
    return status;
}

static translate_call describe(const char *what, trd_translator *translator, const trd_sequences *source, const trd_sequences *prefix,
                      const trd_decoding_options *options)
{
    return (translate_call){
        .of = { .what = what, .translator = translator, .source = source, .check = check, .make = make }, .prefix = prefix, .given = options };
}

trd_status trd_translator_translate(trd_translator *translator, const trd_sequences *source, const trd_sequences *prefix,
                                   const trd_decoding_options *options, trd_results **out)
{
    translate_call call = describe("trd_translator_translate", translator, source, prefix, options);
    return trdi_making_run(&call.of, out);
}

trd_status trd_translator_submit(trd_translator *translator, const trd_sequences *source, const trd_sequences *prefix,
                  const trd_decoding_options *options, const trd_submit_options *how, trd_future **futures)
{
    translate_call call = describe("trd_translator_submit", translator, source, prefix, options);
    return trdi_making_submit(&call.of, how, futures);
}

trd_status trdi_translate_line_up(trd_translator *translator, const trd_sequences *source, const trd_sequences *prefix,
                                 const trd_decoding_options *options, const trd_submit_options *how, trd_future **futures)
{
    translate_call call = describe("trd_translator_submit", translator, source, prefix, options);
    call.of.lines_up = true;
    return trdi_making_submit(&call.of, how, futures);
}

/* ---- To results ---- */

/* Columns become the user's source tokens: implicit special ones go, what was cut off is 0. */
static trd_status map_attention(const trd_future *future, const trd_model *model, trdi_hypothesis *hypothesis)
{
    if (hypothesis->attention == NULL) return TRD_OK;
    const int64_t first = model->add_source_bos ? 1 : 0, wanted = future->n_source, n_memory = future->example->n_memory;
    int64_t there = n_memory - first - (model->add_source_eos ? 1 : 0);
    if (there > wanted) there = wanted;
    float *mapped = trdi_calloc((size_t)hypothesis->n_tokens, (size_t)wanted * sizeof *mapped);
    if (mapped == NULL) return trdi_fail(TRD_E_MEMORY, "attention of example %lld: out of memory", (long long)future->example->index);
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

static void replace_unknowns(const trd_future *future, const trd_model *model, trdi_result_hypothesis *hypothesis)
{
    const int64_t n_source = future->n_source;
    for (int64_t t = 0; t < hypothesis->from.n_tokens; t++) {
        if (hypothesis->from.ids[t] != model->target_ids.unk || n_source == 0) continue;
        hypothesis->tokens[t] = future->texts[arg_max(hypothesis->from.attention + t * n_source, n_source)];
    }
}

static trd_status take_hypotheses(const trd_future *future)
{
    const trdi_submission *s = future->submission;
    const trd_model *model = s->results->model;
    trdi_example *example = future->example;
    trd_result *result = future->result;
    TRDI_TRY(trdi_result_reserve(result, example->n_hypotheses));
    result->n_vocabulary = s->n_vocabulary;
    for (int64_t h = 0; h < example->n_hypotheses; h++) {
        trdi_hypothesis *hypothesis = &result->hypotheses[h].from;
        *hypothesis = example->hypotheses[h];
        example->hypotheses[h] = (trdi_hypothesis){ 0 };
        TRDI_TRY(map_attention(future, model, hypothesis));
        TRDI_TRY(trdi_result_set_tokens(result, h, model));
        if (s->replace_unknowns) replace_unknowns(future, model, &result->hypotheses[h]);
        if (s->return_attention) continue;
        trdi_free(hypothesis->attention);
        hypothesis->attention = NULL;
    }
    return TRD_OK;
}

/* An empty source is not run: every hypothesis is the prefix, without what the decoder starts with. */
static trd_status repeat_prefix(const trd_future *future)
{
    const trdi_submission *s = future->submission;
    trd_result *result = future->result;
    TRDI_TRY(trdi_result_reserve(result, s->num_hypotheses > 0 ? s->num_hypotheses : 0));
    for (int64_t h = 0; h < result->n_hypotheses; h++) {
        trdi_hypothesis *hypothesis = &result->hypotheses[h].from;
        hypothesis->ids = trdi_calloc((size_t)future->n_idle, sizeof *hypothesis->ids);
        if (s->return_attention) hypothesis->attention = trdi_calloc((size_t)future->n_idle, (size_t)result->n_source * sizeof(float));
        if (hypothesis->ids == NULL || (s->return_attention && hypothesis->attention == NULL)) {
            return trdi_fail(TRD_E_MEMORY, "result of an empty example: out of memory");
        }
        if (future->n_idle > 0) memcpy(hypothesis->ids, future->target + 1, (size_t)future->n_idle * sizeof *hypothesis->ids);
        hypothesis->n_tokens = future->n_idle;
        TRDI_TRY(trdi_result_set_tokens(result, h, s->results->model));
    }
    return TRD_OK;
}

trd_status trdi_translate_convert(trd_future *future)
{
    future->result->has_scores = future->submission->return_scores;
    future->result->n_source = future->n_source;
    return future->example != NULL ? take_hypotheses(future) : repeat_prefix(future);
}
