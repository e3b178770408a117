/*
 * config.c: config.json, and the variables that held its values before binary version 6. Only the keys that change a result are
 * read; the others are for tools.
 */
#include <math.h>
#include <string.h>

#include "core/alloc.h"
#include "model/model_private.h"

typedef struct reader {
    const trdi_container *container;
    const char   *label;    /* path of config.json for messages */
    const json_t *root;     /* NULL: there is no such file */
    trdi_config  *config;
} reader;

static trd_status set_token(const reader *in, const char *key, const char *text, size_t bytes, trdi_token *out)
{
    char *copy = trdi_strndup(text, bytes);
    if (copy == NULL) return trdi_fail(TRD_E_MEMORY, "'%s' of '%s': %zu bytes", key, in->label, bytes);
    trdi_free(out->data);
    *out = (trdi_token){ copy, bytes };
    return TRD_OK;
}

static trd_status fail_key(const reader *in, const char *key, const char *wanted)
{
    if (in->root == NULL) return trdi_fail(TRD_E_FORMAT, "file '%s' is missing, and with it '%s', %s", in->label, key, wanted);
    return trdi_fail(TRD_E_FORMAT, "file '%s': '%s' must be %s", in->label, key, wanted);
}

static trd_status read_token(const reader *in, const char *key, bool nullable, trdi_token *out)
{
    const json_t *value = json_object_get(in->root, key);
    if (nullable && json_is_null(value)) return TRD_OK;
    if (!json_is_string(value)) return fail_key(in, key, nullable ? "a string or null" : "a string");
    return set_token(in, key, json_string_value(value), json_string_length(value), out);
}

static trd_status read_bool(const reader *in, const char *key, bool *out)
{
    const json_t *value = json_object_get(in->root, key);
    if (value != NULL && !json_is_boolean(value)) return fail_key(in, key, "true or false");
    *out = json_is_true(value);
    return TRD_OK;
}

static trd_status read_epsilon(const reader *in)
{
    static const char key[] = "layer_norm_epsilon";
    const json_t *value = json_object_get(in->root, key);
    if (value == NULL || json_is_null(value)) return TRD_OK;
    if (!json_is_number(value)) return fail_key(in, key, "a number or null");
    const float epsilon = (float)json_number_value(value);
    if (!isfinite(epsilon) || epsilon < 0.0f) return fail_key(in, key, "a finite number that is not negative");
    in->config->has_epsilon = true;
    in->config->epsilon = epsilon;
    return TRD_OK;
}

static trd_status read_quantization(const reader *in)
{
    static const char key[] = "quantization_type";
    const json_t *value = json_object_get(in->root, key);
    if (value == NULL || json_is_null(value)) return TRD_OK;
    if (!json_is_integer(value)) return fail_key(in, key, "an integer");
    const json_int_t type = json_integer_value(value);
    if (type < 0 || type > 2) {
        return trdi_fail(TRD_E_UNSUPPORTED, "file '%s': quantization type is not supported: '%s' is %lld, known are 0, 1 and 2",
                         in->label, key, (long long)type);
    }
    in->config->quantization_type = type;
    return TRD_OK;
}

/* Tokens of binary version 6. */
static trd_status read_tokens(const reader *in, trdi_family family)
{
    trdi_config *config = in->config;
    TRDI_TRY(read_token(in, "unk_token", false, &config->unk));
    TRDI_TRY(read_token(in, "bos_token", false, &config->bos));
    TRDI_TRY(read_token(in, "eos_token", false, &config->eos));
    if (family != TRDI_FAMILY_SEQ2SEQ) return TRD_OK;
    TRDI_TRY(read_token(in, "decoder_start_token", true, &config->decoder_start));
    TRDI_TRY(read_bool(in, "add_source_bos", &config->add_source_bos));
    return read_bool(in, "add_source_eos", &config->add_source_eos);
}

/* A text stored as a variable: its bytes, without NUL. */
static trd_status read_stored_token(const reader *in, const char *name, const char *absent, trdi_token *out)
{
    const trdi_tensor *tensor = trdi_registry_find(in->container, name);
    if (tensor == NULL) return set_token(in, name, absent, strlen(absent), out);
    if (tensor->rank != 1 || tensor->dtype != TRD_DTYPE_I8) {
        return trdi_variable_fail(in->container, TRD_E_FORMAT, "", name, "a text must be i8 of rank 1, not %s of rank %d",
                                  trd_dtype_name(tensor->dtype), (int)tensor->rank);
    }
    if (tensor->bytes != 0 && memchr(tensor->data, 0, tensor->bytes) != NULL) return trdi_variable_fail(in->container, TRD_E_FORMAT, "", name, "the text holds NUL");
    return set_token(in, name, (const char *)tensor->data, tensor->bytes, out);
}

/* Tokens of binary versions 1 to 5; what config.json says about them does not count. */
static trd_status read_stored_tokens(const reader *in, trdi_family family)
{
    trdi_config *config = in->config;
    TRDI_TRY(read_stored_token(in, "unk_token", "<unk>", &config->unk));
    TRDI_TRY(read_stored_token(in, "bos_token", "<s>", &config->bos));
    TRDI_TRY(read_stored_token(in, "eos_token", "</s>", &config->eos));
    if (family != TRDI_FAMILY_SEQ2SEQ) return TRD_OK;
    bool user_start, bos_start;
    TRDI_TRY(trdi_attribute_flag(in->container, "", "with_source_bos", false, &config->add_source_bos));
    TRDI_TRY(trdi_attribute_flag(in->container, "", "with_source_eos", false, &config->add_source_eos));
    TRDI_TRY(trdi_attribute_flag(in->container, "", "user_decoder_start_tokens", false, &user_start));
    TRDI_TRY(trdi_attribute_flag(in->container, "", "with_target_bos", true, &bos_start));
    if (user_start) return TRD_OK;
    const trdi_token *start = bos_start ? &config->bos : &config->eos;
    return set_token(in, "decoder_start_token", start->data, start->bytes, &config->decoder_start);
}

/* Families whose tokens are fixed by their training. */
static trd_status set_family_tokens(const reader *in, trdi_family family)
{
    const bool whisper = family == TRDI_FAMILY_WHISPER;
    const char *unk = whisper ? "<|endoftext|>" : "[UNK]";
    const char *bos = whisper ? "<|startoftranscript|>" : "<s>";
    const char *eos = whisper ? "<|endoftext|>" : "</s>";
    TRDI_TRY(set_token(in, "unk_token", unk, strlen(unk), &in->config->unk));
    TRDI_TRY(set_token(in, "bos_token", bos, strlen(bos), &in->config->bos));
    return set_token(in, "eos_token", eos, strlen(eos), &in->config->eos);
}

static trd_status read_values(const reader *in)
{
    const trdi_family family = in->container->spec->family;
    TRDI_TRY(read_epsilon(in));
    TRDI_TRY(read_quantization(in));
    if (family != TRDI_FAMILY_SEQ2SEQ && family != TRDI_FAMILY_DECODER && family != TRDI_FAMILY_ENCODER) return set_family_tokens(in, family);
    return in->container->version >= 6 ? read_tokens(in, family) : read_stored_tokens(in, family);
}

trd_status trdi_config_read(const trdi_model_files *files, const trdi_container *c, trdi_config *out)
{
    trdi_model_file file;
    bool found;
    TRDI_TRY(trdi_model_file_find(files, "config.json", &file, &found));
    reader in = { c, found ? file.label : "config.json", NULL, out };
    json_t *root = NULL;
    trd_status status = found ? trdi_json_parse(&file, 0, &root) : TRD_OK;
    if (status == TRD_OK && found && !json_is_object(root)) status = trdi_fail(TRD_E_FORMAT, "file '%s': must be an object", file.label);
    in.root = root;
    if (status == TRD_OK) status = read_values(&in);
    json_decref(root);
    trdi_model_file_close(&file);
    return status;
}

void trdi_config_free(trdi_config *config)
{
    trdi_free(config->unk.data);
    trdi_free(config->bos.data);
    trdi_free(config->eos.data);
    trdi_free(config->decoder_start.data);
    *config = (trdi_config){ 0 };
}
