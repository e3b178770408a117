/*
 * treadle_probe.c: the program treadle-probe MODULE [ICD...]: loads the module of the OpenCL back end, asks it for its devices and looks
 * at .icd files; prints lines of JSON as probe_run.c says. Drivers may crash or hang here without harm to the program that started it.
 */
#define _GNU_SOURCE /* dlinfo */
#include <dlfcn.h>
#include <fcntl.h>
#include <jansson.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/files.h"
#include "core/strings.h"
#include "device/modules.h"
#include "device/probe_run.h"

enum { MAX_DEVICES = 64, SECONDS_LONGER = 5 };

/* A crash shall end this program as it would end one without handlers, and leave no core file. If nobody is left to end it, it ends itself. */
static void prepare(void)
{
    static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM };
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) (void)signal(crashes[i], SIG_DFL);
    const struct rlimit none = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)alarm((unsigned)trdi_probe_limit_seconds() + SECONDS_LONGER);
}

/* What drivers print does not belong to the answer. */
static FILE *take_output(void)
{
    (void)fflush(stdout);
    const int answer = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (answer < 0 || nothing < 0 || dup2(nothing, STDOUT_FILENO) < 0) return NULL;
    (void)close(nothing);
    return fdopen(answer, "w");
}

/* Text of a driver, which may be in any encoding. */
static json_t *text_json(const char *text)
{
    return trdi_utf8_valid(text, strlen(text)) ? json_string(text) : json_string("?");
}

static void print_line(FILE *answer, json_t *line)
{
    if (line != NULL) (void)json_dumpf(line, answer, JSON_COMPACT);
    (void)fputc('\n', answer);
    (void)fflush(answer);
    json_decref(line);
}

static void print_device(FILE *answer, const trdi_device_facts *facts)
{
    static const char *const types[] = { "cpu", "gpu", "accelerator" };
    const bool known = facts->type <= TRDI_DEVICE_ACCELERATOR;
    print_line(answer, json_pack("{s:{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:I, s:I, s:o}}", "device",
                                 "id", text_json(facts->id), "name", text_json(facts->name), "platform", text_json(facts->platform),
                                 "driver", text_json(facts->driver), "type", known ? types[facts->type] : "?", "pci", text_json(facts->pci),
                                 "features", text_json(facts->features), "n_compute_units", (json_int_t)facts->n_compute_units,
                                 "memory_bytes", (json_int_t)facts->memory_bytes, "unusable", text_json(facts->unusable)));
}

/* Asks the module, as a program would. @return why there is no answer; NULL if there is */
static const char *ask_module(FILE *answer, const char *path)
{
    static trdi_module module;
    trdi_module_load_file("opencl", path, &module);
    if (module.ops == NULL) return module.note;
    static trdi_device_facts facts[MAX_DEVICES];
    size_t n = 0;
    if (module.ops->enumerate(facts, MAX_DEVICES, &n) != TRD_OK) return trd_last_error();
    for (size_t i = 0; i < n && i < MAX_DEVICES; i++) print_device(answer, &facts[i]);
    return NULL;
}

typedef int32_t get_platforms(uint32_t n_entries, void **platforms, uint32_t *n);
typedef void *get_function(const char *name);

/* How many platforms a driver has, asked as the loader asks. @return false if it is no driver */
static bool count_platforms(void *library, uint32_t *n)
{
    static const char name[] = "clIcdGetPlatformIDsKHR";
    void *address = dlsym(library, name);
    get_function *find = NULL;
    void *const finder = dlsym(library, "clGetExtensionFunctionAddress");
    memcpy(&find, &finder, sizeof find);
    if (address == NULL && find != NULL) address = find(name);
    if (address == NULL) return false;
    get_platforms *ask = NULL;
    memcpy(&ask, &address, sizeof ask);
    *n = 0;
    if (ask(0, NULL, n) != 0) *n = 0;
    return true;
}

static void inspect_library(void *library, const char *name, trdi_text *error, const char **path)
{
    struct link_map *map = NULL;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map != NULL && map->l_name[0] == '/') *path = map->l_name;
    uint32_t n;
    if (!count_platforms(library, &n)) trdi_text_add(error, "%s is no OpenCL driver", name);
    else if (n == 0) trdi_text_add(error, "%s finds nothing to drive on this machine", name);
}

/* Why a driver gives no devices, and where its library lies. */
static void print_driver(FILE *answer, int index, const char *file)
{
    char name[4096];
    trdi_text error = { .data = NULL };
    const char *path = NULL;
    if (!trdi_driver_library_name(file, name, sizeof name)) {
        trdi_text_add(&error, "the file cannot be read, or is empty");
    } else {
        void *const library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
        if (library != NULL) inspect_library(library, name, &error, &path);
        else trdi_text_add(&error, "its library cannot be loaded: %s", dlerror());
    }
    trdi_file_identity identity = { 0 };
    if (path != NULL) (void)trdi_file_identify(path, &identity);
    print_line(answer, json_pack("{s:i, s:o, s:I, s:I, s:o}", "driver", index,
                                 "library", path != NULL && trdi_utf8_valid(path, strlen(path)) ? json_string(path) : json_null(),
                                 "bytes", (json_int_t)identity.bytes, "modified_ns", (json_int_t)identity.modified_ns,
                                 "error", text_json(error.data != NULL ? error.data : "")));
    trdi_text_free(&error);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fputs("usage: treadle-probe MODULE [ICD...]\nAsks OpenCL drivers for their devices, for the library treadle.\n", stderr);
        return 2;
    }
    prepare();
    FILE *const answer = take_output();
    if (answer == NULL) return 1;
    const char *const failure = ask_module(answer, argv[1]);
    for (int i = 2; i < argc; i++) print_driver(answer, i - 2, argv[i]);
    print_line(answer, json_pack("{s:b, s:o}", "done", 1, "error", failure != NULL ? text_json(failure) : json_null()));
    /* Drivers may also crash while a program ends; by now that is of no interest. */
    _Exit(0);
}
