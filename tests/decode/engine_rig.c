/* engine_rig.c: see engine_rig.h. */
#include "engine_rig.h"

#include <stddef.h>

#include "backend/cpu/cpu.h"
#include "core/alloc.h"
#include "nn/foreign_device.h"

const char *const rig_kind_names[RIG_N_KINDS] = { "greedy", "beam", "samples", "alternatives", "mt19937", "events", "score" };

/* ---- The executor: an engine that is watched ---- */

typedef struct watched {
    rig  *owner;
    trdi_worker_info info;
    void *engine;
} watched;

static trd_status open_watched(void *context, const trdi_worker_info *worker, void **executor)
{
    watched *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    w->owner = context;
    w->info = *worker;
    w->info.abort = &w->owner->abort;
    CHECK_OK(trdi_engine_open(&w->owner->setup, &w->info, &w->engine));
    *executor = w;
    return TRD_OK;
}

static trd_status admit(void *executor, trdi_job *job, bool *accepted)
{
    return trdi_engine_ops.admit(((watched *)executor)->engine, job, accepted);
}

static void give_to_second(void *context, trdi_job *job)
{
    watched *w = context;
    bool accepted = false;
    CHECK_OK(trdi_engine_ops.admit(w->engine, job, &accepted));
    CHECK(accepted);
    w->owner->n_moved++;
}

/* The jobs go to a fresh engine of the second rig, whose setup outlives this one. */
static void change_engine(watched *w)
{
    void *const failed = w->engine;
    CHECK_OK(trdi_engine_open(&w->owner->second->setup, &w->info, &w->engine));
    trdi_engine_ops.release(failed, give_to_second, w);
    CHECK_INT(trdi_engine_ops.n_active(failed), 0);
    trdi_engine_ops.close(failed);
}

static trd_status step(void *executor)
{
    watched *w = executor;
    rig *r = w->owner;
    r->engine = w->engine;
    if (r->before_step != NULL) r->before_step(r, r->n_steps);
    r->n_steps++;
    const trd_status status = trdi_engine_ops.step(w->engine);
    if (status != TRD_E_DEVICE || r->second == NULL) return status;
    change_engine(w);
    return TRD_OK;
}

static int64_t n_active(const void *executor)
{
    return trdi_engine_ops.n_active(((const watched *)executor)->engine);
}

static void evict(void *executor, trd_status status, const char *text)
{
    trdi_engine_ops.evict(((watched *)executor)->engine, status, text);
}

static void release(void *executor, void (*give)(void *context, trdi_job *job), void *context)
{
    trdi_engine_ops.release(((watched *)executor)->engine, give, context);
}

static void close_watched(void *executor)
{
    watched *w = executor;
    trdi_engine_ops.close(w->engine);
    free(w);
}

static const trdi_executor_ops watched_ops = {
    .admit = admit, .step = step, .n_active = n_active, .evict = evict, .release = release, .close = close_watched };

rig *rig_open(const char *folder, const trdi_backend_ops *ops, int64_t max_rows, rig *second, trdi_memory_budget *budget)
{
    rig *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    const bool cpu = ops == NULL;
    r->device = (trdi_device){ .ops = cpu ? trdi_backend_cpu() : ops };
    if (!cpu) r->device.facts = foreign_facts(TRDI_TYPES_INT8 | TRDI_TYPES_F16);
    else r->device.facts = (trdi_device_facts){ .id = "cpu:0", .name = "CPU", .compute_types = TRDI_TYPES_INT8 | TRDI_TYPES_F16 };
    CHECK_OK(r->device.ops->device_open(cpu ? NULL : &r->device.facts, &r->device.impl));
    CHECK_OK(trd_model_open(folder, &r->model));
    CHECK_OK(trdi_network_create(r->model, &r->device, &(trdi_network_options){ .compute_type = "float32", .cache_dir = "" }, &r->network));
    r->setup = (trdi_engine_setup){ .network = r->network, .device = &r->device, .n_threads = 1, .first_core = -1, .max_rows = max_rows,
                                    .budget = budget };
    r->second = second;
    const trdi_worker_setup workers = { .ops = &watched_ops, .open = open_watched, .context = r, .n_workers = 1 };
    CHECK_OK(trdi_scheduler_create(&workers, &r->scheduler));
    return r;
}

void rig_close(rig *r)
{
    trdi_scheduler_destroy(r->scheduler, TRDI_DRAIN);
    trdi_network_destroy(r->network);
    r->device.ops->device_close(r->device.impl);
    trd_model_close(r->model);
    free(r);
}

/* ---- Jobs ---- */

static void *zeroed(size_t n, size_t size)
{
    void *const memory = calloc(n, size);
    CHECK(memory != NULL);
    return memory;
}

rig_jobs *rig_jobs_create(void)
{
    rig_jobs *jobs = zeroed(1, sizeof *jobs);
    CHECK_OK(trdi_call_init(&jobs->call));
    return jobs;
}

void rig_jobs_destroy(rig_jobs *jobs)
{
    for (int64_t i = 0; i < jobs->n; i++) {
        trdi_decode_job *job = &jobs->jobs[i];
        for (int64_t k = 0; k < job->n_examples; k++) {
            trdi_example_clear(&job->examples[k]);
            free((void *)job->examples[k].source[0]);
            free((void *)job->examples[k].target);
        }
        free(job->examples);
        trdi_decode_job_clear(job);
    }
    while (jobs->events.first != NULL) {
        trdi_event *event = jobs->events.first;
        jobs->events.first = event->next;
        trdi_free(event);
    }
    trdi_call_destroy(&jobs->call);
    free(jobs);
}

static trdi_search make_search(const rig_form *form)
{
    const rig_kind kind = form->kind;
    const bool sampled = kind == RIG_SAMPLES || kind == RIG_LOCKSTEP;
    return (trdi_search){
        .beam_size = kind == RIG_BEAM ? 4 : kind == RIG_ALTERNATIVES ? 2 : 1,
        .num_hypotheses = kind == RIG_BEAM ? 2 : kind == RIG_SAMPLES || kind == RIG_ALTERNATIVES ? 3 : 1,
        .patience = 1.0f, .length_penalty = 1.0f, .repetition_penalty = 1.2f, .max_length = form->n_steps, .return_scores = true,
        .return_alternatives = kind == RIG_ALTERNATIVES, .return_attention = form->with_evidence, .return_logits = form->with_evidence,
        .wants_events = kind == RIG_EVENTS, .sampling_topk = sampled ? 0 : 1, .sampling_topp = 1.0f, .sampling_temperature = 1.0f,
        .seed = 5, .rng = kind == RIG_LOCKSTEP ? TRD_RNG_MT19937 : TRD_RNG_PHILOX, .unk_id = -1,
    };
}

static const int32_t *make_ids(int64_t n, int64_t seed, int32_t first)
{
    int32_t *ids = zeroed((size_t)n, sizeof *ids);
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)(3 + (seed * 131 + i * (31 + seed % 7)) % 57);
    if (first >= 0) ids[0] = first;
    return ids;
}

trdi_decode_job *rig_add(rig_jobs *jobs, const rig_form *form)
{
    CHECK(jobs->n < RIG_MAX_JOBS);
    const int64_t i = jobs->n++, n_examples = form->n_examples > 0 ? form->n_examples : 1;
    trdi_decode_job *job = &jobs->jobs[i];
    jobs->searches[i] = make_search(form);
    jobs->kinds[i] = form->kind;
    atomic_init(&jobs->stop_after[i], -1);
    *job = (trdi_decode_job){ .base.call = &jobs->call, .kind = form->kind == RIG_SCORE ? TRDI_JOB_SCORE : TRDI_JOB_SEARCH,
                              .search = form->kind == RIG_SCORE ? NULL : &jobs->searches[i], .n_examples = n_examples, .events = &jobs->events };
    job->examples = zeroed((size_t)n_examples, sizeof *job->examples);
    for (int64_t k = 0; k < n_examples; k++) {
        const int64_t index = form->index + k;
        trdi_example *example = &job->examples[k];
        *example = (trdi_example){ .index = index, .n_source = form->n_source, .n_target = form->n_prefix + 1 };
        example->source[0] = make_ids(form->n_source, index, -1);
        example->target = make_ids(example->n_target, index + 17, 1);
        if (form->kind == RIG_EVENTS) example->stop_after = &jobs->stop_after[i];
    }
    return job;
}

void rig_submit(rig *r, rig_jobs *jobs)
{
    static trdi_job *list[RIG_MAX_JOBS];
    for (int64_t i = 0; i < jobs->n; i++) list[i] = &jobs->jobs[i].base;
    CHECK_OK(trdi_scheduler_submit(r->scheduler, list, (size_t)jobs->n, TRDI_WHEN_FULL_BLOCK));
}

void rig_wait(rig_jobs *jobs)
{
    CHECK(trdi_call_wait(&jobs->call, NULL));
}

static void check_hypothesis(const trdi_hypothesis *a, const trdi_hypothesis *b, int64_t n_memory, const char *what, int64_t i)
{
    const size_t n = (size_t)b->n_tokens;
    bool same = a->n_tokens == b->n_tokens && a->score == b->score && memcmp(a->ids, b->ids, n * sizeof *b->ids) == 0 &&
                memcmp(a->token_scores, b->token_scores, n * sizeof *b->token_scores) == 0 && a->n_logits == b->n_logits;
    if (same && b->attention != NULL) same = memcmp(a->attention, b->attention, n * (size_t)n_memory * sizeof(float)) == 0;
    if (same && b->logits != NULL) same = memcmp(a->logits, b->logits, (size_t)b->n_logits * 60 * sizeof(float)) == 0;
    if (same) return;
    fprintf(stderr, "%s: job %d differs: %d tokens of score %.9g, wanted %d of %.9g\n", what, (int)i, (int)a->n_tokens, (double)a->score,
            (int)b->n_tokens, (double)b->score);
    exit(1);
}

int64_t rig_check_same(const rig_jobs *got, const rig_jobs *want)
{
    int64_t n_well = 0;
    CHECK_INT(got->n, want->n);
    for (int64_t i = 0; i < want->n; i++) {
        const trdi_decode_job *a = &got->jobs[i], *b = &want->jobs[i];
        CHECK_INT(b->base.status, TRD_OK);
        CHECK_INT(a->n_examples, b->n_examples);
        n_well += a->base.status == TRD_OK;
        for (int64_t k = 0; k < b->n_examples; k++) {
            const int64_t n = a->base.status == TRD_OK ? b->examples[k].n_hypotheses : 0;
            CHECK_INT(a->examples[k].n_hypotheses, n);
            for (int64_t h = 0; h < n; h++)
                check_hypothesis(&a->examples[k].hypotheses[h], &b->examples[k].hypotheses[h], b->examples[k].n_memory, rig_kind_names[want->kinds[i]], i);
        }
    }
    return n_well;
}

int64_t rig_check_events(const rig_jobs *got, int64_t i, const rig_jobs *want)
{
    const trdi_example *example = &want->jobs[i].examples[0];
    int64_t n = 0;
    for (const trdi_event *event = got->events.first; event != NULL; event = event->next) {
        if (event->example != example->index) continue;
        CHECK_INT(event->step, n);
        CHECK(n < example->hypotheses[0].n_tokens);
        CHECK_INT(event->token, example->hypotheses[0].ids[n]);
        n++;
    }
    return n;
}
