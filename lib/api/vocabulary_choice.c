/* vocabulary_choice.c: see vocabulary_choice.h. */
#include "api/vocabulary_choice.h"

#include <string.h>

#include "core/alloc.h"

typedef struct choice {
    uint32_t *bits;
    int64_t   n_outputs, n_set;
} choice;

static void allow(choice *c, int64_t id)
{
    if (id < 0 || id >= c->n_outputs) return;
    const uint32_t bit = (uint32_t)1 << (id % 32);
    if ((c->bits[id / 32] & bit) != 0) return;
    c->bits[id / 32] |= bit;
    c->n_set++;
}

static void allow_all(choice *c, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++) allow(c, ids[i]);
}

/* The source's tokens joined by single spaces, and where each begins. */
typedef struct joined {
    char   *text;
    size_t *starts;   /* [n + 1] token i is starts[i] .. starts[i+1] - 2 */
} joined;

static trd_status join(const trd_model *model, const trdi_sequence *source, joined *out)
{
    size_t total = 0, bytes;
    for (int64_t i = 0; i < source->n; i++) {
        (void)trdi_sequence_field(source, model, i, &bytes);
        total += bytes + 1;
    }
    out->text = trdi_alloc(total + 1);
    out->starts = trdi_calloc((size_t)source->n + 1, sizeof *out->starts);
    if (out->text == NULL || out->starts == NULL) return trdi_fail(TRD_E_MEMORY, "n-grams of a source: out of memory");
    for (int64_t i = 0; i < source->n; i++) {
        const char *token = trdi_sequence_field(source, model, i, &bytes);
        if (token != NULL) memcpy(out->text + out->starts[i], token, bytes);
        out->text[out->starts[i] + bytes] = ' ';
        out->starts[i + 1] = out->starts[i] + bytes + 1;
    }
    return TRD_OK;
}

static void allow_ngrams(choice *c, const trd_model *model, const joined *source, int64_t n)
{
    const int64_t orders = trdi_vocabulary_map_max_order(model->vocabulary_map);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t order = 1; order <= orders && i + order <= n; order++) {
            int64_t n_ids;
            const size_t begin = source->starts[i], bytes = source->starts[i + order] - begin - 1;
            const int32_t *ids = trdi_vocabulary_map_find(model->vocabulary_map, source->text + begin, bytes, &n_ids);
            if (ids != NULL) allow_all(c, ids, n_ids);
        }
    }
}

trd_status trdi_choose_vocabulary(const trd_model *model, const trdi_sequence *source, trdi_example *example)
{
    choice c = { .n_outputs = model->decoder.projection.weight->dims[0] };
    c.bits = trdi_calloc((size_t)(c.n_outputs + 31) / 32, sizeof *c.bits);
    if (c.bits == NULL) return trdi_fail(TRD_E_MEMORY, "vocabulary choice: out of memory");
    joined text = { 0 };
    const trd_status status = join(model, source, &text);
    if (status == TRD_OK) {
        int64_t n_always;
        const int32_t *always = trdi_vocabulary_map_always(model->vocabulary_map, &n_always);
        const int32_t special[] = { model->target_ids.unk, model->target_ids.bos, model->target_ids.eos };
        allow_all(&c, special, 3);
        allow_all(&c, always, n_always);
        allow_ngrams(&c, model, &text, source->n);
        allow_all(&c, example->target, example->n_target);
    }
    trdi_free(text.text);
    trdi_free(text.starts);
    example->allowed = c.bits;
    example->n_allowed = c.n_set;
    return status;
}
