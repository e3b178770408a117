/**
 * @file
 * trd_device.h: the devices of this machine and how they are named.
 *
 * A device is named "cpu:0", "opencl:0", "cuda:1", its number being that among the devices of its back end. Where a call takes a device's name,
 * these select too, whatever their case: "cpu", "opencl", "cuda" (the best usable one of that back end: a GPU before others), "gpu" and
 * "gpu:1" (usable GPUs), "auto" (the first usable GPU, else the CPU), and a part of a device's or its platform's name. Names separated by commas
 * are a list. No name means the variable TREADLE_DEVICE, else "cpu". As long as only the CPU is named, no driver is started.
 */
#ifndef TRD_DEVICE_H
#define TRD_DEVICE_H

#include "trd_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What is known of one device without opening it. Strings are borrowed and live as long as the process. */
typedef struct trd_device_info {
    size_t      struct_size;      /**< set by the caller to sizeof(trd_device_info) */
    const char *id;               /**< "cpu:0" */
    const char *name;             /**< as the vendor writes it */
    const char *backend;          /**< "cpu", "opencl", "cuda" */
    const char *isa;              /**< instruction set in use on a CPU ("avx2"); "" elsewhere */
    int64_t     n_compute_units;  /**< of the CPU, cores that this process may use; else as its driver counts */
    int64_t     memory_bytes;     /**< of the CPU, what this process may use, cgroup limits included; else the device's */
    const char *compute_types;    /**< supported compute types, comma separated, e.g. "float32,int8,int8_float32" */
    const char *unusable;         /**< why the device cannot be used; "" if it can */
    const char *type;             /**< "cpu", "gpu", "accelerator" */
    const char *platform;         /**< OpenCL platform; "" on the CPU */
    const char *driver;           /**< version of the driver; "" on the CPU */
    const char *pci;              /**< PCI address, "0000:65:00.0"; "" if it has none or does not tell */
    const char *features;         /**< optional features found, space separated: "fp16 fp64 subgroups" */
    int64_t     max_buffer_bytes; /**< largest single buffer; 0 = as memory_bytes */
    int64_t     local_bytes;      /**< local memory of a work-group; 0 = none */
    const char *nearest_cores;    /**< hardware threads nearest to it that this process may use, by the system's numbers: "0-15,32-47"; "" = not known */
    const char *numa_nodes;       /**< NUMA nodes nearest to it: "0"; "" = not known */
} trd_device_info;

/**
 * Number of devices, unusable ones included; at least 1 (the CPU). The first call of this, or of trd_device_get_info() past the CPU, trd_device_note() or
 * trd_device_report(), loads the back ends and asks their drivers, which may take a second; a small program is started to do so first, in case
 * a driver crashes (environment variable TREADLE_PROBE).
 *
 * WARNING: if an OpenCL driver must be kept out, this call changes OCL_ICD_VENDORS in this process's environment while it asks the others, and
 * puts it back: no other thread may read or change the environment then (getenv() of another thread is a data race). A libOpenCL that this
 * process has used already is not influenced by that: if it has loaded such a driver, OpenCL's devices are left out, and a note says so.
 * Threads: any, but for that.
 */
TRD_API int64_t trd_device_count(void);

/**
 * Describe device i.
 *
 * @param info  struct_size set by the caller; that many bytes are filled
 * @return TRD_OK; TRD_E_RANGE if i is not in 0 .. trd_device_count()-1; TRD_E_INVALID
 */
TRD_API trd_status trd_device_get_info(int64_t i, trd_device_info *info);

/** Line i of why something was not found ("opencl: no driver is installed ..."); NULL past the last. Static strings. */
TRD_API const char *trd_device_note(int64_t i);

/** Forms of trd_device_report(). */
typedef enum trd_report {
    TRD_REPORT_TREE = 0,  /**< lines for people: the machine as a tree with its devices, then the notes */
    TRD_REPORT_JSON = 1,  /**< one object: version, devices (the fields of trd_device_info), notes, machine (a tree of places) */
    TRD_REPORT_SVG = 2    /**< a picture */
} trd_report;

/**
 * Describe the whole machine: packages, shared caches, cores, NUMA nodes, PCI devices, and the devices that models can run on.
 *
 * @param text  UTF-8, owned by the caller: trd_string_free(); NULL on failure
 * @return TRD_OK; TRD_E_INVALID for an unknown form or text NULL; TRD_E_MEMORY
 * Threads: any.
 */
TRD_API trd_status trd_device_report(trd_report form, char **text);

/** One way to compute a matrix product, as trd_device_tune() measured it. Strings are borrowed for the call. */
typedef struct trd_tune_result {
    size_t      struct_size;      /**< set by the library to the bytes that it filled */
    const char *weights;          /**< type of the weights: "float32", "float16", "int8" */
    int64_t     rows;             /**< rows of activations */
    int64_t     inputs;           /**< numbers in each */
    int64_t     outputs;          /**< numbers in each row of the result */
    const char *way;              /**< name of the kernel, as docs/opencl.md lists them */
    double      microseconds;     /**< of one product, the best of several */
    int32_t     chosen;           /**< 1: what is used for these rows, inputs and outputs: the built-in way, unless another is clearly (5 %) faster */
    const char *device;           /**< its id, "opencl:0" */
    const char *path;             /**< file that keeps the table once all is measured */
} trd_tune_result;

/** Called for every result, from the thread that called trd_device_tune(). The result is borrowed for the call. */
typedef void (*trd_tune_callback)(void *context, const trd_tune_result *result);

/**
 * Measure which kernels are fastest on a device, for each type of weights that the device computes with, number of rows and size, and keep the table in the user's cache
 * folder, where the device's next opening finds it. The built-in way stays unless another is clearly faster. A few seconds to a minute; other work on the device disturbs the figures. No result
 * of a model changes by it, but where numerics are "fast".
 *
 * @param device    a selector of one device, as options take it; NULL: TREADLE_DEVICE, else the CPU
 * @param report    may be NULL
 * @return TRD_OK; TRD_E_UNSUPPORTED if there is nothing to tune (the CPU); TRD_E_IO if the table cannot be written, which is found out first; errors of the device
 * Threads: any.
 */
TRD_API trd_status trd_device_tune(const char *device, trd_tune_callback report, void *context);

#ifdef __cplusplus
}
#endif
#endif /* TRD_DEVICE_H */
