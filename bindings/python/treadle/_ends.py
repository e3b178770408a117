"""The ends of things: of callbacks before the interpreter's, of translators, and what a fork's child leaves to its parent."""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import Any, Callable, Dict, List, Tuple

from ._library import ffi, lib

CALLBACK_SECONDS = 1.0  # that a callback has to come back at an end
_IDLE = 0.01            # seconds between looks at a translator that finishes its work

_local = threading.local()
_cancellers: List[Callable[[], None]] = []
_forgetters: List[Callable[[], None]] = []
_finishing: Dict[int, Tuple[Any, Any]] = {}  # translators that nobody holds, but whose work does not end yet; and what they borrow
_exiting = False


def is_exiting() -> bool:
    return _exiting


def when_exiting(cancel: Callable[[], None]) -> None:
    """`cancel` ends what is under way."""
    _cancellers.append(cancel)


def when_forked(forget: Callable[[], None]) -> None:
    """`forget` runs in the child."""
    _forgetters.append(forget)


class callback_scope:
    """`with` around a callback on the library's own thread."""

    def __enter__(self) -> None:
        _local.depth = getattr(_local, "depth", 0) + 1

    def __exit__(self, *error: Any) -> None:
        _local.depth -= 1


def in_callback() -> bool:
    """Is this the library's own thread, inside of a callback?"""
    return getattr(_local, "depth", 0) > 0


def destroy_translator(handle: Any, keep: Any) -> None:
    """Its work runs to its end, though nobody waits for that here, and not when the interpreter exits. It borrows `keep`.

    This may be the library's own thread: garbage is collected anywhere.
    """
    if _exiting:
        lib.trd_translator_cancel_all(handle)
    elif in_callback() or _is_active(handle):
        _finishing[id(handle)] = (handle, keep)
        try:
            threading.Thread(target=_finish, args=(id(handle),), name="treadle-finish", daemon=True).start()
            return
        except RuntimeError:  # no thread can be had
            if _finishing.pop(id(handle), None) is None:
                return
    lib.trd_translator_destroy(handle)


def _is_active(handle: Any) -> bool:
    info = ffi.new("trd_translator_info *", {"struct_size": ffi.sizeof("trd_translator_info")})
    return lib.trd_translator_get_info(handle, info) == lib.TRD_OK and info.n_active > 0


def _finish(key: int) -> None:
    handle = _finishing[key][0]
    while _is_active(handle):
        time.sleep(_IDLE)
        if key not in _finishing:
            return
    taken = _finishing.pop(key, None)  # who takes it destroys it
    if taken is not None:
        lib.trd_translator_destroy(handle)


def _exit() -> None:
    """End what is under way, and let no thread of the library into the interpreter any more."""
    global _exiting
    _exiting = True
    for cancel in _cancellers:
        cancel()
    lib.treadle_gate_set_open(False)
    deadline = time.monotonic() + CALLBACK_SECONDS
    while lib.treadle_gate_inside() > 0 and time.monotonic() < deadline:
        time.sleep(0.001)  # lets the callback have the interpreter
    for key in list(_finishing):
        taken = _finishing.pop(key, None)
        if taken is not None:
            lib.trd_translator_cancel_all(taken[0])
            lib.trd_translator_destroy(taken[0])


def _after_fork() -> None:
    for forget in _forgetters:
        forget()
    _finishing.clear()
    _local.depth = 0
    lib.treadle_gate_set_open(True)


atexit.register(_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
