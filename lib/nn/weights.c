/* weights.c: lists of matrices and small arrays, their preparation on the device, and finding them while recording. */
#include "nn/weights.h"

#include <string.h>

#include "core/alloc.h"

static bool same_use(const trdi_weight_use *use, const trdi_tensor *tensor, const trdi_tensor *bias, trdi_weight_layout layout)
{
    return use->tensor == tensor && use->bias == bias && use->layout == layout;
}

static void add_use(trdi_weights *weights, const trdi_tensor *tensor, const trdi_tensor *bias, trdi_weight_layout layout)
{
    for (size_t i = 0; i < weights->n_uses; i++)
        if (same_use(&weights->uses[i], tensor, bias, layout)) return;
    void *uses = weights->uses;
    if (!trdi_reserve(&uses, &weights->capacity_uses, weights->n_uses + 1, sizeof *weights->uses)) {
        weights->failed = true;
        return;
    }
    weights->uses = uses;
    weights->uses[weights->n_uses++] =
        (trdi_weight_use){ .tensor = tensor, .bias = bias, .layout = layout, .truncate = weights->truncate };
}

void trdi_weights_add_linear(trdi_weights *weights, const trdi_linear *linear)
{
    if (linear->weight == NULL) return;
    add_use(weights, linear->weight, linear->bias, TRDI_LAYOUT_LINEAR);
    if (linear->bias != NULL)
        trdi_weights_add_constant(weights, (trdi_constant){ .kind = TRDI_CONSTANT_TENSOR, .key = linear->bias,
                                                            .count = linear->bias->count });
}

void trdi_weights_add_embedding(trdi_weights *weights, const trdi_tensor *table)
{
    add_use(weights, table, NULL, TRDI_LAYOUT_EMBEDDING);
}

static const trdi_constant *find_constant(const trdi_weights *weights, trdi_constant_kind kind, const void *key)
{
    for (size_t i = 0; i < weights->n_constants; i++)
        if (weights->constants[i].key == key && weights->constants[i].kind == kind) return &weights->constants[i];
    return NULL;
}

void trdi_weights_add_constant(trdi_weights *weights, trdi_constant constant)
{
    if (find_constant(weights, constant.kind, constant.key) != NULL) return;
    void *constants = weights->constants;
    if (!trdi_reserve(&constants, &weights->capacity_constants, weights->n_constants + 1, sizeof constant)) {
        weights->failed = true;
        return;
    }
    weights->constants = constants;
    constant.offset = weights->constant_bytes;
    weights->constants[weights->n_constants++] = constant;
    weights->constant_bytes += ((size_t)constant.count * sizeof(float) + 63) / 64 * 64;
}

void trdi_weights_fill_constants(const trdi_weights *weights, float *out)
{
    memset(out, 0, weights->constant_bytes);
    for (size_t i = 0; i < weights->n_constants; i++) {
        const trdi_constant *constant = &weights->constants[i];
        float *values = out + constant->offset / sizeof(float);
        switch (constant->kind) {
        case TRDI_CONSTANT_TENSOR: trdi_tensor_read_f32(constant->key, 0, constant->count, values); break;
        case TRDI_CONSTANT_ROTARY: trdi_rotary_frequencies(constant->key, values); break;
        case TRDI_CONSTANT_ALIBI: trdi_alibi_slopes(constant->count, constant->scale, values); break;
        }
    }
}

/** Copy to memory that the host cannot address: by a queue of the moment. */
static trd_status upload_queued(const trdi_weights *weights, const float *values, size_t bytes)
{
    const trdi_backend_ops *ops = weights->ops;
    void *queue;
    TRDI_TRY(ops->queue_create(weights->device, &(trdi_queue_options){ .n_threads = 1 }, &queue));
    trd_status status = ops->write(queue, (trdi_span){ weights->constant_buffer, 0 }, values, bytes);
    const trd_status waited = ops->queue_wait(queue);
    if (status == TRD_OK) status = waited;
    ops->queue_destroy(queue);
    return status;
}

trd_status trdi_weights_upload_constants(trdi_weights *weights, const float *values)
{
    const size_t bytes = weights->constant_bytes;
    if (bytes == 0) return TRD_OK;
    TRDI_TRY(weights->ops->buffer_alloc(weights->device, bytes, TRDI_MEMORY_DEVICE, &weights->constant_buffer));
    void *host = weights->ops->buffer_host(weights->constant_buffer);
    if (host == NULL) return upload_queued(weights, values, bytes);
    memcpy(host, values, bytes);
    return TRD_OK;
}

static void read_rows(const void *context, int64_t first, int64_t n, float *out)
{
    const trdi_tensor *tensor = ((const trdi_weight_use *)context)->tensor;
    const int64_t cols = tensor->dims[tensor->rank - 1];
    trdi_tensor_read_f32(tensor, first * cols, n * cols, out);
}

static void read_rows_i8(const void *context, int64_t first, int64_t n, int8_t *out, float *scales)
{
    const trdi_weight_use *use = context;
    trdi_quantise_rows(use->tensor, use->truncate, first, n, out, scales);
}

trdi_weight_source trdi_weights_source(const trdi_weights *weights, size_t use, const float *values)
{
    const trdi_weight_use *u = &weights->uses[use];
    const trdi_constant *bias = u->bias != NULL ? find_constant(weights, TRDI_CONSTANT_TENSOR, u->bias) : NULL;
    return (trdi_weight_source){
        .layout = u->layout,
        .dtype = weights->dtype,
        .truncate = weights->truncate,
        .rows = trdi_tensor_rows(u->tensor),
        .cols = u->tensor->dims[u->tensor->rank - 1],
        .read = read_rows,
        .read_i8 = weights->dtype == TRD_DTYPE_I8 ? read_rows_i8 : NULL,
        .context = u,
        .bias = bias != NULL ? values + bias->offset / sizeof(float) : NULL,
    };
}

size_t trdi_weights_total_bytes(const trdi_weights *weights, const float *values)
{
    size_t total = weights->constant_bytes;
    for (size_t i = 0; i < weights->n_uses; i++) {
        const trdi_weight_source source = trdi_weights_source(weights, i, values);
        total += weights->ops->weight_bytes(weights->device, &source);
    }
    return total;
}

trd_status trdi_weights_prepare(trdi_weights *weights, const float *values, const void *const *prepared)
{
    for (size_t i = 0; i < weights->n_uses; i++) {
        trdi_weight_source source = trdi_weights_source(weights, i, values);
        if (prepared != NULL) source.prepared = prepared[i];
        const trd_status status = weights->ops->weight_prepare(weights->device, &source, &weights->uses[i].handle);
        if (status != TRD_OK) {
            trdi_weights_unprepare(weights);
            return trdi_fail_within(status, "weight '%s'", weights->uses[i].tensor->name);
        }
    }
    return TRD_OK;
}

void trdi_weights_unprepare(trdi_weights *weights)
{
    for (size_t i = 0; i < weights->n_uses; i++) {
        if (weights->uses[i].handle != NULL) weights->ops->weight_free(weights->uses[i].handle);
        weights->uses[i].handle = NULL;
    }
    if (weights->constant_buffer != NULL) weights->ops->buffer_free(weights->constant_buffer);
    weights->constant_buffer = NULL;
}

void trdi_weights_clear(trdi_weights *weights)
{
    trdi_weights_unprepare(weights);
    trdi_free(weights->uses);
    trdi_free(weights->constants);
    *weights = (trdi_weights){ .ops = weights->ops, .device = weights->device };
}

void *trdi_weights_find(const trdi_weights *weights, const trdi_tensor *tensor, const trdi_tensor *bias, trdi_weight_layout layout)
{
    for (size_t i = 0; i < weights->n_uses; i++)
        if (same_use(&weights->uses[i], tensor, bias, layout)) return weights->uses[i].handle;
    return NULL;
}

trdi_span trdi_weights_constant(const trdi_weights *weights, trdi_constant_kind kind, const void *key)
{
    if (key == NULL) return (trdi_span){ NULL, 0 };
    const trdi_constant *constant = find_constant(weights, kind, key);
    if (constant == NULL) return (trdi_span){ NULL, 0 };
    return (trdi_span){ weights->constant_buffer, constant->offset };
}
