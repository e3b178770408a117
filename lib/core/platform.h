/* platform.h: the few places where C17 is not enough, by compiler and system. */
#ifndef TRDI_PLATFORM_H
#define TRDI_PLATFORM_H

#if defined(__GNUC__)
#define TRDI_THREAD_LOCAL __thread
#else
#define TRDI_THREAD_LOCAL _Thread_local
#endif

/** Read an int that a signal handler or another thread may write at any time, as a relaxed atomic load of a plain int. @param place  const volatile int * */
#if defined(__GNUC__)
#define TRDI_LOAD_INT(place) __atomic_load_n((place), __ATOMIC_RELAXED)
#else
#define TRDI_LOAD_INT(place) (*(place))
#endif

#endif
