/*
 * fork(): in the child the parent's translator answers with TRD_E_FORKED and can be destroyed, a new one works, and exit does
 * not hang; the parent goes on. Also while another thread of the parent is translating.
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

static void in_child(void)
{
    alarm(60);   /* a hang ends the child with a signal, which the parent reports */
    static rig_batch batch;
    rig_add(&batch, "a");
    trd_results *results;
    CHECK_FAILS(trd_translator_translate(translator, &batch.sequences, NULL, NULL, &results), TRD_E_FORKED, "before a fork");
    CHECK_FAILS(trd_translator_score(translator, &batch.sequences, &batch.sequences, NULL, &results), TRD_E_FORKED, "before a fork");
    trd_translator_info info = { .struct_size = sizeof info };
    CHECK_FAILS(trd_translator_get_info(translator, &info), TRD_E_FORKED, "before a fork");
    trd_translator_destroy(translator);
    trd_translator *own = rig_translator(folder, 2);
    translate(own);
    trd_translator_destroy(own);
    /* The leak check of a normal exit counts what belonged to threads that the child does not have. */
    if (UNDER_ADDRESS_SANITIZER) _exit(0);
    exit(0);
}

static void fork_once(void)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) in_child();
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

static void *keep_busy(void *unused)
{
    while (!atomic_load(&stop)) translate(translator);
    return unused;
}

int main(void)
{
    if (UNDER_THREAD_SANITIZER) SKIP("the thread sanitizer does not let a forked child start threads");
    (void)snprintf(folder, sizeof folder, "%s", rig_folder("TREADLE_TEST_MODELS", "g2p-en"));
    translator = rig_translator(folder, 2);
    translate(translator);
    fork_once();
    translate(translator);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, keep_busy, NULL), 0);
    for (int i = 0; i < 5; i++) fork_once();
    atomic_store(&stop, true);
    CHECK_INT(pthread_join(thread, NULL), 0);
    trd_translator_destroy(translator);
    return 0;
}
