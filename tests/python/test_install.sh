#!/bin/sh
# `pip install .` at the root gives a package that translates, without the build tree. $1: Python, $2: source, $3: scratch.
# $4: TRUE if the back end for OpenCL is built here: its module is in the package then. Debug, because compiling without optimisation
# takes half the time.
set -eu
python=$1 source=$2 scratch=$3 opencl=$4
rm -rf "$scratch/site"
mkdir -p "$scratch"
if ! "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$scratch/site" \
    --config-settings=cmake.build-type=Debug --config-settings=build-dir=build/wheel-test "$source" \
    > "$scratch/pip.log" 2>&1; then
    if grep -qE 'ConnectionError|Temporary failure in name resolution|No matching distribution|Could not find a version' "$scratch/pip.log"; then
        echo "skipped: the build requirements cannot be fetched: $(tail -n 1 "$scratch/pip.log")"
        exit 77
    fi
    cat "$scratch/pip.log"
    exit 1
fi
if [ "$opencl" = TRUE ] && [ ! -f "$scratch/site/treadle/treadle-opencl.so" ]; then
    echo "the package lacks treadle-opencl.so:"
    ls "$scratch/site/treadle"
    exit 1
fi
cd "$scratch"
PYTHONPATH="$scratch/site" PYTHONDONTWRITEBYTECODE=1 "$python" - "$source/models/g2p-en" "$scratch/site" <<'PYTHON'
import sys
import treadle
assert treadle.__file__.startswith(sys.argv[2]), treadle.__file__
result = treadle.Translator(sys.argv[1]).translate_batch([list("treadle")], return_scores=True)[0]
print(treadle.__version__, result)
assert result.hypotheses[0] == ["T", "R", "EH1", "D", "AH0", "L"], result
PYTHON

# The package finds its module, and a driver through it.
if [ "$opencl" = TRUE ] && [ "${TREADLE_TEST_OPENCL:+set}" = set ] && [ ! -f "$TREADLE_TEST_OPENCL/pocl/missing" ]; then
    PYTHONPATH="$scratch/site" PYTHONDONTWRITEBYTECODE=1 "$source/tests/opencl/with" pocl "$python" - <<'PYTHON'
import treadle
types = treadle.get_supported_compute_types("opencl")
print("opencl:", types)
assert "float32" in types, types
PYTHON
fi
