/* workers.c: see workers.h. Making and ending, calls going in and out, unloading and loading, and what becomes of all that after a fork. */
#include "api/workers.h"

#include <stdio.h>
#include <string.h>

#include "api/workers_private.h"
#include "core/alloc.h"
#include "core/log.h"

enum { MAX_SETS = 64 };

/* ---- Making ---- */

/* NULL is the default. */
static trd_status read_numerics(const char *name, trdi_numerics *out)
{
    static const char *const names[] = { [TRDI_NUMERICS_AUTO] = "auto", [TRDI_NUMERICS_REPRODUCIBLE] = "reproducible",
                                         [TRDI_NUMERICS_FAST] = "fast" };
    *out = TRDI_NUMERICS_AUTO;
    if (name == NULL) return TRD_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (trdi_numerics)i;
        return TRD_OK;
    }
    return trdi_fail(TRD_E_INVALID, "numerics is '%s', it must be \"auto\", \"reproducible\" or \"fast\"", name);
}

static trd_status read_policy(const char *name, const trdi_policy **out)
{
    *out = trdi_policy_find(name);
    if (*out != NULL) return TRD_OK;
    char names[256] = "";
    size_t used = 0;
    for (int32_t i = 0; i < trdi_n_policies && used < sizeof names; i++) {
        const int n = snprintf(names + used, sizeof names - used, "%s\"%s\"", i > 0 ? ", " : "", trdi_policies[i].name);
        if (n > 0) used += (size_t)n;
    }
    return trdi_fail(TRD_E_INVALID, "policy is '%s', it must be one of %s", name, names);
}

/* Jobs that may wait: four full batches for each worker unless the caller says otherwise. */
static int64_t queue_bound(const trd_translator_options *o, int32_t n_workers)
{
    if (o->max_queued_batches > 0) return o->max_queued_batches;
    return o->max_queued_batches < 0 ? 0 : 4 * (int64_t)n_workers * o->max_batch_rows;
}

static trd_status out_of_memory(const trdi_workers *workers)
{
    return trdi_fail(TRD_E_MEMORY, "workers of '%s': out of memory", workers->model->name);
}

static trd_status copy_options(trdi_workers *workers, const trd_translator_options *o)
{
    workers->inter_threads = o->inter_threads;
    workers->n_threads = trdi_device_default_threads(o->intra_threads);
    workers->first_core = o->cpu_core_offset;
    workers->max_rows = o->max_batch_rows;
    workers->n_workers = workers->n_sets * o->inter_threads;
    if (workers->n_workers > TRDI_MAX_WORKERS) {
        return trdi_fail(TRD_E_INVALID, "%d devices with %d workers each (inter_threads): the sum may be up to %d", (int)workers->n_sets,
                         (int)o->inter_threads, (int)TRDI_MAX_WORKERS);
    }
    workers->max_queued = queue_bound(o, workers->n_workers);
    workers->memory_limit = o->memory_limit;
    TRDI_TRY(read_numerics(o->numerics, &workers->numerics));
    TRDI_TRY(read_policy(o->policy, &workers->policy));
    if (o->cache_dir != NULL) {
        workers->cache_dir = trdi_strndup(o->cache_dir, strlen(o->cache_dir));
        if (workers->cache_dir == NULL) return out_of_memory(workers);
    }
    for (int32_t i = 0; i < workers->n_devices; i++) {
        trdi_worker_device *const device = &workers->devices[i];
        TRDI_TRY(trdi_compute_type_of(o->compute_type, device->device->facts.id, &device->requested));
    }
    workers->names = trdi_calloc((size_t)workers->n_workers, sizeof *workers->names);
    if (workers->names == NULL) return out_of_memory(workers);
    for (int32_t i = 0; i < workers->n_workers; i++)
        workers->names[i] = workers->devices[workers->sets[i / workers->inter_threads]].device->facts.id;
    return TRD_OK;
}

static trd_status note_devices(trdi_workers *workers, trdi_device *const *devices, size_t n)
{
    workers->devices = trdi_calloc(n, sizeof *workers->devices);
    workers->sets = trdi_calloc(n, sizeof *workers->sets);
    if (workers->devices == NULL || workers->sets == NULL) return out_of_memory(workers);
    for (size_t i = 0; i < n; i++) {
        int32_t d = 0;
        while (d < workers->n_devices && workers->devices[d].device != devices[i]) d++;
        if (d == workers->n_devices) workers->devices[workers->n_devices++].device = devices[i];
        workers->devices[d].n_sets++;
        workers->sets[workers->n_sets++] = d;
    }
    return TRD_OK;
}

static trd_status init_locks(trdi_workers *workers)
{
    TRDI_TRY(trdi_mutex_init(&workers->mutex));
    const trd_status status = trdi_cond_init(&workers->changed);
    if (status != TRD_OK) trdi_mutex_destroy(&workers->mutex);
    return status;
}

static void free_workers(trdi_workers *workers)
{
    trdi_loaded_destroy(workers->loaded);
    if (workers->host_copy) trdi_model_unmap(workers->model);
    for (int32_t i = 0; i < workers->n_devices; i++) {
        trdi_free(workers->devices[i].requested);
        if (workers->devices[i].has_budget) trdi_memory_budget_destroy(&workers->devices[i].budget);
    }
    trdi_free(workers->devices);
    trdi_free(workers->sets);
    trdi_free((void *)workers->names);
    trdi_free(workers->cache_dir);
    trd_model_close(workers->model);
    trdi_free(workers);
}

/* Which device runs a job is chance: then so is the result. */
static void warn_of_types(const trdi_workers *workers)
{
    const trdi_worker_device *const first = &workers->devices[0];
    for (int32_t i = 1; i < workers->n_devices; i++) {
        const trdi_worker_device *const other = &workers->devices[i];
        if (strcmp(first->compute_type, other->compute_type) == 0) continue;
        trdi_log(TRD_LOG_WARNING, "model '%s': %s computes in %s, %s in %s: results depend on which of them runs a request; name one compute type",
                 workers->model->name, first->device->facts.id, first->compute_type, other->device->facts.id, other->compute_type);
        return;
    }
}

static trd_status fill_workers(trdi_workers *workers, trdi_device *const *devices, size_t n, const trd_translator_options *options)
{
    TRDI_TRY(note_devices(workers, devices, n));
    TRDI_TRY(copy_options(workers, options));
    TRDI_TRY(trdi_workers_init_budgets(workers));
    TRDI_TRY(trdi_loaded_create(workers, &workers->loaded));
    warn_of_types(workers);
    return trdi_loaded_start(workers, workers->loaded, &workers->scheduler);
}

static trd_status create(trd_model *model, trdi_device *const *devices, size_t n, bool borrowed, const trd_translator_options *options,
                         trdi_workers **out)
{
    *out = NULL;
    if (trdi_process_is_exiting()) return trdi_fail(TRD_E_STATE, "workers of '%s': the process is ending", model->name);
    trdi_workers *const workers = trdi_calloc(1, sizeof *workers);
    if (workers == NULL) return trdi_fail(TRD_E_MEMORY, "workers of '%s': out of memory", model->name);
    trd_status status = init_locks(workers);
    if (status != TRD_OK) {
        trdi_free(workers);
        return status;
    }
    workers->model = trdi_model_retain(model);
    workers->borrowed = borrowed;
    atomic_store(&workers->generation, (long long)trdi_fork_generation());
    status = fill_workers(workers, devices, n, options);
    if (status != TRD_OK) {
        trdi_workers_destroy(workers, TRDI_CANCEL);
        return status;
    }
    trdi_life_add(workers);
    *out = workers;
    return TRD_OK;
}

trd_status trdi_workers_create_on(trd_model *model, trdi_device *const *devices, size_t n, const trd_translator_options *options,
                                  trdi_workers **out)
{
    return create(model, devices, n, true, options, out);
}

trd_status trdi_workers_create(trd_model *model, const trd_translator_options *options, trdi_workers **out)
{
    *out = NULL;
    trdi_device *devices[MAX_SETS];
    size_t n;
    TRDI_TRY(trdi_device_acquire_list(options->device, devices, MAX_SETS, &n));
    const trd_status status = create(model, devices, n, false, options, out);
    for (size_t i = 0; i < n; i++) trdi_device_release(devices[i]);   /* what is loaded has uses of its own */
    return status;
}

/* ---- After a fork ---- */

static trd_status fail_forked(const trdi_workers *workers, const char *what)
{
    int32_t i = 0;
    while (i < workers->n_devices - 1 && workers->devices[i].device->ops == trdi_backend_cpu()) i++;
    return trdi_fail(TRD_E_FORKED, "%s: '%s' was loaded on %s before a fork, which its driver does not survive: load it after the fork", what,
                     workers->model->name, workers->devices[i].device->facts.id);
}

/*
 * The first call in a child takes the workers over: weights are there, threads are not, and the locks and the scheduler may be in any state, so
 * they are left as they lie. A parent that was at loading or unloading has left all or nothing of it.
 */
static trd_status adopt(trdi_workers *workers, const char *what)
{
    if (atomic_load(&workers->generation) == (long long)trdi_fork_generation()) return TRD_OK;
    if (!trdi_workers_on_cpu(workers)) return fail_forked(workers, what);
    if (!trdi_fork_adopt(&workers->generation)) return TRD_OK;
    trd_status status = init_locks(workers);
    workers->scheduler = NULL;
    workers->n_inside = 0;
    workers->changing = false;
    workers->stopped = false;
    if (status == TRD_OK) status = trdi_workers_init_budgets(workers);
    trdi_fork_adopted(&workers->generation);
    return status;
}

/* ---- Calls ---- */

/* Under the lock. Who is inside already may go on while another thread waits to destroy. */
static bool is_ending(const trdi_workers *workers)
{
    return workers->closing && (workers->n_inside == 0 || trdi_process_is_exiting());
}

static trd_status fail_ending(const trdi_workers *workers, const char *what)
{
    return trdi_fail(TRD_E_STATE, "%s: the workers of '%s' are ending", what, workers->model->name);
}

trd_status trdi_workers_hold(trdi_workers *workers, const char *what)
{
    TRDI_TRY(adopt(workers, what));
    trdi_mutex_lock(&workers->mutex);
    const bool ending = is_ending(workers);
    if (!ending) workers->n_inside++;
    trdi_mutex_unlock(&workers->mutex);
    return ending ? fail_ending(workers, what) : TRD_OK;
}

/* Under the lock. */
static trd_status check_open(const trdi_workers *workers, const char *what)
{
    const char *const name = workers->model->name;
    if (is_ending(workers)) return fail_ending(workers, what);
    if (workers->stopped) return trdi_fail(TRD_E_STATE, "%s: the work of '%s' was cancelled: load it again first", what, name);
    if (workers->loaded == NULL) return trdi_fail(TRD_E_STATE, "%s: the model '%s' was unloaded: load it again first", what, name);
    return TRD_OK;
}

/* Under the lock, which is let go meanwhile. */
static trd_status start_scheduler(trdi_workers *workers)
{
    workers->changing = true;
    trdi_mutex_unlock(&workers->mutex);
    trdi_scheduler *scheduler;
    const trd_status status = trdi_loaded_start(workers, workers->loaded, &scheduler);
    trdi_mutex_lock(&workers->mutex);
    workers->scheduler = scheduler;
    workers->changing = false;
    trdi_cond_broadcast(&workers->changed);
    return status;
}

trd_status trdi_workers_enter(trdi_workers *workers, const char *what, trdi_scheduler **scheduler)
{
    *scheduler = NULL;
    TRDI_TRY(adopt(workers, what));
    trdi_mutex_lock(&workers->mutex);
    while (workers->changing) trdi_cond_wait(&workers->changed, &workers->mutex);
    trd_status status = check_open(workers, what);
    if (status == TRD_OK && workers->scheduler == NULL) status = start_scheduler(workers);
    if (status == TRD_OK) *scheduler = workers->scheduler;
    trdi_mutex_unlock(&workers->mutex);
    return status;
}

void trdi_workers_leave(trdi_workers *workers)
{
    trdi_mutex_lock(&workers->mutex);
    if (--workers->n_inside == 0) trdi_cond_broadcast(&workers->changed);
    trdi_mutex_unlock(&workers->mutex);
}

void trdi_workers_destroy(trdi_workers *workers, trdi_ending ending)
{
    if (workers == NULL) return;
    trdi_life_remove(workers);
    if (atomic_load(&workers->generation) != (long long)trdi_fork_generation()) {
        if (!trdi_workers_on_cpu(workers)) return;
        (void)trdi_workers_init_budgets(workers);
        free_workers(workers);
        return;
    }
    trdi_mutex_lock(&workers->mutex);
    workers->closing = true;
    if (workers->stopped) ending = TRDI_CANCEL;
    trdi_scheduler *const cancelled = ending == TRDI_CANCEL && !workers->changing ? workers->scheduler : NULL;
    trdi_mutex_unlock(&workers->mutex);
    if (cancelled != NULL) trdi_scheduler_stop(cancelled);
    trdi_mutex_lock(&workers->mutex);
    while (workers->changing || workers->n_inside > 0) trdi_cond_wait(&workers->changed, &workers->mutex);
    trdi_mutex_unlock(&workers->mutex);
    trdi_scheduler_destroy(workers->scheduler, ending);
    trdi_cond_destroy(&workers->changed);
    trdi_mutex_destroy(&workers->mutex);
    free_workers(workers);
}

/* ---- Unloading and loading ---- */

/* Under the lock: does anything run, or is anyone inside? */
static bool is_busy(const trdi_workers *workers)
{
    int64_t queued = 0, active = 0;
    if (workers->scheduler != NULL) trdi_scheduler_counts(workers->scheduler, &queued, &active);
    return workers->changing || workers->closing || workers->n_inside > 0 || active > 0;
}

static void add_counters(trdi_scheduler_counters *to, const trdi_scheduler_counters *more)
{
    to->n_submitted += more->n_submitted;
    to->n_succeeded += more->n_succeeded;
    to->n_failed += more->n_failed;
    to->n_cancelled += more->n_cancelled;
    to->n_expired += more->n_expired;
    to->n_redone += more->n_redone;
}

/* Under the lock: what the scheduler has done is not forgotten with it. */
static void keep_counters(trdi_workers *workers)
{
    if (workers->scheduler == NULL) return;
    trdi_scheduler_counters now;
    trdi_scheduler_get_counters(workers->scheduler, &now);
    add_counters(&workers->before, &now);
}

/* Under the lock: take the scheduler away, and with it what engines hold; the lock is let go meanwhile. */
static void end_scheduler(trdi_workers *workers, trdi_loaded *unloaded)
{
    trdi_scheduler *const scheduler = workers->scheduler;
    const trdi_ending ending = workers->stopped ? TRDI_CANCEL : TRDI_DRAIN;
    keep_counters(workers);
    workers->scheduler = NULL;
    workers->changing = true;
    trdi_mutex_unlock(&workers->mutex);
    trdi_scheduler_destroy(scheduler, ending);
    trdi_loaded_destroy(unloaded);
    trdi_mutex_lock(&workers->mutex);
    workers->changing = false;
    trdi_cond_broadcast(&workers->changed);
}

static void drop_host_copy(trdi_workers *workers)
{
    if (workers->host_copy) trdi_model_unmap(workers->model);
    workers->host_copy = false;
}

/* The file stays mapped: loading needs neither its name nor, as long as the host has memory, the disk. */
static void keep_host_copy(trdi_workers *workers)
{
    if (workers->host_copy) return;
    workers->host_copy = trdi_model_map(workers->model) == TRD_OK;
    if (!workers->host_copy) trdi_log(TRD_LOG_WARNING, "model '%s': no copy is kept on the host: %s", workers->model->name, trd_last_error());
}

trd_status trdi_workers_unload(trdi_workers *workers, bool to_host, bool *done)
{
    *done = false;
    TRDI_TRY(adopt(workers, "trd_translator_unload"));
    if (to_host && trdi_workers_on_cpu(workers)) return TRD_OK;
    trdi_mutex_lock(&workers->mutex);
    if (!is_busy(workers)) {
        if (to_host && workers->loaded != NULL) keep_host_copy(workers);
        else if (!to_host) drop_host_copy(workers);
        trdi_loaded *const unloaded = workers->loaded;
        workers->loaded = NULL;
        if (unloaded != NULL) end_scheduler(workers, unloaded);
        *done = true;
    }
    trdi_mutex_unlock(&workers->mutex);
    return TRD_OK;
}

/* Under the lock, which is let go meanwhile. */
static trd_status load_again(trdi_workers *workers)
{
    trdi_scheduler *const old = workers->scheduler, *fresh = NULL;
    trdi_loaded *const before = workers->loaded, *loaded = before;
    keep_counters(workers);
    workers->scheduler = NULL;
    workers->changing = true;
    trdi_mutex_unlock(&workers->mutex);
    trdi_scheduler_destroy(old, TRDI_CANCEL);
    trd_status status = before != NULL ? TRD_OK : trdi_loaded_create(workers, &loaded);
    if (status == TRD_OK) status = trdi_loaded_start(workers, loaded, &fresh);
    if (status != TRD_OK && before == NULL) {
        trdi_loaded_destroy(loaded);
        loaded = NULL;
    }
    trdi_mutex_lock(&workers->mutex);
    workers->loaded = loaded;
    workers->scheduler = fresh;
    workers->changing = false;
    if (status == TRD_OK) workers->stopped = false;
    trdi_cond_broadcast(&workers->changed);
    return status;
}

trd_status trdi_workers_load(trdi_workers *workers, bool keep_host)
{
    TRDI_TRY(adopt(workers, "trd_translator_load"));
    trd_status status = TRD_OK;
    trdi_mutex_lock(&workers->mutex);
    while (workers->changing) trdi_cond_wait(&workers->changed, &workers->mutex);
    if (workers->closing) status = fail_ending(workers, "trd_translator_load");
    else if (workers->stopped && workers->n_inside > 0)
        status = trdi_fail(TRD_E_BUSY, "trd_translator_load: calls that were cancelled have not returned yet: %lld", (long long)workers->n_inside);
    else if (workers->loaded == NULL || workers->stopped) status = load_again(workers);
    if (status == TRD_OK && !keep_host) drop_host_copy(workers);
    trdi_mutex_unlock(&workers->mutex);
    return status;
}

trd_status trdi_workers_empty_cache(trdi_workers *workers)
{
    TRDI_TRY(adopt(workers, "trd_translator_empty_cache"));
    for (int32_t i = 0; i < workers->n_devices; i++) trdi_memory_budget_empty(&workers->devices[i].budget);
    return TRD_OK;
}

void trdi_workers_stop(trdi_workers *workers)
{
    if (adopt(workers, "trd_translator_cancel_all") != TRD_OK) return;
    trdi_mutex_lock(&workers->mutex);
    while (workers->changing) trdi_cond_wait(&workers->changed, &workers->mutex);
    if (workers->loaded != NULL) workers->stopped = true;
    trdi_scheduler *const scheduler = workers->scheduler;
    workers->n_inside++;   /* so that it stays; what ends there may look at us */
    trdi_mutex_unlock(&workers->mutex);
    if (scheduler != NULL) trdi_scheduler_stop(scheduler);
    trdi_workers_leave(workers);
}

/* ---- Facts ---- */

int32_t trdi_workers_count(const trdi_workers *workers) { return workers->n_workers; }

int64_t trdi_workers_vocabulary(const trdi_workers *workers) { return workers->vocabulary; }

trd_status trdi_workers_get_info(trdi_workers *workers, const char *what, trd_translator_info *out)
{
    TRDI_TRY(adopt(workers, what));
    const trdi_worker_device *const first = &workers->devices[0];
    trdi_mutex_lock(&workers->mutex);
    *out = (trd_translator_info){
        .device = first->device->facts.id, .device_name = first->device->facts.name,
        .compute_type = first->compute_type, .compute_type_note = first->note,
        .n_workers = workers->n_workers, .n_threads = workers->n_threads, .weights_from_cache = first->from_cache,
        .n_devices = workers->n_devices, .is_loaded = workers->loaded != NULL,
    };
    if (workers->scheduler != NULL) trdi_scheduler_counts(workers->scheduler, &out->n_queued, &out->n_active);
    trdi_mutex_unlock(&workers->mutex);
    return TRD_OK;
}

trd_status trdi_workers_get_counters(trdi_workers *workers, const char *what, trd_translator_counters *out)
{
    TRDI_TRY(adopt(workers, what));
    trdi_scheduler_counters c = { .n_queued = 0 };
    trdi_mutex_lock(&workers->mutex);
    if (workers->scheduler != NULL) trdi_scheduler_get_counters(workers->scheduler, &c);
    add_counters(&c, &workers->before);
    trdi_mutex_unlock(&workers->mutex);
    *out = (trd_translator_counters){
        .n_queued = c.n_queued, .n_running = c.n_running, .n_submitting = c.n_submitting, .n_submitted = c.n_submitted,
        .n_succeeded = c.n_succeeded, .n_failed = c.n_failed, .n_cancelled = c.n_cancelled, .n_expired = c.n_expired, .n_redone = c.n_redone,
    };
    return TRD_OK;
}

/* Under the lock: of the workers of device d. */
static void add_workers(const trdi_workers *workers, int32_t d, trd_translator_device_info *out)
{
    for (int32_t i = 0; workers->scheduler != NULL && i < workers->n_workers; i++) {
        if (workers->sets[i / workers->inter_threads] != d) continue;
        trdi_worker_counters c;
        trdi_scheduler_get_worker_counters(workers->scheduler, i, &c);
        out->n_running += c.n_running;
        out->n_done += c.n_done;
        out->tokens_done += c.cost_done;
        out->busy_seconds += (double)c.busy_ns * 1e-9;
        out->tokens_per_second += c.retired ? 0 : c.speed;
        out->n_retired += c.retired ? 1 : 0;
        if (c.retired) memcpy(out->retired_reason, c.reason, strnlen(c.reason, sizeof out->retired_reason - 1));
    }
}

trd_status trdi_workers_get_device_info(trdi_workers *workers, const char *what, int64_t index, trd_translator_device_info *out)
{
    TRDI_TRY(adopt(workers, what));
    if (index < 0 || index >= workers->n_devices)
        return trdi_fail(TRD_E_RANGE, "%s: there is no device %lld, '%s' runs on %d", what, (long long)index, workers->model->name,
                         (int)workers->n_devices);
    const int32_t d = (int32_t)index;
    const trdi_worker_device *const from = &workers->devices[d];
    const trdi_memory_budget *const memory = &from->budget;
    *out = (trd_translator_device_info){
        .device = from->device->facts.id, .device_name = from->device->facts.name, .compute_type = from->compute_type,
        .compute_type_note = from->note, .weights_from_cache = from->from_cache, .n_workers = from->n_sets * workers->inter_threads,
        .weight_bytes = atomic_load(&memory->parts[TRDI_PART_WEIGHTS]), .kv_bytes = atomic_load(&memory->parts[TRDI_PART_KV]),
        .step_bytes = atomic_load(&memory->parts[TRDI_PART_STEP]), .used_bytes = atomic_load(&memory->used),
        .peak_bytes = atomic_load(&memory->peak), .limit_bytes = atomic_load(&memory->limit),
        .kv_blocks = atomic_load(&memory->kv_blocks), .kv_blocks_in_use = atomic_load(&memory->kv_blocks_in_use),
    };
    trdi_mutex_lock(&workers->mutex);
    add_workers(workers, d, out);
    trdi_mutex_unlock(&workers->mutex);
    return TRD_OK;
}
