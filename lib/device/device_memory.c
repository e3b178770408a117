/* device_memory.c: see device_memory.h. */
#include "device/device_memory.h"

#include "core/alloc.h"
#include "core/log.h"

enum { SMALLEST_BITS = 8, STEP_BITS = 3, STEPS = 1 << STEP_BITS, N_CLASSES = (46 - SMALLEST_BITS) * STEPS };

struct trdi_device_memory {
    trdi_device *device;
    int64_t      n_uses;      /* guarded by `memories.mutex`, as next */
    trdi_device_memory *next;
    trdi_mutex   mutex;       /* guards all below, and the fences of every block; taken after a queue's mutex */
    trdi_block  *free_blocks[N_CLASSES];
    trdi_memory_counters counters;
};

static struct {
    trdi_global_mutex mutex;
    trdi_device_memory *first;
} memories = { .mutex = TRDI_GLOBAL_MUTEX_INIT };

/* ---- Size classes ---- */

static size_t class_bytes(size_t class)
{
    const size_t octave = class >> STEP_BITS, step = class & (STEPS - 1);
    return ((size_t)STEPS + step) << (octave + SMALLEST_BITS - STEP_BITS);
}

/* N_CLASSES where it is too large. */
static size_t class_of(size_t bytes)
{
    size_t octave = 0;
    while (octave < N_CLASSES / STEPS && class_bytes(octave * STEPS + STEPS - 1) < bytes) octave++;
    if (octave == N_CLASSES / STEPS) return N_CLASSES;
    size_t class = octave * STEPS;
    while (class_bytes(class) < bytes) class++;
    return class;
}

size_t trdi_memory_class_bytes(size_t bytes)
{
    const size_t class = class_of(bytes);
    return class == N_CLASSES ? SIZE_MAX : class_bytes(class);
}

/* ---- The memory of a device ---- */

trd_status trdi_device_memory_acquire(trdi_device *device, trdi_device_memory **out)
{
    trdi_device_memory *fresh = trdi_calloc(1, sizeof *fresh);   /* before the lock: allocators are the user's */
    *out = NULL;
    if (fresh == NULL) return trdi_fail(TRD_E_MEMORY, "memory of %s: %zu bytes", device->facts.id, sizeof *fresh);
    const trd_status status = trdi_mutex_init(&fresh->mutex);
    if (status != TRD_OK) {
        trdi_free(fresh);
        return status;
    }
    trdi_global_lock(&memories.mutex);
    trdi_device_memory *found = memories.first;
    while (found != NULL && found->device != device) found = found->next;
    if (found == NULL) {
        found = fresh;
        fresh = NULL;
        found->device = device;
        found->next = memories.first;
        memories.first = found;
    }
    found->n_uses++;
    trdi_global_unlock(&memories.mutex);
    if (fresh != NULL) {
        trdi_mutex_destroy(&fresh->mutex);
        trdi_free(fresh);
    }
    *out = found;
    return TRD_OK;
}

void trdi_device_memory_release(trdi_device_memory *memory)
{
    if (memory == NULL) return;
    trdi_global_lock(&memories.mutex);
    const bool last = --memory->n_uses == 0;
    if (last) {
        trdi_device_memory **link = &memories.first;
        while (*link != memory) link = &(*link)->next;
        *link = memory->next;
    }
    trdi_global_unlock(&memories.mutex);
    if (!last) return;
    trdi_device_memory_empty(memory);
    trdi_mutex_destroy(&memory->mutex);
    trdi_free(memory);
}

void trdi_device_memory_count(trdi_device_memory *memory, trdi_memory_counters *out)
{
    trdi_mutex_lock(&memory->mutex);
    *out = memory->counters;
    trdi_mutex_unlock(&memory->mutex);
}

/* ---- Fences ---- */

static void drop_fence(const trdi_backend_ops *ops, trdi_fence *fence)
{
    if (fence->event != NULL) ops->event_free(fence->event);
    trdi_shared_queue_drop(fence->queue);
}

/* Forget the fences that have passed. */
static void sweep_fences(const trdi_backend_ops *ops, trdi_block *block)
{
    size_t kept = 0;
    for (size_t i = 0; i < block->n_fences; i++) {
        trdi_fence fence = block->fences[i];
        bool done = false;
        if (fence.event != NULL && ops->event_done(fence.event, &done) != TRD_OK) done = false;
        if (done) drop_fence(ops, &fence);
        else block->fences[kept++] = fence;
    }
    block->n_fences = kept;
}

static bool is_user(const trdi_block *block, const trdi_shared_queue *queue)
{
    for (size_t i = 0; i < block->n_fences; i++) {
        if (block->fences[i].event == NULL && block->fences[i].queue == queue) return true;
    }
    return false;
}

/* With both mutexes: make the queue wait for the block's earlier life, then note it as a user. */
static trd_status enter_locked(trdi_block *block, trdi_shared_queue *queue)
{
    const trdi_backend_ops *const ops = queue->device->ops;
    if (is_user(block, queue)) return TRD_OK;
    sweep_fences(ops, block);
    void *array = block->fences;
    if (!trdi_reserve(&array, &block->fence_capacity, block->n_fences + 1, sizeof *block->fences))
        return trdi_fail(TRD_E_MEMORY, "users of a block of %zu bytes on %s", block->bytes, queue->device->facts.id);
    block->fences = array;
    for (size_t i = 0; i < block->n_fences; i++) {
        if (block->fences[i].event != NULL && block->fences[i].queue != queue) TRDI_TRY(ops->event_wait(queue->impl, block->fences[i].event));
    }
    block->fences[block->n_fences++] = (trdi_fence){ .queue = trdi_shared_queue_use(queue) };
    return TRD_OK;
}

trd_status trdi_block_enter(trdi_block *block, trdi_shared_queue *queue)
{
    trdi_mutex_lock(&block->memory->mutex);
    const trd_status status = enter_locked(block, queue);
    trdi_mutex_unlock(&block->memory->mutex);
    return status;
}

/* The user's fence, or none if all is done. @return false if the queue can tell neither */
static bool record_fence(const trdi_backend_ops *ops, trdi_fence *user)
{
    trdi_mutex_lock(&user->queue->mutex);
    trd_status status = TRD_OK;
    if (user->queue->impl != NULL) status = ops->event_record(user->queue->impl, &user->event);
    trdi_mutex_unlock(&user->queue->mutex);
    return status == TRD_OK;
}

/* Users become fences; fences of an earlier life are covered by those of its users, which waited for them. @return false: don't reuse */
static bool close_users(const trdi_backend_ops *ops, trdi_block *block)
{
    bool usable = true, used = false;
    for (size_t i = 0; i < block->n_fences; i++) used = used || block->fences[i].event == NULL;
    if (!used) return true;
    size_t kept = 0;
    for (size_t i = 0; i < block->n_fences; i++) {
        trdi_fence fence = block->fences[i];
        const bool was_user = fence.event == NULL;
        if (was_user && !record_fence(ops, &fence)) usable = false;
        if (was_user && fence.event != NULL) block->fences[kept++] = fence;
        else drop_fence(ops, &fence);
    }
    block->n_fences = kept;
    sweep_fences(ops, block);
    return usable;
}

/* ---- Blocks ---- */

/* The back end keeps a buffer until what runs on it is done. */
static void destroy_block(const trdi_backend_ops *ops, trdi_block *block)
{
    for (size_t i = 0; i < block->n_fences; i++) drop_fence(ops, &block->fences[i]);
    trdi_free(block->fences);
    if (block->buffer != NULL) ops->buffer_free(block->buffer);
    trdi_free(block);
}

void trdi_device_memory_empty(trdi_device_memory *memory)
{
    const trdi_backend_ops *const ops = memory->device->ops;
    trdi_block *all = NULL;
    trdi_mutex_lock(&memory->mutex);
    for (size_t c = 0; c < N_CLASSES; c++) {
        while (memory->free_blocks[c] != NULL) {
            trdi_block *const block = memory->free_blocks[c];
            memory->free_blocks[c] = block->next;
            block->next = all;
            all = block;
        }
    }
    memory->counters.cached_bytes = 0;
    memory->counters.n_cached = 0;
    trdi_mutex_unlock(&memory->mutex);
    while (all != NULL) {
        trdi_block *const next = all->next;
        for (size_t i = 0; i < all->n_fences; i++) (void)ops->event_wait(NULL, all->fences[i].event);
        destroy_block(ops, all);
        all = next;
    }
}

/* From the list of its class: one that no queue works on any more, else the newest. */
static trdi_block *take_cached(trdi_device_memory *memory, size_t class)
{
    const trdi_backend_ops *const ops = memory->device->ops;
    trdi_block **best = &memory->free_blocks[class];
    for (trdi_block **link = best; *link != NULL; link = &(*link)->next) {
        sweep_fences(ops, *link);
        if ((*link)->n_fences != 0) continue;
        best = link;
        break;
    }
    trdi_block *const block = *best;
    if (block == NULL) return NULL;
    *best = block->next;
    block->next = NULL;
    memory->counters.cached_bytes -= block->bytes;
    memory->counters.n_cached--;
    memory->counters.n_reused++;
    return block;
}

static void count_allocated(trdi_memory_counters *counters, size_t bytes)
{
    counters->allocated_bytes += bytes;
    counters->n_allocated++;
    if (counters->allocated_bytes > counters->peak_bytes) counters->peak_bytes = counters->allocated_bytes;
}

static trd_status make_buffer(trdi_device_memory *memory, size_t bytes, void **buffer)
{
    const trdi_device *const device = memory->device;
    const trd_status status = device->ops->buffer_alloc(device->impl, bytes, TRDI_MEMORY_DEVICE, buffer);
    if (status != TRD_E_MEMORY) return status;
    trdi_memory_counters counters;
    trdi_device_memory_count(memory, &counters);
    if (counters.n_cached == 0) return status;
    trdi_log(TRD_LOG_INFO, "device %s: out of memory at %zu bytes: the cache of %llu bytes is emptied", device->facts.id, bytes,
             (unsigned long long)counters.cached_bytes);
    trdi_device_memory_empty(memory);
    return device->ops->buffer_alloc(device->impl, bytes, TRDI_MEMORY_DEVICE, buffer);
}

trd_status trdi_block_alloc(trdi_device_memory *memory, size_t bytes, trdi_block **out)
{
    *out = NULL;
    const size_t class = class_of(bytes);
    if (class == N_CLASSES) return trdi_fail(TRD_E_MEMORY, "block on %s: %zu bytes are too many", memory->device->facts.id, bytes);
    trdi_mutex_lock(&memory->mutex);
    memory->counters.n_requests++;
    trdi_block *block = take_cached(memory, class);
    if (block != NULL) count_allocated(&memory->counters, block->bytes);
    trdi_mutex_unlock(&memory->mutex);
    *out = block;
    if (block != NULL) return TRD_OK;
    block = trdi_calloc(1, sizeof *block);
    if (block == NULL) return trdi_fail(TRD_E_MEMORY, "block on %s: %zu bytes", memory->device->facts.id, sizeof *block);
    block->memory = memory;
    block->bytes = class_bytes(class);
    const trd_status status = make_buffer(memory, block->bytes, &block->buffer);
    if (status != TRD_OK) {
        block->buffer = NULL;
        destroy_block(memory->device->ops, block);
        return status;
    }
    trdi_mutex_lock(&memory->mutex);
    count_allocated(&memory->counters, block->bytes);
    trdi_mutex_unlock(&memory->mutex);
    *out = block;
    return TRD_OK;
}

void trdi_block_free(trdi_block *block)
{
    if (block == NULL) return;
    trdi_device_memory *const memory = block->memory;
    const bool usable = close_users(memory->device->ops, block);
    trdi_mutex_lock(&memory->mutex);
    memory->counters.allocated_bytes -= block->bytes;
    memory->counters.n_allocated--;
    if (usable) {
        const size_t class = class_of(block->bytes);
        block->next = memory->free_blocks[class];
        memory->free_blocks[class] = block;
        memory->counters.cached_bytes += block->bytes;
        memory->counters.n_cached++;
    }
    trdi_mutex_unlock(&memory->mutex);
    if (!usable) destroy_block(memory->device->ops, block);
}
