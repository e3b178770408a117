/*
 * engine.c: the executor of a worker. Jobs are admitted as groups; each step encodes what waits and advances every
 * group that is ready by one decoding step, whatever call it came from.
 */
#include <string.h>

#include "core/alloc.h"
#include "decode/group.h"

/** Source tokens encoded in one go; a longer sequence goes alone. */
#define ENCODE_TOKENS ((int64_t)1024)

typedef struct engine {
    trdi_engine_setup setup;
    trdi_pin      pin;
    void         *queue;
    trdi_builder  builder;       /* holds the runner */
    trdi_group  **groups;        /* in order of admission */
    size_t        groups_capacity;
    int64_t       n_groups, n_jobs, n_rows;
} engine;

static trd_status open_queue(engine *e, int32_t worker)
{
    trdi_device_bind_feeder(e->setup.device);
    e->pin.first_core = e->setup.first_core + (int64_t)worker * e->setup.n_threads;
    const trdi_queue_options options = {
        .n_threads = e->setup.n_threads,
        .thread_start = e->setup.first_core >= 0 ? trdi_device_pin_thread : NULL,
        .thread_context = &e->pin,
    };
    return e->setup.device->ops->queue_create(e->setup.device->impl, &options, &e->queue);
}

static void close_engine(void *executor)
{
    engine *e = executor;
    if (e == NULL) return;
    for (int64_t i = 0; i < e->n_groups; i++) trdi_group_destroy(e->groups[i], e->builder.runner);
    trdi_free(e->groups);
    trdi_runner *runner = e->builder.runner;
    trdi_builder_destroy(&e->builder);
    trdi_runner_destroy(runner);
    if (e->queue != NULL) e->setup.device->ops->queue_destroy(e->queue);
    trdi_free(e);
}

static trd_status fill_engine(engine *e, int32_t worker)
{
    TRDI_TRY(open_queue(e, worker));
    TRDI_TRY(trdi_runner_create(e->setup.network, e->queue, &e->builder.runner));
    e->builder.info = trdi_network_get_info(e->setup.network);
    e->builder.seen = trdi_calloc((size_t)e->builder.info->vocabulary, sizeof *e->builder.seen);
    return e->builder.seen != NULL ? TRD_OK : trdi_fail(TRD_E_MEMORY, "decoding engine: out of memory");
}

trd_status trdi_engine_open(void *context, int32_t worker, void **executor)
{
    *executor = NULL;
    engine *e = trdi_calloc(1, sizeof *e);
    if (e == NULL) return trdi_fail(TRD_E_MEMORY, "decoding engine: out of memory");
    e->setup = *(const trdi_engine_setup *)context;
    const trd_status status = fill_engine(e, worker);
    if (status != TRD_OK) {
        close_engine(e);
        return status;
    }
    *executor = e;
    return TRD_OK;
}

/* Rows that a job may come to have. */
static int64_t job_rows(const trdi_decode_job *job)
{
    if (job->kind == TRDI_JOB_SCORE) return job->n_examples;
    const trdi_search *search = job->search;
    int64_t rows = search->beam_size;
    if (search->return_alternatives || search->beam_size == 1) rows *= search->num_hypotheses;
    return rows * job->n_examples;
}

static trd_status check_source(const trdi_network_info *info, const trdi_example *example)
{
    if (info->max_source_positions >= 0 && example->n_source > info->max_source_positions) {
        return trdi_fail(TRD_E_UNSUPPORTED, "example %lld: No position encodings are defined for positions >= %lld, but got position %lld",
                         (long long)example->index, (long long)info->max_source_positions, (long long)example->n_source - 1);
    }
    for (int64_t k = 0; k < info->n_source_features; k++) {
        for (int64_t i = 0; i < example->n_source; i++) {
            const int32_t id = example->source[k][i];
            if (id >= 0 && id < info->source_rows[k]) continue;
            return trdi_fail(TRD_E_INVALID, "example %lld: source token id %d is not below the %lld rows of embedding table %lld",
                             (long long)example->index, (int)id, (long long)info->source_rows[k], (long long)k);
        }
    }
    return TRD_OK;
}

static bool has_own_generator(const trdi_engine_job *job)
{
    return job->generator != NULL && job->generator != job->job->search->generator;
}

static void free_job(trdi_engine_job *job)
{
    if (has_own_generator(job)) trdi_free(job->generator);
    trdi_free(job);
}

static trd_status start_generator(trdi_engine_job *job)
{
    const trdi_search *search = job->job->search;
    if (search == NULL || search->rng != TRD_RNG_MT19937 || search->sampling_topk == 1) return TRD_OK;
    job->in_lockstep = true;
    job->generator = search->generator;
    if (job->generator != NULL) return TRD_OK;
    job->generator = trdi_alloc(sizeof *job->generator);
    if (job->generator == NULL) return trdi_fail(TRD_E_MEMORY, "random generator: out of memory");
    trdi_mt19937_seed(job->generator, (uint32_t)search->seed);
    return TRD_OK;
}

static trd_status add_groups(engine *e, trdi_engine_job *job)
{
    const trdi_decode_job *from = job->job;
    const size_t wanted = (size_t)(e->n_groups + from->n_examples);
    if (!trdi_reserve((void **)&e->groups, &e->groups_capacity, wanted, sizeof(trdi_group *))) {
        return trdi_fail(TRD_E_MEMORY, "%zu groups: out of memory", wanted);
    }
    for (int64_t i = 0; i < from->n_examples; i++) {
        TRDI_TRY(check_source(e->builder.info, &from->examples[i]));
        trdi_group *group;
        TRDI_TRY(trdi_group_create(job, &from->examples[i], NULL, &group));
        group->n_vocabulary = e->builder.info->vocabulary;
        e->groups[e->n_groups++] = group;
        job->n_groups++;
        job->n_unencoded++;
    }
    return TRD_OK;
}

/* Is another job drawing from the stream that this one wants? */
static bool stream_is_taken(const engine *e, const trdi_decode_job *job)
{
    if (job->kind != TRDI_JOB_SEARCH || job->search->generator == NULL) return false;
    for (int64_t i = 0; i < e->n_groups; i++) {
        if (e->groups[i]->job->generator == job->search->generator) return true;
    }
    return false;
}

static trd_status admit(void *executor, trdi_job *base, bool *accepted)
{
    engine *e = executor;
    trdi_decode_job *from = (trdi_decode_job *)(void *)((char *)base - offsetof(trdi_decode_job, base));
    const int64_t rows = job_rows(from);
    *accepted = (e->n_rows == 0 || e->n_rows + rows <= e->setup.max_rows) && !stream_is_taken(e, from);
    if (!*accepted) return TRD_OK;
    trdi_engine_job *job = trdi_calloc(1, sizeof *job);
    if (job == NULL) return trdi_fail(TRD_E_MEMORY, "job: out of memory");
    job->job = from;
    const int64_t groups_before = e->n_groups;
    trd_status status = start_generator(job);
    if (status == TRD_OK) status = add_groups(e, job);
    if (status != TRD_OK) {
        while (e->n_groups > groups_before) trdi_group_destroy(e->groups[--e->n_groups], e->builder.runner);
        free_job(job);
        return status;
    }
    e->n_jobs++;
    e->n_rows += rows;
    return TRD_OK;
}

/* Take a job's groups away and end it. */
static void end_job(engine *e, trdi_engine_job *job, trd_status status, const char *text)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < e->n_groups; i++) {
        trdi_group *group = e->groups[i];
        if (group->job != job) e->groups[kept++] = group;
        else trdi_group_destroy(group, e->builder.runner);
    }
    e->n_groups = kept;
    trdi_decode_job *over = job->job;
    e->n_rows -= job_rows(over);
    e->n_jobs--;
    if (status != TRD_OK) {
        for (int64_t i = 0; i < over->n_examples; i++) trdi_example_clear(&over->examples[i]);
    }
    char copy[TRDI_ERROR_BYTES] = "";
    if (text != NULL) memcpy(copy, text, strlen(text) + 1);
    free_job(job);
    trdi_job_complete(&over->base, status, copy);
}

/* End the jobs that failed, were cancelled or are done; the groups of those that go on are kept in order. */
static void end_jobs(engine *e)
{
    for (int64_t i = 0; i < e->n_groups;) {
        trdi_engine_job *job = e->groups[i]->job;
        if (job->status != TRD_OK) end_job(e, job, job->status, job->error);
        else if (atomic_load(&job->job->base.cancel)) end_job(e, job, TRD_E_CANCELLED, "cancelled");
        else if (job->n_groups == 0) end_job(e, job, TRD_OK, NULL);
        else {
            i++;
            continue;
        }
        i = 0;
    }
}

/* Groups that are over give their memory back at once; the last one of a job stays, so that the job is found. */
static void drop_groups(engine *e)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < e->n_groups; i++) {
        trdi_group *group = e->groups[i];
        if (group->over) trdi_group_release_rows(group, e->builder.runner);
        const bool needed = !group->over || group->job->n_groups == 0 || group->job->status != TRD_OK;
        if (needed) e->groups[kept++] = group;
        else trdi_group_destroy(group, e->builder.runner);
    }
    e->n_groups = kept;
}

static trd_status take_memory_blocks(engine *e, trdi_group *group)
{
    trdi_memory_cache *memory = group->memory;
    if (memory->blocks != NULL) return TRD_OK;   /* taken in a step that stopped short */
    const int64_t n_positions = group->example->n_source, block_tokens = e->builder.info->block_tokens;
    const int64_t wanted = (n_positions + block_tokens - 1) / block_tokens;
    TRDI_TRY(trdi_runner_reserve_blocks(e->builder.runner, wanted));
    memory->blocks = trdi_calloc((size_t)wanted, sizeof *memory->blocks);
    if (memory->blocks == NULL) return trdi_fail(TRD_E_MEMORY, "%lld KV blocks: out of memory", (long long)wanted);
    while (memory->n_blocks < wanted) {
        const int32_t block = trdi_runner_take_block(e->builder.runner);
        if (block < 0) return trdi_fail(TRD_E_INTERNAL, "no KV block was reserved");
        memory->blocks[memory->n_blocks++] = block;
    }
    memory->n_positions = n_positions;
    group->example->n_memory = n_positions;
    return TRD_OK;
}

/* Choose the next groups to encode, and count what they need. @return index past the last one looked at */
static int64_t choose_encodings(engine *e, int64_t from, trdi_step_sizes *sizes)
{
    *sizes = (trdi_step_sizes){ 0 };
    int64_t i = from;
    for (; i < e->n_groups; i++) {
        trdi_group *group = e->groups[i];
        if (group->encoded || group->job->status != TRD_OK) continue;
        const int64_t n = group->example->n_source;
        if (sizes->n_rows > 0 && sizes->n_tokens + n > ENCODE_TOKENS) break;
        const trd_status status = take_memory_blocks(e, group);
        if (status != TRD_OK) {
            trdi_group_fail(group, status);
            continue;
        }
        sizes->n_tokens += n;
        sizes->n_rows++;
        sizes->n_table += group->memory->n_blocks;
    }
    return i;
}

static void write_encoding(const trdi_group *group, const trdi_step_arrays *to, int64_t n_features, int64_t row, int64_t token, int64_t table)
{
    const int64_t n = group->example->n_source;
    for (int64_t k = 0; k < n_features; k++) memcpy(to->ids[k] + token, group->example->source[k], (size_t)n * sizeof(int32_t));
    for (int64_t i = 0; i < n; i++) {
        to->rows[token + i] = (int32_t)row;
        to->positions[token + i] = (int32_t)i;
    }
    to->key_starts[row] = (int32_t)token;
    to->key_counts[row] = (int32_t)n;
    to->memory_offsets[row] = (int32_t)table;
    memcpy(to->table + table, group->memory->blocks, (size_t)group->memory->n_blocks * sizeof(int32_t));
}

static trd_status encode_chosen(engine *e, int64_t from, int64_t end, const trdi_step_sizes *sizes)
{
    trdi_step_arrays to;
    TRDI_TRY(trdi_runner_begin(e->builder.runner, TRDI_STAGE_ENCODE, 0, sizes, &to));
    int64_t row = 0, token = 0, table = 0;
    for (int64_t i = from; i < end; i++) {
        trdi_group *group = e->groups[i];
        if (group->encoded || group->job->status != TRD_OK) continue;
        write_encoding(group, &to, e->builder.info->n_source_features, row, token, table);
        row++;
        token += group->example->n_source;
        table += group->memory->n_blocks;
        group->encoded = true;
        group->job->n_unencoded--;
    }
    return trdi_runner_run(e->builder.runner, NULL, NULL);
}

static trd_status encode_waiting(engine *e)
{
    for (int64_t from = 0; from < e->n_groups;) {
        trdi_step_sizes sizes;
        const int64_t end = choose_encodings(e, from, &sizes);
        /* A job that failed meanwhile left gaps in the counts: leave the others to the next step. */
        for (int64_t i = from; i < end; i++) {
            if (e->groups[i]->job->status != TRD_OK) return TRD_OK;
        }
        if (sizes.n_rows > 0) TRDI_TRY(encode_chosen(e, from, end, &sizes));
        from = end;
    }
    return TRD_OK;
}

/** New tokens after which a step takes no further prefix along; bounds what the runner keeps room for. */
#define STEP_TOKENS ((int64_t)4096)

static bool is_ready(const trdi_group *group)
{
    const trdi_engine_job *job = group->job;
    return group->encoded && !group->over && job->status == TRD_OK && !(job->in_lockstep && job->n_unencoded > 0);
}

/* @return number of groups that take part; they are marked by planned */
static int64_t plan_groups(engine *e)
{
    int64_t n = 0;
    trdi_builder_reset(&e->builder);
    for (int64_t i = 0; i < e->n_groups; i++) {
        trdi_group *group = e->groups[i];
        group->planned = false;
        const bool waits = e->builder.sizes.n_tokens >= STEP_TOKENS && group->step == 0 && !group->job->in_lockstep;
        if (!is_ready(group) || waits) continue;
        const trdi_step_sizes before = e->builder.sizes;
        const uint32_t features = e->builder.features;
        const trd_status status = trdi_group_plan(group, &e->builder);
        if (status != TRD_OK) {
            e->builder.sizes = before;
            e->builder.features = features;
            trdi_group_fail(group, status);
            continue;
        }
        group->planned = true;
        n++;
    }
    return n;
}

static trd_status take_over_children(engine *e, trdi_group **children, int64_t n)
{
    if (!trdi_reserve((void **)&e->groups, &e->groups_capacity, (size_t)(e->n_groups + n), sizeof(trdi_group *))) {
        for (int64_t i = 0; i < n; i++) trdi_group_destroy(children[i], e->builder.runner);
        return trdi_fail(TRD_E_MEMORY, "%lld groups: out of memory", (long long)n);
    }
    for (int64_t i = 0; i < n; i++) {
        e->groups[e->n_groups++] = children[i];
        children[i]->job->n_groups++;
    }
    return TRD_OK;
}

static trd_status advance_group(engine *e, trdi_group *group, const trdi_step_results *results)
{
    trdi_group **children = NULL;
    int64_t n_children = 0;
    if (group->kind == TRDI_GROUP_EXPAND) {
        children = trdi_calloc((size_t)group->n_wanted, sizeof(trdi_group *));
        if (children == NULL) return trdi_fail(TRD_E_MEMORY, "%lld alternatives: out of memory", (long long)group->n_wanted);
    }
    trd_status status = trdi_group_advance(group, &e->builder, results, children, &n_children);
    if (n_children > 0) {
        const trd_status taken = take_over_children(e, children, n_children);
        if (status == TRD_OK) status = taken;
    }
    trdi_free((void *)children);
    if (status == TRD_OK && group->over) group->job->n_groups--;
    return status;
}

static trd_status decode_ready(engine *e)
{
    if (plan_groups(e) == 0) return TRD_OK;
    TRDI_TRY(trdi_builder_begin(&e->builder));
    trdi_step_results results;
    TRDI_TRY(trdi_runner_run(e->builder.runner, NULL, &results));
    const int64_t n = e->n_groups;   /* children that come now wait for the next step */
    for (int64_t i = 0; i < n; i++) {
        trdi_group *group = e->groups[i];
        if (!group->planned || group->job->status != TRD_OK) continue;
        const trd_status status = advance_group(e, group, &results);
        if (status != TRD_OK) trdi_group_fail(e->groups[i], status);
    }
    return TRD_OK;
}

static trd_status step(void *executor)
{
    engine *e = executor;
    end_jobs(e);
    TRDI_TRY(encode_waiting(e));
    TRDI_TRY(decode_ready(e));
    drop_groups(e);
    end_jobs(e);
    return TRD_OK;
}

static int64_t n_active(const void *executor) { return ((const engine *)executor)->n_jobs; }

static void evict(void *executor, trd_status status, const char *text)
{
    engine *e = executor;
    while (e->n_groups > 0) end_job(e, e->groups[0]->job, status, text);
}

const trdi_executor_ops trdi_engine_ops = {
    .admit = admit, .step = step, .n_active = n_active, .evict = evict, .close = close_engine,
};
