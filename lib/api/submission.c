/* submission.c: making and freeing submissions; see submission.h. */
#include "api/submission.h"

#include "core/alloc.h"

static void free_futures(trdi_submission *s)
{
    for (int64_t i = 0; i < s->n; i++) trdi_free(s->futures[i].owned_error);
}

static void free_examples(trdi_submission *s)
{
    for (int64_t i = 0; i < s->n_examples; i++) {
        trdi_example_clear(&s->examples[i]);
        trdi_free(s->examples[i].stop_after);
        trdi_free((void *)s->examples[i].allowed);
    }
    for (int64_t i = 0; i < s->n_jobs; i++) trdi_decode_job_clear(&s->jobs[i]);
    trdi_free(s->jobs);
}

static void free_events(trdi_submission *s)
{
    for (trdi_event *event = s->events.first, *next; event != NULL; event = next) {
        next = event->next;
        trdi_free(event);
    }
}

static void destroy(trdi_submission *s)
{
    free_events(s);
    free_futures(s);
    free_examples(s);
    trd_results_destroy(s->results);
    trdi_sources_free(&s->sources);
    trdi_free(s->targets);
    trdi_search_free(&s->search);
    trdi_mutex_destroy(&s->converting);
    trdi_cond_destroy(&s->settled);
    trdi_call_destroy(&s->call);
    trdi_free(s);
}

static trd_status init_locks(trdi_submission *s)
{
    TRDI_TRY(trdi_call_init(&s->call));
    trd_status status = trdi_cond_init(&s->settled);
    if (status == TRD_OK) {
        status = trdi_mutex_init(&s->converting);
        if (status != TRD_OK) trdi_cond_destroy(&s->settled);
    }
    if (status != TRD_OK) trdi_call_destroy(&s->call);
    return status;
}

static void set_options(trdi_submission *s, const trd_submit_options *how)
{
    s->is_awaited = how == NULL;
    if (how == NULL) return;
    s->how = *how;
    s->submitted_ns = trdi_now_ns();
    /* What lies past the clock's end nobody will see. */
    const bool limited = how->timeout_seconds > 0 && how->timeout_seconds < 4e9;
    if (limited) s->deadline_ns = s->submitted_ns + (int64_t)(how->timeout_seconds * 1e9);
}

trd_status trdi_submission_create(trdi_job_kind kind, trd_model *model, int64_t n, const trd_submit_options *how, trdi_submission **out)
{
    *out = NULL;
    /* One block with its futures: a single example is to cost little. */
    const bool fits = (uint64_t)n < (SIZE_MAX - sizeof(trdi_submission)) / sizeof(trd_future);
    trdi_submission *s = fits ? trdi_calloc(1, sizeof *s + (size_t)n * sizeof *s->futures) : NULL;
    if (s == NULL) return trdi_fail(TRD_E_MEMORY, "call of %lld examples: out of memory", (long long)n);
    const trd_status status = init_locks(s);
    if (status != TRD_OK) {
        trdi_free(s);
        return status;
    }
    atomic_init(&s->n_uses, 1);
    s->generation = trdi_fork_generation();
    set_options(s, how);
    s->kind = kind;
    s->n = n;
    s->futures = (trd_future *)(void *)(s + 1);
    const trd_status made = trdi_results_create(model, n, &s->results);
    if (made != TRD_OK) {
        destroy(s);
        return made;
    }
    for (int64_t i = 0; i < n; i++) {
        s->futures[i].submission = s;
        s->futures[i].result = &s->results->items[i];
        s->futures[i].error = "";
    }
    *out = s;
    return TRD_OK;
}

trd_status trdi_submission_reserve(trdi_submission *s, int64_t n_run)
{
    s->jobs = trdi_calloc((size_t)n_run, sizeof *s->jobs + sizeof *s->examples);
    if (s->jobs == NULL) return trdi_fail(TRD_E_MEMORY, "%lld jobs: out of memory", (long long)n_run);
    s->examples = (trdi_example *)(void *)(s->jobs + n_run);
    return TRD_OK;
}

trdi_example *trdi_submission_add_example(trdi_submission *s, int64_t i)
{
    trd_future *future = &s->futures[i];
    trdi_example *example = &s->examples[s->n_examples++];
    future->example = example;
    trdi_sources_set(&s->sources, s->results->model, i, example);
    example->target = future->target;
    example->n_target = future->n_target;
    return example;
}

/* Tokens to encode, and steps: a translation is about as long as its source. */
static int64_t estimate_cost(const trdi_submission *s, const trdi_example *example)
{
    if (s->kind == TRDI_JOB_SCORE) return example->n_source + example->n_target;
    int64_t n_steps = example->n_source + example->n_target;
    if (n_steps < s->search.min_length) n_steps = s->search.min_length;
    if (n_steps > s->search.max_length) n_steps = s->search.max_length;
    return example->n_source + n_steps;
}

void trdi_submission_add_job(trdi_submission *s, trdi_example *first, int64_t n)
{
    trdi_decode_job *job = &s->jobs[s->n_jobs++];
    *job = (trdi_decode_job){
        .base = { .call = &s->call, .priority = s->how.priority, .deadline_ns = s->deadline_ns },
        .kind = s->kind, .examples = first, .n_examples = n, .events = &s->events };
    if (s->kind == TRDI_JOB_SEARCH) job->search = &s->search;
    for (int64_t i = 0; i < n; i++) {
        job->base.cost += estimate_cost(s, &first[i]);
        s->futures[first[i].index].job = job;
    }
}

void trdi_submission_retain(trdi_submission *s) { atomic_fetch_add(&s->n_uses, 1); }

void trdi_submission_release(trdi_submission *s)
{
    if (atomic_fetch_sub(&s->n_uses, 1) == 1) destroy(s);
}
