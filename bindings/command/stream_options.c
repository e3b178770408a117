/* stream_options.c: the options of translate, score and ct2-translator; the names and defaults are those of ct2-translator. */
#include "stream.h"

#define AT(field) offsetof(stream_settings, field)
#define ANY 0
#define TRANSLATES (USER_TRANSLATE | USER_CT2)
#define SCORES (USER_SCORE | USER_CT2)
#define BIG INT64_MAX
#define MOST_BEAMS 65536   /* the library's limit of beam_size and num_hypotheses */

#define MODEL "Model and device"
#define FILES "Input and output"
#define SEARCH "Decoding"
#define MORE "Other"

const option_spec stream_options[STREAM_OPTIONS_N] = {
    { "task", OPTION_CHOICE, "TASK", "translate|score", "translate", AT(task), 0, 0, USER_CT2, MODEL, "what to do" },
    { "model", OPTION_TEXT, "DIR", NULL, NULL, AT(model), 0, 0, ANY, MODEL, "model directory (required)" },
    { "device", OPTION_TEXT, "NAME", NULL, NULL, AT(device), 0, 0, ANY, MODEL,
      "cpu, cuda, auto, a name such as cpu:0 or a part of a device's name [cpu, or TREADLE_DEVICE]" },
    { "device_index", OPTION_TEXT, "LIST", NULL, "0", AT(device_index), 0, 0, ANY, MODEL,
      "which device of that kind; the CPU is 0 only" },
    { "compute_type", OPTION_TEXT, "TYPE", NULL, "default", AT(compute_type), 0, 0, ANY, MODEL,
      "type of the weights in use: default, auto, float32, int8, int8_float32, int16, float16 ..." },
    { "cpu_compute_type", OPTION_TEXT, "TYPE", NULL, NULL, AT(cpu_compute_type), 0, 0, ANY, MODEL,
      "replaces --compute_type if the device is a CPU" },
    { "cuda_compute_type", OPTION_TEXT, "TYPE", NULL, NULL, AT(cuda_compute_type), 0, 0, ANY, MODEL,
      "replaces --compute_type if the device is a CUDA one" },
    { "inter_threads", OPTION_COUNT, "N", NULL, "1", AT(inter_threads), 1, INT32_MAX, ANY, MODEL,
      "workers that run batches side by side" },
    { "intra_threads", OPTION_COUNT, "N", NULL, "0", AT(intra_threads), 0, INT32_MAX, ANY, MODEL,
      "threads of each worker; 0: OMP_NUM_THREADS, else up to 4" },
    { "cpu_core_offset", OPTION_COUNT, "N", NULL, "-1", AT(cpu_core_offset), -1, INT32_MAX, ANY, MODEL,
      "pin workers to cores from this one on; -1: not pinned" },
    { "max_queued_batches", OPTION_COUNT, "N", NULL, "0", AT(max_queued_batches), INT32_MIN, INT32_MAX, ANY, MODEL,
      "bound of the batches waiting for a worker; 0: automatic, negative: none" },

    { "src", OPTION_TEXT, "FILE", NULL, NULL, AT(src), 0, 0, ANY, FILES,
      "lines of source tokens; '-' or nothing: standard input" },
    { "tgt", OPTION_TEXT, "FILE", NULL, NULL, AT(tgt), 0, 0, ANY, FILES,
      "target tokens: to start translations with, or to score" },
    { "out", OPTION_TEXT, "FILE", NULL, NULL, AT(out), 0, 0, ANY, FILES, "results; '-' or nothing: standard output" },
    { "src_spm", OPTION_TEXT, "FILE", NULL, NULL, AT(src_spm), 0, 0, ANY, FILES,
      "SentencePiece model: the source is plain text, cut into tokens by it" },
    { "tgt_spm", OPTION_TEXT, "FILE", NULL, NULL, AT(tgt_spm), 0, 0, ANY, FILES,
      "SentencePiece model: targets are plain text, in and out" },
    { "json", OPTION_FLAG, NULL, NULL, NULL, AT(json), 0, 0, ANY, FILES,
      "write a JSON object per example: hypotheses with tokens, text and score" },
    { "with_score", OPTION_FLAG, NULL, NULL, NULL, AT(with_score), 0, 0, TRANSLATES, FILES,
      "write 'score ||| text'" },
    { "with_tokens_score", OPTION_FLAG, NULL, NULL, NULL, AT(with_tokens_score), 0, 0, SCORES, FILES,
      "append ' ||| ' and the score of each token to scored lines" },
    { "n_best", OPTION_COUNT, "N", NULL, "1", AT(n_best), 1, MOST_BEAMS, TRANSLATES, FILES, "hypotheses per example, best first" },
    { "batch_size", OPTION_COUNT, "N", NULL, "32", AT(batch_size), 0, INT32_MAX, ANY, FILES,
      "examples (or tokens) that a worker runs together" },
    { "batch_type", OPTION_CHOICE, "UNIT", "examples|tokens", "examples", AT(batch_type), 0, 0, ANY, FILES,
      "what --batch_size and --read_batch_size count" },
    { "read_batch_size", OPTION_COUNT, "N", NULL, "0", AT(read_batch_size), 0, INT64_MAX, ANY, FILES,
      "examples (or tokens) read at once; 0: 16 times the batch size" },
    { "max_input_length", OPTION_COUNT, "N", NULL, "1024", AT(max_input_length), 0, BIG, ANY, FILES,
      "longer inputs are cut to this many tokens; 0: never" },

    { "beam_size", OPTION_COUNT, "N", NULL, "2", AT(beam_size), 1, MOST_BEAMS, TRANSLATES, SEARCH, "beams; 1 is greedy search" },
    { "patience", OPTION_REAL, "X", NULL, "1", AT(patience), 0, 0, TRANSLATES, SEARCH,
      "beam search ends with this times the beam size finished" },
    { "length_penalty", OPTION_REAL, "X", NULL, "1", AT(length_penalty), 0, 0, TRANSLATES, SEARCH,
      "exponent of the length that divides scores" },
    { "coverage_penalty", OPTION_REAL, "X", NULL, "0", AT(coverage_penalty), 0, 0, TRANSLATES, SEARCH,
      "weight of the penalty for source tokens left unattended" },
    { "repetition_penalty", OPTION_REAL, "X", NULL, "1", AT(repetition_penalty), 0, 0, TRANSLATES, SEARCH,
      "above 1: tokens already produced become less likely" },
    { "no_repeat_ngram_size", OPTION_COUNT, "N", NULL, "0", AT(no_repeat_ngram_size), 0, BIG, TRANSLATES, SEARCH,
      "no run of this many tokens twice; 0: off" },
    { "disable_unk", OPTION_FLAG, NULL, NULL, NULL, AT(disable_unk), 0, 0, TRANSLATES, SEARCH,
      "never produce the unknown token" },
    { "suppress_sequences", OPTION_TEXT, "LIST", NULL, NULL, AT(suppress_sequences), 0, 0, TRANSLATES, SEARCH,
      "never produce these; commas between sequences, spaces between tokens" },
    { "end_token", OPTION_TEXT, "TOKEN", NULL, NULL, AT(end_token), 0, 0, TRANSLATES, SEARCH,
      "ends a hypothesis instead of the model's end token" },
    { "prefix_bias_beta", OPTION_REAL, "X", NULL, "0", AT(prefix_bias_beta), 0, 0, TRANSLATES, SEARCH,
      "between 0 and 1: --tgt is a preference, not a constraint" },
    { "max_decoding_length", OPTION_COUNT, "N", NULL, "256", AT(max_decoding_length), 1, BIG, TRANSLATES, SEARCH,
      "most tokens of a hypothesis" },
    { "min_decoding_length", OPTION_COUNT, "N", NULL, "1", AT(min_decoding_length), 0, BIG, TRANSLATES, SEARCH,
      "least tokens of a hypothesis" },
    { "sampling_topk", OPTION_COUNT, "N", NULL, "1", AT(sampling_topk), 0, BIG, TRANSLATES, SEARCH,
      "sample from this many best tokens; 0: from all" },
    { "sampling_topp", OPTION_REAL, "X", NULL, "1", AT(sampling_topp), 0, 0, TRANSLATES, SEARCH,
      "sample from the best tokens that make up this probability" },
    { "sampling_temperature", OPTION_REAL, "X", NULL, "1", AT(sampling_temperature), 0, 0, TRANSLATES, SEARCH,
      "above 1: more random" },
    { "seed", OPTION_SEED, "N", NULL, NULL, AT(seed), 0, 0, TRANSLATES, SEARCH,
      "makes sampling repeatable [seeded by the operating system]" },
    { "use_vmap", OPTION_FLAG, NULL, NULL, NULL, AT(use_vmap), 0, 0, TRANSLATES, SEARCH,
      "produce only tokens that the model's vocabulary map allows" },
    { "replace_unknowns", OPTION_FLAG, NULL, NULL, NULL, AT(replace_unknowns), 0, 0, TRANSLATES, SEARCH,
      "put the most attended source token in place of each unknown token" },

    { "log_throughput", OPTION_FLAG, NULL, NULL, NULL, AT(log_throughput), 0, 0, ANY, MORE,
      "print tokens per second on standard error in the end" },
    { "log_profiling", OPTION_FLAG, NULL, NULL, NULL, AT(log_profiling), 0, 0, ANY, MORE,
      "an error: there is no profile of operations in this build" },
};
