#!/bin/sh
# test_expression_clang.sh PROGRAM: what expressions become is plain OpenCL C 1.2 without a warning, so that no driver's taste matters.
set -eu

program=$1
clang=${TREADLE_TEST_CLANG:-clang}
if ! command -v "$clang" >/dev/null; then
    echo "skipped: no $clang"
    exit 77
fi
source=$(mktemp "${TMPDIR:-/tmp}/treadle-expression.XXXXXX")
trap 'rm -f "$source"' EXIT
n=0

compiles() {
    "$program" "$1" "$2" >"$source"
    "$clang" -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -fsyntax-only -Wall -Wextra -Wno-unused-function -Wno-unused-variable -Wno-unused-parameter -Werror \
        -I"$TREADLE_KERNELS" -DTRD_TILES=1 "$source"
    n=$((n + 1))
}

compiles 'const float *x, float *y, float a' 'y[i] = a*x[i] + y[i]'
compiles 'const float *x, float a, half *h, char *q, int *n, const float *w, const float *s' \
    'h[i] = x[i]*a + w[c]; q[i] = n[i] % 3 + r; n[i] = int(gelu(s[r])) ? 1 : abs(n[i]); h[i] += sigmoid(swish(x[i])) + pow(1, 2) + clamp(3, n[i], 4)'
compiles 'float *y' 'y[i] = relu(1)+gelu_tanh(y[i])+exp(y[i])+log(y[i])+tanh(y[i])+erf(y[i])+sin(y[i])+cos(y[i])+floor(y[i])+ceil(y[i])+round(y[i])'
compiles 'float *y' 'y[i] = fma(y[i], 1, 2) + sqrt(y[i]) + rsqrt(y[i]) + min(y[i], 1) + max(1, y[i]) + (y[i] < 1 && y[i] >= 2 || !y[i] != 0)'
compiles 'const float *x, float *s' 's[r] = sum(x[i] * c)'
compiles 'const half *x, char *s' 's[r] = prod(x[i])'
compiles 'const int *x, half *s' 's[r] = mean(x[i])'
compiles 'const int *x, int *s' 't = max(x[i], -1); s[r] = max(t / 2 * i)'
compiles 'const char *x, float *s' 's[r] = min(-x[i])'
echo "$n sources"
