/* spm_missing.c: what --src_spm and --tgt_spm say in a build without the SentencePiece library. */
#include "spm.h"

#include <stdio.h>

spm *spm_open(const char *path, char *why, size_t why_bytes)
{
    (void)snprintf(why, why_bytes, "%s: this program was built without sentencepiece", path);
    return NULL;
}

void spm_close(spm *model)
{
    (void)model;
}

bool spm_encode(const spm *model, const char *text, size_t bytes, spm_receiver receiver, void *context)
{
    (void)model, (void)text, (void)bytes, (void)receiver, (void)context;
    return false;
}

bool spm_decode(const spm *model, const char *const *pieces, size_t n, spm_receiver receiver, void *context)
{
    (void)model, (void)pieces, (void)n, (void)receiver, (void)context;
    return false;
}
