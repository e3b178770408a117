/*
 * test_network.c: what a network says of itself; back ends that lack an operation or keep memory from the host; forms that are
 * refused; copied blocks and cancelled steps.
 */
#include <stdlib.h>

#include "check.h"
#include "nn/nn_rig.h"
#include "nn/tiny_model.h"

enum { START = 1 };
static char folder[64];

static const char *write_model(const tiny_model *model)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, model->name);
    tiny_model_write(path, model);
    return path;
}

/* ---- A back end that is the CPU's but for one thing ---- */

static trdi_op_kind missing = TRDI_N_OPS;
static bool hidden_memory;
static void *device_buffers[64];
static size_t n_device_buffers;

static bool supports_most(const void *device, const trdi_op *op)
{
    return op->kind != missing && trdi_backend_cpu()->supports(device, op);
}

static trd_status remember_alloc(void *device, size_t bytes, trdi_memory kind, void **buffer)
{
    const trd_status status = trdi_backend_cpu()->buffer_alloc(device, bytes, kind, buffer);
    if (status == TRD_OK && kind == TRDI_MEMORY_DEVICE && n_device_buffers < 64) device_buffers[n_device_buffers++] = *buffer;
    return status;
}

static void forget_free(void *buffer)
{
    for (size_t i = 0; i < n_device_buffers; i++)
        if (device_buffers[i] == buffer) device_buffers[i] = device_buffers[--n_device_buffers];
    trdi_backend_cpu()->buffer_free(buffer);
}

static void *host_of_shared(void *buffer)
{
    for (size_t i = 0; hidden_memory && i < n_device_buffers; i++)
        if (device_buffers[i] == buffer) return NULL;
    return trdi_backend_cpu()->buffer_host(buffer);
}

static trdi_backend_ops odd_ops;

/** A network on the odd back end over an open rig's device. */
static trd_status odd_network(rig *r, trdi_device *device, trdi_network **network)
{
    odd_ops = *trdi_backend_cpu();
    odd_ops.supports = supports_most;
    odd_ops.buffer_alloc = remember_alloc;
    odd_ops.buffer_free = forget_free;
    odd_ops.buffer_host = host_of_shared;
    *device = r->device;
    device->ops = &odd_ops;
    return trdi_network_create(r->model, device, NULL, network);
}

static void check_missing_operations(void)
{
    static const struct { trdi_op_kind kind; const char *text; } lacks[] = {
        { TRDI_OP_EMBED, "encoder, embeddings: device cpu:0 does not offer the operation 'embed'" },
        { TRDI_OP_ROTARY, "encoder layer 0, self-attention: device cpu:0 does not offer the operation 'rotary'" },
        { TRDI_OP_KV_APPEND, "decoder layer 0, memory: device cpu:0" },
        { TRDI_OP_KV_COPY, "decoder, cache copies" },
        { TRDI_OP_SELECT, "decoder, choice" },
        { TRDI_OP_LOG_SOFTMAX, "decoder, choice" },
        { TRDI_OP_GATHER, "decoder, output" },
    };
    rig r;
    CHECK_OK(rig_open(&r, write_model(&(tiny_model){ .name = "rotary", .positions = TINY_ROTARY }), NULL));
    for (size_t i = 0; i < sizeof lacks / sizeof lacks[0]; i++) {
        trdi_device device;
        trdi_network *network;
        missing = lacks[i].kind;
        CHECK_FAILS(odd_network(&r, &device, &network), TRD_E_UNSUPPORTED, lacks[i].text);
        CHECK(network == NULL);
    }
    missing = TRDI_N_OPS;
    rig_close(&r);
}

/** Small arrays must arrive where the host cannot write. */
static void check_staging(void)
{
    rig r;
    CHECK_OK(rig_open(&r, write_model(&(tiny_model){ .name = "staged", .positions = TINY_LEARNED }), NULL));
    const int32_t source[4] = { 9, 3, 30, 12 }, *all = source, four = 4;
    int32_t want[6], got[6];
    double want_score, score;
    rig_row row = { .length = 0 };
    CHECK_OK(rig_encode(&r, &row, 1, &all, &four));
    CHECK_INT(rig_greedy(&r, &row, START, -1, 6, want, &want_score), 6);
    rig_row_release(&r, &row);

    rig odd = r;
    hidden_memory = true;
    CHECK_OK(odd_network(&r, &odd.device, &odd.network));
    CHECK_OK(trdi_runner_create(odd.network, odd.queue, &odd.runner));
    CHECK_OK(rig_encode(&odd, &row, 1, &all, &four));
    CHECK_INT(rig_greedy(&odd, &row, START, -1, 6, got, &score), 6);
    CHECK(memcmp(want, got, sizeof got) == 0 && score == want_score);
    rig_row_release(&odd, &row);
    trdi_runner_destroy(odd.runner);
    trdi_network_destroy(odd.network);
    hidden_memory = false;
    rig_close(&r);
}

static void check_info(void)
{
    rig r;
    CHECK_OK(rig_open(&r, write_model(&(tiny_model){ .name = "learned", .positions = TINY_LEARNED, .n_features = 2 }), NULL));
    const trdi_network_info *info = trdi_network_get_info(r.network);
    CHECK_INT(info->n_source_features, 2);
    CHECK_INT(info->source_rows[1], 40);
    CHECK_INT(info->vocabulary, 40);
    CHECK_INT(info->max_source_positions, 24);
    CHECK_INT(info->max_target_positions, 24);
    CHECK_INT(info->block_bytes, info->block_tokens * 2 /* layers */ * 2 /* keys, values */ * 32 * 4);
    CHECK(info->weight_bytes > 50000);
    rig_close(&r);
    CHECK_OK(rig_open(&r, write_model(&(tiny_model){ .name = "su", .positions = TINY_ROTARY, .rotary_scaling = 2, .rotary_original = 5000 }), NULL));
    CHECK_INT(trdi_network_get_info(r.network)->max_target_positions, 4096);
    rig_close(&r);
}

static void check_refused(void)
{
    rig r;
    CHECK_FAILS(rig_open(&r, write_model(&(tiny_model){ .name = "stray", .form = TINY_PRE_POST, .stray_norms = true }), NULL),
                TRD_E_UNSUPPORTED, "encoder layer 0: layer_norm inside a sublayer");
    rig_close(&r);
}

/** Rows that part ways: one goes on in a copy of the shared block, both as if they were alone. */
static void check_copies(void)
{
    rig r;
    CHECK_OK(rig_open(&r, write_model(&(tiny_model){ .name = "copies" }), NULL));
    const int32_t source[4] = { 9, 3, 30, 12 }, *all = source, four = 4, prefix[5] = { START, 8, 22, 17, 4 }, five = 5, one = 1;
    const int32_t ways[2] = { 11, 35 };
    int32_t best[5], alone[2], together[2];
    float scores[5], score_alone[2], score_together[2];
    rig_row rows[2] = { { .length = 0 }, { .length = 0 } };
    for (int i = 0; i < 2; i++) {
        const int32_t *tokens = prefix, *way = &ways[i];
        CHECK_OK(rig_encode(&r, &rows[0], 1, &all, &four));
        CHECK_OK(rig_decode(&r, rows, 1, &tokens, &five, best, scores, NULL));
        CHECK_OK(rig_decode(&r, rows, 1, &way, &one, &alone[i], &score_alone[i], NULL));
        if (i == 0) rig_row_release(&r, &rows[0]);
    }
    /* Row 0 has taken way 1. Its twin takes a copy of the block and overwrites the last position with way 0. */
    rows[1] = rows[0];
    rows[0].length = rows[1].length = 5;
    CHECK_OK(trdi_runner_reserve_blocks(r.runner, 1));
    rows[1].own[0] = trdi_runner_take_block(r.runner);
    for (int32_t i = 0; i < rows[1].n_memory_blocks; i++) trdi_runner_retain_block(r.runner, rows[1].memory[i]);
    CHECK_INT(trdi_runner_block_uses(r.runner, rows[1].memory[0]), 2);
    r.copy_from = rows[0].own[0];
    r.copy_to = rows[1].own[0];
    const int32_t *both[2] = { &ways[1], &ways[0] };
    const int32_t ones[2] = { 1, 1 };
    CHECK_OK(rig_decode(&r, rows, 2, both, ones, together, score_together, NULL));
    for (int i = 0; i < 2; i++) {
        CHECK_INT(together[i], alone[1 - i]);
        CHECK(score_together[i] == score_alone[1 - i]);
    }
    for (int i = 0; i < 2; i++) rig_row_release(&r, &rows[i]);
    CHECK_INT(trdi_runner_blocks_in_use(r.runner), 0);
    rig_close(&r);
}

static void check_abort(void)
{
    rig r;
    CHECK_OK(rig_open(&r, write_model(&(tiny_model){ .name = "abort" }), NULL));
    trdi_step_arrays a;
    const trdi_step_sizes sizes = { .n_tokens = 0 };
    atomic_bool abort_now = true;
    CHECK_OK(trdi_runner_begin(r.runner, TRDI_STAGE_DECODE, 0, &sizes, &a));
    CHECK_FAILS(trdi_runner_run(r.runner, &abort_now, NULL), TRD_E_CANCELLED, "");
    abort_now = false;
    CHECK_OK(trdi_runner_begin(r.runner, TRDI_STAGE_DECODE, 0, &sizes, &a));
    CHECK_OK(trdi_runner_run(r.runner, &abort_now, NULL));
    rig_close(&r);
}

int main(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/treadle-network-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    check_info();
    check_refused();
    check_missing_operations();
    check_staging();
    check_copies();
    check_abort();
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
