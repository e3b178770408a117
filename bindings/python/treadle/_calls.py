"""Calls on their way: one Call for each submission, its futures, its callback, and the asynchronous results that users hold.

A call outlives its translator, and runs to its end if nobody holds it. What ends early: a call that is cancelled, that is
interrupted (Ctrl-C), whose callback raised, or that is under way when the interpreter exits (_ends.py).
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from ._ends import CALLBACK_SECONDS, callback_scope, in_callback, is_exiting, when_exiting, when_forked
from ._library import exception, ffi, last_message, lib, text
from ._results import GenerationStepResult, ScoringResult, TranslationResult, step_result

Callback = Callable[[GenerationStepResult], Optional[bool]]
# Starts a submission: takes trd_submit_options and the array for the futures.
Start = Callable[[Any, Any], int]

_SIGNALS = 0.05  # seconds between looks at signals in the main thread, which is the one that Python handles them in

_live: "weakref.WeakValueDictionary[int, Call]" = weakref.WeakValueDictionary()
_reporting: Dict[int, Tuple["Call", Any]] = {}  # calls that Python is told about, and what C knows them by, until their end


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def rebatch(lengths: Sequence[int], max_batch_size: int, by_tokens: bool) -> List[List[int]]:
    """The original's batches: indices sorted by length, longest first, cut where rows x longest exceeds the limit."""
    if max_batch_size == 0:
        max_batch_size, by_tokens = len(lengths), False
    batches: List[List[int]] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        increment = lengths[index] if by_tokens else 1
        longest = max(longest, increment)
        if not batches or (len(batches[-1]) + 1) * longest > max_batch_size:
            batches.append([])
            longest = increment
        batches[-1].append(index)
    return batches


class Call:
    """One submission of `n` examples, which may have a callback.

    Attributes:
      owner: Whose call it is: any object.
      convert: Makes a result of a trd_result.
      batches: Lists of examples, as num_active_batches counts them.
      ended: Called on the library's thread when all is over, or None.
    """

    def __init__(self, owner: Any, n: int, convert: Callable[[Any], Any], batches: Optional[List[List[int]]] = None,
                 callback: Optional[Callback] = None, ended: Optional[Callable[[], None]] = None) -> None:
        self.owner = owner
        self.n = n
        self.convert = convert
        self.batches = batches if batches is not None else [list(range(n))]
        self.callback = callback
        self.ended = ended
        self._futures: Any = None
        self._refused: Optional[Tuple[int, str]] = None   # status and text of a submission that failed
        self._cancelled = False
        self._error: Optional[BaseException] = None       # what the callback raised
        self._spared: Set[int] = set()                    # examples that had ended before it did
        self._left = n                                    # that have not told of their end

    # ---- submission

    def submit(self, start: Start) -> None:
        """Raises what is wrong with the translator. What is wrong with the options is every future's result, as in the original."""
        how = ffi.new("trd_submit_options *")
        lib.trd_submit_options_init(how, ffi.sizeof("trd_submit_options"))
        how.refuse_when_full = True
        futures = ffi.new("trd_future *[]", self.n or 1)
        if self.callback is not None or self.ended is not None:
            if is_exiting():
                raise RuntimeError("the interpreter is exiting: no callback can be called any more")
            handle = ffi.new_handle(self)
            how.on_done, how.on_done_context = lib.treadle_gate_done, handle
            _reporting[id(self)] = (self, handle)
        _live[id(self)] = self
        status, message = self._start(start, how, futures)
        if status == lib.TRD_OK:
            self._hold(futures)
            return
        self._forget()
        if status in (lib.TRD_E_STATE, lib.TRD_E_FORKED, lib.TRD_E_MEMORY, lib.TRD_E_BUSY):
            raise exception(status, message)
        self._refused = (status, message)
        if self.ended is not None:
            self.ended()

    def context(self) -> Any:
        """What on_step gets as its context, inside of submit()."""
        return _reporting[id(self)][1]

    def _start(self, start: Start, how: Any, futures: Any) -> Tuple[int, str]:
        """Submit; where there is no room, wait for it."""
        try:
            status = start(how, futures)
            message = last_message(status)
        except BaseException:  # an interruption, before or after the submission
            self._settle(futures)
            raise
        if status not in (lib.TRD_E_BUSY, lib.TRD_E_RANGE):
            return status, message
        how.refuse_when_full = False
        if _is_main_thread():
            return self._start_aside(start, how, futures)
        status = start(how, futures)
        return status, last_message(status)

    def _start_aside(self, start: Start, how: Any, futures: Any) -> Tuple[int, str]:
        """The main thread waits for room and for signals; another thread does the waiting that cannot be interrupted."""
        lock = threading.Lock()
        outcome: List[Tuple[int, str]] = []
        abandoned = False

        def run() -> None:
            status = start(how, futures)  # returns when there was room for all, or they are cancelled
            with lock:
                outcome.append((status, last_message(status)))
                if abandoned:
                    self._settle(futures)

        try:
            thread = threading.Thread(target=run, name="treadle-submit", daemon=True)
            thread.start()
            while thread.is_alive():
                thread.join(_SIGNALS)
        except BaseException:
            with lock:
                abandoned = True
                if outcome:
                    self._settle(futures)
                else:  # what waits for room is there to be cancelled, which ends the waiting
                    for i in range(self.n):
                        lib.trd_future_cancel(futures[i])
            raise
        return outcome[0]

    def _settle(self, futures: Any) -> None:
        """The submission was interrupted: nobody wants what came of it."""
        self._cancelled = True
        if futures[0] != ffi.NULL:
            self._hold(futures)
        else:
            self._forget()

    def _hold(self, futures: Any) -> None:
        n = self.n

        def release(pointer: Any) -> None:
            for i in range(n):
                lib.trd_future_release(futures[i])

        self._futures = ffi.gc(ffi.cast("trd_future **", futures), release)
        if self._cancelled or self._error is not None:
            self.cancel()

    def _forget(self) -> None:
        _reporting.pop(id(self), None)
        _live.pop(id(self), None)

    # ---- what C tells, on the library's thread

    def on_step(self, step: Any) -> bool:
        if self._error is not None or self._cancelled:
            return True
        try:
            return bool(self.callback(step_result(step)))  # type: ignore[misc]
        except BaseException as error:
            futures = self._futures
            if futures is not None:
                self._spared = {i for i in range(self.n) if lib.trd_future_is_done(futures[i])}
            self._error = error
            self.cancel()
            return True

    def on_done(self) -> None:
        self._left -= 1
        if self._left == 0:
            _reporting.pop(id(self), None)
            if self.ended is not None:
                self.ended()

    # ---- what users ask

    def done(self, index: int) -> bool:
        if self._futures is None:
            return self._refused is not None
        return lib.trd_future_is_done(self._futures[index])

    def n_pending_in_batches(self) -> List[int]:
        """Examples of each batch that have not ended."""
        return [sum(not self.done(i) for i in batch) for batch in self.batches]

    def cancel(self, index: Optional[int] = None) -> None:
        """Ask for the end of one example or of all."""
        if index is None:
            self._cancelled = True
        if self._futures is not None:
            for i in range(self.n) if index is None else (index,):
                lib.trd_future_cancel(self._futures[i])

    def wait(self, index: int) -> None:
        """Until the example has ended. An interruption cancels the whole call."""
        if self._futures is None:
            return
        timeout = _SIGNALS if _is_main_thread() and not in_callback() else -1.0
        try:
            while True:
                status = lib.trd_future_wait(self._futures[index], timeout)
                if status != lib.TRD_E_TIMEOUT:
                    break
        except BaseException:
            self.cancel()
            raise
        if status not in (lib.TRD_OK, lib.TRD_E_FORKED):
            raise exception(status, last_message(status))

    def result(self, index: int) -> Any:
        """Wait; the result, a new object each time, or what went wrong as an exception."""
        if self._refused is not None:
            raise exception(*self._refused)
        self.wait(index)
        if self._error is not None and index not in self._spared:
            raise self._error
        out = ffi.new("const trd_result **")
        status = lib.trd_future_result(self._futures[index], out)
        if status != lib.TRD_OK:
            raise exception(status, text(lib.trd_future_error(self._futures[index])) or last_message(status))
        return self.convert(out[0])

    def run(self, start: Start) -> List[Any]:
        """Submit and wait for all. The first failure ends the call; nothing of it is under way any more when it is raised."""
        try:
            self.submit(start)
            return [self.result(i) for i in range(self.n)]
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Cancel, and wait until everything has ended, but for a callback that does not come back."""
        self.cancel()
        if self._futures is not None and not in_callback():
            lib.trd_future_wait_all(self._futures, self.n, CALLBACK_SECONDS)


@ffi.def_extern(name="treadle_python_step", error=True)
def _on_step(context: Any, step: Any) -> bool:
    with callback_scope():
        return ffi.from_handle(context).on_step(step)


@ffi.def_extern(name="treadle_python_done")
def _on_done(context: Any, future: Any) -> None:
    with callback_scope():
        ffi.from_handle(context).on_done()


def live_calls(owner: Any) -> Iterator[Call]:
    """Calls of an owner that somebody holds."""
    for reference in _live.valuerefs():
        call = reference()
        if call is not None and call.owner is owner:
            yield call


# ---- what users hold

class _AsyncResult:
    """Base of the asynchronous results."""

    __slots__ = ("_call", "_index", "__weakref__")
    _call: Call
    _index: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("%s: No constructor defined!" % type(self).__name__)

    @classmethod
    def _make(cls, call: Call, index: int) -> Any:
        self = object.__new__(cls)
        self._call, self._index = call, index
        return self

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle %r objects" % type(self).__name__)

    def done(self) -> bool:
        """Is the result, or the exception instead of it, there? Does not wait."""
        return self._call.done(self._index)

    def cancel(self) -> bool:
        """Ask for the end: what waits ends at once, what runs within a step. Not in the original.

        result() then raises concurrent.futures.CancelledError, unless the work was done before. Examples of one call with random
        sampling and a seed share their draws and end together.

        Returns:
          False if it was done already.
        """
        if self.done():
            return False
        self._call.cancel(self._index)
        return True


class AsyncTranslationResult(_AsyncResult):
    """A translation on its way."""

    __slots__ = ()

    def result(self) -> TranslationResult:
        """Wait for the result. Each call returns a new, equal object, or raises what went wrong.

        Interrupting it (Ctrl-C) cancels everything that its translate_batch submitted.
        """
        return self._call.result(self._index)


class AsyncScoringResult(_AsyncResult):
    """A score on its way."""

    __slots__ = ()

    def result(self) -> ScoringResult:
        """Wait for the result. Each call returns a new, equal object, or raises what went wrong.

        Interrupting it (Ctrl-C) cancels everything that its score_batch submitted.
        """
        return self._call.result(self._index)


def _cancel_all() -> None:
    for call in [call for call, _ in list(_reporting.values())] + [reference() for reference in _live.valuerefs()]:
        if call is not None:
            call.cancel()


def _forget_all() -> None:
    """No callback of the parent's calls comes any more."""
    _reporting.clear()
    _live.clear()


when_exiting(_cancel_all)
when_forked(_forget_all)
