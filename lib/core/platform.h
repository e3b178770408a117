/* platform.h: the few places where C17 is not enough, by compiler and system. */
#ifndef TRDI_PLATFORM_H
#define TRDI_PLATFORM_H

#if defined(__GNUC__)
#define TRDI_THREAD_LOCAL __thread
#else
#define TRDI_THREAD_LOCAL _Thread_local
#endif

#endif
