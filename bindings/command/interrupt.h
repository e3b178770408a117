/*
 * interrupt.h: Ctrl-C and SIGTERM. A thread waits for them. Before and after the work they end the process at once; during it they ask it to stop,
 * which removes an unfinished output file.
 */
#ifndef COMMAND_INTERRUPT_H
#define COMMAND_INTERRUPT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/** The watch. */
typedef struct interrupts {
    atomic_int  stop;        /**< not 0: the work should stop */
    atomic_int  phase;       /**< private */
    atomic_bool is_stream;   /**< nothing is left behind if the process ends in the middle of writing */
    pthread_t   watcher;
    bool        is_watched;
} interrupts;

/**
 * Start watching. Call before other threads start: they must inherit the signal mask. Where interrupts are ignored (a job in the
 * background) they stay ignored.
 */
void interrupts_start(interrupts *in);
/** The work begins. @param is_stream  a reader of the output that does not read must not keep the process: it ends a second after an interrupt */
void interrupts_begin(interrupts *in, bool is_stream);
/** The work has ended. @return the exit status of an interrupt that came, else 0 */
int interrupts_end(interrupts *in);
/** Stop watching. */
void interrupts_finish(interrupts *in);

#endif /* COMMAND_INTERRUPT_H */
