/*
 * pipeline.h: chunks of a stream go through a translator several at a time and come out in order. The calling thread
 * reads, a few runners each run one chunk and write it when its turn comes, so that no worker idles at the end of a chunk.
 * At most n_runners + 2 chunks are in memory.
 */
#ifndef COMMAND_PIPELINE_H
#define COMMAND_PIPELINE_H

#include "token_lists.h"

/** A stretch of the input. */
typedef struct chunk {
    token_lists source, target;   /**< target is empty without a second file */
    int64_t     first;            /**< index of its first example in the input */
    int64_t     end_byte;         /**< of the source file, after its last line */
} chunk;

/** Why a stream ended early. */
typedef struct failure {
    bool set;
    bool quiet;        /**< nothing to say: the reader of our output went away */
    char text[600];
} failure;

/** Record a failure; the first one stays. */
void failure_set(failure *f, const char *format, ...);

/** What to do with chunks. Every function gets context. */
typedef struct pipeline_steps {
    void *context;
    /** Fill an empty chunk; calling thread only. Leaves it empty at the end of the input. @return false: why is set; what was filled is still run */
    bool (*read)(void *context, chunk *c, failure *why);
    /** Run a chunk; any runner, several at once. */
    trd_status (*run)(void *context, const chunk *c, trd_results **out);
    /** Write its results; one chunk at a time, in order. @return false: why is set */
    bool (*write)(void *context, const chunk *c, const trd_results *results, failure *why);
} pipeline_steps;

/**
 * Run a whole stream. After a failure the chunks before it are still written.
 *
 * @param n_runners  >= 1
 * @return false: why is set
 */
bool pipeline_run(const pipeline_steps *steps, size_t n_runners, failure *why);

#endif /* COMMAND_PIPELINE_H */
