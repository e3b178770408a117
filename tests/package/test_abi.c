/*
 * test_abi.c: values of the public constants, sizes and offsets of the public structs on 64-bit systems. A change here breaks
 * programs that are already compiled: fields may only be appended to structs that carry their size, and then only the
 * struct's SIZE line changes. It must change: a field inside the old padding would be read from callers that never set it.
 */
#include "check.h"
#include "treadle/treadle.h"

#define SIZE(type, size) { #type, "", sizeof(type), size }
/* Offset and size in one number; no field is as large as 64 KiB. */
#define PLACE(offset, size) ((size_t)(offset) << 16 | (size_t)(size))
#define FIELD(type, field, offset, size) \
    { #type, "." #field, PLACE(offsetof(type, field), sizeof(((type *)NULL)->field)), PLACE(offset, size) }
#define VALUE(name, value) { #name, NULL, (size_t)(name), (size_t)(value) }

static const struct {
    const char *type, *field;
    size_t      got, want;
} pinned[] = {
    VALUE(TRD_OK, 0), VALUE(TRD_E_INVALID, 1), VALUE(TRD_E_MEMORY, 2), VALUE(TRD_E_IO, 3), VALUE(TRD_E_FORMAT, 4),
    VALUE(TRD_E_UNSUPPORTED, 5), VALUE(TRD_E_RANGE, 6), VALUE(TRD_E_STATE, 7), VALUE(TRD_E_CANCELLED, 8),
    VALUE(TRD_E_TIMEOUT, 9), VALUE(TRD_E_BUSY, 10), VALUE(TRD_E_DEVICE, 11), VALUE(TRD_E_FORKED, 12),
    VALUE(TRD_E_INTERNAL, 13),
    VALUE(TRD_DTYPE_F32, 0), VALUE(TRD_DTYPE_I8, 1), VALUE(TRD_DTYPE_I16, 2), VALUE(TRD_DTYPE_I32, 3),
    VALUE(TRD_DTYPE_F16, 4), VALUE(TRD_DTYPE_BF16, 5),
    VALUE(TRD_LOG_OFF, 0), VALUE(TRD_LOG_ERROR, 1), VALUE(TRD_LOG_WARNING, 2), VALUE(TRD_LOG_INFO, 3),
    VALUE(TRD_LOG_DEBUG, 4), VALUE(TRD_LOG_TRACE, 5),
    VALUE(TRD_VOCABULARY_TARGET, 0), VALUE(TRD_VOCABULARY_SOURCE, 1),
    VALUE(TRD_REPORT_TREE, 0), VALUE(TRD_REPORT_JSON, 1), VALUE(TRD_REPORT_SVG, 2),
    VALUE(TRD_RNG_PHILOX, 0), VALUE(TRD_RNG_MT19937, 1),
    VALUE(TRD_MAX_RANK, 6), VALUE(TRD_WEIGHT_LINEAR, 0), VALUE(TRD_WEIGHT_EMBEDDING, 1), VALUE(TRD_ACTIVATION_NONE, -1),
    VALUE(TRD_ACTIVATION_RELU, 0), VALUE(TRD_ACTIVATION_GELU_TANH, 1), VALUE(TRD_ACTIVATION_SWISH, 2), VALUE(TRD_ACTIVATION_GELU, 3),
    VALUE(TRD_ACTIVATION_GELU_SIGMOID, 4), VALUE(TRD_ACTIVATION_TANH, 5), VALUE(TRD_ACTIVATION_SIGMOID, 6),
    VALUE(TRD_ARGUMENT_TENSOR, 0), VALUE(TRD_ARGUMENT_F32, 1), VALUE(TRD_ARGUMENT_I32, 2), VALUE(TRD_ARGUMENT_I64, 3),
    VALUE(TRD_ARGUMENT_LOCAL, 4),

    SIZE(trd_allocator, 24),
    FIELD(trd_allocator, context, 0, 8),
    FIELD(trd_allocator, alloc, 8, 8),
    FIELD(trd_allocator, free, 16, 8),

    SIZE(trd_device_info, 144),
    FIELD(trd_device_info, struct_size, 0, 8),
    FIELD(trd_device_info, id, 8, 8),
    FIELD(trd_device_info, name, 16, 8),
    FIELD(trd_device_info, backend, 24, 8),
    FIELD(trd_device_info, isa, 32, 8),
    FIELD(trd_device_info, n_compute_units, 40, 8),
    FIELD(trd_device_info, memory_bytes, 48, 8),
    FIELD(trd_device_info, compute_types, 56, 8),
    FIELD(trd_device_info, unusable, 64, 8),
    FIELD(trd_device_info, type, 72, 8),
    FIELD(trd_device_info, platform, 80, 8),
    FIELD(trd_device_info, driver, 88, 8),
    FIELD(trd_device_info, pci, 96, 8),
    FIELD(trd_device_info, features, 104, 8),
    FIELD(trd_device_info, max_buffer_bytes, 112, 8),
    FIELD(trd_device_info, local_bytes, 120, 8),
    FIELD(trd_device_info, nearest_cores, 128, 8),
    FIELD(trd_device_info, numa_nodes, 136, 8),

    SIZE(trd_file, 24),
    FIELD(trd_file, name, 0, 8),
    FIELD(trd_file, data, 8, 8),
    FIELD(trd_file, bytes, 16, 8),

    SIZE(trd_model_info, 216),
    FIELD(trd_model_info, struct_size, 0, 8),
    FIELD(trd_model_info, name, 8, 8),
    FIELD(trd_model_info, family, 16, 8),
    FIELD(trd_model_info, spec, 24, 8),
    FIELD(trd_model_info, spec_revision, 32, 8),
    FIELD(trd_model_info, binary_version, 40, 8),
    FIELD(trd_model_info, stored_type, 48, 8),
    FIELD(trd_model_info, n_encoder_layers, 56, 8),
    FIELD(trd_model_info, n_decoder_layers, 64, 8),
    FIELD(trd_model_info, d_model, 72, 8),
    FIELD(trd_model_info, d_ffn, 80, 8),
    FIELD(trd_model_info, n_heads, 88, 8),
    FIELD(trd_model_info, n_heads_kv, 96, 8),
    FIELD(trd_model_info, head_dim, 104, 8),
    FIELD(trd_model_info, n_source_features, 112, 8),
    FIELD(trd_model_info, source_vocabulary_size, 120, 8),
    FIELD(trd_model_info, target_vocabulary_size, 128, 8),
    FIELD(trd_model_info, n_parameters, 136, 8),
    FIELD(trd_model_info, n_variables, 144, 8),
    FIELD(trd_model_info, n_aliases, 152, 8),
    FIELD(trd_model_info, weight_bytes, 160, 8),
    FIELD(trd_model_info, unk_token, 168, 8),
    FIELD(trd_model_info, bos_token, 176, 8),
    FIELD(trd_model_info, eos_token, 184, 8),
    FIELD(trd_model_info, decoder_start_token, 192, 8),
    FIELD(trd_model_info, add_source_bos, 200, 1),
    FIELD(trd_model_info, add_source_eos, 201, 1),
    FIELD(trd_model_info, has_vocabulary_map, 202, 1),
    FIELD(trd_model_info, runs_on, 208, 8),

    SIZE(trd_model_tensor, 80),
    FIELD(trd_model_tensor, struct_size, 0, 8),
    FIELD(trd_model_tensor, name, 8, 8),
    FIELD(trd_model_tensor, dtype, 16, 4),
    FIELD(trd_model_tensor, rank, 20, 4),
    FIELD(trd_model_tensor, dims, 24, 32),
    FIELD(trd_model_tensor, bytes, 56, 8),
    FIELD(trd_model_tensor, alias_of, 64, 8),
    FIELD(trd_model_tensor, value, 72, 8),

    SIZE(trd_sequences, 64),
    FIELD(trd_sequences, n, 0, 8),
    FIELD(trd_sequences, lengths, 8, 8),
    FIELD(trd_sequences, tokens, 16, 8),
    FIELD(trd_sequences, bytes, 24, 8),
    FIELD(trd_sequences, byte_lengths, 32, 8),
    FIELD(trd_sequences, ids, 40, 8),
    FIELD(trd_sequences, reserved, 48, 16),

    SIZE(trd_translator_options, 64),
    FIELD(trd_translator_options, struct_size, 0, 8),
    FIELD(trd_translator_options, device, 8, 8),
    FIELD(trd_translator_options, compute_type, 16, 8),
    FIELD(trd_translator_options, inter_threads, 24, 4),
    FIELD(trd_translator_options, intra_threads, 28, 4),
    FIELD(trd_translator_options, max_queued_batches, 32, 4),
    FIELD(trd_translator_options, cpu_core_offset, 36, 4),
    FIELD(trd_translator_options, max_batch_rows, 40, 8),
    FIELD(trd_translator_options, cache_dir, 48, 8),
    FIELD(trd_translator_options, numerics, 56, 8),

    SIZE(trd_translator_info, 72),
    FIELD(trd_translator_info, struct_size, 0, 8),
    FIELD(trd_translator_info, device, 8, 8),
    FIELD(trd_translator_info, device_name, 16, 8),
    FIELD(trd_translator_info, compute_type, 24, 8),
    FIELD(trd_translator_info, compute_type_note, 32, 8),
    FIELD(trd_translator_info, n_workers, 40, 4),
    FIELD(trd_translator_info, n_threads, 44, 4),
    FIELD(trd_translator_info, n_queued, 48, 8),
    FIELD(trd_translator_info, n_active, 56, 8),
    FIELD(trd_translator_info, weights_from_cache, 64, 1),

    SIZE(trd_step_result, 72),
    FIELD(trd_step_result, step, 0, 8),
    FIELD(trd_step_result, example, 8, 8),
    FIELD(trd_step_result, hypothesis, 16, 8),
    FIELD(trd_step_result, token_id, 24, 4),
    FIELD(trd_step_result, token, 32, 8),
    FIELD(trd_step_result, has_log_prob, 40, 1),
    FIELD(trd_step_result, log_prob, 44, 4),
    FIELD(trd_step_result, logits, 48, 8),
    FIELD(trd_step_result, n_logits, 56, 8),
    FIELD(trd_step_result, is_last, 64, 1),

    SIZE(trd_decoding_options, 296),
    FIELD(trd_decoding_options, struct_size, 0, 8),
    FIELD(trd_decoding_options, beam_size, 8, 8),
    FIELD(trd_decoding_options, patience, 16, 4),
    FIELD(trd_decoding_options, num_hypotheses, 24, 8),
    FIELD(trd_decoding_options, length_penalty, 32, 4),
    FIELD(trd_decoding_options, coverage_penalty, 36, 4),
    FIELD(trd_decoding_options, repetition_penalty, 40, 4),
    FIELD(trd_decoding_options, no_repeat_ngram_size, 48, 8),
    FIELD(trd_decoding_options, disable_unk, 56, 1),
    FIELD(trd_decoding_options, return_end_token, 57, 1),
    FIELD(trd_decoding_options, use_vmap, 58, 1),
    FIELD(trd_decoding_options, replace_unknowns, 59, 1),
    FIELD(trd_decoding_options, return_scores, 60, 1),
    FIELD(trd_decoding_options, return_logits, 61, 1),
    FIELD(trd_decoding_options, return_attention, 62, 1),
    FIELD(trd_decoding_options, return_alternatives, 63, 1),
    FIELD(trd_decoding_options, min_alternative_expansion_prob, 64, 4),
    FIELD(trd_decoding_options, prefix_bias_beta, 68, 4),
    FIELD(trd_decoding_options, max_input_length, 72, 8),
    FIELD(trd_decoding_options, max_decoding_length, 80, 8),
    FIELD(trd_decoding_options, min_decoding_length, 88, 8),
    FIELD(trd_decoding_options, sampling_topk, 96, 8),
    FIELD(trd_decoding_options, sampling_topp, 104, 4),
    FIELD(trd_decoding_options, sampling_temperature, 108, 4),
    FIELD(trd_decoding_options, seed, 112, 8),
    FIELD(trd_decoding_options, has_seed, 120, 1),
    FIELD(trd_decoding_options, rng, 124, 4),
    FIELD(trd_decoding_options, suppress_sequences, 128, 64),
    FIELD(trd_decoding_options, has_end_tokens, 192, 1),
    FIELD(trd_decoding_options, end_tokens, 200, 64),
    FIELD(trd_decoding_options, on_step, 264, 8),
    FIELD(trd_decoding_options, on_step_context, 272, 8),
    FIELD(trd_decoding_options, max_batch_size, 280, 8),
    FIELD(trd_decoding_options, batch_by_tokens, 288, 1),

    SIZE(trd_scoring_options, 24),
    FIELD(trd_scoring_options, struct_size, 0, 8),
    FIELD(trd_scoring_options, max_input_length, 8, 8),
    FIELD(trd_scoring_options, offset, 16, 8),

    SIZE(trd_submit_options, 64),
    FIELD(trd_submit_options, struct_size, 0, 8),
    FIELD(trd_submit_options, priority, 8, 4),
    FIELD(trd_submit_options, timeout_seconds, 16, 8),
    FIELD(trd_submit_options, refuse_when_full, 24, 1),
    FIELD(trd_submit_options, on_done, 32, 8),
    FIELD(trd_submit_options, on_done_context, 40, 8),
    FIELD(trd_submit_options, on_progress, 48, 8),
    FIELD(trd_submit_options, on_progress_context, 56, 8),

    SIZE(trd_progress, 48),
    FIELD(trd_progress, struct_size, 0, 8),
    FIELD(trd_progress, n_done, 8, 8),
    FIELD(trd_progress, n_examples, 16, 8),
    FIELD(trd_progress, n_tokens, 24, 8),
    FIELD(trd_progress, seconds, 32, 8),
    FIELD(trd_progress, tokens_per_second, 40, 8),

    SIZE(trd_device_memory, 72),
    FIELD(trd_device_memory, struct_size, 0, 8),
    FIELD(trd_device_memory, allocated_bytes, 8, 8),
    FIELD(trd_device_memory, cached_bytes, 16, 8),
    FIELD(trd_device_memory, peak_bytes, 24, 8),
    FIELD(trd_device_memory, n_allocated, 32, 8),
    FIELD(trd_device_memory, n_cached, 40, 8),
    FIELD(trd_device_memory, n_requests, 48, 8),
    FIELD(trd_device_memory, n_reused, 56, 8),
    FIELD(trd_device_memory, device_bytes, 64, 8),

    SIZE(trd_queue_options, 16),
    FIELD(trd_queue_options, struct_size, 0, 8),
    FIELD(trd_queue_options, n_threads, 8, 4),

    SIZE(trd_tensor_info, 136),
    FIELD(trd_tensor_info, struct_size, 0, 8),
    FIELD(trd_tensor_info, dtype, 8, 4),
    FIELD(trd_tensor_info, rank, 12, 4),
    FIELD(trd_tensor_info, shape, 16, 48),
    FIELD(trd_tensor_info, strides, 64, 48),
    FIELD(trd_tensor_info, n_elements, 112, 8),
    FIELD(trd_tensor_info, is_contiguous, 120, 1),
    FIELD(trd_tensor_info, device, 128, 8),

    SIZE(trd_weight_options, 32),
    FIELD(trd_weight_options, struct_size, 0, 8),
    FIELD(trd_weight_options, use, 8, 4),
    FIELD(trd_weight_options, dtype, 12, 4),
    FIELD(trd_weight_options, bias, 16, 8),
    FIELD(trd_weight_options, scales, 24, 8),

    SIZE(trd_linear_options, 32),
    FIELD(trd_linear_options, struct_size, 0, 8),
    FIELD(trd_linear_options, activation, 8, 4),
    FIELD(trd_linear_options, multiplier, 16, 8),
    FIELD(trd_linear_options, residual, 24, 8),

    SIZE(trd_attention_options, 64),
    FIELD(trd_attention_options, struct_size, 0, 8),
    FIELD(trd_attention_options, n_heads, 8, 8),
    FIELD(trd_attention_options, n_heads_kv, 16, 8),
    FIELD(trd_attention_options, scale, 24, 4),
    FIELD(trd_attention_options, causal, 28, 1),
    FIELD(trd_attention_options, window, 32, 8),
    FIELD(trd_attention_options, n_sequences, 40, 8),
    FIELD(trd_attention_options, lengths, 48, 8),
    FIELD(trd_attention_options, key_lengths, 56, 8),

    SIZE(trd_rotary_options, 24),
    FIELD(trd_rotary_options, struct_size, 0, 8),
    FIELD(trd_rotary_options, n_heads, 8, 8),
    FIELD(trd_rotary_options, interleave, 16, 1),
    FIELD(trd_rotary_options, magnitude, 20, 4),

    SIZE(trd_argument, 24),
    FIELD(trd_argument, kind, 0, 4),
    FIELD(trd_argument, number, 4, 4),
    FIELD(trd_argument, integer, 8, 8),
    FIELD(trd_argument, tensor, 16, 8),

    SIZE(trd_launch, 64),
    FIELD(trd_launch, struct_size, 0, 8),
    FIELD(trd_launch, n_dims, 8, 4),
    FIELD(trd_launch, global_size, 16, 24),
    FIELD(trd_launch, group_size, 40, 24),
};

int main(void)
{
    if (sizeof(void *) != 8 || sizeof(size_t) != 8) SKIP("pointers have %zu bytes, the table is for 8", sizeof(void *));
    int n_wrong = 0;
    for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++) {
        if (pinned[i].got == pinned[i].want) continue;
        const char *field = pinned[i].field;
        const size_t got = pinned[i].got, want = pinned[i].want;
        if (field != NULL && field[0] == '.') {
            fprintf(stderr, "%s%s: offset %zu, size %zu; pinned %zu, %zu\n", pinned[i].type, field, got >> 16,
                    got & 0xFFFF, want >> 16, want & 0xFFFF);
        } else {
            fprintf(stderr, "%s: %s %zu, pinned %zu\n", pinned[i].type, field == NULL ? "value" : "size", got, want);
        }
        n_wrong++;
    }
    return n_wrong == 0 ? 0 : 1;
}
