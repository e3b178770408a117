/* scheduler.c: making and stopping a scheduler and its workers. */
#include <stdio.h>

#include "core/alloc.h"
#include "sched/sched_private.h"

static int32_t n_conditions(const trdi_scheduler *scheduler) { return 2 + scheduler->setup.n_workers; }

static trdi_cond *condition(trdi_scheduler *scheduler, int32_t i)
{
    return i == 0 ? &scheduler->opened : i == 1 ? &scheduler->timer : &scheduler->workers[i - 2].wake;
}

static trd_status init_locks(trdi_scheduler *scheduler)
{
    TRDI_TRY(trdi_mutex_init(&scheduler->mutex));
    trd_status status = trdi_mutex_init(&scheduler->timer_mutex);
    int32_t n = 0;
    while (status == TRD_OK && n < n_conditions(scheduler))
        if ((status = trdi_cond_init(condition(scheduler, n))) == TRD_OK) n++;
    if (status == TRD_OK) return TRD_OK;
    while (n-- > 0) trdi_cond_destroy(condition(scheduler, n));
    trdi_mutex_destroy(&scheduler->timer_mutex);
    trdi_mutex_destroy(&scheduler->mutex);
    return status;
}

static void destroy_locks(trdi_scheduler *scheduler)
{
    for (int32_t i = 0; i < n_conditions(scheduler); i++) trdi_cond_destroy(condition(scheduler, i));
    trdi_mutex_destroy(&scheduler->timer_mutex);
    trdi_mutex_destroy(&scheduler->mutex);
}

static void join(trdi_scheduler *scheduler, int32_t n)
{
    for (int32_t i = 0; i < n; i++) trdi_thread_join(scheduler->workers[i].thread);
    trdi_timer_stop(scheduler);
    scheduler->joined = true;
}

/* Stop the first n workers once nothing is left to run, and free everything. */
static void stop(trdi_scheduler *scheduler, int32_t n)
{
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->closing = true;
    trdi_wake_all_locked(scheduler);
    trdi_mutex_unlock(&scheduler->mutex);
    if (!scheduler->joined) join(scheduler, n);
    destroy_locks(scheduler);
    trdi_free(scheduler->views);
    trdi_free(scheduler);
}

static void init_workers(trdi_scheduler *scheduler)
{
    const char *const *const names = scheduler->setup.names;
    for (int32_t i = 0; i < scheduler->setup.n_workers; i++) {
        trdi_worker *const worker = &scheduler->workers[i];
        worker->scheduler = scheduler;
        worker->index = i;
        worker->info = (trdi_worker_info){ .index = i, .name = names != NULL && names[i] != NULL ? names[i] : "", .abort = &scheduler->abort };
    }
    trdi_views_init(scheduler);
}

static trd_status start_worker(trdi_worker *worker)
{
    char name[16];
    (void)snprintf(name, sizeof name, "treadle-%d", (int)(worker->index % 1000));
    return trdi_thread_start(&worker->thread, name, trdi_worker_main, worker);
}

/* Wait until every executor is open. @return the failure of the first worker, by index, that has one */
static trd_status wait_opened(trdi_scheduler *scheduler)
{
    const int32_t n = scheduler->setup.n_workers;
    trdi_mutex_lock(&scheduler->mutex);
    while (scheduler->n_opened < n) trdi_cond_wait(&scheduler->opened, &scheduler->mutex);
    trdi_mutex_unlock(&scheduler->mutex);
    for (int32_t i = 0; i < n; i++) {
        const trdi_worker *const worker = &scheduler->workers[i];
        if (worker->status != TRD_OK) return trdi_fail(worker->status, "%s", worker->error);
    }
    return TRD_OK;
}

static trd_status check_setup(const trdi_worker_setup *setup)
{
    if (setup == NULL) return trdi_fail(TRD_E_INVALID, "setup of workers is NULL");
    const int32_t n = setup->n_workers;
    if (n < 1 || n > TRDI_MAX_WORKERS)
        return trdi_fail(TRD_E_INVALID, "number of workers is %d, must be 1 to %d", (int)n, (int)TRDI_MAX_WORKERS);
    if (setup->max_queued < 0)
        return trdi_fail(TRD_E_INVALID, "bound of the backlog is %lld, must not be negative", (long long)setup->max_queued);
    const trdi_executor_ops *const ops = setup->ops;
    if (ops == NULL || setup->open == NULL || ops->admit == NULL || ops->step == NULL || ops->n_active == NULL || ops->evict == NULL ||
        ops->release == NULL || ops->close == NULL)
        return trdi_fail(TRD_E_INVALID, "setup of %d workers: a function of the executor is NULL", (int)n);
    if (setup->policy != NULL && setup->policy->should_take == NULL)
        return trdi_fail(TRD_E_INVALID, "setup of %d workers: the policy has no function", (int)n);
    return TRD_OK;
}

/* Memory and locks; no thread yet. */
static trd_status make(const trdi_worker_setup *setup, trdi_scheduler **out)
{
    const int32_t n = setup->n_workers;
    const size_t bytes = sizeof(trdi_scheduler) + (size_t)n * sizeof(trdi_worker);
    trdi_scheduler *const scheduler = trdi_calloc(1, bytes);
    if (scheduler == NULL) return trdi_fail(TRD_E_MEMORY, "scheduler with %d workers: %zu bytes", (int)n, bytes);
    scheduler->setup = *setup;
    if (setup->policy == NULL) scheduler->setup.policy = trdi_policy_find(NULL);
    scheduler->views = trdi_calloc((size_t)n, sizeof *scheduler->views);
    const trd_status status = scheduler->views != NULL ? init_locks(scheduler)
                                                       : trdi_fail(TRD_E_MEMORY, "scheduler with %d workers: out of memory", (int)n);
    if (status != TRD_OK) {
        trdi_free(scheduler->views);
        trdi_free(scheduler);
        return status;
    }
    init_workers(scheduler);
    *out = scheduler;
    return TRD_OK;
}

trd_status trdi_scheduler_create(const trdi_worker_setup *setup, trdi_scheduler **out)
{
    *out = NULL;
    TRDI_TRY(check_setup(setup));
    trdi_scheduler *scheduler = NULL;
    TRDI_TRY(make(setup, &scheduler));
    int32_t n_started = 0;
    trd_status status = TRD_OK;
    while (n_started < setup->n_workers && (status = start_worker(&scheduler->workers[n_started])) == TRD_OK) n_started++;
    if (status == TRD_OK) status = wait_opened(scheduler);
    if (status != TRD_OK) {
        stop(scheduler, n_started);
        return status;
    }
    *out = scheduler;
    return TRD_OK;
}

void trdi_scheduler_stop(trdi_scheduler *scheduler)
{
    atomic_store(&scheduler->abort, true);
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->closing = true;
    trdi_wake_all_locked(scheduler);
    trdi_ended ended = { .first = NULL };
    trdi_end_waiting_locked(scheduler, TRD_E_CANCELLED, trdi_cancelled_text, &ended);
    trdi_mutex_unlock(&scheduler->mutex);
    trdi_publish_ended(&ended);
}

bool trdi_scheduler_join(trdi_scheduler *scheduler, int64_t deadline_ns)
{
    const int32_t n = scheduler->setup.n_workers;
    trdi_mutex_lock(&scheduler->mutex);
    while (scheduler->n_ended < n && trdi_now_ns() < deadline_ns)
        (void)trdi_cond_wait_until(&scheduler->opened, &scheduler->mutex, deadline_ns);
    const bool over = scheduler->n_ended == n;
    trdi_mutex_unlock(&scheduler->mutex);
    if (over && !scheduler->joined) join(scheduler, n);
    return over;
}

void trdi_scheduler_destroy(trdi_scheduler *scheduler, trdi_ending ending)
{
    if (scheduler == NULL) return;
    if (ending == TRDI_CANCEL) trdi_scheduler_stop(scheduler);
    stop(scheduler, scheduler->setup.n_workers);
}
