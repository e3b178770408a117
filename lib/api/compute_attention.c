/* compute_attention.c: trd_attention() over packed sequences. What the kernels need of each token is worked out here, on the host. */
#include <math.h>

#include "api/compute_check.h"

static const trd_attention_options attention_defaults = { .struct_size = sizeof(trd_attention_options), .n_heads = 1 };

void trd_attention_options_init(trd_attention_options *options, size_t size)
{
    trdi_write_defaults(options, size, &attention_defaults, sizeof attention_defaults);
}

/* Sequences of a call. */
typedef struct packing {
    int64_t n;
    const int64_t *lengths, *key_lengths;
} packing;

static trd_status check_lengths(const trdi_call *call, const packing *p, bool ordered, int64_t tokens, int64_t keys)
{
    int64_t sum = 0, key_sum = 0;
    for (int64_t s = 0; s < p->n; s++) {
        const int64_t n = p->lengths[s], k = p->key_lengths[s];
        if (n < 0 || k < 0 || n > tokens - sum || k > keys - key_sum)
            return trdi_fail(TRD_E_INVALID, "%s: sequence %lld has %lld tokens and %lld keys, which exceeds the %lld and %lld there are", call->name,
                             (long long)s, (long long)n, (long long)k, (long long)tokens, (long long)keys);
        if (ordered && k < n)
            return trdi_fail(TRD_E_INVALID, "%s: sequence %lld has %lld tokens and only %lld keys", call->name, (long long)s, (long long)n, (long long)k);
        sum += n;
        key_sum += k;
    }
    if (sum == tokens && key_sum == keys) return TRD_OK;
    return trdi_fail(TRD_E_INVALID, "%s: the sequences have %lld tokens and %lld keys, the tensors %lld and %lld", call->name, (long long)sum,
                     (long long)key_sum, (long long)tokens, (long long)keys);
}

static trd_status check_heads(const trdi_call *call, const trd_attention_options *o, const trd_tensor *q)
{
    if (o->n_heads < 1 || q->cols < 1 || q->cols % o->n_heads != 0)
        return trdi_fail(TRD_E_INVALID, "%s: %lld columns of q are not %lld heads", call->name, (long long)q->cols, (long long)o->n_heads);
    if (o->n_heads_kv < 0 || (o->n_heads_kv > 0 && o->n_heads % o->n_heads_kv != 0))
        return trdi_fail(TRD_E_INVALID, "%s: %lld heads are no multiple of %lld", call->name, (long long)o->n_heads, (long long)o->n_heads_kv);
    if (o->window < 0) return trdi_fail(TRD_E_INVALID, "%s: window is %lld", call->name, (long long)o->window);
    if (!(o->scale >= 0.0f) || isinf(o->scale)) return trdi_fail(TRD_E_INVALID, "%s: scale is %g", call->name, (double)o->scale);
    if (o->n_sequences < 0 || o->n_sequences > INT32_MAX || (o->n_sequences > 0 && o->lengths == NULL))
        return trdi_fail(TRD_E_INVALID, "%s: n_sequences is %lld, and lengths %s", call->name, (long long)o->n_sequences,
                         o->lengths == NULL ? "NULL" : "given");
    return TRD_OK;
}

static trd_status check(const trdi_call *call, const trd_attention_options *o, const trd_tensor *q, const trd_tensor *k, const trd_tensor *v,
                        const trd_tensor *y)
{
    TRDI_TRY(trdi_check_tensor(call, q, "q", TRD_DTYPE_F32));
    TRDI_TRY(check_heads(call, o, q));
    const int64_t heads_kv = o->n_heads_kv > 0 ? o->n_heads_kv : o->n_heads;
    TRDI_TRY(trdi_check_tensor(call, k, "k", TRD_DTYPE_F32));
    TRDI_TRY(trdi_check_rows(call, k, "k", k->rows, q->cols / o->n_heads * heads_kv));
    TRDI_TRY(trdi_check_rows(call, v, "v", k->rows, k->cols));
    TRDI_TRY(trdi_check_rows(call, y, "y", q->rows, q->cols));
    if (k->rows > INT32_MAX || q->rows > INT32_MAX) return trdi_fail(TRD_E_INVALID, "%s: more than 2147483647 tokens", call->name);
    if (k->rows > 1 && k->row_stride != v->row_stride) return trdi_fail(TRD_E_INVALID, "%s: the rows of k and v lie at different distances", call->name);
    TRDI_TRY(trdi_check_apart(call, y, q, "q", false));
    TRDI_TRY(trdi_check_apart(call, y, k, "k", false));
    return trdi_check_apart(call, y, v, "v", false);
}

/* For the kernels: the sequence and place of each token, then start and count of each sequence's keys. */
static void write_step(const packing *p, int64_t tokens, int32_t *rows)
{
    int32_t *const positions = rows + tokens, *const starts = positions + tokens, *const counts = starts + p->n;
    int64_t t = 0, start = 0;
    for (int64_t s = 0; s < p->n; s++) {
        starts[s] = (int32_t)start;
        counts[s] = (int32_t)p->key_lengths[s];
        for (int64_t i = 0; i < p->lengths[s]; i++, t++) {
            rows[t] = (int32_t)s;
            positions[t] = (int32_t)(p->key_lengths[s] - p->lengths[s] + i);
        }
        start += p->key_lengths[s];
    }
}

static trd_status run(const trdi_call *call, const trd_attention_options *o, const packing *p, const trd_tensor *q, const trd_tensor *k,
                      const trd_tensor *v, trd_tensor *y)
{
    const trd_tensor *const all[] = { q, k, v, y };
    for (size_t i = 0; i < 4; i++) TRDI_TRY(trdi_call_use(call, all[i]));
    const size_t tokens = (size_t)q->rows, n = (size_t)p->n, word = sizeof(int32_t);
    trdi_step_slot *slot;
    void *host;
    TRDI_TRY(trdi_step_take(call->queue, (2 * tokens + 2 * n) * word, &slot, &host));
    write_step(p, q->rows, host);
    const int64_t dim = q->cols / o->n_heads;
    const trd_tensor *const keys = k->rows > 0 ? k : q, *const values = k->rows > 0 ? v : q;   /* none are read where there are none */
    trdi_op op = { .kind = TRDI_OP_ATTENTION };
    op.u.attention = (trdi_op_attention){
        .source = TRDI_KEYS_PACKED, .q = trdi_tensor_span(q), .y = trdi_tensor_span(y), .k = trdi_tensor_span(keys),
        .v = trdi_tensor_span(values),
        .rows = { slot->buffer, 0 }, .positions = { slot->buffer, tokens * word }, .key_starts = { slot->buffer, 2 * tokens * word },
        .key_counts = { slot->buffer, (2 * tokens + n) * word }, .n_heads = o->n_heads, .n_heads_kv = o->n_heads_kv > 0 ? o->n_heads_kv : o->n_heads,
        .head_dim = dim, .q_stride = q->row_stride, .kv_stride = keys->row_stride, .y_stride = y->row_stride,
        .scale = o->scale > 0.0f ? o->scale : 1.0f / sqrtf((float)dim), .causal = o->causal, .window = o->window,
    };
    const trd_status status = trdi_call_run(call, &op, q->rows);
    trdi_step_done(call->queue, slot);
    return status;
}

static trd_status attention(const trdi_call *call, const trd_tensor *q, const trd_tensor *k, const trd_tensor *v, trd_tensor *y,
                            const trd_attention_options *options)
{
    trd_attention_options o = attention_defaults;
    TRDI_TRY(trdi_read_options(&o, sizeof o, options, call->name));
    TRDI_TRY(check(call, &o, q, k, v, y));
    packing p = { .n = 1, .lengths = &q->rows, .key_lengths = &k->rows };
    if (o.n_sequences > 0) p = (packing){ o.n_sequences, o.lengths, o.key_lengths != NULL ? o.key_lengths : o.lengths };
    TRDI_TRY(check_lengths(call, &p, o.causal || o.window > 0, q->rows, k->rows));
    if (q->rows == 0) return TRD_OK;
    return run(call, &o, &p, q, k, v, y);
}

trd_status trd_attention(trd_queue *queue, const trd_tensor *q, const trd_tensor *k, const trd_tensor *v, trd_tensor *y,
                         const trd_attention_options *options)
{
    const trdi_call call = { queue, "trd_attention" };
    TRDI_TRY(trdi_queue_enter(queue, call.name));
    const trd_status status = attention(&call, q, k, v, y, options);
    trdi_queue_leave(queue);
    return status;
}
