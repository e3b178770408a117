/* nn_rig.c: see nn_rig.h. */
#include "nn/nn_rig.h"

#include <string.h>

trd_status rig_open(rig *r, const char *path, const trdi_network_options *options)
{
    trdi_device_facts facts;
    size_t n = 0;
    *r = (rig){ .forbidden = -1 };
    TRDI_TRY(trdi_backend_cpu()->enumerate(&facts, 1, &n));
    return rig_open_on(r, trdi_backend_cpu(), &facts, path, options);
}

trd_status rig_open_on(rig *r, const trdi_backend_ops *ops, const trdi_device_facts *facts, const char *path,
                       const trdi_network_options *options)
{
    *r = (rig){ .forbidden = -1, .device = { .facts = *facts } };
    TRDI_TRY(ops->device_open(&r->device.facts, &r->device.impl));
    r->device.ops = ops;
    TRDI_TRY(trdi_model_open(path, NULL, 0, &r->model));
    TRDI_TRY(trdi_network_create(r->model, &r->device, options, &r->network));
    TRDI_TRY(ops->queue_create(r->device.impl, &(trdi_queue_options){ .n_threads = 1 }, &r->queue));
    return trdi_runner_create(r->network, r->queue, &r->runner);
}

void rig_close(rig *r)
{
    trdi_runner_destroy(r->runner);
    if (r->queue != NULL) r->device.ops->queue_destroy(r->queue);
    trdi_network_destroy(r->network);
    trdi_model_release(r->model);
    if (r->device.ops != NULL) r->device.ops->device_close(r->device.impl);
    *r = (rig){ .forbidden = -1 };
}

/** Give a row blocks for n positions. */
static trd_status ensure_blocks(rig *r, int32_t *blocks, int32_t *n_blocks, int32_t n)
{
    const int32_t size = (int32_t)trdi_network_get_info(r->network)->block_tokens, wanted = (n + size - 1) / size;
    if (wanted > RIG_BLOCKS) return trdi_fail(TRD_E_RANGE, "rig: %d positions", (int)n);
    TRDI_TRY(trdi_runner_reserve_blocks(r->runner, wanted - *n_blocks));
    while (*n_blocks < wanted) blocks[(*n_blocks)++] = trdi_runner_take_block(r->runner);
    return TRD_OK;
}

void rig_row_release(rig *r, rig_row *row)
{
    for (int32_t i = 0; i < row->n_own_blocks; i++) trdi_runner_release_block(r->runner, row->own[i]);
    for (int32_t i = 0; i < row->n_memory_blocks; i++) trdi_runner_release_block(r->runner, row->memory[i]);
    *row = (rig_row){ .length = 0 };
}

static int32_t put_table(trdi_step_arrays *a, int32_t at, const int32_t *blocks, int32_t n)
{
    memcpy(a->table + at, blocks, (size_t)n * sizeof *blocks);
    return at + n;
}

trd_status rig_encode(rig *r, rig_row *rows, int32_t n_rows, const int32_t *const *ids, const int32_t *lengths)
{
    trdi_step_sizes sizes = { .n_rows = n_rows };
    for (int32_t i = 0; i < n_rows; i++) {
        TRDI_TRY(ensure_blocks(r, rows[i].memory, &rows[i].n_memory_blocks, lengths[i]));
        sizes.n_tokens += lengths[i];
        sizes.n_table += rows[i].n_memory_blocks;
    }
    trdi_step_arrays a;
    TRDI_TRY(trdi_runner_begin(r->runner, TRDI_STAGE_ENCODE, 0, &sizes, &a));
    int32_t token = 0, table = 0;
    const int64_t n_features = trdi_network_get_info(r->network)->n_source_features;
    for (int32_t i = 0; i < n_rows; i++) {
        a.key_starts[i] = token;
        a.key_counts[i] = lengths[i];
        a.memory_offsets[i] = table;
        table = put_table(&a, table, rows[i].memory, rows[i].n_memory_blocks);
        for (int32_t p = 0; p < lengths[i]; p++, token++) {
            a.ids[0][token] = ids[i][p];
            for (int64_t f = 1; f < n_features; f++) a.ids[f][token] = ids[i][p] % 9 + 3;
            a.rows[token] = i;
            a.positions[token] = p;
        }
    }
    TRDI_TRY(trdi_runner_run(r->runner, NULL, NULL));
    for (int32_t i = 0; i < n_rows; i++) rows[i].memory_length = lengths[i];
    return TRD_OK;
}

static trd_status begin_decode(rig *r, rig_row *rows, int32_t n_rows, const int32_t *lengths, trdi_step_sizes *sizes, trdi_step_arrays *a)
{
    *sizes = (trdi_step_sizes){ .n_rows = n_rows };
    for (int32_t i = 0; i < n_rows; i++) {
        TRDI_TRY(ensure_blocks(r, rows[i].own, &rows[i].n_own_blocks, rows[i].length + lengths[i]));
        sizes->n_tokens += lengths[i];
        sizes->n_table += rows[i].n_own_blocks + rows[i].n_memory_blocks;
        if (sizes->n_attention < rows[i].memory_length) sizes->n_attention = rows[i].memory_length;
    }
    sizes->n_outputs = sizes->n_selections = sizes->n_candidates = sizes->n_tokens;
    sizes->n_copies = r->copy_from != r->copy_to;
    sizes->n_edits = r->forbidden >= 0 ? sizes->n_tokens : 0;
    return trdi_runner_begin(r->runner, TRDI_STAGE_DECODE, r->features, sizes, a);
}

static void fill_output(const rig *r, trdi_step_arrays *a, int32_t token)
{
    a->outputs[token] = token;
    a->masks[token] = -1;
    a->row_norms[token] = (trdi_row_norm){ .mode = TRDI_NORMALISE_LOG_SOFTMAX };
    a->row_scores[token] = 0.0f;
    a->selections[token] = (trdi_selection){ .mode = TRDI_SELECT_BEST, .first_row = token, .n_rows = 1, .n_candidates = 1,
                                             .output = token, .temperature = 1.0f, .topp = 1.0f };
    a->edit_starts[token] = r->forbidden >= 0 ? token : 0;
    a->edit_starts[token + 1] = r->forbidden >= 0 ? token + 1 : 0;
    if (r->forbidden >= 0)
        a->edits[token] = (trdi_edit){ .row = token, .id = r->forbidden, .kind = TRDI_EDIT_SET, .value = -1e30f };
}

trd_status rig_decode(rig *r, rig_row *rows, int32_t n_rows, const int32_t *const *tokens, const int32_t *lengths, int32_t *best,
                      float *scores, trdi_step_results *results)
{
    trdi_step_sizes sizes;
    trdi_step_arrays a;
    TRDI_TRY(begin_decode(r, rows, n_rows, lengths, &sizes, &a));
    int32_t token = 0, table = 0;
    a.edit_starts[0] = 0;
    if (r->copy_from != r->copy_to) {
        a.copies[0] = r->copy_from;
        a.copies[1] = r->copy_to;
        r->copy_from = r->copy_to = 0;
    }
    for (int32_t i = 0; i < n_rows; i++) {
        a.table_offsets[i] = table;
        table = put_table(&a, table, rows[i].own, rows[i].n_own_blocks);
        a.memory_offsets[i] = table;
        table = put_table(&a, table, rows[i].memory, rows[i].n_memory_blocks);
        a.key_counts[i] = rows[i].length + lengths[i];
        a.memory_counts[i] = rows[i].memory_length;
        for (int32_t p = 0; p < lengths[i]; p++, token++) {
            a.ids[0][token] = tokens[i][p];
            a.rows[token] = i;
            a.positions[token] = rows[i].length + p;
            fill_output(r, &a, token);
        }
    }
    trdi_step_results own;
    if (results == NULL) results = &own;
    TRDI_TRY(trdi_runner_run(r->runner, NULL, results));
    memcpy(best, results->ids, (size_t)token * sizeof *best);
    memcpy(scores, results->scores, (size_t)token * sizeof *scores);
    for (int32_t i = 0; i < n_rows; i++) rows[i].length += lengths[i];
    return TRD_OK;
}

int32_t rig_greedy(rig *r, rig_row *row, int32_t start, int32_t stop, int32_t n, int32_t *ids, double *score)
{
    int32_t token = start, done = 0;
    const int32_t one = 1;
    *score = 0.0;
    while (done < n) {
        const int32_t *tokens = &token;
        float value;
        int32_t next;
        if (rig_decode(r, row, 1, &tokens, &one, &next, &value, NULL) != TRD_OK) return -1;
        *score += (double)value;
        ids[done++] = token = next;
        if (token == stop) break;
    }
    return done;
}
