/* spm.h: SentencePiece behind a C interface. spm_found.cc is built where the library is there, spm_missing.c elsewhere. */
#ifndef COMMAND_SPM_H
#define COMMAND_SPM_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A loaded SentencePiece model; any thread may use it. */
typedef struct spm spm;

/** Receives one piece, borrowed for the call. @return false to stop */
typedef bool (*spm_receiver)(void *context, const char *piece, size_t bytes);

/** Load a model file. @return NULL: why says what is wrong */
spm *spm_open(const char *path, char *why, size_t why_bytes);
/** NULL does nothing. */
void spm_close(spm *model);
/** Cut text into pieces. @return false if that failed or the receiver stopped */
bool spm_encode(const spm *model, const char *text, size_t bytes, spm_receiver receiver, void *context);
/** Join pieces to text, handed over whole. @return false if that failed or the receiver stopped */
bool spm_decode(const spm *model, const char *const *pieces, size_t n, spm_receiver receiver, void *context);

#ifdef __cplusplus
}
#endif
#endif /* COMMAND_SPM_H */
