/* places.c: capacities and how they grow, and the layouts of step block, result buffer and arena at capacity. */
#include "core/alloc.h"
#include "nn/network_private.h"

static int64_t rounded(int64_t n)
{
    return (n + 15) / 16 * 16;
}

bool trdi_capacities_hold(const trdi_capacities *capacities, const trdi_step_sizes *sizes, uint32_t features)
{
    if ((features & ~capacities->features) != 0) return false;
    const trdi_step_sizes *held = &capacities->sizes;
#define HOLDS(field, least) if (sizes->field > held->field) return false;
    TRDI_SIZE_FIELDS(HOLDS)
#undef HOLDS
    return true;
}

static trd_status grow_field(int64_t *held, int64_t wanted, int64_t least, const char *name)
{
    if (wanted < 0 || wanted > INT32_MAX - 15)
        return trdi_fail(TRD_E_INVALID, "step: %s is %lld", name, (long long)wanted);
    if (wanted <= *held && *held >= least) return TRD_OK;
    int64_t next = *held + *held / 2;
    if (next < wanted) next = wanted;
    if (next < least) next = least;
    *held = rounded(next < INT32_MAX - 15 ? next : INT32_MAX - 15);
    return TRD_OK;
}

trd_status trdi_capacities_grow(trdi_capacities *capacities, const trdi_step_sizes *sizes, uint32_t features)
{
    trdi_capacities grown = *capacities;
    grown.features |= features;
#define GROW(field, least) TRDI_TRY(grow_field(&grown.sizes.field, sizes->field, least, #field));
    TRDI_SIZE_FIELDS(GROW)
#undef GROW
    *capacities = grown;
    return TRD_OK;
}

/** A layout being made: parts one after the other, each at a multiple of 64 bytes. */
typedef struct layout_cursor {
    size_t bytes;
    bool   overflow;
} layout_cursor;

static size_t place(layout_cursor *cursor, int64_t rows, int64_t columns, size_t element)
{
    const size_t offset = cursor->bytes;
    size_t count, bytes;
    if (!trdi_mul_size((size_t)rows, (size_t)columns, &count) || !trdi_mul_size(count, element, &bytes) ||
        bytes > SIZE_MAX / 2 || offset > SIZE_MAX / 2 - bytes - 63) {
        cursor->overflow = true;
        return offset;
    }
    cursor->bytes = offset + (bytes + 63) / 64 * 64;
    return offset;
}

bool trdi_step_layout_make(trdi_step_layout *layout, const trdi_network *network, const trdi_capacities *capacities)
{
    const trdi_step_sizes *n = &capacities->sizes;
    layout_cursor c = { 0, false };
    const int64_t n_ids = network->info.n_source_features > 0 ? network->info.n_source_features : 1;
    *layout = (trdi_step_layout){ .bytes = 0 };
    for (int64_t f = 0; f < n_ids; f++) layout->ids[f] = place(&c, n->n_tokens, 1, sizeof(int32_t));
    layout->rows = place(&c, n->n_tokens, 1, sizeof(int32_t));
    layout->positions = place(&c, n->n_tokens, 1, sizeof(int32_t));
    layout->key_starts = place(&c, n->n_rows, 1, sizeof(int32_t));
    layout->key_counts = place(&c, n->n_rows, 1, sizeof(int32_t));
    layout->table = place(&c, n->n_table, 1, sizeof(int32_t));
    layout->table_offsets = place(&c, n->n_rows, 1, sizeof(int32_t));
    layout->memory_offsets = place(&c, n->n_rows, 1, sizeof(int32_t));
    layout->memory_counts = place(&c, n->n_rows, 1, sizeof(int32_t));
    layout->outputs = place(&c, n->n_outputs, 1, sizeof(int32_t));
    layout->edits = place(&c, n->n_edits, 1, sizeof(trdi_edit));
    layout->edit_starts = place(&c, n->n_outputs + 1, 1, sizeof(int32_t));
    layout->masks = place(&c, n->n_outputs, 1, sizeof(int32_t));
    layout->mask_bits = place(&c, n->n_mask_lines, (network->info.vocabulary + 31) / 32, sizeof(uint32_t));
    layout->row_norms = place(&c, n->n_outputs, 1, sizeof(trdi_row_norm));
    layout->row_scores = place(&c, n->n_outputs, 1, sizeof(float));
    layout->selections = place(&c, n->n_selections, 1, sizeof(trdi_selection));
    layout->noise = place(&c, n->n_noise, 1, sizeof(float));
    layout->given = place(&c, n->n_given, 1, sizeof(int32_t));
    layout->copies = place(&c, n->n_copies, 2, sizeof(int32_t));
    layout->bytes = c.bytes;
    return !c.overflow;
}

void trdi_step_layout_arrays(const trdi_step_layout *layout, const trdi_network *network, uint8_t *block, trdi_step_arrays *out)
{
    const int64_t n_ids = network->info.n_source_features > 0 ? network->info.n_source_features : 1;
    *out = (trdi_step_arrays){ .mask_words = (network->info.vocabulary + 31) / 32 };
    for (int64_t f = 0; f < n_ids; f++) out->ids[f] = (void *)(block + layout->ids[f]);
    out->rows = (void *)(block + layout->rows);
    out->positions = (void *)(block + layout->positions);
    out->key_starts = (void *)(block + layout->key_starts);
    out->key_counts = (void *)(block + layout->key_counts);
    out->table = (void *)(block + layout->table);
    out->table_offsets = (void *)(block + layout->table_offsets);
    out->memory_offsets = (void *)(block + layout->memory_offsets);
    out->memory_counts = (void *)(block + layout->memory_counts);
    out->outputs = (void *)(block + layout->outputs);
    out->edits = (void *)(block + layout->edits);
    out->edit_starts = (void *)(block + layout->edit_starts);
    out->masks = (void *)(block + layout->masks);
    out->mask_bits = (void *)(block + layout->mask_bits);
    out->row_norms = (void *)(block + layout->row_norms);
    out->row_scores = (void *)(block + layout->row_scores);
    out->selections = (void *)(block + layout->selections);
    out->noise = (void *)(block + layout->noise);
    out->given = (void *)(block + layout->given);
    out->copies = (void *)(block + layout->copies);
}

bool trdi_result_layout_make(trdi_result_layout *layout, const trdi_capacities *capacities)
{
    const trdi_step_sizes *n = &capacities->sizes;
    const bool attention = (capacities->features & TRDI_FEATURE_ATTENTION) != 0;
    layout_cursor c = { 0, false };
    *layout = (trdi_result_layout){ .bytes = 0 };
    layout->ids = place(&c, n->n_candidates, 1, sizeof(int32_t));
    layout->parents = place(&c, n->n_candidates, 1, sizeof(int32_t));
    layout->scores = place(&c, n->n_candidates, 1, sizeof(float));
    layout->attention = place(&c, attention ? n->n_tokens : 0, n->n_attention, sizeof(float));
    layout->bytes = c.bytes;
    return !c.overflow;
}

bool trdi_arena_layout_make(trdi_arena_layout *layout, const trdi_network *network, const trdi_capacities *capacities)
{
    const trdi_widths *w = &network->widths;
    const int64_t tokens = capacities->sizes.n_tokens, outputs = capacities->sizes.n_outputs;
    const bool second = (capacities->features & TRDI_FEATURE_LOGITS) != 0;
    layout_cursor c = { 0, false };
    *layout = (trdi_arena_layout){ .logits_stride = rounded(w->vocabulary) };
    layout->hidden = place(&c, tokens, w->hidden, sizeof(float));
    layout->normed = place(&c, tokens, w->normed, sizeof(float));
    layout->second = place(&c, tokens, w->second, sizeof(float));
    layout_cursor shared = c;
    layout->projected = place(&c, tokens, w->projected, sizeof(float));
    layout->context = place(&c, tokens, w->context, sizeof(float));
    layout->ffn = place(&shared, tokens, w->ffn, sizeof(float));
    if (shared.bytes > c.bytes) c.bytes = shared.bytes;
    layout->gathered = place(&c, outputs, w->output, sizeof(float));
    layout->reduced = place(&c, outputs, w->output, sizeof(float));
    layout->logits = place(&c, outputs, layout->logits_stride, sizeof(float));
    layout->scores = place(&c, second ? outputs : 0, layout->logits_stride, sizeof(float));
    layout->bytes = c.bytes;
    return !c.overflow && !shared.overflow;
}

trd_status trdi_places_lay_out(trdi_places *places, const trdi_network *network, const trdi_capacities *capacities)
{
    places->capacities = *capacities;
    if (trdi_step_layout_make(&places->in_step, network, capacities) && trdi_result_layout_make(&places->in_result, capacities) &&
        trdi_arena_layout_make(&places->in_arena, network, capacities))
        return TRD_OK;
    return trdi_fail(TRD_E_MEMORY, "model '%s': a step of %lld tokens and %lld outputs is too large", network->model->name,
                     (long long)capacities->sizes.n_tokens, (long long)capacities->sizes.n_outputs);
}
