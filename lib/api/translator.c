/* translator.c: making and ending translators. */
#include "api/options.h"
#include "api/translator.h"
#include "core/alloc.h"
#include "sched/trace.h"

void trd_translator_options_init(trd_translator_options *options, size_t size)
{
    const trd_translator_options defaults = { .device = NULL, .inter_threads = 1, .cpu_core_offset = -1, .max_batch_rows = 256 };
    trdi_write_defaults(options, size, &defaults, sizeof defaults);
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
    if (o->memory_limit < 0) return trdi_fail(TRD_E_INVALID, "memory_limit is %lld, it must be >= 0", (long long)o->memory_limit);
    return TRD_OK;
}

static trd_status check_model(const trd_model *model)
{
    if (model->family != TRDI_FAMILY_SEQ2SEQ) {
        return trdi_fail(TRD_E_STATE, "model '%s' is no sequence-to-sequence model: it cannot be used as a translator", model->name);
    }
    if (model->unsupported != NULL) {
        return trdi_fail(TRD_E_UNSUPPORTED, "model '%s' cannot be used as a translator: %s", model->name, model->unsupported);
    }
    return TRD_OK;
}

/* devices NULL: those that the options name. */
static trd_status create(trd_model *model, trdi_device *const *devices, size_t n, const trd_translator_options *options, trd_translator **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_create: out is NULL");
    *out = NULL;
    if (model == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_create: model is NULL");
    trdi_trace_obey_environment();
    trd_translator_options o;
    trd_translator_options_init(&o, sizeof o);
    TRDI_TRY(trdi_read_options(&o, sizeof o, options, "trd_translator_create"));
    TRDI_TRY(check_options(&o));
    TRDI_TRY(check_model(model));
    trd_translator *t = trdi_calloc(1, sizeof *t);
    if (t == NULL) return trdi_fail(TRD_E_MEMORY, "translator: out of memory");
    const trd_status status = devices != NULL ? trdi_workers_create_on(model, devices, n, &o, &t->workers)
                                              : trdi_workers_create(model, &o, &t->workers);
    if (status != TRD_OK) {
        trdi_free(t);
        return status;
    }
    t->model = trdi_model_retain(model);
    *out = t;
    return TRD_OK;
}

trd_status trd_translator_create(trd_model *model, const trd_translator_options *options, trd_translator **out)
{
    return create(model, NULL, 0, options, out);
}

trd_status trdi_translator_create_on(trd_model *model, trdi_device *const *devices, size_t n, const trd_translator_options *options,
                                     trd_translator **out)
{
    return create(model, devices, n, options, out);
}

void trd_translator_destroy(trd_translator *translator)
{
    if (translator == NULL) return;
    trdi_workers_destroy(translator->workers, TRDI_DRAIN);
    trd_model_close(translator->model);
    trdi_free(translator);
}

/* struct_size comes first in what info points to. */
static trd_status check_info(const trd_translator *translator, const size_t *info, const char *what)
{
    if (translator != NULL && info != NULL && trdi_struct_size_valid(*info)) return TRD_OK;
    return trdi_fail(TRD_E_INVALID, "%s: %s", what, translator == NULL ? "translator is NULL" : "info is NULL or has no size");
}

trd_status trd_translator_get_info(trd_translator *translator, trd_translator_info *info)
{
    static const char what[] = "trd_translator_get_info";
    TRDI_TRY(check_info(translator, info != NULL ? &info->struct_size : NULL, what));
    trd_translator_info whole;
    TRDI_TRY(trdi_workers_get_info(translator->workers, what, &whole));
    trdi_write_result(info, info->struct_size, &whole, sizeof whole);
    return TRD_OK;
}

trd_status trd_translator_get_device_info(trd_translator *translator, int64_t device, trd_translator_device_info *info)
{
    static const char what[] = "trd_translator_get_device_info";
    TRDI_TRY(check_info(translator, info != NULL ? &info->struct_size : NULL, what));
    trd_translator_device_info whole;
    TRDI_TRY(trdi_workers_get_device_info(translator->workers, what, device, &whole));
    trdi_write_result(info, info->struct_size, &whole, sizeof whole);
    return TRD_OK;
}

trd_status trd_translator_get_counters(trd_translator *translator, trd_translator_counters *counters)
{
    static const char what[] = "trd_translator_get_counters";
    TRDI_TRY(check_info(translator, counters != NULL ? &counters->struct_size : NULL, what));
    trd_translator_counters whole;
    TRDI_TRY(trdi_workers_get_counters(translator->workers, what, &whole));
    trdi_write_result(counters, counters->struct_size, &whole, sizeof whole);
    return TRD_OK;
}

trd_status trd_translator_unload(trd_translator *translator, bool to_host, bool *done)
{
    bool unused;
    if (done == NULL) done = &unused;
    *done = false;
    if (translator == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_unload: translator is NULL");
    return trdi_workers_unload(translator->workers, to_host, done);
}

trd_status trd_translator_load(trd_translator *translator, bool keep_host)
{
    if (translator == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_load: translator is NULL");
    return trdi_workers_load(translator->workers, keep_host);
}

trd_status trd_translator_empty_cache(trd_translator *translator)
{
    if (translator == NULL) return trdi_fail(TRD_E_INVALID, "trd_translator_empty_cache: translator is NULL");
    return trdi_workers_empty_cache(translator->workers);
}

void trd_translator_cancel_all(trd_translator *translator)
{
    if (translator != NULL) trdi_workers_stop(translator->workers);
}
