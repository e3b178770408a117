/*
 * fault_layer.h: what a test says to the OpenCL layer that stands between the ICD loader and the drivers (OPENCL_LAYERS names its file). It
 * counts calls and living objects, and makes a chosen call fail. From outside: TREADLE_FAULT="clCreateBuffer:3:-4" (the third call gives -4;
 * 3+: the third and all after it).
 */
#ifndef TRD_TESTS_FAULT_LAYER_H
#define TRD_TESTS_FAULT_LAYER_H

#include <stdbool.h>

typedef struct fault_layer {
    /**
     * The nth call from now on (1 = the next) of "clCreateBuffer" gives error; and all after it, if lasting. Forgets an earlier fault.
     * "clGetEventInfo": the call succeeds, and says that the command ended with the error. "clGetKernelWorkGroupInfo",
     * "clGetDeviceInfo:GROUP", "clGetDeviceInfo:LOCAL": a positive error is the size that the call tells.
     */
    void (*set)(const char *function, long nth, bool lasting, int error);
    void (*clear)(void);
    /** Did the fault that was set happen? */
    bool (*happened)(void);
    /** Objects created and not released: "context", "queue", "buffer", "program", "kernel", "event"; NULL = all of them. */
    long (*alive)(const char *kind);
    /** Calls so far. */
    long (*calls)(const char *function);
    /** From now on every transfer that does not block waits for open_gate(), and so does what follows it on its queue. */
    void (*shut_gate)(void);
    void (*open_gate)(void);
    /** As if the driver said something through the last context. */
    void (*notify)(const char *text);
} fault_layer;

/** Name of the one object that the layer exports beside its entry functions. */
#define FAULT_LAYER_SYMBOL "treadle_fault_layer"

#endif
