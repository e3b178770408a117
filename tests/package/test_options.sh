#!/bin/sh
# test_options.sh: no build option is silently ignored: ON without the thing is an error, AUTO and OFF are told in the summary.
set -eu

fail() { echo "test_options.sh: $*" >&2; exit 1; }

work=$TREADLE_BUILD/package/options
rm -rf "$work"
mkdir -p "$work/pkgconfig"
# A machine without hwloc: pkg-config sees jansson only.
for dir in $(pkg-config --variable pc_path pkg-config | tr ':' ' '); do
    [ ! -f "$dir/jansson.pc" ] || cp "$dir/jansson.pc" "$work/pkgconfig/"
done

# configure WANTED_STATUS TEXT OPTION...: configures and looks for TEXT in what is said.
configure() {
    want=$1
    text=$2
    shift 2
    rm -rf "$work/build"
    status=0
    "$CMAKE" -G Ninja -S "$TREADLE_SOURCE" -B "$work/build" -DCMAKE_C_COMPILER="$CC" -DTRD_BUILD_TESTS=OFF \
        -DTRD_BUILD_COMMAND=OFF "$@" >"$work/log" 2>&1 || status=1
    [ $status = "$want" ] || { cat "$work/log" >&2; fail "$*: configuration gave $status, wanted $want"; }
    tr '\n' ' ' <"$work/log" | tr -s ' ' | grep -qF "$text" || { cat "$work/log" >&2; fail "$*: no \"$text\""; }
}

configure 1 'the CUDA back end is not in this version' -DTRD_WITH_CUDA=ON
configure 1 'TRD_WITH_OPENMP is "perhaps"; it must be AUTO, ON or OFF' -DTRD_WITH_OPENMP=perhaps
configure 0 'OPENMP: off (TRD_WITH_OPENMP=OFF)' -DTRD_WITH_OPENMP=OFF
grep -q 'treadle .*, Release, ' "$work/log" || fail 'the default build type is not Release'
# OpenCL: off, and a machine without its headers.
configure 0 'OPENCL: off (TRD_WITH_OPENCL=OFF)' -DTRD_WITH_OPENCL=OFF
nothing='-DCMAKE_IGNORE_PATH=/usr/include;/usr/local/include'
configure 1 'TRD_WITH_OPENCL=ON, but it was not found: install opencl-headers' -DTRD_WITH_OPENCL=ON "$nothing"
configure 0 'OPENCL: not found (install opencl-headers)' "$nothing"
PKG_CONFIG_LIBDIR=$work/pkgconfig
export PKG_CONFIG_LIBDIR
configure 1 'TRD_WITH_HWLOC=ON, but it was not found: install libhwloc-dev' -DTRD_WITH_HWLOC=ON
configure 0 'HWLOC: not found (install libhwloc-dev)' -DTRD_WITH_HWLOC=AUTO
rm "$work/pkgconfig/jansson.pc"
configure 1 'jansson >= 2.7 was not found: install libjansson-dev'
