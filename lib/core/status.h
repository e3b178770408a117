/* status.h: how internal functions fail. The message is set once, where the failure is known; callers pass the code on. */
#ifndef TRDI_STATUS_H
#define TRDI_STATUS_H

#include "treadle/trd_base.h"

#if defined(__MINGW32__) && !defined(__clang__)
/* C99 formats: mingw-w64 has them with __USE_MINGW_ANSI_STDIO, which the build defines. */
#define TRDI_PRINTF(format_index, first) __attribute__((format(gnu_printf, format_index, first)))
#elif defined(__GNUC__)
#define TRDI_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define TRDI_PRINTF(format_index, first)
#endif

/** Set this thread's last-error text and return code. Never allocates; long texts are cut. */
trd_status trdi_fail(trd_status code, const char *format, ...) TRDI_PRINTF(2, 3);
/** As trdi_fail(), with "context: " put before the text that is there already; keeps the code. */
trd_status trdi_fail_within(trd_status code, const char *format, ...) TRDI_PRINTF(2, 3);

/** Longest text kept, with its NUL. Futures carry a copy of this size. */
#define TRDI_ERROR_BYTES 1024

/** Return from the calling function when expression is not TRD_OK. */
#define TRDI_TRY(expression)                                \
    do {                                                    \
        const trd_status trdi_status_ = (expression);       \
        if (trdi_status_ != TRD_OK) return trdi_status_;    \
    } while (0)

#endif
