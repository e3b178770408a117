"""Checks of argument types: what the original's binding refuses as TypeError, and how values are converted.

Every function takes the value and the parameter's name and returns the converted value.
"""

from __future__ import annotations

import functools
import inspect
import operator
from typing import Any, Callable, List, Optional, Sequence, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def signature_checked(what: str) -> Callable[[Function], Function]:
    """Decorator: every TypeError of calling says "incompatible `what` arguments" and why."""

    def decorate(function: Function) -> Function:
        bind = inspect.signature(function).bind
        name = function.__qualname__

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError("%s(): incompatible %s arguments: %s" % (name, what, error)) from None
            try:
                return function(*args, **kwargs)
            except ArgumentError as error:
                raise TypeError("%s(): incompatible %s arguments: %s" % (name, what, error)) from None

        return cast(Function, wrapper)

    return decorate


class ArgumentError(TypeError):
    """An argument of the wrong type; signature_checked adds which call it was."""


def _wrong(name: str, expected: str, value: Any) -> ArgumentError:
    return ArgumentError("%s must be %s, not %s" % (name, expected, type(value).__name__))


def utf8(value: Any, name: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise _wrong(name, "a str", value)
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ArgumentError("%s cannot be encoded as UTF-8: %s" % (name, error)) from None


def string(value: Any, name: str) -> str:
    return utf8(value, name).decode("utf-8")


def integer(value: Any, name: str, low: int = 0, high: int = 2**63 - 1) -> int:
    """An int or another type with __index__, such as NumPy's integers; floats are refused."""
    try:
        number = operator.index(value)
    except TypeError:
        raise _wrong(name, "an int", value) from None
    if not low <= number <= high:
        raise ArgumentError("%s is %d; it must be in %d .. %d" % (name, number, low, high))
    return number


def real(value: Any, name: str) -> float:
    if isinstance(value, (str, bytes)) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise _wrong(name, "a float", value)
    return float(value)


def boolean(value: Any, name: str) -> bool:
    """A bool, None, or what says itself whether it is true, such as NumPy's: no text, no list."""
    if value is None:
        return False
    if not hasattr(type(value), "__bool__"):
        raise _wrong(name, "a bool", value)
    try:
        return bool(value)
    except Exception:
        raise _wrong(name, "a bool", value) from None


def sequence(value: Any, name: str, of: str, also: str = "") -> Sequence[Any]:
    """A list, a tuple or what behaves like one: no text, no mapping, no set, no iterator. `also` says what the caller takes besides."""
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, (str, bytes, dict)) or not (hasattr(value, "__len__") and hasattr(value, "__getitem__")):
        raise _wrong(name, "%sa list of %s" % (also, of), value)
    return [value[i] for i in range(len(value))]


def tokens(value: Any, name: str) -> List[bytes]:
    return [utf8(token, "a token of %s" % name) for token in sequence(value, name, "str")]


def batch(value: Any, name: str) -> List[List[bytes]]:
    return [tokens(item, "%s[%d]" % (name, i)) for i, item in enumerate(sequence(value, name, "lists of str"))]


def prefixes(value: Any, name: str) -> Optional[List[List[bytes]]]:
    if value is None:
        return None
    items = sequence(value, name, "lists of str or None")
    return [[] if item is None else tokens(item, "%s[%d]" % (name, i)) for i, item in enumerate(items)]


def batch_type_is_tokens(value: str) -> bool:
    if value not in ("examples", "tokens"):
        raise ValueError("Invalid batch type: %s (it must be \"examples\" or \"tokens\")" % value)
    return value == "tokens"
