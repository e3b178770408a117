/* cpu_isa.c: which micro-kernels this processor can run, and what the device says of itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "core/log.h"

#if defined(__linux__) || defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f");
}
#endif

const trdi_cpu_kernels *trdi_cpu_kernels_find(const char *name)
{
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0) return has_avx512() ? &trdi_cpu_kernels_avx512 : NULL;
    if (strcmp(name, "avx2") == 0) return has_avx2() ? &trdi_cpu_kernels_avx2 : NULL;
#endif
    return strcmp(name, "generic") == 0 ? &trdi_cpu_kernels_generic : NULL;
}

static const trdi_cpu_kernels *best_kernels(void)
{
    static const char *const order[] = { "avx512", "avx2" };
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const trdi_cpu_kernels *kernels = trdi_cpu_kernels_find(order[i]);
        if (kernels != NULL) return kernels;
    }
    return &trdi_cpu_kernels_generic;
}

/* Our name for a value of CT2_FORCE_CPU_ISA; AVX alone has no fma. */
static const char *translated(const char *value)
{
    static const char *const names[][2] = {
        { "GENERIC", "generic" }, { "AVX", "generic" }, { "AVX2", "avx2" }, { "AVX512", "avx512" } };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i][0]) == 0) return names[i][1];
    }
    return value;
}

const trdi_cpu_kernels *trdi_cpu_kernels_choose(void)
{
    const char *variable = "TREADLE_CPU_ISA", *value = getenv(variable), *name = value;
    if (value == NULL || value[0] == '\0') {
        variable = "CT2_FORCE_CPU_ISA";
        value = getenv(variable);
        if (value == NULL || value[0] == '\0') return best_kernels();
        name = translated(value);
    }
    const trdi_cpu_kernels *kernels = trdi_cpu_kernels_find(name);
    if (kernels != NULL) return kernels;
    kernels = best_kernels();
    trdi_log(TRD_LOG_WARNING, "%s=%s is unknown or not supported by this processor; using %s", variable, value, kernels->name);
    return kernels;
}

/* The processor's own name of itself, without blanks around it. */
static void brand_name(char *out, size_t size)
{
    (void)snprintf(out, size, "CPU");
#if defined(__x86_64__)
    unsigned r[12] = { 0 };
    if ((unsigned)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u) return;
    for (unsigned i = 0; i < 3; i++) {
        (void)__get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
    }
    char text[sizeof r + 1];
    memcpy(text, r, sizeof r);
    text[sizeof r] = '\0';
    const char *start = text + strspn(text, " ");
    size_t length = strlen(start);
    while (length > 0 && start[length - 1] == ' ') length--;
    if (length > 0) (void)snprintf(out, size, "%.*s", (int)length, start);
#endif
}

trd_status trdi_cpu_enumerate(trdi_device_facts *facts, size_t capacity, size_t *n)
{
    *n = 1;
    if (capacity < 1) return TRD_OK;
    *facts = (trdi_device_facts){ .id = "cpu:0", .n_compute_units = 1, .type = TRDI_DEVICE_CPU, .compute_types = TRDI_TYPES_CPU };
    brand_name(facts->name, sizeof facts->name);
    (void)snprintf(facts->isa, sizeof facts->isa, "%s", trdi_cpu_kernels_choose()->name);
#if defined(_SC_NPROCESSORS_ONLN)
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores > 0) facts->n_compute_units = cores;
#endif
#if defined(_SC_PHYS_PAGES) && defined(_SC_PAGESIZE)
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) facts->memory_bytes = (int64_t)pages * page;
#endif
    return TRD_OK;
}
