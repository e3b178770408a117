#!/bin/sh
# test_symbols.sh: the shared library exports exactly the symbols of symbols.txt, under the pinned SONAME, and its headers
# declare the same functions. A new function: add its name to symbols.txt in the same change.
set -eu

fail() { echo "test_symbols.sh: $*" >&2; exit 1; }

library=$1
want=$TREADLE_SOURCE/tests/package/symbols.txt
work=$TREADLE_BUILD/package
mkdir -p "$work"

soname=$(readelf -d "$library" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
[ "$soname" = libtreadle.so.0 ] || fail "SONAME is $soname, pinned libtreadle.so.0"

LC_ALL=C
export LC_ALL
sort -u -c "$want" || fail 'symbols.txt is not sorted'
nm -D --defined-only "$library" | awk '{ print $3 }' | sort >"$work/exported.txt"
diff -u "$want" "$work/exported.txt" || fail 'the exported symbols (+) are not those of symbols.txt (-)'

cat "$TREADLE_SOURCE"/include/treadle/*.h | tr '\n' ' ' |
    grep -o 'TRD_API [^;(]*[ *]trd_[a-z0-9_]*(' | sed 's/.*[ *]\(trd_[a-z0-9_]*\)($/\1/' | sort >"$work/declared.txt"
diff -u "$want" "$work/declared.txt" || fail 'the declared functions (+) are not those of symbols.txt (-)'
echo "$(wc -l <"$want") symbols"

# Modules: one symbol, and no vendor's library that would have to be there when they are loaded.
shift
for module in "$@"; do
    got=$(nm -D --defined-only "$module" | awk '{ print $3 }')
    [ "$got" = trd_backend_entry ] || fail "$module exports: $got"
    bad=$(readelf -d "$module" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -vE '^(libc|libm|libdl|libpthread|libgomp|libomp|ld-linux-[a-z0-9-]*)\.so' || true)
    [ -z "$bad" ] || fail "$module needs: $bad"
done
