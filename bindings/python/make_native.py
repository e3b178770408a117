"""Writes the C source of treadle._native: cffi's binding of the public headers, unchanged.

Usage: make_native.py CC INCLUDE_DIR OUTPUT.c

The declarations are what the C preprocessor makes of treadle.h with empty standard headers, so nothing is declared twice:
a change of the interface is a change of include/ only. The C compiler checks every layout again when it compiles OUTPUT.c.
"""

import os
import subprocess
import sys
import tempfile

import cffi

CALLBACKS = """
extern "Python" bool treadle_on_step(void *context, const trd_step_result *step);
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
    ffi.set_source("treadle._native", '#include "treadle/treadle.h"')
    ffi.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
