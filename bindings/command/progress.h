/*
 * progress.h: one line on standard error with how far a stream is, its rate and the time left; only where somebody sees it:
 * standard error is a terminal, and neither input nor output use that terminal.
 */
#ifndef COMMAND_PROGRESS_H
#define COMMAND_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <treadle/treadle.h>

/** Seconds of a clock that only goes forward. */
double clock_seconds(void);

/** The display. mutex guards what follows it; a thread redraws several times a second. */
typedef struct progress {
    bool            shown;
    trd_translator *translator;   /**< asked for the examples still in work */
    int64_t         total_bytes;  /**< of the input; -1: unknown */
    double          started;
    pthread_t       drawer;
    pthread_mutex_t mutex;
    pthread_cond_t  stopped;
    bool            stop;
    int64_t         read_examples, read_bytes;         /**< handed to the translator */
    int64_t         written_examples, written_bytes;
    int64_t         tokens;                            /**< of what was written */
} progress;

/** Start. Draws nothing unless show; total_bytes is the size of the input or -1. */
void progress_start(progress *p, bool show, trd_translator *translator, int64_t total_bytes);
/** More examples went to the translator; byte: end of the last one in the input. Any thread. */
void progress_read(progress *p, int64_t examples, int64_t byte);
/** More examples were written. Any thread. */
void progress_written(progress *p, int64_t examples, int64_t byte, int64_t tokens);
/** Draw a last time and end the line. */
void progress_stop(progress *p);

#endif /* COMMAND_PROGRESS_H */
