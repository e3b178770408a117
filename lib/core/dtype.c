/* dtype.c: names and sizes of element types. */
#include "treadle/trd_base.h"

const char *trd_dtype_name(trd_dtype dtype)
{
    switch (dtype) {
    case TRD_DTYPE_F32: return "f32";
    case TRD_DTYPE_I8: return "i8";
    case TRD_DTYPE_I16: return "i16";
    case TRD_DTYPE_I32: return "i32";
    case TRD_DTYPE_F16: return "f16";
    case TRD_DTYPE_BF16: return "bf16";
    }
    return "?";
}

size_t trd_dtype_bytes(trd_dtype dtype)
{
    switch (dtype) {
    case TRD_DTYPE_F32: case TRD_DTYPE_I32: return 4;
    case TRD_DTYPE_I16: case TRD_DTYPE_F16: case TRD_DTYPE_BF16: return 2;
    case TRD_DTYPE_I8: return 1;
    }
    return 0;
}
