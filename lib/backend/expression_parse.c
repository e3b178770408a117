/*
 * expression_parse.c: recursive descent from the text of an expression to its program, types checked on the way. The text may be hostile: its
 * length, depth, names, numbers and values are bounded, and every failure says where it stands.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/expression.h"
#include "core/alloc.h"

enum { MAX_LOCALS = 64, MAX_NAME = 31 };

typedef struct local {
    const char *name;
    size_t  length;
    int16_t value;
} local;

typedef struct parser {
    const char *text, *at;    /* NUL-terminated */
    const char *what;         /* "parameters" or "expression", for messages */
    const char *token;        /* start of the present token */
    size_t  length;           /* of it; 0 at the end */
    int     depth;
    trdi_program *program;
    local   locals[MAX_LOCALS];
    int     n_locals;
} parser;

/* ---- Tokens ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *after_number(const char *p)
{
    while (is_digit(*p)) p++;
    if (*p == '.') p++;
    while (is_digit(*p)) p++;
    if (*p == 'e' || *p == 'E') {
        const char *q = p + 1;
        if (*q == '+' || *q == '-') q++;
        if (is_digit(*q)) {
            while (is_digit(*q)) q++;
            p = q;
        }
    }
    while (is_letter(*p) || is_digit(*p) || *p == '.') p++;   /* a suffix, or nonsense to be refused as a whole */
    return p;
}

/* Step to the next token: a name, a number, one or two signs. */
static void next(parser *p)
{
    while (is_space(*p->at)) p->at++;
    p->token = p->at;
    const char c = *p->at;
    if (c == '\0') {
        p->length = 0;
        return;
    }
    if (is_letter(c)) {
        while (is_letter(*p->at) || is_digit(*p->at)) p->at++;
    } else if (is_digit(c) || (c == '.' && is_digit(p->at[1]))) {
        p->at = after_number(p->at);
    } else {
        static const char *const pairs[] = { "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=" };
        size_t n = 1;
        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
            if (c == pairs[i][0] && p->at[1] == pairs[i][1]) n = 2;
        }
        p->at += n;
    }
    p->length = (size_t)(p->at - p->token);
}

static bool is(const parser *p, const char *text)
{
    return p->length == strlen(text) && memcmp(p->token, text, p->length) == 0;
}

static bool accept(parser *p, const char *text)
{
    if (!is(p, text)) return false;
    next(p);
    return true;
}

/* Fail at the present token: "expression, column 5: ... (at 'x')". Odd bytes of hostile texts are not repeated. */
static trd_status refuse(const parser *p, const char *why)
{
    char shown[24];
    size_t n = p->length < sizeof shown - 1 ? p->length : sizeof shown - 1;
    for (size_t i = 0; i < n; i++) shown[i] = p->token[i] >= ' ' && p->token[i] <= '~' ? p->token[i] : '?';
    shown[n] = '\0';
    const long long column = (long long)(p->token - p->text) + 1;
    if (n == 0) return trdi_fail(TRD_E_FORMAT, "%s, column %lld: %s (at the end)", p->what, column, why);
    return trdi_fail(TRD_E_FORMAT, "%s, column %lld: %s (at '%s')", p->what, column, why, shown);
}

static trd_status expect(parser *p, const char *text)
{
    if (accept(p, text)) return TRD_OK;
    char why[32] = "'";
    (void)strncat(why, text, 8);
    (void)strncat(why, "' is missing", 16);
    return refuse(p, why);
}

/* ---- Values ---- */

static trdi_value_type type_of(const parser *p, int16_t value)
{
    return (trdi_value_type)p->program->instructions[value].type;
}

/* Which operands are values? */
int trdi_expression_operands(trdi_expression_op op)
{
    static const uint8_t counts[TRDI_N_EXPRESSION_OPS] = {
#define OPERANDS(name, operands, text) [TRDI_X_##name] = (operands),
        TRDI_EXPRESSION_OPS(OPERANDS)
#undef OPERANDS
    };
    return counts[op];
}

trdi_value_type trdi_value_type_of(trd_dtype dtype)
{
    return dtype == TRD_DTYPE_I32 || dtype == TRD_DTYPE_I8 ? TRDI_VALUE_INT : TRDI_VALUE_FLOAT;
}

static bool is_uniform(const parser *p, const trdi_instruction *in)
{
    if (in->op == TRDI_X_NUMBER || in->op == TRDI_X_SCALAR) return true;
    if (in->op == TRDI_X_INDEX || in->op == TRDI_X_LOAD || in->op == TRDI_X_STORE) return false;
    const int n = trdi_expression_operands((trdi_expression_op)in->op);
    const int16_t operands[3] = { in->a, in->b, in->c };
    for (int k = 0; k < n; k++) {
        if (!p->program->instructions[operands[k]].uniform) return false;
    }
    return true;
}

/* Add an instruction, or find the same one: loads and stores are always new, as memory changes between them. */
static trd_status emit(parser *p, trdi_instruction in, int16_t *value)
{
    trdi_program *const program = p->program;
    in.uniform = is_uniform(p, &in);
    const bool pure = in.op != TRDI_X_LOAD && in.op != TRDI_X_STORE;
    for (int32_t v = 0; pure && v < program->n_instructions; v++) {
        const trdi_instruction *const old = &program->instructions[v];
        if (old->op == in.op && old->type == in.type && old->index == in.index && old->a == in.a && old->b == in.b && old->c == in.c &&
            old->number.i == in.number.i) {
            *value = (int16_t)v;
            return TRD_OK;
        }
    }
    if (program->n_instructions == TRDI_MAX_VALUES) return refuse(p, "the expression is too long: more than 1024 values");
    program->instructions[program->n_instructions] = in;
    *value = (int16_t)program->n_instructions++;
    return TRD_OK;
}

static trd_status emit_op(parser *p, trdi_expression_op op, trdi_value_type type, int16_t a, int16_t b, int16_t c, int16_t *value)
{
    const trdi_instruction in = { .op = (uint8_t)op, .type = (uint8_t)type, .a = a, .b = b, .c = c };
    return emit(p, in, value);
}

static trd_status emit_float(parser *p, float f, int16_t *value)
{
    trdi_instruction in = { .op = TRDI_X_NUMBER, .type = TRDI_VALUE_FLOAT, .a = -1, .b = -1, .c = -1 };
    in.number.f = f;
    return emit(p, in, value);
}

static trd_status emit_int(parser *p, int32_t i, int16_t *value)
{
    trdi_instruction in = { .op = TRDI_X_NUMBER, .type = TRDI_VALUE_INT, .a = -1, .b = -1, .c = -1 };
    in.number.i = i;
    return emit(p, in, value);
}

static trd_status to_float(parser *p, int16_t *value)
{
    if (type_of(p, *value) == TRDI_VALUE_FLOAT) return TRD_OK;
    return emit_op(p, TRDI_X_F_FROM_INT, TRDI_VALUE_FLOAT, *value, -1, -1, value);
}

static trd_status to_int(parser *p, int16_t *value)
{
    if (type_of(p, *value) == TRDI_VALUE_INT) return TRD_OK;
    return emit_op(p, TRDI_X_I_FROM_FLOAT, TRDI_VALUE_INT, *value, -1, -1, value);
}

/* As a condition: int, 0 or not. */
static trd_status to_truth(parser *p, int16_t *value)
{
    if (type_of(p, *value) == TRDI_VALUE_INT) return TRD_OK;
    int16_t zero;
    TRDI_TRY(emit_float(p, 0.0f, &zero));
    return emit_op(p, TRDI_X_F_NOT_EQUAL, TRDI_VALUE_INT, *value, zero, -1, value);
}

/* Both float if one is. @return through *type what they are */
static trd_status balance(parser *p, int16_t *a, int16_t *b, trdi_value_type *type)
{
    *type = type_of(p, *a) == TRDI_VALUE_INT && type_of(p, *b) == TRDI_VALUE_INT ? TRDI_VALUE_INT : TRDI_VALUE_FLOAT;
    if (*type == TRDI_VALUE_INT) return TRD_OK;
    TRDI_TRY(to_float(p, a));
    return to_float(p, b);
}

/* ---- Operands ---- */

static trd_status parse_expression(parser *p, int16_t *value);

static trd_status parse_number(parser *p, int16_t *value)
{
    char digits[64];
    if (p->length >= sizeof digits) return refuse(p, "a number of more than 63 characters");
    memcpy(digits, p->token, p->length);
    digits[p->length] = '\0';
    const bool whole = strspn(digits, "0123456789") == p->length;
    char *end;
    errno = 0;
    if (whole) {
        const long long i = strtoll(digits, &end, 10);
        if (errno != 0 || i > INT32_MAX) return refuse(p, "an int beyond 2147483647; write a float as 1.0");
        TRDI_TRY(emit_int(p, (int32_t)i, value));
    } else {
        if (strpbrk(digits, "xXpPnN") != NULL) return refuse(p, "not a number");
        size_t n = p->length;
        if (digits[n - 1] == 'f' || digits[n - 1] == 'F') digits[--n] = '\0';
        const float f = strtof(digits, &end);
        if (end != digits + n || n == 0) return refuse(p, "not a number");
        if (isinf(f)) return refuse(p, "a number too large for float");
        TRDI_TRY(emit_float(p, f, value));
    }
    next(p);
    return TRD_OK;
}

static int find_parameter(const parser *p, const char *name, size_t length)
{
    for (int i = 0; i < p->program->n_parameters; i++) {
        const char *const known = p->program->parameters[i].name;
        if (strlen(known) == length && memcmp(known, name, length) == 0) return i;
    }
    return -1;
}

static int find_local(const parser *p, const char *name, size_t length)
{
    for (int i = 0; i < p->n_locals; i++) {
        if (p->locals[i].length == length && memcmp(p->locals[i].name, name, length) == 0) return i;
    }
    return -1;
}

/* "[i]" after the name of a tensor. */
static trd_status parse_index(parser *p, trdi_parameter *parameter, trdi_index *index)
{
    TRDI_TRY(expect(p, "["));
    if (is(p, "i")) *index = TRDI_INDEX_I;
    else if (is(p, "r")) *index = TRDI_INDEX_R;
    else if (is(p, "c")) *index = TRDI_INDEX_C;
    else return refuse(p, "an index is i, r or c");
    parameter->at[*index] = true;
    if (*index != TRDI_INDEX_I) p->program->uses_rows = true;
    next(p);
    return expect(p, "]");
}

static trd_status parse_load(parser *p, int parameter, int16_t *value)
{
    trdi_parameter *const t = &p->program->parameters[parameter];
    trdi_index index;
    TRDI_TRY(parse_index(p, t, &index));
    t->is_read = true;
    const trdi_instruction in = { .op = TRDI_X_LOAD, .type = (uint8_t)trdi_value_type_of(t->dtype), .index = (uint8_t)index,
                                  .a = (int16_t)parameter, .b = -1, .c = -1 };
    return emit(p, in, value);
}

static trd_status parse_place(parser *p, trdi_index index, int16_t *value)
{
    p->program->uses_index = true;
    if (index != TRDI_INDEX_I) p->program->uses_rows = true;
    const trdi_instruction in = { .op = TRDI_X_INDEX, .type = TRDI_VALUE_INT, .index = (uint8_t)index, .a = -1, .b = -1, .c = -1 };
    return emit(p, in, value);
}

/* ---- Functions ---- */

enum { AS_FLOAT = -1, AS_INT = -2, CLAMP = -3, RSQRT = -4 };
typedef struct function {
    const char *name;
    int n_arguments;
    int of_float, of_int;     /* operation, or one of the above; of_int 0: its arguments become float */
} function;

static const function functions[] = {
    { "abs", 1, TRDI_X_F_ABS, TRDI_X_I_ABS },   { "fabs", 1, TRDI_X_F_ABS, 0 },        { "min", 2, TRDI_X_F_MIN, TRDI_X_I_MIN },
    { "max", 2, TRDI_X_F_MAX, TRDI_X_I_MAX },   { "clamp", 3, CLAMP, CLAMP },          { "fma", 3, TRDI_X_F_FMA, 0 },
    { "pow", 2, TRDI_X_F_POW, 0 },              { "sqrt", 1, TRDI_X_F_SQRT, 0 },       { "rsqrt", 1, RSQRT, 0 },
    { "exp", 1, TRDI_X_F_EXP, 0 },              { "log", 1, TRDI_X_F_LOG, 0 },         { "tanh", 1, TRDI_X_F_TANH, 0 },
    { "erf", 1, TRDI_X_F_ERF, 0 },              { "sin", 1, TRDI_X_F_SIN, 0 },         { "cos", 1, TRDI_X_F_COS, 0 },
    { "floor", 1, TRDI_X_F_FLOOR, 0 },          { "ceil", 1, TRDI_X_F_CEIL, 0 },       { "round", 1, TRDI_X_F_ROUND, 0 },
    { "relu", 1, TRDI_X_F_RELU, 0 },            { "gelu", 1, TRDI_X_F_GELU, 0 },       { "gelu_tanh", 1, TRDI_X_F_GELU_TANH, 0 },
    { "swish", 1, TRDI_X_F_SWISH, 0 },          { "sigmoid", 1, TRDI_X_F_SIGMOID, 0 }, { "float", 1, AS_FLOAT, AS_FLOAT },
    { "int", 1, AS_INT, AS_INT },
};

static const function *find_function(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (strlen(functions[i].name) == length && memcmp(functions[i].name, name, length) == 0) return &functions[i];
    }
    return NULL;
}

static trd_status emit_clamp(parser *p, int16_t *v, trdi_value_type type, int16_t *value)
{
    const bool f = type == TRDI_VALUE_FLOAT;
    int16_t low;
    TRDI_TRY(emit_op(p, f ? TRDI_X_F_MAX : TRDI_X_I_MAX, type, v[0], v[1], -1, &low));
    return emit_op(p, f ? TRDI_X_F_MIN : TRDI_X_I_MIN, type, low, v[2], -1, value);
}

static trd_status apply_function(parser *p, const function *f, int16_t *v, int16_t *value)
{
    *value = v[0];
    if (f->of_float == AS_FLOAT) return to_float(p, value);
    if (f->of_float == AS_INT) return to_int(p, value);
    trdi_value_type type = f->of_int == 0 ? TRDI_VALUE_FLOAT : TRDI_VALUE_INT;
    for (int k = 0; k < f->n_arguments; k++) {
        if (type_of(p, v[k]) == TRDI_VALUE_FLOAT) type = TRDI_VALUE_FLOAT;
    }
    for (int k = 0; k < f->n_arguments && type == TRDI_VALUE_FLOAT; k++) TRDI_TRY(to_float(p, &v[k]));
    if (f->of_float == CLAMP) return emit_clamp(p, v, type, value);
    if (f->of_float == RSQRT) {
        int16_t one, root;
        TRDI_TRY(emit_float(p, 1.0f, &one));
        TRDI_TRY(emit_op(p, TRDI_X_F_SQRT, TRDI_VALUE_FLOAT, v[0], -1, -1, &root));
        return emit_op(p, TRDI_X_F_DIV, TRDI_VALUE_FLOAT, one, root, -1, value);
    }
    const int op = type == TRDI_VALUE_FLOAT ? f->of_float : f->of_int;
    return emit_op(p, (trdi_expression_op)op, type, v[0], f->n_arguments > 1 ? v[1] : (int16_t)-1, f->n_arguments > 2 ? v[2] : (int16_t)-1, value);
}

static trd_status parse_call(parser *p, const function *f, int16_t *value)
{
    int16_t v[3] = { -1, -1, -1 };
    TRDI_TRY(expect(p, "("));
    for (int k = 0; k < f->n_arguments; k++) {
        if (k > 0) TRDI_TRY(expect(p, ","));
        TRDI_TRY(parse_expression(p, &v[k]));
    }
    if (is(p, ",")) return refuse(p, "too many arguments");
    TRDI_TRY(expect(p, ")"));
    return apply_function(p, f, v, value);
}

static trd_status parse_name(parser *p, int16_t *value)
{
    const char *const name = p->token;
    const size_t length = p->length;
    const int parameter = find_parameter(p, name, length), known = find_local(p, name, length);
    const function *const f = find_function(name, length);
    if (parameter < 0 && known < 0 && f == NULL && (length != 1 || strchr("irc", *name) == NULL)) {
        if (is(p, "sum") || is(p, "mean") || is(p, "prod")) return refuse(p, "a reduction stands alone: s[r] = sum(...)");
        return refuse(p, "unknown name");
    }
    if (parameter >= 0 && !p->program->parameters[parameter].is_tensor) {
        next(p);
        trdi_parameter *const t = &p->program->parameters[parameter];
        t->is_read = true;
        return emit_op(p, TRDI_X_SCALAR, trdi_value_type_of(t->dtype), (int16_t)parameter, -1, -1, value);
    }
    next(p);
    if (parameter >= 0) return parse_load(p, parameter, value);
    if (known >= 0) {
        *value = p->locals[known].value;
        return TRD_OK;
    }
    if (f != NULL) return parse_call(p, f, value);
    return parse_place(p, *name == 'i' ? TRDI_INDEX_I : *name == 'r' ? TRDI_INDEX_R : TRDI_INDEX_C, value);
}

/* ---- Operators, weakest last ---- */

static trd_status parse_primary(parser *p, int16_t *value)
{
    if (p->length == 0) return refuse(p, "a value is missing");
    if (accept(p, "(")) {
        TRDI_TRY(parse_expression(p, value));
        return expect(p, ")");
    }
    if (is_letter(*p->token)) return parse_name(p, value);
    if (is_digit(*p->token) || *p->token == '.') return parse_number(p, value);
    return refuse(p, "a value is missing");
}

static trd_status parse_unary(parser *p, int16_t *value)
{
    if (!is(p, "-") && !is(p, "+") && !is(p, "!")) return parse_primary(p, value);
    if (p->depth == TRDI_MAX_DEPTH) return refuse(p, "nested more than 64 deep");
    const char sign = *p->token;
    next(p);
    p->depth++;
    TRDI_TRY(parse_unary(p, value));
    p->depth--;
    if (sign == '+') return TRD_OK;
    if (sign == '!') {
        TRDI_TRY(to_truth(p, value));
        return emit_op(p, TRDI_X_B_NOT, TRDI_VALUE_INT, *value, -1, -1, value);
    }
    const trdi_value_type type = type_of(p, *value);
    return emit_op(p, type == TRDI_VALUE_FLOAT ? TRDI_X_F_NEGATE : TRDI_X_I_NEGATE, type, *value, -1, -1, value);
}

typedef struct operator_rule {
    const char *sign;
    int  level;               /* higher binds closer */
    int  of_float, of_int;
    bool swapped;             /* a > b is b < a */
    bool truth;               /* the value is 0 or 1, whatever the operands are */
} operator_rule;

static const operator_rule operators[] = {
    { "||", 1, 0, TRDI_X_B_OR, false, true },
    { "&&", 2, 0, TRDI_X_B_AND, false, true },
    { "==", 3, TRDI_X_F_EQUAL, TRDI_X_I_EQUAL, false, true },
    { "!=", 3, TRDI_X_F_NOT_EQUAL, TRDI_X_I_NOT_EQUAL, false, true },
    { "<", 4, TRDI_X_F_LESS, TRDI_X_I_LESS, false, true },
    { "<=", 4, TRDI_X_F_LESS_EQUAL, TRDI_X_I_LESS_EQUAL, false, true },
    { ">", 4, TRDI_X_F_LESS, TRDI_X_I_LESS, true, true },
    { ">=", 4, TRDI_X_F_LESS_EQUAL, TRDI_X_I_LESS_EQUAL, true, true },
    { "+", 5, TRDI_X_F_ADD, TRDI_X_I_ADD, false, false },
    { "-", 5, TRDI_X_F_SUB, TRDI_X_I_SUB, false, false },
    { "*", 6, TRDI_X_F_MUL, TRDI_X_I_MUL, false, false },
    { "/", 6, TRDI_X_F_DIV, TRDI_X_I_DIV, false, false },
    { "%", 6, 0, TRDI_X_I_MOD, false, false },
};

static const operator_rule *find_operator(const parser *p, int least)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (operators[i].level >= least && is(p, operators[i].sign)) return &operators[i];
    }
    return NULL;
}

static trd_status apply_operator(parser *p, const operator_rule *o, int16_t a, int16_t b, int16_t *value)
{
    trdi_value_type type = TRDI_VALUE_INT;
    if (o->level <= 2) {
        TRDI_TRY(to_truth(p, &a));
        TRDI_TRY(to_truth(p, &b));
    } else {
        TRDI_TRY(balance(p, &a, &b, &type));
    }
    if (type == TRDI_VALUE_FLOAT && o->of_float == 0) return refuse(p, "% is for int; use x - y * floor(x / y)");
    const int op = type == TRDI_VALUE_FLOAT ? o->of_float : o->of_int;
    return emit_op(p, (trdi_expression_op)op, o->truth ? TRDI_VALUE_INT : type, o->swapped ? b : a, o->swapped ? a : b, -1, value);
}

/* Operators of this level and closer ones: left to right. Recursion is at most one call per level. */
static trd_status parse_operators(parser *p, int least, int16_t *value)
{
    TRDI_TRY(parse_unary(p, value));
    const operator_rule *o;
    while ((o = find_operator(p, least)) != NULL) {
        next(p);
        int16_t right;
        TRDI_TRY(parse_operators(p, o->level + 1, &right));
        TRDI_TRY(apply_operator(p, o, *value, right, value));
    }
    return TRD_OK;
}

static trd_status parse_choice(parser *p, int16_t *value)
{
    int16_t yes, no;
    next(p);
    TRDI_TRY(to_truth(p, value));
    TRDI_TRY(parse_expression(p, &yes));
    TRDI_TRY(expect(p, ":"));
    TRDI_TRY(parse_expression(p, &no));
    trdi_value_type type;
    TRDI_TRY(balance(p, &yes, &no, &type));
    return emit_op(p, type == TRDI_VALUE_FLOAT ? TRDI_X_F_SELECT : TRDI_X_I_SELECT, type, *value, yes, no, value);
}

static trd_status parse_expression(parser *p, int16_t *value)
{
    if (p->depth == TRDI_MAX_DEPTH) return refuse(p, "nested more than 64 deep");
    p->depth++;
    TRDI_TRY(parse_operators(p, 1, value));
    if (is(p, "?")) TRDI_TRY(parse_choice(p, value));
    p->depth--;
    return TRD_OK;
}

/* ---- Statements ---- */

static trdi_reduction reduction_named(const parser *p)
{
    static const struct { const char *name; trdi_reduction reduction; } all[] = {
        { "sum", TRDI_REDUCE_SUM }, { "mean", TRDI_REDUCE_MEAN }, { "prod", TRDI_REDUCE_PRODUCT },
        { "max", TRDI_REDUCE_MAX }, { "min", TRDI_REDUCE_MIN },
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (is(p, all[i].name)) return all[i].reduction;
    }
    return TRDI_REDUCE_NONE;
}

/* After "s[r] =": sum(E). */
static trd_status parse_reduction(parser *p, int parameter)
{
    trdi_program *const program = p->program;
    const trdi_reduction reduction = reduction_named(p);
    if (reduction == TRDI_REDUCE_NONE) return refuse(p, "what is stored at [r] is a reduction: sum, mean, prod, max or min (...)");
    next(p);
    TRDI_TRY(expect(p, "("));
    TRDI_TRY(parse_expression(p, &program->reduced));
    if (is(p, ",")) return refuse(p, "a reduction has one argument");
    TRDI_TRY(expect(p, ")"));
    if (reduction == TRDI_REDUCE_MEAN) TRDI_TRY(to_float(p, &program->reduced));
    program->reduction = reduction;
    program->result = (int16_t)parameter;
    program->uses_rows = true;
    program->parameters[parameter].is_written = true;
    if (accept(p, ";") && p->length != 0) return refuse(p, "a reduction is the last statement");
    return p->length == 0 ? TRD_OK : refuse(p, "a reduction ends its statement");
}

/* The sign of "+=" and the like; NULL with "=". */
static const operator_rule *update_rule(const parser *p)
{
    if (p->length != 2 || p->token[1] != '=') return NULL;
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (strchr("+-*/", *p->token) != NULL && operators[i].sign[0] == *p->token && operators[i].sign[1] == '\0') return &operators[i];
    }
    return NULL;
}

/* "y[i] = E", after the name y. */
static trd_status parse_store(parser *p, int parameter)
{
    trdi_program *const program = p->program;
    trdi_parameter *const t = &program->parameters[parameter];
    trdi_index index;
    if (t->is_const) return refuse(p, "a tensor declared const is written");
    TRDI_TRY(parse_index(p, t, &index));
    if (index == TRDI_INDEX_C) return refuse(p, "columns cannot be written, only elements [i] and reductions [r]");
    const operator_rule *const update = update_rule(p);
    if (update == NULL && !is(p, "=")) return refuse(p, "'=' is missing");
    if (index == TRDI_INDEX_R) {
        if (update != NULL) return refuse(p, "a reduction is stored by '='");
        next(p);
        return parse_reduction(p, parameter);
    }
    next(p);
    const trdi_value_type type = trdi_value_type_of(t->dtype);
    int16_t value, old;
    if (update != NULL) {
        t->is_read = true;
        const trdi_instruction in = { .op = TRDI_X_LOAD, .type = (uint8_t)type, .index = TRDI_INDEX_I, .a = (int16_t)parameter, .b = -1, .c = -1 };
        TRDI_TRY(emit(p, in, &old));
    }
    TRDI_TRY(parse_expression(p, &value));
    if (update != NULL) TRDI_TRY(apply_operator(p, update, old, value, &value));
    TRDI_TRY(type == TRDI_VALUE_FLOAT ? to_float(p, &value) : to_int(p, &value));
    t->is_written = true;
    const trdi_instruction in = { .op = TRDI_X_STORE, .type = (uint8_t)type, .index = TRDI_INDEX_I, .a = (int16_t)parameter, .b = value, .c = -1 };
    return emit(p, in, &value);
}

/* Names that mean something already, here or in the text made for other devices, which puts v or p and a number, or trdx_, before others. */
static const char *name_refusal(const parser *p, const char *name, size_t length)
{
    if (length > MAX_NAME) return "a name of more than 31 characters";
    if (length == 1 && strchr("irc", *name) != NULL) return "i, r and c are the indices";
    if (find_function(name, length) != NULL) return "the name of a function";
    return find_parameter(p, name, length) >= 0 ? "a name that a parameter has" : NULL;
}

static trd_status parse_local(parser *p)
{
    const char *const name = p->token;
    const size_t length = p->length;
    const char *const why = name_refusal(p, name, length);
    if (why != NULL) return refuse(p, why);
    next(p);
    TRDI_TRY(expect(p, "="));
    int16_t value;
    TRDI_TRY(parse_expression(p, &value));
    int at = find_local(p, name, length);
    if (at < 0) {
        if (p->n_locals == MAX_LOCALS) return refuse(p, "more than 64 names");
        at = p->n_locals++;
    }
    p->locals[at] = (local){ name, length, value };
    return TRD_OK;
}

static trd_status parse_statement(parser *p)
{
    if (p->length == 0 || !is_letter(*p->token)) return refuse(p, "a statement is y[i] = ... or name = ...");
    const int parameter = find_parameter(p, p->token, p->length);
    if (parameter < 0) return parse_local(p);
    if (!p->program->parameters[parameter].is_tensor) return refuse(p, "a number is written; only tensors can be");
    next(p);
    return parse_store(p, parameter);
}

/* ---- Parameters ---- */

static bool parse_dtype(parser *p, trd_dtype *dtype)
{
    static const struct { const char *name; trd_dtype dtype; } all[] = {
        { "float", TRD_DTYPE_F32 }, { "half", TRD_DTYPE_F16 }, { "int", TRD_DTYPE_I32 }, { "char", TRD_DTYPE_I8 } };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!is(p, all[i].name)) continue;
        *dtype = all[i].dtype;
        next(p);
        return true;
    }
    return false;
}

static trd_status parse_parameter(parser *p)
{
    trdi_program *const program = p->program;
    if (program->n_parameters == TRDI_MAX_PARAMETERS) return refuse(p, "more than 16 parameters");
    trdi_parameter t = { .is_const = accept(p, "const") };
    if (!parse_dtype(p, &t.dtype)) return refuse(p, "a type is float, half, int or char");
    t.is_const = accept(p, "const") || t.is_const;
    t.is_tensor = accept(p, "*");
    if (!t.is_tensor && t.dtype != TRD_DTYPE_F32 && t.dtype != TRD_DTYPE_I32) return refuse(p, "a number is float or int");
    if (p->length == 0 || !is_letter(*p->token)) return refuse(p, "a name is missing");
    const char *why = name_refusal(p, p->token, p->length);
    if (why == NULL && (is(p, "const") || is(p, "half") || is(p, "char"))) why = "the name of a type";
    if (why != NULL) return refuse(p, why);
    memcpy(t.name, p->token, p->length);
    program->parameters[program->n_parameters++] = t;
    next(p);
    return TRD_OK;
}

static trd_status parse_parameters(parser *p)
{
    do TRDI_TRY(parse_parameter(p));
    while (accept(p, ","));
    return p->length == 0 ? TRD_OK : refuse(p, "',' is missing");
}

/* ---- The whole ---- */

static trd_status begin(parser *p, const char *what, const char *text)
{
    size_t length = 0;
    while (length <= TRDI_MAX_EXPRESSION_BYTES && text[length] != '\0') length++;
    if (length > TRDI_MAX_EXPRESSION_BYTES) return trdi_fail(TRD_E_FORMAT, "%s: longer than %d bytes", what, (int)TRDI_MAX_EXPRESSION_BYTES);
    p->what = what;
    p->text = p->at = text;
    next(p);
    return TRD_OK;
}

static trd_status parse_statements(parser *p)
{
    while (p->length != 0) {
        p->depth = 0;
        TRDI_TRY(parse_statement(p));
        if (p->length != 0) TRDI_TRY(expect(p, ";"));
    }
    return TRD_OK;
}

/* What can be said only at the end: what is written may be read only at the same place. */
static trd_status check_program(const trdi_program *program)
{
    bool writes = false, elements = false;
    for (int32_t i = 0; i < program->n_parameters; i++) {
        const trdi_parameter *const t = &program->parameters[i];
        writes = writes || t->is_written;
        elements = elements || t->at[TRDI_INDEX_I];
        if (!t->is_read && !t->is_written) return trdi_fail(TRD_E_FORMAT, "expression: the parameter '%s' is not used", t->name);
        if (!t->is_written) continue;
        const bool is_result = program->reduction != TRDI_REDUCE_NONE && program->result == i;
        if (is_result && (t->is_read || t->at[TRDI_INDEX_I])) return trdi_fail(TRD_E_FORMAT, "expression: '%s', the result of a reduction, is used otherwise", t->name);
        if (!is_result && (t->at[TRDI_INDEX_R] || t->at[TRDI_INDEX_C]))
            return trdi_fail(TRD_E_FORMAT, "expression: '%s' is written at [i], so it can be read at [i] only", t->name);
    }
    if (!writes) return trdi_fail(TRD_E_FORMAT, "expression: nothing is stored");
    if (!elements) return trdi_fail(TRD_E_FORMAT, "expression: no tensor stands with [i], which says how many elements there are");
    return TRD_OK;
}

trd_status trdi_expression_parse(const char *parameters, const char *text, trdi_program **out)
{
    *out = NULL;
    parser *const p = trdi_calloc(1, sizeof *p);
    trdi_program *const program = trdi_calloc(1, sizeof *program);
    trd_status status = TRD_OK;
    if (p == NULL || program == NULL) status = trdi_fail(TRD_E_MEMORY, "expression: %zu bytes", sizeof *p + sizeof *program);
    if (status == TRD_OK) {
        p->program = program;
        program->reduced = program->result = -1;
        status = begin(p, "parameters", parameters);
    }
    if (status == TRD_OK) status = parse_parameters(p);
    if (status == TRD_OK) status = begin(p, "expression", text);
    if (status == TRD_OK) status = parse_statements(p);
    if (status == TRD_OK) status = check_program(program);
    trdi_free(p);
    if (status == TRD_OK) *out = program;
    else trdi_free(program);
    return status;
}
