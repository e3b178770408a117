/* translator.c: making and ending translators. */
#include <string.h>

#include "api/options.h"
#include "api/translator.h"
#include "core/alloc.h"
#include "core/log.h"
#include "core/threads.h"
#include "sched/trace.h"

void trd_translator_options_init(trd_translator_options *options, size_t size)
{
    const trd_translator_options defaults = { .device = NULL, .inter_threads = 1, .cpu_core_offset = -1, .max_batch_rows = 256 };
    trdi_write_defaults(options, size, &defaults, sizeof defaults);
}

trd_status trdi_translator_check_process(const trd_translator *translator, const char *name)
{
    if (translator->process == trdi_process_id()) return TRD_OK;
    return trdi_fail(TRD_E_FORKED, "%s: the translator of '%s' was made before a fork and belongs to the parent process: make one in the child",
                     name, translator->model->name);
}

static trd_status check_options(const trd_translator_options *o)
{
    if (o->inter_threads < 1 || o->inter_threads > 1024) {
        return trdi_fail(TRD_E_INVALID, "inter_threads is %d, it must be in 1 .. 1024", (int)o->inter_threads);
    }
    if (o->intra_threads < 0 || o->intra_threads > 1024) {
        return trdi_fail(TRD_E_INVALID, "intra_threads is %d, it must be in 0 .. 1024", (int)o->intra_threads);
    }
    if (o->max_batch_rows < 1 || o->max_batch_rows > 1 << 20) {
        return trdi_fail(TRD_E_INVALID, "max_batch_rows is %lld, it must be in 1 .. 1048576", (long long)o->max_batch_rows);
    }
    return TRD_OK;
}

/* NULL is the default. */
static trd_status read_numerics(const char *name, trdi_numerics *out)
{
    static const char *const names[] = { [TRDI_NUMERICS_AUTO] = "auto", [TRDI_NUMERICS_REPRODUCIBLE] = "reproducible",
                                         [TRDI_NUMERICS_FAST] = "fast" };
    *out = TRDI_NUMERICS_AUTO;
    if (name == NULL) return TRD_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (trdi_numerics)i;
        return TRD_OK;
    }
    return trdi_fail(TRD_E_INVALID, "numerics is '%s', it must be \"auto\", \"reproducible\" or \"fast\"", name);
}

/* Jobs that may wait: four full batches for each worker unless the caller says otherwise. */
static int64_t queue_bound(const trd_translator_options *o)
{
    if (o->max_queued_batches > 0) return o->max_queued_batches;
    return o->max_queued_batches < 0 ? 0 : 4 * (int64_t)o->inter_threads * o->max_batch_rows;
}

static trd_status start_workers(trd_translator *t, const trd_translator_options *o)
{
    t->setup = (trdi_engine_setup){
        .network = t->network, .device = t->device, .n_threads = trdi_device_default_threads(o->intra_threads),
        .first_core = o->cpu_core_offset, .max_rows = o->max_batch_rows,
    };
    const trdi_worker_setup workers = {
        .ops = &trdi_engine_ops, .open = trdi_engine_open, .context = &t->setup,
        .n_workers = o->inter_threads, .max_queued = queue_bound(o),
    };
    t->n_workers = o->inter_threads;
    return trdi_scheduler_create(&workers, &t->scheduler);
}

/* A type that was asked for by name is no surprise. */
static void log_note(const trd_translator *t, const char *requested)
{
    const char *const note = trdi_network_get_info(t->network)->compute_type_note;
    const bool asked = requested != NULL && requested[0] != '\0' && strcmp(requested, "default") != 0 && strcmp(requested, "auto") != 0;
    if (note[0] != '\0') trdi_log(asked ? TRD_LOG_INFO : TRD_LOG_WARNING, "model '%s': %s", t->model->name, note);
}

static trd_status fill_translator(trd_translator *t, trd_model *model, const trd_translator_options *o)
{
    trdi_network_options network = { .compute_type = o->compute_type, .cache_dir = o->cache_dir };
    TRDI_TRY(read_numerics(o->numerics, &network.numerics));
    TRDI_TRY(trdi_device_acquire(o->device, &t->device));
    TRDI_TRY(trdi_network_create(model, t->device, &network, &t->network));
    t->model = trdi_model_retain(model);
    TRDI_TRY(start_workers(t, o));
    const trdi_network_info *info = trdi_network_get_info(t->network);
    trdi_log(TRD_LOG_INFO, "translator of '%s' on %s (%s), %s, %d x %d threads", model->name, t->device->facts.id,
             t->device->facts.name, info->compute_type, (int)t->n_workers, (int)t->setup.n_threads);
    log_note(t, o->compute_type);
    return TRD_OK;
}

trd_status trd_translator_create(trd_model *model, const trd_translator_options *options, trd_translator **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_create: out is NULL");
    *out = NULL;
    if (model == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_create: model is NULL");
    trdi_trace_obey_environment();
    trd_translator_options o;
    trd_translator_options_init(&o, sizeof o);
    TRDI_TRY(trdi_read_options(&o, sizeof o, options, "trd_translator_create"));
    TRDI_TRY(check_options(&o));
    if (model->family != TRDI_FAMILY_SEQ2SEQ) {
        return trdi_fail(TRD_E_STATE, "model '%s' is no sequence-to-sequence model: it cannot be used as a translator", model->name);
    }
    if (model->unsupported != NULL) {
        return trdi_fail(TRD_E_UNSUPPORTED, "model '%s' cannot be used as a translator: %s", model->name, model->unsupported);
    }
    trd_translator *t = trdi_calloc(1, sizeof *t);
    if (t == NULL) return trdi_fail(TRD_E_MEMORY, "translator: out of memory");
    t->process = trdi_process_id();
    const trd_status status = fill_translator(t, model, &o);
    if (status != TRD_OK) {
        trd_translator_destroy(t);
        return status;
    }
    *out = t;
    return TRD_OK;
}

void trd_translator_destroy(trd_translator *translator)
{
    if (translator == NULL) return;
    /* In a forked child its threads do not exist and its locks may be held for ever: what it owns goes with the process. */
    if (translator->process != trdi_process_id()) return;
    trdi_scheduler_destroy(translator->scheduler, TRDI_DRAIN);
    trdi_network_destroy(translator->network);
    if (translator->device != NULL) trdi_device_release(translator->device);
    trd_model_close(translator->model);
    trdi_free(translator);
}

trd_status trd_translator_get_info(trd_translator *translator, trd_translator_info *info)
{
    if (translator == NULL || info == NULL || !trdi_struct_size_valid(info->struct_size)) {
        return trdi_fail(TRD_E_INVALID, "trd_translator_get_info: %s", translator == NULL ? "translator is NULL" : "info is NULL or has no size");
    }
    TRDI_TRY(trdi_translator_check_process(translator, "trd_translator_get_info"));
    const trdi_network_info *network = trdi_network_get_info(translator->network);
    trd_translator_info whole = {
        .device = translator->device->facts.id, .device_name = translator->device->facts.name,
        .compute_type = network->compute_type, .compute_type_note = network->compute_type_note,
        .n_workers = translator->n_workers, .n_threads = translator->setup.n_threads,
        .weights_from_cache = network->weights_from_cache,
    };
    trdi_scheduler_counts(translator->scheduler, &whole.n_queued, &whole.n_active);
    trdi_write_result(info, info->struct_size, &whole, sizeof whole);
    return TRD_OK;
}
