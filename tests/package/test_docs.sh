#!/bin/sh
# test_docs.sh: the reference is made from the headers without a warning: every public symbol has its comment.
set -eu

if ! command -v doxygen >/dev/null; then
    echo 'skipped: no doxygen'
    exit 77
fi
cd "$TREADLE_SOURCE"
work=$TREADLE_BUILD/package/docs
rm -rf "$work"
mkdir -p "$work"
{ cat docs/Doxyfile; echo "OUTPUT_DIRECTORY = $work"; } | doxygen -
while read -r function; do
    grep -rqF "$function" "$work/html" || { echo "test_docs.sh: $function is not in the reference" >&2; exit 1; }
done <tests/package/symbols.txt
