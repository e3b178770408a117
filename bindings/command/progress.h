/*
 * progress.h: how far a run over files is, its rate and the time left, on standard error: one line that is drawn anew on a terminal, else a line
 * now and then.
 */
#ifndef COMMAND_PROGRESS_H
#define COMMAND_PROGRESS_H

#include <stdbool.h>

#include <treadle/treadle.h>

/** Seconds of a clock that only goes forward. */
double clock_seconds(void);

/** The display. Starts as zeros. */
typedef struct progress {
    bool   on_terminal;     /**< set by the owner: standard error is one */
    bool   is_drawn;        /**< a line on the terminal has not been ended */
    double last_seconds;    /**< of the run: when it was shown last */
    trd_progress last;
} progress;

/** trd_progress_callback; context is the display. */
void progress_show(void *display, const trd_progress *now);
/** Show the last state and end the line. */
void progress_end(progress *p);

#endif /* COMMAND_PROGRESS_H */
