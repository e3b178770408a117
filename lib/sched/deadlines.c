/* deadlines.c: see the header. A node's children are linked by next; its previous is its left brother, or the parent of the first child. */
#include "sched/deadlines.h"

#include <stddef.h>

/* Of two roots the later one becomes the first child of the other. */
static trdi_job *meld(trdi_job *a, trdi_job *b)
{
    if (a == NULL) return b;
    if (b == NULL) return a;
    if (b->deadline_ns < a->deadline_ns) {
        trdi_job *const t = a;
        a = b;
        b = t;
    }
    trdi_job *const child = a->heap.child;
    b->heap.next = child;
    if (child != NULL) child->heap.previous = b;
    b->heap.previous = a;
    a->heap.child = b;
    return a;
}

/* One root of a list of brothers: pairs from the left, then all pairs from the right. */
static trdi_job *meld_all(trdi_job *brothers)
{
    trdi_job *pairs = NULL;
    while (brothers != NULL) {
        trdi_job *const a = brothers, *const b = a->heap.next;
        brothers = b != NULL ? b->heap.next : NULL;
        a->heap.next = a->heap.previous = NULL;
        if (b != NULL) b->heap.next = b->heap.previous = NULL;
        trdi_job *const pair = meld(a, b);
        pair->heap.next = pairs;
        pairs = pair;
    }
    trdi_job *root = NULL;
    while (pairs != NULL) {
        trdi_job *const pair = pairs;
        pairs = pair->heap.next;
        pair->heap.next = NULL;
        root = meld(root, pair);
    }
    return root;
}

void trdi_deadlines_insert(trdi_deadlines *deadlines, trdi_job *job)
{
    job->heap.child = job->heap.next = job->heap.previous = NULL;
    deadlines->first = meld(deadlines->first, job);
}

void trdi_deadlines_remove(trdi_deadlines *deadlines, trdi_job *job)
{
    trdi_job *const children = meld_all(job->heap.child);
    if (deadlines->first == job) {
        deadlines->first = children;
    } else {
        trdi_job *const previous = job->heap.previous, *const next = job->heap.next;
        if (previous->heap.child == job) previous->heap.child = next;
        else previous->heap.next = next;
        if (next != NULL) next->heap.previous = previous;
        deadlines->first = meld(deadlines->first, children);
    }
    job->heap.child = job->heap.next = job->heap.previous = NULL;
}
