/* cmd_inspect.c: treadle inspect: what a model directory holds, as text or JSON. */
#include <string.h>

#include "command.h"
#include "json_text.h"

typedef struct inspect_settings {
    bool json;
} inspect_settings;

static const option_spec inspect_options[] = {
    { "json", OPTION_FLAG, NULL, NULL, NULL, offsetof(inspect_settings, json), 0, 0, 0, "Options", "print one JSON object" },
};

/** "4 x 2 x 8" into text. */
static void format_shape(const trd_model_tensor *t, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < t->rank && i < 4 && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i > 0 ? " x " : "", (long long)t->dims[i]);
}

static bool get_tensor(const invocation *program, const trd_model *model, int64_t i, trd_model_tensor *t)
{
    *t = (trd_model_tensor){ .struct_size = sizeof *t };
    if (trd_model_get_tensor(model, i, t) == TRD_OK) return true;
    (void)library_error(program);
    return false;
}

static void print_count(const char *label, int64_t n)
{
    if (n != 0) printf("%-20s %lld\n", label, (long long)n);
}

static void print_yes(const char *label, bool yes)
{
    if (yes) printf("%-20s yes\n", label);
}

static void print_info(const trd_model_info *m)
{
    printf("%-20s %s\n%-20s %s\n", "model", m->name, "family", m->family);
    printf("%-20s %s%srevision %lld, binary version %lld\n", "format", m->spec, m->spec[0] != '\0' ? ", " : "",
           (long long)m->spec_revision, (long long)m->binary_version);
    printf("%-20s %s\n", "compute type", m->stored_type);
    print_count("encoder layers", m->n_encoder_layers);
    print_count("decoder layers", m->n_decoder_layers);
    print_count("width", m->d_model);
    print_count("feed-forward width", m->d_ffn);
    print_count("heads", m->n_heads);
    if (m->n_heads_kv != m->n_heads) print_count("key-value heads", m->n_heads_kv);
    print_count("width of a head", m->head_dim);
    if (m->n_source_features > 1) print_count("source features", m->n_source_features);
    print_count("source vocabulary", m->source_vocabulary_size);
    print_count("target vocabulary", m->target_vocabulary_size);
    print_count("parameters", m->n_parameters);
    print_count("bytes of weights", m->weight_bytes);
    printf("%-20s unknown %s, begin %s, end %s\n", "special tokens", m->unk_token, m->bos_token, m->eos_token);
    if (m->n_encoder_layers > 0 && m->n_decoder_layers > 0)
        printf("%-20s %s\n", "decoder starts with",
               m->decoder_start_token != NULL ? m->decoder_start_token : "the first token of the prefix");
    print_yes("adds source begin", m->add_source_bos);
    print_yes("adds source end", m->add_source_eos);
    print_yes("vocabulary map", m->has_vocabulary_map);
    printf("%-20s %s\n", "runs here as", m->runs_on[0] != '\0' ? m->runs_on : "nothing yet (inspection only)");
}

/** Width of the name column. */
static int name_width(const trd_model *model, bool scalars)
{
    size_t width = 4;
    const int64_t n = trd_model_tensor_count(model);
    for (int64_t i = 0; i < n; i++) {
        trd_model_tensor t = { .struct_size = sizeof t };
        if (trd_model_get_tensor(model, i, &t) != TRD_OK || (t.rank == 0) != scalars) continue;
        if (strlen(t.name) > width) width = strlen(t.name);
    }
    return width < 120 ? (int)width : 120;
}

static bool print_tensors(const invocation *program, const trd_model *model)
{
    const int64_t n = trd_model_tensor_count(model);
    const int width = name_width(model, false);
    printf("\n%-*s  %-6s %-20s %12s\n", width, "tensor", "type", "shape", "bytes");
    for (int64_t i = 0; i < n; i++) {
        trd_model_tensor t;
        if (!get_tensor(program, model, i, &t)) return false;
        if (t.rank == 0) continue;
        char shape[100];
        format_shape(&t, shape, sizeof shape);
        printf("%-*s  %-6s %-20s ", width, t.name, trd_dtype_name(t.dtype), shape);
        if (t.alias_of != NULL) printf("is %s\n", t.alias_of);
        else printf("%12lld\n", (long long)t.bytes);
    }
    return true;
}

static bool print_attributes(const invocation *program, const trd_model *model)
{
    const int64_t n = trd_model_tensor_count(model);
    const int width = name_width(model, true);
    bool any = false;
    for (int64_t i = 0; i < n; i++) {
        trd_model_tensor t;
        if (!get_tensor(program, model, i, &t)) return false;
        if (t.rank != 0) continue;
        if (!any) printf("\n%-*s  %-6s %s\n", width, "attribute", "type", "value");
        any = true;
        printf("%-*s  %-6s %g\n", width, t.name, trd_dtype_name(t.dtype), t.value);
    }
    return true;
}

static json_t *tensor_json(const trd_model_tensor *t)
{
    json_t *shape = json_array(), *object = json_object();
    for (int32_t i = 0; i < t->rank && i < 4; i++) (void)json_array_append_new(shape, json_integer(t->dims[i]));
    (void)json_object_set_new(object, "name", json_word(t->name));
    (void)json_object_set_new(object, "dtype", json_word(trd_dtype_name(t->dtype)));
    (void)json_object_set_new(object, "shape", shape);
    (void)json_object_set_new(object, "bytes", json_integer(t->bytes));
    if (t->rank == 0) (void)json_object_set_new(object, "value", json_number(t->value));
    if (t->alias_of != NULL) (void)json_object_set_new(object, "alias_of", json_word(t->alias_of));
    return object;
}

static json_t *info_json(const trd_model_info *m)
{
    const struct { const char *name; int64_t value; } counts[] = {
        { "spec_revision", m->spec_revision },
        { "binary_version", m->binary_version },
        { "n_encoder_layers", m->n_encoder_layers },
        { "n_decoder_layers", m->n_decoder_layers },
        { "d_model", m->d_model },
        { "d_ffn", m->d_ffn },
        { "n_heads", m->n_heads },
        { "n_heads_kv", m->n_heads_kv },
        { "head_dim", m->head_dim },
        { "n_source_features", m->n_source_features },
        { "source_vocabulary_size", m->source_vocabulary_size },
        { "target_vocabulary_size", m->target_vocabulary_size },
        { "n_parameters", m->n_parameters },
        { "n_variables", m->n_variables },
        { "n_aliases", m->n_aliases },
        { "weight_bytes", m->weight_bytes },
    };
    const struct { const char *name, *value; } words[] = {
        { "name", m->name },
        { "family", m->family },
        { "spec", m->spec },
        { "stored_type", m->stored_type },
        { "unk_token", m->unk_token },
        { "bos_token", m->bos_token },
        { "eos_token", m->eos_token },
        { "decoder_start_token", m->decoder_start_token },
        { "runs_on", m->runs_on },
    };
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        (void)json_object_set_new(object, words[i].name, json_word(words[i].value));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        (void)json_object_set_new(object, counts[i].name, json_integer(counts[i].value));
    (void)json_object_set_new(object, "add_source_bos", json_boolean(m->add_source_bos));
    (void)json_object_set_new(object, "add_source_eos", json_boolean(m->add_source_eos));
    (void)json_object_set_new(object, "has_vocabulary_map", json_boolean(m->has_vocabulary_map));
    return object;
}

static bool print_model_json(const invocation *program, const trd_model *model, const trd_model_info *info)
{
    json_t *object = info_json(info), *tensors = json_array();
    const int64_t n = trd_model_tensor_count(model);
    for (int64_t i = 0; i < n; i++) {
        trd_model_tensor t;
        if (!get_tensor(program, model, i, &t)) break;
        (void)json_array_append_new(tensors, tensor_json(&t));
    }
    const bool whole = json_array_size(tensors) == (size_t)n;
    (void)json_object_set_new(object, "tensors", tensors);
    return json_print(object, true, stdout) && whole;
}

static int inspect(const invocation *program, const char *path, bool json)
{
    trd_model *model = NULL;
    if (trd_model_open(path, &model) != TRD_OK) return library_error(program);
    trd_model_info info = { .struct_size = sizeof info };
    bool ok = trd_model_get_info(model, &info) == TRD_OK;
    if (!ok) {
        (void)library_error(program);
    } else if (json) {
        ok = print_model_json(program, model, &info);
    } else {
        print_info(&info);
        ok = print_attributes(program, model) && print_tensors(program, model);
    }
    trd_model_close(model);
    return ok ? STATUS_OK : STATUS_FAILED;
}

static int run_inspect(const invocation *program, int argc, char **argv)
{
    inspect_settings settings;
    command_line line;
    const int status = options_parse(program, &inspect_command, argc, argv, &settings, &line);
    if (status != STATUS_GO_ON) return status;
    if (line.n_words != 1)
        return line.n_words == 0 ? usage_error(program, "which model directory?")
                                 : usage_error(program, "unexpected argument '%s'", line.words[1]);
    return inspect(program, line.words[0], settings.json);
}

const subcommand inspect_command = {
    .name = "inspect",
    .operands = "DIR",
    .usage = "[--json]",
    .summary = "print what a model directory holds",
    .description = "Print family, layers, sizes, compute type, vocabulary and special tokens of a model, its attributes\n"
                   "(single numbers) and its tensors with type, shape and bytes. No weight is read.",
    .options = inspect_options,
    .n_options = sizeof inspect_options / sizeof inspect_options[0],
    .run = run_inspect,
};
