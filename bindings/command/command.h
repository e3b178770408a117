/*
 * command.h: what the files of the program `treadle` share: exit codes, the description of a subcommand with its table
 * of options, and messages. One table per subcommand drives parsing, --help and shell completion.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <treadle/treadle.h>

#if defined(__GNUC__)
#define COMMAND_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define COMMAND_PRINTF(text, first)
#endif

/** Exit codes of the program. */
enum {
    STATUS_OK = 0,
    STATUS_FAILED = 1,        /**< something went wrong while running */
    STATUS_USAGE = 2,         /**< the command line is wrong (1 when run as ct2-translator) */
    STATUS_INTERRUPTED = 130, /**< Ctrl-C */
    STATUS_GO_ON = -1,        /**< no exit code yet: returned by steps of a command */
    STATUS_TOLD = -2          /**< STATUS_FAILED; standard output may be broken too, which needs no further word */
};

/** How the program was started. */
typedef struct invocation {
    char  name[64];      /**< "treadle", "treadle score", "ct2-translator": opens every message */
    const char *self;    /**< the program as it was called: argv[0] */
    bool  as_ct2;        /**< run as ct2-translator: help on standard error, usage errors exit with 1 */
} invocation;

/** What an option takes. */
typedef enum option_kind {
    OPTION_FLAG,     /**< bool: nothing, or =true, =false */
    OPTION_COUNT,    /**< int64_t within low .. high */
    OPTION_SEED,     /**< uint64_t */
    OPTION_REAL,     /**< double */
    OPTION_TEXT,     /**< const char * */
    OPTION_CHOICE    /**< const char *, one of choices */
} option_kind;

/** One option of a subcommand. */
typedef struct option_spec {
    const char *name;        /**< with underscores; the same with dashes is accepted too */
    option_kind kind;
    const char *argument;    /**< what the value is called in the help; NULL for a flag. DIR and FILE complete as paths */
    const char *choices;     /**< separated by "|"; OPTION_CHOICE only */
    const char *standard;    /**< default, as it would be written; NULL: none */
    size_t      offset;      /**< of the field in the command's settings */
    int64_t     low, high;   /**< bounds of OPTION_COUNT */
    unsigned    users;       /**< which subcommands have it: bits that the table's owner defines; 0: all */
    const char *group;       /**< heading in the help */
    const char *help;
} option_spec;

/** One subcommand. */
typedef struct subcommand {
    const char        *name;
    const char        *operands;     /**< after the options in the usage line, e.g. "[WORD...]"; NULL: takes none */
    const char        *usage;        /**< before the operands, e.g. "--model DIR [options]" */
    const char        *summary;      /**< one line */
    const char        *description;  /**< shown under the usage line */
    const option_spec *options;
    size_t             n_options;    /**< at most 64 */
    unsigned           user;         /**< its bit in option_spec.users */
    int              (*run)(const invocation *program, int argc, char **argv);
} subcommand;

extern const subcommand translate_command, score_command, ct2_command, inspect_command, devices_command, tune_command, demo_command,
    completion_command, help_command;

/** All subcommands, in the order of the help. @param n  their number */
const subcommand *const *commands_all(size_t *n);

/** What was found on a command line. */
typedef struct command_line {
    uint64_t given;    /**< bit i: option i of the table was written */
    char   **words;    /**< operands */
    int      n_words;
} command_line;

/**
 * Read a command line into settings, which is first filled with the table's defaults. Prints the help if asked, or what is wrong.
 *
 * @return STATUS_GO_ON to run the command, else the exit code
 */
int options_parse(const invocation *program, const subcommand *command, int argc, char **argv, void *settings, command_line *line);
/** Was this option written? name must be in the table. */
bool option_given(const subcommand *command, const command_line *line, const char *name);
/** Does the command have this option? */
bool option_applies(const subcommand *command, const option_spec *option);
/** Print usage, description and options. */
void options_help(const invocation *program, const subcommand *command, FILE *stream);

/** Print "NAME: text" on standard error. */
void complain(const invocation *program, const char *format, ...) COMMAND_PRINTF(2, 3);
/** complain() with "Try 'NAME --help'."; returns the exit code of a usage error. */
int usage_error(const invocation *program, const char *format, ...) COMMAND_PRINTF(2, 3);
/** complain() with what the library's last failed call said; returns STATUS_FAILED. */
int library_error(const invocation *program);
/** Flush standard output and report what went wrong with it, unless told. @return the exit code: status, or STATUS_FAILED */
int finish_output(const invocation *program, int status);

/** How far apart two words are: edits (insert, delete, replace, swap of neighbours) from one to the other. */
size_t word_distance(const char *a, const char *b);
/** Is a candidate this far away worth suggesting for a word? */
bool word_is_near(const char *word, size_t distance);

#endif /* COMMAND_H */
