"""Classes of the original that this version does not have: making one says so."""

from __future__ import annotations

from typing import Any


class _Missing:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("treadle.%s is not in this version of treadle" % type(self).__qualname__)


class Generator(_Missing):
    """Not in this version."""


class Encoder(_Missing):
    """Not in this version."""


class StorageView(_Missing):
    """Not in this version."""


class Whisper(_Missing):
    """Not in this version; treadle.models.Whisper."""

    __qualname__ = "models.Whisper"


class Wav2Vec2(_Missing):
    """Not in this version; treadle.models.Wav2Vec2."""

    __qualname__ = "models.Wav2Vec2"


class Wav2Vec2Bert(_Missing):
    """Not in this version; treadle.models.Wav2Vec2Bert."""

    __qualname__ = "models.Wav2Vec2Bert"
