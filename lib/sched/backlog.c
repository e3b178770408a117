/* backlog.c: see the header. One doubly linked line per priority. */
#include "sched/backlog.h"

#include <stddef.h>

static int32_t line_of(const trdi_job *job) { return job->priority - TRDI_MIN_PRIORITY; }

/* Put the job behind another one of its line; NULL = at the start. */
static void link_behind(trdi_backlog *backlog, trdi_job *job, trdi_job *before)
{
    const int32_t line = line_of(job);
    trdi_job *const after = before != NULL ? before->next : backlog->lines[line].first;
    job->previous = before;
    job->next = after;
    if (before != NULL) before->next = job;
    else backlog->lines[line].first = job;
    if (after != NULL) after->previous = job;
    else backlog->lines[line].last = job;
    backlog->n++;
    backlog->cost += trdi_job_cost(job);
}

void trdi_backlog_append(trdi_backlog *backlog, trdi_job *job)
{
    link_behind(backlog, job, backlog->lines[line_of(job)].last);
}

void trdi_backlog_put_back(trdi_backlog *backlog, trdi_job *job)
{
    trdi_job *before = NULL, *after = backlog->lines[line_of(job)].first;
    while (after != NULL && after->sequence < job->sequence) {
        before = after;
        after = after->next;
    }
    link_behind(backlog, job, before);
}

void trdi_backlog_remove(trdi_backlog *backlog, trdi_job *job)
{
    const int32_t line = line_of(job);
    if (job->previous != NULL) job->previous->next = job->next;
    else backlog->lines[line].first = job->next;
    if (job->next != NULL) job->next->previous = job->previous;
    else backlog->lines[line].last = job->previous;
    job->next = job->previous = NULL;
    backlog->n--;
    backlog->cost -= trdi_job_cost(job);
}

static trdi_job *first_from(const trdi_backlog *backlog, int32_t line)
{
    for (; line >= 0; line--)
        if (backlog->lines[line].first != NULL) return backlog->lines[line].first;
    return NULL;
}

trdi_job *trdi_backlog_first(const trdi_backlog *backlog)
{
    return backlog->n > 0 ? first_from(backlog, TRDI_MAX_PRIORITY - TRDI_MIN_PRIORITY) : NULL;
}

trdi_job *trdi_backlog_after(const trdi_backlog *backlog, const trdi_job *job)
{
    return job->next != NULL ? job->next : first_from(backlog, line_of(job) - 1);
}
