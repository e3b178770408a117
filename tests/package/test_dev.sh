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
for command in demo test setup bench docs; do says "  $command"; done
run 2 no-such-thing
says 'no command "no-such-thing"'

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
