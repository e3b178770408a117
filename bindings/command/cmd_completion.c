/* cmd_completion.c: treadle completion: scripts for bash, zsh and fish, from the same tables as the parser and the help. */
#include <string.h>

#include "command.h"

typedef struct completion_settings {
    char none;
} completion_settings;

/** What completes the value of an option. */
static const char *path_kind(const option_spec *o)
{
    if (o->argument == NULL) return NULL;
    return strcmp(o->argument, "FILE") == 0 ? "file" : strcmp(o->argument, "DIR") == 0 ? "dir" : NULL;
}

static void print_bash_options(const subcommand *c)
{
    fputs("--help", stdout);
    for (size_t i = 0; i < c->n_options; i++)
        if (option_applies(c, &c->options[i])) printf(" --%s", c->options[i].name);
}

static void print_bash_values(const subcommand *c)
{
    for (size_t i = 0; i < c->n_options; i++) {
        const option_spec *o = &c->options[i];
        if (!option_applies(c, o) || o->kind == OPTION_FLAG) continue;
        printf("        --%s) ", o->name);
        if (o->choices != NULL) {
            fputs("COMPREPLY=($(compgen -W '", stdout);
            for (const char *t = o->choices; *t != '\0'; t++) putchar(*t == '|' ? ' ' : *t);
            fputs("' -- \"$word\"));", stdout);
        } else if (path_kind(o) != NULL) {
            printf("COMPREPLY=($(compgen %s -- \"$word\"));", strcmp(path_kind(o), "dir") == 0 ? "-d" : "-f");
        } else {
            fputs("COMPREPLY=();", stdout);
        }
        puts(" return ;;");
    }
}

static void print_bash_case(const subcommand *c)
{
    printf("    %s)\n        case \"$before\" in\n", c->name);
    print_bash_values(c);
    fputs("        esac\n        options='", stdout);
    print_bash_options(c);
    puts("' ;;");
}

static void print_bash(void)
{
    size_t n;
    const subcommand *const *all = commands_all(&n);
    puts("# bash completion of treadle and ct2-translator; made by `treadle completion bash`\n"
         "_treadle()\n{\n"
         "    local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" command=\"${COMP_WORDS[1]}\" options=''\n"
         "    if [ \"${COMP_WORDS[0]##*/}\" = ct2-translator ]; then\n        command=ct2-translator\n"
         "    elif [ \"$COMP_CWORD\" -eq 1 ]; then");
    fputs("        COMPREPLY=($(compgen -W '--help --version", stdout);
    for (size_t i = 0; i < n; i++) printf(" %s", all[i]->name);
    puts("' -- \"$word\"))\n        return\n    fi\n    case \"$command\" in");
    for (size_t i = 0; i < n; i++) print_bash_case(all[i]);
    print_bash_case(&ct2_command);
    puts("    esac\n"
         "    case \"$command:$word\" in\n"
         "    *:-*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
         "    inspect:*) COMPREPLY=($(compgen -d -- \"$word\")) ;;\n"
         "    completion:*) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$word\")) ;;");
    fputs("    help:*) COMPREPLY=($(compgen -W '", stdout);
    for (size_t i = 0; i < n; i++) printf("%s%s", i > 0 ? " " : "", all[i]->name);
    puts("' -- \"$word\")) ;;\n"
         "    *) COMPREPLY=() ;;\n"
         "    esac\n}\ncomplete -o filenames -F _treadle treadle ct2-translator");
}

/** Print text for a single-quoted shell word; what in special needs a backslash gets one. */
static void print_quoted(const char *text, const char *special)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') fputs("'\\'", stdout);
        else if (strchr(special, *text) != NULL) putchar('\\');
        putchar(*text);
    }
}

static void print_zsh_arguments(const subcommand *c)
{
    fputs("        _arguments '(-h --help)'{-h,--help}'[print this help]'", stdout);
    for (size_t i = 0; i < c->n_options; i++) {
        const option_spec *o = &c->options[i];
        if (!option_applies(c, o)) continue;
        printf(" \\\n            '--%s%s[", o->name, o->kind == OPTION_FLAG ? "" : "=");
        print_quoted(o->help, "[]:\\");
        putchar(']');
        if (o->kind != OPTION_FLAG) {
            printf(":%s:", o->argument);
            if (path_kind(o) != NULL) fputs(strcmp(path_kind(o), "dir") == 0 ? "_files -/" : "_files", stdout);
            if (o->choices != NULL) {
                putchar('(');
                for (const char *t = o->choices; *t != '\0'; t++) putchar(*t == '|' ? ' ' : *t);
                putchar(')');
            }
        }
        putchar('\'');
    }
    if (strcmp(c->name, "inspect") == 0) fputs(" \\\n            '1:DIR:_files -/'", stdout);
    if (strcmp(c->name, "completion") == 0) fputs(" \\\n            '1:SHELL:(bash zsh fish)'", stdout);
    putchar('\n');
}

static void print_zsh(void)
{
    size_t n;
    const subcommand *const *all = commands_all(&n);
    puts("#compdef treadle ct2-translator\n# zsh completion; made by `treadle completion zsh`\n"
         "_treadle() {\n    local command=$words[2]\n"
         "    if [[ $service == ct2-translator ]]; then\n        command=ct2-translator\n"
         "    elif (( CURRENT == 2 )); then\n        local -a commands=(");
    for (size_t i = 0; i < n; i++) {
        printf("            '%s:", all[i]->name);
        print_quoted(all[i]->summary, ":\\");
        puts("'");
    }
    puts("        )\n        _describe command commands -- '(--help --version)'\n        return\n    else\n"
         "        shift words\n        (( CURRENT-- ))\n    fi\n    case $command in");
    for (size_t i = 0; i < n; i++) {
        printf("    %s)\n", all[i]->name);
        print_zsh_arguments(all[i]);
        puts("        ;;");
    }
    puts("    ct2-translator)");
    print_zsh_arguments(&ct2_command);
    puts("        ;;\n    esac\n}\n_treadle \"$@\"");
}

static void print_fish_options(const subcommand *c, bool alone)
{
    for (size_t i = 0; i < c->n_options; i++) {
        const option_spec *o = &c->options[i];
        if (!option_applies(c, o)) continue;
        if (alone) fputs("complete -c ct2-translator", stdout);
        else printf("complete -c treadle -n '__fish_seen_subcommand_from %s'", c->name);
        printf(" -l %s", o->name);
        if (o->kind != OPTION_FLAG) fputs(path_kind(o) != NULL ? " -r -F" : " -x", stdout);
        if (o->choices != NULL) {
            fputs(" -a '", stdout);
            for (const char *t = o->choices; *t != '\0'; t++) putchar(*t == '|' ? ' ' : *t);
            putchar('\'');
        }
        fputs(" -d '", stdout);
        for (const char *t = o->help; *t != '\0'; t++) {
            if (*t == '\'' || *t == '\\') putchar('\\');
            putchar(*t);
        }
        puts("'");
    }
}

static void print_fish(void)
{
    size_t n;
    const subcommand *const *all = commands_all(&n);
    puts("# fish completion of treadle and ct2-translator; made by `treadle completion fish`\n"
         "complete -c treadle -f\ncomplete -c treadle -s h -l help -d 'print this help'\n"
         "complete -c treadle -n __fish_use_subcommand -l version -d 'print the version'\n"
         "complete -c treadle -n '__fish_seen_subcommand_from inspect' -a '(__fish_complete_directories)'\n"
         "complete -c treadle -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n"
         "complete -c ct2-translator -s h -l help -d 'print this help'");
    for (size_t i = 0; i < n; i++)
        printf("complete -c treadle -n __fish_use_subcommand -a %s -d '%s'\n", all[i]->name, all[i]->summary);
    for (size_t i = 0; i < n; i++) print_fish_options(all[i], false);
    print_fish_options(&ct2_command, true);
}

static int run_completion(const invocation *program, int argc, char **argv)
{
    completion_settings settings;
    command_line line;
    const int status = options_parse(program, &completion_command, argc, argv, &settings, &line);
    if (status != STATUS_GO_ON) return status;
    const char *shell = line.n_words > 0 ? line.words[0] : "";
    if (line.n_words > 1) return usage_error(program, "unexpected argument '%s'", line.words[1]);
    if (strcmp(shell, "bash") == 0) print_bash();
    else if (strcmp(shell, "zsh") == 0) print_zsh();
    else if (strcmp(shell, "fish") == 0) print_fish();
    else return usage_error(program, "which shell: bash, zsh or fish?");
    return STATUS_OK;
}

const subcommand completion_command = {
    .name = "completion",
    .operands = "bash|zsh|fish",
    .usage = "",
    .summary = "print the completion script of a shell",
    .description = "Print a script that completes commands, options and values in a shell.\n"
                   "For bash, now: source <(treadle completion bash)",
    .run = run_completion,
};
