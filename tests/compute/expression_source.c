/* expression_source.c: print the OpenCL C that is made of an expression: expression_source PARAMETERS TEXT. */
#include "backend/expression.h"
#include "check.h"
#include "core/alloc.h"

int main(int argc, char **argv)
{
    CHECK_INT(argc, 3);
    trdi_program *program;
    char *text;
    CHECK_OK(trdi_expression_parse(argv[1], argv[2], &program));
    CHECK_OK(trdi_expression_text(program, &text));
    printf("#include \"prelude.cl\"\n%s", text);
    trdi_free(text);
    trdi_free(program);
    return 0;
}
