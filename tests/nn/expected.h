/* expected.h: made by make_expected.py; greedy tokens and the sum of their log-probabilities, by name of the variant. */
static const struct expected { const char *name; int32_t ids[9]; double score; } expected[] = {
    { "alibi", { 29, 39, 21, 32, 32, 32, 32, 32, 32 }, -16.788408 },
    { "alibi_negative_scaled", { 24, 34, 14, 3, 37, 4, 6, 37, 4 }, -18.185631 },
    { "decoder_parallel_one", { 6, 32, 8, 37, 12, 9, 9, 9, 9 }, -20.038877 },
    { "decoder_parallel_shared", { 6, 32, 35, 5, 32, 35, 19, 11, 15 }, -18.290028 },
    { "decoder_parallel_two", { 6, 32, 35, 29, 23, 12, 23, 12, 23 }, -18.554081 },
    { "decoder_pre_post", { 38, 14, 32, 23, 5, 3, 7, 8, 24 }, -17.295607 },
    { "features_added", { 15, 15, 15, 15, 15, 15, 15, 15, 15 }, -11.842209 },
    { "features_concatenated", { 7, 35, 27, 24, 34, 14, 12, 12, 12 }, -19.372587 },
    { "head_norms", { 13, 19, 4, 37, 31, 24, 1, 30, 4 }, -15.936892 },
    { "merged", { 38, 33, 34, 30, 10, 20, 36, 11, 21 }, -18.207890 },
    { "post_norm_learned", { 19, 23, 23, 23, 23, 23, 23, 23, 23 }, -17.258223 },
    { "pre_norm_sinusoids", { 24, 34, 14, 3, 37, 4, 6, 37, 4 }, -17.836681 },
    { "pre_post_external", { 21, 30, 20, 17, 12, 24, 16, 39, 0 }, -20.399784 },
    { "pre_post_plain_cross", { 21, 0, 15, 25, 21, 0, 15, 1, 21 }, -21.630615 },
    { "rotary_halves_partial_linear", { 16, 17, 35, 34, 18, 14, 35, 34, 39 }, -19.479216 },
    { "rotary_interleaved_grouped", { 7, 26, 4, 13, 21, 36, 22, 32, 20 }, -18.787464 },
    { "rotary_llama3", { 10, 35, 31, 23, 32, 4, 38, 20, 21 }, -19.934845 },
    { "rotary_su", { 12, 19, 10, 32, 28, 6, 28, 6, 28 }, -15.983490 },
    { "rotary_su_short", { 12, 19, 10, 32, 28, 6, 28, 6, 28 }, -16.293079 },
    { "shaw", { 23, 39, 13, 11, 3, 18, 25, 19, 23 }, -16.964226 },
    { "shaw_keys", { 20, 3, 20, 16, 20, 3, 20, 3, 20 }, -16.843605 },
    { "t5", { 30, 1, 16, 16, 16, 16, 16, 16, 16 }, -27.960251 },
    { "window", { 24, 34, 14, 12, 39, 0, 36, 6, 37 }, -18.511101 },
    { "zero_start_narrow_embeddings", { 39, 9, 24, 25, 9, 24, 25, 9, 24 }, -21.693695 },
};
/* Attention of the second token in pre_norm_sinusoids. */
static const double expected_attention[7] = { 0.144662, 0.059604, 0.178505, 0.095916, 0.106998, 0.098990, 0.315325 };
