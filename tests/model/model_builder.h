/*
 * model_builder.h: makes small models in memory, right or wrong, of any binary version. A test takes a sound model, edits its list of
 * variables, and opens the bytes. Failures of the builder itself end the program.
 */
#ifndef TRD_TESTS_MODEL_BUILDER_H
#define TRD_TESTS_MODEL_BUILDER_H

#include "check.h"
#include "treadle/trd_model.h"

typedef struct built_tensor {
    char     name[96];
    int      dtype;         /* as stored; may be invalid */
    int      rank;
    uint32_t dims[6];
    int64_t  count;         /* stored payload size, -1 = what the shape asks for: bytes, or elements in versions 1 to 3 */
    double   fill;          /* every element */
} built_tensor;

#define BUILT_MAX 256

typedef struct model_builder {
    uint32_t     version, revision;
    const char  *spec;
    built_tensor tensors[BUILT_MAX];
    size_t       n_tensors;
    char         aliases[32][2][96];
    size_t       n_aliases;
    int64_t      n_tensors_stored, n_aliases_stored;   /* counts in the file, -1 = the true ones */
    char         config[1024], vocabulary_name[4][40], vocabulary[4][512], vmap[512];
    size_t       n_vocabularies;
    bool         has_vmap;
} model_builder;

/* A file with the ranges of its payloads. */
typedef struct built_file {
    uint8_t *data;
    size_t   bytes, capacity;
    uint8_t *is_payload;    /* [bytes] */
} built_file;

/* Sound models: width 8, 2 heads of 4, feed-forward 6, one layer each; 6 source and 5 target rows. */
void builder_pair(model_builder *b);
void builder_decoder(model_builder *b);
void builder_encoder(model_builder *b);

built_tensor *builder_find(model_builder *b, const char *name);
/* Add or replace. */
void builder_set(model_builder *b, const char *name, int dtype, int rank, int64_t dim_0, int64_t dim_1, double fill);
void builder_remove(model_builder *b, const char *prefix);
void builder_alias(model_builder *b, const char *name, const char *target);
/* Give every weight another type, with scales; 4 = f16 and 5 = bf16 convert the other arrays too. */
void builder_convert(model_builder *b, int dtype);
/* Copy all variables of one scope to another, as "encoder/layer_0" to "encoder/layer_1". */
void builder_copy_scope(model_builder *b, const char *from, const char *to);

void builder_write(const model_builder *b, built_file *file);
void built_file_free(built_file *file);
/* Open with given bytes of model.bin, which may be damaged. */
trd_status builder_open_bytes(const model_builder *b, const uint8_t *data, size_t bytes, trd_model **out);
/* Write and open; the bytes live until the next call. */
trd_status builder_open(const model_builder *b, trd_model **out);

#endif
