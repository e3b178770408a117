/*
 * test_engine_memory.c: engines within a budget: whatever the limit, jobs give the bits they have alone or fail for want of memory, the
 * limit holds, engines that share it do not starve each other, and what is not needed is given back when asked for.
 */
#include <unistd.h>

#include "decode/engine_rig.h"
#include "nn/foreign_device.h"
#include "nn/tiny_model.h"

/* Sanitizers are slow. */
enum { SLOW = UNDER_ADDRESS_SANITIZER || UNDER_THREAD_SANITIZER };
enum { N = 21, STEPS = 40 };

static char folder[256];
static rig_jobs *wanted;
static trdi_memory_budget budget;

/* Jobs first .. first+n-1 of the mixture. */
static rig_jobs *some_jobs(int64_t first, int64_t n)
{
    rig_jobs *jobs = rig_jobs_create();
    for (int64_t i = first; i < first + n; i++) {
        const rig_kind kind = (rig_kind)(i % RIG_N_KINDS);
        rig_add(jobs, &(rig_form){ .kind = kind, .index = 10 * i, .n_source = 3 + i * 5 % 23, .n_prefix = kind == RIG_SCORE ? 30 : i % 4,
                                   .n_steps = STEPS, .n_examples = kind == RIG_LOCKSTEP ? 2 : 1, .with_evidence = i % 3 == 0 && kind != RIG_SCORE });
    }
    return jobs;
}

static long long used(void) { return atomic_load(&budget.used); }

static void check_empty(void)
{
    CHECK_INT(used(), 0);
    for (int k = 0; k < TRDI_N_PARTS; k++) CHECK_INT(atomic_load(&budget.parts[k]), 0);
    CHECK_INT(atomic_load(&budget.kv_blocks), 0);
    CHECK_INT(atomic_load(&budget.kv_blocks_in_use), 0);
    CHECK_INT((int64_t)atomic_load(&budget.turn), 0);
}

static void begin(int64_t limit)
{
    CHECK_OK(trdi_memory_budget_init(&budget));
    trdi_memory_budget_set_limit(&budget, limit);
}

static void end(void)
{
    check_empty();
    trdi_memory_budget_destroy(&budget);
}

/* The most that one of the jobs takes in a fresh engine, or all together. */
static int64_t measure(int64_t first, int64_t n)
{
    begin(0);
    rig *r = rig_open(folder, NULL, 512, NULL, &budget);
    rig_jobs *jobs = some_jobs(first, n);
    rig_submit(r, jobs);
    rig_wait(jobs);
    rig_jobs_destroy(jobs);
    const int64_t peak = atomic_load(&budget.peak);
    CHECK(peak >= used() && used() > 0);
    rig_close(r);
    end();
    return peak;
}

static int64_t alone, together;

static void measure_all(void)
{
    for (int64_t i = 0; i < N; i++) {
        const int64_t bytes = measure(i, 1);
        if (bytes > alone) alone = bytes;
    }
    together = measure(0, N);
    printf("alone %lld bytes, together %lld\n", (long long)alone, (long long)together);
    CHECK(together > 2 * alone);
}

static void check_blocks(rig *r, int64_t n)
{
    (void)n;
    const int64_t blocks = atomic_load(&budget.kv_blocks), in_use = atomic_load(&budget.kv_blocks_in_use);
    CHECK(in_use >= 0 && in_use <= blocks);
    CHECK_INT(atomic_load(&budget.parts[TRDI_PART_KV]), blocks * (int64_t)trdi_network_get_info(r->network)->block_bytes);
    CHECK_INT(used(), atomic_load(&budget.parts[TRDI_PART_KV]) + atomic_load(&budget.parts[TRDI_PART_STEP]));
    if (in_use > 0) r->n_moved++;
}

/* One engine, from ample to far too little. */
static void little_memory(const trdi_backend_ops *ops)
{
    int64_t n_failed = 0;
    for (int64_t limit = together; limit > alone / 4; limit -= limit / (SLOW ? 2 : 5)) {
        begin(limit);
        rig *r = rig_open(folder, ops, 512, NULL, &budget);
        r->before_step = check_blocks;
        rig_jobs *jobs = some_jobs(0, N);
        rig_submit(r, jobs);
        rig_wait(jobs);
        const int64_t n_well = rig_check_same(jobs, wanted);
        for (int64_t i = 0; i < N; i++) {
            const trdi_job *job = &jobs->jobs[i].base;
            if (job->status == TRD_OK) continue;
            CHECK_INT(job->status, TRD_E_MEMORY);
            CHECK(strstr(job->error, "memory limit") != NULL);
        }
        if (limit >= alone) CHECK_INT(n_well, N);
        CHECK(atomic_load(&budget.peak) <= limit);
        CHECK(r->n_moved > 0 || n_well == 0);
        n_failed += N - n_well;
        rig_jobs_destroy(jobs);
        trdi_memory_budget_set_limit(&budget, 0);   /* it is none of the engine's that it could not */
        jobs = some_jobs(0, N);
        rig_submit(r, jobs);
        rig_wait(jobs);
        CHECK_INT(rig_check_same(jobs, wanted), N);
        rig_jobs_destroy(jobs);
        rig_close(r);
        end();
    }
    CHECK(n_failed > 0);
}

/* Engines with memory for hardly more than one job: all are done. */
static void shared_memory(int64_t limit)
{
    enum { ENGINES = 3 };
    rig *r[ENGINES];
    rig_jobs *jobs[ENGINES];
    begin(limit);
    for (int k = 0; k < ENGINES; k++) r[k] = rig_open(folder, NULL, 512, NULL, &budget);
    for (int round = 0; round < 2; round++) {
        for (int k = 0; k < ENGINES; k++) {
            jobs[k] = some_jobs(0, N);
            rig_submit(r[k], jobs[k]);
        }
        for (int k = 0; k < ENGINES; k++) {
            rig_wait(jobs[k]);
            CHECK_INT(rig_check_same(jobs[k], wanted), N);
            rig_jobs_destroy(jobs[k]);
        }
    }
    CHECK(atomic_load(&budget.peak) <= limit);
    for (int k = 0; k < ENGINES; k++) rig_close(r[k]);
    end();
}

/* A job that fails since it needs too much does not keep the turn, and does not stop the others. */
static void too_large_beside_others(void)
{
    begin(alone + alone / 8);
    rig *r[2] = { rig_open(folder, NULL, 512, NULL, &budget), rig_open(folder, NULL, 512, NULL, &budget) };
    rig_jobs *large = rig_jobs_create(), *others = some_jobs(0, N);
    for (int i = 0; i < 3; i++) rig_add(large, &(rig_form){ .kind = RIG_BEAM, .index = i, .n_source = 4000, .n_steps = 30 });
    rig_submit(r[0], large);
    rig_submit(r[1], others);
    rig_wait(large);
    rig_wait(others);
    CHECK_INT(rig_check_same(others, wanted), N);
    for (int64_t i = 0; i < large->n; i++) CHECK_INT(large->jobs[i].base.status, TRD_E_MEMORY);
    rig_jobs_destroy(large);
    rig_jobs_destroy(others);
    for (int k = 0; k < 2; k++) rig_close(r[k]);
    end();
}

/* The worker has told of the last job's end before it is idle: give it the time it needs. */
static void wait_for_nothing(void)
{
    while (used() != 0) trdi_memory_budget_wait(&budget, 1000000);
}

static void empty_while_busy(rig *r, int64_t n)
{
    (void)r;
    if (n % 5 == 2) trdi_memory_budget_empty(&budget);
}

static void giving_back(void)
{
    begin(0);
    rig *r = rig_open(folder, foreign_backend(), 512, NULL, &budget);
    const size_t before = foreign_memory_in_use();
    for (int round = 0; round < (SLOW ? 3 : 10); round++) {
        rig_jobs *jobs = some_jobs(0, N);
        r->before_step = round % 2 == 1 ? empty_while_busy : NULL;
        rig_submit(r, jobs);
        rig_wait(jobs);
        CHECK_INT(rig_check_same(jobs, wanted), N);
        rig_jobs_destroy(jobs);
        if (round % 2 == 0) trdi_memory_budget_empty(&budget);
        wait_for_nothing();
        check_empty();
        CHECK_INT(foreign_memory_in_use(), before);
    }
    rig_close(r);
    end();
}

int main(void)
{
    const char *root = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/treadle-engine-memory-%ld", root != NULL ? root : "/tmp", (long)getpid());
    tiny_model_write(folder, &(tiny_model){ .name = "memory", .form = TINY_PRE_NORM, .positions = TINY_ROTARY, .vocabulary = 60 });
    rig *r = rig_open(folder, NULL, 1, NULL, NULL);
    wanted = some_jobs(0, N);
    rig_submit(r, wanted);
    rig_wait(wanted);
    rig_close(r);
    measure_all();
    little_memory(NULL);
    little_memory(foreign_backend());
    shared_memory(together);
    shared_memory(alone + alone / 8);
    shared_memory(alone);
    too_large_beside_others();
    giving_back();
    rig_jobs_destroy(wanted);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
