/* logits_edit.h: the kernel that edits and masks logits, for both forms. */
#ifndef TRD_LOGITS_EDIT_H
#define TRD_LOGITS_EDIT_H

#include "shim.h"

/* trdi_edit of backend.h. */
typedef struct trd_edit {
    int row, id, kind;
    float value;
} trd_edit;

/* One change of a logit: set it, or penalise it. */
static inline float trd_edited(const float x, const trd_edit edit)
{
    if (edit.kind == 1) return edit.value;
    return x < 0.0f ? x * edit.value : x / edit.value;
}

/* Logits whose bit is clear become -infinity. */
static inline void trd_mask_row(GLOBAL float *x, GLOBAL const uint *line, const int width)
{
#ifdef TRD_TILES
    for (int w = 0; w < (width + 31) / 32; w++) {
        if (line[w] == 0xffffffffu) continue;
        const int end = min(32, width - 32 * w);
        for (int b = 0; b < end; b++) {
            if ((line[w] >> b & 1u) == 0u) x[32 * w + b] = -INFINITY;
        }
    }
#else
    for (int c = LOCAL_ID; c < width; c += GROUP_SIZE) {
        if ((line[c >> 5] >> (c & 31) & 1u) == 0u) x[c] = -INFINITY;
    }
#endif
}

/*
 * Row r: where masks[r] >= 0 what that line forbids becomes -infinity; then edits starts[r]..starts[r+1]-1 in order.
 * Each work-item does the edits of its own ids, in order: different ids don't meet.
 * Shapes   logits [n][stride]; mask_bits [lines][mask_words]; masks may be absent.
 * Launch   1-D, one group per row. */
KERNEL trd_edit_rows(ARG(float, logits), ARG(const trd_edit, edits), ARG(const int, starts), ARG(const int, masks), ARG(const uint, mask_bits),
                     const int width, const int stride, const int mask_words, const int n)
{
    OPEN(float, logits);
    OPEN(const trd_edit, edits);
    OPEN(const int, starts);
    OPEN(const int, masks);
    OPEN(const uint, mask_bits);
    const int r = GROUP_ID;
    if (r >= n) return;
    GLOBAL float *x = logits + (i64)r * stride;
    const int line = masks != 0 ? masks[r] : -1;
    if (line >= 0) {
        trd_mask_row(x, mask_bits + (i64)line * mask_words, width);
        BARRIER();
    }
    for (int i = starts[r]; i < starts[r + 1]; i++) {
        const trd_edit edit = edits[i];
        if (edit.id < 0 || edit.id >= width || edit.id % GROUP_SIZE != LOCAL_ID) continue;
        x[edit.id] = trd_edited(x[edit.id], edit);
    }
}

#endif
