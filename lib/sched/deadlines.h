/*
 * deadlines.h: waiting jobs by deadline: a pairing heap through the jobs themselves, so that nothing allocates. Insertion takes constant time,
 * removal of any job logarithmic time on the average of all. Its user holds the lock.    Source: Fredman et al. 1986, "The pairing heap".
 */
#ifndef TRDI_DEADLINES_H
#define TRDI_DEADLINES_H

#include "sched/sched.h"

typedef struct trdi_deadlines {
    trdi_job *first;           /**< the one whose deadline comes next; NULL when there is none */
} trdi_deadlines;

/** deadline_ns of a job must not change while it is in. */
void trdi_deadlines_insert(trdi_deadlines *deadlines, trdi_job *job);
void trdi_deadlines_remove(trdi_deadlines *deadlines, trdi_job *job);

#endif
