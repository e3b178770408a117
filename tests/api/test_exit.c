/*
 * The process ends with work in flight, in many ways: nobody hangs, nothing crashes, and little time passes. Runs itself again for each exit:
 * test_exit [N of each way]. Times are reported; only a hang, after half a minute, is a failure.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/api_rig.h"
#include "core/threads.h"

extern char **environ;

enum { N_SENTENCES = 64, HANG_SECONDS = 30 };

static trd_translator *translator;
static rig_batch batch;
static trd_future *futures[N_SENTENCES];
static pthread_mutex_t for_ever = PTHREAD_MUTEX_INITIALIZER;

/* ---- The child ---- */

/* When the exit began, for the parent. */
static void tell(void)
{
    const int64_t now = trdi_now_ns();
    if (write(STDOUT_FILENO, &now, sizeof now) != sizeof now) abort();
}

static void sleep_for_ever(void)
{
    CHECK_INT(pthread_mutex_lock(&for_ever), 0);
    for (;;) (void)pthread_mutex_lock(&for_ever);   /* the default kind waits for itself */
}

static trd_decoding_options long_work(void)
{
    trd_decoding_options options = rig_options();
    options.beam_size = 4;
    options.max_decoding_length = options.min_decoding_length = 2000;
    return options;
}

static void submit(const trd_submit_options *how)
{
    const trd_decoding_options options = long_work();
    CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, &options, how, futures));
}

static void begin(void)
{
    translator = rig_translator(rig_folder("TREADLE_TEST_MODELS", "g2p-en"), 1);
    for (int i = 0; i < N_SENTENCES; i++) rig_add(&batch, "t r e a d l e");
}

/* Has a worker begun? */
static void await_running(void)
{
    trd_translator_counters counters = { .struct_size = sizeof counters };
    while (counters.n_running == 0) CHECK_OK(trd_translator_get_counters(translator, &counters));
}

static void begin_work(void)
{
    begin();
    submit(NULL);
    await_running();
}

static void from_main(void)
{
    begin_work();
    tell();
    exit(0);
}

static void *exit_here(void *unused)
{
    (void)unused;
    await_running();
    tell();
    exit(0);
}

/* Main is inside of a call that is cancelled, and returns, or not, while the process ends. */
static void from_thread(void)
{
    begin();
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, exit_here, NULL), 0);
    const trd_decoding_options options = long_work();
    trd_results *results;
    (void)trd_translator_translate(translator, &batch.sequences, NULL, &options, &results);
    sleep_for_ever();
}

static void exit_when_done(void *context, trd_future *future)
{
    (void)context;
    (void)future;
    tell();
    exit(0);
}

/* On the notifier's thread, which must not wait for itself. */
static void from_callback(void)
{
    begin_work();
    trd_submit_options how;
    trd_submit_options_init(&how, sizeof how);
    how.on_done = exit_when_done;
    static trd_future *more[N_SENTENCES];
    const trd_decoding_options options = long_work();
    CHECK_OK(trd_translator_submit(translator, &batch.sequences, NULL, &options, &how, more));
    trd_future_cancel(more[0]);
    sleep_for_ever();
}

static bool exit_at_step(void *context, const trd_step_result *step)
{
    (void)context;
    (void)step;
    tell();
    exit(0);
}

/* On the thread that waits inside of the call. */
static void from_step(void)
{
    begin();
    trd_decoding_options options = long_work();
    options.beam_size = 1;
    options.on_step = exit_at_step;
    trd_results *results;
    (void)trd_translator_translate(translator, &batch.sequences, NULL, &options, &results);
    CHECK(false);
}

static void destroy_late(void)
{
    trd_results *results;
    CHECK_FAILS(trd_translator_translate(translator, &batch.sequences, NULL, NULL, &results), TRD_E_STATE, "ending");
    for (int i = 0; i < N_SENTENCES; i++) {
        CHECK_OK(trd_future_wait(futures[i], -1));
        CHECK_INT(trd_future_status(futures[i]), TRD_E_CANCELLED);
        trd_future_release(futures[i]);
    }
    trd_translator_destroy(translator);
}

/* A handler of the program's that comes after ours, as destructors of C++ do, finds everything cancelled, and may tidy up. */
static void with_handler(void)
{
    CHECK_INT(atexit(destroy_late), 0);
    begin_work();
    tell();
    exit(0);
}

static void by_signal(void)
{
    begin_work();
    tell();
    (void)raise(SIGINT);
}

static void quickly(void)
{
    begin_work();
    tell();
    quick_exit(0);
}

static const struct { const char *name; void (*run)(void); int signal; } ways[] = {
    { "main", from_main, 0 },       { "thread", from_thread, 0 },   { "callback", from_callback, 0 }, { "step", from_step, 0 },
    { "handler", with_handler, 0 }, { "signal", by_signal, SIGINT }, { "quick", quickly, 0 },
};
enum { N_WAYS = sizeof ways / sizeof ways[0] };

/* ---- The parent ---- */

static pid_t spawn(const char *self, const char *way, int *out)
{
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    posix_spawn_file_actions_t actions;
    CHECK_INT(posix_spawn_file_actions_init(&actions), 0);
    CHECK_INT(posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO), 0);
    CHECK_INT(posix_spawn_file_actions_addclose(&actions, ends[0]), 0);
    CHECK_INT(posix_spawn_file_actions_addclose(&actions, ends[1]), 0);
    char *const arguments[] = { (char *)(uintptr_t)self, (char *)(uintptr_t)"--way", (char *)(uintptr_t)way, NULL };
    pid_t child;
    CHECK_INT(posix_spawn(&child, self, &actions, NULL, arguments, environ), 0);
    CHECK_INT(posix_spawn_file_actions_destroy(&actions), 0);
    CHECK_INT(close(ends[1]), 0);
    *out = ends[0];
    return child;
}

static void pause_ms(long ms)
{
    const struct timespec time = { .tv_nsec = ms * 1000000 };
    (void)nanosleep(&time, NULL);
}

/* @return nanoseconds that the exit took; that of a child that is gone is over */
static int64_t exit_once(const char *self, int way)
{
    int from, status;
    const pid_t child = spawn(self, ways[way].name, &from);
    int64_t began = 0;
    const ssize_t n = read(from, &began, sizeof began);   /* the end of the pipe if the child fails before */
    const int64_t hangs_ns = trdi_now_ns() + (int64_t)HANG_SECONDS * 1000000000;
    pid_t ended;
    while ((ended = waitpid(child, &status, WNOHANG)) == 0 && trdi_now_ns() < hangs_ns) pause_ms(1);
    const int64_t took = trdi_now_ns() - began;
    if (ended == 0) {
        (void)kill(child, SIGABRT);
        (void)waitpid(child, &status, 0);
        fprintf(stderr, "%s: the exit hangs\n", ways[way].name);
        exit(1);
    }
    CHECK_INT(close(from), 0);
    const bool expected = ways[way].signal != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == ways[way].signal : status == 0;
    if (!expected || n != (ssize_t)sizeof began) fprintf(stderr, "%s: status %d, %zd bytes\n", ways[way].name, status, n);
    CHECK(expected && n == (ssize_t)sizeof began);
    return took;
}

static void exit_often(const char *self, int way, int n)
{
    int64_t worst = 0, sum = 0;
    for (int i = 0; i < n; i++) {
        const int64_t took = exit_once(self, way);
        worst = took > worst ? took : worst;
        sum += took;
    }
    printf("%-10s %d exits, mean %.1f ms, worst %.1f ms\n", ways[way].name, n, (double)sum / n * 1e-6, (double)worst * 1e-6);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--way") == 0) {
        for (int way = 0; way < N_WAYS; way++)
            if (strcmp(argv[2], ways[way].name) == 0) ways[way].run();
        return 2;
    }
    const int n = argc > 1 ? atoi(argv[1]) : 5;
    /* What a process holds at its exit is no leak. */
    if (UNDER_ADDRESS_SANITIZER) CHECK_INT(setenv("ASAN_OPTIONS", "detect_leaks=0", 1), 0);
    for (int way = 0; way < N_WAYS; way++) exit_often(argv[0], way, n);
    return 0;
}
