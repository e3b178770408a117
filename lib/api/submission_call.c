/* submission_call.c: what the public functions of all kinds do: into the workers, check, make a submission, run or start it, out again. */
#include "api/submission.h"

/* On success the call is inside. */
static trd_status enter(const trdi_making *making, const void *out)
{
    if (out == NULL) return trdi_fail(TRD_E_INVALID, "%s: out is NULL", making->what);
    if (making->translator == NULL) return trdi_fail(TRD_E_INVALID, "%s: translator is NULL", making->what);
    return trdi_workers_hold(making->translator->workers, making->what);
}

static trd_status run_inside(trdi_making *making, trd_results **out)
{
    trdi_submission *submission;
    TRDI_TRY(making->check(making));
    TRDI_TRY(making->make(making, NULL, &submission));
    const trd_status status = trdi_submission_run(submission, making->translator->workers, making->what, out);
    trdi_submission_release(submission);
    return status;
}

trd_status trdi_making_run(trdi_making *making, trd_results **out)
{
    if (out != NULL) *out = NULL;
    TRDI_TRY(enter(making, out));
    const trd_status status = run_inside(making, out);
    trdi_workers_leave(making->translator->workers);
    return status;
}

static trd_status submit_inside(trdi_making *making, const trd_submit_options *how, trd_future **futures)
{
    trd_submit_options wanted;
    trdi_submission *submission;
    TRDI_TRY(making->check(making));
    TRDI_TRY(trdi_submit_options_read(how, making->what, &wanted));
    TRDI_TRY(making->make(making, &wanted, &submission));
    submission->lines_up = making->lines_up;
    const trd_status status = trdi_submission_start(submission, making->translator->workers, making->what, futures);
    trdi_submission_release(submission);
    return status;
}

trd_status trdi_making_submit(trdi_making *making, const trd_submit_options *how, trd_future **futures)
{
    for (int64_t i = 0; futures != NULL && making->source != NULL && i < making->source->n; i++) futures[i] = NULL;
    TRDI_TRY(enter(making, futures));
    const trd_status status = submit_inside(making, how, futures);
    trdi_workers_leave(making->translator->workers);
    return status;
}
