#!/bin/sh
# Checks jobs.pml exhaustively, and that each of its mutations, which break the protocol, is found. Exit 77: skipped.
set -eu

model=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/jobs.pml
for tool in spin cc; do
    command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed"; exit 77; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# explore MUTATION: prints the number of errors.
explore() {
    MUTATION=$1 ./pan -m20000 -w20 >log 2>&1 || { cat log; echo "run_model.sh: pan failed" >&2; exit 1; }
    if grep -q 'error: max search depth too small\|Search not completed' log && [ "$1" = 0 ]; then
        cat log
        echo "run_model.sh: the search was not complete" >&2
        exit 1
    fi
    sed -n 's/.*errors: \([0-9][0-9]*\)$/\1/p' log
}

for futures in 1 0; do
    spin -a -DFUTURES=$futures "$model" >spin.log || { cat spin.log; exit 1; }
    cc -w -DSAFETY -o pan pan.c
    errors=$(explore 0)
    states=$(sed -n 's/^ *\([0-9][0-9]*\) states, stored$/\1/p' log)
    echo "futures $futures: $states states, $errors errors"
    [ "$errors" = 0 ] || { cat log; exit 1; }
    mutations='1 3 4'
    [ $futures = 0 ] || mutations='1 2 3 4 5'
    for mutation in $mutations; do
        errors=$(explore $mutation)
        echo "futures $futures, mutation $mutation: $errors errors, $(sed -n 's/^pan:1: //p' log)"
        [ "$errors" != 0 ] || { echo "run_model.sh: mutation $mutation was not found" >&2; exit 1; }
    done
done
