/*
 * files_bell.c: one sleep for two kinds of news: futures that are done, and input that can be read. A pipe carries the first to poll(); where there
 * is no poll() for files, reading waits instead and a condition carries them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#if !defined(_WIN32)
#include <poll.h>
#endif

#include "api/files_private.h"
#include "core/alloc.h"

struct trdi_bell {
    atomic_llong n_references;
    atomic_llong n_rung;
    atomic_bool  is_ringing;      /* what rings now need not ring again */
#if defined(_WIN32)
    trdi_mutex   mutex;
    trdi_cond    changed;
#else
    int          ends[2];         /* of the pipe: read, write */
#endif
};

#if defined(_WIN32)
static trd_status open_news(trdi_bell *bell)
{
    TRDI_TRY(trdi_mutex_init(&bell->mutex));
    const trd_status status = trdi_cond_init(&bell->changed);
    if (status != TRD_OK) trdi_mutex_destroy(&bell->mutex);
    return status;
}

static void close_news(trdi_bell *bell)
{
    trdi_cond_destroy(&bell->changed);
    trdi_mutex_destroy(&bell->mutex);
}

static void send_news(trdi_bell *bell)
{
    trdi_mutex_lock(&bell->mutex);
    trdi_cond_signal(&bell->changed);
    trdi_mutex_unlock(&bell->mutex);
}

void trdi_bell_wait(trdi_bell *bell, trdi_lines *const inputs[2], int milliseconds, bool ready[2])
{
    for (int i = 0; i < 2; i++) ready[i] = inputs[i] != NULL;
    if (!ready[0] && !ready[1]) {
        const int64_t until = trdi_now_ns() + (int64_t)milliseconds * 1000000;
        trdi_mutex_lock(&bell->mutex);
        while (!atomic_load(&bell->is_ringing) && trdi_cond_wait_until(&bell->changed, &bell->mutex, until)) {}
        trdi_mutex_unlock(&bell->mutex);
    }
    atomic_store(&bell->is_ringing, false);
}
#else
static trd_status open_news(trdi_bell *bell)
{
    if (pipe(bell->ends) != 0) return trdi_fail(TRD_E_IO, "cannot make a pipe: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        (void)fcntl(bell->ends[i], F_SETFD, FD_CLOEXEC);
        (void)fcntl(bell->ends[i], F_SETFL, O_NONBLOCK);
    }
    return TRD_OK;
}

static void close_news(trdi_bell *bell)
{
    (void)close(bell->ends[0]);
    (void)close(bell->ends[1]);
}

static void send_news(trdi_bell *bell)
{
    while (write(bell->ends[1], "", 1) < 0 && errno == EINTR) {}
}

void trdi_bell_wait(trdi_bell *bell, trdi_lines *const inputs[2], int milliseconds, bool ready[2])
{
    struct pollfd news[3] = { { .fd = bell->ends[0], .events = POLLIN } };
    for (int i = 0; i < 2; i++) {
        ready[i] = inputs[i] != NULL && inputs[i]->is_regular;
        news[i + 1] = (struct pollfd){ .fd = inputs[i] != NULL && !ready[i] ? inputs[i]->descriptor : -1, .events = POLLIN };
    }
    const int n = poll(news, 3, ready[0] || ready[1] ? 0 : milliseconds);
    for (int i = 0; i < 2 && n > 0; i++) ready[i] = ready[i] || news[i + 1].revents != 0;
    char taken[16];
    while (n > 0 && news[0].revents != 0 && read(bell->ends[0], taken, sizeof taken) == (ssize_t)sizeof taken) {}
    /* Only now: what rings from here on writes again, and what rang before is found by whoever looks at the futures next. */
    atomic_store(&bell->is_ringing, false);
}
#endif

trd_status trdi_bell_create(trdi_bell **out)
{
    *out = NULL;
    trdi_bell *bell = trdi_calloc(1, sizeof *bell);
    if (bell == NULL) return trdi_fail(TRD_E_MEMORY, "file run: out of memory");
    atomic_init(&bell->n_references, 1);
    const trd_status status = open_news(bell);
    if (status != TRD_OK) {
        trdi_free(bell);
        return status;
    }
    *out = bell;
    return TRD_OK;
}

void trdi_bell_retain(trdi_bell *bell, int64_t n)
{
    atomic_fetch_add(&bell->n_references, (long long)n);
}

void trdi_bell_release(trdi_bell *bell, int64_t n)
{
    if (bell == NULL || atomic_fetch_sub(&bell->n_references, (long long)n) != (long long)n) return;
    close_news(bell);
    trdi_free(bell);
}

void trdi_bell_ring(void *context, trd_future *future)
{
    (void)future;
    trdi_bell *const bell = context;
    atomic_fetch_add(&bell->n_rung, 1);
    if (!atomic_exchange(&bell->is_ringing, true)) send_news(bell);
    trdi_bell_release(bell, 1);
}

int64_t trdi_bell_count(const trdi_bell *bell)
{
    return (int64_t)atomic_load(&bell->n_rung);
}
