/*
 * module_host.c: core's allocation, failures and log inside a module: the same functions, handed on to the library that loaded it.
 * Compiled into modules only.
 */
#include "backend/module_host.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/alloc.h"
#include "core/log.h"

static const trdi_backend_host *host;

void trdi_module_set_host(const trdi_backend_host *given)
{
    host = given;
}

const char *trdi_module_version(void)
{
    return host->version;
}

void *trdi_alloc(size_t bytes)
{
    return host->alloc(bytes);
}

void trdi_free(void *memory)
{
    host->free(memory);
}

trd_status trdi_fail(trd_status code, const char *format, ...)
{
    char text[TRDI_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return host->fail(code, text);
}

trd_status trdi_fail_within(trd_status code, const char *format, ...)
{
    char text[TRDI_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return host->fail_within(code, text);
}

bool trdi_log_enabled(trd_log_level level)
{
    return host->log_enabled(level);
}

void trdi_log(trd_log_level level, const char *format, ...)
{
    if (!host->log_enabled(level)) return;
    char text[TRDI_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    host->log(level, text);
}
