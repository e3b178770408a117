#!/bin/sh
# test_layers.sh: no file includes a module that its own module may not use, and no module allocates behind trdi_alloc.
# test_layers_mutants.sh shows that each check can fail.
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
check docs/examples treadle

# report TEXT FOUND: FOUND is a violation unless it is empty.
report() { [ -z "$2" ] || wrong "$1:
$2"; }

# Every file is named by its place below lib/ or the root: no way around the table. Back ends are known by their table only.
report "included by a path that does not start with its module" \
    "$(grep -rnE '^ *# *include *"' --include='*.c' --include='*.h' lib | grep -vE 'include *"[a-z]+/' || true)"
report "a back end's own header outside the back ends" \
    "$(grep -rnE '^ *# *include *"(backend/|kernels/)' --include='*.c' --include='*.h' lib | grep -vE '^lib/backend/|"backend/(backend|expression)\.h"' || true)"
for backend in cpu opencl cuda; do
    [ -d "lib/backend/$backend" ] || continue
    report "a back end that includes another" \
        "$(grep -rnE '^ *# *include *"backend/[a-z]+/' "lib/backend/$backend" | grep -v "\"backend/$backend/" || true)"
done
report "a public header that includes more than standard headers and its own kind" \
    "$(grep -rnE '^ *# *include' include | grep -vE 'include (<std[a-z]+\.h>|"trd_[a-z]+\.h"|"treadle\.h")' || true)"

# A name says which file is meant.
report "file names that are not unique" \
    "$(find lib kernels include bindings benchmarks docs tests -type f \( -name '*.c' -o -name '*.h' -o -name '*.cl' -o -name '*.cu' \) 2>/dev/null |
        sed 's|.*/||' | sort | uniq -d)"

# hwloc appears in lib/device only; threads of OpenMP in one file; SDK headers in no public header.
report "hwloc outside lib/device" "$(grep -rlE '^ *# *include *<hwloc' lib kernels bindings 2>/dev/null | grep -v '^lib/device/' || true)"
report "OpenMP outside lib/backend/cpu/team.c" \
    "$(grep -rlE '^ *# *include *<omp\.h>|^ *# *pragma +omp|_Pragma *\( *"omp|omp_(get|set)_' --include='*.c' --include='*.h' lib kernels bindings 2>/dev/null |
        grep -v '^lib/backend/cpu/team\.c$' || true)"
report "OpenCL outside lib/backend/opencl and include/treadle/trd_opencl.h" \
    "$(grep -rlE '^ *# *include *<CL/' lib kernels bindings benchmarks docs include 2>/dev/null |
        grep -vE '^lib/backend/opencl/|^include/treadle/trd_opencl\.h$' || true)"
# Kernels are embedded as text: a source includes files of kernels/shared and kernels/opencl, by name.
report "a kernel that includes what is not beside it" \
    "$(grep -rnE '^ *# *include' --include='*.cl' kernels 2>/dev/null | grep -vE 'include "[a-z0-9_]+\.h"' || true)"
bad=$(grep -rnE '[^a-z_>.](malloc|calloc|realloc|strdup|free|abort|exit|printf|puts) *\(' --include='*.c' --include='*.h' lib kernels 2>/dev/null |
    grep -vE '^lib/core/alloc\.c:|^[^:]*:[0-9]+: *(/?\*|//)|/\*.*(malloc|calloc|realloc|strdup|free|abort|exit|printf|puts) *\(.*\*/' || true)
[ -z "$bad" ] || wrong "the library allocates past trdi_alloc, exits or prints:
$bad"
[ $n_wrong = 0 ]
