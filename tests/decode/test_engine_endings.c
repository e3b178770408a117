/*
 * test_engine_endings.c: jobs that end before they are done: cancelled, past their deadline, all of them in the middle of a plan, or moved to
 * another device. Those that end well have the bits they have alone, the others have no results, and the engine goes on.
 */
#include <unistd.h>

#include "decode/engine_rig.h"
#include "nn/foreign_device.h"
#include "nn/tiny_model.h"

/* Sanitizers are slow. */
enum { SLOW = UNDER_ADDRESS_SANITIZER || UNDER_THREAD_SANITIZER };
enum { N = 14, STEPS = 20 };

static char folder[256];
static rig_jobs *wanted;

static rig_jobs *some_jobs(void)
{
    rig_jobs *jobs = rig_jobs_create();
    for (int64_t i = 0; i < N; i++) {
        const rig_kind kind = (rig_kind)(i % RIG_N_KINDS);
        rig_add(jobs, &(rig_form){ .kind = kind, .index = 10 * i, .n_source = 3 + i, .n_prefix = kind == RIG_SCORE ? 12 : i % 3,
                                   .n_steps = STEPS, .n_examples = kind == RIG_LOCKSTEP ? 2 : 1 });
    }
    return jobs;
}

static void run_wanted(void)
{
    rig *r = rig_open(folder, NULL, 1, NULL, NULL);   /* one after the other */
    wanted = some_jobs();
    rig_submit(r, wanted);
    rig_wait(wanted);
    CHECK_INT(rig_check_same(wanted, wanted), N);
    rig_close(r);
}

/* What the engine still can do: the same as a fresh one. */
static void check_usable(rig *r)
{
    r->before_step = NULL;
    rig_jobs *jobs = some_jobs();
    rig_submit(r, jobs);
    rig_wait(jobs);
    CHECK_INT(rig_check_same(jobs, wanted), N);
    rig_jobs_destroy(jobs);
}

static void check_status(const rig_jobs *jobs, int64_t i, trd_status status, const char *text)
{
    CHECK_INT(jobs->jobs[i].base.status, status);
    CHECK(strstr(jobs->jobs[i].base.error, text) != NULL);
}

/* ---- One job ---- */

typedef struct ending {
    rig_jobs *jobs;
    int64_t   step, job;
    bool      by_deadline;
} ending;

static void end_one(rig *r, int64_t n)
{
    const ending *what = r->context;
    if (n != what->step) return;
    trdi_job *job = &what->jobs->jobs[what->job].base;
    if (what->by_deadline) job->deadline_ns = 1;   /* long ago */
    else trdi_job_cancel(job);
}

static void one_job(bool by_deadline)
{
    for (int64_t i = 0; i < N; i++) {
        rig *r = rig_open(folder, NULL, 64, NULL, NULL);
        ending what = { .jobs = some_jobs(), .step = i % 4, .job = i, .by_deadline = by_deadline };
        const bool ends = what.jobs->kinds[i] != RIG_SCORE || what.step == 0;   /* scores are there at once */
        r->before_step = end_one;
        r->context = &what;
        rig_submit(r, what.jobs);
        rig_wait(what.jobs);
        CHECK_INT(rig_check_same(what.jobs, wanted), N - (ends ? 1 : 0));
        if (ends && by_deadline) check_status(what.jobs, i, TRD_E_TIMEOUT, "the deadline passed while the job ran");
        else if (ends) check_status(what.jobs, i, TRD_E_CANCELLED, "cancelled");
        if (what.jobs->kinds[i] == RIG_EVENTS) CHECK(rig_check_events(what.jobs, i, wanted) < STEPS);
        check_usable(r);
        rig_jobs_destroy(what.jobs);
        rig_close(r);
    }
}

/* A job that would take for ever. */
static void real_deadline(void)
{
    rig *r = rig_open(folder, NULL, 64, NULL, NULL);
    rig_jobs *jobs = rig_jobs_create();
    trdi_decode_job *job = rig_add(jobs, &(rig_form){ .kind = RIG_GREEDY, .n_source = 5, .n_steps = (int64_t)1 << 40 });
    job->base.deadline_ns = trdi_now_ns() + 100000000;
    rig_submit(r, jobs);
    rig_wait(jobs);
    CHECK(trdi_now_ns() >= job->base.deadline_ns);
    CHECK_INT(job->base.status, TRD_E_TIMEOUT);
    rig_jobs_destroy(jobs);
    check_usable(r);
    rig_close(r);
}

/* ---- In the middle of a run ---- */

typedef struct interruption {
    rig      *r;
    rig_jobs *jobs;
    int64_t   run, n_runs;   /* which is interrupted; the number until now */
    bool      cancels;       /* the jobs, not the worker */
} interruption;

static void interrupt(void *context)
{
    interruption *what = context;
    if (what->n_runs++ != what->run) return;
    if (!what->cancels) atomic_store(&what->r->abort, true);
    for (int64_t i = 0; what->cancels && i < N; i++) trdi_job_cancel(&what->jobs->jobs[i].base);
}

/* @return number of jobs that ended well */
static int64_t interrupt_run(int64_t run, bool cancels)
{
    rig *r = rig_open(folder, foreign_backend(), 64, NULL, NULL);
    interruption what = { .r = r, .jobs = some_jobs(), .run = run, .cancels = cancels };
    foreign_before_run(interrupt, &what);
    rig_submit(r, what.jobs);
    rig_wait(what.jobs);
    foreign_before_run(NULL, NULL);
    const int64_t n_well = rig_check_same(what.jobs, wanted);
    for (int64_t i = 0; i < N; i++) {
        if (what.jobs->kinds[i] == RIG_EVENTS) (void)rig_check_events(what.jobs, i, wanted);
        if (what.jobs->jobs[i].base.status != TRD_OK) check_status(what.jobs, i, TRD_E_CANCELLED, "cancelled");
    }
    CHECK(n_well == N || what.n_runs == run + 1);   /* nothing runs after it */
    rig_jobs_destroy(what.jobs);
    atomic_store(&r->abort, false);
    check_usable(r);
    rig_close(r);
    CHECK_INT(foreign_memory_in_use(), 0);
    return n_well;
}

static void interrupted_runs(void)
{
    int64_t n_ended = 0;
    for (int64_t run = 0; run < STEPS + 8; run += SLOW ? 5 : 1) {
        n_ended += N - interrupt_run(run, false);
        n_ended += N - interrupt_run(run, true);
    }
    CHECK(n_ended > 0);
    CHECK_INT(interrupt_run(0, false), 0);
    CHECK_INT(interrupt_run(0, true), 0);
}

/* A run that was stopped though nobody wants an end any more: what it was to do is done again. */
static void interrupted_for_nothing(void)
{
    rig *r = rig_open(folder, foreign_backend(), 64, NULL, NULL);
    for (int64_t run = 0; run < STEPS + 3; run += SLOW ? 5 : 1) {
        foreign_fail_run(run, TRD_E_CANCELLED);
        check_usable(r);
    }
    foreign_fail_run(-1, TRD_OK);
    rig_close(r);
}

/* ---- Cancelled between two encodings ---- */

static void between_encodings(void)
{
    enum { LONG = 40 };
    rig *r = rig_open(folder, foreign_backend(), LONG, NULL, NULL);
    rig_jobs *jobs = rig_jobs_create();
    for (int64_t i = 0; i < LONG; i++) rig_add(jobs, &(rig_form){ .kind = RIG_GREEDY, .index = i, .n_source = 100, .n_steps = 3 });
    interruption what = { .r = r, .jobs = jobs, .run = 0, .cancels = true };
    foreign_before_run(interrupt, &what);
    rig_submit(r, jobs);
    for (int64_t i = N; i < LONG; i++) trdi_job_cancel(&jobs->jobs[i].base);
    rig_wait(jobs);
    foreign_before_run(NULL, NULL);
    CHECK(what.n_runs <= 1);
    for (int64_t i = 0; i < LONG; i++) CHECK_INT(jobs->jobs[i].base.status, TRD_E_CANCELLED);
    rig_jobs_destroy(jobs);
    check_usable(r);
    rig_close(r);
}

/* ---- A device that fails ---- */

static void failing_device(int64_t run)
{
    rig *second = rig_open(folder, foreign_backend(), 64, NULL, NULL);
    rig *first = rig_open(folder, foreign_backend(), 64, second, NULL);
    rig_jobs *jobs = some_jobs();
    foreign_fail_run(run, TRD_E_DEVICE);
    rig_submit(first, jobs);
    rig_wait(jobs);
    foreign_fail_run(-1, TRD_OK);
    CHECK_INT(rig_check_same(jobs, wanted), N);
    for (int64_t i = 0; i < N; i++)
        if (jobs->kinds[i] == RIG_EVENTS) CHECK_INT(rig_check_events(jobs, i, wanted), wanted->jobs[i].examples[0].hypotheses[0].n_tokens);
    if (run == 0) CHECK_INT(first->n_moved, N);
    rig_jobs_destroy(jobs);
    rig_close(first);
    rig_close(second);
    CHECK_INT(foreign_memory_in_use(), 0);
}

int main(void)
{
    const char *root = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/treadle-endings-%ld", root != NULL ? root : "/tmp", (long)getpid());
    tiny_model_write(folder, &(tiny_model){ .name = "endings", .form = TINY_PRE_NORM, .positions = TINY_ROTARY, .vocabulary = 60 });
    run_wanted();
    one_job(false);
    one_job(true);
    real_deadline();
    interrupted_runs();
    interrupted_for_nothing();
    between_encodings();
    for (int64_t run = 0; run < STEPS + 3; run += SLOW ? 6 : 1) failing_device(run);
    rig_jobs_destroy(wanted);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
