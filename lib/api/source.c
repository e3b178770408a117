/* source.c: sources in ids, with special tokens, truncated; which of them are empty; the order in which they are run. */
#include <string.h>

#include "api/translator.h"
#include "core/alloc.h"

/* Tokens that are not special ones by CTranslate2's rule. */
static int64_t plain_length(const int32_t *ids, int64_t n, const trdi_special_ids *special)
{
    if (n == 0) return 0;
    if (n == 1) return ids[0] == special->bos || ids[0] == special->eos ? 0 : 1;
    int64_t length = n;
    if (ids[0] == special->bos) length--;
    if (ids[n - 1] == special->eos) length--;
    else if (ids[n - 2] == special->eos) length -= 2;
    return length;
}

static trd_status allocate(const trd_model *model, const trd_sequences *from, trdi_sources *out)
{
    const size_t n = (size_t)from->n;
    for (size_t i = 0; i < n; i++) out->total += from->lengths[i] + model->add_source_bos + model->add_source_eos;
    /* Widest elements first: each array is aligned behind the one before. */
    const size_t n_ids = (size_t)out->total * (size_t)model->n_source_vocabularies;
    const size_t bytes = n * (sizeof *out->sequences + sizeof *out->lengths + sizeof *out->empty) + (n + 1) * sizeof *out->starts;
    out->sequences = trdi_calloc(1, bytes + n_ids * sizeof *out->ids);
    if (out->sequences == NULL) return trdi_fail(TRD_E_MEMORY, "%zu sources: out of memory", n);
    out->starts = (int64_t *)(void *)(out->sequences + n);
    out->lengths = out->starts + n + 1;
    out->ids = (int32_t *)(void *)(out->lengths + n);
    out->empty = (bool *)(void *)(out->ids + n_ids);
    return TRD_OK;
}

static trd_status prepare_one(const trd_model *model, int64_t i, int64_t max_input_length, trdi_sources *out)
{
    int32_t *features[TRDI_MAX_FEATURES], *inner[TRDI_MAX_FEATURES];
    const int64_t n_features = model->n_source_vocabularies, n = out->sequences[i].n;
    for (int64_t k = 0; k < n_features; k++) {
        features[k] = out->ids + k * out->total + out->starts[i];
        inner[k] = features[k] + (model->add_source_bos ? 1 : 0);
    }
    TRDI_TRY(trdi_sequence_features(&out->sequences[i], model, inner));
    out->empty[i] = plain_length(inner[0], n, &model->source_ids) == 0;
    const int64_t whole = n + model->add_source_bos + model->add_source_eos;
    for (int64_t k = 0; k < n_features; k++) {
        if (model->add_source_bos) features[k][0] = trdi_feature_id(model, k, model->source_ids.bos);
        if (model->add_source_eos) inner[k][n] = trdi_feature_id(model, k, model->source_ids.eos);
        out->lengths[i] = trdi_truncate(features[k], whole, max_input_length, trdi_feature_id(model, k, model->source_ids.eos));
    }
    out->starts[i + 1] = out->starts[i] + whole;
    return TRD_OK;
}

trd_status trdi_sources_prepare(const trd_model *model, const trd_sequences *from, int64_t max_input_length, trdi_sources *out)
{
    *out = (trdi_sources){ 0 };
    trd_status status = allocate(model, from, out);
    trdi_sequence sequence = { 0 };
    for (int64_t i = 0; i < from->n && status == TRD_OK; i++) {
        trdi_sequence_next(from, i, &sequence);
        out->sequences[i] = sequence;
        status = prepare_one(model, i, max_input_length, out);
        if (status != TRD_OK) (void)trdi_fail_within(status, "example %lld", (long long)i);
    }
    if (status != TRD_OK) trdi_sources_free(out);
    return status;
}

void trdi_sources_free(trdi_sources *sources)
{
    trdi_free(sources->sequences);
    *sources = (trdi_sources){ 0 };
}

void trdi_sources_set(const trdi_sources *sources, const trd_model *model, int64_t i, trdi_example *example)
{
    example->index = i;
    example->n_source = sources->lengths[i];
    for (int64_t k = 0; k < model->n_source_vocabularies; k++) {
        example->source[k] = sources->ids + k * sources->total + sources->starts[i];
    }
}

/* Merge two sorted runs, longest first; equal lengths keep their order. */
static void merge(const trdi_sequence *sequences, const int64_t *from, int64_t *to, int64_t begin, int64_t middle, int64_t end)
{
    int64_t a = begin, b = middle;
    for (int64_t i = begin; i < end; i++) {
        const bool first = a < middle && (b >= end || sequences[from[a]].n >= sequences[from[b]].n);
        to[i] = first ? from[a++] : from[b++];
    }
}

trd_status trdi_sources_order(const trdi_sources *sources, int64_t n, int64_t *order)
{
    if (n == 1) {
        order[0] = 0;
        return TRD_OK;
    }
    int64_t *other = trdi_calloc((size_t)n, sizeof *other);
    if (other == NULL) return trdi_fail(TRD_E_MEMORY, "order of %lld sources: out of memory", (long long)n);
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t begin = 0; begin < n; begin += 2 * width) {
            const int64_t middle = begin + width < n ? begin + width : n, end = middle + width < n ? middle + width : n;
            merge(sources->sequences, order, other, begin, middle, end);
        }
        memcpy(order, other, (size_t)n * sizeof *order);
    }
    trdi_free(other);
    return TRD_OK;
}
