"""The loaded C library: `ffi` and `lib` of cffi, status codes as exceptions, strings, token sequences."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any, List, Optional, Sequence, Union

from ._native import ffi as ffi, lib as lib

Token = Union[str, bytes]

_EXCEPTIONS = {
    lib.TRD_E_INVALID: ValueError,
    lib.TRD_E_MEMORY: MemoryError,
    lib.TRD_E_RANGE: IndexError,
    lib.TRD_E_TIMEOUT: TimeoutError,
    lib.TRD_E_CANCELLED: CancelledError,
}


def text(pointer: Any) -> str:
    """The Python string of a NUL-terminated UTF-8 text; "" for NULL."""
    return ffi.string(pointer).decode("utf-8") if pointer != ffi.NULL else ""


def last_message(status: int) -> str:
    """The text of this thread's last failure, which had this status."""
    if status == lib.TRD_OK:
        return ""
    return text(lib.trd_last_error()) or text(lib.trd_status_text(status))


def exception(status: int, message: str, unsupported: type = RuntimeError) -> Exception:
    """The exception that fits a status."""
    if status == lib.TRD_E_UNSUPPORTED:
        return unsupported(message)
    return _EXCEPTIONS.get(status, RuntimeError)(message)


def check(status: int, unsupported: type = RuntimeError) -> None:
    """Raise the exception that fits a status, with the text of this thread's last failure."""
    if status != lib.TRD_OK:
        raise exception(status, last_message(status), unsupported)


class Sequences:
    """A C trd_sequences over Python tokens; keeps alive what it points to."""

    def __init__(self, sequences: Sequence[Sequence[bytes]] = (), ids: Optional[Sequence[int]] = None) -> None:
        """`sequences`: UTF-8 tokens of each; or `ids`: one sequence of token ids."""
        self.value = ffi.new("trd_sequences *")
        if ids is not None:
            self._lengths = ffi.new("int64_t[]", [len(ids)])
            self._ids = ffi.new("int32_t[]", list(ids) or 1)
            self.value.n, self.value.lengths, self.value.ids = 1, self._lengths, self._ids
            return
        tokens: List[bytes] = [token for sequence in sequences for token in sequence]
        self._lengths = ffi.new("int64_t[]", [len(sequence) for sequence in sequences] or 1)
        self._bytes = ffi.from_buffer("char[]", b"".join(tokens) or b"\0")
        self._byte_lengths = ffi.new("int64_t[]", [len(token) for token in tokens] or 1)
        self.value.n, self.value.lengths = len(sequences), self._lengths
        self.value.bytes, self.value.byte_lengths = self._bytes, self._byte_lengths
