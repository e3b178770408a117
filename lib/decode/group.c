/* group.c: life of a group, its rows and their block tables, and the record of chosen tokens. */
#include "decode/group.h"

#include <string.h>

#include "core/alloc.h"

/** Steps for which room is made at once; longer decodings grow. */
#define RESERVED_STEPS ((int64_t)512)

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static trd_status out_of_memory(const trdi_group *group)
{
    return trdi_fail(TRD_E_MEMORY, "decoding of example %lld: out of memory", (long long)group->example->index);
}

bool trdi_is_end(const trdi_search *search, int32_t token)
{
    for (int64_t i = 0; i < search->n_end_ids; i++) {
        if (search->end_ids[i] == token) return true;
    }
    return false;
}

void trdi_group_fail(trdi_group *group, trd_status status)
{
    trdi_engine_job *job = group->job;
    if (job->status != TRD_OK) return;
    job->status = status;
    const char *text = trd_last_error();
    memcpy(job->error, text, strlen(text) + 1);
}

static void choose_kind(trdi_group *group, const trdi_group *parent)
{
    const trdi_search *search = group->search;
    if (search == NULL) group->kind = TRDI_GROUP_SCORE;
    else if (search->return_alternatives && parent == NULL) group->kind = TRDI_GROUP_EXPAND;
    else if (search->beam_size == 1 && search->prefix_bias_beta == 0.0f) group->kind = TRDI_GROUP_SAMPLES;
    else group->kind = TRDI_GROUP_BEAM;
}

static void set_search_fields(trdi_group *group)
{
    const trdi_search *search = group->search;
    const trdi_example *example = group->example;
    group->prefix = example->target + 1;
    group->n_prefix = example->n_target - 1;
    group->biased = search->prefix_bias_beta > 0.0f && group->n_prefix > 0;
    group->branch_step = group->n_prefix;
    group->limit = search->max_length;
    group->min_length = search->min_length;
    group->n_wanted = search->num_hypotheses;
    group->keeps_attention = search->return_attention || search->coverage_penalty != 0.0f;
    group->keeps_logits = search->return_logits;
    if (group->kind == TRDI_GROUP_SAMPLES) group->row_capacity = search->num_hypotheses;
}

/* What is left for the continuation of an alternative: the parent's prefix and the token chosen by it are behind us. */
static void set_child_fields(trdi_group *group, const trdi_group *parent)
{
    const int64_t taken = parent->n_prefix + 1;
    group->n_prefix = 0;
    group->biased = false;
    group->limit -= taken;
    group->min_length = group->min_length > taken ? group->min_length - taken : 0;
    group->first_step = taken;
    group->n_wanted = 1;
    if (group->kind == TRDI_GROUP_SAMPLES) group->row_capacity = 1;
}

static trd_status reserve_rows(trdi_group *group, int64_t tokens)
{
    const size_t room = (size_t)smaller(tokens, RESERVED_STEPS);
    for (int64_t i = 0; i < group->row_capacity; i++) {
        trdi_row *pair[2] = { &group->rows[i], group->spare != NULL ? &group->spare[i] : NULL };
        for (int k = 0; k < 2 && pair[k] != NULL; k++) {
            trdi_row *row = pair[k];
            row->node = -1;
            if (!trdi_reserve((void **)&row->history, &row->history_capacity, room, sizeof *row->history) ||
                !trdi_reserve((void **)&row->blocks, &row->blocks_capacity, room / 8 + 2, sizeof *row->blocks)) {
                return out_of_memory(group);
            }
        }
    }
    return TRD_OK;
}

/* Room for what the steps record, so that the usual decoding allocates nothing while it runs. */
static trd_status reserve_record(trdi_group *group)
{
    const size_t lines = (size_t)(smaller(group->limit, RESERVED_STEPS) * group->row_capacity);
    if (!trdi_reserve((void **)&group->nodes, &group->nodes_capacity, lines + (size_t)group->row_capacity, sizeof *group->nodes)) {
        return out_of_memory(group);
    }
    if (group->kind != TRDI_GROUP_BEAM) return TRD_OK;
    const size_t beams = (size_t)group->search->beam_size;
    group->diverged = trdi_calloc(beams, sizeof *group->diverged);
    group->kept = trdi_calloc(beams, sizeof *group->kept);
    const bool room = trdi_reserve((void **)&group->finished, &group->finished_capacity, 8 * beams, sizeof *group->finished);
    return group->diverged != NULL && group->kept != NULL && room ? TRD_OK : out_of_memory(group);
}

static trd_status give_memory(trdi_group *group, trdi_group *parent)
{
    if (parent != NULL) {
        group->memory = parent->memory;
        group->memory->uses++;
        return TRD_OK;
    }
    group->memory = trdi_calloc(1, sizeof *group->memory);
    if (group->memory == NULL) return out_of_memory(group);
    group->memory->uses = 1;
    return TRD_OK;
}

static trd_status fill_group(trdi_group *group, trdi_group *parent)
{
    group->row_capacity = 1;
    choose_kind(group, parent);
    if (group->kind != TRDI_GROUP_SCORE) set_search_fields(group);
    if (parent != NULL) set_child_fields(group, parent);
    if (group->kind == TRDI_GROUP_BEAM) group->row_capacity = group->search->beam_size;
    const size_t capacity = (size_t)group->row_capacity;
    group->rows = trdi_calloc(capacity, sizeof *group->rows);
    if (group->kind == TRDI_GROUP_BEAM) group->spare = trdi_calloc(capacity, sizeof *group->spare);
    if (group->rows == NULL || (group->kind == TRDI_GROUP_BEAM && group->spare == NULL)) return out_of_memory(group);
    const int64_t tokens = group->kind == TRDI_GROUP_SCORE ? group->example->n_target : group->limit;
    TRDI_TRY(reserve_rows(group, tokens));
    if (group->kind != TRDI_GROUP_SCORE) TRDI_TRY(reserve_record(group));
    TRDI_TRY(give_memory(group, parent));
    group->n_rows = 1;
    group->rows[0].input = group->example->target[0];
    return TRD_OK;
}

trd_status trdi_group_create(trdi_engine_job *job, trdi_example *example, trdi_group *parent, trdi_group **out)
{
    *out = NULL;
    trdi_group *group = trdi_calloc(1, sizeof *group);
    if (group == NULL) return trdi_fail(TRD_E_MEMORY, "decoding of example %lld: out of memory", (long long)example->index);
    group->job = job;
    group->example = example;
    group->search = job->job->kind == TRDI_JOB_SEARCH ? job->job->search : NULL;
    const trd_status status = fill_group(group, parent);
    if (status != TRD_OK) {
        trdi_group_destroy(group, NULL);
        return status;
    }
    *out = group;
    return TRD_OK;
}

static void destroy_rows(trdi_row *rows, int64_t n)
{
    for (int64_t i = 0; rows != NULL && i < n; i++) {
        trdi_free(rows[i].history);
        trdi_free(rows[i].blocks);
    }
    trdi_free(rows);
}

static void release_memory(trdi_memory_cache *memory, trdi_runner *runner)
{
    if (memory == NULL || --memory->uses > 0) return;
    for (int64_t i = 0; i < memory->n_blocks; i++) trdi_runner_release_block(runner, memory->blocks[i]);
    trdi_free(memory->blocks);
    trdi_free(memory);
}

void trdi_group_release_rows(trdi_group *group, trdi_runner *runner)
{
    for (int64_t i = 0; i < group->row_capacity; i++) {
        if (group->rows != NULL) trdi_row_release(&group->rows[i], runner);
        if (group->spare != NULL) trdi_row_release(&group->spare[i], runner);
    }
    group->n_rows = 0;
}

void trdi_group_destroy(trdi_group *group, trdi_runner *runner)
{
    if (group == NULL) return;
    trdi_group_release_rows(group, runner);
    destroy_rows(group->rows, group->row_capacity);
    destroy_rows(group->spare, group->row_capacity);
    release_memory(group->memory, runner);
    trdi_free(group->nodes);
    trdi_free(group->attention);
    trdi_free(group->logits);
    trdi_free(group->finished);
    trdi_free(group->diverged);
    trdi_free(group->kept);
    trdi_free(group);
}

trd_status trdi_row_fork(trdi_row *dst, const trdi_row *src, trdi_runner *runner)
{
    if (!trdi_reserve((void **)&dst->history, &dst->history_capacity, (size_t)src->n_history, sizeof *dst->history) ||
        !trdi_reserve((void **)&dst->blocks, &dst->blocks_capacity, (size_t)src->n_blocks, sizeof *dst->blocks)) {
        return trdi_fail(TRD_E_MEMORY, "copy of a hypothesis of %lld tokens: out of memory", (long long)src->n_history);
    }
    if (src->n_history > 0) memcpy(dst->history, src->history, (size_t)src->n_history * sizeof *dst->history);
    for (int64_t i = 0; i < src->n_blocks; i++) {
        dst->blocks[i] = src->blocks[i];
        trdi_runner_retain_block(runner, src->blocks[i]);
    }
    dst->n_history = src->n_history;
    dst->n_blocks = src->n_blocks;
    dst->n_cached = src->n_cached;
    dst->input = src->input;
    dst->node = src->node;
    dst->score = src->score;
    dst->sample = src->sample;
    return TRD_OK;
}

void trdi_row_release(trdi_row *row, trdi_runner *runner)
{
    for (int64_t i = 0; i < row->n_blocks; i++) trdi_runner_release_block(runner, row->blocks[i]);
    row->n_blocks = 0;
    row->n_cached = 0;
    row->n_history = 0;
}

trd_status trdi_row_append_history(trdi_row *row, int32_t token)
{
    if (!trdi_reserve((void **)&row->history, &row->history_capacity, (size_t)row->n_history + 1, sizeof *row->history)) {
        return trdi_fail(TRD_E_MEMORY, "hypothesis of %lld tokens: out of memory", (long long)row->n_history + 1);
    }
    row->history[row->n_history++] = token;
    return TRD_OK;
}

trd_status trdi_group_add_node(trdi_group *group, int32_t parent, int32_t token, int32_t evidence, float score, int32_t *out)
{
    if (group->n_nodes == INT32_MAX ||
        !trdi_reserve((void **)&group->nodes, &group->nodes_capacity, (size_t)group->n_nodes + 1, sizeof *group->nodes)) {
        return out_of_memory(group);
    }
    group->nodes[group->n_nodes] = (trdi_node){ parent, token, evidence, score };
    *out = group->n_nodes++;
    return TRD_OK;
}

/* Tokens of the step that leave evidence: a single row's forced ones and its last, or the one token of each row. */
static int64_t evidence_lines(const trdi_group *group)
{
    return group->n_rows == 1 ? group->forced + (group->selects ? 1 : 0) : group->n_rows;
}

static trd_status record_attention(trdi_group *group, const trdi_step_results *results, int64_t lines)
{
    const size_t width = (size_t)group->memory->n_positions;
    const size_t used = (size_t)group->n_evidence * width;
    if (!trdi_reserve((void **)&group->attention, &group->attention_capacity, used + (size_t)lines * width, sizeof(float))) {
        return out_of_memory(group);
    }
    for (int64_t i = 0; i < lines; i++) {
        memcpy(group->attention + used + (size_t)i * width,
               results->attention + (group->token_base + i) * results->attention_stride, width * sizeof(float));
    }
    return TRD_OK;
}

static trd_status record_logits(trdi_group *group, trdi_builder *builder, int64_t lines)
{
    const size_t width = (size_t)builder->info->vocabulary;
    const size_t used = (size_t)group->n_evidence * width;
    if (!trdi_reserve((void **)&group->logits, &group->logits_capacity, used + (size_t)lines * width, sizeof(float))) {
        return out_of_memory(group);
    }
    for (int64_t i = 0; i < lines; i++) {
        TRDI_TRY(trdi_runner_read_logits(builder->runner, group->output_base + i, group->logits + used + (size_t)i * width));
    }
    return TRD_OK;
}

trd_status trdi_group_record_evidence(trdi_group *group, trdi_builder *builder, const trdi_step_results *results, int32_t *base)
{
    *base = group->n_evidence;
    const int64_t lines = evidence_lines(group);
    if (group->keeps_attention) TRDI_TRY(record_attention(group, results, lines));
    if (group->keeps_logits) TRDI_TRY(record_logits(group, builder, lines));
    group->n_evidence += (int32_t)lines;
    return TRD_OK;
}
