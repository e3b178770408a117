/* op_tables.h: tables that operations imply, computed once when a plan is made, with the same bits on every machine and for every back end. */
#ifndef TRDI_OP_TABLES_H
#define TRDI_OP_TABLES_H

#include "backend/backend.h"

/** Frequencies of generated positions (trdi_op_positions), rounded to f32 as the tables of files are. @param out  owned f32 [width / 2] */
trd_status trdi_sinusoid_table(int64_t width, float **out);

/**
 * Bucket of a distance (key position - query position). With n = n_buckets, or half of it for each side if bidirectional (keys behind the
 * query take the first half): distances below n / 2 have a bucket each, longer ones share the rest by logarithm up to max_distance.
 * Source: Raffel et al. 2020, arXiv:1910.10683.
 */
int32_t trdi_relative_bucket(int64_t distance, int64_t n_buckets, int64_t max_distance, bool bidirectional);

/**
 * T5: the bucket of every distance that can differ from its neighbours'.
 *
 * @param out    owned [2 * reach + 1]: buckets of the distances -reach .. reach, which stand for all beyond too
 * @param reach  written
 */
trd_status trdi_bucket_table(const trdi_op_attention *op, int32_t **out, int64_t *reach);

#endif
