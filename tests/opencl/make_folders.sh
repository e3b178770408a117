#!/bin/sh
# make_folders.sh FOLDER [INTEL]: for each OpenCL implementation a folder FOLDER/NAME with its .icd file, or a file `missing` that says
# what to install; FOLDER/all has those that may share a process. INTEL: where the packages intel-opencl-rt and intel-cmplr-lib-rt lie
# (a Python environment). Called by ./dev and when the tests are configured; tests/opencl/with uses the folders.
set -eu

out=$1
intel=${2:-}
vendors=${OCL_ICD_VENDORS:-/etc/OpenCL/vendors}
work=$out.$$
rm -rf "$work"
mkdir -p "$work/all"
trap 'rm -rf "$work"' EXIT

# put NAME LIBRARY: an implementation that is there. in_all NAME: it may be used beside others.
put() { mkdir -p "$work/$1"; printf '%s\n' "$2" >"$work/$1/$1.icd"; }
in_all() { [ ! -f "$work/$1/$1.icd" ] || cp "$work/$1/$1.icd" "$work/all/"; }
missing() { mkdir -p "$work/$1"; printf '%s\n' "$2" >"$work/$1/missing"; }

if [ -f "$vendors/pocl.icd" ]; then put pocl "$(cat "$vendors/pocl.icd")"
else missing pocl 'PoCL is not installed (Debian: pocl-opencl-icd)'; fi
if [ -f "$vendors/rusticl.icd" ]; then put rusticl "$(cat "$vendors/rusticl.icd")"
else missing rusticl 'rusticl is not installed (Debian: mesa-opencl-icd)'; fi
if [ -n "$intel" ] && [ -f "$intel/lib/libintelocl.so" ]; then put intel "$(CDPATH='' cd -- "$intel/lib" && pwd)/libintelocl.so"
else missing intel "no lib/libintelocl.so in '$intel' (Python packages intel-opencl-rt and intel-cmplr-lib-rt; TREADLE_INTEL_OPENCL names another place)"; fi
oclgrind=
for library in /usr/lib/oclgrind /usr/local/lib/oclgrind /usr/local/lib /usr/lib; do
    [ -n "$oclgrind" ] || [ ! -f "$library/liboclgrind-rt-icd.so" ] || oclgrind=$library/liboclgrind-rt-icd.so
done
if [ -n "$oclgrind" ]; then put oclgrind "$oclgrind"
else missing oclgrind 'oclgrind is not installed (Debian: oclgrind)'; fi
for name in pocl intel rusticl; do in_all "$name"; done
[ -n "$(ls "$work/all")" ] || missing all 'none of PoCL, Intel and rusticl is installed'

mkdir -p "$out"
for folder in "$work"/*; do
    name=${folder##*/}
    if ! diff -r "$folder" "$out/$name" >/dev/null 2>&1; then
        rm -rf "${out:?}/$name"
        mv "$folder" "$out/$name"
    fi
done
