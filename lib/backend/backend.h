/*
 * backend.h: the seam between the layers (nn) and what computes. A back end is one const table of functions; operations are
 * recorded once into a plan and the plan runs step after step, with everything that changes between steps read from
 * the step block (counts, ids, positions, block tables, per-row parameters). Activations are f32; weights and keys and values
 * have types.
 *
 * Words: a *step* runs *segments* (row, number of new tokens). "tokens" below are the new tokens of the step, packed.
 */
#ifndef TRDI_BACKEND_H
#define TRDI_BACKEND_H

#include <stdatomic.h>

#include "core/status.h"

#define TRDI_BACKEND_ABI 2

/** Memory of a device: the back end's buffer + byte offset. buffer NULL = operand absent. Alignment: 64 bytes for whole buffers. */
typedef struct trdi_span {
    void  *buffer;
    size_t offset;
} trdi_span;

/**
 * Where a buffer lives. STEP and RESULT have a host address (buffer_host). plan_run() carries the STEP buffers of its plan to the device
 * before the first operation, and its RESULT buffers back after the last; the host may touch either again once queue_wait() returned.
 */
typedef enum trdi_memory { TRDI_MEMORY_DEVICE, TRDI_MEMORY_STEP, TRDI_MEMORY_RESULT } trdi_memory;

/** The numbers that change from step to step, by index into trdi_step.counts. */
typedef enum trdi_count {
    TRDI_COUNT_ONE,       /**< always 1 */
    TRDI_COUNT_TOKENS,    /**< new tokens of the step */
    TRDI_COUNT_OUTPUTS,   /**< logits rows wanted */
    TRDI_COUNT_EDITS,     /**< entries of the edit list */
    TRDI_COUNT_SELECTIONS,/**< groups to select candidates for */
    TRDI_COUNT_COPIES,    /**< KV blocks to copy */
    TRDI_N_COUNTS
} trdi_count;

typedef struct trdi_step {
    int64_t counts[TRDI_N_COUNTS];
    atomic_bool *abort;               /**< polled between operations; NULL = never */
} trdi_step;

typedef enum trdi_op_kind {
    TRDI_OP_EMBED,        /**< rows of a table by id */
    TRDI_OP_POSITIONS,    /**< add rows of a position table */
    TRDI_OP_NORM,         /**< layer or RMS norm, over heads too */
    TRDI_OP_LINEAR,       /**< packed weight x rows */
    TRDI_OP_MAP,          /**< element-wise: scale, softcap, add */
    TRDI_OP_ROTARY,       /**< rotate channels of heads in place */
    TRDI_OP_KV_APPEND,    /**< store keys and values of new tokens into blocks */
    TRDI_OP_KV_COPY,      /**< copy whole blocks (copy on write) */
    TRDI_OP_ATTENTION,    /**< over packed rows, or over blocks */
    TRDI_OP_GATHER,       /**< rows by index */
    TRDI_OP_EDIT,         /**< edit list and allow mask on logits */
    TRDI_OP_LOG_SOFTMAX,  /**< per-row, optional, optionally biased */
    TRDI_OP_SELECT,       /**< best candidates, samples, or given ids, per group */
    TRDI_N_OPS
} trdi_op_kind;

/** All strides are in elements. "n" = counts[count] rows are processed. */

/** y[t][0..width) (+)= scale * table[ids[t]] ; 0 where zero_start and positions[t] == 0. */
typedef struct trdi_op_embed {
    void     *table;          /**< prepared by weight_prepare with layout EMBEDDING */
    trdi_span ids;            /**< i32 [n]; ids are in range (checked by the caller) */
    trdi_span positions;      /**< i32 [n]; only read with zero_start */
    trdi_span y;              /**< f32 [n][y_stride] */
    int64_t   width, y_stride;
    float     scale;
    bool      accumulate, zero_start;
} trdi_op_embed;

/**
 * y[t][c] += table[positions[t]][c]. Without a table, with h = width / 2, p = positions[t] + 1 and f(j) = 10000^(-j / (h - 1)) in f32:
 * sin(p f(c)) for c < h, cos(p f(c - h)) for the rest.
 */
typedef struct trdi_op_positions {
    trdi_span table;          /**< f32 [rows][width] */
    trdi_span positions;      /**< i32 [n], in range */
    trdi_span y;              /**< f32 [n][width] */
    int64_t   width;
} trdi_op_positions;

/**
 * For each of n rows and each of n_groups groups g of width channels at column g*width of x:
 * y = norm(x) * gain (+ beta); then y = (y + residual) * scale. y may be x or residual. beta absent = RMS.
 */
typedef struct trdi_op_norm {
    trdi_span x, y, residual; /**< residual may be absent */
    trdi_span gamma, beta;    /**< f32 [width] */
    int64_t   width, n_groups, x_stride, y_stride, residual_stride;
    float     epsilon, scale;
    bool      gain_plus_one;
} trdi_op_norm;

/**
 * y[r][0..out) = act(x[r][0..in) . W^T + bias) * multiplier + residual; each part optional. y may be residual or multiplier, not x.
 * With an I8 weight, row r of x is first quantised: a = 127 / max|x[r]| (1 if all are zero), q = round(x a), to even or towards zero as the
 * weight says; the sum is exact in i32, then sum * (1 / a) / scale + bias.
 */
typedef struct trdi_op_linear {
    void     *weight;         /**< prepared with layout LINEAR; its bias was prepared with it */
    trdi_span x, y, multiplier, residual;
    int64_t   in, out, x_stride, y_stride, multiplier_stride, residual_stride;
    int32_t   activation;     /**< value of files, -1 = none */
} trdi_op_linear;

typedef enum trdi_map_function {
    TRDI_MAP_SCALE,    /**< y = x * parameter */
    TRDI_MAP_SOFTCAP,  /**< y = parameter * tanh(x / parameter) */
    TRDI_MAP_ADD       /**< y = (x + z) * parameter */
} trdi_map_function;
typedef struct trdi_op_map {
    trdi_map_function function;
    trdi_span x, z, y;        /**< f32 [n][width]; y may be x or z */
    int64_t   width, x_stride, z_stride, y_stride;
    float     parameter;
} trdi_op_map;

/**
 * For each row and each of n_heads heads at column h*head_dim: rotate the first dim channels by angle
 * p * inverse_frequencies[i] (f32), p = positions[t]; sin and cos times magnitude.
 */
typedef struct trdi_op_rotary {
    trdi_span x;              /**< in place */
    trdi_span positions;      /**< i32 [n] */
    trdi_span inverse_frequencies; /**< f32 [dim/2] */
    int64_t   n_heads, head_dim, dim, x_stride;
    float     magnitude;
    bool      interleave;
} trdi_op_rotary;

/**
 * Paged cache: block b of a layer starts at byte layer_offset + b * block_stride of the pool and holds
 * K [n_heads_kv][block_tokens][head_dim], then V likewise. Position p of a row is slot p % block_tokens of block
 * table[table_offsets[row] + p / block_tokens]. What is stored is rounded to dtype, half to even.
 */
typedef struct trdi_kv_layout {
    trdi_span pool;
    trd_dtype dtype;          /**< of keys and values: F32 or F16 */
    size_t    layer_offset, block_stride;
    int64_t   block_tokens, n_heads_kv, head_dim;
    trdi_span table;          /**< i32, flat */
    trdi_span table_offsets;  /**< i32 [rows] */
} trdi_kv_layout;

/** Store k[t], v[t] of token t at position positions[t] of row rows[t]. */
typedef struct trdi_op_kv_append {
    trdi_kv_layout kv;
    trdi_span k, v;           /**< f32 [n][stride] */
    int64_t   stride;
    trdi_span rows, positions;/**< i32 [n] */
} trdi_op_kv_append;

/** Block copies[2i+1] := block copies[2i], for all layers: block_stride bytes each. */
typedef struct trdi_op_kv_copy {
    trdi_span pool;
    size_t    block_stride;
    trdi_span copies;         /**< i32 [n][2] */
} trdi_op_kv_copy;

typedef enum trdi_key_source {
    TRDI_KEYS_PACKED,   /**< keys of row r: k[key_starts[r] + j], v likewise, j < key_counts[r] */
    TRDI_KEYS_PAGED     /**< keys of row r: from kv, j < key_counts[r] */
} trdi_key_source;

/**
 * y[t] = softmax(scale * q[t] . K^T + terms) . V per head, for token t of row rows[t] at position positions[t].
 * causal: only keys j <= positions[t]. window W > 0: only j > positions[t] - W.
 * Second key set (merged attention): memory keys, all memory_counts[row] of them, follow the first in the same softmax.
 * No visible key gives zeros. Keys are processed in chunks of block_tokens positions counted from 0, merged in order.
 */
typedef struct trdi_op_attention {
    trdi_key_source source;
    trdi_span q, y;           /**< f32 [n][q_stride], [n][y_stride]; head h at column h*head_dim */
    trdi_span k, v;           /**< PACKED: f32 [tokens][kv_stride]; KV head at column h*head_dim */
    trdi_span key_starts;     /**< PACKED: i32 [rows] */
    trdi_span key_counts;     /**< i32 [rows] */
    trdi_kv_layout kv;        /**< PAGED */
    trdi_kv_layout memory_kv; /**< second key set; pool.buffer NULL = none */
    trdi_span memory_counts;  /**< i32 [rows] */
    trdi_span rows, positions;/**< i32 [n] */
    int64_t   n_heads, n_heads_kv, head_dim, q_stride, kv_stride, y_stride;
    float     scale;
    bool      causal;
    int64_t   window;
    trdi_span alibi_slopes;   /**< f32 [n_heads], already multiplied by what alibi_scaled asks; absent = none */
    bool      alibi_positive; /**< adds slope * j; else slope * (j - positions[t]), so that segments do not matter */
    trdi_span relative_keys, relative_values; /**< f32 [2*relative_max + 1][head_dim]: r = clip(j - positions[t], -M, M) + M */
    int64_t   relative_left, relative_right;  /**< Shaw: both M; asymmetric keys: L and R, r = clip(j - p, -L, R) + L */
    trdi_span relative_bias;  /**< T5, f32 [relative_buckets][n_heads] */
    int64_t   relative_buckets, relative_max_distance;
    bool      relative_bidirectional;
    trdi_span probabilities;  /**< f32 [n][probabilities_stride]: mean over the first probability_heads heads; absent = none. Zeros past the keys are not written */
    int64_t   probabilities_stride, probability_heads;
} trdi_op_attention;

/** y[i] = x[indices[i]]. */
typedef struct trdi_op_gather {
    trdi_span x, y, indices;  /**< i32 [n] */
    int64_t   width, x_stride, y_stride;
} trdi_op_gather;

typedef enum trdi_edit_kind { TRDI_EDIT_PENALISE = 0, TRDI_EDIT_SET = 1 } trdi_edit_kind;
/** One change of one logit. PENALISE: x = x < 0 ? x * value : x / value. SET: x = value. */
typedef struct trdi_edit {
    int32_t row, id, kind;
    float   value;
} trdi_edit;
/**
 * Run with count OUTPUTS. For row r: first, where masks[r] >= 0, logits whose bit is clear in mask line masks[r] become -infinity;
 * then the edits edit_starts[r] .. edit_starts[r+1]-1, in order.
 */
typedef struct trdi_op_edit {
    trdi_span logits;         /**< f32 [n][stride] */
    trdi_span edits;          /**< trdi_edit [counts[EDITS]], ordered by row */
    trdi_span edit_starts;    /**< i32 [n + 1] */
    trdi_span masks;          /**< i32 [n]: line of mask_bits, or -1 */
    trdi_span mask_bits;      /**< u32 [lines][mask_words]; bit id%32 of word id/32 */
    int64_t   width, stride, mask_words;
} trdi_op_edit;

/** What log-softmax does to one row. */
typedef enum trdi_normalise { TRDI_NORMALISE_NONE = 0, TRDI_NORMALISE_LOG_SOFTMAX = 1, TRDI_NORMALISE_BIASED = 2 } trdi_normalise;
typedef struct trdi_row_norm {
    int32_t mode;             /**< trdi_normalise */
    int32_t bias_id;          /**< BIASED: log((1-beta) p + beta [id == bias_id]) */
    float   beta;
    int32_t unused;
} trdi_row_norm;
/** x and y may be the same. A row whose entries are all -infinity or all equal becomes uniform. */
typedef struct trdi_op_log_softmax {
    trdi_span x, y;           /**< f32 [n][stride] */
    trdi_span parameters;     /**< trdi_row_norm [n] */
    int64_t   width, stride;
} trdi_op_log_softmax;

typedef enum trdi_select_mode {
    TRDI_SELECT_BEST = 0,     /**< the n_candidates best of the concatenated rows: score, then row, then id; NaN last */
    TRDI_SELECT_SAMPLE = 1,   /**< one draw (n_candidates = 1, one row) with uniform */
    TRDI_SELECT_NOISE = 2,    /**< n_candidates without replacement: largest of log-softmax + noise over the kept entries */
    TRDI_SELECT_GIVEN = 3     /**< the value at id given[..] of each of n_rows rows; n_candidates = n_rows; given in noise_start.. of given */
} trdi_select_mode;
/**
 * Candidates of one group. Sampling: keep the topk best of the concatenated rows (0: all, in
 * order row, id), multiply by 1 / temperature, keep while the cumulative softmax before an entry is < topp (< 1), then draw.
 * Scores reported are the values before temperature (row_scores added).
 */
typedef struct trdi_selection {
    int32_t mode;             /**< trdi_select_mode */
    int32_t first_row, n_rows;/**< rows of the logits */
    int32_t n_candidates;     /**< <= max_candidates; <= n_rows * width except with GIVEN */
    int32_t output;           /**< first index in the candidate arrays */
    int32_t topk;             /**< 0 = all */
    float   topp, temperature;
    double  uniform;          /**< SAMPLE: the first entry whose cumulative probability (double, from f32 softmax) is >= uniform */
    int32_t noise_start;      /**< NOISE: entry i of the kept list gets noise[noise_start + i]; GIVEN: ids given[noise_start + i] */
    int32_t unused;
} trdi_selection;
typedef struct trdi_op_select {
    trdi_span values;         /**< f32 [outputs][stride]: log-probabilities or logits */
    trdi_span row_scores;     /**< f32 [outputs], added to every value of the row */
    trdi_span selections;     /**< trdi_selection [n] */
    trdi_span noise;          /**< f32 */
    trdi_span given;          /**< i32 */
    trdi_span ids, parents, scores; /**< results: i32, i32 (row - first_row), f32 */
    int64_t   width, stride;
} trdi_op_select;

typedef struct trdi_op {
    trdi_op_kind kind;
    trdi_count   count;       /**< rows = step->counts[count] */
    union {
        trdi_op_embed embed;             trdi_op_positions positions;  trdi_op_norm norm;
        trdi_op_linear linear;           trdi_op_map map;              trdi_op_rotary rotary;
        trdi_op_kv_append kv_append;     trdi_op_kv_copy kv_copy;      trdi_op_attention attention;
        trdi_op_gather gather;           trdi_op_edit edit;            trdi_op_log_softmax log_softmax;
        trdi_op_select select;
    } u;
} trdi_op;

/** Most spans of one operation. */
enum { TRDI_MAX_OP_SPANS = 32 };
/** The spans of an operation, absent ones included. @return how many; the same kind always gives the same, in the same order */
size_t trdi_op_spans(const trdi_op *op, trdi_span spans[TRDI_MAX_OP_SPANS]);
/** The inverse: put spans back, as many and in the same order. */
void trdi_op_set_spans(trdi_op *op, const trdi_span spans[TRDI_MAX_OP_SPANS]);

/** Static name of an operation kind ("linear"). */
const char *trdi_op_name(trdi_op_kind kind);
/** Floating-point operations and bytes touched at n rows, for tests and benchmarks. */
void trdi_op_cost(const trdi_op *op, int64_t n, double *flops, double *bytes);

/** How a weight is laid out when prepared. */
typedef enum trdi_weight_layout { TRDI_LAYOUT_LINEAR, TRDI_LAYOUT_EMBEDDING } trdi_weight_layout;

/** A weight before preparation, given row by row so that no second full copy is needed. */
typedef struct trdi_weight_source {
    trdi_weight_layout layout;
    trd_dtype dtype;          /**< of the prepared form: F32, F16 (rounded half to even) or I8 */
    bool    truncate;         /**< I8: activations are truncated towards zero instead of rounded half to even */
    int64_t rows, cols;       /**< LINEAR: out, in */
    /** Read f32 rows first .. first+n-1 into out [n][cols]. */
    void (*read)(const void *context, int64_t first, int64_t n, float *out);
    /** dtype I8: read rows as integers -127..127 into out [n][cols], and scales [n]: value = integer / scale. */
    void (*read_i8)(const void *context, int64_t first, int64_t n, int8_t *out, float *scales);
    const void *context;
    const float *bias;        /**< [rows] or NULL */
    /** Bytes prepared earlier (weight_data() of such a weight, 64-byte aligned, kept alive by the caller): used in place; NULL = prepare. */
    const void *prepared;
} trdi_weight_source;

typedef enum trdi_device_type { TRDI_DEVICE_CPU, TRDI_DEVICE_GPU, TRDI_DEVICE_ACCELERATOR } trdi_device_type;

/** What a device computes efficiently, as bits; and what kind it is, for the resolution of compute types. */
enum {
    TRDI_TYPES_INT8 = 1u,
    TRDI_TYPES_INT16 = 2u,
    TRDI_TYPES_F16 = 4u,
    TRDI_TYPES_BF16 = 8u,
    TRDI_TYPES_CPU = 16u,
    TRDI_TYPES_GPU = 32u
};

/** What is known of a device without opening it. Plain data: it crosses processes and is compared bytewise after zeroing. */
typedef struct trdi_device_facts {
    char    id[32];           /**< "opencl:0": the back end's name and its number there */
    char    name[128], isa[32];
    char    platform[96];     /**< OpenCL: the platform's name; "" on the CPU */
    char    driver[128];      /**< version of the driver; "" on the CPU */
    char    pci[16];          /**< "0000:65:00.0"; "" = not on PCI, or not told */
    char    features[192];    /**< optional features found, space separated: "fp16 fp64 subgroups dp4a command-buffer" */
    char    unusable[160];    /**< why it cannot be used; "" = usable */
    trdi_device_type type;
    uint32_t compute_types;   /**< TRDI_TYPES_* */
    int64_t n_compute_units, memory_bytes;
    int64_t max_buffer_bytes; /**< largest single buffer; 0 = as memory */
    int64_t local_bytes;      /**< local memory of a group; 0 = none */
} trdi_device_facts;

typedef struct trdi_queue_options {
    int32_t n_threads;        /**< CPU: team size, >= 1; others ignore it */
    /** CPU: called once on every team thread, to bind it; may be NULL. */
    void  (*thread_start)(void *context, int32_t thread);
    void   *thread_context;
} trdi_queue_options;

/** Which kernels a plan may use. REPRODUCIBLE: a row's bits depend on neither its neighbours nor the number of rows. */
typedef enum trdi_numerics { TRDI_NUMERICS_AUTO, TRDI_NUMERICS_REPRODUCIBLE, TRDI_NUMERICS_FAST } trdi_numerics;

typedef struct trdi_plan_options {
    trdi_numerics numerics;   /**< AUTO: reproducible on CPU-type devices, fast on others */
} trdi_plan_options;

/* ---- Kernels of one's own ---- */

struct trdi_program;          /* a checked expression: expression.h */

/** What a kernel is built from. All borrowed for the call. */
typedef struct trdi_kernel_source {
    const struct trdi_program *program; /**< an expression; NULL = the caller's source */
    const char *text;         /**< OpenCL C 1.2 in the words of kernels/shared/shim.h, which is put before it; generated for an expression */
    const char *name;         /**< of the kernel in text */
} trdi_kernel_source;

typedef enum trdi_argument_kind {
    TRDI_ARGUMENT_SPAN,       /**< ARG(type, name): two parameters of the kernel */
    TRDI_ARGUMENT_F32,
    TRDI_ARGUMENT_I32,
    TRDI_ARGUMENT_I64,
    TRDI_ARGUMENT_LOCAL       /**< integer: bytes of local memory */
} trdi_argument_kind;

typedef struct trdi_argument {
    trdi_argument_kind kind;
    trdi_span span;
    float     number;
    int64_t   integer;
} trdi_argument;

/** How a kernel runs. An expression has rows and cols and takes them as two last i64 arguments; the caller's source has sizes. */
typedef struct trdi_launch {
    int64_t rows, cols;
    int32_t n_dims;           /**< 1..3 */
    size_t  global[3], group[3]; /**< work-items; group[0] = 0: the back end's choice. Global sizes are multiples of the group's */
} trdi_launch;

/** One way to compute a product, measured. */
typedef struct trdi_tune_result {
    trd_dtype   weights;
    int64_t     rows, in, out;
    const char *way;          /**< static */
    double      best_us;
    bool        chosen;       /**< what its rows, in and out use from now on */
    const char *path;         /**< where the table will be kept; borrowed for the call */
} trdi_tune_result;

/**
 * One const table per back end. NULL = not offered. Everything runs in the order of its queue; two queues are ordered by events alone.
 * A queue serves one thread at a time. A plan runs on one queue at a time; it, its buffers and its weights may be freed while a run is still
 * under way: the back end keeps what the run needs.
 */
typedef struct trdi_backend_ops {
    uint32_t    abi;                                      /* TRDI_BACKEND_ABI */
    const char *name;                                     /* "cpu" */
    trd_status (*enumerate)(trdi_device_facts *facts, size_t capacity, size_t *n);   /* *n: all there are, also past capacity; creates no context */
    trd_status (*device_open)(const trdi_device_facts *facts, void **device);
    void       (*device_close)(void *device);
    trd_status (*buffer_alloc)(void *device, size_t bytes, trdi_memory kind, void **buffer);
    void       (*buffer_free)(void *buffer);
    void      *(*buffer_host)(void *buffer);              /* host address of STEP and RESULT (CPU: all) memory; else NULL */
    trd_status (*copy)(void *queue, trdi_span dst, trdi_span src, size_t bytes);      /* between DEVICE buffers of one device; may overlap only if equal */
    trd_status (*write)(void *queue, trdi_span dst, const void *src, size_t bytes);   /* host to device; src may be reused on return */
    trd_status (*read)(void *queue, void *dst, trdi_span src, size_t bytes);          /* device to host; blocks */
    trd_status (*queue_create)(void *device, const trdi_queue_options *options, void **queue);
    void       (*queue_destroy)(void *queue);             /* waits for what is under way */
    trd_status (*queue_wait)(void *queue);                /* until all is done; the first failure since the last wait */
    trd_status (*event_record)(void *queue, void **event);/* passes when everything before it on the queue is done */
    trd_status (*event_wait)(void *queue, void *event);   /* what follows on the queue waits; queue NULL: this thread waits */
    trd_status (*event_done)(void *event, bool *done);
    void       (*event_free)(void *event);
    bool       (*supports)(const void *device, const trdi_op *op);                    /* true = a plan takes this shape; looks at no buffer's contents */
    size_t     (*weight_bytes)(const void *device, const trdi_weight_source *source); /* of the prepared form */
    trd_status (*weight_prepare)(void *device, const trdi_weight_source *source, void **weight);
    const void *(*weight_data)(const void *weight);       /* prepared bytes for a cache file; NULL = cannot be kept */
    void       (*weight_free)(void *weight);
    uint32_t    weight_layout_version;                    /* part of the cache file's name */
    trd_status (*plan_create)(void *device, const trdi_op *ops, size_t n_ops, const trdi_plan_options *options, void **plan);  /* ops are copied */
    trd_status (*plan_run)(void *queue, void *plan, const trdi_step *step);           /* returns when done (CPU) or enqueued */
    void       (*plan_destroy)(void *plan);
    uint64_t   (*memory_in_use)(const void *device);      /* bytes allocated there, weights included; NULL = not counted */
    /** Measure the ways to compute products and keep the table for later opens. Nothing else runs on the device meanwhile. report may be NULL. */
    trd_status (*tune)(void *device, void (*report)(void *context, const trdi_tune_result *result), void *context);
    trd_status (*kernel_build)(void *device, const trdi_kernel_source *source, void **kernel);   /* TRD_E_FORMAT with the compiler's words */
    /* in queue order; the launch of an expression was checked against its parameters. A kernel may be run by several threads at once */
    trd_status (*kernel_run)(void *queue, void *kernel, const trdi_argument *arguments, size_t n, const trdi_launch *launch);
    void       (*kernel_free)(void *kernel);              /* also while runs are under way */
} trdi_backend_ops;

/** The CPU back end: always there; it is the reference. */
const trdi_backend_ops *trdi_backend_cpu(void);

/** NULL if the operation is well formed, else what is wrong with it; static. Looks at sizes and presence, not at weights. */
const char *trdi_op_refusal(const trdi_op *op);

/* ---- Modules ---- */

/** What the library gives a back end that was loaded at run time; lives as long as the process. */
typedef struct trdi_backend_host {
    uint32_t abi;                                         /* TRDI_BACKEND_ABI */
    void *(*alloc)(size_t bytes);                         /* as trdi_alloc() */
    void  (*free)(void *memory);
    trd_status (*fail)(trd_status code, const char *text);        /* as trdi_fail() and trdi_fail_within() with a ready text */
    trd_status (*fail_within)(trd_status code, const char *text);
    bool  (*log_enabled)(trd_log_level level);
    void  (*log)(trd_log_level level, const char *text);
    const char *version;                                  /* of the library */
} trdi_backend_host;

/**
 * What a module exports, under the name TRDI_BACKEND_ENTRY. Called once. Modules are never unloaded.
 * @return TRD_E_UNSUPPORTED, with a text, when abi is not the module's own or a vendor's library is missing
 */
typedef trd_status trdi_backend_entry(uint32_t abi, const trdi_backend_host *host, const trdi_backend_ops **ops);
#define TRDI_BACKEND_ENTRY "trd_backend_entry"

#endif
