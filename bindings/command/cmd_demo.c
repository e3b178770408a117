/*
 * cmd_demo.c: treadle demo: a model that lies inside the program (models/g2p-en: letters in, ARPAbet phonemes out) pronounces
 * words, so that an installation can be tried without any file.
 */
#include <string.h>

#include "command.h"
#include "json_text.h"
#include "progress.h"
#include "token_lists.h"

enum { N_BEST = 3, BEAM_SIZE = 5 };

typedef struct demo_settings {
    bool json;
} demo_settings;

static const option_spec demo_options[] = {
    { "json", OPTION_FLAG, NULL, NULL, NULL, offsetof(demo_settings, json), 0, 0, 0, "Options", "print one JSON object" },
};

/* The files, from demo_model.S.in. */
extern const char demo_model_bin[], demo_model_bin_end[], demo_config[], demo_config_end[], demo_source[],
    demo_source_end[], demo_target[], demo_target_end[];

/** The words of a run and what was found. */
typedef struct demo {
    const invocation   *program;
    char              **words;
    int                 n_words;
    bool                json;
    trd_model          *model;
    trd_translator     *translator;
    trd_translator_info device;
    token_lists         letters;    /* of the words that the model can read */
    trd_results        *results;
    double              seconds;
} demo;

static trd_status open_model(trd_model **out)
{
    const trd_file files[] = {
        { "model.bin", demo_model_bin, (size_t)(demo_model_bin_end - demo_model_bin) },
        { "config.json", demo_config, (size_t)(demo_config_end - demo_config) },
        { "source_vocabulary.json", demo_source, (size_t)(demo_source_end - demo_source) },
        { "target_vocabulary.json", demo_target, (size_t)(demo_target_end - demo_target) },
    };
    return trd_model_open_files("g2p-en (in this program)", files, sizeof files / sizeof files[0], out);
}

/** Bytes of the character at text: one UTF-8 sequence, or one byte where there is none. */
static size_t character_bytes(const char *text)
{
    size_t n = 1;
    if ((unsigned char)text[0] >= 0xC0)
        while (n < 4 && ((unsigned char)text[n] & 0xC0) == 0x80) n++;
    return n;
}

/** The letter at text in lower case, into letter[5]; returns its bytes. */
static size_t read_letter(const char *text, char *letter)
{
    const size_t n = character_bytes(text);
    memcpy(letter, text, n);
    letter[n] = '\0';
    if (letter[0] >= 'A' && letter[0] <= 'Z') letter[0] = (char)(letter[0] - 'A' + 'a');
    return n;
}

/** The first character of a word that the model has no token for; NULL if it knows all. */
static const char *unknown_letter(const trd_model *model, const char *word)
{
    char letter[5];
    for (size_t n; *word != '\0'; word += n) {
        n = read_letter(word, letter);
        if (trd_model_token_id(model, TRD_VOCABULARY_SOURCE, letter, n) < 0) return word;
    }
    return NULL;
}

static bool can_read(const demo *d, const char *word)
{
    return word[0] != '\0' && unknown_letter(d->model, word) == NULL;
}

/** Collect the letters of the words that can be read. */
static bool add_words(demo *d)
{
    char letter[5];
    for (int i = 0; i < d->n_words; i++) {
        if (!can_read(d, d->words[i])) continue;
        for (const char *c = d->words[i]; *c != '\0';) {
            const size_t n = read_letter(c, letter);
            if (!token_lists_add(&d->letters, letter, n)) return false;
            c += n;
        }
        if (!token_lists_end(&d->letters)) return false;
    }
    return true;
}

/** Open, translate, measure. @return a library status; memory that ran out here is TRD_E_MEMORY without a library text */
static int pronounce(demo *d)
{
    if (open_model(&d->model) != TRD_OK || trd_translator_create(d->model, NULL, &d->translator) != TRD_OK)
        return library_error(d->program);
    d->device = (trd_translator_info){ .struct_size = sizeof d->device };
    if (trd_translator_get_info(d->translator, &d->device) != TRD_OK) return library_error(d->program);
    if (!add_words(d)) {
        complain(d->program, "out of memory");
        return STATUS_FAILED;
    }
    trd_decoding_options options;
    trd_decoding_options_init(&options, sizeof options);
    options.beam_size = BEAM_SIZE;
    options.num_hypotheses = N_BEST;
    options.return_scores = true;
    const trd_sequences source = token_lists_view(&d->letters);
    const double start = clock_seconds();
    const trd_status status = trd_translator_translate(d->translator, &source, NULL, &options, &d->results);
    d->seconds = clock_seconds() - start;
    return status == TRD_OK ? STATUS_OK : library_error(d->program);
}

static double words_per_second(const demo *d)
{
    return d->seconds > 0 ? (double)d->letters.n / d->seconds : 0;
}

static void explain_word(const demo *d, const char *word, char *text, size_t size)
{
    const char *letter = unknown_letter(d->model, word);
    if (letter == NULL) (void)snprintf(text, size, "no letters");
    else
        (void)snprintf(text, size, "'%.*s' is not among the model's letters: a-z ' . -", (int)character_bytes(letter),
                       letter);
}

static void print_hypotheses(const char *word, const trd_result *result)
{
    for (int64_t h = 0; h < trd_result_n_hypotheses(result); h++) {
        printf("%-18s %8.4f  ", h == 0 ? word : "", (double)trd_result_score(result, h));
        for (int64_t t = 0; t < trd_result_n_tokens(result, h); t++)
            printf("%s%s", t > 0 ? " " : "", trd_result_token(result, h, t));
        putchar('\n');
    }
}

/** Print a word as a shell reads it back, in quotes where it needs them. */
static void print_shell_word(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%";
    if (word[strspn(word, plain)] == '\0') {
        fputs(word, stdout);
        return;
    }
    putchar('\'');
    for (; *word != '\0'; word++) fputs(*word == '\'' ? "'\\''" : (const char[]){ *word, '\0' }, stdout);
    putchar('\'');
}

static void print_text(const demo *d)
{
    printf("Pronunciations by a Transformer inside this program, best first, with scores:\n\n");
    int64_t next = 0;
    for (int i = 0; i < d->n_words; i++) {
        char why[120];
        if (can_read(d, d->words[i])) {
            print_hypotheses(d->words[i], trd_results_get(d->results, next++));
        } else {
            explain_word(d, d->words[i], why, sizeof why);
            printf("%-18s left out: %s\n", d->words[i], why);
        }
    }
    printf("\ndevice: %s, %s (%d x %d threads, %s)\n", d->device.device, d->device.device_name, d->device.n_workers,
           d->device.n_threads, d->device.compute_type);
    printf("speed:  %.0f words per second (%zu %s in %.1f ms, beam %d)\n", words_per_second(d), d->letters.n,
           d->letters.n == 1 ? "word" : "words", d->seconds * 1e3, BEAM_SIZE);
    fputs("next:   ", stdout);
    print_shell_word(d->program->self);
    fputs(" demo your own words\n", stdout);
}

static json_t *word_json(const demo *d, const char *word, const trd_result *result)
{
    json_t *object = json_object(), *hypotheses = json_array();
    (void)json_object_set_new(object, "word", json_word(word));
    if (result == NULL) {
        char why[120];
        explain_word(d, word, why, sizeof why);
        (void)json_object_set_new(object, "error", json_word(why));
    }
    for (int64_t h = 0; result != NULL && h < trd_result_n_hypotheses(result); h++) {
        json_t *one = json_object(), *phonemes = json_array();
        for (int64_t t = 0; t < trd_result_n_tokens(result, h); t++)
            (void)json_array_append_new(phonemes, json_word(trd_result_token(result, h, t)));
        (void)json_object_set_new(one, "phonemes", phonemes);
        (void)json_object_set_new(one, "score", json_number((double)trd_result_score(result, h)));
        (void)json_array_append_new(hypotheses, one);
    }
    (void)json_object_set_new(object, "hypotheses", hypotheses);
    return object;
}

static bool print_json(const demo *d)
{
    json_t *object = json_object(), *words = json_array();
    int64_t next = 0;
    for (int i = 0; i < d->n_words; i++) {
        const trd_result *result = can_read(d, d->words[i]) ? trd_results_get(d->results, next++) : NULL;
        (void)json_array_append_new(words, word_json(d, d->words[i], result));
    }
    (void)json_object_set_new(object, "device", json_word(d->device.device));
    (void)json_object_set_new(object, "device_name", json_word(d->device.device_name));
    (void)json_object_set_new(object, "compute_type", json_word(d->device.compute_type));
    (void)json_object_set_new(object, "seconds", json_number(d->seconds));
    (void)json_object_set_new(object, "words_per_second", json_number(words_per_second(d)));
    (void)json_object_set_new(object, "words", words);
    return json_print(object, true, stdout);
}

static int run_demo(const invocation *program, int argc, char **argv)
{
    static char *const standard[] = { "treadle", "thread", "kernel", "queue", "transformer", "don't" };
    demo_settings settings;
    command_line line;
    int status = options_parse(program, &demo_command, argc, argv, &settings, &line);
    if (status != STATUS_GO_ON) return status;

    demo d = { .program = program, .words = line.words, .n_words = line.n_words, .json = settings.json };
    if (d.n_words == 0) {
        d.words = (char **)standard;
        d.n_words = sizeof standard / sizeof standard[0];
    }
    status = pronounce(&d);
    if (status == STATUS_OK) {
        if (d.json) status = print_json(&d) ? STATUS_OK : STATUS_FAILED;
        else print_text(&d);
    }
    trd_results_destroy(d.results);
    trd_translator_destroy(d.translator);
    trd_model_close(d.model);
    token_lists_free(&d.letters);
    return status;
}

const subcommand demo_command = {
    .name = "demo",
    .operands = "[WORD...]",
    .usage = "[--json]",
    .summary = "pronounce English words with the model inside this program",
    .description = "Turn English words into ARPAbet phonemes with a small Transformer that is part of this program.\n"
                   "Prints the three best pronunciations of each word with their scores, the device and the speed.",
    .options = demo_options,
    .n_options = sizeof demo_options / sizeof demo_options[0],
    .run = run_demo,
};
