"""Classes of the original that this version does not have: making one says so."""

from __future__ import annotations

from typing import Any


class _Missing:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("treadle.%s is not in this version of treadle" % type(self).__name__)


class Generator(_Missing):
    """Not in this version."""


class Encoder(_Missing):
    """Not in this version."""


class StorageView(_Missing):
    """Not in this version."""
