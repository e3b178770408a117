#!/bin/sh
# test_mingw.sh: lib/core compiles for 64-bit Windows without warnings. Nothing is run.
set -eu

compiler=x86_64-w64-mingw32-gcc
if ! command -v $compiler >/dev/null; then
    echo "skipped: no $compiler (Debian: gcc-mingw-w64-x86-64)"
    exit 77
fi
work=$TREADLE_BUILD/package/mingw
rm -rf "$work"
mkdir -p "$work"
n_files=0
for file in "$TREADLE_SOURCE"/lib/core/*.c; do
    $compiler -std=c17 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror \
        -DTRD_BUILDING -D__USE_MINGW_ANSI_STDIO=1 -D_POSIX_C_SOURCE=200809L "-DTRDI_VERSION=\"$TREADLE_VERSION\"" \
        -I"$TREADLE_SOURCE/include" -I"$TREADLE_SOURCE/lib" -c "$file" -o "$work/$(basename "$file" .c).o"
    n_files=$((n_files + 1))
done
[ $n_files -gt 0 ]
echo "$n_files files"
