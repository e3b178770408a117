#!/bin/sh
# Checks jobs.pml and wakes.pml exhaustively, and that each of their mutations, which break the protocols, is found. Exit 77: skipped.
set -eu

models=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
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

# check NAME MUTATIONS OPTION...: the model as it is, and with each mutation.
check() {
    name=$1 mutations=$2
    shift 2
    spin -a "$@" "$models/$name.pml" >spin.log || { cat spin.log; exit 1; }
    cc -w -O1 -DSAFETY -o pan pan.c
    errors=$(explore 0)
    states=$(sed -n 's/^ *\([0-9][0-9]*\) states, stored$/\1/p' log)
    echo "$name $*: $states states, $errors errors"
    [ "$errors" = 0 ] || { cat log; exit 1; }
    for mutation in $mutations; do
        errors=$(explore "$mutation")
        echo "$name $*, mutation $mutation: $errors errors, $(sed -n 's/^pan:1: //p' log)"
        [ "$errors" != 0 ] || { echo "run_model.sh: mutation $mutation was not found" >&2; exit 1; }
    done
}

check wakes '1 2 3'
check jobs '1 2 3 4 5' -DFUTURES=1
check jobs '1 3 4' -DFUTURES=0
