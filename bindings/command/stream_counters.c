/* stream_counters.c: --log_profiling: what each device did and holds, and what became of the jobs, on standard error. */
#include "stream.h"

static double megabytes(int64_t bytes)
{
    return (double)bytes * 1e-6;
}

static void print_device(const trd_translator_device_info *d)
{
    fprintf(stderr, "%s: %s, %d workers, %lld jobs, %lld tokens, %.3f s in steps, %.0f tokens/s\n", d->device, d->compute_type, (int)d->n_workers,
            (long long)d->n_done, (long long)d->tokens_done, d->busy_seconds, d->busy_seconds > 0 ? (double)d->tokens_done / d->busy_seconds : 0.0);
    fprintf(stderr, "%s: %.1f MB: weights %.1f%s, keys and values %.1f, steps %.1f; at most %.1f MB", d->device, megabytes(d->used_bytes),
            megabytes(d->weight_bytes), d->weights_from_cache ? " from the cache file" : "", megabytes(d->kv_bytes), megabytes(d->step_bytes),
            megabytes(d->peak_bytes));
    if (d->limit_bytes > 0) fprintf(stderr, " of %.1f allowed", megabytes(d->limit_bytes));
    fputc('\n', stderr);
    if (d->n_retired > 0) fprintf(stderr, "%s: %d workers retired: %s\n", d->device, (int)d->n_retired, d->retired_reason);
}

void stream_print_counters(const stream *s)
{
    trd_translator_info info = { .struct_size = sizeof info };
    if (trd_translator_get_info(s->translator, &info) != TRD_OK) return;
    for (int32_t i = 0; i < info.n_devices; i++) {
        trd_translator_device_info device = { .struct_size = sizeof device };
        if (trd_translator_get_device_info(s->translator, i, &device) == TRD_OK) print_device(&device);
    }
    trd_translator_counters jobs = { .struct_size = sizeof jobs };
    if (trd_translator_get_counters(s->translator, &jobs) != TRD_OK) return;
    fprintf(stderr, "jobs: %lld submitted, %lld succeeded, %lld failed, %lld cancelled, %lld given to another worker\n", (long long)jobs.n_submitted,
            (long long)jobs.n_succeeded, (long long)(jobs.n_failed + jobs.n_expired), (long long)jobs.n_cancelled, (long long)jobs.n_redone);
}
