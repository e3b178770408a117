/* foreign_translator.h: a translator on the device of nn/foreign_device.h, which no registry lists. */
#ifndef TRD_TESTS_FOREIGN_TRANSLATOR_H
#define TRD_TESTS_FOREIGN_TRANSLATOR_H

#include "api/translator.h"
#include "core/alloc.h"
#include "core/threads.h"
#include "nn/foreign_device.h"

typedef struct foreign_translator {
    trd_translator *translator;
    trdi_device     device;
} foreign_translator;

/** What trd_translator_create() does, on that device. */
static inline foreign_translator *foreign_open(const char *folder, const char *compute_type, int32_t n_workers, int64_t max_rows)
{
    foreign_translator *f = calloc(1, sizeof *f);
    trd_model *model;
    CHECK(f != NULL);
    f->device = (trdi_device){ .ops = foreign_backend(), .facts = foreign_facts(TRDI_TYPES_INT8 | TRDI_TYPES_F16) };
    CHECK_OK(f->device.ops->device_open(&f->device.facts, &f->device.impl));
    CHECK_OK(trd_model_open(folder, &model));
    trd_translator *t = trdi_calloc(1, sizeof *t);
    CHECK(t != NULL);
    f->translator = t;
    t->process = trdi_process_id();
    t->model = model;
    t->device = &f->device;
    t->n_workers = n_workers;
    CHECK_OK(trdi_network_create(model, t->device, &(trdi_network_options){ .compute_type = compute_type, .cache_dir = "" }, &t->network));
    t->setup = (trdi_engine_setup){ .network = t->network, .device = t->device, .n_threads = 1, .first_core = -1, .max_rows = max_rows };
    const trdi_worker_setup workers = { .ops = &trdi_engine_ops, .open = trdi_engine_open, .context = &t->setup, .n_workers = n_workers };
    CHECK_OK(trdi_scheduler_create(&workers, &t->scheduler));
    return f;
}

static inline void foreign_close(foreign_translator *f)
{
    trd_translator *t = f->translator;
    trdi_scheduler_destroy(t->scheduler, TRDI_DRAIN);
    trdi_network_destroy(t->network);
    f->device.ops->device_close(f->device.impl);
    trd_model_close(t->model);
    trdi_free(t);
    free(f);
}

#endif
