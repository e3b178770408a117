/*
 * workers.h: what runs a model: its devices, a network on each, and a scheduler whose workers are spread over them. Translators own one; what
 * later kinds of models need (generators, encoders) is the same.
 *
 * The state lock: a call enters for as long as it submits (blocking calls: until they end), so that unloading never pulls a network from
 * under it.
 */
#ifndef TRDI_WORKERS_H
#define TRDI_WORKERS_H

#include "decode/decode.h"
#include "model/model.h"
#include "treadle/trd_translator.h"

typedef struct trdi_workers trdi_workers;

/** Choose the devices, prepare the weights on each, start the workers. The model is retained. */
trd_status trdi_workers_create(trd_model *model, const trd_translator_options *options, trdi_workers **out);
/** Waits for calls inside; ends work as asked. NULL does nothing; in a child of fork() it frees what it can. */
void trdi_workers_destroy(trdi_workers *workers, trdi_ending ending);

/**
 * Before jobs are submitted: the scheduler to use until trdi_workers_leave(). In a child of fork() workers on the CPU are built anew here.
 *
 * @param what  the public function, for messages
 * @return TRD_E_STATE while unloaded ("... was unloaded"); TRD_E_FORKED in a child if a device is no CPU
 */
trd_status trdi_workers_enter(trdi_workers *workers, const char *what, trdi_scheduler **scheduler);
void trdi_workers_leave(trdi_workers *workers);

/** Workers over all devices. */
int32_t trdi_workers_count(const trdi_workers *workers);

#endif
