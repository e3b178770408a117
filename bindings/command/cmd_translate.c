/* cmd_translate.c: treadle translate: its decoding options, and hypotheses as JSON. */
#include <math.h>
#include <string.h>

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
    s->files.with_scores = from->with_score;
    o->prefix_bias_beta = (float)from->prefix_bias_beta;
    o->max_input_length = from->max_input_length;
    o->max_decoding_length = from->max_decoding_length;
    o->min_decoding_length = from->min_decoding_length;
    o->sampling_topk = from->sampling_topk;
    o->sampling_topp = (float)from->sampling_topp;
    o->sampling_temperature = (float)from->sampling_temperature;
    o->seed = from->seed;
    o->has_seed = option_given(s->command, s->line, "seed");

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

static trd_status translate_files(stream *s, trd_execution_stats *stats)
{
    return trd_translator_translate_file(s->translator, &s->files, &s->decoding, stats);
}

static json_t *hypothesis_json(const stream *s, const trd_result *result, int64_t h)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "tokens", stream_tokens_json(result, h));
    (void)json_object_set_new(object, "text", stream_text_json(s, result, h));
    (void)json_object_set_new(object, "score", json_number((double)trd_result_score(result, h)));
    if (json_object_size(object) == 3) return object;
    json_decref(object);
    return NULL;
}

static bool write_json(void *context, const trd_result *result, trd_pieces *out)
{
    json_t *hypotheses = json_array(), *example = json_object();
    bool ok = json_object_set_new(example, "hypotheses", hypotheses) == 0;
    for (int64_t h = 0; h < trd_result_n_hypotheses(result) && ok; h++)
        ok = json_array_append_new(hypotheses, hypothesis_json(context, result, h)) == 0;
    if (ok) return stream_put_json(example, out);
    json_decref(example);
    return false;
}

const stream_task translate_task = {
    .prepare = prepare_translation,
    .run = translate_files,
    .write_json = write_json,
};
