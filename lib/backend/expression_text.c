/* expression_text.c: the program of an expression as a kernel in the shared dialect, one statement for each value. */
#include "backend/expression.h"
#include "core/strings.h"

/* Int arithmetic wraps, and divides by 0 to 0; conversion to int is bounded. Activations as lib/backend/cpu has them. */
static const char helpers[] =
    "static int trdx_add(int a, int b) { return (int)((uint)a + (uint)b); }\n"
    "static int trdx_sub(int a, int b) { return (int)((uint)a - (uint)b); }\n"
    "static int trdx_mul(int a, int b) { return (int)((uint)a * (uint)b); }\n"
    "static int trdx_div(int a, int b) { return b == 0 ? 0 : b == -1 ? trdx_sub(0, a) : a / b; }\n"
    "static int trdx_mod(int a, int b) { return b == 0 || b == -1 ? 0 : a % b; }\n"
    "static int trdx_abs(int a) { return a < 0 ? trdx_sub(0, a) : a; }\n"
    "static int trdx_int(float a)\n"
    "{ return !(a == a) ? 0 : a >= 2147483648.0f ? 2147483647 : a <= -2147483648.0f ? (-2147483647 - 1) : (int)a; }\n"
    "static char trdx_char(int a) { return (char)(a < -128 ? -128 : a > 127 ? 127 : a); }\n"
    "static float trdx_relu(float x) { return x < 0.0f ? 0.0f : x; }\n"
    "static float trdx_swish(float x) { return x < -3.0e38f ? 0.0f : x / (1.0f + exp(-x)); }\n"
    "static float trdx_sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }\n"
    "static float trdx_gelu(float x) { return 0.5f * x * (1.0f + erf(0.707106769f * x)); }\n"
    "static float trdx_gelu_tanh(float x)\n"
    "{ return 0.5f * x * (1.0f + tanh(0.797884583f * (x + 0.044715f * x * x * x))); }\n";

static const char *element_type(trd_dtype dtype)
{
    switch (dtype) {
    case TRD_DTYPE_F16: return "half";
    case TRD_DTYPE_I32: return "int";
    case TRD_DTYPE_I8: return "char";
    default: return "float";
    }
}

static const char *reduced_type(const trdi_program *program)
{
    return program->instructions[program->reduced].type == TRDI_VALUE_INT ? "int" : "float";
}

static void write_head(trdi_text *out, const trdi_program *program)
{
    trdi_text_add(out, "KERNEL " TRDI_EXPRESSION_KERNEL "(");
    for (int32_t k = 0; k < program->n_parameters; k++) {
        const trdi_parameter *const t = &program->parameters[k];
        const char *const type = element_type(t->dtype);
        if (t->is_tensor) trdi_text_add(out, "ARG(%s%s, p%d), ", t->is_written ? "" : "const ", type, (int)k);
        else trdi_text_add(out, "const %s p%d, ", type, (int)k);
    }
    trdi_text_add(out, "const i64 rows, const i64 cols");
    if (program->reduction != TRDI_REDUCE_NONE) trdi_text_add(out, ", const i64 pieces, ARG(%s, pieced)", reduced_type(program));
    trdi_text_add(out, ")\n{\n");
    for (int32_t k = 0; k < program->n_parameters; k++) {
        const trdi_parameter *const t = &program->parameters[k];
        if (t->is_tensor) trdi_text_add(out, "    OPEN(%s%s, p%d);\n", t->is_written ? "" : "const ", element_type(t->dtype), (int)k);
    }
}

static void write_store(trdi_text *out, const trdi_program *program, const trdi_instruction *in)
{
    const int to = in->a, value = in->b;
    switch (program->parameters[to].dtype) {
    case TRD_DTYPE_F16: trdi_text_add(out, "STORE_HALF(p%d, i, v%d);\n", to, value); break;
    case TRD_DTYPE_I8: trdi_text_add(out, "p%d[i] = trdx_char(v%d);\n", to, value); break;
    default: trdi_text_add(out, "p%d[i] = v%d;\n", to, value); break;
    }
}

/* The text of an operation with its operands put in. */
static void write_operation(trdi_text *out, const trdi_instruction *in)
{
    static const char *const forms[TRDI_N_EXPRESSION_OPS] = {
#define FORM(name, operands, text) [TRDI_X_##name] = (text),
        TRDI_EXPRESSION_OPS(FORM)
#undef FORM
    };
    for (const char *p = forms[in->op]; *p != '\0'; p++) {
        if (*p != '%' || p[1] < 'a' || p[1] > 'c') {
            trdi_text_add(out, "%c", *p);
            continue;
        }
        p++;
        trdi_text_add(out, "v%d", (int)(*p == 'a' ? in->a : *p == 'b' ? in->b : in->c));
    }
}

static void write_instruction(trdi_text *out, const trdi_program *program, int32_t v)
{
    static const char indices[TRDI_N_INDICES] = { 'i', 'r', 'c' };
    const trdi_instruction *const in = &program->instructions[v];
    trdi_text_add(out, "        ");
    if (in->op == TRDI_X_STORE) {
        write_store(out, program, in);
        return;
    }
    trdi_text_add(out, "const %s v%d = ", in->type == TRDI_VALUE_INT ? "int" : "float", (int)v);
    const char index = indices[in->index];
    switch (in->op) {
    case TRDI_X_NUMBER:
        if (in->type == TRDI_VALUE_INT) trdi_text_add(out, "%d", (int)in->number.i);
        else trdi_text_add(out, "AS_FLOAT(0x%08xu)", (unsigned)in->number.i);
        break;
    case TRDI_X_SCALAR: trdi_text_add(out, "p%d", (int)in->a); break;
    case TRDI_X_INDEX: trdi_text_add(out, "(int)%c", index); break;
    case TRDI_X_LOAD:
        if (program->parameters[in->a].dtype == TRD_DTYPE_F16) trdi_text_add(out, "LOAD_HALF(p%d, %c)", (int)in->a, index);
        else trdi_text_add(out, "p%d[%c]", (int)in->a, index);
        break;
    default: write_operation(out, in); break;
    }
    trdi_text_add(out, ";\n");
}

static void write_instructions(trdi_text *out, const trdi_program *program)
{
    for (int32_t v = 0; v < program->n_instructions; v++) write_instruction(out, program, v);
}

static void write_elements(trdi_text *out, const trdi_program *program)
{
    trdi_text_add(out, "    const i64 i = GLOBAL_ID;\n    if (i < rows * cols) {\n");
    if (program->uses_rows) trdi_text_add(out, "        const i64 r = i / cols, c = i - r * cols;\n");
    write_instructions(out, program);
    trdi_text_add(out, "    }\n}\n");
}

typedef struct reducer {
    const char *empty;        /* what nothing reduces to */
    const char *join;         /* of a and b */
} reducer;

static reducer reducer_of(const trdi_program *program, bool is_int)
{
    switch (program->reduction) {
    case TRDI_REDUCE_PRODUCT: return is_int ? (reducer){ "1", "trdx_mul(a, b)" } : (reducer){ "1.0f", "a * b" };
    case TRDI_REDUCE_MAX: return is_int ? (reducer){ "(-2147483647 - 1)", "max(a, b)" } : (reducer){ "-INFINITY", "fmax(a, b)" };
    case TRDI_REDUCE_MIN: return is_int ? (reducer){ "2147483647", "min(a, b)" } : (reducer){ "INFINITY", "fmin(a, b)" };
    default: return is_int ? (reducer){ "0", "trdx_add(a, b)" } : (reducer){ "0.0f", "a + b" };
    }
}

/* Store `a`, of a whole row, at [r]. */
static void write_result(trdi_text *out, const trdi_program *program, bool is_int)
{
    const int to = program->result;
    const bool to_int = trdi_value_type_of(program->parameters[to].dtype) == TRDI_VALUE_INT;
    const char *const shown = program->reduction == TRDI_REDUCE_MEAN ? "a / (float)cols" : "a";
    trdi_text_add(out, "            const %s result = ", to_int ? "int" : "float");
    if (to_int == is_int) trdi_text_add(out, "%s;\n", shown);
    else trdi_text_add(out, to_int ? "trdx_int(%s);\n" : "(float)%s;\n", shown);
    trdi_text_add(out, "            ");
    switch (program->parameters[to].dtype) {
    case TRD_DTYPE_F16: trdi_text_add(out, "STORE_HALF(p%d, r, result);\n", to); break;
    case TRD_DTYPE_I8: trdi_text_add(out, "p%d[r] = trdx_char(result);\n", to); break;
    default: trdi_text_add(out, "p%d[r] = result;\n", to); break;
    }
}

/* Join `b` to `a`. Sums of float keep what rounding lost (Kahan 1965), as a row may be long and a group small. */
static void write_join(trdi_text *out, const trdi_program *program, bool is_int, const char *value)
{
    const bool sum = program->reduction == TRDI_REDUCE_SUM || program->reduction == TRDI_REDUCE_MEAN;
    if (is_int || !sum) {
        trdi_text_add(out, "            const %s b = %s;\n            a = %s;\n", reduced_type(program), value, reducer_of(program, is_int).join);
        return;
    }
    trdi_text_add(out, "            const float b = %s - lost, next = a + b;\n"
                       "            lost = isfinite(next) ? (next - a) - b : 0.0f;\n"
                       "            a = next;\n", value);
}

static void write_begin(trdi_text *out, const trdi_program *program, bool is_int)
{
    trdi_text_add(out, "        %s a = %s;\n", reduced_type(program), reducer_of(program, is_int).empty);
    if (!is_int && (program->reduction == TRDI_REDUCE_SUM || program->reduction == TRDI_REDUCE_MEAN)) trdi_text_add(out, "        float lost = 0.0f;\n");
}

/* A group for each piece of a row. */
static void write_pieces(trdi_text *out, const trdi_program *program, bool is_int)
{
    const char *const type = reduced_type(program);
    trdi_text_add(out, "    OPEN(%s, pieced);\n"
                       "    LOCAL %s partial[GROUP_SIZE];\n"
                       "    for (i64 g = GROUP_ID; g < rows * pieces; g += GROUPS) {\n"
                       "        const i64 r = g / pieces, piece = g - r * pieces, end = cols * (piece + 1) / pieces;\n", type, type);
    write_begin(out, program, is_int);
    trdi_text_add(out, "        for (i64 c = cols * piece / pieces + LOCAL_ID; c < end; c += GROUP_SIZE) {\n"
                       "        const i64 i = r * cols + c;\n");
    write_instructions(out, program);
    trdi_text_add(out, "        const %s value = v%d;\n", type, (int)program->reduced);
    write_join(out, program, is_int, "value");
    trdi_text_add(out, "        }\n"
                       "        partial[LOCAL_ID] = a;\n"
                       "        for (int step = GROUP_SIZE / 2; step > 0; step /= 2) {\n"
                       "            BARRIER();\n"
                       "            if (LOCAL_ID < step) {\n"
                       "                const %s b = partial[LOCAL_ID + step];\n"
                       "                a = partial[LOCAL_ID];\n"
                       "                partial[LOCAL_ID] = %s;\n"
                       "            }\n"
                       "        }\n"
                       "        BARRIER();\n"
                       "        a = partial[0];\n"
                       "        if (LOCAL_ID == 0 && pieces > 1) pieced[g] = a;\n"
                       "        if (LOCAL_ID == 0 && pieces == 1) {\n", type, reducer_of(program, is_int).join);
    write_result(out, program, is_int);
    trdi_text_add(out, "        }\n        BARRIER();\n    }\n}\n");
}

/* A work-item for each row: its pieces in order. */
static void write_rows(trdi_text *out, const trdi_program *program, bool is_int)
{
    const int to = program->result;
    const char *const type = reduced_type(program);
    trdi_text_add(out, "KERNEL " TRDI_EXPRESSION_JOIN "(ARG(%s, p%d), ARG(const %s, pieced), const i64 rows, const i64 cols, const i64 pieces)\n{\n"
                       "    OPEN(%s, p%d);\n"
                       "    OPEN(const %s, pieced);\n"
                       "    const i64 r = GLOBAL_ID;\n"
                       "    if (r < rows) {\n", element_type(program->parameters[to].dtype), to, type,
                  element_type(program->parameters[to].dtype), to, type);
    write_begin(out, program, is_int);
    trdi_text_add(out, "        for (i64 piece = 0; piece < pieces; piece++) {\n");
    write_join(out, program, is_int, "pieced[r * pieces + piece]");
    trdi_text_add(out, "        }\n        {\n");
    write_result(out, program, is_int);
    trdi_text_add(out, "        }\n    }\n}\n");
}

static void write_reduction(trdi_text *out, const trdi_program *program)
{
    const bool is_int = program->instructions[program->reduced].type == TRDI_VALUE_INT;
    write_pieces(out, program, is_int);
    write_rows(out, program, is_int);
}

trd_status trdi_expression_text(const trdi_program *program, char **out)
{
    *out = NULL;
    trdi_text text = { 0 };
    trdi_text_add(&text, "#undef GROUP_SIZE\n#define GROUP_SIZE %d\n%s", (int)TRDI_EXPRESSION_GROUP, helpers);
    write_head(&text, program);
    if (program->reduction == TRDI_REDUCE_NONE) write_elements(&text, program);
    else write_reduction(&text, program);
    if (text.failed) {
        trdi_text_free(&text);
        return trdi_fail(TRD_E_MEMORY, "text of an expression");
    }
    *out = text.data;
    return TRD_OK;
}
