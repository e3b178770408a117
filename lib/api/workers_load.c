/* workers_load.c: networks on every device, and the scheduler whose workers run them. */
#include <string.h>

#include "api/workers_private.h"
#include "core/alloc.h"
#include "core/log.h"
#include "sched/trace.h"

bool trdi_workers_on_cpu(const trdi_workers *workers)
{
    for (int32_t i = 0; i < workers->n_devices; i++)
        if (workers->devices[i].device->ops != trdi_backend_cpu()) return false;
    return true;
}

/* A type that was asked for by name is no surprise. */
static void log_note(const trdi_workers *workers, const trdi_worker_device *device)
{
    const char *const asked = device->requested;
    const bool by_name = asked != NULL && strcmp(asked, "default") != 0 && strcmp(asked, "auto") != 0;
    if (device->note[0] != '\0') trdi_log(by_name ? TRD_LOG_INFO : TRD_LOG_WARNING, "model '%s': %s", workers->model->name, device->note);
}

/* Others may read these while the model is loaded again: what a model and a device decide is written once. */
static void keep_facts(trdi_workers *workers, trdi_worker_device *device, const trdi_network_info *info)
{
    atomic_store(&device->from_cache, info->weights_from_cache);
    if (device->compute_type == NULL) {
        const size_t length = strlen(info->compute_type_note);
        memcpy(device->note, info->compute_type_note, length < sizeof device->note ? length + 1 : 0);
        device->compute_type = info->compute_type;
        workers->vocabulary = info->vocabulary;
    }
    trdi_log(TRD_LOG_INFO, "model '%s' on %s (%s), %s, %d x %d threads", workers->model->name, device->device->facts.id,
             device->device->facts.name, device->compute_type, (int)(device->n_sets * workers->inter_threads), (int)workers->n_threads);
    log_note(workers, device);
}

trd_status trdi_workers_init_budgets(trdi_workers *workers)
{
    for (int32_t i = 0; i < workers->n_devices; i++) {
        trdi_worker_device *const device = &workers->devices[i];
        device->budget = (trdi_memory_budget){ .limit = 0 };
        TRDI_TRY(trdi_memory_budget_init(&device->budget));
        device->has_budget = true;
        trdi_memory_budget_set_limit(&device->budget, workers->memory_limit);
        if (workers->loaded != NULL) TRDI_TRY(trdi_memory_budget_take(&device->budget, TRDI_PART_WEIGHTS, device->weight_bytes));
    }
    return TRD_OK;
}

static trd_status make_network(trdi_workers *workers, trdi_worker_device *device, trdi_network **out)
{
    const trdi_network_options options = {
        .compute_type = device->requested, .cache_dir = workers->cache_dir, .numerics = workers->numerics };
    TRDI_TRY(trdi_network_create(workers->model, device->device, &options, out));
    device->weight_bytes = trdi_network_get_info(*out)->weight_bytes;
    const trd_status status = trdi_memory_budget_take(&device->budget, TRDI_PART_WEIGHTS, device->weight_bytes);
    if (status == TRD_OK) return TRD_OK;
    trdi_network_destroy(*out);
    return trdi_fail(status, "model '%s' on %s: its weights take %zu bytes, memory_limit is %lld", workers->model->name, device->device->facts.id,
                     device->weight_bytes, (long long)workers->memory_limit);
}

/* @param worker  -1: of all workers of the device */
static void trace_load(const trdi_device *device, int32_t worker, int64_t start_ns)
{
    const trdi_trace_span span = {
        .kind = TRDI_TRACE_LOAD, .device = device->facts.id, .worker = worker, .start_ns = start_ns, .end_ns = trdi_now_ns() };
    trdi_trace_add(&span);
}

static trd_status load_device(trdi_workers *workers, trdi_loaded *loaded, int32_t i)
{
    trdi_worker_device *const device = &workers->devices[i];
    if (!workers->borrowed) TRDI_TRY(trdi_device_retain(device->device));
    const int64_t start_ns = trdi_now_ns();
    const trd_status status = make_network(workers, device, &loaded->networks[i]);
    trace_load(device->device, -1, start_ns);
    if (status != TRD_OK) {
        if (!workers->borrowed) trdi_device_release(device->device);
        return status;
    }
    loaded->n_devices++;
    keep_facts(workers, device, trdi_network_get_info(loaded->networks[i]));
    loaded->setups[i] = (trdi_engine_setup){
        .network = loaded->networks[i], .device = device->device, .n_threads = workers->n_threads,
        .first_core = workers->first_core, .max_rows = workers->max_rows, .budget = &device->budget,
    };
    return TRD_OK;
}

trd_status trdi_loaded_create(trdi_workers *workers, trdi_loaded **out)
{
    *out = NULL;
    const size_t n = (size_t)workers->n_devices;
    trdi_loaded *const loaded = trdi_calloc(1, sizeof *loaded);
    trd_status status = TRD_OK;
    if (loaded != NULL) {
        loaded->workers = workers;
        loaded->networks = trdi_calloc(n, sizeof *loaded->networks);
        loaded->setups = trdi_calloc(n, sizeof *loaded->setups);
    }
    if (loaded == NULL || loaded->networks == NULL || loaded->setups == NULL)
        status = trdi_fail(TRD_E_MEMORY, "model '%s' on %zu devices: out of memory", workers->model->name, n);
    for (int32_t i = 0; status == TRD_OK && i < workers->n_devices; i++) status = load_device(workers, loaded, i);
    if (status != TRD_OK) {
        trdi_loaded_destroy(loaded);
        return status;
    }
    *out = loaded;
    return TRD_OK;
}

void trdi_loaded_destroy(trdi_loaded *loaded)
{
    if (loaded == NULL) return;
    for (int32_t i = 0; i < loaded->n_devices; i++) {
        trdi_worker_device *const device = &loaded->workers->devices[i];
        trdi_network_destroy(loaded->networks[i]);
        trdi_memory_budget_give(&device->budget, TRDI_PART_WEIGHTS, device->weight_bytes);
        if (!loaded->workers->borrowed) trdi_device_release(device->device);
    }
    trdi_free((void *)loaded->networks);
    trdi_free(loaded->setups);
    trdi_free(loaded);
}

static trd_status open_engine(void *context, const trdi_worker_info *worker, void **executor)
{
    const trdi_loaded *const loaded = context;
    const trdi_workers *const workers = loaded->workers;
    trdi_engine_setup *const setup = &loaded->setups[workers->sets[worker->index / workers->inter_threads]];
    const int64_t start_ns = trdi_now_ns();
    const trd_status status = trdi_engine_open(setup, worker, executor);
    trace_load(setup->device, worker->index, start_ns);
    return status;
}

trd_status trdi_loaded_start(const trdi_workers *workers, trdi_loaded *loaded, trdi_scheduler **out)
{
    const trdi_worker_setup setup = {
        .ops = &trdi_engine_ops, .open = open_engine, .context = loaded, .n_workers = workers->n_workers, .names = workers->names,
        .max_queued = workers->max_queued, .policy = workers->policy,
    };
    return trdi_scheduler_create(&setup, out);
}
