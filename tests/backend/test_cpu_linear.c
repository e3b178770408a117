/* test_cpu_linear.c: packed products against the reference, and that a row's bits depend on nothing but the row. */
#include "backend_rig.h"

typedef struct problem {
    int64_t m, in, out, pad;  /* pad: strides beyond the widths */
    int32_t activation;
    bool bias, multiplier, residual, in_place;
} problem;

static const problem problems[] = {
    { 1, 1, 1, 0, -1, false, false, false, false },
    { 1, 7, 15, 1, 0, true, false, false, false },
    { 1, 64, 100, 0, 1, true, true, true, false },
    { 2, 33, 17, 3, 2, true, true, false, false },
    { 3, 255, 31, 0, 3, false, false, true, true },
    { 4, 100, 64, 5, 4, true, false, true, false },
    { 5, 300, 33, 0, 5, true, false, false, false },
    { 6, 16, 16, 0, 6, true, true, true, true },
    { 7, 257, 48, 1, -1, true, false, true, true },
    { 12, 513, 35, 0, -1, false, false, false, false },
    { 13, 64, 80, 0, 2, true, true, false, false },
    { 17, 600, 64, 2, -1, true, false, true, false },
    { 49, 270, 19, 0, 0, true, false, false, false },
    { 100, 31, 130, 0, -1, true, false, true, true },
};

/* Operands of a problem, and the operation on them. */
typedef struct operands {
    array rows, bias, x, multiplier, residual, y;
    trdi_op op;
} operands;

static operands make(const rig *r, const problem *p)
{
    operands o = { .rows = array_random(p->out * p->in), .bias = array_random(p->out), .x = array_random(p->m * (p->in + p->pad)),
                   .multiplier = array_random(p->m * (p->out + p->pad)), .residual = array_random(p->m * (p->out + p->pad)),
                   .y = array_new(p->m * (p->out + p->pad)) };
    o.op = (trdi_op){ .kind = TRDI_OP_LINEAR, .count = TRDI_COUNT_TOKENS, .u.linear = {
        .weight = rig_weight(r, TRDI_LAYOUT_LINEAR, &o.rows, p->out, p->in, p->bias ? o.bias.data : NULL),
        .x = span(o.x.data), .y = span(o.y.data), .in = p->in, .out = p->out, .x_stride = p->in + p->pad,
        .y_stride = p->out + p->pad, .multiplier_stride = p->out + p->pad, .residual_stride = p->out + p->pad,
        .activation = p->activation } };
    if (p->multiplier) o.op.u.linear.multiplier = span(o.multiplier.data);
    if (p->residual) o.op.u.linear.residual = span(o.residual.data);
    return o;
}

static void drop(const rig *r, operands *o)
{
    r->ops->weight_free(o->op.u.linear.weight);
    array_free(&o->rows);
    array_free(&o->bias);
    array_free(&o->x);
    array_free(&o->multiplier);
    array_free(&o->residual);
    array_free(&o->y);
}

static void against_reference(rig *r)
{
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        const problem *p = &problems[i];
        operands o = make(r, p);
        array want = array_new(o.y.n), kept = array_copy(&o.residual);
        o.op.u.linear.y = span(want.data);
        CHECK_OK(reference_run(&o.op, p->m));
        o.op.u.linear.y = span(o.y.data);
        CHECK_OK(rig_run(r, &o.op, p->m));
        check_close(r, "linear", o.y.data, want.data, want.n, 2e-6 * sqrt((double)p->in) + 1e-6);
        if (p->in_place && p->residual) {
            o.op.u.linear.y = o.op.u.linear.residual;
            CHECK_OK(rig_run(r, &o.op, p->m));
            for (int64_t row = 0; row < p->m; row++) {
                const int64_t at = row * (p->out + p->pad);
                check_same_bits("linear onto its residual", o.residual.data + at, o.y.data + at, p->out);
                check_same_bits("beyond the width", o.residual.data + at + p->out, kept.data + at + p->out, p->pad);
            }
        }
        array_free(&want);
        array_free(&kept);
        drop(r, &o);
    }
}

static void nothing_with_no_rows(rig *r)
{
    operands o = make(r, &problems[2]);
    CHECK_OK(rig_run(r, &o.op, 0));
    for (int64_t i = 0; i < o.y.n; i++) CHECK(isnan(o.y.data[i]));
    drop(r, &o);
}

/* Rows in blocks of every size, by 1 and 2 threads, on every set with fma: the same bits. */
static void same_bits(void)
{
    enum { M = 64, IN = 600, OUT = 70 };
    const problem p = { .m = M, .in = IN, .out = OUT, .activation = 2, .bias = true };
    static const int64_t blocks[] = { 1, 3, 7, 17, 48, 50, 64 };
    const char *names[3];
    const int n_isas = rig_isas(names);
    array first = { 0 };
    for (int i = 0; i < n_isas; i++) {
        array all = { 0 };
        for (int32_t threads = 1; threads <= 2; threads++) {
            rig_state = 12345;
            rig r = rig_open(names[i], threads);
            trdi_cpu_queue_share_all(r.queue);
            operands o = make(&r, &p);
            for (size_t b = 0; b < sizeof blocks / sizeof blocks[0]; b++) {
                array_poison(&o.y);
                for (int64_t row = 0; row < M; row += blocks[b]) {
                    o.op.u.linear.x.offset = (size_t)(row * IN) * sizeof(float);
                    o.op.u.linear.y.offset = (size_t)(row * OUT) * sizeof(float);
                    CHECK_OK(rig_run(&r, &o.op, M - row < blocks[b] ? M - row : blocks[b]));
                }
                if (all.data == NULL) all = array_copy(&o.y);
                check_same_bits("rows in other blocks", o.y.data, all.data, all.n);
            }
            drop(&r, &o);
            rig_close(&r);
        }
        if (strcmp(names[i], "generic") == 0) {
            array_free(&all);
        } else if (first.data == NULL) {
            first = all;
        } else {
            check_same_bits("another set with fma", all.data, first.data, all.n);
            array_free(&all);
        }
    }
    if (first.data != NULL) array_free(&first);
}

int main(void)
{
    rig_each(against_reference);
    rig_each(nothing_with_no_rows);
    same_bits();
    return 0;
}
