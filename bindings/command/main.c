/*
 * main.c: the program treadle: finds the subcommand and hands over. Started under the name ct2-translator it is that
 * program instead: no subcommand, its options, help on standard error.
 */
#include "command.h"

#include <fcntl.h>
#include <string.h>

const subcommand *const *commands_all(size_t *n)
{
    static const subcommand *const commands[] = {
        &translate_command, &score_command, &inspect_command, &devices_command,
        &tune_command,      &demo_command,  &completion_command, &help_command,
    };
    *n = sizeof commands / sizeof commands[0];
    return commands;
}

static const subcommand *find_command(const char *name)
{
    size_t n;
    const subcommand *const *commands = commands_all(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static int unknown_command(const invocation *program, const char *word)
{
    size_t n, best_distance = SIZE_MAX;
    const subcommand *const *commands = commands_all(&n);
    const char *best = "";
    for (size_t i = 0; i < n; i++) {
        const size_t distance = word_distance(word, commands[i]->name);
        if (distance < best_distance) {
            best = commands[i]->name;
            best_distance = distance;
        }
    }
    if (word_is_near(word, best_distance))
        return usage_error(program, "unknown command '%s'; did you mean '%s'?", word, best);
    return usage_error(program, "unknown command '%s'", word);
}

static void print_overview(FILE *stream)
{
    fprintf(stream, "Usage: treadle COMMAND [options]\n\n"
                    "Run Transformer models in the CTranslate2 format.\n\nCommands:\n");
    size_t n;
    const subcommand *const *commands = commands_all(&n);
    for (size_t i = 0; i < n; i++) fprintf(stream, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(stream, "\nOptions:\n  -h, --help    print this help\n  --version     print the version\n\n"
                    "'treadle help COMMAND' tells more; 'treadle demo' needs no files and shows that all works.\n");
}

static void name_command(invocation *program, const char *command)
{
    (void)snprintf(program->name, sizeof program->name, "treadle %s", command);
}

static int run_help(const invocation *program, int argc, char **argv)
{
    char none;
    command_line line;
    const int status = options_parse(program, &help_command, argc, argv, &none, &line);
    if (status != STATUS_GO_ON) return status;
    if (line.n_words > 1) return usage_error(program, "unexpected argument '%s'", line.words[1]);
    if (line.n_words == 0) {
        print_overview(stdout);
        return STATUS_OK;
    }
    const subcommand *found = find_command(line.words[0]);
    if (found == NULL) return unknown_command(program, line.words[0]);
    invocation named = *program;
    name_command(&named, found->name);
    options_help(&named, found, stdout);
    return STATUS_OK;
}

const subcommand help_command = {
    .name = "help",
    .operands = "[COMMAND]",
    .usage = "",
    .summary = "print how a command is used",
    .description = "Print the commands, or how one of them is used.",
    .run = run_help,
};

static int run_treadle(invocation *program, int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return STATUS_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_overview(stdout);
        return STATUS_OK;
    }
    if (strcmp(word, "--version") == 0) {
        printf("treadle %s\n", trd_version());
        return STATUS_OK;
    }
    if (word[0] == '-') return usage_error(program, "unknown option '%s'; options follow the command", word);

    const subcommand *found = find_command(word);
    if (found == NULL) return unknown_command(program, word);
    name_command(program, found->name);
    return found->run(program, argc - 1, argv + 1);
}

/**
 * Make sure that standard input, output and error are open: else the next file opened, a model or the cache, would take the
 * number of a closed one and be read or written in its place. Using one that was closed still fails.
 */
static void open_standard_files(void)
{
    static const int modes[] = { O_WRONLY, O_RDONLY, O_RDWR };   /* the wrong way round, except for standard error */
    for (int i = 0; i < 3; i++)
        if (fcntl(i, F_GETFD) == -1) (void)open("/dev/null", modes[i]);
}

int main(int argc, char **argv)
{
    open_standard_files();
    const char *self = argc > 0 && argv[0] != NULL ? argv[0] : "";
    const char *slash = strrchr(self, '/');
    invocation program = { .name = "treadle", .self = self[0] != '\0' ? self : "treadle" };
    program.as_ct2 = strcmp(slash != NULL ? slash + 1 : self, "ct2-translator") == 0;

    int status;
    if (program.as_ct2) {
        (void)snprintf(program.name, sizeof program.name, "ct2-translator");
        status = ct2_command.run(&program, argc, argv);
    } else {
        status = run_treadle(&program, argc, argv);
    }
    return finish_output(&program, status);
}
