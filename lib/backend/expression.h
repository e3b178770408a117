/*
 * expression.h: kernels written as expressions (treadle/trd_kernel.h): parsed once, for every back end, into a checked typed program. A program
 * is a list of instructions; instruction v makes value v. Back ends interpret it (CPU) or compile the text made of it (OpenCL).
 */
#ifndef TRDI_EXPRESSION_H
#define TRDI_EXPRESSION_H

#include "core/status.h"

enum {
    TRDI_MAX_PARAMETERS = 16,
    TRDI_MAX_VALUES = 1024,
    TRDI_MAX_EXPRESSION_BYTES = 16384,
    TRDI_MAX_DEPTH = 64       /* of parentheses, calls, signs and ?: inside each other */
};

typedef enum trdi_value_type { TRDI_VALUE_FLOAT, TRDI_VALUE_INT } trdi_value_type;
typedef enum trdi_index { TRDI_INDEX_I, TRDI_INDEX_R, TRDI_INDEX_C, TRDI_N_INDICES } trdi_index;

/**
 * X(name, operands, C text). Operands are values a, b, c. Names in F_ are of float, I_ of int, B_ of logic (ints 0 and 1). The text is
 * OpenCL C; functions trdx_* stand in expression_text.c.
 */
#define TRDI_EXPRESSION_OPS(X)                                                                        \
    X(F_ADD, 2, "%a + %b") X(F_SUB, 2, "%a - %b") X(F_MUL, 2, "%a * %b") X(F_DIV, 2, "%a / %b")        \
    X(F_NEGATE, 1, "-%a") X(F_MIN, 2, "fmin(%a, %b)") X(F_MAX, 2, "fmax(%a, %b)") X(F_ABS, 1, "fabs(%a)") \
    X(F_FMA, 3, "FMA(%a, %b, %c)") X(F_POW, 2, "pow(%a, %b)") X(F_SQRT, 1, "sqrt(%a)")                \
    X(F_EXP, 1, "exp(%a)") X(F_LOG, 1, "log(%a)") X(F_TANH, 1, "tanh(%a)") X(F_ERF, 1, "erf(%a)")      \
    X(F_SIN, 1, "sin(%a)") X(F_COS, 1, "cos(%a)") X(F_FLOOR, 1, "floor(%a)") X(F_CEIL, 1, "ceil(%a)")  \
    X(F_ROUND, 1, "rint(%a)") X(F_RELU, 1, "trdx_relu(%a)") X(F_GELU_TANH, 1, "trdx_gelu_tanh(%a)")    \
    X(F_SWISH, 1, "trdx_swish(%a)") X(F_GELU, 1, "trdx_gelu(%a)") X(F_SIGMOID, 1, "trdx_sigmoid(%a)")  \
    X(F_LESS, 2, "%a < %b") X(F_LESS_EQUAL, 2, "%a <= %b") X(F_EQUAL, 2, "%a == %b")                   \
    X(F_NOT_EQUAL, 2, "%a != %b") X(F_SELECT, 3, "%a != 0 ? %b : %c") X(F_FROM_INT, 1, "(float)%a")    \
    X(I_ADD, 2, "trdx_add(%a, %b)") X(I_SUB, 2, "trdx_sub(%a, %b)") X(I_MUL, 2, "trdx_mul(%a, %b)")    \
    X(I_DIV, 2, "trdx_div(%a, %b)") X(I_MOD, 2, "trdx_mod(%a, %b)") X(I_NEGATE, 1, "trdx_sub(0, %a)")  \
    X(I_MIN, 2, "min(%a, %b)") X(I_MAX, 2, "max(%a, %b)") X(I_ABS, 1, "trdx_abs(%a)")                  \
    X(I_LESS, 2, "%a < %b") X(I_LESS_EQUAL, 2, "%a <= %b") X(I_EQUAL, 2, "%a == %b")                   \
    X(I_NOT_EQUAL, 2, "%a != %b") X(I_SELECT, 3, "%a != 0 ? %b : %c") X(I_FROM_FLOAT, 1, "trdx_int(%a)") \
    X(B_AND, 2, "%a != 0 && %b != 0") X(B_OR, 2, "%a != 0 || %b != 0") X(B_NOT, 1, "%a == 0")

typedef enum trdi_expression_op {
    TRDI_X_NUMBER,            /**< a constant */
    TRDI_X_SCALAR,            /**< parameter a */
    TRDI_X_INDEX,             /**< i, r or c, as index says */
    TRDI_X_LOAD,              /**< element of parameter a */
    TRDI_X_STORE,             /**< element of parameter a := value b, which has the type that a is read with */
#define TRDI_X_ENUM(name, operands, text) TRDI_X_##name,
    TRDI_EXPRESSION_OPS(TRDI_X_ENUM)
#undef TRDI_X_ENUM
    TRDI_N_EXPRESSION_OPS
} trdi_expression_op;

typedef struct trdi_instruction {
    uint8_t op;               /**< trdi_expression_op */
    uint8_t type;             /**< trdi_value_type of the value made */
    uint8_t index;            /**< trdi_index of LOAD, STORE, INDEX */
    bool    uniform;          /**< the same for every element of a run */
    int16_t a, b, c;          /**< operands; -1 = none */
    union { float f; int32_t i; } number;
} trdi_instruction;

typedef struct trdi_parameter {
    char      name[32];
    trd_dtype dtype;          /**< of elements, or of the number: F32 or I32 */
    bool      is_tensor, is_const;
    bool      is_read, is_written;
    bool      at[TRDI_N_INDICES]; /**< with which indices it stands */
} trdi_parameter;

typedef enum trdi_reduction {
    TRDI_REDUCE_NONE, TRDI_REDUCE_SUM, TRDI_REDUCE_MEAN, TRDI_REDUCE_PRODUCT, TRDI_REDUCE_MAX, TRDI_REDUCE_MIN
} trdi_reduction;

typedef struct trdi_program {
    int32_t n_parameters, n_instructions;
    bool    uses_index;       /**< i, r or c as a number: they are int, so there must be fewer than 2^31 elements */
    bool    uses_rows;        /**< rows matter: [r], [c], r, c, or a reduction */
    trdi_reduction reduction;
    int16_t reduced;          /**< the value that is reduced; MEAN: a float */
    int16_t result;           /**< the parameter that takes the reduction at [r] */
    trdi_parameter parameters[TRDI_MAX_PARAMETERS];
    trdi_instruction instructions[TRDI_MAX_VALUES];
} trdi_program;

/** Operands of an operation; of LOAD and the like, how many of a, b, c are values (STORE: b). */
int trdi_expression_operands(trdi_expression_op op);
/** What an element of this dtype counts as in an expression. */
trdi_value_type trdi_value_type_of(trd_dtype dtype);

/**
 * Parse and check.
 *
 * @param out  owned (trdi_free())
 * @return TRD_OK; TRD_E_FORMAT with column and reason; TRD_E_MEMORY
 */
trd_status trdi_expression_parse(const char *parameters, const char *text, trdi_program **out);

/** Name of the kernel in the text of a program. */
#define TRDI_EXPRESSION_KERNEL "trd_expression"
/** Work-items of a group that runs it. */
enum { TRDI_EXPRESSION_GROUP = 64 };
/** Name of the kernel that joins the pieces of a reduction. */
#define TRDI_EXPRESSION_JOIN "trd_expression_join"
/** Pieces that a row of a reduction is cut into; depends on nothing else, so that a row's result does not. */
static inline int64_t trdi_expression_pieces(int64_t cols)
{
    const int64_t pieces = cols / 8192;
    return pieces < 1 ? 1 : pieces > 64 ? 64 : pieces;
}
/**
 * The program as a kernel in the shared dialect: its parameters, then `const i64 rows, const i64 cols`. Element-wise: at least as many work-items as
 * elements. Reducing: then `const i64 pieces, ARG(float or int, pieced)` with room for rows * pieces (read and written with several pieces only);
 * groups share the pieces of all rows; a float of local memory for each work-item. With several pieces, TRDI_EXPRESSION_JOIN runs next, with at
 * least as many work-items as rows and the arguments result, pieced, rows, cols, pieces.
 *
 * @param out  owned (trdi_free())
 */
trd_status trdi_expression_text(const trdi_program *program, char **out);

#endif
