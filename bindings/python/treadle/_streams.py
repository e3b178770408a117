"""Results as they come: iterables of any length through calls of bounded size, and the tokens of one example."""

from __future__ import annotations

import collections
import itertools
import queue
from typing import Any, AsyncIterator, Callable, Deque, Iterable, Iterator, List, Optional, Sequence, Tuple

from . import _arguments as arguments
from ._calls import Call
from ._results import GenerationStepResult


def _rows(iterables: Sequence[Iterable[Any]]) -> Iterator[Tuple[Any, ...]]:
    for row in itertools.zip_longest(*iterables):
        if len(row) > 1 and any(item is None for item in row):
            raise ValueError("the iterables have not the same length (or one of them gave None)")
        yield row


def chunks(rows: Iterable[Tuple[Any, ...]], size: int, batch_type: str) -> Iterator[List[List[Any]]]:
    """Columns of rows: `size` rows at once, or as many as fit into `size` tokens when padded like the first column."""
    chunk: List[Tuple[Any, ...]] = []
    longest = 0
    for row in rows:
        length = len(row[0]) if arguments.batch_type_is_tokens(batch_type) else 1
        longest = max(longest, length)
        if chunk and (len(chunk) + 1) * longest > size:
            yield [list(column) for column in zip(*chunk)]
            chunk, longest = [], length
        chunk.append(row)
    if chunk:
        yield [list(column) for column in zip(*chunk)]


def process_iterables(submit: Callable[..., Sequence[Any]], iterables: Sequence[Iterable[Any]], max_batch_size: int,
                      batch_type: str) -> Iterator[Any]:
    """Results of submit(*columns), a function that returns asynchronous results, in order. Leaving early cancels the rest."""
    if max_batch_size < 1:
        raise ValueError("max_batch_size must be >= 1, not %s" % max_batch_size)
    read = 16 * max_batch_size if max_batch_size > 1 else 1
    pending: Deque[Any] = collections.deque()
    try:
        for columns in chunks(_rows(iterables), read, batch_type):
            pending.extend(submit(*columns))
            while pending and pending[0].done():
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for result in pending:
            result.cancel()


class TokenStream:
    """A callback that hands steps on, and the end of their call after them.

    `put` takes each GenerationStepResult and then None. It is called on the library's thread.
    """

    def __init__(self, put: Callable[[Optional[GenerationStepResult]], None]) -> None:
        self._put = put
        self._call: Optional[Call] = None
        self._stopped = False

    def callback(self, step: GenerationStepResult) -> bool:
        self._put(step)
        return self._stopped

    def ended(self) -> None:
        self._put(None)

    def watch(self, call: Call) -> None:
        """`call` is the one that reports here."""
        self._call = call
        if self._stopped:
            call.cancel()

    def check(self) -> None:
        """After the end: raise what went wrong."""
        if self._call is not None:
            self._call.result(0)

    def stop(self, wait: bool) -> None:
        self._stopped = True
        if self._call is not None:
            self._call.end() if wait else self._call.cancel()


def stream_tokens(submit: Callable[[TokenStream], Call]) -> Iterator[GenerationStepResult]:
    """The steps of what submit() submits, as they come."""
    items: "queue.SimpleQueue[Optional[GenerationStepResult]]" = queue.SimpleQueue()
    stream = TokenStream(items.put)
    try:
        stream.watch(submit(stream))
        for step in iter(items.get, None):
            yield step
        stream.check()
    finally:
        stream.stop(wait=True)


async def stream_tokens_async(submit: Callable[[TokenStream], Call]) -> AsyncIterator[GenerationStepResult]:
    """The same without blocking the event loop."""
    import asyncio  # which takes longer to import than all of this package

    loop = asyncio.get_running_loop()
    items: "asyncio.Queue[Optional[GenerationStepResult]]" = asyncio.Queue()

    def put(item: Optional[GenerationStepResult]) -> None:
        try:
            loop.call_soon_threadsafe(items.put_nowait, item)
        except RuntimeError:  # the loop is closed: nobody waits
            stream.stop(wait=False)

    stream = TokenStream(put)
    try:
        # Submitting may have to wait for room.
        await loop.run_in_executor(None, lambda: stream.watch(submit(stream)))
        while True:
            step = await items.get()
            if step is None:
                break
            yield step
        stream.check()
    finally:
        stream.stop(wait=False)
