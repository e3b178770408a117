/* cmd_translate.c: treadle translate: how chunks are translated and hypotheses written. */
#include <math.h>
#include <string.h>

#include "json_text.h"
#include "stream.h"

static int run_translate(const invocation *program, int argc, char **argv)
{
    return stream_main(program, &translate_command, argc, argv);
}

const subcommand translate_command = {
    .name = "translate",
    .usage = "--model DIR [options]",
    .summary = "translate lines of tokens",
    .description = "Translate with an encoder-decoder model. A line is an example: its tokens, separated by spaces.\n"
                   "Results come in the order of the input, --n_best lines for each.",
    .options = stream_options,
    .n_options = STREAM_OPTIONS_N,
    .user = USER_TRANSLATE,
    .run = run_translate,
};

static int run_ct2(const invocation *program, int argc, char **argv)
{
    return stream_main(program, &ct2_command, argc, argv);
}

const subcommand ct2_command = {
    .name = "ct2-translator",
    .usage = "--model DIR [options]",
    .summary = "translate or score as CTranslate2's client does",
    .description = "Translate or score lines of tokens with an encoder-decoder model.",
    .options = stream_options,
    .n_options = STREAM_OPTIONS_N,
    .user = USER_CT2,
    .run = run_ct2,
};

/** Read "a b,c" into sequences of tokens. */
static bool read_suppressed(const char *text, token_lists *out)
{
    while (text != NULL && *text != '\0') {
        const size_t n = strcspn(text, ",");
        const size_t before = out->n_tokens;
        if (!token_lists_split(out, text, n, ' ')) return false;
        if (out->n_tokens > before && !token_lists_end(out)) return false;
        text += n + (text[n] == ',');
    }
    return true;
}

/** What the library would refuse in its own names of the options. */
static int check_n_best(const stream *s)
{
    const stream_settings *from = &s->settings;
    const bool samples = from->beam_size == 1 && from->sampling_topk != 1;
    const double finished = floor((double)((float)from->beam_size * (float)from->patience) + 0.5);
    if (samples || !(from->patience > 0) || (double)from->n_best <= finished) return STATUS_GO_ON;
    return usage_error(s->program, "--n_best: %lld is more than --beam_size times --patience, which is %g",
                       (long long)from->n_best, finished);
}

static int prepare_translation(stream *s)
{
    const stream_settings *from = &s->settings;
    trd_decoding_options *o = &s->decoding;
    const int status = check_n_best(s);
    if (status != STATUS_GO_ON) return status;
    trd_decoding_options_init(o, sizeof *o);
    o->beam_size = from->beam_size;
    o->patience = (float)from->patience;
    o->num_hypotheses = from->n_best;
    o->length_penalty = (float)from->length_penalty;
    o->coverage_penalty = (float)from->coverage_penalty;
    o->repetition_penalty = (float)from->repetition_penalty;
    o->no_repeat_ngram_size = from->no_repeat_ngram_size;
    o->disable_unk = from->disable_unk;
    o->use_vmap = from->use_vmap;
    o->replace_unknowns = from->replace_unknowns;
    o->return_scores = from->with_score || from->json;
    o->prefix_bias_beta = (float)from->prefix_bias_beta;
    o->max_input_length = from->max_input_length;
    o->max_decoding_length = from->max_decoding_length;
    o->min_decoding_length = from->min_decoding_length;
    o->sampling_topk = from->sampling_topk;
    o->sampling_topp = (float)from->sampling_topp;
    o->sampling_temperature = (float)from->sampling_temperature;
    o->seed = from->seed;
    o->has_seed = option_given(s->command, s->line, "seed");
    o->max_batch_size = from->batch_size;
    o->batch_by_tokens = strcmp(from->batch_type, "tokens") == 0;

    bool ok = read_suppressed(from->suppress_sequences, &s->suppressed);
    if (from->end_token != NULL && from->end_token[0] != '\0') {
        o->has_end_tokens = true;
        ok = ok && token_lists_add(&s->end_token, from->end_token, strlen(from->end_token)) && token_lists_end(&s->end_token);
    }
    if (!ok) {
        complain(s->program, "out of memory");
        return STATUS_FAILED;
    }
    o->suppress_sequences = token_lists_view(&s->suppressed);
    o->end_tokens = token_lists_view(&s->end_token);
    return STATUS_GO_ON;
}

/**
 * The seed of a chunk: the call keys its samples by the example's place in the call, so chunks need different seeds.
 * The first chunk has the user's own, so that a short input gives what one call gives. The rest is splitmix64's mixing.
 */
static uint64_t chunk_seed(uint64_t seed, int64_t first)
{
    if (first == 0) return seed;
    uint64_t x = seed + (uint64_t)first * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static trd_status translate_chunk(const stream *s, const chunk *c, trd_results **out)
{
    trd_decoding_options options = s->decoding;
    options.seed = chunk_seed(s->decoding.seed, c->first);
    const trd_sequences source = token_lists_view(&c->source), prefix = token_lists_view(&c->target);
    return trd_translator_translate(s->translator, &source, s->has_target ? &prefix : NULL, &options, out);
}

static json_t *hypothesis_json(stream *s, const trd_result *result, int64_t h)
{
    json_t *tokens = json_array();
    for (int64_t t = 0; t < trd_result_n_tokens(result, h); t++)
        (void)json_array_append_new(tokens, json_word(trd_result_token(result, h, t)));
    const byte_buffer *text = stream_text(s, result, h);
    json_t *object = json_object();
    (void)json_object_set_new(object, "tokens", tokens);
    (void)json_object_set_new(object, "text", text != NULL ? json_text(text->data, text->n) : NULL);
    (void)json_object_set_new(object, "score", json_number((double)trd_result_score(result, h)));
    if (json_object_size(object) == 3) return object;
    json_decref(object);
    return NULL;
}

static bool write_json(stream *s, const trd_result *result)
{
    json_t *hypotheses = json_array(), *example = json_object();
    bool ok = json_object_set_new(example, "hypotheses", hypotheses) == 0;
    for (int64_t h = 0; h < trd_result_n_hypotheses(result) && ok; h++)
        ok = json_array_append_new(hypotheses, hypothesis_json(s, result, h)) == 0;
    if (ok) return json_print(example, false, s->out.file) || ferror(s->out.file) != 0;
    json_decref(example);
    return false;
}

static bool write_translation(stream *s, const trd_result *result)
{
    if (s->settings.json) return write_json(s, result);
    for (int64_t h = 0; h < trd_result_n_hypotheses(result); h++) {
        const byte_buffer *text = stream_text(s, result, h);
        if (text == NULL) return false;
        if (s->settings.with_score) fprintf(s->out.file, "%g ||| ", (double)trd_result_score(result, h));
        fwrite(text->data, 1, text->n, s->out.file);
        fputc('\n', s->out.file);
    }
    return true;
}

static int64_t count_translated(const trd_result *result)
{
    return trd_result_n_tokens(result, 0);
}

const stream_task translate_task = {
    .prepare = prepare_translation,
    .run = translate_chunk,
    .write = write_translation,
    .count_tokens = count_translated,
};
