/* compute_queue.c: queues and events (treadle/trd_compute.h), the host's memory for one call, and running a plan of one operation. */
#include "api/compute.h"
#include "core/alloc.h"

static const trdi_backend_ops *ops_of(const trd_device *device)
{
    return device->device->ops;
}

/* ---- Queues ---- */

static const trd_queue_options queue_defaults = { .struct_size = sizeof(trd_queue_options), .n_threads = 0 };

void trd_queue_options_init(trd_queue_options *options, size_t size)
{
    trdi_write_defaults(options, size, &queue_defaults, sizeof queue_defaults);
}

trd_status trd_queue_create(trd_device *device, const trd_queue_options *options, trd_queue **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_queue_create: out is NULL");
    *out = NULL;
    TRDI_TRY(trdi_device_check(device, "trd_queue_create"));
    trd_queue_options o = queue_defaults;
    TRDI_TRY(trdi_read_options(&o, sizeof o, options, "trd_queue_create"));
    if (o.n_threads < 0 || o.n_threads > 4096) return trdi_fail(TRD_E_INVALID, "trd_queue_create: n_threads is %d, not 0 to 4096", (int)o.n_threads);
    trd_queue *const queue = trdi_calloc(1, sizeof *queue);
    if (queue == NULL) return trdi_fail(TRD_E_MEMORY, "trd_queue_create: %zu bytes", sizeof *queue);
    const trdi_queue_options inner = { .n_threads = trdi_device_default_threads(o.n_threads) };
    const trd_status status = trdi_shared_queue_create(device->device, &inner, &queue->shared);
    if (status != TRD_OK) {
        trdi_free(queue);
        return status;
    }
    queue->device = trdi_open_device_use(device);
    *out = queue;
    return TRD_OK;
}

void trd_queue_destroy(trd_queue *queue)
{
    if (queue == NULL || queue->device->process != trdi_process_id()) return;
    const trdi_backend_ops *const ops = ops_of(queue->device);
    trdi_shared_queue_close(queue->shared);
    for (size_t i = 0; i < TRDI_STEP_SLOTS; i++) {
        if (queue->slots[i].event != NULL) ops->event_free(queue->slots[i].event);
        if (queue->slots[i].buffer != NULL) ops->buffer_free(queue->slots[i].buffer);
    }
    trdi_open_device_drop(queue->device);
    trdi_free(queue);
}

trd_status trdi_queue_enter(trd_queue *queue, const char *name)
{
    if (queue == NULL) return trdi_fail(TRD_E_INVALID, "%s: queue is NULL", name);
    TRDI_TRY(trdi_device_check(queue->device, name));
    trdi_mutex_lock(&queue->shared->mutex);
    return TRD_OK;
}

void trdi_queue_leave(trd_queue *queue)
{
    trdi_mutex_unlock(&queue->shared->mutex);
}

trd_status trd_queue_wait(trd_queue *queue)
{
    TRDI_TRY(trdi_queue_enter(queue, "trd_queue_wait"));
    const trd_status status = ops_of(queue->device)->queue_wait(queue->shared->impl);
    trdi_queue_leave(queue);
    return status;
}

trd_status trdi_queue_use(trd_queue *queue, const trd_tensor *tensor)
{
    trdi_block *const block = tensor->storage->block;
    return block == NULL ? TRD_OK : trdi_block_enter(block, queue->shared);
}

/* ---- Events ---- */

static trd_status check_event(const trd_event *event, const char *name)
{
    if (event == NULL) return trdi_fail(TRD_E_INVALID, "%s: event is NULL", name);
    return trdi_device_check(event->device, name);
}

trd_status trd_event_record(trd_queue *queue, trd_event **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_event_record: out is NULL");
    *out = NULL;
    trd_event *const event = trdi_alloc(sizeof *event);
    if (event == NULL) return trdi_fail(TRD_E_MEMORY, "trd_event_record: %zu bytes", sizeof *event);
    trd_status status = trdi_queue_enter(queue, "trd_event_record");
    if (status == TRD_OK) {
        event->device = queue->device;
        status = ops_of(queue->device)->event_record(queue->shared->impl, &event->impl);
        trdi_queue_leave(queue);
    }
    if (status != TRD_OK) {
        trdi_free(event);
        return status;
    }
    (void)trdi_open_device_use(event->device);
    *out = event;
    return TRD_OK;
}

void trd_event_destroy(trd_event *event)
{
    if (event == NULL || event->device->process != trdi_process_id()) return;
    ops_of(event->device)->event_free(event->impl);
    trdi_open_device_drop(event->device);
    trdi_free(event);
}

trd_status trd_event_done(trd_event *event, bool *done)
{
    if (done == NULL) return trdi_fail(TRD_E_INVALID, "trd_event_done: done is NULL");
    *done = false;
    TRDI_TRY(check_event(event, "trd_event_done"));
    return ops_of(event->device)->event_done(event->impl, done);
}

/* Ask again and again, from 20 microseconds apart to a millisecond: back ends wait for ever or not at all. */
static trd_status poll_event(trd_event *event, int64_t deadline_ns)
{
    trdi_mutex mutex = TRDI_MUTEX_INIT;
    trdi_cond never;
    TRDI_TRY(trdi_cond_init(&never));
    trd_status status;
    bool done = false;
    for (int64_t pause_ns = 20000;; pause_ns = pause_ns < 500000 ? 2 * pause_ns : 1000000) {
        status = ops_of(event->device)->event_done(event->impl, &done);
        const int64_t now = trdi_now_ns();
        if (status != TRD_OK || done || now >= deadline_ns) break;
        trdi_mutex_lock(&mutex);
        (void)trdi_cond_wait_until(&never, &mutex, now + pause_ns < deadline_ns ? now + pause_ns : deadline_ns);
        trdi_mutex_unlock(&mutex);
    }
    trdi_cond_destroy(&never);
    if (status == TRD_OK && !done) status = trdi_fail(TRD_E_TIMEOUT, "trd_event_wait: not passed on %s yet", event->device->device->facts.id);
    return status;
}

trd_status trd_event_wait(trd_event *event, int64_t timeout_ns)
{
    TRDI_TRY(check_event(event, "trd_event_wait"));
    if (timeout_ns < 0) return ops_of(event->device)->event_wait(NULL, event->impl);
    const int64_t now = trdi_now_ns();
    return poll_event(event, timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns);
}

trd_status trd_queue_wait_event(trd_queue *queue, trd_event *event)
{
    TRDI_TRY(check_event(event, "trd_queue_wait_event"));
    TRDI_TRY(trdi_queue_enter(queue, "trd_queue_wait_event"));
    const bool same = queue->device->device == event->device->device;
    const trd_status status = same ? ops_of(event->device)->event_wait(queue->shared->impl, event->impl) : TRD_OK;
    trdi_queue_leave(queue);
    return same ? status : ops_of(event->device)->event_wait(NULL, event->impl);
}

/* ---- What the host tells an operation ---- */

/* Wait for the slot's last use. */
static trd_status slot_wait(const trdi_backend_ops *ops, trdi_step_slot *slot)
{
    if (slot->event == NULL) return TRD_OK;
    const trd_status status = ops->event_wait(NULL, slot->event);
    ops->event_free(slot->event);
    slot->event = NULL;
    return status;
}

trd_status trdi_step_take(trd_queue *queue, size_t bytes, trdi_step_slot **out, void **host)
{
    const trdi_backend_ops *const ops = ops_of(queue->device);
    trdi_step_slot *const slot = &queue->slots[queue->next_slot];
    *out = NULL;
    TRDI_TRY(slot_wait(ops, slot));
    /* The whole buffer crosses to the device, so one that served a large call is not kept for small ones. */
    const bool wasteful = slot->bytes > 65536 && slot->bytes / 8 > bytes;
    if (slot->bytes < bytes || wasteful) {
        const size_t wanted = bytes + bytes / 2 + 256;
        void *buffer;
        TRDI_TRY(ops->buffer_alloc(queue->device->device->impl, wanted, TRDI_MEMORY_STEP, &buffer));
        if (slot->buffer != NULL) ops->buffer_free(slot->buffer);
        slot->buffer = buffer;
        slot->bytes = wanted;
    }
    queue->next_slot = (queue->next_slot + 1) % TRDI_STEP_SLOTS;
    *host = ops->buffer_host(slot->buffer);
    *out = slot;
    return TRD_OK;
}

void trdi_step_done(trd_queue *queue, trdi_step_slot *slot)
{
    if (slot == NULL) return;
    const trdi_backend_ops *const ops = ops_of(queue->device);
    if (ops->event_record(queue->shared->impl, &slot->event) == TRD_OK) return;
    slot->event = NULL;
    (void)ops->queue_wait(queue->shared->impl);
}

/* ---- Operations ---- */

trd_status trdi_run_operation(trd_queue *queue, const char *name, const trdi_op *op, int64_t n)
{
    const trdi_backend_ops *const ops = ops_of(queue->device);
    const trdi_plan_options options = { .numerics = TRDI_NUMERICS_AUTO };
    trdi_step step = { .counts = { [TRDI_COUNT_ONE] = 1 } };
    step.counts[op->count] = n;
    void *plan;
    trd_status status = ops->plan_create(queue->device->device->impl, op, 1, &options, &plan);
    if (status != TRD_OK) return trdi_fail_within(status, "%s", name);
    status = ops->plan_run(queue->shared->impl, plan, &step);
    ops->plan_destroy(plan);
    return status == TRD_OK ? status : trdi_fail_within(status, "%s", name);
}
