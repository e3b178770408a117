/*
 * workers.h: what runs a model: its devices, a network on each, and a scheduler whose workers are spread over them. Translators own one; what
 * later kinds of models need (generators, encoders) is the same.
 *
 * The state lock: a call holds the workers for as long as it submits (blocking calls: until they end), so that unloading never pulls a network from
 * under it. Whoever wants to be alone either gives up or waits while nobody can be inside, so that a call from a callback of another never hangs.
 */
#ifndef TRDI_WORKERS_H
#define TRDI_WORKERS_H

#include "decode/decode.h"
#include "model/model.h"
#include "treadle/trd_translator.h"

typedef struct trdi_workers trdi_workers;

/** Choose the devices, prepare the weights on each, start the workers. The model is retained. */
trd_status trdi_workers_create(trd_model *model, const trd_translator_options *options, trdi_workers **out);
/** The same on given open devices (options->device is not looked at), borrowed until the end: for devices that no registry lists. One may be there twice. */
trd_status trdi_workers_create_on(trd_model *model, trdi_device *const *devices, size_t n, const trd_translator_options *options,
                                  trdi_workers **out);
/** Waits for calls inside; ends work as asked. NULL does nothing; in a child of fork() it frees what it can. */
void trdi_workers_destroy(trdi_workers *workers, trdi_ending ending);

/**
 * First thing in every call: from now until trdi_workers_leave() nobody unloads or destroys the workers. TRD_OK where they belong to this process or
 * it may take them over, unless they are ending.
 *
 * @param what  the public function, for messages
 * @return TRD_E_FORKED in a child if a device is no CPU; TRD_E_STATE
 */
trd_status trdi_workers_hold(trdi_workers *workers, const char *what);
/**
 * Before jobs are submitted, by who holds: the scheduler to use until it leaves. In a child of fork() workers on the CPU are built anew here.
 *
 * @param what  the public function, for messages
 * @return TRD_E_STATE while unloaded ("... was unloaded"), once stopped, and when the process ends; TRD_E_FORKED in a child if a device is no CPU
 */
trd_status trdi_workers_enter(trdi_workers *workers, const char *what, trdi_scheduler **scheduler);
void trdi_workers_leave(trdi_workers *workers);

/** trd_translator_unload() and those beside it. */
trd_status trdi_workers_unload(trdi_workers *workers, bool to_host, bool *done);
trd_status trdi_workers_load(trdi_workers *workers, bool keep_host);
trd_status trdi_workers_empty_cache(trdi_workers *workers);
void trdi_workers_stop(trdi_workers *workers);

/** Workers over all devices. */
int32_t trdi_workers_count(const trdi_workers *workers);
/** Outputs of the model: columns of logits. */
int64_t trdi_workers_vocabulary(const trdi_workers *workers);
/** Fill a whole struct; strings live as long as the workers. @param what  as above */
trd_status trdi_workers_get_info(trdi_workers *workers, const char *what, trd_translator_info *out);
trd_status trdi_workers_get_device_info(trdi_workers *workers, const char *what, int64_t device, trd_translator_device_info *out);
trd_status trdi_workers_get_counters(trdi_workers *workers, const char *what, trd_translator_counters *out);

#endif
