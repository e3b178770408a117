/*
 * test_model_hazards.c: hand-made models, one wrong thing each: every row must be refused with its status and a text that names the
 * variable and the number, and rows that are right must open. The base models are those of model_builder.h.
 */
#include "core/strings.h"
#include "model/model.h"
#include "model_builder.h"

enum op { END, SET, REMOVE, ALIAS, COPY, FILL, SHAPE, DTYPE, CONVERT, COUNT, CONFIG, HEAD, VMAP, VOCABULARY };

typedef struct edit {
    enum op     op;
    const char *name;
    double      a, b, c, d, e;    /* SET: dtype, rank, dims, fill. SHAPE: rank, dims. HEAD: version, revision. COUNT: payload size */
    const char *text;
} edit;

enum base { PAIR, DECODER, ENCODER };

typedef struct row {
    const char *what;
    enum base   base;
    trd_status  status;
    const char *part;
    edit        edits[6];
} row;

#define SCALAR_I8(name, value) { SET, name, 1, 0, 1, 1, value, NULL }
#define SCALAR_I16(name, value) { SET, name, 2, 0, 1, 1, value, NULL }
#define SCALAR_I32(name, value) { SET, name, 3, 0, 1, 1, value, NULL }
#define SCALAR_F32(name, value) { SET, name, 0, 0, 1, 1, value, NULL }
#define VECTOR(name, n, value) { SET, name, 0, 1, n, 1, value, NULL }
#define MATRIX(name, rows, columns) { SET, name, 0, 2, rows, columns, 0.25, NULL }
#define WITHOUT(name) { REMOVE, name, 0, 0, 0, 0, 0, NULL }
#define FILLED(name, value) { FILL, name, value, 0, 0, 0, 0, NULL }
#define SHAPED(name, rank, d0, d1) { SHAPE, name, rank, d0, d1, 0, 0, NULL }
#define TYPED(name, dtype) { DTYPE, name, dtype, 0, 0, 0, 0, NULL }
#define ALIASED(name, target) { ALIAS, name, 0, 0, 0, 0, 0, target }
#define COPIED(from, to) { COPY, from, 0, 0, 0, 0, 0, to }
#define CONVERTED(dtype) { CONVERT, "", dtype, 0, 0, 0, 0, NULL }
#define COUNTED(name, size) { COUNT, name, size, 0, 0, 0, 0, NULL }
#define CONFIGURED(json) { CONFIG, "", 0, 0, 0, 0, 0, json }
#define HEADED(version, revision, spec) { HEAD, "", version, revision, 0, 0, 0, spec }
#define TOKENS "\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"decoder_start_token\": \"<s>\""

#define ENC "encoder/layer_0/self_attention/"
#define DEC "decoder/layer_0/self_attention/"
#define CROSS "decoder/layer_0/attention/"
#define ANY_NORM(scope) VECTOR(scope "/gamma", 8, 1)

static const row head_rows[] = {
    { "version 0", PAIR, TRD_E_FORMAT, "binary version 0", { HEADED(0, 7, "TransformerSpec") } },
    { "version 7", PAIR, TRD_E_UNSUPPORTED, "binary version: this library supports versions up to 6, the model has version 7", { HEADED(7, 7, "TransformerSpec") } },
    { "huge version", PAIR, TRD_E_UNSUPPORTED, "4294967295", { HEADED(4294967295.0, 7, "TransformerSpec") } },
    { "revision 0", PAIR, TRD_E_FORMAT, "revision 0", { HEADED(6, 0, "TransformerSpec") } },
    { "revision 8", PAIR, TRD_E_UNSUPPORTED, "revision of TransformerSpec: this library supports revisions up to 7, the model has revision 8", { HEADED(6, 8, "TransformerSpec") } },
    { "revision 9 of a decoder", DECODER, TRD_E_UNSUPPORTED, "up to 8, the model has revision 9", { HEADED(6, 9, "TransformerDecoderSpec") } },
    { "unknown name", PAIR, TRD_E_UNSUPPORTED, "unknown model FancySpec", { HEADED(6, 7, "FancySpec") } },
    { "almost a name", PAIR, TRD_E_UNSUPPORTED, "unknown model transformerspec", { HEADED(6, 7, "transformerspec") } },
    { "number of variables 2^32-1", PAIR, TRD_E_FORMAT, "number of variables is 4294967295", { COUNTED("variables", 4294967295.0) } },
    { "one variable too many", PAIR, TRD_E_FORMAT, "variable ", { COUNTED("variables", 200) } },
    { "number of aliases 2^32-1", PAIR, TRD_E_FORMAT, "number of aliases is 4294967295", { COUNTED("aliases", 4294967295.0) } },
    { "one alias too many", PAIR, TRD_E_FORMAT, "alias 2 of 2", { COUNTED("aliases", 2) } },
    { "rank 5", PAIR, TRD_E_FORMAT, "rank 5, at most 4", { SHAPED("decoder/layer_norm/gamma", 5, 8, 1) } },
    { "rank 255", PAIR, TRD_E_FORMAT, "rank 255, at most 4", { SHAPED("decoder/layer_norm/gamma", 255, 8, 1), COUNTED("decoder/layer_norm/gamma", 32) } },
    { "data type 6", PAIR, TRD_E_FORMAT, "unknown data type 6", { TYPED("decoder/layer_norm/gamma", 6) } },
    { "data type 255", PAIR, TRD_E_FORMAT, "unknown data type 255", { TYPED("decoder/layer_norm/gamma", 255) } },
    { "payload too small", PAIR, TRD_E_FORMAT, "invalid payload size: 31 bytes stored", { COUNTED("decoder/layer_norm/gamma", 31) } },
    { "payload too large", PAIR, TRD_E_FORMAT, "invalid payload size: 33 bytes stored", { COUNTED("decoder/layer_norm/gamma", 33) } },
    { "terabytes", PAIR, TRD_E_FORMAT, "invalid payload size: 32 bytes stored, the shape holds 1099511627776 elements",
      { SHAPED("decoder/layer_norm/gamma", 2, 1048576, 1048576), COUNTED("decoder/layer_norm/gamma", 32) } },
    { "2^64 bytes wrap to 0", PAIR, TRD_E_FORMAT, "invalid payload size",
      { SHAPED("decoder/layer_norm/gamma", 2, 2147483648.0, 2147483648.0), COUNTED("decoder/layer_norm/gamma", 0) } },
    { "2^64 elements", PAIR, TRD_E_FORMAT, "too many elements", { SHAPED("decoder/layer_norm/gamma", 2, 4294967295.0, 4294967295.0), COUNTED("decoder/layer_norm/gamma", 0) } },
    { "past the file", PAIR, TRD_E_FORMAT, "the payload needs 4294967292 bytes",
      { SHAPED("decoder/layer_norm/gamma", 1, 1073741823, 1), COUNTED("decoder/layer_norm/gamma", 4294967292.0) } },
    { "old version, count times width wraps", PAIR, TRD_E_FORMAT, "invalid payload size: 4294967328 bytes stored",
      { HEADED(2, 7, "TransformerSpec"), COUNTED("decoder/layer_norm/gamma", 1073741832.0) } },
    { "old version, width 3", PAIR, TRD_E_FORMAT, "unknown data type", { HEADED(5, 7, "TransformerSpec"), TYPED("decoder/layer_norm/gamma", 9) } },
};

static const row name_rows[] = {
    { "dangling alias, needed", PAIR, TRD_E_FORMAT, "'decoder/projection/weight': not found: it is an alias of 'nowhere'",
      { ALIASED("decoder/projection/weight", "nowhere"), { REMOVE, "alias 0", 0, 0, 0, 0, 0, NULL } } },
    { "dangling alias, not needed", PAIR, TRD_OK, "", { ALIASED("whatever", "nowhere") } },
    { "cyclic aliases, not needed", PAIR, TRD_OK, "", { ALIASED("a", "b"), ALIASED("b", "a"), ALIASED("c", "c") } },
    { "cyclic aliases, needed", PAIR, TRD_E_FORMAT, "'decoder/projection/weight': not found: it is an alias of 'b'",
      { { REMOVE, "alias 0", 0, 0, 0, 0, 0, NULL }, ALIASED("decoder/projection/weight", "b"), ALIASED("b", "decoder/projection/weight") } },
    { "alias over a variable", PAIR, TRD_OK, "", { ALIASED("decoder/layer_norm/gamma", "decoder/projection/bias") } },
    { "alias of an earlier alias", PAIR, TRD_OK, "", { { REMOVE, "alias 0", 0, 0, 0, 0, 0, NULL }, ALIASED("m", "decoder/embeddings/weight"), ALIASED("decoder/projection/weight", "m") } },
    { "alias of a later alias", PAIR, TRD_E_FORMAT, "alias of 'm'", { { REMOVE, "alias 0", 0, 0, 0, 0, 0, NULL }, ALIASED("decoder/projection/weight", "m"), ALIASED("m", "decoder/embeddings/weight") } },
    { "no projection", PAIR, TRD_E_FORMAT, "'decoder/projection/weight': not found", { { REMOVE, "alias 0", 0, 0, 0, 0, 0, NULL } } },
    { "no encoder layer", PAIR, TRD_E_FORMAT, "no 'encoder/layer_0'", { WITHOUT("encoder/layer_0/") } },
    { "gap in the layers", PAIR, TRD_E_FORMAT, "there is no 'decoder/layer_1'", { COPIED("decoder/layer_0", "decoder/layer_2") } },
    { "layer with a huge number", PAIR, TRD_E_FORMAT, "there is no 'encoder/layer_1'", { VECTOR("encoder/layer_99999999999999999999999/x", 1, 0) } },
    { "two layers", PAIR, TRD_OK, "", { COPIED("decoder/layer_0", "decoder/layer_1"), COPIED("encoder/layer_0", "encoder/layer_1") } },
    { "layer without its weight", PAIR, TRD_E_FORMAT, "'decoder/layer_0/ffn/linear_1/weight': not found", { WITHOUT("decoder/layer_0/ffn/linear_1/weight") } },
    { "norm without gamma", PAIR, TRD_E_FORMAT, "'encoder/layer_norm/gamma': not found", { WITHOUT("encoder/layer_norm/gamma") } },
    { "unknown variables", PAIR, TRD_OK, "", { VECTOR("decoder/nobody/knows", 3, 1), SCALAR_I8("encoder/layer_0/future", 5) } },
};

static const row shape_rows[] = {
    { "attribute with a dimension", PAIR, TRD_E_FORMAT, "'encoder/num_heads': storage is not a scalar", { SHAPED("encoder/num_heads", 1, 1, 1) } },
    { "attribute not finite", PAIR, TRD_E_FORMAT, "not finite", { SCALAR_F32(ENC "queries_scale", NAN) } },
    { "attribute infinite", PAIR, TRD_E_FORMAT, "'decoder/scale_outputs': the value is not finite", { SCALAR_F32("decoder/scale_outputs", INFINITY) } },
    { "attribute not whole", PAIR, TRD_E_FORMAT, "'encoder/num_heads': the value is 2.5", { SCALAR_F32("encoder/num_heads", 2.5) } },
    { "heads as a float", PAIR, TRD_OK, "", { SCALAR_F32("encoder/num_heads", 2) } },
    { "heads 0", PAIR, TRD_E_FORMAT, "'encoder/num_heads': the value is 0", { SCALAR_I16("encoder/num_heads", 0) } },
    { "heads negative", PAIR, TRD_E_FORMAT, "'decoder/num_heads': the value is -2", { SCALAR_I16("decoder/num_heads", -2) } },
    { "heads do not divide", PAIR, TRD_E_FORMAT, "3 heads do not divide the width 8", { SCALAR_I16("encoder/num_heads", 3) } },
    { "key heads do not divide", PAIR, TRD_E_FORMAT, "3 does not divide the 4 heads", { SCALAR_I16("encoder/num_heads", 4), SCALAR_I32(ENC "num_heads_kv", 3) } },
    { "key heads 0", PAIR, TRD_E_FORMAT, "num_heads_kv': the value is 0", { SCALAR_I32(ENC "num_heads_kv", 0) } },
    { "more key heads than heads", PAIR, TRD_E_FORMAT, "num_heads_kv': the value is 4", { SCALAR_I32(ENC "num_heads_kv", 4) } },
    { "grouped heads, fused rows of full heads", PAIR, TRD_E_FORMAT, "linear_0/weight': dimension 0 is 24, must be 16", { SCALAR_I32(ENC "num_heads_kv", 1) } },
    { "grouped heads", PAIR, TRD_OK, "", { SCALAR_I32(ENC "num_heads_kv", 1), MATRIX(ENC "linear_0/weight", 16, 8), VECTOR(ENC "linear_0/bias", 16, 0) } },
    { "multi-query", PAIR, TRD_OK, "", { SCALAR_I8(DEC "multi_query", 1), MATRIX(DEC "linear_0/weight", 16, 8), VECTOR(DEC "linear_0/bias", 16, 0) } },
    { "head width 0", PAIR, TRD_E_FORMAT, "head_dim': the value is 0", { SCALAR_I32(ENC "head_dim", 0) } },
    { "head width of its own", PAIR, TRD_OK, "", { SCALAR_I32(ENC "head_dim", 2), MATRIX(ENC "linear_0/weight", 12, 8), VECTOR(ENC "linear_0/bias", 12, 0), MATRIX(ENC "linear_1/weight", 8, 4) } },
    { "head width, output of another", PAIR, TRD_E_FORMAT, "linear_1/weight': dimension 1 is 8, must be 4", { SCALAR_I32(ENC "head_dim", 2), MATRIX(ENC "linear_0/weight", 12, 8), VECTOR(ENC "linear_0/bias", 12, 0) } },
    { "cross queries", PAIR, TRD_E_FORMAT, "attention/linear_0/weight': dimension 0 is 9, must be 8", { SHAPED(CROSS "linear_0/weight", 2, 9, 8) } },
    { "cross keys and values", PAIR, TRD_E_FORMAT, "attention/linear_1/weight': dimension 0 is 15, must be 16", { SHAPED(CROSS "linear_1/weight", 2, 15, 8) } },
    { "memory of another width", PAIR, TRD_E_FORMAT, "attention/linear_1/weight': dimension 1 is 7, must be 8", { SHAPED(CROSS "linear_1/weight", 2, 16, 7) } },
    { "cross output", PAIR, TRD_E_FORMAT, "attention/linear_2/weight': dimension 0 is 7, must be 8", { SHAPED(CROSS "linear_2/weight", 2, 7, 8) } },
    { "bias shorter than the rows", PAIR, TRD_E_FORMAT, "ffn/linear_0/bias': dimension 0 is 5, must be 6", { SHAPED("encoder/layer_0/ffn/linear_0/bias", 1, 5, 1) } },
    { "feed-forward widths differ", PAIR, TRD_E_FORMAT, "ffn/linear_1/weight': dimension 1 is 7, must be 6", { SHAPED("encoder/layer_0/ffn/linear_1/weight", 2, 8, 7) } },
    { "gate of another width", PAIR, TRD_E_FORMAT, "linear_0_noact/weight': dimension 0 is 7, must be 6", { MATRIX("encoder/layer_0/ffn/linear_0_noact/weight", 7, 8) } },
    { "gate", PAIR, TRD_OK, "", { MATRIX("encoder/layer_0/ffn/linear_0_noact/weight", 6, 8) } },
    { "norm of another width", PAIR, TRD_E_FORMAT, "'encoder/layer_norm/gamma': dimension 0 is 9, must be 8", { SHAPED("encoder/layer_norm/gamma", 1, 9, 1) } },
    { "beta of another width", PAIR, TRD_E_FORMAT, "'encoder/layer_norm/beta': dimension 0 is 7, must be 8", { SHAPED("encoder/layer_norm/beta", 1, 7, 1) } },
    { "norm of rank 2", PAIR, TRD_E_FORMAT, "'encoder/layer_norm/gamma': rank 2, must be 1", { SHAPED("encoder/layer_norm/gamma", 2, 8, 1) } },
    { "norm of integers", PAIR, TRD_E_FORMAT, "'encoder/layer_norm/gamma': type i16, must be a float", { TYPED("encoder/layer_norm/gamma", 2) } },
    { "root mean square norm", PAIR, TRD_OK, "", { WITHOUT("encoder/layer_norm/beta"), SCALAR_I8("encoder/layer_norm/layer_norm_use_residual", 1) } },
    { "weight of rank 1", PAIR, TRD_E_FORMAT, "rank 1, must be 2", { SHAPED("encoder/embeddings_0/weight", 1, 48, 1) } },
    { "empty embedding", PAIR, TRD_E_FORMAT, "'encoder/embeddings_0/weight': dimension 0 is 0", { SHAPED("encoder/embeddings_0/weight", 2, 0, 8) } },
    { "embedding without width", PAIR, TRD_E_FORMAT, "'encoder/embeddings_0/weight': dimension 1 is 0", { SHAPED("encoder/embeddings_0/weight", 2, 6, 0) } },
    { "projection of another width", PAIR, TRD_E_FORMAT, "'decoder/projection/weight': dimension 1 is 9, must be 8", { { REMOVE, "alias 0", 0, 0, 0, 0, 0, NULL }, MATRIX("decoder/projection/weight", 5, 9) } },
    { "packed words without a declaration", PAIR, TRD_E_FORMAT, "type i32", { TYPED("encoder/layer_0/ffn/linear_0/weight", 3) } },
    { "activation 7", PAIR, TRD_E_FORMAT, "'encoder/activation': the value is 7", { SCALAR_I8("encoder/activation", 7) } },
    { "activation -1", PAIR, TRD_E_FORMAT, "'decoder/activation': the value is -1", { SCALAR_I8("decoder/activation", -1) } },
    { "merge 2", PAIR, TRD_E_FORMAT, "'encoder/embeddings_merge': the value is 2", { SCALAR_I8("encoder/embeddings_merge", 2) } },
    { "alignment layer past the end", PAIR, TRD_E_FORMAT, "'decoder/alignment_layer': the value is 1", { SCALAR_I16("decoder/alignment_layer", 1) } },
    { "alignment layer before the start", PAIR, TRD_E_FORMAT, "'decoder/alignment_layer': the value is -2", { SCALAR_I16("decoder/alignment_layer", -2) } },
    { "alignment heads", PAIR, TRD_E_FORMAT, "'decoder/alignment_heads': the value is 3", { SCALAR_I16("decoder/alignment_heads", 3) } },
    { "negative soft cap", PAIR, TRD_E_FORMAT, "final_logit_softcapping", { SCALAR_F32("decoder/final_logit_softcapping", -1) } },
    { "odd width, no positions stored", ENCODER, TRD_E_FORMAT, "even width of at least 4, not 2",
      { SHAPED("encoder/embeddings_0/weight", 2, 6, 2), WITHOUT("encoder/layer_norm"), SHAPED(ENC "linear_0/weight", 2, 6, 2), SHAPED(ENC "linear_0/bias", 1, 6, 1), WITHOUT(ENC "layer_norm"),
        { SHAPE, "narrow", 0, 0, 0, 0, 0, NULL } } },
    { "positions of another width", PAIR, TRD_E_FORMAT, "'encoder/position_encodings/encodings': dimension 1 is 7, must be 8", { MATRIX("encoder/position_encodings/encodings", 20, 7) } },
    { "positions", PAIR, TRD_OK, "", { MATRIX("encoder/position_encodings/encodings", 20, 8) } },
    { "positions of another width, not used", PAIR, TRD_OK, "", { MATRIX("encoder/position_encodings/encodings", 20, 7), SCALAR_I32(ENC "rotary_dim", 0) } },
    { "projection into the width", PAIR, TRD_OK, "", { SHAPED("decoder/embeddings/weight", 2, 5, 4), MATRIX("decoder/project_in/weight", 8, 4), MATRIX("decoder/project_out/weight", 4, 8) } },
    { "projection from the wrong width", PAIR, TRD_E_FORMAT, "'decoder/project_in/weight': dimension 1 is 8, must be 4", { SHAPED("decoder/embeddings/weight", 2, 5, 4), MATRIX("decoder/project_in/weight", 8, 8) } },
};

static const row position_rows[] = {
    { "rotary odd", PAIR, TRD_E_FORMAT, "rotary_dim': 3 is odd", { SCALAR_I32(ENC "rotary_dim", 3) } },
    { "rotary -2", PAIR, TRD_E_FORMAT, "rotary_dim': the value is -2", { SCALAR_I32(ENC "rotary_dim", -2) } },
    { "rotary wider than the head", PAIR, TRD_E_FORMAT, "rotary_dim': the value is 6, must be an integer from -1 to 4", { SCALAR_I32(ENC "rotary_dim", 6) } },
    { "rotary off", PAIR, TRD_OK, "", { SCALAR_I32(ENC "rotary_dim", -1), SCALAR_I8(ENC "rotary_scaling_type", 9) } },
    { "rotary base 0", PAIR, TRD_E_FORMAT, "rotary_base': 0", { SCALAR_I32(ENC "rotary_dim", 0), SCALAR_F32(ENC "rotary_base", 0) } },
    { "rotary scaling 3", PAIR, TRD_E_FORMAT, "rotary_scaling_type': the value is 3", { SCALAR_I32(ENC "rotary_dim", 0), SCALAR_I8(ENC "rotary_scaling_type", 3) } },
    { "rotary factor 0", PAIR, TRD_E_FORMAT, "rotary_scaling_factor': 0", { SCALAR_I32(ENC "rotary_dim", 0), SCALAR_I8(ENC "rotary_scaling_type", 0), SCALAR_F32(ENC "rotary_scaling_factor", 0) } },
    { "rotary linear", PAIR, TRD_OK, "", { SCALAR_I32(ENC "rotary_dim", 2), SCALAR_I8(ENC "rotary_scaling_type", 0), SCALAR_F32(ENC "rotary_scaling_factor", 8) } },
    { "rotary low = high", PAIR, TRD_E_FORMAT, "0 < low < high", { SCALAR_I32(ENC "rotary_dim", 0), SCALAR_I8(ENC "rotary_scaling_type", 2), SCALAR_F32(ENC "rotary_low_freq_factor", 4) } },
    { "rotary llama 3 without its numbers", PAIR, TRD_OK, "", { SCALAR_I32(ENC "rotary_dim", 0), SCALAR_I8(ENC "rotary_scaling_type", 2) } },
    { "rotary su without factors", PAIR, TRD_E_FORMAT, "rotary_scaling_long_factor': not found", { SCALAR_I32(ENC "rotary_dim", 0), SCALAR_I8(ENC "rotary_scaling_type", 1) } },
    { "rotary su, 3 factors", PAIR, TRD_E_FORMAT, "rotary_scaling_long_factor': dimension 0 is 3, must be 2", { SCALAR_I32(ENC "rotary_dim", 0), SCALAR_I8(ENC "rotary_scaling_type", 1), VECTOR(ENC "rotary_scaling_long_factor", 3, 1) } },
    { "rotary su, a factor of 0", PAIR, TRD_E_FORMAT, "rotary_scaling_short_factor': factor 0 is 0",
      { SCALAR_I32(ENC "rotary_dim", 0), SCALAR_I8(ENC "rotary_scaling_type", 1), VECTOR(ENC "rotary_scaling_long_factor", 2, 1), VECTOR(ENC "rotary_scaling_short_factor", 2, 0) } },
    { "rotary su", PAIR, TRD_OK, "", { SCALAR_I32(ENC "rotary_dim", 0), SCALAR_I8(ENC "rotary_scaling_type", 1), VECTOR(ENC "rotary_scaling_long_factor", 2, 2), VECTOR(ENC "rotary_scaling_short_factor", 2, 1) } },
    { "relative keys, even", PAIR, TRD_E_FORMAT, "relative_position_keys': 4 rows, must be odd", { MATRIX(ENC "relative_position_keys", 4, 4) } },
    { "relative keys of another width", PAIR, TRD_E_FORMAT, "relative_position_keys': dimension 1 is 8, must be 4", { MATRIX(ENC "relative_position_keys", 5, 8) } },
    { "relative values, other rows", PAIR, TRD_E_FORMAT, "relative_position_values': dimension 0 is 7, must be 5", { MATRIX(ENC "relative_position_keys", 5, 4), MATRIX(ENC "relative_position_values", 7, 4) } },
    { "relative values alone", PAIR, TRD_E_FORMAT, "stored without relative_position_keys", { MATRIX(ENC "relative_position_values", 5, 4) } },
    { "relative keys", PAIR, TRD_OK, "", { MATRIX(ENC "relative_position_keys", 5, 4), MATRIX(ENC "relative_position_values", 5, 4) } },
    { "bias of other heads", PAIR, TRD_E_FORMAT, "relative_attention_bias': dimension 1 is 3, must be 2", { MATRIX(ENC "relative_attention_bias", 8, 3) } },
    { "bias of 3 rows", PAIR, TRD_E_FORMAT, "3 rows, at least 4 are needed", { MATRIX(ENC "relative_attention_bias", 3, 2), SCALAR_I32(ENC "relative_attention_max_distance", 20) } },
    { "decoder bias of 1 row", PAIR, TRD_E_FORMAT, "1 rows, at least 2 are needed", { MATRIX(DEC "relative_attention_bias", 1, 2), SCALAR_I32(DEC "relative_attention_max_distance", 20) } },
    { "bias without its distance", PAIR, TRD_E_FORMAT, "relative_attention_max_distance': not found", { MATRIX(ENC "relative_attention_bias", 8, 2) } },
    { "bias, distance within the exact range", PAIR, TRD_E_FORMAT, "relative_attention_max_distance': 2, must be above 2 for 8 rows", { MATRIX(ENC "relative_attention_bias", 8, 2), SCALAR_I32(ENC "relative_attention_max_distance", 2) } },
    { "bias, distance one above", PAIR, TRD_OK, "", { MATRIX(ENC "relative_attention_bias", 8, 2), SCALAR_I32(ENC "relative_attention_max_distance", 3) } },
    { "decoder bias, distance within", PAIR, TRD_E_FORMAT, "must be above 4 for 8 rows", { MATRIX(DEC "relative_attention_bias", 8, 2), SCALAR_I32(DEC "relative_attention_max_distance", 4) } },
    { "bias in one of two layers", PAIR, TRD_E_FORMAT, "has a relative attention bias, but not both",
      { COPIED("encoder/layer_0", "encoder/layer_1"), MATRIX(ENC "relative_attention_bias", 8, 2), SCALAR_I32(ENC "relative_attention_max_distance", 20) } },
    { "asymmetric keys without their sides", PAIR, TRD_E_FORMAT, "relative_left_max_position': not found", { MATRIX(ENC "relative_asymmetric_position_keys", 4, 4) } },
    { "asymmetric keys, other rows", PAIR, TRD_E_FORMAT, "4 rows, must be 6", { MATRIX(ENC "relative_asymmetric_position_keys", 4, 4), SCALAR_I32(ENC "relative_left_max_position", 3), SCALAR_I32(ENC "relative_right_max_position", 2) } },
    { "asymmetric keys", PAIR, TRD_OK, "", { MATRIX(ENC "relative_asymmetric_position_keys", 6, 4), SCALAR_I32(ENC "relative_left_max_position", 3), SCALAR_I32(ENC "relative_right_max_position", 2) } },
    { "asymmetric keys in a decoder", PAIR, TRD_E_UNSUPPORTED, "only encoders", { MATRIX(DEC "relative_asymmetric_position_keys", 1, 4) } },
    { "alibi with rotary", PAIR, TRD_E_FORMAT, "rotary embeddings together with ALiBi", { SCALAR_I8("decoder/alibi", 1), SCALAR_I32(DEC "rotary_dim", 0) } },
    { "alibi", PAIR, TRD_OK, "", { SCALAR_I8("decoder/alibi", 1), SCALAR_I8("decoder/scale_alibi", 1) } },
    { "window negative", PAIR, TRD_E_FORMAT, "sliding_window': the value is -1", { SCALAR_I32(DEC "sliding_window", -1) } },
    { "head norm of the model's width", PAIR, TRD_E_FORMAT, "q_norm/gamma': dimension 0 is 8, must be 4", { VECTOR(DEC "q_norm/gamma", 8, 1) } },
    { "head norms", PAIR, TRD_OK, "", { VECTOR(DEC "q_norm/gamma", 4, 1), VECTOR(CROSS "k_norm/gamma", 4, 1), VECTOR(DEC "v_norm/gamma", 4, 1) } },
};

#define PRE_POST(layer) ANY_NORM(layer "/input_layer_norm"), ANY_NORM(layer "/post_attention_layer_norm"), ANY_NORM(layer "/pre_feedforward_layer_norm"), ANY_NORM(layer "/post_feedforward_layer_norm")

static const row form_rows[] = {
    { "cross-attention in one of two layers", PAIR, TRD_E_FORMAT, "has cross-attention, but not both", { COPIED("decoder/layer_0", "decoder/layer_1"), WITHOUT("decoder/layer_1/attention") } },
    { "no cross-attention", PAIR, TRD_E_UNSUPPORTED, "no cross-attention", { WITHOUT("decoder/layer_0/attention") } },
    { "cross-attention without an encoder", DECODER, TRD_E_FORMAT, "has cross-attention, but the model has no encoder", { COPIED("decoder/layer_0/self_attention", "decoder/layer_0/attention") } },
    { "cross-attention in the parallel form", PAIR, TRD_E_UNSUPPORTED, "cross-attention in the parallel form", { ANY_NORM("decoder/layer_0/shared_layer_norm") } },
    { "parallel, shared norm", DECODER, TRD_OK, "", { ANY_NORM("decoder/layer_0/shared_layer_norm"), WITHOUT(DEC "layer_norm"), WITHOUT("decoder/layer_0/ffn/layer_norm") } },
    { "parallel with a norm inside", DECODER, TRD_OK, "", { ANY_NORM("decoder/layer_0/shared_layer_norm") } },
    { "parallel, two norms", DECODER, TRD_OK, "",
      { ANY_NORM("decoder/layer_0/input_layer_norm"), ANY_NORM("decoder/layer_0/post_attention_layer_norm"), WITHOUT(DEC "layer_norm"), WITHOUT("decoder/layer_0/ffn/layer_norm") } },
    { "parallel, input norm only", DECODER, TRD_OK, "", { ANY_NORM("decoder/layer_0/input_layer_norm"), WITHOUT(DEC "layer_norm"), WITHOUT("decoder/layer_0/ffn/layer_norm") } },
    { "second norm without the first", DECODER, TRD_E_FORMAT, "post_attention_layer_norm without input_layer_norm", { ANY_NORM("decoder/layer_0/post_attention_layer_norm") } },
    { "three of four norms", DECODER, TRD_E_FORMAT, "has 3 of the four norms",
      { ANY_NORM("decoder/layer_0/input_layer_norm"), ANY_NORM("decoder/layer_0/pre_feedforward_layer_norm"), ANY_NORM("decoder/layer_0/post_feedforward_layer_norm") } },
    { "two of four norms in an encoder", ENCODER, TRD_E_FORMAT, "has 2 of the four norms", { ANY_NORM("encoder/layer_0/input_layer_norm"), ANY_NORM("encoder/layer_0/post_attention_layer_norm") } },
    { "pre/post encoder", ENCODER, TRD_OK, "", { PRE_POST("encoder/layer_0"), WITHOUT(ENC "layer_norm"), WITHOUT("encoder/layer_0/ffn/layer_norm") } },
    { "pre/post decoder", DECODER, TRD_OK, "", { PRE_POST("decoder/layer_0"), WITHOUT(DEC "layer_norm"), WITHOUT("decoder/layer_0/ffn/layer_norm") } },
    { "merged attention without a memory", DECODER, TRD_E_FORMAT, "merged attention without a memory", { MATRIX(DEC "memory_kv/weight", 16, 8) } },
    { "merged attention in an encoder", ENCODER, TRD_E_FORMAT, "merged attention without a memory", { MATRIX(ENC "memory_kv/weight", 16, 8) } },
    { "merged beside cross-attention", PAIR, TRD_E_FORMAT, "both cross-attention and merged attention", { MATRIX(DEC "memory_kv/weight", 16, 8) } },
    { "merged attention outside pre/post", PAIR, TRD_E_UNSUPPORTED, "outside the pre/post form", { MATRIX(DEC "memory_kv/weight", 16, 8), WITHOUT("decoder/layer_0/attention") } },
    { "merged attention of another memory", PAIR, TRD_E_FORMAT, "memory_kv/weight': dimension 1 is 7, must be 8", { MATRIX(DEC "memory_kv/weight", 16, 7), WITHOUT("decoder/layer_0/attention") } },
    { "two tables, one vocabulary", PAIR, TRD_E_FORMAT, "1 source vocabularies, but the encoder has 2 embedding tables", { SCALAR_I8("encoder/embeddings_merge", 1), MATRIX("encoder/embeddings_1/weight", 9, 8) } },
    { "added tables of two widths", PAIR, TRD_E_FORMAT, "'encoder/embeddings_1/weight': dimension 1 is 4, must be 8", { SCALAR_I8("encoder/embeddings_merge", 1), MATRIX("encoder/embeddings_1/weight", 9, 4) } },
    { "concatenated tables wider than the layers", PAIR, TRD_E_FORMAT, "must be 12", { MATRIX("encoder/embeddings_1/weight", 9, 4) } },
    { "pooler", ENCODER, TRD_OK, "", { MATRIX("pooler_dense/weight", 8, 8), VECTOR("pooler_dense/bias", 8, 0), SCALAR_I8("pooler_activation", 5) } },
    { "pooler of another width", ENCODER, TRD_E_FORMAT, "'pooler_dense/weight': dimension 1 is 7, must be 8", { MATRIX("pooler_dense/weight", 8, 7) } },
    { "pooler activation 7", ENCODER, TRD_E_FORMAT, "'pooler_activation': the value is 7", { MATRIX("pooler_dense/weight", 8, 8), SCALAR_I8("pooler_activation", 7) } },
    { "two tables of an encoder", ENCODER, TRD_OK, "", { SCALAR_I8("encoder/embeddings_merge", 1), MATRIX("encoder/embeddings_1/weight", 2, 8) } },
};

static const row scale_rows[] = {
    { "i8", PAIR, TRD_OK, "", { CONVERTED(1) } },
    { "i16", PAIR, TRD_OK, "", { CONVERTED(2) } },
    { "f16", PAIR, TRD_OK, "", { CONVERTED(4) } },
    { "bf16", PAIR, TRD_OK, "", { CONVERTED(5) } },
    { "i16 without scales", PAIR, TRD_OK, "", { CONVERTED(2), WITHOUT("decoder/layer_0/ffn/linear_0/weight_scale") } },
    { "i8 without a scale", PAIR, TRD_E_FORMAT, "'decoder/layer_0/ffn/linear_0/weight_scale' not found", { CONVERTED(1), WITHOUT("decoder/layer_0/ffn/linear_0/weight_scale") } },
    { "i8 with one scale too few", PAIR, TRD_E_FORMAT, "5 scales, 'decoder/layer_0/ffn/linear_0/weight' needs 6", { CONVERTED(1), SHAPED("decoder/layer_0/ffn/linear_0/weight_scale", 1, 5, 1) } },
    { "i8 with one scale for all", PAIR, TRD_E_FORMAT, "1 scales", { CONVERTED(1), SHAPED("decoder/layer_0/ffn/linear_0/weight_scale", 0, 1, 1) } },
    { "i16 with a scale per row", PAIR, TRD_E_FORMAT, "needs 1", { CONVERTED(2), SHAPED("decoder/layer_0/ffn/linear_0/weight_scale", 1, 6, 1) } },
    { "scale of f16", PAIR, TRD_E_FORMAT, "type f16, must be f32", { CONVERTED(1), TYPED("decoder/layer_0/ffn/linear_0/weight_scale", 4) } },
    { "scale 0", PAIR, TRD_E_FORMAT, "scale 0 is 0", { CONVERTED(1), FILLED("decoder/layer_0/ffn/linear_0/weight_scale", 0) } },
    { "scale negative", PAIR, TRD_E_FORMAT, "scale 0 is -3", { CONVERTED(1), FILLED("decoder/layer_0/ffn/linear_0/weight_scale", -3) } },
    { "scale not a number", PAIR, TRD_E_FORMAT, "nan", { CONVERTED(1), FILLED("decoder/layer_0/ffn/linear_0/weight_scale", NAN) } },
    { "scale infinite", PAIR, TRD_E_FORMAT, "inf", { CONVERTED(2), FILLED("decoder/layer_0/ffn/linear_0/weight_scale", INFINITY) } },
};

#define AWQ_CONFIG(type) CONFIGURED("{" TOKENS ", \"quantization_type\": " type "}")
#define PACKED(w0, w1, z0, z1, s0, s1) { SET, "x/weight", 3, 2, w0, w1, 0, NULL }, { SET, "x/weight_zero", 3, 2, z0, z1, 0, NULL }, { SET, "x/weight_scale", 4, 2, s0, s1, 0, NULL }

static const row awq_rows[] = {
    { "packed, type 1", DECODER, TRD_OK, "", { AWQ_CONFIG("1"), PACKED(64, 8, 2, 8, 2, 64) } },
    { "packed, type 2", DECODER, TRD_OK, "", { AWQ_CONFIG("2"), PACKED(64, 8, 64, 1, 64, 8) } },
    { "packed, but not declared", DECODER, TRD_E_FORMAT, "quantization_type of config.json is 0", { PACKED(64, 8, 2, 8, 2, 64) } },
    { "packed, groups do not divide", DECODER, TRD_E_FORMAT, "do not fit quantization_type 1", { AWQ_CONFIG("1"), PACKED(64, 8, 3, 8, 3, 64) } },
    { "packed, scales of another width", DECODER, TRD_E_FORMAT, "do not fit quantization_type 1", { AWQ_CONFIG("1"), PACKED(64, 8, 2, 8, 2, 60) } },
    { "packed, rows differ", DECODER, TRD_E_FORMAT, "do not fit quantization_type 2", { AWQ_CONFIG("2"), PACKED(64, 8, 32, 1, 32, 8) } },
    { "packed without scale", DECODER, TRD_E_FORMAT, "there is no weight_scale beside it", { AWQ_CONFIG("1"), PACKED(64, 8, 2, 8, 2, 64), WITHOUT("x/weight_scale") } },
    { "packed without weight", DECODER, TRD_E_FORMAT, "there is no weight beside it", { AWQ_CONFIG("1"), { SET, "x/weight_zero", 3, 2, 2, 8, 0, NULL }, { SET, "x/weight_scale", 4, 2, 2, 64, 0, NULL } } },
    { "packed scales of f32", DECODER, TRD_E_FORMAT, "type f32, must be f16", { AWQ_CONFIG("1"), PACKED(64, 8, 2, 8, 2, 64), TYPED("x/weight_scale", 0) } },
    { "quantization type 3", DECODER, TRD_E_UNSUPPORTED, "'quantization_type' is 3", { AWQ_CONFIG("3") } },
    { "quantization type \"1\"", DECODER, TRD_E_FORMAT, "'quantization_type' must be an integer", { AWQ_CONFIG("\"1\"") } },
};

static const row config_rows[] = {
    { "no config", PAIR, TRD_E_FORMAT, "config.json' is missing, and with it 'unk_token'", { CONFIGURED("") } },
    { "no config in version 5", PAIR, TRD_OK, "", { CONFIGURED(""), HEADED(5, 7, "TransformerSpec") } },
    { "empty object", PAIR, TRD_E_FORMAT, "'unk_token' must be a string", { CONFIGURED("{}") } },
    { "an array", PAIR, TRD_E_FORMAT, "must be an object", { CONFIGURED("[]") } },
    { "a number", PAIR, TRD_E_FORMAT, "config.json': line 1", { CONFIGURED("7") } },
    { "not closed", PAIR, TRD_E_FORMAT, "config.json': line 1", { CONFIGURED("{\"unk_token\": \"<unk>\"") } },
    { "text after the end", PAIR, TRD_E_FORMAT, "config.json': line 1", { CONFIGURED("{" TOKENS "} x") } },
    { "duplicate key", PAIR, TRD_E_FORMAT, "duplicate object key", { CONFIGURED("{" TOKENS ", \"unk_token\": \"a\"}") } },
    { "invalid UTF-8", PAIR, TRD_E_FORMAT, "config.json': line 1", { CONFIGURED("{" TOKENS ", \"x\": \"\xff\"}") } },
    { "lone surrogate", PAIR, TRD_E_FORMAT, "config.json': line 1", { CONFIGURED("{" TOKENS ", \"x\": \"\\ud800\"}") } },
    { "NUL in a token", PAIR, TRD_E_FORMAT, "config.json': line 1", { CONFIGURED("{" TOKENS ", \"x\": \"\\u0000\"}") } },
    { "huge integer", PAIR, TRD_E_FORMAT, "too big integer", { CONFIGURED("{" TOKENS ", \"x\": 99999999999999999999999999}") } },
    { "huge real", PAIR, TRD_E_FORMAT, "real number overflow", { CONFIGURED("{" TOKENS ", \"layer_norm_epsilon\": 1e999}") } },
    { "byte-order mark", PAIR, TRD_OK, "", { CONFIGURED("\xef\xbb\xbf{" TOKENS "}") } },
    { "unknown keys", PAIR, TRD_OK, "", { CONFIGURED("{" TOKENS ", \"x\": {\"y\": [1, 2.5, null]}}") } },
    { "token of a number", PAIR, TRD_E_FORMAT, "'bos_token' must be a string", { CONFIGURED("{\"unk_token\": \"<unk>\", \"bos_token\": 3}") } },
    { "token null", PAIR, TRD_E_FORMAT, "'eos_token' must be a string", { CONFIGURED("{\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": null}") } },
    { "no start token key", PAIR, TRD_E_FORMAT, "'decoder_start_token' must be a string or null", { CONFIGURED("{\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}") } },
    { "start token null", PAIR, TRD_OK, "", { CONFIGURED("{\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"decoder_start_token\": null}") } },
    { "flag of a number", PAIR, TRD_E_FORMAT, "'add_source_eos' must be true or false", { CONFIGURED("{" TOKENS ", \"add_source_eos\": 1}") } },
    { "flag null", PAIR, TRD_E_FORMAT, "'add_source_bos' must be true or false", { CONFIGURED("{" TOKENS ", \"add_source_bos\": null}") } },
    { "epsilon of a string", PAIR, TRD_E_FORMAT, "'layer_norm_epsilon' must be a number or null", { CONFIGURED("{" TOKENS ", \"layer_norm_epsilon\": \"1e-5\"}") } },
    { "epsilon negative", PAIR, TRD_E_FORMAT, "'layer_norm_epsilon' must be a finite number", { CONFIGURED("{" TOKENS ", \"layer_norm_epsilon\": -1e-5}") } },
    { "epsilon past f32", PAIR, TRD_E_FORMAT, "'layer_norm_epsilon' must be a finite number", { CONFIGURED("{" TOKENS ", \"layer_norm_epsilon\": 1e300}") } },
    { "epsilon", PAIR, TRD_OK, "", { CONFIGURED("{" TOKENS ", \"layer_norm_epsilon\": 0.125}") } },
    { "stored token of floats", PAIR, TRD_E_FORMAT, "'unk_token': a text must be i8 of rank 1, not f32", { HEADED(4, 7, "TransformerSpec"), VECTOR("unk_token", 3, 65) } },
    { "stored token with NUL", PAIR, TRD_E_FORMAT, "'eos_token': the text holds NUL", { HEADED(4, 7, "TransformerSpec"), { SET, "eos_token", 1, 1, 3, 1, 0, NULL } } },
    { "stored flag with a dimension", PAIR, TRD_E_FORMAT, "'with_target_bos': storage is not a scalar", { HEADED(4, 7, "TransformerSpec"), { SET, "with_target_bos", 1, 1, 1, 1, 0, NULL } } },
};

/* The only edit that no row can say in two numbers: an encoder of width 2 with one head of 2. */
static void narrow(model_builder *b)
{
    builder_set(b, "encoder/num_heads", 2, 0, 1, 1, 1.0);
    builder_set(b, ENC "linear_1/weight", 0, 2, 2, 2, 0.0);
    builder_set(b, ENC "linear_1/bias", 0, 1, 2, 1, 0.0);
    builder_remove(b, "encoder/layer_0/ffn/layer_norm");
    builder_set(b, "encoder/layer_0/ffn/linear_0/weight", 0, 2, 6, 2, 0.0);
    builder_set(b, "encoder/layer_0/ffn/linear_1/weight", 0, 2, 2, 6, 0.0);
    builder_set(b, "encoder/layer_0/ffn/linear_1/bias", 0, 1, 2, 1, 0.0);
}

static void count(model_builder *b, const edit *e)
{
    if (strcmp(e->name, "variables") == 0) b->n_tensors_stored = (int64_t)e->a;
    else if (strcmp(e->name, "aliases") == 0) b->n_aliases_stored = (int64_t)e->a;
    else builder_find(b, e->name)->count = (int64_t)e->a;
}

static void shape(model_builder *b, const edit *e)
{
    if (strcmp(e->name, "narrow") == 0) {
        narrow(b);
        return;
    }
    built_tensor *t = builder_find(b, e->name);
    CHECK(t != NULL);
    t->rank = (int)e->a;
    t->dims[0] = (uint32_t)e->b;
    t->dims[1] = (uint32_t)e->c;
}

static void apply(model_builder *b, const edit *e)
{
    switch (e->op) {
    case SET: builder_set(b, e->name, (int)e->a, (int)e->b, (int64_t)e->c, (int64_t)e->d, e->e); break;
    case REMOVE:
        if (strcmp(e->name, "alias 0") == 0) {
            b->n_aliases--;
            memmove(b->aliases[0], b->aliases[1], sizeof b->aliases[0] * 31);
        } else {
            builder_remove(b, e->name);
        }
        break;
    case ALIAS: builder_alias(b, e->name, e->text); break;
    case COPY: builder_copy_scope(b, e->name, e->text); break;
    case FILL: builder_find(b, e->name)->fill = e->a; break;
    case SHAPE: shape(b, e); break;
    case DTYPE: builder_find(b, e->name)->dtype = (int)e->a; break;
    case CONVERT: builder_convert(b, (int)e->a); break;
    case COUNT: count(b, e); break;
    case CONFIG: (void)snprintf(b->config, sizeof b->config, "%s", e->text); break;
    case HEAD:
        b->version = (uint32_t)e->a;
        b->revision = (uint32_t)e->b;
        b->spec = e->text;
        break;
    default: CHECK(false);
    }
}

static int64_t n_refused, n_accepted;

static void run_row(const row *r)
{
    static model_builder b;
    if (r->base == PAIR) builder_pair(&b);
    else if (r->base == DECODER) builder_decoder(&b);
    else builder_encoder(&b);
    for (size_t i = 0; i < 6 && r->edits[i].op != END; i++) apply(&b, &r->edits[i]);
    trd_model *model = (trd_model *)&b;    /* must be overwritten */
    const trd_status status = builder_open(&b, &model);
    if (status != r->status || (status != TRD_OK && strstr(trd_last_error(), r->part) == NULL)) {
        fprintf(stderr, "%s: wanted %s with \"%s\", got %s: %s\n", r->what, trd_status_text(r->status), r->part, trd_status_text(status), trd_last_error());
        exit(1);
    }
    CHECK((status == TRD_OK) == (model != NULL));
    CHECK(status == TRD_OK || trdi_utf8_valid(trd_last_error(), strlen(trd_last_error())));
    trd_model_close(model);
    if (status == TRD_OK) n_accepted++;
    else n_refused++;
}

/* Strings as no builder writes them: patches of the bytes of the first name. */
static void check_strings(void)
{
    static const struct { int at, value; const char *part; } patches[] = {
        { -2, 0, "holds the byte 0x00" },    /* one byte short: the old end is inside, or the new end is no NUL */
        { 0, 0xc3, "holds the byte 0xc3" }, { 3, 0, "holds the byte 0x00" }, { 5, '\n', "holds the byte 0x0a" },
        { 17, 'x', "does not end with NUL" },    /* the NUL after "encoder/num_heads" */
    };
    static model_builder b;
    static const char name[] = "encoder/num_heads";
    builder_pair(&b);
    for (size_t i = 0; i < sizeof patches / sizeof patches[0]; i++) {
        built_file file;
        trd_model *model;
        builder_write(&b, &file);
        size_t at = 0;
        while (memcmp(file.data + at, name, sizeof name) != 0) at++;
        if (patches[i].at == -2) file.data[at - 2]++;
        else file.data[at + (size_t)patches[i].at] = (uint8_t)patches[i].value;
        CHECK_FAILS(builder_open_bytes(&b, file.data, file.bytes, &model), TRD_E_FORMAT, patches[i].part);
        file.data[at - 2] = 0;
        CHECK_FAILS(builder_open_bytes(&b, file.data, file.bytes, &model), TRD_E_FORMAT, "has length 0");
        n_refused += 2;
        built_file_free(&file);
    }
}

static int n_warnings;

static void count_warning(void *context, trd_log_level level, const char *text)
{
    (void)context;
    if (level == TRD_LOG_WARNING && strstr(text, "built/model.bin") != NULL) n_warnings++;
}

/* What is let through with a warning: bytes after the end, and names that occur twice. */
static void check_warnings(void)
{
    static model_builder b;
    built_file file;
    trd_model *model;
    trd_log_set(TRD_LOG_WARNING, count_warning, NULL);
    builder_pair(&b);
    b.tensors[b.n_tensors] = *builder_find(&b, "encoder/layer_norm/gamma");
    b.tensors[b.n_tensors++].fill = 9.0;
    builder_write(&b, &file);
    CHECK_OK(builder_open_bytes(&b, file.data, file.bytes, &model));
    float value;
    trdi_tensor_read_f32(model->encoder.output_norm.gamma, 7, 1, &value);
    CHECK_NEAR(value, 1.0, 0.0);    /* the first one */
    CHECK_INT(n_warnings, 1);
    trd_model_close(model);
    built_file_free(&file);
    builder_pair(&b);
    builder_write(&b, &file);
    CHECK(file.capacity > file.bytes);
    file.data[file.bytes] = 1;
    CHECK_OK(builder_open_bytes(&b, file.data, file.bytes + 1, &model));
    CHECK_INT(n_warnings, 2);
    trd_model_close(model);
    built_file_free(&file);
    trd_log_set(TRD_LOG_OFF, NULL, NULL);
}

#define RUN(rows) for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) run_row(&rows[i])

int main(void)
{
    RUN(head_rows);
    RUN(name_rows);
    RUN(shape_rows);
    RUN(position_rows);
    RUN(form_rows);
    RUN(scale_rows);
    RUN(awq_rows);
    RUN(config_rows);
    check_strings();
    check_warnings();
    size_t blocks;
    trd_memory_in_use(NULL, &blocks);
    CHECK_INT(blocks, 0);
    printf("malformed files tried: %" PRId64 ", unusual but sound ones opened: %" PRId64 "\n", n_refused, n_accepted);
    return 0;
}
