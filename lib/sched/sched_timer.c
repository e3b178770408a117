/*
 * sched_timer.c: ends waiting jobs when their deadlines pass, whatever the workers do: they may all be inside of long steps, or have failed. The
 * thread is started with the first deadline.
 */
#include "sched/sched_private.h"

/* Needs the mutex. */
static void end_due(trdi_scheduler *scheduler, int64_t now, trdi_ended *ended)
{
    while (scheduler->deadlines.first != NULL && scheduler->deadlines.first->deadline_ns <= now) {
        trdi_job *const job = scheduler->deadlines.first;
        trdi_job_take_out_locked(scheduler, job);
        trdi_job_end_locked(scheduler, job, TRD_E_TIMEOUT, trdi_expired_text, ended);
    }
    if (ended->first != NULL) trdi_let_in_locked(scheduler);
}

static void *run_timer(void *argument)
{
    trdi_scheduler *const scheduler = argument;
    trdi_mutex_lock(&scheduler->mutex);
    while (!scheduler->timer_stops) {
        const trdi_job *const first = scheduler->deadlines.first;
        if (first == NULL) {
            trdi_cond_wait(&scheduler->timer, &scheduler->mutex);
        } else if (trdi_now_ns() < first->deadline_ns) {
            (void)trdi_cond_wait_until(&scheduler->timer, &scheduler->mutex, first->deadline_ns);
        } else {
            trdi_ended ended = { .first = NULL };
            end_due(scheduler, trdi_now_ns(), &ended);
            trdi_mutex_unlock(&scheduler->mutex);
            trdi_publish_ended(&ended);
            trdi_mutex_lock(&scheduler->mutex);
        }
    }
    trdi_mutex_unlock(&scheduler->mutex);
    return NULL;
}

trd_status trdi_timer_need(trdi_scheduler *scheduler)
{
    trd_status status = TRD_OK;
    trdi_mutex_lock(&scheduler->timer_mutex);
    if (!scheduler->timer_runs) {
        status = trdi_thread_start(&scheduler->timer_thread, "treadle-timer", run_timer, scheduler);
        scheduler->timer_runs = status == TRD_OK;
    }
    trdi_mutex_unlock(&scheduler->timer_mutex);
    return status;
}

void trdi_timer_stop(trdi_scheduler *scheduler)
{
    if (!scheduler->timer_runs) return;
    trdi_mutex_lock(&scheduler->mutex);
    scheduler->timer_stops = true;
    trdi_cond_signal(&scheduler->timer);
    trdi_mutex_unlock(&scheduler->mutex);
    trdi_thread_join(scheduler->timer_thread);
}
