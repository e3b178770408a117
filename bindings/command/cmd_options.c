/*
 * cmd_options.c: command lines from a table: getopt_long does the splitting, this file the names in both spellings, the
 * values, the defaults and the messages. --help is printed from the same table.
 */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 64, HELP_CODE = 0x1000, FIRST_CODE = 0x1001, HELP_COLUMN = 32 };

/** getopt's table: every option in both spellings, --help, and the end mark. */
typedef struct long_options {
    struct option entries[2 * MAX_OPTIONS + 2];
    char          dashed[MAX_OPTIONS][40];
} long_options;

bool option_applies(const subcommand *command, const option_spec *option)
{
    return option->users == 0 || (option->users & command->user) != 0;
}

bool option_given(const subcommand *command, const command_line *line, const char *name)
{
    for (size_t i = 0; i < command->n_options; i++)
        if (strcmp(command->options[i].name, name) == 0) return (line->given >> i & 1) != 0;
    return false;
}

static void make_long_options(const subcommand *command, long_options *out)
{
    size_t n = 0;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < command->n_options && i < MAX_OPTIONS; i++) {
        const option_spec *o = &command->options[i];
        if (!option_applies(command, o)) continue;
        const int takes = o->kind == OPTION_FLAG ? optional_argument : required_argument;
        const int code = FIRST_CODE + (int)i;
        out->entries[n++] = (struct option){ o->name, takes, NULL, code };
        if (strchr(o->name, '_') == NULL) continue;
        (void)snprintf(out->dashed[i], sizeof out->dashed[i], "%s", o->name);
        for (char *c = out->dashed[i]; *c != '\0'; c++)
            if (*c == '_') *c = '-';
        out->entries[n++] = (struct option){ out->dashed[i], takes, NULL, code };
    }
    out->entries[n] = (struct option){ "help", no_argument, NULL, HELP_CODE };
}

static bool set_flag(const char *text, bool *out)
{
    if (text == NULL || strcmp(text, "true") == 0 || strcmp(text, "1") == 0) *out = true;
    else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0) *out = false;
    else return false;
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    const size_t n = strlen(text);
    for (const char *c = choices; c != NULL; c = strchr(c, '|') != NULL ? strchr(c, '|') + 1 : NULL)
        if (strncmp(c, text, n) == 0 && (c[n] == '|' || c[n] == '\0')) return n > 0;
    return false;
}

/** Does text begin as a number does? strtoll and its kin also skip spaces, and strtoull takes a minus sign. */
static bool starts_number(const char *text, bool may_be_negative)
{
    if (may_be_negative && (*text == '-' || *text == '+')) text++;
    return (*text >= '0' && *text <= '9') || *text == '.';
}

/** Store one value. On failure writes into why what is wrong with it. */
static bool set_value(const option_spec *o, const char *text, void *settings, char *why, size_t why_bytes)
{
    void *field = (char *)settings + o->offset;
    char *end = NULL;
    errno = 0;
    switch (o->kind) {
    case OPTION_FLAG:
        if (set_flag(text, field)) return true;
        (void)snprintf(why, why_bytes, "'%s' is neither true nor false", text);
        return false;
    case OPTION_TEXT:
        *(const char **)field = text;
        return true;
    case OPTION_CHOICE:
        *(const char **)field = text;
        if (is_choice(o->choices, text)) return true;
        (void)snprintf(why, why_bytes, "'%s' is not one of %s", text, o->choices);
        return false;
    case OPTION_REAL:
        *(double *)field = strtod(text, &end);
        if (starts_number(text, true) && *end == '\0' && errno == 0) return true;
        (void)snprintf(why, why_bytes, "'%s' is not a number", text);
        return false;
    case OPTION_SEED:
        *(uint64_t *)field = strtoull(text, &end, 10);
        if (starts_number(text, false) && *end == '\0' && errno == 0) return true;
        (void)snprintf(why, why_bytes, "'%s' is not a whole number from 0 to 18446744073709551615", text);
        return false;
    case OPTION_COUNT:
        break;
    }
    const long long value = strtoll(text, &end, 10);
    if (!starts_number(text, true) || end == text || *end != '\0') {
        (void)snprintf(why, why_bytes, "'%s' is not a whole number", text);
        return false;
    }
    if (errno != 0 || value < o->low || value > o->high) {
        (void)snprintf(why, why_bytes, "%s is out of range: %lld to %lld", text, (long long)o->low, (long long)o->high);
        return false;
    }
    *(int64_t *)field = value;
    return true;
}

static void set_defaults(const subcommand *command, void *settings)
{
    char why[8];
    for (size_t i = 0; i < command->n_options; i++) {
        const option_spec *o = &command->options[i];
        if (o->standard != NULL) (void)set_value(o, o->standard, settings, why, sizeof why);
        else if (o->kind == OPTION_TEXT || o->kind == OPTION_CHOICE) *(const char **)((char *)settings + o->offset) = NULL;
        else if (o->kind == OPTION_FLAG) *(bool *)((char *)settings + o->offset) = false;
    }
}

/** The options whose names start with what was written, up to its "=". */
static int count_matches(const long_options *known, const char *written, size_t bytes)
{
    int n = 0, last = 0;
    for (const struct option *o = known->entries; o->name != NULL; o++)
        if (strncmp(o->name, written, bytes) == 0 && o->val != last) {
            n++;
            last = o->val;
        }
    return n;
}

static int unknown_option(const invocation *program, const long_options *known, const char *written, int letter)
{
    if (strncmp(written, "--", 2) != 0) return usage_error(program, "unknown option '-%c'", letter);
    char word[64];
    const size_t bytes = strcspn(written + 2, "=");
    (void)snprintf(word, sizeof word, "%.*s", (int)(bytes < 60 ? bytes : 60), written + 2);

    if (letter >= HELP_CODE) return usage_error(program, "option '--%s' takes no value", word);
    if (count_matches(known, word, strlen(word)) > 1) return usage_error(program, "option '--%s' is ambiguous", word);
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (const struct option *o = known->entries; o->name != NULL; o++) {
        const size_t distance = word_distance(word, o->name);
        if (distance < best_distance) {
            best = o->name;
            best_distance = distance;
        }
    }
    if (best != NULL && word_is_near(word, best_distance))
        return usage_error(program, "unknown option '--%s'; did you mean '--%s'?", word, best);
    return usage_error(program, "unknown option '--%s'", word);
}

/** An option without its value: its help says what that may be. */
static int missing_value(const invocation *program, const subcommand *command, int code, const char *written)
{
    if (code < FIRST_CODE) return usage_error(program, "option '%s' needs a value", written);
    const option_spec *o = &command->options[code - FIRST_CODE];
    return usage_error(program, "option '%s' needs a value, %s: %s", written, o->argument, o->help);
}

/** One code of getopt_long that is neither the end nor --help. */
static int take_option(const invocation *program, const subcommand *command, const long_options *known, int code, char **argv,
                       void *settings, command_line *line)
{
    if (code == ':') return missing_value(program, command, optopt, argv[optind - 1]);
    if (code < FIRST_CODE) return unknown_option(program, known, argv[optind - 1], optopt);

    const size_t i = (size_t)(code - FIRST_CODE);
    char why[160];
    if (!set_value(&command->options[i], optarg, settings, why, sizeof why))
        return usage_error(program, "--%s: %s", command->options[i].name, why);
    line->given |= UINT64_C(1) << i;
    return STATUS_GO_ON;
}

int options_parse(const invocation *program, const subcommand *command, int argc, char **argv, void *settings, command_line *line)
{
    static const char short_options[] = ":h";
    long_options known;
    make_long_options(command, &known);
    set_defaults(command, settings);
    *line = (command_line){ 0 };

    opterr = 0;
    optind = 1;
    for (;;) {
        const int code = getopt_long(argc, argv, short_options, known.entries, NULL);
        if (code == -1) break;
        if (code == 'h' || code == HELP_CODE) {
            options_help(program, command, program->as_ct2 ? stderr : stdout);
            return STATUS_OK;
        }
        const int status = take_option(program, command, &known, code, argv, settings, line);
        if (status != STATUS_GO_ON) return status;
    }
    line->words = argv + optind;
    line->n_words = argc - optind;
    if (line->n_words > 0 && command->operands == NULL)
        return usage_error(program, "unexpected argument '%s'", line->words[0]);
    return STATUS_GO_ON;
}

/** Print text from a column on, wrapped before column 100. */
static void print_wrapped(FILE *stream, const char *text, int column)
{
    enum { RIGHT_MARGIN = 100 };
    int at = column;
    while (*text != '\0') {
        const int word = (int)strcspn(text, " ");
        if (at > column && at + 1 + word > RIGHT_MARGIN) {
            fprintf(stream, "\n%*s", column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', stream);
            at++;
        }
        fprintf(stream, "%.*s", word, text);
        at += word;
        text += word;
        while (*text == ' ') text++;
    }
    fputc('\n', stream);
}

static void print_option(FILE *stream, const option_spec *o)
{
    char head[80], help[400];
    (void)snprintf(head, sizeof head, "  --%s%s%s", o->name, o->argument != NULL ? " " : "",
                   o->argument != NULL ? o->argument : "");
    const bool shown = o->standard != NULL && o->kind != OPTION_FLAG;
    (void)snprintf(help, sizeof help, "%s%s%s%s%s%s", o->help, o->choices != NULL ? ": " : "",
                   o->choices != NULL ? o->choices : "", shown ? " [" : "", shown ? o->standard : "", shown ? "]" : "");
    fprintf(stream, "%-*s", HELP_COLUMN - 1, head);
    if (strlen(head) >= HELP_COLUMN - 1) fprintf(stream, "\n%*s", HELP_COLUMN - 1, "");
    fputc(' ', stream);
    print_wrapped(stream, help, HELP_COLUMN);
}

void options_help(const invocation *program, const subcommand *command, FILE *stream)
{
    fprintf(stream, "Usage: %s%s%s%s%s\n\n%s\n", program->name, command->usage[0] != '\0' ? " " : "", command->usage,
            command->operands != NULL ? " " : "", command->operands != NULL ? command->operands : "",
            command->description);
    const char *group = "";
    for (size_t i = 0; i < command->n_options; i++) {
        const option_spec *o = &command->options[i];
        if (!option_applies(command, o)) continue;
        if (strcmp(group, o->group) != 0) fprintf(stream, "\n%s:\n", o->group);
        group = o->group;
        print_option(stream, o);
    }
    fprintf(stream, "%s  -h, --help %*sprint this help\n", group[0] == '\0' ? "\nOptions:\n" : "", HELP_COLUMN - 13, "");
    if (command->n_options > 3) fprintf(stream, "\nEvery name may also be written with dashes instead of underscores.\n");
}
