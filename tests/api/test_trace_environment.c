/*
 * test_trace_environment.c: TREADLE_TRACE=FILE: a process that ends by return, or by exit() with work in flight, leaves the file with the steps
 * and jobs of its translators; one that makes none leaves nothing; a child of fork() does not write its parent's. This program starts itself.
 */
#include <jansson.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/api_rig.h"
#include "treadle/trd_future.h"
#include "treadle/trd_trace.h"
#include "nn/tiny_model.h"

extern char **environ;

static const char *way, *folder;

static const char *path_of(const char *name)
{
    static char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

enum { N_JOBS = 5 };

static void submit(trd_translator *translator, int64_t length, trd_future **futures)
{
    static int32_t ids[N_JOBS][3] = { { 5, 6, 7 }, { 8, 9, 10 }, { 11, 12, 13 }, { 14, 15, 16 }, { 17, 18, 19 } };
    static const int64_t lengths[N_JOBS] = { 3, 3, 3, 3, 3 };
    const trd_sequences source = { .n = N_JOBS, .lengths = lengths, .ids = &ids[0][0] };
    trd_decoding_options options = rig_options();
    options.min_decoding_length = options.max_decoding_length = length;
    CHECK_OK(trd_translator_submit(translator, &source, NULL, &options, NULL, futures));
}

static trd_translator *two_workers(void)
{
    trd_model *model;
    CHECK_OK(trd_model_open(path_of("model"), &model));
    trd_translator_options options;
    trd_translator_options_init(&options, sizeof options);
    options.intra_threads = 1;
    options.inter_threads = 2;
    options.device = "cpu";
    options.cache_dir = "";
    trd_translator *translator;
    CHECK_OK(trd_translator_create(model, &options, &translator));
    trd_model_close(model);
    return translator;
}

/* What the started process does. */
static int act(void)
{
    trd_future *futures[N_JOBS], *endless[N_JOBS];
    if (strcmp(way, "nothing") == 0) return 0;
    trd_translator *const translator = two_workers();
    submit(translator, 4, futures);
    CHECK_OK(trd_future_wait_all(futures, N_JOBS, -1));
    for (int i = 0; i < N_JOBS; i++) trd_future_release(futures[i]);
    if (strcmp(way, "fork") == 0) {
        const pid_t child = fork();
        if (child == 0) exit(0);        /* runs the handlers, too */
        int status;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
        CHECK(access(path_of("fork.json"), F_OK) != 0);
    }
    if (strcmp(way, "exit") == 0) {
        submit(translator, 1000000, endless);
        int64_t before = trd_trace_count(NULL);
        while (trd_trace_count(NULL) < before + 4) { }      /* it runs */
        exit(0);
    }
    trd_translator_destroy(translator);
    return 0;
}

static int run(const char *self, const char *name, const char *file)
{
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        CHECK_INT(setenv("TREADLE_TRACE", path_of(file), 1), 0);
        char *arguments[] = { (char *)(uintptr_t)self, (char *)(uintptr_t)name, (char *)(uintptr_t)folder, NULL };
        (void)execve(self, arguments, environ);
        _exit(127);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    return status;
}

/* Events of a phase and name, with a status where it is not NULL. */
static int count(const json_t *root, const char *phase, const char *name, const char *status)
{
    int n = 0;
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(root, "traceEvents"), i, event) {
        const char *const got = json_string_value(json_object_get(json_object_get(event, "args"), "status"));
        n += strcmp(json_string_value(json_object_get(event, "ph")), phase) == 0 && strcmp(json_string_value(json_object_get(event, "name")), name) == 0 &&
             (status == NULL || (got != NULL && strcmp(got, status) == 0));
    }
    return n;
}

static void check_file(const char *self, const char *name, const char *file, int n_cancelled)
{
    CHECK_INT(run(self, name, file), 0);
    json_error_t error;
    json_t *const root = json_load_file(path_of(file), 0, &error);
    if (root == NULL) fprintf(stderr, "%s: line %d: %s\n", file, error.line, error.text);
    CHECK(root != NULL);
    CHECK(count(root, "X", "encode", NULL) >= 1);
    CHECK(count(root, "X", "decode", NULL) >= 4);
    CHECK_INT(count(root, "b", "job", trd_status_text(TRD_OK)), N_JOBS);
    CHECK_INT(count(root, "b", "job", trd_status_text(TRD_E_CANCELLED)), n_cancelled);
    CHECK_INT(count(root, "b", "job", NULL), N_JOBS + n_cancelled);
    json_decref(root);
    CHECK_INT(unlink(path_of(file)), 0);
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        way = argv[1];
        folder = argv[2];
        return act();
    }
    char place[] = "/tmp/treadle-trace-XXXXXX";
    folder = mkdtemp(place);
    CHECK(folder != NULL);
    const tiny_model model = { .name = "traced" };
    tiny_model_write(path_of("model"), &model);
    if (UNDER_ADDRESS_SANITIZER) CHECK_INT(setenv("ASAN_OPTIONS", "detect_leaks=0", 1), 0);     /* what lives at exit() is no leak */
    check_file(argv[0], "return", "return.json", 0);
    check_file(argv[0], "exit", "exit.json", N_JOBS);
    check_file(argv[0], "fork", "fork.json", 0);
    CHECK_INT(run(argv[0], "return", "picture.svg"), 0);
    CHECK_INT(unlink(path_of("picture.svg")), 0);
    CHECK_INT(run(argv[0], "nothing", "nothing.json"), 0);
    CHECK(access(path_of("nothing.json"), F_OK) != 0);
    CHECK_INT(run(argv[0], "return", "no/such/folder.json"), 0);     /* told in the log, and no more */
    char command[256];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    CHECK_INT(system(command), 0);
    return 0;
}
