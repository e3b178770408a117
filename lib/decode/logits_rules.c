/*
 * logits_rules.c: what a search forbids or penalises, as edits of one output's logits, by CTranslate2's rules:
 * penalties first, then bans, so that a ban always holds.
 */
#include "core/alloc.h"
#include "decode/group.h"

static trd_status add_edit(trdi_builder *builder, int32_t output, int32_t id, trdi_edit_kind kind, float value)
{
    if (id < 0 || id >= builder->info->vocabulary) return TRD_OK;   /* a token that has no logit cannot be chosen anyway */
    if (!trdi_reserve((void **)&builder->edits, &builder->edits_capacity, (size_t)builder->sizes.n_edits + 1, sizeof *builder->edits)) {
        return trdi_fail(TRD_E_MEMORY, "edits of a decoding step: out of memory");
    }
    builder->edits[builder->sizes.n_edits++] = (trdi_edit){ .row = output, .id = id, .kind = (int32_t)kind, .value = value };
    return TRD_OK;
}

static trd_status ban(trdi_builder *builder, int32_t output, int32_t id)
{
    return add_edit(builder, output, id, TRDI_EDIT_SET, TRDI_LOWEST);
}

/* Each distinct token of the history once. */
static trd_status penalise_repetition(trdi_builder *builder, int32_t output, const int32_t *history, int64_t n, float penalty)
{
    if (++builder->stamp <= 0) {
        for (int64_t i = 0; i < builder->info->vocabulary; i++) builder->seen[i] = 0;
        builder->stamp = 1;
    }
    for (int64_t i = 0; i < n; i++) {
        const int32_t id = history[i];
        if (id < 0 || id >= builder->info->vocabulary || builder->seen[id] == builder->stamp) continue;
        builder->seen[id] = builder->stamp;
        TRDI_TRY(add_edit(builder, output, id, TRDI_EDIT_PENALISE, penalty));
    }
    return TRD_OK;
}

static bool same_tokens(const int32_t *a, const int32_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (a[i] != b[i]) return false;
    }
    return true;
}

/* Ban what would complete an n-gram that is there already. */
static trd_status ban_repeated_ngrams(trdi_builder *builder, int32_t output, const int32_t *history, int64_t n, int64_t size)
{
    if (n < size) return TRD_OK;
    const int32_t *tail = history + n - (size - 1);
    for (int64_t i = 0; i + size <= n; i++) {
        if (same_tokens(history + i, tail, size - 1)) TRDI_TRY(ban(builder, output, history[i + size - 1]));
    }
    return TRD_OK;
}

static trd_status ban_sequences(trdi_builder *builder, int32_t output, const int32_t *history, int64_t n, const trdi_id_lists *lists)
{
    for (int64_t s = 0; s < lists->n; s++) {
        const int32_t *ids = lists->ids + lists->starts[s];
        const int64_t before = lists->starts[s + 1] - lists->starts[s] - 1;
        if (before <= n && same_tokens(history + n - before, ids, before)) TRDI_TRY(ban(builder, output, ids[before]));
    }
    return TRD_OK;
}

trd_status trdi_add_edits(trdi_builder *builder, const trdi_group *group, int32_t output, const int32_t *history, int64_t n_history, int64_t step)
{
    const trdi_search *search = group->search;
    if (search->repetition_penalty != 1.0f) {
        TRDI_TRY(penalise_repetition(builder, output, history, n_history, search->repetition_penalty));
    }
    if (step < group->min_length || group->kind == TRDI_GROUP_EXPAND) {
        for (int64_t i = 0; i < search->n_end_ids; i++) TRDI_TRY(ban(builder, output, search->end_ids[i]));
    }
    if (search->no_repeat_ngram_size > 0) {
        TRDI_TRY(ban_repeated_ngrams(builder, output, history, n_history, search->no_repeat_ngram_size));
    }
    if (search->unk_id >= 0) TRDI_TRY(ban(builder, output, search->unk_id));
    return ban_sequences(builder, output, history, n_history, &search->suppressed);
}
