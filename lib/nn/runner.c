/*
 * runner.c: one engine's step block, arena, KV pool and plans. Buffers are made at capacity and plans recorded into them; a step
 * only writes numbers and runs a plan. Growth makes new buffers first and lets the old ones go then, or before where memory is short.
 */
#include "nn/network_private.h"

#include "core/alloc.h"
#include "core/log.h"
#include "core/threads.h"
#include "nn/kv_pool.h"

enum { N_STAGES = 2, N_FEATURE_SETS = 4 };

struct trdi_runner {
    trdi_network *network;       /**< borrowed, as is the queue */
    void         *queue;
    trdi_places   places;        /**< buffers NULL before the first step */
    trdi_kv_pool  pool;
    void         *plans[N_STAGES][N_FEATURE_SETS];   /**< NULL = not recorded for the present buffers */
    trdi_stage    stage;         /**< of the step that was begun */
    uint32_t      features;
    trdi_step_sizes sizes;
    bool          begun;
};

static const trdi_backend_ops *ops_of(const trdi_runner *runner)
{
    return runner->network->device->ops;
}

/* ---- Buffers and plans ---- */

static void drop_plans(trdi_runner *runner)
{
    for (int s = 0; s < N_STAGES; s++) {
        for (int f = 0; f < N_FEATURE_SETS; f++) {
            if (runner->plans[s][f] != NULL) ops_of(runner)->plan_destroy(runner->plans[s][f]);
            runner->plans[s][f] = NULL;
        }
    }
}

static void free_buffers(const trdi_runner *runner, const trdi_places *places)
{
    const trdi_backend_ops *ops = ops_of(runner);
    trdi_memory_budget *budget = runner->pool.budget;
    trdi_memory_budget_free(budget, TRDI_PART_STEP, ops, places->step, places->in_step.bytes);
    trdi_memory_budget_free(budget, TRDI_PART_STEP, ops, places->result, places->in_result.bytes);
    trdi_memory_budget_free(budget, TRDI_PART_STEP, ops, places->arena, places->in_arena.bytes);
}

static trd_status make_buffer(const trdi_runner *runner, size_t bytes, trdi_memory kind, void **out)
{
    return trdi_memory_budget_alloc(runner->pool.budget, TRDI_PART_STEP, ops_of(runner), runner->network->device->impl, bytes, kind, out);
}

static trd_status make_buffers(const trdi_runner *runner, trdi_places *places)
{
    trd_status status = make_buffer(runner, places->in_step.bytes, TRDI_MEMORY_STEP, &places->step);
    if (status == TRD_OK) status = make_buffer(runner, places->in_result.bytes, TRDI_MEMORY_RESULT, &places->result);
    if (status == TRD_OK) status = make_buffer(runner, places->in_arena.bytes, TRDI_MEMORY_DEVICE, &places->arena);
    if (status == TRD_OK) return TRD_OK;
    free_buffers(runner, places);
    places->step = places->result = places->arena = NULL;
    const trdi_step_sizes *sizes = &places->capacities.sizes;
    return trdi_fail_within(status, "model '%s': buffers for %lld tokens and %lld outputs", runner->network->model->name,
                            (long long)sizes->n_tokens, (long long)sizes->n_outputs);
}

/** Plans and buffers of steps go; the pool stays. */
static void drop_buffers(trdi_runner *runner)
{
    drop_plans(runner);
    free_buffers(runner, &runner->places);
    runner->places = (trdi_places){ .pool = runner->places.pool };
}

/** New buffers from given capacities on. */
static trd_status grow_from(trdi_runner *runner, trdi_capacities capacities, const trdi_step_sizes *sizes, uint32_t features)
{
    TRDI_TRY(trdi_capacities_grow(&capacities, sizes, features));
    trdi_places grown = { .pool = runner->places.pool };
    TRDI_TRY(trdi_places_lay_out(&grown, runner->network, &capacities));
    TRDI_TRY(make_buffers(runner, &grown));
    drop_buffers(runner);
    runner->places = grown;
    return TRD_OK;
}

/** Where memory is short the old buffers make room, which hold nothing between steps, and the new ones are as small as the step allows. */
static trd_status grow(trdi_runner *runner, const trdi_step_sizes *sizes, uint32_t features)
{
    if (!runner->pool.frugal) {
        const trd_status status = grow_from(runner, runner->places.capacities, sizes, features);
        if (status != TRD_E_MEMORY || runner->places.arena == NULL) return status;
    }
    drop_buffers(runner);
    return grow_from(runner, (trdi_capacities){ .features = 0 }, sizes, features);
}

/**
 * Grow the pool. Plans of the old buffer go at once: only now do its address and the new one differ for sure, as a later growth may
 * bring the address back.
 */
static trd_status reserve_blocks(trdi_runner *runner, int64_t n)
{
    /* A frugal pool lets its buffer go before it has another, at whatever address; plans would keep it. */
    if (runner->pool.frugal && n > runner->pool.n_free) drop_plans(runner);
    const trd_status status = trdi_kv_pool_reserve(&runner->pool, n);
    if (runner->places.pool == runner->pool.buffer) return status;
    drop_plans(runner);
    runner->places.pool = runner->pool.buffer;
    return status;
}

/** The plan for a stage in the present buffers and pool, recorded if it is new. */
static trd_status ensure_plan(trdi_runner *runner, trdi_stage stage, uint32_t features, void **out)
{
    void **plan = &runner->plans[stage][features];
    if (*plan == NULL) {
        const trdi_plan_options options = { .numerics = runner->network->numerics };
        trdi_recorder recorder;
        trd_status status = trdi_record_stage(&recorder, runner->network, &runner->places, stage, features);
        if (status == TRD_OK)
            status = ops_of(runner)->plan_create(runner->network->device->impl, recorder.ops, recorder.n_ops, &options, plan);
        trdi_free(recorder.ops);
        TRDI_TRY(status);
    }
    *out = *plan;
    return TRD_OK;
}

/* ---- Steps ---- */

static trd_status check_stage(const trdi_runner *runner, trdi_stage stage, uint32_t features)
{
    const trd_model *model = runner->network->model;
    if ((features & ~(uint32_t)(TRDI_FEATURE_ATTENTION | TRDI_FEATURE_LOGITS)) != 0)
        return trdi_fail(TRD_E_INVALID, "step features %#x", (unsigned)features);
    if (stage == TRDI_STAGE_ENCODE && runner->network->info.n_source_features == 0)
        return trdi_fail(TRD_E_STATE, "model '%s' has no encoder", model->name);
    if ((features & TRDI_FEATURE_ATTENTION) != 0 && (!model->decoder.has_cross || model->decoder.merged))
        return trdi_fail(TRD_E_UNSUPPORTED, "model '%s' has no cross-attention whose weights could be returned", model->name);
    return TRD_OK;
}

trd_status trdi_runner_begin(trdi_runner *runner, trdi_stage stage, uint32_t features, const trdi_step_sizes *sizes,
                             trdi_step_arrays *out)
{
    runner->begun = false;
    if (stage == TRDI_STAGE_ENCODE) features = 0;
    TRDI_TRY(check_stage(runner, stage, features));
    trdi_step_sizes wanted = *sizes;
    if ((features & TRDI_FEATURE_ATTENTION) == 0) wanted.n_attention = 0;
    if (runner->places.arena == NULL || !trdi_capacities_hold(&runner->places.capacities, &wanted, features))
        TRDI_TRY(grow(runner, &wanted, features));
    TRDI_TRY(reserve_blocks(runner, runner->pool.buffer == NULL ? 1 : 0));
    void *plan;
    TRDI_TRY(ensure_plan(runner, stage, features, &plan));
    trdi_step_layout_arrays(&runner->places.in_step, runner->network, ops_of(runner)->buffer_host(runner->places.step), out);
    runner->stage = stage;
    runner->features = features;
    runner->sizes = wanted;
    runner->begun = true;
    return TRD_OK;
}

static void read_results(const trdi_runner *runner, trdi_step_results *results)
{
    const trdi_result_layout *layout = &runner->places.in_result;
    const uint8_t *host = ops_of(runner)->buffer_host(runner->places.result);
    const bool attention = (runner->features & TRDI_FEATURE_ATTENTION) != 0;
    *results = (trdi_step_results){
        .ids = (const void *)(host + layout->ids),
        .parents = (const void *)(host + layout->parents),
        .scores = (const void *)(host + layout->scores),
        .attention = attention ? (const void *)(host + layout->attention) : NULL,
        .attention_stride = attention ? runner->places.capacities.sizes.n_attention : 0,
    };
}

/* Run a plan and wait for it. What the trace tells, benchmarks read: time to enqueue, processor time of this thread, time in all. */
static trd_status run_plan(trdi_runner *runner, void *plan, const trdi_step *step)
{
    const trdi_backend_ops *ops = ops_of(runner);
    const bool traced = trdi_log_enabled(TRD_LOG_TRACE);
    const int64_t start = traced ? trdi_now_ns() : 0, cpu_start = traced ? trdi_thread_cpu_ns() : 0;
    const trd_status status = ops->plan_run(runner->queue, plan, step);
    const int64_t enqueued = traced ? trdi_now_ns() : 0;
    const trd_status waited = ops->queue_wait(runner->queue);
    if (traced) {
        trdi_log(TRD_LOG_TRACE, "%s: step of %lld tokens: enqueue %.4f ms, thread %.4f ms, all %.4f ms", ops->name,
                 (long long)step->counts[TRDI_COUNT_TOKENS], (double)(enqueued - start) * 1e-6,
                 (double)(trdi_thread_cpu_ns() - cpu_start) * 1e-6, (double)(trdi_now_ns() - start) * 1e-6);
    }
    return status != TRD_OK ? status : waited;
}

trd_status trdi_runner_run(trdi_runner *runner, atomic_bool *abort, trdi_step_results *results)
{
    if (!runner->begun) return trdi_fail(TRD_E_STATE, "no step was begun");
    runner->begun = false;
    /* The pool may have grown since the step was begun. */
    void *plan;
    TRDI_TRY(ensure_plan(runner, runner->stage, runner->features, &plan));
    const trdi_step step = {
        .counts = {
            [TRDI_COUNT_ONE] = 1,
            [TRDI_COUNT_TOKENS] = runner->sizes.n_tokens,
            [TRDI_COUNT_OUTPUTS] = runner->sizes.n_outputs,
            [TRDI_COUNT_EDITS] = runner->sizes.n_edits,
            [TRDI_COUNT_SELECTIONS] = runner->sizes.n_selections,
            [TRDI_COUNT_COPIES] = runner->sizes.n_copies,
        },
        .abort = abort,
    };
    TRDI_TRY(run_plan(runner, plan, &step));
    if (results != NULL) read_results(runner, results);
    return TRD_OK;
}

trd_status trdi_runner_read_logits(trdi_runner *runner, int64_t output, float *out)
{
    if ((runner->features & TRDI_FEATURE_LOGITS) == 0 || output < 0 || output >= runner->sizes.n_outputs)
        return trdi_fail(TRD_E_RANGE, "logits of output %lld of %lld", (long long)output, (long long)runner->sizes.n_outputs);
    const trdi_arena_layout *layout = &runner->places.in_arena;
    const trdi_span logits = { runner->places.arena, layout->logits + (size_t)(output * layout->logits_stride) * sizeof(float) };
    return ops_of(runner)->read(runner->queue, out, logits, (size_t)runner->network->info.vocabulary * sizeof(float));
}

/* ---- Runner ---- */

trd_status trdi_runner_create(trdi_network *network, void *queue, trdi_runner **out)
{
    *out = NULL;
    trdi_runner *runner = trdi_calloc(1, sizeof *runner);
    if (runner == NULL) return trdi_fail(TRD_E_MEMORY, "model '%s': runner", network->model->name);
    runner->network = network;
    runner->queue = queue;
    trdi_kv_pool_init(&runner->pool, network->device->ops, network->device->impl, queue, network->info.block_bytes);
    *out = runner;
    return TRD_OK;
}

void trdi_runner_set_budget(trdi_runner *runner, trdi_memory_budget *budget)
{
    runner->pool.budget = budget;
}

void trdi_runner_set_frugal(trdi_runner *runner, bool frugal)
{
    runner->pool.frugal = frugal;
}

size_t trdi_runner_bytes(const trdi_runner *runner)
{
    const trdi_places *places = &runner->places;
    const size_t steps = places->arena != NULL ? places->in_step.bytes + places->in_result.bytes + places->in_arena.bytes : 0;
    return steps + (size_t)runner->pool.n_blocks * runner->pool.block_bytes;
}

void trdi_runner_destroy(trdi_runner *runner)
{
    if (runner == NULL) return;
    drop_plans(runner);
    free_buffers(runner, &runner->places);
    trdi_kv_pool_clear(&runner->pool);
    trdi_free(runner);
}

trd_status trdi_runner_reserve_blocks(trdi_runner *runner, int64_t n)
{
    return reserve_blocks(runner, n);
}

int32_t trdi_runner_take_block(trdi_runner *runner)
{
    return trdi_kv_pool_take(&runner->pool);
}

void trdi_runner_retain_block(trdi_runner *runner, int32_t block)
{
    trdi_kv_pool_retain(&runner->pool, block);
}

void trdi_runner_release_block(trdi_runner *runner, int32_t block)
{
    trdi_kv_pool_release(&runner->pool, block);
}

int32_t trdi_runner_block_uses(const trdi_runner *runner, int32_t block)
{
    return runner->pool.uses[block];
}

int64_t trdi_runner_free_blocks(const trdi_runner *runner)
{
    return runner->pool.n_free;
}

void trdi_runner_shrink(trdi_runner *runner)
{
    runner->begun = false;
    drop_buffers(runner);
    if (trdi_runner_blocks_in_use(runner) > 0) return;
    trdi_kv_pool_clear(&runner->pool);
    runner->places.pool = NULL;
}

int64_t trdi_runner_blocks_in_use(const trdi_runner *runner)
{
    return runner->pool.n_blocks - runner->pool.n_free;
}
