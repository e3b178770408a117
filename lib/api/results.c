/* results.c: results of translating and scoring, and their accessors. */
#include <string.h>

#include "api/translator.h"
#include "core/alloc.h"

trd_status trdi_results_create(trd_model *model, int64_t n, trd_results **out)
{
    *out = NULL;
    const bool fits = (uint64_t)n < (SIZE_MAX - sizeof(trd_results)) / sizeof(trd_result);
    trd_results *results = fits ? trdi_calloc(1, sizeof *results + (size_t)n * sizeof *results->items) : NULL;
    if (results == NULL) return trdi_fail(TRD_E_MEMORY, "%lld results: out of memory", (long long)n);
    results->items = (trd_result *)(void *)(results + 1);
    results->n = n;
    results->model = trdi_model_retain(model);
    *out = results;
    return TRD_OK;
}

void trdi_result_clear(trd_result *result)
{
    for (int64_t h = 0; h < result->n_hypotheses; h++) {
        trdi_hypothesis_free(&result->hypotheses[h].from);
        trdi_free((void *)result->hypotheses[h].tokens);
    }
    trdi_free(result->hypotheses);
    *result = (trd_result){ 0 };
}

void trd_results_destroy(trd_results *results)
{
    if (results == NULL) return;
    for (int64_t i = 0; i < results->n; i++) trdi_result_clear(&results->items[i]);
    trdi_free((void *)results->texts);
    trd_model_close(results->model);
    trdi_free(results);
}

trd_status trdi_result_reserve(trd_result *result, int64_t n)
{
    result->hypotheses = trdi_calloc((size_t)n, sizeof *result->hypotheses);
    if (result->hypotheses == NULL) return trdi_fail(TRD_E_MEMORY, "%lld hypotheses: out of memory", (long long)n);
    result->n_hypotheses = n;
    return TRD_OK;
}

trd_status trdi_result_set_tokens(trd_result *result, int64_t h, const trd_model *model)
{
    trdi_result_hypothesis *hypothesis = &result->hypotheses[h];
    const int64_t n = hypothesis->from.n_tokens;
    hypothesis->tokens = trdi_calloc((size_t)n, sizeof *hypothesis->tokens);
    if (hypothesis->tokens == NULL) return trdi_fail(TRD_E_MEMORY, "hypothesis of %lld tokens: out of memory", (long long)n);
    for (int64_t t = 0; t < n; t++) {
        const int32_t id = hypothesis->from.ids[t];
        hypothesis->tokens[t] = trdi_vocabulary_token(model->target, id, NULL);
        if (hypothesis->tokens[t] == NULL) {
            return trdi_fail(TRD_E_INVALID, "token id %d is not in the target vocabulary of %lld tokens", (int)id,
                             (long long)trdi_vocabulary_size(model->target));
        }
    }
    return TRD_OK;
}

int64_t trd_results_count(const trd_results *results) { return results != NULL ? results->n : 0; }

const trd_result *trd_results_get(const trd_results *results, int64_t i)
{
    return results != NULL && i >= 0 && i < results->n ? &results->items[i] : NULL;
}

int64_t trd_result_n_hypotheses(const trd_result *result) { return result != NULL ? result->n_hypotheses : 0; }

static const trdi_result_hypothesis *find(const trd_result *result, int64_t h)
{
    return result != NULL && h >= 0 && h < result->n_hypotheses ? &result->hypotheses[h] : NULL;
}

int64_t trd_result_n_tokens(const trd_result *result, int64_t h)
{
    const trdi_result_hypothesis *hypothesis = find(result, h);
    return hypothesis != NULL ? hypothesis->from.n_tokens : 0;
}

const int32_t *trd_result_ids(const trd_result *result, int64_t h)
{
    const trdi_result_hypothesis *hypothesis = find(result, h);
    return hypothesis != NULL && hypothesis->from.n_tokens > 0 ? hypothesis->from.ids : NULL;
}

const char *trd_result_token(const trd_result *result, int64_t h, int64_t t)
{
    const trdi_result_hypothesis *hypothesis = find(result, h);
    return hypothesis != NULL && t >= 0 && t < hypothesis->from.n_tokens ? hypothesis->tokens[t] : NULL;
}

bool trd_result_has_scores(const trd_result *result) { return result != NULL && result->has_scores; }

float trd_result_score(const trd_result *result, int64_t h)
{
    const trdi_result_hypothesis *hypothesis = find(result, h);
    return hypothesis != NULL && result->has_scores ? hypothesis->from.score : 0.0f;
}

const float *trd_result_token_scores(const trd_result *result, int64_t h)
{
    const trdi_result_hypothesis *hypothesis = find(result, h);
    return hypothesis != NULL && result->has_token_scores ? hypothesis->from.token_scores : NULL;
}

const float *trd_result_attention(const trd_result *result, int64_t h, int64_t *n_source)
{
    const trdi_result_hypothesis *hypothesis = find(result, h);
    if (n_source != NULL) *n_source = hypothesis != NULL && hypothesis->from.attention != NULL ? result->n_source : 0;
    return hypothesis != NULL ? hypothesis->from.attention : NULL;
}

const float *trd_result_logits(const trd_result *result, int64_t h, int64_t *n_steps, int64_t *n_vocabulary)
{
    const trdi_result_hypothesis *hypothesis = find(result, h);
    const bool there = hypothesis != NULL && hypothesis->from.logits != NULL;
    if (n_steps != NULL) *n_steps = there ? hypothesis->from.n_logits : 0;
    if (n_vocabulary != NULL) *n_vocabulary = there ? result->n_vocabulary : 0;
    return there ? hypothesis->from.logits : NULL;
}
