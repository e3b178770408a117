/* device_threads.c: how many threads a worker has, and where they run. */
#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "device/device.h"
#include "device/topology.h"

/* More threads than any machine has cores is a slip of the keyboard. */
enum { MAX_THREADS = 4096, DEFAULT_THREADS = 4 };

int64_t trdi_device_cores_allowed(void)
{
    return trdi_topology_get()->n_usable;
}

/* OMP_NUM_THREADS is a number, or a list of them by nesting level, of which the first counts. @return 0 if it says nothing usable */
static int32_t environment_threads(void)
{
    const char *const text = getenv("OMP_NUM_THREADS");
    if (text == NULL || text[0] == '\0') return 0;
    char *end;
    errno = 0;
    const long n = strtol(text, &end, 10);
    while (*end == ' ' || *end == '\t') end++;
    if (end != text && (*end == '\0' || *end == ',') && errno == 0 && n > 0 && n <= MAX_THREADS) return (int32_t)n;
    trdi_log(TRD_LOG_WARNING, "OMP_NUM_THREADS is '%s', not a number from 1 to %d: ignored", text, (int)MAX_THREADS);
    return 0;
}

int32_t trdi_device_default_threads(int32_t intra_threads)
{
    if (intra_threads > 0) return intra_threads;
    const int32_t wanted = environment_threads();
    if (wanted > 0) return wanted;
    const int64_t cores = trdi_device_cores_allowed();
    return cores < DEFAULT_THREADS ? (int32_t)cores : DEFAULT_THREADS;
}

void trdi_device_pin_thread(void *pin, int32_t thread)
{
    const trdi_pin *const p = pin;
    trdi_topology_bind(p->first_core + thread);
}

void trdi_device_bind_feeder(const trdi_device *device)
{
    if (device->facts.type == TRDI_DEVICE_CPU || device->facts.pci[0] == '\0') return;
    const bool bound = trdi_topology_bind_near(device->facts.pci);
    trdi_log(TRD_LOG_DEBUG, "device %s: its thread is %s%s", device->facts.id, bound ? "bound to processors " : "not bound",
             bound ? device->nearest_cores : "");
}
