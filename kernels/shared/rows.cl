/* Operations whose rows are independent of each other; lib/backend/backend.h defines them. y may be x where the operation says so.
 * Shapes   rows of f32 with strides in elements; ids, rows and positions are i32 [n].
 * Launch   2-D, groups of GROUP_SIZE x 1: x is the row, y the part of it: a piece of piece columns (a multiple of GROUP_SIZE * 16), for norm
 *          and kv_append a group of channels; positions and rotary take whole rows.
 * Local    norm: 4 * GROUP_SIZE bytes. */
#include "lanes.h"

/* The piece of this group: row r, columns first .. end - 1. */
#define PIECE(width, piece)                                                       \
    const int r = GROUP_ID, first = GROUP_ID_Y * (piece), end = min((width), first + (piece)); \
    if (r >= n) return

/* y[r][c] = f(x[r][c]): 0 x * p;  1 p * tanh(x / p);  2 (x + z[r][c]) * p. */
KERNEL trd_map(ARG(float, y), ARG(const float, x), ARG(const float, z), const int y_stride, const int x_stride, const int z_stride,
               const int width, const int piece, const int function, const float p, const int n)
{
    OPEN(float, y);
    OPEN(const float, x);
    OPEN(const float, z);
    PIECE(width, piece);
    for (int c = first + LOCAL_ID * LANES; c < end; c += STRIDE) {
        const lanes v = lanes_load(x + (i64)r * x_stride + c, end - c);
        lanes out = v * p;
        if (function == 1) out = p * LANES_TANH(v / p);
        if (function == 2) out = (v + lanes_load(z + (i64)r * z_stride + c, end - c)) * p;
        lanes_store(y + (i64)r * y_stride + c, out, end - c);
    }
}

/* y[i] = x[indices[i]]. */
KERNEL trd_gather(ARG(float, y), ARG(const float, x), ARG(const int, indices), const int y_stride, const int x_stride, const int width,
                  const int piece, const int n)
{
    OPEN(float, y);
    OPEN(const float, x);
    OPEN(const int, indices);
    PIECE(width, piece);
    GLOBAL const float *from = x + (i64)indices[r] * x_stride;
    for (int c = first + LOCAL_ID * LANES; c < end; c += STRIDE) {
        lanes_store(y + (i64)r * y_stride + c, lanes_load(from + c, end - c), end - c);
    }
}

/* Elements of a table of type 0 f32, 1 f16, 2 i8, as they are stored. */
static inline lanes table_load(GLOBAL const char *table, const int type, const i64 at, const int n)
{
    if (type == 1) return lanes_load_half((GLOBAL const half *)table + at, n);
    if (type == 2) return lanes_load_i8(table + at, n);
    return lanes_load((GLOBAL const float *)table + at, n);
}

/* y[t] (+)= scale * table[ids[t]]; 0 where zero_start and positions[t] is 0. Scales are of the rows of an i8 table: value = integer / scale. */
KERNEL trd_embed(ARG(float, y), ARG(const char, table), ARG(const float, scales), ARG(const int, ids), ARG(const int, positions),
                 const int y_stride, const int width, const int piece, const int type, const float scale, const int accumulate,
                 const int zero_start, const int n)
{
    OPEN(float, y);
    OPEN(const char, table);
    OPEN(const float, scales);
    OPEN(const int, ids);
    OPEN(const int, positions);
    PIECE(width, piece);
    const i64 row = (i64)ids[r] * width;
    const float divisor = type == 2 ? scales[ids[r]] : 1.0f;
    const int kept = zero_start && positions[r] == 0 ? 0 : -1;
    GLOBAL float *out = y + (i64)r * y_stride;
    for (int c = first + LOCAL_ID * LANES; c < end; c += STRIDE) {
        lanes v = table_load(table, type, row + c, end - c);
        if (type == 2) v = v / divisor;
        v = LANES_MASK(v * scale, kept);
        if (accumulate) v = v + lanes_load(out + c, end - c);
        lanes_store(out + c, v, end - c);
    }
}

/* y[t] += table[positions[t]]; without a table, sin((p + 1) f(c)) for c < half, cos((p + 1) f(c - half)) behind. */
KERNEL trd_positions(ARG(float, y), ARG(const float, table), ARG(const float, frequencies), ARG(const int, positions), const int width,
                     const int n)
{
    OPEN(float, y);
    OPEN(const float, table);
    OPEN(const float, frequencies);
    OPEN(const int, positions);
    const int r = GROUP_ID;
    if (r >= n) return;
    GLOBAL float *out = y + (i64)r * width;
    const int p = positions[r];
    if (table != 0) {
        GLOBAL const float *from = table + (i64)p * width;
        for (int c = LOCAL_ID * LANES; c < width; c += STRIDE) {
            lanes_store(out + c, lanes_load(out + c, width - c) + lanes_load(from + c, width - c), width - c);
        }
        return;
    }
    const int half_width = width / 2;
    for (int c = LOCAL_ID * LANES; c < half_width; c += STRIDE) {
        const int left = half_width - c;
        lanes cosine;
        const lanes sine = LANES_SIN_COS((float)(p + 1) * lanes_load(frequencies + c, left), &cosine);
        lanes_store(out + c, lanes_load(out + c, left) + sine, left);
        lanes_store(out + half_width + c, lanes_load(out + half_width + c, left) + cosine, left);
    }
}

/* y = (norm(x) * gain (+ beta) (+ residual)) * scale for each group of width columns; beta absent = root mean square.
 * Sources: Ba et al. 2016, arXiv:1607.06450, eq. 4; Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4; epsilon under the root. */
KERNEL trd_norm(ARG(float, y), ARG(const float, x), ARG(const float, residual), ARG(const float, gamma), ARG(const float, beta),
                const int y_stride, const int x_stride, const int residual_stride, const int width, const float epsilon,
                const float scale, const float gain_plus, const int n)
{
    LOCAL float partial[GROUP_SIZE];
    OPEN(float, y);
    OPEN(const float, x);
    OPEN(const float, residual);
    OPEN(const float, gamma);
    OPEN(const float, beta);
    const i64 r = GROUP_ID, column = (i64)GROUP_ID_Y * width;
    GLOBAL const float *in = x + r * x_stride + column;
    GLOBAL const float *more = residual == 0 ? 0 : residual + r * residual_stride + column;
    GLOBAL float *out = y + r * y_stride + column;
    (void)n;
    float mean = 0.0f;
    if (beta != 0) {
        lanes sum = (lanes)(0.0f);
        for (int c = LOCAL_ID * LANES; c < width; c += STRIDE) sum += lanes_load(in + c, width - c);
        mean = row_sum(partial, sum) / (float)width;
    }
    lanes squares = (lanes)(0.0f);
    for (int c = LOCAL_ID * LANES; c < width; c += STRIDE) {
        const lanes d = lanes_load_or(in + c, width - c, mean) - mean;
        squares = FMA(d, d, squares);
    }
    const float inverse = 1.0f / sqrt(row_sum(partial, squares) / (float)width + epsilon);
    for (int c = LOCAL_ID * LANES; c < width; c += STRIDE) {
        const int left = width - c;
        lanes v = (lanes_load(in + c, left) - mean) * inverse * (lanes_load(gamma + c, left) + gain_plus);
        if (beta != 0) v = v + lanes_load(beta + c, left);
        if (more != 0) v = v + lanes_load(more + c, left);
        lanes_store(out + c, v * scale, left);
    }
}

/* Rotates the first 2 * pairs channels of every head, in place, by positions[t] * inverse_frequencies[i]. Channels 2 i and 2 i + 1 are a pair,
 * or i and i + pairs. Source: Su et al. 2021, arXiv:2104.09864, eq. 34. Where a group has one work-item, heads share a pair's sine. */
KERNEL trd_rotary(ARG(float, x), ARG(const int, positions), ARG(const float, inverse_frequencies), const int x_stride, const int n_heads,
                  const int head_dim, const int pairs, const float magnitude, const int interleave, const int n)
{
    OPEN(float, x);
    OPEN(const int, positions);
    OPEN(const float, inverse_frequencies);
    const int t = GROUP_ID;
    if (t >= n) return;
    const float p = (float)positions[t];
    const int step = interleave ? 2 : 1, other = interleave ? 1 : pairs, spread = GROUP_SIZE > 1 ? n_heads : 1;
    for (int i = LOCAL_ID; i < pairs * spread; i += GROUP_SIZE) {
        const int head = i / pairs, pair = i - head * pairs;
        float cosine;
        const float sine = trd_sin_cos(p * inverse_frequencies[pair], &cosine) * magnitude;
        cosine *= magnitude;
        for (int h = head; h < n_heads; h += spread) {
            GLOBAL float *at = x + (i64)t * x_stride + (i64)h * head_dim + pair * step;
            const float a = at[0], b = at[other];
            at[0] = a * cosine - b * sine;
            at[other] = b * cosine + a * sine;
        }
    }
}

/* Key and value of one head of token t, into slot positions[t] % block_tokens of its block. plane: elements from a key to its value. */
KERNEL trd_kv_append(ARG(char, pool), ARG(const int, table), ARG(const int, offsets), ARG(const float, k), ARG(const float, v),
                     ARG(const int, rows), ARG(const int, positions), const i64 block_stride, const i64 plane, const int block_tokens,
                     const int head_dim, const int stride, const int is_half, const int n)
{
    OPEN(char, pool);
    OPEN(const int, table);
    OPEN(const int, offsets);
    OPEN(const float, k);
    OPEN(const float, v);
    OPEN(const int, rows);
    OPEN(const int, positions);
    const int t = GROUP_ID, h = GROUP_ID_Y;
    if (t >= n) return;
    const int nth = positions[t] / block_tokens, slot = positions[t] - nth * block_tokens;
    GLOBAL char *block = pool + table[offsets[rows[t]] + nth] * block_stride;
    const i64 to = ((i64)h * block_tokens + slot) * head_dim, from = (i64)t * stride + (i64)h * head_dim;
    for (int c = LOCAL_ID * LANES; c < head_dim; c += STRIDE) {
        const int left = head_dim - c;
        const lanes key = lanes_load(k + from + c, left), value = lanes_load(v + from + c, left);
        if (is_half) {
            lanes_store_half((GLOBAL half *)block + to + c, key, left);
            lanes_store_half((GLOBAL half *)block + to + plane + c, value, left);
        } else {
            lanes_store((GLOBAL float *)block + to + c, key, left);
            lanes_store((GLOBAL float *)block + to + plane + c, value, left);
        }
    }
}

/* Block copies[2 i + 1] := block copies[2 i], in words of 4 bytes. No block that is written is read in the same step. */
KERNEL trd_kv_copy(ARG(uint, pool), ARG(const int, copies), const i64 block_words, const int width, const int piece, const int n)
{
    OPEN(uint, pool);
    OPEN(const int, copies);
    PIECE(width, piece);
    GLOBAL const uint *from = pool + copies[2 * r] * block_words;
    GLOBAL uint *to = pool + copies[2 * r + 1] * block_words;
    for (int c = first + LOCAL_ID * LANES; c < end; c += STRIDE) lanes_copy(to + c, from + c, end - c);
}
