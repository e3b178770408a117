#!/bin/sh
# test_layers.sh: no file includes a module that its own module may not use, and no module allocates behind trdi_alloc.
set -eu
cd "$TREADLE_SOURCE"

n_wrong=0
wrong() { echo "test_layers.sh: $*" >&2; n_wrong=$((n_wrong + 1)); }

# check DIRECTORY MODULE...: files below DIRECTORY may include "MODULE/..." of these modules only.
check() {
    directory=$1
    shift
    [ -d "$directory" ] || return 0
    pattern=$(echo "$*" | tr ' ' '|')
    bad=$(grep -rnE '^ *# *include *"[a-z_]+/' --include='*.c' --include='*.h' "$directory" |
        grep -vE "include *\"($pattern)/" || true)
    [ -z "$bad" ] || wrong "$directory may include $* only:
$bad"
}

check lib/core core treadle
check lib/model model core treadle
check lib/backend backend core treadle kernels
check kernels/cpu kernels backend core treadle
check lib/device device backend core treadle
check lib/sched sched device backend core treadle
check lib/nn nn model device backend core treadle
check lib/decode decode nn sched model device backend core treadle
check lib/api api decode nn sched model device backend core treadle
check bindings treadle
check benchmarks treadle

# hwloc appears in lib/device only; threads of OpenMP in one file; SDK headers in no public header.
bad=$(grep -rlE '^ *# *include *<hwloc' lib kernels bindings | grep -v '^lib/device/' || true)
[ -z "$bad" ] || wrong "hwloc outside lib/device: $bad"
bad=$(grep -rlE '^ *# *(include *<omp\.h>|pragma omp)' lib kernels bindings || true)
[ "$(echo "$bad" | wc -w)" -le 1 ] || wrong "OpenMP in more than one file: $bad"
bad=$(grep -rnE '[^a-z_](malloc|calloc|realloc|strdup|free|abort|exit|printf|puts) *\(' --include='*.c' --include='*.h' lib kernels |
    grep -vE '^lib/core/alloc\.c:|^[^:]*:[0-9]+: *(/?\*|//)|/\*.*(malloc|calloc|realloc|strdup|free|abort|exit|printf|puts) *\(.*\*/' || true)
[ -z "$bad" ] || wrong "the library allocates past trdi_alloc, exits or prints:
$bad"
[ $n_wrong = 0 ]
