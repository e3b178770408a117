/*
 * load_time.c: milliseconds of opening a model, of making a translator, and from there to the first token, as one line of
 * JSON. Run twice with the same cache folder: the second run finds the prepared weights. Called by race.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <treadle/treadle.h>

static double now_ms(void)
{
    struct timespec t;
    (void)timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: load_time MODEL CACHE_DIR THREADS\n");
        return 2;
    }
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.cache_dir = argv[2];
    options.intra_threads = (int32_t)strtol(argv[3], NULL, 10);
    options.compute_type = "float32";
    trd_decoding_options decoding;
    trd_decoding_options_init(&decoding, sizeof decoding);
    decoding.beam_size = 1;
    decoding.max_decoding_length = 1;
    const int32_t id = 3;
    const int64_t length = 1;
    const trd_sequences source = { .n = 1, .lengths = &length, .ids = &id };
    trd_model *model = NULL;
    trd_translator *translator = NULL;
    trd_results *results = NULL;
    trd_translator_info info = { .struct_size = sizeof info };

    const double start = now_ms();
    trd_status status = trd_model_open(argv[1], &model);
    const double opened = now_ms();
    if (status == TRD_OK) status = trd_translator_create(model, &options, &translator);
    const double loaded = now_ms();
    if (status == TRD_OK) status = trd_translator_translate(translator, &source, NULL, &decoding, &results);
    const double first = now_ms();
    if (status == TRD_OK) status = trd_translator_get_info(translator, &info);
    if (status != TRD_OK) {
        fprintf(stderr, "load_time: %s\n", trd_last_error());
    } else {
        printf("{\"open_ms\": %.3f, \"load_ms\": %.3f, \"first_token_ms\": %.3f, \"from_cache\": %s}\n", opened - start,
               loaded - start, first - start, info.weights_from_cache ? "true" : "false");
    }
    trd_results_destroy(results);
    trd_translator_destroy(translator);
    trd_model_close(model);
    return status == TRD_OK ? 0 : 1;
}
