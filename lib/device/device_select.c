/* device_select.c: see device_select.h. */
#include "device/device_select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SELECTOR_BYTES = 256, LIST_BYTES = 512 };

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
static const char *list_devices(const trdi_device_choice *choice, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < choice->n && used < bytes; i++) {
        const trdi_device_facts *const facts = &choice->facts[i];
        const int length = snprintf(text + used, bytes - used, "%s%s (%s)", i > 0 ? ", " : "", facts->id, facts->name);
        if (length > 0) used += (size_t)length;
    }
    return text;
}

static bool is_usable(const trdi_device_facts *facts)
{
    return facts->unusable[0] == '\0';
}

static bool is_of_backend(const trdi_device_facts *facts, const char *backend)
{
    const size_t length = match(facts->id, backend);
    return length > 0 && facts->id[length] == ':';
}

/* One name of a list, and what it is chosen from. */
typedef struct selection {
    const char *name, *origin;
    const trdi_device_choice *choice;
} selection;

static trd_status fail_choice(const selection *s, const char *reason)
{
    char text[LIST_BYTES];
    return trdi_fail(TRD_E_INVALID, "device '%s'%s: %s; this machine has %s", s->name, s->origin, reason,
                     list_devices(s->choice, text, sizeof text));
}

static trd_status fail_index(const selection *s, const char *index, const char *reason)
{
    char text[LIST_BYTES];
    (void)snprintf(text, sizeof text, "invalid device index %s: %s", index, reason);
    return fail_choice(s, text);
}

static trd_status take(const selection *s, size_t i, size_t *chosen)
{
    const trdi_device_facts *const device = &s->choice->facts[i];
    *chosen = i;
    if (is_usable(device)) return TRD_OK;
    return trdi_fail(TRD_E_DEVICE, "device '%s'%s: %s (%s) cannot be used: %s", s->name, s->origin, device->id, device->name, device->unusable);
}

/* Why there is nothing of a kind: what the notes say of it, joined. */
static trd_status fail_missing(const selection *s, const char *kind, const char *otherwise)
{
    char reasons[LIST_BYTES] = "";
    size_t used = 0;
    for (size_t i = 0; i < s->choice->n_notes && used < sizeof reasons; i++) {
        const char *const note = s->choice->notes[i];
        const size_t length = match(note, kind);
        if (length == 0 || note[length] != ':') continue;
        const int n = snprintf(reasons + used, sizeof reasons - used, "%s%s", used > 0 ? "; " : "", note + length + 2);
        if (n > 0) used += (size_t)n;
    }
    return fail_choice(s, used > 0 ? reasons : otherwise);
}

/* Is text the word, or the word with a colon and more? *index is what follows the colon, or NULL. */
static bool names_kind(const char *text, const char *word, const char **index)
{
    const size_t length = match(text, word);
    if (length == 0 || (text[length] != '\0' && text[length] != ':')) return false;
    *index = text[length] == ':' ? text + length + 1 : NULL;
    return true;
}

static bool parse_index(const char *index, long *number)
{
    char *end;
    *number = strtol(index, &end, 10);
    return end != index && *end == '\0';
}

/* Of the devices in the order of their back ends, number wanted of those that a filter lets through. */
typedef bool device_filter(const trdi_device_facts *facts, const char *backend);

static bool find_filtered(const trdi_device_choice *choice, device_filter *filter, const char *backend, long wanted, size_t *found, long *n)
{
    for (size_t i = 0; i < choice->n; i++) {
        if (!filter(&choice->facts[i], backend)) continue;
        if (*n == wanted) {
            *found = i;
            return true;
        }
        ++*n;
    }
    return false;
}

static bool filter_usable_gpu(const trdi_device_facts *facts, const char *backend)
{
    return facts->type == TRDI_DEVICE_GPU && is_usable(facts) && is_of_backend(facts, backend);
}

static bool filter_usable(const trdi_device_facts *facts, const char *backend)
{
    return is_usable(facts) && is_of_backend(facts, backend);
}

static bool find_first(const trdi_device_choice *choice, device_filter *filter, const char *backend, size_t *found)
{
    long n = 0;
    return find_filtered(choice, filter, backend, 0, found, &n);
}

/* Number index of a back end; without one a GPU before other devices, and a usable one before one that is not. */
static trd_status choose_of_backend(const selection *s, const char *backend, const char *index, size_t *chosen)
{
    const trdi_device_choice *const choice = s->choice;
    long wanted = 0, n = 0;
    if (index != NULL && !parse_index(index, &wanted)) return fail_index(s, index, "not a number");
    if (index == NULL && (find_first(choice, filter_usable_gpu, backend, chosen) || find_first(choice, filter_usable, backend, chosen)))
        return TRD_OK;
    if (find_filtered(choice, is_of_backend, backend, wanted, chosen, &n)) return take(s, *chosen, chosen);
    if (n == 0) return fail_missing(s, backend, "no device of this kind");
    char reason[64];
    (void)snprintf(reason, sizeof reason, "number of devices of this kind: %ld", n);
    return fail_index(s, index, reason);
}

/* A GPU is better driven by its vendor's own interface. */
static bool find_gpu(const trdi_device_choice *choice, long wanted, size_t *chosen, long *n)
{
    return find_filtered(choice, filter_usable_gpu, "cuda", wanted, chosen, n) ||
           find_filtered(choice, filter_usable_gpu, "opencl", wanted, chosen, n);
}

/* Why no GPU can be used: a GPU says it of itself; else the back ends are not there. */
static trd_status fail_gpu(const selection *s)
{
    for (size_t i = 0; i < s->choice->n; i++)
        if (s->choice->facts[i].type == TRDI_DEVICE_GPU) return take(s, i, &(size_t){ 0 });
    char reasons[LIST_BYTES] = "no GPU was found";
    size_t used = strlen(reasons);
    for (size_t i = 0; i < s->choice->n_notes && used < sizeof reasons; i++) {
        const int n = snprintf(reasons + used, sizeof reasons - used, "; %s", s->choice->notes[i]);
        if (n > 0) used += (size_t)n;
    }
    return fail_choice(s, reasons);
}

static trd_status choose_gpu(const selection *s, const char *index, size_t *chosen)
{
    long wanted = 0, n = 0;
    if (index != NULL && !parse_index(index, &wanted)) return fail_index(s, index, "not a number");
    if (find_gpu(s->choice, wanted, chosen, &n)) return TRD_OK;
    if (n == 0) return fail_gpu(s);
    char reason[64];
    (void)snprintf(reason, sizeof reason, "number of usable GPUs: %ld", n);
    return fail_index(s, index != NULL ? index : "0", reason);
}

/* The CPU is never replaced by a device of another back end that is the same cores. */
static trd_status choose_auto(const selection *s, const char *index, size_t *chosen)
{
    if (index != NULL) return fail_index(s, index, "\"auto\" takes none");
    long n = 0;
    return find_gpu(s->choice, 0, chosen, &n) ? TRD_OK : choose_of_backend(s, "cpu", NULL, chosen);
}

/* A device whose name, else whose platform's name, has the selector as a part; a usable one before others. */
static bool find_named(const selection *s, size_t *chosen)
{
    const trdi_device_choice *const choice = s->choice;
    for (int pass = 0; pass < 4; pass++) {
        for (size_t i = 0; i < choice->n; i++) {
            const trdi_device_facts *const facts = &choice->facts[i];
            const bool wanted = pass % 2 == 1 || is_usable(facts);
            if (!wanted || !contains(pass < 2 ? facts->name : facts->platform, s->name)) continue;
            *chosen = i;
            return true;
        }
    }
    return false;
}

static trd_status choose_named(const selection *s, size_t *chosen)
{
    if (find_named(s, chosen)) return take(s, *chosen, chosen);
    char text[LIST_BYTES];
    return trdi_fail(TRD_E_INVALID, "unsupported device '%s'%s: not cpu, opencl, cuda, gpu, auto or a part of a device's name; this machine has %s",
                     s->name, s->origin, list_devices(s->choice, text, sizeof text));
}

static trd_status choose(const selection *s, size_t *chosen)
{
    static const char *const backends[] = { "cpu", "opencl", "cuda" };
    const char *index;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        if (names_kind(s->name, backends[i], &index)) return choose_of_backend(s, backends[i], index, chosen);
    if (names_kind(s->name, "gpu", &index)) return choose_gpu(s, index, chosen);
    if (names_kind(s->name, "auto", &index)) return choose_auto(s, index, chosen);
    return choose_named(s, chosen);
}

/* The next name of a list, without the blanks around it; *at moves past it. @return false past the last */
static bool next_name(const char **at, char *name, size_t bytes)
{
    if (*at == NULL) return false;
    const char *start = *at;
    const char *const comma = strchr(start, ',');
    size_t length = comma != NULL ? (size_t)(comma - start) : strlen(start);
    *at = comma != NULL ? comma + 1 : NULL;
    while (length > 0 && start[0] == ' ') start++, length--;
    while (length > 0 && start[length - 1] == ' ') length--;
    if (length >= bytes) length = bytes - 1;
    memcpy(name, start, length);
    name[length] = '\0';
    return true;
}

trd_status trdi_device_select(const char *selector, const char *origin, const trdi_device_choice *choice, size_t *chosen, size_t capacity,
                             size_t *n_chosen)
{
    *n_chosen = 0;
    selection s = { .name = selector, .origin = origin, .choice = choice };
    size_t i;
    /* Vendors put commas into names. */
    if (strchr(selector, ',') != NULL && find_named(&s, &i)) {
        chosen[(*n_chosen)++] = i;
        return take(&s, i, &i);
    }
    char name[SELECTOR_BYTES];
    s.name = name;
    for (const char *at = selector; next_name(&at, name, sizeof name);) {
        if (name[0] == '\0') return trdi_fail(TRD_E_INVALID, "device '%s'%s: a name in the list is empty", selector, origin);
        TRDI_TRY(choose(&s, &i));
        if (*n_chosen == capacity)
            return trdi_fail(TRD_E_RANGE, "device '%s'%s: more than %zu devices", selector, origin, capacity);
        chosen[(*n_chosen)++] = i;
    }
    return TRD_OK;
}

bool trdi_device_selects_cpu(const char *selector)
{
    char name[SELECTOR_BYTES];
    const char *index;
    for (const char *at = selector; next_name(&at, name, sizeof name);)
        if (!names_kind(name, "cpu", &index)) return false;
    return true;
}
