/*
 * model_private.h: what the files of lib/model share and nobody else sees: the parsed container (model.bin), the registry of names,
 * typed access to variables, the configuration, and the readers that turn them into descriptions.
 * All texts of the container live in its arena, so that they survive the unmapping of the payloads.
 */
#ifndef TRDI_MODEL_PRIVATE_H
#define TRDI_MODEL_PRIVATE_H

#include <jansson.h>
#include <stdatomic.h>

#include "core/strings.h"
#include "core/threads.h"
#include "model/model.h"

/** Newest layout of model.bin that is read here. */
#define TRDI_BINARY_VERSION 6
/** Longest name that a description asks for, with its NUL. */
#define TRDI_NAME_BYTES 192
/** How much of a name from a file goes into a message. */
#define TRDI_SHOWN 160

/* ---- arena.c: texts that live as long as the model ---- */

typedef struct trdi_arena { struct trdi_arena_block *first; } trdi_arena;
/** Copy of length bytes plus a NUL; NULL without memory. */
char *trdi_arena_copy(trdi_arena *arena, const char *text, size_t length);
void trdi_arena_free(trdi_arena *arena);

/* ---- model_files.c: the files of a model, in a folder or in memory ---- */

typedef struct trdi_model_files {
    const char     *name;      /**< folder, or the name for messages */
    const trd_file *files;     /**< NULL: a folder */
    size_t          n_files;
} trdi_model_files;

/** One file opened for reading. label is its path for messages, owned. */
typedef struct trdi_model_file {
    char          *label;
    const uint8_t *data;
    size_t         bytes;
    trdi_file_map  map;       /**< zero when the file is in memory */
    bool           mapped;    /**< came from a folder */
} trdi_model_file;

/** Open a file that must be there: TRD_E_IO "cannot open file ..." otherwise. */
trd_status trdi_model_file_open(const trdi_model_files *files, const char *name, trdi_model_file *out);
/** As trdi_model_file_open(), but *found = false and TRD_OK if there is no such file. */
trd_status trdi_model_file_find(const trdi_model_files *files, const char *name, trdi_model_file *out, bool *found);
/** Does nothing on a zeroed struct. */
void trdi_model_file_close(trdi_model_file *file);

/* ---- json_file.c ---- */

/** Parse a file; only objects and arrays, no duplicate keys, at most 64 MiB. @param flags  more of jansson's. *out: json_decref() */
trd_status trdi_json_parse(const trdi_model_file *file, size_t flags, json_t **out);

/* ---- specs.c: the specifications that files name ---- */

typedef struct trdi_spec {
    const char *name;
    trdi_family family;
    int64_t     newest_revision;
    int64_t     implied_heads;    /**< of revisions below 3 */
} trdi_spec;
/** NULL for a name that is not known. */
const trdi_spec *trdi_spec_find(const char *name);

/* ---- registry.c and container.c: the variables of model.bin ---- */

typedef struct trdi_variable {
    trdi_tensor tensor;
    size_t      offset;    /**< of the payload in the file */
    bool        own;       /**< a scalar: its payload is copied to the arena and stays when the file is unmapped */
} trdi_variable;

/** One name. */
typedef struct trdi_entry {
    const char *name;
    size_t      variable;  /**< index of what it names */
    bool        alias;
    bool        listed;    /**< stands in the file; else it follows from an alias (`_scale`, `_zero`) */
} trdi_entry;

/** An alias whose target does not exist: an error only if somebody needs the name. */
typedef struct trdi_dangling { const char *name, *target; } trdi_dangling;

typedef struct trdi_container {
    const char      *file;           /**< path of model.bin for messages; borrowed from the model */
    int64_t          version, revision;
    const char      *spec_name;
    const trdi_spec *spec;
    trdi_arena       arena;
    trdi_variable   *variables;
    size_t           n_variables, variables_capacity;
    trdi_entry      *entries;        /**< variables in file order, then aliases */
    size_t           n_entries, entries_capacity;
    size_t          *sorted;         /**< entries by name */
    size_t          *listing;        /**< listed variables, then listed aliases, each by name */
    size_t           n_listed, n_listed_aliases;
    trdi_dangling   *dangling;
    size_t           n_dangling, dangling_capacity;
    trdi_string_map *index;          /**< name -> entry */
} trdi_container;

/** Parse a whole model.bin. On failure the container must still be freed. @param file  borrowed */
trd_status trdi_container_read(trdi_container *container, const char *file, const uint8_t *data, size_t bytes);
void trdi_container_free(trdi_container *container);
/** Point the tensors, but not the scalars, into a map of the file; data NULL makes them point nowhere. */
void trdi_container_set_data(trdi_container *container, const uint8_t *data);

/** Add a variable; a name that exists keeps its first meaning. The name is in the arena. */
trd_status trdi_registry_add_variable(trdi_container *container, const char *name, const trdi_variable *variable);
/** Add an alias with what follows from it, or note it as dangling. Both texts are in the arena. */
trd_status trdi_registry_add_alias(trdi_container *container, const char *name, const char *target);
/** Sort the names. Call once, after the last addition. */
trd_status trdi_registry_finish(trdi_container *container);
/** NULL if there is none. */
const trdi_tensor *trdi_registry_find(const trdi_container *container, const char *name);
/** First entry in name order that is not below prefix: an index into sorted. */
size_t trdi_registry_lower_bound(const trdi_container *container, const char *prefix);
/** Does some name start with "scope/sub/" ("scope/" if sub is NULL)? */
bool trdi_scope_exists(const trdi_container *container, const char *scope, const char *sub);

/** Name of a revision 1 file in today's terms; in the arena, NULL without memory. */
const char *trdi_legacy_rename(trdi_arena *arena, const char *name);

/* ---- variables.c: variables by scope, with checked shapes ---- */

/** Write "scope/name" (or name, if scope is "") into text[TRDI_NAME_BYTES]. */
void trdi_join_name(char *text, const char *scope, const char *name);
/** NULL if absent. */
const trdi_tensor *trdi_variable_find(const trdi_container *container, const char *scope, const char *name);
/** A float array of exactly this shape; an extent of -1 is any but 0. Absent: *out = NULL if optional, else an error. */
trd_status trdi_array_get(const trdi_container *container, const char *scope, const char *name, bool optional,
                          int32_t rank, int64_t dim_0, int64_t dim_1, const trdi_tensor **out);
/** As trdi_array_get() with rank 2, for linear and embedding weights: integers with their scales are welcome too. */
trd_status trdi_weight_get(const trdi_container *container, const char *scope, const char *name,
                           int64_t rows, int64_t columns, const trdi_tensor **out);
/** "file 'F': variable 'S/N': " before format. */
trd_status trdi_variable_fail(const trdi_container *container, trd_status code, const char *scope, const char *name,
                              const char *format, ...) TRDI_PRINTF(5, 6);

/* ---- attributes.c: scalars. Names of old revisions stand at the top level; that is seen to here. ---- */

typedef struct trdi_int_rule { int64_t absent, low, high; } trdi_int_rule;
/** @param rule  value if absent; range, of which the absent value need not be part */
trd_status trdi_attribute_int(const trdi_container *container, const char *scope, const char *name, trdi_int_rule rule, int64_t *out);
/** A finite number. */
trd_status trdi_attribute_float(const trdi_container *container, const char *scope, const char *name, float absent, float *out);
trd_status trdi_attribute_flag(const trdi_container *container, const char *scope, const char *name, bool absent, bool *out);
/** Variable of an attribute, or NULL. */
const trdi_tensor *trdi_attribute_find(const trdi_container *container, const char *scope, const char *name);

/* ---- weight_scales.c, awq.c, stored_type.c ---- */

/** Does the name end in "weight"? Those are what converters quantise. */
bool trdi_is_weight_name(const char *name);
/** Give every integer weight its checked scale. */
trd_status trdi_scales_bind(trdi_container *container);
/** Check the 4-bit weights. @param type  quantization_type of the configuration */
trd_status trdi_awq_check(const trdi_container *container, int64_t type);
/** Static name of the compute type that the weights are stored in. */
const char *trdi_stored_type(const trdi_container *container);

/* ---- config.c ---- */

/** A text with its length; data NULL = null. Owned. */
typedef struct trdi_token { char *data; size_t bytes; } trdi_token;

typedef struct trdi_config {
    trdi_token unk, bos, eos, decoder_start;
    bool       add_source_bos, add_source_eos;
    bool       has_epsilon;
    float      epsilon;
    int64_t    quantization_type;   /**< 0 native, 1 AWQ GEMM, 2 AWQ GEMV */
} trdi_config;
/** Read config.json and, in old files, the attributes that came before it. On failure the config must still be freed. */
trd_status trdi_config_read(const trdi_model_files *files, const trdi_container *container, trdi_config *out);
void trdi_config_free(trdi_config *config);

/* ---- vocabulary.c, vocabulary_map.c, vocabulary_set.c ---- */

/** A JSON array of texts. @param unk  appended if the file lacks it */
trd_status trdi_vocabulary_from_json(const trdi_model_file *file, const trdi_token *unk, trdi_vocabulary **out);
/** One token a line. */
trd_status trdi_vocabulary_from_text(const trdi_model_file *file, const trdi_token *unk, trdi_vocabulary **out);
void trdi_vocabulary_destroy(trdi_vocabulary *vocabulary);
/** *out = NULL if the file says nothing. */
trd_status trdi_vocabulary_map_read(const trdi_model_file *file, const trdi_vocabulary *target, int32_t unk, trdi_vocabulary_map **out);
void trdi_vocabulary_map_destroy(trdi_vocabulary_map *map);
/** Fill the vocabularies, special ids and the vocabulary map of a model. */
trd_status trdi_vocabularies_open(trd_model *model, const trdi_model_files *files);
void trdi_vocabularies_close(trd_model *model);

/* ---- stack_desc.c, layer_desc.c, attention_desc.c ---- */

/** What the readers of descriptions know. */
typedef struct trdi_stack_reader {
    const trdi_container *container;
    const char      *scope;        /**< "encoder" or "decoder" */
    bool             decoder;
    int64_t          d_memory;     /**< width of the encoder's output; 0 = there is no encoder */
    const trdi_config *config;
    trdi_stack_desc *stack;
} trdi_stack_reader;

/** Describe and check an encoder or a decoder. On failure the description must still be freed. */
trd_status trdi_stack_read(trdi_stack_reader *reader);
void trdi_stack_free(trdi_stack_desc *stack);
/** Count the layers below a scope; a gap in their numbers is an error. */
trd_status trdi_layers_count(const trdi_container *container, const char *scope, int64_t *out);
trd_status trdi_layer_read(const trdi_stack_reader *reader, int64_t n, trdi_layer_desc *out);
trd_status trdi_attention_read(const trdi_stack_reader *reader, const char *scope, bool cross, trdi_attention_desc *out);
/** Linear layer [rows, columns] with an optional bias. @param rows  -1 = any */
trd_status trdi_linear_read(const trdi_container *container, const char *scope, const char *name,
                            int64_t rows, int64_t columns, trdi_linear *out);
/** Norm of a width; absent if no variable is below the scope. */
trd_status trdi_norm_read(const trdi_stack_reader *reader, const char *scope, const char *name, int64_t width, trdi_norm *out);

/* ---- model.c, model_map.c ---- */

struct trdi_model_private {
    trdi_container      container;
    trdi_config         config;
    trdi_model_file     binary;
    trdi_file_identity  identity;      /**< of model.bin when it was checked */
    trdi_mutex          mutex;         /**< guards users, binary.map and the data of tensors */
    bool                has_mutex;
    int64_t             users;         /**< of the mapped payloads */
    atomic_int_fast64_t references;
    const char         *stored_type;
    char               *name;
};

/** Map model.bin and remember which file it was. */
trd_status trdi_model_map_first(trd_model *model, const trdi_model_files *files);

#endif
