/**
 * @file
 * trd_base.h: what every other header of the library needs: visibility, status codes, the text of the last failure,
 * version, log and allocator. Plain C11 or C++11 on standard headers only.
 */
#ifndef TRD_BASE_H
#define TRD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Marks what the library exports. Define TRD_STATIC to link the static library on Windows. */
#if defined(TRD_STATIC)
#define TRD_API
#elif defined(_WIN32)
#if defined(TRD_BUILDING)
#define TRD_API __declspec(dllexport)
#else
#define TRD_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define TRD_API __attribute__((visibility("default")))
#else
#define TRD_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Every status code: name, value, text. A value is never reused.
 *
 * INVALID      an argument or option is out of its documented range
 * MEMORY       host or device memory ran out
 * IO           a file could not be opened, read or written
 * FORMAT       a model file is malformed; the text names the file, the field and the number
 * UNSUPPORTED  well-formed, but this build, device or model cannot do it
 * RANGE        an index is past the end
 * STATE        the object cannot do this now (wrong kind of model, unloaded, closed)
 * CANCELLED    the work was cancelled before it ended
 * TIMEOUT      a wait ended before the work did
 * BUSY         a bounded queue is full
 * DEVICE       a driver or device refused or failed
 * FORKED       the object was made before a fork() and belongs to the parent
 * INTERNAL     our own bug; please report it
 */
#define TRD_STATUS_LIST(X)                                  \
    X(OK,          0,  "success")                           \
    X(E_INVALID,     1,  "invalid argument")                \
    X(E_MEMORY,      2,  "out of memory")                   \
    X(E_IO,          3,  "input or output failed")          \
    X(E_FORMAT,      4,  "malformed model")                 \
    X(E_UNSUPPORTED, 5,  "not supported")                   \
    X(E_RANGE,       6,  "index out of range")              \
    X(E_STATE,       7,  "not possible in this state")      \
    X(E_CANCELLED,   8,  "cancelled")                       \
    X(E_TIMEOUT,     9,  "timed out")                       \
    X(E_BUSY,        10, "busy")                            \
    X(E_DEVICE,      11, "device failure")                  \
    X(E_FORKED,      12, "object belongs to the parent process") \
    X(E_INTERNAL,    13, "internal error")

/** Result of every call that can fail. */
typedef enum trd_status {
#define TRD_STATUS_ENUM(name, value, text) TRD_##name = value,
    TRD_STATUS_LIST(TRD_STATUS_ENUM)
#undef TRD_STATUS_ENUM
} trd_status;

/** The short text of a status, such as "invalid argument"; never NULL, static. Threads: any. */
TRD_API const char *trd_status_text(trd_status status);

/**
 * What the calling thread's last failed call said: what failed, on which object, with which numbers.
 *
 * @return borrowed until this thread's next failing call; "" before the first failure; never NULL
 */
TRD_API const char *trd_last_error(void);

/** Version of the loaded library, "major.minor.patch"; static. */
TRD_API const char *trd_version(void);

/** Element types of tensors, numbered as in model files. */
typedef enum trd_dtype {
    TRD_DTYPE_F32 = 0,
    TRD_DTYPE_I8 = 1,
    TRD_DTYPE_I16 = 2,
    TRD_DTYPE_I32 = 3,
    TRD_DTYPE_F16 = 4,
    TRD_DTYPE_BF16 = 5
} trd_dtype;

/** "f32", "i8" ...; "?" for an unknown value; static. */
TRD_API const char *trd_dtype_name(trd_dtype dtype);
/** Bytes of one element; 0 for an unknown value. */
TRD_API size_t trd_dtype_bytes(trd_dtype dtype);

/** Log levels, most severe first. The library is silent (TRD_LOG_OFF) until told otherwise. */
typedef enum trd_log_level {
    TRD_LOG_OFF = 0,
    TRD_LOG_ERROR = 1,
    TRD_LOG_WARNING = 2,
    TRD_LOG_INFO = 3,
    TRD_LOG_DEBUG = 4,
    TRD_LOG_TRACE = 5
} trd_log_level;

/**
 * Receives one line, without newline; text is borrowed for the call. May be called from any thread, also concurrently, and while the library
 * holds locks: it must not call the library.
 */
typedef void (*trd_log_callback)(void *context, trd_log_level level, const char *text);

/**
 * Choose what is logged and where to. Replaces the environment's TREADLE_LOG and CT2_VERBOSE.
 *
 * @param callback  NULL writes lines to standard error
 * @param context   handed to callback; must outlive its use
 * Threads: call before other threads use the library.
 */
TRD_API void trd_log_set(trd_log_level level, trd_log_callback callback, void *context);
/** The level in force: of trd_log_set(), else of TREADLE_LOG, else of CT2_VERBOSE, else off. */
TRD_API trd_log_level trd_log_get_level(void);

/** Memory for the library itself. Both functions may be called from any thread. */
typedef struct trd_allocator {
    void *context;                                                     /**< handed to both */
    void *(*alloc)(void *context, size_t bytes, size_t alignment);     /**< NULL on failure; alignment is a power of two */
    void  (*free)(void *context, void *memory);                        /**< memory may be NULL */
} trd_allocator;

/**
 * Use another allocator from now on.
 *
 * @param allocator  copied; NULL restores the C library's
 * @return TRD_OK; TRD_E_INVALID if a function is NULL; TRD_E_STATE while the library still holds memory of the old one
 * Threads: call before other threads use the library.
 */
TRD_API trd_status trd_allocator_set(const trd_allocator *allocator);

/** Free a text that the library gave to the caller. NULL does nothing. Threads: any. */
TRD_API void trd_string_free(char *text);

/** Bytes and blocks that the library holds on the host at this moment, counted for leak tests and for memory displays. */
TRD_API void trd_memory_in_use(size_t *bytes, size_t *blocks);

#ifdef __cplusplus
}
#endif
#endif /* TRD_BASE_H */
