/* memory_budget.c: see memory_budget.h. Taking and giving are atomic; only waiting and the list of users have locks. */
#include "device/memory_budget.h"

trd_status trdi_memory_budget_init(trdi_memory_budget *budget)
{
    *budget = (trdi_memory_budget){ .users = NULL };
    TRDI_TRY(trdi_mutex_init(&budget->mutex));
    trd_status status = trdi_mutex_init(&budget->wait_mutex);
    if (status == TRD_OK) {
        status = trdi_cond_init(&budget->changed);
        if (status != TRD_OK) trdi_mutex_destroy(&budget->wait_mutex);
    }
    if (status != TRD_OK) trdi_mutex_destroy(&budget->mutex);
    return status;
}

void trdi_memory_budget_destroy(trdi_memory_budget *budget)
{
    trdi_cond_destroy(&budget->changed);
    trdi_mutex_destroy(&budget->wait_mutex);
    trdi_mutex_destroy(&budget->mutex);
}

static void tell_change(trdi_memory_budget *budget)
{
    trdi_mutex_lock(&budget->wait_mutex);
    budget->n_changes++;
    trdi_cond_broadcast(&budget->changed);
    trdi_mutex_unlock(&budget->wait_mutex);
}

void trdi_memory_budget_set_limit(trdi_memory_budget *budget, int64_t bytes)
{
    atomic_store(&budget->limit, bytes);
    tell_change(budget);
}

/* ---- Bytes ---- */

static bool try_to_take(trdi_memory_budget *budget, trdi_memory_part part, long long bytes)
{
    const long long limit = atomic_load(&budget->limit);
    long long used = atomic_load(&budget->used);
    do {
        if (limit > 0 && (used > limit || bytes > limit - used)) return false;
    } while (!atomic_compare_exchange_weak(&budget->used, &used, used + bytes));
    atomic_fetch_add(&budget->parts[part], bytes);
    long long peak = atomic_load(&budget->peak);
    while (peak < used + bytes && !atomic_compare_exchange_weak(&budget->peak, &peak, used + bytes)) {}
    return true;
}

trd_status trdi_memory_budget_take(trdi_memory_budget *budget, trdi_memory_part part, size_t bytes)
{
    if (budget == NULL) return TRD_OK;
    if (bytes > INT64_MAX / 2) return trdi_fail(TRD_E_MEMORY, "%zu bytes are more than any memory has", bytes);
    if (try_to_take(budget, part, (long long)bytes)) return TRD_OK;
    trdi_memory_budget_empty(budget);
    if (try_to_take(budget, part, (long long)bytes)) return TRD_OK;
    return trdi_fail(TRD_E_MEMORY, "%zu bytes beside the %lld in use are past the memory limit of %lld", bytes,
                     atomic_load(&budget->used), atomic_load(&budget->limit));
}

void trdi_memory_budget_give(trdi_memory_budget *budget, trdi_memory_part part, size_t bytes)
{
    if (budget == NULL) return;
    atomic_fetch_sub(&budget->parts[part], (long long)bytes);
    atomic_fetch_sub(&budget->used, (long long)bytes);
    tell_change(budget);
}

trd_status trdi_memory_budget_alloc(trdi_memory_budget *budget, trdi_memory_part part, const trdi_backend_ops *ops, void *device,
                                    size_t bytes, trdi_memory kind, void **buffer)
{
    TRDI_TRY(trdi_memory_budget_take(budget, part, bytes));
    trd_status status = ops->buffer_alloc(device, bytes, kind, buffer);
    if (status == TRD_E_MEMORY && budget != NULL) {
        trdi_memory_budget_empty(budget);
        status = ops->buffer_alloc(device, bytes, kind, buffer);
    }
    if (status != TRD_OK) trdi_memory_budget_give(budget, part, bytes);
    return status;
}

void trdi_memory_budget_free(trdi_memory_budget *budget, trdi_memory_part part, const trdi_backend_ops *ops, void *buffer, size_t bytes)
{
    if (buffer == NULL) return;
    ops->buffer_free(buffer);
    trdi_memory_budget_give(budget, part, bytes);
}

/* ---- Users ---- */

void trdi_memory_budget_register(trdi_memory_budget *budget, trdi_memory_user *user)
{
    trdi_mutex_lock(&budget->mutex);
    user->next = budget->users;
    budget->users = user;
    trdi_mutex_unlock(&budget->mutex);
}

void trdi_memory_budget_unregister(trdi_memory_budget *budget, trdi_memory_user *user)
{
    trdi_memory_budget_yield(budget, user);
    trdi_mutex_lock(&budget->mutex);
    trdi_memory_user **link = &budget->users;
    while (*link != NULL && *link != user) link = &(*link)->next;
    if (*link != NULL) *link = user->next;
    trdi_mutex_unlock(&budget->mutex);
}

void trdi_memory_budget_empty(trdi_memory_budget *budget)
{
    trdi_mutex_lock(&budget->mutex);
    for (trdi_memory_user *user = budget->users; user != NULL; user = user->next) user->give_back(user->context);
    trdi_mutex_unlock(&budget->mutex);
}

/* ---- Turns ---- */

bool trdi_memory_budget_claim(trdi_memory_budget *budget, const trdi_memory_user *user)
{
    uintptr_t nobody = 0;
    return atomic_compare_exchange_strong(&budget->turn, &nobody, (uintptr_t)user) || nobody == (uintptr_t)user;
}

bool trdi_memory_budget_is_claimed(const trdi_memory_budget *budget, const trdi_memory_user *user)
{
    const uintptr_t turn = atomic_load(&budget->turn);
    return turn != 0 && turn != (uintptr_t)user;
}

void trdi_memory_budget_yield(trdi_memory_budget *budget, const trdi_memory_user *user)
{
    uintptr_t mine = (uintptr_t)user;
    if (atomic_compare_exchange_strong(&budget->turn, &mine, 0)) tell_change(budget);
}

void trdi_memory_budget_wait(trdi_memory_budget *budget, int64_t most_ns)
{
    const int64_t deadline = trdi_now_ns() + most_ns;
    trdi_mutex_lock(&budget->wait_mutex);
    const uint64_t before = budget->n_changes;
    while (budget->n_changes == before && trdi_cond_wait_until(&budget->changed, &budget->wait_mutex, deadline)) {}
    trdi_mutex_unlock(&budget->wait_mutex);
}
