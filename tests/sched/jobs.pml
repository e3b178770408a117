/*
 * jobs.pml: the protocol of lib/sched and of the futures above it, for the model checker spin: two jobs of one call in a backlog with room for one, a
 * worker, a thread that submits, waits and releases, one that cancels, the timer, and one that stops or drains and frees the scheduler, at any
 * moment each. Checked are all interleavings: every job ends once, nothing that was freed is touched, nobody waits for ever.
 *
 * A section under the scheduler's mutex is one atomic step: it holds nothing that waits. The call's mutex is a flag, as cancelling and settling take
 * other locks under it. Conditions wake nobody who does not sleep yet, so that a lost wake-up is a deadlock.
 *
 * Compiled with FUTURES=1, references keep the submission, as in lib/api/submission.h; with FUTURES=0 the owner frees the call when no job is
 * pending, as trdi_call_wait() allows. The environment's MUTATION=n breaks one rule of the protocol: run_model.sh wants each to be found.
 */
bool configured;
byte mutation;
inline configure()
{
    c_code { now.mutation = getenv("MUTATION") != NULL ? atoi(getenv("MUTATION")) : 0; };
    configured = true
}
#define N 2
#define LIMIT 1

mtype = { NEW, ENTERING, QUEUED, RUNNING, DONE };

/* The scheduler. */
bool scheduler_lives = true;
mtype state[N] = NEW;
bool cancelled[N], closing, aborted;
byte n_queued, n_offered, n_unfinished, n_submitting, n_entering;
bool worker_sleeps, worker_woken, submitter_sleeps, submitter_woken;
bool worker_over, timer_stops, timer_over;

/* The call, its submission and futures. */
bool call_lives = true, call_locked;
bool submitted[N];              /* job->scheduler is set */
byte n_pending, n_uses;
bool done[N], attached[N];
byte n_ended[N], n_settled[N];
short n_left;                   /* of the waiter */
bool waiter_lives, owner_sleeps, owner_woken;
bool was_refused, canceller_over, owner_over;

#define waits(j) (state[j] == ENTERING || state[j] == QUEUED)
#define is_over (closing && n_submitting == 0 && n_unfinished == 0)

inline wake_worker()
{
    if
    :: worker_sleeps -> worker_sleeps = false; worker_woken = true
    :: else
    fi
}

inline wake_submitter()
{
    if
    :: submitter_sleeps -> submitter_sleeps = false; submitter_woken = true
    :: else
    fi
}

inline wake_owner()
{
    if
    :: owner_sleeps -> owner_sleeps = false; owner_woken = true
    :: else
    fi
}

/* Sections under the scheduler's mutex; to be used inside of atomic. */
inline let_in()
{
    do
    :: n_entering > 0 && n_queued + n_offered < LIMIT ->
        if
        :: state[0] == ENTERING -> state[0] = QUEUED
        :: else -> assert(state[1] == ENTERING); state[1] = QUEUED
        fi;
        n_entering--;
        n_queued++;
        if
        :: n_entering == 0 -> wake_submitter()
        :: else
        fi;
        if
        :: mutation == 1 -> skip  /* jobs that are let in wake nobody */
        :: else -> wake_worker()
        fi
    :: else -> break
    od
}

inline finish(j)
{
    assert(scheduler_lives && state[j] != DONE);
    state[j] = DONE;
    n_ended[j]++;
    assert(n_ended[j] == 1);
    n_unfinished--;
    if
    :: n_queued > 0 || is_over -> wake_worker()
    :: else
    fi
}

inline take_out(j)
{
    if
    :: state[j] == QUEUED -> n_queued--
    :: else ->
        n_entering--;
        if
        :: n_entering == 0 -> wake_submitter()
        :: else
        fi
    fi
}

/* trdi_submission_release(); inside of atomic. */
inline drop_use()
{
    assert(call_lives && n_uses > 0);
    n_uses--;
    if
    :: n_uses == 0 -> assert(!call_locked); call_lives = false
    :: else
    fi
}

/* trdi_call.ended: the future is settled, and the job's reference goes. */
inline ended(j)
{
#if FUTURES
    atomic {
        !call_locked ->
        if
        :: mutation == 2 -> drop_use()  /* the job's reference goes too early */
        :: else
        fi;
        assert(call_lives);
        call_locked = true;
        assert(!done[j]);
        done[j] = true;
        n_settled[j]++
    }
    atomic {
        assert(call_lives);
        if
        :: attached[j] ->
            assert(waiter_lives);
            attached[j] = false;
            n_left--;
            if
            :: n_left == 0 -> wake_owner()
            :: else
            fi
        :: else
        fi;
        call_locked = false
    }
    atomic {
        if
        :: mutation != 2 -> drop_use()
        :: else
        fi
    }
#else
    skip
#endif
}

inline publish_locked(j)
{
    assert(call_lives && state[j] == DONE);
    submitted[j] = false;
    assert(n_pending > 0);
    n_pending--;
#if !FUTURES
    if
    :: n_pending == 0 -> wake_owner()
    :: else
    fi
#endif
}

inline publish(j)
{
    atomic { !call_locked -> publish_locked(j) }
    ended(j)
}

/* trdi_publish_ended(). */
inline publish_ended()
{
    p = 0;
    do
    :: p < N && ends[p] -> publish(p); ends[p] = false; p++
    :: p < N && !ends[p] -> p++
    :: p == N -> break
    od
}

/* One job at a time ends in a step; or the device fails, once, and the jobs are done again. */
inline step()
{
    atomic {
        if
        :: state[0] == RUNNING -> finish(0); ends[0] = true; n_active--
        :: state[1] == RUNNING -> finish(1); ends[1] = true; n_active--
        :: !failed ->
            failed = true;
            n_active = 0;
            p = 0;
            do
            :: p < N ->
                if
                :: state[p] == RUNNING && (cancelled[p] || aborted) -> finish(p); ends[p] = true
                :: state[p] == RUNNING && !(cancelled[p] || aborted) -> state[p] = QUEUED; n_queued++
                :: else
                fi;
                p++
            :: else -> break
            od
        fi
    }
}

/* The job may be refused by a worker that has another one. */
inline offer()
{
    atomic {
        n_offered--;
        if
        :: n_active == 0 || true -> n_active++
        :: n_active > 0 ->
            if
            :: cancelled[j] || aborted -> finish(j); ends[j] = true
            :: else -> state[j] = QUEUED; n_queued++
            fi
        fi;
        j = N;
        let_in()
    }
}

active proctype worker()
{
    byte n_active, j, p;
    bool failed, stops, ends[N];
    configured;
    do
    :: true ->
        atomic {
            assert(scheduler_lives);
            j = N;
            if
            :: n_queued > 0 ->
                if
                :: state[0] == QUEUED -> j = 0
                :: else -> assert(state[1] == QUEUED); j = 1
                fi;
                n_queued--;
                state[j] = RUNNING;
                n_offered++
            :: n_queued == 0 && n_active > 0
            :: n_queued == 0 && n_active == 0 ->
                stops = is_over;
                if
                :: mutation == 3 -> stops = closing     /* a worker stops while jobs are being submitted */
                :: else
                fi;
                if
                :: stops -> break
                :: else -> worker_sleeps = true
                fi
            fi
        }
        if
        :: j == N && n_active == 0 -> atomic { worker_woken -> worker_woken = false }
        :: j < N -> offer()
        :: else
        fi;
        if
        :: n_active > 0 -> step()
        :: else
        fi;
        publish_ended()
    od;
    worker_over = true
}

/* Ends job 1 at its deadline, whenever that is, if it has one. */
active proctype timer()
{
    bool has_deadline;
    configured;
    if
    :: has_deadline = true
    :: has_deadline = false
    fi;
    do
    :: atomic { has_deadline && waits(1) -> assert(scheduler_lives); take_out(1); finish(1); let_in() }
        publish(1)
    :: atomic { timer_stops -> timer_over = true; break }
    od
}

/* Cancels job 0, and gives back its future. */
active proctype canceller()
{
    bool waited;
    configured;
    atomic { !call_locked -> assert(call_lives); call_locked = true; cancelled[0] = true }
    if
    :: submitted[0] ->
        atomic {
            assert(scheduler_lives);
            if
            :: waits(0) -> take_out(0); finish(0); waited = true; let_in()
            :: state[0] == RUNNING ->
                if
                :: mutation == 4 -> finish(0); waited = true   /* ends a job that runs */
                :: else
                fi
            :: else
            fi
        }
    :: else
    fi;
    atomic {
        if
        :: waited -> submitted[0] = false
        :: else
        fi;
        assert(call_lives);
        call_locked = false
    }
    if
    :: waited -> publish(0)
    :: else
    fi;
    canceller_over = true;
#if FUTURES
    atomic { drop_use() }
#endif
}

/* Waits for all futures, or gives up after a while: sleep_on_all() of future_wait.c. */
inline wait_all()
{
    atomic { n_left = N; waiter_lives = true; i = 0 }
    n_done = 0;
    do
    :: i < N ->
        atomic {
            !call_locked ->
            if
            :: done[i] -> n_done++
            :: else -> attached[i] = true
            fi;
            i++
        }
    :: else -> break
    od;
    atomic {
        n_left = n_left - n_done;
        if
        :: n_left > 0 -> owner_sleeps = true
        :: else
        fi
    }
    if
    :: n_left > 0 || owner_woken ->
        if
        :: owner_woken -> owner_woken = false
        :: gives_up -> atomic { owner_sleeps = false; owner_woken = false }
        fi
    :: n_left <= 0 && !owner_woken
    fi;
    i = 0;
    do
    :: i < N ->
        atomic {
            if
            :: mutation == 5 -> skip  /* not waited for, whoever settles may look at the waiter still */
            :: !call_locked
            fi;
            if
            :: !done[i] -> attached[i] = false
            :: else
            fi;
            i++
        }
    :: else -> break
    od;
    waiter_lives = false
}

active proctype owner()
{
    byte i, n_done, p;
    bool gives_up, ends[N];
    atomic { configure(); n_uses = 1 + N + N }  /* the maker, futures, jobs */
    if
    :: gives_up = true
    :: gives_up = false
    fi;
    atomic {
        if
        :: !scheduler_lives || closing -> was_refused = true
        :: else -> n_submitting++; n_unfinished = n_unfinished + N
        fi
    }
    if
    :: was_refused ->
        n_uses = n_uses - N
    :: else ->
        i = 0;
        do
        :: i < N -> atomic { !call_locked -> submitted[i] = true; n_pending++; i++ }
        :: else -> break
        od;
        atomic {
            assert(scheduler_lives);
            i = 0;
            do
            :: i < N ->
                if
                :: cancelled[i] || aborted -> finish(i); ends[i] = true
                :: else -> state[i] = ENTERING; n_entering++
                fi;
                i++
            :: else -> break
            od;
            let_in()
        }
        publish_ended();
        atomic {
            assert(scheduler_lives);
            if
            :: n_entering > 0 -> submitter_sleeps = true
            :: else
            fi
        }
        if
        :: submitter_sleeps || submitter_woken -> atomic { submitter_woken -> submitter_woken = false; assert(n_entering == 0) }
        :: else
        fi;
        atomic {
            assert(scheduler_lives);
            n_submitting--;
            if
            :: is_over -> wake_worker()
            :: else
            fi
        }
#if FUTURES
        wait_all();
        assert(gives_up || (done[0] && done[1]))
#else
        atomic {
            !call_locked ->
            if
            :: n_pending > 0 -> owner_sleeps = true
            :: else
            fi
        }
        if
        :: owner_sleeps || owner_woken -> owner_woken
        :: else
        fi;
        atomic { !call_locked -> assert(n_pending == 0 && state[0] == DONE && state[1] == DONE) }
#endif
    fi;
#if FUTURES
    atomic { drop_use() }       /* its future, that of job 1 */
    atomic { drop_use() }       /* the maker's */
#else
    canceller_over;             /* it may look at the call */
    call_lives = false;
#endif
    owner_over = true
}

active proctype destroyer()
{
    bool ends[N];
    byte i, p;
    configured;
    if
    :: true -> /* trdi_scheduler_stop() */
        aborted = true;
        atomic {
            closing = true;
            wake_worker();
            i = 0;
            do
            :: i < N ->
                if
                :: waits(i) -> take_out(i); finish(i); ends[i] = true
                :: else
                fi;
                i++
            :: else -> break
            od
        }
        publish_ended()
    :: true
    :: owner_over               /* only now: nobody has been woken by a shutdown */
    fi;
    atomic { closing = true; wake_worker() }
    worker_over;
    timer_stops = true;
    timer_over;
    atomic { assert(n_unfinished == 0 && n_submitting == 0 && n_queued == 0 && n_entering == 0); scheduler_lives = false }
    /* When all is over, every job has ended and been settled once, and all memory is back. */
    owner_over && canceller_over;
#if FUTURES
    n_uses == 0;
    assert(was_refused || (n_settled[0] == 1 && n_settled[1] == 1));
#endif
    assert(!call_lives && !call_locked);
    assert(was_refused || (n_ended[0] == 1 && n_ended[1] == 1 && n_pending == 0))
}
