/*
 * check.h: checks for test programs. A failing check prints file, line, both values and ends the program with 1.
 * SKIP(reason) prints the reason and ends it with 77. NO_DEVICE(reason) does so too, but fails where tests/opencl/with has found an implementation.
 */
#ifndef TRD_TESTS_CHECK_H
#define TRD_TESTS_CHECK_H

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "treadle/trd_base.h"

/* Sanitizers are slow, and forbid some things. */
#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define UNDER_THREAD_SANITIZER 1
#else
#define UNDER_THREAD_SANITIZER 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define UNDER_ADDRESS_SANITIZER 1
#else
#define UNDER_ADDRESS_SANITIZER 0
#endif

#define CHECK(condition)                                                                        \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);           \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

#define CHECK_OK(call)                                                                          \
    do {                                                                                        \
        const trd_status check_status_ = (call);                                                \
        if (check_status_ != TRD_OK) {                                                          \
            fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #call,                   \
                    trd_status_text(check_status_), trd_last_error());                          \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

/** call fails with status, and its text holds part. */
#define CHECK_FAILS(call, status, part)                                                         \
    do {                                                                                        \
        const trd_status check_status_ = (call);                                                \
        if (check_status_ != (status) || strstr(trd_last_error(), (part)) == NULL) {            \
            fprintf(stderr, "%s:%d: %s: wanted %s with \"%s\", got %s: %s\n", __FILE__, __LINE__, #call, \
                    trd_status_text(status), (part), trd_status_text(check_status_), trd_last_error()); \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

#define CHECK_INT(got, want)                                                                    \
    do {                                                                                        \
        const int64_t check_got_ = (int64_t)(got), check_want_ = (int64_t)(want);               \
        if (check_got_ != check_want_) {                                                        \
            fprintf(stderr, "%s:%d: %s is %" PRId64 ", wanted %" PRId64 "\n", __FILE__, __LINE__, #got, check_got_, check_want_); \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

#define CHECK_STRING(got, want)                                                                 \
    do {                                                                                        \
        const char *check_got_ = (got), *check_want_ = (want);                                  \
        if (check_got_ == NULL || strcmp(check_got_, check_want_) != 0) {                       \
            fprintf(stderr, "%s:%d: %s is \"%s\", wanted \"%s\"\n", __FILE__, __LINE__, #got,   \
                    check_got_ ? check_got_ : "(null)", check_want_);                           \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

#define CHECK_NEAR(got, want, tolerance)                                                        \
    do {                                                                                        \
        const double check_got_ = (double)(got), check_want_ = (double)(want);                  \
        if (!(fabs(check_got_ - check_want_) <= (double)(tolerance))) {                         \
            fprintf(stderr, "%s:%d: %s is %.9g, wanted %.9g within %g\n", __FILE__, __LINE__, #got, \
                    check_got_, check_want_, (double)(tolerance));                              \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

#define SKIP(...)                                                                               \
    do {                                                                                        \
        printf("skipped: " __VA_ARGS__);                                                        \
        printf("\n");                                                                           \
        exit(77);                                                                               \
    } while (0)

/** No device to test on: a failure where the environment promises one, else a skip. */
#define NO_DEVICE(...)                                                                          \
    do {                                                                                        \
        const char *check_promised_ = getenv("TREADLE_TEST_IMPLEMENTATION");                    \
        if (check_promised_ == NULL || strcmp(check_promised_, "none") == 0) SKIP(__VA_ARGS__); \
        fprintf(stderr, "%s is installed, but: ", check_promised_);                             \
        fprintf(stderr, __VA_ARGS__);                                                           \
        fprintf(stderr, "\n");                                                                  \
        exit(1);                                                                                \
    } while (0)

#endif
