/* run_jobs.c: see run_jobs.h. */
#include "api/run_jobs.h"

#include "core/alloc.h"

static trdi_event *take_event(trdi_batch *batch, trdi_call *call)
{
    trdi_mutex_lock(&call->mutex);
    trdi_event *event = batch->events.first;
    if (event != NULL) {
        batch->events.first = event->next;
        if (event->next == NULL) batch->events.last = NULL;
    }
    trdi_mutex_unlock(&call->mutex);
    return event;
}

static void report(trdi_batch *batch, const trdi_event *event)
{
    const trdi_example *example = &batch->examples[batch->places[event->example]];
    atomic_llong *stop = &example->stop_after[event->hypothesis];
    if (atomic_load(stop) >= 0) return;   /* chosen before the engine saw the stop: the result will not hold it */
    const char *token = trdi_vocabulary_token(batch->translator->model->target, event->token, NULL);
    const trd_step_result step = {
        .step = event->step, .example = event->example, .hypothesis = event->hypothesis,
        .token_id = event->token, .token = token != NULL ? token : "",
        .has_log_prob = batch->search.return_scores, .log_prob = batch->search.return_scores ? event->log_prob : 0.0f,
        .logits = event->n_logits > 0 ? event->logits : NULL, .n_logits = event->n_logits, .is_last = event->is_last,
    };
    if (batch->on_step(batch->on_step_context, &step)) atomic_store(stop, (long long)event->step);
}

static void report_events(trdi_batch *batch, trdi_call *call)
{
    for (trdi_event *event = take_event(batch, call); event != NULL; event = take_event(batch, call)) {
        report(batch, event);
        trdi_free(event);
    }
}

/* With callbacks one job after the other: while the backlog is full, what was chosen meanwhile is reported and not piled up. */
static trd_status submit(trdi_batch *batch, trdi_call *call)
{
    trdi_job **jobs = trdi_calloc((size_t)batch->n_jobs, sizeof *jobs);
    if (jobs == NULL) return trdi_fail(TRD_E_MEMORY, "%lld jobs: out of memory", (long long)batch->n_jobs);
    for (int64_t i = 0; i < batch->n_jobs; i++) {
        batch->jobs[i].base.call = call;
        batch->jobs[i].events = &batch->events;
        jobs[i] = &batch->jobs[i].base;
    }
    trdi_scheduler *scheduler = batch->translator->scheduler;
    const size_t n = (size_t)batch->n_jobs, at_once = batch->on_step != NULL ? 1 : n;
    trd_status status = TRD_OK;
    for (size_t i = 0; i < n && status == TRD_OK; i += at_once) {
        status = trdi_scheduler_submit(scheduler, jobs + i, at_once, TRDI_WHEN_FULL_BLOCK);
        if (batch->on_step != NULL) report_events(batch, call);
    }
    trdi_free((void *)jobs);
    return status;
}

static trd_status first_failure(const trdi_batch *batch)
{
    for (int64_t i = 0; i < batch->n_jobs; i++) {
        const trdi_job *job = &batch->jobs[i].base;
        if (job->status != TRD_OK) return trdi_fail(job->status, "%s", job->error);
    }
    return TRD_OK;
}

trd_status trdi_batch_run(trdi_batch *batch)
{
    trdi_call call;
    TRDI_TRY(trdi_call_init(&call));
    uint64_t seen = 0;
    trd_status status = submit(batch, &call);
    /* Also after a failed submission: jobs that went in must end before their memory goes. */
    while (!trdi_call_wait(&call, &seen)) report_events(batch, &call);
    report_events(batch, &call);
    trdi_call_destroy(&call);
    return status != TRD_OK ? status : first_failure(batch);
}

void trdi_batch_free(trdi_batch *batch)
{
    for (int64_t i = 0; i < batch->n_examples; i++) {
        trdi_example_clear(&batch->examples[i]);
        trdi_free(batch->examples[i].stop_after);
        trdi_free((void *)batch->examples[i].allowed);
        trdi_free((void *)batch->examples[i].target);
    }
    trdi_free(batch->examples);
    for (int64_t i = 0; i < batch->n_jobs; i++) trdi_decode_job_clear(&batch->jobs[i]);
    trdi_free(batch->jobs);
    trdi_search_free(&batch->search);
}
