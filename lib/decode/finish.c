/* finish.c: from chains of nodes to hypotheses: scores normalised, end tokens stripped, the best first. */
#include <math.h>
#include <string.h>

#include "core/alloc.h"
#include "decode/group.h"

void trdi_hypothesis_free(trdi_hypothesis *hypothesis)
{
    trdi_free(hypothesis->ids);
    trdi_free(hypothesis->token_scores);
    trdi_free(hypothesis->attention);
    trdi_free(hypothesis->logits);
    *hypothesis = (trdi_hypothesis){ 0 };
}

void trdi_example_clear(trdi_example *example)
{
    for (int64_t i = 0; i < example->n_hypotheses; i++) trdi_hypothesis_free(&example->hypotheses[i]);
    trdi_free(example->hypotheses);
    example->hypotheses = NULL;
    example->n_hypotheses = 0;
}

static trd_status out_of_memory(int64_t n_tokens)
{
    return trdi_fail(TRD_E_MEMORY, "hypothesis of %lld tokens: out of memory", (long long)n_tokens);
}

static trd_status allocate_hypothesis(const trdi_group *group, int64_t n, int64_t vocabulary, trdi_hypothesis *out)
{
    const size_t length = (size_t)n;
    out->ids = trdi_calloc(length, sizeof *out->ids);
    out->token_scores = trdi_calloc(length, sizeof *out->token_scores);
    bool enough = out->ids != NULL && out->token_scores != NULL;
    if (group->keeps_attention) {
        out->attention = trdi_calloc(length, (size_t)group->memory->n_positions * sizeof(float));
        enough = enough && out->attention != NULL;
    }
    if (group->keeps_logits) {
        out->logits = trdi_calloc(length, (size_t)vocabulary * sizeof(float));
        out->n_logits = n;
        enough = enough && out->logits != NULL;
    }
    out->n_tokens = n;
    return enough ? TRD_OK : out_of_memory(n);
}

static int64_t chain_length(const trdi_group *group, int32_t node)
{
    int64_t n = 0;
    for (int32_t i = node; i >= 0; i = group->nodes[i].parent) n++;
    return n;
}

trd_status trdi_build_hypothesis(const trdi_group *group, int32_t node, trdi_hypothesis *out)
{
    const int64_t n = chain_length(group, node);
    *out = (trdi_hypothesis){ 0 };
    const size_t columns = (size_t)group->memory->n_positions, vocabulary = (size_t)group->n_vocabulary;
    const trd_status status = allocate_hypothesis(group, n, group->n_vocabulary, out);
    if (status != TRD_OK) {
        trdi_hypothesis_free(out);
        return status;
    }
    int64_t at = n - 1;
    for (int32_t i = node; i >= 0; i = group->nodes[i].parent, at--) {
        const trdi_node *from = &group->nodes[i];
        const size_t line = (size_t)from->evidence, place = (size_t)at;
        out->ids[at] = from->token;
        out->token_scores[at] = from->score;
        if (out->attention != NULL) memcpy(out->attention + place * columns, group->attention + line * columns, columns * sizeof(float));
        if (out->logits != NULL) memcpy(out->logits + place * vocabulary, group->logits + line * vocabulary, vocabulary * sizeof(float));
    }
    out->n_head = group->n_head;
    out->head_score = group->head_score;
    return TRD_OK;
}

/* Sum over source columns of the logarithm of the attention each received, at most 1. */
static float coverage(const trdi_hypothesis *hypothesis, int64_t n_memory)
{
    float total = 0.0f;
    for (int64_t c = 0; c < n_memory; c++) {
        float received = 0.0f;
        for (int64_t t = hypothesis->n_head; t < hypothesis->n_tokens; t++) received += hypothesis->attention[t * n_memory + c];
        if (received > 0.0f) total += logf(received < 1.0f ? received : 1.0f);
    }
    return total;
}

void trdi_finish_hypothesis(trdi_hypothesis *hypothesis, int64_t n_memory, const trdi_search *search)
{
    const int64_t length = hypothesis->n_tokens - hypothesis->n_head;
    if (length > 0) {
        float score = hypothesis->score / powf((float)length, search->length_penalty);
        if (search->coverage_penalty != 0.0f && hypothesis->attention != NULL) {
            score += search->coverage_penalty * coverage(hypothesis, n_memory);
        }
        hypothesis->score = score;
    }
    hypothesis->score += hypothesis->head_score;
    while (!search->return_end_token && hypothesis->n_tokens > 0 && trdi_is_end(search, hypothesis->ids[hypothesis->n_tokens - 1])) {
        hypothesis->n_tokens--;
    }
}

/* Stable, best first; there are few. */
static void sort_hypotheses(trdi_hypothesis *hypotheses, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        const trdi_hypothesis moved = hypotheses[i];
        int64_t at = i;
        for (; at > 0 && hypotheses[at - 1].score < moved.score; at--) hypotheses[at] = hypotheses[at - 1];
        hypotheses[at] = moved;
    }
}

/* Keep the tokens up to the step at which a callback said stop. */
static void cut_sample(trdi_hypothesis *hypothesis, long long last_step)
{
    if (last_step < 0 || last_step + 1 >= hypothesis->n_tokens) return;
    hypothesis->n_tokens = last_step + 1;
    if (hypothesis->n_logits > hypothesis->n_tokens) hypothesis->n_logits = hypothesis->n_tokens;
}

void trdi_finish_samples(trdi_example *example, const trdi_search *search)
{
    for (int64_t i = 0; i < example->n_hypotheses; i++) {
        trdi_hypothesis *hypothesis = &example->hypotheses[i];
        if (example->stop_after != NULL) cut_sample(hypothesis, atomic_load(&example->stop_after[hypothesis->sample]));
        float score = 0.0f;
        for (int64_t t = hypothesis->n_head; t < hypothesis->n_tokens; t++) score += hypothesis->token_scores[t];
        hypothesis->score = score;
        trdi_finish_hypothesis(hypothesis, example->n_memory, search);
    }
    if (!search->return_alternatives) sort_hypotheses(example->hypotheses, example->n_hypotheses);
}

/* Best first by final score; equal scores keep the order in which they were found. */
static void sort_finished(const trdi_group *group, trdi_hypothesis *all)
{
    for (int64_t i = 0; i < group->n_finished; i++) trdi_finish_hypothesis(&all[i], group->memory->n_positions, group->search);
    sort_hypotheses(all, group->n_finished);
}

trd_status trdi_finish_beams(trdi_group *group)
{
    const int64_t n = group->n_finished;
    trdi_hypothesis *all = trdi_calloc((size_t)n, sizeof *all);
    if (all == NULL) return out_of_memory(n);
    trd_status status = TRD_OK;
    for (int64_t i = 0; i < n && status == TRD_OK; i++) {
        status = trdi_build_hypothesis(group, group->finished[i].node, &all[i]);
        all[i].score = group->finished[i].score;
    }
    if (status == TRD_OK) sort_finished(group, all);
    const int64_t wanted = status == TRD_OK && n > group->n_wanted ? group->n_wanted : n;
    for (int64_t i = status == TRD_OK ? wanted : 0; i < n; i++) trdi_hypothesis_free(&all[i]);
    if (status != TRD_OK) {
        trdi_free(all);
        return status;
    }
    trdi_example *example = group->example;
    if (group->search->return_alternatives) {
        example->hypotheses[group->slot] = all[0];
        trdi_free(all);
    } else {
        example->hypotheses = all;
        example->n_hypotheses = wanted;
    }
    return TRD_OK;
}
