/* log.c: the user's log. The level comes from trd_log_set(), else from TREADLE_LOG, else from CT2_VERBOSE. */
#include "core/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/threads.h"

static const char *const level_names[] = { "off", "error", "warning", "info", "debug", "trace" };

static trdi_once environment_once = TRDI_ONCE_INIT;
static atomic_int current_level;
static trd_log_callback user_callback;
static void *user_context;

static bool level_from_name(const char *text, int *level)
{
    for (int i = 0; i <= TRD_LOG_TRACE; i++) {
        if (strcmp(text, level_names[i]) == 0 || (text[0] == '0' + i && text[1] == '\0')) {
            *level = i;
            return true;
        }
    }
    return false;
}

/* CT2_VERBOSE counts from -3 (off) to 3 (trace), with critical at -2, which is our error too. */
static bool level_from_ct2(const char *text, int *level)
{
    char *end;
    const long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < -3 || value > 3) return false;
    *level = value == -3 ? TRD_LOG_OFF : value <= -1 ? TRD_LOG_ERROR : (int)value + TRD_LOG_WARNING;
    return true;
}

static void read_environment(void)
{
    int level = TRD_LOG_OFF;
    const char *own = getenv("TREADLE_LOG"), *theirs = getenv("CT2_VERBOSE");
    bool valid = true;
    if (own != NULL && own[0] != '\0') valid = level_from_name(own, &level);
    else if (theirs != NULL && theirs[0] != '\0') valid = level_from_ct2(theirs, &level);
    if (!valid) level = TRD_LOG_WARNING;
    atomic_store(&current_level, level);
    if (!valid) trdi_log(TRD_LOG_WARNING, "log level '%s' is unknown: using 'warning'", own != NULL && own[0] != '\0' ? own : theirs);
}

void trd_log_set(trd_log_level level, trd_log_callback callback, void *context)
{
    trdi_once_run(&environment_once, read_environment);
    user_callback = callback;
    user_context = context;
    const int value = (int)level;
    atomic_store(&current_level, value < TRD_LOG_OFF ? TRD_LOG_OFF : value > TRD_LOG_TRACE ? TRD_LOG_TRACE : value);
}

trd_log_level trd_log_get_level(void)
{
    trdi_once_run(&environment_once, read_environment);
    return (trd_log_level)atomic_load(&current_level);
}

bool trdi_log_enabled(trd_log_level level)
{
    return level != TRD_LOG_OFF && level <= trd_log_get_level();
}

void trdi_log(trd_log_level level, const char *format, ...)
{
    /* Not trdi_log_enabled(): read_environment() itself logs. */
    if (level == TRD_LOG_OFF || (int)level > atomic_load(&current_level)) {
        if (!trdi_log_enabled(level)) return;
    }
    char text[TRDI_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (user_callback != NULL) user_callback(user_context, level, text);
    else (void)fprintf(stderr, "[treadle] [%s] %s\n", level_names[level], text);
}
