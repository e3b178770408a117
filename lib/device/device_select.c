/* device_select.c: see device_select.h. */
#include "device/device_select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kinds of devices that this build has no back end for, as "KIND: reason". The last is a way to ask for either of the others. */
static const char *const missing[] = {
    "opencl: no OpenCL back end in this build",
    "cuda: no CUDA back end in this build",
    "gpu: no back end for GPUs in this build",
};
enum { N_MISSING = sizeof missing / sizeof missing[0] };

const char *trdi_device_missing(size_t i)
{
    return i < N_MISSING - 1 ? missing[i] : NULL;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Length of the prefix of text that equals word, if that is all of word; else 0. */
static size_t match(const char *text, const char *word)
{
    size_t i = 0;
    while (word[i] != '\0' && lower(text[i]) == lower(word[i])) i++;
    return word[i] == '\0' ? i : 0;
}

static bool contains(const char *text, const char *part)
{
    for (; *text != '\0'; text++)
        if (match(text, part) > 0) return true;
    return false;
}

/* "cpu:0 (NAME), ..." into text. */
static const char *list_devices(const trdi_device_facts *facts, size_t n, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n && used < bytes; i++) {
        const int length = snprintf(text + used, bytes - used, "%s%s (%s)", i > 0 ? ", " : "", facts[i].id, facts[i].name);
        if (length > 0) used += (size_t)length;
    }
    return text;
}

static bool is_of_kind(const trdi_device_facts *facts, const char *kind)
{
    const size_t length = match(facts->id, kind);
    return length > 0 && facts->id[length] == ':';
}

/* The first usable device that is not the CPU, else the CPU. */
static size_t choose_auto(const trdi_device_facts *facts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_of_kind(&facts[i], "cpu") && facts[i].unusable[0] == '\0') return i;
    return 0;
}

/* A selector split at its colon. */
typedef struct selection {
    const char *selector, *origin;
    const char *index;             /* after the colon, or NULL */
    const trdi_device_facts *facts;
    size_t      n;
} selection;

static trd_status fail_index(const selection *s, const char *reason)
{
    char text[512];
    return trdi_fail(TRD_E_INVALID, "device '%s'%s: invalid device index %s: %s; this machine has %s", s->selector, s->origin, s->index, reason,
                     list_devices(s->facts, s->n, text, sizeof text));
}

/* Device number s->index of a kind; without a number, the first. */
static trd_status choose_of_kind(const selection *s, const char *kind, size_t *chosen)
{
    char *end = NULL;
    const long wanted = s->index != NULL ? strtol(s->index, &end, 10) : 0;
    if (s->index != NULL && (end == s->index || *end != '\0')) return fail_index(s, "not a number");
    long n_of_kind = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!is_of_kind(&s->facts[i], kind)) continue;
        if (n_of_kind++ != wanted) continue;
        *chosen = i;
        return TRD_OK;
    }
    char reason[64];
    (void)snprintf(reason, sizeof reason, "number of devices of this kind: %ld", n_of_kind);
    return fail_index(s, reason);
}

static trd_status choose_named(const selection *s, size_t *chosen)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!contains(s->facts[i].name, s->selector)) continue;
        *chosen = i;
        return TRD_OK;
    }
    char text[512];
    return trdi_fail(TRD_E_INVALID, "unsupported device '%s'%s: neither \"cpu\" nor \"auto\" nor a part of a device's name; this machine has %s",
                     s->selector, s->origin, list_devices(s->facts, s->n, text, sizeof text));
}

/* Is text the word, or the word with a colon and more? *index is what follows the colon. */
static bool names_kind(const char *text, const char *word, const char **index)
{
    const size_t length = match(text, word);
    if (length == 0 || (text[length] != '\0' && text[length] != ':')) return false;
    *index = text[length] == ':' ? text + length + 1 : NULL;
    return true;
}

/* The reason line of a kind that is not there, without the kind's name; NULL if the selector names none. */
static const char *missing_reason(const char *selector)
{
    for (size_t i = 0; i < N_MISSING; i++) {
        const char *const line = missing[i], *const colon = strchr(line, ':');
        char kind[16] = "";
        memcpy(kind, line, (size_t)(colon - line));
        const char *index;
        if (names_kind(selector, kind, &index)) return colon + 2;
    }
    return NULL;
}

static trd_status choose(selection *s, size_t *chosen)
{
    if (names_kind(s->selector, "cpu", &s->index)) return choose_of_kind(s, "cpu", chosen);
    if (names_kind(s->selector, "auto", &s->index)) {
        if (s->index != NULL) return fail_index(s, "\"auto\" takes none");
        *chosen = choose_auto(s->facts, s->n);
        return TRD_OK;
    }
    const char *const reason = missing_reason(s->selector);
    if (reason == NULL) return choose_named(s, chosen);
    char text[512];
    return trdi_fail(TRD_E_INVALID, "device '%s'%s: %s; this machine has %s", s->selector, s->origin, reason,
                     list_devices(s->facts, s->n, text, sizeof text));
}

trd_status trdi_device_select(const char *selector, const char *origin, const trdi_device_facts *facts, size_t n, size_t *chosen)
{
    selection s = { .selector = selector, .origin = origin, .facts = facts, .n = n };
    TRDI_TRY(choose(&s, chosen));
    const trdi_device_facts *const device = &facts[*chosen];
    if (device->unusable[0] == '\0') return TRD_OK;
    return trdi_fail(TRD_E_DEVICE, "device '%s'%s: %s (%s) cannot be used: %s", selector, origin, device->id, device->name, device->unusable);
}
