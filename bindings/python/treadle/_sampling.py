"""The random seed of the process, and what each translator makes of it."""

from __future__ import annotations

import itertools
from typing import Optional

from ._arguments import integer, signature_checked

_NOT_SET = 0xFFFFFFFF  # the original's "no seed"
_STEP = 0x9E3779B9

_seed: int = _NOT_SET


@signature_checked("function")
def set_random_seed(seed: int) -> None:
    """Seed the sampling of objects that have not sampled yet.

    The first sampling call of a translator then draws what CTranslate2 draws from a fresh object with one worker. Its later
    calls get other, equally reproducible draws. Without a seed the operating system seeds every call.

    Args:
      seed: 32 bits, not negative.
    """
    global _seed
    _seed = integer(seed, "seed", 0, 0xFFFFFFFF)


class Seeds:
    """The seeds of one translator's sampling calls: the process's seed first, then a sequence made from it."""

    def __init__(self) -> None:
        self._first: Optional[int] = None
        self._calls = itertools.count()  # next() of it is atomic, and no lock that a fork could catch

    def next(self) -> Optional[int]:
        """Seed for one call, or None for one from the operating system."""
        if self._first is None:
            self._first = _seed
        if self._first == _NOT_SET:
            return None
        return (self._first + next(self._calls) * _STEP) & 0xFFFFFFFF
