#!/bin/sh
# test_kernels_clang.sh FOLDER [HOST]: every kernel below FOLDER (kernels/) compiles as plain OpenCL C 1.2 with clang, without warnings, for the options
# that the back end gives it: nothing of one vendor, no extension but fp16 where it was probed, no double. A source that has options of its
# own names the sets in its head comment: " * Options  -DA=1 | -DA=2 -DB=1".
set -eu

fail() { echo "test_kernels_clang.sh: $*" >&2; exit 1; }

folder=$1
clang=${TREADLE_TEST_CLANG:-clang}
if ! command -v "$clang" >/dev/null; then
    echo "skipped: no $clang"
    exit 77
fi
[ -d "$folder/shared" ] || fail "no $folder/shared"
work=$(mktemp -d "${TMPDIR:-/tmp}/treadle-kernels.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The device's classes: form, size of groups, fma, fp16.
cat >"$work/classes" <<'TEXT'
-DTRD_TILES=1 -DTRD_VECTOR_FLOATS=8 -DGROUP_SIZE=1 -DTRD_FAST_FMA=1
-DTRD_TILES=1 -DTRD_VECTOR_FLOATS=16 -DGROUP_SIZE=1 -DTRD_FAST_FMA=1 -DTRD_FP16=1
-DTRD_TILES=1 -DTRD_VECTOR_FLOATS=4 -DGROUP_SIZE=1 -DTRD_ARRAY_SUMS=1
-DTRD_GROUPS=1 -DTRD_VECTOR_FLOATS=1 -DGROUP_SIZE=256 -DTRD_FAST_FMA=1 -DTRD_FP16=1
-DTRD_GROUPS=1 -DTRD_VECTOR_FLOATS=1 -DGROUP_SIZE=64
TEXT

# compiler EXTENSIONS ARGUMENT...: clang for a device that has no extension but these. The built-in functions come from clang's own header,
# which lists all of them (its faster table lacks vload_half), read once for each set.
compiler() {
    extensions=$1
    shift
    "$clang" -cc1 -triple spir64-unknown-unknown -cl-std=CL1.2 -cl-ext=-all,"$extensions" -x cl "$@"
}
plain=+cl_khr_global_int32_base_atomics,+cl_khr_local_int32_base_atomics
half=$plain,+cl_khr_fp16
builtins=$("$clang" -print-resource-dir)/include/opencl-c.h
headers=${TREADLE_TEST_HEADERS:-$work}      # the mutants share them
[ -f "$headers/plain.pch" ] || compiler "$plain" -emit-pch -o "$headers/plain.pch" "$builtins"
[ -f "$headers/half.pch" ] || compiler "$half" -emit-pch -o "$headers/half.pch" "$builtins"

# compile FILE OPTIONS
compile() {
    case $2 in
    *TRD_FP16*) extensions=$half header=$headers/half.pch ;;
    *) extensions=$plain header=$headers/plain.pch ;;
    esac
    # shellcheck disable=SC2086
    compiler "$extensions" -include-pch "$header" -fsyntax-only -Werror -Wall -Wno-unused-function -Wdouble-promotion -Wvla \
        -I "$folder/shared" -I "$folder/opencl" $2 "$1" 2>"$work/log" || {
        cat "$work/log" >&2
        fail "$1 does not compile with $2"
    }
}

n_sources=0
n_compiled=0
find "$folder" -name '*.cl' | sort >"$work/sources"
while read -r source; do
    n_sources=$((n_sources + 1))
    sed -n 's/^ \* Options  *\(.*\)$/\1/p' "$source" | tr '|' '\n' >"$work/sets"
    [ -s "$work/sets" ] || echo >"$work/sets"
    while read -r class <&3; do
        case $source/$class in *_tiles.cl/*TRD_GROUPS* | *_groups.cl/*TRD_TILES*) continue ;; esac     # of one form by its name
        while read -r set <&4; do
            set=${set%\*/}
            compile "$source" "$class $set"
            n_compiled=$((n_compiled + 1))
        done 4<"$work/sets"
    done 3<"$work/classes"
done <"$work/sources"
if [ $# -gt 1 ]; then
    find "$folder" -name '*.cl' -exec sed -n 's/^ \* Options  *\(.*\)$/\1/p' {} + >"$work/known"
    grep -ohE -e '-D[A-Z_0-9]+' "$2"/*.c | sort -u | while read -r definition; do
        case $definition in -DTRD_) continue ;; esac       # of the form: written as -DTRD_%s
        grep -qE -e "$definition(=| |\$)" "$work/known" "$work/classes" ||
            { echo "$2 compiles with $definition, which no kernel names after \"Options\"" >&2; exit 1; }
    done
fi
[ "$n_sources" -gt 0 ] || fail "no kernel in $folder"
echo "$n_sources sources, $n_compiled compilations"
