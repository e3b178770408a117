/*
 * wakes.pml: who is woken for a job, for the model checker spin: pass_on() and trdi_worker_take() of lib/sched/sched_take.c. Three workers, each with
 * a condition of its own; jobs that come one by one or two at once and may go again, cancelled; and a policy that is any: whether a worker takes a job
 * changes with the state of things only, and somebody takes it when all are idle. Checked are all interleavings: no job waits while a worker sleeps that
 * would take it, and all end.
 *
 * A section under the scheduler's mutex is one atomic step. The environment's MUTATION=n breaks one rule: run_model.sh wants each to be found.
 */
bool configured;
byte mutation;
inline configure()
{
    c_code { now.mutation = getenv("MUTATION") != NULL ? atoi(getenv("MUTATION")) : 0; };
    configured = true
}
#define W 3
#define JOBS 3

byte n_queued, n_unfinished, n_left = JOBS;
bool closing;
bool idle[W], woken[W], signalled[W], seen[W], willing[W], busy[W];
byte n_idle, n_woken;

#define is_over (closing && n_unfinished == 0)
#define all_rest (!busy[0] && !busy[1] && !busy[2])
/* nobody_would(): without it a job might wait for nobody. */
#define nobody_would (all_rest && !willing[0] && !willing[1] && !willing[2])

/* pass_on(): seen[w] stands for worker->seen == n_changes. First those that would take it, then any. */
inline wake_some(only_willing)
{
    w = 0;
    do
    :: w < W ->
        if
        :: wanted > 0 && idle[w] && !woken[w] && !seen[w] && (willing[w] || !only_willing) ->
            woken[w] = true;
            n_woken++;
            signalled[w] = true;
            wanted--
        :: else
        fi;
        w++
    :: else -> break
    od
}

inline pass_on()
{
    if
    :: n_queued > n_woken ->
        wanted = n_queued - n_woken;
        wake_some(true);
        if
        :: mutation == 1 -> skip    /* those who would leave it are never asked: then nobody finds that all are idle */
        :: else -> wake_some(false)
        fi
    :: else
    fi;
    w = 0;
    wanted = 0
}

/* Something has changed: the policy may think otherwise of everybody. */
inline changed()
{
    w = 0;
    do
    :: w < W ->
        seen[w] = false;
        if
        :: willing[w] = true
        :: willing[w] = false
        fi;
        w++
    :: else -> break
    od;
    if
    :: n_queued > 0 && n_idle > 0 -> pass_on()
    :: else
    fi;
    w = 0
}

inline wake_all()
{
    signalled[0] = true;
    signalled[1] = true;
    signalled[2] = true
}

inline finish()
{
    n_unfinished--;
    changed();
    if
    :: is_over -> wake_all()
    :: else
    fi
}

active [W] proctype worker()
{
    byte w, wanted;
    bool over;
    configured;
    do
    :: true ->
        atomic {
            if
            :: idle[_pid] ->        /* sleep_idle() returns */
                idle[_pid] = false;
                n_idle--;
                if
                :: woken[_pid] ->
                    woken[_pid] = false;
                    if
                    :: mutation == 2 -> skip    /* counted as on its way for ever */
                    :: else -> n_woken--
                    fi
                :: else
                fi
            :: else
            fi;
            if
            :: n_queued > 0 && (willing[_pid] || nobody_would) ->
                n_queued--;
                busy[_pid] = true;
                changed()
            :: else ->
                over = is_over;
                if
                :: over -> break
                :: else ->
                    seen[_pid] = true;
                    idle[_pid] = true;
                    n_idle++;
                    signalled[_pid] = false;
                    if
                    :: mutation == 3 -> skip    /* who leaves a job does not wake the next one */
                    :: else -> pass_on()
                    fi
                fi
            fi
        }
        if
        :: busy[_pid] -> atomic { busy[_pid] = false; finish() }
        :: else -> atomic { signalled[_pid] -> signalled[_pid] = false }
        fi
    od
}

active proctype submitter()
{
    byte w, wanted;
    atomic { configure() }
    do
    :: atomic { n_left > 0 -> n_left--; n_queued++; n_unfinished++; changed() }
    :: atomic { n_left > 1 -> n_left = n_left - 2; n_queued = n_queued + 2; n_unfinished = n_unfinished + 2; changed() }
    :: atomic { n_queued > 0 -> n_queued--; finish() }  /* cancelled */
    :: atomic { n_left == 0 -> break }
    od;
    n_unfinished == 0;              /* all end, and not because of the shutdown */
    atomic { closing = true; wake_all() }
}
