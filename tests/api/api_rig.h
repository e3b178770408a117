/* api_rig.h: a translator of a sample model, and sentences as strings of tokens separated by spaces. */
#ifndef TRD_TESTS_API_RIG_H
#define TRD_TESTS_API_RIG_H

#include "check.h"
#include "treadle/treadle.h"

#define RIG_MAX_TOKENS 4096
#define RIG_MAX_SEQUENCES 128

/** Sequences cut out of texts. */
typedef struct rig_batch {
    trd_sequences sequences;
    int64_t lengths[RIG_MAX_SEQUENCES];
    const char *tokens[RIG_MAX_TOKENS];
    char text[1 << 16];
} rig_batch;

static inline const char *rig_folder(const char *variable, const char *name)
{
    static char path[4096];
    const char *root = getenv(variable);
    (void)snprintf(path, sizeof path, "%s/%s", root != NULL ? root : ".", name);
    return path;
}

/** Append a sequence. */
static inline void rig_add(rig_batch *batch, const char *text)
{
    int64_t n_tokens = 0;
    size_t used = 0;
    for (int64_t i = 0; i < batch->sequences.n; i++) n_tokens += batch->lengths[i];
    if (n_tokens > 0) used = (size_t)(batch->tokens[n_tokens - 1] - batch->text) + strlen(batch->tokens[n_tokens - 1]) + 1;
    char *copy = batch->text + used;
    memcpy(copy, text, strlen(text) + 1);
    int64_t n = 0;
    for (char *token = strtok(copy, " "); token != NULL; token = strtok(NULL, " ")) batch->tokens[n_tokens + n++] = token;
    batch->lengths[batch->sequences.n++] = n;
    batch->sequences.lengths = batch->lengths;
    batch->sequences.tokens = batch->tokens;
}

/** The tokens of hypothesis h joined by spaces, in a buffer of the thread. */
static inline const char *rig_text(const trd_result *result, int64_t h)
{
    static _Thread_local char text[1 << 16];   /* callers may be threads */
    text[0] = '\0';
    for (int64_t t = 0; t < trd_result_n_tokens(result, h); t++) {
        if (t > 0) strcat(text, " ");
        strcat(text, trd_result_token(result, h, t));
    }
    return text;
}

static inline trd_translator *rig_translator(const char *folder, int32_t threads)
{
    trd_model *model;
    CHECK_OK(trd_model_open(folder, &model));
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.intra_threads = threads;
    options.cache_dir = "";
    trd_translator *translator;
    CHECK_OK(trd_translator_create(model, &options, &translator));
    trd_model_close(model);
    return translator;
}

/** The transliteration model, or skip. */
static inline trd_translator *rig_transliteration(int32_t threads)
{
    const char *folder = rig_folder("TREADLE_TEST_SHARED", "models/v2/aren-transliteration");
    if (!trd_model_exists(folder)) SKIP("no model in %s", folder);
    return rig_translator(folder, threads);
}

static inline trd_decoding_options rig_options(void)
{
    trd_decoding_options options;
    trd_decoding_options_init(&options, sizeof options);
    return options;
}

#endif
