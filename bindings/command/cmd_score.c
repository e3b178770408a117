/* cmd_score.c: treadle score: its options, and scores as JSON. */
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
    s->files.with_scores = s->settings.with_tokens_score;
    return STATUS_GO_ON;
}

static trd_status score_files(stream *s, trd_execution_stats *stats)
{
    return trd_translator_score_file(s->translator, &s->files, &s->scoring, stats);
}

static double mean_score(const trd_result *result)
{
    const int64_t n = trd_result_n_tokens(result, 0);
    const float *scores = trd_result_token_scores(result, 0);
    float sum = 0;
    for (int64_t t = 0; t < n && scores != NULL; t++) sum += scores[t];
    return n > 0 ? (double)(sum / (float)n) : 0;
}

static bool write_json(void *context, const trd_result *result, trd_pieces *out)
{
    const float *scores = trd_result_token_scores(result, 0);
    json_t *token_scores = json_array(), *example = json_object();
    for (int64_t t = 0; t < trd_result_n_tokens(result, 0) && scores != NULL; t++)
        (void)json_array_append_new(token_scores, json_number((double)scores[t]));
    (void)json_object_set_new(example, "tokens", stream_tokens_json(result, 0));
    (void)json_object_set_new(example, "text", stream_text_json(context, result, 0));
    (void)json_object_set_new(example, "score", json_number(mean_score(result)));
    (void)json_object_set_new(example, "token_scores", token_scores);
    if (json_object_size(example) == 4) return stream_put_json(example, out);
    json_decref(example);
    return false;
}

const stream_task score_task = {
    .prepare = prepare_scoring,
    .run = score_files,
    .write_json = write_json,
};
