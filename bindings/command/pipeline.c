/* pipeline.c: a ring of chunks between one reader and a few runners; tickets keep the order of writing. */
#include "pipeline.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** mutex guards everything below it; a slot's chunk belongs to the reader before it is counted in n_read, then to its runner. */
typedef struct pipeline {
    const pipeline_steps *steps;
    chunk          *slots;      /* [n_slots] */
    size_t          n_slots;
    pthread_mutex_t mutex;
    pthread_cond_t  changed;
    uint64_t        n_read;     /* chunks filled */
    uint64_t        n_taken;    /* chunks taken by runners */
    uint64_t        n_written;  /* chunks done with, in order */
    bool            ended;      /* nothing more will be read */
    failure         why;
} pipeline;

void failure_set(failure *f, const char *format, ...)
{
    if (f->set) return;
    f->set = true;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(f->text, sizeof f->text, format, arguments);
    va_end(arguments);
}

/** Keep what the library said; it counts the examples of a call from 0, people the lines of the input from 1. */
static void set_library_failure(failure *why, const chunk *c)
{
    const char *text = trd_last_error();
    long long index;
    int n = 0;
    if (sscanf(text, "example %lld:%n", &index, &n) == 1 && n > 0)
        failure_set(why, "line %lld:%s", (long long)c->first + index + 1, text + n);
    else
        failure_set(why, "%s", text);
}

static void run_chunk(pipeline *p, uint64_t turn)
{
    const chunk *c = &p->slots[turn % p->n_slots];
    failure why = { 0 };
    trd_results *results = NULL;
    if (p->steps->run(p->steps->context, c, &results) != TRD_OK) set_library_failure(&why, c);

    pthread_mutex_lock(&p->mutex);
    while (p->n_written != turn) pthread_cond_wait(&p->changed, &p->mutex);
    const bool skip = p->why.set;
    pthread_mutex_unlock(&p->mutex);

    if (!skip && !why.set) (void)p->steps->write(p->steps->context, c, results, &why);
    trd_results_destroy(results);

    pthread_mutex_lock(&p->mutex);
    if (!p->why.set) p->why = why;
    p->n_written++;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

static void *run_chunks(void *context)
{
    pipeline *p = context;
    for (;;) {
        pthread_mutex_lock(&p->mutex);
        while (p->n_taken == p->n_read && !p->ended && !p->why.set) pthread_cond_wait(&p->changed, &p->mutex);
        const bool leave = p->why.set || p->n_taken == p->n_read;
        const uint64_t turn = leave ? 0 : p->n_taken++;
        pthread_mutex_unlock(&p->mutex);
        if (leave) return NULL;
        run_chunk(p, turn);
    }
}

/** The next slot to fill, or NULL once a runner failed. */
static chunk *wait_for_slot(pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    while (p->n_read - p->n_written == p->n_slots && !p->why.set) pthread_cond_wait(&p->changed, &p->mutex);
    chunk *c = p->why.set ? NULL : &p->slots[p->n_read % p->n_slots];
    pthread_mutex_unlock(&p->mutex);
    return c;
}

static void read_chunks(pipeline *p, failure *why)
{
    bool more = true;
    while (more) {
        chunk *c = wait_for_slot(p);
        if (c == NULL) break;
        token_lists_clear(&c->source);
        token_lists_clear(&c->target);
        more = p->steps->read(p->steps->context, c, why) && c->source.n > 0;
        if (c->source.n == 0) break;
        pthread_mutex_lock(&p->mutex);
        p->n_read++;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->mutex);
    }
    pthread_mutex_lock(&p->mutex);
    p->ended = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

static void run_with_threads(pipeline *p, pthread_t *runners, size_t n_runners, failure *why)
{
    size_t n_started = 0;
    while (n_started < n_runners && pthread_create(&runners[n_started], NULL, run_chunks, p) == 0) n_started++;
    if (n_started > 0) read_chunks(p, why);
    else failure_set(why, "cannot start a thread");
    for (size_t i = 0; i < n_started; i++) pthread_join(runners[i], NULL);
}

bool pipeline_run(const pipeline_steps *steps, size_t n_runners, failure *why)
{
    pipeline p = { .steps = steps, .n_slots = n_runners + 2 };
    pthread_t *runners = calloc(n_runners, sizeof *runners);
    p.slots = calloc(p.n_slots, sizeof *p.slots);
    failure reading = { 0 };
    *why = (failure){ 0 };
    if (runners == NULL || p.slots == NULL) {
        failure_set(why, "out of memory");
    } else {
        pthread_mutex_init(&p.mutex, NULL);
        pthread_cond_init(&p.changed, NULL);
        run_with_threads(&p, runners, n_runners, &reading);
        pthread_cond_destroy(&p.changed);
        pthread_mutex_destroy(&p.mutex);
        *why = p.why.set ? p.why : reading;
        for (size_t i = 0; i < p.n_slots; i++) {
            token_lists_free(&p.slots[i].source);
            token_lists_free(&p.slots[i].target);
        }
    }
    free(p.slots);
    free(runners);
    return !why->set;
}
