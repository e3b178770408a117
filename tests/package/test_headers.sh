#!/bin/sh
# test_headers.sh: every public header compiles alone, as C11 and as C++11, with every compiler there is, and includes
# nothing but the standard headers of C and its siblings.
set -eu

fail() { echo "test_headers.sh: $*" >&2; exit 1; }

work=$TREADLE_BUILD/package/headers
rm -rf "$work"
mkdir -p "$work"
warnings='-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror'
n_compiled=0
for header in "$TREADLE_SOURCE"/include/treadle/*.h; do
    name=$(basename "$header")
    for include in $(sed -n 's/^#include *[<"]\([^>"]*\)[>"].*/\1/p' "$header"); do
        case $include in
        stdbool.h | stddef.h | stdint.h) ;;
        trd_*.h) [ -f "$TREADLE_SOURCE/include/treadle/$include" ] || fail "$name includes $include, which is not there" ;;
        *) fail "$name includes <$include>: only stdbool.h, stddef.h, stdint.h and trd_*.h are allowed" ;;
        esac
    done
    printf '#include <treadle/%s>\n#include <treadle/%s>\nint main(void) { return 0; }\n' "$name" "$name" >"$work/alone.c"
    cp "$work/alone.c" "$work/alone.cpp"
    for compiler in gcc clang; do
        command -v $compiler >/dev/null || continue
        # shellcheck disable=SC2086
        $compiler -std=c11 $warnings -Wstrict-prototypes -I"$TREADLE_SOURCE/include" -c "$work/alone.c" -o "$work/alone.o" ||
            fail "$name as C11 with $compiler"
        n_compiled=$((n_compiled + 1))
    done
    for compiler in g++ clang++; do
        command -v $compiler >/dev/null || continue
        # shellcheck disable=SC2086
        $compiler -std=c++11 $warnings -I"$TREADLE_SOURCE/include" -c "$work/alone.cpp" -o "$work/alone.o" ||
            fail "$name as C++11 with $compiler"
        n_compiled=$((n_compiled + 1))
    done
done
[ $n_compiled -gt 0 ] || fail 'no compiler'
echo "$n_compiled header compilations"
