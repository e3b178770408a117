#!/bin/sh
# test_oclgrind.sh PROGRAM: what oclgrind finds makes a test fail: each mistake of bad_kernels.c is noticed, the good kernel passes.
set -eu

with=$(dirname "$0")/with
status=0
out=$("$with" oclgrind "$1" good 2>&1) || status=$?
[ $status = 0 ] || { echo "$out"; exit $status; }
for name in bounds race uninitialised barriers; do
    status=0
    out=$("$with" oclgrind "$1" $name 2>&1) || status=$?
    case $status/$out in
    0/*) echo "not noticed: $name"; exit 1 ;;
    *'oclgrind complains'*) ;;
    *) echo "$name fails, but not by a complaint: $out"; exit 1 ;;
    esac
done
echo 'four mistakes noticed'
