/*
 * futures.c: translate without waiting. Each line of standard input, tokens separated by spaces, becomes one request, which the library computes
 * together with the others; results are printed in order as they come, and what takes longer than asked for is given up.
 *
 *     cc futures.c -ltreadle -o futures
 *     ./futures MODEL < lines            # no limit
 *     ./futures MODEL 2.5 < lines        # at most 2.5 seconds for each line
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <treadle/treadle.h>

enum { MAX_LINES = 1024, MAX_TOKENS = 512, MAX_BYTES = 1 << 16 };

/* Runs on a thread of the library, when the line of the future is done: short, and it waits for nothing. */
static void say_done(void *context, trd_future *future)
{
    (void)context;
    if (trd_future_status(future) == TRD_E_TIMEOUT) fprintf(stderr, "a line took too long\n");
}

/* The library copies what it needs: text and tokens may change when this returns. */
static trd_status submit_line(trd_translator *translator, char *text, const trd_submit_options *how, trd_future **future)
{
    const char *tokens[MAX_TOKENS];
    int64_t n = 0;
    for (char *token = strtok(text, " \n"); token != NULL && n < MAX_TOKENS; token = strtok(NULL, " \n")) tokens[n++] = token;
    const trd_sequences source = { .n = 1, .lengths = &n, .tokens = tokens };
    return trd_translator_submit(translator, &source, NULL, NULL, how, future);
}

static void print_result(trd_future *future, int line)
{
    const trd_result *result;
    if (trd_future_result(future, &result) != TRD_OK) {
        printf("%d: %s\n", line, trd_future_error(future));
        return;
    }
    printf("%d:", line);
    for (int64_t t = 0; t < trd_result_n_tokens(result, 0); t++) printf(" %s", trd_result_token(result, 0, t));
    printf("\n");
}

static trd_status translate_lines(trd_translator *translator, double seconds)
{
    static char line[MAX_BYTES];
    static trd_future *futures[MAX_LINES];
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    how.timeout_seconds = seconds;
    how.on_done = say_done;
    trd_status status = TRD_OK;
    int n = 0;
    while (n < MAX_LINES && status == TRD_OK && fgets(line, sizeof line, stdin) != NULL) {
        status = submit_line(translator, line, &how, &futures[n]);
        if (status == TRD_OK) n++;
    }
    for (int i = 0; i < n; i++) {
        const trd_status waited = trd_future_wait(futures[i], -1);
        if (waited == TRD_OK) print_result(futures[i], i + 1);
        else status = waited;
        trd_future_release(futures[i]);
    }
    return status;
}

int main(int argc, char **argv)
{
    const double seconds = argc > 2 ? strtod(argv[2], NULL) : 0;
    if (argc < 2) {
        fprintf(stderr, "usage: %s MODEL [SECONDS] < lines\n", argv[0]);
        return 2;
    }
    trd_model *model = NULL;
    trd_translator *translator = NULL;
    trd_status status = trd_model_open(argv[1], &model);
    if (status == TRD_OK) status = trd_translator_create(model, NULL, &translator);
    trd_model_close(model);   /* the translator keeps what it needs */
    if (status == TRD_OK) status = translate_lines(translator, seconds);
    if (status != TRD_OK) fprintf(stderr, "%s\n", trd_last_error());
    trd_translator_destroy(translator);
    return status == TRD_OK ? 0 : 1;
}
