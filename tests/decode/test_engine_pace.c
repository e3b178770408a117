/*
 * test_engine_pace.c: what enters beside rows that run, long prefixes, long targets and sources, does so in pieces: running rows take a token in
 * every step, and steps stay within their bounds. Results have the bits that each job has alone.
 */
#include <unistd.h>

#include "decode/engine.h"
#include "decode/engine_rig.h"
#include "nn/foreign_device.h"
#include "nn/tiny_model.h"

/* Sanitizers are slow. */
enum { SLOW = UNDER_ADDRESS_SANITIZER || UNDER_THREAD_SANITIZER };
enum { LONG = SLOW ? 600 : 1100, STEPS = 60, LONG_SOURCE = 300, MAX_GROUPS = 256 };

static char folder[256];

/* Those that run when the others come. */
static rig_jobs *running_jobs(void)
{
    rig_jobs *jobs = rig_jobs_create();
    static const rig_kind kinds[] = { RIG_GREEDY, RIG_BEAM, RIG_SAMPLES, RIG_LOCKSTEP, RIG_GREEDY, RIG_EVENTS, RIG_ALTERNATIVES };
    for (int64_t i = 0; i < (int64_t)(sizeof kinds / sizeof kinds[0]); i++) {
        rig_add(jobs, &(rig_form){ .kind = kinds[i], .index = 10 * i, .n_source = 4 + 3 * i, .n_steps = STEPS,
                                   .n_examples = kinds[i] == RIG_LOCKSTEP ? 2 : 1, .with_evidence = i % 2 == 1 });
    }
    return jobs;
}

/* Those that come: long prefixes and targets of every kind, then many long sources. */
static rig_jobs *entering_jobs(void)
{
    rig_jobs *jobs = rig_jobs_create();
    for (int k = 0; k < RIG_N_KINDS; k++) {
        const int64_t n_prefix = k == RIG_LOCKSTEP ? 90 : LONG + 7 * k;
        rig_add(jobs, &(rig_form){ .kind = (rig_kind)k, .index = 100 + k, .n_source = 9, .n_prefix = n_prefix, .n_steps = n_prefix + 8,
                                   .n_examples = k == RIG_LOCKSTEP ? 2 : 1, .with_evidence = k == RIG_BEAM || k == RIG_GREEDY });
    }
    /* A limit that the prefix fills, exactly and not. */
    rig_add(jobs, &(rig_form){ .kind = RIG_GREEDY, .index = 120, .n_source = 9, .n_prefix = 400, .n_steps = 400 });
    rig_add(jobs, &(rig_form){ .kind = RIG_BEAM, .index = 121, .n_source = 9, .n_prefix = 400, .n_steps = 333 });
    rig_add(jobs, &(rig_form){ .kind = RIG_ALTERNATIVES, .index = 122, .n_source = 9, .n_prefix = 400, .n_steps = 333 });
    for (int64_t i = 0; i < 12; i++) {
        rig_add(jobs, &(rig_form){ .kind = i % 2 == 0 ? RIG_GREEDY : RIG_BEAM, .index = 130 + i, .n_source = LONG_SOURCE - i, .n_steps = 5 });
    }
    return jobs;
}

static rig_jobs *alone(rig_jobs *jobs)
{
    rig *r = rig_open(folder, NULL, 1, NULL, NULL);
    rig_submit(r, jobs);
    rig_wait(jobs);
    CHECK_INT(rig_check_same(jobs, jobs), jobs->n);
    rig_close(r);
    return jobs;
}

typedef struct seen {
    const trdi_example *example;
    int64_t slot, step;
    bool    ran, encoded;
} seen;

typedef struct watch {
    rig_jobs *entering;
    seen      before[MAX_GROUPS];
    int64_t   n_before;
    int64_t   most;             /* tokens that were to enter in the step */
    int64_t   rows;             /* that ran */
    int64_t   n_checked, n_pieces;
} watch;

static bool runs(const trdi_group *group)
{
    return group->encoded && !trdi_group_feeds(group) && !(group->job->in_lockstep && group->job->n_unencoded > 0);
}

static const seen *find(const watch *w, const trdi_group *group)
{
    for (int64_t i = 0; i < w->n_before; i++)
        if (w->before[i].example == group->example && w->before[i].slot == group->slot && w->before[i].step <= group->step) return &w->before[i];
    return NULL;
}

/* What the step before this one did. */
static void check_step(watch *w, const trdi_engine *e)
{
    int64_t encoded = 0;
    for (int64_t i = 0; i < e->n_groups; i++) {
        const trdi_group *group = e->groups[i];
        const seen *before = find(w, group);
        if (before == NULL || group->first_step > 0) continue;
        if (before->ran) CHECK_INT(group->step, before->step + 1);
        if (before->ran) w->n_checked++;
        if (group->encoded && !before->encoded) encoded += group->example->n_source;
        if (trdi_group_feeds(group) && before->encoded && group->step > before->step) w->n_pieces++;
    }
    if (w->rows == 0) return;
    CHECK(encoded < w->most + LONG_SOURCE);
    /* Tokens of rows that ran or were encoded in the step itself, and pieces. */
    CHECK(e->builder.sizes.n_tokens <= w->most + w->rows + 16 * w->n_before);
}

static void watch_pace(rig *r, int64_t n)
{
    watch *w = r->context;
    const trdi_engine *e = r->engine;
    if (n == 3) rig_submit(r, w->entering);
    check_step(w, e);
    CHECK(e->n_groups <= MAX_GROUPS);
    int64_t n_entering = 0;
    w->rows = 0;
    for (int64_t i = 0; i < e->n_groups; i++) {
        const trdi_group *group = e->groups[i];
        w->before[i] = (seen){ group->example, group->slot, group->step, runs(group), group->encoded };
        if (runs(group)) w->rows += group->n_rows;
        else n_entering++;
    }
    w->n_before = e->n_groups;
    w->most = 2 * w->rows > 128 ? 2 * w->rows : 128;
    if (n_entering > w->rows && w->rows > 0) w->most = w->most * n_entering / w->rows;
}

static void together(const trdi_backend_ops *ops, const rig_jobs *wanted_running, const rig_jobs *wanted_entering)
{
    rig *r = rig_open(folder, ops, 512, NULL, NULL);
    watch *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    rig_jobs *running = running_jobs();
    w->entering = entering_jobs();
    r->context = w;
    r->before_step = watch_pace;
    rig_submit(r, running);
    rig_wait(running);
    rig_wait(w->entering);
    CHECK_INT(rig_check_same(running, wanted_running), running->n);
    CHECK_INT(rig_check_same(w->entering, wanted_entering), w->entering->n);
    for (int64_t i = 0; i < running->n; i++)
        if (running->kinds[i] == RIG_EVENTS) CHECK_INT(rig_check_events(running, i, wanted_running), STEPS);
    for (int64_t i = 0; i < w->entering->n; i++)
        if (w->entering->kinds[i] == RIG_EVENTS) CHECK(rig_check_events(w->entering, i, wanted_entering) > LONG);
    printf("%d steps, %d tokens taken by running groups, %d pieces\n", (int)r->n_steps, (int)w->n_checked, (int)w->n_pieces);
    CHECK(w->n_checked > 4 * STEPS);
    CHECK(w->n_pieces > 20);
    rig_jobs_destroy(running);
    rig_jobs_destroy(w->entering);
    rig_close(r);
    free(w);
}

int main(void)
{
    const char *root = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/treadle-engine-pace-%ld", root != NULL ? root : "/tmp", (long)getpid());
    tiny_model_write(folder, &(tiny_model){ .name = "pace", .form = TINY_PRE_NORM, .positions = TINY_ROTARY, .vocabulary = 60 });
    rig_jobs *wanted_running = alone(running_jobs()), *wanted_entering = alone(entering_jobs());
    together(NULL, wanted_running, wanted_entering);
    together(foreign_backend(), wanted_running, wanted_entering);
    rig_jobs_destroy(wanted_running);
    rig_jobs_destroy(wanted_entering);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
