/* search_options.c: the caller's decoding options, resolved to ids and checked in CTranslate2's order. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/translator.h"
#include "core/alloc.h"
#include "core/threads.h"

/* Ids of tokens that must be in the target vocabulary. */
static trd_status known_ids(const trdi_sequence *sequence, const trd_model *model, const char *what, int32_t *out)
{
    trdi_sequence_ids(sequence, model->target, -1, out);
    for (int64_t i = 0; i < sequence->n; i++) {
        if (out[i] >= 0 || sequence->from->ids != NULL) continue;
        size_t bytes;
        const char *token = trdi_sequence_token(sequence, i, &bytes);
        return trdi_fail(TRD_E_INVALID, "%s: token '%.*s' is not in the vocabulary", what, (int)(bytes < 200 ? bytes : 200), token);
    }
    return TRD_OK;
}

static trd_status resolve_suppressed(const trd_model *model, const trd_sequences *from, trdi_id_lists *out)
{
    if (from->n == 0) return TRD_OK;
    int64_t total = 0;
    for (int64_t i = 0; i < from->n; i++) total += from->lengths[i];
    out->ids = trdi_calloc((size_t)total, sizeof *out->ids);
    out->starts = trdi_calloc((size_t)from->n + 1, sizeof *out->starts);
    if (out->ids == NULL || out->starts == NULL) return trdi_fail(TRD_E_MEMORY, "suppress_sequences: out of memory");
    trdi_sequence sequence = { 0 };
    for (int64_t i = 0; i < from->n; i++) {
        trdi_sequence_next(from, i, &sequence);
        if (sequence.n == 0) continue;
        TRDI_TRY(known_ids(&sequence, model, "suppress_sequences", out->ids + out->starts[out->n]));
        out->starts[out->n + 1] = out->starts[out->n] + sequence.n;
        out->n++;
    }
    return TRD_OK;
}

static trd_status resolve_end_tokens(const trd_model *model, const trd_decoding_options *options, trdi_search *out)
{
    const bool given = options->has_end_tokens && options->end_tokens.n > 0;
    const int64_t n = !options->has_end_tokens ? 1 : given ? options->end_tokens.lengths[0] : 0;
    int32_t *ids = trdi_calloc((size_t)n + 1, sizeof *ids);
    if (ids == NULL) return trdi_fail(TRD_E_MEMORY, "end_tokens: out of memory");
    out->end_ids = ids;
    out->n_end_ids = n;
    if (!options->has_end_tokens) ids[0] = model->target_ids.eos;
    if (!given) return TRD_OK;
    trdi_sequence sequence = { 0 };
    trdi_sequence_next(&options->end_tokens, 0, &sequence);
    return known_ids(&sequence, model, "end_token", ids);
}

#define REFUSE_IF(condition, ...)                                            \
    do {                                                                     \
        if (condition) return trdi_fail(TRD_E_INVALID, __VA_ARGS__);         \
    } while (0)

static trd_status check_search(const trd_decoding_options *o)
{
    const int64_t most = INT32_MAX / 4;
    REFUSE_IF(o->beam_size < 1 || o->beam_size > 65536, "beam_size is %lld, it must be in 1 .. 65536", (long long)o->beam_size);
    REFUSE_IF(!(o->patience > 0), "patience is %g, it must be > 0", (double)o->patience);
    REFUSE_IF(o->num_hypotheses < 1 || o->num_hypotheses > 65536, "num_hypotheses is %lld, it must be in 1 .. 65536", (long long)o->num_hypotheses);
    const double finished = floor((double)((float)o->beam_size * o->patience) + 0.5);
    const bool samples = o->beam_size == 1 && o->sampling_topk != 1;
    REFUSE_IF((double)o->num_hypotheses > finished && !o->return_alternatives && !samples,
              "num_hypotheses is %lld, it must not be greater than beam_size * patience = %g", (long long)o->num_hypotheses, finished);
    REFUSE_IF(o->max_decoding_length < 0 || o->min_decoding_length < 0, "min_decoding_length %lld and max_decoding_length %lld must be >= 0",
              (long long)o->min_decoding_length, (long long)o->max_decoding_length);
    REFUSE_IF(o->min_decoding_length > o->max_decoding_length, "the minimum decoding length (%lld) is greater than the maximum decoding length (%lld)",
              (long long)o->min_decoding_length, (long long)o->max_decoding_length);
    REFUSE_IF(o->max_decoding_length == 0, "max_decoding_length is 0, it must be > 0");
    REFUSE_IF(o->max_decoding_length > most, "max_decoding_length is %lld, it must be at most %lld", (long long)o->max_decoding_length, (long long)most);
    REFUSE_IF(!(o->repetition_penalty > 0), "repetition_penalty is %g, it must be > 0", (double)o->repetition_penalty);
    REFUSE_IF(o->prefix_bias_beta >= 1 || isnan(o->prefix_bias_beta), "prefix_bias_beta is %g, it must be < 1", (double)o->prefix_bias_beta);
    REFUSE_IF(o->prefix_bias_beta > 0 && o->return_alternatives, "prefix_bias_beta cannot be used with return_alternatives");
    REFUSE_IF(o->return_alternatives && !(o->min_alternative_expansion_prob >= 0 && o->min_alternative_expansion_prob <= 1),
              "min_alternative_expansion_prob is %g, it must be in 0 .. 1", (double)o->min_alternative_expansion_prob);
    REFUSE_IF(o->on_step != NULL && (o->beam_size != 1 || o->prefix_bias_beta > 0), "a callback needs greedy search: beam_size 1, prefix_bias_beta 0");
    REFUSE_IF(!(o->sampling_topp > 0 && o->sampling_topp <= 1), "sampling_topp is %g, it must be in (0, 1]", (double)o->sampling_topp);
    REFUSE_IF(o->no_repeat_ngram_size < 0, "no_repeat_ngram_size is %lld, it must be >= 0", (long long)o->no_repeat_ngram_size);
    REFUSE_IF(isnan(o->length_penalty) || isnan(o->coverage_penalty), "length_penalty %g and coverage_penalty %g must be numbers",
              (double)o->length_penalty, (double)o->coverage_penalty);
    REFUSE_IF(o->rng != TRD_RNG_PHILOX && o->rng != TRD_RNG_MT19937, "rng is %d, which is unknown", (int)o->rng);
    return TRD_OK;
}

static trd_status check_sampling(const trd_model *model, const trd_decoding_options *o)
{
    const int64_t choices = model->decoder.projection.weight->dims[0];
    REFUSE_IF(o->sampling_topk < 0 || o->sampling_topk > INT32_MAX / 4, "sampling_topk is %lld, it must be >= 0", (long long)o->sampling_topk);
    REFUSE_IF(isnan(o->sampling_temperature), "sampling_temperature is not a number");
    if (o->sampling_topk == 1 || o->sampling_temperature == 0) return TRD_OK;
    REFUSE_IF(o->sampling_topk > choices, "sampling_topk is %lld, the output has %lld tokens", (long long)o->sampling_topk, (long long)choices);
    const bool greedy = o->beam_size == 1 && o->prefix_bias_beta == 0;
    REFUSE_IF(!greedy && o->sampling_topk > 0 && o->sampling_topk < 2 * o->beam_size,
              "sampling_topk is %lld, with beam search it must be 0 or at least 2 * beam_size = %lld",
              (long long)o->sampling_topk, 2 * (long long)o->beam_size);
    REFUSE_IF(!greedy && o->sampling_topk == 0 && 2 * o->beam_size > choices, "beam_size is %lld, random sampling with beam search needs at most half of the %lld output tokens",
              (long long)o->beam_size, (long long)choices);
    return TRD_OK;
}

/* What would otherwise fail in the middle of a step that other calls share. */
static trd_status check_against_model(const trd_model *model, const trd_decoding_options *o)
{
    const int64_t choices = model->decoder.projection.weight->dims[0];
    REFUSE_IF(o->beam_size > INT32_MAX / choices, "beam_size is %lld, with %lld output tokens it must be at most %lld",
              (long long)o->beam_size, (long long)choices, (long long)(INT32_MAX / choices));
    const bool reads_attention = o->return_attention || o->replace_unknowns || o->coverage_penalty != 0.0f;
    if (!reads_attention || !model->decoder.merged) return TRD_OK;
    const char *const what = o->return_attention ? "return_attention" : o->replace_unknowns ? "replace_unknowns" : "coverage_penalty";
    return trdi_fail(TRD_E_UNSUPPORTED, "%s: the attention of model '%s' to the source cannot be told from that to the target", what,
                     model->name);
}

static uint64_t process_seed;
static trdi_once process_seed_once = TRDI_ONCE_INIT;

static void read_process_seed(void)
{
    FILE *source = fopen("/dev/urandom", "rb");
    if (source == NULL) return;
    if (fread(&process_seed, sizeof process_seed, 1, source) != 1) process_seed = 0;
    (void)fclose(source);
}

/* Not for secrets: only so that unseeded calls differ, those of children of fork() too. The mix is that of SplitMix64. */
static uint64_t arbitrary_seed(void)
{
    static atomic_uint_fast64_t calls;
    trdi_once_run(&process_seed_once, read_process_seed);
    const uint64_t count = atomic_fetch_add(&calls, 1) + ((uint64_t)trdi_process_id() << 32);
    uint64_t seed = (process_seed ^ (uint64_t)trdi_now_ns()) + count * 0x9E3779B97F4A7C15u;
    seed = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9u;
    seed = (seed ^ (seed >> 27)) * 0x94D049BB133111EBu;
    return seed ^ (seed >> 31);
}

static void copy_options(const trd_model *model, const trd_decoding_options *o, trdi_search *out)
{
    out->beam_size = o->beam_size;
    out->num_hypotheses = o->num_hypotheses;
    out->patience = o->patience;
    out->length_penalty = o->length_penalty;
    out->coverage_penalty = o->coverage_penalty;
    out->repetition_penalty = o->repetition_penalty;
    out->no_repeat_ngram_size = o->no_repeat_ngram_size;
    out->max_length = o->max_decoding_length;
    out->min_length = o->min_decoding_length;
    out->return_end_token = o->return_end_token;
    out->return_scores = o->return_scores;
    out->return_logits = o->return_logits;
    out->return_attention = o->return_attention || o->replace_unknowns;
    out->return_alternatives = o->return_alternatives;
    out->wants_events = o->on_step != NULL;
    out->min_alternative_probability = o->min_alternative_expansion_prob;
    out->prefix_bias_beta = o->prefix_bias_beta;
    out->sampling_topk = o->sampling_temperature == 0 ? 1 : o->sampling_topk;
    out->sampling_topp = o->sampling_topp;
    out->sampling_temperature = o->sampling_temperature;
    out->seed = o->has_seed ? o->seed : arbitrary_seed();
    out->rng = o->rng;
    out->unk_id = o->disable_unk ? model->target_ids.unk : -1;
}

trd_status trdi_search_resolve(const trd_model *model, const trd_decoding_options *options, trdi_search *out)
{
    *out = (trdi_search){ 0 };
    copy_options(model, options, out);
    trd_status status = resolve_suppressed(model, &options->suppress_sequences, &out->suppressed);
    if (status == TRD_OK) status = resolve_end_tokens(model, options, out);
    if (status == TRD_OK) status = check_search(options);
    if (status == TRD_OK) status = check_sampling(model, options);
    if (status == TRD_OK) status = check_against_model(model, options);
    if (status != TRD_OK) trdi_search_free(out);
    return status;
}

void trdi_search_free(trdi_search *search)
{
    trdi_free(search->end_ids);
    trdi_free(search->generator);
    trdi_free(search->suppressed.ids);
    trdi_free(search->suppressed.starts);
    *search = (trdi_search){ 0 };
}
