#!/bin/sh
# test_kernels_mutants.sh: test_kernels_clang.sh passes on a small good kernel and notices what it is there to notice.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$TREADLE_BUILD/kernels-mutants
rm -rf "$work"
mkdir -p "$work/shared" "$work/opencl" "$work/headers"
TREADLE_TEST_HEADERS=$work/headers
export TREADLE_TEST_HEADERS
cat >"$work/shared/good.cl" <<'TEXT'
/* good.cl: half as storage needs no extension.
 * Options  -DSCALE=1.0f | -DSCALE=2.0f -DOTHER=1 */
__kernel void good(__global const half *x, __global float *y) { y[get_global_id(0)] = vload_half(get_global_id(0), x) * SCALE; }
TEXT
check() { status=0; sh "$here/test_kernels_clang.sh" "$work" >"$work/out" 2>&1 || status=$?; }

check
if [ $status = 77 ]; then cat "$work/out"; exit 77; fi
[ $status = 0 ] && grep -qx '1 sources, 10 compilations' "$work/out" || { cat "$work/out"; exit 1; }

n=0
# mutant BODY PART: a kernel with this body fails, and the compiler says PART.
mutant() {
    printf '__kernel void bad(__global half *h, __global float *x, const int n)\n{ %s\n}\n' "$1" >"$work/opencl/bad.cl"
    check
    [ $status = 1 ] && grep -qF -- "$2" "$work/out" || { echo "not noticed as '$2': $1"; cat "$work/out"; exit 1; }
    n=$((n + 1))
}
mutant 'x[0] = x[1] * 2.0;' 'double precision constant'
mutant 'double d = x[1]; x[0] = d > 1;' 'cl_khr_fp64'
mutant 'x[0] = h[1];' 'cl_khr_fp16'
mutant 'half v = 1; x[0] = v;' "'__private half' is not allowed"
mutant 'x[0] = sub_group_reduce_add(x[1]);' 'sub_group_reduce_add'
mutant 'x[0] = __builtin_ia32_rcpps(x[1]);' 'unknown'
mutant 'int unused;' 'unused'
mutant 'int m = n; if (m = 3) x[0] = 1;' 'assignment'
mutant 'float a[n]; x[0] = a[0];' 'variable length'
mutant '
#ifdef TRD_GROUPS
x[0] = nothing;
#endif' "undeclared identifier 'nothing'"
printf '__kernel void bad(__global float *x) { x[0] = MISSING; }\n' >"$work/opencl/bad.cl"
check
[ $status = 1 ] || { echo 'an option that no set defines is not noticed'; exit 1; }
rm "$work/opencl/bad.cl"
mkdir -p "$work/host"
for line in 'fma ? "-DSCALE=1 -DOTHER=%d" : ""' '"-DTRD_%s=1 -DGROUP_SIZE=%d"'; do
    echo "$line" >"$work/host/good.c"
    sh "$here/test_kernels_clang.sh" "$work" "$work/host" >"$work/out" 2>&1 || { cat "$work/out"; exit 1; }
done
echo '"-DOTHERS=1"' >"$work/host/good.c"
if sh "$here/test_kernels_clang.sh" "$work" "$work/host" >"$work/out" 2>&1; then
    echo 'an option that no kernel names is not noticed'
    exit 1
fi
grep -q 'which no kernel names' "$work/out" || { cat "$work/out"; exit 1; }
echo "$n violations noticed"
