/*
 * test_block_memory.c: the caching allocator on a device that this file makes up: its memory is bounded, its queues do their work only when told
 * to, and it remembers which queue waited for which event. So order between queues is seen, not hoped for.
 */
#include "check.h"
#include "device/device_memory.h"

enum { MAX_BUFFERS = 64, MAX_EVENTS = 256, MAX_WAITS = 64, LIMIT = 1 << 20 };

typedef struct fake_queue { int n_waits; int waits[MAX_WAITS]; bool broken; } fake_queue;
typedef struct fake_event { bool done, freed; const fake_queue *of; } fake_event;
static struct {
    size_t used, limit;
    int n_buffers, n_allocs, n_host_waits, n_events;
    fake_event events[MAX_EVENTS];
    trd_status failure;            /* of allocations */
} fake;

static trd_status fake_alloc(void *device, size_t bytes, trdi_memory kind, void **buffer)
{
    (void)device;
    CHECK_INT(kind, TRDI_MEMORY_DEVICE);
    *buffer = NULL;
    fake.n_allocs++;
    if (fake.failure != TRD_OK) return trdi_fail(fake.failure, "fake: it fails");
    if (bytes > fake.limit - fake.used) return trdi_fail(TRD_E_MEMORY, "fake: %zu bytes", bytes);
    size_t *const memory = malloc(sizeof *memory);
    CHECK(memory != NULL);
    *memory = bytes;
    fake.used += bytes;
    fake.n_buffers++;
    *buffer = memory;
    return TRD_OK;
}

static void fake_free(void *buffer)
{
    fake.used -= *(size_t *)buffer;
    fake.n_buffers--;
    free(buffer);
}

static trd_status fake_queue_create(void *device, const trdi_queue_options *options, void **queue)
{
    (void)device;
    (void)options;
    *queue = calloc(1, sizeof(fake_queue));
    return *queue == NULL ? trdi_fail(TRD_E_MEMORY, "fake queue") : TRD_OK;
}

/* Destroying waits: all its events have passed. */
static void fake_queue_destroy(void *queue)
{
    for (int i = 0; i < fake.n_events; i++) fake.events[i].done = fake.events[i].done || fake.events[i].of == queue;
    free(queue);
}

static trd_status fake_record(void *queue, void **event)
{
    *event = NULL;
    if (((fake_queue *)queue)->broken) return trdi_fail(TRD_E_DEVICE, "fake: lost");
    CHECK(fake.n_events < MAX_EVENTS);
    fake.events[fake.n_events] = (fake_event){ .of = queue };
    *event = &fake.events[fake.n_events++];
    return TRD_OK;
}

static trd_status fake_wait(void *queue, void *event)
{
    fake_queue *const q = queue;
    fake_event *const e = event;
    CHECK(!e->freed);
    if (q == NULL) {
        fake.n_host_waits++;
        e->done = true;
        return TRD_OK;
    }
    CHECK(q->n_waits < MAX_WAITS);
    q->waits[q->n_waits++] = (int)(e - fake.events);
    return TRD_OK;
}

static trd_status fake_done(void *event, bool *done)
{
    *done = ((fake_event *)event)->done;
    return TRD_OK;
}

static void fake_event_free(void *event)
{
    CHECK(!((fake_event *)event)->freed);
    ((fake_event *)event)->freed = true;
}

static const trdi_backend_ops fake_ops = {
    .abi = TRDI_BACKEND_ABI, .name = "fake", .buffer_alloc = fake_alloc, .buffer_free = fake_free, .queue_create = fake_queue_create,
    .queue_destroy = fake_queue_destroy, .event_record = fake_record, .event_wait = fake_wait, .event_done = fake_done, .event_free = fake_event_free,
};
static trdi_device device = { .ops = &fake_ops, .facts = { .id = "fake:0" } };
static trdi_device_memory *memory;

static void begin(void)
{
    memset(&fake, 0, sizeof fake);
    fake.limit = LIMIT;
    CHECK_OK(trdi_device_memory_acquire(&device, &memory));
}

static void end(void)
{
    trdi_device_memory_release(memory);
    CHECK_INT(fake.n_buffers, 0);
    for (int i = 0; i < fake.n_events; i++) CHECK(fake.events[i].freed);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
}

static trdi_memory_counters counters(void)
{
    trdi_memory_counters c;
    trdi_device_memory_count(memory, &c);
    return c;
}

static trdi_shared_queue *new_queue(void)
{
    trdi_shared_queue *queue;
    CHECK_OK(trdi_shared_queue_create(&device, &(trdi_queue_options){ .n_threads = 1 }, &queue));
    return queue;
}

static trdi_block *new_block(size_t bytes)
{
    trdi_block *block;
    CHECK_OK(trdi_block_alloc(memory, bytes, &block));
    CHECK(block->bytes >= bytes);
    return block;
}

static void enter(trdi_block *block, trdi_shared_queue *queue)
{
    trdi_mutex_lock(&queue->mutex);
    CHECK_OK(trdi_block_enter(block, queue));
    trdi_mutex_unlock(&queue->mutex);
}

/* ---- Tests ---- */

static void test_classes(void)
{
    size_t before = 0;
    for (size_t bytes = 0; bytes < 100000; bytes++) {
        const size_t class = trdi_memory_class_bytes(bytes);
        CHECK(class >= bytes && class >= 256 && class >= before);
        CHECK(class <= 256 || class <= bytes + bytes / 8 + 1);
        before = class;
    }
    for (size_t bytes = 1; bytes < (size_t)1 << 45; bytes = bytes * 3 + 1) {
        const size_t class = trdi_memory_class_bytes(bytes);
        CHECK(class >= bytes && (class <= 256 || class - bytes <= bytes / 8 + 1));
        CHECK(trdi_memory_class_bytes(class) == class);
    }
    CHECK(trdi_memory_class_bytes(SIZE_MAX / 2) == SIZE_MAX);
}

static void test_reuse(void)
{
    begin();
    trdi_block *const a = new_block(1000), *const b = new_block(1000);
    void *const first = a->buffer;
    CHECK_INT(counters().n_allocated, 2);
    trdi_block_free(a);
    CHECK_INT(counters().n_cached, 1);
    trdi_block *const c = new_block(1010);               /* the same class */
    CHECK(c->buffer == first);
    CHECK_INT(fake.n_allocs, 2);
    CHECK_INT(counters().n_reused, 1);
    trdi_block *const d = new_block(5000);               /* another */
    CHECK_INT(fake.n_allocs, 3);
    CHECK(counters().peak_bytes >= 7000);
    trdi_block_free(b);
    trdi_block_free(c);
    trdi_block_free(d);
    trdi_block_free(NULL);
    CHECK_INT(counters().allocated_bytes, 0);
    CHECK_INT(counters().n_cached, 3);
    CHECK_INT(fake.n_buffers, 3);
    trdi_device_memory_empty(memory);
    CHECK_INT(fake.n_buffers, 0);
    CHECK_INT(counters().cached_bytes, 0);
    trdi_device_memory *again;
    CHECK_OK(trdi_device_memory_acquire(&device, &again));
    CHECK(again == memory);                              /* one for each device */
    trdi_device_memory_release(again);
    end();
}

static void test_order(void)
{
    begin();
    trdi_shared_queue *const p = new_queue(), *const q = new_queue();
    const fake_queue *const on_p = p->impl, *const on_q = q->impl;
    trdi_block *a = new_block(1000);
    enter(a, p);
    enter(a, p);
    CHECK_INT(on_p->n_waits, 0);
    trdi_block_free(a);                                  /* while p works: event 0 */
    CHECK_INT(fake.n_events, 1);
    a = new_block(1000);
    CHECK_INT(fake.n_allocs, 1);
    enter(a, p);                                         /* in p's own order */
    CHECK_INT(on_p->n_waits, 0);
    enter(a, q);                                         /* q must wait for p's earlier work */
    CHECK_INT(on_q->n_waits, 1);
    CHECK_INT(on_q->waits[0], 0);
    enter(a, q);
    CHECK_INT(on_q->n_waits, 1);
    trdi_block_free(a);                                  /* both work: events 1 and 2; 0 is covered */
    CHECK_INT(fake.n_events, 3);
    CHECK(fake.events[0].freed);
    a = new_block(1000);
    trdi_block_free(a);                                  /* nobody touched it: its fences stay */
    a = new_block(1000);
    enter(a, p);
    CHECK_INT(on_p->n_waits, 1);
    CHECK_INT(fake.events[on_p->waits[0]].of == on_q, 1);
    trdi_block_free(a);
    for (int i = 0; i < fake.n_events; i++) fake.events[i].done = true;
    a = new_block(1000);
    enter(a, q);                                         /* all passed: nothing to wait for */
    CHECK_INT(on_q->n_waits, 1);
    /* Of two cached blocks, the one that nobody works on is taken. */
    trdi_block *const b = new_block(1000);
    void *const idle = b->buffer;
    trdi_block_free(b);
    trdi_block_free(a);
    a = new_block(1000);
    CHECK(a->buffer == idle);
    trdi_block_free(a);
    /* A queue that is gone has done its work. */
    a = new_block(1000);
    enter(a, q);
    trdi_shared_queue_close(q);
    trdi_block_free(a);
    trdi_shared_queue_close(p);
    end();
}

static void test_out_of_memory(void)
{
    begin();
    trdi_shared_queue *const q = new_queue();
    trdi_block *a = new_block(LIMIT / 2), *b = new_block(LIMIT / 4);
    enter(a, q);
    trdi_block_free(a);
    trdi_block *c = NULL;
    /* 3/4 are in use or cached; only without the cache is there room, and not before q is done with it. */
    CHECK_OK(trdi_block_alloc(memory, LIMIT / 2 + LIMIT / 16, &c));
    CHECK_INT(fake.n_host_waits, 1);
    CHECK_INT(counters().n_cached, 0);
    CHECK_INT(counters().n_allocated, 2);
    trdi_block *d = NULL;
    CHECK_FAILS(trdi_block_alloc(memory, LIMIT / 2, &d), TRD_E_MEMORY, "fake");
    CHECK(d == NULL);
    CHECK_FAILS(trdi_block_alloc(memory, SIZE_MAX / 2, &d), TRD_E_MEMORY, "too many");
    fake.failure = TRD_E_DEVICE;                         /* other failures do not empty the cache */
    trdi_block_free(b);
    const int n = fake.n_allocs;
    CHECK_FAILS(trdi_block_alloc(memory, 100, &d), TRD_E_DEVICE, "fake");
    CHECK_INT(fake.n_allocs, n + 1);
    CHECK_INT(counters().n_cached, 1);
    trdi_block_free(c);
    CHECK_INT(counters().allocated_bytes, 0);
    trdi_shared_queue_close(q);
    end();
}

static void test_lost_queue(void)
{
    begin();
    trdi_shared_queue *const q = new_queue();
    trdi_block *const a = new_block(1000);
    enter(a, q);
    ((fake_queue *)q->impl)->broken = true;
    trdi_block_free(a);                                  /* nothing tells when it may be used again: it is not kept */
    CHECK_INT(counters().n_cached, 0);
    CHECK_INT(counters().allocated_bytes, 0);
    CHECK_INT(fake.n_buffers, 0);
    trdi_shared_queue_close(q);
    end();
}

/* ---- Threads ---- */

enum { N_THREADS = 4, ROUNDS = 2000 };

static void *churn(void *argument)
{
    uint64_t state = (uint64_t)(uintptr_t)argument * 2654435761u + 1;
    trdi_shared_queue *const q = new_queue();
    trdi_block *held[8] = { NULL };
    for (int i = 0; i < ROUNDS; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const int k = (int)(state >> 40) % 8;
        trdi_block_free(held[k]);
        held[k] = NULL;
        if (trdi_block_alloc(memory, (size_t)(state >> 50) + 1, &held[k]) != TRD_OK) continue;
        /* Whoever holds a block holds it alone. */
        CHECK(*(size_t *)held[k]->buffer == held[k]->bytes);
        *(size_t *)held[k]->buffer = 0;
        *(size_t *)held[k]->buffer = held[k]->bytes;
    }
    for (int k = 0; k < 8; k++) trdi_block_free(held[k]);
    trdi_shared_queue_close(q);
    return NULL;
}

static trdi_mutex fake_mutex = TRDI_MUTEX_INIT;
static trd_status locked_alloc(void *impl, size_t bytes, trdi_memory kind, void **buffer)
{
    trdi_mutex_lock(&fake_mutex);
    const trd_status status = fake_alloc(impl, bytes, kind, buffer);
    trdi_mutex_unlock(&fake_mutex);
    return status;
}
static void locked_free(void *buffer)
{
    trdi_mutex_lock(&fake_mutex);
    fake_free(buffer);
    trdi_mutex_unlock(&fake_mutex);
}

static void test_threads(void)
{
    trdi_backend_ops locked = fake_ops;
    locked.buffer_alloc = locked_alloc;
    locked.buffer_free = locked_free;
    device.ops = &locked;
    begin();
    trdi_thread threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) CHECK_OK(trdi_thread_start(&threads[i], "churn", churn, (void *)(uintptr_t)(i + 1)));
    for (int i = 0; i < N_THREADS; i++) trdi_thread_join(threads[i]);
    CHECK_INT(counters().allocated_bytes, 0);
    CHECK_INT(counters().n_allocated, 0);
    CHECK(counters().n_reused > 0);
    end();
    device.ops = &fake_ops;
}

int main(void)
{
    test_classes();
    test_reuse();
    test_order();
    test_out_of_memory();
    test_lost_queue();
    test_threads();
    return 0;
}
