#!/bin/sh
# test_dev.sh: what ./dev says and returns, with the system's tools replaced by small fakes: nothing is installed or built.
set -eu

fail() { echo "test_dev.sh: $*" >&2; exit 1; }

work=$TREADLE_BUILD/package/dev
rm -rf "$work"
mkdir -p "$work/tree" "$work/bin"
cp "$TREADLE_SOURCE/dev" "$work/tree/dev"
dev=$work/tree/dev
PATH=$work/bin:$PATH
export PATH

fake() { # NAME, and the script from standard input
    { echo '#!/bin/sh'; cat; } >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}

# run WANTED_STATUS ARGUMENT...: output in $out, its last line in $last.
run() {
    want=$1
    shift
    status=0
    out=$(cd / && "$dev" "$@" 2>&1 </dev/null) || status=$?
    last=$(printf '%s\n' "$out" | tail -n 1)
    [ $status = "$want" ] || fail "dev $*: exit code $status, wanted $want: $out"
}

says() { case $out in *"$1"*) ;; *) fail "wanted \"$1\" in: $out" ;; esac; }
last_says() { case $last in *"$1"*) ;; *) fail "wanted \"$1\" in the last line: $out" ;; esac; }

# The list of commands.
run 0
for command in demo test setup bench soak docs; do says "  $command"; done
run 2 no-such-thing
says 'no command "no-such-thing"'

run 1 soak many
says 'usage: ./dev soak'

# Packages: nothing to do when all are there; apt-get's reason when it fails; sudo for others than root.
fake dpkg-query <<'TEXT'
echo 'ii '
TEXT
fake apt-get <<'TEXT'
echo "called: $*"; exit 1
TEXT
run 0 setup
fake dpkg-query <<'TEXT'
case $* in *libjansson-dev) exit 1 ;; esac
echo 'ii '
TEXT
fake apt-get <<'TEXT'
echo 'E: Unable to locate package libjansson-dev'; exit 100
TEXT
fake id <<'TEXT'
echo 0
TEXT
run 1 setup
says 'installing with apt-get: libjansson-dev'
last_says 'Unable to locate package libjansson-dev'
fake id <<'TEXT'
echo 1000
TEXT
fake sudo <<'TEXT'
echo "E: sudo ran: $*"; exit 1
TEXT
run 1 setup
last_says 'sudo ran: apt-get update'

# Builds: the reason of the configuration or of the compiler is the last line.
fake dpkg-query <<'TEXT'
echo 'ii '
TEXT
fake cmake <<'TEXT'
echo 'CMake Error at CMakeLists.txt:3 (message):'
echo '  jansson was not found'
echo 'See also "x.log".'
exit 1
TEXT
run 1 demo
last_says 'jansson was not found'
fake cmake <<'TEXT'
[ "$1" = --build ] || exit 0
echo "lib/core/alloc.c:7:3: error: expected ';'"
echo 'ninja: build stopped: subcommand failed.'
exit 1
TEXT
run 1 demo
last_says "alloc.c:7:3: error: expected ';'"

# Python packages.
fake python3 <<'TEXT'
echo 'ERROR: No matching distribution found for ctranslate2'; exit 1
TEXT
run 1 test
last_says 'No matching distribution found'

# Intel's OpenCL: only where there is room, and only on x86-64. The other environment is there.
mkdir -p "$work/tree/build/venv"
printf '%s' "$work/tree ctranslate2 numpy pytest cffi" >"$work/tree/build/venv/treadle-stamp"
fake uname <<'TEXT'
echo x86_64
TEXT
fake df <<'TEXT'
printf 'Filesystem 1M-blocks Used Available\n/dev/x 9 9 1500\n'
TEXT
run 1 test
last_says 'needs 2000 MB of disk while it is installed, 1500 MB are free'
fake df <<'TEXT'
printf 'Filesystem 1M-blocks Used Available\n/dev/x 9 9 5000\n'
TEXT
run 1 test
says 'installing with pip into build/intel-opencl: intel-opencl-rt intel-cmplr-lib-rt'
last_says 'No matching distribution found'
fake uname <<'TEXT'
echo aarch64
TEXT
run 1 test
says 'x86-64 only'
says 'building: gcc, release'

# Measuring OpenCL needs its implementations, the demo does not.
fake dpkg-query <<'TEXT'
case $* in *pocl-opencl-icd | *opencl-c-headers) exit 1 ;; esac
echo 'ii '
TEXT
fake id <<'TEXT'
echo 0
TEXT
run 1 demo
case $out in *installing*) fail "the demo installs: $out" ;; esac
run 1 setup
says 'installing with apt-get: opencl-c-headers '
fake apt-get <<'TEXT'
exit 0
TEXT
run 1 bench --opencl
says 'pocl-opencl-icd'
