"""Treadle: runs Transformer models in the CTranslate2 format.

    import treadle
    translator = treadle.Translator("model/")
    results = translator.translate_batch([["▁Hello", "▁world"]])
    print(results[0].hypotheses[0])
"""

from . import models
from ._calls import AsyncScoringResult, AsyncTranslationResult
from ._devices import get_cuda_device_count, get_supported_compute_types
from ._library import lib as _lib, text as _text
from ._missing import Encoder, Generator, StorageView
from ._results import ExecutionStats, GenerationStepResult, ScoringResult, TranslationResult
from ._sampling import set_random_seed
from ._translator import Translator, contains_model

__version__ = _text(_lib.trd_version())

__all__ = [
    "AsyncScoringResult", "AsyncTranslationResult", "Encoder", "ExecutionStats", "GenerationStepResult", "Generator", "ScoringResult",
    "StorageView", "TranslationResult", "Translator", "contains_model", "get_cuda_device_count", "get_supported_compute_types",
    "models", "set_random_seed",
]
