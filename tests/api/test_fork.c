/*
 * fork() with a translator on the CPU: before anything was loaded, after, and while other threads of the parent translate, load and unload. In the
 * child the parent's translator works, so does a new one, both can be destroyed, and exit does not hang; the parent goes on.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/api_rig.h"

static trd_translator *translator;
static char folder[4096];
static atomic_bool stop;

static void translate(trd_translator *with)
{
    static _Thread_local rig_batch batch;
    batch.sequences.n = 0;
    rig_add(&batch, "t r e a d l e");
    trd_results *results;
    CHECK_OK(trd_translator_translate(with, &batch.sequences, NULL, NULL, &results));
    CHECK_STRING(rig_text(trd_results_get(results, 0), 0), "T R EH1 D AH0 L");
    trd_results_destroy(results);
}

static trd_translator_info info_of(trd_translator *of)
{
    trd_translator_info info = { .struct_size = sizeof info };
    CHECK_OK(trd_translator_get_info(of, &info));
    return info;
}

/* The parent's translator: unless it was just being unloaded. */
static void use_inherited(void)
{
    CHECK_OK(trd_translator_load(translator, false));
    CHECK_INT(info_of(translator).n_active, 0);
    for (int i = 0; i < 3; i++) translate(translator);
    bool done;
    CHECK_OK(trd_translator_unload(translator, false, &done));
    CHECK(done);
    CHECK_OK(trd_translator_load(translator, false));
    translate(translator);
}

static void *use_from_thread(void *unused)
{
    CHECK_OK(trd_translator_load(translator, false));
    translate(translator);
    return unused;
}

/* All threads of the child come first. */
static void use_at_once(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&threads[i], NULL, use_from_thread, NULL), 0);
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_join(threads[i], NULL), 0);
}

static void leave_child(void)
{
    /* The leak check of a normal exit counts what belonged to threads that the child does not have. */
    if (UNDER_ADDRESS_SANITIZER) _exit(0);
    exit(0);
}

static void run_child(int way)
{
    if (way % 4 == 1) use_at_once();
    if (way % 4 != 2) use_inherited();
    if (way % 4 == 3) {   /* a grandchild of two forks */
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            use_inherited();
            leave_child();
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK_INT(status, 0);
        translate(translator);
    }
    trd_translator_destroy(translator);
    trd_translator *own = rig_translator(folder, 2);
    translate(own);
    trd_translator_destroy(own);
}

static void in_child(int way)
{
    alarm(120);   /* a hang ends the child with a signal, which the parent reports */
    run_child(way);
    leave_child();
}

static void fork_once(int way)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) in_child(way);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

static void *keep_busy(void *unused)
{
    while (!atomic_load(&stop)) translate(translator);
    return unused;
}

/* Loads and unloads whenever nobody is inside; with work in flight all the same, as the scheduler's locks are taken for looking. */
static void *keep_loading(void *unused)
{
    while (!atomic_load(&stop)) {
        CHECK_OK(trd_translator_unload(translator, false, NULL));
        CHECK_OK(trd_translator_load(translator, false));
        trd_translator *own = rig_translator(folder, 1);   /* devices are taken and released */
        trd_translator_destroy(own);
    }
    return unused;
}

static void fork_while(void *(*work)(void *), int n)
{
    pthread_t thread;
    atomic_store(&stop, false);
    CHECK_INT(pthread_create(&thread, NULL, work, NULL), 0);
    for (int i = 0; i < n; i++) fork_once(i);
    atomic_store(&stop, true);
    CHECK_INT(pthread_join(thread, NULL), 0);
}

static void fork_before_loading(void)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(120);
        translator = rig_translator(folder, 2);
        translate(translator);
        trd_translator_destroy(translator);
        leave_child();
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

int main(int argc, char **argv)
{
    if (UNDER_THREAD_SANITIZER) SKIP("the thread sanitizer does not let a forked child start threads");
    const int n = argc > 1 ? atoi(argv[1]) : 8;
    (void)snprintf(folder, sizeof folder, "%s", rig_folder("TREADLE_TEST_MODELS", "g2p-en"));
    fork_before_loading();
    translator = rig_translator(folder, 2);
    fork_once(0);
    translate(translator);
    for (int way = 0; way < 4; way++) fork_once(way);
    translate(translator);
    fork_while(keep_busy, n);
    fork_while(keep_loading, n);
    translate(translator);
    trd_translator_destroy(translator);
    return 0;
}
