/*
 * probe_run.c: spawns treadle-probe with its standard output a pipe and reads lines of JSON until the one that says it is done:
 *   {"driver": 0, "library": "/usr/lib/libx.so", "bytes": 1, "modified_ns": 1, "error": ""}   the i-th .icd file given
 *   {"device": {...}}                                                                        for people; not used here
 *   {"done": true}
 */
#define _XOPEN_SOURCE 700
#include "device/probe_run.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/files.h"
#include "core/log.h"
#include "core/shared_library.h"
#include "core/strings.h"
#include "core/threads.h"
#include "device/modules.h"

extern char **environ;

enum { MAX_ANSWER_BYTES = 1 << 20, MAX_DRIVERS_ASKED = 64 };

#define VENDORS "OCL_ICD_VENDORS="

char *trdi_probe_find(void)
{
    static const char *const off[] = { "off", "no", "0" };
    const char *const wanted = trdi_process_privileged() ? NULL : getenv("TREADLE_PROBE");
    for (size_t i = 0; wanted != NULL && i < sizeof off / sizeof off[0]; i++)
        if (strcasecmp(wanted, off[i]) == 0) return NULL;
    if (wanted != NULL && strchr(wanted, '/') != NULL) return trdi_strndup(wanted, strlen(wanted));
    if (wanted != NULL && wanted[0] != '\0') trdi_log(TRD_LOG_WARNING, "TREADLE_PROBE is '%s': neither off nor a path", wanted);
    return trdi_find_beside_library("treadle-probe");
}

static double limit_seconds = 30;

static void read_limit(void)
{
    const char *const text = getenv("TREADLE_PROBE_TIMEOUT");
    if (text == NULL || text[0] == '\0') return;
    char *end;
    const double seconds = strtod(text, &end);
    if (*end == '\0' && seconds > 0 && seconds <= 3600) limit_seconds = seconds;
    else trdi_log(TRD_LOG_WARNING, "TREADLE_PROBE_TIMEOUT is '%s', not seconds up to 3600: %g are waited", text, limit_seconds);
}

double trdi_probe_limit_seconds(void)
{
    static trdi_once once = TRDI_ONCE_INIT;
    trdi_once_run(&once, read_limit);
    return limit_seconds;
}

/* This process's variables, with OCL_ICD_VENDORS replaced. The array is owned, the strings are borrowed. */
static char **make_environment(char *vendors)
{
    size_t n = 0, kept = 0;
    while (environ[n] != NULL) n++;
    char **const copy = trdi_calloc(n + 2, sizeof *copy);
    if (copy == NULL) return NULL;
    for (size_t i = 0; i < n; i++)
        if (vendors == NULL || strncmp(environ[i], VENDORS, strlen(VENDORS)) != 0) copy[kept++] = environ[i];
    copy[kept] = vendors;
    return copy;
}

/* Its own process group, so that what it starts ends with it; none of this program's signal handling. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (error == 0) error = posix_spawnattr_setpgroup(attributes, 0);
    if (error == 0) error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0) error = posix_spawnattr_setsigdefault(attributes, &all);
    return error;
}

static int spawn_with(const trdi_probe_run *run, char **environment, int output, pid_t *child)
{
    char *arguments[MAX_DRIVERS_ASKED + 3] = { (char *)run->program, (char *)run->module };
    for (size_t i = 0; i < run->n_drivers && i < MAX_DRIVERS_ASKED; i++) arguments[2 + i] = run->drivers[i].file;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) return error;
    error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    error = set_attributes(&attributes);
    if (error == 0) error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, output, 1);
    if (error == 0) error = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (error == 0) error = posix_spawn(child, run->program, &actions, &attributes, arguments, environment);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* @param ends  of the pipe: reading, writing; the writing end is closed here afterwards */
static int spawn(const trdi_probe_run *run, int ends[2], pid_t *child)
{
    if (pipe(ends) != 0) return errno;
    for (int i = 0; i < 2; i++) (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    trdi_text vendors = { .data = NULL };
    if (run->vendors != NULL) trdi_text_add(&vendors, VENDORS "%s", run->vendors);
    char **const environment = vendors.failed ? NULL : make_environment(vendors.data);
    const int error = environment != NULL ? spawn_with(run, environment, ends[1], child) : ENOMEM;
    trdi_free(environment);
    trdi_text_free(&vendors);
    (void)close(ends[1]);
    if (error != 0) (void)close(ends[0]);
    return error;
}

static void take_driver(trdi_probe_run *run, const json_t *line)
{
    const json_int_t i = json_integer_value(json_object_get(line, "driver"));
    const char *const library = json_string_value(json_object_get(line, "library"));
    const char *const error = json_string_value(json_object_get(line, "error"));
    if (i < 0 || (size_t)i >= run->n_drivers) return;
    trdi_driver *const driver = &run->drivers[i];
    trdi_free(driver->shared_library);
    driver->shared_library = library != NULL ? trdi_strndup(library, strlen(library)) : NULL;
    driver->library_bytes = (uint64_t)json_integer_value(json_object_get(line, "bytes"));
    driver->library_modified_ns = json_integer_value(json_object_get(line, "modified_ns"));
    (void)snprintf(driver->error, sizeof driver->error, "%s", error != NULL ? error : "");
}

/* One line of the answer. @return whether it says that the answer is complete */
static bool take_line(trdi_probe_run *run, const char *text, size_t bytes)
{
    json_t *const line = json_loadb(text, bytes, 0, NULL);
    if (json_is_integer(json_object_get(line, "driver"))) take_driver(run, line);
    const bool done = json_is_true(json_object_get(line, "done"));
    json_decref(line);
    return done;
}

/* All lines that are complete; what is left of the text is the start of the next. */
static bool take_lines(trdi_probe_run *run, trdi_text *text)
{
    bool done = false;
    char *start = text->data, *end;
    while (!done && (end = memchr(start, '\n', text->length - (size_t)(start - text->data))) != NULL) {
        done = take_line(run, start, (size_t)(end - start));
        start = end + 1;
    }
    text->length -= (size_t)(start - text->data);
    memmove(text->data, start, text->length + 1);
    return done;
}

/* Waits for something to read. @return false at the deadline */
static bool wait_readable(int input, int64_t deadline_ns)
{
    struct pollfd wanted = { .fd = input, .events = POLLIN };
    for (;;) {
        const int64_t left_ms = (deadline_ns - trdi_now_ns() + 999999) / 1000000;
        if (left_ms <= 0) return false;
        const int n = poll(&wanted, 1, (int)left_ms);
        if (n > 0) return true;
        if (n < 0 && errno != EINTR) return false;
    }
}

/* @return whether the whole answer came; *late when time was over first */
static bool read_answer(trdi_probe_run *run, int input, int64_t deadline_ns, bool *late)
{
    trdi_text text = { .data = NULL };
    bool done = false;
    *late = false;
    while (!done && text.length < MAX_ANSWER_BYTES && !text.failed) {
        char block[4096];
        *late = !wait_readable(input, deadline_ns);
        if (*late) break;
        const ssize_t n = read(input, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        trdi_text_add(&text, "%.*s", (int)n, block);
        if (!text.failed) done = take_lines(run, &text);
    }
    trdi_text_free(&text);
    return done;
}

/* Give it a moment to end by itself, so that how it ended is seen; then make it. @return its status; -1 if another part of the program took it */
static int reap(pid_t child, bool at_once)
{
    int status = -1;
    const struct timespec pause = { .tv_nsec = 2000000 };
    for (int i = 0; i < 500 && !at_once; i++) {
        const pid_t got = waitpid(child, &status, WNOHANG);
        if (got == child) return status;
        if (got < 0 && errno != EINTR) return -1;
        (void)nanosleep(&pause, NULL);
    }
    (void)kill(-child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return status;
}

static void explain(trdi_probe_run *run, int status, bool late)
{
    char *const reason = run->reason;
    const size_t bytes = sizeof run->reason;
    if (late) (void)snprintf(reason, bytes, "did not answer within %g s", trdi_probe_limit_seconds());
    else if (status != -1 && WIFSIGNALED(status)) (void)snprintf(reason, bytes, "crashed while it was asked (signal %d)", WTERMSIG(status));
    else if (status != -1 && WIFEXITED(status)) (void)snprintf(reason, bytes, "ended the process that asked it (status %d)", WEXITSTATUS(status));
    else (void)snprintf(reason, bytes, "ended the process that asked it");
}

trdi_probe_end trdi_probe_run_now(trdi_probe_run *run)
{
    const int64_t begin_ns = trdi_now_ns();
    int ends[2];
    pid_t child;
    run->reason[0] = '\0';
    const int error = spawn(run, ends, &child);
    if (error != 0) {
        (void)snprintf(run->reason, sizeof run->reason, "%s could not be started: %s", run->program, strerror(error));
        return TRDI_PROBE_NOT_STARTED;
    }
    bool late;
    const bool answered = read_answer(run, ends[0], begin_ns + (int64_t)(trdi_probe_limit_seconds() * 1e9), &late);
    (void)close(ends[0]);
    const int status = reap(child, answered || late);
    trdi_log(TRD_LOG_DEBUG, "%s: %s, %lld ms", run->program, answered ? "answered" : "failed", (long long)((trdi_now_ns() - begin_ns) / 1000000));
    if (answered) return TRDI_PROBE_ANSWERED;
    explain(run, status, late);
    return TRDI_PROBE_FAILED;
}
