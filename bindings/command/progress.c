/* progress.c: draws the progress line. Between chunks it moves by the number of examples the translator still holds. */
#include "progress.h"

#include <stdio.h>
#include <time.h>

double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/** Examples done, written or not. */
static double examples_done(const progress *p)
{
    trd_translator_info info = { .struct_size = sizeof info };
    double active = (double)(p->read_examples - p->written_examples);
    if (trd_translator_get_info(p->translator, &info) == TRD_OK && (double)info.n_active < active)
        active = (double)info.n_active;
    return (double)p->read_examples - active;
}

static void print_time(double seconds)
{
    const long long s = seconds < 0 ? 0 : (long long)(seconds + 0.5);
    if (s >= 3600) fprintf(stderr, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else fprintf(stderr, "%lld:%02lld", s / 60, s % 60);
}

static void draw(const progress *p)
{
    enum { WIDTH = 24 };
    const double elapsed = clock_seconds() - p->started, done = examples_done(p);
    const double rate = elapsed > 0 ? done / elapsed : 0;
    const double in_work = (double)(p->read_examples - p->written_examples);
    double bytes = (double)p->written_bytes;
    if (in_work > 0)
        bytes += (double)(p->read_bytes - p->written_bytes) * (done - (double)p->written_examples) / in_work;

    fputs("\r\033[K", stderr);
    if (p->total_bytes > 0) {
        const double part = bytes >= (double)p->total_bytes ? 1.0 : bytes / (double)p->total_bytes;
        const int filled = (int)(part * WIDTH);
        fprintf(stderr, "%3d%% [", (int)(part * 100));
        for (int i = 0; i < WIDTH; i++) fputc(i < filled ? '=' : i == filled ? '>' : ' ', stderr);
        fputs("] ", stderr);
    }
    fprintf(stderr, "%.0f examples, %.1f/s, ", done, rate);
    if (p->total_bytes > 0 && bytes > 0 && bytes < (double)p->total_bytes) {
        print_time(elapsed * ((double)p->total_bytes / bytes - 1));
        fputs(" left", stderr);
    } else {
        print_time(elapsed);
    }
    (void)fflush(stderr);
}

static void *draw_often(void *context)
{
    progress *p = context;
    pthread_mutex_lock(&p->mutex);
    while (!p->stop) {
        draw(p);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 250000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&p->stopped, &p->mutex, &until);
    }
    draw(p);
    pthread_mutex_unlock(&p->mutex);
    fputc('\n', stderr);
    return NULL;
}

void progress_start(progress *p, bool show, trd_translator *translator, int64_t total_bytes)
{
    *p = (progress){ .translator = translator, .total_bytes = total_bytes, .started = clock_seconds() };
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->stopped, NULL);
    p->shown = show && pthread_create(&p->drawer, NULL, draw_often, p) == 0;
}

void progress_read(progress *p, int64_t examples, int64_t byte)
{
    pthread_mutex_lock(&p->mutex);
    p->read_examples += examples;
    p->read_bytes = byte;
    pthread_mutex_unlock(&p->mutex);
}

void progress_written(progress *p, int64_t examples, int64_t byte, int64_t tokens)
{
    pthread_mutex_lock(&p->mutex);
    p->written_examples += examples;
    p->written_bytes = byte;
    p->tokens += tokens;
    pthread_mutex_unlock(&p->mutex);
}

void progress_stop(progress *p)
{
    pthread_mutex_lock(&p->mutex);
    p->stop = true;
    pthread_cond_signal(&p->stopped);
    pthread_mutex_unlock(&p->mutex);
    if (p->shown) pthread_join(p->drawer, NULL);
    pthread_cond_destroy(&p->stopped);
    pthread_mutex_destroy(&p->mutex);
}
