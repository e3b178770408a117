/* files_calls.c: the public functions of trd_file.h: options are read and checked here, the work is in files_run.c. */
#include <string.h>

#include "api/files_private.h"
#include "api/notifier.h"
#include "api/options.h"
#include "api/translator.h"

void trd_file_options_init(trd_file_options *options, size_t size)
{
    const trd_file_options defaults = { .max_batch_size = 32 };
    trdi_write_defaults(options, size, &defaults, sizeof defaults);
}

static trd_status check_files(const trdi_file_run *run)
{
    const trd_file_options *const f = &run->files;
    const char *const missing = f->source == NULL ? "source" : f->output == NULL ? "output" : run->scores && f->target == NULL ? "target" : NULL;
    if (missing != NULL) return trdi_fail(TRD_E_INVALID, "%s: no %s file is named", run->function, missing);
    if (f->target != NULL && strcmp(f->source, "-") == 0 && strcmp(f->target, "-") == 0) {
        return trdi_fail(TRD_E_INVALID, "%s: only one of source and target can be standard input", run->function);
    }
    if (f->read_batch_size < 0) {
        return trdi_fail(TRD_E_INVALID, "%s: read_batch_size is %lld, it must be >= 0", run->function, (long long)f->read_batch_size);
    }
    if (f->max_batch_size < 0 || (f->max_batch_size == 0 && f->read_batch_size == 0)) {
        return trdi_fail(TRD_E_INVALID, "%s: max_batch_size is %lld, it must be >= 1, or 0 with a read_batch_size", run->function,
                         (long long)f->max_batch_size);
    }
    return TRD_OK;
}

static trd_status check_call(const trdi_file_run *run, const trd_file_options *files, const trd_execution_stats *stats)
{
    const char *const what = run->translator == NULL ? "translator is NULL" : files == NULL ? "files is NULL" :
                             stats != NULL && !trdi_struct_size_valid(stats->struct_size) ? "stats has no size" : NULL;
    return what == NULL ? TRD_OK : trdi_fail(TRD_E_INVALID, "%s: %s", run->function, what);
}

static trd_status read_files(trdi_file_run *run, const trd_file_options *files)
{
    trd_file_options_init(&run->files, sizeof run->files);
    TRDI_TRY(trdi_read_options(&run->files, sizeof run->files, files, run->function));
    return check_files(run);
}

static trd_status read_decoding(trdi_file_run *run, const trd_decoding_options *decoding)
{
    trd_decoding_options *const o = &run->decoding;
    trd_decoding_options_init(o, sizeof *o);
    TRDI_TRY(trdi_read_options(o, sizeof *o, decoding, run->function));
    const char *const refused = o->on_step != NULL ? "on_step" : o->return_attention ? "return_attention" : o->return_logits ? "return_logits" :
                                o->return_alternatives ? "return_alternatives" : NULL;
    if (refused != NULL) return trdi_fail(TRD_E_INVALID, "%s: %s is not possible with files", run->function, refused);
    o->max_batch_size = run->files.max_batch_size;
    o->batch_by_tokens = run->files.batch_by_tokens;
    o->return_scores = o->return_scores || run->files.with_scores;
    return TRD_OK;
}

static trd_status read_scoring(trdi_file_run *run, const trd_scoring_options *scoring)
{
    trd_scoring_options_init(&run->scoring, sizeof run->scoring);
    return trdi_read_options(&run->scoring, sizeof run->scoring, scoring, run->function);
}

/* decoding or scoring is for the kind of run. */
static trd_status run_files(trdi_file_run *run, const trd_file_options *files, const trd_decoding_options *decoding,
                            const trd_scoring_options *scoring, trd_execution_stats *stats)
{
    TRDI_TRY(check_call(run, files, stats));
    if (trdi_notifier_is_here()) return trdi_fail(TRD_E_STATE, "%s: a callback of futures cannot wait for a file: others would wait for it", run->function);
    trd_status status = trdi_workers_hold(run->translator->workers, run->function);
    if (status != TRD_OK) return status;
    status = read_files(run, files);
    if (status == TRD_OK) status = run->scores ? read_scoring(run, scoring) : read_decoding(run, decoding);
    if (status == TRD_OK) status = trdi_file_run_all(run);
    trdi_workers_leave(run->translator->workers);
    if (stats != NULL) trdi_write_result(stats, stats->struct_size, &run->stats, sizeof run->stats);
    return status;
}

trd_status trd_translator_translate_file(trd_translator *translator, const trd_file_options *files, const trd_decoding_options *decoding,
                                         trd_execution_stats *stats)
{
    trdi_file_run run = { .translator = translator, .function = "trd_translator_translate_file" };
    return run_files(&run, files, decoding, NULL, stats);
}

trd_status trd_translator_score_file(trd_translator *translator, const trd_file_options *files, const trd_scoring_options *scoring,
                                     trd_execution_stats *stats)
{
    trdi_file_run run = { .translator = translator, .function = "trd_translator_score_file", .scores = true };
    return run_files(&run, files, NULL, scoring, stats);
}
