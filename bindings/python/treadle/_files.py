"""Files: what translate_file and score_file have in common, and tokenizers in Python, whose exceptions go through C unchanged."""

from __future__ import annotations

import threading
from typing import Any, Callable, List, Optional, Sequence

from . import _arguments as arguments
from ._arguments import ArgumentError
from ._library import check, exception, ffi, last_message, lib
from ._results import ExecutionStats

TokenizeFn = Callable[[str], List[str]]
DetokenizeFn = Callable[[List[str]], str]


def _function(value: Any, name: str) -> Any:
    if value is not None and not callable(value):
        raise ArgumentError("%s must be callable, not %s" % (name, type(value).__name__))
    return value


class FileRun:
    """One run over files: its C options, its tokenizers, and what they raised."""

    def __init__(self, source: Any, target: Any, output: Any, max_batch_size: Any, read_batch_size: Any, with_scores: Any,
                 tokenize_source: Any, tokenize_target: Any, detokenize: Any) -> None:
        """Only types are looked at; paths may be None where a file is not wanted."""
        self.options = ffi.new("trd_file_options *")
        lib.trd_file_options_init(self.options, ffi.sizeof("trd_file_options"))
        self.tokenize_source = _function(tokenize_source, "source_tokenize_fn")
        self.tokenize_target = _function(tokenize_target, "target_tokenize_fn")
        self.detokenize = _function(detokenize, "target_detokenize_fn")
        self._error: Optional[BaseException] = None
        self._stop = ffi.new("int *")
        self._keep: List[Any] = []
        o = self.options
        o.source, o.target, o.output = (self._path(p, n) for p, n in (
            (source, "source_path"), (target, "target_path"), (output, "output_path")))
        self._max_batch_size = arguments.integer(max_batch_size, "max_batch_size")
        self._read_batch_size = arguments.integer(read_batch_size, "read_batch_size")
        o.with_scores = arguments.boolean(with_scores, "with_scores")
        o.stop = self._stop

    def _path(self, value: Any, name: str) -> Any:
        if value is None:
            return ffi.NULL
        path = arguments.utf8(value, name)
        self._keep.append(ffi.new("char[]", b"./-" if path == b"-" else path))  # "-" is a file here, as in the original
        return self._keep[-1]

    def set_sizes(self, by_tokens: bool) -> None:
        """The original's rule: without a batch size a batch is what was read at once."""
        if self._max_batch_size == 0 and self._read_batch_size == 0:
            raise ValueError("max_batch_size must be >= 1 unless read_batch_size is given")
        self.options.max_batch_size = self._max_batch_size or self._read_batch_size
        self.options.read_batch_size = self._read_batch_size
        self.options.batch_by_tokens = by_tokens

    def run(self, function: Callable[..., int], handle: Any, decoding: Any) -> ExecutionStats:
        context = ffi.new_handle(self)
        o = self.options
        o.tokenize_context = context
        if self.tokenize_source is not None:
            o.tokenize_source = lib.treadle_tokenize_source
        if self.tokenize_target is not None:
            o.tokenize_target = lib.treadle_tokenize_target
        if self.detokenize is not None:
            o.detokenize = lib.treadle_detokenize
        if threading.get_ident() == threading.main_thread().ident:
            o.on_progress, o.on_progress_context = lib.treadle_on_progress, context
        stats = ffi.new("trd_execution_stats *", {"struct_size": ffi.sizeof("trd_execution_stats")})
        status = function(handle, o, decoding, stats)
        if self._error is not None:
            raise self._error
        message = last_message(status)
        if status == lib.TRD_E_INVALID and "has less examples" in message:  # the files are wrong, not an argument
            raise RuntimeError(message)
        if status != lib.TRD_OK:
            raise exception(status, message)
        return ExecutionStats._make(num_tokens=stats.n_tokens, num_examples=stats.n_examples,
                                    total_time_in_ms=stats.total_time_in_ms)

    def guard(self, work: Callable[[], None]) -> bool:
        """Do `work` for C; False after an exception, which run() raises."""
        if self._error is not None:
            return False
        try:
            work()
        except BaseException as error:
            self.fail(error)
        return self._error is None

    def fail(self, error: BaseException) -> None:
        self._error = error
        self._stop[0] = 1


def _add(pieces: Any, piece: bytes) -> None:
    check(lib.trd_pieces_add(pieces, piece, len(piece)))


def _on_error(kind: Any, error: BaseException, traceback: Any) -> None:
    """An interruption (Ctrl-C) in one of the functions below, outside of guard()."""
    ffi.from_handle(traceback.tb_frame.f_locals["context"]).fail(error)


def _tokenize(context: Any, function: Callable[[FileRun], TokenizeFn], line: Any, n_bytes: int, pieces: Any, name: str) -> bool:
    run: FileRun = ffi.from_handle(context)

    def work() -> None:
        made: Sequence[Any] = function(run)(ffi.unpack(line, n_bytes).decode("utf-8") if n_bytes else "")
        try:
            tokens = arguments.tokens(made, name)
        except ArgumentError as error:
            raise RuntimeError("%s must return a list of str: %s" % (name, error)) from None
        for token in tokens:
            _add(pieces, token)

    return run.guard(work)


@ffi.def_extern(name="treadle_tokenize_source", error=False, onerror=_on_error)
def _tokenize_source(context: Any, line: Any, n_bytes: int, pieces: Any) -> bool:
    return _tokenize(context, lambda run: run.tokenize_source, line, n_bytes, pieces, "source_tokenize_fn")


@ffi.def_extern(name="treadle_tokenize_target", error=False, onerror=_on_error)
def _tokenize_target(context: Any, line: Any, n_bytes: int, pieces: Any) -> bool:
    return _tokenize(context, lambda run: run.tokenize_target, line, n_bytes, pieces, "target_tokenize_fn")


@ffi.def_extern(name="treadle_detokenize", error=False, onerror=_on_error)
def _detokenize(context: Any, tokens: Any, n_tokens: int, pieces: Any) -> bool:
    run: FileRun = ffi.from_handle(context)

    def work() -> None:
        made = run.detokenize([ffi.string(tokens[i]).decode("utf-8") for i in range(n_tokens)])
        if not isinstance(made, (str, bytes)):
            raise RuntimeError("target_detokenize_fn must return a str, not %s" % type(made).__name__)
        _add(pieces, arguments.utf8(made, "what target_detokenize_fn returns"))

    return run.guard(work)


@ffi.def_extern(name="treadle_on_progress", onerror=_on_error)
def _on_progress(context: Any, progress: Any) -> None:
    """Runs in the main thread now and then, so that Python handles its signals: Ctrl-C raises in here."""
    run: FileRun = ffi.from_handle(context)
    run.guard(lambda: None)
