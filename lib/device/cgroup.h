/* cgroup.h: limits that control groups, version 1 or 2, set on this process: what hwloc does not read. */
#ifndef TRDI_CGROUP_H
#define TRDI_CGROUP_H

#include <stdint.h>

/** 0 = no limit. */
typedef struct trdi_cgroup_limits {
    double  cpus;          /**< CPU time per time: 1.5 = one and a half cores */
    int64_t memory_bytes;
} trdi_cgroup_limits;

/**
 * Read the limits of the calling process: the tightest of its groups and their ancestors. What cannot be read sets no limit.
 *
 * @param root  put before every path; "" but for tests
 */
void trdi_cgroup_read(const char *root, trdi_cgroup_limits *limits);

#endif
