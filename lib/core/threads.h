/* threads.h: POSIX threads under our names (winpthreads on Windows), so that one header decides. */
#ifndef TRDI_THREADS_H
#define TRDI_THREADS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

typedef pthread_mutex_t trdi_mutex;
typedef pthread_cond_t trdi_cond;
typedef pthread_t trdi_thread;
typedef pthread_once_t trdi_once;
#define TRDI_ONCE_INIT PTHREAD_ONCE_INIT
#define TRDI_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER

trd_status trdi_mutex_init(trdi_mutex *mutex);
/** Condition on the monotonic clock. */
trd_status trdi_cond_init(trdi_cond *cond);
static inline void trdi_mutex_destroy(trdi_mutex *mutex) { (void)pthread_mutex_destroy(mutex); }
static inline void trdi_cond_destroy(trdi_cond *cond) { (void)pthread_cond_destroy(cond); }
static inline void trdi_mutex_lock(trdi_mutex *mutex) { (void)pthread_mutex_lock(mutex); }
static inline bool trdi_mutex_try_lock(trdi_mutex *mutex) { return pthread_mutex_trylock(mutex) == 0; }
static inline void trdi_mutex_unlock(trdi_mutex *mutex) { (void)pthread_mutex_unlock(mutex); }
static inline void trdi_cond_wait(trdi_cond *cond, trdi_mutex *mutex) { (void)pthread_cond_wait(cond, mutex); }
static inline void trdi_cond_signal(trdi_cond *cond) { (void)pthread_cond_signal(cond); }
static inline void trdi_cond_broadcast(trdi_cond *cond) { (void)pthread_cond_broadcast(cond); }
static inline void trdi_once_run(trdi_once *once, void (*function)(void)) { (void)pthread_once(once, function); }
/** Wait until signalled or until deadline_ns of trdi_now_ns(); false when the deadline passed. */
bool trdi_cond_wait_until(trdi_cond *cond, trdi_mutex *mutex, int64_t deadline_ns);
/** Start function(argument) on a new thread, named for debuggers (at most 15 characters). */
trd_status trdi_thread_start(trdi_thread *thread, const char *name, void *(*function)(void *), void *argument);
static inline void trdi_thread_join(trdi_thread thread) { (void)pthread_join(thread, NULL); }
/** Number of this process: another one after a fork(). */
int64_t trdi_process_id(void);
/** Forks between the process that loaded the library and this one: what was made in another generation belongs to a parent. From 0. */
int64_t trdi_fork_generation(void);

/**
 * A lock of the whole library, static and zero but for TRDI_GLOBAL_MUTEX_INIT. In a child of fork() it is free, whoever of the parent's threads
 * held it. Held for moments, never while a back end or the user is called.
 */
typedef struct trdi_global_mutex {
    trdi_mutex   mutex;
    atomic_llong generation;   /**< of the fork that the mutex was last made in; -g: being made anew in g */
} trdi_global_mutex;
#define TRDI_GLOBAL_MUTEX_INIT { .mutex = TRDI_MUTEX_INIT }
void trdi_global_lock(trdi_global_mutex *mutex);
static inline void trdi_global_unlock(trdi_global_mutex *mutex) { trdi_mutex_unlock(&mutex->mutex); }
/**
 * Is this thread the first of its generation to come by? Then true, and trdi_fork_adopted() must follow, until which others wait here. Others
 * get false: everything is of this generation.
 */
bool trdi_fork_adopt(atomic_llong *generation);
void trdi_fork_adopted(atomic_llong *generation);
/** Monotonic time. */
int64_t trdi_now_ns(void);
/** Processor time that this thread has used. */
int64_t trdi_thread_cpu_ns(void);

#endif
