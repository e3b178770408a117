/*
 * engine_step.c: one step of an engine: encoding what waits, then one decoding step of every group that is ready. What memory does not suffice
 * for is left out, the newest first, and tried again later; engine_memory.c looks after the case that nothing runs at all.
 */
#include <string.h>

#include "core/alloc.h"
#include "decode/engine.h"
#include "sched/trace.h"

/* ---- Traces ---- */

/* Jobs of the groups first .. end-1 that take part. */
static int64_t count_jobs(trdi_engine *e, int64_t first, int64_t end)
{
    int64_t n = 0;
    e->n_spans++;
    for (int64_t i = first; i < end; i++) {
        trdi_engine_job *job = e->groups[i]->job;
        if (!e->groups[i]->planned || job->traced_in == e->n_spans) continue;
        job->traced_in = e->n_spans;
        n++;
    }
    return n;
}

/* Run the step that was begun. */
static trd_status run_traced(trdi_engine *e, trdi_trace_kind kind, const trdi_step_sizes *sizes, int64_t first, int64_t end,
                             trdi_step_results *results)
{
    if (!trdi_trace_wanted()) return trdi_runner_run(e->builder.runner, e->worker->abort, results);
    trdi_trace_span span = {
        .kind = kind, .device = e->worker->name, .worker = e->worker->index, .start_ns = trdi_now_ns(),
        .n_jobs = count_jobs(e, first, end), .n_rows = sizes->n_rows, .n_tokens = sizes->n_tokens,
    };
    const trd_status status = trdi_runner_run(e->builder.runner, e->worker->abort, results);
    span.end_ns = trdi_now_ns();
    trdi_trace_add(&span);
    return status;
}

/* ---- What enters beside what runs ---- */

/*
 * Rows that run keep their pace: what others bring along, sources, prefixes and targets, is limited for each step to FEED_TOKENS, or
 * FEED_PER_ROW for each of these rows, whichever is more; and to more by as much as there are more groups that enter than rows that
 * wait for them. So a few rows wait while many are let in, which then run together, but many never wait long for a few.
 */
#define FEED_TOKENS  ((int64_t)128)
#define FEED_PER_ROW ((int64_t)2)

static bool can_take_part(const trdi_group *group)
{
    return group->job->status == TRD_OK && !group->job->waiting && !group->left_out;
}

static bool is_ready(const trdi_group *group)
{
    const trdi_engine_job *job = group->job;
    return group->encoded && !group->over && can_take_part(group) && !(job->in_lockstep && job->n_unencoded > 0);
}

/* Tokens that may enter in the coming step; INT64_MAX while nothing runs. */
static int64_t feed_tokens(const trdi_engine *e)
{
    int64_t n_running = 0, n_entering = 0;
    for (int64_t i = 0; i < e->n_groups; i++) {
        const trdi_group *group = e->groups[i];
        if (is_ready(group) && !trdi_group_feeds(group)) n_running += group->n_rows;
        else if (can_take_part(group) && !group->over) n_entering++;
    }
    if (n_running == 0) return INT64_MAX;
    const int64_t least = n_running * FEED_PER_ROW > FEED_TOKENS ? n_running * FEED_PER_ROW : FEED_TOKENS;
    return n_entering > n_running ? least * n_entering / n_running : least;
}

/* ---- Encoding ---- */

static trd_status take_memory_blocks(trdi_engine *e, trdi_group *group)
{
    trdi_memory_cache *memory = group->memory;
    if (memory->blocks != NULL) return TRD_OK;   /* taken in a step that stopped short */
    const int64_t n_positions = group->example->n_source, block_tokens = e->builder.info->block_tokens;
    const int64_t wanted = (n_positions + block_tokens - 1) / block_tokens;
    TRDI_TRY(trdi_builder_reserve_blocks(&e->builder, wanted));
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

/*
 * Choose the next groups to encode, of most tokens together or a single one, mark them by planned, and count what they need.
 * @return index past the last one looked at
 */
static int64_t choose_encodings(trdi_engine *e, int64_t from, int64_t most, trdi_step_sizes *sizes)
{
    *sizes = (trdi_step_sizes){ 0 };
    int64_t i = from;
    for (; i < e->n_groups; i++) {
        trdi_group *group = e->groups[i];
        group->planned = false;
        if (group->encoded || !can_take_part(group)) continue;
        const int64_t n = group->example->n_source;
        if (sizes->n_rows > 0 && sizes->n_tokens + n > most) break;
        const trd_status status = take_memory_blocks(e, group);
        if (status == TRD_E_MEMORY) {
            trdi_engine_note_shortage(e);
            group->left_out = true;
            continue;
        }
        if (status != TRD_OK) {
            trdi_group_fail(group, status);
            continue;
        }
        group->planned = true;
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

static trd_status encode_chosen(trdi_engine *e, int64_t from, int64_t end, const trdi_step_sizes *sizes)
{
    trdi_step_arrays to;
    TRDI_TRY(trdi_runner_begin(e->builder.runner, TRDI_STAGE_ENCODE, 0, sizes, &to));
    int64_t row = 0, token = 0, table = 0;
    for (int64_t i = from; i < end; i++) {
        const trdi_group *group = e->groups[i];
        if (!group->planned) continue;
        write_encoding(group, &to, e->builder.info->n_source_features, row, token, table);
        row++;
        token += group->example->n_source;
        table += group->memory->n_blocks;
    }
    TRDI_TRY(run_traced(e, TRDI_TRACE_ENCODE, sizes, from, end, NULL));
    for (int64_t i = from; i < end; i++) {
        if (!e->groups[i]->planned) continue;
        e->groups[i]->encoded = true;
        e->groups[i]->job->n_unencoded--;
    }
    e->progressed = true;
    return TRD_OK;
}

/* Too much at once: fewer groups, or not this one. */
static void encode_less(trdi_engine *e, int64_t from, int64_t end, const trdi_step_sizes *sizes)
{
    trdi_engine_note_shortage(e);
    if (sizes->n_rows > 1) {
        e->encode_tokens = sizes->n_tokens / 2;
        return;
    }
    for (int64_t i = from; i < end; i++)
        if (e->groups[i]->planned) e->groups[i]->left_out = true;
}

/* Jobs that were cancelled meanwhile end before the next chunk, and before decoding. @return where to go on */
static int64_t end_between(trdi_engine *e, int64_t end)
{
    const int64_t before = e->n_groups;
    trdi_engine_end_jobs(e);
    return e->n_groups == before ? end : 0;
}

trd_status trdi_engine_encode(trdi_engine *e)
{
    int64_t left = e->feed_tokens = feed_tokens(e);
    for (int64_t from = 0; from < e->n_groups && left > 0;) {
        trdi_step_sizes sizes;
        const int64_t end = choose_encodings(e, from, left < e->encode_tokens ? left : e->encode_tokens, &sizes);
        const trd_status status = sizes.n_rows > 0 ? encode_chosen(e, from, end, &sizes) : TRD_OK;
        if (status == TRD_OK) left -= sizes.n_tokens;
        if (status == TRD_OK) from = sizes.n_rows > 0 ? end_between(e, end) : end;
        else if (status == TRD_E_MEMORY) encode_less(e, from, end, &sizes);
        else return status;
    }
    return TRD_OK;
}

/* ---- Decoding ---- */

/** Tokens of prefixes and targets that a step takes along at most; bounds what the runner keeps room for. */
#define STEP_TOKENS ((int64_t)4096)

/* Before the first group of a job in lockstep draws: keep the generator, for the case that the step does not come about. */
static void keep_generator(trdi_engine *e, trdi_engine_job *job)
{
    if (!job->in_lockstep || job->kept_in == e->builder.number) return;
    job->kept[1] = *job->generator;
    job->kept_in = e->builder.number;
}

static void unplan_group(trdi_engine *e, trdi_group *group)
{
    trdi_group_unplan(group, &e->builder);
    group->planned = false;
    trdi_engine_job *job = group->job;
    if (job->in_lockstep && job->kept_in == e->builder.number) *job->generator = job->kept[1];
}

static void unplan_all(trdi_engine *e)
{
    for (int64_t i = 0; i < e->n_groups; i++)
        if (e->groups[i]->planned) unplan_group(e, e->groups[i]);
}

/* Leave a group out of this step, and with it all that must go in step with it. */
static void leave_out(trdi_engine *e, trdi_group *group)
{
    group->left_out = true;
    for (int64_t i = 0; group->job->in_lockstep && i < e->n_groups; i++)
        if (e->groups[i]->job == group->job) e->groups[i]->left_out = true;
}

/* Add a group to the step. @return false if planning has to begin anew, without the job that the group belongs to */
static bool plan_group(trdi_engine *e, trdi_group *group)
{
    const trdi_step_sizes before = e->builder.sizes;
    const int64_t feed_left = e->builder.feed_left;
    const uint32_t features = e->builder.features;
    keep_generator(e, group->job);
    const trd_status status = trdi_group_plan(group, &e->builder);
    group->planned = status == TRD_OK;
    if (status == TRD_OK) return true;
    trdi_group_unplan(group, &e->builder);
    e->builder.sizes = before;
    e->builder.feed_left = feed_left;
    e->builder.features = features;
    if (status != TRD_E_MEMORY) {
        trdi_group_fail(group, status);
        return true;
    }
    trdi_engine_note_shortage(e);
    leave_out(e, group);
    return !group->job->in_lockstep;
}

/* Is this the first group of its job in this planning, or one that goes by itself? */
static bool starts_unit(const trdi_engine *e, const trdi_group *group)
{
    return !group->job->in_lockstep || group->job->kept_in != e->builder.number;
}

/*
 * Plan a step of at most max_units units: groups, or whole jobs in lockstep. They are marked by planned.
 * @return their number, or -1 if planning has to begin anew
 */
static int64_t plan_groups(trdi_engine *e)
{
    int64_t n_units = 0;
    trdi_builder_reset(&e->builder);
    e->builder.feed_left = e->feed_tokens < STEP_TOKENS ? e->feed_tokens : STEP_TOKENS;
    for (int64_t i = 0; i < e->n_groups; i++) e->groups[i]->planned = false;
    for (int64_t i = 0; i < e->n_groups; i++) {
        trdi_group *group = e->groups[i];
        if (!is_ready(group) || (trdi_group_feeds(group) && !trdi_builder_can_feed(&e->builder, group))) continue;
        const bool starts = starts_unit(e, group);
        if (starts && n_units >= e->max_units) {
            leave_out(e, group);
            continue;
        }
        if (!plan_group(e, group)) return -1;
        n_units += starts && group->planned;
    }
    return n_units;
}

static trd_status take_over_children(trdi_engine *e, trdi_group **children, int64_t n)
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

static trd_status advance_group(trdi_engine *e, trdi_group *group, const trdi_step_results *results)
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

static trd_status run_planned(trdi_engine *e, trdi_step_results *results)
{
    TRDI_TRY(trdi_builder_begin(&e->builder));
    return run_traced(e, TRDI_TRACE_DECODE, &e->builder.sizes, 0, e->n_groups, results);
}

/* Plan and run as many groups as memory suffices for. @return in *ran whether a step was run */
static trd_status run_step(trdi_engine *e, trdi_step_results *results, bool *ran)
{
    *ran = false;
    for (;;) {
        const int64_t n_units = plan_groups(e);
        if (n_units == 0) return TRD_OK;
        if (n_units > 0) {
            const trd_status status = run_planned(e, results);
            *ran = status == TRD_OK;
            if (status == TRD_E_CANCELLED) unplan_all(e);
            if (status != TRD_E_MEMORY) return status;
            trdi_engine_note_shortage(e);
        }
        unplan_all(e);
        if (n_units == 1) return TRD_OK;
        if (n_units > 1) e->max_units = n_units / 2;
    }
}

trd_status trdi_engine_decode(trdi_engine *e)
{
    trdi_step_results results;
    bool ran;
    TRDI_TRY(run_step(e, &results, &ran));
    if (!ran) return TRD_OK;
    e->progressed = true;
    const int64_t n = e->n_groups;   /* children that come now wait for the next step */
    for (int64_t i = 0; i < n; i++) {
        trdi_group *group = e->groups[i];
        if (!group->planned || group->job->status != TRD_OK) continue;
        const trd_status status = advance_group(e, group, &results);
        if (status != TRD_OK) trdi_group_fail(e->groups[i], status);
    }
    return TRD_OK;
}
