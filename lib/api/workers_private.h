/* workers_private.h: what the files of workers.h share. */
#ifndef TRDI_WORKERS_PRIVATE_H
#define TRDI_WORKERS_PRIVATE_H

#include "api/workers.h"
#include "core/threads.h"
#include "device/memory_budget.h"
#include "sched/policy.h"

/** One of the devices that the selector named, each once. Constant once loaded, but for what says otherwise. */
typedef struct trdi_worker_device {
    trdi_device *device;            /**< in use while loaded */
    char        *requested;         /**< compute type asked for it, owned; NULL = "default" */
    const char  *compute_type;      /**< in effect; static */
    char         note[128];         /**< why it differs from the stored one */
    atomic_bool  from_cache;        /**< the prepared weights were mapped, when last loaded */
    int32_t      n_sets;            /**< how often it was named: so many times inter_threads workers */
    size_t       weight_bytes;
    trdi_memory_budget budget;      /**< of all its engines and the weights; valid with has_budget */
    bool         has_budget;
} trdi_worker_device;

/** What loading makes and unloading takes away; published and withdrawn as a whole, so that a child of fork() finds all or nothing. */
typedef struct trdi_loaded {
    const trdi_workers *workers;
    int32_t           n_devices;    /**< networks made */
    trdi_network    **networks;     /**< [n_devices], in step with workers->devices */
    trdi_engine_setup *setups;      /**< [n_devices] */
} trdi_loaded;

struct trdi_workers {
    /* Constant. */
    trd_model          *model;      /**< retained */
    trdi_worker_device *devices;    /**< [n_devices] */
    int32_t             n_devices;
    int32_t            *sets;       /**< [n_sets] index of the device of each set of inter_threads workers */
    int32_t             n_sets;
    bool                borrowed;   /**< the devices are no registry's */
    int32_t             inter_threads, n_threads, first_core, n_workers;
    int64_t             max_rows, max_queued;
    char               *cache_dir;  /**< owned; NULL = default */
    trdi_numerics       numerics;
    const char        **names;      /**< [n_workers] */
    int64_t             vocabulary;
    int64_t             memory_limit;
    const struct trdi_policy *policy;

    atomic_llong        generation; /**< of forks that mutex, changed and the scheduler belong to */
    trdi_mutex          mutex;      /**< guards everything below */
    trdi_cond           changed;    /**< n_inside or changing went down */
    trdi_loaded        *loaded;     /**< NULL = unloaded */
    trdi_scheduler     *scheduler;  /**< NULL = to be started by the next call */
    int64_t             n_inside;   /**< calls, and who else holds */
    bool                changing;   /**< a thread is at loaded and scheduler, without the lock */
    bool                stopped;    /**< nothing gets in until loaded again */
    bool                closing;    /**< nothing gets in any more */
    bool                host_copy;  /**< the model's file is kept mapped */
    trdi_scheduler_counters before; /**< what schedulers that are gone have done */

    trdi_workers       *next_alive; /**< workers_life.c's, as ending */
    trdi_scheduler     *ending;
};

/** workers_life.c: from now on the process' exit ends the workers. */
void trdi_life_add(trdi_workers *workers);
/** Before they go. */
void trdi_life_remove(trdi_workers *workers);
/** Has exit() come by? Nothing new may begin then. */
bool trdi_process_is_exiting(void);
/** Make the budget of every device, or make it anew in a child of fork(), which has none of the engines that were counted. */
trd_status trdi_workers_init_budgets(trdi_workers *workers);

/** workers_load.c: make networks on every device, those in use as long. */
trd_status trdi_loaded_create(trdi_workers *workers, trdi_loaded **out);
/** NULL does nothing. */
void trdi_loaded_destroy(trdi_loaded *loaded);
/** Start workers on what is loaded. */
trd_status trdi_loaded_start(const trdi_workers *workers, trdi_loaded *loaded, trdi_scheduler **out);
/** Is every device a CPU, which survives a fork? */
bool trdi_workers_on_cpu(const trdi_workers *workers);

/** workers_types.c: which compute type a list such as "int8,cpu:float32" gives a device. Owned copy. @param out  NULL = "default" */
trd_status trdi_compute_type_of(const char *list, const char *device_id, char **out);

#endif
