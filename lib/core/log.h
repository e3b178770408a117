/* log.h: lines for the user's log. Off by default; see trd_log_set(). */
#ifndef TRDI_LOG_H
#define TRDI_LOG_H

#include "core/status.h"

/** Is this level written? Ask before preparing costly text. */
bool trdi_log_enabled(trd_log_level level);
/** Write one line, without newline. */
void trdi_log(trd_log_level level, const char *format, ...) TRDI_PRINTF(2, 3);

#endif
