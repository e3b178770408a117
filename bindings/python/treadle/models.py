"""Models of other kinds that the original has in a module of this name: making one says that it is not in this version."""

from ._missing import Wav2Vec2, Wav2Vec2Bert, Whisper

__all__ = ["Wav2Vec2", "Wav2Vec2Bert", "Whisper"]
