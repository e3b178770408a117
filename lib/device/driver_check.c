/*
 * driver_check.c: which drivers may be asked in this process. All are asked together first, by treadle-probe: that is how they will live
 * here, and two that are good alone may break each other. If that fails, they are added one after the other, and those with which it fails are
 * kept out.
 */
#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "core/log.h"
#include "device/driver_cache.h"
#include "device/drivers.h"
#include "device/probe_run.h"

static void keep_out(trdi_driver *driver, const char *reason)
{
    driver->kept_out = true;
    (void)snprintf(driver->error, sizeof driver->error, "%s", reason);
}

/* Ask all that are not kept out, of which only driver i is new. */
static trdi_probe_end ask_with(trdi_probe_run *run, trdi_drivers *drivers, size_t i)
{
    trdi_vendor_folder folder;
    if (!trdi_vendor_folder_make(drivers, &folder)) {
        (void)snprintf(run->reason, sizeof run->reason, "was not asked: no temporary folder could be made");
        return TRDI_PROBE_NOT_STARTED;
    }
    run->vendors = folder.path;
    run->drivers = &drivers->list[i];
    run->n_drivers = 1;
    const trdi_probe_end end = trdi_probe_run_now(run);
    trdi_vendor_folder_remove(&folder);
    return end;
}

/* Find out with which drivers asking fails. */
static void ask_one_by_one(trdi_probe_run *run, trdi_drivers *drivers)
{
    for (size_t i = 0; i < drivers->n; i++) drivers->list[i].kept_out = true;
    for (size_t i = 0; i < drivers->n; i++) {
        drivers->list[i].kept_out = false;
        if (ask_with(run, drivers, i) != TRDI_PROBE_ANSWERED) keep_out(&drivers->list[i], run->reason);
    }
}

/* @return whether the answer is worth keeping */
static bool ask(trdi_drivers *drivers, const char *program, const char *module)
{
    trdi_probe_run run = { .program = program, .module = module, .drivers = drivers->list, .n_drivers = drivers->n };
    switch (trdi_probe_run_now(&run)) {
    case TRDI_PROBE_ANSWERED:
        return true;
    case TRDI_PROBE_NOT_STARTED:
        trdi_log(TRD_LOG_WARNING, "OpenCL drivers are asked in this process: %s", run.reason);
        return false;
    case TRDI_PROBE_FAILED:
        break;
    }
    if (drivers->n > 1 && drivers->is_folder) ask_one_by_one(&run, drivers);
    else for (size_t i = 0; i < drivers->n; i++) keep_out(&drivers->list[i], run.reason);
    return true;
}

void trdi_drivers_check(trdi_drivers *drivers, const char *module)
{
    char *const program = trdi_probe_find();
    trdi_text key = { .data = NULL };
    trdi_driver_cache_key(drivers, module, &key);
    if (program != NULL && !key.failed && !trdi_driver_cache_read(drivers, key.data) && ask(drivers, program, module))
        trdi_driver_cache_write(drivers, key.data);
    trdi_text_free(&key);
    trdi_free(program);
}
