/* progress.c: draws how far a run is. */
#include "progress.h"

#include <stdio.h>
#include <time.h>

/** Seconds between two lines where standard error is no terminal. */
static const double LINE_SECONDS = 5, TERMINAL_SECONDS = 0.2;

double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void print_time(double seconds)
{
    const long long s = seconds < 0 ? 0 : (long long)(seconds + 0.5);
    if (s >= 3600) fprintf(stderr, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else fprintf(stderr, "%lld:%02lld", s / 60, s % 60);
}

static void draw_bar(double part)
{
    enum { WIDTH = 24 };
    const int filled = (int)(part * WIDTH);
    fprintf(stderr, "%3d%% [", (int)(part * 100));
    for (int i = 0; i < WIDTH; i++) fputc(i < filled ? '=' : i == filled ? '>' : ' ', stderr);
    fputs("] ", stderr);
}

static void draw(progress *p)
{
    const trd_progress *now = &p->last;
    const double bytes = (double)now->n_bytes, total = (double)now->n_total_bytes;
    if (p->on_terminal) fputs("\r\033[K", stderr);
    if (total > 0) draw_bar(bytes >= total ? 1.0 : bytes / total);
    fprintf(stderr, "%lld examples, %.1f/s, ", (long long)now->n_done, now->seconds > 0 ? (double)now->n_done / now->seconds : 0.0);
    if (total > 0 && bytes > 0 && bytes < total) {
        print_time(now->seconds * (total / bytes - 1));
        fputs(" left", stderr);
    } else {
        print_time(now->seconds);
    }
    if (!p->on_terminal) fputc('\n', stderr);
    (void)fflush(stderr);
    p->is_drawn = p->on_terminal;
}

void progress_show(void *display, const trd_progress *now)
{
    progress *p = display;
    p->last = *now;
    if (now->seconds - p->last_seconds < (p->on_terminal ? TERMINAL_SECONDS : LINE_SECONDS)) return;
    p->last_seconds = now->seconds;
    draw(p);
}

void progress_end(progress *p)
{
    draw(p);
    if (p->is_drawn) fputc('\n', stderr);
    p->is_drawn = false;
}
