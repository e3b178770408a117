/* step_build.c: collecting the segments, outputs and selections of a step, and moving them into the runner's step block. */
#include <string.h>

#include "core/alloc.h"
#include "decode/group.h"

static trd_status out_of_memory(void) { return trdi_fail(TRD_E_MEMORY, "decoding step: out of memory"); }

/* Make room for n more elements behind used ones of builder->array. */
#define GROW(array, used, n)                                                                                        \
    do {                                                                                                            \
        if (!trdi_reserve((void **)&builder->array, &builder->array##_capacity, (size_t)(used) + (size_t)(n),      \
                          sizeof *builder->array)) {                                                                \
            return out_of_memory();                                                                                 \
        }                                                                                                           \
    } while (0)

void trdi_builder_reset(trdi_builder *builder)
{
    builder->sizes = (trdi_step_sizes){ 0 };
    builder->features = 0;
    builder->number++;
}

void trdi_builder_shrink(trdi_builder *builder)
{
    const trdi_builder kept = {
        .runner = builder->runner, .info = builder->info, .seen = builder->seen, .stamp = builder->stamp, .number = builder->number,
    };
    builder->seen = NULL;
    trdi_builder_destroy(builder);
    *builder = kept;
}

void trdi_builder_destroy(trdi_builder *builder)
{
    void *arrays[] = { builder->ids, builder->token_rows, builder->positions, builder->key_counts, builder->table_offsets,
                       builder->memory_offsets, builder->memory_counts, builder->table, builder->outputs, builder->edits,
                       builder->edit_starts, builder->masks, (void *)builder->mask_lines, builder->row_norms,
                       builder->row_scores, builder->selections, builder->noise, builder->given, builder->copies, builder->seen };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) trdi_free(arrays[i]);
    *builder = (trdi_builder){ 0 };
}

static trd_status check_positions(const trdi_builder *builder, const trdi_group *group, int64_t n)
{
    const int64_t limit = builder->info->max_target_positions;
    if (limit < 0 || n <= limit) return TRD_OK;
    return trdi_fail(TRD_E_UNSUPPORTED, "example %lld: No position encodings are defined for positions >= %lld, but got position %lld",
                     (long long)group->example->index, (long long)limit, (long long)n - 1);
}

/* The last block is written next: make it this row's own. */
static trd_status own_last_block(trdi_builder *builder, trdi_row *row)
{
    const int64_t block_tokens = builder->info->block_tokens;
    if (row->n_cached % block_tokens == 0) return TRD_OK;
    const int64_t last = row->n_cached / block_tokens;
    const int32_t shared = row->blocks[last];
    if (trdi_runner_block_uses(builder->runner, shared) == 1) return TRD_OK;
    GROW(copies, 2 * builder->sizes.n_copies, 2);
    const int32_t own = trdi_runner_take_block(builder->runner);
    if (own < 0) return trdi_fail(TRD_E_INTERNAL, "no KV block was reserved");
    builder->copies[2 * builder->sizes.n_copies] = shared;
    builder->copies[2 * builder->sizes.n_copies + 1] = own;
    builder->sizes.n_copies++;
    row->blocks[last] = own;
    row->replaced = shared;
    trdi_runner_release_block(builder->runner, shared);
    return TRD_OK;
}

trd_status trdi_builder_reserve_blocks(trdi_builder *builder, int64_t n)
{
    if (builder->pool_is_full && trdi_runner_free_blocks(builder->runner) < n)
        return trdi_fail(TRD_E_MEMORY, "%s", builder->full_text);
    const trd_status status = trdi_runner_reserve_blocks(builder->runner, n);
    if (status != TRD_E_MEMORY) return status;
    builder->pool_is_full = true;
    const char *text = trd_last_error();
    memcpy(builder->full_text, text, strlen(text) + 1);
    return status;
}

/* A block that others share may have been written to since: past the row's own positions, so it serves the row as before. */
static void unplan_row(trdi_builder *builder, trdi_row *row)
{
    if (row->planned_in != builder->number) return;
    row->planned_in = 0;
    row->n_cached -= row->n_new;
    const int64_t block_tokens = builder->info->block_tokens, needed = (row->n_cached + block_tokens - 1) / block_tokens;
    while (row->n_blocks > needed) trdi_runner_release_block(builder->runner, row->blocks[--row->n_blocks]);
    if (row->replaced < 0) return;
    trdi_runner_retain_block(builder->runner, row->replaced);
    trdi_runner_release_block(builder->runner, row->blocks[needed - 1]);
    row->blocks[needed - 1] = row->replaced;
}

void trdi_group_unplan(trdi_group *group, trdi_builder *builder)
{
    for (int64_t i = 0; i < group->n_rows; i++) unplan_row(builder, &group->rows[i]);
}

static trd_status add_blocks(trdi_builder *builder, trdi_row *row, int64_t n_positions)
{
    const int64_t block_tokens = builder->info->block_tokens;
    const int64_t wanted = (n_positions + block_tokens - 1) / block_tokens;
    TRDI_TRY(trdi_builder_reserve_blocks(builder, wanted - row->n_blocks + 1));
    TRDI_TRY(own_last_block(builder, row));
    if (!trdi_reserve((void **)&row->blocks, &row->blocks_capacity, (size_t)wanted, sizeof *row->blocks)) return out_of_memory();
    while (row->n_blocks < wanted) {
        const int32_t block = trdi_runner_take_block(builder->runner);
        if (block < 0) return trdi_fail(TRD_E_INTERNAL, "no KV block was reserved");
        row->blocks[row->n_blocks++] = block;
    }
    return TRD_OK;
}

static trd_status add_table(trdi_builder *builder, const int32_t *blocks, int64_t n, int32_t *offset)
{
    const int64_t used = builder->sizes.n_table;
    GROW(table, used, n);
    if (n > 0) memcpy(builder->table + used, blocks, (size_t)n * sizeof *blocks);
    *offset = (int32_t)used;
    builder->sizes.n_table += n;
    return TRD_OK;
}

trd_status trdi_builder_add_segment(trdi_builder *builder, trdi_group *group, trdi_row *row, const int32_t *tokens, int64_t n)
{
    TRDI_TRY(check_positions(builder, group, row->n_cached + n));
    row->planned_in = builder->number;
    row->n_new = 0;
    row->replaced = -1;
    TRDI_TRY(add_blocks(builder, row, row->n_cached + n));
    trdi_step_sizes *sizes = &builder->sizes;
    GROW(ids, sizes->n_tokens, n);
    GROW(token_rows, sizes->n_tokens, n);
    GROW(positions, sizes->n_tokens, n);
    GROW(key_counts, sizes->n_rows, 1);
    GROW(table_offsets, sizes->n_rows, 1);
    GROW(memory_offsets, sizes->n_rows, 1);
    GROW(memory_counts, sizes->n_rows, 1);
    for (int64_t i = 0; i < n; i++) {
        if (tokens[i] < 0 || tokens[i] >= builder->info->target_rows) {
            return trdi_fail(TRD_E_INVALID, "example %lld: target token id %d is not below the %lld rows of the embedding table",
                             (long long)group->example->index, (int)tokens[i], (long long)builder->info->target_rows);
        }
        builder->ids[sizes->n_tokens + i] = tokens[i];
        builder->token_rows[sizes->n_tokens + i] = (int32_t)sizes->n_rows;
        builder->positions[sizes->n_tokens + i] = (int32_t)(row->n_cached + i);
    }
    const int64_t line = sizes->n_rows;
    TRDI_TRY(add_table(builder, row->blocks, row->n_blocks, &builder->table_offsets[line]));
    TRDI_TRY(add_table(builder, group->memory->blocks, group->memory->n_blocks, &builder->memory_offsets[line]));
    builder->memory_counts[line] = (int32_t)group->memory->n_positions;
    row->n_cached += n;
    row->n_new = n;
    builder->key_counts[line] = (int32_t)row->n_cached;
    sizes->n_tokens += n;
    sizes->n_rows++;
    if (group->memory->n_positions > sizes->n_attention) sizes->n_attention = group->memory->n_positions;
    return TRD_OK;
}

/* Line of the group's vocabulary-map bits, or -1. Groups come one after the other, so only the last line can be the same. */
static trd_status mask_line(trdi_builder *builder, const trdi_group *group, int32_t *line)
{
    *line = -1;
    const uint32_t *bits = group->example->allowed;
    if (bits == NULL) return TRD_OK;
    const int64_t n = builder->sizes.n_mask_lines;
    if (n == 0 || builder->mask_lines[n - 1] != bits) {
        GROW(mask_lines, n, 1);
        builder->mask_lines[n] = bits;
        builder->sizes.n_mask_lines++;
    }
    *line = (int32_t)(builder->sizes.n_mask_lines - 1);
    return TRD_OK;
}

trd_status trdi_builder_add_output(trdi_builder *builder, trdi_group *group, int64_t token, const int32_t *history, int64_t n_history,
                                   int64_t step, trdi_row_norm norm, float row_score)
{
    const int64_t output = builder->sizes.n_outputs;
    GROW(outputs, output, 1);
    GROW(edit_starts, output, 2);
    GROW(masks, output, 1);
    GROW(row_norms, output, 1);
    GROW(row_scores, output, 1);
    builder->outputs[output] = (int32_t)token;
    builder->edit_starts[output] = (int32_t)builder->sizes.n_edits;
    builder->row_norms[output] = norm;
    builder->row_scores[output] = row_score;
    TRDI_TRY(mask_line(builder, group, &builder->masks[output]));
    if (group->search != NULL) TRDI_TRY(trdi_add_edits(builder, group, (int32_t)output, history, n_history, step));
    builder->sizes.n_outputs++;
    builder->edit_starts[builder->sizes.n_outputs] = (int32_t)builder->sizes.n_edits;
    return TRD_OK;
}

trd_status trdi_builder_add_selection(trdi_builder *builder, const trdi_selection *selection)
{
    GROW(selections, builder->sizes.n_selections, 1);
    trdi_selection *added = &builder->selections[builder->sizes.n_selections++];
    *added = *selection;
    added->output = (int32_t)builder->sizes.n_candidates;
    builder->sizes.n_candidates += selection->n_candidates;
    return TRD_OK;
}

static void copy_bytes(void *dst, const void *src, size_t n, size_t size)
{
    if (n != 0) memcpy(dst, src, n * size);
}

trd_status trdi_builder_begin(trdi_builder *builder)
{
    const trdi_step_sizes *sizes = &builder->sizes;
    trdi_step_arrays to;
    TRDI_TRY(trdi_runner_begin(builder->runner, TRDI_STAGE_DECODE, builder->features, sizes, &to));
    const size_t tokens = (size_t)sizes->n_tokens, rows = (size_t)sizes->n_rows, outputs = (size_t)sizes->n_outputs;
    copy_bytes(to.ids[0], builder->ids, tokens, sizeof *to.ids[0]);
    copy_bytes(to.rows, builder->token_rows, tokens, sizeof *to.rows);
    copy_bytes(to.positions, builder->positions, tokens, sizeof *to.positions);
    copy_bytes(to.key_counts, builder->key_counts, rows, sizeof *to.key_counts);
    copy_bytes(to.table_offsets, builder->table_offsets, rows, sizeof *to.table_offsets);
    copy_bytes(to.memory_offsets, builder->memory_offsets, rows, sizeof *to.memory_offsets);
    copy_bytes(to.memory_counts, builder->memory_counts, rows, sizeof *to.memory_counts);
    copy_bytes(to.table, builder->table, (size_t)sizes->n_table, sizeof *to.table);
    copy_bytes(to.outputs, builder->outputs, outputs, sizeof *to.outputs);
    copy_bytes(to.edits, builder->edits, (size_t)sizes->n_edits, sizeof *to.edits);
    to.edit_starts[0] = 0;
    if (outputs != 0) copy_bytes(to.edit_starts, builder->edit_starts, outputs + 1, sizeof *to.edit_starts);
    copy_bytes(to.masks, builder->masks, outputs, sizeof *to.masks);
    for (int64_t i = 0; i < sizes->n_mask_lines; i++) {
        copy_bytes(to.mask_bits + i * to.mask_words, builder->mask_lines[i], (size_t)to.mask_words, sizeof *to.mask_bits);
    }
    copy_bytes(to.row_norms, builder->row_norms, outputs, sizeof *to.row_norms);
    copy_bytes(to.row_scores, builder->row_scores, outputs, sizeof *to.row_scores);
    copy_bytes(to.selections, builder->selections, (size_t)sizes->n_selections, sizeof *to.selections);
    copy_bytes(to.noise, builder->noise, (size_t)sizes->n_noise, sizeof *to.noise);
    copy_bytes(to.given, builder->given, (size_t)sizes->n_given, sizeof *to.given);
    copy_bytes(to.copies, builder->copies, 2 * (size_t)sizes->n_copies, sizeof *to.copies);
    return TRD_OK;
}
