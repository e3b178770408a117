/*
 * opencl.h: the inside of the OpenCL back end: its objects, and how an operation becomes kernel launches ("lowering").
 *
 * Two forms of kernels. TILES, for CPU-type devices: vector types, one work-item per tile, groups of one. GROUPS, for all others: work-groups
 * with local memory. Weights have a layout of their own in each form. The form is the device's; TREADLE_OPENCL_FORM=tiles|groups forces one.
 */
#ifndef TRDI_BACKEND_OPENCL_H
#define TRDI_BACKEND_OPENCL_H

#include <stdatomic.h>

#include "backend/backend.h"
#include "backend/opencl/cl_api.h"
#include "core/threads.h"

typedef enum trdi_cl_form { TRDI_CL_TILES, TRDI_CL_GROUPS } trdi_cl_form;

/** What kernels are chosen and compiled by. */
typedef struct trdi_cl_traits {
    trdi_cl_form form;
    bool    fp16, fp64, subgroups, dot_product, command_buffer;
    bool    fast_fma;            /**< CL_FP_FMA; kernels use fma() where it is set, else mul and add */
    int32_t vector_floats;       /**< native vector width: 4, 8 or 16 */
    int32_t n_units;
    size_t  max_group, local_bytes, max_buffer_bytes, base_align_bytes;
} trdi_cl_traits;

/** Outputs per panel of a TILES weight; GROUPS weights are padded to a multiple of it too. */
enum { TRDI_CL_PANEL = 16 };

/** What the check of CLBlast on a device found. */
typedef enum trdi_cl_verdict { TRDI_CL_NOT_CHECKED, TRDI_CL_DROPPED, TRDI_CL_SLOWER, TRDI_CL_FASTER } trdi_cl_verdict;

typedef struct trdi_cl_program trdi_cl_program;
typedef struct trdi_cl_tuning trdi_cl_tuning;      /* cl_tuning.h */

typedef struct trdi_cl_device {
    trdi_device_facts facts;
    cl_platform_id platform;
    cl_device_id   id;
    cl_context     context;
    cl_command_queue queue;      /**< for preparation; guarded by mutex */
    trdi_cl_traits traits;
    bool           slow_binaries;/**< asking for the binary of a program compiles all its kernels once more (PoCL) */
    bool           forgetful;    /**< clFinish does not wait for what was flushed before (rusticl of Mesa 22.3) */
    cl_mem         nothing;      /**< one line of memory that stands for absent operands */
    trdi_mutex     mutex;        /**< guards queue */
    trdi_mutex     programs_mutex;   /**< guards programs and their making; never held together with mutex */
    trdi_mutex     notices_mutex;    /**< guards notice; innermost */
    trdi_cl_program *programs;   /**< made so far */
    struct trdi_cl_cache *cache; /**< of compiled programs (cl_program_cache.h); NULL = none */
    atomic_int     n_unsaved;    /**< programs that were compiled and not offered to the cache yet */
    trdi_cl_tuning *tuning;
    trdi_cl_verdict clblast;     /**< guarded by cl_clblast.c */
    atomic_size_t  memory_bytes; /**< allocated on the device */
    atomic_int     lost;         /**< trdi_cl_lost_state */
    char           lost_text[TRDI_ERROR_BYTES / 2];  /**< why, once lost is LOST_SAID */
    char           notice[256];  /**< first thing that the driver said through the context since the last line of the log */
} trdi_cl_device;

/** A device is lost when a queue failed for good: everything is refused from then on, until it is closed and opened again. */
typedef enum trdi_cl_lost_state { TRDI_CL_NOT_LOST, TRDI_CL_LOST, TRDI_CL_LOST_SAID } trdi_cl_lost_state;

typedef struct trdi_cl_buffer {
    trdi_cl_device *device;
    cl_mem      memory;
    void       *host;            /**< STEP and RESULT; else NULL */
    size_t      bytes;
    trdi_memory kind;
    atomic_int  n_uses;          /**< the owner's, and one of each queue that may still read or write host */
} trdi_cl_buffer;

/**
 * A prepared weight. n = rows, padded to TRDI_CL_PANEL with zeros; k = cols.
 * LINEAR, TILES:  F32, F16 [n/16][k][16];  I8 as cl_linear says.
 * LINEAR, GROUPS: F32, F16 [k][n];         I8 as cl_linear says.
 * EMBEDDING: [rows][cols] of its dtype in both forms.
 */
typedef struct trdi_cl_weight {
    trdi_cl_device *device;
    trdi_weight_layout layout;
    trd_dtype dtype;
    bool    truncate;
    int64_t rows, cols, padded_rows;
    cl_mem  data;
    cl_mem  scales;              /**< I8: f32 [padded_rows] (1 past rows), else NULL */
    cl_mem  bias;                /**< f32 [padded_rows], or NULL */
} trdi_cl_weight;

/** What a queue keeps for its operations, by use. In-order queues share one buffer per use. */
typedef enum trdi_cl_scratch {
    TRDI_CL_SCRATCH_QUANTISED,   /**< activations as integers, and their scales */
    TRDI_CL_SCRATCH_PRODUCT,     /**< results of a product before what follows it */
    TRDI_CL_SCRATCH_SELECT,
    TRDI_CL_SCRATCH_ATTENTION,
    TRDI_CL_N_SCRATCH
} trdi_cl_scratch;

typedef struct trdi_cl_queue {
    trdi_cl_device  *device;
    cl_command_queue handle;
    struct { cl_mem memory; size_t bytes; } scratch[TRDI_CL_N_SCRATCH];
    trdi_cl_buffer **held;       /**< buffers whose host memory the queue uses until all that was enqueued is done */
    size_t           n_held, held_capacity;
    cl_event         last;       /**< what was noted last; NULL once its outcome was looked at */
    bool             noting;     /**< launches are noted */
} trdi_cl_queue;

/** Memory of a use with at least so many bytes; grows, contents are lost then. In queue order. */
trd_status trdi_cl_queue_scratch(trdi_cl_queue *queue, trdi_cl_scratch use, size_t bytes, cl_mem *out);

/* ---- Failures (cl_device.c) ---- */

/** TRD_OK, or TRD_E_DEVICE "device opencl:0 was lost: WHY". */
trd_status trdi_cl_usable(trdi_cl_device *device);
/**
 * Fail as trdi_cl_fail() because enqueueing or asking failed. Errors that say that the context or the queue is no more mark the device as
 * lost. Call it without a lock: it writes what the driver said to the log.
 */
trd_status trdi_cl_device_fail(trdi_cl_device *device, cl_int error, const char *what, ...) TRDI_PRINTF(3, 4);
/** As trdi_cl_device_fail(), for work that failed after it was enqueued: the device is lost, unless memory was lacking. */
trd_status trdi_cl_work_fail(trdi_cl_device *device, cl_int error, const char *what, ...) TRDI_PRINTF(3, 4);
/** Mark the device as lost; this thread's text of its last failure stays. */
void trdi_cl_lose(trdi_cl_device *device, cl_int error, const char *what);

/* ---- Programs (cl_program.c) ---- */

/**
 * A kernel object of its own (arguments belong to it), from the program made of one embedded source ("linear_tiles") with options, which is
 * built, or found in the program cache, at first use. Threads: any.
 *
 * @param source   name of a file of kernels/, without folder and ".cl"
 * @param options  "" or -D definitions that tell this program from others of the same source; those of the device's class are added
 */
trd_status trdi_cl_kernel_create(trdi_cl_device *device, const char *source, const char *options, const char *name, cl_kernel *out);
/**
 * The same from a caller's text, after kernels/shared/prelude.cl; equal texts are built once. TRD_E_FORMAT, with the compiler's words, for what does
 * not compile, or has no kernel of that name.
 * @param program  what it was made from, for trdi_cl_program_drop(); NULL after a failure
 */
trd_status trdi_cl_kernel_create_text(trdi_cl_device *device, const char *text, const char *name, cl_kernel *out, trdi_cl_program **program);
/** A kernel made from a caller's text is gone. Few programs are kept for texts that nothing uses. NULL does nothing. */
void trdi_cl_program_drop(trdi_cl_device *device, trdi_cl_program *program);
/** NULL does nothing. */
void trdi_cl_kernel_free(cl_kernel kernel);
/**
 * Put what was compiled into the cache. Drivers that compile kernels at their first launch hold complete binaries only afterwards, and a
 * binary that has grown replaces the file. @param all  false: programs that were not offered yet; true: look at all
 */
void trdi_cl_programs_save(trdi_cl_device *device, bool all);
/** Of a device that is being closed. */
void trdi_cl_programs_free(trdi_cl_device *device);

/* ---- Arguments and launches (cl_kernel.c) ---- */

/** Work-items of a group of the row kernels: 1 for TILES; for GROUPS the GROUP_SIZE that kernels are compiled with. */
static inline size_t trdi_cl_group_size(const trdi_cl_device *device)
{
    if (device->traits.form == TRDI_CL_TILES) return 1;
    return device->traits.max_group >= 256 ? 256 : device->traits.max_group >= 128 ? 128 : 64;
}

/** Sets arguments one after the other; the first failure stays in status. */
typedef struct trdi_cl_args {
    trdi_cl_device *device;
    cl_kernel  kernel;
    cl_uint    n;                /**< index of the next argument */
    trd_status status;
} trdi_cl_args;
/** Two arguments: global pointer, and long byte offset (-1 = absent). In kernels: ARG(type, name), see kernels/shared/shim.h. */
void trdi_cl_arg_span(trdi_cl_args *args, trdi_span span);
/** As a span at offset 0; NULL = absent. */
void trdi_cl_arg_memory(trdi_cl_args *args, cl_mem memory);
void trdi_cl_arg_int(trdi_cl_args *args, int64_t value);      /* TRD_E_INVALID past 31 bits */
void trdi_cl_arg_long(trdi_cl_args *args, int64_t value);
void trdi_cl_arg_float(trdi_cl_args *args, float value);
void trdi_cl_arg_local(trdi_cl_args *args, size_t bytes);

/** TRD_E_UNSUPPORTED, with the limit, if groups of the kernel cannot have so many work-items on the device. */
trd_status trdi_cl_kernel_takes_group(trdi_cl_device *device, cl_kernel kernel, const char *name, size_t group);
/** Enqueue with group sizes local (NULL = the driver's choice). Global sizes must be multiples of local. */
trd_status trdi_cl_launch(trdi_cl_queue *queue, cl_kernel kernel, int n_dims, const size_t *global, const size_t *local);
/** Change one argument before a launch. */
trd_status trdi_cl_set_int(cl_kernel kernel, cl_uint index, int64_t value);
trd_status trdi_cl_set_memory(trdi_cl_device *device, cl_kernel kernel, cl_uint index, cl_mem memory);   /* two arguments, as a span */

/* ---- Lowering: one per kind of operation ---- */

typedef struct trdi_cl_op trdi_cl_op;
typedef struct trdi_cl_lowering {
    /** Beyond trdi_op_refusal(): NULL if this device's kernels take it, else why not; static. Looks at no buffer. */
    const char *(*refusal)(const trdi_cl_device *device, const trdi_op *op);
    /** Make the kernels and set the arguments that do not change. *state: owned, given to the others. */
    trd_status (*prepare)(trdi_cl_device *device, const trdi_op *op, const trdi_plan_options *options, void **state);
    /** Enqueue for n > 0 rows. step: the counts and, through the host addresses of STEP buffers, what the step says. */
    trd_status (*enqueue)(trdi_cl_queue *queue, const trdi_cl_op *op, int64_t n, const trdi_step *step);
    void (*release)(void *state);
} trdi_cl_lowering;

struct trdi_cl_op {
    trdi_op op;
    const trdi_cl_lowering *lowering;
    void *state;
};

extern const trdi_cl_lowering trdi_cl_lower_embed, trdi_cl_lower_positions, trdi_cl_lower_norm, trdi_cl_lower_linear, trdi_cl_lower_map,
    trdi_cl_lower_rotary, trdi_cl_lower_kv_append, trdi_cl_lower_kv_copy, trdi_cl_lower_attention, trdi_cl_lower_gather,
    trdi_cl_lower_edit, trdi_cl_lower_log_softmax, trdi_cl_lower_select;

/** A lowering of one kernel, for operations that need no more: state for trdi_cl_one_enqueue() and trdi_cl_one_release(). */
typedef struct trdi_cl_one {
    trdi_cl_device *device;
    cl_kernel kernel;
    cl_uint   n_argument;        /**< index of the int argument that takes n */
    size_t    per_row;           /**< groups per row */
    size_t    group;             /**< work-items per group: trdi_cl_group_size() */
    cl_mem    table;             /**< memory of this operation's own, released with it; NULL = none */
} trdi_cl_one;
/** Launches n * per_row groups (a group of TILES is one work-item). */
trd_status trdi_cl_one_enqueue(trdi_cl_queue *queue, const trdi_cl_op *op, int64_t n, const trdi_step *step);
void trdi_cl_one_release(void *state);
/** Keep args.kernel as a trdi_cl_one, or free it when args.status tells of a failure. @param n_argument  of n */
trd_status trdi_cl_one_make(trdi_cl_args *args, cl_uint n_argument, size_t per_row, void **state);

/** Host address of a span in STEP memory. */
static inline const void *trdi_cl_step_at(trdi_span span)
{
    return (const char *)((const trdi_cl_buffer *)span.buffer)->host + span.offset;
}

/* ---- Objects (cl_facts.c, cl_device.c, cl_buffer.c, cl_queue.c, cl_weight.c, cl_plan.c) ---- */

/** What a device can do. */
trdi_cl_traits trdi_cl_find_traits(cl_device_id id);
/** Handles of device number index. TRD_E_DEVICE if there are fewer now. */
trd_status trdi_cl_find_device(const char *id, cl_platform_id *platform, cl_device_id *device);
/** Texts of a device, cut to size; "" if they cannot be had. */
void trdi_cl_device_text(cl_device_id id, cl_device_info what, char *out, size_t size);
void trdi_cl_platform_text(cl_platform_id id, cl_platform_info what, char *out, size_t size);

trd_status trdi_cl_enumerate(trdi_device_facts *facts, size_t capacity, size_t *n);
trd_status trdi_cl_device_open(const trdi_device_facts *facts, void **device);
void trdi_cl_device_close(void *device);

uint64_t trdi_cl_memory_in_use(const void *device);
trd_status trdi_cl_buffer_alloc(void *device, size_t bytes, trdi_memory kind, void **buffer);
void trdi_cl_buffer_free(void *buffer);
void *trdi_cl_buffer_host(void *buffer);
/** Memory of the device, counted. @param what  for the text of a failure: "scratch" */
trd_status trdi_cl_memory_alloc(trdi_cl_device *device, size_t bytes, const char *what, cl_mem *out);
/** Commands that were enqueued may still use it. NULL does nothing. */
void trdi_cl_memory_free(trdi_cl_device *device, cl_mem memory);
/** Memory of the device filled from the host, for weights; trdi_cl_memory_free() gives it back. @param bytes  0 gives NULL */
trd_status trdi_cl_upload(trdi_cl_device *device, const void *data, size_t bytes, cl_mem *out);

trd_status trdi_cl_copy(void *queue, trdi_span dst, trdi_span src, size_t bytes);
trd_status trdi_cl_write(void *queue, trdi_span dst, const void *src, size_t bytes);
trd_status trdi_cl_read(void *queue, void *dst, trdi_span src, size_t bytes);
trd_status trdi_cl_queue_create(void *device, const trdi_queue_options *options, void **queue);
void trdi_cl_queue_destroy(void *queue);
trd_status trdi_cl_queue_wait(void *queue);
/** Keep the host memory of a buffer until what is enqueued next is done. */
trd_status trdi_cl_queue_hold(trdi_cl_queue *queue, trdi_cl_buffer *buffer);
/**
 * Take the event of a command whose outcome counts: the next look, wait or transfer fails if the command did. Drivers need not tell it
 * by the result of clFinish. It takes the place of the one before; drivers fail what follows a failed command on a queue.
 */
void trdi_cl_queue_note(trdi_cl_queue *queue, cl_event event);
/** Before more is held and enqueued: let go of what is done, fail if it failed; waits when very much is held. */
trd_status trdi_cl_queue_look(trdi_cl_queue *queue);
/** Everything on the queue is done, up to the event (NULL = none; taken): fail if it, or what was noted, failed. @param what  for the text */
trd_status trdi_cl_queue_settle(trdi_cl_queue *queue, cl_event event, const char *what);
/** Wait after a failure, so that nothing is under way any more; the failure's text stays. */
void trdi_cl_queue_drain(trdi_cl_queue *queue);
/** One use less; the last one frees. */
void trdi_cl_buffer_drop(trdi_cl_buffer *buffer);
trd_status trdi_cl_event_record(void *queue, void **event);
trd_status trdi_cl_event_wait(void *queue, void *event);
trd_status trdi_cl_event_done(void *event, bool *done);
void trdi_cl_event_free(void *event);

bool trdi_cl_supports(const void *device, const trdi_op *op);
trd_status trdi_cl_plan_create(void *device, const trdi_op *ops, size_t n_ops, const trdi_plan_options *options, void **plan);
trd_status trdi_cl_plan_run(void *queue, void *plan, const trdi_step *step);
void trdi_cl_plan_destroy(void *plan);

/* Kernels of one's own (cl_user_kernel.c). */
trd_status trdi_cl_kernel_build(void *device, const trdi_kernel_source *source, void **kernel);
trd_status trdi_cl_kernel_run(void *queue, void *kernel, const trdi_argument *arguments, size_t n, const trdi_launch *launch);
void trdi_cl_user_kernel_free(void *kernel);

size_t trdi_cl_weight_bytes(const void *device, const trdi_weight_source *source);
trd_status trdi_cl_weight_prepare(void *device, const trdi_weight_source *source, void **weight);
/** NULL: what lies on a device is not kept in cache files. */
const void *trdi_cl_weight_data(const void *weight);
void trdi_cl_weight_free(void *weight);

#endif
