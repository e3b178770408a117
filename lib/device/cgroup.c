/*
 * cgroup.c: reads /proc/self/cgroup (the group of this process in each hierarchy), /proc/self/mountinfo (where the hierarchies are
 * mounted) and the limit files from the group's folder up to the mount. Source: cgroups(7), proc(5), cgroup-v2.rst.
 */
#include "device/cgroup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 8192 };

/* Reads the limit files of one folder into limits. */
typedef void limit_reader(const char *folder, trdi_cgroup_limits *limits);

/* One line without its newline; the rest of a longer line is dropped. */
static bool read_line(FILE *file, char *line, size_t bytes)
{
    if (fgets(line, (int)bytes, file) == NULL) return false;
    char *const end = strchr(line, '\n');
    if (end != NULL) *end = '\0';
    else for (int c = fgetc(file); c != EOF && c != '\n';) c = fgetc(file);
    return true;
}

static FILE *open_in(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    const int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path ? fopen(path, "r") : NULL;
}

/* The first line of a small file. */
static bool read_first_line(const char *folder, const char *name, char *line, size_t bytes)
{
    FILE *const file = open_in(folder, name);
    if (file == NULL) return false;
    const bool read = read_line(file, line, bytes);
    (void)fclose(file);
    return read;
}

/* A whole number filling the text up to end; "max" and anything else is no number. */
static bool parse_number(const char *text, const char *end, double *number)
{
    char *stop;
    *number = strtod(text, &stop);
    return stop != text && stop == end && *number > 0;
}

static void lower_cpus(trdi_cgroup_limits *limits, double quota, double period)
{
    const double cpus = quota / period;
    if (limits->cpus == 0 || cpus < limits->cpus) limits->cpus = cpus;
}

static void lower_memory(trdi_cgroup_limits *limits, double bytes)
{
    /* Version 1 says "none" by a number near 2^63. */
    if (bytes >= 4611686018427387904.0) return;
    if (limits->memory_bytes == 0 || bytes < (double)limits->memory_bytes) limits->memory_bytes = (int64_t)bytes;
}

static void read_memory_file(const char *folder, const char *name, trdi_cgroup_limits *limits)
{
    char line[128];
    double bytes;
    if (read_first_line(folder, name, line, sizeof line) && parse_number(line, line + strlen(line), &bytes))
        lower_memory(limits, bytes);
}

/* "QUOTA PERIOD" or "max PERIOD", in microseconds. */
static void read_v2(const char *folder, trdi_cgroup_limits *limits)
{
    char line[128];
    if (read_first_line(folder, "cpu.max", line, sizeof line)) {
        const char *const space = strchr(line, ' ');
        double quota, period;
        if (space != NULL && parse_number(line, space, &quota) && parse_number(space + 1, line + strlen(line), &period))
            lower_cpus(limits, quota, period);
    }
    read_memory_file(folder, "memory.max", limits);
}

static void read_v1_cpu(const char *folder, trdi_cgroup_limits *limits)
{
    char quota_line[128], period_line[128];
    double quota, period;
    if (read_first_line(folder, "cpu.cfs_quota_us", quota_line, sizeof quota_line) &&
        read_first_line(folder, "cpu.cfs_period_us", period_line, sizeof period_line) &&
        parse_number(quota_line, quota_line + strlen(quota_line), &quota) &&
        parse_number(period_line, period_line + strlen(period_line), &period))
        lower_cpus(limits, quota, period);
}

static void read_v1_memory(const char *folder, trdi_cgroup_limits *limits)
{
    read_memory_file(folder, "memory.limit_in_bytes", limits);
}

/* Is word one of the comma-separated words of list? */
static bool list_has(const char *list, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0')) return true;
    }
    return false;
}

/* This process's group in the hierarchy of a controller; controller "" = version 2. Lines are "ID:CONTROLLERS:PATH". */
static bool find_group(const char *root, const char *controller, char *group)
{
    FILE *const file = open_in(root, "proc/self/cgroup");
    if (file == NULL) return false;
    char line[PATH_BYTES];
    bool found = false;
    while (!found && read_line(file, line, sizeof line)) {
        char *const controllers = strchr(line, ':');
        char *const path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL) continue;
        *path = '\0';
        found = *controller == '\0' ? controllers[1] == '\0' : list_has(controllers + 1, controller);
        if (found) memcpy(group, path + 1, strlen(path + 1) + 1);
    }
    (void)fclose(file);
    return found;
}

/* Read the group's folder and those above it, up to the mount itself. */
static void read_ancestry(const char *root, const char *mount_point, const char *group, limit_reader *read, trdi_cgroup_limits *limits)
{
    char folder[PATH_BYTES];
    const int length = snprintf(folder, sizeof folder, "%s%s%s", root, mount_point, group);
    if (length < 0 || (size_t)length >= sizeof folder) return;
    const size_t shortest = strlen(root) + strlen(mount_point);
    for (;;) {
        read(folder, limits);
        char *const slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < shortest) return;
        *slash = '\0';
    }
}

/* One mounted hierarchy. subtree: the group that is mounted at mount_point ("/" unless a container shows only its own). */
static void read_hierarchy(const char *root, const char *controller, const char *subtree, const char *mount_point, limit_reader *read,
                           trdi_cgroup_limits *limits)
{
    char group[PATH_BYTES];
    if (!find_group(root, controller, group)) return;
    const size_t length = strcmp(subtree, "/") == 0 ? 0 : strlen(subtree);
    const char *below = group;
    if (length > 0) {
        const bool inside = strncmp(group, subtree, length) == 0 && (group[length] == '/' || group[length] == '\0');
        below = inside ? group + length : "";
    }
    read_ancestry(root, mount_point, strcmp(below, "/") == 0 ? "" : below, read, limits);
}

/* "ID PARENT DEVICE SUBTREE MOUNT_POINT OPTIONS TAGS... - TYPE SOURCE SUPER_OPTIONS" */
static void read_mount(const char *root, char *line, trdi_cgroup_limits *limits)
{
    char *const tail = strstr(line, " - cgroup");
    if (tail == NULL) return;
    char subtree[PATH_BYTES], mount_point[PATH_BYTES], type[16], options[512];
    if (sscanf(line, "%*s %*s %*s %4095s %4095s", subtree, mount_point) != 2) return;
    if (sscanf(tail, " - %15s %*s %511s", type, options) != 2) return;
    if (strcmp(type, "cgroup2") == 0) {
        read_hierarchy(root, "", subtree, mount_point, read_v2, limits);
    } else if (strcmp(type, "cgroup") == 0) {
        if (list_has(options, "cpu")) read_hierarchy(root, "cpu", subtree, mount_point, read_v1_cpu, limits);
        if (list_has(options, "memory")) read_hierarchy(root, "memory", subtree, mount_point, read_v1_memory, limits);
    }
}

void trdi_cgroup_read(const char *root, trdi_cgroup_limits *limits)
{
    *limits = (trdi_cgroup_limits){ .cpus = 0 };
    FILE *const file = open_in(root, "proc/self/mountinfo");
    if (file == NULL) return;
    char line[LINE_BYTES];
    while (read_line(file, line, sizeof line)) read_mount(root, line, limits);
    (void)fclose(file);
}
