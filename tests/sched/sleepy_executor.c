/* sleepy_executor.c: see the header. */
#include "sleepy_executor.h"

#include <stddef.h>
#include <time.h>

#include "core/alloc.h"

typedef struct sleepy_executor {
    sleepy_plan *plan;
    int32_t      worker;
    const atomic_bool *abort;
    trdi_job    *jobs;         /* linked by next */
    int64_t      n_active;
} sleepy_executor;

static sleepy_job *of(trdi_job *job)
{
    return (sleepy_job *)((char *)job - offsetof(sleepy_job, job));
}

static void sleep_us(int64_t us)
{
    const struct timespec time = { .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000 };
    if (us > 0) (void)nanosleep(&time, NULL);
}

trd_status sleepy_open(void *context, const trdi_worker_info *info, void **executor)
{
    const int32_t worker = info->index;
    sleepy_plan *const plan = context;
    *executor = NULL;
    if (plan->fail_open == worker || (plan->fail_reopen && atomic_load(&plan->n_closed) > 0))
        return trdi_fail(TRD_E_DEVICE, "worker %d has no bed", (int)worker);
    sleepy_executor *const e = trdi_calloc(1, sizeof *e);
    if (e == NULL) return trdi_fail(TRD_E_MEMORY, "sleepy executor: %zu bytes", sizeof *e);
    e->plan = plan;
    e->worker = worker;
    e->abort = info->abort;
    atomic_fetch_add(&plan->n_open, 1);
    *executor = e;
    return TRD_OK;
}

static bool has_room(const sleepy_executor *e, const sleepy_job *job)
{
    const sleepy_plan *const plan = e->plan;
    const int64_t capacity = e->worker == 0 && plan->capacity_of_first > 0 ? plan->capacity_of_first : plan->capacity;
    return !plan->impossible && e->n_active < capacity && !(job->only_alone && e->n_active > 0);
}

static trd_status sleepy_admit(void *executor, trdi_job *job, bool *accepted)
{
    sleepy_executor *const e = executor;
    sleepy_job *const s = of(job);
    *accepted = false;
    if (s->fail_admit) return trdi_fail(TRD_E_INVALID, "job %d is not tired", s->n_steps);
    if (!has_room(e, s)) return TRD_OK;
    *accepted = true;
    s->order = atomic_fetch_add(&e->plan->n_admitted, 1);
    s->worker = (int)e->worker;
    if (s->n_steps == 0) {
        trdi_job_complete(job, TRD_OK, NULL);
        return TRD_OK;
    }
    job->next = e->jobs;
    e->jobs = job;
    e->n_active++;
    int most = atomic_load(&e->plan->max_active);
    while (e->n_active > most && !atomic_compare_exchange_weak(&e->plan->max_active, &most, (int)e->n_active)) {}
    return TRD_OK;
}

static trd_status sleepy_step(void *executor)
{
    sleepy_executor *const e = executor;
    atomic_fetch_add(&e->plan->n_steps, 1);
    sleep_us(e->plan->step_us);
    if ((e->plan->broken >> e->worker & 1) != 0) return trdi_fail(TRD_E_DEVICE, "bed %d is broken", (int)e->worker);
    for (trdi_job **place = &e->jobs; *place != NULL;) {
        trdi_job *const job = *place;
        sleepy_job *const s = of(job);
        const bool expired = job->deadline_ns != 0 && trdi_now_ns() >= job->deadline_ns;
        const bool cancelled = expired || atomic_load(&job->cancel) || atomic_load(e->abort);
        if (!cancelled && s->fail_step) return trdi_fail(TRD_E_DEVICE, "alarm clock of job %d", s->order);
        if (!cancelled && s->gated && !atomic_load(&s->gate_open)) {
            place = &job->next;
            continue;
        }
        s->n_done++;
        if (!cancelled && s->n_done < s->n_steps) {
            place = &job->next;
            continue;
        }
        *place = job->next;
        e->n_active--;
        trdi_job_complete(job, expired ? TRD_E_TIMEOUT : cancelled ? TRD_E_CANCELLED : TRD_OK, cancelled ? "woken" : NULL);
    }
    return TRD_OK;
}

static int64_t sleepy_n_active(const void *executor)
{
    return ((const sleepy_executor *)executor)->n_active;
}

static void sleepy_evict(void *executor, trd_status status, const char *text)
{
    sleepy_executor *const e = executor;
    while (e->jobs != NULL) {
        trdi_job *const job = e->jobs;
        e->jobs = job->next;
        e->n_active--;
        atomic_fetch_add(&e->plan->n_evicted, 1);
        trdi_job_complete(job, status, text);
    }
}

static void sleepy_release(void *executor, void (*give)(void *context, trdi_job *job), void *context)
{
    sleepy_executor *const e = executor;
    while (e->jobs != NULL) {
        trdi_job *const job = e->jobs;
        e->jobs = job->next;
        e->n_active--;
        of(job)->n_done = 0;
        atomic_fetch_add(&e->plan->n_released, 1);
        give(context, job);
    }
}

static void sleepy_close(void *executor)
{
    sleepy_executor *const e = executor;
    atomic_fetch_add(&e->plan->n_closed, 1);
    trdi_free(e);
}

const trdi_executor_ops sleepy_ops = {
    .admit = sleepy_admit,
    .step = sleepy_step,
    .n_active = sleepy_n_active,
    .evict = sleepy_evict,
    .release = sleepy_release,
    .close = sleepy_close,
};

trd_status sleepy_scheduler(sleepy_plan *plan, int32_t n_workers, int64_t max_queued, trdi_scheduler **out)
{
    const trdi_worker_setup setup = {
        .ops = &sleepy_ops, .open = sleepy_open, .context = plan, .n_workers = n_workers, .max_queued = max_queued };
    return trdi_scheduler_create(&setup, out);
}
