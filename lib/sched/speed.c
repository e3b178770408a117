/* speed.c: see the header. */
#include "sched/speed.h"

/** Jobs that tell a worker's speed: beyond them, and four times what it runs, older ones count half. */
#define RECENT_JOBS 64

void trdi_view_begin(trdi_worker_view *view, int64_t cost)
{
    view->n_running++;
    view->n_turns++;
    view->cost_running += cost;
}

void trdi_view_forget(trdi_worker_view *view, int64_t cost)
{
    view->n_running--;
    view->cost_running -= cost;
}

void trdi_view_succeed(trdi_worker_view *view, trdi_recent *recent, int64_t cost, double seconds)
{
    recent->cost += (double)cost;
    recent->n += 1;
    const double latency = seconds / (double)cost;
    view->latency += (latency - view->latency) * (view->latency > 0 ? 0.125 : 1.0);
}

void trdi_view_step(trdi_worker_view *view, trdi_recent *recent, double seconds)
{
    recent->seconds += seconds;
    if (recent->cost > 0 && recent->seconds > 0) view->speed = recent->cost / recent->seconds;
    if (recent->n <= RECENT_JOBS + 4 * (double)view->n_running) return;
    recent->cost *= 0.5;
    recent->seconds *= 0.5;
    recent->n *= 0.5;
}
