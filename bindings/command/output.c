/* output.c: the output file and the thread that waits for interrupts. */
#include "output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_SIGNAL_STATUS = 128 };

/** Lock, but not for longer than a second: a writer may hang on a full pipe. */
static bool lock_soon(pthread_mutex_t *mutex)
{
    for (int i = 0; i < 100; i++) {
        if (pthread_mutex_trylock(mutex) == 0) return true;
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    return false;
}

/** The signals of an interrupt that are not ignored. */
static bool watched_signals(sigset_t *set)
{
    static const int signals[] = { SIGINT, SIGTERM };
    bool any = false;
    sigemptyset(set);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction now;
        if (sigaction(signals[i], NULL, &now) != 0 || now.sa_handler == SIG_IGN) continue;
        sigaddset(set, signals[i]);
        any = true;
    }
    return any;
}

static void *watch(void *context)
{
    output *out = context;
    sigset_t set;
    int signal = SIGINT;
    if (!watched_signals(&set) || sigwait(&set, &signal) != 0) return NULL;
    if (lock_soon(&out->mutex)) {
        if (out->file != NULL) (void)fflush(out->file);
        if (out->shows_progress) fputc('\n', stderr);
    }
    _exit(FIRST_SIGNAL_STATUS + signal);
}

void output_init(output *out)
{
    memset(out, 0, sizeof *out);
    pthread_mutex_init(&out->mutex, NULL);
    sigset_t set;
    if (!watched_signals(&set)) return;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    out->watched = pthread_create(&out->watcher, NULL, watch, out) == 0;
    if (!out->watched) pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool output_open(output *out, const char *path)
{
    const bool standard = path == NULL || strcmp(path, "-") == 0;
    FILE *file = standard ? stdout : fopen(path, "wb");
    (void)snprintf(out->name, sizeof out->name, "%s", standard ? "standard output" : path);
    if (file == NULL) return false;
    out->on_terminal = isatty(fileno(file)) == 1;
    output_begin(out);
    out->file = file;
    output_end(out);
    return true;
}

void output_begin(output *out)
{
    pthread_mutex_lock(&out->mutex);
}

void output_end(output *out)
{
    pthread_mutex_unlock(&out->mutex);
}

int output_flush(output *out)
{
    errno = 0;
    if (fflush(out->file) == 0 && ferror(out->file) == 0) return 0;
    return errno != 0 ? errno : EIO;
}

int output_close(output *out)
{
    int error = 0;
    output_begin(out);
    if (out->file != NULL) {
        error = output_flush(out);
        if (out->file != stdout && fclose(out->file) != 0 && error == 0) error = errno;
    }
    out->file = NULL;
    output_end(out);
    if (out->watched) {
        pthread_cancel(out->watcher);
        pthread_join(out->watcher, NULL);
    }
    pthread_mutex_destroy(&out->mutex);
    return error;
}
