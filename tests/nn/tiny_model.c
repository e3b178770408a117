/* tiny_model.c: the writer. Binary version 6, float32, one variable after the other. */
#include "nn/tiny_model.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct writer {
    const tiny_model *m;
    FILE    *file;
    long     count_at;      /**< position of the number of variables */
    uint32_t n_variables, state;
    char     scope[96];     /**< put before every name */
} writer;

static void must(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "tiny model: cannot %s\n", what);
    exit(1);
}

static void put(writer *w, const void *data, size_t bytes)
{
    must(fwrite(data, 1, bytes, w->file) == bytes, "write");
}

static void put_u8(writer *w, uint32_t value) { const uint8_t v = (uint8_t)value; put(w, &v, 1); }
static void put_u16(writer *w, uint32_t value) { const uint16_t v = (uint16_t)value; put(w, &v, 2); }
static void put_u32(writer *w, uint32_t value) { put(w, &value, 4); }

static void put_string(writer *w, const char *text)
{
    put_u16(w, (uint32_t)strlen(text) + 1);
    put(w, text, strlen(text) + 1);
}

/** In [-1, 1), the same everywhere. */
static float next_value(writer *w)
{
    w->state = w->state * 1664525u + 1013904223u;
    return (float)((int32_t)(w->state >> 8) - (1 << 23)) / (float)(1 << 23);
}

static void put_head(writer *w, const char *name, int rank, const int64_t *dims, uint32_t dtype, size_t bytes)
{
    char full[256];
    (void)snprintf(full, sizeof full, "%s%s", w->scope, name);
    put_string(w, full);
    put_u8(w, (uint32_t)rank);
    for (int i = 0; i < rank; i++) put_u32(w, (uint32_t)dims[i]);
    put_u8(w, dtype);
    put_u32(w, (uint32_t)bytes);
    w->n_variables++;
}

/** centre + spread * random values. */
static void put_random(writer *w, const char *name, int64_t rows, int64_t cols, float centre, float spread)
{
    const int64_t dims[2] = { rows > 0 ? rows : cols, cols };
    const int64_t n = (rows > 0 ? rows : 1) * cols;
    put_head(w, name, rows > 0 ? 2 : 1, dims, 0, (size_t)n * 4);
    float chunk[1024];
    for (int64_t done = 0; done < n;) {
        const int64_t part = n - done < 1024 ? n - done : 1024;
        for (int64_t i = 0; i < part; i++) chunk[i] = centre + spread * next_value(w);
        put(w, chunk, (size_t)part * 4);
        done += part;
    }
}

static void put_flag(writer *w, const char *name, int value)
{
    const int8_t v = (int8_t)value;
    put_head(w, name, 0, NULL, 1, 1);
    put(w, &v, 1);
}

static void put_int(writer *w, const char *name, int32_t value)
{
    put_head(w, name, 0, NULL, 3, 4);
    put(w, &value, 4);
}

static void put_float(writer *w, const char *name, float value)
{
    put_head(w, name, 0, NULL, 0, 4);
    put(w, &value, 4);
}

/** Enter "scope/"; returns what to hand to leave(). */
static size_t enter(writer *w, const char *format, ...)
{
    const size_t length = strlen(w->scope);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(w->scope + length, sizeof w->scope - length, format, arguments);
    va_end(arguments);
    (void)strcat(w->scope, "/");
    return length;
}

static void leave(writer *w, size_t length) { w->scope[length] = '\0'; }

static void put_linear(writer *w, const char *name, int64_t out, int64_t in)
{
    const size_t scope = enter(w, "%s", name);
    put_random(w, "weight", out, in, 0.0f, 1.7f / sqrtf((float)in));
    if (!w->m->no_bias) put_random(w, "bias", 0, out, 0.0f, 0.2f);
    leave(w, scope);
}

static void put_norm(writer *w, const char *name, int64_t width)
{
    const size_t scope = enter(w, "%s", name);
    put_random(w, "gamma", 0, width, w->m->gain_plus_one ? 0.0f : 1.0f, 0.3f);
    if (!w->m->rms) put_random(w, "beta", 0, width, 0.0f, 0.2f);
    if (w->m->gain_plus_one) put_flag(w, "layer_norm_use_residual", 1);
    leave(w, scope);
}

/* ---- Sizes ---- */

static int32_t or_else(int32_t value, int32_t otherwise) { return value != 0 ? value : otherwise; }
static int32_t d_model(const tiny_model *m) { return or_else(m->d_model, 32); }
static int32_t n_heads(const tiny_model *m) { return or_else(m->n_heads, 4); }
static int32_t n_heads_kv(const tiny_model *m) { return or_else(m->n_heads_kv, n_heads(m)); }
static int32_t head_dim(const tiny_model *m) { return or_else(m->head_dim, d_model(m) / n_heads(m)); }
static int32_t d_ffn(const tiny_model *m) { return or_else(m->d_ffn, 48); }
static int32_t n_layers(const tiny_model *m) { return or_else(m->n_layers, 2); }
static int32_t vocabulary(const tiny_model *m) { return or_else(m->vocabulary, 40); }
static bool sequential(const tiny_model *m) { return m->form == TINY_PRE_NORM || m->form == TINY_POST_NORM; }

/* ---- Layers ---- */

static void put_rotary(writer *w)
{
    const tiny_model *m = w->m;
    const int32_t half = or_else(m->rotary_dim, head_dim(m)) / 2;
    put_int(w, "rotary_dim", m->rotary_dim);
    put_flag(w, "rotary_interleave", !m->rotary_halves);
    put_float(w, "rotary_base", 1000.0f);
    if (m->rotary_scaling == 0) return;
    put_flag(w, "rotary_scaling_type", m->rotary_scaling - 1);
    put_float(w, "rotary_scaling_factor", 3.0f);
    if (m->rotary_original != 0) put_int(w, "original_max_position_embeddings", m->rotary_original);
    if (m->rotary_max != 0) put_int(w, "max_position_embeddings", m->rotary_max);
    if (m->rotary_scaling == 2) {
        put_random(w, "rotary_scaling_long_factor", 0, half, 2.0f, 0.5f);
        put_random(w, "rotary_scaling_short_factor", 0, half, 1.0f, 0.2f);
    }
    if (m->rotary_scaling == 3) {
        put_float(w, "rotary_low_freq_factor", 1.0f);
        put_float(w, "rotary_high_freq_factor", 4.0f);
    }
}

static void put_attention_positions(writer *w)
{
    const tiny_model *m = w->m;
    if (m->positions == TINY_ROTARY) put_rotary(w);
    if (m->positions == TINY_SHAW || m->positions == TINY_SHAW_KEYS)
        put_random(w, "relative_position_keys", 5, head_dim(m), 0.0f, 0.5f);
    if (m->positions == TINY_SHAW) put_random(w, "relative_position_values", 5, head_dim(m), 0.0f, 0.5f);
    if (m->positions == TINY_T5) {
        put_random(w, "relative_attention_bias", 8, n_heads(m), 0.0f, 1.0f);
        put_int(w, "relative_attention_max_distance", 12);
    }
    if (m->window != 0 && strncmp(w->scope, "decoder", 7) == 0) put_int(w, "sliding_window", m->window);
}

static void put_attention(writer *w, const char *name, bool cross)
{
    const tiny_model *m = w->m;
    const int32_t query = n_heads(m) * head_dim(m), key = n_heads_kv(m) * head_dim(m);
    const size_t scope = enter(w, "%s", name);
    if (sequential(m) || m->stray_norms) put_norm(w, "layer_norm", d_model(m));
    put_linear(w, "linear_0", cross ? query : query + 2 * key, d_model(m));
    put_linear(w, "linear_1", cross ? 2 * key : d_model(m), cross ? d_model(m) : query);
    if (cross) put_linear(w, "linear_2", d_model(m), query);
    if (!cross && m->merged && strncmp(w->scope, "decoder", 7) == 0) put_linear(w, "memory_kv", 2 * key, d_model(m));
    if (m->queries_scale != 0.0f) put_float(w, "queries_scale", m->queries_scale);
    put_int(w, "num_heads_kv", n_heads_kv(m));
    put_int(w, "head_dim", head_dim(m));
    if (m->head_norms) {
        /* The original gives other results from run to run with a query norm in cross-attention. */
        if (!cross) put_norm(w, "q_norm", head_dim(m));
        put_norm(w, "k_norm", head_dim(m));
        put_norm(w, "v_norm", head_dim(m));
    }
    if (!cross) put_attention_positions(w);
    leave(w, scope);
}

static void put_ffn(writer *w)
{
    const size_t scope = enter(w, "ffn");
    if (sequential(w->m) || w->m->stray_norms) put_norm(w, "layer_norm", d_model(w->m));
    put_linear(w, "linear_0", d_ffn(w->m), d_model(w->m));
    if (w->m->gated) put_linear(w, "linear_0_noact", d_ffn(w->m), d_model(w->m));
    put_linear(w, "linear_1", d_model(w->m), d_ffn(w->m));
    leave(w, scope);
}

static void put_layer_norms(writer *w, bool decoder)
{
    const tiny_model *m = w->m;
    const int32_t d = d_model(m);
    if (m->form == TINY_PARALLEL_SHARED) put_norm(w, "shared_layer_norm", d);
    if (m->form == TINY_PARALLEL_TWO || m->form == TINY_PARALLEL_ONE_INPUT || m->form == TINY_PRE_POST)
        put_norm(w, "input_layer_norm", d);
    if (m->form == TINY_PARALLEL_TWO || m->form == TINY_PRE_POST) put_norm(w, "post_attention_layer_norm", d);
    if (m->form != TINY_PRE_POST) return;
    put_norm(w, "pre_feedforward_layer_norm", d);
    put_norm(w, "post_feedforward_layer_norm", d);
    if (decoder && m->external_norms) {
        put_norm(w, "external_pre_encoder_attention_layer_norm", d);
        put_norm(w, "external_post_encoder_attention_layer_norm", d);
    }
    if (decoder && m->layer_scalar != 0.0f) put_float(w, "layer_scalar", m->layer_scalar);
}

static void put_common(writer *w)
{
    const tiny_model *m = w->m;
    put_int(w, "num_heads", n_heads(m));
    put_flag(w, "pre_norm", m->form != TINY_POST_NORM);
    put_flag(w, "activation", m->activation);
    if (m->scale_embeddings != 0.0f) put_float(w, "scale_embeddings", m->scale_embeddings);
    if (m->embedding_norm) put_norm(w, "layernorm_embedding", d_model(m));
    if (m->positions == TINY_LEARNED) put_random(w, "position_encodings/encodings", 24, d_model(m), 0.0f, 0.5f);
    if (m->form != TINY_POST_NORM) put_norm(w, "layer_norm", d_model(m));
}

static void put_encoder(writer *w)
{
    const tiny_model *m = w->m;
    const size_t scope = enter(w, "encoder");
    const int32_t n = or_else(m->n_features, 1), width = m->features_add ? d_model(m) : d_model(m) / n;
    put_common(w);
    put_flag(w, "embeddings_merge", m->features_add);
    for (int32_t f = 0; f < n; f++) {
        char name[32];
        (void)snprintf(name, sizeof name, "embeddings_%d/weight", f);
        put_random(w, name, vocabulary(m), width, 0.0f, 1.0f);
    }
    for (int32_t l = 0; l < n_layers(m); l++) {
        const size_t layer = enter(w, "layer_%d", l);
        put_layer_norms(w, false);
        put_attention(w, "self_attention", false);
        put_ffn(w);
        leave(w, layer);
    }
    leave(w, scope);
}

static void put_decoder(writer *w)
{
    const tiny_model *m = w->m;
    const size_t scope = enter(w, "decoder");
    const int32_t width = or_else(m->embedding_width, d_model(m));
    put_common(w);
    put_random(w, "embeddings/weight", vocabulary(m), width, 0.0f, 1.0f);
    put_linear(w, "projection", vocabulary(m), width);
    if (width != d_model(m)) {
        put_linear(w, "project_in", d_model(m), width);
        put_linear(w, "project_out", width, d_model(m));
    }
    if (m->zero_start) put_flag(w, "start_from_zero_embedding", 1);
    if (m->scale_outputs != 0.0f) put_float(w, "scale_outputs", m->scale_outputs);
    if (m->softcap != 0.0f) put_float(w, "final_logit_softcapping", m->softcap);
    if (m->positions == TINY_ALIBI) {
        put_flag(w, "alibi", 1);
        put_flag(w, "alibi_use_positive_positions", !m->alibi_negative);
        put_flag(w, "scale_alibi", m->alibi_scaled);
    }
    if (m->alignment_heads != 0) put_int(w, "alignment_heads", m->alignment_heads);
    for (int32_t l = 0; l < n_layers(m); l++) {
        const size_t layer = enter(w, "layer_%d", l);
        put_layer_norms(w, true);
        put_attention(w, "self_attention", false);
        if (!m->decoder_only && !m->merged) put_attention(w, "attention", true);
        put_ffn(w);
        leave(w, layer);
    }
    leave(w, scope);
}

/* ---- Files ---- */

static FILE *create(const char *directory, const char *name)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    must(file != NULL, path);
    return file;
}

static void write_vocabulary(const char *directory, const char *name, const tiny_model *m)
{
    FILE *file = create(directory, name);
    fprintf(file, "[\"<unk>\", \"<s>\", \"</s>\"");
    for (int32_t i = 3; i < vocabulary(m); i++) fprintf(file, ", \"w%d\"", i);
    fprintf(file, "]\n");
    must(fclose(file) == 0, name);
}

static void write_texts(const char *directory, const tiny_model *m)
{
    FILE *file = create(directory, "config.json");
    fprintf(file, "{\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"decoder_start_token\": \"<s>\", "
                  "\"add_source_bos\": false, \"add_source_eos\": false}\n");
    must(fclose(file) == 0, "config.json");
    if (m->decoder_only) {
        write_vocabulary(directory, "vocabulary.json", m);
    } else if (m->n_features > 1) {
        write_vocabulary(directory, "target_vocabulary.json", m);
        for (int32_t f = 1; f <= m->n_features; f++) {
            char name[64];
            (void)snprintf(name, sizeof name, "source_%d_vocabulary.json", f);
            write_vocabulary(directory, name, m);
        }
    } else {
        write_vocabulary(directory, "shared_vocabulary.json", m);
    }
}

void tiny_model_write(const char *directory, const tiny_model *model)
{
    must(mkdir(directory, 0700) == 0 || errno == EEXIST, directory);
    write_texts(directory, model);
    writer w = { .m = model, .state = 12345, .file = create(directory, "model.bin") };
    put_u32(&w, 6);
    put_string(&w, model->decoder_only ? "TransformerDecoderSpec" : "TransformerSpec");
    put_u32(&w, model->decoder_only ? 8 : 7);
    w.count_at = ftell(w.file);
    put_u32(&w, 0);
    if (!model->decoder_only) put_encoder(&w);
    put_decoder(&w);
    put_u32(&w, 0);
    must(fseek(w.file, w.count_at, SEEK_SET) == 0, "seek");
    put_u32(&w, w.n_variables);
    must(fclose(w.file) == 0, "close");
}
