/* discovery.c: see discovery.h. */
#include "device/discovery.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
    trdi_device_facts facts[TRDI_MAX_DEVICES];
    const size_t room = TRDI_MAX_DEVICES - findings->n_devices;
    size_t n = 0;
    memset(facts, 0, sizeof facts);
    TRDI_TRY(ops->enumerate(facts, room, &n));
    if (n > room) n = room;   /* there are more than were asked for */
    for (size_t i = 0; i < n; i++) findings->devices[findings->n_devices++] = (trdi_device){ .ops = ops, .facts = facts[i] };
    return TRD_OK;
}

static void discover_module(trdi_findings *findings, const char *name)
{
    trdi_module module;
    trdi_module_load(name, &module);
    const size_t n_before = findings->n_devices;
    if (module.ops == NULL) trdi_findings_note(findings, "%s", module.note);
    else if (trdi_findings_ask(findings, module.ops) != TRD_OK) trdi_findings_note(findings, "%s: %s", name, trd_last_error());
    else if (findings->n_devices == n_before) trdi_findings_note(findings, "%s: no device was found", name);
    trdi_module_forget(&module);
}

void trdi_discover_modules(trdi_findings *findings)
{
    discover_module(findings, "opencl");
    discover_module(findings, "cuda");
}
