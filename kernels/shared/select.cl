/*
 * The best entries of concatenated rows, for work-groups: each row in pieces, the best of each piece to scratch, then the best of those.
 * BEST writes them as results; draws from the topk best read the keys.
 */
#include "select.h"
#include "select_draw.h"

#define TRD_LOCAL_KEYS (2 * GROUP_SIZE)
TRD_SORT(trd_sort_local, LOCAL_PTR(u64))

/*
 * The cap best keys of a piece of a row, in any order; 0 where a piece has fewer entries.
 * Shapes   scratch: `each` keys per selection, from its start [rows][pieces][cap].
 * Launch   1-D, one group per selection from first on, row and piece.    Local   8 * GROUP_SIZE + 2180 bytes. */
KERNEL trd_select_part(RESULTS_ARGS, ARG(const trd_selection, selections), ARG(u64, scratch), const int first, const int rows, const int pieces,
                       const int cap, const i64 each)
{
    TRD_LOCAL(l);
    LOCAL uint taken[1];
    OPEN(const trd_selection, selections);
    OPEN(u64, scratch);
    OPEN_RESULTS(r);
    const int selection = GROUP_ID / (rows * pieces), part = GROUP_ID - selection * rows * pieces, row = part / pieces;
    const int length = (width + pieces - 1) / pieces, start = min((part - row * pieces) * length, width), n = min(length, width - start);
    const i64 at = (i64)selections[first + selection].first_row + row;
    const trd_source from = { 0, r.values + at * stride + start, r.row_scores != 0 ? r.row_scores[at] : 0.0f, row * width + start, n };
    GLOBAL u64 *out = scratch + selection * each + (i64)part * cap;
    if (cap <= TRD_FEW) {
        trd_take_few(&from, l, out, cap);
    } else if (n <= cap) {
        for (int i = LOCAL_ID; i < cap; i += GROUP_SIZE) out[i] = i < n ? trd_key_at(&from, i) : 0;
    } else {
        trd_take_largest(&from, l, taken, out, cap);
    }
}

/*
 * The wanted best of n keys per selection, best first, to its list at list_at; with emit as results too.
 * Launch   1-D, one group per selection from first on.    Local   24 * GROUP_SIZE + 2180 bytes. */
KERNEL trd_select_merge(RESULTS_ARGS, ARG(const trd_selection, selections), ARG(u64, scratch), const int first, const int n, const int wanted,
                        const int emit, const i64 each, const i64 list_at)
{
    TRD_LOCAL(l);
    LOCAL uint taken[1];
    LOCAL u64 keys[TRD_LOCAL_KEYS];
    OPEN(const trd_selection, selections);
    OPEN(u64, scratch);
    OPEN_RESULTS(r);
    GLOBAL u64 *mine = scratch + GROUP_ID * each, *list = mine + list_at;
    const trd_source from = { mine, r.values, 0.0f, 0, n };
    const bool all = n <= TRD_LOCAL_KEYS, local_sort = all || wanted <= TRD_LOCAL_KEYS;
    const int n_sorted = all ? n : wanted;
    if (!all) trd_take_largest(&from, l, taken, list, wanted);
    if (local_sort) {
        for (int i = LOCAL_ID; i < n_sorted; i += GROUP_SIZE) keys[i] = all ? mine[i] : list[i];
        BARRIER();
        trd_sort_local_all(keys, n_sorted);
        for (int i = LOCAL_ID; i < wanted; i += GROUP_SIZE) list[i] = keys[i];
    } else {
        trd_sort_global_all(list, wanted);
    }
    BARRIER();
    if (emit == 0) return;
    GLOBAL const trd_selection *s = selections + first + GROUP_ID;
    for (int i = LOCAL_ID; i < wanted; i += GROUP_SIZE) trd_result(&r, s->first_row, s->output + i, trd_entry(list[i]));
}
