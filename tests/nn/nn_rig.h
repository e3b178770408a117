/*
 * nn_rig.h: a network and a runner on the CPU or another device, with the little that an engine does around them: blocks, tables, packed rows.
 * Greedy only. Used by the tests of lib/nn.
 */
#ifndef TRD_TESTS_NN_RIG_H
#define TRD_TESTS_NN_RIG_H

#include "nn/network.h"

typedef struct rig {
    trd_model    *model;
    trdi_device   device;
    void         *queue;
    trdi_network *network;
    trdi_runner  *runner;
    int32_t       forbidden;   /**< id that is never chosen; -1 = none */
    uint32_t      features;    /**< of decoding steps */
    int32_t       copy_from, copy_to;   /**< blocks to copy before the next decoding step; equal = none */
} rig;

/** Each part may fail under a failing allocator; rig_close() takes a half-open rig. */
trd_status rig_open(rig *r, const char *path, const trdi_network_options *options);
/** On another device than the CPU. @param facts  the device's, of that back end */
trd_status rig_open_on(rig *r, const trdi_backend_ops *ops, const trdi_device_facts *facts, const char *path,
                       const trdi_network_options *options);
void rig_close(rig *r);

enum { RIG_BLOCKS = 16, RIG_ROWS = 16 };

/** One sequence. Zero-initialised is empty. */
typedef struct rig_row {
    int32_t memory[RIG_BLOCKS], own[RIG_BLOCKS];
    int32_t n_memory_blocks, n_own_blocks;
    int32_t memory_length, length;
} rig_row;
void rig_row_release(rig *r, rig_row *row);

/** Encode one source per row. @param ids  [n_rows][length]; feature f > 0 of id i is i % 9 + 3 */
trd_status rig_encode(rig *r, rig_row *rows, int32_t n_rows, const int32_t *const *ids, const int32_t *lengths);
/**
 * Append tokens to rows and choose the best next one after each.
 * @param best    [all tokens], packed
 * @param scores  [all tokens] log-probabilities of best
 */
trd_status rig_decode(rig *r, rig_row *rows, int32_t n_rows, const int32_t *const *tokens, const int32_t *lengths, int32_t *best,
                      float *scores, trdi_step_results *results);
/** Greedy from start, n tokens or up to stop (-1 = never). @return tokens written, or -1 with a failure */
int32_t rig_greedy(rig *r, rig_row *row, int32_t start, int32_t stop, int32_t n, int32_t *ids, double *score);

#endif
