/* test_cgroup.c: limits of control groups, from file trees as kernels show them. */
#include "check.h"
#include "device/cgroup.h"

static const struct {
    const char *machine;
    double      cpus;
    int64_t     memory_bytes;
} cases[] = {
    { "v2_container", 1.5, 512 << 20 },
    { "v2_service", 3, 1 << 30 },             /* processor time from the slice, memory from the service */
    { "v1_docker", 0.5, 256 << 20 },          /* the mount shows only the container's subtree */
    { "hybrid", 0, INT64_C(4) << 30 },        /* memory from the group above */
    { "unlimited", 0, 0 },
    { "malformed", 0, 0 },
    { "does_not_exist", 0, 0 },
};

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char root[1024];
        snprintf(root, sizeof root, "%s/%s", CGROUPS, cases[i].machine);
        printf("%s\n", cases[i].machine);
        trdi_cgroup_limits limits = { -1, -1 };
        trdi_cgroup_read(root, &limits);
        CHECK_NEAR(limits.cpus, cases[i].cpus, 0);
        CHECK_INT(limits.memory_bytes, cases[i].memory_bytes);
    }
    trdi_cgroup_limits here;
    trdi_cgroup_read("", &here);
    CHECK(here.cpus >= 0 && here.memory_bytes >= 0);
    printf("here: %g cpus, %" PRId64 " bytes\n", here.cpus, here.memory_bytes);
    return 0;
}
