/* team.c: threads inside an operation (the one file that uses OpenMP), their barrier, their floating-point control. */
#include "backend/cpu/team.h"

#include <sched.h>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__SANITIZE_THREAD__) && defined(__GNUC__)
/* The OpenMP runtime is not instrumented, so the hand-over of its own argument block looks like a race. */
#define UNSEEN __attribute__((no_sanitize_thread, noinline))
#else
#define UNSEEN
#endif

UNSEEN static void run_team(int32_t n_threads, trdi_team_function function, void *context)
{
#if defined(_OPENMP)
#pragma omp parallel num_threads(n_threads)
    function(context, omp_get_thread_num(), omp_get_num_threads());
#else
    (void)n_threads;
    function(context, 0, 1);
#endif
}

void trdi_team_run(int32_t n_threads, trdi_team_function function, void *context)
{
    if (n_threads <= 1) function(context, 0, 1);
    else run_team(n_threads, function, context);
}

trd_status trdi_barrier_init(trdi_barrier *barrier)
{
    atomic_init(&barrier->waiting, 0);
    atomic_init(&barrier->round, 0);
    atomic_init(&barrier->sleeping, 0);
    TRDI_TRY(trdi_mutex_init(&barrier->mutex));
    const trd_status status = trdi_cond_init(&barrier->changed);
    if (status != TRD_OK) trdi_mutex_destroy(&barrier->mutex);
    return status;
}

void trdi_barrier_destroy(trdi_barrier *barrier)
{
    trdi_cond_destroy(&barrier->changed);
    trdi_mutex_destroy(&barrier->mutex);
}

static void relax(void)
{
#if defined(__SSE2__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Returns when the round has changed: at once, after spinning, after giving up the core a few times, or woken up. */
static void wait_for_round(trdi_barrier *barrier, unsigned round)
{
    for (int i = 0; i < 2000; i++) {
        if (atomic_load_explicit(&barrier->round, memory_order_acquire) != round) return;
        relax();
    }
    for (int i = 0; i < 8; i++) {
        if (atomic_load_explicit(&barrier->round, memory_order_acquire) != round) return;
        (void)sched_yield();
    }
    trdi_mutex_lock(&barrier->mutex);
    atomic_fetch_add(&barrier->sleeping, 1);
    while (atomic_load(&barrier->round) == round) trdi_cond_wait(&barrier->changed, &barrier->mutex);
    atomic_fetch_sub(&barrier->sleeping, 1);
    trdi_mutex_unlock(&barrier->mutex);
}

void trdi_barrier_wait(trdi_barrier *barrier, int32_t count)
{
    if (count <= 1) return;
    const unsigned round = atomic_load_explicit(&barrier->round, memory_order_acquire);
    if (atomic_fetch_add_explicit(&barrier->waiting, 1, memory_order_acq_rel) + 1 < count) {
        wait_for_round(barrier, round);
        return;
    }
    atomic_store_explicit(&barrier->waiting, 0, memory_order_relaxed);
    /* Both sequentially consistent: either the sleeper sees the new round, or it is seen here. */
    atomic_store(&barrier->round, round + 1);
    if (atomic_load(&barrier->sleeping) > 0) {
        trdi_mutex_lock(&barrier->mutex);
        trdi_cond_broadcast(&barrier->changed);
        trdi_mutex_unlock(&barrier->mutex);
    }
}

uint64_t trdi_float_control_enter(void)
{
#if defined(__SSE2__)
    const unsigned before = _mm_getcsr();
    /* All exceptions masked, flush to zero (bit 15), denormals are zero (bit 6), round to nearest (bits 13-14 clear). */
    _mm_setcsr(0x1f80u | 0x8040u);
    return before;
#elif defined(__aarch64__)
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    const uint64_t wanted = UINT64_C(1) << 24;   /* FZ; rounding mode 0 */
    __asm__ volatile("msr fpcr, %0" : : "r"(wanted));
    return before;
#else
    return 0;
#endif
}

void trdi_float_control_leave(uint64_t before)
{
#if defined(__SSE2__)
    /* Status flags that the user's thread had raised stay raised; ours are dropped. */
    _mm_setcsr((unsigned)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}
