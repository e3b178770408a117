#!/bin/sh
# test_consumer.sh WAY: builds the consumer against an installed treadle, or against its sources, and runs it. The environment
# (from CMakeLists.txt): TREADLE_SOURCE, TREADLE_BUILD, TREADLE_VERSION, CC, CMAKE.
set -eu

way=$1
consumer=$TREADLE_SOURCE/tests/package/consumer
work=$TREADLE_BUILD/package
dir=$work/$way

fail() { echo "test_consumer.sh $way: $*" >&2; exit 1; }

# with_cmake PREFIX OPTION...: the consumer by CMake, with PREFIX searched first.
with_cmake() {
    prefix=$1
    shift
    rm -rf "$dir"
    "$CMAKE" -G Ninja -S "$consumer" -B "$dir" -DCMAKE_C_COMPILER="$CC" -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_PREFIX_PATH="$prefix" "$@"
    "$CMAKE" --build "$dir"
}

# with_pkg_config PREFIX OPTION...: the consumer by the compiler alone; the options go to pkg-config.
with_pkg_config() {
    prefix=$1
    shift
    rm -rf "$dir"
    mkdir -p "$dir"
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name treadle.pc)")
    export PKG_CONFIG_PATH
    [ "$(pkg-config --modversion treadle)" = "$TREADLE_VERSION" ] || fail "treadle.pc: another version"
    # shellcheck disable=SC2046  # pkg-config prints words
    "$CC" -o "$dir/consumer" "$consumer/consumer.c" $(pkg-config --cflags --libs "$@" treadle)
}

# linked yes|no: does the consumer need libtreadle.so.0?
linked() {
    if readelf -d "$dir/consumer" | grep -q 'NEEDED.*libtreadle\.so\.0'; then got=yes; else got=no; fi
    [ "$got" = "$1" ] || fail "linked with the shared library: $got, wanted $1"
}

# finds WANTED: does the consumer find the OpenCL module, and PoCL through it? Only where the module was built and PoCL is there.
finds() {
    [ -f "$TREADLE_BUILD/treadle-opencl.so" ] && [ "${TREADLE_TEST_OPENCL:+set}" = set ] || return 0
    [ ! -f "$TREADLE_TEST_OPENCL/pocl/missing" ] || return 0
    if "$TREADLE_SOURCE/tests/opencl/with" pocl "$dir/consumer" device opencl: 2>"$work/device.log"; then got=yes; else got=no; fi
    [ "$got" = "$1" ] || { cat "$work/device.log" >&2; fail "OpenCL's device found: $got, wanted $1"; }
}

library_dir() { dirname "$(find "$1" -name 'libtreadle.*' | head -n 1)"; }

case $way in
install)
    rm -rf "$work/prefix" "$work/moved" "$work/static-only" "$work/bare"
    "$CMAKE" --install "$TREADLE_BUILD" --prefix "$work/prefix"
    # A copy elsewhere: the packages must be relocatable. Another without the shared library, so that -ltreadle is the archive.
    # A third without modules.
    cp -R "$work/prefix" "$work/moved"
    cp -R "$work/prefix" "$work/static-only"
    find "$work/static-only" -name 'libtreadle.so*' -delete
    cp -R "$work/prefix" "$work/bare"
    find "$work/bare" -name 'treadle-*.so' -delete
    exit 0
    ;;
cmake-shared)
    with_cmake "$work/moved" -DTREADLE_USE=shared
    linked yes
    finds yes
    ;;
cmake-default)
    with_cmake "$work/prefix" -DTREADLE_USE=default
    linked yes
    ;;
cmake-static)
    with_cmake "$work/moved" -DTREADLE_USE=static
    linked no
    TREADLE_BACKEND_PATH=$(library_dir "$work/moved")/treadle
    export TREADLE_BACKEND_PATH
    finds yes
    ;;
cmake-static-cxx)
    with_cmake "$work/moved" -DTREADLE_USE=static -DTREADLE_LANGUAGE=CXX
    linked no
    ;;
pkgconfig-shared)
    with_pkg_config "$work/moved"
    linked yes
    LD_LIBRARY_PATH=$(library_dir "$work/moved")
    export LD_LIBRARY_PATH
    finds yes
    "$dir/consumer" "$TREADLE_VERSION" "$TREADLE_SOURCE/models/g2p-en"
    LD_LIBRARY_PATH=$(library_dir "$work/bare")
    finds no            # and the library works without its modules
    ;;
pkgconfig-static)
    with_pkg_config "$work/static-only" --static
    linked no
    ;;
subdirectory)
    with_cmake "$work/none" -DTREADLE_USE=subdirectory -DTREADLE_SOURCE="$TREADLE_SOURCE" -DCMAKE_BUILD_TYPE=Debug
    linked yes
    finds yes
    ;;
examples)
    # The folder of examples by itself, as a user builds it.
    rm -rf "$dir"
    "$CMAKE" -G Ninja -S "$TREADLE_SOURCE/docs/examples" -B "$dir" -DCMAKE_C_COMPILER="$CC" -DCMAKE_PREFIX_PATH="$work/moved"
    "$CMAKE" --build "$dir"
    "$dir/saxpy" cpu
    echo "t r e a d l e" | "$dir/futures" "$TREADLE_SOURCE/models/g2p-en"
    exit 0
    ;;
static-build)
    # A build without the shared library: as a subproject, then installed and used by both kinds of package.
    with_cmake "$work/none" -DTREADLE_USE=subdirectory -DTREADLE_SOURCE="$TREADLE_SOURCE" -DCMAKE_BUILD_TYPE=Debug \
        -DBUILD_SHARED_LIBS=OFF -DTRD_INSTALL=ON -DTRD_WITH_OPENMP=OFF -DTRD_WITH_HWLOC=OFF
    linked no
    "$dir/consumer" "$TREADLE_VERSION" "$TREADLE_SOURCE/models/g2p-en"
    rm -rf "$work/static-prefix"
    "$CMAKE" --install "$dir" --prefix "$work/static-prefix"
    dir=$work/static-build-cmake
    with_cmake "$work/static-prefix" -DTREADLE_USE=default
    linked no
    "$dir/consumer" "$TREADLE_VERSION" "$TREADLE_SOURCE/models/g2p-en"
    dir=$work/static-build-pkgconfig
    with_pkg_config "$work/static-prefix"
    linked no
    ;;
*) fail "no such way" ;;
esac
"$dir/consumer" "$TREADLE_VERSION" "$TREADLE_SOURCE/models/g2p-en"
