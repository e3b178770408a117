/* specs.c: the specifications that model files name, with the newest revision of each. */
#include <string.h>

#include "model/model_private.h"

/* Binary version 1 has no name: it is the first encoder-decoder Transformer, of 8 heads. */
static const trdi_spec specs[] = {
    { "",                       TRDI_FAMILY_SEQ2SEQ,       7, 8 },
    { "TransformerBase",        TRDI_FAMILY_SEQ2SEQ,       7, 8 },
    { "TransformerBig",         TRDI_FAMILY_SEQ2SEQ,       7, 16 },
    { "TransformerSpec",        TRDI_FAMILY_SEQ2SEQ,       7, 0 },
    { "TransformerDecoderSpec", TRDI_FAMILY_DECODER,       8, 0 },
    { "TransformerEncoderSpec", TRDI_FAMILY_ENCODER,       1, 0 },
    { "WhisperSpec",            TRDI_FAMILY_WHISPER,       3, 0 },
    { "Wav2Vec2Spec",           TRDI_FAMILY_WAV2VEC2,      3, 0 },
    { "Wav2Vec2BertSpec",       TRDI_FAMILY_WAV2VEC2_BERT, 1, 0 },
};

const trdi_spec *trdi_spec_find(const char *name)
{
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        if (strcmp(specs[i].name, name) == 0) return &specs[i];
    }
    return NULL;
}
