/*
 * submission.h: one call to translate or score, waited for or not: copies of what was asked, its jobs, a future for each example, and the
 * results. The blocking functions make a submission and wait for it; the asynchronous ones give its futures away.
 *
 * References (n_uses): one of whoever made it, one for each future that its owner has, one for each job until its end is noted, and one of the
 * notifier while it is poked. The last one frees everything.
 *
 * An example's life: its job ends (trdi_call.ended); with token callbacks what was chosen is reported first, by the notifier or the waiting
 * thread; then its future is settled: it is done, waiters wake. Its result is converted by the first who asks.
 *
 * Locks: the call's mutex, then a waiter's or the notifier's. converting is taken alone.
 */
#ifndef TRDI_SUBMISSION_H
#define TRDI_SUBMISSION_H

#include "api/notifier.h"
#include "api/translator.h"
#include "treadle/trd_future.h"

typedef struct trdi_submission trdi_submission;

/** A thread that waits for futures; on its stack. */
typedef struct trdi_waiter {
    trdi_mutex mutex;
    trdi_cond  woken;
    int64_t    n_left;               /**< guarded by mutex: futures to be settled before it wakes */
} trdi_waiter;

/** A future's entry for one of its waiters. */
typedef struct trdi_wait {
    trdi_waiter      *waiter;
    struct trdi_wait *next;
} trdi_wait;

struct trd_future {
    trdi_submission *submission;
    trd_result      *result;         /* place in the submission's results */
    trdi_decode_job *job;            /* NULL: there is nothing to run */
    trdi_example    *example;        /* NULL likewise */
    const int32_t   *target;         /* [n_target] of the submission's: decoder start, and prefix or target */
    int64_t          n_target;
    int64_t          n_source;       /* the caller's tokens */
    const char     **texts;          /* [n_source] of these, where unknown tokens are replaced; the results' */
    int64_t          n_idle;         /* tokens of the result if there is nothing to run */
    atomic_bool      silent;         /* its job was cancelled or expired: what was chosen and not reported is not */
    atomic_bool      done;           /* settled; set under the call's mutex */
    trdi_wait       *waits;          /* guarded by the call's mutex, as what follows */
    trd_future      *next;           /* in the submission's list of ended or of settled ones */
    bool             released;       /* its owner has given it back */
    bool             called;         /* on_done has returned, or is not wanted */
    bool             forgotten;      /* its result was freed early */
    atomic_bool      converted;      /* status, error and result are final; set under converting */
    trd_status       status;
    const char      *error;          /* of the job, static, or owned_error */
    char            *owned_error;
};

/** Futures by their next. */
typedef struct trdi_future_list {
    trd_future *first, *last;
} trdi_future_list;

struct trdi_submission {
    atomic_llong  n_uses;
    int64_t       generation;        /* of the fork it was made in: a child may not touch its locks */
    trdi_job_kind kind;
    int64_t       n;                 /* examples */
    trd_future   *futures;           /* [n] behind the submission */
    trd_results  *results;           /* [n] filled as futures are converted; NULL once handed over */

    /* What was asked. */
    trdi_search   search;            /* translating; unset if nothing runs */
    int64_t       num_hypotheses, max_decoding_length;
    bool          return_scores, return_attention, replace_unknowns;
    int64_t       offset;            /* scoring */
    int64_t       n_vocabulary;      /* columns of logits */
    trd_submit_options how;
    trd_step_callback on_step;
    void         *on_step_context;
    bool          lines_up;          /* its jobs stand in line for room, and no thread waits for it */
    bool          is_awaited;        /* a blocking call: its thread does what else the notifier does */

    /* What runs. */
    trdi_sources  sources;
    int32_t      *targets;           /* ids of all futures' targets */
    int64_t       n_examples, n_jobs;
    trdi_decode_job *jobs;           /* [n_jobs] in the order of submission */
    trdi_example    *examples;       /* [n_examples] likewise, behind the jobs */
    int64_t       submitted_ns, deadline_ns;  /* deadline: 0 = none */

    trdi_call     call;              /* its mutex guards what follows */
    trdi_cond     settled;           /* for who waits for all: no job runs, or the first one failed */
    int64_t       n_unended;         /* jobs submitted whose end is not noted */
    int64_t       n_done, n_tokens;  /* futures settled; tokens of their first hypotheses */
    bool          failed;            /* a job did */
    trdi_event_queue events;
    trdi_future_list ended;          /* with events: to be settled when these are reported */
    trdi_future_list uncalled;       /* settled, on_done to be called */
    bool          progress_is_due;   /* the notifier will look at the progress by itself */

    trdi_mutex    converting;        /* one result after the other */
    trdi_notice   notice;
    int64_t       reported_ns;       /* the notifier's own: last progress; -1: the end was reported */
};

/* submission.c: life */
/** Room for n futures and results, with one reference. @param how  NULL for a blocking call; its time begins here */
trd_status trdi_submission_create(trdi_job_kind kind, trd_model *model, int64_t n, const trd_submit_options *how, trdi_submission **out);
/** Room for n_run examples and as many jobs. */
trd_status trdi_submission_reserve(trdi_submission *submission, int64_t n_run);
/** The next example, for future i: what decode reads is set but for the target. */
trdi_example *trdi_submission_add_example(trdi_submission *submission, int64_t i);
/** The next job: n examples from the first one on. */
void trdi_submission_add_job(trdi_submission *submission, trdi_example *first, int64_t n);
void trdi_submission_retain(trdi_submission *submission);
void trdi_submission_release(trdi_submission *submission);

/**
 * One public call while it is made: what both kinds share, the first member of theirs. It is inside (trdi_workers_hold()) from when its translator is known until
 * its jobs are submitted, or, blocking, over.
 */
typedef struct trdi_making {
    const char     *what;            /* the public function, for messages */
    trd_translator *translator;
    const trd_sequences *source;
    bool            lines_up;        /* as the submission's */
    /** Arguments and options. */
    trd_status    (*check)(struct trdi_making *making);
    /** @param how  NULL for a blocking call */
    trd_status    (*make)(struct trdi_making *making, const trd_submit_options *how, trdi_submission **out);
} trdi_making;

/* submission_call.c */
trd_status trdi_making_run(trdi_making *making, trd_results **out);
trd_status trdi_making_submit(trdi_making *making, const trd_submit_options *how, trd_future **futures);

/* submission_run.c: running */
/**
 * Run all to its end on the calling thread, which is given the token callbacks. A call without examples needs no workers.
 * @param what  the public function, for messages  @param out  owned; the submission's results
 */
trd_status trdi_submission_run(trdi_submission *submission, trdi_workers *workers, const char *what, trd_results **out);
/** Submit, and give every future to the caller, also those that need no job. On failure nothing was submitted and futures are NULL. */
trd_status trdi_submission_start(trdi_submission *submission, trdi_workers *workers, const char *what, trd_future **futures);
/** Report the tokens that wait, then settle the futures whose jobs ended. On one thread. */
void trdi_submission_report(trdi_submission *submission);
/** Free the result of a future that nobody will look at any more. */
void trdi_future_forget(trd_future *future);

/* future.c */
/** Was it made before a fork, in the parent? */
bool trdi_future_is_inherited(const trd_future *future);
/** Make status, error and result of a settled future final. @return its status */
trd_status trdi_future_convert(trd_future *future);
/** Read how a call is to be treated, and check it. */
trd_status trdi_submit_options_read(const trd_submit_options *options, const char *what, trd_submit_options *out);

/* translate.c, score.c */
/**
 * trd_translator_submit() and trd_translator_submit_score() for a file run, which bounds what is on its way itself: this neither waits for room in the
 * backlog nor is refused for want of it; jobs stand in line with those of callers that wait.
 */
trd_status trdi_translate_line_up(trd_translator *translator, const trd_sequences *source, const trd_sequences *prefix,
                                  const trd_decoding_options *options, const trd_submit_options *how, trd_future **futures);
trd_status trdi_score_line_up(trd_translator *translator, const trd_sequences *source, const trd_sequences *target, const trd_scoring_options *options,
                              const trd_submit_options *how, trd_future **futures);
/* One kind each. Hypotheses of a settled future become its result. */
trd_status trdi_translate_convert(trd_future *future);
trd_status trdi_score_convert(trd_future *future);

#endif
