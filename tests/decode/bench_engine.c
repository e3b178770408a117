/*
 * bench_engine.c: what an engine itself costs per job, without the plans that it runs: bench_engine [MODEL_FOLDER] [JOBS] [ROWS] [STEPS].
 * Processor time of the worker's thread in admission, in steps, and in runs of plans, which are those of the CPU back end.
 */
#include <time.h>
#include <unistd.h>

#include "backend/cpu/cpu.h"
#include "decode/engine_rig.h"
#include "nn/tiny_model.h"

static int64_t plan_ns, engine_ns, n_runs;

static trd_status plan_run(void *queue, void *plan, const trdi_step *step)
{
    const int64_t start = trdi_thread_cpu_ns();
    const trd_status status = trdi_backend_cpu()->plan_run(queue, plan, step);
    plan_ns += trdi_thread_cpu_ns() - start;
    n_runs++;
    return status;
}

/* An executor that is an engine on which time is taken. */
static trd_status admit(void *executor, trdi_job *job, bool *accepted)
{
    const int64_t start = trdi_thread_cpu_ns();
    const trd_status status = trdi_engine_ops.admit(executor, job, accepted);
    engine_ns += trdi_thread_cpu_ns() - start;
    return status;
}

static trd_status step(void *executor)
{
    const int64_t start = trdi_thread_cpu_ns();
    const trd_status status = trdi_engine_ops.step(executor);
    engine_ns += trdi_thread_cpu_ns() - start;
    return status;
}

int main(int argc, char **argv)
{
    char folder[256];
    const int64_t n = argc > 2 ? atoll(argv[2]) : 100000, rows = argc > 3 ? atoll(argv[3]) : 256, steps = argc > 4 ? atoll(argv[4]) : 2;
    (void)snprintf(folder, sizeof folder, "/tmp/treadle-bench-engine-%ld", (long)getpid());
    if (argc > 1 && argv[1][0] != '\0') (void)snprintf(folder, sizeof folder, "%s", argv[1]);
    else {
        tiny_model_write(folder, &(tiny_model){ .name = "bench", .positions = TINY_ROTARY, .d_model = 8, .n_heads = 1, .d_ffn = 8,
                                                .n_layers = 1, .vocabulary = 40 });
    }
    trdi_backend_ops ops = *trdi_backend_cpu();
    ops.plan_run = plan_run;
    rig *r = rig_open(folder, &ops, rows, NULL, NULL);
    trdi_executor_ops executor = trdi_engine_ops;
    executor.admit = admit;
    executor.step = step;
    const trdi_worker_setup workers = { .ops = &executor, .open = trdi_engine_open, .context = &r->setup, .n_workers = 1 };
    trdi_scheduler *scheduler;
    CHECK_OK(trdi_scheduler_create(&workers, &scheduler));

    trdi_call call;
    CHECK_OK(trdi_call_init(&call));
    trdi_decode_job *jobs = calloc((size_t)n, sizeof *jobs);
    trdi_example *examples = calloc((size_t)n, sizeof *examples);
    trdi_job **list = calloc((size_t)n, sizeof *list);
    CHECK(jobs != NULL && examples != NULL && list != NULL);
    const int32_t ids[4] = { 5, 6, 7, 8 }, start_id[1] = { 1 };
    const trdi_search search = { .beam_size = 1, .num_hypotheses = 1, .patience = 1.0f, .length_penalty = 1.0f, .repetition_penalty = 1.0f,
                                 .max_length = steps, .sampling_topk = 1, .sampling_topp = 1.0f, .sampling_temperature = 1.0f, .unk_id = -1 };
    for (int64_t i = 0; i < n; i++) {
        examples[i] = (trdi_example){ .index = i, .n_source = 4, .source = { ids }, .n_target = 1, .target = start_id };
        jobs[i] = (trdi_decode_job){ .base.call = &call, .kind = TRDI_JOB_SEARCH, .search = &search, .examples = &examples[i], .n_examples = 1 };
        list[i] = &jobs[i].base;
    }
    const int64_t begin = trdi_now_ns();
    CHECK_OK(trdi_scheduler_submit(scheduler, list, (size_t)n, TRDI_WHEN_FULL_BLOCK));
    /* Nobody is to be woken at every job's end, which would be counted. */
    int64_t queued, active = n;
    while (active > 0) {
        (void)nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        trdi_scheduler_counts(scheduler, &queued, &active);
    }
    CHECK(trdi_call_wait(&call, NULL));
    const double wall = (double)(trdi_now_ns() - begin);
    for (int64_t i = 0; i < n; i++) CHECK_INT(jobs[i].base.status, TRD_OK);
    trdi_scheduler_destroy(scheduler, TRDI_DRAIN);
    printf("%lld jobs of %lld steps, %lld rows: per job %.2f us engine without plans, %.2f us plans (%lld runs), %.2f us wall\n", (long long)n,
           (long long)steps, (long long)rows, (double)(engine_ns - plan_ns) / (double)n * 1e-3, (double)plan_ns / (double)n * 1e-3,
           (long long)n_runs, wall / (double)n * 1e-3);
    for (int64_t i = 0; i < n; i++) trdi_example_clear(&examples[i]);
    free(jobs);
    free(examples);
    free((void *)list);
    trdi_call_destroy(&call);
    rig_close(r);
    return 0;
}
