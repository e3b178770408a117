/* kernel_sources.h: the kernel sources that the build embeds, with what they include put in (cmake/TreadleKernels.cmake). */
#ifndef TRDI_CL_KERNEL_SOURCES_H
#define TRDI_CL_KERNEL_SOURCES_H

#include <stddef.h>
#include <stdint.h>

typedef struct trdi_cl_source {
    const char *name;        /**< of the file, without folder and ".cl" */
    const char *text;        /**< NUL-terminated */
    size_t      bytes;       /**< without the NUL */
    const char *digest;      /**< SHA-256 of the text, hexadecimal */
} trdi_cl_source;

extern const trdi_cl_source trdi_cl_sources[];
extern const size_t trdi_cl_n_sources;

#endif
