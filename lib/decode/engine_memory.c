/*
 * engine_memory.c: who gives way when memory is short. Groups are first left out of steps (engine_step.c), which loses nothing. If then nothing
 * can run, since those left out hold what the others need, the newest job begins anew later: its result does not depend on when it
 * runs. Only a job that has all memory to itself fails.
 */
#include <string.h>

#include "core/alloc.h"
#include "core/log.h"
#include "decode/engine.h"

/** Source tokens encoded in one go while there is memory. */
#define ENCODE_TOKENS ((int64_t)1024)
/** Times that a job may begin anew with all memory to itself: other processes may take of a device's memory for a while. */
#define ATTEMPTS_ALONE 2

void trdi_engine_begin_step(trdi_engine *e)
{
    e->is_short = e->progressed = false;
    for (int64_t i = 0; i < e->n_groups; i++) e->groups[i]->left_out = false;
}

void trdi_engine_note_shortage(trdi_engine *e)
{
    const char *text = trd_last_error();
    memcpy(e->shortage, text, strlen(text) + 1);
    e->is_short = true;
}

bool trdi_engine_is_strained(const trdi_engine *e)
{
    if (e->n_groups == 0) return false;
    if (e->builder.pool_is_full || e->max_units <= e->n_groups) return true;
    for (int64_t i = 0; i < e->n_groups; i++)
        if (e->groups[i]->job->waiting || e->groups[i]->job->n_alone > 0) return true;
    return false;
}

static void forget_limits(trdi_engine *e)
{
    e->builder.pool_is_full = false;
    e->max_units = INT64_MAX;
    e->encode_tokens = ENCODE_TOKENS;
}

/* One job goes on for each that has ended: as many as there was memory for. */
void trdi_engine_recover(trdi_engine *e)
{
    const int64_t before = e->max_units;
    forget_limits(e);
    if (e->n_groups > 0 && before < INT64_MAX / 2) e->max_units = 2 * before;
    for (int64_t i = 0; i < e->n_groups; i++) {
        trdi_engine_job *job = e->groups[i]->job;
        if (!job->waiting) continue;
        job->waiting = false;
        return;
    }
}

static void fail(const trdi_engine *e, trdi_engine_job *job)
{
    job->status = TRD_E_MEMORY;
    memcpy(job->error, e->shortage, sizeof e->shortage);
}

/* Back to the state after admission. The new groups are made before the old ones go, so that a failure leaves the job in its place. */
static void begin_anew(trdi_engine *e, trdi_engine_job *job)
{
    const int64_t n_old = e->n_groups;
    const int64_t n_groups = job->n_groups, n_unencoded = job->n_unencoded;
    job->n_groups = job->n_unencoded = 0;
    if (trdi_engine_add_groups(e, job) != TRD_OK) {
        while (e->n_groups > n_old) trdi_group_destroy(e->groups[--e->n_groups], e->builder.runner);
        job->n_groups = n_groups;
        job->n_unencoded = n_unencoded;
        fail(e, job);
        return;
    }
    trdi_engine_drop_groups_of(e, job, n_old);
    for (int64_t i = 0; i < job->job->n_examples; i++) trdi_example_clear(&job->job->examples[i]);
    if (job->in_lockstep) *job->generator = job->kept[0];
}

void trdi_engine_relieve(trdi_engine *e)
{
    trdi_engine_job *oldest = NULL, *newest = NULL;
    for (int64_t i = 0; i < e->n_groups; i++) {
        trdi_engine_job *job = e->groups[i]->job;
        if (job->status != TRD_OK) return;      /* it ends now, which gives memory back */
        if (job->waiting) continue;
        if (oldest == NULL || job->serial < oldest->serial) oldest = job;
        if (newest == NULL || job->serial > newest->serial) newest = job;
    }
    if (newest == NULL) return;
    if (newest->n_alone == ATTEMPTS_ALONE) {
        fail(e, newest);
        return;
    }
    const bool is_last = newest == oldest;
    trdi_log(TRD_LOG_WARNING, "a job begins anew %s: %s", is_last ? "with all memory to itself" : "when another has ended", e->shortage);
    begin_anew(e, newest);
    newest->waiting = !is_last;
    if (!is_last) return;
    newest->n_alone++;
    trdi_runner_shrink(e->builder.runner);
    forget_limits(e);
}
