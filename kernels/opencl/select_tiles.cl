/*
 * The best entries of concatenated rows, for CPU-type devices: a work-item walks a piece of a row with 16 lanes against the worst of the best
 * so far, which it keeps in a heap; then one work-item per selection merges the pieces. As kernels/cpu does.
 */
#include "select.h"
#include "select_draw.h"

/* Let key i of a heap of n, smallest first, sink below those that are smaller. */
static inline void trd_sink(GLOBAL u64 *heap, int i, const int n)
{
    const u64 key = heap[i];
    for (int child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= key) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = key;
}

static inline void trd_make_heap(GLOBAL u64 *heap, const int n)
{
    for (int i = n / 2 - 1; i >= 0; i--) trd_sink(heap, i, n);
}

/* Entries i..to-1 of the source, of which heap has the n best so far. */
static inline void trd_offer(const trd_source *from, int i, const int to, GLOBAL u64 *heap, const int n, float *worst)
{
    for (; i < to; i++) {
        const float score = from->values[i] + from->add;
        /* Entries come in order: one as good as the worst is worse. */
        if (!(score > *worst || (*worst != *worst && score == score))) continue;
        heap[0] = trd_key(score, from->first + i);
        trd_sink(heap, 0, n);
        *worst = trd_score_of((uint)(heap[0] >> 32));
    }
}

/*
 * The cap best keys of a piece of a row, in any order; 0 where a piece has fewer entries.
 * Shapes   scratch: `each` keys per selection, from its start [rows][pieces][cap].
 * Launch   1-D, one work-item per selection from first on, row and piece. */
KERNEL trd_select_part(RESULTS_ARGS, ARG(const trd_selection, selections), ARG(u64, scratch), const int first, const int rows, const int pieces,
                       const int cap, const i64 each)
{
    OPEN(const trd_selection, selections);
    OPEN(u64, scratch);
    OPEN_RESULTS(r);
    const int selection = GROUP_ID / (rows * pieces), part = GROUP_ID - selection * rows * pieces, row = part / pieces;
    const int length = (width + pieces - 1) / pieces, start = min((part - row * pieces) * length, width), n = min(length, width - start);
    const i64 at = (i64)selections[first + selection].first_row + row;
    const trd_source from = { 0, r.values + at * stride + start, r.row_scores != 0 ? r.row_scores[at] : 0.0f, row * width + start, n };
    GLOBAL u64 *heap = scratch + selection * each + (i64)part * cap;
    for (int i = 0; i < cap; i++) heap[i] = i < n ? trd_key_at(&from, i) : 0;
    if (n <= cap) return;
    trd_make_heap(heap, cap);
    float worst = trd_score_of((uint)(heap[0] >> 32));
    int i = cap;
    for (; i + 64 <= n; i += 64) {
        const float16 bound = (float16)(worst), add = (float16)(from.add);
        const int16 above = (vload16(0, from.values + i) + add > bound) | (vload16(0, from.values + i + 16) + add > bound) |
                            (vload16(0, from.values + i + 32) + add > bound) | (vload16(0, from.values + i + 48) + add > bound);
        if (worst != worst || any(above)) trd_offer(&from, i, i + 64, heap, cap, &worst);
    }
    trd_offer(&from, i, n, heap, cap, &worst);
}

/*
 * The wanted best of n keys per selection, best first, to its list at list_at; with emit as results too.
 * Launch   1-D, one work-item per selection from first on. */
KERNEL trd_select_merge(RESULTS_ARGS, ARG(const trd_selection, selections), ARG(u64, scratch), const int first, const int n, const int wanted,
                        const int emit, const i64 each, const i64 list_at)
{
    OPEN(const trd_selection, selections);
    OPEN(u64, scratch);
    OPEN_RESULTS(r);
    GLOBAL u64 *mine = scratch + GROUP_ID * each, *list = mine + list_at;
    for (int i = 0; i < wanted; i++) list[i] = mine[i];
    trd_make_heap(list, wanted);
    for (int i = wanted; i < n; i++) {
        if (mine[i] <= list[0]) continue;
        list[0] = mine[i];
        trd_sink(list, 0, wanted);
    }
    for (int end = wanted - 1; end > 0; end--) {        /* smallest to the end */
        const u64 smallest = list[0];
        list[0] = list[end];
        list[end] = smallest;
        trd_sink(list, 0, end);
    }
    if (emit == 0) return;
    GLOBAL const trd_selection *s = selections + first + GROUP_ID;
    for (int i = 0; i < wanted; i++) trd_result(&r, s->first_row, s->output + i, trd_entry(list[i]));
}
