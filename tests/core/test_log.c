/* test_log.c: levels from the environment, where lines go, and replacing both. The environment is read once: a process per case. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/log.h"

static const struct {
    const char   *own, *theirs;   /* TREADLE_LOG and CT2_VERBOSE, NULL = unset */
    trd_log_level level;
    bool          warned;
} cases[] = {
    { NULL, NULL, TRD_LOG_OFF, false },
    { "", "", TRD_LOG_OFF, false },
    { "off", NULL, TRD_LOG_OFF, false },
    { "error", NULL, TRD_LOG_ERROR, false },
    { "warning", NULL, TRD_LOG_WARNING, false },
    { "info", NULL, TRD_LOG_INFO, false },
    { "debug", NULL, TRD_LOG_DEBUG, false },
    { "trace", NULL, TRD_LOG_TRACE, false },
    { "0", "3", TRD_LOG_OFF, false },
    { "5", NULL, TRD_LOG_TRACE, false },
    { "6", NULL, TRD_LOG_WARNING, true },
    { "33", NULL, TRD_LOG_WARNING, true },
    { "loud", NULL, TRD_LOG_WARNING, true },
    { "", "-3", TRD_LOG_OFF, false },
    { NULL, "-2", TRD_LOG_ERROR, false },
    { NULL, "-1", TRD_LOG_ERROR, false },
    { NULL, "0", TRD_LOG_WARNING, false },
    { NULL, "1", TRD_LOG_INFO, false },
    { NULL, "2", TRD_LOG_DEBUG, false },
    { NULL, "3", TRD_LOG_TRACE, false },
    { NULL, "4", TRD_LOG_WARNING, true },
    { NULL, "-4", TRD_LOG_WARNING, true },
    { NULL, "1x", TRD_LOG_WARNING, true },
    { "info", "-3", TRD_LOG_INFO, false },
};
enum { N_CASES = sizeof cases / sizeof cases[0] };

static void set_environment(const char *name, const char *value)
{
    CHECK_INT(value != NULL ? setenv(name, value, 1) : unsetenv(name), 0);
}

/* Standard error goes to a file from here on. */
static FILE *capture(void)
{
    FILE *const file = tmpfile();
    CHECK(file != NULL);
    CHECK(dup2(fileno(file), STDERR_FILENO) >= 0);
    return file;
}

static const char *captured(FILE *file, char *text, size_t bytes)
{
    rewind(file);
    const size_t n = fread(text, 1, bytes - 1, file);
    text[n] = '\0';
    return text;
}

static int fail(int i, const char *what, const char *text)
{
    printf("case %d: %s: %s\n", i, what, text);
    return 1;
}

static int check_case(int i)
{
    set_environment("TREADLE_LOG", cases[i].own);
    set_environment("CT2_VERBOSE", cases[i].theirs);
    FILE *const file = capture();
    char text[4096];
    if (trd_log_get_level() != cases[i].level) return fail(i, "level", trd_log_get_level() == TRD_LOG_OFF ? "off" : "on");
    const bool warned = strstr(captured(file, text, sizeof text), "[treadle] [warning] log level '") != NULL;
    if (warned != cases[i].warned) return fail(i, "warning", text);
    for (int level = TRD_LOG_OFF; level <= TRD_LOG_TRACE; level++) {
        trdi_log((trd_log_level)level, "line of level %d", level);
        char line[64];
        snprintf(line, sizeof line, "] line of level %d\n", level);
        const bool wanted = level != TRD_LOG_OFF && level <= (int)cases[i].level;
        const bool written = strstr(captured(file, text, sizeof text), line) != NULL;
        if (wanted != written || wanted != trdi_log_enabled((trd_log_level)level)) return fail(i, line, text);
    }
    return 0;
}

typedef struct kept {
    int  n;
    trd_log_level level;
    char text[2048];
} kept;

static void keep(void *context, trd_log_level level, const char *text)
{
    kept *const k = context;
    k->n++;
    k->level = level;
    snprintf(k->text, sizeof k->text, "%s", text);
}

static int check_set(void)
{
    set_environment("TREADLE_LOG", "trace");
    kept k = { 0 };
    trd_log_set(TRD_LOG_INFO, keep, &k);
    CHECK_INT(trd_log_get_level(), TRD_LOG_INFO);
    trdi_log(TRD_LOG_DEBUG, "no");
    CHECK_INT(k.n, 0);
    trdi_log(TRD_LOG_INFO, "%d is a number", 5);
    CHECK_INT(k.n, 1);
    CHECK_INT(k.level, TRD_LOG_INFO);
    CHECK_STRING(k.text, "5 is a number");
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    trdi_log(TRD_LOG_ERROR, "%s", text);
    CHECK_INT(k.n, 2);
    CHECK(strlen(k.text) > 500 && strlen(k.text) < sizeof k.text - 1);

    trd_log_set((trd_log_level)99, keep, &k);
    CHECK_INT(trd_log_get_level(), TRD_LOG_TRACE);
    trd_log_set((trd_log_level)-1, keep, &k);
    CHECK_INT(trd_log_get_level(), TRD_LOG_OFF);
    trdi_log(TRD_LOG_ERROR, "no");
    CHECK_INT(k.n, 2);

    FILE *const file = capture();
    trd_log_set(TRD_LOG_ERROR, NULL, NULL);
    trdi_log(TRD_LOG_ERROR, "to standard error");
    char written[256];
    return strcmp(captured(file, written, sizeof written), "[treadle] [error] to standard error\n") == 0 ? 0 : fail(-1, "line", written);
}

int main(void)
{
    for (int i = 0; i <= N_CASES; i++) {
        fflush(stdout);
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) exit(i < N_CASES ? check_case(i) : check_set());
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), 0);
    }
    return 0;
}
