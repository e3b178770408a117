/* translator.h: the public objects' insides, and what translating and scoring share. Used inside api alone. */
#ifndef TRDI_TRANSLATOR_H
#define TRDI_TRANSLATOR_H

#include "api/workers.h"
#include "decode/decode.h"
#include "model/model.h"
#include "treadle/trd_translator.h"

struct trd_translator {
    trd_model    *model;            /* retained */
    trdi_workers *workers;
};

/** trd_translator_create() on given devices: see trdi_workers_create_on(). For tests. */
trd_status trdi_translator_create_on(trd_model *model, trdi_device *const *devices, size_t n, const trd_translator_options *options,
                                     trd_translator **out);

/** One hypothesis of a public result. */
typedef struct trdi_result_hypothesis {
    trdi_hypothesis from;           /* owned; attention is [n_tokens][n_source] */
    const char    **tokens;         /* [n_tokens], owned array of borrowed texts */
} trdi_result_hypothesis;

struct trd_result {
    trdi_result_hypothesis *hypotheses;
    int64_t n_hypotheses;
    bool    has_scores, has_token_scores;
    int64_t n_source;               /* columns of attention */
    int64_t n_vocabulary;           /* columns of logits */
};

struct trd_results {
    trd_model  *model;              /* retained: tokens point into its vocabularies */
    trd_result *items;              /* [n] behind the struct */
    int64_t     n;
    const char **texts;             /* source tokens that replace unknown ones, and behind them their bytes; NULL if none can */
};

/** Room for n results. */
trd_status trdi_results_create(trd_model *model, int64_t n, trd_results **out);
/** Room for n hypotheses, zeroed. */
trd_status trdi_result_reserve(trd_result *result, int64_t n);
/** Free what it holds. */
void trdi_result_clear(trd_result *result);
/** Look up the texts of a hypothesis' ids in the target vocabulary. */
trd_status trdi_result_set_tokens(trd_result *result, int64_t h, const trd_model *model);

/* tokens.c: texts to ids */

/** Position in the caller's sequences: one sequence's tokens. */
typedef struct trdi_sequence {
    const trd_sequences *from;
    int64_t first, n;               /* tokens first .. first+n-1 of the whole */
    int64_t first_byte;             /* bytes form: where token first begins */
} trdi_sequence;

/** Check the form of the caller's sequences: exactly one of tokens, bytes and ids unless all are empty. @param what  for messages */
trd_status trdi_sequences_check(const trd_sequences *sequences, const char *what);
/** Walk: zeroed before the first call; then the next sequence. */
void trdi_sequence_next(const trd_sequences *from, int64_t index, trdi_sequence *sequence);
/** Text of token i; NULL for the ids form. *bytes is its length. O(1) but for the bytes form, where it walks. */
const char *trdi_sequence_token(const trdi_sequence *sequence, int64_t i, size_t *bytes);
/** Ids of all tokens, unknown ones as unknown_id: out [n]. Ids are taken as they are. */
void trdi_sequence_ids(const trdi_sequence *sequence, const trdi_vocabulary *vocabulary, int32_t unknown_id, int32_t *out);
/** Ids of a source: out[k] [n] for each feature. TRD_E_INVALID if a token has not as many fields as there are features. */
trd_status trdi_sequence_features(const trdi_sequence *sequence, const trd_model *model, int32_t *const *out);
/** Id in source vocabulary k of a token of vocabulary 0, such as a special one; its unknown token if it has none. */
int32_t trdi_feature_id(const trd_model *model, int64_t k, int32_t id);
/** Text of the first field of source token i. */
const char *trdi_sequence_field(const trdi_sequence *sequence, const trd_model *model, int64_t i, size_t *bytes);
/** Cut ids to at most max_length (0 = off), keeping a final end token, or end token and language code. @return the new length */
int64_t trdi_truncate(int32_t *ids, int64_t n, int64_t max_length, int32_t eos);

/* source.c: sources prepared for the encoder */

/** The sources of a call in ids, special tokens added, truncated. */
typedef struct trdi_sources {
    int32_t  *ids;                  /* owned; all arrays are one block, which begins with sequences */
    int64_t  *starts;               /* [n + 1] in tokens; feature k of example i: ids + k * total + starts[i] */
    int64_t   total;                /* tokens reserved per feature */
    int64_t  *lengths;              /* [n] tokens after truncation */
    bool     *empty;                /* [n] nothing but special tokens */
    trdi_sequence *sequences;       /* [n] the caller's */
} trdi_sources;
trd_status trdi_sources_prepare(const trd_model *model, const trd_sequences *from, int64_t max_input_length, trdi_sources *out);
void trdi_sources_free(trdi_sources *sources);
/** Point an example at source i. */
void trdi_sources_set(const trdi_sources *sources, const trd_model *model, int64_t i, trdi_example *example);
/** Indices of the examples, longest first, equal lengths in the caller's order. */
trd_status trdi_sources_order(const trdi_sources *sources, int64_t n, int64_t *order);

/* search_options.c: the caller's decoding options in ids, checked */
trd_status trdi_search_resolve(const trd_model *model, const trd_decoding_options *options, trdi_search *out);
void trdi_search_free(trdi_search *search);

#endif
