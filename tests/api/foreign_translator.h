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
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.compute_type = compute_type;
    options.cache_dir = "";
    options.inter_threads = n_workers;
    options.intra_threads = 1;
    options.max_batch_rows = max_rows;
    trdi_device *device = &f->device;
    CHECK_OK(trdi_translator_create_on(model, &device, 1, &options, &f->translator));
    trd_model_close(model);
    return f;
}

static inline void foreign_close(foreign_translator *f)
{
    trd_translator_destroy(f->translator);
    f->device.ops->device_close(f->device.impl);
    free(f);
}

#endif
