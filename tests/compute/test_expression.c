/*
 * test_expression.c: the parser of expressions: what it refuses and where it says the fault is; hostile texts of every kind; and random programs,
 * which the interpreter of the CPU must compute as this file's own evaluator does.
 */
#include "backend/backend.h"
#include "backend/expression.h"
#include "compute_rig.h"
#include "core/alloc.h"

/* ---- Refusals ---- */

static void refuse(const char *parameters, const char *text, const char *part)
{
    trdi_program *program = NULL;
    CHECK_FAILS(trdi_expression_parse(parameters, text, &program), TRD_E_FORMAT, part);
    CHECK(program == NULL);
}

static void test_refusals(void)
{
    static const char xy[] = "const float *x, float *y, float a, float *s";
    static const char use[] = "; y[i] += a + x[i]; s[r] = sum(x[i])";
    refuse("", "y[i] = 1", "parameters, column 1: a type is float, half, int or char (at the end)");
    refuse("double *y", "y[i] = 1", "parameters, column 1: a type");
    refuse("float *y,", "y[i] = 1", "parameters, column 10: a type");
    refuse("float *y float *x", "y[i] = 1", "column 10: ',' is missing (at 'float')");
    refuse("float *", "y[i] = 1", "column 8: a name is missing");
    refuse("float *i", "i[i] = 1", "i, r and c are the indices");
    refuse("float *exp", "exp[i] = 1", "the name of a function");
    refuse("float *half", "half[i] = 1", "the name of a type");
    refuse("float *y, float *y", "y[i] = 1", "column 18: a name that a parameter has");
    refuse("half y", "y[i] = 1", "a number is float or int");
    refuse("float *abcdefghijklmnopqrstuvwxyz0123456", "y[i] = 1", "more than 31 characters");
    refuse("float *a,float *b,float *d,float *e,float *f,float *g,float *h,float *j,float *k,float *l,float *m,float *n,float *o,float *p,"
           "float *q,float *s,float *t", "t[i] = 1", "more than 16 parameters");
    refuse(xy, "", "the parameter 'x' is not used");
    refuse("float *y", "", "'y' is not used");
    refuse("float *y", "t = y[i]", "nothing is stored");
    refuse("float *y", "y[i] = 1 +", "expression, column 11: a value is missing (at the end)");
    refuse("float *y", "y[i] = (1", "column 10: ')' is missing");
    refuse("float *y", "y[i] = 1)", "column 9: ';' is missing (at ')')");
    refuse("float *y", "y[j] = 1", "column 3: an index is i, r or c (at 'j')");
    refuse("float *y", "y[i+1] = 1", "column 4: ']' is missing");
    refuse("float *y", "y = 1", "column 3: '[' is missing");
    refuse("float *y", "y[i] 1", "'=' is missing");
    refuse("float *y", "y[i] = z", "column 8: unknown name (at 'z')");
    refuse("float *y", "y[i] = 1.5.2", "not a number");
    refuse("float *y", "y[i] = 0x10", "not a number");
    refuse("float *y", "y[i] = 1e99", "too large for float");
    refuse("float *y", "y[i] = 3000000000", "beyond 2147483647");
    refuse("float *y", "y[i] = 1.5 % 2", "% is for int");
    refuse("float *y", "y[i] = min(1)", "',' is missing");
    refuse("float *y", "y[i] = exp(1, 2)", "too many arguments");
    refuse("float *y", "y[i] = exp", "'(' is missing");
    refuse("float *y", "y[i] = 1 ? 2", "':' is missing");
    refuse("float *y", "y[i] = sum(1)", "a reduction stands alone");
    refuse("float *y", "1 = y[i]", "a statement is");
    refuse("float *y", "y[i] = 1;; y[i] = 2", "a statement is");
    refuse("float *y", "y[i] = $", "(at '$')");
    refuse("float *y", "y[i] = \xff\x01", "(at '?')");
    refuse("const float *y", "y[i] = 1", "declared const");
    refuse("float *y", "y[c] = 1", "columns cannot be written");
    refuse("float *y", "y[r] = 1", "what is stored at [r] is a reduction");
    refuse("float *y", "y[i] = y[c]", "'y' is written at [i], so it can be read at [i] only");
    refuse("float *s, float *x", "s[r] = sum(x[i] + s[i])", "the result of a reduction, is used otherwise");
    refuse("float *s, float *x", "s[r] = sum(x[i]); x[i] = 2", "the last statement");
    refuse("float *s, float *x", "s[r] = sum(x[i]) + 1", "ends its statement");
    refuse("float *s, float *x", "s[r] += sum(x[i])", "stored by '='");
    refuse("float *s, float *x", "s[r] = max(x[i], 2)", "one argument");
    refuse("float *s, float *x", "s[r] = sum(x[c])", "no tensor stands with [i]");
    refuse("float a, float *y", "a = 2; y[i] = a", "a number is written");
    refuse("float *y", "exp = 2; y[i] = 1", "the name of a function");
    refuse("float *y", "r = 2; y[i] = 1", "the indices");
    char text[256];
    (void)snprintf(text, sizeof text, "q = a%s", use);
    trdi_program *program;
    CHECK_OK(trdi_expression_parse(xy, text, &program));
    CHECK_INT(program->reduction, TRDI_REDUCE_SUM);
    trdi_free(program);
}

/* ---- Hostile texts ---- */

static char *repeated(const char *head, const char *piece, size_t n, const char *tail)
{
    char *const text = malloc(strlen(head) + n * strlen(piece) + strlen(tail) + 1);
    CHECK(text != NULL);
    char *p = text + sprintf(text, "%s", head);
    for (size_t i = 0; i < n; i++) p += sprintf(p, "%s", piece);
    (void)sprintf(p, "%s", tail);
    return text;
}

static void test_limits(void)
{
    static const struct { const char *head, *piece; size_t n; const char *tail, *part; } all[] = {
        { "y[i] = ", "(", 10000, "1", "nested more than 64 deep" },  { "y[i] = ", "-", 10000, "1", "nested more than 64 deep" },
        { "y[i] = ", "exp(", 3000, "1", "nested more than 64 deep" }, { "y[i] = ", "1?", 5000, "1", "nested more than 64 deep" },
        { "y[i] = ", "1?2:", 3000, "1", "nested more than 64 deep" }, { "y[i] = ", "!", 10000, "1", "nested more than 64 deep" },
        { "y[i] = ", "y[i]*y[i]+", 1500, "1", "more than 1024 values" }, { "y[i] = ", "9", 5000, "", "more than 63 characters" },
        { "y[i] = ", " ", 20000, "1", "longer than 16384 bytes" },   { "", "y", 16000, "[i] = 1", "more than 31 characters" },
    };
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        char *const text = repeated(all[k].head, all[k].piece, all[k].n, all[k].tail);
        refuse("float *y", text, all[k].part);
        free(text);
    }
    /* Inside the limits: wide, not deep. */
    char *text = repeated("y[i] = ", "1+", 1000, "1");
    trdi_program *program;
    CHECK_OK(trdi_expression_parse("float *y", text, &program));
    trdi_free(program);
    free(text);
    text = repeated("y[i] = ", "(", 60, "1");
    char *const whole = repeated(text, ")", 60, "");
    CHECK_OK(trdi_expression_parse("float *y", whole, &program));
    trdi_free(program);
    free(text);
    free(whole);
    text = repeated("", "t = y[i]; ", 65, "y[i] = t");     /* one name, many times */
    CHECK_OK(trdi_expression_parse("float *y", text, &program));
    trdi_free(program);
    free(text);
}

/* Every program that is taken must hold together: operands come before their users, indices are inside. */
static void check_program(const trdi_program *p)
{
    CHECK(p->n_parameters >= 1 && p->n_parameters <= TRDI_MAX_PARAMETERS);
    CHECK(p->n_instructions >= 0 && p->n_instructions <= TRDI_MAX_VALUES);
    for (int32_t v = 0; v < p->n_instructions; v++) {
        const trdi_instruction *const in = &p->instructions[v];
        CHECK(in->op < TRDI_N_EXPRESSION_OPS && in->index < TRDI_N_INDICES && in->type <= TRDI_VALUE_INT);
        const int16_t operands[3] = { in->a, in->b, in->c };
        for (int k = 0; k < trdi_expression_operands((trdi_expression_op)in->op); k++) CHECK(operands[k] >= 0 && operands[k] < v);
        if (in->op == TRDI_X_LOAD || in->op == TRDI_X_STORE || in->op == TRDI_X_SCALAR) CHECK(in->a >= 0 && in->a < p->n_parameters);
        if (in->op == TRDI_X_STORE) CHECK(in->b >= 0 && in->b < v && p->instructions[in->b].type == in->type);
    }
    if (p->reduction != TRDI_REDUCE_NONE) CHECK(p->reduced >= 0 && p->reduced < p->n_instructions && p->result >= 0 && p->result < p->n_parameters);
}

static int try_text(const char *parameters, const char *text)
{
    trdi_program *program;
    if (trdi_expression_parse(parameters, text, &program) != TRD_OK) return 0;
    check_program(program);
    char *source;
    CHECK_OK(trdi_expression_text(program, &source));
    CHECK(strstr(source, "KERNEL " TRDI_EXPRESSION_KERNEL) != NULL);
    trdi_free(source);
    trdi_free(program);
    return 1;
}

static void test_garbage(int n)
{
    static const char *const pieces[] = { "y[i]", "x[i]", "s[r]", "w[c]", "=", "+=", "+", "-", "*", "/", "%", "<", ">=", "==", "&&", "||", "!", "?", ":", "(", ")",
                                          ",", ";", "1", "2.5", "1e3f", "i", "r", "c", "t", "u", "min(", "max(", "exp(", "fma(", "sum(", "mean(", "float(", "int(",
                                          "a", "n", "[", "]", " ", "9999999999", ".", "clamp(", "pow(", "\n", "y", "z" };
    static const char parameters[] = "const float *x, float *y, half *z, const char *w, float *s, float a, int n";
    char text[512];
    int n_taken = 0;
    for (int k = 0; k < n; k++) {
        size_t length = 0;
        const int parts = (int)(rig_random() % 24);
        if (rig_random() % 2 == 0) length += (size_t)sprintf(text, "y[i] = ");
        for (int j = 0; j < parts; j++) {
            if (rig_random() % 16 == 0) text[length++] = (char)(1 + rig_random() % 255);
            else length += (size_t)sprintf(text + length, "%s", pieces[rig_random() % (sizeof pieces / sizeof pieces[0])]);
        }
        text[length] = '\0';
        trdi_program *program;
        if (trdi_expression_parse(parameters, text, &program) == TRD_OK) {
            check_program(program);
            trdi_free(program);
        }
        /* The same as parameters, and with parameters that need no use. */
        if (trdi_expression_parse(text, "y[i] = 1", &program) == TRD_OK) trdi_free(program);
        n_taken += try_text("float *y", text);
    }
    CHECK(n_taken > 0);
}

/* ---- Random programs ---- */

/* A random expression as text, and its value for x, y by C. Divisions and roots are kept away from 0 and from large numbers. */
typedef struct tree {
    char   text[4096];
    size_t length;
} tree;

static void put(tree *t, const char *text)
{
    t->length += (size_t)snprintf(t->text + t->length, sizeof t->text - t->length, "%s", text);
    CHECK(t->length < sizeof t->text);
}

enum { ROWS = 3, COLS = 301, N_ELEMENTS = ROWS * COLS };
static float xs[N_ELEMENTS], ys[N_ELEMENTS], ws[COLS];

static void grow(tree *t, int depth, double *v)
{
    double a[N_ELEMENTS], b[N_ELEMENTS], c[N_ELEMENTS];
    const int kind = depth == 0 ? (int)(rig_random() % 5) : 5 + (int)(rig_random() % 12);
    static const char *const heads[] = { "(", "(", "(", "(", "min(", "max(", "abs(", "tanh(", "sin(", "(", "sigmoid(", "fma(" };
    static const char *const middles[] = { " + ", " - ", " * ", " / (2 + abs(", ", ", ", ", "", "", "", " < ", "", ", " };
    if (kind < 5) {
        static const char *const leaves[] = { "x[i]", "y[i]", "w[c]", "0.75", "float(r)" };
        put(t, leaves[kind]);
        for (int i = 0; i < N_ELEMENTS; i++) v[i] = kind == 0 ? (double)xs[i] : kind == 1 ? (double)ys[i] : kind == 2 ? (double)ws[i % COLS] : kind == 3 ? 0.75 : i / COLS;
        return;
    }
    const int k = kind - 5;
    put(t, heads[k]);
    grow(t, depth - 1, a);
    if (middles[k][0] != '\0') {
        put(t, middles[k]);
        grow(t, depth - 1, b);
        if (k == 3) put(t, "))");       /* of abs and its sum; the last is below */
    }
    if (k == 9) put(t, " ? ");
    if (k == 9 || k == 11) {
        if (k == 11) put(t, ", ");
        grow(t, depth - 1, c);
    }
    if (k == 9) put(t, " : 0.5");
    put(t, ")");
    for (int i = 0; i < N_ELEMENTS; i++) {
        switch (k) {
        case 0: v[i] = a[i] + b[i]; break;
        case 1: v[i] = a[i] - b[i]; break;
        case 2: v[i] = a[i] * b[i]; break;
        case 3: v[i] = a[i] / (2.0 + fabs(b[i])); break;
        case 4: v[i] = isnan(a[i] + b[i]) ? NAN : a[i] < b[i] ? a[i] : b[i]; break;
        case 5: v[i] = isnan(a[i] + b[i]) ? NAN : a[i] > b[i] ? a[i] : b[i]; break;
        case 6: v[i] = fabs(a[i]); break;
        case 7: v[i] = tanh(a[i]); break;
        case 8: v[i] = sin(a[i]); break;
        case 9: v[i] = !(fabs(a[i] - b[i]) >= 1e-4) ? NAN : a[i] < b[i] ? c[i] : 0.5; break;   /* too close to call in f32 */
        case 10: v[i] = 1.0 / (1.0 + exp(-a[i])); break;
        default: v[i] = a[i] * b[i] + c[i]; break;
        }
    }
}

static void test_random_programs(rig *r)
{
    static double want[N_ELEMENTS];
    for (int i = 0; i < N_ELEMENTS; i++) xs[i] = rig_uniform();
    for (int i = 0; i < N_ELEMENTS; i++) ys[i] = rig_uniform();
    for (int i = 0; i < COLS; i++) ws[i] = rig_uniform();
    trd_tensor *const x = rig_tensor(r, TRD_DTYPE_F32, ROWS, COLS, xs), *const y = rig_tensor(r, TRD_DTYPE_F32, ROWS, COLS, ys);
    trd_tensor *const w = rig_tensor(r, TRD_DTYPE_F32, 1, COLS, ws), *const z = rig_poisoned(r, ROWS, COLS);
    for (int k = 0; k < 300; k++) {
        tree t = { .length = 0 };
        put(&t, "z[i] = 0 * (x[i] + y[i] + w[c]) + ");
        grow(&t, 1 + (int)(rig_random() % 4), want);
        trd_kernel *kernel;
        CHECK_OK(trd_kernel_create_expression(r->device, "const float *x, const float *y, const float *w, float *z", t.text, &kernel));
        RIG_RUN(r, kernel, rig_arg(x), rig_arg(y), rig_arg(w), rig_arg(z));
        float *const got = rig_read(r, z);
        for (int i = 0; i < N_ELEMENTS; i++) {
            if (isnan(want[i]) || fabs((double)got[i] - want[i]) <= 2e-4 * (1.0 + fabs(want[i]))) continue;
            fprintf(stderr, "%s: element %d is %g, wanted %g\n", t.text, i, (double)got[i], want[i]);
            exit(1);
        }
        free(got);
        trd_kernel_destroy(kernel);
    }
    trd_tensor *const all[] = { x, y, w, z };
    for (int i = 0; i < 4; i++) trd_tensor_destroy(all[i]);
}

int main(void)
{
    test_refusals();
    test_limits();
    test_garbage(UNDER_ADDRESS_SANITIZER || UNDER_THREAD_SANITIZER ? 20000 : 100000);
    rig r = rig_open("cpu");
    test_random_programs(&r);
    rig_close(&r);
    size_t bytes, blocks;
    trd_memory_in_use(&bytes, &blocks);
    CHECK_INT(blocks, 0);
    return 0;
}
