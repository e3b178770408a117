/*
 * engine.c: the executor of a worker. Jobs are admitted as groups; each step encodes what waits and advances every
 * group that is ready by one decoding step, whatever call it came from.
 */
#include <string.h>

#include "core/alloc.h"
#include "decode/engine.h"

static trd_status open_queue(trdi_engine *e)
{
    trdi_device_bind_feeder(e->setup.device);
    e->pin.first_core = e->setup.first_core + (int64_t)e->worker->index * e->setup.n_threads;
    const trdi_queue_options options = {
        .n_threads = e->setup.n_threads,
        .thread_start = e->setup.first_core >= 0 ? trdi_device_pin_thread : NULL,
        .thread_context = &e->pin,
    };
    return e->setup.device->ops->queue_create(e->setup.device->impl, &options, &e->queue);
}

static void close_engine(void *executor)
{
    trdi_engine *e = executor;
    if (e == NULL) return;
    if (e->setup.budget != NULL) trdi_memory_budget_unregister(e->setup.budget, &e->user);
    for (int64_t i = 0; i < e->n_groups; i++) trdi_group_destroy(e->groups[i], e->builder.runner);
    trdi_free(e->groups);
    trdi_runner *runner = e->builder.runner;
    trdi_builder_destroy(&e->builder);
    trdi_runner_destroy(runner);
    if (e->queue != NULL) e->setup.device->ops->queue_destroy(e->queue);
    if (e->is_in_use) trdi_mutex_unlock(&e->in_use);
    trdi_mutex_destroy(&e->in_use);
    trdi_free(e);
}

static trd_status fill_engine(trdi_engine *e)
{
    TRDI_TRY(open_queue(e));
    TRDI_TRY(trdi_runner_create(e->setup.network, e->queue, &e->builder.runner));
    trdi_runner_set_budget(e->builder.runner, e->setup.budget);
    e->builder.info = trdi_network_get_info(e->setup.network);
    e->builder.seen = trdi_calloc((size_t)e->builder.info->vocabulary, sizeof *e->builder.seen);
    if (e->builder.seen == NULL) return trdi_fail(TRD_E_MEMORY, "decoding engine: out of memory");
    e->user = (trdi_memory_user){ .give_back = trdi_engine_give_back, .context = e };
    if (e->setup.budget != NULL) trdi_memory_budget_register(e->setup.budget, &e->user);
    return TRD_OK;
}

trd_status trdi_engine_open(void *context, const trdi_worker_info *worker, void **executor)
{
    *executor = NULL;
    trdi_engine *e = trdi_calloc(1, sizeof *e);
    if (e == NULL) return trdi_fail(TRD_E_MEMORY, "decoding engine: out of memory");
    e->setup = *(const trdi_engine_setup *)context;
    e->worker = worker;
    trdi_engine_recover(e);
    trd_status status = trdi_mutex_init(&e->in_use);
    if (status != TRD_OK) {
        trdi_free(e);
        return status;
    }
    status = fill_engine(e);
    if (status != TRD_OK) {
        close_engine(e);
        return status;
    }
    *executor = e;
    return TRD_OK;
}

/* Rows that a job may come to have. */
static int64_t job_rows(const trdi_decode_job *job)
{
    if (job->kind == TRDI_JOB_SCORE) return job->n_examples;
    const trdi_search *search = job->search;
    int64_t rows = search->beam_size;
    if (search->return_alternatives || search->beam_size == 1) rows *= search->num_hypotheses;
    return rows * job->n_examples;
}

static trd_status check_source(const trdi_network_info *info, const trdi_example *example)
{
    if (info->max_source_positions >= 0 && example->n_source > info->max_source_positions) {
        return trdi_fail(TRD_E_UNSUPPORTED, "example %lld: No position encodings are defined for positions >= %lld, but got position %lld",
                         (long long)example->index, (long long)info->max_source_positions, (long long)example->n_source - 1);
    }
    for (int64_t k = 0; k < info->n_source_features; k++) {
        for (int64_t i = 0; i < example->n_source; i++) {
            const int32_t id = example->source[k][i];
            if (id >= 0 && id < info->source_rows[k]) continue;
            return trdi_fail(TRD_E_INVALID, "example %lld: source token id %d is not below the %lld rows of embedding table %lld",
                             (long long)example->index, (int)id, (long long)info->source_rows[k], (long long)k);
        }
    }
    return TRD_OK;
}

static bool has_own_generator(const trdi_engine_job *job)
{
    return job->generator != NULL && job->generator != job->job->search->generator;
}

static void free_job(trdi_engine_job *job)
{
    if (has_own_generator(job)) trdi_free(job->generator);
    trdi_free(job->kept);
    trdi_free(job);
}

void trdi_decode_job_clear(trdi_decode_job *job)
{
    trdi_free(job->n_reported);
    job->n_reported = NULL;
}

static trd_status start_generator(trdi_engine_job *job)
{
    const trdi_search *search = job->job->search;
    if (search == NULL || search->rng != TRD_RNG_MT19937 || search->sampling_topk == 1) return TRD_OK;
    job->in_lockstep = true;
    job->generator = search->generator;
    job->kept = trdi_calloc(2, sizeof *job->kept);
    const bool owns = job->generator == NULL;
    if (owns) job->generator = trdi_alloc(sizeof *job->generator);
    if (job->generator == NULL || job->kept == NULL) return trdi_fail(TRD_E_MEMORY, "random generator: out of memory");
    if (owns) trdi_mt19937_seed(job->generator, (uint32_t)search->seed);
    job->kept[0] = *job->generator;
    return TRD_OK;
}

/* They are there already if another worker has had the job. */
static trd_status start_reports(trdi_decode_job *job)
{
    const trdi_search *search = job->search;
    if (job->kind != TRDI_JOB_SEARCH || !search->wants_events || job->n_reported != NULL) return TRD_OK;
    job->n_reported = trdi_calloc((size_t)job->n_examples, (size_t)search->num_hypotheses * sizeof *job->n_reported);
    return job->n_reported != NULL ? TRD_OK : trdi_fail(TRD_E_MEMORY, "callbacks of a job: out of memory");
}

trd_status trdi_engine_add_groups(trdi_engine *e, trdi_engine_job *job)
{
    const trdi_decode_job *from = job->job;
    const size_t wanted = (size_t)(e->n_groups + from->n_examples);
    if (!trdi_reserve((void **)&e->groups, &e->groups_capacity, wanted, sizeof(trdi_group *))) {
        return trdi_fail(TRD_E_MEMORY, "%zu groups: out of memory", wanted);
    }
    for (int64_t i = 0; i < from->n_examples; i++) {
        TRDI_TRY(check_source(e->builder.info, &from->examples[i]));
        trdi_group *group;
        TRDI_TRY(trdi_group_create(job, &from->examples[i], NULL, &group));
        group->n_vocabulary = e->builder.info->vocabulary;
        e->groups[e->n_groups++] = group;
        job->n_groups++;
        job->n_unencoded++;
    }
    return TRD_OK;
}

/* Is another job drawing from the stream that this one wants? */
static bool stream_is_taken(const trdi_engine *e, const trdi_decode_job *job)
{
    if (job->kind != TRDI_JOB_SEARCH || job->search->generator == NULL) return false;
    for (const trdi_engine_job *other = e->first_job; other != NULL; other = other->next) {
        if (other->generator == job->search->generator) return true;
    }
    return false;
}

static void link_job(trdi_engine *e, trdi_engine_job *job)
{
    job->previous = e->last_job;
    if (e->last_job != NULL) e->last_job->next = job;
    else e->first_job = job;
    e->last_job = job;
    e->n_jobs++;
    e->n_rows += job_rows(job->job);
}

static void unlink_job(trdi_engine *e, trdi_engine_job *job)
{
    if (job->previous != NULL) job->previous->next = job->next;
    else e->first_job = job->next;
    if (job->next != NULL) job->next->previous = job->previous;
    else e->last_job = job->previous;
    e->n_jobs--;
    e->n_rows -= job_rows(job->job);
    if (job->is_held) e->n_held--;
}

static trd_status take_in(trdi_engine *e, trdi_decode_job *from)
{
    trdi_engine_job *job = trdi_calloc(1, sizeof *job);
    if (job == NULL) return trdi_fail(TRD_E_MEMORY, "job: out of memory");
    job->job = from;
    const int64_t groups_before = e->n_groups;
    trd_status status = start_generator(job);
    if (status == TRD_OK) status = start_reports(from);
    if (status == TRD_OK) status = trdi_engine_add_groups(e, job);
    if (status != TRD_OK) {
        while (e->n_groups > groups_before) trdi_group_destroy(e->groups[--e->n_groups], e->builder.runner);
        free_job(job);
        trdi_decode_job_clear(from);
        return status;
    }
    link_job(e, job);
    return TRD_OK;
}

static trd_status admit(void *executor, trdi_job *base, bool *accepted)
{
    trdi_engine *e = executor;
    trdi_decode_job *from = (trdi_decode_job *)(void *)((char *)base - offsetof(trdi_decode_job, base));
    const bool has_room = e->n_jobs == 0 || (e->n_rows + job_rows(from) <= e->setup.max_rows && !trdi_engine_is_strained(e));
    *accepted = has_room && !stream_is_taken(e, from);
    if (!*accepted) return TRD_OK;
    trdi_engine_enter(e);
    const trd_status status = take_in(e, from);
    trdi_engine_leave(e);
    return status;
}

void trdi_engine_drop_groups(trdi_engine *e, bool (*is_dropped)(const trdi_group *group), int64_t n)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < e->n_groups; i++) {
        trdi_group *group = e->groups[i];
        if (i >= n || !is_dropped(group)) e->groups[kept++] = group;
        else trdi_group_destroy(group, e->builder.runner);
    }
    e->n_groups = kept;
}

static bool is_over(const trdi_group *group) { return group->over; }
static bool is_ending(const trdi_group *group) { return group->job->ending; }

/* ---- The end of jobs ---- */

static void clear_results(trdi_decode_job *job)
{
    for (int64_t i = 0; i < job->n_examples; i++) trdi_example_clear(&job->examples[i]);
}

static void fail_job(trdi_engine_job *job, trd_status status, const char *text)
{
    if (job->status != TRD_OK) return;
    job->status = status;
    const size_t length = strnlen(text, sizeof job->error - 1);
    memcpy(job->error, text, length);
    job->error[length] = '\0';
}

bool trdi_engine_is_aborted(const trdi_engine *e)
{
    return e->worker->abort != NULL && atomic_load(e->worker->abort);
}

/* Why a job that goes on should end after all. @param now  0 until someone asks for it */
static void look_for_reasons(trdi_engine_job *job, bool aborted, int64_t *now)
{
    const trdi_job *base = &job->job->base;
    if (aborted) fail_job(job, TRD_E_CANCELLED, "cancelled: everything that runs was stopped");
    if (atomic_load(&base->cancel)) fail_job(job, TRD_E_CANCELLED, "cancelled");
    if (base->deadline_ns == 0 || job->n_groups == 0) return;
    if (*now == 0) *now = trdi_now_ns();
    if (*now >= base->deadline_ns) fail_job(job, TRD_E_TIMEOUT, "the deadline passed while the job ran");
}

/* All its groups are gone. */
static void complete(trdi_engine *e, trdi_engine_job *job)
{
    unlink_job(e, job);
    trdi_engine_recover(e);
    trdi_decode_job *over = job->job;
    char text[TRDI_ERROR_BYTES];
    memcpy(text, job->error, sizeof text);
    const trd_status status = job->status;
    free_job(job);
    if (status != TRD_OK) clear_results(over);
    trdi_decode_job_clear(over);
    trdi_job_complete(&over->base, status, text);
}

void trdi_engine_end_jobs(trdi_engine *e)
{
    const bool aborted = trdi_engine_is_aborted(e);
    int64_t n_ending = 0, now = 0;
    for (trdi_engine_job *job = e->first_job; job != NULL; job = job->next) {
        look_for_reasons(job, aborted, &now);
        job->ending = job->status != TRD_OK || job->n_groups == 0;
        n_ending += job->ending;
    }
    if (n_ending == 0) return;
    trdi_engine_drop_groups(e, is_ending, e->n_groups);
    for (trdi_engine_job *job = e->first_job, *next; job != NULL; job = next) {
        next = job->next;
        if (job->ending) complete(e, job);
    }
}

/* A plan that was stopped has left nothing that counts: what it was to advance is where it was. */
static trd_status run_stages(trdi_engine *e)
{
    trd_status status = trdi_engine_encode(e);
    if (status == TRD_OK) status = trdi_engine_decode(e);
    if (status == TRD_E_CANCELLED) return TRD_OK;
    if (status == TRD_OK && e->is_short && !e->progressed) trdi_engine_relieve(e);
    return status;
}

static trd_status step(void *executor)
{
    trdi_engine *e = executor;
    trdi_engine_end_jobs(e);
    if (e->n_jobs > 0 && trdi_engine_has_turn(e)) {
        trdi_engine_begin_step(e);
        TRDI_TRY(run_stages(e));
        trdi_engine_drop_groups(e, is_over, e->n_groups);
        trdi_engine_end_jobs(e);
    }
    trdi_engine_leave(e);
    return TRD_OK;
}

static int64_t n_active(const void *executor) { return ((const trdi_engine *)executor)->n_jobs; }

static void evict(void *executor, trd_status status, const char *text)
{
    trdi_engine *e = executor;
    for (trdi_engine_job *job = e->first_job; job != NULL; job = job->next) fail_job(job, status, text);
    trdi_engine_end_jobs(e);
    trdi_engine_leave(e);
}

static bool is_any(const trdi_group *group)
{
    (void)group;
    return true;
}

static void release(void *executor, void (*give)(void *context, trdi_job *job), void *context)
{
    trdi_engine *e = executor;
    trdi_engine_drop_groups(e, is_any, e->n_groups);
    while (e->first_job != NULL) {
        trdi_engine_job *job = e->first_job;
        trdi_decode_job *undone = job->job;
        if (job->in_lockstep) *job->generator = job->kept[0];
        unlink_job(e, job);
        free_job(job);
        clear_results(undone);
        give(context, &undone->base);
    }
    trdi_engine_leave(e);
}

const trdi_executor_ops trdi_engine_ops = {
    .admit = admit, .step = step, .n_active = n_active, .evict = evict, .release = release, .close = close_engine,
};
