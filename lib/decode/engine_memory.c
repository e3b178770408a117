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

/** How long to wait for memory that others hold, before cancelled jobs are looked for again. */
#define PAUSE_NS ((int64_t)10000000)

/* ---- An engine among others of its device ---- */

void trdi_engine_enter(trdi_engine *e)
{
    if (e->is_in_use) return;
    trdi_mutex_lock(&e->in_use);
    e->is_in_use = true;
}

static void shrink(trdi_engine *e)
{
    trdi_runner_shrink(e->builder.runner);
    trdi_builder_shrink(&e->builder);
}

static void yield(trdi_engine *e)
{
    e->crowded_out = false;
    if (e->setup.budget != NULL) trdi_memory_budget_yield(e->setup.budget, &e->user);
}

/* Another engine cannot go on while this one holds what it does not need. */
static bool is_in_the_way(const trdi_engine *e)
{
    return e->setup.budget != NULL && trdi_memory_budget_is_claimed(e->setup.budget, &e->user);
}

void trdi_engine_leave(trdi_engine *e)
{
    if (e->n_jobs > 0 || !e->is_in_use) return;
    yield(e);
    e->is_in_use = false;
    do {
        if (atomic_exchange(&e->gives_back, false) || is_in_the_way(e)) shrink(e);
        trdi_mutex_unlock(&e->in_use);
        /* Who asked after we looked could not get in. */
    } while (atomic_load(&e->gives_back) && trdi_mutex_try_lock(&e->in_use));
}

void trdi_engine_give_back(void *context)
{
    trdi_engine *e = context;
    atomic_store(&e->gives_back, true);
    if (!trdi_mutex_try_lock(&e->in_use)) return;
    if (atomic_exchange(&e->gives_back, false)) shrink(e);
    trdi_mutex_unlock(&e->in_use);
}

/* Do others hold memory of the device? */
static bool is_crowded(const trdi_engine *e)
{
    const trdi_memory_budget *budget = e->setup.budget;
    if (budget == NULL) return false;
    const long long all = atomic_load(&budget->parts[TRDI_PART_KV]) + atomic_load(&budget->parts[TRDI_PART_STEP]);
    return all > (long long)trdi_runner_bytes(e->builder.runner);
}

bool trdi_engine_has_turn(trdi_engine *e)
{
    trdi_memory_budget *budget = e->setup.budget;
    if (budget == NULL) return true;
    if (e->crowded_out && trdi_memory_budget_claim(budget, &e->user)) {
        if (is_crowded(e)) trdi_memory_budget_wait(budget, PAUSE_NS);
        return true;
    }
    const bool waits = e->crowded_out || (is_in_the_way(e) && trdi_runner_bytes(e->builder.runner) == 0);
    if (waits) trdi_memory_budget_wait(budget, PAUSE_NS);
    return !waits;
}

/* ---- Groups and jobs of an engine ---- */

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
    return e->n_groups > 0 && (e->builder.pool_is_full || e->max_units <= e->n_groups || e->n_held > 0 || is_in_the_way(e));
}

static void count_held(trdi_engine *e, trdi_engine_job *job)
{
    const bool is_held = job->waiting || job->n_alone > 0;
    e->n_held += (int64_t)is_held - (int64_t)job->is_held;
    job->is_held = is_held;
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
    if (e->n_held == 0) {
        if (e->builder.runner != NULL) trdi_runner_set_frugal(e->builder.runner, false);
        if (e->crowded_out) yield(e);
        return;
    }
    for (trdi_engine_job *job = e->first_job; job != NULL; job = job->next) {
        if (!job->waiting) continue;
        job->waiting = false;
        count_held(e, job);
        return;
    }
}

static void fail(const trdi_engine *e, trdi_engine_job *job)
{
    job->status = TRD_E_MEMORY;
    memcpy(job->error, e->shortage, sizeof e->shortage);
}

static bool is_begun_anew(const trdi_group *group) { return group->job->begun_anew; }

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
    job->begun_anew = true;
    trdi_engine_drop_groups(e, is_begun_anew, n_old);
    job->begun_anew = false;
    for (int64_t i = 0; i < job->job->n_examples; i++) trdi_example_clear(&job->job->examples[i]);
    if (job->in_lockstep) *job->generator = job->kept[0];
}

void trdi_engine_relieve(trdi_engine *e)
{
    trdi_engine_job *newest = NULL;
    bool is_last = true;
    for (trdi_engine_job *job = e->first_job; job != NULL; job = job->next) {
        if (job->status != TRD_OK) return;      /* it ends now, which gives memory back */
        if (job->waiting) continue;
        is_last = newest == NULL;
        newest = job;
    }
    if (newest == NULL) return;
    const bool is_crowded_out = is_last && is_crowded(e);
    if (newest->n_alone >= ATTEMPTS_ALONE && !is_crowded_out) {
        fail(e, newest);
        return;
    }
    if (newest->n_alone == 0 || !is_crowded_out) {
        trdi_log(TRD_LOG_WARNING, "a job begins anew %s: %s", is_last ? "with all memory to itself" : "when another has ended", e->shortage);
    }
    begin_anew(e, newest);
    newest->waiting = !is_last;
    newest->n_alone += is_last && (!is_crowded_out || newest->n_alone == 0);
    count_held(e, newest);
    if (!is_last) return;
    shrink(e);
    trdi_runner_set_frugal(e->builder.runner, true);
    forget_limits(e);
    e->crowded_out = is_crowded_out;
}
