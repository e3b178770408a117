/* platform.h: the few places where C17 is not enough, by compiler and system. */
#ifndef TRDI_PLATFORM_H
#define TRDI_PLATFORM_H

#if defined(__GNUC__)
#define TRDI_THREAD_LOCAL __thread
#define TRDI_RESTRICT __restrict__
#define TRDI_LIKELY(x) __builtin_expect(!!(x), 1)
#else
#define TRDI_THREAD_LOCAL _Thread_local
#define TRDI_RESTRICT restrict
#define TRDI_LIKELY(x) (x)
#endif

#endif
