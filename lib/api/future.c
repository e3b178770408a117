/* future.c: futures as their owners see them: how they ended, results, cancelling, releasing; see trd_future.h. */
#include <math.h>
#include <string.h>

#include "api/options.h"
#include "api/submission.h"
#include "core/alloc.h"

static const char forked_text[] = "the future was made before a fork and belongs to the parent process";

void trd_submit_options_init(trd_submit_options *options, size_t size)
{
    const trd_submit_options defaults = { .struct_size = 0 };
    trdi_write_defaults(options, size, &defaults, sizeof defaults);
}

trd_status trdi_submit_options_read(const trd_submit_options *options, const char *what, trd_submit_options *out)
{
    trd_submit_options_init(out, sizeof *out);
    TRDI_TRY(trdi_read_options(out, sizeof *out, options, what));
    if (out->priority < TRDI_MIN_PRIORITY || out->priority > TRDI_MAX_PRIORITY) {
        return trdi_fail(TRD_E_INVALID, "priority is %d, it must be in %d .. %d", (int)out->priority, TRDI_MIN_PRIORITY, TRDI_MAX_PRIORITY);
    }
    if (!(out->timeout_seconds >= 0) || isinf(out->timeout_seconds)) {
        return trdi_fail(TRD_E_INVALID, "timeout_seconds is %g, it must be >= 0 and finite; 0 is none", out->timeout_seconds);
    }
    return TRD_OK;
}

bool trdi_future_is_inherited(const trd_future *future) { return future->submission->generation != trdi_fork_generation(); }

/* Something is wrong with it for a function that needs it done? */
static trd_status check_done(trd_future *future, const char *what)
{
    if (future == NULL) return trdi_fail(TRD_E_INVALID, "%s: future is NULL", what);
    if (trdi_future_is_inherited(future)) return trdi_fail(TRD_E_FORKED, "%s: %s", what, forked_text);
    if (!atomic_load(&future->done)) return trdi_fail(TRD_E_STATE, "%s: the future is not done", what);
    return TRD_OK;
}

static void keep_error(trd_future *future, trd_status status)
{
    const char *text = trd_last_error();
    future->status = status;
    future->owned_error = trdi_strndup(text, strlen(text));
    future->error = future->owned_error != NULL ? future->owned_error : "result: out of memory";
    trdi_result_clear(future->result);
}

trd_status trdi_future_convert(trd_future *future)
{
    if (atomic_load(&future->converted)) return future->status;
    trdi_submission *s = future->submission;
    trdi_mutex_lock(&s->converting);
    if (!atomic_load(&future->converted)) {
        if (future->status == TRD_OK) {
            const trd_status status = s->kind == TRDI_JOB_SEARCH ? trdi_translate_convert(future) : trdi_score_convert(future);
            if (status != TRD_OK) keep_error(future, status);
        }
        atomic_store(&future->converted, true);
    }
    trdi_mutex_unlock(&s->converting);
    return future->status;
}

bool trd_future_is_done(trd_future *future)
{
    return future == NULL || trdi_future_is_inherited(future) || atomic_load(&future->done);
}

trd_status trd_future_status(trd_future *future)
{
    TRDI_TRY(check_done(future, "trd_future_status"));
    const trd_status status = trdi_future_convert(future);
    return status == TRD_OK ? TRD_OK : trdi_fail(status, "%s", future->error);
}

const char *trd_future_error(trd_future *future)
{
    if (future == NULL) return "";
    if (trdi_future_is_inherited(future)) return forked_text;
    if (!atomic_load(&future->done)) return "";
    (void)trdi_future_convert(future);
    return future->error;
}

trd_status trd_future_result(trd_future *future, const trd_result **out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "trd_future_result: out is NULL");
    *out = NULL;
    TRDI_TRY(check_done(future, "trd_future_result"));
    const trd_status status = trdi_future_convert(future);
    if (status != TRD_OK) return trdi_fail(status, "%s", future->error);
    *out = future->result;
    return TRD_OK;
}

void trd_future_cancel(trd_future *future)
{
    if (future == NULL || trdi_future_is_inherited(future) || future->job == NULL) return;
    trdi_job_cancel(&future->job->base);
}

void trd_future_release(trd_future *future)
{
    /* In a forked child its locks may be held for ever: what it owns goes with the process. */
    if (future == NULL || trdi_future_is_inherited(future)) return;
    trdi_submission *s = future->submission;
    if (s->n > 1) {   /* else everything goes at once */
        trdi_mutex_lock(&s->call.mutex);
        future->released = true;
        trdi_mutex_unlock(&s->call.mutex);
        trdi_future_forget(future);
    }
    trdi_submission_release(s);
}
