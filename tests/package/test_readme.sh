#!/bin/sh
# test_readme.sh: the C program of README.md, taken from its text, compiles with the command that follows it, against the
# installed library, and prints what the text says it prints; it stays within 20 lines or so. The Python program finds the same.
set -eu

fail() { echo "test_readme.sh: $*" >&2; exit 1; }

work=$TREADLE_BUILD/package/readme
prefix=$TREADLE_BUILD/package/prefix
rm -rf "$work"
mkdir -p "$work"
readme=$TREADLE_SOURCE/README.md
# shellcheck disable=SC2016  # backquotes of Markdown
awk '/^```c$/ { n++; inside = n == 1; next } /^```/ { inside = 0 } inside' "$readme" >"$work/translate.c"
lines=$(grep -c . "$work/translate.c") || fail 'README.md has no C program'
[ "$lines" -le 22 ] || fail "the program has $lines lines"
# shellcheck disable=SC2016
want=$(sed -n 's/^It prints `\([^`]*\)`.*/\1/p' "$readme")
[ -n "$want" ] || fail 'README.md does not say what it prints'

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name treadle.pc)")
LD_LIBRARY_PATH=$(dirname "$(find "$prefix" -name libtreadle.so)")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
build=$(grep -m 1 '^cc -o translate ' "$readme") || fail 'README.md has no line that compiles it'
(cd "$work" && sh -c "CFLAGS='-Wall -Wextra'; $build")
got=$(cd "$TREADLE_SOURCE" && "$work/translate")
[ "$got" = "$want" ] || fail "printed \"$got\", wanted \"$want\""
[ "$(cd "$TREADLE_SOURCE" && "$work/translate" | wc -l)" = 1 ] || fail 'what it prints is not one line'

# The line of the shell that translates, with the program of this build.
shell=$(sed -n 's/^echo .*build\/release\/treadle translate /&/p' "$readme" | head -n 1)
[ -n "$shell" ] || fail 'README.md has no line of the shell that translates'
if [ -x "$TREADLE_BUILD/treadle" ]; then
    shell=$(printf '%s\n' "$shell" | sed "s|build/release/treadle|'$TREADLE_BUILD/treadle'|")
    got=$(cd "$TREADLE_SOURCE" && sh -c "$shell")
    [ "$got" = "$want" ] || fail "the line of the shell printed \"$got\""
fi

# The same line on OpenCL.
shell=$(sed -n 's/^echo .*build\/release\/treadle translate --device opencl /&/p' "$readme" | head -n 1)
[ -n "$shell" ] || fail 'README.md has no line of the shell that translates on OpenCL'
if [ -x "$TREADLE_BUILD/treadle" ] && [ -f "$TREADLE_BUILD/treadle-opencl.so" ] && [ -f "${TREADLE_TEST_OPENCL:-}/pocl/pocl.icd" ]; then
    shell=$(printf '%s\n' "$shell" | sed "s|build/release/treadle|'$TREADLE_BUILD/treadle'|")
    got=$(cd "$TREADLE_SOURCE" && tests/opencl/with pocl sh -c "$shell")
    [ "$got" = "$want" ] || fail "the line of the shell on OpenCL printed \"$got\""
fi

# The Python program, with the package of the build tree.
if [ -d "$TREADLE_BUILD/python/treadle" ]; then
    # shellcheck disable=SC2016
    awk '/^```python$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$readme" >"$work/translate.py"
    [ -s "$work/translate.py" ] || fail 'README.md has no Python program'
    got=$(cd "$TREADLE_SOURCE" && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$TREADLE_BUILD/python "$TRD_TEST_PYTHON" "$work/translate.py")
    words=$(echo "$want" | sed "s/[^ ]*/'&'/g; s/ /, /g")
    case $got in *"$words"*) ;; *) fail "the Python program printed \"$got\"" ;; esac
fi

# A model that is not there: the text says so and the exit code is 1.
status=0
got=$(cd "$work" && ./translate) || status=$?
[ $status = 1 ] || fail "exit code $status without the model"
case $got in *models/g2p-en*) ;; *) fail "without the model it printed \"$got\"" ;; esac
