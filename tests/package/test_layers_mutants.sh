#!/bin/sh
# test_layers_mutants.sh: test_layers.sh passes on a small good tree and fails on each of its violations.
set -eu
script=$(dirname "$0")/test_layers.sh
work=$TREADLE_BUILD/package/layers

# A tree that obeys, of one file per module.
make_tree() {
    rm -rf "$work"
    mkdir -p "$work/include/treadle" "$work/kernels/cpu" "$work/kernels/shared" "$work/bindings" "$work/docs/examples" "$work/tests" "$work/lib/backend/opencl"
    for module in core backend/cpu device model sched nn decode api; do
        mkdir -p "$work/lib/$module"
        echo '#include "core/status.h"' > "$work/lib/$module/$(basename $module)_part.c"
    done
    echo '#include <stddef.h>' > "$work/include/treadle/trd_base.h"
    echo '#pragma omp parallel' > "$work/lib/backend/cpu/team.c"
    echo '#include <hwloc.h>' > "$work/lib/device/topology.c"
    echo 'void *p = malloc(1);' > "$work/lib/core/alloc.c"
    printf '%s\n' '#include <CL/cl.h>' 'void f(void) { host->free(p); table.free(p); }' > "$work/lib/backend/opencl/cl_part.c"
    echo '#include "shim.h"' > "$work/kernels/shared/map.cl"
    echo '#include "treadle/trd_base.h"' > "$work/docs/examples/add.c"
    echo '#include "treadle/trd_base.h"' > "$work/bindings/command.c"
    echo '#include "kernels/cpu/kernels.h"' > "$work/lib/backend/cpu/plan.c"
}

run() { TREADLE_SOURCE=$work sh "$script" >"$work/out" 2>&1; }

make_tree
run || { echo "the good tree fails:"; cat "$work/out"; exit 1; }

n_mutants=0
# mutant FILE LINE PART: with LINE in FILE the check fails, and says PART.
mutant() {
    make_tree
    printf '%s\n' "$2" >> "$work/$1"
    if run; then
        echo "not noticed: '$2' in $1"
        exit 1
    fi
    if ! grep -q "$3" "$work/out"; then
        echo "'$2' in $1 is not reported as '$3':"
        cat "$work/out"
        exit 1
    fi
    n_mutants=$((n_mutants + 1))
}

mutant lib/core/core_part.c '#include "device/device.h"' 'lib/core may include'
mutant lib/model/model_part.c '#include "sched/sched.h"' 'lib/model may include'
mutant lib/model/model_part.c '#include "backend/backend.h"' 'lib/model may include'
mutant lib/backend/cpu/cpu_part.c '#include "nn/network.h"' 'lib/backend may include'
mutant lib/device/device_part.c '  #  include "sched/sched.h"' 'lib/device may include'
mutant lib/sched/sched_part.c '#include "model/model.h"' 'lib/sched may include'
mutant lib/nn/nn_part.c '#include "sched/sched.h"' 'lib/nn may include'
mutant lib/decode/decode_part.c '#include "api/api.h"' 'lib/decode may include'
mutant bindings/command.c '#include "core/alloc.h"' 'bindings may include'
mutant lib/model/model_part.c '#include "../sched/sched.h"' 'does not start with its module'
mutant lib/model/model_part.c '#include "sibling.h"' 'does not start with its module'
mutant lib/nn/nn_part.c '#include "backend/cpu/cpu.h"' 'outside the back ends'
mutant lib/nn/nn_part.c '#include "kernels/cpu/kernels.h"' 'lib/nn may include'
mutant lib/backend/cpu/cpu_part.c '#include "backend/opencl/opencl.h"' 'includes another'
mutant include/treadle/trd_base.h '#include <CL/cl.h>' 'public header'
mutant include/treadle/trd_base.h '#include "core/status.h"' 'public header'
mutant tests/nn_part.c 'int x;' 'not unique'
mutant lib/nn/nn_part.c '#include <hwloc.h>' 'hwloc outside'
mutant lib/nn/nn_part.c '#pragma omp parallel' 'OpenMP outside'
mutant lib/sched/sched_part.c '#include <omp.h>' 'OpenMP outside'
mutant lib/backend/cpu/plan.c 'int n = omp_get_num_threads();' 'OpenMP outside'
mutant lib/nn/nn_part.c '    void *p = malloc(3);' 'past trdi_alloc'
mutant lib/nn/nn_part.c '    free(p);' 'past trdi_alloc'
mutant lib/nn/nn_part.c '    p = strdup(q);' 'past trdi_alloc'
mutant lib/core/core_part.c '    p = calloc(1, 2);' 'past trdi_alloc'
mutant lib/api/api_part.c '    exit(1);' 'past trdi_alloc'
mutant lib/nn/nn_part.c '#include <CL/cl.h>' 'OpenCL outside'
mutant bindings/command.c '#include <CL/cl.h>' 'OpenCL outside'
mutant lib/backend/opencl/cl_part.c '#include "backend/cpu/cpu.h"' 'includes another'
mutant docs/examples/add.c '#include "core/alloc.h"' 'docs/examples may include'
mutant kernels/shared/map.cl '#include "../opencl/x.h"' 'not beside it'
mutant kernels/shared/map.cl '#include <math.h>' 'not beside it'
rm -rf "$work"
echo "$n_mutants violations noticed"
