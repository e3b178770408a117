/* cl_device.c: opening and closing a device; how its failures are told, and when they mean that it is lost. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "backend/opencl/cl_clblast.h"
#include "backend/opencl/cl_program_cache.h"
#include "backend/opencl/cl_tuning.h"
#include "backend/opencl/opencl.h"
#include "core/alloc.h"
#include "core/log.h"

/* ---- What the driver says ---- */

/* Runs on any thread, inside the driver, perhaps under its locks: so the text is only kept. The log belongs to the user. */
static void CL_CALLBACK on_notice(const char *text, const void *data, size_t bytes, void *context)
{
    (void)data;
    (void)bytes;
    trdi_cl_device *device = context;
    trdi_mutex_lock(&device->notices_mutex);
    if (device->notice[0] == '\0') (void)snprintf(device->notice, sizeof device->notice, "%s", text);
    trdi_mutex_unlock(&device->notices_mutex);
}

static void log_notice(trdi_cl_device *device)
{
    char text[sizeof device->notice];
    trdi_mutex_lock(&device->notices_mutex);
    memcpy(text, device->notice, sizeof text);
    device->notice[0] = '\0';
    trdi_mutex_unlock(&device->notices_mutex);
    if (text[0] != '\0') trdi_log(TRD_LOG_WARNING, "%s: its driver says: %s", device->facts.id, text);
}

/* ---- Failures ---- */

trd_status trdi_cl_usable(trdi_cl_device *device)
{
    const int state = atomic_load_explicit(&device->lost, memory_order_acquire);
    if (state == TRDI_CL_NOT_LOST) return TRD_OK;
    return trdi_fail(TRD_E_DEVICE, "device %s was lost: %s", device->facts.id, state == TRDI_CL_LOST_SAID ? device->lost_text : "a queue failed");
}

/* The first failure is the one that is told from then on. */
static void lose(trdi_cl_device *device, const char *why)
{
    int state = TRDI_CL_NOT_LOST;
    if (!atomic_compare_exchange_strong(&device->lost, &state, TRDI_CL_LOST)) return;
    (void)snprintf(device->lost_text, sizeof device->lost_text, "%s", why);
    atomic_store_explicit(&device->lost, TRDI_CL_LOST_SAID, memory_order_release);
    trdi_log(TRD_LOG_ERROR, "device %s (%s) was lost: %s", device->facts.id, device->facts.name, why);
}

static trd_status fail(trdi_cl_device *device, cl_int error, bool lost, const char *format, va_list arguments)
{
    char what[TRDI_ERROR_BYTES / 2 - 64], why[TRDI_ERROR_BYTES / 2];
    (void)vsnprintf(what, sizeof what, format, arguments);
    (void)snprintf(why, sizeof why, "%s: %s (%d)", what, trdi_cl_error_name(error), (int)error);
    log_notice(device);
    if (!lost) return trdi_cl_fail(error, "%s", what);
    lose(device, why);
    return trdi_fail(TRD_E_DEVICE, "device %s was lost: %s", device->facts.id, why);
}

trd_status trdi_cl_device_fail(trdi_cl_device *device, cl_int error, const char *what, ...)
{
    const bool lost = error == CL_INVALID_CONTEXT || error == CL_INVALID_COMMAND_QUEUE || error == CL_DEVICE_NOT_AVAILABLE;
    va_list arguments;
    va_start(arguments, what);
    const trd_status status = fail(device, error, lost, what, arguments);
    va_end(arguments);
    return status;
}

trd_status trdi_cl_work_fail(trdi_cl_device *device, cl_int error, const char *what, ...)
{
    const bool lost = error != CL_MEM_OBJECT_ALLOCATION_FAILURE && error != CL_OUT_OF_HOST_MEMORY;
    va_list arguments;
    va_start(arguments, what);
    const trd_status status = fail(device, error, lost, what, arguments);
    va_end(arguments);
    return status;
}

void trdi_cl_lose(trdi_cl_device *device, cl_int error, const char *what)
{
    char why[TRDI_ERROR_BYTES / 2];
    (void)snprintf(why, sizeof why, "%s: %s (%d)", what, trdi_cl_error_name(error), (int)error);
    lose(device, why);
}

/* ---- Opening and closing ---- */

/* Index and name are of a list made earlier, perhaps by another process. */
static trd_status find_handles(trdi_cl_device *device)
{
    const trdi_device_facts *facts = &device->facts;
    char name[sizeof facts->name];
    TRDI_TRY(trdi_cl_find_device(facts->id, &device->platform, &device->id));
    trdi_cl_device_text(device->id, CL_DEVICE_NAME, name, sizeof name);
    if (strcmp(name, facts->name) == 0) return TRD_OK;
    return trdi_fail(TRD_E_DEVICE, "device %s was '%s' when it was listed, and is '%s' now", facts->id, facts->name, name);
}

static trd_status fill_device(trdi_cl_device *device)
{
    const trdi_device_facts *facts = &device->facts;
    TRDI_TRY(find_handles(device));
    device->traits = trdi_cl_find_traits(device->id);
    device->slow_binaries = strcmp(facts->platform, "Portable Computing Language") == 0;
    device->forgetful = strcmp(facts->platform, "rusticl") == 0;
    cl_int error;
    const cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)device->platform, 0 };
    device->context = trdi_cl.CreateContext(properties, 1, &device->id, on_notice, device, &error);
    if (error != CL_SUCCESS) return trdi_cl_fail(error, "context of %s (%s)", facts->id, facts->name);
    device->queue = trdi_cl.CreateCommandQueue(device->context, device->id, 0, &error);
    if (error != CL_SUCCESS) return trdi_cl_fail(error, "queue of %s (%s)", facts->id, facts->name);
    TRDI_TRY(trdi_cl_memory_alloc(device, 64, "first buffer", &device->nothing));
    device->cache = trdi_cl_cache_open(device);
    return trdi_cl_tuning_open(device);
}

/* All or none. */
static trd_status make_mutexes(trdi_cl_device *device)
{
    trdi_mutex *const mutexes[] = { &device->mutex, &device->programs_mutex, &device->notices_mutex };
    for (size_t i = 0; i < sizeof mutexes / sizeof mutexes[0]; i++) {
        const trd_status status = trdi_mutex_init(mutexes[i]);
        if (status == TRD_OK) continue;
        while (i-- > 0) trdi_mutex_destroy(mutexes[i]);
        return status;
    }
    return TRD_OK;
}

trd_status trdi_cl_device_open(const trdi_device_facts *facts, void **out)
{
    *out = NULL;
    trdi_cl_device *device = trdi_calloc(1, sizeof *device);
    if (device == NULL) return trdi_fail(TRD_E_MEMORY, "device %s: %zu bytes", facts->id, sizeof *device);
    device->facts = *facts;
    trd_status status = make_mutexes(device);
    if (status != TRD_OK) {
        trdi_free(device);
        return status;
    }
    status = fill_device(device);
    if (status != TRD_OK) {
        trdi_cl_device_close(device);
        return status;
    }
    *out = device;
    return TRD_OK;
}

/* Where it takes seconds, the log says so. */
static void save_last(trdi_cl_device *device)
{
    const int n = atomic_load(&device->n_unsaved);
    const int64_t start = trdi_now_ns();
    if (n > 0) trdi_log(TRD_LOG_INFO, "%s: saving %d compiled program%s ...", device->facts.id, n, n > 1 ? "s" : "");
    trdi_cl_programs_save(device, true);
    if (n > 0) trdi_log(TRD_LOG_INFO, "%s: saved in %.0f ms", device->facts.id, (double)(trdi_now_ns() - start) * 1e-6);
}

void trdi_cl_device_close(void *handle)
{
    trdi_cl_device *device = handle;
    if (device == NULL) return;
    trdi_cl_clblast_close(device);
    if (atomic_load(&device->lost) == TRDI_CL_NOT_LOST) save_last(device);
    trdi_cl_programs_free(device);
    trdi_cl_cache_close(device->cache);
    trdi_cl_tuning_close(device);
    trdi_cl_memory_free(device, device->nothing);
    if (device->queue != NULL) (void)trdi_cl.ReleaseCommandQueue(device->queue);
    if (device->context != NULL) (void)trdi_cl.ReleaseContext(device->context);
    log_notice(device);
    trdi_mutex_destroy(&device->mutex);
    trdi_mutex_destroy(&device->programs_mutex);
    trdi_mutex_destroy(&device->notices_mutex);
    trdi_free(device);
}
