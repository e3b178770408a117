/* run_jobs.h: submitting the jobs of a call and waiting for them, with callbacks on the calling thread. */
#ifndef TRDI_RUN_JOBS_H
#define TRDI_RUN_JOBS_H

#include "api/translator.h"

/** The jobs of one call. */
typedef struct trdi_batch {
    trd_translator  *translator;
    trdi_search      search;
    trdi_example    *examples;    /**< [n_examples] */
    int64_t          n_examples;
    const int64_t   *places;      /**< example of each sequence of the call, for events; borrowed */
    trdi_decode_job *jobs;        /**< [n_jobs] */
    int64_t          n_jobs;
    trdi_event_queue events;
    trd_step_callback on_step;
    void            *on_step_context;
} trdi_batch;

/** Run the jobs (kind, examples set) to their end. @return the status of the first job that failed, with its text */
trd_status trdi_batch_run(trdi_batch *batch);
/** Free examples' hypotheses, examples, jobs, search. */
void trdi_batch_free(trdi_batch *batch);

#endif
