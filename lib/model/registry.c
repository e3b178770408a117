/*
 * registry.c: the names of a container: which variable a name means, which names lie below a scope, in which order they are listed.
 * The first definition of a name wins; an alias is resolved when it is added, so no chain is ever followed later.
 */
#include <string.h>

#include "core/alloc.h"
#include "core/log.h"
#include "model/model_private.h"

static trd_status add_entry(trdi_container *c, trdi_entry entry, bool *inserted)
{
    if (c->index == NULL) c->index = trdi_string_map_create(64);
    if (c->index == NULL || !trdi_reserve((void **)&c->entries, &c->entries_capacity, c->n_entries + 1, sizeof *c->entries) ||
        !trdi_string_map_add(c->index, entry.name, strlen(entry.name), (int64_t)c->n_entries, inserted)) {
        return trdi_fail(TRD_E_MEMORY, "file '%s': name %zu", c->file, c->n_entries);
    }
    if (*inserted) c->entries[c->n_entries++] = entry;
    return TRD_OK;
}

trd_status trdi_registry_add_variable(trdi_container *c, const char *name, const trdi_variable *variable)
{
    if (!trdi_reserve((void **)&c->variables, &c->variables_capacity, c->n_variables + 1, sizeof *c->variables)) {
        return trdi_fail(TRD_E_MEMORY, "file '%s': variable %zu", c->file, c->n_variables);
    }
    bool inserted;
    TRDI_TRY(add_entry(c, (trdi_entry){ .name = name, .variable = c->n_variables, .listed = true }, &inserted));
    if (!inserted) {
        trdi_log(TRD_LOG_WARNING, "file '%s': variable '%.*s' occurs twice; the first one is used", c->file, TRDI_SHOWN, name);
        return TRD_OK;
    }
    c->variables[c->n_variables] = *variable;
    c->variables[c->n_variables].tensor.name = name;
    c->n_variables++;
    return TRD_OK;
}

static const trdi_entry *find_entry(const trdi_container *c, const char *name)
{
    if (c->index == NULL) return NULL;
    const int64_t at = trdi_string_map_get(c->index, name, strlen(name), -1);
    return at < 0 ? NULL : &c->entries[at];
}

static trd_status add_dangling(trdi_container *c, const char *name, const char *target)
{
    if (!trdi_reserve((void **)&c->dangling, &c->dangling_capacity, c->n_dangling + 1, sizeof *c->dangling)) {
        return trdi_fail(TRD_E_MEMORY, "file '%s': alias %zu", c->file, c->n_dangling);
    }
    c->dangling[c->n_dangling++] = (trdi_dangling){ name, target };
    trdi_log(TRD_LOG_WARNING, "file '%s': alias '%.*s' of '%.*s', which does not exist", c->file, TRDI_SHOWN, name, TRDI_SHOWN, target);
    return TRD_OK;
}

/* Scales and zero points of an aliased weight never stand in the alias table. */
static trd_status add_following(trdi_container *c, const char *name, const char *target, const char *suffix)
{
    trdi_text alias = { 0 }, wanted = { 0 };
    trdi_text_add(&alias, "%s%s", name, suffix);
    trdi_text_add(&wanted, "%s%s", target, suffix);
    trd_status status = TRD_OK;
    if (alias.failed || wanted.failed) {
        status = trdi_fail(TRD_E_MEMORY, "file '%s': alias '%.*s'", c->file, TRDI_SHOWN, name);
    } else {
        const trdi_entry *entry = find_entry(c, wanted.data);
        if (entry != NULL && find_entry(c, alias.data) == NULL) {
            const size_t variable = entry->variable;
            const char *kept = trdi_arena_copy(&c->arena, alias.data, alias.length);
            bool inserted;
            status = kept == NULL ? trdi_fail(TRD_E_MEMORY, "file '%s': alias '%.*s'", c->file, TRDI_SHOWN, name)
                                  : add_entry(c, (trdi_entry){ .name = kept, .variable = variable, .alias = true }, &inserted);
        }
    }
    trdi_text_free(&alias);
    trdi_text_free(&wanted);
    return status;
}

trd_status trdi_registry_add_alias(trdi_container *c, const char *name, const char *target)
{
    const trdi_entry *entry = find_entry(c, target);
    if (entry == NULL) return add_dangling(c, name, target);
    const size_t variable = entry->variable;
    bool inserted;
    TRDI_TRY(add_entry(c, (trdi_entry){ .name = name, .variable = variable, .alias = true, .listed = true }, &inserted));
    if (!inserted) {
        trdi_log(TRD_LOG_WARNING, "file '%s': alias '%.*s' has the name of a variable or alias before it; ignored", c->file, TRDI_SHOWN,
                 name);
        return TRD_OK;
    }
    TRDI_TRY(add_following(c, name, target, "_scale"));
    return add_following(c, name, target, "_zero");
}

/* Heap sort: in place, so that it can neither fail nor take quadratic time on names chosen against it. */
static void sift_down(const trdi_entry *entries, size_t *order, size_t root, size_t n)
{
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && strcmp(entries[order[child]].name, entries[order[child + 1]].name) < 0) child++;
        if (strcmp(entries[order[root]].name, entries[order[child]].name) >= 0) return;
        const size_t kept = order[root];
        order[root] = order[child];
        order[child] = kept;
    }
}

static void sort_entries(const trdi_entry *entries, size_t *order, size_t n)
{
    for (size_t i = n / 2; i-- > 0;) sift_down(entries, order, i, n);
    for (size_t end = n; end-- > 1;) {
        const size_t kept = order[0];
        order[0] = order[end];
        order[end] = kept;
        sift_down(entries, order, 0, end);
    }
}

static void make_listing(trdi_container *c)
{
    for (int aliases = 0; aliases < 2; aliases++) {
        for (size_t i = 0; i < c->n_entries; i++) {
            const trdi_entry *entry = &c->entries[c->sorted[i]];
            if (!entry->listed || entry->alias != (aliases == 1)) continue;
            c->listing[c->n_listed++] = c->sorted[i];
            if (entry->alias) c->n_listed_aliases++;
        }
    }
}

trd_status trdi_registry_finish(trdi_container *c)
{
    c->sorted = trdi_calloc(c->n_entries, sizeof *c->sorted);
    c->listing = trdi_calloc(c->n_entries, sizeof *c->listing);
    if (c->sorted == NULL || c->listing == NULL) return trdi_fail(TRD_E_MEMORY, "file '%s': order of %zu names", c->file, c->n_entries);
    for (size_t i = 0; i < c->n_entries; i++) c->sorted[i] = i;
    sort_entries(c->entries, c->sorted, c->n_entries);
    make_listing(c);
    return TRD_OK;
}

const trdi_tensor *trdi_registry_find(const trdi_container *c, const char *name)
{
    const trdi_entry *entry = find_entry(c, name);
    return entry == NULL ? NULL : &c->variables[entry->variable].tensor;
}

size_t trdi_registry_lower_bound(const trdi_container *c, const char *prefix)
{
    size_t low = 0, high = c->n_entries;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(c->entries[c->sorted[middle]].name, prefix) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

bool trdi_scope_exists(const trdi_container *c, const char *scope, const char *sub)
{
    char prefix[TRDI_NAME_BYTES + 1];
    trdi_join_name(prefix, sub == NULL ? "" : scope, sub == NULL ? scope : sub);
    const size_t length = strlen(prefix);
    prefix[length] = '/';
    prefix[length + 1] = '\0';
    const size_t at = trdi_registry_lower_bound(c, prefix);
    return at < c->n_entries && strncmp(c->entries[c->sorted[at]].name, prefix, length + 1) == 0;
}
