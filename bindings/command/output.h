/*
 * output.h: where a stream of results goes, as a stream: nothing is renamed at the end, and what was written stays. A watcher
 * thread takes Ctrl-C and SIGTERM, lets the example being written end, flushes and leaves the process.
 */
#ifndef COMMAND_OUTPUT_H
#define COMMAND_OUTPUT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

/** An output being written. */
typedef struct output {
    pthread_mutex_t mutex;        /**< guards what follows; held while an example is being written */
    FILE           *file;         /**< NULL: not open */
    bool            shows_progress; /**< an interrupt must end the progress line */
    char            name[256];
    bool            on_terminal;  /**< it is one */
    pthread_t       watcher;
    bool            watched;
} output;

/**
 * Start without a file. From now on an interrupt ends the process cleanly. Call before other threads start: they must
 * inherit the signal mask. Where interrupts are ignored (a job in the background) they stay ignored.
 */
void output_init(output *out);
/** Open a file for writing, or standard output for NULL and "-". @return false: errno tells why */
bool output_open(output *out, const char *path);
/** Between these two calls an interrupt waits. */
void output_begin(output *out);
void output_end(output *out);
/** Push what was written to the file. @return 0 or errno */
int output_flush(output *out);
/** Flush and close (standard output is only flushed) and stop watching. @return 0 or errno */
int output_close(output *out);

#endif /* COMMAND_OUTPUT_H */
