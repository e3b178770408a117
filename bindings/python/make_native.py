"""Writes the C source of treadle._native: cffi's binding of the public headers, unchanged, and the callbacks in Python.

Usage: make_native.py CC INCLUDE_DIR OUTPUT.c

The declarations are what the C preprocessor makes of treadle.h with empty standard headers, so nothing is declared twice:
a change of the interface is a change of include/ only. The C compiler checks every layout again when it compiles OUTPUT.c.
"""

import os
import subprocess
import sys
import tempfile

import cffi

# Python functions that C calls (_calls.py, _files.py), and the gate in front of those that the library's own thread calls.
CALLBACKS = """
extern "Python" bool treadle_python_step(void *context, const trd_step_result *step);
extern "Python" void treadle_python_done(void *context, trd_future *future);
extern "Python" bool treadle_tokenize_source(void *context, const char *line, size_t n_bytes, trd_pieces *out);
extern "Python" bool treadle_tokenize_target(void *context, const char *line, size_t n_bytes, trd_pieces *out);
extern "Python" bool treadle_detokenize(void *context, const char *const *tokens, int64_t n_tokens, trd_pieces *out);
extern "Python" void treadle_on_progress(void *context, const trd_progress *progress);
bool treadle_gate_step(void *context, const trd_step_result *step);
void treadle_gate_done(void *context, trd_future *future);
void treadle_gate_set_open(bool open);
int treadle_gate_inside(void);
"""

# A thread of the library must not enter an interpreter that is going away: it would never come back. Once the gate is closed
# no call enters Python; treadle_gate_inside() says how many have not come out yet.
GATE = """
#include <stdatomic.h>
#include "treadle/treadle.h"

static bool treadle_python_step(void *context, const trd_step_result *step);
static void treadle_python_done(void *context, trd_future *future);

static atomic_bool gate_closed;
static atomic_int gate_inside;

static bool treadle_gate_step(void *context, const trd_step_result *step)
{
    atomic_fetch_add(&gate_inside, 1);
    const bool stop = atomic_load(&gate_closed) || treadle_python_step(context, step);
    atomic_fetch_sub(&gate_inside, 1);
    return stop;
}

static void treadle_gate_done(void *context, trd_future *future)
{
    atomic_fetch_add(&gate_inside, 1);
    if (!atomic_load(&gate_closed)) treadle_python_done(context, future);
    atomic_fetch_sub(&gate_inside, 1);
}

/* For the child of a fork too, which inherits calls that will never end. */
static void treadle_gate_set_open(bool open)
{
    atomic_store(&gate_closed, !open);
    if (open) atomic_store(&gate_inside, 0);
}

static int treadle_gate_inside(void)
{
    return atomic_load(&gate_inside);
}
"""


def declarations(compiler, include):
    with tempfile.TemporaryDirectory() as empty:
        for name in ("stdbool.h", "stddef.h", "stdint.h"):
            open(os.path.join(empty, name), "w").close()
        command = [compiler, "-E", "-P", "-nostdinc", "-I", empty, "-I", include, "-DTRD_STATIC",
                   os.path.join(include, "treadle", "treadle.h")]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def main(compiler, include, output):
    ffi = cffi.FFI()
    ffi.cdef(declarations(compiler, include) + CALLBACKS)
    ffi.set_source("treadle._native", GATE)
    ffi.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
