/* cmd_score.c: treadle score: how chunks of pairs are scored and written. */
#include <string.h>

#include "json_text.h"
#include "stream.h"

static int run_score(const invocation *program, int argc, char **argv)
{
    return stream_main(program, &score_command, argc, argv);
}

const subcommand score_command = {
    .name = "score",
    .usage = "--model DIR --src FILE --tgt FILE [options]",
    .summary = "score given translations",
    .description = "Print how likely an encoder-decoder model finds given translations: for each pair of lines\n"
                   "'mean ||| tokens', the mean of the log-probabilities of the tokens, end token included.",
    .options = stream_options,
    .n_options = STREAM_OPTIONS_N,
    .user = USER_SCORE,
    .run = run_score,
};

static int prepare_scoring(stream *s)
{
    if (s->settings.src == NULL || s->settings.tgt == NULL)
        return usage_error(s->program, "scoring needs both --src and --tgt");
    trd_scoring_options_init(&s->scoring, sizeof s->scoring);
    s->scoring.max_input_length = s->settings.max_input_length;
    return STATUS_GO_ON;
}

static trd_status score_chunk(const stream *s, const chunk *c, trd_results **out)
{
    const trd_sequences source = token_lists_view(&c->source), target = token_lists_view(&c->target);
    return trd_translator_score(s->translator, &source, &target, &s->scoring, out);
}

static double mean_score(const trd_result *result)
{
    const int64_t n = trd_result_n_tokens(result, 0);
    const float *scores = trd_result_token_scores(result, 0);
    float sum = 0;
    for (int64_t t = 0; t < n && scores != NULL; t++) sum += scores[t];
    return n > 0 ? (double)(sum / (float)n) : 0;
}

static bool write_json(stream *s, const trd_result *result)
{
    const float *scores = trd_result_token_scores(result, 0);
    json_t *tokens = json_array(), *token_scores = json_array();
    for (int64_t t = 0; t < trd_result_n_tokens(result, 0); t++) {
        (void)json_array_append_new(tokens, json_word(trd_result_token(result, 0, t)));
        if (scores != NULL) (void)json_array_append_new(token_scores, json_number((double)scores[t]));
    }
    const byte_buffer *text = stream_text(s, result, 0);
    json_t *example = json_object();
    (void)json_object_set_new(example, "tokens", tokens);
    (void)json_object_set_new(example, "text", text != NULL ? json_text(text->data, text->n) : NULL);
    (void)json_object_set_new(example, "score", json_number(mean_score(result)));
    (void)json_object_set_new(example, "token_scores", token_scores);
    if (json_object_size(example) == 4) return json_print(example, false, s->out.file) || ferror(s->out.file) != 0;
    json_decref(example);
    return false;
}

static bool write_score(stream *s, const trd_result *result)
{
    if (s->settings.json) return write_json(s, result);
    const byte_buffer *text = stream_text(s, result, 0);
    if (text == NULL) return false;
    fprintf(s->out.file, "%g ||| ", mean_score(result));
    fwrite(text->data, 1, text->n, s->out.file);
    if (s->settings.with_tokens_score) {
        const float *scores = trd_result_token_scores(result, 0);
        fputs(" |||", s->out.file);
        for (int64_t t = 0; t < trd_result_n_tokens(result, 0) && scores != NULL; t++)
            fprintf(s->out.file, " %g", (double)scores[t]);
    }
    fputc('\n', s->out.file);
    return true;
}

static int64_t count_scored(const trd_result *result)
{
    return trd_result_n_tokens(result, 0);
}

const stream_task score_task = {
    .prepare = prepare_scoring,
    .run = score_chunk,
    .write = write_score,
    .count_tokens = count_scored,
};
