"""Result objects: read-only, made by the library only, with the original's repr."""

from __future__ import annotations

import warnings
from typing import Any, Dict, List, Optional, Tuple

from ._library import ffi, lib, text

try:
    import numpy
except ImportError:  # logits are then lists of floats
    numpy = None  # type: ignore[assignment]


def vector(pointer: Any, count: int) -> Any:
    """`count` floats as a NumPy array of its own memory, or as a list where there is no NumPy."""
    if numpy is None:
        return ffi.unpack(pointer, count)
    return numpy.frombuffer(ffi.buffer(pointer, 4 * count), dtype=numpy.float32).copy()


def rows(pointer: Any, n_rows: int, n_columns: int) -> List[List[float]]:
    return [ffi.unpack(pointer + i * n_columns, n_columns) if n_columns else [] for i in range(n_rows)]


class _Result:
    """Base: `_fields` are the attributes in the order of repr."""

    __slots__ = ()
    _fields: Tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("%s: No constructor defined!" % type(self).__name__)

    @classmethod
    def _make(cls, **values: Any) -> Any:
        self = object.__new__(cls)
        for name in cls._fields:
            object.__setattr__(self, "_" + name, values[name])
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("%s is read-only" % type(self).__name__)

    def __delattr__(self, name: str) -> None:
        raise AttributeError("%s is read-only" % type(self).__name__)

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle %r objects" % type(self).__name__)

    def __repr__(self) -> str:
        values = ", ".join("%s=%r" % (name, getattr(self, name)) for name in self._fields)
        return "%s(%s)" % (type(self).__name__, values)


class TranslationResult(_Result):
    """The translation of one example. Hypotheses are sorted best first."""

    __slots__ = ("_hypotheses", "_scores", "_attention", "_logits")
    _fields = ("hypotheses", "scores", "attention", "logits")
    _hypotheses: List[List[str]]
    _scores: List[float]
    _attention: List[List[List[float]]]
    _logits: List[List[Any]]

    @property
    def hypotheses(self) -> List[List[str]]:
        """Tokens, [hypothesis][token]."""
        return [list(hypothesis) for hypothesis in self._hypotheses]

    @property
    def scores(self) -> List[float]:
        """[hypothesis]; empty if return_scores was False."""
        return list(self._scores)

    @property
    def attention(self) -> List[List[List[float]]]:
        """[hypothesis][target token][source token]; empty if return_attention was False."""
        return [[list(row) for row in matrix] for matrix in self._attention]

    @property
    def logits(self) -> List[List[Any]]:
        """[hypothesis][step] arrays of shape [vocabulary]; empty if return_logits_vocab was False."""
        return [list(steps) for steps in self._logits]

    def __len__(self) -> int:
        return len(self._hypotheses)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        warnings.warn("reading a TranslationResult as a list of dicts is deprecated; use its attributes",
                      DeprecationWarning, stacklevel=2)
        if not hasattr(index, "__index__") or index.__index__() < 0:
            raise TypeError("TranslationResult indices must be non-negative integers")
        index = index.__index__()
        if index >= len(self._hypotheses):
            raise IndexError("TranslationResult index out of range")
        item: Dict[str, Any] = {"tokens": list(self._hypotheses[index])}
        if self._scores:
            item["score"] = self._scores[index]
        if self._attention:
            item["attention"] = self.attention[index]
        return item


class ScoringResult(_Result):
    """The log-probabilities of one target."""

    __slots__ = ("_tokens", "_log_probs")
    _fields = ("tokens", "log_probs")
    _tokens: List[str]
    _log_probs: List[float]

    @property
    def tokens(self) -> List[str]:
        """The scored tokens, the end token included."""
        return list(self._tokens)

    @property
    def log_probs(self) -> List[float]:
        """One for each token."""
        return list(self._log_probs)


class GenerationStepResult(_Result):
    """One token that was just chosen, as callbacks get it."""

    __slots__ = ("_step", "_batch_id", "_token_id", "_hypothesis_id", "_token", "_log_prob", "_logits", "_is_last")
    _fields = ("step", "batch_id", "token_id", "hypothesis_id", "token", "log_prob", "logits", "is_last")

    step: int = property(lambda self: self._step, doc="Index of the decoding step.")  # type: ignore[assignment]
    batch_id: int = property(lambda self: self._batch_id, doc="Index in the batch.")  # type: ignore[assignment]
    token_id: int = property(lambda self: self._token_id, doc="Id of the token.")  # type: ignore[assignment]
    hypothesis_id: int = property(  # type: ignore[assignment]
        lambda self: self._hypothesis_id, doc="Index of the sample of this example.")
    token: str = property(lambda self: self._token, doc="Text of the token.")  # type: ignore[assignment]
    log_prob: Optional[float] = property(  # type: ignore[assignment]
        lambda self: self._log_prob, doc="Of this token; None without return_scores.")
    logits: Any = property(  # type: ignore[assignment]
        lambda self: self._logits, doc="Array [vocabulary] of this row; None without return_logits_vocab.")
    is_last: bool = property(  # type: ignore[assignment]
        lambda self: self._is_last, doc="Does the hypothesis end here?")


class ExecutionStats(_Result):
    """What translate_file or score_file did."""

    __slots__ = ("_num_tokens", "_num_examples", "_total_time_in_ms")
    _fields = ("num_tokens", "num_examples", "total_time_in_ms")

    num_tokens: int = property(  # type: ignore[assignment]
        lambda self: self._num_tokens,
        doc="Tokens of the first hypotheses, end tokens not counted; of score_file: scored tokens, end tokens counted.")
    num_examples: int = property(lambda self: self._num_examples, doc="Lines.")  # type: ignore[assignment]
    total_time_in_ms: float = property(  # type: ignore[assignment]
        lambda self: self._total_time_in_ms, doc="Reading, tokenizing, running and writing; not opening files.")


def step_result(step: Any) -> GenerationStepResult:
    """From a trd_step_result."""
    return GenerationStepResult._make(
        step=step.step, batch_id=step.example, token_id=step.token_id, hypothesis_id=step.hypothesis,
        token=text(step.token), log_prob=step.log_prob if step.has_log_prob else None,
        logits=vector(step.logits, step.n_logits) if step.logits != ffi.NULL else None, is_last=step.is_last)


def _hypothesis(result: Any, h: int) -> List[str]:
    return [text(lib.trd_result_token(result, h, t)) for t in range(lib.trd_result_n_tokens(result, h))]


def _attention(result: Any, h: int) -> List[List[float]]:
    n_source = ffi.new("int64_t *")
    values = lib.trd_result_attention(result, h, n_source)
    return rows(values, lib.trd_result_n_tokens(result, h), n_source[0]) if values != ffi.NULL else []


def _logits(result: Any, h: int) -> List[Any]:
    n_steps, n_columns = ffi.new("int64_t *"), ffi.new("int64_t *")
    values = lib.trd_result_logits(result, h, n_steps, n_columns)
    if values == ffi.NULL:
        return []
    return [vector(values + i * n_columns[0], n_columns[0]) for i in range(n_steps[0])]


def translation_result(result: Any, scores: bool, attention: bool, logits: bool) -> TranslationResult:
    """From a trd_result, with what was asked for."""
    each = range(lib.trd_result_n_hypotheses(result))
    return TranslationResult._make(
        hypotheses=[_hypothesis(result, h) for h in each],
        scores=[lib.trd_result_score(result, h) for h in each] if scores else [],
        attention=[_attention(result, h) for h in each] if attention else [],
        logits=[steps for steps in (_logits(result, h) for h in each) if steps] if logits else [])


def scoring_result(result: Any) -> ScoringResult:
    """From a trd_result of scoring."""
    count = lib.trd_result_n_tokens(result, 0)
    values = lib.trd_result_token_scores(result, 0)
    return ScoringResult._make(tokens=_hypothesis(result, 0), log_probs=ffi.unpack(values, count) if count else [])
