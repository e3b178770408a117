/* discovery.c: see discovery.h. */
#include "device/discovery.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/shared_library.h"
#include "device/drivers.h"

#define VENDORS "OCL_ICD_VENDORS"

void trdi_findings_note(trdi_findings *findings, const char *format, ...)
{
    if (findings->n_notes == TRDI_MAX_NOTES) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(findings->notes[findings->n_notes++], TRDI_NOTE_BYTES, format, arguments);
    va_end(arguments);
}

trd_status trdi_findings_ask(trdi_findings *findings, const trdi_backend_ops *ops)
{
    const size_t room = findings->capacity - findings->n_devices;
    trdi_device_facts *const facts = trdi_calloc(room, sizeof *facts);
    if (facts == NULL) return trdi_fail(TRD_E_MEMORY, "list of devices: %zu of %zu bytes", room, sizeof *facts);
    size_t n = 0;
    const trd_status status = ops->enumerate(facts, room, &n);
    if (status != TRD_OK) n = 0;
    if (n > room) n = room;   /* there are more than were asked for */
    for (size_t i = 0; i < n; i++) findings->devices[findings->n_devices++] = (trdi_device){ .ops = ops, .facts = facts[i] };
    trdi_free(facts);
    return status;
}

/* The variable that tells the ICD loader where to look, replaced while drivers are kept out. The loader looks once per process. */
typedef struct vendor_switch {
    trdi_vendor_folder folder;
    char *before;              /* owned; NULL = it was not set */
} vendor_switch;

static bool switch_vendors(const trdi_drivers *drivers, vendor_switch *s)
{
    *s = (vendor_switch){ .before = NULL };
    if (!trdi_vendor_folder_make(drivers, &s->folder)) return false;
    const char *const before = getenv(VENDORS);
    if (before != NULL) s->before = trdi_strndup(before, strlen(before));
    if ((before == NULL || s->before != NULL) && setenv(VENDORS, s->folder.path, 1) == 0) return true;
    trdi_vendor_folder_remove(&s->folder);
    trdi_free(s->before);
    return false;
}

static void switch_back(vendor_switch *s)
{
    if (s->before != NULL) (void)setenv(VENDORS, s->before, 1);
    else (void)unsetenv(VENDORS);
    trdi_free(s->before);
    trdi_vendor_folder_remove(&s->folder);
}

static void note_drivers(trdi_findings *findings, const trdi_drivers *drivers)
{
    for (size_t i = 0; i < drivers->n; i++) {
        const trdi_driver *const driver = &drivers->list[i];
        if (driver->error[0] == '\0') continue;
        trdi_findings_note(findings, "opencl: driver %s%s %s%s", driver->file, driver->kept_out ? "" : ":", driver->error,
                           driver->kept_out ? "; it is kept out" : "");
    }
}

/* @param nowhere  the folder that holds no driver, if that is known: the best reason for there being no device */
static void ask_and_note(trdi_findings *findings, const trdi_backend_ops *ops, const char *nowhere)
{
    const size_t n_before = findings->n_devices;
    const trd_status status = trdi_findings_ask(findings, ops);
    if (findings->n_devices > n_before) return;
    if (nowhere != NULL) trdi_findings_note(findings, "%s: no driver is installed: there is no .icd file in %s", ops->name, nowhere);
    else if (status != TRD_OK) trdi_findings_note(findings, "%s: %s", ops->name, trd_last_error());
    else trdi_findings_note(findings, "%s: no device was found", ops->name);
}

/* Is a library that is to be kept out in this process already? Then the ICD loader was used before and asks it whatever the variable says. */
static bool has_kept_out(const trdi_drivers *drivers)
{
    char name[4096];
    for (size_t i = 0; i < drivers->n; i++)
        if (drivers->list[i].kept_out && trdi_driver_library_name(drivers->list[i].file, name, sizeof name) && trdi_library_present(name)) return true;
    return false;
}

static void ask_drivers(trdi_findings *findings, const trdi_backend_ops *ops, const trdi_drivers *drivers)
{
    size_t n_kept_out = 0;
    for (size_t i = 0; i < drivers->n; i++) n_kept_out += drivers->list[i].kept_out;
    note_drivers(findings, drivers);
    vendor_switch vendors;
    if (n_kept_out == 0) {
        ask_and_note(findings, ops, drivers->n == 0 ? drivers->source : NULL);
    } else if (n_kept_out == drivers->n) {
        trdi_findings_note(findings, "opencl: no driver is left to ask");
    } else if (has_kept_out(drivers)) {
        trdi_findings_note(findings, "opencl: not asked, since this program itself loaded a driver that must be kept out");
    } else if (!switch_vendors(drivers, &vendors)) {
        trdi_findings_note(findings, "opencl: not asked, since no temporary folder could be made for the drivers that work");
    } else {
        ask_and_note(findings, ops, NULL);
        switch_back(&vendors);
    }
}

static void discover_opencl(trdi_findings *findings)
{
    trdi_module module;
    trdi_module_load("opencl", &module);
    trdi_drivers drivers;
    if (module.ops == NULL) {
        trdi_findings_note(findings, "%s", module.note);
    } else if (trdi_drivers_list(&drivers) != TRD_OK) {
        trdi_findings_note(findings, "opencl: %s", trd_last_error());
    } else {
        trdi_drivers_check(&drivers, module.path);
        ask_drivers(findings, module.ops, &drivers);
        trdi_drivers_free(&drivers);
    }
    trdi_module_forget(&module);
}

/* The files through which NVIDIA's library reaches the driver in the kernel; the second is that of Windows' Linux. Loading the library would start it. */
static bool has_nvidia_driver(void)
{
    return access("/dev/nvidiactl", F_OK) == 0 || access("/dev/dxg", F_OK) == 0;
}

/* Its module, where there is one, asks the driver itself. */
static void discover_cuda(trdi_findings *findings)
{
    trdi_module module;
    trdi_module_load("cuda", &module);
    if (module.ops != NULL) ask_and_note(findings, module.ops, NULL);
    else if (module.path != NULL) trdi_findings_note(findings, "%s", module.note);
    else trdi_findings_note(findings, "cuda: %sthis build has no CUDA back end (treadle-cuda.so)", has_nvidia_driver() ? "" : "driver not found; ");
    trdi_module_forget(&module);
}

void trdi_discover_modules(trdi_findings *findings)
{
    discover_opencl(findings);
    discover_cuda(findings);
}
