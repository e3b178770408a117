#!/bin/sh
# test_environment.sh: docs/environment.md lists exactly the variables that the library and the command read.
set -eu
cd "$TREADLE_SOURCE"
work=$TREADLE_BUILD/package
mkdir -p "$work"
LC_ALL=C
export LC_ALL

# The names in files that call getenv. What a terminal or a shell defines for everybody needs no line in our page.
grep -rlE '\<getenv *\(' --include='*.c' lib bindings/command | xargs grep -hoE '"[A-Z][A-Z0-9]*_[A-Z0-9_]*"|"HOME"' | tr -d '"' |
    sort -u | grep -vxE 'NO_COLOR|LC_ALL|LC_CTYPE' >"$work/environment-read.txt"
sed -n 's/^| `\([A-Z][A-Z0-9_]*\)` .*/\1/p' docs/environment.md | sort -u >"$work/environment-told.txt"
[ -s "$work/environment-told.txt" ]
diff -u "$work/environment-told.txt" "$work/environment-read.txt" || {
    echo 'test_environment.sh: docs/environment.md (-) and the code (+) differ' >&2
    exit 1
}
