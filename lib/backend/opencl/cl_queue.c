/* cl_queue.c: queues, what they keep until their next wait, and events. Queues are in order. */
#include "backend/opencl/opencl.h"
#include "core/alloc.h"

typedef struct cl_event_box {
    trdi_cl_device *device;      /* whose queue recorded it */
    cl_event handle;
} cl_event_box;

/* ---- Queues ---- */

trd_status trdi_cl_queue_create(void *handle, const trdi_queue_options *options, void **out)
{
    trdi_cl_device *device = handle;
    (void)options;
    *out = NULL;
    TRDI_TRY(trdi_cl_usable(device));
    trdi_cl_queue *queue = trdi_calloc(1, sizeof *queue);
    if (queue == NULL) return trdi_fail(TRD_E_MEMORY, "queue of %s: %zu bytes", device->facts.id, sizeof *queue);
    queue->device = device;
    cl_int error;
    queue->handle = trdi_cl.CreateCommandQueue(device->context, device->id, 0, &error);
    if (error != CL_SUCCESS) {
        trdi_free(queue);
        return trdi_cl_device_fail(device, error, "queue of %s (%s)", device->facts.id, device->facts.name);
    }
    *out = queue;
    return TRD_OK;
}

/* Buffers that a queue holds before it waits for them: a caller that never waits must not fill the memory. */
enum { MOST_HELD = 256 };

/* Until everything on the queue is done. */
static cl_int finish(trdi_cl_queue *queue)
{
    if (queue->device->forgetful) {
        cl_event last;
        cl_int error = trdi_cl.EnqueueMarkerWithWaitList(queue->handle, 0, NULL, &last);
        if (error != CL_SUCCESS) return error;
        error = trdi_cl.WaitForEvents(1, &last);
        (void)trdi_cl.ReleaseEvent(last);
        if (error != CL_SUCCESS) return error;
    }
    return trdi_cl.Finish(queue->handle);
}

static void drop_held(trdi_cl_queue *queue)
{
    for (size_t i = 0; i < queue->n_held; i++) trdi_cl_buffer_drop(queue->held[i]);
    queue->n_held = 0;
}

trd_status trdi_cl_queue_hold(trdi_cl_queue *queue, trdi_cl_buffer *buffer)
{
    for (size_t i = 0; i < queue->n_held; i++) {
        if (queue->held[i] == buffer) return TRD_OK;
    }
    void *list = queue->held;
    const bool room = trdi_reserve(&list, &queue->held_capacity, queue->n_held + 1, sizeof *queue->held);
    queue->held = list;
    if (!room) return trdi_fail(TRD_E_MEMORY, "list of %zu buffers in use on %s", queue->n_held + 1, queue->device->facts.id);
    (void)atomic_fetch_add(&buffer->n_uses, 1);
    queue->held[queue->n_held++] = buffer;
    return TRD_OK;
}

static void forget(trdi_cl_queue *queue)
{
    if (queue->last != NULL) (void)trdi_cl.ReleaseEvent(queue->last);
    queue->last = NULL;
}

/* CL_COMPLETE, a state before it, or the error with which a command ended. */
static cl_int state_of(cl_event event)
{
    cl_int state = CL_QUEUED;
    const cl_int error = trdi_cl.GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    return error != CL_SUCCESS ? error : state;
}

void trdi_cl_queue_note(trdi_cl_queue *queue, cl_event event)
{
    forget(queue);
    queue->last = event;
}

trd_status trdi_cl_queue_settle(trdi_cl_queue *queue, cl_event event, const char *what)
{
    trdi_cl_device *device = queue->device;
    const cl_int state = event != NULL ? state_of(event) : CL_COMPLETE, noted = queue->last != NULL ? state_of(queue->last) : CL_COMPLETE;
    if (event != NULL) (void)trdi_cl.ReleaseEvent(event);
    forget(queue);
    drop_held(queue);
    if (noted < 0) return trdi_cl_work_fail(device, noted, "%s: an earlier command on a queue of %s (%s) failed", what, device->facts.id, device->facts.name);
    return state >= 0 ? TRD_OK : trdi_cl_work_fail(device, state, "%s on %s (%s)", what, device->facts.id, device->facts.name);
}

trd_status trdi_cl_queue_look(trdi_cl_queue *queue)
{
    if (queue->n_held >= MOST_HELD) return trdi_cl_queue_wait(queue);
    const bool over = queue->last != NULL && state_of(queue->last) <= CL_COMPLETE;
    return over ? trdi_cl_queue_settle(queue, NULL, "step") : TRD_OK;
}

void trdi_cl_queue_destroy(void *handle)
{
    trdi_cl_queue *queue = handle;
    if (queue == NULL) return;
    (void)finish(queue);
    forget(queue);
    for (int i = 0; i < TRDI_CL_N_SCRATCH; i++) trdi_cl_memory_free(queue->device, queue->scratch[i].memory);
    (void)trdi_cl.ReleaseCommandQueue(queue->handle);
    drop_held(queue);
    trdi_free(queue->held);
    trdi_free(queue);
}

trd_status trdi_cl_queue_wait(void *handle)
{
    trdi_cl_queue *queue = handle;
    trdi_cl_device *device = queue->device;
    const cl_int error = finish(queue);
    if (error != CL_SUCCESS) return trdi_cl_work_fail(device, error, "waiting for a queue of %s (%s)", device->facts.id, device->facts.name);
    TRDI_TRY(trdi_cl_queue_settle(queue, NULL, "waiting"));
    /* At once, since processes are killed; what takes seconds waits for the closing of the device. */
    const bool unsaved = atomic_load_explicit(&device->n_unsaved, memory_order_relaxed) > 0;
    if (unsaved && !device->slow_binaries) trdi_cl_programs_save(device, false);
    return trdi_cl_usable(device);
}

void trdi_cl_queue_drain(trdi_cl_queue *queue)
{
    const cl_int error = finish(queue);
    forget(queue);
    if (error == CL_SUCCESS) drop_held(queue);
    else trdi_cl_lose(queue->device, error, "waiting for a queue after a failure");
}

trd_status trdi_cl_queue_scratch(trdi_cl_queue *queue, trdi_cl_scratch use, size_t bytes, cl_mem *out)
{
    trdi_cl_device *device = queue->device;
    if (bytes > queue->scratch[use].bytes) {
        const size_t largest = device->traits.max_buffer_bytes, more = bytes + bytes / 2;
        const size_t wanted = largest == 0 || more <= largest ? more : bytes;
        cl_mem memory;
        TRDI_TRY(trdi_cl_memory_alloc(device, wanted, "scratch", &memory));
        trdi_cl_memory_free(device, queue->scratch[use].memory);
        queue->scratch[use].memory = memory;
        queue->scratch[use].bytes = wanted;
    }
    *out = queue->scratch[use].memory;
    return TRD_OK;
}

/* ---- Events ---- */

trd_status trdi_cl_event_record(void *handle, void **out)
{
    trdi_cl_queue *queue = handle;
    trdi_cl_device *device = queue->device;
    *out = NULL;
    TRDI_TRY(trdi_cl_usable(device));
    cl_event_box *event = trdi_alloc(sizeof *event);
    if (event == NULL) return trdi_fail(TRD_E_MEMORY, "event on %s: %zu bytes", device->facts.id, sizeof *event);
    *event = (cl_event_box){ .device = device };
    cl_int error = trdi_cl.EnqueueMarkerWithWaitList(queue->handle, 0, NULL, &event->handle);
    if (error == CL_SUCCESS) {
        error = trdi_cl.Flush(queue->handle);    /* another queue may wait for it */
    } else {
        event->handle = NULL;
    }
    if (error != CL_SUCCESS) {
        trdi_cl_event_free(event);
        return trdi_cl_device_fail(device, error, "event on %s", device->facts.id);
    }
    *out = event;
    return TRD_OK;
}

static trd_status wait_here(const cl_event_box *event)
{
    const cl_int error = trdi_cl.WaitForEvents(1, &event->handle);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_work_fail(event->device, error, "waiting for an event of %s", event->device->facts.id);
}

/* Contexts cannot wait for each other's events: there this thread does. */
trd_status trdi_cl_event_wait(void *handle, void *event_handle)
{
    trdi_cl_queue *queue = handle;
    const cl_event_box *event = event_handle;
    if (queue == NULL) return wait_here(event);
    trdi_cl_device *device = queue->device;
    TRDI_TRY(trdi_cl_usable(device));
    if (device != event->device) return wait_here(event);
    const cl_int error = trdi_cl.EnqueueBarrierWithWaitList(queue->handle, 1, &event->handle, NULL);
    return error == CL_SUCCESS ? TRD_OK : trdi_cl_device_fail(device, error, "wait on a queue of %s", device->facts.id);
}

trd_status trdi_cl_event_done(void *event_handle, bool *done)
{
    const cl_event_box *event = event_handle;
    cl_int state = CL_QUEUED;
    *done = false;
    const cl_int error = trdi_cl.GetEventInfo(event->handle, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    if (error != CL_SUCCESS) return trdi_cl_device_fail(event->device, error, "state of an event of %s", event->device->facts.id);
    *done = state <= CL_COMPLETE;
    return state >= 0 ? TRD_OK : trdi_cl_work_fail(event->device, state, "what an event of %s stands for", event->device->facts.id);
}

void trdi_cl_event_free(void *event_handle)
{
    cl_event_box *event = event_handle;
    if (event == NULL) return;
    if (event->handle != NULL) (void)trdi_cl.ReleaseEvent(event->handle);
    trdi_free(event);
}
