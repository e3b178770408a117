/* consumer.c: the smallest user: translates one word of the demo model with the library that was linked, or looks for a device. */
#include <stdio.h>
#include <string.h>
#include <treadle/treadle.h>

/** "T R EH1 D AH0 L" for "treadle": 0 if the model in directory says so. */
static int pronounce(const char *directory)
{
    const char *const letters[] = { "t", "r", "e", "a", "d", "l", "e" };
    const char *const phonemes[] = { "T", "R", "EH1", "D", "AH0", "L" };
    const int64_t length = 7;
    trd_sequences source;
    trd_model *model = NULL;
    trd_translator *translator = NULL;
    trd_results *results = NULL;
    int wrong = 1;
    memset(&source, 0, sizeof source);
    source.n = 1;
    source.lengths = &length;
    source.tokens = letters;
    if (trd_model_open(directory, &model) != TRD_OK || trd_translator_create(model, NULL, &translator) != TRD_OK ||
        trd_translator_translate(translator, &source, NULL, NULL, &results) != TRD_OK) {
        fprintf(stderr, "%s\n", trd_last_error());
    } else {
        const trd_result *const result = trd_results_get(results, 0);
        wrong = trd_result_n_tokens(result, 0) != 6;
        for (int64_t i = 0; i < 6 && !wrong; i++) wrong = strcmp(trd_result_token(result, 0, i), phonemes[i]) != 0;
    }
    trd_results_destroy(results);
    trd_translator_destroy(translator);
    trd_model_close(model);
    return wrong;
}

/** The module of a back end was found: there is a device that begins with its name. */
static int has_device(const char *backend)
{
    for (int64_t i = 0; i < trd_device_count(); i++) {
        trd_device_info info;
        info.struct_size = sizeof info;
        if (trd_device_get_info(i, &info) == TRD_OK && strncmp(info.id, backend, strlen(backend)) == 0) return 1;
    }
    for (int64_t i = 0; trd_device_note(i) != NULL; i++) fprintf(stderr, "%s\n", trd_device_note(i));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "device") == 0) return !has_device(argv[2]);
    if (argc != 3 || strcmp(trd_version(), argv[1]) != 0) {
        fprintf(stderr, "linked with treadle %s; arguments: its version and a model\n", trd_version());
        return 1;
    }
    return pronounce(argv[2]);
}
